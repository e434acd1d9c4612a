//! The environment contract: Gymnasium's, with observations written into the caller's buffer.

use crate::data::FeatureSchema;
use crate::error::{Error, Result};
use crate::rl::space::Space;

/// One environment.
///
/// The contract, which `gbrl_envs::check` verifies:
/// * [`reset`](Env::reset) starts an episode and writes its first observation. The same seed gives the same episode.
/// * [`step`](Env::step) writes the observation **after** the action. `terminated` means that the task itself ended:
///   the future is worth nothing. `truncated` means that someone stopped watching (a time limit): the future is worth
///   what the value function says. Both may be true.
/// * After either, `step` may not be called before `reset`. [`VecEnv`](crate::rl::vec_env::VecEnv) takes care of it.
/// * Observations are flat rows of [`observation_space`](Env::observation_space)`.flat_len()` columns; discrete parts
///   hold their code 0, 1, … (value − start); NaN is a missing value.
///
/// ```
/// use gbrl_core::error::Result;
/// use gbrl_core::rl::env::{Action, Env, Step};
/// use gbrl_core::rl::space::Space;
///
/// /// Guess the bit that is shown.
/// struct Echo {
///     observation: Space,
///     action: Space,
///     shown: u32,
/// }
///
/// impl Env for Echo {
///     fn name(&self) -> &str {
///         "Echo-v0"
///     }
///     fn observation_space(&self) -> &Space {
///         &self.observation
///     }
///     fn action_space(&self) -> &Space {
///         &self.action
///     }
///     fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
///         self.shown = (seed % 2) as u32;
///         observation[0] = self.shown as f32;
///         Ok(())
///     }
///     fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
///         let right = action.discrete()? == self.shown;
///         observation[0] = self.shown as f32;
///         Ok(Step { reward: f32::from(u8::from(right)), terminated: true, truncated: false })
///     }
/// }
/// ```
pub trait Env: Send {
    /// The registered name, such as "CartPole-v1"; used in messages and file names.
    fn name(&self) -> &str;

    /// Where observations come from; constant over the environment's life.
    fn observation_space(&self) -> &Space;

    /// Where actions come from; constant over the environment's life.
    fn action_space(&self) -> &Space;

    /// What the columns of an observation, and the codes of categories, are called in dumps and pictures; of the kinds
    /// of the observation space's [`schema`](Space::schema), which is the default.
    fn features(&self) -> FeatureSchema {
        self.observation_space().schema()
    }

    /// What the parts of an action are called in dumps and pictures: one name per value of each discrete part, per bit,
    /// per number of a `Box`. By default they have none.
    fn choices(&self) -> Vec<String> {
        Vec::new()
    }

    /// Starts a new episode and writes its first observation. Equal seeds give equal episodes.
    ///
    /// # Errors
    /// Whatever the environment cannot do; the run stops with it.
    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()>;

    /// Advances one step and writes the observation after it.
    ///
    /// # Errors
    /// An action of the wrong kind, or whatever the environment cannot do; the run stops with it.
    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step>;

    /// Whether [`action_mask`](Env::action_mask) has something to say; constant over the environment's life.
    fn has_action_mask(&self) -> bool {
        false
    }

    /// Writes which actions are allowed in the current state, one flag per choice (see [`mask_len`]). At least one
    /// choice of each discrete part must be allowed. The default allows everything.
    fn action_mask(&self, allowed: &mut [bool]) {
        allowed.fill(true);
    }

    /// The complete state as bytes, for a checkpoint; `None` where an environment cannot be saved, and then a resumed
    /// run starts a new episode there and says so.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }

    /// Restores what [`save`](Env::save) gave.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::error::ErrorKind::Unsupported) by default, and
    /// [`ErrorKind::Format`](crate::error::ErrorKind::Format) for bytes that `save` did not write.
    fn restore(&mut self, _state: &[u8]) -> Result<()> {
        Err(Error::unsupported(
            "restoring a saved state",
            format!("in {}", self.name()),
            "the environment cannot be saved",
        ))
    }
}

/// What one step gave, besides the observation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// The reward of this step.
    pub reward: f32,
    /// The task ended: no future.
    pub terminated: bool,
    /// The episode was cut off: the future goes on unseen.
    pub truncated: bool,
}

