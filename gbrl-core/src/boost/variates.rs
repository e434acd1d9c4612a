//! Control variates: gradients less what earlier trees already said about them, so that their variance falls and
//! their mean stays.
//!
//! Per row and output, ema = the exponential average (β = 0.9) of the mean gradients of the leaves that earlier trees
//! sent the row to, divided by √(1 − βᵀ) after T trees. Over the batch, per output,
//! g −= α·(ema − mean(ema)) with α = cov(g, ema)/var(ema) clamped to [−1, 1], 0 where var is 0.

use std::ops::Range;

/// Decay of the average.
pub(super) const BETA: f64 = 0.9;

/// βᵀ is below the last bit of 1 from this T on.
pub(super) const LONG_AGO: usize = 400;

/// Corrects gradients of `columns` in place; `averages` are the uncorrected ones of the same rows. Both row-major
/// `[n, n_outputs]`; `n_trees` have had these columns.
pub(super) fn correct(
    gradients: &mut [f32],
    averages: &[f32],
    (n_outputs, columns): (usize, Range<usize>),
    n_trees: usize,
) {
    let n = gradients.len() / n_outputs.max(1);
    if n == 0 || n_trees == 0 {
        return;
    }
    let mut power = 1.0;
    for _ in 0..n_trees.min(LONG_AGO) {
        power *= BETA;
    }
    let correction = 1.0 / (1.0 - power).sqrt();
    for d in columns {
        let ema = |i: usize| f64::from(averages[i * n_outputs + d]) * correction;
        let g = |gradients: &[f32], i: usize| f64::from(gradients[i * n_outputs + d]);
        let (mut sum_g, mut sum_e) = (0.0, 0.0);
        for i in 0..n {
            sum_g += g(gradients, i);
            sum_e += ema(i);
        }
        let (mean_g, mean_e) = (sum_g / n as f64, sum_e / n as f64);
        let (mut covariance, mut variance) = (0.0, 0.0);
        for i in 0..n {
            let e = ema(i) - mean_e;
            covariance += (g(gradients, i) - mean_g) * e;
            variance += e * e;
        }
        if variance > 0.0 {
            let alpha = (covariance / variance).clamp(-1.0, 1.0);
            for i in 0..n {
                let corrected = g(gradients, i) - alpha * (ema(i) - mean_e);
                gradients[i * n_outputs + d] = corrected as f32;
            }
        }
    }
}

/// The average after one more tree, whose leaf value was −rate · mean gradient. Nothing is known of the gradient where
/// the rate was 0.
pub(super) fn advance(average: f32, value: f32, rate: f32) -> f32 {
    let gradient = if rate == 0.0 { 0.0 } else { -f64::from(value) / f64::from(rate) };
    (BETA * f64::from(average) + (1.0 - BETA) * gradient) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn the_mean_stays_and_the_variance_does_not_grow() {
        let mut stream = Stream::new(0, "test", 0);
        let n = 500;
        let averages: Vec<f32> = (0..2 * n).map(|_| stream.normal() as f32).collect();
        let mut gradients: Vec<f32> = averages.iter().map(|a| 0.8 * a + 0.5 * stream.normal() as f32 + 2.0).collect();
        let before = gradients.clone();
        correct(&mut gradients, &averages, (2, 0..2), 7);
        let moments = |x: &[f32]| crate::tree::quantise::moments(x.iter().copied());
        let ((m0, s0), (m1, s1)) = (moments(&before), moments(&gradients));
        assert!((m0 - m1).abs() < 1e-6 && s1 < 0.8 * s0, "{m0} {s0} {m1} {s1}");
    }

    #[test]
    fn without_history_nothing_changes() {
        let mut gradients = vec![1.0, -2.0, 3.0];
        correct(&mut gradients, &[0.0; 3], (1, 0..1), 0);
        assert_eq!(gradients, [1.0, -2.0, 3.0]);
    }
}
