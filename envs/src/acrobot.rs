//! Acrobot-v1: swing the free end of two hanging links above a line by a torque at the joint between them.
//!
//! Source: Gymnasium's `Acrobot-v1` with the equations of the book; Sutton, *Generalization in reinforcement learning:
//! successful examples using sparse coarse coding*, 1996; Sutton and Barto, *Reinforcement Learning*, 2018.
//!
//! | index | observation | unit | min | max |
//! |---|---|---|---|---|
//! | 0 | cosine of the first joint's angle, 0 hanging down | | −1 | 1 |
//! | 1 | sine of the first joint's angle | | −1 | 1 |
//! | 2 | cosine of the second joint's angle, relative to the first link | | −1 | 1 |
//! | 3 | sine of the second joint's angle | | −1 | 1 |
//! | 4 | angular velocity of the first joint | rad/s | −4π | 4π |
//! | 5 | angular velocity of the second joint | rad/s | −9π | 9π |
//!
//! | | |
//! |---|---|
//! | actions | `Discrete(3)`: torque −1, 0, 1 N·m on the second joint |
//! | reward | −1 per step, 0 on the step that reaches the line |
//! | start | both angles and velocities uniform in [−0.1, 0.1), rounded to f32 |
//! | terminated | −cos θ₁ − cos(θ₁ + θ₂) > 1: the free end is one link above the first joint |
//! | truncated | after 500 steps (by the registry) |
//! | solved | mean return −100 |
//! | constants | links 1 m, 1 kg, centre of mass in the middle, moment of inertia 1 kg·m²; gravity 9.8 m/s²; one Runge–Kutta step (4th order) of 0.2 s |
//!
//! After each step angles wrap into [−π, π] and velocities are clipped.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use gbrl_core::data::FeatureSchema;
use gbrl_core::error::Result;
use gbrl_core::math::{cos, sin};
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;

use crate::common::{Limits, Phase, StateReader, StateWriter, discrete_action, numbers, row, words};

const NAME: &str = "Acrobot-v1";
const GRAVITY: f64 = 9.8;
const LENGTH: f64 = 1.0;
const MASS: f64 = 1.0;
/// From the joint to the link's centre of mass.
const CENTRE: f64 = 0.5;
const INERTIA: f64 = 1.0;
const DT: f64 = 0.2;
const MAX_SPIN: [f64; 2] = [4.0 * PI, 9.0 * PI];
const LIMITS: Limits<4> = Limits::symmetric([PI, PI, MAX_SPIN[0], MAX_SPIN[1]]);

/// The environment; the module's page describes the task.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_envs::acrobot::Acrobot;
/// let (mut env, mut observation) = (Acrobot::new(), [0.0; 6]);
/// env.set_state([3.0, 0.0, 1.0, 0.0])?; // almost upright
/// let step = env.step(Action::Discrete(1), &mut observation)?;
/// assert!(step.terminated);
/// assert_eq!(step.reward, 0.0);
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Acrobot {
    observation_space: Space,
    action_space: Space,
    state: [f64; 4],
    phase: Phase,
}

impl Acrobot {
    /// A new environment; [`reset`](Env::reset) or [`set_state`](Acrobot::set_state) starts an episode.
    pub fn new() -> Self {
        let high = [1.0, 1.0, 1.0, 1.0, MAX_SPIN[0] as f32, MAX_SPIN[1] as f32];
        Acrobot {
            observation_space: Space::Box { shape: vec![6], low: high.map(|x| -x).to_vec(), high: high.to_vec() },
            action_space: Space::discrete(3),
            state: [0.0; 4],
            phase: Phase::NeedsReset,
        }
    }

    /// θ₁, θ₂ and their velocities in full precision.
    pub fn state(&self) -> [f64; 4] {
        self.state
    }

    /// Starts an episode in `state`: θ₁, θ₂, θ̇₁, θ̇₂.
    ///
    /// # Errors
    /// [`ErrorKind::Element`](gbrl_core::error::ErrorKind::Element) when an angle is beyond ±π or a velocity beyond
    /// its clip.
    pub fn set_state(&mut self, state: [f64; 4]) -> Result<()> {
        LIMITS.check(state)?;
        (self.state, self.phase) = (state, Phase::Running);
        Ok(())
    }

