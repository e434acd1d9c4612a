//! A sample of visited states: what export and compression are tested on.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use gbrl_core::data::FeatureSchema;
use gbrl_core::error::{Error, Result};
use gbrl_core::rl::env::{Action, Env, Step, mask_len};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The file in a run's folder.
pub const FILE: &str = "states.safetensors";
/// States in the file.
const CAPACITY: usize = 4096;

/// Uniform samples of the raw rows that each copy of an environment showed the policy, with their action masks.
///
/// Every copy has a reservoir of its own (Vitter's algorithm R), seeded by the run: the sample depends neither on
/// threads nor on time. States that end an episode are left out, as no policy acts there.
#[derive(Clone)]
pub struct States {
    n_features: usize,
    mask_len: usize,
    copies: Vec<Arc<Mutex<Reservoir>>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reservoir {
    capacity: usize,
    stream: Stream,
    seen: u64,
    /// Bits of the rows, `[n, n_features]`, so that NaN survives JSON.
    rows: Vec<u32>,
    /// Masks `[n, mask_len]`, empty where the environment has none.
    masks: Vec<bool>,
}

/// What a checkpoint keeps.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedStates {
    copies: Vec<Reservoir>,
}

impl States {
    /// Wraps each environment so that its states are sampled.
    pub fn watch(envs: Vec<Box<dyn Env>>, seed: u64) -> (Self, Vec<Box<dyn Env>>) {
        let n_features = envs.first().map_or(0, |env| env.observation_space().flat_len());
        let has_mask = envs.first().is_some_and(|env| env.has_action_mask());
        let flags = envs.first().map_or(0, |env| mask_len(env.action_space()));
        let mask_len = if has_mask { flags } else { 0 };
        let capacity = CAPACITY.div_ceil(envs.len().max(1));
        let mut states = States { n_features, mask_len, copies: Vec::with_capacity(envs.len()) };
        let mut watched: Vec<Box<dyn Env>> = Vec::with_capacity(envs.len());
        for (env_idx, env) in envs.into_iter().enumerate() {
            let stream = Stream::new(seed, "visited states", env_idx as u64);
            let reservoir = Reservoir { capacity, stream, seen: 0, rows: Vec::new(), masks: Vec::new() };
            let reservoir = Arc::new(Mutex::new(reservoir));
            states.copies.push(Arc::clone(&reservoir));
            watched.push(Box::new(Watched { env, reservoir, mask: vec![true; mask_len] }));
        }
        (states, watched)
    }

    /// For a checkpoint.
    pub fn save(&self) -> SavedStates {
        SavedStates { copies: self.copies.iter().map(|copy| lock(copy).clone()).collect() }
    }

    /// Goes on from a checkpoint.
    pub fn restore(&self, saved: SavedStates) -> Result<()> {
        let fits = |copy: &Reservoir| {
            let n = (copy.seen as usize).min(copy.capacity);
            copy.capacity > 0
                && copy.capacity <= CAPACITY
                && copy.rows.len() == n * self.n_features
                && copy.masks.len() == n * self.mask_len
        };
        if saved.copies.len() != self.copies.len() || !saved.copies.iter().all(fits) {
            let expected = format!("{} copies of {} features", self.copies.len(), self.n_features);
            return Err(Error::format("checkpoint", "visited states of another size", expected, saved.copies.len()));
        }
        for (copy, saved) in self.copies.iter().zip(saved.copies) {
            *lock(copy) = saved;
        }
        Ok(())
    }

    /// The sample as a safetensors file: `observations` `[n, n_features]` f32 and, where there are masks, `masks`
    /// `[n, mask_len]` u8; at most 4,096 rows, grouped by copy.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        let (mut rows, mut masks) = (Vec::new(), Vec::new());
        for copy in &self.copies {
            let copy = lock(copy);
            rows.extend(copy.rows.iter().flat_map(|bits| bits.to_le_bytes()));
            masks.extend(copy.masks.iter().map(|&allowed| u8::from(allowed)));
        }
        let width = 4 * self.n_features.max(1);
        let n = (rows.len() / width).min(CAPACITY);
        rows.truncate(n * width);
        masks.truncate(n * self.mask_len);
        let failed = |error| Failure::new(format!("states.safetensors: {error}"));
        let mut tensors = BTreeMap::new();
        let observations = TensorView::new(Dtype::F32, vec![n, self.n_features], &rows).map_err(failed)?;
        tensors.insert("observations", observations);
        if self.mask_len > 0 {
            tensors.insert("masks", TensorView::new(Dtype::U8, vec![n, self.mask_len], &masks).map_err(failed)?);
        }
        safetensors::serialize(tensors, None).map_err(failed)
    }
}

