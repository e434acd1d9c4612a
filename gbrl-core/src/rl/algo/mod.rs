//! Algorithms: what on-policy algorithms share (acting, remembering, valuing) and what each learns from a rollout.

mod actor;
pub mod adam;
mod agent;
pub mod ppo;
mod trainer;

pub use actor::Decision;
pub use agent::{Agent, AgentState};
pub use trainer::{Trainer, TrainerState};

#[cfg(test)]
mod tests;
