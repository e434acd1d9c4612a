//! Algorithms: what they share (acting, remembering, valuing) and what each learns from a rollout.

mod a2c;
mod actor;
pub mod adam;
mod agent;
mod awr;
mod compaction;
mod learner;
mod minibatch;
mod noise;
mod ppo;
mod replay;
mod steps;
mod trainer;

use std::ops::ControlFlow;

pub use actor::Decision;
pub use agent::{Agent, AgentState};
pub use trainer::{Trainer, TrainerState};

/// Asked now and then during long work whether to go on.
pub type Poll<'a> = dyn FnMut() -> ControlFlow<()> + 'a;

#[cfg(test)]
mod tests;
