//! The same policy with fewer trees.

use std::borrow::Cow;

use super::Policy;
use crate::boost::{Booster, OutputChange};
use crate::error::Result;

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
        let ensemble = self.booster.distil(&self.as_trees_see(states), n_trees, on_tree)?;
        let mut booster = Booster::on_threads(ensemble, self.booster.params().clone(), 0, self.booster.threads())?;
        booster.set_fixed_edges(self.booster.fixed_edges().map(<[_]>::to_vec))?;
        Ok(Policy {
            booster,
            head: self.head.clone(),
            params_known: self.params_known,
            training: self.training.clone(),
        })
    }

    /// How far the outputs of `other`, a policy for the same spaces, are from this one's on `states`: one entry per
    /// parameter that trees predict, then the value's.
    ///
    /// # Errors
    /// As [`Booster::change`].
    pub fn change(&self, other: &Policy, states: &[f32]) -> Result<Vec<OutputChange>> {
        self.booster.change(other.ensemble(), &self.as_trees_see(states))
    }

    fn as_trees_see<'a>(&self, states: &'a [f32]) -> Cow<'a, [f32]> {
        let mut states = Cow::from(states);
        if let Some(normalizer) = &self.head.normalizer {
            normalizer.apply(states.to_mut());
        }
        states
    }
}
