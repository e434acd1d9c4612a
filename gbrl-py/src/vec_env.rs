//! Environments written in Rust, for Python to step.

use std::sync::{Mutex, PoisonError};

use gbrl_core::Error;
use gbrl_core::rl::vec_env::{self, VecEnvState};
use gbrl_core::rng::derive_seed;
use gbrl_core::threads::Threads;
use numpy::{Ix1, Ix2, PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3_stub_gen::derive::{gen_stub_pyclass, gen_stub_pymethods};

use crate::agent::to_json;
use crate::arrays::{matrix, rows, vector};
use crate::error::to_py;
use crate::stub::NewFlags;

/// Copies of an environment written in Rust, with autoreset in the same step.
///
/// name is one of environments(); the same seed gives the same episodes. n_threads threads step the copies, which pays
/// only where a step takes many microseconds; results do not depend on it.
#[gen_stub_pyclass]
#[pyclass(module = "gbrl_rs._gbrl")]
pub struct VecEnv {
    /// A class must be shareable between threads, which environments need not be; nobody ever waits for the lock.
    inner: Mutex<vec_env::VecEnv>,
    threads: Threads,
    #[pyo3(get)]
    name: String,
    /// The observation space as JSON.
    #[pyo3(get)]
    observation_space: String,
    /// The action space as JSON.
    #[pyo3(get)]
    action_space: String,
    /// Number of copies.
    #[pyo3(get)]
    n_envs: usize,
    /// Whether there are action masks.
    #[pyo3(get)]
    has_masks: bool,
}

#[gen_stub_pymethods]
#[pymethods]
impl VecEnv {
    #[new]
    #[pyo3(signature = (name, n_envs, seed, n_threads = 1))]
    fn new(name: &str, n_envs: usize, seed: u64, n_threads: usize) -> PyResult<Self> {
        let spec = envs::spec(name).map_err(to_py)?;
        let copies: gbrl_core::Result<Vec<_>> = (0..n_envs).map(|_| spec.make()).collect();
        let inner = copies.and_then(|copies| vec_env::VecEnv::new(copies, environments_seed(seed))).map_err(to_py)?;
        Ok(VecEnv {
            threads: Threads::new(n_threads).map_err(to_py)?,
            name: inner.name().to_owned(),
            observation_space: to_json(inner.observation_space())?,
            action_space: to_json(inner.action_space())?,
            n_envs,
            has_masks: inner.mask_len() > 0,
            inner: Mutex::new(inner),
        })
    }

    /// Starts the next episode of every copy and returns the first observations, float32 [n_envs, n_features]. With a
    /// seed, everything starts again from the first episode of that seed.
    #[pyo3(signature = (seed = None))]
    fn reset<'py>(&mut self, py: Python<'py>, seed: Option<u64>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let envs = self.envs();
        if let Some(seed) = seed {
            envs.reseed(environments_seed(seed));
        }
        envs.reset().map_err(to_py)?;
        observations(py, envs)
    }

    /// Steps every copy with its row of actions, float32 [n_envs, action_len]: indices for discrete parts.
    ///
    /// Returns observations float32 [n_envs, n_features] (after a reset, where an episode ended), rewards float32
    /// [n_envs], terminated bool [n_envs], truncated bool [n_envs], and the last observations of the episodes that ended,
    /// or None where none did (rows of other copies are stale).
    #[expect(clippy::type_complexity, reason = "what Gymnasium's step returns")]
    fn step<'py>(
        &mut self,
        py: Python<'py>,
        actions: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<(
        Bound<'py, PyArray2<f32>>,
        Bound<'py, PyArray1<f32>>,
        NewFlags<'py, Ix1>,
        NewFlags<'py, Ix1>,
        Option<Bound<'py, PyArray2<f32>>>,
    )> {
        let (envs, threads) = self.parts();
        envs.step(rows("actions", &actions, envs.action_len())?, threads).map_err(to_py)?;
        let finals = match envs.finished() {
            [] => None,
            _ => Some(matrix(py, envs.final_observations().to_vec(), envs.n_features())?),
        };
        Ok((
            observations(py, envs)?,
            vector(py, envs.rewards()),
            NewFlags(vector(py, envs.terminated())),
            NewFlags(vector(py, envs.truncated())),
            finals,
        ))
    }

    /// What the next actions are chosen from, float32 [n_envs, n_features].
    fn observations<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        observations(py, self.envs())
    }

    /// Which choices the next actions allow, bool [n_envs, mask_len]; None without masks.
    fn masks<'py>(&mut self, py: Python<'py>) -> PyResult<Option<NewFlags<'py, Ix2>>> {
        let envs = self.envs();
        match envs.mask_len() {
            0 => Ok(None),
            width => matrix(py, envs.masks().to_vec(), width).map(|masks| Some(NewFlags(masks))),
        }
    }

    /// Everything needed to go on from here, as bytes.
    fn save<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, to_json(&self.envs().save())?.as_bytes()))
    }

    /// Goes on from where save was called; returns the copies that had to start new episodes.
    fn restore(&mut self, data: Bound<'_, PyBytes>) -> PyResult<Vec<usize>> {
        let state: VecEnvState = serde_json::from_slice(data.as_bytes()).map_err(|error| {
            to_py(Error::format("environments' state", "invalid contents", "what save() wrote", error))
        })?;
        self.envs().restore(&state).map_err(to_py)
    }
}

impl VecEnv {
    /// The environments.
    pub fn envs(&mut self) -> &mut vec_env::VecEnv {
        self.parts().0
    }

    /// The environments and what steps them.
    pub fn parts(&mut self) -> (&mut vec_env::VecEnv, &Threads) {
        (self.inner.get_mut().unwrap_or_else(PoisonError::into_inner), &self.threads)
    }
}

fn observations<'py>(py: Python<'py>, envs: &vec_env::VecEnv) -> PyResult<Bound<'py, PyArray2<f32>>> {
    matrix(py, envs.observations().to_vec(), envs.n_features())
}

/// What a run with this seed gives its environments, as the program does.
fn environments_seed(seed: u64) -> u64 {
    derive_seed(seed, "environments", 0)
}
