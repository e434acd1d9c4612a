//! The oracle: every candidate rescans every row. Slow, obvious, and here for ever.

use super::{Backend, NodeId, Task, breaks_monotone};
use crate::config::SplitScore;
use crate::error::{Error, Result};
use crate::tree::quantise::{self, moments, quantise};
use crate::tree::{Candidate, ScoreRule, Scored, Sums};

/// The backend that a reader can check by eye.
#[derive(Debug, Default)]
pub struct NaiveBackend {
    /// Positions in `task.rows` of each node.
    nodes: Vec<Vec<usize>>,
    /// Integers for scores (standardised for L2) and for leaves, row-major `[rows, columns]`; weights per row.
    score_ints: Vec<i32>,
    leaf_ints: Vec<i32>,
    weight_ints: Vec<i32>,
    score_rule: ScoreRule,
    leaf_rule: ScoreRule,
}

impl NaiveBackend {
    fn sums_of(&self, ints: &[i32], positions: impl Iterator<Item = usize>, width: usize) -> Sums {
        let mut sums = Sums { gradients: vec![0; width], weight: 0, n_rows: 0 };
        for p in positions {
            for (sum, &g) in sums.gradients.iter_mut().zip(&ints[p * width..]) {
                *sum += i64::from(g);
            }
            sums.weight += i64::from(self.weight_ints[p]);
            sums.n_rows += 1;
        }
        sums
    }

    /// Sums of a node and of its left side under a candidate.
    fn sides(&self, task: &Task<'_>, node: NodeId, candidate: Candidate) -> (Sums, Sums) {
        let column = task.bins.column(candidate.feature_idx as usize);
        let left = self.nodes[node].iter().copied().filter(|&p| {
            let bin = column.slice().get(task.rows[p] as usize);
            !candidate.goes_right(&column.bins, bin)
        });
        let width = task.columns.len();
        (
            self.sums_of(&self.score_ints, self.nodes[node].iter().copied(), width),
            self.sums_of(&self.score_ints, left, width),
        )
    }

    fn node_score(&self, task: &Task<'_>, candidate: Candidate, node: &Sums, left: &Sums) -> f64 {
        let constraints: Vec<_> =
            task.monotone.iter().copied().filter(|&(feature, ..)| feature == candidate.feature_idx).collect();
        if breaks_monotone(&self.score_rule, &constraints, node, left) {
            // Both sides would be pooled, so the split is worth what no split is.
            return self.score_rule.unsplit(node);
        }
        self.score_rule.split(node, left)
    }
}

/// Features that may be split, in order.
fn features(task: &Task<'_>) -> impl Iterator<Item = u32> {
    (0..task.bins.columns().len() as u32).filter(|&f| task.feature_weights[f as usize] > 0.0)
}

fn candidates(task: &Task<'_>) -> impl Iterator<Item = Candidate> {
    features(task).flat_map(|f| Candidate::all(f, &task.bins.column(f as usize).bins))
}

fn keep_better(best: &mut Option<Scored>, candidate: Candidate, score: f64) {
    if best.is_none_or(|b| score > b.score) {
        *best = Some(Scored { candidate, score });
    }
}

