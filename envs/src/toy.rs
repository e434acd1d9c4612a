//! Tiny environments whose right answers are known, for tests of learning and of its mathematics. Not registered.
//!
//! | environment | observation | actions | reward | ends | known answer |
//! |---|---|---|---|---|---|
//! | [`Identity`] | the right action | any kind | 1 if the action equals it, for `Box` −Σ\|a − x\| | truncated after `episode_length` steps | copy the observation: 1 (0 for `Box`) per step |
//! | [`MaskedBandit`] | 0 | `Discrete(n)`, the last one forbidden | index / (n − 1) | terminated after each step | the best allowed arm, n − 2 |
//! | [`ConstantReward`] | 0 | `Discrete(2)`, without effect | r | after `episode_length` steps, as told | value r / (1 − γ) where truncated |

use gbrl_core::error::{Error, Result};
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;

use crate::common::{Draws, Phase, StateReader, StateWriter, discrete_action, row};

/// Shows the right action; any policy that copies its observation is the best.
///
/// The right actions are uniform over the action space and independent of each other and of what was done.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_core::rl::space::Space;
/// use gbrl_envs::toy::Identity;
/// let mut env = Identity::new(Space::discrete(5), 100)?;
/// let mut observation = [0.0];
/// env.reset(1, &mut observation)?;
/// let step = env.step(Action::Discrete(observation[0] as u32), &mut observation)?;
/// assert_eq!(step.reward, 1.0);
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Identity {
    space: Space,
    episode_length: u32,
    elapsed: u32,
    /// The right action, flattened.
    target: Vec<f32>,
    phase: Phase,
    draws: Draws,
}

const IDENTITY: &str = "Identity";

impl Identity {
    /// An environment whose observations and actions both come from `space`.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when `episode_length` is 0 or the space is a
    /// `Dict`, a `Tuple` or an unbounded `Box`, and any error of the space itself.
    pub fn new(space: Space, episode_length: u32) -> Result<Self> {
        space.check("space")?;
        if episode_length == 0 {
            return Err(Error::parameter("episode_length", 0, "at least 1"));
        }
        let samples = match &space {
            Space::Box { low, high, .. } => low.iter().chain(high).all(|bound| bound.is_finite()),
            Space::Text | Space::Dict(_) | Space::Tuple(_) => false,
            _ => true,
        };
        if !samples {
            let rule = "Discrete, MultiDiscrete, MultiBinary or a bounded Box";
            return Err(Error::parameter("space", format!("{space:?}"), rule));
        }
        let target = vec![0.0; space.flat_len()];
        Ok(Identity { space, episode_length, elapsed: 0, target, phase: Phase::NeedsReset, draws: Draws::default() })
    }

    /// The right action, flattened as it is observed.
    pub fn target(&self) -> &[f32] {
        &self.target
    }

    fn draw(&mut self) {
        let mut stream = self.draws.next(IDENTITY);
        let target = self.target.iter_mut();
        match &self.space {
            Space::Box { low, high, .. } => {
                for ((x, &low), &high) in target.zip(low).zip(high) {
                    *x = (stream.range(low.into(), high.into()) as f32).clamp(low, high);
                }
            }
            Space::MultiDiscrete { nvec } => {
                for (x, &n) in target.zip(nvec) {
                    *x = stream.below(n.into()) as f32;
                }
            }
            Space::Discrete { n, .. } => target.for_each(|x| *x = stream.below((*n).into()) as f32),
            _ => target.for_each(|x| *x = stream.below(2) as f32),
        }
    }

    fn observe(&self, observation: &mut [f32]) -> Result<()> {
        if observation.len() != self.target.len() {
            return Err(Error::shape("observation", self.target.len(), observation.len()));
        }
        observation.copy_from_slice(&self.target);
        Ok(())
    }

