//! Which rows belong to which node, their sums, and which nodes keep a dense histogram.

use super::gradients::Gradients;
use super::simd::Simd;
use crate::backend::{NodeId, Task};
use crate::data::{BinSlice, FeatureBins};
use crate::threads::Threads;
use crate::tree::Candidate;

/// A node with at least this many rows keeps its histogram, so that its larger child need not be summed again.
const KEEP_MIN: usize = 384;

/// At most this many histograms are kept at a time.
const MAX_SLOTS: usize = 64;

/// Bins of a feature's kept histograms: all of them, or none where there are so many (categories) that a node has
/// fewer rows than bins.
pub(super) fn kept_bins(meaning: &FeatureBins) -> usize {
    let n_bins = meaning.n_bins();
    if n_bins <= KEEP_MIN { n_bins } else { 0 }
}

/// The nodes of the growing tree.
///
/// `order` holds positions of the step's rows; each node owns a contiguous range of it, its rows ascending:
///
/// ```text
/// before a split   [ … | node: 1 4 5 8 9 | … ]
/// after            [ … | left: 1 5 9 | right: 4 8 | … ]
/// ```
#[derive(Default)]
pub(super) struct Nodes {
    order: Vec<u32>,
    spare: Vec<u32>,
    nodes: Vec<Node>,
    lanes: usize,
    /// One cell per node: sums that scores are made of.
    score_totals: Vec<i64>,
    /// The score sums of each node as numbers, one per output.
    scaled_totals: Vec<f64>,
    /// The score of each node left whole.
    unsplit: Vec<f64>,
    free_slots: Vec<u32>,
    n_slots: usize,
    /// Which side each bin goes to under the candidate split on last: all nodes of an oblivious level share it.
    goes_right: Vec<u8>,
    table_of: Option<Candidate>,
}

#[derive(Clone, Copy)]
struct Node {
    start: usize,
    len: usize,
    histogram: Histogram,
}

/// Where a node's histogram comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Histogram {
    /// Summed when needed, not kept.
    Fleeting,
    /// Summed from its rows into a slot.
    Kept(u32),
    /// The parent's, in this slot, less the sibling's rows.
    Inherited {
        /// The slot.
        slot: u32,
        /// The smaller child, whose rows are to be taken out.
        sibling: NodeId,
    },
}

impl Nodes {
    pub fn n_slots(&self) -> usize {
        self.n_slots
    }

    pub fn len(&self, node: NodeId) -> usize {
        self.nodes[node].len
    }

    /// The rows of a node; `None` for the root, which has all of them in order.
    pub fn rows(&self, node: NodeId) -> Option<&[u32]> {
        (node > 0).then(|| self.rows_listed(node))
    }

    pub fn rows_listed(&self, node: NodeId) -> &[u32] {
        let Node { start, len, .. } = self.nodes[node];
        &self.order[start..start + len]
    }

    /// Where a node's rows start, and how many they are.
    pub fn range(&self, node: NodeId) -> (usize, usize) {
        (self.nodes[node].start, self.nodes[node].len)
    }

    /// How many nodes there are.
    pub fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    pub fn histogram(&self, node: NodeId) -> Histogram {
        self.nodes[node].histogram
    }

    pub fn score_totals(&self, node: NodeId) -> &[i64] {
        &self.score_totals[node * self.lanes..][..self.lanes]
    }

    pub fn scaled_totals(&self, node: NodeId) -> &[f64] {
        let n_outputs = self.scaled_totals.len() / self.nodes.len();
        &self.scaled_totals[node * n_outputs..][..n_outputs]
    }

    /// The score of the node left whole.
    pub fn unsplit(&self, node: NodeId) -> f64 {
        self.unsplit[node]
    }

    fn push_unsplit(&mut self, gradients: &Gradients) {
        let totals = &self.score_totals[self.unsplit.len() * self.lanes..];
        let (n_outputs, rule) = (gradients.score_rule.units.len(), &gradients.score_rule);
        self.unsplit.push(rule.unsplit_of(&totals[..n_outputs], totals[n_outputs]));
        self.scaled_totals.extend(totals.iter().zip(&rule.units).map(|(&total, unit)| total as f64 * unit));
    }

