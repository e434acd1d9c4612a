//! Settings of the tree learner.

use serde::{Deserialize, Serialize};

use super::knob::{ParamValue, list, params, print_list, words};
use crate::error::{Error, Result};

params! {
    /// How trees are grown. Start from `TreeParams::default()` and change what you need; [`TreeParams::check`] refuses
    /// what cannot work.
    "tree" TreeParams {
        /// Shape of the trees.
        grow_policy: GrowPolicy = GrowPolicy::Oblivious, "", "oblivious, depthwise or bestfirst", |_| true;
        /// How candidate splits are scored.
        split_score: SplitScore = SplitScore::Cosine, "", "cosine or l2", |_| true;
        /// Questions on the longest way to a leaf.
        max_depth: usize = 4, "levels", "1 to 16, oblivious trees to 12", |x| (1..=16).contains(x);
        /// Leaves of a best-first tree.
        max_leaves: usize = 16, "leaves", "at least 2", |x| *x >= 2;
        /// Bins per numeric feature, the one for missing values included where they occur.
        n_bins: usize = 256, "bins", "2 to 256", |x| (2..=256).contains(x);
        /// Where bin edges are placed.
        bin_strategy: BinStrategy = BinStrategy::Quantile, "", "quantile or uniform", |_| true;
        /// How long bin edges live.
        edges: Edges = Edges::Rollout, "", "rollout, step or fixed", |_| true;
        /// Fewest rows of a leaf; a candidate that would leave fewer on a side is not taken.
        min_data_in_leaf: usize = 0, "rows", "at least 0", |_| true;
        /// Least gain of a split in depth-wise and best-first trees.
        min_split_gain: f64 = 0.0, "", "at least 0", |x| at_least_0(*x);
        /// Regularisation λ of scores and leaf values, G/(W + λ).
        lambda_l2: f64 = 0.0, "", "at least 0", |x| at_least_0(*x);
        /// Share of a step's rows that a tree sees.
        row_subsample: f64 = 1.0, "", "in (0, 1]", |x| share(*x);
        /// Share of the features that a tree sees.
        feature_subsample: f64 = 1.0, "", "in (0, 1]", |x| share(*x);
        /// Factor on each feature's score; empty means 1 for all.
        feature_weights: Vec<f64> = Vec::new(), "", "none, or one finite weight of at least 0 per feature", |_| true;
        /// Outputs that may only rise or only fall with a feature.
        monotone: Vec<Monotone> = Vec::new(), "", "none, or pairs of an existing numeric feature and output", |_| true;
        /// One tree for all output groups; false grows one tree per group and step.
        shared_structure: bool = true, "", "true or false", |_| true;
        /// Reduce the gradients' variance by what earlier trees predicted.
        control_variates: bool = false, "", "true or false", |_| true;
    }
}

fn at_least_0(x: f64) -> bool {
    x >= 0.0 && x.is_finite()
}

fn share(x: f64) -> bool {
    x > 0.0 && x <= 1.0
}

words!(GrowPolicy, "word", "oblivious" => GrowPolicy::Oblivious, "depthwise" => GrowPolicy::Depthwise,
    "bestfirst" => GrowPolicy::Bestfirst);
words!(SplitScore, "word", "cosine" => SplitScore::Cosine, "l2" => SplitScore::L2);
words!(BinStrategy, "word", "quantile" => BinStrategy::Quantile, "uniform" => BinStrategy::Uniform);
words!(Edges, "word", "rollout" => Edges::Rollout, "step" => Edges::Step, "fixed" => Edges::Fixed);

impl ParamValue for Vec<Monotone> {
    const KIND: &'static str = "feature:output:rising or feature:output:falling with commas between, or nothing";

    fn parse(text: &str) -> Option<Self> {
        list(text, |item| {
            let mut parts = item.split(':');
            let feature_idx = usize::parse(parts.next()?)?;
            let output_idx = usize::parse(parts.next()?)?;
            let rising = match (parts.next()?, parts.next()) {
                ("rising", None) => true,
                ("falling", None) => false,
                _ => return None,
            };
            Some(Monotone { feature_idx, output_idx, rising })
        })
    }

    fn print(&self) -> String {
        print_list(self, |constraint| {
            let direction = if constraint.rising { "rising" } else { "falling" };
            format!("{}:{}:{direction}", constraint.feature_idx, constraint.output_idx)
        })
    }
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

impl TreeParams {
    /// Checks every setting against its range and against the number of features and outputs.
    ///
    /// # Errors
    /// Class `Value`, naming the first setting that is out of range, its value and the rule.
    pub fn check(&self, n_features: usize, n_outputs: usize) -> Result<()> {
        self.check_each()?;
        if self.grow_policy == GrowPolicy::Oblivious && self.max_depth > 12 {
            return Err(Error::parameter("max_depth", self.max_depth, "1 to 12 for oblivious trees"));
        }
        if !(self.feature_weights.is_empty() || self.feature_weights.len() == n_features) {
            let got = format!("{} weights", self.feature_weights.len());
            return Err(Error::parameter("feature_weights", got, format!("none or one per feature, {n_features}")));
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
        let target = |m: &Monotone| (m.feature_idx, m.output_idx);
        let mut targets: Vec<_> = self.monotone.iter().map(target).collect();
        targets.sort_unstable();
        if let Some(twice) = targets.windows(2).find(|pair| pair[0] == pair[1]) {
            let got = format!("feature {}, output {} twice", twice[0].0, twice[0].1);
            return Err(Error::parameter("monotone", got, "one direction per feature and output"));
        }
        if self.edges == Edges::Fixed && self.n_bins < 3 {
            return Err(Error::parameter(
                "n_bins",
                self.n_bins,
                "at least 3 with edges = fixed, one for missing values",
            ));
        }
        Ok(())
    }
}
