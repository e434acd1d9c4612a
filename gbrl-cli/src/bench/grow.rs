//! Trees for the benches that need some to be there.

use gbrl_core::boost::Booster;

use super::data::Source;
use crate::failure::Failure;

/// Rows of the batch that each tree is grown on.
pub const BATCH: usize = 128;
/// Batches made, and handed over, together.
const POOL: usize = 64;
/// Until there are this many trees every batch is new; later ones take turns in the last pool, with new gradients, as
/// handing over new rows costs the more the more trees there are.
pub const ALL_NEW: usize = 2048;

/// Grows trees on random batches of [`BATCH`] rows until there are `n_trees`.
pub fn grow(booster: &mut Booster, source: &mut Source, n_trees: usize) -> Result<(), Failure> {
    let mut data = booster.dataset();
    let (mut observations, mut gradients) = (Vec::new(), Vec::new());
    let n_features = booster.ensemble().n_features();
    for tree in 0..n_trees {
        let batch = tree % POOL;
        if batch == 0 && tree < ALL_NEW {
            source.observations(POOL * BATCH, &mut observations);
            data.clear();
            booster.append(&mut data, &observations, 0..0, &mut [])?;
            booster.complete(&mut data)?;
        }
        let rows: Vec<u32> = (batch * BATCH..(batch + 1) * BATCH).map(|row| row as u32).collect();
        let values = batch * BATCH * n_features..(batch + 1) * BATCH * n_features;
        source.gradients(&observations[values], &mut gradients);
        booster.step(&mut data, &rows, &gradients)?;
    }
    Ok(())
}
