//! Environments by name.

use gbrl_core::error::{Error, Result};
use gbrl_core::rl::env::{Env, TimeLimit};

use crate::acrobot::Acrobot;
use crate::cartpole::CartPole;
use crate::frozen_lake::FrozenLake;
use crate::linear_equation::{self, LinearEquation};
#[cfg(feature = "box2d")]
use crate::lunar_lander::LunarLander;
use crate::minigrid::{DoorKey, Empty, Fetch, GoToDoor, MiniGrid, Unlock};
use crate::mountain_car::MountainCar;
use crate::mountain_car_continuous::MountainCarContinuous;
use crate::pendulum::Pendulum;
use crate::taxi::Taxi;

/// Makes an environment, with a time limit or without.
type Maker = fn(Option<u32>) -> Result<Box<dyn Env>>;

/// What is registered about one environment.
#[derive(Clone, Copy, Debug)]
pub struct EnvSpec {
    /// The name to make it by.
    pub id: &'static str,
    /// Steps after which an episode is truncated.
    pub max_steps: u32,
    /// The mean return from which on the task counts as solved; `None` where nobody agreed on one.
    pub reward_threshold: Option<f32>,
    /// The task in a sentence.
    pub description: &'static str,
    /// The cargo feature that it needs, if any.
    pub feature: Option<&'static str>,
    /// `None` when its feature is not compiled in.
    make: Option<Maker>,
}

impl EnvSpec {
    /// Whether [`make`](EnvSpec::make) can work in this build.
    pub fn is_available(&self) -> bool {
        self.make.is_some()
    }

    /// Makes the environment with its registered time limit.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](gbrl_core::error::ErrorKind::Unsupported) when its feature is not compiled in.
    pub fn make(&self) -> Result<Box<dyn Env>> {
        self.make_with(Some(self.max_steps))
    }

    /// Makes the environment without a time limit, for those who want another one.
    ///
    /// # Errors
    /// As [`make`](EnvSpec::make).
    pub fn make_unlimited(&self) -> Result<Box<dyn Env>> {
        self.make_with(None)
    }

    fn make_with(&self, limit: Option<u32>) -> Result<Box<dyn Env>> {
        match self.make {
            Some(make) => make(limit),
            None => Err(Error::unsupported(
                self.id,
                format!("without the cargo feature `{}`", self.feature.unwrap_or_default()),
                "gbrl-envs was compiled without it",
            )),
        }
    }
}

/// The limit goes inside the box, so that a step is one dynamic call and not two.
fn boxed<E: Env + 'static>(env: E, limit: Option<u32>) -> Result<Box<dyn Env>> {
    Ok(match limit {
        Some(max_steps) => Box::new(TimeLimit::new(env, max_steps)?),
        None => Box::new(env),
    })
}

#[cfg(feature = "box2d")]
const LUNAR_LANDER: Option<Maker> = Some(|limit| boxed(LunarLander::new()?, limit));
#[cfg(not(feature = "box2d"))]
const LUNAR_LANDER: Option<Maker> = None;

const DOOR_KEY: &str = "fetch a key, unlock the door with it and walk to the goal behind it, in a 7x7 view";
const EMPTY: &str = "walk from one corner of an empty room to the goal in the other, in a 7x7 view";
const EMPTY_RANDOM: &str = "walk from anywhere in an empty room to the goal in the corner, in a 7x7 view";
const FETCH: &str = "pick up the one of several objects that a sentence asks for, in a 7x7 view";
const GO_TO_DOOR: &str =
    "walk to the door of the colour that a sentence asks for and say that it is done, in a 7x7 view";
const UNLOCK: &str = "fetch a key and unlock the door between two rooms with it, in a 7x7 view";

const fn minigrid(id: &'static str, max_steps: u32, description: &'static str, make: Maker) -> EnvSpec {
    EnvSpec { id, max_steps, reward_threshold: None, description, feature: None, make: Some(make) }
}

