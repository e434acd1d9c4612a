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

    /// Checks that both ends, and so everything between them, can be learning rates.
    ///
    /// # Errors
    /// Class `Value`, naming the setting `name`, when one is negative, larger than [`f32::MAX`] or no number.
    pub fn check(&self, name: &str) -> Result<()> {
        let (start, end) = self.ends();
        match [start, end].into_iter().find(|rate| !is_rate(*rate)) {
            None => Ok(()),
            Some(rate) => Err(Error::parameter(name, format!("{rate:?}"), RATE_RULE)),
        }
    }
}

/// What [`is_rate`] asks for, as errors say it.
pub(crate) const RATE_RULE: &str = "0 to 3.4e38";

/// Whether `rate` can be a learning rate: trees and files hold it as `f32`.
pub(crate) fn is_rate(rate: f64) -> bool {
    (0.0..=f64::from(f32::MAX)).contains(&rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_fits_into_f32() {
        Schedule::Constant(f64::from(f32::MAX)).check("lr").unwrap();
        for bad in [3.5e38, f64::INFINITY, f64::NAN, -0.1] {
            let error = Schedule::Linear { start: 0.0, end: bad }.check("lr").unwrap_err();
            assert_eq!(error.to_string(), format!("lr: expected 0 to 3.4e38, got {bad:?}"));
        }
    }

    #[test]
    fn schedules_meet_their_ends() {
        for schedule in [Schedule::Linear { start: 2.0, end: 0.5 }, Schedule::Cosine { start: 2.0, end: 0.5 }] {
            assert_eq!((schedule.at(0.0), schedule.at(1.0), schedule.at(7.0)), (2.0, 0.5, 0.5));
            assert!((schedule.at(0.5) - 1.25).abs() < 1e-12);
        }
    }
}
