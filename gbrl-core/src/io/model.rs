//! The model file: an ensemble, how it was grown, and what a policy adds.
//!
//! `docs/format/v1.md` gives the bytes. The file holds nothing of a run's circumstances (time, host, paths, device,
//! threads), so equal models are equal files.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use crate::config::TreeParams;
use crate::data::FeatureBins;
use crate::data::binning::MAX_NUMERIC_BINS;
use crate::data::schema::{FeatureKind, FeatureSchema, MAX_CATEGORIES, Vocabulary};
use crate::ensemble::{Ensemble, OutputGroup};
pub use crate::ensemble::{MAX_FEATURES, MAX_OUTPUTS};
use crate::error::{Error, Result};
use crate::io::container::{self, Array, Container};
use crate::io::describe::{self, Header};
use crate::tree::{Child, Node, Shape, Split, Test, Tree};

/// Most trees of a model in a file.
pub const MAX_TREES: usize = 1 << 24;
/// Most levels of an oblivious tree.
pub const MAX_OBLIVIOUS_DEPTH: usize = 12;
/// Most questions on a way through a binary tree.
pub const MAX_BINARY_DEPTH: usize = 16;
/// Deepest nesting of [`Model::extra`].
pub const MAX_EXTRA_DEPTH: usize = container::MAX_JSON_DEPTH - 1;

const KIND: &str = "model";
const GREATER_MISSING_LEFT: u8 = 0;
const GREATER_MISSING_RIGHT: u8 = 1;
const EQUAL: u8 = 2;
const OBLIVIOUS: u8 = 0;
const BINARY: u8 = 1;

/// What a model file holds.
///
/// ```
/// use gbrl_core::data::schema::FeatureSchema;
/// use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
/// use gbrl_core::io::model::{self, Model};
/// use gbrl_core::tree::{Shape, Split, Tree};
///
/// let groups = vec![OutputGroup::sgd("policy", 0..1, Schedule::Constant(0.1))];
/// let mut ensemble = Ensemble::new(FeatureSchema::numeric(2), groups)?;
/// let shape = Shape::Oblivious([Split::greater(1, 0.5, false)].into());
/// ensemble.push(Tree::new(shape, 0..1, vec![-1.0, 1.0], vec![3, 4], vec![2.5], vec![0.1]))?;
/// let mut model = Model::new(ensemble);
/// model.extra = serde_json::json!({"actions": 2});
///
/// let bytes = model::to_bytes(&model)?;
/// assert_eq!(model::from_bytes(&bytes)?, model);
/// assert!(model::from_bytes(&bytes[1..]).is_err());
/// # Ok::<(), gbrl_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Features, output groups, bias and trees.
    pub ensemble: Ensemble,
    /// How the trees were grown, where known.
    pub params: Option<TreeParams>,
    /// Bin edges that are part of the model (`edges = fixed`), once there are any, one entry per feature: the edges
    /// of a numeric one, nothing but its kind for a categorical one. `Booster::fixed_edges` gives them in this form.
    pub fixed_edges: Option<Vec<FeatureBins>>,
    /// Anything the layer above wants to find again, such as what the outputs mean; `null` for nothing. At most
    /// [`MAX_EXTRA_DEPTH`] levels deep. Do not put a run's circumstances here: equal models should be equal files.
    pub extra: Value,
}

impl Model {
    /// A model of this ensemble alone.
    pub fn new(ensemble: Ensemble) -> Self {
        Model { ensemble, params: None, fixed_edges: None, extra: Value::Null }
    }

    /// As [`ModelRef::check`].
    ///
    /// # Errors
    /// Class `Value`, naming the first part that is wrong.
    pub fn check(&self) -> Result<()> {
        ModelRef::from(self).check()
    }
}

/// A model whose parts stay where they are: what saving takes, so that no tree is copied for it.
#[derive(Clone, Debug)]
pub struct ModelRef<'a> {
    /// [`Model::ensemble`].
    pub ensemble: &'a Ensemble,
    /// [`Model::params`].
    pub params: Option<&'a TreeParams>,
    /// [`Model::fixed_edges`].
    pub fixed_edges: Option<&'a [FeatureBins]>,
    /// [`Model::extra`].
    pub extra: Cow<'a, Value>,
}

impl<'a> From<&'a Model> for ModelRef<'a> {
    fn from(model: &'a Model) -> Self {
        let Model { ensemble, params, fixed_edges, extra } = model;
        let (params, fixed_edges) = (params.as_ref(), fixed_edges.as_deref());
        ModelRef { ensemble, params, fixed_edges, extra: Cow::Borrowed(extra) }
    }
}

