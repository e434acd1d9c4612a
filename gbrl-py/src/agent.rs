//! An agent without environments.

use std::collections::BTreeMap;

use gbrl_core::error::{Error, Result};
use gbrl_core::io::{Checkpoint, model};
use gbrl_core::rl::algo::{self, AgentState, ppo};
use gbrl_core::rl::event::Metrics;
use gbrl_core::rl::rollout::StepRows;
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;
use numpy::{Ix1, Ix2, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pyo3_stub_gen::derive::{gen_stub_pyclass, gen_stub_pymethods};
use serde::{Deserialize, Serialize};

use crate::arrays::{matrix, rows, slice, vector};
use crate::doorway::long;
use crate::error::to_py;
use crate::stub::{FilePath, Flags, NamedArrays};
use crate::vec_env::VecEnv;
use crate::{look, settings};

/// A policy of trees that learns, for whoever steps the environments.
///
/// A rollout goes begin once after the environments were reset, then decide and outcome in turn until outcome returns
/// True, finish, update, and on with decide; or collect, finish, update on environments written in Rust. A seed fixes
/// everything to the byte, whatever the number of threads.
///
/// algo is "ppo"; env_name goes into the model file; spaces are JSON; settings are names and values of
/// docs/parameters.md. Raises ValueError for a setting out of range and NotImplementedError for an action space that no
/// policy fits.
#[gen_stub_pyclass]
#[pyclass(module = "gbrl_rs._gbrl")]
pub struct Agent {
    inner: algo::Agent,
    /// What predictions that sample draw from.
    predictions: Stream,
}

/// What a saved agent has besides its model.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    agent: AgentState,
    predictions: Stream,
    note: String,
}

type Decided<'py> = (Bound<'py, PyArray2<f32>>, Bound<'py, PyArray2<f32>>, Bound<'py, PyArray1<f64>>);
type Evaluated<'py> = (Bound<'py, PyArray1<f32>>, Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>);

#[gen_stub_pymethods]
#[pymethods]
impl Agent {
    #[new]
    fn new(
        algo: &str,
        env_name: &str,
        observation_space: &str,
        action_space: &str,
        n_envs: usize,
        has_masks: bool,
        settings: BTreeMap<String, String>,
    ) -> PyResult<Self> {
        if algo != ppo::NAME {
            return Err(to_py(Error::unknown_name("algorithm", algo, [ppo::NAME])));
        }
        let mut settings = settings::settings(&settings)?;
        settings.run.n_envs = n_envs;
        let spaces = (space("observation_space", observation_space)?, space("action_space", action_space)?);
        let backend = gbrl_cuda::backend(settings.run.device);
        let spaces = (&spaces.0, &spaces.1);
        let inner = algo::Agent::new_on(&backend, env_name, spaces, has_masks, &settings).map_err(to_py)?;
        Ok(Agent { predictions: predictions(settings.run.seed), inner })
    }

    /// Changes a setting of what follows, between two rollouts.
    ///
    /// Raises ValueError for a value out of range and for a setting that is part of the state (n_envs, n_steps, norm_obs,
    /// …).
    fn set(&mut self, key: &str, value: &str) -> PyResult<()> {
        let mut settings = self.inner.settings().clone();
        settings.set(key, value).and_then(|()| self.inner.set_settings(settings)).map_err(to_py)
    }

    /// A setting as text.
    fn get(&self, key: &str) -> PyResult<String> {
        let known = gbrl_core::config::ALL.iter().map(|def| def.name);
        self.inner.settings().get(key).ok_or_else(|| to_py(Error::unknown_name("setting", key, known)))
    }

    /// Takes what the environments show after a reset, float32 [n_envs, n_features], and starts an empty rollout.
    /// learn=False where a saved agent has seen these observations before: they do not count twice.
    #[pyo3(signature = (observations, learn = true))]
    fn begin(&mut self, observations: PyReadonlyArray2<'_, f32>, learn: bool) -> PyResult<()> {
        let observations = slice("observations", &observations)?;
        if learn { self.inner.begin(observations) } else { self.inner.begin_again(observations) }.map_err(to_py)
    }

    /// Samples an action for every environment, given which choices masks allow, bool [n_envs, mask_len].
    ///
    /// Returns the actions as the rollout keeps them, float32 [n_envs, action_len] (indices, or numbers before clipping or
    /// squashing), the same as the environments are to get them, and their log-probabilities, float64 [n_envs].
    #[pyo3(signature = (masks = None))]
    fn decide<'py>(&mut self, py: Python<'py>, masks: Option<Flags<'py, Ix2>>) -> PyResult<Decided<'py>> {
        let masks = optional("masks", masks.as_ref())?;
        let width = self.action_len();
        let decision = self.inner.decide(masks).map_err(to_py)?;
        let actions = matrix(py, decision.actions.to_vec(), width)?;
        Ok((actions, matrix(py, decision.sent.to_vec(), width)?, vector(py, decision.log_probs)))
    }

