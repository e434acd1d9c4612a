//! Every environment: random and hostile input, time limits, start distributions.

use gbrl_core::error::{ErrorClass, Result};
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;
use gbrl_envs::acrobot::Acrobot;
use gbrl_envs::cartpole::CartPole;
use gbrl_envs::mountain_car::MountainCar;
use gbrl_envs::mountain_car_continuous::MountainCarContinuous;
use gbrl_envs::pendulum::Pendulum;
use gbrl_envs::toy::{ConstantReward, Ending, Identity};

/// Every registered environment and two toys.
fn envs() -> impl Iterator<Item = Box<dyn Env>> {
    let identity = Identity::new(Space::MultiBinary { n: 3 }, 30).unwrap();
    let constant = ConstantReward::new(1.0, 30, Ending::Truncated).unwrap();
    let toys: [Box<dyn Env>; 2] = [Box::new(identity), Box::new(constant)];
    gbrl_envs::ids().map(|id| gbrl_envs::make(id).unwrap()).chain(toys)
}

/// How many parts of an action have a name.
fn n_choices(space: &Space) -> usize {
    match space {
        Space::Discrete { n, .. } => *n as usize,
        Space::MultiDiscrete { nvec } => nvec.iter().map(|&n| n as usize).sum(),
        space => space.flat_len(),
    }
}

/// A random action of the space; `wild` ones may break every rule.
fn act(env: &mut dyn Env, random: &mut Stream, wild: bool, observation: &mut [f32]) -> Result<Step> {
    let pick = |random: &mut Stream, n: u32| match (wild, random.below(4)) {
        (true, 0) => random.bits() as u32,
        _ => random.below(n.into()) as u32,
    };
    let space = env.action_space().clone();
    match &space {
        Space::Discrete { n, .. } => env.step(Action::Discrete(pick(random, *n)), observation),
        Space::MultiDiscrete { nvec } => {
            let indices: Vec<u32> = nvec.iter().map(|&n| pick(random, n)).collect();
            env.step(Action::MultiDiscrete(&indices), observation)
        }
        Space::MultiBinary { n } => {
            let bits: Vec<u32> = (0..*n).map(|_| pick(random, 2)).collect();
            env.step(Action::MultiBinary(&bits), observation)
        }
        Space::Box { low, high, .. } => {
            let reals: Vec<f32> = (0..low.len())
                .map(|i| match (wild, random.below(4)) {
                    (true, 0) => f32::from_bits(random.bits() as u32),
                    _ => random.range(low[i].into(), high[i].into()) as f32,
                })
                .collect();
            env.step(Action::Box(&reals), observation)
        }
        other => panic!("no environment has actions in {other:?}"),
    }
}

#[test]
fn columns_and_categories_have_names_of_their_own() {
    for env in envs() {
        let choices: std::collections::BTreeSet<String> = env.choices().into_iter().collect();
        assert!(
            gbrl_envs::spec(env.name()).is_err() || choices.len() == n_choices(env.action_space()),
            "{}",
            env.name()
        );
        let features = env.features();
        let names: std::collections::BTreeSet<&str> =
            features.features().iter().map(|feature| feature.name()).collect();
        assert_eq!(names.len(), features.len(), "{}: {names:?}", env.name());
        for feature in features.features().iter().filter(|feature| !feature.labels().is_empty()) {
            let labels: std::collections::BTreeSet<&String> = feature.labels().iter().collect();
            assert_eq!(labels.len(), feature.labels().len(), "{} {}: {labels:?}", env.name(), feature.name());
        }
    }
    let label =
        |id: &str, column: usize, code: f32| gbrl_envs::make(id).unwrap().features().features()[column].label(code);
    assert_eq!(gbrl_envs::make("CartPole-v1").unwrap().features().features()[2].name(), "pole_angle");
    assert_eq!(label("MiniGrid-DoorKey-5x5-v0", 0, 0.0), "unseen");
    assert_eq!(label("MiniGrid-DoorKey-5x5-v0", 5, 1.0), "empty");
    assert_eq!(label("MiniGrid-DoorKey-5x5-v0", 5, 30.0), "locked yellow door");
    assert_eq!(label("MiniGrid-DoorKey-5x5-v0", 49, 3.0), "up");
    assert_eq!(label("MiniGrid-DoorKey-5x5-v0", 50, 0.0), "use the key to open the door and then get to the goal");
    assert_eq!(label("FrozenLake-v1", 0, 7.0), "(1,3)");
    assert_eq!(label("Taxi-v3", 0, 499.0), "taxi at (4,4), passenger in the taxi, to blue");
}

