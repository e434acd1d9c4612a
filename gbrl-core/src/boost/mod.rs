//! Boosting: gradients in, a tree out, every cached output one tree further.
//!
//! The gradient convention is defined here and nowhere else. A gradient is d loss_row / d output_row, one row of
//! `n_outputs` per observation, **not** divided by the batch size. A tree's leaf holds −rate · (mean gradient of its
//! rows), so a step moves every output downhill; in an Adam group it holds the mean gradient itself.

mod booster;
mod compact;
mod dataset;
mod fit;
mod fold;
mod held;
mod leaves;
mod memo;
mod once;
mod refit;
mod replay;
mod sample;
mod variates;

pub use booster::{Booster, StepReport};
pub use compact::{Distiller, OutputChange};
pub use dataset::Dataset;
pub use fit::{Losses, Targets};
