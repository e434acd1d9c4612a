//! Step-by-step equality with Gymnasium from the same states.
//!
//! `tests/data` was recorded by `scripts/gymnasium_trajectories.py`. Both sides compute in double precision with sines
//! within 2⁻⁵² of each other and round observations to f32 last, so one step may differ by the last bit of an f32
//! (relative 2⁻²³ ≈ 1.2e-7) where a rounding falls on the other side, and by about 1e-15 around zero. In the recorded
//! files that happens nowhere: all 19,668 numbers are equal to the bit.

use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_envs::acrobot::Acrobot;
use gbrl_envs::cartpole::CartPole;
use gbrl_envs::frozen_lake::FrozenLake;
use gbrl_envs::mountain_car::MountainCar;
use gbrl_envs::mountain_car_continuous::MountainCarContinuous;
use gbrl_envs::pendulum::Pendulum;
use gbrl_envs::taxi::Taxi;

/// One f32 rounding, and cancellation around zero.
const ONE_STEP: (f32, f32) = (1.2e-7, 1e-14);
/// Many steps in a row let double precision's errors grow; see `SEGMENT`.
const MANY_STEPS: (f32, f32) = (1e-6, 1e-9);
/// Steps after which the state is set anew: an unstable pole or a double pendulum multiplies an error by a few each
/// second, so whole episodes of one action sequence cannot agree between any two implementations of sine.
const SEGMENT: usize = 25;