impl<'a> From<&'a ModelRef<'_>> for ModelRef<'a> {
    fn from(model: &'a ModelRef<'_>) -> Self {
        ModelRef { extra: Cow::Borrowed(&model.extra), ..*model }
    }
}

impl ModelRef<'_> {
    /// A copy of everything.
    pub fn to_model(&self) -> Model {
        Model {
            ensemble: self.ensemble.clone(),
            params: self.params.cloned(),
            fixed_edges: self.fixed_edges.map(<[_]>::to_vec),
            extra: self.extra.clone().into_owned(),
        }
    }

    /// Checks everything that a file's reader relies on: limits, vocabularies, groups, and of every tree that its
    /// parts agree in length, its features and categories exist, its nodes form one tree that reaches every leaf
    /// once, and its numbers are finite (thresholds: not NaN). O(size of the model).
    ///
    /// Saving and dumping check this first, so a file that was written can be read.
    ///
    /// # Errors
    /// Class `Value`, naming the first part that is wrong.
    pub fn check(&self) -> Result<()> {
        self.find_flaw().map_err(Flaw::into_value)
    }

    fn find_flaw(&self) -> Result<(), Flaw> {
        let ensemble = self.ensemble;
        check_features(ensemble.schema())?;
        check_groups(ensemble.groups())?;
        let n_outputs = ensemble.groups().last().map_or(0, |group| group.columns.end);
        rule(n_outputs == ensemble.n_outputs(), || Flaw {
            what: "groups".into(),
            problem: "columns and outputs differ",
            expected: format!("{} columns", ensemble.n_outputs()),
            got: n_outputs.to_string(),
        })?;
        check_bias(ensemble.bias())?;
        if let Some(params) = self.params {
            params.check(ensemble.n_features(), ensemble.n_outputs()).map_err(Flaw::setting)?;
        }
        if let Some(edges) = self.fixed_edges {
            check_edges(ensemble.schema(), edges)?;
        }
        rule(container::check_depth(&self.extra, MAX_EXTRA_DEPTH), || Flaw {
            what: "extra".into(),
            problem: "nested too deeply",
            expected: format!("at most {MAX_EXTRA_DEPTH} levels"),
            got: "more".into(),
        })?;
        check_count("trees", ensemble.trees().len(), MAX_TREES)?;
        ensemble.trees().iter().enumerate().try_for_each(|(i, tree)| check_tree(ensemble, i, tree))
    }
}

/// Writes `model` to exactly `path`, in one step (see [`container::write_atomic`]).
///
/// # Errors
/// As [`to_bytes`] and [`container::write_atomic`].
///
/// ```
/// # use gbrl_core::{data::schema::FeatureSchema, ensemble::*, io::model::{self, Model}};
/// # let groups = vec![OutputGroup::sgd("value", 0..1, Schedule::Constant(0.1))];
/// # let model = Model::new(Ensemble::new(FeatureSchema::numeric(2), groups)?);
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.gbrl");
/// model::save(&path, &model)?;
/// assert_eq!(model::load(&path)?, model);
/// # Ok::<(), gbrl_core::Error>(())
/// ```
pub fn save<'a>(path: impl AsRef<Path>, model: impl Into<ModelRef<'a>>) -> Result<()> {
    container::write_atomic(path, &to_bytes(model)?)
}

/// Reads a model file; the file is treated as hostile.
///
/// # Errors
/// Class `NotFound` or `Io` when it cannot be read, `Format` when it is anything but a valid model file of this
/// version, naming the file and the section.
pub fn load(path: impl AsRef<Path>) -> Result<Model> {
    read_whole(Container::load(path, KIND)?)
}

/// The model as the bytes of a model file; equal models give equal bytes. O(size of the model).
///
/// # Errors
/// As [`Model::check`], and class `Value` when a limit of the [`container`] is passed.
pub fn to_bytes<'a>(model: impl Into<ModelRef<'a>>) -> Result<Vec<u8>> {
    let mut container = Container::new(KIND)?;
    write(&mut container, &model.into())?;
    container.into_bytes()
}

/// The model in the bytes of a model file. O(number of bytes) time and memory, whatever the bytes claim.
///
/// # Errors
/// Class `Format` for anything but a valid model file of this version.
pub fn from_bytes(bytes: &[u8]) -> Result<Model> {
    read_whole(Container::from_bytes(bytes, KIND)?)
}

fn read_whole(mut container: Container) -> Result<Model> {
    let model = read(&mut container)?;
    container.finish()?;
    Ok(model)
}

