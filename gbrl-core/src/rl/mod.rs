//! Reinforcement learning on top of the learner: spaces, environments, rollouts, losses, algorithms.

pub mod env;
pub mod space;
