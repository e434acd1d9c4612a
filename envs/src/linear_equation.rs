//! LinearEquation-v0: solve a·x + b = c for x by doing the same to both sides, one operation at a time.
//!
//! Source: this project, after the equation task of Fuhrer, Tessler and Dalal, *Gradient Boosting Reinforcement
//! Learning*, 2025. The start distribution and the meaning of the sign's code are ours.
//!
//! | index | observation | unit | min | max |
//! |---|---|---|---|---|
//! | 0 | a | | −∞ | ∞ |
//! | 1 | b | | −∞ | ∞ |
//! | 2 | c | | −∞ | ∞ |
//!
//! | | |
//! |---|---|
//! | actions | `MultiDiscrete(3, 9, 2)`: operation (0 add to b and c, 1 divide all three by, 2 multiply all three by), digit (code + 1, so 1 to 9), sign (0 plus, 1 minus) |
//! | reward | 1 − 0.9·t/50 on solving, t the number of steps before this one; otherwise 0; never below 0 |
//! | start | whole numbers, uniform: a from −9 to 9 without 0 and 1, b from −9 to 9 without 0, c from −9 to 9 |
//! | terminated | solved: a = 1 and b = 0 exactly; or failed: a = 0, or a number is too large for an f32 |
//! | truncated | after 50 steps (by the registry) |
//! | solved | mean return 0.982, the optimum: subtract b, then divide by a |
//! | constants | computed in double precision, so that whole numbers stay exact |

use gbrl_core::data::FeatureSchema;
use gbrl_core::error::{Error, Result};
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;

use crate::common::{Limits, Phase, StateReader, StateWriter, numbers, row, words};

const NAME: &str = "LinearEquation-v0";
/// The limit that the reward is scaled by.
pub(crate) const MAX_STEPS: u32 = 50;
const CHOICES: [u32; 3] = [3, 9, 2];
const LIMITS: Limits<3> = Limits::symmetric([f32::MAX as f64; 3]);

/// The environment; the module's page describes the task.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_envs::linear_equation::LinearEquation;
/// let (mut env, mut observation) = (LinearEquation::new(), [0.0; 3]);
/// env.set_state([2.0, 3.0, 7.0], 0)?;
/// env.step(Action::MultiDiscrete(&[0, 2, 1]), &mut observation)?; // add −3
/// assert_eq!(observation, [2.0, 0.0, 4.0]);
/// let step = env.step(Action::MultiDiscrete(&[1, 1, 0]), &mut observation)?; // divide by 2
/// assert_eq!((observation, step.reward), ([1.0, 0.0, 2.0], 0.982)); // x = 2
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LinearEquation {
    observation_space: Space,
    action_space: Space,
    state: [f64; 3],
    steps: u32,
    phase: Phase,
}

impl LinearEquation {
    /// A new environment; [`reset`](Env::reset) or [`set_state`](LinearEquation::set_state) starts an episode.
    pub fn new() -> Self {
        LinearEquation {
            observation_space: Space::unbounded(3),
            action_space: Space::MultiDiscrete { nvec: CHOICES.to_vec() },
            state: [0.0; 3],
            steps: 0,
            phase: Phase::NeedsReset,
        }
    }

    /// a, b and c in full precision.
    pub fn state(&self) -> [f64; 3] {
        self.state
    }

    /// Continues an episode in `state` (a, b, c) after `steps` steps.
    ///
    /// # Errors
    /// [`ErrorKind::Element`](gbrl_core::error::ErrorKind::Element) when a number does not fit an f32.
    pub fn set_state(&mut self, state: [f64; 3], steps: u32) -> Result<()> {
        LIMITS.check(state)?;
        (self.state, self.steps, self.phase) = (state, steps, Phase::Running);
        Ok(())
    }
}

impl Default for LinearEquation {
    fn default() -> Self {
        LinearEquation::new()
    }
}

/// Operation, digit and sign, each in range.
fn choices(action: Action<'_>) -> Result<[u32; 3]> {
    let indices = action.indices()?;
    let choices: [u32; 3] = indices.try_into().map_err(|_| Error::shape("action", 3, indices.len()))?;
    match (0..3).find(|&i| choices[i] >= CHOICES[i]) {
        None => Ok(choices),
        Some(i) => Err(Error::element("action", (0, i), format!("an index below {}", CHOICES[i]), choices[i])),
    }
}

