//! The seam between what is decided and what is computed.
//!
//! A [`Backend`] holds the rows of one step, split among the nodes of a growing tree, and answers questions about them;
//! it may also add trees to outputs, and keep all the rows of an [`update`]. [`naive`] answers slowly and obviously, for ever;
//! [`cpu`] answers fast; gbrl-cuda on a GPU. All give the same bytes, because every sum is one of integers, or of f64 in
//! one stated order, and every score the same few f64 operations.

pub mod cpu;
pub mod naive;
pub mod update;

use std::ops::Range;
use std::sync::Arc;

use crate::config::SplitScore;
use crate::data::{BinnedMatrix, Lanes, TILE};
use crate::error::Result;
use crate::threads::Threads;
use crate::tree::{Candidate, ScoreRule, Scored, Sums, Tree};
pub use update::Updates;

/// A node of the growing tree: 0 is the root, children are numbered in the order of their making.
pub type NodeId = usize;

/// One step: which rows, their gradients, and the rules for choosing splits.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The bins of the dataset.
    pub bins: &'a BinnedMatrix,
    /// Rows of `bins` that take part.
    pub rows: &'a [u32],
    /// Gradients, row-major `[rows.len(), n_outputs]`; empty where they are those of the backend's own
    /// [`losses`](Updates::losses).
    pub gradients: &'a [f32],
    /// Outputs in a row of `gradients`.
    pub n_outputs: usize,
    /// The outputs that this tree is for.
    pub columns: &'a Range<usize>,
    /// Weight of each row, above or equal to 0; `None` where all count 1.
    pub weights: Option<&'a [f32]>,
    /// How splits are scored.
    pub score: SplitScore,
    /// Regularisation λ.
    pub lambda: f64,
    /// Fewest rows of a side.
    pub min_data_in_leaf: usize,
    /// Factor on each feature's score; 0 takes the feature out.
    pub feature_weights: &'a [f64],
    /// Direction (+1 rising, −1 falling) per (feature, output), sorted; outputs count from `columns.start`.
    pub monotone: &'a [(u32, u32, i8)],
}

/// Trees to be added to the outputs of rows, in their order.
#[derive(Clone, Debug)]
pub struct Addition<'a> {
    /// All trees that there are.
    pub trees: &'a [Tree],
    /// Which list of trees this is, of all of this process: of equal numbers one list is the beginning of the other.
    pub stamp: u64,
    /// The trees that are added.
    pub range: Range<usize>,
    /// The output columns that are wanted.
    pub columns: Range<usize>,
    /// Output columns.
    pub n_outputs: usize,
    /// Observations, `[tile][n_features][16]`.
    pub tiles: &'a [Lanes<f32>],
    /// Features.
    pub n_features: usize,
}

impl Addition<'_> {
    /// Rows, those that pad the last tile among them, times trees.
    pub fn work(&self) -> usize {
        (self.tiles.len() / self.n_features.max(1) * TILE).saturating_mul(self.range.len())
    }
}