/// An action, borrowed from the policy's buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action<'a> {
    /// Index 0..n (the space's `start` is not added).
    Discrete(u32),
    /// One index per element.
    MultiDiscrete(&'a [u32]),
    /// One 0 or 1 per bit.
    MultiBinary(&'a [u32]),
    /// Real numbers, row-major, already clipped to the space's bounds.
    Box(&'a [f32]),
}

impl<'a> Action<'a> {
    /// The index of a discrete action.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) when the action is of another kind.
    pub fn discrete(self) -> Result<u32> {
        match self {
            Action::Discrete(index) => Ok(index),
            other => Err(Error::shape("action", "Discrete", other.kind())),
        }
    }

    /// The numbers of a continuous action.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) when the action is of another kind.
    pub fn continuous(self) -> Result<&'a [f32]> {
        match self {
            Action::Box(values) => Ok(values),
            other => Err(Error::shape("action", "Box", other.kind())),
        }
    }

    /// The indices of a multi-discrete or the bits of a multi-binary action.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) when the action is of another kind.
    pub fn indices(self) -> Result<&'a [u32]> {
        match self {
            Action::MultiDiscrete(indices) | Action::MultiBinary(indices) => Ok(indices),
            other => Err(Error::shape("action", "MultiDiscrete or MultiBinary", other.kind())),
        }
    }

    fn kind(self) -> String {
        match self {
            Action::Discrete(_) => "Discrete".to_owned(),
            Action::MultiDiscrete(indices) => format!("MultiDiscrete of {}", indices.len()),
            Action::MultiBinary(bits) => format!("MultiBinary of {}", bits.len()),
            Action::Box(values) => format!("Box of {}", values.len()),
        }
    }
}

/// Choices of each discrete part of an action, in the order of a mask's flags: n for `Discrete`, each of nvec for
/// `MultiDiscrete`, 2 per bit for `MultiBinary` (0 first), nothing for `Box`, which has no mask.
pub fn mask_parts(action_space: &Space) -> Vec<usize> {
    match action_space {
        Space::Discrete { n, .. } => vec![*n as usize],
        Space::MultiDiscrete { nvec } => nvec.iter().map(|&n| n as usize).collect(),
        Space::MultiBinary { n } => vec![2; *n],
        Space::Box { .. } | Space::Text | Space::Dict(_) | Space::Tuple(_) => Vec::new(),
    }
}

/// Flags in an action mask, over all its [parts](mask_parts).
pub fn mask_len(action_space: &Space) -> usize {
    mask_parts(action_space).into_iter().sum()
}

/// Ends every episode after `max_steps` steps by truncation, as Gymnasium's `TimeLimit`.
pub struct TimeLimit<E> {
    env: E,
    max_steps: u32,
    elapsed: u32,
}

impl<E: Env> TimeLimit<E> {
    /// Limits `env` to `max_steps` steps per episode.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](crate::error::ErrorKind::Parameter) when `max_steps` is 0.
    pub fn new(env: E, max_steps: u32) -> Result<Self> {
        if max_steps == 0 {
            return Err(Error::parameter("max_steps", 0, "at least 1"));
        }
        Ok(TimeLimit { env, max_steps, elapsed: 0 })
    }
}

impl<E: Env> Env for TimeLimit<E> {
    fn name(&self) -> &str {
        self.env.name()
    }

    fn observation_space(&self) -> &Space {
        self.env.observation_space()
    }

    fn action_space(&self) -> &Space {
        self.env.action_space()
    }

    fn features(&self) -> FeatureSchema {
        self.env.features()
    }

    fn choices(&self) -> Vec<String> {
        self.env.choices()
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        self.elapsed = 0;
        self.env.reset(seed, observation)
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        let mut step = self.env.step(action, observation)?;
        self.elapsed += 1;
        step.truncated |= self.elapsed >= self.max_steps;
        Ok(step)
    }

    fn has_action_mask(&self) -> bool {
        self.env.has_action_mask()
    }

    fn action_mask(&self, allowed: &mut [bool]) {
        self.env.action_mask(allowed);
    }

    fn save(&self) -> Option<Vec<u8>> {
        let mut state = self.elapsed.to_le_bytes().to_vec();
        state.extend(self.env.save()?);
        Some(state)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        match state.split_first_chunk::<4>() {
            Some((elapsed, rest)) => {
                self.env.restore(rest)?;
                self.elapsed = u32::from_le_bytes(*elapsed);
                Ok(())
            }
            None => Err(Error::format("environment state", "too short", "at least 4 bytes", state.len())),
        }
    }
}

impl<E: Env + ?Sized> Env for Box<E> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn observation_space(&self) -> &Space {
        (**self).observation_space()
    }

    fn action_space(&self) -> &Space {
        (**self).action_space()
    }

    fn features(&self) -> FeatureSchema {
        (**self).features()
    }

    fn choices(&self) -> Vec<String> {
        (**self).choices()
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        (**self).reset(seed, observation)
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        (**self).step(action, observation)
    }

    fn has_action_mask(&self) -> bool {
        (**self).has_action_mask()
    }

    fn action_mask(&self, allowed: &mut [bool]) {
        (**self).action_mask(allowed);
    }

    fn save(&self) -> Option<Vec<u8>> {
        (**self).save()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        (**self).restore(state)
    }
}