/// The observations of a file that [`States::to_bytes`] made, or of any safetensors file with `observations`
/// `[n, n_features]` f32; there is at least one.
pub fn read(path: &Path, n_features: usize) -> Result<Vec<f32>, Failure> {
    let failed = |error: &dyn Display| Failure::new(format!("{}: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| Error::file(path, error))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| failed(&error))?;
    let tensor = file.tensor("observations").map_err(|error| failed(&error))?;
    match (tensor.dtype(), tensor.shape()) {
        (Dtype::F32, &[n, width]) if n > 0 && width == n_features => {
            Ok(tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        }
        (dtype, shape) => {
            let expected = format!("observations of type F32 and shape [at least 1, {n_features}]");
            Err(failed(&format!("expected {expected}, got {dtype:?} {shape:?}")))
        }
    }
}

impl Reservoir {
    fn offer(&mut self, row: &[f32], mask: impl FnOnce() -> Vec<bool>) {
        let n = self.rows.len() / row.len().max(1);
        self.seen += 1;
        let at = if n < self.capacity { n } else { self.stream.below(self.seen) as usize };
        if at >= self.capacity {
            return;
        }
        let mask = mask();
        if at == n {
            self.rows.extend(row.iter().map(|x| x.to_bits()));
            self.masks.extend(mask);
        } else {
            for (to, x) in self.rows[at * row.len()..][..row.len()].iter_mut().zip(row) {
                *to = x.to_bits();
            }
            let len = mask.len();
            self.masks[at * len..][..len].copy_from_slice(&mask);
        }
    }
}

fn lock(copy: &Mutex<Reservoir>) -> std::sync::MutexGuard<'_, Reservoir> {
    // A reservoir is whole between any two of its statements, so a panic elsewhere has not spoilt it.
    copy.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An environment whose states are sampled.
struct Watched {
    env: Box<dyn Env>,
    reservoir: Arc<Mutex<Reservoir>>,
    mask: Vec<bool>,
}

impl Watched {
    fn see(&mut self, observation: &[f32]) {
        let Watched { env, reservoir, mask } = self;
        lock(reservoir).offer(observation, || {
            if !mask.is_empty() {
                env.action_mask(mask);
            }
            mask.clone()
        });
    }
}

impl Env for Watched {
    fn name(&self) -> &str {
        self.env.name()
    }

    fn observation_space(&self) -> &Space {
        self.env.observation_space()
    }

    fn action_space(&self) -> &Space {
        self.env.action_space()
    }

    fn features(&self) -> FeatureSchema {
        self.env.features()
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        self.env.reset(seed, observation)?;
        self.see(observation);
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        let step = self.env.step(action, observation)?;
        if !(step.terminated || step.truncated) {
            self.see(observation);
        }
        Ok(step)
    }

    fn has_action_mask(&self) -> bool {
        self.env.has_action_mask()
    }

    fn action_mask(&self, allowed: &mut [bool]) {
        self.env.action_mask(allowed);
    }

    fn save(&self) -> Option<Vec<u8>> {
        self.env.save()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.env.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(env_id: &str, n_envs: usize, n_steps: usize) -> States {
        let copies = (0..n_envs).map(|_| envs::make(env_id).unwrap()).collect();
        let (states, mut watched) = States::watch(copies, 3);
        let mut observation = vec![0.0; states.n_features];
        for env in &mut watched {
            env.reset(0, &mut observation).unwrap();
            for step in 0..n_steps {
                let done = env.step(Action::Discrete((step % 2) as u32), &mut observation).unwrap();
                if done.terminated || done.truncated {
                    env.reset(step as u64, &mut observation).unwrap();
                }
            }
        }
        states
    }

    #[test]
    fn the_sample_is_full_bounded_and_the_same_every_time() {
        let few = run("CartPole-v1", 2, 100).to_bytes().unwrap();
        let file = SafeTensors::deserialize(&few).unwrap();
        assert!((190..=202).contains(&file.tensor("observations").unwrap().shape()[0]));
        let many = run("CartPole-v1", 3, 5_000);
        let bytes = many.to_bytes().unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("observations").unwrap().shape(), [CAPACITY, 4]);
        assert_eq!(bytes, run("CartPole-v1", 3, 5_000).to_bytes().unwrap());
    }

    #[test]
    fn a_file_is_read_back_and_another_one_refused() {
        let states = run("CartPole-v1", 2, 20);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("states.safetensors");
        std::fs::write(&path, states.to_bytes().unwrap()).unwrap();
        let rows = read(&path, 4).unwrap();
        assert_eq!(rows.len(), 4 * 42);
        let message = |failure| match failure {
            Failure::Told(message) => message,
            Failure::ReaderGone => String::new(),
        };
        assert!(message(read(&path, 5).unwrap_err()).ends_with("shape [at least 1, 5], got F32 [42, 4]"));
        std::fs::write(&path, b"no tensors").unwrap();
        assert!(message(read(&path, 4).unwrap_err()).contains("states.safetensors: "));
    }

    #[test]
    fn a_saved_sample_goes_on_where_it_was() {
        let states = run("CartPole-v1", 2, 3_000);
        let copy = run("CartPole-v1", 2, 10);
        let text = serde_json::to_string(&states.save()).unwrap();
        copy.restore(serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(states.to_bytes().unwrap(), copy.to_bytes().unwrap());
        assert!(run("CartPole-v1", 1, 10).restore(states.save()).is_err());
    }
}
