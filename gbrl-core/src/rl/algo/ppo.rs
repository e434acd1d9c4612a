//! Proximal policy optimisation (Schulman et al. 2017): `n_epochs` passes over the rollout in shuffled minibatches, each of
//! which adds one tree fitted to its rows' gradients.

use std::ops::ControlFlow;

use crate::config::{AgentParams, PpoParams};
use crate::error::Result;
use crate::rl::algo::learner::{Learner, Lesson, explained_of};
use crate::rl::algo::minibatch::{PolicyLoss, Totals, ValueLoss};
use crate::rl::algo::steps::{Aim, Collected, Learning, Steps};
use crate::rl::rollout::Rollout;

/// The losses of a rollout's minibatches where schedules stand at `progress`.
pub(super) fn losses<'a>(
    rollout: &'a Rollout,
    settings: &AgentParams,
    ppo: &PpoParams,
    progress: f64,
) -> (PolicyLoss<'a>, ValueLoss<'a>) {
    let policy = PolicyLoss {
        weights: rollout.advantages(),
        standardize: settings.normalize_advantage,
        clip: Some((rollout.log_probs(), ppo.clip_range.at(progress))),
        ent_coef: settings.ent_coef,
        max_grad_norm: settings.max_policy_grad_norm,
    };
    let value = ValueLoss {
        returns: rollout.returns(),
        clip: ppo.clip_range_vf.map(|range| (rollout.values(), range.at(progress))),
        vf_coef: settings.vf_coef,
        max_grad_norm: settings.max_value_grad_norm,
    };
    (policy, value)
}

/// Learns from the lesson's rollout.
pub(super) fn update(learner: &mut Learner, lesson: &mut Lesson<'_, '_>, ppo: &PpoParams) -> Result<()> {
    let (settings, rollout, progress) = (lesson.settings, lesson.rollout, lesson.progress);
    let (policy_loss, value_loss) = losses(rollout, settings, ppo, progress);
    if !learner.take(rollout.learnt_rows()) {
        return Ok(());
    }
    let Learner { minibatches, order, batch, adam, .. } = learner;
    let Lesson { head, booster, data, poll, metrics, .. } = lesson;
    let source = &mut Collected { rollout, data };
    let aim = Aim { policy: Some(policy_loss), value: Some(value_loss), group_idx: None };
    let mut steps = Steps::begin(Learning { head, booster, source, batch }, ppo.batch_size, aim)?;
    let mut totals = Totals::default();
    let (mut kl, mut last_loss) = (0.0, 0.0);
    'epochs: for _ in 0..ppo.n_epochs {
        minibatches.shuffle(order);
        learner.n_updates += 1;
        let (mut kl_sum, mut kl_batches) = (0.0, 0.0);
        for rows in order.chunks(ppo.batch_size) {
            let stepped = steps.step(Learning { head, booster, source, batch }, rows, &mut |means| {
                let (stats, squared_error) = (&means.policy, means.squared_error);
                totals.add_policy(stats);
                totals.add_value(squared_error);
                kl_sum += stats.kl;
                kl_batches += 1.0;
                kl = kl_sum / kl_batches;
                last_loss = stats.loss - settings.ent_coef * stats.entropy + settings.vf_coef * (0.5 * squared_error);
                // Before anything moves: a minibatch that has gone too far teaches nothing at all.
                let too_far = ppo.target_kl.is_some_and(|target| stats.kl > 1.5 * target);
                if too_far { ControlFlow::Break(()) } else { poll() }
            })?;
            if stepped.is_break() {
                break 'epochs;
            }
            adam.step(&mut head.log_std, &batch.log_std_gradients, settings.log_std_lr.at(progress));
        }
    }
    steps.end(booster, source)?;
    let n = totals.n_policy;
    metrics.set("train/approx_kl", kl);
    metrics.set("train/clip_fraction", totals.policy.clip_fraction / n);
    metrics.set("train/clip_range", ppo.clip_range.at(progress));
    metrics.set("train/entropy_loss", -totals.policy.entropy / n);
    metrics.set("train/explained_variance", explained_of(rollout.values(), rollout.returns(), rollout.learnt_rows()));
    metrics.set("train/loss", last_loss);
    metrics.set("train/policy_gradient_loss", totals.policy.loss / n);
    metrics.set("train/value_loss", totals.value / n);
    Ok(())
}
