//! Steps whose rows the backend keeps: outputs, losses and gradients stay there, trees come back.

use std::ops::ControlFlow;

use super::booster::grow_trees;
use super::{Booster, Dataset};
use crate::backend::update::{LossSums, Minibatch, Update};
use crate::backend::{Task, Updates};
use crate::config::Edges;
use crate::error::{Error, Result};

impl Booster {
    /// Hands the rows that `update` makes of a dataset over to the backend. `false` where they stay: the backend does not keep
    /// any, or the settings need outputs or bins of every step here.
    ///
    /// # Errors
    /// As [`advance`](Booster::advance).
    pub(crate) fn hold<'u>(
        &mut self,
        data: &'u mut Dataset,
        update: impl FnOnce(&'u Dataset) -> Update<'u>,
    ) -> Result<bool> {
        let params = &self.params;
        let whole = params.row_subsample >= 1.0 && !params.control_variates;
        if !whole || params.edges == Edges::Step || self.ensemble.has_adam() || data.n_rows() == 0 {
            return Ok(false);
        }
        if self.backend.updates().is_none() {
            return Ok(false);
        }
        self.advance(data)?;
        self.held()?.begin(&update(data))
    }

    /// A step on a minibatch of rows that the backend keeps, for one output group or for all. Nothing is kept of it where
    /// `decide` stops at what the losses came to; `None` where a row has no loss, and then nothing has changed.
    ///
    /// # Errors
    /// As [`step`](Booster::step).
    pub(crate) fn step_held(
        &mut self,
        data: &Dataset,
        minibatch: &Minibatch<'_>,
        group_idx: Option<usize>,
        decide: &mut dyn FnMut(&LossSums) -> ControlFlow<()>,
    ) -> Result<Option<ControlFlow<()>>> {
        let rows = minibatch.rows;
        self.held()?.losses(minibatch)?;
        let groups = self.columns_of(group_idx)?;
        let task = Task {
            bins: &data.bins,
            rows,
            gradients: &[],
            n_outputs: self.ensemble.n_outputs(),
            columns: &(0..self.ensemble.n_outputs()),
            weights: None,
            score: self.params.split_score,
            lambda: self.params.lambda_l2,
            min_data_in_leaf: self.params.min_data_in_leaf,
            feature_weights: &self.tree_feature_weights(),
            monotone: &self.monotone,
        };
        // Before the losses are looked at: the device is asked for everything at once, and waited for once.
        let grown = grow_trees(self.backend.as_mut(), &task, &groups, &self.params, &self.ensemble, self.progress);
        let Some(sums) = self.held()?.sums()? else { return Ok(None) };
        if decide(&sums).is_break() {
            return Ok(Some(ControlFlow::Break(())));
        }
        let first = self.n_trees();
        self.push_trees(grown?, rows.len())?;
        let updates = self.backend.updates().ok_or_else(gone)?;
        updates.advance(self.ensemble.trees(), self.id, first)?;
        Ok(Some(ControlFlow::Continue(())))
    }

    /// Takes the outputs of rows that the backend keeps back into their dataset.
    ///
    /// # Errors
    /// Class `Device` where a device fails; the outputs are then those before the update, and known to be.
    pub(crate) fn release(&mut self, data: &mut Dataset) -> Result<()> {
        self.held()?.end(&mut data.outputs)?;
        data.n_trees = self.n_trees();
        Ok(())
    }

    fn held(&mut self) -> Result<&mut dyn Updates> {
        self.backend.updates().ok_or_else(gone)
    }
}

/// A backend that took an update over has it until its end.
fn gone() -> Error {
    Error::unsupported("a step", "on rows that the backend does not keep", "begin an update first")
}