    /// Remembers what came of the last decision: rewards float32 [n_envs], terminated and truncated bool [n_envs], the
    /// last observations of episodes that ended, float32 [n_envs, n_features] (None when none ended by truncation), and the
    /// observations that come next. Returns whether the rollout is full.
    #[pyo3(signature = (rewards, terminated, truncated, final_observations, observations))]
    fn outcome(
        &mut self,
        rewards: PyReadonlyArray1<'_, f32>,
        terminated: Flags<'_, Ix1>,
        truncated: Flags<'_, Ix1>,
        final_observations: Option<PyReadonlyArray2<'_, f32>>,
        observations: PyReadonlyArray2<'_, f32>,
    ) -> PyResult<bool> {
        let next = slice("observations", &observations)?;
        if final_observations.is_none() && slice("truncated", &truncated.0)?.contains(&true) {
            return Err(PyValueError::new_err(
                "final_observations: expected those of the truncated episodes, got None",
            ));
        }
        let final_observations = match &final_observations {
            Some(given) => slice("final_observations", given)?,
            None => next,
        };
        let step = StepRows {
            rewards: slice("rewards", &rewards)?,
            terminated: slice("terminated", &terminated.0)?,
            truncated: slice("truncated", &truncated.0)?,
            final_observations,
        };
        self.inner.outcome(&step, next).map_err(to_py)
    }

    /// Fills a rollout with steps of environments written in Rust, instead of decide and outcome.
    ///
    /// Returns the episodes that ended: index of the environment, raw return, length, whether the task ended it. After
    /// Ctrl-C, begin is due.
    fn collect(&mut self, py: Python<'_>, mut envs: PyRefMut<'_, VecEnv>) -> PyResult<Vec<(usize, f64, u64, bool)>> {
        let (agent, (envs, threads)) = (&mut self.inner, envs.parts());
        long(py, |signals| {
            let mut episodes = Vec::new();
            let _ = agent.collect(envs, threads, |envs| {
                let ended = envs.finished().iter();
                episodes.extend(ended.map(|end| (end.env_idx, end.total_reward, end.length, end.terminated)));
                signals.poll()
            })?;
            Ok(episodes)
        })
    }

    /// Values every row of a full rollout, and computes advantages and returns.
    fn finish(&mut self, py: Python<'_>) -> PyResult<()> {
        long(py, |_| self.inner.finish())
    }

