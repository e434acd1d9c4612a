//! What a run is between two rollouts, and which of its settings may still change.

use serde::{Deserialize, Serialize};

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::rl::algo::CollectorState;
use crate::rl::algo::adam::Adam;
use crate::rl::policy::PolicyHead;
use crate::rng::Stream;

/// What resuming needs besides the model; taken between rollouts. Survives JSON to the bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerState {
    pub(super) settings: Settings,
    /// The policy without its trees.
    pub head: PolicyHead,
    pub(super) collector: CollectorState,
    pub(super) minibatches: Stream,
    pub(super) adam: Adam,
    pub(super) n_updates: u64,
    pub(super) n_trees: usize,
}

/// Settings that stay as the run began: what they decide is part of the state, and a new value would change nothing or
/// the meaning of what is there.
pub(super) const KEPT: [&str; 15] = [
    "n_envs",
    "seed",
    "n_steps",
    "policy_optimizer",
    "value_optimizer",
    "adam_beta1",
    "adam_beta2",
    "adam_eps",
    "log_std",
    "log_std_init",
    "squash_actions",
    "norm_obs",
    "norm_reward",
    "clip_obs",
    "clip_reward",
];

impl TrainerState {
    /// Environment steps done.
    pub fn timesteps(&self) -> u64 {
        self.collector.timesteps
    }

    /// The settings that a resumed run goes by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes the settings of the rest of the run. Thread counts, intervals and the total are free, learning rates and
    /// coefficients too (the run is then another one).
    ///
    /// # Errors
    /// Class `Value` for a setting out of range, and for a change of one that is part of the state, such as `n_envs` or
    /// `norm_obs`; the settings are then as before.
    pub fn set_settings(&mut self, settings: Settings) -> Result<()> {
        settings.check()?;
        for key in KEPT {
            let (old, new) = (self.settings.get(key).unwrap_or_default(), settings.get(key).unwrap_or_default());
            if old != new {
                return Err(Error::parameter(key, new, format!("{old}, as the run began")));
            }
        }
        self.settings = settings;
        Ok(())
    }
}
