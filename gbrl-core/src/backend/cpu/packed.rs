//! Trees laid out for sixteen rows at a time.
//!
//! Prediction has two steps per tile of sixteen rows and block of trees that stays in the first cache: find the leaf
//! of every row in every tree, then add the leaves up, tree after tree. What the leaves hold does not matter to the
//! first step, nor how they were found to the second.
//!
//! A run of trees with the same layout is a [`Segment`]; trees of different layouts simply follow in further ones.
//!
//! ```text
//! oblivious   tests    [tree][level]  last level first: level j of the list is bit j of the leaf index
//!             tables   [column][tree][leaf]  a policy that asks for its own columns never touches the value's
//! complete    tests    [tree][node]   a depth-4 binary tree in heap order, nodes that a tree lacks always answer no
//!             tables   as above; a leaf above the last level stands at its leftmost place
//! walk        trees    as they are, walked row by row
//! ```

use std::ops::Range;

use crate::data::{Lanes, TILE};
use crate::tree::{Child, Shape, Split, Test, Tree};

/// Levels of the smallest oblivious and of every complete layout: sixteen leaves, one vector of table.
pub const MIN_LEVELS: usize = 4;

/// Deepest oblivious tree that is laid out; its table has 4,096 leaves.
const MAX_LEVELS: usize = 12;

/// So many plain trees in a row leave a segment that has to ask about categories or missing values.
const PLAIN_RUN: usize = 64;

/// How a segment's trees are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Oblivious trees of up to this many levels.
    Oblivious(usize),
    /// Binary trees of up to four levels, completed.
    Complete,
    /// Deeper binary trees.
    Walk,
}

/// A run of trees with one layout.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The layout.
    pub layout: Layout,
    /// Whether every test is a plain `x > threshold` that sends NaN left.
    pub plain: bool,
    /// Index of the first tree among all trees of the ensemble, and of every one.
    pub tree_idx: Vec<u32>,
    /// Per test: its feature.
    pub features: Vec<u32>,
    /// Per test: the threshold (plain segments).
    pub thresholds: Vec<f32>,
    /// Per test: the answer is yes where key(x) − low ≤ width, in wrapping integers (other segments).
    pub ranges: Vec<[u32; 2]>,
    /// Leaf values `[tree][slot / 16][slot % 16]` of each column.
    pub tables: Vec<Vec<Lanes<f32>>>,
    /// Trees of a `Walk` segment.
    pub walked: Vec<Tree>,
    /// The largest of `features`.
    max_feature: u32,
    /// Slots that the oblivious trees would take without padding.
    needed_slots: usize,
    /// How many plain trees came last.
    plain_run: usize,
}

/// All trees over one range of output columns, in order.
#[derive(Clone, Debug)]
pub struct Packed {
    columns: Range<usize>,
    segments: Vec<Segment>,
}

impl Packed {
    /// No trees over `columns`.
    pub fn new(columns: Range<usize>) -> Self {
        Packed { columns, segments: Vec::new() }
    }

    /// The output columns that the trees add to.
    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// The runs of trees, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Appends tree number `tree_idx` of the ensemble.
    pub fn push(&mut self, tree_idx: usize, tree: &Tree) {
        let plain = tree.splits().all(Split::is_plain);
        let wanted = match tree.shape() {
            Shape::Oblivious(splits) if splits.len() <= MAX_LEVELS => Layout::Oblivious(splits.len().max(MIN_LEVELS)),
            Shape::Binary(_) if tree.depth() <= MIN_LEVELS => Layout::Complete,
            _ => Layout::Walk,
        };
        let fits = self.segments.last().is_some_and(|segment| {
            let same = match (segment.layout, wanted) {
                (Layout::Oblivious(has), Layout::Oblivious(wants)) => has >= wants && segment.has_room(has, wants),
                (has, wants) => has == wants,
            };
            // A tree with plain tests may stand among others, a long run of them gets the faster segment.
            same && (plain == segment.plain || (plain && segment.plain_run < PLAIN_RUN))
        });
        if !fits {
            self.segments.push(Segment::new(wanted, plain, self.columns.len()));
        }
        self.segments.last_mut().expect("pushed above").push(tree_idx, tree);
    }
}

