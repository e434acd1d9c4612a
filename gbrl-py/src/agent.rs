//! An agent without environments.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLockReadGuard, RwLockWriteGuard};

use gbrl_core::error::{Error, Result};
use gbrl_core::io::checkpoint::from_either;
use gbrl_core::io::{Checkpoint, ModelRef, model};
use gbrl_core::rl::algo::{self, AgentState};
use gbrl_core::rl::event::Metrics;
use gbrl_core::rl::rollout::StepRows;
use gbrl_core::rl::space::Space;
use gbrl_core::rl::vec_env;
use gbrl_core::rng::Stream;
use numpy::{Ix1, Ix2, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pyo3_stub_gen::derive::{gen_stub_pyclass, gen_stub_pymethods};
use serde::{Deserialize, Serialize};

use crate::arrays::{matrix, rows, slice};
use crate::doorway::{Stop, apart, long};
use crate::error::to_py;
use crate::moment::Moment;
use crate::shared::Shared;
use crate::stub::{FilePath, Flags, NamedArrays};
use crate::vec_env::VecEnv;
use crate::visited::Visited;
use crate::{look, policy_file, settings};

/// A policy of trees that learns, for whoever steps the environments.
///
/// A rollout goes begin once after the environments were reset, then decide and outcome in turn until outcome returns
/// True, finish, update, and on with decide; or collect, finish, update on environments written in Rust. A seed fixes
/// everything to the byte, whatever the number of threads.
///
/// algo is "ppo", "a2c" or "awr"; env_name goes into the model file; spaces are JSON; settings are names and values of
/// docs/parameters.md. Raises ValueError for a setting out of range and NotImplementedError for an action space that no
/// policy fits.
///
/// Any thread and any signal's handler may ask for predictions or save while another thread learns: they get their turn
/// when that has collected its rollout or made its update.
#[gen_stub_pyclass]
#[pyclass(module = "gbrl_rs._gbrl", frozen)]
pub struct Agent {
    inner: Shared<algo::Agent>,
    /// What predictions that sample draw from; locked after `inner`.
    predictions: Mutex<Stream>,
    /// A sample of what was decided about, where somebody asked for it.
    visited: Mutex<Option<Visited>>,
    /// Columns of an observation.
    #[pyo3(get)]
    n_features: usize,
    /// Columns of an action.
    #[pyo3(get)]
    action_len: usize,
    /// Number of environments.
    #[pyo3(get)]
    n_envs: usize,
    /// Whether decisions come with action masks.
    #[pyo3(get)]
    has_masks: bool,
}

/// Rows times trees that take less time than a thread of their own pays for.
pub const SHORT: usize = 1 << 17;

/// Rows between two looks at whether to stop.
const PIECE: usize = 1 << 12;

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
        let mut settings = settings::settings(algo, &settings)?;
        settings.run.n_envs = n_envs;
        let spaces = (space("observation_space", observation_space)?, space("action_space", action_space)?);
        let backend = gbrl_cuda::backend(settings.run.device);
        let spaces = (&spaces.0, &spaces.1);
        let inner = algo::Agent::new_on(&backend, env_name, spaces, has_masks, &settings).map_err(to_py)?;
        Ok(Self::around(inner, predictions(settings.run.seed)))
    }

    /// Calls the columns of observations, the codes of categories and the actions what the environments call them.
    ///
    /// Raises ValueError for environments of another kind.
    fn describe(&self, py: Python<'_>, envs: &Bound<'_, VecEnv>) -> PyResult<()> {
        let (features, choices) = {
            let envs = lock(envs.get().parts().0);
            (envs.features().clone(), envs.choices().to_vec())
        };
        self.change(py, |agent| agent.describe(features, &choices))
    }

    /// Changes a setting of what follows, between two rollouts.
    ///
    /// Raises ValueError for a value out of range and for a setting that is part of the state (n_envs, n_steps, norm_obs,
    /// …).
    fn set(&self, py: Python<'_>, key: &str, value: &str) -> PyResult<()> {
        self.change(py, |agent| {
            let mut settings = agent.settings().clone();
            settings.set(key, value)?;
            agent.set_settings(settings)
        })
    }

    /// A setting as text.
    fn get(&self, py: Python<'_>, key: &str) -> PyResult<String> {
        self.look(py, 0, |agent, _| {
            let known = agent.settings().defs().map(|def| def.name);
            agent.settings().get(key).ok_or_else(|| Error::unknown_name("setting", key, known))
        })
    }

    /// Takes what the environments show after a reset, float32 [n_envs, n_features], and starts an empty rollout.
    /// learn=False where a saved agent has seen these observations before: they do not count twice.
    #[pyo3(signature = (observations, learn = true))]
    fn begin(&self, py: Python<'_>, observations: PyReadonlyArray2<'_, f32>, learn: bool) -> PyResult<()> {
        let observations = slice("observations", &observations)?;
        self.change(py, |agent| if learn { agent.begin(observations) } else { agent.begin_again(observations) })?;
        self.show(observations);
        Ok(())
    }

    /// Samples an action for every environment, given which choices masks allow, bool [n_envs, mask_len].
    ///
    /// Returns the actions as the rollout keeps them, float32 [n_envs, action_len] (indices, or numbers before clipping or
    /// squashing), the same as the environments are to get them, and their log-probabilities, float64 [n_envs].
    #[pyo3(signature = (masks = None))]
    fn decide<'py>(&self, py: Python<'py>, masks: Option<Flags<'py, Ix2>>) -> PyResult<Decided<'py>> {
        let masks = optional("masks", masks.as_ref())?;
        let (actions, sent, log_probs) = self.change(py, |agent| {
            let decision = agent.decide(masks)?;
            Ok((decision.actions.to_vec(), decision.sent.to_vec(), decision.log_probs.to_vec()))
        })?;
        if let Some(visited) = lock(&self.visited).as_mut() {
            visited.decided(masks);
        }
        let width = self.action_len;
        Ok((matrix(py, actions, width)?, matrix(py, sent, width)?, PyArray1::from_vec(py, log_probs)))
    }

    /// Remembers what came of the last decision: rewards float32 [n_envs], terminated and truncated bool [n_envs], the
    /// last observations of episodes that ended, float32 [n_envs, n_features] (None when none ended by truncation), and the
    /// observations that come next. Returns whether the rollout is full.
    ///
    /// ignored, bool [n_envs], says which environments only reset themselves: nothing is learnt from those rows.
    #[pyo3(signature = (rewards, terminated, truncated, final_observations, observations, ignored = None))]
    fn outcome(
        &self,
        py: Python<'_>,
        rewards: PyReadonlyArray1<'_, f32>,
        terminated: Flags<'_, Ix1>,
        truncated: Flags<'_, Ix1>,
        final_observations: Option<PyReadonlyArray2<'_, f32>>,
        observations: PyReadonlyArray2<'_, f32>,
        ignored: Option<Flags<'_, Ix1>>,
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
            ignored: ignored.as_ref().map_or(Ok(&[][..]), |flags| slice("ignored", &flags.0))?,
        };
        let full = self.change(py, |agent| agent.outcome(&step, next))?;
        self.show(next);
        Ok(full)
    }

    /// Fills a rollout with steps of environments written in Rust, instead of decide and outcome.
    ///
    /// Returns the episodes that ended: index of the environment, raw return, length, whether the task ended it. After
    /// Ctrl-C, begin is due.
    fn collect(&self, py: Python<'_>, envs: &Bound<'_, VecEnv>) -> PyResult<Vec<(usize, f64, u64, bool)>> {
        let (envs, threads) = envs.get().parts();
        apart(py, |stop| {
            let mut episodes = Vec::new();
            let (mut agent, mut envs) = (self.write(), lock(envs));
            let mut visited = lock(&self.visited);
            let mut offer = |envs: &vec_env::VecEnv| {
                if let Some(visited) = visited.as_mut() {
                    visited.offer(envs.observations(), envs.masks());
                }
            };
            offer(&envs);
            let mut left = agent.settings().agent.n_steps;
            let _ = agent.collect(&mut envs, threads, |envs| {
                let ended = envs.finished().iter();
                episodes.extend(ended.map(|end| (end.env_idx, end.total_reward, end.length, end.terminated)));
                left -= 1;
                // What the last step shows is decided about in the next rollout.
                if left > 0 {
                    offer(envs);
                }
                stop.poll()
            })?;
            Ok(episodes)
        })
    }

    /// Values every row of a full rollout, and computes advantages and returns.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        apart(py, |_| self.write().finish())
    }

    /// Name of the algorithm.
    #[getter]
    fn algo(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.look(py, 0, |agent, _| Ok(agent.settings().algorithm().name()))
    }

    /// Moves the schedule of the noise of what is decided from now on to progress, 0 to 1, where the run's length changed.
    fn set_progress(&self, py: Python<'_>, progress: f64) -> PyResult<()> {
        self.change(py, |agent| agent.set_progress(progress))
    }

    /// Learns from the finished rollout; schedules stand at progress, 0 to 1. Returns the numbers called train/…, in the
    /// order in which the program `gbrl` writes them.
    ///
    /// Ctrl-C ends it between two minibatches; what was learnt until then stays.
    fn update(&self, py: Python<'_>, progress: f64) -> PyResult<Vec<(&'static str, f64)>> {
        apart(py, |stop| {
            let mut metrics = Metrics::default();
            self.write().update_while(progress, &mut metrics, &mut || stop.poll())?;
            Ok(metrics.iter().collect())
        })
    }

    /// Copies of the last full rollout, [n_steps, n_envs, …]: observations (as the trees see them), actions (as kept),
    /// action_masks (where there are some), rewards (as learnt from), values, log_probs, advantages, returns,
    /// episode_ends.
    fn rollout<'py>(&self, py: Python<'py>) -> PyResult<NamedArrays<'py>> {
        let rows = self.look(py, usize::MAX, |agent, _| RolloutRows::of(agent))?;
        let shape = [rows.n_steps, self.n_envs];
        let by_width = |values: usize| [rows.n_steps, self.n_envs, values / (rows.n_steps * self.n_envs).max(1)];
        let all = PyDict::new(py);
        let width = by_width(rows.observations.len());
        all.set_item("observations", PyArray1::from_vec(py, rows.observations).reshape(width)?)?;
        let width = by_width(rows.actions.len());
        all.set_item("actions", PyArray1::from_vec(py, rows.actions).reshape(width)?)?;
        if self.has_masks {
            let width = by_width(rows.masks.len());
            all.set_item("action_masks", PyArray1::from_vec(py, rows.masks).reshape(width)?)?;
        }
        all.set_item("rewards", PyArray1::from_vec(py, rows.rewards).reshape(shape)?)?;
        all.set_item("values", PyArray1::from_vec(py, rows.values).reshape(shape)?)?;
        all.set_item("log_probs", PyArray1::from_vec(py, rows.log_probs).reshape(shape)?)?;
        all.set_item("advantages", PyArray1::from_vec(py, rows.advantages).reshape(shape)?)?;
        all.set_item("returns", PyArray1::from_vec(py, rows.returns).reshape(shape)?)?;
        all.set_item("episode_ends", PyArray1::from_vec(py, rows.episode_ends).reshape(shape)?)?;
        Ok(NamedArrays(all))
    }

    /// Actions for observations, float32 [n, n_features], as environments get them: float32 [n, action_len].
    /// deterministic takes the likeliest ones.
    #[pyo3(signature = (observations, masks = None, deterministic = false))]
    fn act<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArray2<'py, f32>,
        masks: Option<Flags<'py, Ix2>>,
        deterministic: bool,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let (k, width) = (observations.as_array().nrows(), self.action_len);
        let rows = rows("observations", &observations, self.n_features)?;
        let masks = optional("masks", masks.as_ref())?;
        let actions = self.look(py, k, |agent, stop| {
            let mut stream = lock(&self.predictions);
            let mut actions = vec![0.0; k * width];
            self.pieces(agent, (rows, masks), stop, |at, rows, masks| {
                let out = &mut actions[at.start * width..at.end * width];
                agent.view().act(rows, masks, deterministic, &mut stream, out)
            })?;
            Ok(actions)
        })?;
        matrix(py, actions, width)
    }

    /// Values of observations, float32 [n].
    fn values<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let k = observations.as_array().nrows();
        let rows = rows("observations", &observations, self.n_features)?;
        let values = self.look(py, k, |agent, stop| self.values_of(agent, rows, stop))?;
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
        let (k, width) = (observations.as_array().nrows(), self.action_len);
        let given = rows("observations", &observations, self.n_features)?;
        let actions = rows("actions", &actions, width)?;
        let masks = optional("masks", masks.as_ref())?;
        let (values, found) = self.look(py, k, |agent, stop| {
            if actions.len() != k * width {
                return Err(Error::shape("actions", format!("[{k}, {width}]"), actions.len()));
            }
            let mut found = Vec::with_capacity(k);
            self.pieces(agent, (given, masks), stop, |at, rows, masks| {
                let actions = &actions[at.start * width..at.end * width];
                found.extend(agent.view().evaluate(rows, masks, actions)?);
                Ok(())
            })?;
            Ok((self.values_of(agent, given, stop)?, found))
        })?;
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
        let k = observations.as_array().nrows();
        let given = rows("observations", &observations, self.n_features)?;
        let (parameters, width) = self.look(py, k, |agent, stop| {
            let (mut all, mut piece) = (Vec::new(), Vec::new());
            self.pieces(agent, (given, &[]), stop, |_, rows, _| {
                agent.view().parameters(rows, &mut piece)?;
                all.append(&mut piece);
                Ok(())
            })?;
            Ok((all, agent.head().distribution.n_params()))
        })?;
        matrix(py, parameters, width)
    }

    /// The code of a string in a column of strings; a new one gets the next code where learn is true, −1 otherwise.
    #[pyo3(signature = (feature_idx, text, learn = false))]
    fn encode(&self, py: Python<'_>, feature_idx: usize, text: &str, learn: bool) -> PyResult<f32> {
        if learn {
            self.change(py, |agent| agent.learn(feature_idx, text))
        } else {
            self.look(py, 0, |agent, _| look::code(agent.ensemble(), feature_idx, text))
        }
    }

    /// Names of the trees' outputs: policy[0], …, value.
    #[getter]
    fn output_names(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.look(py, 0, |agent, _| Ok(look::output_names(agent.ensemble())))
    }

    /// Names of the columns of an observation.
    #[getter]
    fn feature_names(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.look(py, 0, |agent, _| Ok(look::feature_names(agent.ensemble())))
    }

    /// Outputs of the trees: the policy's parameters and the value.
    #[getter]
    fn n_outputs(&self, py: Python<'_>) -> PyResult<usize> {
        self.look(py, 0, |agent, _| Ok(agent.ensemble().n_outputs()))
    }

    /// Trees so far.
    #[getter]
    fn n_trees(&self, py: Python<'_>) -> PyResult<usize> {
        self.look(py, 0, |agent, _| Ok(agent.ensemble().trees().len()))
    }

    /// Free log standard deviations of a Gaussian policy, float64; empty where there are none.
    #[getter]
    fn log_std<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let log_std = self.look(py, 0, |agent, _| Ok(agent.head().log_std.clone()))?;
        Ok(PyArray1::from_vec(py, log_std))
    }

    /// Where the agent and its environments stand together, between two rollouts.
    fn moment(&self, py: Python<'_>, envs: &Bound<'_, VecEnv>) -> PyResult<Moment> {
        let (envs, _) = envs.get().parts();
        self.look(py, 0, |agent, _| {
            let predictions = lock(&self.predictions).clone();
            Ok(Moment { agent: agent.state(), predictions, environments: lock(envs).save() })
        })
    }

    /// Everything that is needed to go on learning (trees, optimizers, statistics, random streams), and the caller's note:
    /// as it is now, or as it was at a moment before the last rollout (a sample of visited states as it is now even then).
    #[pyo3(signature = (note, timesteps = 0, moment = None))]
    fn to_bytes<'py>(
        &self,
        py: Python<'py>,
        note: String,
        timesteps: u64,
        moment: Option<&Bound<'py, Moment>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let moment = moment.map(Bound::get);
        let bytes = apart(py, |_| {
            let agent = self.read();
            let Some(moment) = moment else {
                let predictions = lock(&self.predictions).clone();
                return self.checkpoint(agent.model(timesteps)?, Saved { agent: agent.state(), predictions, note });
            };
            let (state, predictions) = (moment.agent.clone(), moment.predictions.clone());
            self.checkpoint(agent.earlier_model(&state, timesteps)?, Saved { agent: state, predictions, note })
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// An agent that to_bytes wrote, and the note. Every altered byte is refused with a FormatError.
    ///
    /// Of a model file, and of a checkpoint of the program `gbrl`, the policy is taken: an agent for one environment that
    /// begins to learn anew, and the note {"policy": {env_id, timesteps, observation_space, action_space}}.
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
        long(py, || {
            let mut read = from_either(data)?;
            if read.state.get("agent").is_none() {
                let (inner, note) = policy_file::agent(read.model, n_threads, device)?;
                return Ok((Self::around(inner, predictions(0)), note));
            }
            let mut saved: Saved = serde_json::from_value(read.state)
                .map_err(|error| Error::format("agent", "invalid contents", "what to_bytes wrote", error))?;
            let mut settings = saved.agent.settings().clone();
            settings.set("device", device)?;
            settings.run.n_threads = n_threads.unwrap_or(settings.run.n_threads);
            let backend = gbrl_cuda::backend(settings.run.device);
            saved.agent.set_settings(settings)?;
            let inner = algo::Agent::resume_on(&backend, &saved.agent, read.model)?;
            let agent = Self::around(inner, saved.predictions);
            let mask_len = agent.mask_len(&agent.read());
            *lock(&agent.visited) = Visited::read(&mut read.blobs, agent.n_envs, agent.n_features, mask_len)?;
            Ok((agent, saved.note))
        })
    }

    /// Keeps a sample of the states that are decided about from now on, part of what to_bytes writes; one that is kept
    /// already goes on.
    fn watch(&self, py: Python<'_>) -> PyResult<()> {
        self.look(py, 0, |agent, _| {
            let (seed, mask_len) = (agent.settings().run.seed, self.mask_len(agent));
            lock(&self.visited).get_or_insert_with(|| Visited::new(seed, self.n_envs, self.n_features, mask_len));
            Ok(())
        })
    }

    /// The sample as the bytes of states.safetensors: observations float32 [n, n_features] as environments show them, n at
    /// most 4,096, and action masks uint8 [n, mask_len] where there are some. None without watch and before a decision.
    fn states<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let bytes = apart(py, |_| {
            lock(&self.visited).as_ref().filter(|visited| !visited.is_empty()).map(Visited::to_bytes).transpose()
        })?;
        Ok(bytes.map(|bytes| PyBytes::new(py, &bytes)))
    }

    /// Writes the policy as a model file, what the program `gbrl` and Policy::load read, in one step.
    fn save_model(&self, py: Python<'_>, path: FilePath, timesteps: u64) -> PyResult<()> {
        apart(py, |_| model::save(path.0, self.read().model(timesteps)?))
    }

    /// The policy alone, as the bytes of a model file.
    fn policy_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = apart(py, |_| model::to_bytes(&self.read().model(0)?))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Takes over a policy for the same spaces, as policy_bytes or a model file has it; begin must follow.
    fn set_policy_bytes(&self, py: Python<'_>, data: Bound<'_, PyBytes>) -> PyResult<()> {
        let data = data.as_bytes();
        apart(py, |_| self.write().set_policy(model::from_bytes(data)?))
    }

    /// Restarts every random stream from a seed.
    fn seed(&self, py: Python<'_>, seed: u64) -> PyResult<()> {
        self.change(py, |agent| {
            agent.seed(seed);
            *lock(&self.predictions) = predictions(seed);
            Ok(())
        })
    }

    /// Importance of every feature, "gain" or "count", float64 [n_features], normalised to a sum of 1.
    #[pyo3(signature = (kind = "gain"))]
    fn importance<'py>(&self, py: Python<'py>, kind: &str) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let importance = self.look(py, usize::MAX, |agent, _| look::importance(agent.ensemble(), kind))?;
        Ok(PyArray1::from_vec(py, importance))
    }

    /// A tree as "text", "dot" or "json".
    #[pyo3(signature = (tree_idx, format = "text"))]
    fn tree(&self, py: Python<'_>, tree_idx: usize, format: &str) -> PyResult<String> {
        self.look(py, 0, |agent, _| look::tree(agent.ensemble(), tree_idx, format))
    }
}

