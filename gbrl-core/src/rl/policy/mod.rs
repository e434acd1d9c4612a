//! A trained policy, usable by itself.

mod compress;
mod file;
mod head;
mod view;

use crate::boost::Booster;
use crate::config::TreeParams;
use crate::ensemble::Ensemble;
use crate::error::{Error, Result};
use crate::rng::Stream;

pub use compress::Compressor;
pub use file::{About, Training};
pub use head::PolicyHead;
pub use view::PolicyView;

/// Trees and head together: observations in, actions and values out. Nothing learns here, and no statistics move.
pub struct Policy {
    booster: Booster,
    head: PolicyHead,
    /// Whether the booster's settings are those that the trees were grown by, or just the default ones.
    params_known: bool,
    training: Option<Training>,
}

impl Policy {
    /// Puts trees and head together; prediction uses up to `n_threads` threads, 0 for one per processor.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::error::ErrorKind::Format) when head and trees do not fit together.
    pub fn new(ensemble: Ensemble, head: PolicyHead, n_threads: usize) -> Result<Self> {
        Self::grown_by(None, ensemble, head, n_threads)
    }

    /// [`new`](Policy::new) with trees grown by `params`, where known.
    fn grown_by(params: Option<TreeParams>, ensemble: Ensemble, head: PolicyHead, n_threads: usize) -> Result<Self> {
        head.check()?;
        let expected = (head.n_features(), head.n_policy_outputs() + 1);
        let got = (ensemble.n_features(), ensemble.n_outputs());
        if expected != got {
            let text = |(f, o): (usize, usize)| format!("{f} features and {o} outputs");
            return Err(Error::format("policy", "trees for another head", text(expected), text(got)));
        }
        let params_known = params.is_some();
        let booster = Booster::new(ensemble, params.unwrap_or_default(), 0, n_threads)?;
        Ok(Policy { booster, head, params_known, training: None })
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

    /// What the policy says about observations.
    pub fn view(&self) -> PolicyView<'_> {
        PolicyView::new(&self.booster, &self.head)
    }

    /// As [`PolicyView::act`].
    ///
    /// # Errors
    /// As [`PolicyView::act`].
    pub fn act(
        &self,
        observations: &[f32],
        masks: &[bool],
        deterministic: bool,
        stream: &mut Stream,
        actions: &mut [f32],
    ) -> Result<()> {
        self.view().act(observations, masks, deterministic, stream, actions)
    }

    /// As [`PolicyView::values`].
    ///
    /// # Errors
    /// As [`PolicyView::values`].
    pub fn values(&self, observations: &[f32], out: &mut [f32]) -> Result<()> {
        self.view().values(observations, out)
    }
}
