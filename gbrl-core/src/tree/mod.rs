//! One regression tree with vector leaves: immutable once grown.

pub mod candidate;
pub mod quantise;
pub mod score;
pub mod split;

use std::ops::Range;

pub use candidate::{Candidate, Scored};
pub use score::{ScoreRule, Sums};
pub use split::{Split, Test};

/// A grown tree. Nothing edits it: growing makes one, loading makes one, and everything else reads.
///
/// Layout. `values` is row-major `[n_leaves, width]`, `width` being the number of output columns the tree covers; a
/// leaf value is what is **added** to the output (−rate · mean gradient), or the mean gradient itself in columns of an
/// Adam group. An empty leaf stores 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    shape: Shape,
    columns: Range<usize>,
    values: Box<[f32]>,
    covers: Box<[u32]>,
    gains: Box<[f32]>,
    rates: Box<[f32]>,
}

/// How the splits hang together.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// One split per level, asked of every row; the answers, first level first, are the bits of the leaf index from
    /// the most significant down. No split at all is a single leaf.
    Oblivious(Box<[Split]>),
    /// Nodes in the order of their making, the root first; no node at all is a single leaf.
    Binary(Box<[Node]>),
}

/// An inner node of a [`Shape::Binary`] tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// The question.
    pub split: Split,
    /// Where "no" goes.
    pub left: Child,
    /// Where "yes" goes.
    pub right: Child,
}

/// Where an inner node leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    /// To the node with this index, always larger than its parent's.
    Node(u32),
    /// To the leaf with this index.
    Leaf(u32),
}

impl Tree {
    /// Puts a tree together; the parts must agree in length.
    ///
    /// `values` is `[n_leaves, columns.len()]` row-major, `covers` the rows that grew each leaf, `gains` the gain of
    /// each split in the order of the shape, `rates` the learning rate of each covered column when the tree was grown.
    pub fn new(
        shape: Shape,
        columns: Range<usize>,
        values: Vec<f32>,
        covers: Vec<u32>,
        gains: Vec<f32>,
        rates: Vec<f32>,
    ) -> Self {
        let tree = Tree {
            shape,
            columns,
            values: values.into_boxed_slice(),
            covers: covers.into_boxed_slice(),
            gains: gains.into_boxed_slice(),
            rates: rates.into_boxed_slice(),
        };
        debug_assert_eq!(tree.rates.len(), tree.columns.len());
        debug_assert_eq!(tree.covers.len(), tree.n_leaves());
        debug_assert_eq!(tree.values.len(), tree.n_leaves() * tree.columns.len());
        debug_assert_eq!(tree.gains.len(), tree.n_splits());
        tree
    }

    /// How the splits hang together.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The output columns this tree adds to.
    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// Number of leaves: 2^depth for an oblivious tree, inner nodes + 1 otherwise.
    pub fn n_leaves(&self) -> usize {
        match &self.shape {
            Shape::Oblivious(splits) => 1 << splits.len(),
            Shape::Binary(nodes) => nodes.len() + 1,
        }
    }

    /// Number of distinct splits: levels of an oblivious tree, inner nodes otherwise.
    pub fn n_splits(&self) -> usize {
        match &self.shape {
            Shape::Oblivious(splits) => splits.len(),
            Shape::Binary(nodes) => nodes.len(),
        }
    }

    /// The splits in the order of the shape.
    pub fn splits(&self) -> impl Iterator<Item = &Split> {
        let (levels, nodes): (&[Split], &[Node]) = match &self.shape {
            Shape::Oblivious(splits) => (splits, &[]),
            Shape::Binary(nodes) => (&[], nodes),
        };
        levels.iter().chain(nodes.iter().map(|node| &node.split))
    }

    /// Questions on the longest way from the root to a leaf; 0 for a single leaf.
    pub fn depth(&self) -> usize {
        match &self.shape {
            Shape::Oblivious(splits) => splits.len(),
            Shape::Binary(nodes) => {
                let mut depths = vec![1usize; nodes.len()];
                for (i, node) in nodes.iter().enumerate() {
                    for child in [node.left, node.right] {
                        if let Child::Node(c) = child {
                            depths[c as usize] = depths[i] + 1;
                        }
                    }
                }
                depths.into_iter().max().unwrap_or(0)
            }
        }
    }

    /// Values of one leaf, one per covered column.
    pub fn leaf(&self, leaf_idx: usize) -> &[f32] {
        let width = self.columns.len();
        &self.values[leaf_idx * width..(leaf_idx + 1) * width]
    }

    /// All leaf values, `[n_leaves, width]` row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Rows that grew each leaf.
    pub fn covers(&self) -> &[u32] {
        &self.covers
    }

    /// Gain of each split, in the order of the shape.
    pub fn gains(&self) -> &[f32] {
        &self.gains
    }

    /// Learning rate of each covered column when the tree was grown: what an Adam group's fold and control variates
    /// need to get from leaf values to changes and mean gradients.
    pub fn rates(&self) -> &[f32] {
        &self.rates
    }

    /// The leaf that `row` falls into: the slow and obvious walk, O(depth).
    pub fn leaf_idx(&self, row: &[f32]) -> usize {
        match &self.shape {
            Shape::Oblivious(splits) => {
                splits.iter().fold(0, |idx, split| 2 * idx + usize::from(split.goes_right(row)))
            }
            Shape::Binary(nodes) => {
                let mut at = if nodes.is_empty() { Child::Leaf(0) } else { Child::Node(0) };
                loop {
                    match at {
                        Child::Leaf(leaf_idx) => return leaf_idx as usize,
                        Child::Node(n) => {
                            let node = &nodes[n as usize];
                            at = if node.split.goes_right(row) { node.right } else { node.left };
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_level_is_the_most_significant_bit() {
        let splits = [Split::greater(0, 0.0, false), Split::greater(1, 0.0, false)];
        let tree =
            Tree::new(Shape::Oblivious(splits.into()), 0..1, vec![0., 1., 2., 3.], vec![1; 4], vec![0.0; 2], vec![0.1]);
        assert_eq!(tree.leaf_idx(&[1.0, -1.0]), 2);
        assert_eq!(tree.leaf(2), [2.0]);
    }

    #[test]
    fn a_single_leaf_is_a_tree() {
        for shape in [Shape::Oblivious([].into()), Shape::Binary([].into())] {
            let tree = Tree::new(shape, 0..2, vec![5.0, 6.0], vec![3], vec![], vec![0.1; 2]);
            assert_eq!((tree.n_leaves(), tree.depth(), tree.leaf_idx(&[])), (1, 0, 0));
        }
    }
}
