//! Small environments for the tests of this folder.

use crate::error::{Error, Result};
use crate::rl::env::{Action, Env, Step, mask_len, mask_parts};
use crate::rl::space::Space;
use crate::rng::Stream;

/// A walk on −9..=9 from a random start: action 1 goes up, 0 down; reward 1 at +9, −1 at −9, and the episode ends.
/// One extra column is noise, drawn from a stream that is part of the state.
pub struct Walk {
    observation_space: Space,
    action_space: Space,
    at: f32,
    noise: Stream,
}

impl Walk {
    pub fn new() -> Self {
        Walk {
            observation_space: Space::unbounded(2),
            action_space: Space::discrete(2),
            at: 0.0,
            noise: Stream::new(0, "walk", 0),
        }
    }

    fn observe(&mut self, observation: &mut [f32]) {
        observation[0] = self.at;
        observation[1] = self.noise.uniform() as f32;
    }
}

impl Env for Walk {
    fn name(&self) -> &str {
        "Walk-v0"
    }

    fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    fn action_space(&self) -> &Space {
        &self.action_space
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        self.noise = Stream::new(seed, "walk", 0);
        self.at = self.noise.below(9) as f32 - 4.0;
        self.observe(observation);
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.at += if action.discrete()? == 1 { 1.0 } else { -1.0 };
        self.observe(observation);
        let reward = if self.at >= 9.0 {
            1.0
        } else if self.at <= -9.0 {
            -1.0
        } else {
            0.0
        };
        Ok(Step { reward, terminated: reward != 0.0, truncated: false })
    }

    fn save(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(&(self.at, &self.noise)).ok()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        (self.at, self.noise) = serde_json::from_slice(state)
            .map_err(|_| Error::format("walk", "unreadable", "a position and a stream", state.len()))?;
        Ok(())
    }
}

/// A one-column target: the reward is −(action − target)², one step per episode. Continuous, cannot be saved.
pub struct Target {
    observation_space: Space,
    action_space: Space,
    target: f32,
}

impl Target {
    pub fn new() -> Self {
        Target {
            observation_space: Space::unbounded(1),
            action_space: Space::bounded(&[-1.0], &[1.0]).unwrap(),
            target: 0.0,
        }
    }
}

impl Env for Target {
    fn name(&self) -> &str {
        "Target-v0"
    }

    fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    fn action_space(&self) -> &Space {
        &self.action_space
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        self.target = Stream::new(seed, "target", 0).range(-0.8, 0.8) as f32;
        observation[0] = self.target;
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        let error = action.continuous()?[0] - self.target;
        observation[0] = self.target;
        Ok(Step { reward: -error * error, terminated: true, truncated: false })
    }
}

/// A point that actions push along two axes, both rewarded near 0. Continuous, never ends by itself, can be saved.
pub struct Drift {
    observation_space: Space,
    action_space: Space,
    at: [f32; 2],
}

impl Drift {
    pub fn new() -> Self {
        Drift {
            observation_space: Space::unbounded(2),
            action_space: Space::bounded(&[-1.0; 2], &[1.0; 2]).unwrap(),
            at: [0.0; 2],
        }
    }
}

impl Env for Drift {
    fn name(&self) -> &str {
        "Drift-v0"
    }

    fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    fn action_space(&self) -> &Space {
        &self.action_space
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        let mut stream = Stream::new(seed, "drift", 0);
        self.at = [0; 2].map(|_| stream.range(-3.0, 3.0) as f32);
        observation.copy_from_slice(&self.at);
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.at.iter_mut().zip(action.continuous()?).for_each(|(at, push)| *at += push);
        observation.copy_from_slice(&self.at);
        Ok(Step { reward: -self.at[0].abs() - self.at[1].abs(), terminated: false, truncated: false })
    }

    fn save(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(&self.at).ok()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let read = serde_json::from_slice(state);
        self.at = read.map_err(|_| Error::format("drift", "unreadable", "two numbers", state.len()))?;
        Ok(())
    }
}

/// Breaks the contract as told; cannot be saved.
pub struct Broken {
    pub reward: f32,
    pub code: f32,
    pub mask: Option<[bool; 2]>,
    pub spaces: (Space, Space),
}

impl Broken {
    pub fn nothing() -> Self {
        Broken { reward: 0.0, code: 0.0, mask: None, spaces: (Space::discrete(3), Space::discrete(2)) }
    }
}

impl Env for Broken {
    fn name(&self) -> &str {
        "Broken-v0"
    }

