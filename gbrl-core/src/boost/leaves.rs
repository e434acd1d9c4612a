//! From a leaf's sums to its values, with monotone constraints.

use crate::config::Monotone;
use crate::tree::{Child, ScoreRule, Shape, Split, Sums};

/// Mean gradient of every leaf and output, row-major, so that every constrained output only rises (or only falls).
///
/// Bounds go down from the root: a split on a constrained feature puts the mean of its sides' means between them, and
/// a leaf's mean is clamped to the bounds it inherits. Unconstrained outputs are plain G/(W + λ).
pub(super) fn mean_gradients(
    shape: &Shape,
    leaves: &[Sums],
    rule: &ScoreRule,
    first_column: usize,
    monotone: &[Monotone],
) -> Vec<f64> {
    let width = rule.units.len();
    let mut means: Vec<f64> = leaves.iter().flat_map(|leaf| (0..width).map(move |d| rule.mean(leaf, d))).collect();
    for d in 0..width {
        let constraints: Vec<&Monotone> = monotone.iter().filter(|m| m.output_idx == first_column + d).collect();
        if constraints.is_empty() {
            continue;
        }
        let clamp = Clamp { leaves, rule, output: d, constraints: &constraints };
        let mut column: Vec<f64> = means.iter().skip(d).step_by(width).copied().collect();
        match shape {
            Shape::Oblivious(splits) => {
                clamp.visit(
                    &mut column,
                    &|at| oblivious_children(splits, at),
                    (0, 0),
                    (f64::NEG_INFINITY, f64::INFINITY),
                );
            }
            Shape::Binary(nodes) if !nodes.is_empty() => {
                let children = |(is_leaf, idx): Place| {
                    (is_leaf == 0).then(|| {
                        let node = &nodes[idx];
                        let place = |child| match child {
                            Child::Node(n) => (0, n as usize),
                            Child::Leaf(leaf) => (1, leaf as usize),
                        };
                        (node.split, place(node.left), place(node.right))
                    })
                };
                clamp.visit(&mut column, &children, (0, 0), (f64::NEG_INFINITY, f64::INFINITY));
            }
            Shape::Binary(_) => {}
        }
        for (leaf, mean) in column.into_iter().enumerate() {
            means[leaf * width + d] = mean;
        }
    }
    means
}

/// Where one is in a tree: (level, index within the level) of an oblivious one; (0, node) or (1, leaf) of another.
type Place = (usize, usize);

/// The split at a place and the places of its sides; `None` at a leaf.
type Sides = Option<(Split, Place, Place)>;

fn oblivious_children(splits: &[Split], (level, idx): Place) -> Sides {
    let split = splits.get(level)?;
    Some((*split, (level + 1, 2 * idx), (level + 1, 2 * idx + 1)))
}

struct Clamp<'a> {
    leaves: &'a [Sums],
    rule: &'a ScoreRule,
    output: usize,
    constraints: &'a [&'a Monotone],
}

impl Clamp<'_> {
    fn visit(&self, means: &mut [f64], children: &dyn Fn(Place) -> Sides, at: Place, (low, high): (f64, f64)) {
        let Some((split, left, right)) = children(at) else {
            means[at.1] = means[at.1].max(low).min(high);
            return;
        };
        let direction = self.constraints.iter().find(|m| m.feature_idx == split.feature_idx as usize);
        let Some(direction) = direction else {
            self.visit(means, children, left, (low, high));
            self.visit(means, children, right, (low, high));
            return;
        };
        let mean = |place| {
            let sums = self.total(children, place);
            (sums.weight > 0).then(|| self.rule.mean(&sums, self.output).max(low).min(high))
        };
        let middle = match (mean(left), mean(right)) {
            (Some(l), Some(r)) => 0.5 * l + 0.5 * r,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => 0f64.max(low).min(high),
        };
        // A rising output has the smaller mean gradient on the right.
        let (left_bounds, right_bounds) =
            if direction.rising { ((middle, high), (low, middle)) } else { ((low, middle), (middle, high)) };
        self.visit(means, children, left, left_bounds);
        self.visit(means, children, right, right_bounds);
    }

    fn total(&self, children: &dyn Fn(Place) -> Sides, at: Place) -> Sums {
        match children(at) {
            None => self.leaves[at.1].clone(),
            Some((_, left, right)) => {
                let (mut sums, other) = (self.total(children, left), self.total(children, right));
                sums.gradients.iter_mut().zip(&other.gradients).for_each(|(a, b)| *a += b);
                sums.weight += other.weight;
                sums.n_rows += other.n_rows;
                sums
            }
        }
    }
}
