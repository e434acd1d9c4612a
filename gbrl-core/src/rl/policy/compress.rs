//! The same policy with fewer trees.

use std::borrow::Cow;

use super::Policy;
use crate::boost::{Booster, Distiller, OutputChange};
use crate::error::Result;

/// What makes small policies after the same large one, see [`Policy::compressor`].
pub struct Compressor<'a> {
    policy: &'a Policy,
    distiller: Distiller<'a>,
}

impl Compressor<'_> {
    /// What [`Policy::compressed`] gives for so many trees; `on_tree` hears of those that had not been grown before.
    ///
    /// # Errors
    /// As [`Booster::distil`].
    pub fn compressed(&mut self, n_trees: usize, on_tree: impl FnMut(usize)) -> Result<Policy> {
        let large = &self.policy.booster;
        let ensemble = self.distiller.distil(n_trees, on_tree)?;
        let mut booster = Booster::on_threads(ensemble, large.params().clone(), 0, large.threads())?;
        booster.set_fixed_edges(large.fixed_edges().map(<[_]>::to_vec))?;
        Ok(Policy {
            booster,
            head: self.policy.head.clone(),
            params_known: self.policy.params_known,
            training: self.policy.training.clone(),
        })
    }
}

impl Policy {
    /// A policy of at most `n_trees` trees that does nearly the same on `states`, raw rows `[n, n_features]`, such as the
    /// visited ones that a run leaves behind; see [`Booster::distil`]. `on_tree` hears how many trees there are.
    ///
    /// # Errors
    /// As [`Booster::distil`].
    ///
    /// ```no_run
    /// # fn example(states: &[f32]) -> gbrl_core::Result<()> {
    /// use gbrl_core::rl::policy::Policy;
    /// let policy = Policy::load("model.gbrl", 0)?;
    /// let small = policy.compressed(states, 64, |_| ())?;
    /// println!("changed by {:?}", policy.change(&small, states)?);
    /// small.save("model-64.gbrl")
    /// # }
    /// ```
    pub fn compressed(&self, states: &[f32], n_trees: usize, on_tree: impl FnMut(usize)) -> Result<Policy> {
        self.compressor(states)?.compressed(n_trees, on_tree)
    }

    /// [`compressed`](Policy::compressed) for several numbers of trees: the growth of one serves the next.
    ///
    /// # Errors
    /// As [`Booster::distiller`].
    pub fn compressor<'a>(&'a self, states: &'a [f32]) -> Result<Compressor<'a>> {
        Ok(Compressor { policy: self, distiller: self.booster.distiller(self.as_trees_see(states))? })
    }

    /// How far the outputs of `other`, a policy for the same spaces, are from this one's on `states`: one entry per
    /// parameter that trees predict, then the value's.
    ///
    /// # Errors
    /// As [`Booster::change`].
    pub fn change(&self, other: &Policy, states: &[f32]) -> Result<Vec<OutputChange>> {
        self.booster.change(other.ensemble(), &self.as_trees_see(states))
    }

    /// States as the trees see them.
    fn as_trees_see<'a>(&self, states: &'a [f32]) -> Cow<'a, [f32]> {
        let mut states = Cow::from(states);
        if let Some(normalizer) = &self.head.normalizer {
            normalizer.apply(states.to_mut());
        }
        states
    }
}
