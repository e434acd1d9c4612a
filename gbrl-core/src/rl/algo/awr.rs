//! Advantage-weighted regression (Peng, Kumar, Zhang, Levine 2019): the actions of a replay are imitated, the better
//! ones more.
//!
//! After each rollout, with V the value as it was: targets R by TD(λ) for every row of the replay;
//! `value_updates` steps towards them, of vf_coef·½(V − R)²; advantages A = R − V of the new value;
//! weights w = min(exp(A/β), max_weight); `policy_updates` steps of −(w − weight_baseline·w̄)·ln π − ent_coef·H. Each step
//! adds a tree to one output group alone, so trees of the value cost the acting policy nothing.
//!
//! The baseline is not in the paper. Where the policy is what acted, E[∇ln π] = 0 and a constant changes the gradient's
//! variance alone; on older rows it lessens the pull back to the policies that they are from. A Gaussian has none: its
//! ln π has no lower end, so that rows of negative weight would push its mean away for ever.

use std::ops::ControlFlow;

use crate::config::AwrParams;
use crate::error::Result;
use crate::rl::algo::agent::{POLICY, VALUE};
use crate::rl::algo::learner::{Learner, Lesson, explained_of};
use crate::rl::algo::minibatch::{PolicyLoss, Totals, ValueLoss};
use crate::rl::algo::replay::Replay;
use crate::rl::algo::steps::{Aim, Learning, Steps};
use crate::rl::loss::{advantage_weight, standardize_advantages};
use crate::rng::Stream;

/// Learns from the replay, whose newest rollout is the lesson's.
pub(super) fn update(
    learner: &mut Learner,
    replay: &mut Replay,
    lesson: &mut Lesson<'_, '_>,
    awr: &AwrParams,
) -> Result<()> {
    let (settings, progress) = (lesson.settings, lesson.progress);
    replay.value(lesson.booster, settings.gamma, settings.gae_lambda)?;
    let explained = explained_of(replay.values(), replay.returns(), replay.learnt_rows());
    if !learner.take(replay.learnt_rows()) {
        return Ok(());
    }
    let Learner { minibatches, order, batch, adam, n_updates, .. } = learner;
    let Lesson { head, booster, poll, metrics, .. } = lesson;
    let mut draws = Draws { order, at: usize::MAX, stream: minibatches };
    let mut totals = Totals::default();
    let mut interrupted = false;
    let returns = replay.returns().to_vec();
    let loss = ValueLoss {
        returns: &returns,
        clip: None,
        vf_coef: settings.vf_coef,
        max_grad_norm: settings.max_value_grad_norm,
    };
    let aim = Aim { policy: None, value: Some(loss), group_idx: Some(VALUE) };
    let mut steps = Steps::begin(Learning { head, booster, source: replay, batch }, awr.value_batch_size, aim)?;
    for _ in 0..awr.value_updates {
        interrupted = poll().is_break();
        if interrupted {
            break;
        }
        let rows = draws.next(awr.value_batch_size);
        let _ = steps.step(Learning { head, booster, source: replay, batch }, rows, &mut |means| {
            totals.add_value(means.squared_error);
            ControlFlow::Continue(())
        })?;
        *n_updates += 1;
    }
    steps.end(booster, replay)?;
    let mut weights = replay.advantages();
    let mut learnt: Vec<f64> = replay.learnt_rows().map(|row| weights[row as usize]).collect();
    if settings.normalize_advantage {
        standardize_advantages(&mut learnt);
    }
    let learnt_weights: Vec<f64> = learnt.iter().map(|a| advantage_weight(*a, awr.beta, awr.max_weight)).collect();
    let n = learnt_weights.len() as f64;
    let mean = learnt_weights.iter().sum::<f64>() / n;
    let clipped = learnt_weights.iter().filter(|weight| **weight >= awr.max_weight).count() as f64;
    let is_gaussian = head.distribution.gaussian_len().is_some();
    let baseline = if is_gaussian { 0.0 } else { awr.weight_baseline * mean };
    for (row, weight) in replay.learnt_rows().zip(&learnt_weights) {
        weights[row as usize] = weight - baseline;
    }
    let loss = PolicyLoss {
        weights: &weights,
        standardize: false,
        clip: None,
        ent_coef: settings.ent_coef,
        max_grad_norm: settings.max_policy_grad_norm,
    };
    let aim = Aim { policy: Some(loss), value: None, group_idx: Some(POLICY) };
    let mut steps = Steps::begin(Learning { head, booster, source: replay, batch }, awr.policy_batch_size, aim)?;
    for _ in 0..awr.policy_updates {
        if interrupted || poll().is_break() {
            break;
        }
        let rows = draws.next(awr.policy_batch_size);
        let _ = steps.step(Learning { head, booster, source: replay, batch }, rows, &mut |means| {
            totals.add_policy(&means.policy);
            ControlFlow::Continue(())
        })?;
        adam.step(&mut head.log_std, &batch.log_std_gradients, settings.log_std_lr.at(progress));
        *n_updates += 1;
    }
    steps.end(booster, replay)?;
    metrics.set("train/advantage_weight", mean);
    metrics.set("train/clip_fraction", clipped / n);
    metrics.set("train/entropy_loss", -totals.policy.entropy / totals.n_policy);
    metrics.set("train/explained_variance", explained);
    metrics.set("train/policy_loss", totals.policy.loss / totals.n_policy);
    metrics.set("train/value_loss", totals.value / totals.n_value);
    metrics.set("train/replay_size", n);
    Ok(())
}

/// Minibatches of rows: each row once, in random order, before any comes again.
struct Draws<'a> {
    order: &'a mut Vec<u32>,
    /// Rows that have been drawn since the last shuffle.
    at: usize,
    stream: &'a mut Stream,
}

impl Draws<'_> {
    /// The next `n` rows, or all where there are no more. What is left of a pass and too short is passed over.
    fn next(&mut self, n: usize) -> &[u32] {
        let n = n.min(self.order.len());
        if self.order.len() - n < self.at {
            self.stream.shuffle(self.order);
            self.at = 0;
        }
        self.at += n;
        &self.order[self.at - n..self.at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_comes_twice_in_a_pass() {
        let (mut order, mut stream): (Vec<u32>, _) = ((0..10).collect(), Stream::new(0, "test", 0));
        let mut draws = Draws { order: &mut order, at: usize::MAX, stream: &mut stream };
        let mut first: Vec<u32> = (0..2).flat_map(|_| draws.next(4).to_vec()).collect();
        assert_ne!(first, [0, 1, 2, 3, 4, 5, 6, 7]);
        first.sort_unstable();
        first.dedup();
        assert_eq!((first.len(), draws.next(4).len(), draws.next(99).len()), (8, 4, 10));
    }
}