/// Sorted by id.
static SPECS: [EnvSpec; 27] = [
    EnvSpec {
        id: "Acrobot-v1",
        max_steps: 500,
        reward_threshold: Some(-100.0),
        description: "swing the free end of two hanging links above a line by a torque at the joint between them",
        feature: None,
        make: Some(|limit| boxed(Acrobot::new(), limit)),
    },
    EnvSpec {
        id: "CartPole-v1",
        max_steps: 500,
        reward_threshold: Some(475.0),
        description: "keep a pole upright on a cart by pushing the cart left or right",
        feature: None,
        make: Some(|limit| boxed(CartPole::new(), limit)),
    },
    EnvSpec {
        id: "FrozenLake-v1",
        max_steps: 100,
        reward_threshold: Some(0.70),
        description: "cross 4x4 tiles of slippery ice without falling into a hole",
        feature: None,
        make: Some(|limit| boxed(FrozenLake::new(), limit)),
    },
    EnvSpec {
        id: "FrozenLake8x8-v1",
        max_steps: 200,
        reward_threshold: Some(0.85),
        description: "cross 8x8 tiles of slippery ice without falling into a hole",
        feature: None,
        make: Some(|limit| boxed(FrozenLake::large(), limit)),
    },
    EnvSpec {
        id: "LinearEquation-v0",
        max_steps: linear_equation::MAX_STEPS,
        reward_threshold: Some(0.982),
        description: "solve a·x + b = c by doing the same to both sides",
        feature: None,
        make: Some(|limit| boxed(LinearEquation::new(), limit)),
    },
    EnvSpec {
        id: "LunarLander-v3",
        max_steps: 1000,
        reward_threshold: Some(200.0),
        description: "land a spacecraft on a pad; close to Gymnasium's task, not the same",
        feature: Some("box2d"),
        make: LUNAR_LANDER,
    },
    minigrid("MiniGrid-DoorKey-16x16-v0", DoorKey::max_steps_of(16), DOOR_KEY, |limit| {
        boxed(MiniGrid::new(DoorKey::new(16)?)?, limit)
    }),
    minigrid("MiniGrid-DoorKey-5x5-v0", DoorKey::max_steps_of(5), DOOR_KEY, |limit| {
        boxed(MiniGrid::new(DoorKey::new(5)?)?, limit)
    }),
    minigrid("MiniGrid-DoorKey-6x6-v0", DoorKey::max_steps_of(6), DOOR_KEY, |limit| {
        boxed(MiniGrid::new(DoorKey::new(6)?)?, limit)
    }),
    minigrid("MiniGrid-DoorKey-8x8-v0", DoorKey::max_steps_of(8), DOOR_KEY, |limit| {
        boxed(MiniGrid::new(DoorKey::new(8)?)?, limit)
    }),
    minigrid("MiniGrid-Empty-16x16-v0", Empty::max_steps_of(16), EMPTY, |limit| {
        boxed(MiniGrid::new(Empty::new(16)?)?, limit)
    }),
    minigrid("MiniGrid-Empty-5x5-v0", Empty::max_steps_of(5), EMPTY, |limit| {
        boxed(MiniGrid::new(Empty::new(5)?)?, limit)
    }),
    minigrid("MiniGrid-Empty-6x6-v0", Empty::max_steps_of(6), EMPTY, |limit| {
        boxed(MiniGrid::new(Empty::new(6)?)?, limit)
    }),
    minigrid("MiniGrid-Empty-8x8-v0", Empty::max_steps_of(8), EMPTY, |limit| {
        boxed(MiniGrid::new(Empty::new(8)?)?, limit)
    }),
    minigrid("MiniGrid-Empty-Random-5x5-v0", Empty::max_steps_of(5), EMPTY_RANDOM, |limit| {
        boxed(MiniGrid::new(Empty::random(5)?)?, limit)
    }),
    minigrid("MiniGrid-Empty-Random-6x6-v0", Empty::max_steps_of(6), EMPTY_RANDOM, |limit| {
        boxed(MiniGrid::new(Empty::random(6)?)?, limit)
    }),
    minigrid("MiniGrid-Fetch-5x5-N2-v0", Fetch::max_steps_of(5), FETCH, |limit| {
        boxed(MiniGrid::new(Fetch::new(5, 2)?)?, limit)
    }),
    minigrid("MiniGrid-Fetch-6x6-N2-v0", Fetch::max_steps_of(6), FETCH, |limit| {
        boxed(MiniGrid::new(Fetch::new(6, 2)?)?, limit)
    }),
    minigrid("MiniGrid-Fetch-8x8-N3-v0", Fetch::max_steps_of(8), FETCH, |limit| {
        boxed(MiniGrid::new(Fetch::new(8, 3)?)?, limit)
    }),
    minigrid("MiniGrid-GoToDoor-5x5-v0", GoToDoor::max_steps_of(5), GO_TO_DOOR, |limit| {
        boxed(MiniGrid::new(GoToDoor::new(5)?)?, limit)
    }),
    minigrid("MiniGrid-GoToDoor-6x6-v0", GoToDoor::max_steps_of(6), GO_TO_DOOR, |limit| {
        boxed(MiniGrid::new(GoToDoor::new(6)?)?, limit)
    }),
    minigrid("MiniGrid-GoToDoor-8x8-v0", GoToDoor::max_steps_of(8), GO_TO_DOOR, |limit| {
        boxed(MiniGrid::new(GoToDoor::new(8)?)?, limit)
    }),
    minigrid("MiniGrid-Unlock-v0", Unlock::MAX_STEPS, UNLOCK, |limit| boxed(MiniGrid::new(Unlock)?, limit)),
    EnvSpec {
        id: "MountainCar-v0",
        max_steps: 200,
        reward_threshold: Some(-110.0),
        description: "drive an under-powered car out of a valley by swinging back and forth",
        feature: None,
        make: Some(|limit| boxed(MountainCar::new(), limit)),
    },
    EnvSpec {
        id: "MountainCarContinuous-v0",
        max_steps: 999,
        reward_threshold: Some(90.0),
        description: "drive an under-powered car out of a valley with a throttle and a price on fuel",
        feature: None,
        make: Some(|limit| boxed(MountainCarContinuous::new(), limit)),
    },
    EnvSpec {
        id: "Pendulum-v1",
        max_steps: 200,
        reward_threshold: None,
        description: "swing a pendulum up and hold it there by a torque at its joint",
        feature: None,
        make: Some(|limit| boxed(Pendulum::new(), limit)),
    },
    EnvSpec {
        id: "Taxi-v3",
        max_steps: 200,
        reward_threshold: Some(8.0),
        description: "fetch a passenger at one of four stands and set them down at another",
        feature: None,
        make: Some(|limit| boxed(Taxi::new(), limit)),
    },
];

