//! A whole model as JSON, for people and other programs, and back without loss.
//!
//! ```json
//! {
//!   "format": "gbrl-rs model", "version": 1,
//!   "features": [{"type": "numeric", "name": "speed"}, {"type": "declared", "name": "gear", "n": 5},
//!                {"type": "strings", "name": "mission", "strings": ["red", "blue"]}],
//!   "groups": [{"name": "policy", "columns": [0, 2], "rate": {"type": "constant", "value": 0.1},
//!               "optimizer": {"type": "sgd"}}],
//!   "bias": [0.0, 0.0], "params": null, "extra": null,
//!   "fixed_edges": [{"edges": [0.25, 0.5], "missing": true}, null, null],
//!   "trees": [
//!     {"shape": "oblivious", "columns": [0, 2], "rates": [0.1, 0.1],
//!      "levels": [{"test": ">", "feature": 0, "name": "speed", "threshold": 0.5, "missing": "left", "gain": 1.5}],
//!      "leaves": [{"cover": 3, "values": [0.1, -0.1]}, {"cover": 4, "values": [-0.2, 0.2]}]},
//!     {"shape": "binary", "columns": [0, 2], "rates": [0.1, 0.1],
//!      "nodes": [{"split": {"test": "==", "feature": 2, "name": "mission", "code": 1, "label": "blue", "gain": 0.5},
//!                 "left": {"leaf": 0}, "right": {"leaf": 1}}],
//!      "leaves": [{"cover": 3, "values": [0.1, -0.1]}, {"cover": 4, "values": [-0.2, 0.2]}]}]
//! }
//! ```
//!
//! * `columns` is a half-open range of output columns. "No" goes left, "yes" right; `missing` says where NaN goes.
//! * `rates` are the learning rates of the tree's columns when it was grown.
//! * Leaf `i` of an oblivious tree: the answers, first level first, are the bits of `i` from the most significant down.
//! * Rates are `constant` (`value`), `linear` or `cosine` (`start`, `end`); optimizers `sgd` or `adam` (`beta1`,
//!   `beta2`, `epsilon`). `params` are [`TreeParams`](crate::config::TreeParams) or null.
//! * `fixed_edges` are bin edges that are part of the model, or null: per numeric feature the ascending edges and
//!   whether a bin for missing values is kept, per categorical one null.
//! * `name` and `label` are for reading; a file may leave them out, but if they are there they must be right.
//! * Numbers are the shortest text that gives the same bits when read as double precision and rounded to single;
//!   infinite thresholds and edges are the strings `"inf"` and `"-inf"`.
//! * Keys are written in alphabetical order and read in any; unknown keys are refused.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::FeatureBins;
use crate::data::schema::{FeatureKind, Vocabulary};
use crate::ensemble::Ensemble;
use crate::error::{Error, Result};
use crate::io::container;
use crate::io::describe::{self, Header};
use crate::io::dot::checked_tree;
use crate::io::model::{self, Model, ModelRef};
use crate::tree::{Child, Node, Shape, Split, Test, Tree};

const FORMAT: &str = "gbrl-rs model";
const WHAT: &str = "model JSON";
/// Values that fit are printed on one line.
const LINE: usize = 120;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelText {
    format: String,
    version: u32,
    features: Vec<describe::FeatureText>,
    groups: Vec<describe::GroupText>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<String>,
    bias: Vec<Number>,
    params: Option<crate::config::TreeParams>,
    fixed_edges: Option<Vec<Option<EdgesText>>>,
    extra: Value,
    trees: Vec<TreeText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EdgesText {
    edges: Vec<Number>,
    missing: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "lowercase", deny_unknown_fields)]
