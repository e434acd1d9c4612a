//! In what an artefact differs from the policy that it was made from.

use super::form::{EdgeHead, EdgePolicy};
use super::vector::Outputs;
use crate::error::{Error, Result};

/// Differences over some observations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disagreement {
    /// Observations.
    pub rows: usize,
    /// Of these, how many got another action; a real-valued one differs if any of its numbers does.
    pub actions: usize,
    /// The largest difference of a real-valued action, as a share of its bounds' distance where that is finite.
    pub action_error: f64,
    /// The largest difference of a logit or mean; logits of a discrete part relative to its first.
    pub logit_error: f64,
    /// The largest difference of a value.
    pub value_error: f64,
    /// Whether all actions are the same numbers, and every bit of logits and values is the same.
    pub exact: bool,
}

impl Disagreement {
    /// Compares `got` with what the library said.
    pub fn between(policy: &EdgePolicy, library: &Outputs, got: &Outputs) -> Self {
        let width = policy.action_len();
        // An action is a number, so −0 is 0: both lie in bounds that begin there.
        let same = |a: f64, b: f64| a == b;
        let differ = |(a, b): (&[f64], &[f64])| !a.iter().zip(b).all(|(&a, &b)| same(a, b));
        let pairs = library.actions.chunks_exact(width).zip(got.actions.chunks_exact(width));
        let actions = pairs.filter(|&pair| differ(pair)).count();
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let lengths = library.actions.len() == got.actions.len();
        let exact = lengths
            && actions == 0
            && bits(&library.logits) == bits(&got.logits)
            && bits(&library.values) == bits(&got.values);
        let mut action_error: f64 = 0.0;
        if let EdgeHead::Box(bounds) | EdgeHead::SquashedBox(bounds) = &policy.head {
            for (i, (a, b)) in library.actions.iter().zip(&got.actions).enumerate() {
                let (low, high) = bounds[i % width];
                let range = f64::from(high) - f64::from(low);
                let range = if range.is_finite() && range > 0.0 { range } else { 1.0 };
                action_error = action_error.max((a - b).abs() / range);
            }
        }
        let (left, right) = (relative(policy, &library.logits), relative(policy, &got.logits));
        let largest = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        Disagreement {
            rows: library.actions.len() / width,
            actions,
            action_error,
            logit_error: largest(&left, &right),
            value_error: largest(&wide(&library.values), &wide(&got.values)),
            exact,
        }
    }

    /// Takes in the differences over further observations.
    pub fn add(&mut self, other: &Disagreement) {
        self.rows += other.rows;
        self.actions += other.actions;
        self.action_error = self.action_error.max(other.action_error);
        self.logit_error = self.logit_error.max(other.logit_error);
        self.value_error = self.value_error.max(other.value_error);
        self.exact &= other.exact;
    }

    /// Share of observations with the same action; 1 for none.
    pub fn agreement(&self) -> f64 {
        1.0 - self.actions as f64 / self.rows.max(1) as f64
    }

    /// Refuses any difference.
    ///
    /// # Errors
    /// Class `Format`, naming `what`.
    pub fn must_be_exact(&self, what: &str) -> Result<()> {
        if self.exact {
            return Ok(());
        }
        let got = format!("{} of {} actions differ, logits by up to {:e}", self.actions, self.rows, self.logit_error);
        Err(Error::format(what, "the artefact decides differently", "the library's outputs to the bit", got))
    }
}

/// Logits of discrete parts minus their first: what changes no probability does not count.
fn relative(policy: &EdgePolicy, logits: &[f32]) -> Vec<f64> {
    let mut out: Vec<f64> = logits.iter().map(|&x| f64::from(x)).collect();
    if let EdgeHead::Discrete(parts) = &policy.head {
        for row in out.chunks_exact_mut(policy.n_logits) {
            let mut from = 0;
            for part in parts {
                let part = &mut row[from..from + part.n as usize];
                let first = part[0];
                part.iter_mut().for_each(|x| *x -= first);
                from += part.len();
            }
        }
    }
    out
}