#[test]
fn random_and_wild_actions_never_panic_and_observations_stay_in_their_space() {
    for mut env in envs() {
        let mut random = Stream::new(1, env.name(), 0);
        let space = env.observation_space().clone();
        let mut observation = vec![0.0; space.flat_len()];
        env.reset(0, &mut observation).unwrap();
        for seed in 1..3_000 {
            match act(&mut env, &mut random, true, &mut observation) {
                Ok(step) => {
                    assert!(step.reward.is_finite(), "{}: {step:?}", env.name());
                    assert_eq!(space.first_outside(&observation), None, "{}: {observation:?}", env.name());
                    if step.terminated || step.truncated {
                        env.reset(seed, &mut observation).unwrap();
                    }
                }
                Err(error) => assert_eq!(error.class(), ErrorClass::Value, "{}: {error}", env.name()),
            }
        }
    }
}

#[test]
fn every_kind_of_wrong_call_is_a_typed_error() {
    for mut env in envs() {
        let mut observation = vec![0.0; env.observation_space().flat_len()];
        let mut random = Stream::new(2, env.name(), 0);
        let error = act(&mut env, &mut random, false, &mut observation).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Environment, "step before reset: {error}");

        let mut long = vec![0.0; observation.len() + 1];
        assert_eq!(env.reset(0, &mut long).unwrap_err().class(), ErrorClass::Value);
        assert_eq!(env.reset(0, &mut []).unwrap_err().class(), ErrorClass::Value);
        env.reset(0, &mut observation).unwrap();
        assert_eq!(act(&mut env, &mut random, false, &mut long).unwrap_err().class(), ErrorClass::Value);

        let before = env.save();
        let (reals, indices) = ([f32::NAN; 4], [u32::MAX; 4]);
        let mut wrong = vec![
            Action::Discrete(u32::MAX),
            Action::MultiDiscrete(&indices[..3]),
            Action::MultiDiscrete(&indices),
            Action::MultiBinary(&indices[..1]),
            Action::Box(&reals[..1]),
            Action::Box(&[f32::INFINITY]),
            Action::Box(&[0.0, 0.0]),
            Action::Box(&[]),
        ];
        if !matches!(env.action_space(), Space::Discrete { .. }) {
            wrong.push(Action::Discrete(0));
        }
        for action in wrong {
            let error = env.step(action, &mut observation).expect_err(env.name());
            assert_eq!(error.class(), ErrorClass::Value, "{}, {action:?}: {error}", env.name());
        }
        assert_eq!(env.save(), before, "{}: a refused action changed the state", env.name());
    }
}

#[test]
fn hostile_states_are_refused_or_harmless() {
    for mut env in envs() {
        let mut random = Stream::new(3, env.name(), 0);
        let space = env.observation_space().clone();
        let mut observation = vec![0.0; space.flat_len()];
        env.reset(0, &mut observation).unwrap();
        for _ in 0..5 {
            if act(&mut env, &mut random, false, &mut observation).unwrap().terminated {
                env.reset(1, &mut observation).unwrap();
            }
        }
        let state = env.save().unwrap();
        let mut attacks: Vec<Vec<u8>> = (0..state.len()).map(|n| state[..n].to_vec()).collect();
        attacks.push([state.as_slice(), &[0]].concat());
        attacks.push(vec![0xFF; state.len()]);
        for attack in &attacks {
            let error = env.restore(attack).expect_err(env.name());
            assert_eq!(error.class(), ErrorClass::Format, "{}: {error}", env.name());
        }
        for position in 0..state.len() {
            for bit in 0..8 {
                let mut altered = state.clone();
                altered[position] ^= 1 << bit;
                if let Err(error) = env.restore(&altered) {
                    assert_eq!(error.class(), ErrorClass::Format, "{}: {error}", env.name());
                    continue;
                }
                for _ in 0..3 {
                    // Another valid state was made; it may be one of an episode that has ended.
                    if act(&mut env, &mut random, false, &mut observation).is_ok() {
                        assert_eq!(space.first_outside(&observation), None, "{}: {observation:?}", env.name());
                    }
                }
            }
        }
        env.restore(&state).unwrap();
        assert_eq!(env.save().unwrap(), state);
    }
}