    fn reward(&self, action: Action<'_>) -> Result<f32> {
        let equal = |indices: &[u32]| indices.iter().zip(&self.target).all(|(&i, &x)| i as f32 == x);
        let in_range = |indices: &[u32], n: &dyn Fn(usize) -> u32| {
            if indices.len() != self.target.len() {
                return Err(Error::shape("action", self.target.len(), indices.len()));
            }
            match (0..indices.len()).find(|&i| indices[i] >= n(i)) {
                None => Ok(()),
                Some(i) => Err(Error::element("action", (0, i), format!("an index below {}", n(i)), indices[i])),
            }
        };
        match &self.space {
            Space::Discrete { n, .. } => Ok(f32::from(u8::from(equal(&[discrete_action(action, *n)?])))),
            Space::Box { .. } => {
                let reals = action.continuous()?;
                if reals.len() != self.target.len() {
                    return Err(Error::shape("action", self.target.len(), reals.len()));
                }
                if let Some(i) = reals.iter().position(|a| !a.is_finite()) {
                    return Err(Error::element("action", (0, i), "a finite number", reals[i]));
                }
                let distance: f64 =
                    reals.iter().zip(&self.target).map(|(&a, &x)| (f64::from(a) - f64::from(x)).abs()).sum();
                Ok((-distance as f32).max(f32::MIN))
            }
            Space::MultiDiscrete { nvec } => {
                let indices = action.indices()?;
                in_range(indices, &|i| nvec[i])?;
                Ok(f32::from(u8::from(equal(indices))))
            }
            _ => {
                let bits = action.indices()?;
                in_range(bits, &|_| 2)?;
                Ok(f32::from(u8::from(equal(bits))))
            }
        }
    }
}

impl Env for Identity {
    fn name(&self) -> &str {
        IDENTITY
    }

    fn observation_space(&self) -> &Space {
        &self.space
    }

    fn action_space(&self) -> &Space {
        &self.space
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        (self.draws, self.elapsed, self.phase) = (Draws::new(seed), 0, Phase::Running);
        self.draw();
        self.observe(observation)
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(IDENTITY)?;
        let reward = self.reward(action)?;
        self.draw();
        self.observe(observation)?;
        self.elapsed += 1;
        let truncated = self.elapsed >= self.episode_length;
        self.phase = Phase::after(truncated);
        Ok(Step { reward, terminated: false, truncated })
    }

    fn save(&self) -> Option<Vec<u8>> {
        // The target is the last draw, so the draws' two numbers hold it.
        StateWriter::new(IDENTITY).phase(self.phase).u32(self.elapsed).draws(self.draws).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = StateReader::new(IDENTITY, state)?;
        let (phase, elapsed, mut draws) = (reader.phase()?, reader.u32()?, reader.draws()?);
        if elapsed > self.episode_length || (phase == Phase::Running && elapsed == self.episode_length) {
            return Err(reader.invalid("episode too long", format!("below {}", self.episode_length), elapsed));
        }
        reader.finish()?;
        draws.count = draws.count.wrapping_sub(1);
        (self.phase, self.elapsed, self.draws) = (phase, elapsed, draws);
        self.draw();
        Ok(())
    }
}

/// A bandit whose best arm is always forbidden: a policy that ignores the mask is told so by an error.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_envs::toy::MaskedBandit;
/// let (mut env, mut observation, mut allowed) = (MaskedBandit::new(4)?, [0.0], [false; 4]);
/// env.reset(1, &mut observation)?;
/// env.action_mask(&mut allowed);
/// assert_eq!(allowed, [true, true, true, false]);
/// assert!(env.step(Action::Discrete(3), &mut observation).is_err());
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MaskedBandit {
    observation_space: Space,
    action_space: Space,
    arms: u32,
    phase: Phase,
}

const BANDIT: &str = "MaskedBandit";

impl MaskedBandit {
    /// A bandit with `arms` arms, the last and best of which is forbidden.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when there are fewer than 2.
    pub fn new(arms: u32) -> Result<Self> {
        if arms < 2 {
            return Err(Error::parameter("arms", arms, "at least 2"));
        }
        Ok(MaskedBandit {
            observation_space: Space::discrete(1),
            action_space: Space::discrete(arms),
            arms,
            phase: Phase::NeedsReset,
        })
    }

    /// The largest reward that an allowed arm gives.
    pub fn best_reward(&self) -> f32 {
        self.reward(self.arms - 2)
    }

    fn reward(&self, arm: u32) -> f32 {
        arm as f32 / (self.arms - 1) as f32
    }
}

