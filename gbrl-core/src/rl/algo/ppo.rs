//! Proximal policy optimisation (Schulman et al. 2017) with trees: what is learnt from a rollout.

mod minibatch;

use serde::{Deserialize, Serialize};

use crate::boost::{Booster, Dataset};
use crate::config::Settings;
use crate::error::Result;
use crate::math;
use crate::rl::algo::Poll;
use crate::rl::algo::adam::Adam;
use crate::rl::event::Metrics;
use crate::rl::loss::explained_variance;
use crate::rl::policy::PolicyHead;
use crate::rl::rollout::Rollout;
use crate::rng::Stream;

pub(super) use minibatch::{LossParams, Minibatch};

use minibatch::BatchStats;

/// The algorithm's name in files and on command lines.
pub const NAME: &str = "ppo";

/// Learns from rollouts: `n_epochs` passes in shuffled minibatches, each of which adds one tree fitted to its rows'
/// gradients. No update walks the old trees again: the outputs computed while collecting are cached and advance with
/// each new tree.
pub(super) struct Ppo {
    minibatches: Stream,
    pub(super) adam: Adam,
    n_updates: u64,
    order: Vec<u32>,
    pub(super) batch: Minibatch,
}

/// What learning needs to go on where it was, besides policy and trees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PpoState {
    minibatches: Stream,
    adam: Adam,
    n_updates: u64,
}

impl Ppo {
    pub(super) fn new(head: &PolicyHead, n_envs: usize, settings: &Settings) -> Self {
        let n_rows = settings.ppo.n_steps * n_envs;
        Ppo {
            minibatches: Stream::new(settings.run.seed, "minibatches", 0),
            adam: Adam::new(head.log_std.len()),
            n_updates: 0,
            order: (0..n_rows as u32).collect(),
            batch: Minibatch::new(head, settings.ppo.batch_size.min(n_rows)),
        }
    }

    pub(super) fn state(&self) -> PpoState {
        PpoState { minibatches: self.minibatches.clone(), adam: self.adam.clone(), n_updates: self.n_updates }
    }

    pub(super) fn restore(&mut self, state: &PpoState, head: &PolicyHead) -> Result<()> {
        state.adam.check(head.log_std.len())?;
        self.minibatches = state.minibatches.clone();
        self.adam = state.adam.clone();
        self.n_updates = state.n_updates;
        Ok(())
    }

    /// Restarts the stream of random numbers that rows are shuffled with.
    pub(super) fn seed(&mut self, seed: u64) {
        self.minibatches = Stream::new(seed, "minibatches", 0);
    }

    /// Another number of rows per minibatch from the next update on.
    pub(super) fn set_batch_size(&mut self, head: &PolicyHead, batch_size: usize) {
        self.batch = Minibatch::new(head, batch_size.min(self.order.len()));
    }

    /// Learns from a finished rollout, whose rows `data` holds, and reports `train/…`. Between minibatches `poll` may end
    /// it early.
    pub(super) fn update(
        &mut self,
        (head, booster, data): (&mut PolicyHead, &mut Booster, &mut Dataset),
        rollout: &Rollout,
        settings: &Settings,
        progress: f64,
        (metrics, poll): (&mut Metrics, &mut Poll<'_>),
    ) -> Result<()> {
        let ppo = &settings.ppo;
        let loss = LossParams::at(ppo, progress);
        let n_outputs = booster.ensemble().n_outputs();
        booster.set_progress(progress);
        for (i, row) in self.order.iter_mut().enumerate() {
            *row = i as u32;
        }
        let (mut total, mut n_batches) = (BatchStats::default(), 0.0);
        let (mut kl, mut last_loss) = (0.0, 0.0);
        'epochs: for _ in 0..ppo.n_epochs {
            self.minibatches.shuffle(&mut self.order);
            self.n_updates += 1;
            let (mut kl_sum, mut kl_batches) = (0.0, 0.0);
            for rows in self.order.chunks(ppo.batch_size) {
                let outputs = &mut self.batch.outputs[..rows.len() * n_outputs];
                data.gather(rows, 0..n_outputs, outputs);
                let stats = self.batch.evaluate(head, rollout, rows, &loss)?;
                total.add(&stats);
                n_batches += 1.0;
                kl_sum += stats.kl;
                kl_batches += 1.0;
                kl = kl_sum / kl_batches;
                last_loss = stats.loss;
                // Before anything moves: a minibatch that has gone too far teaches nothing at all.
                if ppo.target_kl.is_some_and(|target| stats.kl > 1.5 * target) || poll().is_break() {
                    break 'epochs;
                }
                booster.step(data, rows, &self.batch.gradients[..rows.len() * n_outputs])?;
                self.adam.step(&mut head.log_std, &self.batch.log_std_gradients, ppo.log_std_lr.at(progress));
            }
        }
        self.batch.old_values.clear();
        self.batch.old_values.extend(rollout.values().iter().map(|&v| f64::from(v)));
        let explained = explained_variance(&self.batch.old_values, rollout.returns());
        metrics.set("train/approx_kl", kl);
        metrics.set("train/clip_fraction", total.clip_fraction / n_batches);
        metrics.set("train/clip_range", loss.clip_range);
        metrics.set("train/entropy_loss", -total.entropy / n_batches);
        metrics.set("train/explained_variance", explained);
        metrics.set("train/loss", last_loss);
        metrics.set("train/n_updates", self.n_updates as f64);
        metrics.set("train/policy_gradient_loss", total.policy_loss / n_batches);
        metrics.set("train/value_loss", total.value_loss / n_batches);
        if !head.log_std.is_empty() {
            let sum = head.log_std.iter().fold(0.0, |sum, &s| sum + math::exp(s));
            metrics.set("train/std", sum / head.log_std.len() as f64);
        }
        metrics.set("train/policy_lr", ppo.policy_lr.at(progress));
        metrics.set("train/value_lr", ppo.value_lr.at(progress));
        metrics.set("train/n_trees", booster.ensemble().trees().len() as f64);
        Ok(())
    }
}