/// The trees' parts end to end, as they lie in the file.
#[derive(Default)]
struct Sections {
    shapes: Vec<u8>,
    columns: Vec<u32>,
    rates: Vec<f32>,
    /// Where the rates of each tree begin, and the end: not in the file, because the columns say it.
    rate_starts: Vec<usize>,
    split_starts: Vec<u64>,
    node_starts: Vec<u64>,
    leaf_starts: Vec<u64>,
    value_starts: Vec<u64>,
    features: Vec<u32>,
    tests: Vec<u8>,
    thresholds: Vec<f32>,
    gains: Vec<f32>,
    lefts: Vec<i32>,
    rights: Vec<i32>,
    covers: Vec<u32>,
    values: Vec<f32>,
}

/// Adds the arrays of `model`, which is checked first.
pub(crate) fn write(container: &mut Container, model: &ModelRef<'_>) -> Result<()> {
    model.check()?;
    container.insert_json("header", &Header::of(model).to_value("header")?)?;
    container.insert("bias", Array::vector(model.ensemble.bias().to_vec()))?;
    write_edges(container, model.fixed_edges)?;
    let mut all = Sections::default();
    for tree in model.ensemble.trees() {
        all.push_starts();
        all.columns.extend([tree.columns().start as u32, tree.columns().end as u32]);
        all.rates.extend_from_slice(tree.rates());
        for split in tree.splits() {
            let (test, threshold) = match split.test {
                Test::Greater { threshold, missing_right: false } => (GREATER_MISSING_LEFT, threshold),
                Test::Greater { threshold, missing_right: true } => (GREATER_MISSING_RIGHT, threshold),
                Test::Equal { code } => (EQUAL, code),
            };
            all.features.push(split.feature_idx);
            all.tests.push(test);
            all.thresholds.push(threshold);
        }
        match tree.shape() {
            Shape::Oblivious(_) => all.shapes.push(OBLIVIOUS),
            Shape::Binary(nodes) => {
                all.shapes.push(BINARY);
                all.lefts.extend(nodes.iter().map(|node| link(node.left)));
                all.rights.extend(nodes.iter().map(|node| link(node.right)));
            }
        }
        all.gains.extend_from_slice(tree.gains());
        all.covers.extend_from_slice(tree.covers());
        all.values.extend_from_slice(tree.values());
    }
    all.push_starts();
    container.insert("tree.shape", Array::vector(all.shapes))?;
    container.insert("tree.columns", Array::new(vec![model.ensemble.trees().len(), 2], all.columns)?)?;
    container.insert("tree.rate", Array::vector(all.rates))?;
    container.insert("tree.split_start", Array::vector(all.split_starts))?;
    container.insert("tree.node_start", Array::vector(all.node_starts))?;
    container.insert("tree.leaf_start", Array::vector(all.leaf_starts))?;
    container.insert("tree.value_start", Array::vector(all.value_starts))?;
    container.insert("split.feature", Array::vector(all.features))?;
    container.insert("split.test", Array::vector(all.tests))?;
    container.insert("split.threshold", Array::vector(all.thresholds))?;
    container.insert("split.gain", Array::vector(all.gains))?;
    container.insert("node.left", Array::vector(all.lefts))?;
    container.insert("node.right", Array::vector(all.rights))?;
    container.insert("leaf.cover", Array::vector(all.covers))?;
    container.insert("leaf.value", Array::vector(all.values))
}

/// Adds the arrays of the fixed edges, which are empty where there are none.
fn write_edges(container: &mut Container, edges: Option<&[FeatureBins]>) -> Result<()> {
    let (mut starts, mut missing, mut values) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(edges) = edges {
        starts.push(0u64);
        for bins in edges {
            values.extend_from_slice(&bins.values);
            starts.push(values.len() as u64);
            missing.push(u8::from(bins.has_missing));
        }
    }
    container.insert("edge.start", Array::vector(starts))?;
    container.insert("edge.missing", Array::vector(missing))?;
    container.insert("edge.value", Array::vector(values))
}

