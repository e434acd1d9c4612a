//! How good a policy is.

use serde::{Deserialize, Serialize};

use crate::config::MAX_EPISODES;
use crate::error::{Error, Result};
use crate::rl::env::{Action, Env};
use crate::rl::loss::mean_and_std;
use crate::rl::policy::Policy;
use crate::rl::vec_env::{Rules, check_copies};
use crate::rng::{Stream, derive_seed};

/// Returns and lengths of evaluation episodes, raw, in the order of the episodes' numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Return of each episode.
    pub returns: Vec<f64>,
    /// Steps of each episode.
    pub lengths: Vec<u64>,
}

impl EvalReport {
    /// Mean return.
    pub fn mean(&self) -> f64 {
        mean_and_std(&self.returns).0
    }

    /// Standard deviation of the returns, n − 1.
    pub fn std(&self) -> f64 {
        mean_and_std(&self.returns).1
    }

    /// Mean length.
    pub fn mean_length(&self) -> f64 {
        self.lengths.iter().fold(0.0, |sum, &n| sum + n as f64) / self.lengths.len().max(1) as f64
    }
}

/// Steps after which [`evaluate`] takes an episode for one that never ends.
pub const MAX_EPISODE_STEPS: u64 = 1_000_000;

/// The seed that evaluation episode number `episode` is reset with.
pub fn eval_seed(seed: u64, episode: u64) -> u64 {
    derive_seed(seed, "evaluation", episode)
}

/// An episode that is running.
struct Running {
    episode: usize,
    total_reward: f64,
    length: u64,
    actions: Stream,
}

/// Plays `n_episodes` episodes with the copies in `envs`, side by side.
///
/// Episode i is always reset with [`eval_seed`]`(seed, i)` and, where the policy is stochastic, draws from a stream of
/// its own: the report does not depend on how many copies there are. The environments are left in whatever state they
/// end in.
///
/// # Errors
/// Class `Value` for no environment, and no episode or more than [`MAX_EPISODES`]; class `Environment` when the copies
/// differ, are not the policy's kind of environment or break their contract, and when an episode does not end within [`MAX_EPISODE_STEPS`]; or what
/// an environment returned.
pub fn evaluate(
    policy: &Policy,
    envs: &mut [Box<dyn Env>],
    n_episodes: usize,
    deterministic: bool,
    seed: u64,
) -> Result<EvalReport> {
    evaluate_within(policy, envs, n_episodes, deterministic, seed, Some(MAX_EPISODE_STEPS))
}

/// [`evaluate`] with another limit of an episode's steps; `None` waits for ever.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_within(
    policy: &Policy,
    envs: &mut [Box<dyn Env>],
    n_episodes: usize,
    deterministic: bool,
    seed: u64,
    max_steps: Option<u64>,
) -> Result<EvalReport> {
    if !(1..=MAX_EPISODES).contains(&n_episodes) {
        return Err(Error::parameter("eval_episodes", n_episodes, format!("1 to {MAX_EPISODES}")));
    }
    let first = check_copies(envs)?;
    let head = policy.head();
    if (first.observation_space(), first.action_space()) != (&head.observation_space, &head.action_space) {
        let expected = format!("{:?} and {:?}", head.observation_space, head.action_space);
        let got = format!("{:?} and {:?}", first.observation_space(), first.action_space());
        return Err(Error::environment(first.name(), "spaces differ from the policy's", expected, got));
    }
    let rules = Rules::new(&head.observation_space, &head.action_space)?;
    let has_mask = first.has_action_mask() && rules.mask_len > 0;
    let flags = if has_mask { rules.mask_len } else { 0 };
    let n = envs.len().min(n_episodes);
    let mut report = EvalReport { returns: vec![0.0; n_episodes], lengths: vec![0; n_episodes] };
    let mut observations = vec![0.0; n * rules.n_features];
    let mut masks = vec![true; n * flags];
    let mut actions = vec![0.0; n * rules.action_len];
    let mut indices = vec![0; rules.action_len];
    let mut next_episode = 0;
    // Slot i runs in envs[copies[i]]; finished slots without a successor are removed, so rows stay packed.
    let mut copies: Vec<usize> = (0..n).collect();
    let mut running = Vec::with_capacity(n);
    let mut start = |env: &mut Box<dyn Env>, observation: &mut [f32]| -> Result<Option<Running>> {
        if next_episode == n_episodes {
            return Ok(None);
        }
        let episode = next_episode;
        next_episode += 1;
        env.reset(eval_seed(seed, episode as u64), observation)?;
        rules.check_observation(env.name(), observation)?;
        let actions = Stream::new(seed, "evaluation actions", episode as u64);
        Ok(Some(Running { episode, total_reward: 0.0, length: 0, actions }))
    };
    for (env, observation) in envs.iter_mut().zip(observations.chunks_exact_mut(rules.n_features)) {
        running.extend(start(env, observation)?);
    }
    while !running.is_empty() {
        let k = running.len();
        for i in 0..if has_mask { k } else { 0 } {
            let mask = &mut masks[i * flags..][..flags];
            envs[copies[i]].action_mask(mask);
            rules.check_mask(envs[copies[i]].name(), mask)?;
        }
        let (seen, chosen) = (&observations[..k * rules.n_features], &mut actions[..k * rules.action_len]);
        let streams: Vec<&mut Stream> = running.iter_mut().map(|r| &mut r.actions).collect();
        policy.view().act_rows(seen, &masks[..k * flags], deterministic, streams, chosen)?;
        // From the last slot down, so that removing one by swapping never moves a slot that is still to be stepped.
        for i in (0..k).rev() {
            let env = &mut envs[copies[i]];
            let action: Action<'_> =
                rules.action(i, &actions[i * rules.action_len..][..rules.action_len], &mut indices)?;
            let observation = &mut observations[i * rules.n_features..][..rules.n_features];
            let step = env.step(action, observation)?;
            rules.check_step(env.name(), &step, observation)?;
            running[i].total_reward += f64::from(step.reward);
            running[i].length += 1;
            if step.terminated || step.truncated {
                report.returns[running[i].episode] = running[i].total_reward;
                report.lengths[running[i].episode] = running[i].length;
                match start(env, observation)? {
                    Some(next) => running[i] = next,
                    None => {
                        let last = running.len() - 1;
                        running.swap_remove(i);
                        copies.swap_remove(i);
                        observations
                            .copy_within(last * rules.n_features..(last + 1) * rules.n_features, i * rules.n_features);
                    }
                }
            } else if max_steps.is_some_and(|limit| running[i].length >= limit) {
                let expected = format!("an end within {} steps, as a TimeLimit gives", running[i].length);
                return Err(Error::environment(env.name(), "episode without end", expected, "none"));
            }
        }
    }
    Ok(report)
}
