//! What turns the trees' outputs into actions.

use serde::{Deserialize, Serialize};

use crate::config::{AgentParams, LogStd};
use crate::error::{Error, Result};
use crate::rl::dist::Distribution;
use crate::rl::normalize::ObservationNormalizer;
use crate::rl::space::Space;

/// What turns the trees' outputs into actions: everything of a policy but the trees. io/ stores it as JSON beside them.
///
/// The trees' first [`n_policy_outputs`](PolicyHead::n_policy_outputs) columns are the distribution's parameters (all
/// of them, or only the means when the log standard deviations are free numbers held here); the last column is the
/// value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyHead {
    /// Where observations come from.
    pub observation_space: Space,
    /// Where actions come from.
    pub action_space: Space,
    /// The rule from parameters to actions.
    pub distribution: Distribution,
    /// Free log standard deviations; empty when the distribution has none or the trees give them.
    pub log_std: Vec<f64>,
    /// Standardises observations before the trees see them.
    pub normalizer: Option<ObservationNormalizer>,
}

impl PolicyHead {
    /// The head that `params` ask for.
    ///
    /// # Errors
    /// As [`Distribution::for_space`].
    pub fn new(observation_space: &Space, action_space: &Space, params: &AgentParams) -> Result<Self> {
        let distribution = Distribution::for_space(action_space, params.squash_actions)?;
        let log_std = match (distribution.gaussian_len(), params.log_std) {
            (Some(n), LogStd::Free) => vec![params.log_std_init; n],
            _ => Vec::new(),
        };
        let normalizer =
            params.norm_obs.then(|| ObservationNormalizer::new(&observation_space.schema(), params.clip_obs));
        Ok(PolicyHead {
            observation_space: observation_space.clone(),
            action_space: action_space.clone(),
            distribution,
            log_std,
            normalizer,
        })
    }

    /// Checks that the parts fit together, for heads that came from a file.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::error::ErrorKind::Format) naming the part that does not fit.
    pub fn check(&self) -> Result<()> {
        self.observation_space.check("observation_space")?;
        let squash = matches!(self.distribution, Distribution::SquashedGaussian(_));
        let expected = Distribution::for_space(&self.action_space, squash)?;
        if self.distribution != expected {
            let got = format!("{:?}", self.distribution);
            return Err(Error::format("policy", "distribution for another space", format!("{expected:?}"), got));
        }
        let n = self.distribution.gaussian_len().unwrap_or(0);
        if !(self.log_std.is_empty() || self.log_std.len() == n) || self.log_std.iter().any(|s| !s.is_finite()) {
            let expected = format!("none or {n} finite numbers");
            return Err(Error::format("policy", "log standard deviations", expected, format!("{:?}", self.log_std)));
        }
        self.normalizer.as_ref().map_or(Ok(()), |normalizer| normalizer.check(&self.observation_space.schema()))
    }

    /// Columns of an observation.
    pub fn n_features(&self) -> usize {
        self.observation_space.flat_len()
    }

    /// Output columns that the distribution is made from; the value follows them.
    pub fn n_policy_outputs(&self) -> usize {
        self.distribution.n_params() - self.log_std.len()
    }

    /// Writes a full parameter row: the trees' outputs, then the free log standard deviations.
    #[inline]
    pub fn fill(&self, outputs: &[f32], row: &mut [f64]) {
        let (from_trees, free) = row.split_at_mut(outputs.len());
        for (to, &from) in from_trees.iter_mut().zip(outputs) {
            *to = f64::from(from);
        }
        free.copy_from_slice(&self.log_std);
    }
}
