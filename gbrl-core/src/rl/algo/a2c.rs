//! Advantage actor-critic (Mnih et al. 2016), synchronous: one step, and so one tree, per rollout, fitted to
//! −A·ln π − ent_coef·H + vf_coef·½(V − R)² of all its rows. No ratio: the policy that acted is the one that learns.

use crate::config::AgentParams;
use crate::error::Result;
use crate::rl::algo::learner::{Learner, Lesson, explained_of};
use crate::rl::algo::minibatch::{PolicyLoss, ValueLoss};
use crate::rl::algo::steps::{Aim, Collected, Learning, Means, Steps};
use crate::rl::rollout::Rollout;

/// The losses of a rollout.
pub(super) fn losses<'a>(rollout: &'a Rollout, settings: &AgentParams) -> (PolicyLoss<'a>, ValueLoss<'a>) {
    let policy = PolicyLoss {
        weights: rollout.advantages(),
        standardize: settings.normalize_advantage,
        clip: None,
        ent_coef: settings.ent_coef,
        max_grad_norm: settings.max_policy_grad_norm,
    };
    let value = ValueLoss {
        returns: rollout.returns(),
        clip: None,
        vf_coef: settings.vf_coef,
        max_grad_norm: settings.max_value_grad_norm,
    };
    (policy, value)
}

/// Learns from the lesson's rollout.
pub(super) fn update(learner: &mut Learner, lesson: &mut Lesson<'_, '_>) -> Result<()> {
    let (settings, rollout, progress) = (lesson.settings, lesson.rollout, lesson.progress);
    if !learner.take(rollout.learnt_rows()) {
        return Ok(());
    }
    let Learner { order: rows, batch, adam, n_updates, .. } = learner;
    let Lesson { head, booster, data, poll, metrics, .. } = lesson;
    let source = &mut Collected { rollout, data };
    let (policy, value) = losses(rollout, settings);
    let aim = Aim { policy: Some(policy), value: Some(value), group_idx: None };
    let mut steps = Steps::begin(Learning { head, booster, source, batch }, rows.len(), aim)?;
    let mut means = Means::default();
    let stepped = steps.step(Learning { head, booster, source, batch }, rows, &mut |now| {
        means = *now;
        poll()
    })?;
    steps.end(booster, source)?;
    if stepped.is_continue() {
        adam.step(&mut head.log_std, &batch.log_std_gradients, settings.log_std_lr.at(progress));
        *n_updates += 1;
    }
    let (stats, squared_error) = (means.policy, means.squared_error);
    metrics.set("train/entropy_loss", -stats.entropy);
    metrics.set("train/explained_variance", explained_of(rollout.values(), rollout.returns(), rollout.learnt_rows()));
    metrics.set("train/policy_loss", stats.loss);
    metrics.set("train/value_loss", squared_error);
    Ok(())
}
