//! Fewer trees that say the same: an ensemble distilled into a smaller one.
//!
//! The large ensemble is the teacher. On given states the small one is grown by boosting on the difference (L2 score,
//! a third of each step, so that trees share the work), and then all its leaves are refitted together
//! ([`refit`](super::refit)). Online-grown ensembles hold tens of thousands of trees whose steps have mostly cancelled
//! out; what they add up to takes few.

use std::borrow::Cow;
use std::ops::ControlFlow;

use ndarray::ArrayView2;

use super::refit::refit;
use super::{Booster, Targets};
use crate::config::{Edges, SplitScore, TreeParams};
use crate::ensemble::{Ensemble, OutputGroup, Schedule};
use crate::error::{Error, Result};
use crate::tree::quantise::moments;

/// Learning rate of the small ensemble's trees before their leaves are refitted. Of 1, 0.3 and 0.1 the middle one was
/// best on unseen states.
const RATE: f64 = 0.3;

/// How far one output of an ensemble is from that of another, over some states.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OutputChange {
    /// Root mean square of the differences.
    pub rms: f64,
    /// Standard deviation of the output itself, n.
    pub spread: f64,
    /// Largest difference.
    pub largest: f64,
}

impl OutputChange {
    /// rms / spread; 0 where nothing has changed.
    pub fn relative(&self) -> f64 {
        if self.rms == 0.0 { 0.0 } else { self.rms / self.spread }
    }
}

impl Booster {
    /// An ensemble of at most `n_trees` trees that says nearly what this one says about `states`, row-major
    /// `[n, n_features]`. Trees are grown by this booster's settings, monotone constraints and fixed
    /// edges included; no row or feature is left out. `on_tree` hears how many there are, and an ensemble that is small
    /// enough comes back as it is.
    ///
    /// O(n · trees) to hear what this one says, then as `n_trees` steps and 20 predictions. Memory: 4 bytes per state and
    /// new tree.
    ///
    /// # Errors
    /// Class `Value` for no state, a width that does not fit, no tree, and outputs that are not finite; class `Unsupported`
    /// for an Adam group, whose outputs are no sum that other trees could have.
    ///
    /// ```
    /// # use gbrl_core::{boost::Booster, config::TreeParams, data::FeatureSchema};
    /// # use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
    /// # use ndarray::Array2;
    /// let x = Array2::from_shape_fn((500, 2), |(i, j)| (i * (7 * j + 3) % 101) as f32 / 101.0);
    /// let y = x.map_axis(ndarray::Axis(1), |row| row[0] * row[1]).insert_axis(ndarray::Axis(1));
    /// let group = OutputGroup::sgd("y", 0..1, Schedule::Constant(0.02));
    /// let ensemble = Ensemble::new(FeatureSchema::numeric(2), vec![group])?;
    /// let mut booster = Booster::new(ensemble, TreeParams::default(), 0, 1)?;
    /// booster.fit(x.view(), y.view(), 1000)?;
    /// let states = x.as_slice().unwrap();
    /// let small = booster.distil(states, 50, |_| ())?;
    /// assert_eq!(small.trees().len(), 50);
    /// assert!(booster.change(&small, states)?[0].relative() < 0.05);
    /// # Ok::<(), gbrl_core::Error>(())
    /// ```
    pub fn distil(&self, states: &[f32], n_trees: usize, on_tree: impl FnMut(usize)) -> Result<Ensemble> {
        self.distiller(states)?.distil(n_trees, on_tree)
    }

    /// [`distil`](Booster::distil) for several numbers of trees and the same states, row-major `[n, n_features]`.
    ///
    /// # Errors
    /// As [`distil`](Booster::distil), for the number of trees later.
    pub fn distiller<'a>(&'a self, states: impl Into<Cow<'a, [f32]>>) -> Result<Distiller<'a>> {
        if self.ensemble().has_adam() {
            let reason = "its outputs are folds over all trees, not sums";
            return Err(Error::unsupported("having fewer trees", "with an Adam output group", reason));
        }
        let states = states.into();
        let targets = self.outputs_of(&states)?;
        Ok(Distiller { teacher: self, pupil: self.pupil()?, states, targets })
    }