#[test]
fn a_state_of_one_environment_is_refused_by_the_others() {
    for mut saved in envs() {
        let mut observation = vec![0.0; saved.observation_space().flat_len()];
        saved.reset(0, &mut observation).unwrap();
        let state = saved.save().unwrap();
        for mut other in envs().filter(|other| other.name() != saved.name()) {
            assert_eq!(other.restore(&state).unwrap_err().class(), ErrorClass::Format);
        }
    }
}

#[test]
fn episodes_are_truncated_at_the_registered_limit() {
    for spec in gbrl_envs::specs().iter().filter(|spec| spec.is_available()) {
        let mut env = spec.make().unwrap();
        let mut observation = vec![0.0; env.observation_space().flat_len()];
        let mut random = Stream::new(4, spec.id, 0);
        for seed in 0..30 {
            env.reset(seed, &mut observation).unwrap();
            for elapsed in 1.. {
                let step = act(&mut env, &mut random, false, &mut observation).unwrap();
                assert_eq!(step.truncated, elapsed == spec.max_steps, "{} after {elapsed} steps", spec.id);
                if step.terminated || step.truncated {
                    break;
                }
            }
        }
    }
}

/// Checks that n samples look uniform over [low, high): inside it, with its mean and variance.
fn assert_uniform(what: &str, samples: &[f64], low: f64, high: f64) {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    let variance = samples.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    let width = high - low;
    // The limits themselves can be reached by rounding to f32.
    assert!(samples.iter().all(|&x| low - 1e-8 <= x && x <= high + 1e-8), "{what} leaves [{low}, {high})");
    // Standard errors are 0.29 and 0.075 of width/√n and width²/√n.
    assert!((mean - (low + high) / 2.0).abs() < 1.5 * width / n.sqrt(), "{what}: mean {mean}");
    assert!((variance - width * width / 12.0).abs() < 0.4 * width * width / n.sqrt(), "{what}: variance {variance}");
}

#[test]
fn starts_have_the_documented_distributions() {
    const N: u64 = 10_000;
    fn starts<E: Env, const K: usize>(mut env: E, state: fn(&E) -> [f64; K]) -> [Vec<f64>; K] {
        let mut observation = vec![0.0; env.observation_space().flat_len()];
        let mut columns = [const { Vec::new() }; K];
        for seed in 0..N {
            env.reset(seed, &mut observation).unwrap();
            for (column, x) in columns.iter_mut().zip(state(&env)) {
                column.push(x);
            }
        }
        columns
    }
    for column in starts(CartPole::new(), CartPole::state) {
        assert_uniform("CartPole", &column, -0.05, 0.05);
    }
    for column in starts(Acrobot::new(), Acrobot::state) {
        assert_uniform("Acrobot", &column, -0.1, 0.1);
    }
    let [position, velocity] = starts(MountainCar::new(), MountainCar::state);
    assert_uniform("MountainCar", &position, -0.6, -0.4);
    assert!(velocity.iter().all(|&v| v == 0.0));
    let [position, velocity] = starts(MountainCarContinuous::new(), |env| env.state().map(f64::from));
    assert_uniform("MountainCarContinuous", &position, -0.6, -0.4);
    assert!(velocity.iter().all(|&v| v == 0.0));
    let [angle, velocity] = starts(Pendulum::new(), Pendulum::state);
    assert_uniform("Pendulum's angle", &angle, -std::f64::consts::PI, std::f64::consts::PI);
    assert_uniform("Pendulum's velocity", &velocity, -1.0, 1.0);
}

#[test]
fn states_that_no_episode_reaches_are_refused() {
    for bad in [f64::NAN, f64::INFINITY, -1e7] {
        assert!(CartPole::new().set_state([0.0, bad, 0.0, 0.0]).is_err());
        assert!(Acrobot::new().set_state([0.0, bad, 0.0, 0.0]).is_err());
        assert!(MountainCar::new().set_state([bad, 0.0]).is_err());
        assert!(MountainCarContinuous::new().set_state([0.0, bad as f32]).is_err());
        assert!(Pendulum::new().set_state([0.0, bad]).is_err());
    }
    assert!(gbrl_envs::frozen_lake::FrozenLake::new().set_state(5, 0).is_err(), "a hole");
    assert!(gbrl_envs::frozen_lake::FrozenLake::new().set_state(16, 0).is_err());
    assert!(gbrl_envs::taxi::Taxi::new().set_state(500).is_err());
    assert!(gbrl_envs::linear_equation::LinearEquation::new().set_state([f64::NAN, 1.0, 1.0], 0).is_err());
}
