//! Pendulum-v1: swing a pendulum up and hold it there by a torque at its joint.
//!
//! Source: Gymnasium's `Pendulum-v1`.
//!
//! | index | observation | unit | min | max |
//! |---|---|---|---|---|
//! | 0 | cosine of the angle, 0 upright | | −1 | 1 |
//! | 1 | sine of the angle | | −1 | 1 |
//! | 2 | angular velocity | rad/s | −8 | 8 |
//!
//! | | |
//! |---|---|
//! | actions | `Box(1)` in [−2, 2]: torque in N·m; beyond the bounds it acts as the bound |
//! | reward | −(angle² + 0.1·velocity² + 0.001·torque²) of the state before the step, the angle in [−π, π); from −16.27 to 0 |
//! | start | angle uniform in [−π, π), velocity uniform in [−1, 1) |
//! | terminated | never |
//! | truncated | after 200 steps (by the registry) |
//! | solved | no threshold is registered |
//! | constants | gravity 10 m/s², a rod of 1 kg and 1 m, semi-implicit Euler steps of 0.05 s, velocity clipped |
//!
//! The torque's own terms are rounded to single precision, as numpy does with a single-precision action.

use std::f64::consts::{PI, TAU};

use gbrl_core::data::FeatureSchema;
use gbrl_core::error::Result;
use gbrl_core::math::{cos, sin};
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;

use crate::common::{Limits, Phase, StateReader, StateWriter, numbers, row, scalar_action, words};

const NAME: &str = "Pendulum-v1";
const GRAVITY: f64 = 10.0;
const DT: f64 = 0.05;
const MAX_SPEED: f64 = 8.0;
const MAX_TORQUE: f32 = 2.0;
/// The angle counts whole turns and has no bound.
const LIMITS: Limits<2> = Limits::symmetric([f64::MAX, MAX_SPEED]);

/// The environment; the module's page describes the task.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_envs::pendulum::Pendulum;
/// let (mut env, mut observation) = (Pendulum::new(), [0.0; 3]);
/// env.set_state([0.0, 0.0])?;
/// let step = env.step(Action::Box(&[0.0]), &mut observation)?;
/// assert_eq!(step.reward, 0.0);
/// assert_eq!(observation, [1.0, 0.0, 0.0], "upright and at rest it stays so");
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pendulum {
    observation_space: Space,
    action_space: Space,
    state: [f64; 2],
    phase: Phase,
}

impl Pendulum {
    /// A new environment; [`reset`](Env::reset) or [`set_state`](Pendulum::set_state) starts an episode.
    pub fn new() -> Self {
        let high = [1.0, 1.0, MAX_SPEED as f32];
        Pendulum {
            observation_space: Space::Box { shape: vec![3], low: high.map(|x| -x).to_vec(), high: high.to_vec() },
            action_space: Space::Box { shape: vec![1], low: vec![-MAX_TORQUE], high: vec![MAX_TORQUE] },
            state: [0.0; 2],
            phase: Phase::NeedsReset,
        }
    }

    /// Angle, whole turns included, and angular velocity in full precision.
    pub fn state(&self) -> [f64; 2] {
        self.state
    }

    /// Starts an episode in `state`: angle, angular velocity.
    ///
    /// # Errors
    /// [`ErrorKind::Element`](gbrl_core::error::ErrorKind::Element) when one is not finite or the velocity is beyond
    /// its clip.
    pub fn set_state(&mut self, state: [f64; 2]) -> Result<()> {
        LIMITS.check(state)?;
        (self.state, self.phase) = (state, Phase::Running);
        Ok(())
    }

    fn observe(&self, row: &mut [f32; 3]) {
        let [angle, velocity] = self.state;
        *row = [cos(angle) as f32, sin(angle) as f32, velocity as f32];
    }
}

impl Default for Pendulum {
    fn default() -> Self {
        Pendulum::new()
    }
}

impl Env for Pendulum {
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
        numbers(["cos_angle", "sin_angle", "angular_velocity"])
    }

    fn choices(&self) -> Vec<String> {
        words(&["torque"])
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        let row = row::<3>(observation)?;
        let mut stream = Stream::new(seed, NAME, 0);
        self.state = [stream.range(-PI, PI), stream.range(-1.0, 1.0)];
        self.phase = Phase::Running;
        self.observe(row);
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(NAME)?;
        let torque = scalar_action(action)?.clamp(-MAX_TORQUE, MAX_TORQUE);
        let row = row::<3>(observation)?;

        let [angle, velocity] = self.state;
        let turned = (angle + PI).rem_euclid(TAU) - PI;
        let cost = turned * turned + 0.1 * (velocity * velocity) + f64::from(0.001 * (torque * torque));

        let acceleration = 1.5 * GRAVITY * sin(angle) + f64::from(3.0 * torque);
        let velocity = (velocity + acceleration * DT).clamp(-MAX_SPEED, MAX_SPEED);
        self.state = [angle + velocity * DT, velocity];
        self.observe(row);
        Ok(Step { reward: -cost as f32, terminated: false, truncated: false })
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