enum TreeText {
    Oblivious { columns: [usize; 2], rates: Vec<Number>, levels: Vec<SplitText>, leaves: Vec<LeafText> },
    Binary { columns: [usize; 2], rates: Vec<Number>, nodes: Vec<NodeText>, leaves: Vec<LeafText> },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeText {
    split: SplitText,
    left: ChildText,
    right: ChildText,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChildText {
    Node(u32),
    Leaf(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "test", deny_unknown_fields)]
enum SplitText {
    #[serde(rename = ">")]
    Greater {
        feature: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        threshold: Number,
        missing: Side,
        gain: Number,
    },
    #[serde(rename = "==")]
    Equal {
        feature: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        code: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        gain: Number,
    },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Left,
    Right,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeafText {
    cover: u32,
    values: Vec<Number>,
}

/// An `f32` in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Infinite(String),
}

impl Number {
    fn of(x: f32) -> Self {
        if x.is_finite() { Number::Finite(shortest(x)) } else { Number::Infinite(x.to_string()) }
    }

    fn read(&self, what: &'static str) -> Result<f32> {
        let wrong = |got: String| Error::format(WHAT, what, "a single-precision number, \"inf\" or \"-inf\"", got);
        match self {
            Number::Finite(x) if (*x as f32).is_finite() => Ok(*x as f32),
            Number::Finite(x) => Err(wrong(x.to_string())),
            Number::Infinite(text) if text == "inf" => Ok(f32::INFINITY),
            Number::Infinite(text) if text == "-inf" => Ok(f32::NEG_INFINITY),
            Number::Infinite(text) => Err(wrong(text.escape_debug().to_string())),
        }
    }
}

/// The double that prints as the shortest decimal of `x` and rounds to `x`.
///
/// Reading a single's shortest decimal as a double rounds twice, and could in principle end at the neighbour; where it
/// would, the exact value is taken, whose text is longer.
fn shortest(x: f32) -> f64 {
    match x.to_string().parse::<f64>() {
        Ok(double) if (double as f32).to_bits() == x.to_bits() => double,
        _ => f64::from(x),
    }
}

/// The model as JSON text, one line per feature, group, split and leaf where they fit.
///
/// About ten times as long as the model file. [`from_json`] gives an equal model.
///
/// # Errors
/// As [`ModelRef::check`].
///
/// ```
/// # use gbrl_core::{data::schema::FeatureSchema, ensemble::*, io::Model};
/// use gbrl_core::io::json;
/// # let groups = vec![OutputGroup::sgd("value", 0..1, Schedule::Constant(0.1))];
/// # let model = Model::new(Ensemble::new(FeatureSchema::numeric(2), groups)?);
/// let text = json::to_json(&model)?;
/// assert!(text.contains(r#""name":"x[0]""#));
/// assert_eq!(json::from_json(&text)?, model);
/// # Ok::<(), gbrl_core::Error>(())
/// ```
pub fn to_json<'a>(model: impl Into<ModelRef<'a>>) -> Result<String> {
    let model = model.into();
    model.check()?;
    let Header { features, groups, outputs, params, extra } = Header::of(&model);
    let ensemble = model.ensemble;
    pretty(ModelText {
        format: FORMAT.into(),
        version: container::VERSION,
        features,
        groups,
        outputs,
        bias: ensemble.bias().iter().copied().map(Number::of).collect(),
        params,
        fixed_edges: model.fixed_edges.map(|all| all.iter().map(EdgesText::of).collect()),
        extra,
        trees: ensemble.trees().iter().map(|tree| TreeText::of(ensemble, tree)).collect(),
    })
}

/// One tree as [`to_json`] writes it.
///
/// # Errors
/// Class `Value` when there is no such tree or the tree is not valid.
pub fn tree_json(ensemble: &Ensemble, tree_idx: usize) -> Result<String> {
    pretty(TreeText::of(ensemble, checked_tree(ensemble, tree_idx)?))
}

fn pretty(text: impl Serialize) -> Result<String> {
    let value =
        serde_json::to_value(text).map_err(|error| Error::parameter(WHAT, error, "a model that JSON can hold"))?;
    let mut out = String::new();
    push_pretty(&mut out, &sorted(value), 0);
    out.push('\n');
    Ok(out)
}

/// The model in JSON text that [`to_json`] wrote or somebody edited; checked like a model file.
///
/// # Errors
/// Class `Format`, saying what is wrong where.
pub fn from_json(text: &str) -> Result<Model> {
    let whole: ModelText =
        serde_json::from_str(text).map_err(|error| Error::format(WHAT, "invalid contents", "a model", error))?;
    if whole.format != FORMAT {
        let got = whole.format.escape_debug();
        return Err(Error::format(WHAT, "not a model of ours", format!("format '{FORMAT}'"), got));
    }
    if whole.version != container::VERSION {
        return Err(Error::format(WHAT, "unknown version", container::VERSION, whole.version));
    }
    let bias: Result<Vec<f32>> = whole.bias.iter().map(|x| x.read("bias")).collect();
    let header = Header {
        features: whole.features,
        groups: whole.groups,
        outputs: whole.outputs,
        params: whole.params,
        extra: whole.extra,
    };
    let mut model = model::assemble(WHAT, header, &bias?)?;
    if let Some(texts) = whole.fixed_edges {
        let edges: Result<Vec<FeatureBins>> = texts.into_iter().map(EdgesText::read).collect();
        let edges = edges?;
        model::check_edges(model.ensemble.schema(), &edges).map_err(|flaw| flaw.into_format(WHAT))?;
        model.fixed_edges = Some(edges);
    }
    if !container::check_depth(&model.extra, model::MAX_EXTRA_DEPTH) {
        let expected = format!("at most {} levels", model::MAX_EXTRA_DEPTH);
        return Err(Error::format(WHAT, "extra is nested too deeply", expected, "more"));
    }
    if whole.trees.len() > model::MAX_TREES {
        let expected = format!("at most {}", model::MAX_TREES);
        return Err(Error::format(WHAT, "too many trees", expected, whole.trees.len()));
    }
    for (i, text) in whole.trees.into_iter().enumerate() {
        let tree = text.into_tree(&model.ensemble, i)?;
        model::check_tree(&model.ensemble, i, &tree).map_err(|flaw| flaw.into_format(WHAT))?;
        model.ensemble.push(tree).map_err(|error| model::Flaw::setting(error).into_format(WHAT))?;
    }
    Ok(model)
}

impl EdgesText {
    fn of(bins: &FeatureBins) -> Option<Self> {
        let edges = || bins.values.iter().copied().map(Number::of).collect();
        (!bins.categorical).then(|| EdgesText { edges: edges(), missing: bins.has_missing })
    }

