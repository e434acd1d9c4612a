//! Rows whose outputs are remembered: a rollout, or a supervised training set.

use std::ops::Range;

use super::fold::Clocks;
use super::memo::Memo;
use crate::backend::cpu::predict::PredictScratch;
use crate::data::{BinnedMatrix, Lanes, SortScratch, TILE, Tiles};
use crate::ensemble::adam::Moments;

/// Observations with their bins and their outputs so far.
///
/// Made by [`Booster::dataset`](super::Booster::dataset) and filled by [`Booster::append`](super::Booster::append);
/// `clear` keeps all memory, and the outputs of states that repeat. The outputs advance by one tree at a time, so no update walks old trees again.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The booster that made it.
    pub(super) owner: u64,
    pub(super) tiles: Tiles,
    pub(super) n_outputs: usize,
    /// `[tile][output][16]`.
    pub(super) outputs: Vec<Lanes<f32>>,
    /// The output columns that `outputs` already holds for every row.
    pub(super) known: Range<usize>,
    /// Trees that the known outputs include.
    pub(super) n_trees: usize,
    /// Whether all outputs are known and the rows are binned.
    pub(super) complete: bool,
    pub(super) bins: BinnedMatrix,
    pub(super) sorting: Vec<SortScratch>,
    /// Adam's moments, as `outputs`; empty where no group needs them.
    pub(super) moments: Vec<Lanes<Moments>>,
    /// Where Adam's step counters stand after `n_trees` trees.
    pub(super) clocks: Clocks,
    /// Control variates' averages of earlier gradients, as `outputs`; empty where they are off.
    pub(super) averages: Vec<Lanes<f32>>,
    /// Outputs of states seen before, across `clear`.
    pub(super) memo: Memo,
    pub(super) scratch: Scratch,
}

/// Buffers for predicting a few rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    pub tiles: Tiles,
    pub sums: Vec<Lanes<f32>>,
    pub predict: PredictScratch,
}

impl Dataset {
    /// No rows of `n_features` columns, for booster `owner`.
    pub(super) fn new(owner: u64, n_features: usize, n_outputs: usize) -> Self {
        Dataset {
            owner,
            tiles: Tiles::new(n_features),
            n_outputs,
            outputs: Vec::new(),
            known: 0..0,
            n_trees: 0,
            complete: false,
            bins: BinnedMatrix::default(),
            sorting: vec![SortScratch::default()],
            moments: Vec::new(),
            clocks: Vec::new(),
            averages: Vec::new(),
            memo: Memo::new(n_features),
            scratch: Scratch { tiles: Tiles::new(n_features), ..Scratch::default() },
        }
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.tiles.n_rows()
    }

    /// Outputs of a row.
    pub fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.tiles.clear();
        self.outputs.clear();
        self.moments.clear();
        self.averages.clear();
        self.known = 0..0;
        self.complete = false;
    }

    /// The raw observations.
    pub fn observations(&self) -> &Tiles {
        &self.tiles
    }

    /// All cached outputs, `[tile][output][16]`.
    pub(crate) fn outputs(&self) -> &[Lanes<f32>] {
        &self.outputs
    }

    /// The cached output of one row.
    pub fn output(&self, row: usize, column: usize) -> f32 {
        self.outputs[row / TILE * self.n_outputs + column][row % TILE]
    }

    /// Cached outputs of `rows`, row-major `[rows.len(), columns.len()]`.
    pub fn gather(&self, rows: &[u32], columns: Range<usize>, out: &mut [f32]) {
        let width = columns.len();
        for (&row, out) in rows.iter().zip(out.chunks_exact_mut(width.max(1))) {
            let tile = &self.outputs[row as usize / TILE * self.n_outputs + columns.start..][..width];
            for (out, column) in out.iter_mut().zip(tile) {
                *out = column[row as usize % TILE];
            }
        }
    }
}
