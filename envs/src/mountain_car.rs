//! MountainCar-v0: drive an under-powered car out of a valley by swinging back and forth.
//!
//! Source: Gymnasium's `MountainCar-v0`; Moore, *Efficient memory-based learning for robot control*, 1990.
//!
//! | index | observation | unit | min | max |
//! |---|---|---|---|---|
//! | 0 | position along the track, the valley's floor at −π/6 | m | −1.2 | 0.6 |
//! | 1 | velocity | m/step | −0.07 | 0.07 |
//!
//! | | |
//! |---|---|
//! | actions | `Discrete(3)`: accelerate left, not at all, right |
//! | reward | −1 per step, the last one included |
//! | start | position uniform in [−0.6, −0.4), at rest |
//! | terminated | position at least 0.5 and velocity at least 0 |
//! | truncated | after 200 steps (by the registry) |
//! | solved | mean return −110 |
//! | constants | velocity += 0.001·(action − 1) − 0.0025·cos(3·position), clipped; the left wall at −1.2 stops the car |

use gbrl_core::data::FeatureSchema;
use gbrl_core::error::Result;
use gbrl_core::math::cos;
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;

use crate::common::{Limits, Phase, StateReader, StateWriter, discrete_action, numbers, row, words};

const NAME: &str = "MountainCar-v0";
const FORCE: f64 = 0.001;
const GRAVITY: f64 = 0.0025;
pub(crate) const MIN_POSITION: f64 = -1.2;
pub(crate) const MAX_POSITION: f64 = 0.6;
pub(crate) const MAX_SPEED: f64 = 0.07;
const GOAL: f64 = 0.5;
const LIMITS: Limits<2> = Limits { low: [MIN_POSITION, -MAX_SPEED], high: [MAX_POSITION, MAX_SPEED] };

/// The environment; the module's page describes the task.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_envs::mountain_car::MountainCar;
/// let (mut env, mut observation) = (MountainCar::new(), [0.0; 2]);
/// env.set_state([-1.19, -0.05])?;
/// env.step(Action::Discrete(0), &mut observation)?;
/// assert_eq!(observation, [-1.2, 0.0], "the wall stops the car");
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MountainCar {
    observation_space: Space,
    action_space: Space,
    state: [f64; 2],
    phase: Phase,
}

impl MountainCar {
    /// A new environment; [`reset`](Env::reset) or [`set_state`](MountainCar::set_state) starts an episode.
    pub fn new() -> Self {
        MountainCar {
            observation_space: observation_space(),
            action_space: Space::discrete(3),
            state: [0.0; 2],
            phase: Phase::NeedsReset,
        }
    }

    /// Position and velocity in full precision.
    pub fn state(&self) -> [f64; 2] {
        self.state
    }

    /// Starts an episode in `state`: position, velocity.
    ///
    /// # Errors
    /// [`ErrorKind::Element`](gbrl_core::error::ErrorKind::Element) when one is outside the observation space.
    pub fn set_state(&mut self, state: [f64; 2]) -> Result<()> {
        LIMITS.check(state)?;
        (self.state, self.phase) = (state, Phase::Running);
        Ok(())
    }
}

/// Position and velocity; the continuous car has the same.
pub(crate) fn observation_space() -> Space {
    let (low, high) = ([MIN_POSITION, -MAX_SPEED], [MAX_POSITION, MAX_SPEED]);
    Space::Box { shape: vec![2], low: low.map(|x| x as f32).to_vec(), high: high.map(|x| x as f32).to_vec() }
}

impl Default for MountainCar {
    fn default() -> Self {
        MountainCar::new()
    }
}

impl Env for MountainCar {
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
        words(&["left", "nothing", "right"])
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        let row = row::<2>(observation)?;
        self.state = [Stream::new(seed, NAME, 0).range(-0.6, -0.4), 0.0];
        self.phase = Phase::Running;
        *row = self.state.map(|x| x as f32);
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(NAME)?;
        let direction = f64::from(discrete_action(action, 3)?) - 1.0;
        let row = row::<2>(observation)?;

        let [position, velocity] = self.state;
        let velocity = velocity + (direction * FORCE - GRAVITY * cos(3.0 * position));
        let velocity = velocity.clamp(-MAX_SPEED, MAX_SPEED);
        let position = (position + velocity).clamp(MIN_POSITION, MAX_POSITION);
        let at_wall = position == MIN_POSITION && velocity < 0.0;
        self.state = [position, if at_wall { 0.0 } else { velocity }];

        let terminated = position >= GOAL && self.state[1] >= 0.0;
        self.phase = Phase::after(terminated);
        *row = self.state.map(|x| x as f32);
        Ok(Step { reward: -1.0, terminated, truncated: false })
    }

    fn save(&self) -> Option<Vec<u8>> {
        StateWriter::new(NAME).phase(self.phase).f64s(&self.state).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = StateReader::new(NAME, state)?;
        let (phase, state) = (reader.phase()?, reader.f64s(&LIMITS)?);
        reader.finish()?;
        (self.state, self.phase) = (state, phase);
        Ok(())
    }
}