/// Takes the arrays of the fixed edges and proves that they are some, or none.
fn read_edges(container: &mut Container, schema: &FeatureSchema) -> Result<Option<Vec<FeatureBins>>> {
    let starts: Vec<u64> = container.take_vector("edge.start")?;
    let missing: Vec<u8> = container.take_vector("edge.missing")?;
    let values: Vec<f32> = container.take_vector("edge.value")?;
    let n_features = if starts.is_empty() { 0 } else { schema.len() };
    let lengths = (starts.len(), missing.len());
    if !(starts.is_empty() && lengths == (0, 0) && values.is_empty() || lengths == (n_features + 1, n_features)) {
        let expected = format!("{} starts and {} flags, or nothing at all", schema.len() + 1, schema.len());
        let got = format!("{} starts, {} flags, {} edges", starts.len(), missing.len(), values.len());
        return Err(Error::format(container.section("fixed edges"), "parts differ in length", expected, got));
    }
    if starts.is_empty() {
        return Ok(None);
    }
    if n_features == 0 && (starts != [0] || !values.is_empty()) {
        return Err(Error::format(container.section("fixed edges"), "edges of no feature", "none", "some"));
    }
    let feature = |i: usize| {
        let of_feature = part(&starts, i, values.len(), "edge.start")?;
        rule(missing[i] <= 1, || Flaw {
            what: format!("edge.missing[{i}]"),
            problem: "unknown flag",
            expected: "0 or 1".into(),
            got: missing[i].to_string(),
        })?;
        Ok(FeatureBins {
            values: values[of_feature].to_vec(),
            categorical: schema.features()[i].is_categorical(),
            has_other: false,
            has_missing: missing[i] == 1,
        })
    };
    let edges = (0..n_features).map(feature).collect::<Result<Vec<FeatureBins>, Flaw>>();
    let checked = edges.and_then(|edges| check_edges(schema, &edges).map(|()| edges));
    checked.map(Some).map_err(|flaw| flaw.in_file(container))
}

impl Sections {
    fn push_starts(&mut self) {
        self.split_starts.push(self.features.len() as u64);
        self.node_starts.push(self.lefts.len() as u64);
        self.leaf_starts.push(self.covers.len() as u64);
        self.value_starts.push(self.values.len() as u64);
    }

    fn take(container: &mut Container) -> Result<Self> {
        let shapes: Vec<u8> = container.take_vector("tree.shape")?;
        let n_trees = shapes.len();
        check_count("trees", n_trees, MAX_TREES).map_err(|flaw| flaw.in_file(container))?;
        let columns: Vec<u32> = container.take("tree.columns", &[n_trees, 2])?;
        let rates: Vec<f32> = container.take_vector("tree.rate")?;
        let rate_starts = rate_starts(&columns, rates.len()).map_err(|flaw| flaw.in_file(container))?;
        let features: Vec<u32> = container.take_vector("split.feature")?;
        let lefts: Vec<i32> = container.take_vector("node.left")?;
        let covers: Vec<u32> = container.take_vector("leaf.cover")?;
        let (n_splits, n_nodes) = (features.len(), lefts.len());
        Ok(Sections {
            shapes,
            columns,
            rates,
            rate_starts,
            split_starts: container.take("tree.split_start", &[n_trees + 1])?,
            node_starts: container.take("tree.node_start", &[n_trees + 1])?,
            leaf_starts: container.take("tree.leaf_start", &[n_trees + 1])?,
            value_starts: container.take("tree.value_start", &[n_trees + 1])?,
            features,
            tests: container.take("split.test", &[n_splits])?,
            thresholds: container.take("split.threshold", &[n_splits])?,
            gains: container.take("split.gain", &[n_splits])?,
            lefts,
            rights: container.take("node.right", &[n_nodes])?,
            covers,
            values: container.take_vector("leaf.value")?,
        })
    }

    /// Tree `i`, whose parts are proven to lie within the arrays and to agree in length.
    fn tree(&self, i: usize) -> Result<Tree, Flaw> {
        let columns = self.columns[2 * i] as usize..self.columns[2 * i + 1] as usize;
        let splits = part(&self.split_starts, i, self.features.len(), "tree.split_start")?;
        let nodes = part(&self.node_starts, i, self.lefts.len(), "tree.node_start")?;
        let leaves = part(&self.leaf_starts, i, self.covers.len(), "tree.leaf_start")?;
        let values = part(&self.value_starts, i, self.values.len(), "tree.value_start")?;
        let (deepest, n_nodes) = match self.shapes[i] {
            OBLIVIOUS => (MAX_OBLIVIOUS_DEPTH, 0),
            BINARY => ((1 << MAX_BINARY_DEPTH) - 1, splits.len()),
            other => return Err(Flaw::of_tree(i, "unknown shape", "shape 0 or 1".into(), other.to_string())),
        };
        check_count("splits of a tree", splits.len(), deepest)?;
        let n_leaves = if self.shapes[i] == OBLIVIOUS { 1usize << splits.len() } else { splits.len() + 1 };
        let n_values = columns.len().checked_mul(n_leaves);
        if (nodes.len(), leaves.len(), Some(values.len())) != (n_nodes, n_leaves, n_values) {
            let expected = format!("{n_nodes} nodes, {n_leaves} leaves of {} values", columns.len());
            let got = format!("{} nodes, {} leaves, {} values in all", nodes.len(), leaves.len(), values.len());
            return Err(Flaw::of_tree(i, "parts differ in length", expected, got));
        }

        let gains = self.gains[splits.clone()].to_vec();
        let mut questions = Vec::with_capacity(splits.len());
        for s in splits {
            let test = match (self.tests[s], self.thresholds[s]) {
                (GREATER_MISSING_LEFT, threshold) => Test::Greater { threshold, missing_right: false },
                (GREATER_MISSING_RIGHT, threshold) => Test::Greater { threshold, missing_right: true },
                (EQUAL, code) => Test::Equal { code },
                (other, _) => return Err(Flaw::of_tree(i, "unknown test", "test 0, 1 or 2".into(), other.to_string())),
            };
            questions.push(Split { feature_idx: self.features[s], test });
        }
        let shape = if self.shapes[i] == OBLIVIOUS {
            Shape::Oblivious(questions.into())
        } else {
            let links = self.lefts[nodes.clone()].iter().zip(&self.rights[nodes]);
            let node = |(split, (&left, &right))| Node { split, left: unlink(left), right: unlink(right) };
            Shape::Binary(questions.into_iter().zip(links).map(node).collect())
        };
        let (values, covers) = (self.values[values].to_vec(), self.covers[leaves].to_vec());
        let rates = self.rates[self.rate_starts[i]..self.rate_starts[i + 1]].to_vec();
        Ok(Tree::new(shape, columns, values, covers, gains, rates))
    }
}

