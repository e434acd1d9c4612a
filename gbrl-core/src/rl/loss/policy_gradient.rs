//! Weighted log-likelihood: the policy gradient of A2C (weights are advantages) and of AWR (weights are exp(A/β)).

use crate::math;

/// The loss of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PolicyGradient {
    /// −w·ln π(action).
    pub loss: f64,
    /// ∂loss/∂ln π(action).
    pub d_log_prob: f64,
}

/// loss = −w·ln π(action), ∂loss/∂ln π = −w.
///
/// Where the policy is still the one that acted and w is the advantage, this is the gradient of
/// [`clipped_surrogate`](super::clipped_surrogate).
///
/// ```
/// use gbrl_core::rl::loss::policy_gradient;
/// let at = policy_gradient(-0.5, 2.0);
/// assert_eq!((at.loss, at.d_log_prob), (1.0, -2.0));
/// ```
#[inline]
pub fn policy_gradient(log_prob: f64, weight: f64) -> PolicyGradient {
    PolicyGradient { loss: -(weight * log_prob), d_log_prob: -weight }
}

/// The weight of a row in advantage-weighted regression (Peng et al. 2019): min(exp(A/β), w_max).
///
/// ```
/// use gbrl_core::rl::loss::advantage_weight;
/// assert_eq!(advantage_weight(0.0, 0.05, 20.0), 1.0);
/// assert_eq!(advantage_weight(1e9, 0.05, 20.0), 20.0);
/// ```
#[inline]
pub fn advantage_weight(advantage: f64, beta: f64, max_weight: f64) -> f64 {
    math::exp(advantage / beta).min(max_weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::loss::clipped_surrogate;

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let h = 1e-6;
        for weight in [-2.0, 0.0, 0.3, 20.0] {
            for i in -30..3 {
                let log_prob = f64::from(i) * 0.3;
                let at = |x| policy_gradient(x, weight).loss;
                let numeric = (at(log_prob + h) - at(log_prob - h)) / (2.0 * h);
                assert!((numeric - policy_gradient(log_prob, weight).d_log_prob).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn at_ratio_1_it_is_the_clipped_surrogate() {
        for advantage in [-3.0, 0.0, 0.7] {
            let clipped = clipped_surrogate(-1.3, -1.3, advantage, 0.2);
            assert_eq!(policy_gradient(-1.3, advantage).d_log_prob, clipped.d_log_prob);
        }
    }

    #[test]
    fn weights_rise_with_the_advantage_and_stay_finite() {
        let weights: Vec<f64> = (-50..50).map(|i| advantage_weight(f64::from(i) * 0.1, 0.7, 20.0)).collect();
        assert!(weights.is_sorted() && weights[0] > 0.0 && weights[99] == 20.0);
        assert_eq!(advantage_weight(-1e300, 1e-3, 20.0), 0.0);
        assert_eq!(advantage_weight(1e300, 1e-3, 20.0), 20.0);
    }
}
