//! A step on rows whose outputs nobody keeps.

use super::{Booster, StepReport};
use crate::error::Result;

impl Booster {
    /// [`step`](Booster::step) on observations, row-major `[n, n_features]`, that are in no dataset: for callers who
    /// predict, compute gradients, `[n, n_outputs]`, and forget. The old trees are not walked, unless control variates or
    /// Adam need what they said.
    ///
    /// O(n · features · depth), and O(n · trees) more with control variates or an Adam group.
    ///
    /// # Errors
    /// As [`step_weighted`](Booster::step_weighted), and class `Value` for a width that does not fit.
    ///
    /// ```
    /// use gbrl_core::{boost::Booster, config::TreeParams, data::FeatureSchema};
    /// use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
    /// let group = OutputGroup::sgd("y", 0..1, Schedule::Constant(1.0));
    /// let mut booster = Booster::new(Ensemble::new(FeatureSchema::numeric(1), vec![group])?, TreeParams::default(), 0, 1)?;
    /// booster.step_once(&[0.0, 1.0], &[-3.0, 5.0], None)?;
    /// let mut out = [0.0; 2];
    /// booster.predict(&[0.0, 1.0], 0..1, &mut out)?;
    /// assert_eq!(out, [3.0, -5.0]);
    /// # Ok::<(), gbrl_core::Error>(())
    /// ```
    pub fn step_once(
        &mut self,
        observations: &[f32],
        gradients: &[f32],
        weights: Option<&[f32]>,
    ) -> Result<StepReport> {
        let mut data = self.dataset();
        self.append(&mut data, observations, 0..0, &mut [])?;
        if self.params.control_variates || self.ensemble.has_adam() {
            self.complete(&mut data)?;
        } else {
            // Outputs count as known, since nothing reads them.
            (data.known, data.n_trees) = (0..data.n_outputs, self.n_trees());
            self.bin(&mut data);
            data.complete = true;
        }
        let rows: Vec<u32> = (0..data.n_rows() as u32).collect();
        self.step_weighted(&mut data, &rows, gradients, weights)
    }
}