    fn read(text: Option<Self>) -> Result<FeatureBins> {
        let Some(EdgesText { edges, missing }) = text else {
            return Ok(FeatureBins { categorical: true, ..FeatureBins::default() });
        };
        let values: Result<Vec<f32>> = edges.iter().map(|x| x.read("edge")).collect();
        Ok(FeatureBins { values: values?, has_missing: missing, ..FeatureBins::default() })
    }
}

impl TreeText {
    fn of(ensemble: &Ensemble, tree: &Tree) -> Self {
        let columns = [tree.columns().start, tree.columns().end];
        let rates = tree.rates().iter().copied().map(Number::of).collect();
        let leaf = |(leaf_idx, &cover)| LeafText {
            cover,
            values: tree.leaf(leaf_idx).iter().copied().map(Number::of).collect(),
        };
        let leaves = tree.covers().iter().enumerate().map(leaf).collect();
        let texts = tree.splits().zip(tree.gains()).map(|(split, &gain)| SplitText::of(ensemble, split, gain));
        match tree.shape() {
            Shape::Oblivious(_) => TreeText::Oblivious { columns, rates, levels: texts.collect(), leaves },
            Shape::Binary(nodes) => {
                let node = |(split, node): (SplitText, &Node)| NodeText {
                    split,
                    left: ChildText::of(node.left),
                    right: ChildText::of(node.right),
                };
                TreeText::Binary { columns, rates, nodes: texts.zip(nodes).map(node).collect(), leaves }
            }
        }
    }