impl Agent {
    fn around(inner: algo::Agent, predictions: Stream) -> Self {
        Agent {
            n_features: inner.head().n_features(),
            action_len: inner.head().distribution.action_len(),
            n_envs: inner.settings().run.n_envs,
            has_masks: inner.has_masks(),
            inner: Shared::new(inner),
            predictions: Mutex::new(predictions),
            visited: Mutex::new(None),
        }
    }

    /// Flags of an environment's masks, 0 where there are none.
    fn mask_len(&self, agent: &algo::Agent) -> usize {
        if self.has_masks { agent.head().distribution.mask_len() } else { 0 }
    }

    fn show(&self, observations: &[f32]) {
        if let Some(visited) = lock(&self.visited).as_mut() {
            visited.show(observations);
        }
    }

    pub(crate) fn n_features(&self) -> usize {
        self.n_features
    }

    /// The bytes of a model and of what it goes on with.
    fn checkpoint<M>(&self, model: M, saved: Saved) -> Result<Vec<u8>>
    where
        for<'a> ModelRef<'a>: From<&'a M>,
    {
        let state = serde_json::to_value(&saved)
            .map_err(|error| Error::parameter("state", error, "numbers that JSON can hold"))?;
        let mut checkpoint = Checkpoint::new(model, state);
        if let Some(visited) = lock(&self.visited).as_ref() {
            visited.write(&mut checkpoint.blobs)?;
        }
        checkpoint.to_bytes()
    }