/// Where each tree's rates begin, one per column of it, and where the last ones end: at `n_rates`.
fn rate_starts(columns: &[u32], n_rates: usize) -> Result<Vec<usize>, Flaw> {
    let mut starts = Vec::with_capacity(columns.len() / 2 + 1);
    let mut next = 0usize;
    starts.push(next);
    for (i, tree) in columns.chunks_exact(2).enumerate() {
        let width = (tree[0]..tree[1]).len();
        next = next.checked_add(width).filter(|&end| end <= n_rates).ok_or_else(|| {
            Flaw::of_tree(i, "parts differ in length", format!("{width} rates"), (n_rates - next).to_string())
        })?;
        starts.push(next);
    }
    rule(next == n_rates, || Flaw {
        what: "tree.rate".into(),
        problem: "parts differ in length",
        expected: format!("{next} rates"),
        got: n_rates.to_string(),
    })?;
    Ok(starts)
}

/// The part of an array of `len` elements that belongs to tree or feature `i`.
fn part(starts: &[u64], i: usize, len: usize, name: &str) -> Result<Range<usize>, Flaw> {
    let position = |at: u64| usize::try_from(at).ok().filter(|&at| at <= len);
    let first = if i == 0 { Some(0) } else { position(starts[i]) };
    // The last start is the length: with every part beginning where the one before ends, nothing is left out.
    let last = if i + 2 == starts.len() { Some(len) } else { position(starts[i + 1]) };
    match (first, last) {
        (Some(a), Some(b)) if a <= b && starts[i] == a as u64 && starts[i + 1] == b as u64 => Ok(a..b),
        _ => Err(Flaw {
            what: format!("{name}[{i}]"),
            problem: "starts do not divide the array",
            expected: format!("ascending from 0 to {len}"),
            got: format!("{}, {}", starts[i], starts[i + 1]),
        }),
    }
}

/// Takes the arrays of a model and proves that they are one.
pub(crate) fn read(container: &mut Container) -> Result<Model> {
    let header: Header = container.take_json("header")?;
    let section = container.section("header");
    let bias: Vec<f32> = container.take_vector("bias")?;
    let mut model = assemble(&section, header, &bias)?;
    model.fixed_edges = read_edges(container, model.ensemble.schema())?;
    let all = Sections::take(container)?;
    let n_trees = all.shapes.len();
    if n_trees == 0 {
        let empty = all.features.is_empty() && all.lefts.is_empty() && all.covers.is_empty() && all.values.is_empty();
        let starts = [all.split_starts[0], all.node_starts[0], all.leaf_starts[0], all.value_starts[0]];
        if !empty || starts != [0; 4] {
            return Err(Error::format(container.section("trees"), "parts of no tree", "none", "some"));
        }
    }
    for i in 0..n_trees {
        let tree = all.tree(i).map_err(|flaw| flaw.in_file(container))?;
        check_tree(&model.ensemble, i, &tree).map_err(|flaw| flaw.in_file(container))?;
        model.ensemble.push(tree).map_err(|error| Flaw::setting(error).in_file(container))?;
    }
    Ok(model)
}

