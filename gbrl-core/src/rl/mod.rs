//! Reinforcement learning on top of the learner: spaces, environments, rollouts, losses, algorithms.

pub mod dist;
pub mod advantage;
pub mod env;
pub mod loss;
pub mod space;