    /// Learns from the finished rollout; schedules stand at progress, 0 to 1. Returns the numbers called train/…
    ///
    /// Ctrl-C ends it between two minibatches; what was learnt until then stays.
    fn update(&mut self, py: Python<'_>, progress: f64) -> PyResult<BTreeMap<&'static str, f64>> {
        let mut metrics = Metrics::default();
        long(py, |signals| self.inner.update_while(progress, &mut metrics, &mut || signals.poll()))?;
        Ok(metrics.iter().collect())
    }

    /// Copies of the last full rollout, [n_steps, n_envs, …]: observations (as the trees see them), actions (as kept),
    /// action_masks (where there are some), rewards (as learnt from), values, log_probs, advantages, returns,
    /// episode_ends.
    fn rollout<'py>(&self, py: Python<'py>) -> PyResult<NamedArrays<'py>> {
        let (rollout, head) = (self.inner.rollout(), self.inner.head());
        if !rollout.is_full() {
            return Err(PyValueError::new_err("rollout: expected a full one, got one that is being filled"));
        }
        let n_envs = self.inner.settings().run.n_envs;
        let steps = rollout.n_rows() / n_envs;
        let rows = 0..rollout.n_rows();
        let all = PyDict::new(py);
        let by_width = |width: usize| [steps, n_envs, width];
        let mut observations = vec![0.0; rollout.n_rows() * head.n_features()];
        for (row, out) in observations.chunks_exact_mut(head.n_features()).enumerate() {
            self.inner.data().observations().read_row(row, out);
        }
        let observations = PyArray1::from_vec(py, observations).reshape(by_width(head.n_features()))?;
        all.set_item("observations", observations)?;
        let actions: Vec<f32> = rows.clone().flat_map(|row| rollout.action(row)).copied().collect();
        all.set_item("actions", PyArray1::from_vec(py, actions).reshape(by_width(self.action_len()))?)?;
        if self.inner.has_masks() {
            let masks: Vec<bool> = rows.flat_map(|row| rollout.mask(row)).copied().collect();
            let width = head.distribution.mask_len();
            all.set_item("action_masks", PyArray1::from_vec(py, masks).reshape(by_width(width))?)?;
        }
        let shape = [steps, n_envs];
        all.set_item("rewards", vector(py, rollout.rewards()).reshape(shape)?)?;
        all.set_item("values", vector(py, rollout.values()).reshape(shape)?)?;
        all.set_item("log_probs", vector(py, rollout.log_probs()).reshape(shape)?)?;
        all.set_item("advantages", vector(py, rollout.advantages()).reshape(shape)?)?;
        all.set_item("returns", vector(py, rollout.returns()).reshape(shape)?)?;
        all.set_item("episode_ends", vector(py, rollout.ends()).reshape(shape)?)?;
        Ok(NamedArrays(all))
    }

    /// Actions for observations, float32 [n, n_features], as environments get them: float32 [n, action_len].
    /// deterministic takes the likeliest ones.
    #[pyo3(signature = (observations, masks = None, deterministic = false))]
    fn act<'py>(
        &mut self,
        py: Python<'py>,
        observations: PyReadonlyArray2<'py, f32>,
        masks: Option<Flags<'py, Ix2>>,
        deterministic: bool,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let width = self.action_len();
        let given = (rows("observations", &observations, self.n_features())?, optional("masks", masks.as_ref())?);
        let mut actions = vec![0.0; observations.as_array().nrows() * width];
        let (view, stream) = (self.inner.view(), &mut self.predictions);
        view.act(given.0, given.1, deterministic, stream, &mut actions).map_err(to_py)?;
        matrix(py, actions, width)
    }

    /// Values of observations, float32 [n].
    fn values<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let given = rows("observations", &observations, self.n_features())?;
        let mut values = vec![0.0; observations.as_array().nrows()];
        self.inner.view().values(given, &mut values).map_err(to_py)?;
        Ok(PyArray1::from_vec(py, values))
    }

    /// Values float32 [n], log-probabilities float64 [n] and entropies float64 [n] of actions as kept, float32
    /// [n, action_len].
    #[pyo3(signature = (observations, actions, masks = None))]
    fn evaluate_actions<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArray2<'py, f32>,
        actions: PyReadonlyArray2<'py, f32>,
        masks: Option<Flags<'py, Ix2>>,
    ) -> PyResult<Evaluated<'py>> {
        let given = rows("observations", &observations, self.n_features())?;
        let actions = rows("actions", &actions, self.action_len())?;
        let view = self.inner.view();
        let mut values = vec![0.0; observations.as_array().nrows()];
        view.values(given, &mut values).map_err(to_py)?;
        let found = view.evaluate(given, optional("masks", masks.as_ref())?, actions).map_err(to_py)?;
        let (log_probs, entropies) = found.iter().map(|at| (at.log_prob, at.entropy)).unzip();
        Ok((PyArray1::from_vec(py, values), PyArray1::from_vec(py, log_probs), PyArray1::from_vec(py, entropies)))
    }

    /// Parameters of each observation's action distribution, float64 [n, n_params]: logits, or means and then log standard
    /// deviations.
    fn distribution<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let given = rows("observations", &observations, self.n_features())?;
        let mut parameters = Vec::new();
        self.inner.view().parameters(given, &mut parameters).map_err(to_py)?;
        matrix(py, parameters, self.inner.head().distribution.n_params())
    }

    /// The code of a string in a column of strings; a new one gets the next code where learn is true, −1 otherwise.
    #[pyo3(signature = (feature_idx, text, learn = false))]
    fn encode(&mut self, feature_idx: usize, text: &str, learn: bool) -> PyResult<f32> {
        if learn {
            self.inner.learn(feature_idx, text).map_err(to_py)
        } else {
            look::code(self.inner.ensemble(), feature_idx, text)
        }
    }

    /// Names of the columns of an observation.
    #[getter]
    fn feature_names(&self) -> Vec<String> {
        look::feature_names(self.inner.ensemble())
    }

    /// Columns of an observation.
    #[getter]
    fn n_features(&self) -> usize {
        self.inner.head().n_features()
    }

    /// Columns of an action.
    #[getter]
    fn action_len(&self) -> usize {
        self.inner.head().distribution.action_len()
    }

    /// Outputs of the trees: the policy's parameters and the value.
    #[getter]
    fn n_outputs(&self) -> usize {
        self.inner.ensemble().n_outputs()
    }

    /// Trees so far.
    #[getter]
    fn n_trees(&self) -> usize {
        self.inner.ensemble().trees().len()
    }

    /// Number of environments.
    #[getter]
    fn n_envs(&self) -> usize {
        self.inner.settings().run.n_envs
    }

    /// Whether decisions come with action masks.
    #[getter]
    fn has_masks(&self) -> bool {
        self.inner.has_masks()
    }

    /// Free log standard deviations of a Gaussian policy, float64; empty where there are none.
    #[getter]
    fn log_std<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        vector(py, &self.inner.head().log_std)
    }

    /// Everything that is needed to go on learning (trees, optimizers, statistics, random streams), and the caller's note.
    #[pyo3(signature = (note, timesteps = 0))]
    fn to_bytes<'py>(&self, py: Python<'py>, note: String, timesteps: u64) -> PyResult<Bound<'py, PyBytes>> {
        let saved = Saved { agent: self.inner.state(), predictions: self.predictions.clone(), note };
        let bytes = long(py, |_| {
            let state = serde_json::to_value(&saved)
                .map_err(|error| Error::parameter("state", error, "numbers that JSON can hold"))?;
            Checkpoint::new(self.inner.model(timesteps)?, state).to_bytes()
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// An agent that to_bytes wrote, and the note. Every altered byte is refused with a FormatError.
    ///
    /// device is where trees are grown from now on: "cpu", "cuda", "cuda:N" or "auto".
    #[staticmethod]
    #[pyo3(signature = (data, n_threads = None, device = "cpu"))]
    fn from_bytes(
        py: Python<'_>,
        data: Bound<'_, PyBytes>,
        n_threads: Option<usize>,
        device: &str,
    ) -> PyResult<(Agent, String)> {
        let data = data.as_bytes();
        long(py, |_| {
            let read = Checkpoint::from_bytes(data)?;
            let mut saved: Saved = serde_json::from_value(read.state)
                .map_err(|error| Error::format("agent", "invalid contents", "what to_bytes wrote", error))?;
            let mut settings = saved.agent.settings().clone();
            settings.set("device", device)?;
            settings.run.n_threads = n_threads.unwrap_or(settings.run.n_threads);
            let backend = gbrl_cuda::backend(settings.run.device);
            saved.agent.set_settings(settings)?;
            let inner = algo::Agent::resume_on(&backend, &saved.agent, read.model)?;
            Ok((Agent { inner, predictions: saved.predictions }, saved.note))
        })
    }

    /// Writes the policy as a model file, what the program `gbrl` and Policy::load read, in one step.
    fn save_model(&self, py: Python<'_>, path: FilePath, timesteps: u64) -> PyResult<()> {
        long(py, |_| model::save(path.0, self.inner.model(timesteps)?))
    }

    /// The policy alone, as the bytes of a model file.
    fn policy_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = long(py, |_| model::to_bytes(&self.inner.model(0)?))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Takes over a policy for the same spaces, as policy_bytes or a model file has it; begin must follow.
    fn set_policy_bytes(&mut self, py: Python<'_>, data: Bound<'_, PyBytes>) -> PyResult<()> {
        let data = data.as_bytes();
        long(py, |_| self.inner.set_policy(model::from_bytes(data)?))
    }

    /// Restarts every random stream from a seed.
    fn seed(&mut self, seed: u64) {
        self.inner.seed(seed);
        self.predictions = predictions(seed);
    }

    /// Importance of every feature, "gain" or "count", float64 [n_features], normalised to a sum of 1.
    #[pyo3(signature = (kind = "gain"))]
    fn importance<'py>(&self, py: Python<'py>, kind: &str) -> PyResult<Bound<'py, PyArray1<f64>>> {
        Ok(PyArray1::from_vec(py, look::importance(self.inner.ensemble(), kind)?))
    }

    /// A tree as "text", "dot" or "json".
    #[pyo3(signature = (tree_idx, format = "text"))]
    fn tree(&self, tree_idx: usize, format: &str) -> PyResult<String> {
        look::tree(self.inner.ensemble(), tree_idx, format)
    }
}

fn predictions(seed: u64) -> Stream {
    Stream::new(seed, "predictions", 0)
}

fn optional<'a>(what: &str, flags: Option<&'a Flags<'_, Ix2>>) -> PyResult<&'a [bool]> {
    flags.map_or(Ok(&[]), |flags| slice(what, &flags.0))
}

fn space(what: &'static str, json: &str) -> PyResult<Space> {
    serde_json::from_str(json).map_err(|error| to_py(Error::parameter(what, error, "a space as JSON")))
}

/// Anything as JSON.
pub fn to_json(value: &impl Serialize) -> PyResult<String> {
    let text: Result<String> =
        serde_json::to_string(value).map_err(|error| Error::parameter("state", error, "numbers that JSON can hold"));
    text.map_err(to_py)
}
