//! Output groups: which columns belong together, how fast they learn, and by which rule.

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use crate::config::Schedule;
use crate::config::schedule::{RATE_RULE, is_rate};
use crate::error::{Error, Result};

/// Output columns that share a learning rate and an optimizer, such as a policy's logits or its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputGroup {
    /// The group's name, "policy" or "value" in an actor-critic.
    pub name: String,
    /// Its output columns.
    pub columns: Range<usize>,
    /// The learning rate over the run.
    pub rate: Schedule,
    /// How gradients become changes of the output.
    pub optimizer: Optimizer,
}

/// How the mean gradients of a group's leaves become changes of its outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// output −= rate · g: gradient boosting as it is.
    #[default]
    Sgd,
    /// Adam across trees (Kingma and Ba 2015): each row's output is a fold over the trees' mean gradients g with
    /// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², output −= rate · m̂/(√v̂ + ε).
    Adam {
        /// Decay of the first moment, in [0, 1).
        beta1: f64,
        /// Decay of the second moment, in [0, 1).
        beta2: f64,
        /// Added to the root, above 0.
        epsilon: f64,
    },
}

impl OutputGroup {
    /// A group trained by plain gradient boosting.
    pub fn sgd(name: impl Into<String>, columns: Range<usize>, rate: Schedule) -> Self {
        OutputGroup { name: name.into(), columns, rate, optimizer: Optimizer::Sgd }
    }

    /// The learning rate at `progress`.
    ///
    /// # Errors
    /// Class `Value` for one that [`check`](OutputGroup::check) refuses, as the fields are public.
    pub fn rate_at(&self, progress: f64) -> Result<f64> {
        let rate = self.rate.at(progress);
        if is_rate(rate) {
            return Ok(rate);
        }
        Err(Error::parameter(format!("{}_lr", self.name), format!("{rate:?}"), RATE_RULE))
    }

    /// Checks rates and moments.
    ///
    /// # Errors
    /// Class `Value`, naming the setting.
    pub fn check(&self) -> Result<()> {
        self.rate.check(&format!("{}_lr", self.name))?;
        if let Optimizer::Adam { beta1, beta2, epsilon } = self.optimizer {
            for (name, beta) in [("beta1", beta1), ("beta2", beta2)] {
                if !(0.0..1.0).contains(&beta) {
                    return Err(Error::parameter(format!("{}_{name}", self.name), beta, "a number in [0, 1)"));
                }
            }
            if !(epsilon > 0.0 && epsilon.is_finite()) {
                return Err(Error::parameter(format!("{}_epsilon", self.name), epsilon, "a finite number above 0"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_rate_is_refused_by_name() {
        let group = OutputGroup::sgd("policy", 0..2, Schedule::Constant(-0.1));
        assert_eq!(group.check().unwrap_err().to_string(), "policy_lr: expected 0 to 3.4e38, got -0.1");
    }
}
