//! The model: trees in the order they were grown, append-only.

pub mod adam;
pub mod group;

use std::ops::Range;
use std::sync::Arc;

pub use group::{Optimizer, OutputGroup, Schedule};

use crate::data::{Feature, FeatureSchema};
use crate::error::{Error, Result};
use crate::tree::Tree;

/// Most input columns.
pub const MAX_FEATURES: usize = 1 << 20;
/// Most output columns.
pub const MAX_OUTPUTS: usize = 1 << 16;

/// Trees in the order they were grown, over named features, adding up to named groups of output columns.
///
/// output[row, column] = bias[column] + Σ over trees in order of leaf[column], all in f32, one addition after the
/// other: cached, batched and single-row predictions are therefore equal to the bit. In columns of an Adam group the
/// sum is a fold instead ([`Optimizer::Adam`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    schema: FeatureSchema,
    groups: Vec<OutputGroup>,
    bias: Vec<f32>,
    trees: Vec<Tree>,
    /// One per output column, or none at all.
    output_names: Arc<[String]>,
}

impl Ensemble {
    /// An empty ensemble. The groups' columns must follow one another from 0.
    ///
    /// # Errors
    /// Class `Value` when there is no group or no feature, or too many, or a group's columns are empty or do not start where the one before ends,
    /// or a group's settings are out of range, or a column declares too many categories ([`FeatureSchema::check`]).
    pub fn new(schema: FeatureSchema, groups: Vec<OutputGroup>) -> Result<Self> {
        let mut next = 0;
        for group in &groups {
            group.check()?;
            if group.columns.start != next || group.columns.is_empty() {
                let got = format!("{:?}", group.columns);
                return Err(Error::parameter(
                    format!("groups.{}.columns", group.name),
                    got,
                    format!("a range that starts at {next}"),
                ));
            }
            next = group.columns.end;
        }
        if groups.is_empty() {
            return Err(Error::parameter("groups", "none", "at least one output group"));
        }
        if !(1..=MAX_OUTPUTS).contains(&next) {
            return Err(Error::parameter("outputs", next, format!("1 to {MAX_OUTPUTS}")));
        }
        if !(1..=MAX_FEATURES).contains(&schema.len()) {
            return Err(Error::parameter("features", schema.len(), format!("1 to {MAX_FEATURES}")));
        }
        schema.check()?;
        Ok(Ensemble { schema, groups, bias: vec![0.0; next], trees: Vec::new(), output_names: Arc::default() })
    }

    /// What the input columns mean.
    pub fn schema(&self) -> &FeatureSchema {
        &self.schema
    }

    /// What an output column is called: the name it was given, or its group's with its number where the group has several.
    ///
    /// # Panics
    /// Beyond the last column.
    pub fn output_name(&self, column: usize) -> String {
        let own = |group: &&OutputGroup| group.columns.contains(&column);
        match (self.output_names.get(column), self.groups.iter().find(own)) {
            (Some(name), _) => name.clone(),
            (None, Some(group)) if group.columns.len() == 1 => group.name.clone(),
            (None, Some(group)) => format!("{}[{}]", group.name, column - group.columns.start),
            (None, None) => panic!("output {column} of {}", self.n_outputs()),
        }
    }

    /// The names that output columns were given; empty where they go by their groups'.
    pub fn output_names(&self) -> &[String] {
        &self.output_names
    }

    /// Gives every output column a name, or takes all names away.
    ///
    /// # Errors
    /// Class `Value` for another number of names.
    pub fn name_outputs(&mut self, names: impl Into<Arc<[String]>>) -> Result<()> {
        let names = names.into();
        if !names.is_empty() && names.len() != self.n_outputs() {
            return Err(Error::shape("output names", self.n_outputs(), names.len()));
        }
        self.output_names = names;
        Ok(())
    }

    /// Calls columns, codes and outputs by other names; the latter as [`name_outputs`](Ensemble::name_outputs) does.
    ///
    /// # Errors
    /// Class `Value` for columns of other kinds, and another number of outputs; nothing has changed then.
    pub fn describe(&mut self, schema: FeatureSchema, output_names: Vec<String>) -> Result<()> {
        if !schema.has_kinds_of(&self.schema) {
            let kinds = |schema: &FeatureSchema| {
                format!("{:?}", schema.features().iter().map(Feature::kind).collect::<Vec<_>>())
            };
            return Err(Error::parameter("features", kinds(&schema), kinds(&self.schema)));
        }
        self.name_outputs(output_names)?;
        self.schema = schema;
        Ok(())
    }

