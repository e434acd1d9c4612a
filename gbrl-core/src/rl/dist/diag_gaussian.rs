//! Independent normal distributions.

use serde::{Deserialize, Serialize};

use super::{Bounds, Draw, Evaluation, RowDistribution, not_finite};
use crate::error::Result;
use crate::math;

/// ½ ln 2π.
pub(super) const HALF_LN_TAU: f64 = 0.918_938_533_204_672_7;

/// Log standard deviations act as if they stood within ±this, with no gradient beyond, so that σ neither vanishes nor
/// overflows whatever the trees say.
pub const LOG_STD_LIMIT: f64 = 20.0;

/// Independent normals with mean μ and standard deviation σ = e^s per dimension.
///
/// With z = (a − μ)/σ: ln π = Σ(−½z² − s − ½ ln 2π), ∂/∂μ = z/σ, ∂/∂s = z² − 1; H = Σ(s + ½ + ½ ln 2π), ∂H/∂s = 1.
/// Row: A means, then A log standard deviations s. Action: the raw sample; the environment receives it clipped to
/// the space's bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiagGaussian {
    bounds: Bounds,
}

impl DiagGaussian {
    /// A distribution with one dimension per bound; infinite bounds do not clip.
    pub fn new(low: &[f32], high: &[f32]) -> Self {
        DiagGaussian { bounds: Bounds::new(low, high) }
    }
}

/// Fills `work[..n]` with z, `work[n..]` with 1/σ, and returns ln π and the entropy.
#[inline]
pub(super) fn evaluate(params: &[f64], action: &[f32], work: &mut [f64]) -> Result<Evaluation> {
    let n = action.len();
    let mut total = Evaluation::default();
    for i in 0..n {
        let (mean, log_std) = (params[i], params[n + i]);
        if !mean.is_finite() {
            return Err(not_finite(i, mean));
        }
        if !log_std.is_finite() {
            return Err(not_finite(n + i, log_std));
        }
        let s = log_std.clamp(-LOG_STD_LIMIT, LOG_STD_LIMIT);
        let inverse = math::exp(-s);
        let z = (f64::from(action[i]) - mean) * inverse;
        work[i] = z;
        work[n + i] = inverse;
        total.log_prob += -0.5 * z * z - s - HALF_LN_TAU;
        total.entropy += s + 0.5 + HALF_LN_TAU;
    }
    Ok(total)
}

/// Draws a raw action and evaluates it as stored, that is, rounded to f32.
#[inline]
pub(super) fn sample(params: &[f64], draw: &mut impl Draw, work: &mut [f64], action: &mut [f32]) -> Result<Evaluation> {
    let n = action.len();
    for i in 0..n {
        let s = params[n + i].clamp(-LOG_STD_LIMIT, LOG_STD_LIMIT);
        action[i] = (params[i] + math::exp(s) * draw.normal(i)) as f32;
    }
    evaluate(params, action, work)
}

/// The gradients of ln π alone, times `d_log_prob`, and of the entropy Σs, times `d_entropy`.
#[inline]
pub(super) fn gradients(params: &[f64], work: &[f64], d_log_prob: f64, d_entropy: f64, out: &mut [f64]) {
    let n = out.len() / 2;
    for i in 0..n {
        let (z, inverse) = (work[i], work[n + i]);
        out[i] = d_log_prob * z * inverse;
        let inside = params[n + i].abs() <= LOG_STD_LIMIT;
        out[n + i] = if inside { d_log_prob * (z * z - 1.0) + d_entropy } else { 0.0 };
    }
}

/// Copies the means, checked.
pub(super) fn mode(params: &[f64], action: &mut [f32]) -> Result<()> {
    for (i, action) in action.iter_mut().enumerate() {
        if !params[i].is_finite() {
            return Err(not_finite(i, params[i]));
        }
        *action = params[i] as f32;
    }
    Ok(())
}

impl RowDistribution for DiagGaussian {
    fn n_params(&self) -> usize {
        2 * self.action_len()
    }

    fn action_len(&self) -> usize {
        self.bounds.low().len()
    }

    fn work_len(&self) -> usize {
        2 * self.action_len()
    }

    fn mode(&self, params: &[f64], _mask: &[bool], action: &mut [f32]) -> Result<()> {
        mode(params, action)
    }

    fn sample(
        &self,
        params: &[f64],
        _mask: &[bool],
        draw: &mut impl Draw,
        work: &mut [f64],
        action: &mut [f32],
    ) -> Result<Evaluation> {
        sample(params, draw, work, action)
    }

    fn evaluate(&self, params: &[f64], _mask: &[bool], action: &[f32], work: &mut [f64]) -> Result<Evaluation> {
        evaluate(params, action, work)
    }

    fn gradients(
        &self,
        params: &[f64],
        _mask: &[bool],
        _action: &[f32],
        work: &[f64],
        d_log_prob: f64,
        d_entropy: f64,
        out: &mut [f64],
    ) {
        gradients(params, work, d_log_prob, d_entropy, out);
    }

    fn to_env(&self, action: &[f32], out: &mut [f32]) {
        for (i, (out, &a)) in out.iter_mut().zip(action).enumerate() {
            *out = a.max(self.bounds.low()[i]).min(self.bounds.high()[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rl::dist::Distribution;
    use crate::rl::space::Space;
    use crate::rng::Stream;

    #[test]
    fn the_standard_normal_is_as_in_the_tables() {
        let distribution = Distribution::for_space(&Space::unbounded(1), false).unwrap();
        let mut work = vec![0.0; distribution.work_len()];
        let at = distribution.evaluate(&[0.0, 0.0], &[], &[1.0], &mut work).unwrap();
        assert!((at.log_prob + 1.418_938_533_204_672_7).abs() < 1e-15);
        assert!((at.entropy - 1.418_938_533_204_672_7).abs() < 1e-15);
    }

    #[test]
    fn samples_have_the_moments_and_are_clipped_only_for_the_environment() {
        let distribution = Distribution::for_space(&Space::bounded(&[-1.0], &[0.5]).unwrap(), false).unwrap();
        let (mut work, mut action, mut sent) = (vec![0.0; 2], [0.0f32], [0.0f32]);
        let mut stream = Stream::new(1, "test", 0);
        let (mut sum, mut square, n) = (0.0, 0.0, 100_000);
        for _ in 0..n {
            distribution.sample(&[0.5, 2f64.ln()], &[], &mut stream, &mut work, &mut action).unwrap();
            distribution.to_env(&action, &mut sent).unwrap();
            assert_eq!(sent[0], action[0].clamp(-1.0, 0.5));
            sum += f64::from(action[0]);
            square += f64::from(action[0]) * f64::from(action[0]);
        }
        let mean = sum / f64::from(n);
        assert!((mean - 0.5).abs() < 0.03 && (square / f64::from(n) - mean * mean - 4.0).abs() < 0.1);
    }

    #[test]
    fn a_runaway_log_std_stays_usable_and_stops_learning() {
        let distribution = Distribution::for_space(&Space::unbounded(1), false).unwrap();
        let (mut work, mut out) = (vec![0.0; 2], [f64::NAN; 2]);
        for s in [-1e6, 1e6] {
            let at = distribution.evaluate(&[0.0, s], &[], &[0.5], &mut work).unwrap();
            distribution.gradients(&[0.0, s], &[], &[0.5], &work, 1.0, 1.0, &mut out).unwrap();
            assert!(at.log_prob.is_finite() && out[0].is_finite() && out[1] == 0.0);
        }
    }
}
