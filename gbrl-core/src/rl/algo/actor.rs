//! Acting and remembering what came of it: the part of an on-policy agent that knows nothing of losses.

use serde::{Deserialize, Serialize};

use crate::boost::{Booster, Dataset};
use crate::config::{Schedule, Settings};
use crate::error::{Error, Result};
use crate::rl::algo::noise::Noise;
use crate::rl::dist::{Distribution, at_row};
use crate::rl::normalize::RewardNormalizer;
use crate::rl::policy::PolicyHead;
use crate::rl::rollout::{Rollout, StepRows};
use crate::rng::Stream;

/// Decides for all environments together, stores decisions and outcomes in a rollout, and values them once it is full.
///
/// While acting only the policy's columns are predicted; values come once per rollout, for all rows together.
pub(super) struct Actor {
    pub(super) rollout: Rollout,
    gamma: f64,
    lambda: f64,
    pub(super) reward_normalizer: Option<RewardNormalizer>,
    /// The latest observations as the trees see them, `[n_envs, n_features]`.
    observations: Vec<f32>,
    stream: Stream,
    /// `None` where actions are drawn independently.
    noise: Option<Noise>,
    /// Environments that started an episode, without ending one, before the rollout that is being filled.
    new_episodes: Vec<bool>,
    scratch: Scratch,
}

/// What an actor needs to go on where it was, besides its environments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActorState {
    pub(super) reward_normalizer: Option<RewardNormalizer>,
    stream: Stream,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    noise: Option<Noise>,
}

/// What was decided in one step, `[n_envs, …]`.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// The sampled actions as the rollout keeps them: indices, or numbers before clipping or squashing.
    pub actions: &'a [f32],
    /// The same as the environments are to get them: indices, or numbers within the space's bounds.
    pub sent: &'a [f32],
    /// ln π(action).
    pub log_probs: &'a [f64],
}

/// Buffers of one step, kept.
struct Scratch {
    outputs: Vec<f32>,
    row: Vec<f64>,
    work: Vec<f64>,
    stored: Vec<f32>,
    sent: Vec<f32>,
    log_probs: Vec<f64>,
    rewards: Vec<f32>,
    finals: Vec<f32>,
    rows: Vec<u32>,
    last_values: Vec<f32>,
    cut_values: Vec<f32>,
}

impl Actor {
    /// An actor for `n_envs` environments, which have not been observed yet.
    pub(super) fn new(head: &PolicyHead, n_envs: usize, has_masks: bool, settings: &Settings) -> Self {
        let agent = &settings.agent;
        let (n_features, action_len) = (head.n_features(), head.distribution.action_len());
        let mask_len = if has_masks { head.distribution.mask_len() } else { 0 };
        let scratch = Scratch {
            outputs: vec![0.0; n_envs * head.n_policy_outputs()],
            row: vec![0.0; head.distribution.n_params()],
            work: vec![0.0; head.distribution.work_len()],
            stored: vec![0.0; n_envs * action_len],
            sent: vec![0.0; n_envs * action_len],
            log_probs: vec![0.0; n_envs],
            rewards: vec![0.0; n_envs],
            finals: vec![0.0; n_envs * n_features],
            rows: (0..(agent.n_steps * n_envs) as u32).collect(),
            last_values: vec![0.0; n_envs],
            cut_values: Vec::new(),
        };
        Actor {
            rollout: Rollout::new(agent.n_steps, n_envs, n_features, action_len, mask_len),
            gamma: agent.gamma,
            lambda: agent.gae_lambda,
            reward_normalizer: agent.norm_reward.then(|| RewardNormalizer::new(n_envs, agent.gamma, agent.clip_reward)),
            observations: vec![0.0; n_envs * n_features],
            stream: Stream::new(settings.run.seed, "actions", 0),
            noise: Noise::new(&head.distribution, n_envs, agent.noise_correlation),
            new_episodes: vec![false; n_envs],
            scratch,
        }
    }

    pub(super) fn state(&self) -> ActorState {
        ActorState {
            reward_normalizer: self.reward_normalizer.clone(),
            stream: self.stream.clone(),
            noise: self.noise.clone(),
        }
    }

    pub(super) fn restore(&mut self, state: &ActorState) -> Result<()> {
        let expected = self.reward_normalizer.as_ref().map(RewardNormalizer::n_envs);
        let got = state.reward_normalizer.as_ref().map(RewardNormalizer::n_envs);
        if expected != got {
            let text = |n: Option<usize>| n.map_or("none".to_owned(), |n| format!("one for {n} environments"));
            return Err(Error::format("agent's state", "reward normaliser", text(expected), text(got)));
        }
        state.reward_normalizer.as_ref().map_or(Ok(()), RewardNormalizer::check)?;
        if let Some(noise) = &mut self.noise {
            noise.restore(state.noise.as_ref())?;
        }
        self.reward_normalizer.clone_from(&state.reward_normalizer);
        self.stream = state.stream.clone();
        self.set_discounts(self.gamma, self.lambda);
        Ok(())
    }

    /// Discounts by other factors from the next rollout on.
    pub(super) fn set_discounts(&mut self, gamma: f64, lambda: f64) {
        (self.gamma, self.lambda) = (gamma, lambda);
        if let Some(normalizer) = &mut self.reward_normalizer {
            normalizer.set_gamma(gamma);
        }
    }

    /// Correlates the noise of what is decided from now on by another schedule, at its start.
    pub(super) fn set_noise_correlation(&mut self, correlation: Schedule, distribution: &Distribution) -> Result<()> {
        let before = std::mem::replace(&mut self.noise, Noise::new(distribution, self.new_episodes.len(), correlation));
        self.noise.as_mut().map_or(Ok(()), |noise| noise.restore(before.as_ref()))
    }