    /// How far `other` is from what this booster says about `states`, one entry per output.
    ///
    /// # Errors
    /// Class `Value` for no state, for widths that do not fit, and for outputs that are not finite.
    pub fn change(&self, other: &Ensemble, states: &[f32]) -> Result<Vec<OutputChange>> {
        let n_outputs = self.ensemble().n_outputs();
        if other.n_outputs() != n_outputs {
            return Err(Error::shape("outputs of the other ensemble", n_outputs, other.n_outputs()));
        }
        let own = self.outputs_of(states)?;
        let other = Booster::on_threads(other.clone(), TreeParams::default(), 0, &self.threads)?.outputs_of(states)?;
        let n = (own.len() / n_outputs) as f64;
        let mut changes = vec![OutputChange::default(); n_outputs];
        for (column, change) in changes.iter_mut().enumerate() {
            let values = own.iter().skip(column).step_by(n_outputs).copied();
            let others = other.iter().skip(column).step_by(n_outputs);
            for (value, &other) in values.clone().zip(others) {
                let difference = f64::from(other) - f64::from(value);
                change.rms += difference * difference;
                change.largest = change.largest.max(difference.abs());
            }
            change.rms = (change.rms / n).sqrt();
            change.spread = moments(values).1;
        }
        Ok(changes)
    }

    /// Outputs of states, checked.
    fn outputs_of(&self, states: &[f32]) -> Result<Vec<f32>> {
        let (n_features, n_outputs) = (self.ensemble().n_features(), self.ensemble().n_outputs());
        if states.is_empty() || !states.len().is_multiple_of(n_features) {
            let got = format!("{} numbers", states.len());
            return Err(Error::shape("states", format!("[at least 1, {n_features}]"), got));
        }
        let mut outputs = vec![0.0; states.len() / n_features * n_outputs];
        self.predict(states, 0..n_outputs, &mut outputs)?;
        match outputs.iter().position(|output| !output.is_finite()) {
            None => Ok(outputs),
            Some(i) => {
                let place = (i / n_outputs, i % n_outputs);
                Err(Error::element("outputs", place, "a finite number", outputs[i]))
            }
        }
    }

    /// An ensemble without trees, and what grows it.
    fn pupil(&self) -> Result<Booster> {
        let own = self.ensemble();
        let group = |group: &OutputGroup| OutputGroup { rate: Schedule::Constant(RATE), ..group.clone() };
        let mut ensemble = Ensemble::new(own.schema().clone(), own.groups().iter().map(group).collect())?;
        ensemble.name_outputs(own.output_names())?;
        let edges = if self.fixed_edges().is_some() { Edges::Fixed } else { Edges::Rollout };
        let params = TreeParams {
            split_score: SplitScore::L2,
            edges,
            row_subsample: 1.0,
            feature_subsample: 1.0,
            control_variates: false,
            ..self.params().clone()
        };
        let mut pupil = Booster::on_threads(ensemble, params, 0, &self.threads)?;
        pupil.set_fixed_edges(self.fixed_edges().map(<[_]>::to_vec))?;
        Ok(pupil)
    }
}

/// What grows small ensembles after the same large one, see [`Booster::distiller`].
///
/// The trees of a smaller one are the first of a larger one's until their leaves are refitted. So whoever seeks a size
/// pays for the growth of the largest one tried, and for every refit.
pub struct Distiller<'a> {
    teacher: &'a Booster,
    /// The trees so far, not refitted.
    pupil: Booster,
    states: Cow<'a, [f32]>,
    targets: Vec<f32>,
}

