//! Datasets that outlive a rollout: the oldest rows go, newer ones come, outputs stay cached.

use super::{Booster, Dataset};
use crate::data::{Lanes, TILE};
use crate::error::{Error, Result};

impl Booster {
    /// Drops the first `n_oldest` rows of `data` and appends those of `newer`, with the outputs that both know; then bins
    /// all rows anew. `data` may be empty; it is complete afterwards.
    ///
    /// O(rows · (features + outputs)) and the binning; no old tree is walked.
    ///
    /// # Errors
    /// Class `Value` for a dataset of another booster's, one that is not [`complete`](Booster::complete), and more rows to
    /// drop than there are.
    ///
    /// ```
    /// use gbrl_core::{boost::Booster, config::TreeParams, data::FeatureSchema};
    /// use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
    /// let group = OutputGroup::sgd("y", 0..1, Schedule::Constant(1.0));
    /// let mut booster = Booster::new(Ensemble::new(FeatureSchema::numeric(1), vec![group])?, TreeParams::default(), 0, 1)?;
    /// let mut of = |rows: &[f32]| {
    ///     let mut data = booster.dataset();
    ///     booster.append(&mut data, rows, 0..0, &mut [])?;
    ///     booster.complete(&mut data)?;
    ///     Ok::<_, gbrl_core::Error>(data)
    /// };
    /// let (mut data, newer) = (of(&[1.0, 2.0, 3.0])?, of(&[4.0])?);
    /// booster.replace_oldest(&mut data, 2, &newer)?;
    /// assert_eq!(data.observations().column(0).collect::<Vec<_>>(), [3.0, 4.0]);
    /// # Ok::<(), gbrl_core::Error>(())
    /// ```
    pub fn replace_oldest(&mut self, data: &mut Dataset, n_oldest: usize, newer: &Dataset) -> Result<()> {
        self.check_own(data)?;
        self.check_own(newer)?;
        if !newer.complete || newer.n_trees != self.n_trees() || !(data.complete || data.n_rows() == 0) {
            let rule = "complete ones, the newer with all trees";
            return Err(Error::parameter("datasets", "one that is not complete", rule));
        }
        if n_oldest > data.n_rows() {
            return Err(Error::parameter("n_oldest", n_oldest, format!("at most {} rows", data.n_rows())));
        }
        if data.n_rows() > 0 {
            self.catch_up(data)?;
        }
        let rows = Rows { old: data.n_rows(), dropped: n_oldest, new: newer.n_rows() };
        rows.splice(&mut data.outputs, &newer.outputs);
        rows.splice(&mut data.moments, &newer.moments);
        rows.splice(&mut data.averages, &newer.averages);
        data.tiles.replace_oldest(n_oldest, &newer.tiles);
        data.clocks.clone_from(&newer.clocks);
        (data.known, data.n_trees, data.complete) = (0..data.n_outputs, self.n_trees(), true);
        self.bin(data);
        Ok(())
    }

    /// Advances the outputs of a complete dataset by the trees grown since.
    ///
    /// # Errors
    /// Class `Value` for a dataset of another booster's, or one that is not [`complete`](Booster::complete).
    pub fn advance(&self, data: &mut Dataset) -> Result<()> {
        self.check_own(data)?;
        if !data.complete && data.n_rows() > 0 {
            return Err(Error::parameter("dataset", "one that is not complete", "complete() called before"));
        }
        self.catch_up(data)
    }
}

/// How many rows there are, go, and come.
struct Rows {
    old: usize,
    dropped: usize,
    new: usize,
}

impl Rows {
    /// Moves rows of `[tile][column][16]`; nothing where nobody keeps such a thing.
    fn splice<T: Copy + Default>(&self, lanes: &mut Vec<Lanes<T>>, more: &[Lanes<T>]) {
        let tiles = self.old.div_ceil(TILE).max(self.new.div_ceil(TILE));
        let width = if self.new > 0 { more.len() / self.new.div_ceil(TILE) } else { lanes.len() / tiles.max(1) };
        crate::data::tiles::splice(lanes, width, (self.old, self.dropped), (more, self.new));
    }
}

#[cfg(test)]
mod tests {
    use crate::boost::{Booster, Dataset};
    use crate::config::TreeParams;
    use crate::data::FeatureSchema;
    use crate::ensemble::{Ensemble, Optimizer, OutputGroup, Schedule};
    use crate::rng::Stream;

    fn booster(params: TreeParams, adam: bool) -> Booster {
        let group = |name, columns| OutputGroup::sgd(name, columns, Schedule::Constant(0.3));
        let mut groups = vec![group("policy", 0..2), group("value", 2..3)];
        if adam {
            groups[0].optimizer = Optimizer::Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
        }
        let params = TreeParams { max_depth: 3, ..params };
        Booster::new(Ensemble::new(FeatureSchema::numeric(2), groups).unwrap(), params, 0, 1).unwrap()
    }

