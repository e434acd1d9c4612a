//! One of n choices, by logits.

use serde::{Deserialize, Serialize};

use super::{Draw, Evaluation, RowDistribution, at_row, index, not_finite, nothing_allowed};
use crate::error::Result;
use crate::math;

/// One of n choices: p_i = exp(l_i) / Σ_j exp(l_j) over the allowed j.
///
/// ln p_a = l_a − ln Σ exp(l_j), ∂ln p_a/∂l_i = \[i = a\] − p_i; H = −Σ p_i ln p_i, ∂H/∂l_i = −p_i (ln p_i + H).
/// Row: n logits. Action: the index. Mask: n flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Categorical {
    n: usize,
}

impl Categorical {
    /// A distribution over `n` choices, at least 1.
    pub fn new(n: usize) -> Self {
        Categorical { n }
    }
}

/// Writes p into `work[..n]` and ln p into `work[n..2n]` (0 and 0 for forbidden choices) and returns the entropy.
///
/// The largest allowed logit is subtracted first, so no exponential overflows. In three steps, so that
/// [`evaluate_rows`](RowDistribution::evaluate_rows) can take each step for several rows before the next.
#[inline]
pub(super) fn softmax(logits: &[f64], mask: &[bool], work: &mut [f64], part: usize, column: usize) -> Result<f64> {
    shift(logits, mask, work, part, column)?;
    exponentials(&mut work[..logits.len()]);
    Ok(normalize(work))
}

/// Step 1: l − largest into both halves of `work`; −∞ for forbidden choices.
#[inline]
fn shift(logits: &[f64], mask: &[bool], work: &mut [f64], part: usize, column: usize) -> Result<()> {
    let (p, ln_p) = work.split_at_mut(logits.len());
    let mut largest = f64::NEG_INFINITY;
    for i in 0..logits.len() {
        // Within f32, so that no difference overflows and −∞ means "forbidden" alone.
        if logits[i].is_nan() || logits[i].abs() > f64::from(f32::MAX) {
            return Err(not_finite(column + i, logits[i]));
        }
        let logit = if mask.is_empty() || mask[i] { logits[i] } else { f64::NEG_INFINITY };
        p[i] = logit;
        largest = largest.max(logit);
    }
    if largest == f64::NEG_INFINITY {
        return Err(nothing_allowed(part));
    }
    for (p, ln_p) in p.iter_mut().zip(ln_p) {
        *p -= largest;
        *ln_p = *p;
    }
    Ok(())
}

/// Step 2: e^x; e^−∞ is exactly 0.
#[inline]
fn exponentials(p: &mut [f64]) {
    p.iter_mut().for_each(|p| *p = math::exp(*p));
}

/// Step 3: divides by the sum, finishes ln p, and returns the entropy.
#[inline]
fn normalize(work: &mut [f64]) -> f64 {
    let (p, ln_p) = work.split_at_mut(work.len() / 2);
    let sum = p.iter().fold(0.0, |sum, p| sum + p);
    let ln_sum = math::ln(sum);
    let mut entropy = 0.0;
    for (p, ln_p) in p.iter_mut().zip(ln_p) {
        *p /= sum;
        *ln_p = if *ln_p == f64::NEG_INFINITY { 0.0 } else { *ln_p - ln_sum };
        entropy -= *p * *ln_p;
    }
    entropy
}

/// A choice with the probabilities `p`, by one uniform number.
#[inline]
pub(super) fn choice(p: &[f64], u: f64) -> usize {
    let (mut below, mut last) = (0.0, 0);
    for (i, &p) in p.iter().enumerate() {
        if p > 0.0 {
            below += p;
            last = i;
            if u < below {
                return i;
            }
        }
    }
    last // Rounding left the sum a little below 1.
}

/// ln p of choice `a`: −∞ when it is forbidden.
#[inline]
pub(super) fn ln_p(mask: &[bool], work: &[f64], a: usize) -> f64 {
    if mask.is_empty() || mask[a] { work[work.len() / 2 + a] } else { f64::NEG_INFINITY }
}