impl Segment {
    fn new(layout: Layout, plain: bool, width: usize) -> Self {
        Segment {
            layout,
            plain,
            tree_idx: Vec::new(),
            features: Vec::new(),
            thresholds: Vec::new(),
            ranges: Vec::new(),
            tables: vec![Vec::new(); width],
            walked: Vec::new(),
            max_feature: 0,
            needed_slots: 0,
            plain_run: 0,
        }
    }

    /// Whether one more tree of `wants` levels leaves at most three quarters of the slots to padding.
    fn has_room(&self, has: usize, wants: usize) -> bool {
        (self.len() + 1) << has <= 4 * (self.needed_slots + (1 << wants))
    }

    /// Trees.
    pub fn len(&self) -> usize {
        self.tree_idx.len()
    }

    /// Whether there is none; never so in a [`Packed`].
    pub fn is_empty(&self) -> bool {
        self.tree_idx.is_empty()
    }

    /// Tests per tree.
    pub fn n_tests(&self) -> usize {
        match self.layout {
            Layout::Oblivious(levels) => levels,
            Layout::Complete => (1 << MIN_LEVELS) - 1,
            Layout::Walk => 0,
        }
    }

    /// Leaf slots per tree and column of `tables`.
    pub fn n_slots(&self) -> usize {
        match self.layout {
            Layout::Oblivious(levels) => 1 << levels,
            Layout::Complete | Layout::Walk => 1 << MIN_LEVELS,
        }
    }

    /// Features that a tile must have at least.
    pub fn n_features(&self) -> usize {
        self.max_feature as usize + 1
    }

    fn push(&mut self, tree_idx: usize, tree: &Tree) {
        self.tree_idx.push(tree_idx as u32);
        self.needed_slots += 1 << tree.depth().clamp(MIN_LEVELS, MAX_LEVELS);
        self.plain_run = if tree.splits().all(Split::is_plain) { self.plain_run + 1 } else { 0 };
        let n_slots = self.n_slots();
        match (self.layout, tree.shape()) {
            (Layout::Oblivious(levels), Shape::Oblivious(splits)) => {
                splits.iter().rev().for_each(|split| self.push_test(Some(split)));
                // Levels that the tree lacks are the upper bits of the index, always zero.
                (splits.len()..levels).for_each(|_| self.push_test(None));
                self.push_table(tree, n_slots, |leaf| leaf);
            }
            (Layout::Complete, Shape::Binary(nodes)) => {
                let mut tests = [None; (1 << MIN_LEVELS) - 1];
                let mut slots = vec![0; tree.n_leaves()];
                let root = if nodes.is_empty() { Child::Leaf(0) } else { Child::Node(0) };
                let mut open = vec![(root, 0usize)];
                while let Some((child, at)) = open.pop() {
                    match child {
                        Child::Node(n) => {
                            let node = &nodes[n as usize];
                            tests[at] = Some(node.split);
                            open.push((node.left, 2 * at + 1));
                            open.push((node.right, 2 * at + 2));
                        }
                        Child::Leaf(leaf) => {
                            let mut at = at;
                            while at < tests.len() {
                                at = 2 * at + 1;
                            }
                            slots[leaf as usize] = at - tests.len();
                        }
                    }
                }
                tests.iter().for_each(|test| self.push_test(test.as_ref()));
                self.push_table(tree, n_slots, |leaf| slots[leaf]);
            }
            _ => self.walked.push(tree.clone()),
        }
    }

    /// `None` is a test that always answers no.
    fn push_test(&mut self, split: Option<&Split>) {
        let never = Split::greater(0, f32::INFINITY, false);
        let split = split.unwrap_or(&never);
        self.max_feature = self.max_feature.max(split.feature_idx);
        self.features.push(split.feature_idx);
        match split.test {
            Test::Greater { threshold, .. } if self.plain => self.thresholds.push(threshold),
            test => self.ranges.push(test.key_range()),
        }
    }

    fn push_table(&mut self, tree: &Tree, n_slots: usize, slot_of: impl Fn(usize) -> usize) {
        for table in &mut self.tables {
            table.resize(table.len() + n_slots / TILE, Lanes::default());
        }
        for leaf in 0..tree.n_leaves() {
            for (table, &value) in self.tables.iter_mut().zip(tree.leaf(leaf)) {
                let from = table.len() - n_slots / TILE;
                table[from + slot_of(leaf) / TILE][slot_of(leaf) % TILE] = value;
            }
        }
    }
}
