//! MountainCarContinuous-v0: the under-powered car in its valley, with a throttle and a price on fuel.
//!
//! Source: Gymnasium's `MountainCarContinuous-v0`; Moore, *Efficient memory-based learning for robot control*, 1990.
//!
//! | index | observation | unit | min | max |
//! |---|---|---|---|---|
//! | 0 | position along the track, the valley's floor at −π/6 | m | −1.2 | 0.6 |
//! | 1 | velocity | m/step | −0.07 | 0.07 |
//!
//! | | |
//! |---|---|
//! | actions | `Box(1)` in [−1, 1]: throttle, negative to the left; beyond the bounds it acts as the bound |
//! | reward | −0.1·throttle² per step (of the throttle as given), plus 100 on reaching the goal |
//! | start | position uniform in [−0.6, −0.4), at rest |
//! | terminated | position at least 0.45 and velocity at least 0 |
//! | truncated | after 999 steps (by the registry) |
//! | solved | mean return 90 |
//! | constants | velocity += 0.0015·throttle − 0.0025·cos(3·position), clipped; the left wall at −1.2 stops the car |
//!
//! Gymnasium keeps this task's state in single precision, where numpy's promotion rules then compute all but the
//! cosine. So does this file, and agrees with it to the bit. (Only the first step after a reset differs there, by one
//! rounding: Gymnasium's start position has double precision, ours is rounded.)

use gbrl_core::data::FeatureSchema;
use gbrl_core::error::Result;
use gbrl_core::math::cos;
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;

use crate::common::{Limits, Phase, StateReader, StateWriter, numbers, row, scalar_action, words};
use crate::mountain_car::{MAX_POSITION, MAX_SPEED, MIN_POSITION, observation_space};

const NAME: &str = "MountainCarContinuous-v0";
const POWER: f64 = 0.0015;
const GRAVITY: f64 = 0.0025;
const GOAL: f32 = 0.45;
const LIMITS: Limits<2> = Limits { low: [MIN[0] as f64, MIN[1] as f64], high: [MAX[0] as f64, MAX[1] as f64] };
const MIN: [f32; 2] = [MIN_POSITION as f32, -MAX_SPEED as f32];
const MAX: [f32; 2] = [MAX_POSITION as f32, MAX_SPEED as f32];

/// The environment; the module's page describes the task.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_envs::mountain_car_continuous::MountainCarContinuous;
/// let (mut env, mut observation) = (MountainCarContinuous::new(), [0.0; 2]);
/// env.set_state([0.44, 0.05])?;
/// let step = env.step(Action::Box(&[1.0]), &mut observation)?;
/// assert!(step.terminated);
/// assert_eq!(step.reward, 99.9);
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MountainCarContinuous {
    observation_space: Space,
    action_space: Space,
    state: [f32; 2],
    phase: Phase,
}

impl MountainCarContinuous {
    /// A new environment; [`reset`](Env::reset) or [`set_state`](MountainCarContinuous::set_state) starts an episode.
    pub fn new() -> Self {
        MountainCarContinuous {
            observation_space: observation_space(),
            action_space: Space::Box { shape: vec![1], low: vec![-1.0], high: vec![1.0] },
            state: [0.0; 2],
            phase: Phase::NeedsReset,
        }
    }

    /// Position and velocity; single precision is the full one here.
    pub fn state(&self) -> [f32; 2] {
        self.state
    }

    /// Starts an episode in `state`: position, velocity.
    ///
    /// # Errors
    /// [`ErrorKind::Element`](gbrl_core::error::ErrorKind::Element) when one is outside the observation space.
    pub fn set_state(&mut self, state: [f32; 2]) -> Result<()> {
        LIMITS.check(state.map(f64::from))?;
        (self.state, self.phase) = (state, Phase::Running);
        Ok(())
    }
}

impl Default for MountainCarContinuous {
    fn default() -> Self {
        MountainCarContinuous::new()
    }
}

impl Env for MountainCarContinuous {
    fn name(&self) -> &str {
        NAME
    }

    fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    fn action_space(&self) -> &Space {
        &self.action_space
    }

    fn features(&self) -> FeatureSchema {
        numbers(["position", "velocity"])
    }

    fn choices(&self) -> Vec<String> {
        words(&["throttle"])
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        let row = row::<2>(observation)?;
        self.state = [Stream::new(seed, NAME, 0).range(-0.6, -0.4) as f32, 0.0];
        self.phase = Phase::Running;
        *row = self.state;
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(NAME)?;
        let throttle = scalar_action(action)?;
        let row = row::<2>(observation)?;

        let [position, velocity] = self.state;
        let slope = GRAVITY * cos(f64::from(3.0 * position));
        let push = if throttle.abs() <= 1.0 {
            throttle * POWER as f32 - slope as f32
        } else {
            // A throttle that was clipped is no longer numpy's number but Python's, which is rounded only here.
            (POWER.copysign(throttle.into()) - slope) as f32
        };
        let velocity = velocity + push;
        let velocity = velocity.clamp(MIN[1], MAX[1]);
        let position = (position + velocity).clamp(MIN[0], MAX[0]);
        let at_wall = position == MIN[0] && velocity < 0.0;
        self.state = [position, if at_wall { 0.0 } else { velocity }];

        let terminated = position >= GOAL && self.state[1] >= 0.0;
        let fuel = f64::from(throttle) * f64::from(throttle) * 0.1;
        let reward = if terminated { 100.0 - fuel } else { -fuel };
        self.phase = Phase::after(terminated);
        *row = self.state;
        Ok(Step { reward: finite(reward), terminated, truncated: false })
    }

    fn save(&self) -> Option<Vec<u8>> {
        StateWriter::new(NAME).phase(self.phase).f64s(&self.state.map(f64::from)).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = StateReader::new(NAME, state)?;
        let (phase, wide) = (reader.phase()?, reader.f64s(&LIMITS)?);
        reader.finish()?;
        (self.state, self.phase) = (wide.map(|x| x as f32), phase);
        Ok(())
    }
}

/// A reward as f32; the square of a huge throttle would overflow.
fn finite(reward: f64) -> f32 {
    (reward as f32).clamp(f32::MIN, f32::MAX)
}