/// Writes d_log_prob · ∂ln p_a/∂l + d_entropy · ∂H/∂l.
#[inline]
pub(super) fn softmax_gradients(
    work: &[f64],
    mask: &[bool],
    a: usize,
    entropy: f64,
    d_log_prob: f64,
    d_entropy: f64,
    out: &mut [f64],
) {
    let n = out.len();
    for i in 0..n {
        let (p, ln_p) = (work[i], work[n + i]);
        let hit = f64::from(u8::from(i == a));
        let gradient = d_log_prob * (hit - p) - d_entropy * p * (ln_p + entropy);
        out[i] = if mask.is_empty() || mask[i] { gradient } else { 0.0 };
    }
}

/// The first allowed choice with the largest logit.
pub(super) fn largest(logits: &[f64], mask: &[bool], part: usize, column: usize) -> Result<usize> {
    let mut best: Option<usize> = None;
    for (i, &logit) in logits.iter().enumerate() {
        if !logit.is_finite() {
            return Err(not_finite(column + i, logit));
        }
        if (mask.is_empty() || mask[i]) && best.is_none_or(|b| logit > logits[b]) {
            best = Some(i);
        }
    }
    best.ok_or_else(|| nothing_allowed(part))
}

impl RowDistribution for Categorical {
    fn n_params(&self) -> usize {
        self.n
    }

    fn action_len(&self) -> usize {
        1
    }

    fn mask_len(&self) -> usize {
        self.n
    }

    /// p, ln p and the entropy.
    fn work_len(&self) -> usize {
        2 * self.n + 1
    }

    fn mode(&self, params: &[f64], mask: &[bool], action: &mut [f32]) -> Result<()> {
        action[0] = largest(params, mask, 0, 0)? as f32;
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
        let entropy = softmax(params, mask, &mut work[..2 * self.n], 0, 0)?;
        work[2 * self.n] = entropy;
        let a = choice(&work[..self.n], draw.uniform(0));
        action[0] = a as f32;
        Ok(Evaluation { log_prob: work[self.n + a], entropy })
    }

    fn evaluate(&self, params: &[f64], mask: &[bool], action: &[f32], work: &mut [f64]) -> Result<Evaluation> {
        let a = index(action[0], self.n, 0)?;
        let entropy = softmax(params, mask, &mut work[..2 * self.n], 0, 0)?;
        work[2 * self.n] = entropy;
        Ok(Evaluation { log_prob: ln_p(mask, &work[..2 * self.n], a), entropy })
    }

    fn evaluate_rows(
        &self,
        params: &[f64],
        masks: &[bool],
        actions: &[f32],
        work: &mut [f64],
        out: &mut [Evaluation],
    ) -> Result<()> {
        let (n, w) = (self.n, self.work_len());
        let mask_of = |i: usize| if masks.is_empty() { masks } else { &masks[i * n..][..n] };
        for (i, work) in work.chunks_exact_mut(w).enumerate() {
            let shifted = shift(&params[i * n..][..n], mask_of(i), &mut work[..2 * n], 0, 0);
            shifted.map_err(|error| at_row(error, i))?;
        }
        for work in work.chunks_exact_mut(w) {
            exponentials(&mut work[..n]);
        }
        for (i, (out, work)) in out.iter_mut().zip(work.chunks_exact_mut(w)).enumerate() {
            let a = index(actions[i], n, 0).map_err(|error| at_row(error, i))?;
            work[2 * n] = normalize(&mut work[..2 * n]);
            *out = Evaluation { log_prob: ln_p(mask_of(i), &work[..2 * n], a), entropy: work[2 * n] };
        }
        Ok(())
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
        let a = action[0] as usize;
        softmax_gradients(&work[..2 * self.n], mask, a, work[2 * self.n], d_log_prob, d_entropy, out);
    }
}