    /// The code of a string in a column of strings, giving it the next one when it is new.
    ///
    /// # Errors
    /// Class `Value` when there is no such column, and as [`Feature::learn`](crate::data::Feature::learn).
    pub fn learn(&mut self, feature_idx: usize, text: &str) -> Result<f32> {
        let n_features = self.n_features();
        match self.schema.features_mut().get_mut(feature_idx) {
            Some(feature) => feature.learn(text),
            None => Err(Error::parameter("feature_idx", feature_idx, format!("below {n_features}"))),
        }
    }

    /// The groups of output columns.
    pub fn groups(&self) -> &[OutputGroup] {
        &self.groups
    }

    /// Gives a group another learning rate, for the trees to come.
    ///
    /// # Errors
    /// Class `Value` when there is no such group, and as [`Schedule::check`].
    pub fn set_rate(&mut self, group_idx: usize, rate: Schedule) -> Result<()> {
        let n_groups = self.groups.len();
        let Some(group) = self.groups.get_mut(group_idx) else {
            return Err(Error::parameter("group_idx", group_idx, format!("below {n_groups}")));
        };
        rate.check(&format!("{}_lr", group.name))?;
        group.rate = rate;
        Ok(())
    }

    /// Input columns.
    pub fn n_features(&self) -> usize {
        self.schema.len()
    }

    /// Output columns.
    pub fn n_outputs(&self) -> usize {
        self.bias.len()
    }

    /// Where every output starts, before the first tree.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// Sets where every output starts.
    ///
    /// # Errors
    /// Class `Value` when the length is wrong, a value is not finite, or trees are there already (their outputs would
    /// change under whoever cached them).
    pub fn set_bias(&mut self, bias: &[f32]) -> Result<()> {
        if bias.len() != self.n_outputs() {
            return Err(Error::shape("bias", self.n_outputs(), bias.len()));
        }
        if let Some(i) = bias.iter().position(|b| !b.is_finite()) {
            return Err(Error::element("bias", (0, i), "a finite number", bias[i]));
        }
        if !self.trees.is_empty() {
            return Err(Error::unsupported(
                "changing the bias",
                format!("with {} trees", self.trees.len()),
                "earlier predictions would change",
            ));
        }
        self.bias.copy_from_slice(bias);
        Ok(())
    }

    /// The trees, oldest first.
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// A copy with the first `n_trees` trees only.
    ///
    /// # Errors
    /// Class `Value` when there are fewer.
    pub fn first(&self, n_trees: usize) -> Result<Self> {
        self.check_range(&(0..n_trees))?;
        let Ensemble { schema, groups, bias, trees, output_names } = self;
        Ok(Ensemble {
            schema: schema.clone(),
            groups: groups.clone(),
            bias: bias.clone(),
            trees: trees[..n_trees].to_vec(),
            output_names: output_names.clone(),
        })
    }

    /// Appends a tree.
    ///
    /// # Errors
    /// Class `Value` when its columns are neither all of them nor those of one group, or it asks about a feature that
    /// does not exist.
    pub fn push(&mut self, tree: Tree) -> Result<()> {
        if !self.covers_whole_groups(&tree.columns()) {
            let got = format!("{:?}", tree.columns());
            return Err(Error::parameter("columns of a tree", got, "those of one group, or of all"));
        }
        if let Some(split) = tree.splits().find(|split| split.feature_idx as usize >= self.n_features()) {
            let rule = format!("below {}", self.n_features());
            return Err(Error::parameter("feature_idx of a split", split.feature_idx, rule));
        }
        self.trees.push(tree);
        Ok(())
    }

    /// Whether `columns` are those of all groups together or of exactly one.
    pub fn covers_whole_groups(&self, columns: &Range<usize>) -> bool {
        *columns == (0..self.n_outputs()) || self.groups.iter().any(|group| group.columns == *columns)
    }

    /// Whether some output is a fold over trees rather than a sum.
    pub fn has_adam(&self) -> bool {
        self.groups.iter().any(|group| matches!(group.optimizer, Optimizer::Adam { .. }))
    }

    /// A range of trees, checked.
    ///
    /// # Errors
    /// Class `Value` when the range leaves the ensemble or runs backwards.
    pub fn check_range(&self, trees: &Range<usize>) -> Result<()> {
        if trees.start <= trees.end && trees.end <= self.trees.len() {
            return Ok(());
        }
        Err(Error::parameter("trees", format!("{trees:?}"), format!("a range within 0..{}", self.trees.len())))
    }
}
