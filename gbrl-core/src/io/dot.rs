//! One tree as a Graphviz graph.

use std::fmt::Write;

use crate::ensemble::Ensemble;
use crate::error::{Error, Result};
use crate::io::describe::{output_name, question, sends_missing_right};
use crate::io::model;
use crate::tree::{Child, Shape, Split, Tree};

/// Tree `tree_idx` of `ensemble` in the DOT language: `dot -Tsvg tree.dot -o tree.svg`.
///
/// Questions are boxes, leaves rounded boxes with their rows and values; edges are labelled with the answer and, where
/// NaN follows it, with "missing". An oblivious tree is drawn as the full binary tree that it stands for, its one
/// question per level repeated: a reader follows a path from the root as in any other tree and finds the leaf at its
/// end, where a chain of levels would leave the answers to be turned into a leaf number by hand. Beyond depth 6 or so
/// no drawing of either kind is readable; [`tree_text`](crate::io::text::tree_text) is better there.
///
/// Names may hold anything: quotes, backslashes and ampersands are escaped, control characters shown as escapes.
/// O(number of leaves · outputs).
///
/// # Errors
/// Class `Value` when there is no such tree or the tree is not valid.
///
/// ```
/// # use gbrl_core::{data::schema::{Feature, FeatureSchema}, ensemble::*, tree::*};
/// # let groups = vec![OutputGroup::sgd("value", 0..1, Schedule::Constant(0.1))];
/// # let mut ensemble = Ensemble::new(FeatureSchema::new(vec![Feature::numeric("the \"speed\"")]), groups)?;
/// # let shape = Shape::Oblivious([Split::greater(0, 0.5, false)].into());
/// # ensemble.push(Tree::new(shape, 0..1, vec![-0.25, 1.0], vec![3, 4], vec![2.5], vec![0.1]))?;
/// let dot = gbrl_core::io::dot::tree_dot(&ensemble, 0)?;
/// assert!(dot.contains(r#"n0 [label="the \"speed\" > 0.5\ngain 2.5"];"#));
/// assert!(dot.contains(r#"n0 -> l1 [label="yes"];"#));
/// # Ok::<(), gbrl_core::Error>(())
/// ```
pub fn tree_dot(ensemble: &Ensemble, tree_idx: usize) -> Result<String> {
    let tree = checked_tree(ensemble, tree_idx)?;
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = Drawing { ensemble, tree, splits: tree.splits().collect() }.write(&mut out, tree_idx);
    Ok(out)
}

/// The tree with this index, safe to walk.
pub(crate) fn checked_tree(ensemble: &Ensemble, tree_idx: usize) -> Result<&Tree> {
    let Some(tree) = ensemble.trees().get(tree_idx) else {
        return Err(Error::parameter("tree_idx", tree_idx, format!("a tree below {}", ensemble.trees().len())));
    };
    model::check_tree(ensemble, tree_idx, tree).map_err(|flaw| flaw.into_value())?;
    Ok(tree)
}

struct Drawing<'a> {
    ensemble: &'a Ensemble,
    tree: &'a Tree,
    splits: Vec<&'a Split>,
}

impl Drawing<'_> {
    fn write(&self, out: &mut String, tree_idx: usize) -> std::fmt::Result {
        writeln!(out, "digraph tree_{tree_idx} {{")?;
        writeln!(out, "  node [shape=box, fontname=\"sans-serif\"];")?;
        match self.tree.shape() {
            Shape::Oblivious(splits) => {
                // Inner nodes are numbered level by level: level d holds 2^d − 1 .. 2^(d+1) − 1.
                let first_leaf = (1 << splits.len()) - 1;
                for level in 0..splits.len() {
                    for n in (1 << level) - 1..(2 << level) - 1 {
                        let to = |child: usize| {
                            if child < first_leaf { format!("n{child}") } else { format!("l{}", child - first_leaf) }
                        };
                        self.write_node(out, n, level, &to(2 * n + 1), &to(2 * n + 2))?;
                    }
                }
            }
            Shape::Binary(nodes) => {
                let to = |child: Child| match child {
                    Child::Node(node) => format!("n{node}"),
                    Child::Leaf(leaf) => format!("l{leaf}"),
                };
                for (n, node) in nodes.iter().enumerate() {
                    self.write_node(out, n, n, &to(node.left), &to(node.right))?;
                }
            }
        }
        for (leaf, rows) in self.tree.covers().iter().enumerate() {
            let mut lines = vec![format!("leaf {leaf}, {rows} {}", if *rows == 1 { "row" } else { "rows" })];
            for (column, value) in self.tree.columns().zip(self.tree.leaf(leaf)) {
                lines.push(format!("{} {value:?}", output_name(self.ensemble, column)));
            }
            writeln!(out, "  l{leaf} [label={}, style=rounded];", quoted(&lines))?;
        }
        writeln!(out, "}}")
    }

    fn write_node(&self, out: &mut String, n: usize, split_idx: usize, no: &str, yes: &str) -> std::fmt::Result {
        let split = self.splits[split_idx];
        let gain = format!("gain {:?}", self.tree.gains()[split_idx]);
        let label = quoted(&[question(self.ensemble.schema(), split), gain]);
        let missing = if sends_missing_right(split) { ", missing" } else { "" };
        writeln!(out, "  n{n} [label={label}];")?;
        writeln!(out, "  n{n} -> {no} [label=\"no\"];")?;
        writeln!(out, "  n{n} -> {yes} [label=\"yes{missing}\"];")
    }
}

/// Lines of text as one quoted DOT string. Backslashes start escapes in labels and ampersands entities, so both are
/// escaped; control characters were made visible before.
fn quoted(lines: &[String]) -> String {
    let escape = |line: &String| line.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;");
    format!("\"{}\"", lines.iter().map(escape).collect::<Vec<_>>().join("\\n"))
}