impl Env for MaskedBandit {
    fn name(&self) -> &str {
        BANDIT
    }

    fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    fn action_space(&self) -> &Space {
        &self.action_space
    }

    fn reset(&mut self, _seed: u64, observation: &mut [f32]) -> Result<()> {
        let [out] = row::<1>(observation)?;
        *out = 0.0;
        self.phase = Phase::Running;
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(BANDIT)?;
        let arm = discrete_action(action, self.arms)?;
        if arm == self.arms - 1 {
            return Err(Error::parameter("action", arm, "an arm that the mask allows"));
        }
        let [out] = row::<1>(observation)?;
        *out = 0.0;
        self.phase = Phase::NeedsReset;
        Ok(Step { reward: self.reward(arm), terminated: true, truncated: false })
    }

    fn has_action_mask(&self) -> bool {
        true
    }

    fn action_mask(&self, allowed: &mut [bool]) {
        allowed.fill(true);
        if let Some(last) = allowed.last_mut() {
            *last = false;
        }
    }

    fn save(&self) -> Option<Vec<u8>> {
        StateWriter::new(BANDIT).phase(self.phase).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = StateReader::new(BANDIT, state)?;
        let phase = reader.phase()?;
        reader.finish()?;
        self.phase = phase;
        Ok(())
    }
}

/// How an episode of [`ConstantReward`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The task ends; with k steps to go the value is r·(1 − γᵏ)/(1 − γ).
    Terminated,
    /// The episode is cut off; bootstrapped rightly, the value is r/(1 − γ) everywhere.
    Truncated,
}

/// The same observation and reward in every step; actions have no effect.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_envs::toy::{ConstantReward, Ending};
/// let (mut env, mut observation) = (ConstantReward::new(0.5, 2, Ending::Truncated)?, [0.0]);
/// env.reset(1, &mut observation)?;
/// assert!(!env.step(Action::Discrete(0), &mut observation)?.truncated);
/// let last = env.step(Action::Discrete(1), &mut observation)?;
/// assert_eq!((last.reward, last.terminated, last.truncated), (0.5, false, true));
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConstantReward {
    observation_space: Space,
    action_space: Space,
    reward: f32,
    episode_length: u32,
    ending: Ending,
    elapsed: u32,
    phase: Phase,
}

const CONSTANT: &str = "ConstantReward";

impl ConstantReward {
    /// Episodes of `episode_length` steps, each giving `reward`.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when `reward` is not finite or
    /// `episode_length` is 0.
    pub fn new(reward: f32, episode_length: u32, ending: Ending) -> Result<Self> {
        if !reward.is_finite() {
            return Err(Error::parameter("reward", reward, "a finite number"));
        }
        if episode_length == 0 {
            return Err(Error::parameter("episode_length", 0, "at least 1"));
        }
        Ok(ConstantReward {
            observation_space: Space::Box { shape: vec![1], low: vec![0.0], high: vec![0.0] },
            action_space: Space::discrete(2),
            reward,
            episode_length,
            ending,
            elapsed: 0,
            phase: Phase::NeedsReset,
        })
    }
}

impl Env for ConstantReward {
    fn name(&self) -> &str {
        CONSTANT
    }

    fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    fn action_space(&self) -> &Space {
        &self.action_space
    }

    fn reset(&mut self, _seed: u64, observation: &mut [f32]) -> Result<()> {
        let [out] = row::<1>(observation)?;
        *out = 0.0;
        (self.elapsed, self.phase) = (0, Phase::Running);
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(CONSTANT)?;
        discrete_action(action, 2)?;
        let [out] = row::<1>(observation)?;
        *out = 0.0;
        self.elapsed += 1;
        let over = self.elapsed >= self.episode_length;
        self.phase = Phase::after(over);
        let terminated = over && self.ending == Ending::Terminated;
        Ok(Step { reward: self.reward, terminated, truncated: over && !terminated })
    }

