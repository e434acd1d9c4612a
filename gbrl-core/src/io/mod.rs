//! Models and checkpoints in files, and models as text for people.
//!
//! * [`model`]: the model file, `model.gbrl`; [`checkpoint`]: a model with everything a run needs to go on.
//!   Both are [`container`]s: hostile input, checksummed, limited, canonical, written in one step.
//! * [`json`]: the whole model as JSON, there and back without loss; [`text`] and [`dot`]: one tree to look at.
//! * [`lock`]: one process at a time in the folder of a run.

pub mod checkpoint;
pub mod container;
mod describe;
pub mod dot;
pub mod json;
pub mod lock;
pub mod model;
pub mod text;

pub use checkpoint::{Checkpoint, load_model};
pub use lock::FolderLock;
pub use model::{Model, ModelRef, load, save};