    fn observe(&self, row: &mut [f32; 6]) {
        let [a1, a2, s1, s2] = self.state;
        *row = [cos(a1), sin(a1), cos(a2), sin(a2), s1, s2].map(|x| x as f32);
    }
}

impl Default for Acrobot {
    fn default() -> Self {
        Acrobot::new()
    }
}

/// Time derivatives of (θ₁, θ₂, θ̇₁, θ̇₂) under `torque`; the book's equations with its d and φ.
fn derivatives([a1, a2, s1, s2]: [f64; 4], torque: f64) -> [f64; 4] {
    let (sin2, cos2) = (sin(a2), cos(a2));
    let coupling = MASS * LENGTH * CENTRE;
    let d1 = MASS * CENTRE * CENTRE
        + MASS * (LENGTH * LENGTH + CENTRE * CENTRE + 2.0 * LENGTH * CENTRE * cos2)
        + INERTIA
        + INERTIA;
    let d2 = MASS * (CENTRE * CENTRE + LENGTH * CENTRE * cos2) + INERTIA;
    let phi2 = MASS * CENTRE * GRAVITY * cos(a1 + a2 - FRAC_PI_2);
    let phi1 = -coupling * (s2 * s2) * sin2 - 2.0 * coupling * s2 * s1 * sin2
        + (MASS * CENTRE + MASS * LENGTH) * GRAVITY * cos(a1 - FRAC_PI_2)
        + phi2;
    let rate2 = (torque + d2 / d1 * phi1 - coupling * (s1 * s1) * sin2 - phi2)
        / (MASS * CENTRE * CENTRE + INERTIA - d2 * d2 / d1);
    let rate1 = -(d2 * rate2 + phi1) / d1;
    [s1, s2, rate1, rate2]
}

/// One classical Runge–Kutta step of length `DT`.
fn integrate(state: [f64; 4], torque: f64) -> [f64; 4] {
    let ahead = |k: [f64; 4], dt: f64| -> [f64; 4] { std::array::from_fn(|i| state[i] + dt * k[i]) };
    let k1 = derivatives(state, torque);
    let k2 = derivatives(ahead(k1, DT / 2.0), torque);
    let k3 = derivatives(ahead(k2, DT / 2.0), torque);
    let k4 = derivatives(ahead(k3, DT), torque);
    std::array::from_fn(|i| state[i] + DT / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]))
}

/// `angle` moved into [−π, π] by whole turns.
fn wrap(mut angle: f64) -> f64 {
    // One step turns a joint by a few turns at most, so these loops are short.
    while angle > PI {
        angle -= TAU;
    }
    while angle < -PI {
        angle += TAU;
    }
    angle
}

impl Env for Acrobot {
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
        numbers(["cos_angle_1", "sin_angle_1", "cos_angle_2", "sin_angle_2", "velocity_1", "velocity_2"])
    }

    fn choices(&self) -> Vec<String> {
        words(&["torque -1", "torque 0", "torque 1"])
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        let row = row::<6>(observation)?;
        let mut stream = Stream::new(seed, NAME, 0);
        self.state = std::array::from_fn(|_| f64::from(stream.range(-0.1, 0.1) as f32));
        self.phase = Phase::Running;
        self.observe(row);
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(NAME)?;
        let torque = f64::from(discrete_action(action, 3)?) - 1.0;
        let row = row::<6>(observation)?;

        let [a1, a2, s1, s2] = integrate(self.state, torque);
        self.state = [wrap(a1), wrap(a2), s1.clamp(-MAX_SPIN[0], MAX_SPIN[0]), s2.clamp(-MAX_SPIN[1], MAX_SPIN[1])];

        let terminated = -cos(self.state[0]) - cos(self.state[1] + self.state[0]) > 1.0;
        self.phase = Phase::after(terminated);
        self.observe(row);
        Ok(Step { reward: if terminated { 0.0 } else { -1.0 }, terminated, truncated: false })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_wrap_by_whole_turns() {
        assert_eq!((wrap(PI), wrap(-PI), wrap(3.0)), (PI, -PI, 3.0));
        for turns in [-3.0, -1.0, 1.0, 2.0] {
            for angle in [-PI + 1e-4, -1.0, 0.5, PI - 1e-4] {
                assert!((wrap(angle + turns * TAU) - angle).abs() < 1e-12, "{angle} + {turns} turns");
            }
        }
    }
}
