//! Reinforcement learning on top of the learner: spaces, environments, rollouts, losses, algorithms.

pub mod advantage;
pub mod algo;
pub mod dist;
pub mod env;
pub mod eval;
pub mod event;
mod exact;
pub mod loss;
pub mod normalize;
pub mod policy;
pub mod rollout;
pub mod space;
#[cfg(test)]
pub(crate) mod test_envs;
pub mod vec_env;
pub mod visited;
