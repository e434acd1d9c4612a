//! How far one distribution is from another of its kind.

use super::categorical::softmax;
use super::diag_gaussian::LOG_STD_LIMIT;
use super::{Distribution, RowDistribution};
use crate::error::{Error, Result};
use crate::math;

impl Distribution {
    /// KL(p ‖ q) = E over p of ln p − ln q, in nats, of two parameter rows, no choice forbidden. Squashing changes no
    /// divergence.
    ///
    /// # Errors
    /// Class `Value`: a wrong length, or a parameter that is not finite.
    ///
    /// ```
    /// use gbrl_core::rl::dist::Distribution;
    /// use gbrl_core::rl::space::Space;
    /// let coin = Distribution::for_space(&Space::discrete(2), false)?;
    /// let kl = coin.kl(&[0.0, 0.0], &[0.0, 3f64.ln()])?;
    /// assert!((kl - 0.5 * (0.5f64 / 0.25).ln() - 0.5 * (0.5f64 / 0.75).ln()).abs() < 1e-15);
    /// # Ok::<(), gbrl_core::Error>(())
    /// ```
    pub fn kl(&self, p: &[f64], q: &[f64]) -> Result<f64> {
        for row in [p, q] {
            if row.len() != self.n_params() {
                return Err(Error::shape("policy output", self.n_params(), row.len()));
            }
            if let Some(i) = row.iter().position(|x| !x.is_finite()) {
                return Err(super::not_finite(i, row[i]));
            }
        }
        match self {
            Distribution::Categorical(_) => categorical(p, q),
            Distribution::MultiCategorical(inner) => inner
                .parts()
                .try_fold(0.0, |sum, (_, from, n)| Ok(sum + categorical(&p[from..from + n], &q[from..from + n])?)),
            // A bit is a choice between the logits 0 and l.
            Distribution::Bernoulli(_) => {
                p.iter().zip(q).try_fold(0.0, |sum, (&p, &q)| Ok(sum + categorical(&[0.0, p], &[0.0, q])?))
            }
            Distribution::DiagGaussian(inner) => Ok(gaussian(p, q, inner.action_len())),
            Distribution::SquashedGaussian(inner) => Ok(gaussian(p, q, inner.action_len())),
        }
    }
}

fn categorical(p: &[f64], q: &[f64]) -> Result<f64> {
    let n = p.len();
    let (mut own, mut other) = (vec![0.0; 2 * n], vec![0.0; 2 * n]);
    softmax(p, &[], &mut own, 0, 0)?;
    softmax(q, &[], &mut other, 0, 0)?;
    let sum = (0..n).fold(0.0, |sum, i| sum + own[i] * (own[n + i] - other[n + i]));
    Ok(sum.max(0.0)) // Rounding may leave a little less.
}

/// Σ over dimensions of ln(σ_q/σ_p) + (σ_p² + (μ_p − μ_q)²) / 2σ_q² − ½.
fn gaussian(p: &[f64], q: &[f64], n: usize) -> f64 {
    (0..n).fold(0.0, |sum, i| {
        let log_std = |row: &[f64]| row[n + i].clamp(-LOG_STD_LIMIT, LOG_STD_LIMIT);
        let (own, other) = (log_std(p), log_std(q));
        let (ratio, z) = (math::exp(own - other), (p[i] - q[i]) * math::exp(-other));
        sum + (other - own + 0.5 * (ratio * ratio + z * z - 1.0)).max(0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::space::Space;
    use crate::rng::Stream;

    /// Against the mean of ln p − ln q over samples of p.
    #[test]
    fn it_is_what_samples_say() {
        let mut stream = Stream::new(0, "test", 0);
        let bounded = Space::bounded(&[-2.0, 0.0], &[2.0, 1.0]).unwrap();
        for (space, squash) in [
            (Space::discrete(4), false),
            (Space::MultiDiscrete { nvec: vec![3, 1, 2] }, false),
            (Space::MultiBinary { n: 3 }, false),
            (Space::unbounded(2), false),
            (bounded, true),
        ] {
            let distribution = Distribution::for_space(&space, squash).unwrap();
            let mut row = || (0..distribution.n_params()).map(|_| stream.range(-1.0, 1.0)).collect::<Vec<f64>>();
            let (p, q) = (row(), row());
            let mut work = vec![0.0; distribution.work_len()];
            let mut action = vec![0.0; distribution.action_len()];
            let (mut sum, mut squares, n) = (0.0, 0.0, 40_000);
            for _ in 0..n {
                let own = distribution.sample(&p, &[], &mut stream, &mut work, &mut action).unwrap().log_prob;
                let difference = own - distribution.evaluate(&q, &[], &action, &mut work).unwrap().log_prob;
                sum += difference;
                squares += difference * difference;
            }
            let (mean, n) = (sum / f64::from(n), f64::from(n));
            let error = ((squares / n - mean * mean) / n).sqrt();
            let kl = distribution.kl(&p, &q).unwrap();
            assert!((mean - kl).abs() < 4.0 * error && kl > 0.0, "{space:?}: {kl}, but {mean} ± {error}");
            assert_eq!(distribution.kl(&p, &p).unwrap(), 0.0);
        }
    }

    #[test]
    fn extremes_stay_finite_and_misuse_is_an_error() {
        let categorical = Distribution::for_space(&Space::discrete(2), false).unwrap();
        assert_eq!(categorical.kl(&[1e4, -1e4], &[-1e4, 1e4]).unwrap(), 2e4);
        let gaussian = Distribution::for_space(&Space::unbounded(1), false).unwrap();
        assert!(gaussian.kl(&[0.0, -30.0], &[1.0, 30.0]).unwrap().is_finite());
        let message = |p: &[f64], q: &[f64]| categorical.kl(p, q).unwrap_err().to_string();
        assert_eq!(message(&[0.0], &[0.0, 0.0]), "policy output: expected shape 2, got 1");
        assert_eq!(message(&[0.0, 0.0], &[0.0, f64::NAN]), "policy output[0, 1]: expected a finite number, got NaN");
    }
}
