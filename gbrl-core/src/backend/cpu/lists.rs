//! The rows of a small step in the order of each feature's bins.

use super::nodes::Nodes;
use super::simd::Simd;
use super::simd::sorted::{self, Side};
use crate::backend::{NodeId, Task};
use crate::data::BinSlice;
use crate::data::binning::entry;

/// One list per feature. A node owns the same range of every list as of [`Nodes`]' rows, its entries ascending:
///
/// ```text
/// list of a feature     [ … | node: (bin 0, row 8) (0, 9) (3, 1) (7, 5) | … ]
/// after a split         [ … | left: (0, 9) (3, 1) | right: (0, 8) (7, 5) | … ]
/// ```
#[derive(Default)]
pub(super) struct Lists {
    /// `[feature][rows + padding]`; empty where there are none.
    entries: Vec<u32>,
    /// Length of one feature's part of `entries`.
    pub stride: usize,
    stale: Stale,
}

/// What has happened since the lists were last brought up to date. Each feature does its own part when it is looked at,
/// on the thread that looks at it.
#[derive(Default)]
pub(super) struct Stale {
    /// Whether the lists are still to be made.
    all: bool,
    /// Ranges of nodes that were split.
    split: Vec<(usize, usize)>,
    /// The side of each row that such a split has parted.
    side: Side,
    /// Nodes from this one on were made since.
    first_new: NodeId,
}

impl Lists {
    /// Whether this step keeps lists.
    pub fn are_kept(&self) -> bool {
        self.stride > 0
    }

    pub fn begin(&mut self, task: &Task<'_>) {
        let (n, columns) = (task.rows.len(), task.bins.columns());
        let numeric = columns.iter().any(|column| !column.bins.categorical);
        self.stride = if n <= sorted::MAX_ROWS && numeric && task.weights.is_none() { n + sorted::PADDING } else { 0 };
        self.entries.resize(columns.len() * self.stride, 0);
        self.stale.all = true;
        self.stale.split.clear();
        self.stale.first_new = 1;
    }

    /// Each feature's list, and what is to be done to it first.
    pub fn parts(&mut self) -> (&mut [u32], &Stale) {
        (&mut self.entries, &self.stale)
    }

    /// The lists are up to date.
    pub fn refreshed(&mut self, n_nodes: usize) {
        self.stale.all = false;
        self.stale.split.clear();
        self.stale.first_new = n_nodes;
    }

    /// Whether the node was made after the lists were last brought up to date.
    pub fn is_new(&self, node: NodeId) -> bool {
        self.are_kept() && node >= self.stale.first_new
    }

    /// Notes that a node has been split into the last two.
    pub fn split(&mut self, nodes: &Nodes, node: NodeId) {
        if !self.are_kept() {
            return;
        }
        if self.stale.split.is_empty() {
            self.stale.side.clear();
        }
        self.stale.side.set(nodes.rows_listed(nodes.n_nodes() - 1));
        self.stale.split.push(nodes.range(node));
    }
}

impl Stale {
    /// Brings one feature's list up to date.
    ///
    /// `sorted` is the list of all rows if that is known already.
    pub fn refresh(&self, simd: Simd, bins: BinSlice<'_>, sorted: &[u32], list: &mut [u32], scratch: &mut Vec<u32>) {
        if self.all {
            let (entries, padding) = list.split_at_mut(list.len() - sorted::PADDING);
            if sorted.len() == entries.len() {
                entries.copy_from_slice(sorted);
            } else {
                sort(bins, entries, scratch);
            }
            padding.fill(0);
        }
        scratch.resize(scratch.len().max(list.len() + 16), 0);
        for &(start, len) in &self.split {
            simd.partition_sorted(&mut list[start..][..len], scratch, &self.side);
        }
    }
}

/// Counting sort by bin.
fn sort(bins: BinSlice<'_>, list: &mut [u32], counts: &mut Vec<u32>) {
    let BinSlice::Narrow(bins) = bins else { return };
    counts.clear();
    counts.resize(256, 0);
    for &bin in bins {
        counts[usize::from(bin)] += 1;
    }
    let mut at = 0;
    for count in counts.iter_mut() {
        at += std::mem::replace(count, at);
    }
    for (row, &bin) in bins.iter().enumerate() {
        let at = &mut counts[usize::from(bin)];
        list[*at as usize] = entry(usize::from(bin), row);
        *at += 1;
    }
}
