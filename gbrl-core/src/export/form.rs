//! The intermediate form of every export: a policy as flat arrays.
//!
//! **Questions become codes.** Every distinct threshold of a feature is a key in the feature's *slot*; an observation
//! is first turned into one small number per slot, its rank among the keys, and every node then asks
//! `codes[slot] > code` (or `== code`, for categories): integers of eight bits, whatever the observation was. Keys
//! compare as floats do but are plain unsigned integers, so that a processor without floating point compares them in
//! one instruction.
//!
//! **Normalisation becomes thresholds.** Standardising is monotone in f32, so for every threshold there is a largest raw
//! value that does not exceed it; that value's key replaces it. The decision is the same to the bit and costs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::leaves::{Leaves, Quantize, Sums};
use crate::error::{Error, Result};
use crate::rl::dist::Distribution;
use crate::rl::normalize::ObservationNormalizer;
use crate::rl::policy::{Policy, PolicyHead};
use crate::rl::space::Space;
use crate::tree::{Child, Shape, Split, Test, Tree};

/// Keys of a slot: a rank fits a byte.
pub const MAX_KEYS: usize = 255;
/// Slots of a policy: an index fits two bytes.
pub const MAX_SLOTS: usize = 1 << 16;
/// Features: an index fits two bytes.
const MAX_FEATURES: usize = 1 << 16;
/// Logits: a sum's index fits two bytes, the value's too.
const MAX_LOGITS: usize = (1 << 16) - 2;
/// Nodes of a depth-wise or best-first tree: an index fits 15 bits.
const MAX_NODES: usize = (1 << 15) - 1;
/// Nodes of a tree whose links fit seven bits.
const SMALL: u16 = 127;

/// A policy as flat arrays: what every exporter writes down.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgePolicy {
    /// Columns of an observation.
    pub n_features: usize,
    /// Outputs that the action is made from: logits, or means.
    pub n_logits: usize,
    /// Whether the last sum is the value.
    pub has_value: bool,
    /// From sums to actions.
    pub head: EdgeHead,
    /// What is asked of the features: slots that ask for order first, then those that ask for equality.
    pub slots: Vec<Slot>,
    /// Runs of trees of one form, in the order of the trees.
    pub runs: Vec<Run>,
    /// Nodes of each tree that is no oblivious one, in the order of the trees.
    pub sizes: Vec<u16>,
    /// Questions of all trees: the levels of an oblivious tree, the nodes of another.
    pub tests: Vec<SlotTest>,
    /// Where the nodes of trees that are not oblivious lead ("no", "yes"), relative to their tree.
    pub children: Vec<[Child; 2]>,
    /// Where the sums begin, and what the leaves add to them, `[tree][leaf][width]`.
    pub sums: Sums,
}

/// From sums to actions.
#[derive(Clone, Debug, PartialEq)]
pub enum EdgeHead {
    /// Of each part's choices the one with the largest logit, the first of equals; its number plus the part's start.
    Discrete(Vec<Part>),
    /// Bits: a logit above 0.
    MultiBinary(usize),
    /// Means clipped to bounds (low, high).
    Box(Vec<(f32, f32)>),
    /// Means squashed into bounds (low, high) by tanh.
    SquashedBox(Vec<(f32, f32)>),
}

/// One of the parts of a discrete action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Choices.
    pub n: u32,
    /// What the environment calls the first one.
    pub start: i32,
}

/// Keys that one feature is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Which feature.
    pub feature: u16,
    /// How a value becomes a code.
    pub kind: SlotKind,
    /// Ascending, 1 to [`MAX_KEYS`].
    pub keys: Vec<u32>,
}

/// How a value becomes a code. `rank` is the number of keys below the value's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SlotKind {
    /// The rank; 0 for NaN. Question: `code > k`.
    MissingLeft = 0,
    /// The rank; the number of keys for NaN. Question: `code > k`.
    MissingRight = 1,
    /// 1 + the rank where the value equals a key, else 0. Question: `code == k + 1`.
    Equal = 2,
}

/// One question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotTest {
    /// Which slot's code.
    pub slot: u16,
    /// Which of its keys, counted from 0.
    pub key: u8,
}

/// Trees of one form that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many.
    pub n_trees: u32,
    /// Their form.
    pub form: Form,
    /// The first sum that they add to.
    pub first: u32,
    /// How many sums they add to.
    pub width: u32,
}