impl Distiller<'_> {
    /// What [`Booster::distil`] gives for so many trees; `on_tree` hears of those that had not been grown before.
    ///
    /// # Errors
    /// As [`Booster::distil`].
    pub fn distil(&mut self, n_trees: usize, mut on_tree: impl FnMut(usize)) -> Result<Ensemble> {
        let Distiller { teacher, pupil, states, targets } = self;
        let per_step = teacher.trees_per_step();
        if n_trees < per_step {
            return Err(Error::parameter("n_trees", n_trees, format!("at least {per_step}")));
        }
        if teacher.n_trees() <= n_trees {
            return Ok(teacher.ensemble().clone());
        }
        let (n_features, n_outputs) = (teacher.ensemble().n_features(), teacher.ensemble().n_outputs());
        let n_rows = targets.len() / n_outputs;
        let mut grown = pupil.n_trees();
        if grown + per_step <= n_trees {
            let (x, y) = (matrix(states, [n_rows, n_features])?, matrix(targets, [n_rows, n_outputs])?);
            pupil.fit_while(&Targets { x, y, weights: None }, None, |last| {
                if last.is_some() {
                    grown += per_step;
                    on_tree(grown);
                }
                if grown + per_step <= n_trees { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        let mut small = pupil.ensemble().first(n_trees - n_trees % per_step)?;
        let groups = teacher.ensemble().groups();
        if !teacher.params().monotone.is_empty() {
            // Leaves refitted together keep no order.
            for (group_idx, group) in groups.iter().enumerate() {
                small.set_rate(group_idx, group.rate)?;
            }
            return Ok(small);
        }
        let bias = small.bias().iter().cycle();
        let targets: Vec<f64> = targets.iter().zip(bias).map(|(y, b)| f64::from(*y) - f64::from(*b)).collect();
        let trees = refit(small.trees(), states, n_features, &targets, n_outputs, &teacher.threads)?;
        let mut refitted = Ensemble::new(teacher.ensemble().schema().clone(), groups.to_vec())?;
        refitted.set_bias(small.bias())?;
        refitted.name_outputs(small.output_names())?;
        trees.into_iter().try_for_each(|tree| refitted.push(tree))?;
        Ok(refitted)
    }
}

fn matrix(values: &[f32], shape: [usize; 2]) -> Result<ArrayView2<'_, f32>> {
    ArrayView2::from_shape(shape, values).map_err(|_| Error::shape("values", format!("{shape:?}"), values.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;
    use crate::config::{GrowPolicy, Monotone};
    use crate::data::{Feature, FeatureSchema};
    use crate::ensemble::Optimizer;
    use crate::rng::Stream;
    use crate::tree::Test;

    /// A number that may be missing, a category and a number; two groups of outputs.
    fn grown(params: TreeParams, n_trees: usize, n_threads: usize) -> (Booster, Vec<f32>) {
        let schema =
            FeatureSchema::new(vec![Feature::numeric("x"), Feature::declared("kind", 4), Feature::numeric("y")]);
        let group = |name, columns| OutputGroup::sgd(name, columns, Schedule::Constant(0.05));
        let ensemble = Ensemble::new(schema, vec![group("policy", 0..2), group("value", 2..3)]).unwrap();
        let mut booster = Booster::new(ensemble, params, 0, n_threads).unwrap();
        let mut stream = Stream::new(0, "compact", 0);
        let states: Vec<f32> = (0..400)
            .flat_map(|i| {
                let x = if i % 7 == 0 { f32::NAN } else { stream.uniform() as f32 };
                [x, stream.below(4) as f32, stream.uniform() as f32]
            })
            .collect();
        let mut data = booster.dataset();
        booster.append(&mut data, &states, 0..0, &mut []).unwrap();
        booster.complete(&mut data).unwrap();
        let rows: Vec<u32> = (0..400).collect();
        while booster.n_trees() < n_trees {
            let target = |i: usize, column: usize| {
                let row = &states[3 * i..][..3];
                let x = if row[0].is_nan() { -1.0 } else { row[0] };
                [x * row[2], if row[1] == 2.0 { 3.0 } else { row[2] }, 100.0 * (x + row[2])][column]
            };
            let gradients: Vec<f32> = (0..1200).map(|i| data.output(i / 3, i % 3) - target(i / 3, i % 3)).collect();
            booster.step(&mut data, &rows, &gradients).unwrap();
        }
        (booster, states)
    }

    fn relative(booster: &Booster, small: &Ensemble, states: &[f32]) -> f64 {
        booster.change(small, states).unwrap().iter().map(OutputChange::relative).fold(0.0, f64::max)
    }

    #[test]
    fn fewer_trees_say_nearly_the_same_and_more_say_it_better() {
        for grow_policy in [GrowPolicy::Oblivious, GrowPolicy::Depthwise, GrowPolicy::Bestfirst] {
            let (booster, states) = grown(TreeParams { grow_policy, ..TreeParams::default() }, 300, 1);
            let (mut heard, mut last) = (0, f64::INFINITY);
            for n_trees in [3, 10, 30] {
                let small = booster.distil(&states, n_trees, |n| heard = n).unwrap();
                assert_eq!((small.trees().len(), heard), (n_trees, n_trees));
                assert_eq!(small.groups(), booster.ensemble().groups());
                let change = relative(&booster, &small, &states);
                assert!(change < last, "{grow_policy:?} {n_trees} trees: {change} after {last}");
                last = change;
            }
            assert!(last < 0.1, "{grow_policy:?}: {last}");
        }
    }

    #[test]
    fn sizes_sought_in_any_order_are_those_grown_from_nothing() {
        let monotone = vec![Monotone { feature_idx: 2, output_idx: 2, rising: true }];
        for params in [
            TreeParams::default(),
            TreeParams { shared_structure: false, ..TreeParams::default() },
            TreeParams { edges: Edges::Fixed, n_bins: 5, ..TreeParams::default() },
            TreeParams { monotone, ..TreeParams::default() },
        ] {
            let (booster, states) = grown(params, 60, 1);
            let mut distiller = booster.distiller(&states).unwrap();
            for n_trees in [2, 8, 16, 12, 13, 3, 40, 39, 1000] {
                let mut heard = Vec::new();
                let before = distiller.pupil.n_trees();
                let small = distiller.distil(n_trees, |n| heard.push(n)).unwrap();
                assert_eq!(small, booster.distil(&states, n_trees, |_| ()).unwrap());
                assert!(heard.first().is_none_or(|&n| n > before) && heard.is_sorted(), "{heard:?}");
            }
            assert!(distiller.pupil.n_trees() <= 40);
            assert!(distiller.distil(0, |_| ()).is_err());
        }
    }

    #[test]
    fn threads_change_nothing() {
        let small = |n_threads| {
            let (booster, states) = grown(TreeParams::default(), 100, n_threads);
            booster.distil(&states, 12, |_| ()).unwrap()
        };
        assert_eq!(small(1), small(3));
    }

    #[test]
    fn what_is_small_enough_stays() {
        let (booster, states) = grown(TreeParams::default(), 20, 1);
        let same = booster.distil(&states, 20, |_| ()).unwrap();
        assert_eq!(&same, booster.ensemble());
        assert_eq!(relative(&booster, &same, &states), 0.0);
    }

    #[test]
    fn trees_of_single_groups_come_in_pairs() {
        let params = TreeParams { shared_structure: false, ..TreeParams::default() };
        let (booster, states) = grown(params, 100, 1);
        let small = booster.distil(&states, 21, |_| ()).unwrap();
        assert_eq!(small.trees().len(), 20);
        assert!(relative(&booster, &small, &states) < 0.2);
        let error = booster.distil(&states, 1, |_| ()).unwrap_err();
        assert_eq!(error.to_string(), "n_trees: expected at least 2, got 1");
    }

    #[test]
    fn order_is_kept_where_it_was_asked_for() {
        let monotone = vec![Monotone { feature_idx: 2, output_idx: 2, rising: true }];
        let (booster, states) = grown(TreeParams { monotone, ..TreeParams::default() }, 100, 1);
        let small = booster.distil(&states, 10, |_| ()).unwrap();
        assert_eq!(small.groups(), booster.ensemble().groups());
        let small = Booster::new(small, TreeParams::default(), 0, 1).unwrap();
        for row in states.chunks(3).take(50) {
            let line: Vec<f32> = (0..50).flat_map(|i| [row[0], row[1], i as f32 / 50.0]).collect();
            let mut out = [0.0; 50];
            small.predict(&line, 2..3, &mut out).unwrap();
            assert!(out.is_sorted(), "{out:?}");
        }
    }

    #[test]
    fn fixed_edges_stay_the_only_ones() {
        let (booster, states) = grown(TreeParams { edges: Edges::Fixed, n_bins: 5, ..TreeParams::default() }, 100, 1);
        let small = booster.distil(&states[..600], 10, |_| ()).unwrap();
        let edges = booster.fixed_edges().unwrap();
        for split in small.trees().iter().flat_map(|tree| tree.splits()) {
            if let Test::Greater { threshold, .. } = split.test {
                let own = &edges[split.feature_idx as usize].values;
                assert!(own.contains(&threshold) || threshold == f32::INFINITY, "{split:?} {own:?}");
            }
        }
    }

    #[test]
    fn misuse_is_explained() {
        let (booster, states) = grown(TreeParams::default(), 10, 1);
        let message = |states: &[f32]| booster.distil(states, 5, |_| ()).unwrap_err().to_string();
        assert_eq!(message(&[]), "states: expected shape [at least 1, 3], got 0 numbers");
        assert_eq!(message(&states[..4]), "states: expected shape [at least 1, 3], got 4 numbers");
        let adam = OutputGroup {
            optimizer: Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
            ..OutputGroup::sgd("y", 0..1, Schedule::Constant(0.1))
        };
        let ensemble = Ensemble::new(FeatureSchema::numeric(3), vec![adam]).unwrap();
        let other = Booster::new(ensemble, TreeParams::default(), 0, 1).unwrap();
        assert_eq!(other.distil(&states, 5, |_| ()).unwrap_err().class(), ErrorClass::Unsupported);
        let error = booster.change(other.ensemble(), &states).unwrap_err();
        assert_eq!(error.to_string(), "outputs of the other ensemble: expected shape 3, got 1");
    }
}