    fn save(&self) -> Option<Vec<u8>> {
        StateWriter::new(CONSTANT).phase(self.phase).u32(self.elapsed).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = StateReader::new(CONSTANT, state)?;
        let (phase, elapsed) = (reader.phase()?, reader.u32()?);
        if elapsed > self.episode_length || (phase == Phase::Running && elapsed == self.episode_length) {
            return Err(reader.invalid("episode too long", format!("below {}", self.episode_length), elapsed));
        }
        reader.finish()?;
        (self.phase, self.elapsed) = (phase, elapsed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_pays_for_the_right_action_of_every_kind() {
        let bounded = Space::bounded(&[-1.0, 0.0], &[1.0, 10.0]).unwrap();
        for space in
            [Space::discrete(4), Space::MultiDiscrete { nvec: vec![2, 5] }, Space::MultiBinary { n: 3 }, bounded]
        {
            let mut env = Identity::new(space.clone(), 20).unwrap();
            let mut observation = vec![0.0; space.flat_len()];
            env.reset(3, &mut observation).unwrap();
            for elapsed in 1..=20 {
                assert_eq!(observation, env.target());
                let codes: Vec<u32> = observation.iter().map(|&x| x as u32).collect();
                let reals = observation.clone();
                let action = match &space {
                    Space::Discrete { .. } => Action::Discrete(codes[0]),
                    Space::MultiDiscrete { .. } => Action::MultiDiscrete(&codes),
                    Space::MultiBinary { .. } => Action::MultiBinary(&codes),
                    _ => Action::Box(&reals),
                };
                let step = env.step(action, &mut observation).unwrap();
                let right = if matches!(space, Space::Box { .. }) { 0.0 } else { 1.0 };
                assert_eq!((step.reward, step.truncated), (right, elapsed == 20), "{space:?}");
            }
            assert!(env.step(Action::Discrete(0), &mut observation).is_err(), "the episode is over");
        }
    }

    #[test]
    fn identity_punishes_the_wrong_action() {
        let (mut env, mut observation) = (Identity::new(Space::discrete(4), 9).unwrap(), [0.0]);
        env.reset(0, &mut observation).unwrap();
        let wrong = (observation[0] as u32 + 1) % 4;
        assert_eq!(env.step(Action::Discrete(wrong), &mut observation).unwrap().reward, 0.0);
        let space = Space::bounded(&[0.0, 0.0], &[1.0, 1.0]).unwrap();
        let (mut env, mut observation) = (Identity::new(space, 9).unwrap(), [0.0; 2]);
        env.reset(0, &mut observation).unwrap();
        let off = [observation[0] + 0.5, observation[1] - 0.25];
        let reward = env.step(Action::Box(&off), &mut observation).unwrap().reward;
        assert!((reward + 0.75).abs() < 1e-6, "{reward}");
    }

    #[test]
    fn identity_draws_every_code_equally_often() {
        let (mut env, mut observation) = (Identity::new(Space::discrete(4), 4_000).unwrap(), [0.0]);
        env.reset(0, &mut observation).unwrap();
        let mut counts = [0u32; 4];
        for _ in 0..4_000 {
            counts[observation[0] as usize] += 1;
            env.step(Action::Discrete(0), &mut observation).unwrap();
        }
        // The standard deviation of each count is about 27.
        assert!(counts.iter().all(|count| count.abs_diff(1_000) < 140), "{counts:?}");
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        assert!(Identity::new(Space::discrete(2), 0).is_err());
        assert!(Identity::new(Space::unbounded(1), 5).is_err());
        assert!(Identity::new(Space::Tuple(vec![Space::discrete(2)]), 5).is_err());
        assert!(MaskedBandit::new(1).is_err());
        assert!(ConstantReward::new(f32::NAN, 5, Ending::Truncated).is_err());
        assert!(ConstantReward::new(1.0, 0, Ending::Truncated).is_err());
    }

    #[test]
    fn the_bandits_rewards_rise_with_the_arm() {
        let (mut env, mut observation) = (MaskedBandit::new(5).unwrap(), [0.0]);
        for arm in 0..4 {
            env.reset(0, &mut observation).unwrap();
            let step = env.step(Action::Discrete(arm), &mut observation).unwrap();
            assert_eq!(step, Step { reward: arm as f32 / 4.0, terminated: true, truncated: false });
        }
        assert_eq!(env.best_reward(), 0.75);
    }
}
