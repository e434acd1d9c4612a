//! What every algorithm keeps from one update to the next, and which of them learns from a rollout.

use serde::{Deserialize, Serialize};

use crate::boost::{Booster, Dataset};
use crate::config::{AgentParams, AlgoParams, Settings};
use crate::error::Result;
use crate::math;
use crate::rl::algo::adam::Adam;
use crate::rl::algo::minibatch::Minibatch;
use crate::rl::algo::replay::{Replay, ReplayState};
use crate::rl::algo::{Poll, a2c, awr, ppo};
use crate::rl::event::Metrics;
use crate::rl::loss::explained_variance;
use crate::rl::policy::PolicyHead;
use crate::rl::rollout::Rollout;
use crate::rng::Stream;

/// What learns from rollouts. No update walks the old trees again: the outputs computed while collecting are cached
/// and advance with each new tree.
pub(super) struct Learner {
    pub(super) minibatches: Stream,
    pub(super) adam: Adam,
    pub(super) n_updates: u64,
    /// Rows in the order in which minibatches take them.
    pub(super) order: Vec<u32>,
    pub(super) batch: Minibatch,
    /// Earlier rollouts, for algorithms that learn from them again.
    pub(super) replay: Option<Replay>,
}

/// What learning needs to go on where it was, besides policy and trees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LearnerState {
    minibatches: Stream,
    adam: Adam,
    n_updates: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replay: Option<ReplayState>,
}

/// What an update learns from, and what it changes.
pub(super) struct Lesson<'a, 'p> {
    pub(super) head: &'a mut PolicyHead,
    pub(super) booster: &'a mut Booster,
    /// The rollout's rows.
    pub(super) data: &'a mut Dataset,
    pub(super) rollout: &'a Rollout,
    pub(super) settings: &'a AgentParams,
    /// Where schedules stand, 0 to 1.
    pub(super) progress: f64,
    pub(super) metrics: &'a mut Metrics,
    /// May end an update early, between minibatches.
    pub(super) poll: &'a mut Poll<'p>,
}

impl Learner {
    pub(super) fn new(head: &PolicyHead, has_masks: bool, booster: &Booster, settings: &Settings) -> Self {
        Learner {
            minibatches: Stream::new(settings.run.seed, "minibatches", 0),
            adam: Adam::new(head.log_std.len()),
            n_updates: 0,
            order: Vec::new(),
            batch: Minibatch::new(head),
            replay: Replay::new(head, has_masks, booster, settings),
        }
    }

    pub(super) fn state(&self) -> LearnerState {
        LearnerState {
            minibatches: self.minibatches.clone(),
            adam: self.adam.clone(),
            n_updates: self.n_updates,
            replay: self.replay.as_ref().map(Replay::state),
        }
    }

    pub(super) fn restore(&mut self, state: &LearnerState, head: &PolicyHead, booster: &mut Booster) -> Result<()> {
        state.adam.check(head.log_std.len())?;
        self.minibatches = state.minibatches.clone();
        self.adam = state.adam.clone();
        self.n_updates = state.n_updates;
        match (&mut self.replay, &state.replay) {
            (Some(replay), Some(state)) => replay.restore(state, booster),
            _ => Ok(()),
        }
    }

    /// Restarts the stream of random numbers that rows are shuffled with.
    pub(super) fn seed(&mut self, seed: u64) {
        self.minibatches = Stream::new(seed, "minibatches", 0);
    }

    /// Learns from a finished rollout, whose rows the lesson holds, and reports `train/…`.
    pub(super) fn update(&mut self, algo: &AlgoParams, mut lesson: Lesson<'_, '_>) -> Result<()> {
        lesson.booster.set_progress(lesson.progress);
        match algo {
            AlgoParams::Ppo(params) => ppo::update(self, &mut lesson, params),
            AlgoParams::A2c => a2c::update(self, &mut lesson),
            AlgoParams::Awr(params) => {
                let Some(mut replay) = self.replay.take() else { return Ok(()) };
                let outcome = awr::update(self, &mut replay, &mut lesson, params);
                self.replay = Some(replay);
                outcome
            }
        }?;
        let Lesson { head, booster, settings, progress, metrics, .. } = lesson;
        metrics.set("train/n_updates", self.n_updates as f64);
        if !head.log_std.is_empty() {
            let sum = head.log_std.iter().fold(0.0, |sum, &s| sum + math::exp(s));
            metrics.set("train/std", sum / head.log_std.len() as f64);
        }
        metrics.set("train/policy_lr", settings.policy_lr.at(progress));
        metrics.set("train/value_lr", settings.value_lr.at(progress));
        metrics.set("train/n_trees", booster.ensemble().trees().len() as f64);
        Ok(())
    }

    /// Sets `self.order` to the rows to be learnt from; false where there are none.
    pub(super) fn take(&mut self, rows: impl Iterator<Item = u32>) -> bool {
        self.order.clear();
        self.order.extend(rows);
        !self.order.is_empty()
    }
}

/// [`explained_variance`] of some rows.
pub(super) fn explained_of(values: &[f32], targets: &[f64], rows: impl Iterator<Item = u32>) -> f64 {
    let (values, targets): (Vec<f32>, Vec<f64>) = rows.map(|row| (values[row as usize], targets[row as usize])).unzip();
    explained_variance(&values, &targets)
}