    fn read(&self) -> RwLockReadGuard<'_, algo::Agent> {
        self.inner.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, algo::Agent> {
        self.inner.write()
    }

    /// Looks at the agent for the sake of `k` rows.
    pub(crate) fn look<T: Send>(
        &self,
        py: Python<'_>,
        k: usize,
        work: impl FnOnce(&algo::Agent, &Stop) -> Result<T> + Send,
    ) -> PyResult<T> {
        self.inner.look(py, |agent| k.saturating_mul(agent.ensemble().trees().len() + 1) <= SHORT, work)
    }

    /// Changes the agent in no time.
    fn change<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut algo::Agent) -> Result<T> + Send) -> PyResult<T> {
        self.inner.change(py, work)
    }

    /// Gives `work` some rows after the other, with their masks, until it is to stop.
    fn pieces(
        &self,
        agent: &algo::Agent,
        (rows, masks): (&[f32], &[bool]),
        stop: &Stop,
        mut work: impl FnMut(Range<usize>, &[f32], &[bool]) -> Result<()>,
    ) -> Result<()> {
        let k = rows.len() / self.n_features;
        let flags = if masks.is_empty() { 0 } else { agent.head().distribution.mask_len() };
        if masks.len() != k * flags {
            return Err(Error::shape("masks", format!("[{k}, {flags}]"), masks.len()));
        }
        for start in (0..k).step_by(PIECE) {
            if stop.poll().is_break() {
                break;
            }
            let at = start..k.min(start + PIECE);
            let (rows, masks) =
                (&rows[at.start * self.n_features..at.end * self.n_features], &masks[at.start * flags..at.end * flags]);
            work(at, rows, masks)?;
        }
        Ok(())
    }

    fn values_of(&self, agent: &algo::Agent, rows: &[f32], stop: &Stop) -> Result<Vec<f32>> {
        let mut values = vec![0.0; rows.len() / self.n_features];
        self.pieces(agent, (rows, &[]), stop, |at, rows, _| agent.view().values(rows, &mut values[at]))?;
        Ok(values)
    }
}