/// What grows a tree's nodes. One value serves many trees and keeps its scratch memory between them.
pub trait Backend: Send + Sync {
    /// Takes the rows of a step as node 0 and quantises their gradients.
    ///
    /// # Errors
    /// [`ErrorKind::Element`](crate::error::ErrorKind::Element) for a gradient or weight that is not finite (or a
    /// negative weight), now or with the first answer; class `Device` where a device fails.
    fn begin(&mut self, task: &Task<'_>) -> Result<()>;

    /// How this step's splits are scored: the units of the integers that scores are made of.
    ///
    /// # Errors
    /// Class `Device` where a device fails.
    fn score_rule(&mut self, task: &Task<'_>) -> Result<&ScoreRule>;

    /// How the integers of this step's leaf sums turn back into gradients.
    ///
    /// # Errors
    /// Class `Device` where a device fails.
    fn leaf_rule(&mut self, task: &Task<'_>) -> Result<&ScoreRule>;

    /// The score of each node left whole.
    fn unsplit(&mut self, task: &Task<'_>, node: NodeId) -> Result<f64>;

    /// The best candidate for all `nodes` together, for an oblivious level: the weighted sum of the nodes' scores in
    /// the order given. A candidate must separate rows in at least one node, and is vetoed by a node in which a side
    /// would have fewer than `min_data_in_leaf` rows.
    fn best_joint(&mut self, task: &Task<'_>, nodes: &[NodeId]) -> Result<Option<Scored>>;

    /// The best candidate of each node by itself. A candidate must leave rows on both sides, at least
    /// `min_data_in_leaf`.
    fn best_each(&mut self, task: &Task<'_>, nodes: &[NodeId], out: &mut Vec<Option<Scored>>) -> Result<()>;

    /// Splits nodes; the children of the i-th one get the next two free ids, left before right. Rows keep their order.
    fn partition(&mut self, task: &Task<'_>, splits: &[(NodeId, Candidate)]) -> Result<()>;

    /// Grows a whole oblivious tree, where the backend has a quicker way than one question at a time: the candidates of its
    /// levels, the same as [`best_joint`](Backend::best_joint) and [`partition`](Backend::partition) in turn would give,
    /// and its nodes numbered as by them. No level where every gradient is 0. `None` where it has no such way.
    fn grow_oblivious(&mut self, _task: &Task<'_>, _max_depth: usize) -> Result<Option<Vec<Scored>>> {
        Ok(None)
    }

    /// Sums over a node's rows, of the gradients as they are (never standardised).
    fn sums(&mut self, task: &Task<'_>, node: NodeId) -> Result<Sums>;

    /// Adds trees to `sums`, `[tile][n_outputs][16]`, one f32 addition after the other in the order of the trees, where the
    /// backend does so more quickly than the processor. `false` where it does
    /// not, and then `sums` is as it was.
    ///
    /// # Errors
    /// Class `Device` where a device fails; `sums` is then as it was.
    fn add_trees(&self, _addition: &Addition<'_>, _sums: &mut [Lanes<f32>]) -> Result<bool> {
        Ok(false)
    }

    /// What keeps the rows of a whole update with the backend, where it has such a way.
    fn updates(&mut self) -> Option<&mut dyn Updates> {
        None
    }
}

/// What makes a backend: the CPU's by default, gbrl-cuda's for a GPU. Results do not depend on the choice.
#[derive(Clone)]
pub struct MakeBackend(Arc<Maker>);

type Maker = dyn Fn(&Threads) -> Result<Box<dyn Backend>> + Send + Sync;

impl MakeBackend {
    /// Calls `make` whenever a backend is needed, with the threads that are there for it.
    pub fn new(make: impl Fn(&Threads) -> Result<Box<dyn Backend>> + Send + Sync + 'static) -> Self {
        MakeBackend(Arc::new(make))
    }

    /// A new backend.
    ///
    /// # Errors
    /// Class `Device` where a device is absent or fails; see also
    /// [`Simd::detect`](cpu::Simd::detect).
    pub fn make(&self, threads: &Threads) -> Result<Box<dyn Backend>> {
        (self.0)(threads)
    }
}

impl Default for MakeBackend {
    fn default() -> Self {
        MakeBackend::new(|threads| Ok(Box::new(cpu::CpuBackend::new(threads.clone())?)))
    }
}

/// Whether splitting `node` into `left` and the rest breaks a constraint: a rising output must not have a larger mean
/// gradient on the right (the leaf value is −rate · mean gradient).
pub(crate) fn breaks_monotone(rule: &ScoreRule, directions: &[(u32, u32, i8)], node: &Sums, left: &Sums) -> bool {
    directions.iter().any(|&(_, output, direction)| {
        let d = output as usize;
        let right = Sums {
            gradients: node.gradients.iter().zip(&left.gradients).map(|(t, l)| t - l).collect(),
            weight: node.weight - left.weight,
            n_rows: node.n_rows - left.n_rows,
        };
        let fall = rule.mean(left, d) - rule.mean(&right, d);
        fall * f64::from(direction) < 0.0
    })
}
