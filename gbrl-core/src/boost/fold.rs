//! Outputs and averages that are folds over trees rather than sums: Adam's moments, control variates' averages.

use std::ops::Range;

use super::booster::Booster;
use super::dataset::Dataset;
use super::variates;
use crate::backend::Addition;
use crate::backend::cpu::predict::PredictScratch;
use crate::data::{Lanes, TILE};
use crate::ensemble::adam::{AdamClock, Moments};
use crate::error::Result;

/// The step counter of every output column; `None` where an output is a plain sum.
pub(super) type Clocks = Vec<Option<AdamClock>>;

impl Booster {
    /// All clocks, before the first tree.
    pub(super) fn clocks(&self) -> Clocks {
        let groups = self.ensemble.groups().iter();
        groups.flat_map(|group| group.columns.clone().map(|_| AdamClock::new(&group.optimizer))).collect()
    }

    /// State that a fold over trees needs, from the first tree on.
    pub(super) fn fold(&self, data: &mut Dataset) {
        let (adam, variates) = (self.ensemble.has_adam(), self.params.control_variates);
        let n = data.outputs.len();
        data.moments.clear();
        data.averages.clear();
        data.moments.resize(if adam { n } else { 0 }, Lanes::default());
        data.averages.resize(if variates { n } else { 0 }, Lanes::default());
        data.clocks = self.clocks();
        if !(adam || variates) {
            return;
        }
        if adam {
            let bias = self.ensemble.bias();
            data.outputs.iter_mut().enumerate().for_each(|(i, sums)| *sums = Lanes([bias[i % bias.len()]; TILE]));
        }
        self.fold_trees(data, 0..data.n_trees, adam);
    }

    /// Advances the cached outputs by the trees that they do not include yet.
    ///
    /// # Errors
    /// Class `Device` where a device fails; the outputs are then as far as they were.
    pub(super) fn catch_up(&self, data: &mut Dataset) -> Result<()> {
        let new = data.n_trees..self.n_trees();
        if new.is_empty() {
            return Ok(());
        }
        if self.ensemble.has_adam() {
            self.fold_trees(data, new.clone(), true);
        } else {
            let (tiles, outputs, scratch) = (data.tiles.as_slice(), &mut data.outputs, &mut data.scratch.predict);
            self.add_trees(tiles, new.clone(), 0..data.n_outputs, outputs, scratch)?;
            if self.params.control_variates {
                self.fold_trees(data, new.clone(), false);
            }
        }
        data.n_trees = new.end;
        Ok(())
    }

    /// Adds trees to the outputs `columns` of every tile, on the backend where that is quicker.
    ///
    /// # Errors
    /// Class `Device` where a device fails; `sums` is then as it was.
    pub(super) fn add_trees(
        &self,
        tiles: &[Lanes<f32>],
        trees: Range<usize>,
        columns: Range<usize>,
        sums: &mut [Lanes<f32>],
        scratch: &mut PredictScratch,
    ) -> Result<()> {
        let addition = Addition {
            trees: self.ensemble.trees(),
            stamp: self.id,
            range: trees.clone(),
            columns: columns.clone(),
            n_outputs: self.ensemble.n_outputs(),
            tiles,
            n_features: self.ensemble.n_features(),
        };
        if !self.backend.add_trees(&addition, sums)? {
            self.predictor.add(&self.threads, tiles, trees, columns, sums, scratch);
        }
        Ok(())
    }

    /// Takes all rows through `trees`, whose first one is where `data.clocks` stand.
    fn fold_trees(&self, data: &mut Dataset, trees: Range<usize>, outputs_too: bool) {
        let n_outputs = data.n_outputs;
        let tile_len = self.ensemble.n_features();
        for (i, tile) in data.tiles.as_slice().chunks_exact(tile_len).enumerate() {
            let own = i * n_outputs..(i + 1) * n_outputs;
            let averages = if data.averages.is_empty() { &mut [] } else { &mut data.averages[own.clone()] };
            let (outputs, moments): (&mut [_], &mut [_]) = match outputs_too {
                true => (&mut data.outputs[own.clone()], &mut data.moments[own]),
                false => (&mut [], &mut []),
            };
            self.fold_tile(tile, trees.clone(), data.clocks.clone(), outputs, moments, averages);
        }
        for tree in &self.ensemble.trees()[trees] {
            tick(&mut data.clocks, tree.columns());
        }
    }

    /// Takes one tile through `trees`; parts that are empty are left out.
    pub(super) fn fold_tile(
        &self,
        tile: &[Lanes<f32>],
        trees: Range<usize>,
        mut clocks: Clocks,
        outputs: &mut [Lanes<f32>],
        moments: &mut [Lanes<Moments>],
        averages: &mut [Lanes<f32>],
    ) {
        let trees = &self.ensemble.trees()[trees];
        self.predictor.visit(tile, trees, &mut PredictScratch::default(), |i, column, values| {
            let tree = &trees[i];
            let rate = tree.rates()[column - tree.columns().start];
            tick(&mut clocks, column..column + 1);
            for lane in 0..TILE {
                if let Some(average) = averages.get_mut(column) {
                    let rate = if clocks[column].is_some() { -1.0 } else { rate };
                    average[lane] = variates::advance(average[lane], values[lane], rate);
                }
                if let Some(output) = outputs.get_mut(column) {
                    output[lane] = match &clocks[column] {
                        Some(clock) => clock.advance(output[lane], &mut moments[column][lane], values[lane], rate),
                        None => output[lane] + values[lane],
                    };
                }
            }
        });
    }
}

fn tick(clocks: &mut Clocks, columns: Range<usize>) {
    clocks[columns].iter_mut().flatten().for_each(AdamClock::tick);
}
