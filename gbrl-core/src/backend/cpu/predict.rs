//! Prediction on the CPU: outputs of rows from a range of trees, added in the order of the trees.

use std::ops::Range;

use rayon::ThreadPool;
use rayon::prelude::*;

use super::packed::{Layout, Packed, Segment};
use super::simd::{ROW_FEATURES, Simd};
use crate::data::{Lanes, TILE};
use crate::ensemble::Ensemble;
use crate::tree::Tree;

/// Trees of a block: their leaf slots for one tile take 4 KiB.
const BLOCK: usize = 64;

/// Rows that are faster one by one than as a tile.
const FEW_ROWS: usize = 3;

/// Tile-trees below which waking a second thread costs more than it saves.
const PARALLEL_MIN: usize = 20_000;

/// The trees of an ensemble in the layout of the vector kernels; one more copy of the leaves, appended to as the
/// ensemble grows.
#[derive(Clone, Debug)]
pub struct Predictor {
    simd: Simd,
    n_features: usize,
    n_outputs: usize,
    n_trees: usize,
    /// One per column range: all outputs where groups share their trees, else one per group.
    packed: Vec<Packed>,
}

/// Buffers of one prediction.
#[derive(Clone, Debug, Default)]
pub struct PredictScratch {
    slots: Vec<Lanes<u32>>,
    keys: Vec<Lanes<u32>>,
    row: Vec<f32>,
}

impl Predictor {
    /// The trees of `ensemble`, laid out. O(trees).
    pub fn new(simd: Simd, ensemble: &Ensemble) -> Self {
        let (n_features, n_outputs) = (ensemble.n_features(), ensemble.n_outputs());
        let mut predictor = Predictor { simd, n_features, n_outputs, n_trees: 0, packed: Vec::new() };
        for tree in ensemble.trees() {
            predictor.push(tree);
        }
        predictor
    }

    /// Appends the ensemble's next tree.
    pub fn push(&mut self, tree: &Tree) {
        let at = self.packed.iter().position(|packed| packed.columns() == tree.columns());
        let at = at.unwrap_or_else(|| {
            self.packed.push(Packed::new(tree.columns()));
            self.packed.len() - 1
        });
        self.packed[at].push(self.n_trees, tree);
        self.n_trees += 1;
    }

    /// Trees.
    pub fn n_trees(&self) -> usize {
        self.n_trees
    }

    /// Adds trees `trees` to the outputs `columns` of every tile.
    ///
    /// `tiles` is `[tile][n_features][16]`, `sums` `[tile][n_outputs][16]`. O(rows · trees), shared out over tiles to
    /// the pool's threads where that pays.
    pub fn add(
        &self,
        pool: Option<&ThreadPool>,
        tiles: &[Lanes<f32>],
        trees: Range<usize>,
        columns: Range<usize>,
        sums: &mut [Lanes<f32>],
    ) {
        if columns.is_empty() || trees.is_empty() {
            return;
        }
        let n_tiles = sums.len() / self.n_outputs;
        let run = |tiles: &[Lanes<f32>], sums: &mut [Lanes<f32>]| {
            self.add_tiles(tiles, trees.clone(), columns.clone(), sums, &mut PredictScratch::default());
        };
        match pool {
            Some(pool) if n_tiles > 1 && n_tiles * trees.len() >= PARALLEL_MIN => {
                let share = n_tiles.div_ceil(pool.current_num_threads());
                let (tiles, sums) =
                    (tiles.par_chunks(share * self.n_features), sums.par_chunks_mut(share * self.n_outputs));
                pool.install(|| tiles.zip(sums).for_each(|(tiles, sums)| run(tiles, sums)));
            }
            _ => run(tiles, sums),
        }
    }

    /// [`add_tiles`](Predictor::add_tiles) of one tile of which only the first `n_rows` rows are wanted: a few rows go
    /// one by one, where lanes run across trees.
    pub fn add_rows(
        &self,
        tile: &[Lanes<f32>],
        n_rows: usize,
        trees: Range<usize>,
        columns: Range<usize>,
        sums: &mut [Lanes<f32>],
        scratch: &mut PredictScratch,
    ) {
        let by_row = |segment: &Segment| segment.plain && segment.layout == Layout::Oblivious(4);
        let possible = self.packed.iter().flat_map(Packed::segments).all(by_row);
        if n_rows > FEW_ROWS || self.n_features > ROW_FEATURES || !possible {
            return self.add_tiles(tile, trees, columns, sums, scratch);
        }
        for packed in &self.packed {
            let from = packed.columns().start.max(columns.start);
            let to = packed.columns().end.min(columns.end);
            for segment in packed.segments().iter().filter(|_| from < to) {
                let wanted = |idx: usize| segment.tree_idx.partition_point(|&t| (t as usize) < idx);
                let own = wanted(trees.start)..wanted(trees.end);
                let within = from - packed.columns().start..to - packed.columns().start;
                for lane in 0..n_rows {
                    self.simd.add_row(segment, own.clone(), within.clone(), tile, lane, &mut sums[from..to]);
                }
            }
        }
    }

