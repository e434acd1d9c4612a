//! Looking at trees: what every class that has some offers.

use gbrl_core::ensemble::Ensemble;
use gbrl_core::explain::{Measure, feature_importance};
use gbrl_core::io::{dot, json, text};
use pyo3::prelude::*;

use gbrl_core::Error;

use crate::error::to_py;

/// Importance of every feature, by "gain" or "count", normalised to a sum of 1.
pub fn importance(ensemble: &Ensemble, kind: &str) -> PyResult<Vec<f64>> {
    let measure = match kind {
        "gain" => Measure::Gain,
        "count" => Measure::Count,
        _ => return Err(to_py(Error::parameter("kind", kind, "gain or count"))),
    };
    let importance = feature_importance(ensemble, 0..ensemble.trees().len(), measure, true).map_err(to_py)?;
    Ok(importance.values().to_vec())
}

/// Tree `tree_idx` as "text", "dot" or "json".
pub fn tree(ensemble: &Ensemble, tree_idx: usize, format: &str) -> PyResult<String> {
    let written = match format {
        "text" => text::tree_text(ensemble, tree_idx),
        "dot" => dot::tree_dot(ensemble, tree_idx),
        "json" => json::tree_json(ensemble, tree_idx),
        _ => Err(Error::parameter("format", format, "text, dot or json")),
    };
    written.map_err(to_py)
}

/// Names of the input columns.
pub fn feature_names(ensemble: &Ensemble) -> Vec<String> {
    ensemble.schema().features().iter().map(|feature| feature.name().to_owned()).collect()
}

/// The code of a string that the column knows, or −1.
pub fn code(ensemble: &Ensemble, feature_idx: usize, text: &str) -> PyResult<f32> {
    match ensemble.schema().features().get(feature_idx) {
        Some(feature) => Ok(feature.code(text)),
        None => Err(to_py(Error::parameter("feature_idx", feature_idx, format!("below {}", ensemble.n_features())))),
    }
}
