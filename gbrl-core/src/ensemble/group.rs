//! Output groups: which columns belong together, how fast they learn, and by which rule.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::math;

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

/// A number that changes over a run, as a function of progress from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// The same throughout.
    Constant(f64),
    /// From `start` to `end` in a straight line.
    Linear {
        /// Value at progress 0.
        start: f64,
        /// Value at progress 1.
        end: f64,
    },
    /// From `start` to `end` along half a cosine: end + (start − end)·(1 + cos(π·progress))/2.
    Cosine {
        /// Value at progress 0.
        start: f64,
        /// Value at progress 1.
        end: f64,
    },
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

impl Schedule {
    /// The value at `progress` (clamped to 0..=1).
    ///
    /// ```
    /// use gbrl_core::ensemble::Schedule;
    /// assert_eq!(Schedule::Linear { start: 1.0, end: 0.0 }.at(0.25), 0.75);
    /// ```
    pub fn at(&self, progress: f64) -> f64 {
        let p = progress.clamp(0.0, 1.0);
        match *self {
            Schedule::Constant(value) => value,
            Schedule::Linear { start, end } => start + (end - start) * p,
            Schedule::Cosine { start, end } => {
                end + (start - end) * (0.5 * (1.0 + math::cos(std::f64::consts::PI * p)))
            }
        }
    }

    /// Both ends of the schedule.
    pub fn ends(&self) -> (f64, f64) {
        match *self {
            Schedule::Constant(value) => (value, value),
            Schedule::Linear { start, end } | Schedule::Cosine { start, end } => (start, end),
        }
    }

    /// Checks that both ends are finite and not negative.
    ///
    /// # Errors
    /// Class `Value`, naming the setting `name`.
    pub fn check(&self, name: &str) -> Result<()> {
        let (start, end) = self.ends();
        for value in [start, end] {
            if !value.is_finite() || value < 0.0 {
                return Err(Error::parameter(name, value, "a finite number of at least 0"));
            }
        }
        Ok(())
    }
}

impl OutputGroup {
    /// A group trained by plain gradient boosting.
    pub fn sgd(name: impl Into<String>, columns: Range<usize>, rate: Schedule) -> Self {
        OutputGroup { name: name.into(), columns, rate, optimizer: Optimizer::Sgd }
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
    fn schedules_meet_their_ends() {
        for schedule in [Schedule::Linear { start: 2.0, end: 0.5 }, Schedule::Cosine { start: 2.0, end: 0.5 }] {
            assert_eq!((schedule.at(0.0), schedule.at(1.0), schedule.at(7.0)), (2.0, 0.5, 0.5));
            assert!((schedule.at(0.5) - 1.25).abs() < 1e-12);
        }
    }

    #[test]
    fn a_negative_rate_is_refused_by_name() {
        let group = OutputGroup::sgd("policy", 0..2, Schedule::Constant(-0.1));
        assert_eq!(
            group.check().unwrap_err().to_string(),
            "policy_lr: expected a finite number of at least 0, got -0.1"
        );
    }
}
