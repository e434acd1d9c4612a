//! Algorithms, and what on-policy algorithms share: collecting rollouts.

pub mod adam;
pub mod ppo;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

pub use ppo::{Trainer, TrainerState};

use crate::boost::{Booster, Dataset};
use crate::error::{Error, Result};
use crate::rl::dist::at_row;
use crate::rl::event::{Control, Event, Metrics, Observer};
use crate::rl::normalize::RewardNormalizer;
use crate::rl::policy::PolicyHead;
use crate::rl::rollout::{Rollout, StepRows};
use crate::rl::vec_env::{EpisodeEnd, VecEnv, VecEnvState};
use crate::rng::Stream;
use crate::threads::Threads;

/// Steps environments with the current policy until a rollout is full. One loop for every on-policy algorithm.
///
/// While stepping only the policy's columns are predicted; values come once per rollout, for all rows together.
pub(crate) struct Collector {
    envs: VecEnv,
    /// What steps the environments.
    threads: Threads,
    rollout: Rollout,
    gamma: f64,
    lambda: f64,
    reward_normalizer: Option<RewardNormalizer>,
    /// The environments' observations as the trees see them, `[n_envs, n_features]`.
    observations: Vec<f32>,
    actions: Stream,
    timesteps: u64,
    episodes: u64,
    recent: VecDeque<EpisodeEnd>,
    window: usize,
    scratch: Scratch,
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

/// What a collector needs to go on exactly where it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CollectorState {
    envs: VecEnvState,
    pub(crate) reward_normalizer: Option<RewardNormalizer>,
    actions: Stream,
    timesteps: u64,
    episodes: u64,
    recent: VecDeque<EpisodeEnd>,
}

/// The settings of a collector.
pub(crate) struct CollectorParams {
    pub(crate) n_steps: usize,
    pub(crate) gamma: f64,
    pub(crate) lambda: f64,
    /// The limit of normalised rewards; `None` leaves rewards as they are.
    pub(crate) clip_reward: Option<f64>,
    pub(crate) env_threads: usize,
    pub(crate) window: usize,
    pub(crate) seed: u64,
}

impl Collector {
    /// A collector over environments that are not reset yet; [`start`](Collector::start) or
    /// [`restore`](Collector::restore) must follow.
    pub(crate) fn new(envs: VecEnv, head: &PolicyHead, params: &CollectorParams) -> Result<Self> {
        let n = envs.n_envs();
        let (n_features, action_len) = (envs.n_features(), envs.action_len());
        let scratch = Scratch {
            outputs: vec![0.0; n * head.n_policy_outputs()],
            row: vec![0.0; head.distribution.n_params()],
            work: vec![0.0; head.distribution.work_len()],
            stored: vec![0.0; n * action_len],
            sent: vec![0.0; n * action_len],
            log_probs: vec![0.0; n],
            rewards: vec![0.0; n],
            finals: vec![0.0; n * n_features],
            rows: (0..(params.n_steps * n) as u32).collect(),
            last_values: vec![0.0; n],
            cut_values: Vec::new(),
        };
        Ok(Collector {
            rollout: Rollout::new(params.n_steps, n, n_features, action_len, envs.mask_len()),
            threads: Threads::new(params.env_threads)?,
            gamma: params.gamma,
            lambda: params.lambda,
            reward_normalizer: params.clip_reward.map(|limit| RewardNormalizer::new(n, params.gamma, limit)),
            observations: vec![0.0; n * n_features],
            actions: Stream::new(params.seed, "actions", 0),
            timesteps: 0,
            episodes: 0,
            recent: VecDeque::new(),
            window: params.window,
            scratch,
            envs,
        })
    }

    /// Resets the environments for a new run.
    pub(crate) fn start(&mut self, head: &mut PolicyHead) -> Result<()> {
        self.envs.reset()?;
        self.observe(head, true);
        Ok(())
    }

    pub(crate) fn save(&self) -> CollectorState {
        CollectorState {
            envs: self.envs.save(),
            reward_normalizer: self.reward_normalizer.clone(),
            actions: self.actions.clone(),
            timesteps: self.timesteps,
            episodes: self.episodes,
            recent: self.recent.clone(),
        }
    }

    /// Goes on from a saved state; returns the copies that had to start new episodes.
    pub(crate) fn restore(&mut self, state: &CollectorState, head: &mut PolicyHead) -> Result<Vec<usize>> {
        let expected = self.reward_normalizer.as_ref().map(RewardNormalizer::n_envs);
        let got = state.reward_normalizer.as_ref().map(RewardNormalizer::n_envs);
        if expected != got {
            let text = |n: Option<usize>| n.map_or("none".to_owned(), |n| format!("one for {n} environments"));
            return Err(Error::format("trainer state", "reward normaliser", text(expected), text(got)));
        }
        let restarted = self.envs.restore(&state.envs)?;
        self.reward_normalizer.clone_from(&state.reward_normalizer);
        if let Some(normalizer) = &mut self.reward_normalizer {
            normalizer.set_gamma(self.gamma);
            restarted.iter().for_each(|&env| normalizer.restart(env));
        }
        self.actions = state.actions.clone();
        self.timesteps = state.timesteps;
        self.episodes = state.episodes;
        // The newest, where the window has become smaller.
        let too_old = state.recent.len().saturating_sub(self.window);
        self.recent = state.recent.iter().skip(too_old).copied().collect();
        self.observe(head, false);
        Ok(restarted)
    }