/// A model without trees from its description, checked; `section` names the description in errors.
pub(crate) fn assemble(section: &str, header: Header, bias: &[f32]) -> Result<Model> {
    let refuse = |flaw: Flaw| flaw.into_format(section);
    let schema = describe::schema(header.features, section)?;
    check_features(&schema).map_err(refuse)?;
    let groups: Vec<OutputGroup> = header.groups.into_iter().map(describe::GroupText::into_group).collect();
    check_groups(&groups).map_err(refuse)?;
    let n_features = schema.len();
    let mut ensemble = Ensemble::new(schema, groups).map_err(|error| refuse(Flaw::setting(error)))?;
    check_bias(bias).map_err(refuse)?;
    ensemble.set_bias(bias).map_err(|error| refuse(Flaw::setting(error)))?;
    ensemble.name_outputs(header.outputs).map_err(|error| refuse(Flaw::setting(error)))?;
    if let Some(params) = &header.params {
        params.check(n_features, ensemble.n_outputs()).map_err(|error| refuse(Flaw::setting(error)))?;
    }
    Ok(Model { ensemble, params: header.params, fixed_edges: None, extra: header.extra })
}

fn link(child: Child) -> i32 {
    // `check` has bounded both kinds of index by 2^16.
    match child {
        Child::Node(node) => node as i32,
        Child::Leaf(leaf) => !(leaf as i32),
    }
}

fn unlink(link: i32) -> Child {
    if link >= 0 { Child::Node(link as u32) } else { Child::Leaf(!link as u32) }
}

/// What is wrong with a model; becomes an error of class `Value` or `Format`, depending on where the model came from.
pub(crate) struct Flaw {
    what: String,
    problem: &'static str,
    expected: String,
    got: String,
}

impl Flaw {
    fn of_tree(i: usize, problem: &'static str, expected: String, got: String) -> Self {
        Flaw { what: format!("tree {i}"), problem, expected, got }
    }

    pub(crate) fn setting(error: Error) -> Self {
        Flaw {
            what: "settings".into(),
            problem: "out of range",
            expected: "settings in range".into(),
            got: error.to_string(),
        }
    }

    fn in_file(self, container: &Container) -> Error {
        Error::format(container.section(&self.what), self.problem, self.expected, self.got)
    }

    pub(crate) fn into_value(self) -> Error {
        Error::parameter(format!("{}: {}", self.what, self.problem), self.got, self.expected)
    }

    pub(crate) fn into_format(self, section: &str) -> Error {
        Error::format(format!("{section}: {}", self.what), self.problem, self.expected, self.got)
    }
}

fn rule(holds: bool, flaw: impl FnOnce() -> Flaw) -> Result<(), Flaw> {
    if holds { Ok(()) } else { Err(flaw()) }
}

fn check_count(what: &str, n: usize, most: usize) -> Result<(), Flaw> {
    rule(n <= most, || Flaw {
        what: what.into(),
        problem: "too many",
        expected: format!("at most {most}"),
        got: n.to_string(),
    })
}

fn check_features(schema: &FeatureSchema) -> Result<(), Flaw> {
    check_count("features", schema.len(), MAX_FEATURES)?;
    for (i, feature) in schema.features().iter().enumerate() {
        let n = match feature.kind() {
            FeatureKind::Numeric => 0,
            FeatureKind::Categorical(Vocabulary::Declared(n)) => *n as usize,
            FeatureKind::Categorical(Vocabulary::Learned(strings)) => {
                let distinct: std::collections::BTreeSet<&String> = strings.as_slice().iter().collect();
                rule(distinct.len() == strings.as_slice().len(), || Flaw {
                    what: format!("features[{i}]"),
                    problem: "a category named twice",
                    expected: format!("{} distinct strings", strings.as_slice().len()),
                    got: distinct.len().to_string(),
                })?;
                strings.as_slice().len()
            }
        };
        check_count(&format!("categories of features[{i}]"), n, MAX_CATEGORIES as usize)?;
    }
    Ok(())
}

fn check_groups(groups: &[OutputGroup]) -> Result<(), Flaw> {
    let mut next = 0;
    for (i, group) in groups.iter().enumerate() {
        rule(group.columns.start == next && group.columns.end > next && group.columns.end <= MAX_OUTPUTS, || Flaw {
            what: format!("groups[{i}].columns"),
            problem: "columns out of place",
            expected: format!("a range from {next} to at most {MAX_OUTPUTS}"),
            got: format!("{:?}", group.columns),
        })?;
        group.check().map_err(Flaw::setting)?;
        next = group.columns.end;
    }
    rule(!groups.is_empty(), || Flaw {
        what: "groups".into(),
        problem: "no output group",
        expected: "at least one".into(),
        got: "none".into(),
    })
}

