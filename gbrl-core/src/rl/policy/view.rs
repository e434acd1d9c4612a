//! What a policy says about observations: actions, values, probabilities.

use std::ops::Range;

use super::PolicyHead;
use crate::boost::Booster;
use crate::error::{Error, Result};
use crate::rl::dist::{Evaluation, at_row};
use crate::rng::Stream;

/// Trees and head, borrowed from a [`Policy`](super::Policy) or from an [`Agent`](crate::rl::algo::Agent) that is still
/// learning. Nothing moves: no statistics, no trees.
///
/// Observations are raw rows `[k, n_features]`; masks are `[k, mask_len]`, or empty to allow everything.
#[derive(Clone, Copy)]
pub struct PolicyView<'a> {
    booster: &'a Booster,
    head: &'a PolicyHead,
}

impl<'a> PolicyView<'a> {
    pub(crate) fn new(booster: &'a Booster, head: &'a PolicyHead) -> Self {
        PolicyView { booster, head }
    }

    /// Chooses an action for each observation, `actions` `[k, action_len]`: what environments receive, that is, clipped
    /// or squashed already. `deterministic` takes the most likely action and leaves `stream` alone.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) for a wrong length,
    /// [`ErrorKind::Element`](crate::error::ErrorKind::Element) for a mask that allows nothing.
    pub fn act(
        self,
        observations: &[f32],
        masks: &[bool],
        deterministic: bool,
        stream: &mut Stream,
        actions: &mut [f32],
    ) -> Result<()> {
        self.act_on(observations, masks, deterministic, actions, |_, draw| draw(&mut *stream))
    }

    /// The same with a stream for each row.
    pub(crate) fn act_rows(
        self,
        observations: &[f32],
        masks: &[bool],
        deterministic: bool,
        mut streams: Vec<&mut Stream>,
        actions: &mut [f32],
    ) -> Result<()> {
        self.act_on(observations, masks, deterministic, actions, |i, draw| draw(streams[i]))
    }

    /// `with_stream` lends row i's stream to what it is given.
    fn act_on(
        self,
        observations: &[f32],
        masks: &[bool],
        deterministic: bool,
        actions: &mut [f32],
        mut with_stream: impl FnMut(usize, &mut dyn FnMut(&mut Stream) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let distribution = &self.head.distribution;
        let (width, n) = (distribution.action_len(), distribution.n_params());
        let mut params = Vec::new();
        let k = self.parameters(observations, &mut params)?;
        check_len("actions", actions.len(), (k, width))?;
        let flags = self.check_masks(k, masks)?;
        let mut work = vec![0.0; distribution.work_len()];
        let mut stored = vec![0.0; width];
        for i in 0..k {
            let (row, mask) = (&params[i * n..][..n], &masks[i * flags..][..flags]);
            if deterministic {
                distribution.mode(row, mask, &mut stored).map_err(|error| at_row(error, i))?;
            } else {
                with_stream(i, &mut |stream| {
                    distribution.sample(row, mask, stream, &mut work, &mut stored).map(|_| ())
                })
                .map_err(|error| at_row(error, i))?;
            }
            distribution.to_env(&stored, &mut actions[i * width..][..width])?;
        }
        Ok(())
    }

    /// Writes each observation's parameter row, `[k, n_params]`: logits, or means and log standard deviations. Returns k.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) for a wrong length.
    pub fn parameters(self, observations: &[f32], out: &mut Vec<f64>) -> Result<usize> {
        let k = self.n_rows(observations)?;
        let (n, n_params) = (self.head.n_policy_outputs(), self.head.distribution.n_params());
        let mut outputs = vec![0.0; k * n];
        self.predict(observations, 0..n, &mut outputs)?;
        out.clear();
        out.resize(k * n_params, 0.0);
        for (row, outputs) in out.chunks_exact_mut(n_params).zip(outputs.chunks_exact(n)) {
            self.head.fill(outputs, row);
        }
        Ok(k)
    }

    /// ln π(action) and the entropy of each observation's distribution; `actions` `[k, action_len]` as a rollout keeps
    /// them (indices, or numbers before clipping or squashing).
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) for a wrong length,
    /// [`ErrorKind::Element`](crate::error::ErrorKind::Element) for an action that is none.
    pub fn evaluate(self, observations: &[f32], masks: &[bool], actions: &[f32]) -> Result<Vec<Evaluation>> {
        let distribution = &self.head.distribution;
        let mut params = Vec::new();
        let k = self.parameters(observations, &mut params)?;
        check_len("actions", actions.len(), (k, distribution.action_len()))?;
        self.check_masks(k, masks)?;
        let mut out = vec![Evaluation::default(); k];
        let mut work = vec![0.0; k * distribution.work_len()];
        distribution.evaluate_rows(&params, masks, actions, &mut work, &mut out)?;
        Ok(out)
    }

    /// Values of the observations, `out` `[k]`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) for a wrong length.
    pub fn values(self, observations: &[f32], out: &mut [f32]) -> Result<()> {
        let k = self.n_rows(observations)?;
        if out.len() != k {
            return Err(Error::shape("values", k, out.len()));
        }
        let n = self.head.n_policy_outputs();
        self.predict(observations, n..n + 1, out)
    }

    fn n_rows(self, observations: &[f32]) -> Result<usize> {
        let width = self.head.n_features();
        if width == 0 || !observations.len().is_multiple_of(width) {
            return Err(Error::shape("observations", format!("[n_rows, {width}]"), observations.len()));
        }
        Ok(observations.len() / width)
    }

    /// Flags per row; 0 where all is allowed.
    fn check_masks(self, k: usize, masks: &[bool]) -> Result<usize> {
        if masks.is_empty() {
            return Ok(0);
        }
        let flags = self.head.distribution.mask_len();
        check_len("masks", masks.len(), (k, flags))?;
        Ok(flags)
    }

    fn predict(self, observations: &[f32], columns: Range<usize>, out: &mut [f32]) -> Result<()> {
        match &self.head.normalizer {
            None => self.booster.predict(observations, columns, out),
            Some(normalizer) => {
                let mut normalized = observations.to_vec();
                normalizer.apply(&mut normalized);
                self.booster.predict(&normalized, columns, out)
            }
        }
    }
}

fn check_len(what: &'static str, len: usize, (k, width): (usize, usize)) -> Result<()> {
    match len == k * width {
        true => Ok(()),
        false => Err(Error::shape(what, format!("[{k}, {width}]"), len)),
    }
}
