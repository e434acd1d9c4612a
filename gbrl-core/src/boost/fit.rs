//! Plain supervised use: squared error.

use std::ops::ControlFlow;

use ndarray::{Array2, ArrayView2};

use super::{Booster, Dataset};
use crate::error::{Error, Result};

/// Rows and what they should give.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// Observations, `[n, n_features]`.
    pub x: ArrayView2<'a, f32>,
    /// Targets, `[n, n_outputs]`.
    pub y: ArrayView2<'a, f32>,
    /// Weights of the rows, `[n]`, all 1 if `None`.
    pub weights: Option<&'a [f32]>,
}

/// ½‖output − y‖², averaged over rows by their weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    /// Of the rows that are learnt from.
    pub training: f64,
    /// Of those that are not.
    pub validation: Option<f64>,
}

impl Booster {
    /// Adds `n_trees` trees that lower ½‖output − y‖² over all rows of `x` `[n, n_features]`, `y` `[n, n_outputs]`,
    /// and returns the loss, averaged over rows, after each.
    ///
    /// An ensemble without trees and with a bias of zero starts from the means of `y`; later calls go on from where
    /// the last one stopped, so that n calls of one tree equal one call of n trees to the byte.
    ///
    /// ```
    /// # use gbrl_core::{boost::Booster, config::TreeParams, data::FeatureSchema};
    /// # use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
    /// use ndarray::Array2;
    /// let x = Array2::from_shape_fn((200, 2), |(i, j)| (i * (j + 1) % 17) as f32);
    /// let y = x.map_axis(ndarray::Axis(1), |row| row[0] - 2.0 * row[1]).insert_axis(ndarray::Axis(1));
    /// let group = OutputGroup::sgd("y", 0..1, Schedule::Constant(0.3));
    /// let ensemble = Ensemble::new(FeatureSchema::numeric(2), vec![group])?;
    /// let mut booster = Booster::new(ensemble, TreeParams::default(), 0, 1)?;
    /// let losses = booster.fit(x.view(), y.view(), 50)?;
    /// assert!(losses[49] < 0.01 * losses[0]);
    /// # Ok::<(), gbrl_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Class `Value` for shapes that do not fit and targets that are not finite.
    pub fn fit(&mut self, x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>, n_trees: usize) -> Result<Vec<f64>> {
        let mut losses = Vec::with_capacity(n_trees);
        self.fit_while(&Targets { x, y, weights: None }, None, |loss| {
            losses.extend(loss.map(|loss| loss.training));
            if losses.len() < n_trees { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(losses)
    }

    /// [`fit`](Booster::fit) to weighted rows that asks before every tree whether to grow it: `goes_on` gets the losses
    /// after the last one, nothing before the first. Rows of `validation` are not learnt from.
    ///
    /// # Errors
    /// As [`fit`](Booster::fit), and class `Value` for a weight that is negative or not finite, and for rows of which none
    /// has weight.
    pub fn fit_while(
        &mut self,
        training: &Targets<'_>,
        validation: Option<&Targets<'_>>,
        mut goes_on: impl FnMut(Option<Losses>) -> ControlFlow<()>,
    ) -> Result<()> {
        training.check(self)?;
        validation.map_or(Ok(()), |targets| targets.check(self))?;
        if self.n_trees() == 0 && training.x.nrows() > 0 && self.ensemble().bias().iter().all(|&b| b == 0.0) {
            self.set_bias(&training.means())?;
        }
        let mut data = self.rows_of(training)?;
        let mut held_out = validation.map(|targets| self.rows_of(targets)).transpose()?;
        let row_idx: Vec<u32> = (0..training.x.nrows() as u32).collect();
        let (mut gradients, mut last) = (training.residuals(&data), None);
        while goes_on(last).is_continue() {
            self.step_weighted(&mut data, &row_idx, &gradients, training.weights)?;
            gradients = training.residuals(&data);
            let mut losses = Losses { training: training.loss(&gradients), validation: None };
            if let (Some(targets), Some(rows)) = (validation, &mut held_out) {
                self.advance(rows)?;
                losses.validation = Some(targets.loss(&targets.residuals(rows)));
            }
            last = Some(losses);
        }
        Ok(())
    }

    fn rows_of(&mut self, targets: &Targets<'_>) -> Result<Dataset> {
        let mut data = self.dataset();
        let rows = targets.x.as_standard_layout();
        self.append(&mut data, rows.as_slice().expect("standard layout"), 0..0, &mut [])?;
        self.complete(&mut data)?;
        Ok(data)
    }

    /// Outputs of every row of `x`, any layout, all columns.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) when the width is wrong.
    pub fn predict_array(&self, x: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        if x.ncols() != self.ensemble().n_features() {
            return Err(Error::shape(
                "x",
                format!("[n, {}]", self.ensemble().n_features()),
                format!("{:?}", x.shape()),
            ));
        }
        let n_outputs = self.ensemble().n_outputs();
        let mut out = Array2::zeros((x.nrows(), n_outputs));
        let rows = x.as_standard_layout();
        let rows = rows.as_slice().expect("standard layout");
        self.predict(rows, 0..n_outputs, out.as_slice_mut().expect("standard layout"))?;
        Ok(out)
    }
}

impl Targets<'_> {
    fn check(&self, booster: &Booster) -> Result<()> {
        let (n, ensemble) = (self.x.nrows(), booster.ensemble());
        if self.x.ncols() != ensemble.n_features() {
            let got = format!("{:?}", self.x.shape());
            return Err(Error::shape("x", format!("[n, {}]", ensemble.n_features()), got));
        }
        if self.y.shape() != [n, ensemble.n_outputs()] {
            let expected = format!("[{n}, {}]", ensemble.n_outputs());
            return Err(Error::shape("y", expected, format!("{:?}", self.y.shape())));
        }
        if let Some((at, value)) = self.y.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::element("y", at, "a finite number", value));
        }
        let Some(weights) = self.weights else { return Ok(()) };
        if weights.len() != n {
            return Err(Error::shape("weights", format!("[{n}]"), format!("[{}]", weights.len())));
        }
        if let Some(row) = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            return Err(Error::element("weights", (row, 0), "a finite number of at least 0", weights[row]));
        }
        match n > 0 && self.total() == 0.0 {
            true => Err(Error::parameter("weights", "all 0", "at least one above 0")),
            false => Ok(()),
        }
    }

    fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| f64::from(weights[row]))
    }

    fn total(&self) -> f64 {
        let mut sum = 0.0;
        for row in 0..self.x.nrows() {
            sum += self.weight(row);
        }
        sum
    }

    /// Weighted mean of each column of `y`.
    fn means(&self) -> Vec<f32> {
        let total = self.total();
        let mean = |column: usize| {
            let mut sum = 0.0;
            for row in 0..self.y.nrows() {
                sum += self.weight(row) * f64::from(self.y[[row, column]]);
            }
            (sum / total) as f32
        };
        (0..self.y.ncols()).map(mean).collect()
    }

    /// Outputs less targets, `[n, n_outputs]`.
    fn residuals(&self, data: &Dataset) -> Vec<f32> {
        self.y.indexed_iter().map(|((row, column), &target)| data.output(row, column) - target).collect()
    }

    fn loss(&self, residuals: &[f32]) -> f64 {
        let mut loss = 0.0;
        for (row, of_row) in residuals.chunks_exact(self.y.ncols().max(1)).enumerate() {
            for &g in of_row {
                loss += self.weight(row) * (0.5 * f64::from(g) * f64::from(g));
            }
        }
        loss / if self.x.nrows() == 0 { 1.0 } else { self.total() }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::config::TreeParams;
    use crate::data::FeatureSchema;
    use crate::ensemble::{Ensemble, OutputGroup, Schedule};

    fn booster() -> Booster {
        let group = OutputGroup::sgd("y", 0..2, Schedule::Constant(0.3));
        let ensemble = Ensemble::new(FeatureSchema::numeric(2), vec![group]).unwrap();
        Booster::new(ensemble, TreeParams::default(), 0, 1).unwrap()
    }

    fn data(n: usize) -> (Array2<f32>, Array2<f32>) {
        let x = Array2::from_shape_fn((n, 2), |(i, j)| ((i * 7 + 3 * j) % 11) as f32);
        let y = Array2::from_shape_fn((n, 2), |(i, j)| ((i * i + j) % 5) as f32 - x[[i, j]]);
        (x, y)
    }

    fn fitted(booster: &mut Booster, training: &Targets<'_>, validation: Option<&Targets<'_>>) -> Vec<Losses> {
        let mut all = Vec::new();
        let seen = |last: Option<Losses>| {
            all.extend(last);
            if all.len() < 10 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        booster.fit_while(training, validation, seen).unwrap();
        all
    }

    #[test]
    fn ones_change_nothing_and_a_row_of_weight_0_is_as_good_as_absent() {
        let ((x, y), mut plain, mut ones) = (data(40), booster(), booster());
        let losses = plain.fit(x.view(), y.view(), 10).unwrap();
        let weighted = Targets { x: x.view(), y: y.view(), weights: Some(&[1.0; 40]) };
        let again: Vec<f64> = fitted(&mut ones, &weighted, None).iter().map(|losses| losses.training).collect();
        assert_eq!(losses, again);
        let mut far = y.clone();
        far.row_mut(3).fill(1e6);
        let mut weights = vec![2.0; 40];
        weights[3] = 0.0;
        let mut without = booster();
        let all = fitted(&mut without, &Targets { x: x.view(), y: far.view(), weights: Some(&weights) }, None);
        assert!(all[9].training < 2.0 * losses[9] && without.ensemble().bias()[0].abs() < 10.0);
    }

    #[test]
    fn the_validation_loss_is_that_of_predictions() {
        let ((x, y), (held_x, held_y), mut booster) = (data(40), data(23), booster());
        let held_out = Targets { x: held_x.view(), y: held_y.view(), weights: None };
        let all = fitted(&mut booster, &Targets { x: x.view(), y: y.view(), weights: None }, Some(&held_out));
        let outputs = booster.predict_array(held_x.view()).unwrap();
        let residuals: Vec<f32> = outputs.iter().zip(&held_y).map(|(out, target)| out - target).collect();
        assert_eq!(all[9].validation, Some(held_out.loss(&residuals)));
    }

    #[test]
    fn bad_weights_are_named() {
        let (x, y) = data(3);
        let told = |weights: &[f32]| {
            let targets = Targets { x: x.view(), y: y.view(), weights: Some(weights) };
            booster().fit_while(&targets, None, |_| ControlFlow::Break(())).unwrap_err().to_string()
        };
        assert_eq!(told(&[1.0]), "weights: expected shape [3], got [1]");
        assert_eq!(told(&[1.0, -1.0, 1.0]), "weights[1, 0]: expected a finite number of at least 0, got -1");
        assert_eq!(told(&[0.0; 3]), "weights: expected at least one above 0, got all 0");
    }
}