fn check_bias(bias: &[f32]) -> Result<(), Flaw> {
    match bias.iter().position(|b| !b.is_finite()) {
        None => Ok(()),
        Some(i) => Err(Flaw {
            what: format!("bias[{i}]"),
            problem: "not finite",
            expected: "a finite number".into(),
            got: bias[i].to_string(),
        }),
    }
}

/// What binning relies on: an entry per feature, ascending edges, and few enough for a bin to fit into a byte.
pub(crate) fn check_edges(schema: &FeatureSchema, edges: &[FeatureBins]) -> Result<(), Flaw> {
    let flaw = |what: String, problem, expected: String, got: String| Err(Flaw { what, problem, expected, got });
    if edges.len() != schema.len() {
        let expected = format!("{} features", schema.len());
        return flaw("fixed edges".into(), "not one entry per feature", expected, edges.len().to_string());
    }
    for (i, (bins, feature)) in edges.iter().zip(schema.features()).enumerate() {
        let what = format!("fixed edges of feature {i}");
        if feature.is_categorical() {
            let nothing = FeatureBins { categorical: true, ..FeatureBins::default() };
            if *bins != nothing {
                return flaw(what, "edges of a categorical feature", "none".into(), format!("{bins:?}"));
            }
            continue;
        }
        if bins.categorical || bins.has_other {
            return flaw(what, "codes of a numeric feature", "edges".into(), "codes".into());
        }
        check_count(&format!("bins of feature {i} by fixed edges"), bins.n_bins(), MAX_NUMERIC_BINS)?;
        let ascending = bins.values.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || bins.values.iter().any(|edge| edge.is_nan()) {
            return flaw(what, "edges out of order", "ascending numbers".into(), "others".into());
        }
    }
    Ok(())
}

/// Everything that readers of a tree rely on; assumes nothing about how the tree was made.
pub(crate) fn check_tree(ensemble: &Ensemble, i: usize, tree: &Tree) -> Result<(), Flaw> {
    let flaw = |problem, expected: String, got: String| Flaw::of_tree(i, problem, expected, got);
    let (n_splits, n_leaves) = match tree.shape() {
        Shape::Oblivious(splits) => {
            check_count(&format!("levels of tree {i}"), splits.len(), MAX_OBLIVIOUS_DEPTH)?;
            (splits.len(), 1 << splits.len())
        }
        Shape::Binary(nodes) => {
            check_nodes(i, nodes)?;
            (nodes.len(), nodes.len() + 1)
        }
    };
    let columns = tree.columns();
    rule(ensemble.covers_whole_groups(&columns), || {
        flaw("columns are not those of all groups or of one", "whole groups".into(), format!("{columns:?}"))
    })?;
    let parts = (tree.gains().len(), tree.covers().len(), tree.values().len(), tree.rates().len());
    let wanted = (n_splits, n_leaves, n_leaves * columns.len(), columns.len());
    rule(parts == wanted, || {
        let lengths = |(g, c, v, r)| format!("{g} gains, {c} covers, {v} values, {r} rates");
        flaw("parts differ in length", lengths(wanted), lengths(parts))
    })?;
    for split in tree.splits() {
        check_split(ensemble.schema(), i, split)?;
    }
    if let Some(rate) = tree.rates().iter().find(|rate| !(rate.is_finite() && **rate >= 0.0)) {
        return Err(flaw("rate out of range", "finite numbers of at least 0".into(), rate.to_string()));
    }
    let numbers = tree.gains().iter().chain(tree.values());
    match numbers.copied().find(|x| !x.is_finite()) {
        None => Ok(()),
        Some(x) => Err(flaw("gain or leaf value not finite", "finite numbers".into(), x.to_string())),
    }
}

/// Children point forward, and every node but the root and every leaf has exactly one parent.
fn check_nodes(i: usize, nodes: &[Node]) -> Result<(), Flaw> {
    let n = nodes.len();
    check_count(&format!("nodes of tree {i}"), n, (1 << MAX_BINARY_DEPTH) - 1)?;
    let mut depths = vec![0usize; n];
    let mut leaf_seen = vec![false; n + 1];
    if let Some(root) = depths.first_mut() {
        *root = 1;
    }
    for (at, node) in nodes.iter().enumerate() {
        for child in [node.left, node.right] {
            let new = match child {
                Child::Node(c) if (c as usize) > at && (c as usize) < n => {
                    let new = depths[c as usize] == 0;
                    depths[c as usize] = depths[at] + 1;
                    new
                }
                Child::Leaf(l) if (l as usize) <= n => !std::mem::replace(&mut leaf_seen[l as usize], true),
                _ => false,
            };
            rule(new, || {
                let expected = format!("a later node below {n} or a leaf up to {n}, each once");
                Flaw::of_tree(i, "nodes do not form a tree", expected, format!("{child:?} below node {at}"))
            })?;
        }
    }
    // Parents come before children, so a node's depth is final when it is reached. n nodes have 2n children, all
    // different: exactly the n − 1 other nodes and the n + 1 leaves.
    let deepest = depths.into_iter().max().unwrap_or(0);
    rule(deepest <= MAX_BINARY_DEPTH, || {
        Flaw::of_tree(i, "too deep", format!("at most {MAX_BINARY_DEPTH}"), deepest.to_string())
    })
}