    fn observation_space(&self) -> &Space {
        &self.spaces.0
    }

    fn action_space(&self) -> &Space {
        &self.spaces.1
    }

    fn reset(&mut self, _seed: u64, observation: &mut [f32]) -> Result<()> {
        observation[0] = 0.0;
        Ok(())
    }

    fn step(&mut self, _action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        observation[0] = self.code;
        Ok(Step { reward: self.reward, terminated: false, truncated: false })
    }

    fn has_action_mask(&self) -> bool {
        self.mask.is_some()
    }

    fn action_mask(&self, allowed: &mut [bool]) {
        allowed.copy_from_slice(&self.mask.unwrap_or([true; 2]));
    }
}

/// A contextual bandit with masks: the observation is a code 0..4, action = code pays 1, and the choice after it is
/// forbidden. One step per episode.
pub struct Masked {
    spaces: (Space, Space),
    code: u32,
}

impl Masked {
    pub fn new() -> Self {
        Masked { spaces: (Space::discrete(4), Space::discrete(4)), code: 0 }
    }
}

impl Env for Masked {
    fn name(&self) -> &str {
        "Masked-v0"
    }

    fn observation_space(&self) -> &Space {
        &self.spaces.0
    }

    fn action_space(&self) -> &Space {
        &self.spaces.1
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        self.code = (seed % 4) as u32;
        observation[0] = self.code as f32;
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        let action = action.discrete()?;
        if action == (self.code + 1) % 4 {
            return Err(Error::environment(self.name(), "forbidden action", "an allowed one", action));
        }
        observation[0] = self.code as f32;
        let reward = f32::from(u8::from(action == self.code));
        Ok(Step { reward, terminated: true, truncated: false })
    }

    fn has_action_mask(&self) -> bool {
        true
    }

    fn action_mask(&self, allowed: &mut [bool]) {
        allowed.fill(true);
        allowed[(self.code as usize + 1) % 4] = false;
    }

    fn save(&self) -> Option<Vec<u8>> {
        Some(self.code.to_le_bytes().to_vec())
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let bytes = state.try_into().map_err(|_| Error::format("bandit", "wrong length", 4, state.len()))?;
        self.code = u32::from_le_bytes(bytes);
        Ok(())
    }
}

/// Masks of every kind: the observation is a random number, every part's mask is drawn anew at each step, and a
/// forbidden choice is an error. The highest choices pay; an episode has five steps.
pub struct MaskedParts {
    spaces: (Space, Space),
    at: Stream,
    mask: Vec<bool>,
    t: u32,
}

impl MaskedParts {
    pub fn new(action_space: Space) -> Self {
        let mask = vec![true; mask_len(&action_space)];
        MaskedParts { spaces: (Space::unbounded(1), action_space), at: Stream::new(0, "masked", 0), mask, t: 0 }
    }

    fn show(&mut self, observation: &mut [f32]) {
        observation[0] = self.at.uniform() as f32;
        let mut first = 0;
        for n in mask_parts(&self.spaces.1) {
            let allowed = &mut self.mask[first..first + n];
            allowed.iter_mut().for_each(|flag| *flag = self.at.uniform() < 0.5);
            allowed[self.at.below(n as u64) as usize] = true;
            first += n;
        }
    }
}

impl Env for MaskedParts {
    fn name(&self) -> &str {
        "MaskedParts-v0"
    }

    fn observation_space(&self) -> &Space {
        &self.spaces.0
    }

    fn action_space(&self) -> &Space {
        &self.spaces.1
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        self.at = Stream::new(seed, "masked", 0);
        self.t = 0;
        self.show(observation);
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        let single = action.discrete().map(|choice| [choice]);
        let choices = match &single {
            Ok(choice) => &choice[..],
            Err(_) => action.indices()?,
        };
        let (mut first, mut reward) = (0, 0.0);
        for (n, &choice) in mask_parts(&self.spaces.1).into_iter().zip(choices) {
            if !self.mask[first + choice as usize] {
                return Err(Error::environment(self.name(), "forbidden action", "an allowed one", choice));
            }
            first += n;
            reward += choice as f32;
        }
        self.show(observation);
        self.t += 1;
        Ok(Step { reward, terminated: self.t == 5, truncated: false })
    }

    fn has_action_mask(&self) -> bool {
        true
    }

    fn action_mask(&self, allowed: &mut [bool]) {
        allowed.copy_from_slice(&self.mask);
    }
}