/// The form of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// So many levels, the same question for a whole level.
    Oblivious(u8),
    /// Nodes with two children.
    Binary,
}

/// The key of a number: unsigned integers in the order of the floats, −0 and +0 apart (see [`threshold_key`]).
pub fn key(x: f32) -> u32 {
    let bits = x.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The number of a key.
pub fn number(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// The key k of a threshold t: x > t exactly when key(x) > k, for every x but NaN.
pub fn threshold_key(t: f32) -> u32 {
    match t {
        // Nothing is larger than NaN, as nothing is larger than infinity.
        _ if t.is_nan() => key(f32::INFINITY),
        // −0 is not below +0.
        0.0 => key(0.0),
        _ => key(t),
    }
}

impl EdgePolicy {
    /// The flat form of a policy, with the value or without, its leaves as they are or quantised.
    ///
    /// # Errors
    /// Class `Unsupported` for outputs of an Adam group, and for sizes that the form cannot hold; class `Value` for
    /// leaves so large that their sum may overflow.
    pub fn new(policy: &Policy, quantize: Quantize, has_value: bool) -> Result<Self> {
        let (ensemble, head) = (policy.ensemble(), policy.head());
        if ensemble.has_adam() {
            let reason = "its outputs are a fold over mean gradients, not a sum of leaves";
            return Err(Error::unsupported("export", "with an Adam output group", reason));
        }
        // The likeliest action needs no standard deviations, whoever gives them.
        let n_logits = head.distribution.gaussian_len().unwrap_or(head.n_policy_outputs());
        fits("features", head.n_features(), MAX_FEATURES)?;
        fits("outputs", n_logits, MAX_LOGITS)?;
        let value = has_value.then_some(head.n_policy_outputs());
        let outputs: Vec<usize> = (0..n_logits).chain(value).collect();
        let mut trees = Vec::new();
        for tree in ensemble.trees() {
            let columns = tree.columns();
            let at = |end| outputs.partition_point(|&output| output < end);
            let kept = at(columns.start)..at(columns.end);
            if !kept.is_empty() {
                trees.push((tree, kept));
            }
        }
        let slots = Slots::new(&trees, head.normalizer.as_ref())?;
        let head = EdgeHead::new(head)?;
        let mut flat = Vec::with_capacity(trees.len());
        for (tree, kept) in trees {
            flat.push(FlatTree::new(tree, kept, &outputs, &slots)?);
        }
        let bias: Vec<f32> = outputs.iter().map(|&output| ensemble.bias()[output]).collect();
        let (sums, order) = Leaves::sums(&head, n_logits, &bias, &mut flat, quantize)?;
        let mut policy = EdgePolicy {
            n_features: ensemble.n_features(),
            n_logits,
            has_value,
            head,
            slots: slots.list,
            runs: Vec::new(),
            sizes: Vec::new(),
            tests: Vec::new(),
            children: Vec::new(),
            sums,
        };
        for i in order {
            policy.push(&flat[i]);
        }
        if policy.tests.is_empty() {
            policy.slots.clear();
        }
        Ok(policy)
    }

    fn push(&mut self, tree: &FlatTree) {
        if tree.form == Form::Binary {
            self.sizes.push(tree.tests.len() as u16);
        }
        self.tests.extend(&tree.tests);
        self.children.extend(&tree.children);
        let (first, width) = (tree.columns.start as u32, tree.columns.len() as u32);
        match self.runs.last_mut() {
            Some(run) if (run.form, run.first, run.width) == (tree.form, first, width) => run.n_trees += 1,
            _ => self.runs.push(Run { n_trees: 1, form: tree.form, first, width }),
        }
    }

    /// Trees.
    pub fn n_trees(&self) -> usize {
        self.runs.iter().map(|run| run.n_trees as usize).sum()
    }

    /// How many slots ask for order; those that ask for equality follow.
    pub fn n_order(&self) -> usize {
        self.slots.iter().filter(|slot| slot.kind != SlotKind::Equal).count()
    }

    /// Whether actions are real numbers.
    pub fn is_box(&self) -> bool {
        matches!(self.head, EdgeHead::Box(_) | EdgeHead::SquashedBox(_))
    }

    /// Bytes of a question: slot and key.
    pub fn test_bytes(&self) -> usize {
        if self.slots.len() > 256 { 3 } else { 2 }
    }

    /// Bytes of a link; 0 without trees that have nodes.
    pub fn link_bytes(&self) -> usize {
        match self.sizes.iter().max() {
            None => 0,
            Some(&nodes) if nodes <= SMALL => 1,
            Some(_) => 2,
        }
    }

    /// Bytes to decide in: a code for each slot, and the sums.
    pub fn ram_bytes(&self) -> usize {
        self.slots.len() + 4 * self.sums.n_sums()
    }

    /// Numbers of an action.
    pub fn action_len(&self) -> usize {
        match &self.head {
            EdgeHead::Discrete(parts) => parts.len(),
            EdgeHead::MultiBinary(n) => *n,
            EdgeHead::Box(bounds) | EdgeHead::SquashedBox(bounds) => bounds.len(),
        }
    }

    /// Flags of a mask.
    pub fn mask_len(&self) -> usize {
        match &self.head {
            EdgeHead::Discrete(parts) => parts.iter().map(|part| part.n as usize).sum(),
            EdgeHead::MultiBinary(n) => 2 * n,
            _ => 0,
        }
    }
}

impl EdgeHead {
    fn new(head: &PolicyHead) -> Result<Self> {
        let bounds = |space: &Space| match space {
            Space::Box { low, high, .. } => low.iter().copied().zip(high.iter().copied()).collect(),
            _ => Vec::new(),
        };
        Ok(match (&head.action_space, &head.distribution) {
            (Space::Discrete { n, start }, _) => {
                let last = start.checked_add(i64::from(*n) - 1).and_then(|last| i32::try_from(last).ok());
                let (Ok(start), Some(_)) = (i32::try_from(*start), last) else {
                    let condition = format!("for actions from {start} on");
                    return Err(Error::unsupported("export", condition, "they do not fit 32 bits"));
                };
                EdgeHead::Discrete(vec![Part { n: *n, start }])
            }
            (Space::MultiDiscrete { nvec }, _) => {
                EdgeHead::Discrete(nvec.iter().map(|&n| Part { n, start: 0 }).collect())
            }
            (Space::MultiBinary { n }, _) => EdgeHead::MultiBinary(*n),
            (space, Distribution::SquashedGaussian(_)) => EdgeHead::SquashedBox(bounds(space)),
            (space, _) => EdgeHead::Box(bounds(space)),
        })
    }
}

/// One tree on its way into the arrays.
pub(super) struct FlatTree {
    pub form: Form,
    /// Sums that it adds to.
    pub columns: Range<usize>,
    pub tests: Vec<SlotTest>,
    children: Vec<[Child; 2]>,
    /// `[leaf][columns]`.
    pub leaves: Vec<f32>,
}

impl FlatTree {
    /// `columns` says which of the exported `outputs` the tree adds to.
    fn new(tree: &Tree, columns: Range<usize>, outputs: &[usize], slots: &Slots) -> Result<Self> {
        let tests = tree.splits().map(|split| slots.find(split)).collect::<Result<Vec<_>>>()?;
        let (form, children) = match tree.shape() {
            Shape::Binary(nodes) if !nodes.is_empty() => {
                fits("nodes of a tree", nodes.len(), MAX_NODES)?;
                (Form::Binary, nodes.iter().map(|node| [node.left, node.right]).collect())
            }
            _ => (Form::Oblivious(tests.len() as u8), Vec::new()),
        };
        let from = tree.columns().start;
        let kept = &outputs[columns.clone()];
        let leaves = (0..tree.n_leaves())
            .flat_map(|leaf| kept.iter().map(move |output| tree.leaf(leaf)[output - from]))
            .collect();
        Ok(FlatTree { form, columns, tests, children, leaves })
    }
}

/// A question without its number: order before equality, then by feature.
type Asked = (bool, u16, SlotKind);

struct Slots<'a> {
    normalizer: Option<&'a ObservationNormalizer>,
    list: Vec<Slot>,
    /// The first of the slots of each kind of question; those of many keys have several.
    firsts: BTreeMap<Asked, usize>,
}

impl<'a> Slots<'a> {
    fn new(trees: &[(&Tree, Range<usize>)], normalizer: Option<&'a ObservationNormalizer>) -> Result<Self> {
        let mut slots = Slots { normalizer, list: Vec::new(), firsts: BTreeMap::new() };
        let mut keys: BTreeMap<Asked, BTreeSet<u32>> = BTreeMap::new();
        for split in trees.iter().flat_map(|(tree, _)| tree.splits()) {
            let (asked, key) = slots.question(split)?;
            keys.entry(asked).or_default().insert(key);
        }
        for (asked, keys) in keys {
            slots.firsts.insert(asked, slots.list.len());
            let keys: Vec<u32> = keys.into_iter().collect();
            let slot = |keys: &[u32]| Slot { feature: asked.1, kind: asked.2, keys: keys.to_vec() };
            slots.list.extend(keys.chunks(MAX_KEYS).map(slot));
        }
        fits("distinct questions", slots.list.len(), MAX_SLOTS)?;
        Ok(slots)
    }

    fn question(&self, split: &Split) -> Result<(Asked, u32)> {
        let feature = split.feature_idx as usize;
        let scaled = self.normalizer.and_then(|normalizer| normalizer.column(feature));
        let (kind, key) = match split.test {
            Test::Greater { threshold, missing_right } => {
                let kind = if missing_right { SlotKind::MissingRight } else { SlotKind::MissingLeft };
                let raw = scaled.map(|normalise| raw_key(|x| normalise(x) > threshold));
                (kind, raw.unwrap_or_else(|| threshold_key(threshold)))
            }
            Test::Equal { .. } if scaled.is_some() => {
                let condition = format!("with a test for equality on the normalised feature {feature}");
                return Err(Error::unsupported("export", condition, "several raw values may equal it"));
            }
            Test::Equal { code } => (SlotKind::Equal, threshold_key(code)),
        };
        Ok(((kind == SlotKind::Equal, feature as u16, kind), key))
    }

    fn find(&self, split: &Split) -> Result<SlotTest> {
        let (asked, key) = self.question(split)?;
        let mut slot = self.firsts[&asked];
        while self.list[slot].keys.last().is_some_and(|&last| last < key) {
            slot += 1;
        }
        let at = self.list[slot].keys.partition_point(|&other| other < key);
        Ok(SlotTest { slot: slot as u16, key: at as u8 })
    }
}

/// The key k with exceeds(x) exactly when key(x) > k, for an `exceeds` that is monotone over all numbers. It lies one
/// below the key of −∞ when every number exceeds.
fn raw_key(exceeds: impl Fn(f32) -> bool) -> u32 {
    let (mut below, mut above) = (key(f32::NEG_INFINITY) - 1, key(f32::INFINITY) + 1);
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if exceeds(number(middle)) {
            above = middle;
        } else {
            below = middle;
        }
    }
    below
}