    fn rows(n: usize, stream: &mut Stream) -> Vec<f32> {
        (0..2 * n).map(|_| stream.normal() as f32).collect()
    }

    fn dataset(booster: &mut Booster, rows: &[f32]) -> Dataset {
        let mut data = booster.dataset();
        booster.append(&mut data, rows, 0..0, &mut []).unwrap();
        booster.complete(&mut data).unwrap();
        data
    }

    fn outputs(data: &Dataset) -> Vec<u32> {
        (0..data.n_rows()).flat_map(|row| (0..3).map(move |d| data.output(row, d).to_bits())).collect()
    }

    /// The oracle is a dataset made from the same rows at once, and the trees that both grow afterwards.
    #[test]
    fn it_equals_a_dataset_made_at_once() {
        let variates = TreeParams { control_variates: true, ..TreeParams::default() };
        for (params, adam) in [(TreeParams::default(), false), (TreeParams::default(), true), (variates, false)] {
            let mut stream = Stream::new(3, "test", 0);
            let mut booster = booster(params, adam);
            let mut kept: Vec<f32> = Vec::new();
            let mut data = booster.dataset();
            for (n_new, n_drop) in [(5, 0), (40, 3), (1, 16), (0, 0), (33, 27), (0, 20), (17, 13)] {
                let new = rows(n_new, &mut stream);
                let newer = dataset(&mut booster, &new);
                booster.replace_oldest(&mut data, n_drop, &newer).unwrap();
                kept.drain(..2 * n_drop);
                kept.extend(&new);
                let mut whole = dataset(&mut booster, &kept);
                assert_eq!(outputs(&data), outputs(&whole));
                assert_eq!(data.observations().as_slice(), whole.observations().as_slice());
                let all: Vec<u32> = (0..data.n_rows() as u32).collect();
                let gradients: Vec<f32> = (0..3 * all.len()).map(|_| stream.normal() as f32).collect();
                booster.step(&mut data, &all, &gradients).unwrap();
                booster.step_group(&mut data, &all, &gradients, 1).unwrap();
                booster.advance(&mut whole).unwrap();
                assert_eq!(outputs(&data), outputs(&whole));
            }
        }
    }

    #[test]
    fn a_group_alone_leaves_the_others_as_they_were() {
        for adam in [false, true] {
            let (mut booster, mut stream) = (booster(TreeParams::default(), adam), Stream::new(5, "test", 0));
            let x = rows(50, &mut stream);
            let mut data = dataset(&mut booster, &x);
            let all: Vec<u32> = (0..50).collect();
            let gradients: Vec<f32> = (0..150).map(|_| stream.normal() as f32).collect();
            booster.step(&mut data, &all, &gradients).unwrap();
            let before: Vec<f32> = all.iter().map(|&row| data.output(row as usize, 0)).collect();
            booster.step_group(&mut data, &all, &gradients, 1).unwrap();
            assert_eq!(booster.ensemble().trees()[1].columns(), 2..3);
            assert!(all.iter().all(|&row| data.output(row as usize, 0) == before[row as usize]));
            let value: Vec<f32> = all.iter().map(|&row| data.output(row as usize, 2)).collect();
            booster.step_group(&mut data, &all, &gradients, 0).unwrap();
            assert!(all.iter().all(|&row| data.output(row as usize, 2) == value[row as usize]));
            let mut out = vec![0.0; 150];
            booster.predict(&x, 0..3, &mut out).unwrap();
            assert!((0..150).all(|i| out[i] == data.output(i / 3, i % 3)));
            assert!(booster.step_group(&mut data, &all, &gradients, 2).is_err());
        }
    }

    #[test]
    fn misuse_is_an_error() {
        let (mut one, mut other) = (booster(TreeParams::default(), false), booster(TreeParams::default(), false));
        let (mut data, newer, foreign) =
            (dataset(&mut one, &[0.0; 8]), dataset(&mut one, &[1.0; 2]), dataset(&mut other, &[1.0; 2]));
        assert!(one.replace_oldest(&mut data, 5, &newer).is_err());
        assert!(one.replace_oldest(&mut data, 0, &foreign).is_err());
        let mut unready = one.dataset();
        one.append(&mut unready, &[1.0; 2], 0..0, &mut []).unwrap();
        assert!(one.replace_oldest(&mut data, 0, &unready).is_err() && one.advance(&mut unready).is_err());
        let rows: Vec<u32> = (0..4).collect();
        one.step(&mut data, &rows, &[1.0; 12]).unwrap();
        assert!(one.replace_oldest(&mut data, 0, &newer).is_err(), "the newer rows lack a tree");
    }
}
