//! The clipped surrogate of proximal policy optimisation (Schulman et al. 2017).

use crate::math;

/// Log-ratios act as if they stood within ±this: e^20 is 5·10⁸, far beyond any clip, and e^∞·0 would be NaN.
const LOG_RATIO_LIMIT: f64 = 20.0;

/// The clipped surrogate of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surrogate {
    /// −min(r·A, clip(r, 1−ε, 1+ε)·A).
    pub loss: f64,
    /// ∂loss/∂ln π(action).
    pub d_log_prob: f64,
    /// (r − 1) − ln r ≥ 0: its mean estimates KL(old ‖ new) with low variance.
    pub kl: f64,
    /// |r − 1| > ε.
    pub clipped: bool,
}

/// The clipped surrogate loss of one row, with r = π(action)/π_old(action) = exp(log_prob − old_log_prob):
///
/// loss = −min(r·A, clip(r, 1−ε, 1+ε)·A), ∂loss/∂ln π = −A·r where the first is the smaller (or both are equal), else 0.
///
/// ```
/// use gbrl_core::rl::loss::clipped_surrogate;
/// let at = clipped_surrogate(-0.5, -0.5, 2.0, 0.2);
/// assert_eq!((at.loss, at.d_log_prob, at.kl, at.clipped), (-2.0, -2.0, 0.0, false));
/// ```
#[inline]
pub fn clipped_surrogate(log_prob: f64, old_log_prob: f64, advantage: f64, clip_range: f64) -> Surrogate {
    let log_ratio = log_ratio(log_prob, old_log_prob);
    surrogate_of_ratio(log_ratio, math::exp(log_ratio), advantage, clip_range)
}

/// ln r, limited.
#[inline]
pub(crate) fn log_ratio(log_prob: f64, old_log_prob: f64) -> f64 {
    (log_prob - old_log_prob).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
}

/// The same from a ratio that is known already, for loops that take many exponentials at once.
#[inline]
pub(crate) fn surrogate_of_ratio(log_ratio: f64, ratio: f64, advantage: f64, clip_range: f64) -> Surrogate {
    let free = ratio * advantage;
    let held = ratio.clamp(1.0 - clip_range, 1.0 + clip_range) * advantage;
    Surrogate {
        loss: -free.min(held),
        d_log_prob: if free <= held { -free } else { 0.0 },
        kl: (ratio - 1.0) - log_ratio,
        clipped: (ratio - 1.0).abs() > clip_range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let h = 1e-6;
        for advantage in [-3.0, -0.1, 0.0, 0.5, 2.0] {
            for i in -30..30 {
                // Halfway between the kinks at ln 0.8 and ln 1.2.
                let log_prob = f64::from(i) * 0.0371 + 0.004;
                let at = |x| clipped_surrogate(x, 0.0, advantage, 0.2).loss;
                let numeric = (at(log_prob + h) - at(log_prob - h)) / (2.0 * h);
                let analytic = clipped_surrogate(log_prob, 0.0, advantage, 0.2).d_log_prob;
                assert!((numeric - analytic).abs() < 1e-6, "{advantage} {log_prob}: {numeric} {analytic}");
            }
        }
    }

    #[test]
    fn the_gradient_stops_only_where_the_ratio_has_moved_far_the_right_way() {
        let d = |log_prob, advantage| clipped_surrogate(log_prob, 0.0, advantage, 0.2).d_log_prob;
        assert_eq!((d(0.5, 1.0), d(-0.5, -1.0)), (0.0, 0.0));
        assert!(d(-0.5, 1.0) < 0.0 && d(0.5, -1.0) > 0.0);
    }

    #[test]
    fn extreme_ratios_stay_finite() {
        for log_prob in [-1e4, 1e4, f64::NEG_INFINITY] {
            for advantage in [-1.0, 0.0, 1.0] {
                let at = clipped_surrogate(log_prob, -1.0, advantage, 0.2);
                assert!(at.loss.is_finite() && at.d_log_prob.is_finite() && at.kl.is_finite() && at.clipped);
            }
        }
    }

    #[test]
    fn the_kl_estimate_is_never_negative() {
        assert!((-100..100).all(|i| clipped_surrogate(f64::from(i) * 0.01, 0.0, 1.0, 0.2).kl >= 0.0));
    }
}