impl Env for LinearEquation {
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
        numbers(["a", "b", "c"])
    }

    fn choices(&self) -> Vec<String> {
        words(&["add", "divide", "multiply", "1", "2", "3", "4", "5", "6", "7", "8", "9", "plus", "minus"])
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        let row = row::<3>(observation)?;
        let mut stream = Stream::new(seed, NAME, 0);
        // −9…−1 and 2…9; −9…−1 and 1…9; −9…9.
        let mut draw = |n: u64, skipped: f64| {
            let x = stream.below(n) as f64 - 9.0;
            if x >= 0.0 { x + skipped } else { x }
        };
        self.state = [draw(17, 2.0), draw(18, 1.0), draw(19, 0.0)];
        (self.steps, self.phase) = (0, Phase::Running);
        *row = self.state.map(|x| x as f32);
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(NAME)?;
        let [operation, digit, sign] = choices(action)?;
        let row = row::<3>(observation)?;

        let operand = f64::from(digit + 1) * if sign == 0 { 1.0 } else { -1.0 };
        let [a, b, c] = self.state;
        let state = match operation {
            0 => [a, b + operand, c + operand],
            1 => [a / operand, b / operand, c / operand],
            _ => [a * operand, b * operand, c * operand],
        };
        // Clamped so that neither an observation nor a saved state ever holds an infinity.
        let too_large = LIMITS.check(state).is_err();
        self.state = state.map(|x| x.clamp(-f64::from(f32::MAX), f64::from(f32::MAX)));

        let solved = self.state[0] == 1.0 && self.state[1] == 0.0;
        let terminated = solved || too_large || self.state[0] == 0.0;
        let solution = (1.0 - 0.9 * f64::from(self.steps) / f64::from(MAX_STEPS)).max(0.0);
        let reward = if solved { solution } else { 0.0 };
        self.steps = self.steps.saturating_add(1);
        self.phase = Phase::after(terminated);
        *row = self.state.map(|x| x as f32);
        Ok(Step { reward: reward as f32, terminated, truncated: false })
    }

    fn save(&self) -> Option<Vec<u8>> {
        StateWriter::new(NAME).phase(self.phase).u32(self.steps).f64s(&self.state).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = StateReader::new(NAME, state)?;
        let (phase, steps, state) = (reader.phase()?, reader.u32()?, reader.f64s(&LIMITS)?);
        reader.finish()?;
        (self.state, self.steps, self.phase) = (state, steps, phase);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_is_solved_in_two_steps_and_not_in_one() {
        let (mut env, mut observation) = (LinearEquation::new(), [0.0; 3]);
        for seed in 0..2_000 {
            env.reset(seed, &mut observation).unwrap();
            let [a, b, c] = env.state();
            assert!(a != 0.0 && a != 1.0 && b != 0.0 && [a, b, c].iter().all(|x| x.abs() <= 9.0), "{a} {b} {c}");
            let code = |x: f64| [x.abs() as u32 - 1, u32::from(x < 0.0)];
            let ([digit, sign], [divisor, divisor_sign]) = (code(-b), code(a));
            let step = env.step(Action::MultiDiscrete(&[0, digit, sign]), &mut observation).unwrap();
            assert_eq!(step, Step::default());
            let step = env.step(Action::MultiDiscrete(&[1, divisor, divisor_sign]), &mut observation).unwrap();
            assert_eq!((step.reward, step.terminated), (0.982, true));
        }
    }

    #[test]
    fn a_restored_episode_remembers_its_steps() {
        let (mut env, mut observation) = (LinearEquation::new(), [0.0; 3]);
        env.set_state([2.0, 0.0, 6.0], 10).unwrap();
        let mut restored = LinearEquation::new();
        restored.restore(&env.save().unwrap()).unwrap();
        let step = restored.step(Action::MultiDiscrete(&[1, 1, 0]), &mut observation).unwrap();
        assert_eq!((step.reward, step.terminated), (0.82, true));
    }

    #[test]
    fn failures_end_with_nothing_and_observations_stay_finite() {
        let (mut env, mut observation) = (LinearEquation::new(), [0.0; 3]);
        env.set_state([2.0, 1e38, 0.0], 0).unwrap();
        let step = env.step(Action::MultiDiscrete(&[2, 8, 0]), &mut observation).unwrap();
        assert_eq!((step.reward, step.terminated), (0.0, true));
        assert_eq!(observation, [18.0, f32::MAX, 0.0]);
        env.set_state([0.0, 1.0, 0.0], 0).unwrap();
        let step = env.step(Action::MultiDiscrete(&[2, 8, 0]), &mut observation).unwrap();
        assert_eq!((step.reward, step.terminated), (0.0, true));
    }

    #[test]
    fn actions_out_of_range_are_refused() {
        let (mut env, mut observation) = (LinearEquation::new(), [0.0; 3]);
        env.reset(0, &mut observation).unwrap();
        for action in [&[3, 0, 0][..], &[0, 9, 0], &[0, 0, 2], &[0, 0], &[]] {
            assert!(env.step(Action::MultiDiscrete(action), &mut observation).is_err(), "{action:?}");
        }
        assert!(env.step(Action::Discrete(0), &mut observation).is_err());
    }
}