/// A full rollout's rows, copied.
struct RolloutRows {
    n_steps: usize,
    observations: Vec<f32>,
    actions: Vec<f32>,
    masks: Vec<bool>,
    rewards: Vec<f32>,
    values: Vec<f32>,
    log_probs: Vec<f64>,
    advantages: Vec<f64>,
    returns: Vec<f64>,
    episode_ends: Vec<bool>,
}

impl RolloutRows {
    fn of(agent: &algo::Agent) -> Result<Self> {
        let rollout = agent.rollout();
        if !rollout.is_full() {
            return Err(Error::parameter("rollout", "one that is being filled", "a full one"));
        }
        let n_rows = rollout.n_rows();
        Ok(RolloutRows {
            n_steps: n_rows / agent.settings().run.n_envs,
            observations: agent.data().observations().to_rows(),
            actions: (0..n_rows).flat_map(|row| rollout.action(row)).copied().collect(),
            masks: (0..n_rows).flat_map(|row| rollout.mask(row)).copied().collect(),
            rewards: rollout.rewards().to_vec(),
            values: rollout.values().to_vec(),
            log_probs: rollout.log_probs().to_vec(),
            advantages: rollout.advantages().to_vec(),
            returns: rollout.returns().to_vec(),
            episode_ends: rollout.ends().to_vec(),
        })
    }
}

/// What a lock guards, also after someone's panic.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
pub fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::parameter("state", error, "numbers that JSON can hold"))
}
