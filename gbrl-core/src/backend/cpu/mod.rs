//! The fast backend: histograms of the smaller children, siblings by subtraction, scores eight bins at a time.
//!
//! Per level, features are independent of each other, so they are what threads share out. Within a feature, each node
//! is summed in the way that costs least: a node with many rows keeps a dense histogram between levels (the larger
//! child inherits its parent's and the smaller one is taken out of it), a small one is summed afresh into the few bins
//! where it has rows. Sums are integers, so none of these choices can change a byte.

mod aligned;
mod gradients;
mod level;
mod nodes;
mod packed;
pub(crate) mod predict;
pub mod simd;

use std::ops::Range;

use self::aligned::Aligned;
use self::gradients::Gradients;
use self::level::{FeatureScratch, Level, LevelFeature, keep_best};
use self::nodes::{Nodes, kept_bins};
pub use self::simd::Simd;
use super::{Backend, NodeId, Task};
use crate::data::{BinSlice, BinnedMatrix};
use crate::error::{Error, Result};
use crate::threads::{Threads, even_ranges};
use crate::tree::{Candidate, ScoreRule, Scored, Sums};

/// Work (row-lanes to add, roughly) below which waking a second thread costs more than it saves.
const PARALLEL_MIN: usize = 200_000;

/// The CPU backend. Keeps its scratch memory from tree to tree.
pub struct CpuBackend {
    simd: Simd,
    threads: Threads,
    bins: LocalBins,
    gradients: Gradients,
    nodes: Nodes,
    histograms: Aligned<i64>,
    scratch: Vec<FeatureScratch>,
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
            histograms: Aligned::default(),
            scratch: Vec::new(),
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
        work: impl Fn(LevelFeature<'_>, &mut [i64], &mut FeatureScratch) + Sync,
        out: &mut [Option<Scored>],
    ) {
        let n_features = task.bins.columns().len();
        let rows: usize = nodes.iter().map(|&node| self.nodes.len(node)).sum();
        let n_parts = worth_waking(&self.threads, rows * n_features * self.gradients.lanes).min(n_features);
        self.scratch.resize_with(self.scratch.len().max(n_parts), FeatureScratch::default);
        let cell = self.nodes.n_slots() * self.gradients.lanes;
        let level = Level { simd: self.simd, task, gradients: &self.gradients, nodes: &self.nodes, wanted: nodes };
        let (bins, n_found) = (&self.bins, out.len());
        let run = |features: Range<usize>, mut histograms: &mut [i64], scratch: &mut FeatureScratch| {
            scratch.found.clear();
            scratch.found.resize(n_found, None);
            for feature_idx in features {
                let size = cell * kept_bins(&task.bins.column(feature_idx).bins);
                let (own, rest) = std::mem::take(&mut histograms).split_at_mut(size);
                histograms = rest;
                if task.feature_weights[feature_idx] > 0.0 {
                    let feature = LevelFeature::new(&level, feature_idx, bins.column(task.bins, feature_idx));
                    work(feature, own, scratch);
                }
            }
        };
        let mut histograms: &mut [i64] = &mut self.histograms;
        let parts = even_ranges(n_features, n_parts).zip(&mut self.scratch).map(|(features, scratch)| {
            let size = features.clone().map(|f| cell * kept_bins(&task.bins.column(f).bins)).sum();
            let (own, rest) = std::mem::take(&mut histograms).split_at_mut(size);
            histograms = rest;
            (features, own, scratch)
        });
        self.threads.share(parts, |(features, own, scratch)| run(features, own, scratch));
        for scratch in &self.scratch[..n_parts] {
            for (best, &found) in out.iter_mut().zip(&scratch.found) {
                keep_best(best, found);
            }
        }
    }
}

/// How many of `threads` pay for `work` row-lanes.
fn worth_waking(threads: &Threads, work: usize) -> usize {
    if work < PARALLEL_MIN { 1 } else { threads.count() }
}

impl LocalBins {
    fn begin(&mut self, task: &Task<'_>) {
        let all = task.rows.len() == task.bins.n_rows();
        self.gathered = !(all && task.rows.iter().enumerate().all(|(i, &row)| i == row as usize));
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
        self.nodes.begin(self.simd, &self.threads, task, &self.gradients);
        let n_bins: usize = task.bins.columns().iter().map(|column| kept_bins(&column.bins)).sum();
        self.histograms.resize(self.nodes.n_slots() * n_bins * self.gradients.lanes);
        Ok(())
    }

    fn score_rule(&self) -> &ScoreRule {
        &self.gradients.score_rule
    }

    fn leaf_rule(&self) -> &ScoreRule {
        &self.gradients.leaf_rule
    }

    fn unsplit(&mut self, _task: &Task<'_>, node: NodeId) -> Result<f64> {
        Ok(self.nodes.unsplit(node))
    }

    fn best_joint(&mut self, task: &Task<'_>, nodes: &[NodeId]) -> Result<Option<Scored>> {
        let mut best = [None];
        self.per_feature(
            task,
            nodes,
            |feature, histograms, scratch| feature.best_joint(histograms, scratch),
            &mut best,
        );
        Ok(best[0])
    }

    fn best_each(&mut self, task: &Task<'_>, nodes: &[NodeId], out: &mut Vec<Option<Scored>>) -> Result<()> {
        out.clear();
        out.resize(nodes.len(), None);
        self.per_feature(task, nodes, |feature, histograms, scratch| feature.best_each(histograms, scratch), out);
        Ok(())
    }

    fn partition(&mut self, task: &Task<'_>, splits: &[(NodeId, Candidate)]) -> Result<()> {
        for &(node, candidate) in splits {
            let feature_idx = candidate.feature_idx as usize;
            let bins = self.bins.column(task.bins, feature_idx);
            let meaning = &task.bins.column(feature_idx).bins;
            self.nodes.split(self.simd, node, candidate, bins, meaning, &self.gradients);
        }
        Ok(())
    }

    fn sums(&mut self, _task: &Task<'_>, node: NodeId) -> Result<Sums> {
        Ok(self.gradients.sums(self.nodes.leaf_totals(node)))
    }
}
