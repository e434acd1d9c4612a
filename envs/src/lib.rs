//! Gym-style environments in Rust, one file each, and a checker of the environment contract.
//!
//! ```
//! use gbrl_core::rl::env::Action;
//! let mut env = gbrl_envs::make("CartPole-v1")?;
//! let mut observation = vec![0.0; env.observation_space().flat_len()];
//! env.reset(42, &mut observation)?;
//! let mut episode_return = 0.0;
//! loop {
//!     let right = observation[2] > 0.0; // towards the side the pole falls to
//!     let step = env.step(Action::Discrete(right.into()), &mut observation)?;
//!     episode_return += step.reward;
//!     if step.terminated || step.truncated {
//!         break;
//!     }
//! }
//! assert!(episode_return > 20.0);
//! # Ok::<(), gbrl_core::error::Error>(())
//! ```
//!
//! The classic-control tasks, FrozenLake and Taxi are Gymnasium's, and those of [`minigrid`] the package `minigrid`'s,
//! checked against them step by step from the same states. What differs: the random bits of a seed (the distributions are the same), sine, cosine and friends are
//! [`gbrl_core::math`]'s, so that an episode is the same on every machine, and `step` without an episode is an error.
//!
//! Every environment can save and restore its complete state, as fixed-width little-endian bytes.

mod common;

pub mod acrobot;
pub mod cartpole;
pub mod check;
pub mod frozen_lake;
pub mod linear_equation;
#[cfg(feature = "box2d")]
pub mod lunar_lander;
pub mod minigrid;
pub mod mountain_car;
pub mod mountain_car_continuous;
pub mod pendulum;
pub mod presets;
pub mod registry;
pub mod taxi;
pub mod toy;

pub use check::{CheckReport, Note, check};
pub use registry::{EnvSpec, ids, make, spec, specs};