    /// A tree whose parts agree in length; the rest is [`model::check_tree`]'s.
    fn into_tree(self, ensemble: &Ensemble, i: usize) -> Result<Tree> {
        let (shape, gains, [start, end], rates, leaves) = match self {
            TreeText::Oblivious { columns, rates, levels, leaves } => {
                let parts: Result<Vec<(Split, f32)>> = levels.iter().map(|level| level.read(ensemble, i)).collect();
                let (splits, gains): (Vec<Split>, Vec<f32>) = parts?.into_iter().unzip();
                (Shape::Oblivious(splits.into()), gains, columns, rates, leaves)
            }
            TreeText::Binary { columns, rates, nodes, leaves } => {
                let parts: Result<Vec<(Node, f32)>> = nodes
                    .iter()
                    .map(|node| {
                        let (split, gain) = node.split.read(ensemble, i)?;
                        Ok((Node { split, left: node.left.read(), right: node.right.read() }, gain))
                    })
                    .collect();
                let (nodes, gains): (Vec<Node>, Vec<f32>) = parts?.into_iter().unzip();
                (Shape::Binary(nodes.into()), gains, columns, rates, leaves)
            }
        };
        let n_leaves = match &shape {
            Shape::Oblivious(splits) if splits.len() <= model::MAX_OBLIVIOUS_DEPTH => 1 << splits.len(),
            Shape::Oblivious(splits) => {
                let expected = format!("at most {} levels", model::MAX_OBLIVIOUS_DEPTH);
                return Err(Error::format(tree_name(i), "too deep", expected, splits.len()));
            }
            Shape::Binary(nodes) => nodes.len() + 1,
        };
        let width = (start..end).len();
        let wrong = leaves.iter().map(|leaf| leaf.values.len()).find(|&n| n != width);
        if leaves.len() != n_leaves || wrong.is_some() || rates.len() != width {
            let (values, n_rates) = (wrong.unwrap_or(width), rates.len());
            let got = format!("{} leaves of {values} values, {n_rates} rates", leaves.len());
            let expected = format!("{n_leaves} leaves of {width} values, {width} rates");
            return Err(Error::format(tree_name(i), "parts differ in length", expected, got));
        }
        let values: Result<Vec<f32>> =
            leaves.iter().flat_map(|leaf| &leaf.values).map(|x| x.read("leaf value")).collect();
        let rates: Result<Vec<f32>> = rates.iter().map(|x| x.read("rate")).collect();
        let covers = leaves.iter().map(|leaf| leaf.cover).collect();
        Ok(Tree::new(shape, start..end, values?, covers, gains, rates?))
    }
}

impl SplitText {
    fn of(ensemble: &Ensemble, split: &Split, gain: f32) -> Self {
        let feature = &ensemble.schema().features()[split.feature_idx as usize];
        let (name, gain) = (Some(feature.name().to_owned()), Number::of(gain));
        match split.test {
            Test::Greater { threshold, missing_right } => SplitText::Greater {
                feature: split.feature_idx,
                name,
                threshold: Number::of(threshold),
                missing: if missing_right { Side::Right } else { Side::Left },
                gain,
            },
            Test::Equal { code } => {
                let learned = matches!(feature.kind(), FeatureKind::Categorical(Vocabulary::Learned(_)));
                let label = (learned || !feature.labels().is_empty()).then(|| feature.label(code));
                SplitText::Equal { feature: split.feature_idx, name, code: code as u32, label, gain }
            }
        }
    }

