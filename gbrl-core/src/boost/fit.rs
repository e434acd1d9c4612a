//! Plain supervised use: squared error.

use std::ops::ControlFlow;

use ndarray::{Array2, ArrayView2};

use super::Booster;
use crate::error::{Error, Result};

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
        self.fit_while(x, y, |loss| {
            losses.extend(loss);
            if losses.len() < n_trees { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(losses)
    }

    /// [`fit`](Booster::fit) that asks before every tree whether to grow it: `goes_on` gets the loss after the last one,
    /// nothing before the first.
    ///
    /// # Errors
    /// As [`fit`](Booster::fit).
    pub fn fit_while(
        &mut self,
        x: ArrayView2<'_, f32>,
        y: ArrayView2<'_, f32>,
        mut goes_on: impl FnMut(Option<f64>) -> ControlFlow<()>,
    ) -> Result<()> {
        let (n, n_outputs) = (x.nrows(), self.ensemble().n_outputs());
        if x.ncols() != self.ensemble().n_features() {
            return Err(Error::shape(
                "x",
                format!("[n, {}]", self.ensemble().n_features()),
                format!("{:?}", x.shape()),
            ));
        }
        if y.shape() != [n, n_outputs] {
            return Err(Error::shape("y", format!("[{n}, {n_outputs}]"), format!("{:?}", y.shape())));
        }
        if let Some(((row, column), value)) = y.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::element("y", (row, column), "a finite number", value));
        }
        if self.n_trees() == 0 && n > 0 && self.ensemble().bias().iter().all(|&b| b == 0.0) {
            let mean = |column: usize| {
                let mut sum = 0.0;
                for row in 0..n {
                    sum += f64::from(y[[row, column]]);
                }
                (sum / n as f64) as f32
            };
            let bias: Vec<f32> = (0..n_outputs).map(mean).collect();
            self.set_bias(&bias)?;
        }
        let mut data = self.dataset();
        let rows = x.as_standard_layout();
        self.append(&mut data, rows.as_slice().expect("standard layout"), 0..0, &mut [])?;
        self.complete(&mut data)?;
        let row_idx: Vec<u32> = (0..n as u32).collect();
        let residuals = |data: &super::Dataset| -> Vec<f32> {
            y.indexed_iter().map(|((row, column), &target)| data.output(row, column) - target).collect()
        };
        let (mut gradients, mut last) = (residuals(&data), None);
        while goes_on(last).is_continue() {
            self.step(&mut data, &row_idx, &gradients)?;
            gradients = residuals(&data);
            let mut loss = 0.0;
            for &g in &gradients {
                loss += 0.5 * f64::from(g) * f64::from(g);
            }
            last = Some(loss / n.max(1) as f64);
        }
        Ok(())
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
