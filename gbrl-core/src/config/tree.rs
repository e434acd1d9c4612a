//! Settings of the tree learner.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How trees are grown. Start from `TreeParams::default()` and change what you need; [`TreeParams::check`] refuses
/// what cannot work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TreeParams {
    /// Shape of the trees.
    pub grow_policy: GrowPolicy,
    /// How candidate splits are scored.
    pub split_score: SplitScore,
    /// Questions on the longest way to a leaf: 1 to 16, oblivious trees to 12.
    pub max_depth: usize,
    /// Leaves of a best-first tree, at least 2.
    pub max_leaves: usize,
    /// Bins per numeric feature, 2 to 256, the one for missing values included where they occur.
    pub n_bins: usize,
    /// Where bin edges are placed.
    pub bin_strategy: BinStrategy,
    /// How long bin edges live.
    pub edges: Edges,
    /// Fewest rows of a leaf; a candidate that would leave fewer on a side is not taken.
    pub min_data_in_leaf: usize,
    /// Least gain of a split in depth-wise and best-first trees.
    pub min_split_gain: f64,
    /// Regularisation λ of scores and leaf values, G/(W + λ).
    pub lambda_l2: f64,
    /// Share of a step's rows that a tree sees, in (0, 1].
    pub row_subsample: f64,
    /// Share of the features that a tree sees, in (0, 1].
    pub feature_subsample: f64,
    /// Factor on each feature's score; empty means 1 for all.
    pub feature_weights: Vec<f64>,
    /// Outputs that may only rise or only fall with a feature.
    pub monotone: Vec<Monotone>,
    /// One tree for all output groups; false grows one tree per group and step.
    pub shared_structure: bool,
    /// Reduce the gradients' variance by what earlier trees predicted.
    pub control_variates: bool,
}

/// Shape of the trees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrowPolicy {
    /// The same question for all nodes of a level: fastest to grow and to evaluate.
    #[default]
    Oblivious,
    /// Every node asks its own question, level by level.
    Depthwise,
    /// The node with the largest gain is split next, up to `max_leaves`.
    Bestfirst,
}

/// How candidate splits are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitScore {
    /// √(n_L‖μ_L‖² + n_R‖μ_R‖²): the length of the gradients' projection on the leaf means.
    #[default]
    Cosine,
    /// n_L‖μ_L‖² + n_R‖μ_R‖² of gradients standardised per output: least squares.
    L2,
}

/// Where bin edges are placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BinStrategy {
    /// Equally many rows per bin.
    #[default]
    Quantile,
    /// Equally wide bins between the smallest and the largest value.
    Uniform,
}

/// How long bin edges live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edges {
    /// From all rows of a dataset, once: a rollout's minibatches share them.
    #[default]
    Rollout,
    /// From the rows of each step anew.
    Step,
    /// From the first dataset, for ever; part of the model.
    Fixed,
}

/// An output that may only rise (or only fall) with a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monotone {
    /// The feature, numeric.
    pub feature_idx: usize,
    /// The output column.
    pub output_idx: usize,
    /// True where the output may only rise with the feature.
    pub rising: bool,
}

impl Default for TreeParams {
    fn default() -> Self {
        TreeParams {
            grow_policy: GrowPolicy::Oblivious,
            split_score: SplitScore::Cosine,
            max_depth: 4,
            max_leaves: 16,
            n_bins: 256,
            bin_strategy: BinStrategy::Quantile,
            edges: Edges::Rollout,
            min_data_in_leaf: 0,
            min_split_gain: 0.0,
            lambda_l2: 0.0,
            row_subsample: 1.0,
            feature_subsample: 1.0,
            feature_weights: Vec::new(),
            monotone: Vec::new(),
            shared_structure: true,
            control_variates: false,
        }
    }
}

impl TreeParams {
    /// Checks every setting against its range and against the number of features and outputs.
    ///
    /// # Errors
    /// Class `Value`, naming the first setting that is out of range, its value and the rule.
    pub fn check(&self, n_features: usize, n_outputs: usize) -> Result<()> {
        let deepest = if self.grow_policy == GrowPolicy::Oblivious { 12 } else { 16 };
        let share = |x: f64| x > 0.0 && x <= 1.0;
        let at_least_0 = |x: f64| x >= 0.0 && x.is_finite();
        let rules: [(&str, bool, String, String); 8] = [
            (
                "max_depth",
                (1..=deepest).contains(&self.max_depth),
                self.max_depth.to_string(),
                format!("1 to {deepest}"),
            ),
            ("max_leaves", self.max_leaves >= 2, self.max_leaves.to_string(), "at least 2".into()),
            ("n_bins", (2..=256).contains(&self.n_bins), self.n_bins.to_string(), "2 to 256".into()),
            ("min_split_gain", at_least_0(self.min_split_gain), self.min_split_gain.to_string(), "at least 0".into()),
            ("lambda_l2", at_least_0(self.lambda_l2), self.lambda_l2.to_string(), "at least 0".into()),
            ("row_subsample", share(self.row_subsample), self.row_subsample.to_string(), "in (0, 1]".into()),
            (
                "feature_subsample",
                share(self.feature_subsample),
                self.feature_subsample.to_string(),
                "in (0, 1]".into(),
            ),
            (
                "feature_weights",
                self.feature_weights.is_empty() || self.feature_weights.len() == n_features,
                format!("{} weights", self.feature_weights.len()),
                format!("none or one per feature, {n_features}"),
            ),
        ];
        if let Some((name, _, value, rule)) = rules.into_iter().find(|(_, holds, ..)| !holds) {
            return Err(Error::parameter(name, value, rule));
        }
        if let Some(i) = self.feature_weights.iter().position(|&w| !at_least_0(w)) {
            return Err(Error::element("feature_weights", (0, i), "finite and at least 0", self.feature_weights[i]));
        }
        for constraint in &self.monotone {
            if constraint.feature_idx >= n_features || constraint.output_idx >= n_outputs {
                return Err(Error::parameter(
                    "monotone",
                    format!("feature {}, output {}", constraint.feature_idx, constraint.output_idx),
                    format!("a feature below {n_features} and an output below {n_outputs}"),
                ));
            }
        }
        Ok(())
    }
}
