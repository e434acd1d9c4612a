//! A second opinion on the classic-control physics: the crate gmgn, step by step from the same starts.
//!
//! gmgn's states cannot be set or read in full precision, but its starts are known: they are the first numbers of its
//! public generator. From there both sides follow the same random actions. gmgn fuses multiplications and additions,
//! so its errors differ from ours in the last bit and grow along an episode; 1e-6 holds for the steps compared here.

use gbrl_core::rl::env::{Action, Env};
use gbrl_core::rng::Stream;
use gbrl_envs::acrobot::Acrobot;
use gbrl_envs::cartpole::CartPole;
use gbrl_envs::mountain_car::MountainCar;
use gbrl_envs::mountain_car_continuous::MountainCarContinuous;
use gbrl_envs::pendulum::Pendulum;
use gmgn::env::Env as Other;
use gmgn::envs::classic_control::{
    AcrobotConfig, AcrobotEnv, CartPoleConfig, CartPoleEnv, ContinuousMountainCarConfig, ContinuousMountainCarEnv,
    MountainCarConfig, MountainCarEnv, PendulumConfig, PendulumEnv,
};
use rand::RngExt;

const EPISODES: u64 = 40;

/// Follows both environments for at most `max_steps` steps of each episode.
fn follow<E: Env, O: Other<Obs = Vec<f32>>>(
    mut ours: E,
    mut other: O,
    max_steps: usize,
    start: fn(&mut E, &mut gmgn::rng::Rng),
    action: fn(&mut Stream) -> (u32, f32),
    other_action: fn(u32, f32) -> O::Act,
    trusts_reward: fn(&E) -> bool,
) {
    let mut random = Stream::new(5, ours.name(), 0);
    let mut observation = vec![0.0; ours.observation_space().flat_len()];
    let continuous = matches!(ours.action_space(), gbrl_core::rl::space::Space::Box { .. });
    for seed in 0..EPISODES {
        other.reset(Some(seed)).unwrap();
        start(&mut ours, &mut gmgn::rng::create_rng(Some(seed)));
        for step in 0..max_steps {
            let (index, real) = action(&mut random);
            let reals = [real];
            let action = if continuous { Action::Box(&reals) } else { Action::Discrete(index) };
            let trusted = trusts_reward(&ours);
            let ours_step = ours.step(action, &mut observation).unwrap();
            let theirs = other.step(&other_action(index, real)).unwrap();
            let context = format!("{} seed {seed} step {step}", ours.name());
            let pairs = observation.iter().zip(&theirs.obs).map(|(&a, &b)| (a, b));
            let rewards = trusted.then_some((ours_step.reward, theirs.reward as f32));
            for (got, expected) in pairs.chain(rewards) {
                assert!((got - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{context}: {got} != {expected}");
            }
            assert_eq!(ours_step.terminated, theirs.terminated, "{context}");
            if theirs.terminated {
                break;
            }
        }
    }
}

#[test]
fn cartpole_agrees() {
    follow(
        CartPole::new(),
        CartPoleEnv::new(CartPoleConfig::default()).unwrap(),
        50,
        |env, rng| env.set_state(std::array::from_fn(|_| rng.random_range(-0.05..0.05))).unwrap(),
        |random| (random.below(2) as u32, 0.0),
        |index, _| index.into(),
        |_| true,
    );
}

#[test]
fn acrobot_agrees() {
    follow(
        Acrobot::new(),
        AcrobotEnv::new(AcrobotConfig::default()).unwrap(),
        50,
        |env, rng| env.set_state(std::array::from_fn(|_| rng.random_range(-0.1..0.1))).unwrap(),
        |random| (random.below(3) as u32, 0.0),
        |index, _| index.into(),
        |_| true,
    );
}

#[test]
fn mountain_car_agrees() {
    follow(
        MountainCar::new(),
        MountainCarEnv::new(MountainCarConfig::default()).unwrap(),
        200,
        |env, rng| env.set_state([rng.random_range(-0.6..=-0.4), 0.0]).unwrap(),
        |random| (random.below(3) as u32, 0.0),
        |index, _| index.into(),
        |_| true,
    );
}

#[test]
fn pendulum_agrees() {
    use std::f64::consts::PI;
    follow(
        Pendulum::new(),
        PendulumEnv::new(PendulumConfig::default()).unwrap(),
        60,
        |env, rng| env.set_state([rng.random_range(-PI..PI), rng.random_range(-1.0..1.0)]).unwrap(),
        |random| (0, random.range(-2.0, 2.0) as f32),
        |_, real| vec![real],
        // gmgn 0.4.3 forgets to turn angles below −π around before it squares them; Gymnasium does turn them.
        |env| env.state()[0] >= -PI,
    );
}

#[test]
fn mountain_car_continuous_agrees() {
    follow(
        MountainCarContinuous::new(),
        ContinuousMountainCarEnv::new(ContinuousMountainCarConfig::default()).unwrap(),
        200,
        |env, rng| env.set_state([rng.random_range(-0.6..=-0.4) as f32, 0.0]).unwrap(),
        |random| (0, random.range(-1.0, 1.0) as f32),
        |_, real| vec![real],
        |_| true,
    );
}