    /// Moves the noise on along its schedule.
    pub(super) fn correlate(&mut self, correlation: Schedule, progress: f64) {
        if let Some(noise) = &mut self.noise {
            noise.set_correlation(correlation.at(progress));
        }
    }

    /// Restarts the stream of random numbers that actions are drawn with, and what was made of them.
    pub(super) fn seed(&mut self, seed: u64) {
        self.stream = Stream::new(seed, "actions", 0);
        if let Some(noise) = &mut self.noise {
            (0..self.new_episodes.len()).for_each(|env_idx| noise.restart(env_idx));
        }
    }

    /// Forgets the running return and the noise of an environment that started a new episode without ending the old one.
    pub(super) fn restart(&mut self, env_idx: usize) {
        self.new_episodes[env_idx] = true;
        if let Some(normalizer) = &mut self.reward_normalizer {
            normalizer.restart(env_idx);
        }
        if let Some(noise) = &mut self.noise {
            noise.restart(env_idx);
        }
    }

    /// The latest observations as the trees see them, and which environments had not gone on where the rollout before
    /// left them.
    pub(super) fn ends(&self) -> (&[f32], &[bool]) {
        (&self.observations, &self.new_episodes)
    }

    /// From now on environments go on where they stand.
    pub(super) fn go_on(&mut self) {
        self.new_episodes.fill(false);
    }

    /// Starts an empty rollout.
    pub(super) fn clear(&mut self, data: &mut Dataset) {
        data.clear();
        self.rollout.clear();
    }

    /// Takes the environments' new observations as the trees will see them; `learn` moves the statistics.
    pub(super) fn observe(&mut self, observations: &[f32], head: &mut PolicyHead, learn: bool) {
        self.observations.copy_from_slice(observations);
        if let Some(normalizer) = &mut head.normalizer {
            if learn {
                normalizer.update(&self.observations);
            }
            normalizer.apply(&mut self.observations);
        }
    }

    /// Predicts, samples, prepares what the environments receive, and remembers it.
    pub(super) fn decide(
        &mut self,
        booster: &Booster,
        data: &mut Dataset,
        head: &PolicyHead,
        masks: &[bool],
    ) -> Result<Decision<'_>> {
        let s = &mut self.scratch;
        let (n, width) = (head.n_policy_outputs(), head.distribution.action_len());
        let flags = masks.len() / s.log_probs.len();
        booster.append(data, &self.observations, 0..n, &mut s.outputs)?;
        for env in 0..s.log_probs.len() {
            head.fill(&s.outputs[env * n..][..n], &mut s.row);
            let stored = &mut s.stored[env * width..][..width];
            let mask = &masks[env * flags..][..flags];
            let drawn = match &mut self.noise {
                Some(noise) => {
                    let mut numbers = noise.next(env, &mut self.stream);
                    head.distribution.sample(&s.row, mask, &mut numbers, &mut s.work, stored)
                }
                None => head.distribution.sample(&s.row, mask, &mut self.stream, &mut s.work, stored),
            };
            s.log_probs[env] = drawn.map_err(|error| at_row(error, env))?.log_prob;
            head.distribution.to_env(stored, &mut s.sent[env * width..][..width])?;
        }
        self.rollout.push_decision(&s.stored, masks, &s.log_probs)?;
        Ok(Decision { actions: &s.stored, sent: &s.sent, log_probs: &s.log_probs })
    }

    /// Normalises and stores what the step gave, its rewards and final observations raw, and takes the observations
    /// that come next.
    pub(super) fn outcome(&mut self, step: &StepRows<'_>, next: &[f32], head: &mut PolicyHead) -> Result<()> {
        self.observe(next, head, true);
        let s = &mut self.scratch;
        let (terminated, truncated) = (step.terminated, step.truncated);
        if let Some(noise) = &mut self.noise {
            let ended = (0..terminated.len()).filter(|&env| terminated[env] || truncated[env]);
            ended.for_each(|env| noise.restart(env));
        }
        s.rewards.copy_from_slice(step.rewards);
        if let Some(normalizer) = &mut self.reward_normalizer {
            normalizer.update(&s.rewards, |env| terminated[env] || truncated[env], step.ignored);
            normalizer.apply(&mut s.rewards);
        }
        let final_observations = match &head.normalizer {
            Some(normalizer) if truncated.contains(&true) => {
                s.finals.copy_from_slice(step.final_observations);
                normalizer.apply(&mut s.finals);
                &s.finals
            }
            _ => step.final_observations,
        };
        self.rollout.push_outcome(&StepRows { rewards: &s.rewards, final_observations, ..*step }, self.gamma)
    }

    /// Values of all rows and of what comes after them, then advantages and returns.
    pub(super) fn finish(&mut self, booster: &mut Booster, data: &mut Dataset, head: &PolicyHead) -> Result<()> {
        let s = &mut self.scratch;
        let column = head.n_policy_outputs()..head.n_policy_outputs() + 1;
        booster.complete(data)?;
        data.gather(&s.rows, column.clone(), self.rollout.values_mut());
        booster.predict(&self.observations, column.clone(), &mut s.last_values)?;
        s.cut_values.resize(self.rollout.cut_observations().len() / head.n_features(), 0.0);
        if !s.cut_values.is_empty() {
            booster.predict(self.rollout.cut_observations(), column, &mut s.cut_values)?;
        }
        self.rollout.finish(&s.last_values, &s.cut_values, self.lambda)
    }
}