fn fits(what: &str, n: usize, most: usize) -> Result<()> {
    if n <= most {
        return Ok(());
    }
    Err(Error::unsupported("export", format!("with {n} {what}"), "the exported form has fewer bits for them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [f32; 12] = [
        f32::NEG_INFINITY,
        f32::MIN,
        -1.0,
        -f32::MIN_POSITIVE,
        -1e-45,
        -0.0,
        0.0,
        1e-45,
        0.5,
        1.0,
        f32::MAX,
        f32::INFINITY,
    ];

    #[test]
    fn keys_order_numbers_as_floats_do() {
        for x in NUMBERS {
            assert_eq!(number(key(x)).to_bits(), x.to_bits());
            for t in NUMBERS {
                assert_eq!(key(x) > threshold_key(t), x > t, "{x} > {t}");
            }
            assert!(key(x) <= threshold_key(f32::NAN));
        }
    }

    #[test]
    fn a_monotone_question_has_one_raw_key() {
        let scale = |x: f32| ((f64::from(x) - 0.3) / 1.7).clamp(-2.0, 2.0) as f32;
        for t in [-3.0, -2.0, -1.9999999, -0.1, 0.0, 0.7, 1.9999999, 2.0, f32::INFINITY] {
            let k = raw_key(|x| scale(x) > t);
            let near = [k.saturating_sub(1), k, k + 1].map(number);
            for x in NUMBERS.into_iter().chain(near).filter(|x| !x.is_nan()) {
                assert_eq!(key(x) > k, scale(x) > t, "{x} against {t}");
            }
        }
    }
}
