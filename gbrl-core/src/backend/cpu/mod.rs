//! The fast backend: histograms of the smaller children, siblings by subtraction, scores eight bins at a time.
//!
//! Per level, features are independent of each other, so they are what threads share out. Within a feature, each node
//! is summed in the way that costs least: a node with many rows keeps a dense histogram between levels (the larger
//! child inherits its parent's and the smaller one is taken out of it), a small one is summed afresh into the few bins
//! where it has rows. A small step makes no histogram at all: its rows are listed in the order of each feature's bins, and
//! sums run along the lists. Sums are exact, so none of these choices can change a byte.

mod aligned;
mod gradients;
mod level;
mod lists;
mod nodes;
mod packed;
pub(crate) mod predict;
pub mod simd;

use std::ops::Range;

use self::aligned::Aligned;
use self::gradients::Gradients;
use self::level::{FeatureScratch, Kept, Level, LevelFeature, keep_best};
use self::lists::Lists;
use self::nodes::{Nodes, kept_bins};
pub use self::simd::Simd;
use super::{Backend, NodeId, Task};
use crate::data::matrix::is_all;
use crate::data::{BinSlice, BinnedMatrix};
use crate::error::{Error, Result};
use crate::threads::{Threads, even_ranges};
use crate::tree::{Candidate, ScoreRule, Scored, Sums};

/// The CPU backend. Keeps its scratch memory from tree to tree.
pub struct CpuBackend {
    simd: Simd,
    threads: Threads,
    bins: LocalBins,
    gradients: Gradients,
    nodes: Nodes,
    lists: Lists,
    histograms: Aligned<i64>,
    scratch: Vec<FeatureScratch>,
    /// Sums of one leaf.
    leaf_cell: Vec<i64>,
}

/// The bins of a step's rows: the dataset's own columns where the step takes all rows in order, gathered ones
/// otherwise, so that every level of the tree reads memory in order.
#[derive(Default)]
struct LocalBins {
    gathered: bool,
    narrow: Vec<u8>,
    wide: Vec<u16>,
    /// Where each feature's gathered column starts.
    offsets: Vec<usize>,
}

impl CpuBackend {
    /// A backend on this processor's best vector level (see [`Simd::detect`]), on `threads`.
    ///
    /// # Errors
    /// Those of [`Simd::detect`].
    pub fn new(threads: Threads) -> Result<Self> {
        Ok(CpuBackend::with_simd(Simd::detect()?, threads))
    }

    /// A backend on a certain vector level.
    pub fn with_simd(simd: Simd, threads: Threads) -> Self {
        CpuBackend {
            simd,
            threads,
            bins: LocalBins::default(),
            gradients: Gradients::default(),
            nodes: Nodes::default(),
            lists: Lists::default(),
            histograms: Aligned::default(),
            scratch: Vec::new(),
            leaf_cell: Vec::new(),
        }
    }

    /// The vector level in use.
    pub fn simd(&self) -> Simd {
        self.simd
    }

    /// Runs `work` over all features, a range of them per thread, and puts the best of the `n_found` candidates that each
    /// thread found into `out`.
    fn per_feature(
        &mut self,
        task: &Task<'_>,
        nodes: &[NodeId],
        work: impl Fn(LevelFeature<'_>, Kept<'_>, &mut FeatureScratch) + Sync,
        out: &mut [Option<Scored>],
    ) {
        let n_features = task.bins.columns().len();
        let rows: usize = nodes.iter().map(|&node| self.nodes.len(node)).sum();
        // About half a nanosecond for each number that is added.
        let n_parts = self.threads.worth(rows * n_features * self.gradients.lanes / 2).min(n_features);
        self.scratch.resize_with(self.scratch.len().max(n_parts), FeatureScratch::default);
        let cell = self.nodes.n_slots() * self.gradients.lanes;
        let stride = self.lists.stride;
        let (lists, stale) = self.lists.parts();
        let level = Level {
            simd: self.simd,
            task,
            gradients: &self.gradients,
            nodes: &self.nodes,
            stale: (stride > 0).then_some(stale),
            wanted: nodes,
        };
        let (bins, n_found) = (&self.bins, out.len());
        let size = |feature_idx: usize| cell * kept_bins(&task.bins.column(feature_idx).bins);
        let run = |features: Range<usize>, mut kept: Kept<'_>, scratch: &mut FeatureScratch| {
            scratch.found.clear();
            scratch.found.resize(n_found, None);
            for feature_idx in features {
                let own = kept.split_off(size(feature_idx), stride);
                if task.feature_weights[feature_idx] > 0.0 {
                    let feature = LevelFeature::new(&level, feature_idx, bins.sorted(task.bins, feature_idx));
                    work(feature, own, scratch);
                }
            }
        };
        let mut kept = Kept { histograms: &mut self.histograms, list: lists };
        let parts = even_ranges(n_features, n_parts).zip(&mut self.scratch).map(|(features, scratch)| {
            let own = kept.split_off(features.clone().map(size).sum(), features.len() * stride);
            (features, own, scratch)
        });
        self.threads.share(parts, |(features, own, scratch)| run(features, own, scratch));
        self.lists.refreshed(self.nodes.n_nodes());
        for scratch in &self.scratch[..n_parts] {
            for (best, &found) in out.iter_mut().zip(&scratch.found) {
                keep_best(best, found);
            }
        }
    }
}