    fn read(&self, ensemble: &Ensemble, i: usize) -> Result<(Split, f32)> {
        let (split, gain, name, label) = match self {
            SplitText::Greater { feature, name, threshold, missing, gain } => {
                let missing_right = matches!(missing, Side::Right);
                (Split::greater(*feature, threshold.read("threshold")?, missing_right), gain, name, &None)
            }
            SplitText::Equal { feature, name, code, label, gain } => {
                if *code >= 1 << f32::MANTISSA_DIGITS {
                    return Err(Error::format(tree_name(i), "category does not exist", "a smaller code", code));
                }
                (Split::equal(*feature, *code as f32), gain, name, label)
            }
        };
        if let Some(feature) = ensemble.schema().features().get(split.feature_idx as usize) {
            if let Some(said) = name.as_ref().filter(|said| *said != feature.name()) {
                let expected = format!("'{}' or none", feature.name().escape_debug());
                let got = format!("'{}'", said.escape_debug());
                return Err(Error::format(tree_name(i), "another feature's name", expected, got));
            }
            // A code that does not exist has no label; that it does not exist is found with the tree.
            let known = match (feature.kind(), split.test) {
                (FeatureKind::Categorical(Vocabulary::Learned(strings)), Test::Equal { code }) => {
                    strings.as_slice().get(code as usize).cloned()
                }
                (_, Test::Equal { code }) => Some(feature.label(code)),
                _ => None,
            };
            if let (Some(said), Some(known)) = (label, known)
                && *said != known
            {
                let expected = format!("'{}' or none", known.escape_debug());
                let got = format!("'{}'", said.escape_debug());
                return Err(Error::format(tree_name(i), "another category's label", expected, got));
            }
        }
        Ok((split, gain.read("gain")?))
    }
}

impl ChildText {
    fn of(child: Child) -> Self {
        match child {
            Child::Node(node) => ChildText::Node(node),
            Child::Leaf(leaf) => ChildText::Leaf(leaf),
        }
    }

    fn read(&self) -> Child {
        match *self {
            ChildText::Node(node) => Child::Node(node),
            ChildText::Leaf(leaf) => Child::Leaf(leaf),
        }
    }
}

fn tree_name(i: usize) -> String {
    format!("{WHAT}: tree {i}")
}

/// The same value with sorted keys, whatever map the JSON library was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Object(entries) => {
            let entries: std::collections::BTreeMap<String, Value> = entries.into_iter().collect();
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        leaf => leaf,
    }
}

/// On one line where that fits, else one line per part, two spaces deeper.
fn push_pretty(out: &mut String, value: &Value, indent: usize) {
    let compact = value.to_string();
    let parts: Vec<(Option<&String>, &Value)> = match value {
        Value::Array(items) if compact.len() + indent > LINE => items.iter().map(|item| (None, item)).collect(),
        Value::Object(entries) if compact.len() + indent > LINE => {
            entries.iter().map(|(key, item)| (Some(key), item)).collect()
        }
        _ => return out.push_str(&compact),
    };
    let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
    out.push(open);
    for (i, (key, item)) in parts.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent + 2));
        if let Some(key) = key {
            out.push_str(&Value::from(key.as_str()).to_string());
            out.push_str(": ");
        }
        push_pretty(out, item, indent + 2);
    }
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_survives_the_text() {
        let mut stream = crate::rng::Stream::new(0, "json", 0);
        let special = [0.0, -0.0, 0.1, f32::MIN_POSITIVE, f32::MAX, f32::MIN, 1.0e-45, 16_777_217.0];
        let random = (0..200_000).map(|_| f32::from_bits(stream.bits() as u32)).filter(|x| x.is_finite());
        for x in special.into_iter().chain(random.collect::<Vec<_>>()) {
            let text = serde_json::to_string(&Number::of(x)).unwrap();
            let number: Number = serde_json::from_str(&text).unwrap();
            assert_eq!(number.read("x").unwrap().to_bits(), x.to_bits(), "{text}");
        }
        assert_eq!(serde_json::to_string(&Number::of(0.1)).unwrap(), "0.1");
        assert_eq!(serde_json::to_string(&Number::of(f32::NEG_INFINITY)).unwrap(), "\"-inf\"");
    }

    #[test]
    fn doubles_too_large_for_a_single_are_refused() {
        assert!(Number::Finite(1e39).read("x").is_err());
        assert!(Number::Infinite("nan".into()).read("x").is_err());
    }
}
