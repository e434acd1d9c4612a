//! What a training loop tells whoever watches.
//!
//! The core prints nothing and knows no clock. It calls an observer with typed events; progress bars, CSV files,
//! TensorBoard, checkpoints and `time/fps` are the observer's business.

use serde::Serialize;

use crate::rl::algo::Trainer;
use crate::rl::policy::Policy;
use crate::rl::vec_env::EpisodeEnd;

/// Something that happened in a training loop.
#[non_exhaustive]
pub enum Event<'a> {
    /// After a resume: these copies could not be restored and started new episodes.
    EpisodesRestarted {
        /// Environment steps so far.
        timesteps: u64,
        /// Indices of the copies.
        envs: &'a [usize],
    },
    /// An episode ended.
    EpisodeFinished {
        /// Environment steps so far.
        timesteps: u64,
        /// Its length and raw return.
        episode: &'a EpisodeEnd,
    },
    /// A rollout is complete and will be learned from.
    RolloutFinished {
        /// Environment steps so far.
        timesteps: u64,
        /// `rollout/…` and `time/…`.
        metrics: &'a Metrics,
    },
    /// `eval_every` steps have passed, and the rollout has been learned from. Comes before
    /// [`UpdateFinished`](Event::UpdateFinished), so that an evaluation's numbers can stand beside that event's.
    EvaluationDue {
        /// Environment steps so far.
        timesteps: u64,
        /// The policy as it is now.
        policy: &'a Policy,
    },
    /// A rollout has been learned from.
    UpdateFinished {
        /// Environment steps so far.
        timesteps: u64,
        /// `rollout/…`, `time/…` and `train/…`.
        metrics: &'a Metrics,
    },
    /// `checkpoint_every` steps have passed.
    CheckpointDue {
        /// Environment steps so far.
        timesteps: u64,
        /// Whose [`state`](Trainer::state) and [`model`](Trainer::model) make a checkpoint.
        trainer: &'a Trainer,
    },
}

/// What the observer wants next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    #[default]
    Continue,
    /// Stop as soon as the state can be resumed from: the current rollout is finished and learned from first.
    Stop,
}

/// Whoever watches a training loop.
pub type Observer<'a> = dyn FnMut(&Event<'_>) -> Control + 'a;

/// Named numbers in a fixed order, with Stable-Baselines3's keys. A number that does not exist yet is NaN.
///
/// ```
/// use gbrl_core::rl::event::Metrics;
/// let mut metrics = Metrics::default();
/// metrics.set("train/loss", 0.5);
/// assert_eq!(metrics.get("train/loss"), Some(0.5));
/// ```
#[derive(Clone, Debug, Default, Serialize)]
pub struct Metrics(Vec<(&'static str, f64)>);

impl Metrics {
    /// Sets a number; a new key goes to the end.
    pub fn set(&mut self, key: &'static str, value: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => self.0.push((key, value)),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The number called `key`.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// All numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.0.iter().copied()
    }
}
