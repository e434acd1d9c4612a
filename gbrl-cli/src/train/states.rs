//! A sample of visited states: what export and compression are tested on.

use std::sync::{Arc, Mutex, PoisonError};

use gbrl_core::data::FeatureSchema;
use gbrl_core::error::{Error, Result};
use gbrl_core::rl::env::{Action, Env, Step, mask_len};
use gbrl_core::rl::space::Space;
use gbrl_core::rl::visited::{Reservoir, to_safetensors};

/// The file in a run's folder.
pub const FILE: &str = "states.safetensors";

/// Uniform samples of the raw rows that each copy of an environment showed the policy, with their action masks.
///
/// Every copy has a [`Reservoir`] of its own, seeded by the run. States that end an episode are left out, as no policy acts there.
#[derive(Clone)]
pub struct States {
    n_features: usize,
    mask_len: usize,
    copies: Vec<Arc<Mutex<Reservoir>>>,
}

/// What a checkpoint keeps: a sample for each copy.
pub type SavedStates = Vec<Reservoir>;

impl States {
    /// Wraps each environment so that its states are sampled.
    pub fn watch(envs: Vec<Box<dyn Env>>, seed: u64) -> (Self, Vec<Box<dyn Env>>) {
        let n_features = envs.first().map_or(0, |env| env.observation_space().flat_len());
        let has_mask = envs.first().is_some_and(|env| env.has_action_mask());
        let flags = envs.first().map_or(0, |env| mask_len(env.action_space()));
        let mask_len = if has_mask { flags } else { 0 };
        let n_envs = envs.len();
        let mut states = States { n_features, mask_len, copies: Vec::with_capacity(n_envs) };
        let mut watched: Vec<Box<dyn Env>> = Vec::with_capacity(n_envs);
        for (env_idx, env) in envs.into_iter().enumerate() {
            let reservoir = Arc::new(Mutex::new(Reservoir::new(seed, env_idx, n_envs)));
            states.copies.push(Arc::clone(&reservoir));
            watched.push(Box::new(Watched { env, reservoir, mask: vec![true; mask_len] }));
        }
        (states, watched)
    }

    /// For a checkpoint.
    pub fn save(&self) -> SavedStates {
        self.copies.iter().map(|copy| lock(copy).clone()).collect()
    }

    /// Goes on from a checkpoint.
    pub fn restore(&self, saved: SavedStates) -> Result<()> {
        let fits = |copy: &Reservoir| copy.fits(self.n_features, self.mask_len);
        if saved.len() != self.copies.len() || !saved.iter().all(fits) {
            let expected = format!("{} copies of {} features", self.copies.len(), self.n_features);
            return Err(Error::format("checkpoint", "visited states of another size", expected, saved.len()));
        }
        for (copy, saved) in self.copies.iter().zip(saved) {
            *lock(copy) = saved;
        }
        Ok(())
    }

    /// The sample as a safetensors file, see [`to_safetensors`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let copies: Vec<_> = self.copies.iter().map(|copy| lock(copy)).collect();
        to_safetensors(copies.iter().map(|copy| &**copy), self.n_features, self.mask_len)
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

    fn choices(&self) -> Vec<String> {
        self.env.choices()
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
    use gbrl_core::export::Rows;
    use gbrl_core::rl::visited::CAPACITY;
    use safetensors::SafeTensors;

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
        let rows = Rows::load(&path, 4).unwrap();
        assert_eq!((rows.observations.len(), rows.masks.len()), (4 * 42, 0));
        let message = |n_features| Rows::load(&path, n_features).unwrap_err().to_string();
        assert!(message(5).ends_with("shape [at least 1, 5], got F32 [42, 4]"), "{}", message(5));
        std::fs::write(&path, b"no tensors").unwrap();
        assert!(message(4).contains("states.safetensors: "), "{}", message(4));
    }

    #[test]
    fn a_saved_sample_goes_on_where_it_was() {
        let states = run("CartPole-v1", 2, 3_000);
        let copy = run("CartPole-v1", 2, 10);
        copy.restore(states.save()).unwrap();
        assert_eq!(states.to_bytes().unwrap(), copy.to_bytes().unwrap());
        assert!(run("CartPole-v1", 1, 10).restore(states.save()).is_err());
    }
}
