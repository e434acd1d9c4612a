//! Looking at trees: what every class that has some offers.

use gbrl_core::ensemble::Ensemble;
use gbrl_core::error::{Error, Result};
use gbrl_core::explain::{Measure, feature_importance};
use gbrl_core::io::{dot, json, text};

/// Importance of every feature, by "gain" or "count", normalised to a sum of 1.
pub fn importance(ensemble: &Ensemble, kind: &str) -> Result<Vec<f64>> {
    let measure = match kind {
        "gain" => Measure::Gain,
        "count" => Measure::Count,
        _ => return Err(Error::parameter("kind", kind, "gain or count")),
    };
    let importance = feature_importance(ensemble, 0..ensemble.trees().len(), measure, true)?;
    Ok(importance.values().to_vec())
}

/// Tree `tree_idx` as "text", "dot" or "json".
pub fn tree(ensemble: &Ensemble, tree_idx: usize, format: &str) -> Result<String> {
    match format {
        "text" => text::tree_text(ensemble, tree_idx),
        "dot" => dot::tree_dot(ensemble, tree_idx),
        "json" => json::tree_json(ensemble, tree_idx),
        _ => Err(Error::parameter("format", format, "text, dot or json")),
    }
}

/// Names of the input columns.
pub fn feature_names(ensemble: &Ensemble) -> Vec<String> {
    ensemble.schema().features().iter().map(|feature| feature.name().to_owned()).collect()
}

/// Names of the output columns, as the dumps have them.
pub fn output_names(ensemble: &Ensemble) -> Vec<String> {
    (0..ensemble.n_outputs()).map(|column| ensemble.output_name(column)).collect()
}

/// The code of a string that the column knows, or −1.
pub fn code(ensemble: &Ensemble, feature_idx: usize, text: &str) -> Result<f32> {
    match ensemble.schema().features().get(feature_idx) {
        Some(feature) => Ok(feature.code(text)),
        None => Err(Error::parameter("feature_idx", feature_idx, format!("below {}", ensemble.n_features()))),
    }
}