fn check_split(schema: &FeatureSchema, i: usize, split: &Split) -> Result<(), Flaw> {
    let flaw = |problem, expected: String, got: String| Err(Flaw::of_tree(i, problem, expected, got));
    let Some(feature) = schema.features().get(split.feature_idx as usize) else {
        let expected = format!("a feature below {}", schema.len());
        return flaw("feature does not exist", expected, split.feature_idx.to_string());
    };
    let n_codes = match feature.kind() {
        FeatureKind::Numeric => None,
        FeatureKind::Categorical(Vocabulary::Declared(n)) => Some(*n),
        FeatureKind::Categorical(Vocabulary::Learned(strings)) => Some(strings.as_slice().len() as u32),
    };
    match (split.test, n_codes) {
        (Test::Greater { threshold, .. }, None) if !threshold.is_nan() => Ok(()),
        (Test::Greater { .. }, None) => flaw("threshold is not a number", "a number".into(), "NaN".into()),
        (Test::Greater { threshold: f32::INFINITY, missing_right: true }, Some(_)) => Ok(()),
        (Test::Greater { threshold, .. }, Some(_)) => {
            flaw("order asked of a categorical feature", "equality or missing".into(), format!("> {threshold}"))
        }
        (Test::Equal { code }, None) => {
            flaw("equality asked of a numeric feature", "a threshold".into(), format!("== {code}"))
        }
        (Test::Equal { code }, Some(n)) => {
            // Bits, so that −0 is refused too: a code has one spelling.
            let whole = code as u32;
            if whole < n && (whole as f32).to_bits() == code.to_bits() {
                return Ok(());
            }
            flaw("category does not exist", format!("a code below {n}"), code.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_tell_nodes_from_leaves() {
        for child in [Child::Node(0), Child::Node(65_534), Child::Leaf(0), Child::Leaf(65_535)] {
            assert_eq!(unlink(link(child)), child);
        }
        assert_eq!((link(Child::Leaf(0)), link(Child::Leaf(1)), link(Child::Node(3))), (-1, -2, 3));
        assert_eq!(unlink(i32::MIN), Child::Leaf(i32::MAX as u32));
    }

    #[test]
    fn nodes_that_form_no_tree_are_told_from_those_that_do() {
        let split = Split::greater(0, 0.0, false);
        let ok = |links: &[(Child, Child)]| {
            let nodes: Vec<Node> = links.iter().map(|&(left, right)| Node { split, left, right }).collect();
            check_nodes(0, &nodes).is_ok()
        };
        let (n, l) = (Child::Node, Child::Leaf);
        assert!(ok(&[]));
        assert!(ok(&[(l(0), n(1)), (l(2), l(1))]));
        assert!(!ok(&[(l(0), n(1)), (l(2), l(2))]), "a leaf twice, another never");
        assert!(!ok(&[(n(1), n(1)), (l(0), l(1))]), "a node twice");
        assert!(!ok(&[(n(0), l(0))]), "a node below itself");
        assert!(!ok(&[(l(0), l(1)), (l(1), l(2))]), "a node never reached");
        assert!(!ok(&[(n(2), l(0)), (l(1), l(2)), (n(1), l(3))]), "a tree, but a child before its parent");
        assert!(!ok(&[(l(0), l(1)), (n(1), l(2))]), "a loop apart from the root");
        assert!(!ok(&[(l(0), l(u32::MAX))]) && !ok(&[(l(0), n(u32::MAX))]), "far outside");
    }

    #[test]
    fn a_starts_array_divides_exactly() {
        assert_eq!(part(&[0, 2, 5], 1, 5, "s").ok(), Some(2..5));
        assert_eq!(part(&[0, 2, 2], 1, 2, "s").ok(), Some(2..2));
        for (starts, i, len) in [(&[1, 5], 0, 5), (&[0, 4], 0, 5), (&[0, 6], 0, 5), (&[0, u64::MAX], 0, 5)] {
            assert!(part(starts, i, len, "s").is_err(), "{starts:?}");
        }
        assert!(part(&[0, 3, 2, 5], 1, 5, "s").is_err());
    }
}