impl LocalBins {
    fn begin(&mut self, task: &Task<'_>) {
        self.gathered = !is_all(task.rows, task.bins.n_rows());
        if !self.gathered {
            return;
        }
        self.narrow.clear();
        self.wide.clear();
        self.offsets.clear();
        for column in task.bins.columns() {
            match column.slice() {
                BinSlice::Narrow(bins) => {
                    self.offsets.push(self.narrow.len());
                    self.narrow.extend(task.rows.iter().map(|&row| bins[row as usize]));
                }
                BinSlice::Wide(bins) => {
                    self.offsets.push(self.wide.len());
                    self.wide.extend(task.rows.iter().map(|&row| bins[row as usize]));
                }
            }
        }
        self.offsets.push(task.rows.len());
    }

    /// A column, and its rows in the order of their bins where that is known.
    fn sorted<'a>(&'a self, bins: &'a BinnedMatrix, feature_idx: usize) -> (BinSlice<'a>, &'a [u32]) {
        let entries = if self.gathered { &[] } else { bins.column(feature_idx).entries() };
        (self.column(bins, feature_idx), entries)
    }

    fn column<'a>(&'a self, bins: &'a BinnedMatrix, feature_idx: usize) -> BinSlice<'a> {
        let column = bins.column(feature_idx).slice();
        if !self.gathered {
            return column;
        }
        let (from, n_rows) = (self.offsets[feature_idx], self.offsets[self.offsets.len() - 1]);
        match column {
            BinSlice::Narrow(_) => BinSlice::Narrow(&self.narrow[from..][..n_rows]),
            BinSlice::Wide(_) => BinSlice::Wide(&self.wide[from..][..n_rows]),
        }
    }
}

impl Backend for CpuBackend {
    fn begin(&mut self, task: &Task<'_>) -> Result<()> {
        if task.rows.len() > u32::MAX as usize / 2 {
            return Err(Error::parameter("rows", task.rows.len(), "fewer than 2³¹ rows in one step"));
        }
        self.bins.begin(task);
        self.gradients.begin(self.simd, &self.threads, task)?;
        self.lists.begin(task);
        if self.lists.are_kept() {
            self.gradients.scale(self.simd);
        }
        self.nodes.begin(self.simd, &self.threads, task, &self.gradients, !self.lists.are_kept());
        let n_bins: usize = task.bins.columns().iter().map(|column| kept_bins(&column.bins)).sum();
        self.histograms.resize(self.nodes.n_slots() * n_bins * self.gradients.lanes);
        Ok(())
    }

    fn score_rule(&mut self, _: &Task<'_>) -> Result<&ScoreRule> {
        Ok(&self.gradients.score_rule)
    }

    fn leaf_rule(&mut self, _: &Task<'_>) -> Result<&ScoreRule> {
        Ok(&self.gradients.leaf_rule)
    }

    fn unsplit(&mut self, _task: &Task<'_>, node: NodeId) -> Result<f64> {
        Ok(self.nodes.unsplit(node))
    }

    fn best_joint(&mut self, task: &Task<'_>, nodes: &[NodeId]) -> Result<Option<Scored>> {
        let mut best = [None];
        self.per_feature(task, nodes, |feature, kept, scratch| feature.best_joint(kept, scratch), &mut best);
        Ok(best[0])
    }

    fn best_each(&mut self, task: &Task<'_>, nodes: &[NodeId], out: &mut Vec<Option<Scored>>) -> Result<()> {
        out.clear();
        out.resize(nodes.len(), None);
        self.per_feature(task, nodes, |feature, kept, scratch| feature.best_each(kept, scratch), out);
        Ok(())
    }

    fn partition(&mut self, task: &Task<'_>, splits: &[(NodeId, Candidate)]) -> Result<()> {
        if splits.iter().any(|&(node, _)| self.lists.is_new(node)) {
            // What parted these nodes' rows from each other is about to be overwritten.
            self.per_feature(task, &[], |feature, kept, scratch| feature.refresh(kept.list, scratch), &mut []);
        }
        for &(node, candidate) in splits {
            let feature_idx = candidate.feature_idx as usize;
            let bins = self.bins.column(task.bins, feature_idx);
            let meaning = &task.bins.column(feature_idx).bins;
            self.nodes.split(self.simd, node, candidate, bins, meaning, &self.gradients);
            self.lists.split(&self.nodes, node);
        }
        Ok(())
    }

    fn sums(&mut self, _task: &Task<'_>, node: NodeId) -> Result<Sums> {
        if !self.gradients.has_standard() {
            return Ok(self.gradients.sums(self.nodes.score_totals(node)));
        }
        self.leaf_cell.clear();
        self.leaf_cell.resize(self.gradients.lanes, 0);
        self.simd.sum_rows(&mut self.leaf_cell, self.gradients.leaf(), self.nodes.rows_listed(node));
        Ok(self.gradients.sums(&self.leaf_cell))
    }
}