impl Backend for NaiveBackend {
    fn begin(&mut self, task: &Task<'_>) -> Result<()> {
        let (n, width) = (task.rows.len(), task.columns.len());
        let bits = quantise::bits(n);
        let value = |p: usize, d: usize| task.gradients[p * task.n_outputs + task.columns.start + d];
        for p in 0..n {
            for d in 0..width {
                if !value(p, d).is_finite() {
                    return Err(Error::element(
                        "gradients",
                        (p, task.columns.start + d),
                        "a finite number",
                        value(p, d),
                    ));
                }
            }
        }
        let weight = |p: usize| task.weights.map_or(1.0, |w| f64::from(w[p]));
        if let Some(p) = (0..n).find(|&p| !(weight(p) >= 0.0 && weight(p).is_finite())) {
            return Err(Error::element("weights", (p, 0), "a finite number of at least 0", weight(p)));
        }
        let scaled = |value: &dyn Fn(usize) -> f64| {
            let largest = (0..n).map(|p| value(p).abs()).fold(0.0, f64::max);
            let (scale, unit) = quantise::scale(largest, bits);
            ((0..n).map(|p| quantise(value(p), scale)).collect::<Vec<i32>>(), unit)
        };
        let mut weight_unit = 1.0;
        self.weight_ints = vec![1; n];
        if task.weights.is_some() {
            (self.weight_ints, weight_unit) = scaled(&weight);
        }
        self.score_ints = vec![0; n * width];
        self.leaf_ints = vec![0; n * width];
        let rule = |score| ScoreRule { score, lambda: task.lambda, units: vec![0.0; width], weight_unit };
        let (mut score_rule, mut leaf_rule) = (rule(task.score), rule(task.score));
        for d in 0..width {
            let (mean, std) = moments((0..n).map(|p| value(p, d)));
            let raw = |p: usize| f64::from(value(p, d)) * weight(p);
            let standard = |p: usize| {
                if std > 0.0 { (f64::from(value(p, d)) - mean) / std * weight(p) } else { 0.0 }
            };
            let (ints, unit) = scaled(&raw);
            leaf_rule.units[d] = unit;
            let (score_ints, score_unit) = match task.score {
                SplitScore::Cosine => (ints.clone(), unit),
                SplitScore::L2 => scaled(&standard),
            };
            score_rule.units[d] = score_unit;
            for p in 0..n {
                self.leaf_ints[p * width + d] = ints[p];
                self.score_ints[p * width + d] = score_ints[p];
            }
        }
        self.score_rule = score_rule;
        self.leaf_rule = leaf_rule;
        self.nodes = vec![(0..n).collect()];
        Ok(())
    }

    fn score_rule(&mut self, _: &Task<'_>) -> Result<&ScoreRule> {
        Ok(&self.score_rule)
    }

    fn leaf_rule(&mut self, _: &Task<'_>) -> Result<&ScoreRule> {
        Ok(&self.leaf_rule)
    }

    fn unsplit(&mut self, task: &Task<'_>, node: NodeId) -> Result<f64> {
        let sums = self.sums_of(&self.score_ints, self.nodes[node].iter().copied(), task.columns.len());
        Ok(self.score_rule.unsplit(&sums))
    }

    fn best_joint(&mut self, task: &Task<'_>, nodes: &[NodeId]) -> Result<Option<Scored>> {
        let min_rows = u32::try_from(task.min_data_in_leaf).unwrap_or(u32::MAX);
        let mut best = None;
        for candidate in candidates(task) {
            let (mut score, mut separates, mut vetoed) = (0.0, false, false);
            for &node in nodes {
                let (node, left) = self.sides(task, node, candidate);
                let right_rows = node.n_rows - left.n_rows;
                separates |= left.n_rows > 0 && right_rows > 0;
                vetoed |= left.n_rows < min_rows || right_rows < min_rows;
                score += self.node_score(task, candidate, &node, &left);
            }
            if separates && !vetoed {
                keep_better(&mut best, candidate, task.feature_weights[candidate.feature_idx as usize] * score);
            }
        }
        Ok(best)
    }

    fn best_each(&mut self, task: &Task<'_>, nodes: &[NodeId], out: &mut Vec<Option<Scored>>) -> Result<()> {
        let min_rows = task.min_data_in_leaf.max(1) as u32;
        out.clear();
        for &node in nodes {
            let mut best = None;
            for candidate in candidates(task) {
                let (node, left) = self.sides(task, node, candidate);
                if left.n_rows >= min_rows && node.n_rows - left.n_rows >= min_rows {
                    let score = self.node_score(task, candidate, &node, &left);
                    keep_better(&mut best, candidate, task.feature_weights[candidate.feature_idx as usize] * score);
                }
            }
            out.push(best);
        }
        Ok(())
    }

    fn partition(&mut self, task: &Task<'_>, splits: &[(NodeId, Candidate)]) -> Result<()> {
        for &(node, candidate) in splits {
            let column = task.bins.column(candidate.feature_idx as usize);
            let goes_right = |&p: &usize| candidate.goes_right(&column.bins, column.slice().get(task.rows[p] as usize));
            let (right, left) = self.nodes[node].iter().copied().partition::<Vec<_>, _>(goes_right);
            self.nodes.push(left);
            self.nodes.push(right);
        }
        Ok(())
    }

    fn sums(&mut self, task: &Task<'_>, node: NodeId) -> Result<Sums> {
        Ok(self.sums_of(&self.leaf_ints, self.nodes[node].iter().copied(), task.columns.len()))
    }
}
