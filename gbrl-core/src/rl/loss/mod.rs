//! Losses as pure functions: numbers in, loss and hand-derived gradient out, the formula in the doc.
//!
//! Everything here is about **one row**, except the statistics in [`metrics`] and the standardisation of a batch's
//! advantages. Gradients are d loss_row / d (quantity of that row), not divided by the batch size: the booster
//! takes means in its leaves. Chaining with a distribution's gradients gives d loss_row / d output_row.

pub mod clip;
pub mod metrics;
pub mod policy_gradient;
pub mod ppo;
pub mod value;

pub use clip::clip_norm;
pub(crate) use metrics::standard;
pub use metrics::{explained_variance, mean_and_std, standardize_advantages};
pub use policy_gradient::{PolicyGradient, advantage_weight, policy_gradient};
pub use ppo::{Surrogate, clipped_surrogate};
pub use value::{ValueLoss, clipped_value_loss, value_loss};