    pub(crate) fn envs(&self) -> &VecEnv {
        &self.envs
    }

    pub(crate) fn rollout(&self) -> &Rollout {
        &self.rollout
    }

    pub(crate) fn reward_normalizer(&self) -> Option<&RewardNormalizer> {
        self.reward_normalizer.as_ref()
    }

    pub(crate) fn timesteps(&self) -> u64 {
        self.timesteps
    }

    /// Takes the environments' new observations as the trees will see them.
    fn observe(&mut self, head: &mut PolicyHead, learn: bool) {
        self.observations.copy_from_slice(self.envs.observations());
        if let Some(normalizer) = &mut head.normalizer {
            if learn {
                normalizer.update(&self.observations);
            }
            normalizer.apply(&mut self.observations);
        }
    }

    /// Fills a rollout: `data` holds its observations and outputs afterwards, [`rollout`](Collector::rollout) the rest.
    ///
    /// Says whether the observer wants to stop.
    pub(crate) fn collect(
        &mut self,
        booster: &mut Booster,
        data: &mut Dataset,
        head: &mut PolicyHead,
        observer: &mut Observer<'_>,
    ) -> Result<Control> {
        let mut control = Control::Continue;
        data.clear();
        self.rollout.clear();
        while !self.rollout.is_full() {
            self.choose(booster, data, head)?;
            self.rollout.push_decision(&self.scratch.stored, self.envs.masks(), &self.scratch.log_probs)?;
            self.envs.step(&self.scratch.sent, &self.threads)?;
            self.outcome(head)?;
            self.timesteps += self.envs.n_envs() as u64;
            self.episodes += self.envs.finished().len() as u64;
            for episode in self.envs.finished() {
                if self.recent.len() == self.window {
                    self.recent.pop_front();
                }
                self.recent.push_back(*episode);
                if observer(&Event::EpisodeFinished { timesteps: self.timesteps, episode }) == Control::Stop {
                    control = Control::Stop;
                }
            }
        }
        self.value(booster, data, head)?;
        Ok(control)
    }

    /// Predicts, samples, and prepares what the environments receive.
    fn choose(&mut self, booster: &Booster, data: &mut Dataset, head: &PolicyHead) -> Result<()> {
        let s = &mut self.scratch;
        let (n, width) = (head.n_policy_outputs(), self.envs.action_len());
        let (masks, flags) = (self.envs.masks(), self.envs.mask_len());
        booster.append(data, &self.observations, 0..n, &mut s.outputs)?;
        for env in 0..self.envs.n_envs() {
            head.fill(&s.outputs[env * n..][..n], &mut s.row);
            let stored = &mut s.stored[env * width..][..width];
            let mask = &masks[env * flags..][..flags];
            let drawn = head.distribution.sample(&s.row, mask, &mut self.actions, &mut s.work, stored);
            s.log_probs[env] = drawn.map_err(|error| at_row(error, env))?.log_prob;
            head.distribution.to_env(stored, &mut s.sent[env * width..][..width])?;
        }
        Ok(())
    }

    /// Normalises and stores what the step gave.
    fn outcome(&mut self, head: &mut PolicyHead) -> Result<()> {
        self.observe(head, true);
        let s = &mut self.scratch;
        let (terminated, truncated) = (self.envs.terminated(), self.envs.truncated());
        s.rewards.copy_from_slice(self.envs.rewards());
        if let Some(normalizer) = &mut self.reward_normalizer {
            normalizer.update(&s.rewards, |env| terminated[env] || truncated[env]);
            normalizer.apply(&mut s.rewards);
        }
        let finals = match &head.normalizer {
            Some(normalizer) if truncated.contains(&true) => {
                s.finals.copy_from_slice(self.envs.final_observations());
                normalizer.apply(&mut s.finals);
                &s.finals
            }
            _ => self.envs.final_observations(),
        };
        let step = StepRows { rewards: &s.rewards, terminated, truncated, final_observations: finals };
        self.rollout.push_outcome(&step, self.gamma)
    }

    /// Values of all rows and of what comes after them, then advantages and returns.
    fn value(&mut self, booster: &mut Booster, data: &mut Dataset, head: &PolicyHead) -> Result<()> {
        let s = &mut self.scratch;
        let column = head.n_policy_outputs()..head.n_policy_outputs() + 1;
        booster.complete(data)?;
        data.gather(&s.rows, column.clone(), self.rollout.values_mut());
        booster.predict(&self.observations, column.clone(), &mut s.last_values)?;
        s.cut_values.resize(self.rollout.cut_observations().len() / self.envs.n_features(), 0.0);
        if !s.cut_values.is_empty() {
            booster.predict(self.rollout.cut_observations(), column, &mut s.cut_values)?;
        }
        self.rollout.finish(&s.last_values, &s.cut_values, self.lambda)
    }

    /// Starts a new report with `rollout/…` and `time/…`: means over the last `stats_window` episodes, raw.
    pub(crate) fn report(&self, metrics: &mut Metrics) {
        metrics.clear();
        let mean = |of: fn(&EpisodeEnd) -> f64| {
            self.recent.iter().fold(0.0, |sum, episode| sum + of(episode)) / self.recent.len() as f64
        };
        metrics.set("rollout/ep_rew_mean", mean(|episode| episode.total_reward));
        metrics.set("rollout/ep_len_mean", mean(|episode| episode.length as f64));
        metrics.set("time/episodes", self.episodes as f64);
        metrics.set("time/total_timesteps", self.timesteps as f64);
    }
}
