//! Environments written in Rust, for Python to step.

use std::sync::Mutex;

use gbrl_core::Error;
use gbrl_core::rl::vec_env::{self, VecEnvState};
use gbrl_core::rng::derive_seed;
use gbrl_core::threads::Threads;
use numpy::{Ix1, Ix2, PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3_stub_gen::derive::{gen_stub_pyclass, gen_stub_pymethods};

use crate::agent::{json, lock};
use crate::arrays::{matrix, rows};
use crate::error::to_py;
use crate::stub::NewFlags;

/// Copies of an environment written in Rust, with autoreset in the same step.
///
/// name is one of environments(); the same seed gives the same episodes. n_threads threads step the copies, which pays
/// only where a step takes many microseconds; results do not depend on it.
#[gen_stub_pyclass]
#[pyclass(module = "gbrl_rs._gbrl", frozen)]
pub struct VecEnv {
    /// Locked without the GIL, since a rollout may have it.
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
    n_features: usize,
    action_len: usize,
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
            observation_space: json(inner.observation_space()).map_err(to_py)?,
            action_space: json(inner.action_space()).map_err(to_py)?,
            n_envs,
            has_masks: inner.mask_len() > 0,
            n_features: inner.n_features(),
            action_len: inner.action_len(),
            inner: Mutex::new(inner),
        })
    }

    /// Starts the next episode of every copy and returns the first observations, float32 [n_envs, n_features]. With a
    /// seed, everything starts again from the first episode of that seed.
    #[pyo3(signature = (seed = None))]
    fn reset<'py>(&self, py: Python<'py>, seed: Option<u64>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let observations = self.with(py, |envs| {
            if let Some(seed) = seed {
                envs.reseed(environments_seed(seed));
            }
            envs.reset()?;
            Ok(envs.observations().to_vec())
        })?;
        matrix(py, observations, self.n_features)
    }

    /// Steps every copy with its row of actions, float32 [n_envs, action_len]: indices for discrete parts.
    ///
    /// Returns observations float32 [n_envs, n_features] (after a reset, where an episode ended), rewards float32
    /// [n_envs], terminated bool [n_envs], truncated bool [n_envs], the last observations of the episodes that ended, or
    /// None where none did (rows of other copies are stale), and those episodes: index of the copy, return, length.
    #[expect(clippy::type_complexity, reason = "what Gymnasium's step returns")]
    fn step<'py>(
        &self,
        py: Python<'py>,
        actions: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<(
        Bound<'py, PyArray2<f32>>,
        Bound<'py, PyArray1<f32>>,
        NewFlags<'py, Ix1>,
        NewFlags<'py, Ix1>,
        Option<Bound<'py, PyArray2<f32>>>,
        Vec<(usize, f64, u64)>,
    )> {
        let actions = rows("actions", &actions, self.action_len)?;
        let (observations, rewards, terminated, truncated, finals, ended) = self.with(py, |envs| {
            envs.step(actions, &self.threads)?;
            let finals = (!envs.finished().is_empty()).then(|| envs.final_observations().to_vec());
            let ended = envs.finished().iter().map(|end| (end.env_idx, end.total_reward, end.length)).collect();
            let (terminated, truncated) = (envs.terminated().to_vec(), envs.truncated().to_vec());
            Ok((envs.observations().to_vec(), envs.rewards().to_vec(), terminated, truncated, finals, ended))
        })?;
        Ok((
            matrix(py, observations, self.n_features)?,
            PyArray1::from_vec(py, rewards),
            NewFlags(PyArray1::from_vec(py, terminated)),
            NewFlags(PyArray1::from_vec(py, truncated)),
            finals.map(|finals| matrix(py, finals, self.n_features)).transpose()?,
            ended,
        ))
    }

    /// What the next actions are chosen from, float32 [n_envs, n_features].
    fn observations<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        matrix(py, self.with(py, |envs| Ok(envs.observations().to_vec()))?, self.n_features)
    }

    /// Which choices the next actions allow, bool [n_envs, mask_len]; None without masks.
    fn masks<'py>(&self, py: Python<'py>) -> PyResult<Option<NewFlags<'py, Ix2>>> {
        let (masks, width) = self.with(py, |envs| Ok((envs.masks().to_vec(), envs.mask_len())))?;
        match width {
            0 => Ok(None),
            width => matrix(py, masks, width).map(|masks| Some(NewFlags(masks))),
        }
    }

    /// Everything needed to go on from here, as bytes.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let state = self.with(py, |envs| json(&envs.save()))?;
        Ok(PyBytes::new(py, state.as_bytes()))
    }

    /// Goes on from where save was called; returns the copies that had to start new episodes.
    fn restore(&self, py: Python<'_>, data: Bound<'_, PyBytes>) -> PyResult<Vec<usize>> {
        let data = data.as_bytes();
        self.with(py, |envs| {
            let state: VecEnvState = serde_json::from_slice(data).map_err(|error| {
                Error::format("environments' state", "invalid contents", "what save() wrote", error)
            })?;
            envs.restore(&state)
        })
    }
}

impl VecEnv {
    /// The environments and what steps them.
    pub fn parts(&self) -> (&Mutex<vec_env::VecEnv>, &Threads) {
        (&self.inner, &self.threads)
    }

    /// Works on the environments while other Python threads run too.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut vec_env::VecEnv) -> gbrl_core::Result<T> + Send,
    ) -> PyResult<T> {
        py.detach(|| work(&mut lock(&self.inner))).map_err(to_py)
    }
}

/// What a run with this seed gives its environments, as the program does.
fn environments_seed(seed: u64) -> u64 {
    derive_seed(seed, "environments", 0)
}