/// Every registered environment, by id, those whose feature is not compiled in included.
pub fn specs() -> &'static [EnvSpec] {
    &SPECS
}

/// The ids of all environments that [`make`] can make in this build, sorted.
pub fn ids() -> impl Iterator<Item = &'static str> {
    SPECS.iter().filter(|spec| spec.is_available()).map(|spec| spec.id)
}

/// What is registered under `id`.
///
/// # Errors
/// [`ErrorKind::UnknownName`](gbrl_core::error::ErrorKind::UnknownName) with the nearest ids.
pub fn spec(id: &str) -> Result<&'static EnvSpec> {
    SPECS
        .iter()
        .find(|spec| spec.id == id)
        .ok_or_else(|| Error::unknown_name("environment", id, SPECS.iter().map(|spec| spec.id)))
}

/// Makes the environment registered under `id`, with its time limit.
///
/// ```
/// let env = gbrl_envs::make("CartPole-v1")?;
/// assert_eq!(env.name(), "CartPole-v1");
/// let error = gbrl_envs::make("CartPole-v9").err().unwrap();
/// assert_eq!(error.to_string(), "unknown environment 'CartPole-v9'; did you mean 'CartPole-v1'?");
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::UnknownName`](gbrl_core::error::ErrorKind::UnknownName) with the nearest ids, and
/// [`ErrorKind::Unsupported`](gbrl_core::error::ErrorKind::Unsupported) when it needs a feature that is not compiled in.
pub fn make(id: &str) -> Result<Box<dyn Env>> {
    spec(id)?.make()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sorted_and_name_their_environments() {
        assert!(SPECS.is_sorted_by(|a, b| a.id < b.id));
        for id in ids() {
            assert_eq!(make(id).unwrap().name(), id);
        }
    }

    #[cfg(not(feature = "box2d"))]
    #[test]
    fn a_missing_feature_is_named() {
        let error = make("LunarLander-v3").err().unwrap();
        assert_eq!(error.class(), gbrl_core::error::ErrorClass::Unsupported);
        assert!(error.to_string().contains("cargo feature `box2d`"), "{error}");
        assert!(!ids().any(|id| id == "LunarLander-v3"));
    }
}