    /// `keep` says whether nodes may keep histograms.
    pub fn begin(&mut self, simd: Simd, threads: &Threads, task: &Task<'_>, gradients: &Gradients, keep: bool) {
        let n = task.rows.len();
        self.lanes = gradients.lanes;
        self.table_of = None;
        self.order.clear();
        self.order.extend(0..n as u32);
        self.spare.resize(n, 0);
        let n_parts = threads.worth(n * self.lanes / 2);
        sum_all(simd, threads, &mut self.score_totals, self.lanes, gradients.score(), &self.order, n_parts);
        self.unsplit.clear();
        self.scaled_totals.clear();
        self.push_unsplit(gradients);
        self.n_slots = if keep { (n / KEEP_MIN).min(MAX_SLOTS) } else { 0 };
        self.free_slots.clear();
        self.free_slots.extend((0..self.n_slots as u32).rev());
        self.nodes.clear();
        let histogram = self.free_slots.pop().map_or(Histogram::Fleeting, Histogram::Kept);
        self.nodes.push(Node { start: 0, len: n, histogram });
    }

    /// Splits a node into the next two.
    pub fn split(
        &mut self,
        simd: Simd,
        node: NodeId,
        candidate: Candidate,
        bins: BinSlice<'_>,
        meaning: &FeatureBins,
        gradients: &Gradients,
    ) {
        let Node { start, len, histogram } = self.nodes[node];
        if self.table_of != Some(candidate) {
            self.table_of = Some(candidate);
            candidate.tabulate(meaning, &mut self.goes_right);
        }
        let mut n_left = 0;
        let rows = &mut self.order[start..start + len];
        simd.partition(rows, &mut self.spare, bins, &self.goes_right, &mut n_left);

        let left = self.nodes.len();
        let (small, large) = if n_left <= len - n_left { (left, left + 1) } else { (left + 1, left) };
        self.nodes.push(Node { start, len: n_left, histogram: Histogram::Fleeting });
        self.nodes.push(Node { start: start + n_left, len: len - n_left, histogram: Histogram::Fleeting });

        let (small_start, small_len) = (self.nodes[small].start, self.nodes[small].len);
        let small_rows = &self.order[small_start..small_start + small_len];
        split_totals(simd, &mut self.score_totals, self.lanes, (node, small, large), gradients.score(), small_rows);
        self.push_unsplit(gradients);
        self.push_unsplit(gradients);

        if let Histogram::Kept(slot) | Histogram::Inherited { slot, .. } = histogram {
            if self.nodes[large].len >= KEEP_MIN {
                self.nodes[large].histogram = Histogram::Inherited { slot, sibling: small };
            } else {
                self.free_slots.push(slot);
            }
        }
        for child in [small, large] {
            if self.nodes[child].len >= KEEP_MIN
                && self.nodes[child].histogram == Histogram::Fleeting
                && let Some(slot) = self.free_slots.pop()
            {
                self.nodes[child].histogram = Histogram::Kept(slot);
            }
        }
    }
}

/// The root's totals.
fn sum_all(
    simd: Simd,
    threads: &Threads,
    totals: &mut Vec<i64>,
    lanes: usize,
    ints: &[i32],
    rows: &[u32],
    n_parts: usize,
) {
    totals.clear();
    totals.resize(lanes * n_parts, 0);
    let parts = rows.chunks(rows.len().div_ceil(n_parts).max(1)).zip(totals.chunks_exact_mut(lanes));
    threads.share(parts, |(rows, cell)| simd.sum_rows(cell, ints, rows));
    let (all, others) = totals.split_at_mut(lanes);
    for part in others.chunks_exact(lanes) {
        all.iter_mut().zip(part).for_each(|(all, part)| *all += part);
    }
    totals.truncate(lanes);
}

/// The smaller child is summed, the larger one is what remains of the parent.
fn split_totals(
    simd: Simd,
    totals: &mut Vec<i64>,
    lanes: usize,
    (parent, small, large): (NodeId, NodeId, NodeId),
    ints: &[i32],
    small_rows: &[u32],
) {
    totals.resize((small.max(large) + 1) * lanes, 0);
    simd.sum_rows(&mut totals[small * lanes..][..lanes], ints, small_rows);
    for lane in 0..lanes {
        totals[large * lanes + lane] = totals[parent * lanes + lane] - totals[small * lanes + lane];
    }
}
