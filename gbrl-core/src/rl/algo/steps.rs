//! The steps of an update: losses of a minibatch, a tree fitted to their gradients, cached outputs one tree further. On the
//! backend where it keeps the update's rows, otherwise here; nobody can tell from the results.

use std::ops::ControlFlow;

use crate::backend::update::{LossSums, Minibatch as Rows, Update};
use crate::boost::{Booster, Dataset};
use crate::error::Result;
use crate::rl::algo::minibatch::{Acted, Minibatch, PolicyLoss, PolicyStats, ValueLoss};
use crate::rl::algo::replay::Replay;
use crate::rl::loss::standard;
use crate::rl::policy::PolicyHead;
use crate::rl::rollout::Rollout;

/// Rows with what was done in them.
pub(super) trait Source: Acted {
    fn data(&self) -> &Dataset;
    fn data_mut(&mut self) -> &mut Dataset;
}

/// The rows of a rollout.
pub(super) struct Collected<'a> {
    pub(super) rollout: &'a Rollout,
    pub(super) data: &'a mut Dataset,
}

impl Acted for Collected<'_> {
    fn action(&self, row: usize) -> &[f32] {
        self.rollout.action(row)
    }

    fn mask(&self, row: usize) -> &[bool] {
        self.rollout.mask(row)
    }
}

impl Source for Collected<'_> {
    fn data(&self) -> &Dataset {
        self.data
    }

    fn data_mut(&mut self) -> &mut Dataset {
        self.data
    }
}

impl Source for Replay {
    fn data(&self) -> &Dataset {
        Replay::data(self)
    }

    fn data_mut(&mut self) -> &mut Dataset {
        Replay::data_mut(self)
    }
}

/// What is learnt, and by which trees: those of one output group, or of all.
#[derive(Clone, Copy)]
pub(super) struct Aim<'a> {
    pub(super) policy: Option<PolicyLoss<'a>>,
    pub(super) value: Option<ValueLoss<'a>>,
    pub(super) group_idx: Option<usize>,
}

/// What changes with every step.
pub(super) struct Learning<'a, S> {
    pub(super) head: &'a PolicyHead,
    pub(super) booster: &'a mut Booster,
    pub(super) source: &'a mut S,
    pub(super) batch: &'a mut Minibatch,
}

/// Means over a minibatch, as its losses were before the step: of the policy, and of (V − R)².
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Means {
    pub(super) policy: PolicyStats,
    pub(super) squared_error: f64,
}

/// Steps with one aim; [`end`](Steps::end) is due after the last.
pub(super) struct Steps<'a> {
    aim: Aim<'a>,
    /// Whether the backend keeps the rows.
    held: bool,
}

impl<'a> Steps<'a> {
    /// Steps on at most `batch_size` rows of `source`.
    pub(super) fn begin<S: Source>(learning: Learning<'_, S>, batch_size: usize, aim: Aim<'a>) -> Result<Self> {
        let Learning { head, booster, source, .. } = learning;
        let n_rows = source.data().n_rows();
        let (mut acted, mut masks) = (Vec::new(), Vec::new());
        for row in 0..n_rows {
            acted.extend_from_slice(source.action(row));
            masks.extend_from_slice(source.mask(row));
        }
        let actions = head.distribution.actions();
        let held = booster.hold(source.data_mut(), |data| Update {
            outputs: data.outputs(),
            n_outputs: data.n_outputs(),
            tiles: data.observations().as_slice(),
            n_features: data.observations().n_features(),
            batch_size,
            actions: &actions,
            acted: &acted,
            masks: &masks,
            policy: aim.policy,
            value: aim.value,
        })?;
        Ok(Steps { aim, held })
    }

    /// One step on `rows`, unless `decide` stops at what their losses are. `batch.log_std_gradients` are those of the rows
    /// afterwards.
    pub(super) fn step<S: Source>(
        &mut self,
        learning: Learning<'_, S>,
        rows: &[u32],
        decide: &mut dyn FnMut(&Means) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let Learning { head, booster, source, batch } = learning;
        if self.held {
            let standard = match self.aim.policy {
                Some(PolicyLoss { weights, standardize: true, .. }) => {
                    standard(&rows.iter().map(|&row| weights[row as usize]).collect::<Vec<_>>())
                }
                _ => (0.0, 1.0),
            };
            let minibatch = Rows { rows, standard, log_std: &head.log_std };
            let log_std = &mut batch.log_std_gradients;
            let n = rows.len() as f64;
            let stepped = booster.step_held(source.data(), &minibatch, self.aim.group_idx, &mut |sums| {
                log_std.iter_mut().zip(&sums.log_std).for_each(|(mean, sum)| *mean = sum / n);
                decide(&means(sums, n))
            })?;
            if let Some(flow) = stepped {
                return Ok(flow);
            }
            // Some row has no loss: which, and why, is said below.
            booster.release(source.data_mut())?;
            self.held = false;
        }
        batch.gather(source.data(), rows);
        let mut means = Means::default();
        if let Some(loss) = &self.aim.policy {
            means.policy = batch.policy(head, source, rows, loss)?;
        }
        if let Some(loss) = &self.aim.value {
            means.squared_error = batch.value(rows, loss);
        }
        if decide(&means).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        match self.aim.group_idx {
            None => booster.step(source.data_mut(), rows, &batch.gradients)?,
            Some(group_idx) => booster.step_group(source.data_mut(), rows, &batch.gradients, group_idx)?,
        };
        Ok(ControlFlow::Continue(()))
    }

    /// Brings the outputs back to their dataset.
    pub(super) fn end<S: Source>(self, booster: &mut Booster, source: &mut S) -> Result<()> {
        if self.held { booster.release(source.data_mut()) } else { Ok(()) }
    }
}

fn means(sums: &LossSums, n: f64) -> Means {
    let policy = PolicyStats { loss: sums.loss, entropy: sums.entropy, kl: sums.kl, clip_fraction: sums.clipped };
    Means { policy: policy.over(n), squared_error: sums.squared_error / n }
}
