//! A trained policy, usable by itself.

mod file;
mod head;

use crate::boost::Booster;
use crate::config::TreeParams;
use crate::ensemble::Ensemble;
use crate::error::{Error, Result};
use crate::rl::dist;
use crate::rng::Stream;

pub use file::{About, Training};
pub use head::PolicyHead;

/// Trees and head together: observations in, actions and values out. Nothing learns here, and no statistics move.
pub struct Policy {
    booster: Booster,
    head: PolicyHead,
    /// How the trees were grown, where known; the booster only predicts.
    params: Option<TreeParams>,
    training: Option<Training>,
}

impl Policy {
    /// Puts trees and head together; prediction uses up to `n_threads` threads, 0 for one per processor.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::error::ErrorKind::Format) when head and trees do not fit together.
    pub fn new(ensemble: Ensemble, head: PolicyHead, n_threads: usize) -> Result<Self> {
        head.check()?;
        let expected = (head.n_features(), head.n_policy_outputs() + 1);
        let got = (ensemble.n_features(), ensemble.n_outputs());
        if expected != got {
            let text = |(f, o): (usize, usize)| format!("{f} features and {o} outputs");
            return Err(Error::format("policy", "trees for another head", text(expected), text(got)));
        }
        let booster = Booster::new(ensemble, TreeParams::default(), 0, n_threads)?;
        Ok(Policy { booster, head, params: None, training: None })
    }

    /// The trees.
    pub fn ensemble(&self) -> &Ensemble {
        self.booster.ensemble()
    }

    /// Everything but the trees.
    pub fn head(&self) -> &PolicyHead {
        &self.head
    }

    /// Where the policy comes from, where known.
    pub fn training(&self) -> Option<&Training> {
        self.training.as_ref()
    }

    /// Chooses an action for each of k observations.
    ///
    /// `observations` are raw rows `[k, n_features]`, `masks` `[k, mask_len]` or empty, `actions` `[k, action_len]`:
    /// what environments receive, that is, clipped or squashed already. `deterministic` takes the most likely action
    /// and leaves `stream` alone.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) for a wrong length,
    /// [`ErrorKind::Element`](crate::error::ErrorKind::Element) for a mask that allows nothing.
    pub fn act(
        &self,
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
        &self,
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
        &self,
        observations: &[f32],
        masks: &[bool],
        deterministic: bool,
        actions: &mut [f32],
        mut with_stream: impl FnMut(usize, &mut dyn FnMut(&mut Stream) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let distribution = &self.head.distribution;
        let k = self.n_rows(observations)?;
        let (width, flags) = (distribution.action_len(), distribution.mask_len());
        if actions.len() != k * width {
            return Err(Error::shape("actions", format!("[{k}, {width}]"), actions.len()));
        }
        if !masks.is_empty() && masks.len() != k * flags {
            return Err(Error::shape("masks", format!("[{k}, {flags}]"), masks.len()));
        }
        let n = self.head.n_policy_outputs();
        let mut outputs = vec![0.0; k * n];
        self.predict(observations, 0..n, &mut outputs)?;
        let mut row = vec![0.0; distribution.n_params()];
        let mut work = vec![0.0; distribution.work_len()];
        let mut stored = vec![0.0; width];
        for i in 0..k {
            self.head.fill(&outputs[i * n..][..n], &mut row);
            let mask = if masks.is_empty() { masks } else { &masks[i * flags..][..flags] };
            if deterministic {
                distribution.mode(&row, mask, &mut stored).map_err(|error| dist::at_row(error, i))?;
            } else {
                with_stream(i, &mut |stream| {
                    distribution.sample(&row, mask, stream, &mut work, &mut stored).map(|_| ())
                })
                .map_err(|error| dist::at_row(error, i))?;
            }
            distribution.to_env(&stored, &mut actions[i * width..][..width])?;
        }
        Ok(())
    }

    /// Values of k observations, `out` `[k]`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) for a wrong length.
    pub fn values(&self, observations: &[f32], out: &mut [f32]) -> Result<()> {
        let k = self.n_rows(observations)?;
        if out.len() != k {
            return Err(Error::shape("values", k, out.len()));
        }
        let n = self.head.n_policy_outputs();
        self.predict(observations, n..n + 1, out)
    }

    fn n_rows(&self, observations: &[f32]) -> Result<usize> {
        let width = self.head.n_features();
        if width == 0 || !observations.len().is_multiple_of(width) {
            return Err(Error::shape("observations", format!("[n_rows, {width}]"), observations.len()));
        }
        Ok(observations.len() / width)
    }

    fn predict(&self, observations: &[f32], columns: std::ops::Range<usize>, out: &mut [f32]) -> Result<()> {
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
