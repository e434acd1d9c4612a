//! Outputs of states seen before. Where observations repeat (grids, discrete spaces) a state's outputs advance by the
//! trees grown since it was last seen, instead of being computed from the first tree on.
//!
//! A state is its exact raw row, never its bins: edges change, old thresholds stay. Partial sums go on in the order of
//! the trees, so a remembered output is the computed one to the bit.

use std::collections::BTreeMap;

use crate::backend::cpu::predict::{PredictScratch, Predictor};
use crate::data::{Lanes, TILE, Tiles};

/// Most states remembered, and most numbers kept for them (16 MiB).
const MAX_STATES: usize = 1 << 16;
const MAX_NUMBERS: usize = 1 << 22;

/// After so many look-ups it is judged whether remembering pays: at least a quarter must have been known. More rows at
/// once than this are no steps of environments, and are not looked up.
const TRIAL: usize = 4096;

/// The table. Bounded: full, it starts anew.
#[derive(Clone, Debug)]
pub(super) struct Memo {
    /// Row bits to state.
    states: BTreeMap<Box<[u32]>, u32>,
    /// Trees that each state's outputs include.
    n_trees: Vec<usize>,
    /// `[state][n_outputs]`.
    outputs: Vec<f32>,
    /// What outputs start from.
    bias: Vec<f32>,
    lookups: usize,
    known: usize,
    /// Whether rows repeat too seldom.
    given_up: bool,
    scratch: Scratch,
}

#[derive(Clone, Debug, Default)]
struct Scratch {
    key: Vec<u32>,
    /// The state of each row asked for.
    asked: Vec<u32>,
    /// (trees included, state, a row that is in it) of the states that are behind.
    behind: Vec<(usize, u32, usize)>,
    rows: Vec<f32>,
    tiles: Tiles,
    sums: Vec<Lanes<f32>>,
    predict: PredictScratch,
}

impl Memo {
    pub fn new(n_features: usize) -> Self {
        Memo {
            states: BTreeMap::new(),
            n_trees: Vec::new(),
            outputs: Vec::new(),
            bias: Vec::new(),
            lookups: 0,
            known: 0,
            given_up: false,
            scratch: Scratch { tiles: Tiles::new(n_features), ..Scratch::default() },
        }
    }

    /// Finds the outputs of all columns of `rows`, row-major; [`row`](Memo::row) then gives them. `false` where
    /// remembering does not pay, and nothing was done.
    ///
    /// O(rows · log states), and O(trees grown since) for every state that is behind.
    pub fn look_up(&mut self, predictor: &Predictor, bias: &[f32], rows: &[f32]) -> bool {
        let width = self.scratch.tiles.n_features();
        let n_rows = rows.len() / width;
        let limit = MAX_STATES.min(MAX_NUMBERS / (width + bias.len()));
        if self.given_up || n_rows > limit.min(TRIAL) {
            return false;
        }
        if self.states.len() + n_rows > limit || self.bias != bias {
            self.forget();
            self.bias.extend_from_slice(bias);
        }
        if self.lookups >= TRIAL {
            self.given_up = self.known < self.lookups / 4;
            (self.lookups, self.known) = (0, 0);
            if self.given_up {
                *self = Memo { given_up: true, ..Memo::new(width) };
                return false;
            }
        }
        let Scratch { key, asked, behind, .. } = &mut self.scratch;
        asked.clear();
        behind.clear();
        for (i, row) in rows.chunks_exact(width).enumerate() {
            key.clear();
            key.extend(row.iter().map(|x| x.to_bits()));
            self.lookups += 1;
            let state = match self.states.get(key.as_slice()) {
                Some(&state) => {
                    self.known += 1;
                    state
                }
                None => {
                    let state = self.n_trees.len() as u32;
                    self.states.insert(key.as_slice().into(), state);
                    self.n_trees.push(0);
                    self.outputs.extend_from_slice(bias);
                    state
                }
            };
            asked.push(state);
            let n_trees = &mut self.n_trees[state as usize];
            if *n_trees < predictor.n_trees() {
                behind.push((*n_trees, state, i));
                *n_trees = predictor.n_trees();
            }
        }
        self.catch_up(predictor, rows);
        true
    }

