//! One tree as text, for terminals and logs.

use std::fmt::Write;

use crate::ensemble::Ensemble;
use crate::error::Result;
use crate::io::describe::{output_name, question, sends_missing_right};
use crate::io::dot::checked_tree;
use crate::tree::{Child, Node, Shape, Split, Tree};

/// Tree `tree_idx` of `ensemble` as text: its questions with feature names, category labels and gains, and its leaves
/// with the rows that grew them and their values per output. The first line ends with the learning rate it was grown
/// with, one per output where they differ.
///
/// An oblivious tree is given as its levels and a table of leaves, headed by their answers, where leaves that no row has
/// reached are counted only; a binary tree as an indented outline, "no" before "yes". NaN follows "no" unless the line says otherwise. Control characters in names
/// are escaped, so every question stays on its line. O(number of leaves · (depth + outputs)).
///
/// # Errors
/// Class `Value` when there is no such tree or the tree is not valid.
///
/// ```
/// # use gbrl_core::{data::schema::{Feature, FeatureSchema}, ensemble::*, tree::*};
/// # let groups = vec![OutputGroup::sgd("policy", 0..2, Schedule::Constant(0.1))];
/// # let mut ensemble = Ensemble::new(FeatureSchema::new(vec![Feature::numeric("speed")]), groups)?;
/// # let shape = Shape::Oblivious([Split::greater(0, 0.5, false)].into());
/// # ensemble.push(Tree::new(shape, 0..2, vec![-0.25, 0.25, 1.0, -1.0], vec![3, 4], vec![2.5], vec![0.1; 2]))?;
/// let text = gbrl_core::io::text::tree_text(&ensemble, 0)?;
/// assert_eq!(text, "\
/// tree 0: oblivious, depth 1, 2 leaves, outputs policy[0] policy[1], rate 0.1
///   level 0: speed > 0.5?  (gain 2.5)
///   leaf 0, no: 3 rows, policy[0] -0.25, policy[1] 0.25
///   leaf 1, yes: 4 rows, policy[0] 1.0, policy[1] -1.0
/// ");
/// # Ok::<(), gbrl_core::Error>(())
/// ```
pub fn tree_text(ensemble: &Ensemble, tree_idx: usize) -> Result<String> {
    let tree = checked_tree(ensemble, tree_idx)?;
    let page = Page { ensemble, tree, splits: tree.splits().collect() };
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = page.write(&mut out, tree_idx);
    Ok(out)
}

struct Page<'a> {
    ensemble: &'a Ensemble,
    tree: &'a Tree,
    splits: Vec<&'a Split>,
}

impl Page<'_> {
    fn write(&self, out: &mut String, tree_idx: usize) -> std::fmt::Result {
        let tree = self.tree;
        let shape = if matches!(tree.shape(), Shape::Oblivious(_)) { "oblivious" } else { "binary" };
        let (depth, leaves) = (tree.depth(), tree.n_leaves());
        let plural = if leaves == 1 { "leaf" } else { "leaves" };
        write!(out, "tree {tree_idx}: {shape}, depth {depth}, {leaves} {plural}, outputs")?;
        for column in tree.columns() {
            write!(out, " {}", output_name(self.ensemble, column))?;
        }
        match tree.rates() {
            [rate, others @ ..] if others.iter().all(|other| other == rate) => writeln!(out, ", rate {rate:?}")?,
            rates => {
                out.push_str(", rates");
                rates.iter().try_for_each(|rate| write!(out, " {rate:?}"))?;
                out.push('\n');
            }
        }
        match tree.shape() {
            Shape::Oblivious(splits) => {
                for level in 0..splits.len() {
                    writeln!(out, "  level {level}: {}", self.question(level))?;
                }
                let is_empty =
                    |&leaf: &usize| self.tree.covers()[leaf] == 0 && self.tree.leaf(leaf).iter().all(|&x| x == 0.0);
                let n_empty = (0..leaves).filter(is_empty).count();
                for leaf in (0..leaves).filter(|leaf| n_empty == 1 || !is_empty(leaf)) {
                    let answer = |level: usize| if leaf >> (depth - 1 - level) & 1 == 1 { "yes" } else { "no" };
                    let answers: Vec<&str> = (0..depth).map(answer).collect();
                    let comma = if depth == 0 { "" } else { ", " };
                    writeln!(out, "  leaf {leaf}{comma}{}: {}", answers.join(" "), self.leaf(leaf))?;
                }
                match n_empty {
                    0 | 1 => Ok(()),
                    n => writeln!(out, "  and {n} leaves that no row has reached, worth 0"),
                }
            }
            Shape::Binary(nodes) => {
                let root = if nodes.is_empty() { Child::Leaf(0) } else { Child::Node(0) };
                self.outline(out, nodes, root, "", 1)
            }
        }
    }

    /// Depth is at most [`MAX_BINARY_DEPTH`](crate::io::model::MAX_BINARY_DEPTH): the tree was checked.
    fn outline(&self, out: &mut String, nodes: &[Node], at: Child, answer: &str, indent: usize) -> std::fmt::Result {
        out.extend(std::iter::repeat_n("  ", indent));
        out.push_str(answer);
        match at {
            Child::Leaf(leaf) => writeln!(out, "leaf {leaf}: {}", self.leaf(leaf as usize)),
            Child::Node(n) => {
                writeln!(out, "node {n}: {}", self.question(n as usize))?;
                let node = &nodes[n as usize];
                self.outline(out, nodes, node.left, "no: ", indent + 1)?;
                self.outline(out, nodes, node.right, "yes: ", indent + 1)
            }
        }
    }

    fn question(&self, split_idx: usize) -> String {
        let split = self.splits[split_idx];
        let missing = if sends_missing_right(split) { ", missing: yes" } else { "" };
        let gain = self.tree.gains()[split_idx];
        format!("{}?  (gain {gain:?}{missing})", question(self.ensemble.schema(), split))
    }

    fn leaf(&self, leaf_idx: usize) -> String {
        let rows = self.tree.covers()[leaf_idx];
        let mut text = format!("{rows} {}", if rows == 1 { "row" } else { "rows" });
        for (column, value) in self.tree.columns().zip(self.tree.leaf(leaf_idx)) {
            text.push_str(&format!(", {} {value:?}", output_name(self.ensemble, column)));
        }
        text
    }
}
