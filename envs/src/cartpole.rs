//! CartPole-v1: keep a pole upright on a cart by pushing the cart left or right.
//!
//! Source: Gymnasium's `CartPole-v1`; Barto, Sutton and Anderson, *Neuronlike adaptive elements that can solve
//! difficult learning control problems*, 1983.
//!
//! | index | observation | unit | min | max |
//! |---|---|---|---|---|
//! | 0 | cart position | m | −4.8 | 4.8 |
//! | 1 | cart velocity | m/s | −∞ | ∞ |
//! | 2 | pole angle, 0 upright, positive to the right | rad | −0.4189 (−24°) | 0.4189 (24°) |
//! | 3 | pole angular velocity | rad/s | −∞ | ∞ |
//!
//! The bounds are twice the limits that end the task, so that the last observation lies inside them too.
//!
//! | | |
//! |---|---|
//! | actions | `Discrete(2)`: 0 pushes the cart left with 10 N, 1 right |
//! | reward | 1 per step, the last one included |
//! | start | all four uniform in [−0.05, 0.05) |
//! | terminated | cart beyond ±2.4 m or pole beyond ±12° |
//! | truncated | after 500 steps (by the registry) |
//! | solved | mean return 475 |
//! | constants | gravity 9.8 m/s², cart 1 kg, pole 0.1 kg and 1 m long, explicit Euler steps of 0.02 s |

use gbrl_core::data::FeatureSchema;
use gbrl_core::error::Result;
use gbrl_core::math::{cos, sin};
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;

use crate::common::{Limits, Phase, StateReader, StateWriter, discrete_action, numbers, row, words};

const NAME: &str = "CartPole-v1";
const GRAVITY: f64 = 9.8;
const POLE_MASS: f64 = 0.1;
const TOTAL_MASS: f64 = POLE_MASS + 1.0;
/// From the joint to the centre of mass.
const HALF_LENGTH: f64 = 0.5;
const POLE_MOMENT: f64 = POLE_MASS * HALF_LENGTH;
const FORCE: f64 = 10.0;
const DT: f64 = 0.02;
const MAX_POSITION: f64 = 2.4;
const MAX_ANGLE: f64 = 12.0 * 2.0 * std::f64::consts::PI / 360.0;
/// Far beyond any state that an episode reaches, and far from overflow.
const LIMITS: Limits<4> = Limits::symmetric([1e6; 4]);

/// The environment; the module's page describes the task.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_envs::cartpole::CartPole;
/// let (mut env, mut observation) = (CartPole::new(), [0.0; 4]);
/// env.reset(1, &mut observation)?;
/// let step = env.step(Action::Discrete(1), &mut observation)?;
/// assert_eq!(step.reward, 1.0);
/// assert!(observation[1] > 0.0, "pushed right, the cart moves right");
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CartPole {
    observation_space: Space,
    action_space: Space,
    state: [f64; 4],
    phase: Phase,
}

impl CartPole {
    /// A new environment; [`reset`](Env::reset) or [`set_state`](CartPole::set_state) starts an episode.
    pub fn new() -> Self {
        let high = [2.0 * MAX_POSITION as f32, f32::INFINITY, (2.0 * MAX_ANGLE) as f32, f32::INFINITY];
        CartPole {
            observation_space: Space::Box { shape: vec![4], low: high.map(|x| -x).to_vec(), high: high.to_vec() },
            action_space: Space::discrete(2),
            state: [0.0; 4],
            phase: Phase::NeedsReset,
        }
    }

    /// Position, velocity, angle and angular velocity in full precision.
    pub fn state(&self) -> [f64; 4] {
        self.state
    }

    /// Starts an episode in `state`: position, velocity, angle, angular velocity.
    ///
    /// # Errors
    /// [`ErrorKind::Element`](gbrl_core::error::ErrorKind::Element) when a number is not finite or beyond 10⁶.
    pub fn set_state(&mut self, state: [f64; 4]) -> Result<()> {
        LIMITS.check(state)?;
        (self.state, self.phase) = (state, Phase::Running);
        Ok(())
    }
}

impl Default for CartPole {
    fn default() -> Self {
        CartPole::new()
    }
}

impl Env for CartPole {
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
        numbers(["cart_position", "cart_velocity", "pole_angle", "pole_velocity"])
    }

    fn choices(&self) -> Vec<String> {
        words(&["left", "right"])
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        let row = row::<4>(observation)?;
        let mut stream = Stream::new(seed, NAME, 0);
        self.state = std::array::from_fn(|_| stream.range(-0.05, 0.05));
        self.phase = Phase::Running;
        *row = self.state.map(|x| x as f32);
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(NAME)?;
        let force = if discrete_action(action, 2)? == 1 { FORCE } else { -FORCE };
        let row = row::<4>(observation)?;

        let [x, v, angle, spin] = self.state;
        let (sine, cosine) = (sin(angle), cos(angle));
        // Acceleration that force and the pole's centrifugal pull would give the whole mass.
        let push = (force + POLE_MOMENT * (spin * spin) * sine) / TOTAL_MASS;
        let spin_rate =
            (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cosine * cosine) / TOTAL_MASS));
        let v_rate = push - POLE_MOMENT * spin_rate * cosine / TOTAL_MASS;
        self.state = [x + DT * v, v + DT * v_rate, angle + DT * spin, spin + DT * spin_rate];

        let terminated = self.state[0].abs() > MAX_POSITION || self.state[2].abs() > MAX_ANGLE;
        self.phase = Phase::after(terminated);
        *row = self.state.map(|x| x as f32);
        Ok(Step { reward: 1.0, terminated, truncated: false })
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