    /// [`add`](Predictor::add) on this thread, with buffers that are kept.
    pub fn add_tiles(
        &self,
        tiles: &[Lanes<f32>],
        trees: Range<usize>,
        columns: Range<usize>,
        sums: &mut [Lanes<f32>],
        scratch: &mut PredictScratch,
    ) {
        scratch.slots.resize(BLOCK, Lanes::default());
        // A group of tiles is taken through a block of trees while both are in the first cache.
        let group = 8;
        let tile_len = self.n_features;
        for (tiles, sums) in tiles.chunks(group * tile_len).zip(sums.chunks_mut(group * self.n_outputs)) {
            for packed in &self.packed {
                let from = packed.columns().start.max(columns.start);
                let to = packed.columns().end.min(columns.end);
                if from >= to {
                    continue;
                }
                let within = from - packed.columns().start..to - packed.columns().start;
                for segment in packed.segments() {
                    let wanted = |idx: usize| segment.tree_idx.partition_point(|&t| (t as usize) < idx);
                    let (mut at, end) = (wanted(trees.start), wanted(trees.end));
                    while at < end {
                        let block = at..(at + BLOCK).min(end);
                        for (tile, sums) in tiles.chunks_exact(tile_len).zip(sums.chunks_exact_mut(self.n_outputs)) {
                            self.add_block(segment, block.clone(), within.clone(), tile, &mut sums[from..to], scratch);
                        }
                        at = block.end;
                    }
                }
            }
        }
    }

    /// Leaf values of every tree for every tile, one `(tree, column, values)` at a time in the order of the trees: for
    /// outputs that are no plain sum. Slower than [`add`](Predictor::add), by scalar look-ups.
    pub fn visit(
        &self,
        tile: &[Lanes<f32>],
        trees: &[Tree],
        scratch: &mut PredictScratch,
        mut visit: impl FnMut(usize, usize, &[f32; TILE]),
    ) {
        let row = &mut scratch.row;
        row.resize(self.n_features, 0.0);
        for (tree_idx, tree) in trees.iter().enumerate() {
            let leaves: [usize; TILE] = std::array::from_fn(|lane| {
                for (feature_idx, x) in row.iter_mut().enumerate() {
                    *x = tile[feature_idx][lane];
                }
                tree.leaf_idx(row)
            });
            for (i, column) in tree.columns().enumerate() {
                visit(tree_idx, column, &leaves.map(|leaf| tree.leaf(leaf)[i]));
            }
        }
    }

    fn add_block(
        &self,
        segment: &Segment,
        block: Range<usize>,
        columns: Range<usize>,
        tile: &[Lanes<f32>],
        sums: &mut [Lanes<f32>],
        scratch: &mut PredictScratch,
    ) {
        let PredictScratch { slots, keys, row } = scratch;
        if segment.layout == Layout::Walk {
            row.resize(self.n_features, 0.0);
            for lane in 0..TILE {
                for (feature_idx, x) in row.iter_mut().enumerate() {
                    *x = tile[feature_idx][lane];
                }
                for tree in &segment.walked[block.clone()] {
                    let leaf = &tree.leaf(tree.leaf_idx(row))[columns.clone()];
                    sums.iter_mut().zip(leaf).for_each(|(sum, value)| sum[lane] += value);
                }
            }
            return;
        }
        if !segment.plain {
            keys.resize(tile.len(), Lanes::default());
            self.simd.keys(tile, keys);
        }
        if matches!(segment.layout, Layout::Oblivious(4..=6)) && columns.len() <= 8 {
            self.simd.add_oblivious(segment, block, columns, tile, keys, sums);
            return;
        }
        let slots = &mut slots[..block.len()];
        self.simd.leaf_slots(segment, block.clone(), tile, keys, slots);
        self.simd.add_leaves(segment, block, columns, slots, sums);
    }
}
