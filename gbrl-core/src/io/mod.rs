//! Models and checkpoints in files, and models as text for people.

pub mod checkpoint;
pub mod container;
mod describe;
pub mod model;

pub use checkpoint::Checkpoint;
pub use model::{Model, load, save};
