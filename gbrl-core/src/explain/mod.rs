//! What a model has learned: which features it asks about.

pub mod importance;

pub use importance::{Importance, Measure, feature_importance};
