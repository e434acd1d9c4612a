//! Several independent choices side by side.

use serde::{Deserialize, Serialize};

use super::categorical::{choice, largest, ln_p, softmax, softmax_gradients};
use super::{Draw, Evaluation, RowDistribution, index};
use crate::error::Result;

/// Several independent [`Categorical`](super::Categorical) choices: log-probabilities and entropies add up.
///
/// Row: the parts' logits one after the other, Σ nvec of them. Action: one index per part. Mask: Σ nvec flags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiCategorical {
    nvec: Vec<usize>,
}

impl MultiCategorical {
    /// A distribution over parts with `nvec[i]` choices each, at least 1.
    pub fn new(nvec: &[u32]) -> Self {
        MultiCategorical { nvec: nvec.iter().map(|&n| n as usize).collect() }
    }

    /// Choices of each part.
    pub(super) fn nvec(&self) -> &[usize] {
        &self.nvec
    }

    /// (part, first logit, number of choices) of each part.
    pub(super) fn parts(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.nvec.iter().enumerate().scan(0, |at, (part, &n)| {
            *at += n;
            Some((part, *at - n, n))
        })
    }
}

/// The flags of one part; an empty mask stays empty.
fn part_of(mask: &[bool], from: usize, n: usize) -> &[bool] {
    if mask.is_empty() { mask } else { &mask[from..from + n] }
}

// Work: for each part p and ln p (2n numbers from 2·from), then one entropy per part.
impl RowDistribution for MultiCategorical {
    fn n_params(&self) -> usize {
        self.nvec.iter().sum()
    }

    fn action_len(&self) -> usize {
        self.nvec.len()
    }

    fn mask_len(&self) -> usize {
        self.n_params()
    }

    fn work_len(&self) -> usize {
        2 * self.n_params() + self.nvec.len()
    }

    fn mode(&self, params: &[f64], mask: &[bool], action: &mut [f32]) -> Result<()> {
        for (part, from, n) in self.parts() {
            action[part] = largest(&params[from..from + n], part_of(mask, from, n), part, from)? as f32;
        }
        Ok(())
    }

    fn sample(
        &self,
        params: &[f64],
        mask: &[bool],
        draw: &mut impl Draw,
        work: &mut [f64],
        action: &mut [f32],
    ) -> Result<Evaluation> {
        let (probabilities, entropies) = work.split_at_mut(2 * self.n_params());
        let mut total = Evaluation::default();
        for (part, from, n) in self.parts() {
            let here = &mut probabilities[2 * from..2 * (from + n)];
            entropies[part] = softmax(&params[from..from + n], part_of(mask, from, n), here, part, from)?;
            let a = choice(&here[..n], draw.uniform(part));
            action[part] = a as f32;
            total.log_prob += here[n + a];
            total.entropy += entropies[part];
        }
        Ok(total)
    }

    fn evaluate(&self, params: &[f64], mask: &[bool], action: &[f32], work: &mut [f64]) -> Result<Evaluation> {
        let (probabilities, entropies) = work.split_at_mut(2 * self.n_params());
        let mut total = Evaluation::default();
        for (part, from, n) in self.parts() {
            let a = index(action[part], n, part)?;
            let here = &mut probabilities[2 * from..2 * (from + n)];
            let mask = part_of(mask, from, n);
            entropies[part] = softmax(&params[from..from + n], mask, here, part, from)?;
            total.log_prob += ln_p(mask, here, a);
            total.entropy += entropies[part];
        }
        Ok(total)
    }

    fn gradients(
        &self,
        _params: &[f64],
        mask: &[bool],
        action: &[f32],
        work: &[f64],
        d_log_prob: f64,
        d_entropy: f64,
        out: &mut [f64],
    ) {
        let (probabilities, entropies) = work.split_at(2 * self.n_params());
        for (part, from, n) in self.parts() {
            softmax_gradients(
                &probabilities[2 * from..2 * (from + n)],
                part_of(mask, from, n),
                action[part] as usize,
                entropies[part],
                d_log_prob,
                d_entropy,
                &mut out[from..from + n],
            );
        }
    }
}
