//! Numbers that change over a run.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::math;

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

impl Schedule {
    /// The value at `progress` (clamped to 0..=1).
    ///
    /// ```
    /// use gbrl_core::config::Schedule;
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
}