/// A file's rows of numbers, without comment and header.
fn rows(file: &str) -> Vec<Vec<f64>> {
    let path = format!("{}/tests/data/{file}.csv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let rows: Vec<Vec<f64>> =
        text.lines().skip(2).map(|line| line.split(',').map(|x| x.parse().unwrap()).collect()).collect();
    assert!(rows.len() > 100, "{file} has only {} rows", rows.len());
    rows
}

/// A kind of environment whose state can be set from a row.
struct Task<E> {
    file: &'static str,
    max_steps: usize,
    states: usize,
    set_state: fn(&mut E, &[f64]),
    continuous: bool,
    /// Whether every f32 must be equal to the bit.
    exact: bool,
}

impl<E: Env> Task<E> {
    fn replay(&self, mut env: E) {
        let mut observation = vec![0.0; env.observation_space().flat_len()];
        let columns = observation.len();
        let (mut trajectory, mut step_in_trajectory, mut unequal, mut compared) = (-1.0, 0, 0, 0);
        let mut ends = [0; 2];
        for (segment, tolerance) in [(1, ONE_STEP), (SEGMENT, MANY_STEPS)] {
            for row in rows(self.file) {
                if row[0] != trajectory {
                    (trajectory, step_in_trajectory) = (row[0], 0);
                }
                let (state, rest) = row[1..].split_at(self.states);
                let (action, rest) = (rest[0], &rest[1..]);
                let (expected, rest) = rest.split_at(columns);
                if step_in_trajectory % segment == 0 {
                    (self.set_state)(&mut env, state);
                }
                let real = [action as f32];
                let action = if self.continuous { Action::Box(&real) } else { Action::Discrete(action as u32) };
                let step = env.step(action, &mut observation).unwrap();
                step_in_trajectory += 1;

                let context = || format!("{} trajectory {trajectory} step {step_in_trajectory}", self.file);
                let got = observation.iter().copied().chain([step.reward]);
                for (i, (got, expected)) in got.zip(expected.iter().chain(&rest[..1])).enumerate() {
                    let expected = *expected as f32;
                    let allowed = if self.exact { 0.0 } else { tolerance.0 * expected.abs() + tolerance.1 };
                    assert!((got - expected).abs() <= allowed, "{}, element {i}: {got} != {expected}", context());
                    if segment == 1 {
                        compared += 1;
                        unequal += usize::from(got != expected);
                    }
                }
                assert_eq!(step.terminated, rest[1] == 1.0, "{}", context());
                // Only the time limit truncates, and the registry has the same one.
                assert_eq!(rest[2] == 1.0, step_in_trajectory == self.max_steps, "{}", context());
                ends[0] += usize::from(step.terminated);
                ends[1] += usize::from(rest[2] == 1.0);
            }
        }
        assert!(ends[1] > 0, "{}: no recorded episode was truncated", self.file);
        assert!(ends[0] > 0 || self.file == "pendulum", "{}: no recorded episode terminated", self.file);
        // Roundings on the other side are rare, about 2⁻²⁸ each; many would mean another order of operations.
        assert!(unequal * 1000 <= compared, "{}: {unequal} of {compared} numbers differ in their last bit", self.file);
        let spec = gbrl_envs::spec(env.name()).unwrap();
        assert_eq!(spec.max_steps as usize, self.max_steps);
    }
}

#[test]
fn cartpole_follows_gymnasium() {
    let set_state = |env: &mut CartPole, s: &[f64]| env.set_state([s[0], s[1], s[2], s[3]]).unwrap();
    Task { file: "cartpole", max_steps: 500, states: 4, set_state, continuous: false, exact: false }
        .replay(CartPole::new());
}

#[test]
fn acrobot_follows_gymnasium() {
    let set_state = |env: &mut Acrobot, s: &[f64]| env.set_state([s[0], s[1], s[2], s[3]]).unwrap();
    Task { file: "acrobot", max_steps: 500, states: 4, set_state, continuous: false, exact: false }
        .replay(Acrobot::new());
}

#[test]
fn mountain_car_follows_gymnasium() {
    let set_state = |env: &mut MountainCar, s: &[f64]| env.set_state([s[0], s[1]]).unwrap();
    Task { file: "mountain_car", max_steps: 200, states: 2, set_state, continuous: false, exact: false }
        .replay(MountainCar::new());
}

#[test]
fn mountain_car_continuous_equals_gymnasium_to_the_bit() {
    let set_state = |env: &mut MountainCarContinuous, s: &[f64]| env.set_state([s[0] as f32, s[1] as f32]).unwrap();
    Task { file: "mountain_car_continuous", max_steps: 999, states: 2, set_state, continuous: true, exact: true }
        .replay(MountainCarContinuous::new());
}

#[test]
fn pendulum_follows_gymnasium() {
    let set_state = |env: &mut Pendulum, s: &[f64]| env.set_state([s[0], s[1]]).unwrap();
    Task { file: "pendulum", max_steps: 200, states: 2, set_state, continuous: true, exact: false }
        .replay(Pendulum::new());
}

#[test]
fn frozen_lake_has_gymnasiums_transitions() {
    for (file, env) in [("frozen_lake", FrozenLake::new()), ("frozen_lake_8x8", FrozenLake::large())] {
        let table = rows(file);
        let tiles = env.observation_space().schema().features()[0].clone();
        let mut tested = 0;
        for tile in 0..table.last().unwrap()[0] as u32 + 1 {
            for action in 0..4 {
                let of_both = |row: &&Vec<f64>| (row[0], row[1]) == (f64::from(tile), f64::from(action));
                let expected: Vec<_> = table.iter().filter(of_both).collect();
                let Ok(got) = env.transitions(tile, action) else {
                    // Gymnasium lists an empty self-loop for the tiles where an episode has ended.
                    assert_eq!(
                        (expected.len(), expected[0][3], expected[0][5]),
                        (1, f64::from(tile), 1.0),
                        "{tiles:?}"
                    );
                    continue;
                };
                assert_eq!(got.len(), expected.len());
                for (got, row) in got.iter().zip(expected) {
                    assert!((got.probability - row[2]).abs() < 1e-12);
                    let expected = (row[3] as u32, row[4] as f32, row[5] == 1.0);
                    assert_eq!((got.tile, got.reward, got.terminated), expected, "{file} {tile} {action}");
                    tested += 1;
                }
            }
        }
        assert_eq!(tested, if file == "frozen_lake" { 11 * 12 } else { 53 * 12 });
    }
}

#[test]
fn frozen_lake_steps_only_to_where_its_transitions_lead() {
    let (mut env, mut observation) = (FrozenLake::large(), [0.0]);
    for tile in 0..64 {
        for action in 0..4 {
            let Ok(possible) = env.transitions(tile, action) else { continue };
            let mut seen = [false; 3];
            for seed in 0..60 {
                env.set_state(tile, seed).unwrap();
                let step = env.step(Action::Discrete(action), &mut observation).unwrap();
                let mut matched = false;
                for (seen, possible) in seen.iter_mut().zip(&possible) {
                    let same = (observation[0] as u32, step.reward, step.terminated)
                        == (possible.tile, possible.reward, possible.terminated);
                    *seen |= same;
                    matched |= same;
                }
                assert!(matched, "tile {tile}, action {action}: {observation:?}, {step:?}");
            }
            assert_eq!(seen, [true; 3], "tile {tile}, action {action}");
        }
    }
}

#[test]
fn taxi_has_gymnasiums_transitions() {
    let (mut env, mut observation) = (Taxi::new(), [0.0]);
    let table = rows("taxi");
    assert_eq!(table.len(), 500 * 6);
    for row in table {
        env.set_state(row[0] as u32).unwrap();
        let got = env.step(Action::Discrete(row[1] as u32), &mut observation).unwrap();
        assert_eq!(got, Step { reward: row[4] as f32, terminated: row[5] == 1.0, truncated: false }, "{row:?}");
        assert_eq!((f64::from(observation[0]), row[2]), (row[3], 1.0), "{row:?}");
    }
}

#[test]
fn taxi_has_gymnasiums_masks_and_starts() {
    let states = rows("taxi_states");
    let (mut env, mut observation, mut allowed) = (Taxi::with_action_mask(), [0.0], [false; 6]);
    for row in &states {
        env.set_state(row[0] as u32).unwrap();
        env.action_mask(&mut allowed);
        assert_eq!(allowed.map(|flag| f64::from(u8::from(flag))), row[2..8], "{row:?}");
    }
    let mut counts = [0u32; 500];
    let n = 60_000;
    for seed in 0..n {
        env.reset(seed, &mut observation).unwrap();
        counts[observation[0] as usize] += 1;
    }
    for (row, count) in states.iter().zip(counts) {
        let expected = row[1] * n as f64;
        // 200 each with a standard deviation of 14, or none at all.
        assert!((f64::from(count) - expected).abs() < 80.0 && (expected > 0.0) == (count > 0), "{row:?}: {count}");
    }
}
