//! Independent bits, one logit each.

use serde::{Deserialize, Serialize};

use super::{Draw, Evaluation, RowDistribution, index, not_finite, nothing_allowed};
use crate::error::Result;
use crate::math;

/// n independent bits with P(bit = 1) = σ(l) = 1/(1 + e^−l).
///
/// ln P(1) = −ln(1 + e^−l), ln P(0) = −ln(1 + e^l), ∂ln P(b)/∂l = b − σ(l);
/// H = ln(1 + e^−|l|) + |l|·σ(−|l|), ∂H/∂l = −l·σ(l)·σ(−l).
/// Row: n logits. Action: n zeros and ones. Mask: two flags per bit, that of 0 first; a bit with one allowed value is
/// certain and has no gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bernoulli {
    n: usize,
}

/// What a mask leaves of one bit.
enum Bit {
    Free,
    Fixed(bool),
}

impl Bernoulli {
    /// A distribution over `n` bits.
    pub fn new(n: usize) -> Self {
        Bernoulli { n }
    }

    fn bit(params: &[f64], mask: &[bool], i: usize) -> Result<Bit> {
        if !params[i].is_finite() {
            return Err(not_finite(i, params[i]));
        }
        if mask.is_empty() {
            return Ok(Bit::Free);
        }
        match (mask[2 * i], mask[2 * i + 1]) {
            (true, true) => Ok(Bit::Free),
            (false, false) => Err(nothing_allowed(i)),
            (_, one) => Ok(Bit::Fixed(one)),
        }
    }
}

/// σ(−|l|) and ln(1 + e^−|l|).
fn tail(logit: f64) -> (f64, f64) {
    let e = math::exp(-logit.abs());
    (e / (1.0 + e), math::ln(1.0 + e))
}

/// σ(l) from σ(−|l|), which keeps its last bits where the probability is close to 0.
fn sigma(logit: f64, tail: f64) -> f64 {
    if logit >= 0.0 { 1.0 - tail } else { tail }
}

/// ln P(bit) from ln(1 + e^−|l|).
fn ln_p(logit: f64, softplus: f64, one: bool) -> f64 {
    if one == (logit >= 0.0) { -softplus } else { -softplus - logit.abs() }
}

// Work: σ(−|l|) per bit, or −1 for a bit that the mask fixes.
impl RowDistribution for Bernoulli {
    fn n_params(&self) -> usize {
        self.n
    }

    fn action_len(&self) -> usize {
        self.n
    }

    fn mask_len(&self) -> usize {
        2 * self.n
    }

    fn work_len(&self) -> usize {
        self.n
    }

    fn mode(&self, params: &[f64], mask: &[bool], action: &mut [f32]) -> Result<()> {
        for i in 0..self.n {
            let one = match Self::bit(params, mask, i)? {
                Bit::Free => params[i] > 0.0,
                Bit::Fixed(one) => one,
            };
            action[i] = f32::from(u8::from(one));
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
        let mut total = Evaluation::default();
        for i in 0..self.n {
            let u = draw.uniform(i);
            match Self::bit(params, mask, i)? {
                Bit::Fixed(one) => {
                    action[i] = f32::from(u8::from(one));
                    work[i] = -1.0;
                }
                Bit::Free => {
                    let (rare, softplus) = tail(params[i]);
                    let one = u < sigma(params[i], rare);
                    action[i] = f32::from(u8::from(one));
                    work[i] = rare;
                    total.log_prob += ln_p(params[i], softplus, one);
                    total.entropy += softplus + params[i].abs() * rare;
                }
            }
        }
        Ok(total)
    }

    fn evaluate(&self, params: &[f64], mask: &[bool], action: &[f32], work: &mut [f64]) -> Result<Evaluation> {
        let mut total = Evaluation::default();
        for i in 0..self.n {
            let one = index(action[i], 2, i)? == 1;
            match Self::bit(params, mask, i)? {
                Bit::Fixed(allowed) => {
                    work[i] = -1.0;
                    if one != allowed {
                        total.log_prob = f64::NEG_INFINITY;
                    }
                }
                Bit::Free => {
                    let (rare, softplus) = tail(params[i]);
                    work[i] = rare;
                    total.log_prob += ln_p(params[i], softplus, one);
                    total.entropy += softplus + params[i].abs() * rare;
                }
            }
        }
        Ok(total)
    }

    fn gradients(
        &self,
        params: &[f64],
        _mask: &[bool],
        action: &[f32],
        work: &[f64],
        d_log_prob: f64,
        d_entropy: f64,
        out: &mut [f64],
    ) {
        for i in 0..self.n {
            let rare = work[i];
            out[i] = if rare < 0.0 {
                0.0
            } else {
                let p = sigma(params[i], rare);
                d_log_prob * (f64::from(action[i]) - p) - d_entropy * params[i] * rare * (1.0 - rare)
            };
        }
    }
}
