//! Feature importance by gain and by count.

use std::ops::Range;

use crate::ensemble::Ensemble;
use crate::error::{Error, Result};

/// What is added up for each feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// The gains of the splits on the feature: how much they improved the fit when they were made.
    #[default]
    Gain,
    /// The number of splits on the feature.
    Count,
}

/// One number per feature, in the order of the schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    names: Vec<String>,
    values: Vec<f64>,
}

/// How much each feature matters to the trees in `trees`.
///
/// With S(f) the splits of those trees on feature f,
///
/// ```text
/// gain:   I(f) = Σ_{s ∈ S(f)} gain(s)          count:   I(f) = |S(f)|
/// ```
///
/// and, where `normalised`, I(f) / Σ_g |I(g)|, so that the shares add up to 1 (all 0 where there is no split or no
/// gain). A level of an oblivious tree is **one** split, however many nodes ask its question; its gain is the whole
/// level's. Gains are f64 sums in the order of trees and splits, so the result is the same everywhere.
///
/// Gains of the cosine and the L2 score have different units, and both shrink as the gradients do: compare features
/// within one run, and prefer a range of late trees when the question is what the final policy looks at. Either measure
/// favours features with many values. An empty range gives zeros. O(number of splits).
///
/// # Errors
/// Class `Value` when the range leaves the ensemble, a tree asks about a feature that does not exist, or a gain is not
/// finite.
///
/// ```
/// # use gbrl_core::{data::schema::{Feature, FeatureSchema}, ensemble::*, tree::*};
/// use gbrl_core::explain::{Measure, feature_importance};
/// # let schema = FeatureSchema::new(vec![Feature::numeric("speed"), Feature::numeric("angle")]);
/// # let groups = vec![OutputGroup::sgd("value", 0..1, Schedule::Constant(0.1))];
/// # let mut ensemble = Ensemble::new(schema, groups)?;
/// # let splits = [Split::greater(1, 0.5, false), Split::greater(0, 0.0, false)];
/// # ensemble.push(Tree::new(Shape::Oblivious(splits.into()), 0..1, vec![0.0; 4], vec![1; 4], vec![3.0, 1.0], vec![0.1]))?;
/// // One oblivious tree: "angle > 0.5" with gain 3, then "speed > 0" with gain 1.
/// let importance = feature_importance(&ensemble, 0..1, Measure::Gain, true)?;
/// assert_eq!(importance.values(), [0.25, 0.75]);
/// assert_eq!(importance.sorted(), [("angle", 0.75), ("speed", 0.25)]);
/// # Ok::<(), gbrl_core::Error>(())
/// ```
pub fn feature_importance(
    ensemble: &Ensemble,
    trees: Range<usize>,
    measure: Measure,
    normalised: bool,
) -> Result<Importance> {
    ensemble.check_range(&trees)?;
    let names = ensemble.schema().features().iter().map(|feature| feature.name().to_owned()).collect();
    let mut values = vec![0.0; ensemble.n_features()];
    for (tree_idx, tree) in ensemble.trees().iter().enumerate().take(trees.end).skip(trees.start) {
        for (split_idx, (split, &gain)) in tree.splits().zip(tree.gains()).enumerate() {
            let Some(value) = values.get_mut(split.feature_idx as usize) else {
                let rule = format!("a feature below {}", ensemble.n_features());
                return Err(Error::element("split.feature", (tree_idx, split_idx), rule, split.feature_idx));
            };
            if !gain.is_finite() {
                return Err(Error::element("split.gain", (tree_idx, split_idx), "a finite number", gain));
            }
            *value += match measure {
                Measure::Gain => f64::from(gain),
                Measure::Count => 1.0,
            };
        }
    }
    if normalised {
        let total: f64 = values.iter().map(|value: &f64| value.abs()).sum();
        if total > 0.0 {
            values.iter_mut().for_each(|value| *value /= total);
        }
    }
    Ok(Importance { names, values })
}

impl Importance {
    /// The features' names, in the order of the schema.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// One number per feature, in the order of the schema.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Names and numbers, the largest first, ties in the order of the schema. O(n log n) in the features.
    pub fn sorted(&self) -> Vec<(&str, f64)> {
        let mut pairs: Vec<(&str, f64)> =
            self.names.iter().map(String::as_str).zip(self.values.iter().copied()).collect();
        pairs.sort_by(|a, b| b.1.total_cmp(&a.1));
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::schema::FeatureSchema;
    use crate::ensemble::{OutputGroup, Schedule};
    use crate::tree::{Child, Node, Shape, Split, Tree};

    fn ensemble() -> Ensemble {
        let groups = vec![OutputGroup::sgd("value", 0..1, Schedule::Constant(0.1))];
        let mut ensemble = Ensemble::new(FeatureSchema::numeric(3), groups).unwrap();
        // Oblivious, depth 2: three nodes ask, two splits count.
        let levels = [Split::greater(2, 0.0, false), Split::greater(0, 0.0, false)];
        ensemble
            .push(Tree::new(Shape::Oblivious(levels.into()), 0..1, vec![0.0; 4], vec![1; 4], vec![4.0, 2.0], vec![0.1]))
            .unwrap();
        // Binary: feature 2 twice on one path.
        let nodes = [
            Node { split: Split::greater(2, 0.0, false), left: Child::Leaf(0), right: Child::Node(1) },
            Node { split: Split::greater(2, 1.0, false), left: Child::Leaf(1), right: Child::Leaf(2) },
        ];
        ensemble
            .push(Tree::new(Shape::Binary(nodes.into()), 0..1, vec![0.0; 3], vec![1; 3], vec![1.0, 1.0], vec![0.1]))
            .unwrap();
        ensemble.push(Tree::new(Shape::Oblivious([].into()), 0..1, vec![0.0], vec![1], vec![], vec![0.1])).unwrap();
        ensemble
    }

    #[test]
    fn sums_are_over_splits_of_the_range() {
        let ensemble = ensemble();
        let values = |trees, measure, normalised| {
            feature_importance(&ensemble, trees, measure, normalised).unwrap().values().to_vec()
        };
        assert_eq!(values(0..3, Measure::Gain, false), [2.0, 0.0, 6.0]);
        assert_eq!(values(0..3, Measure::Count, false), [1.0, 0.0, 3.0]);
        assert_eq!(values(0..3, Measure::Count, true), [0.25, 0.0, 0.75]);
        assert_eq!(values(1..2, Measure::Gain, false), [0.0, 0.0, 2.0]);
        assert_eq!(values(2..3, Measure::Gain, true), [0.0; 3]);
        assert_eq!(values(1..1, Measure::Gain, true), [0.0; 3], "an empty range is empty");
    }

    #[test]
    fn sorting_is_stable_and_ranges_are_checked() {
        let ensemble = ensemble();
        let importance = feature_importance(&ensemble, 1..2, Measure::Gain, true).unwrap();
        assert_eq!(importance.sorted(), [("x[2]", 1.0), ("x[0]", 0.0), ("x[1]", 0.0)]);
        assert!(feature_importance(&ensemble, 0..4, Measure::Gain, true).is_err());
    }
}