    /// The outputs of row i of the last look-up.
    pub fn row(&self, i: usize) -> &[f32] {
        let n_outputs = self.bias.len();
        &self.outputs[self.scratch.asked[i] as usize * n_outputs..][..n_outputs]
    }

    fn forget(&mut self) {
        self.states.clear();
        self.n_trees.clear();
        self.outputs.clear();
        self.bias.clear();
    }

    /// Takes the states that are behind through the trees they lack, together where they lack the same ones.
    fn catch_up(&mut self, predictor: &Predictor, asked_rows: &[f32]) {
        let (n_outputs, n_trees) = (self.bias.len(), predictor.n_trees());
        let Scratch { behind, rows, tiles, sums, predict, .. } = &mut self.scratch;
        let width = tiles.n_features();
        behind.sort_unstable();
        for group in behind.chunk_by(|a, b| a.0 == b.0) {
            rows.clear();
            sums.clear();
            sums.resize(group.len().div_ceil(TILE) * n_outputs, Lanes::default());
            for (i, &(_, state, row)) in group.iter().enumerate() {
                rows.extend_from_slice(&asked_rows[row * width..][..width]);
                for (column, &x) in self.outputs[state as usize * n_outputs..][..n_outputs].iter().enumerate() {
                    sums[i / TILE * n_outputs + column][i % TILE] = x;
                }
            }
            tiles.clear();
            tiles.append(rows).expect("whole rows");
            let missing = group[0].0..n_trees;
            if group.len() <= TILE {
                predictor.add_rows(tiles.as_slice(), group.len(), missing, 0..n_outputs, sums, predict);
            } else {
                predictor.add_tiles(tiles.as_slice(), missing, 0..n_outputs, sums, predict);
            }
            for (i, &(_, state, _)) in group.iter().enumerate() {
                for (column, x) in self.outputs[state as usize * n_outputs..][..n_outputs].iter_mut().enumerate() {
                    *x = sums[i / TILE * n_outputs + column][i % TILE];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::Simd;
    use crate::data::FeatureSchema;
    use crate::ensemble::{Ensemble, OutputGroup, Schedule};

    fn predictor() -> Predictor {
        let group = OutputGroup::sgd("y", 0..2, Schedule::Constant(0.1));
        Predictor::new(Simd::detect().unwrap(), &Ensemble::new(FeatureSchema::numeric(1), vec![group]).unwrap())
    }

    #[test]
    fn what_repeats_is_kept_and_what_does_not_is_given_up() {
        let (mut memo, predictor) = (Memo::new(1), predictor());
        for i in 0..10_000 {
            assert!(memo.look_up(&predictor, &[0.5, 0.0], &[(i % 16) as f32, 3.0]));
            assert_eq!(memo.row(0), [0.5, 0.0]);
        }
        assert_eq!(memo.states.len(), 16);
        let lasted = (0..10_000).take_while(|&i| memo.look_up(&predictor, &[0.5, 0.0], &[i as f32 + 0.5])).count();
        assert!((4_096..=8_192).contains(&lasted), "{lasted}");
        assert!(memo.states.is_empty() && memo.given_up);
    }

    #[test]
    fn the_table_is_bounded_and_another_bias_empties_it() {
        let (mut memo, predictor) = (Memo::new(1), predictor());
        for start in 0..70_000 {
            // Three of four rows are known, so that it is not given up.
            let rows = [start as f32, start as f32, start as f32, start as f32];
            assert!(memo.look_up(&predictor, &[0.0, 0.0], &rows));
            assert!(memo.states.len() <= MAX_STATES);
        }
        assert!(memo.look_up(&predictor, &[1.0, 0.0], &[1.0]));
        assert_eq!((memo.states.len(), memo.row(0)), (1, [1.0, 0.0].as_slice()));
    }
}
