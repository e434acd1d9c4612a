//! Independent normals squashed into bounds by tanh.

use serde::{Deserialize, Serialize};

use super::{Bounds, Draw, Evaluation, RowDistribution, diag_gaussian};
use crate::error::{Error, Result};
use crate::math;

/// Nodes above 0 and weights of the 16-point Gauss–Hermite rule for the standard normal; the rule is symmetric.
const NODES: [(f64, f64); 8] = [
    (0.3867606045005573, 0.28656852123801213),
    (1.1638291005549648, 0.1583383727509496),
    (1.9519803457163334, 0.047284752354014026),
    (2.7602450476307014, 0.007266937601184733),
    (3.600873624171548, 0.0005259849265739092),
    (4.492955302520011, 1.5300032162487272e-05),
    (5.472225705949343, 1.3094732162868227e-07),
    (6.630878198393129, 1.4978147231618397e-10),
];

/// tanh of independent normals, scaled to finite bounds.
///
/// With u ~ N(μ, σ²) as in [`DiagGaussian`](super::DiagGaussian), the action is low + (high − low)(tanh u + 1)/2.
/// ln π = ln N(u) − Σ ln(1 − tanh² u), the density of tanh u: the constant ln((high − low)/2) of the scaling is left
/// out. u itself is stored as the action, so no inverse of tanh is ever needed, the correction does not depend on the
/// parameters, and ∂ln π/∂params is that of the normal.
///
/// The entropy has no closed form: H = H(N) + E ln(1 − tanh² u), the expectation by 16-point Gauss–Hermite
/// quadrature, and its gradient is that of the quadrature (∂/∂u ln(1 − tanh² u) = −2 tanh u).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SquashedGaussian {
    bounds: Bounds,
}

impl SquashedGaussian {
    /// A distribution with one dimension per bound.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::error::ErrorKind::Unsupported) when a bound is infinite.
    pub fn new(low: &[f32], high: &[f32]) -> Result<Self> {
        if let Some(i) = low.iter().zip(high).position(|(l, h)| !(l.is_finite() && h.is_finite())) {
            let condition = format!("for action dimension {i} in [{}, {}]", low[i], high[i]);
            return Err(Error::unsupported("squashing actions", condition, "the bounds must be finite"));
        }
        Ok(SquashedGaussian { bounds: Bounds::new(low, high) })
    }

    /// Adds Σ E ln(1 − tanh² u), and −Σ ln(1 − tanh² a) to the log-probability.
    fn correct(params: &[f64], action: &[f32], mut at: Evaluation) -> Evaluation {
        let n = action.len();
        for i in 0..n {
            at.log_prob -= ln_slope(f64::from(action[i]));
            let sigma = sigma(params[n + i]);
            for (node, weight) in NODES {
                at.entropy += weight * (ln_slope(params[i] + sigma * node) + ln_slope(params[i] - sigma * node));
            }
        }
        at
    }
}

fn sigma(log_std: f64) -> f64 {
    math::exp(log_std.clamp(-diag_gaussian::LOG_STD_LIMIT, diag_gaussian::LOG_STD_LIMIT))
}

/// ln(1 − tanh² u) = 2(ln 2 − |u| − ln(1 + e^(−2|u|))), which neither overflows nor cancels.
fn ln_slope(u: f64) -> f64 {
    let a = u.abs();
    2.0 * (std::f64::consts::LN_2 - a - math::ln(1.0 + math::exp(-2.0 * a)))
}

impl RowDistribution for SquashedGaussian {
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
        diag_gaussian::mode(params, action)
    }

    fn sample(
        &self,
        params: &[f64],
        _mask: &[bool],
        draw: &mut impl Draw,
        work: &mut [f64],
        action: &mut [f32],
    ) -> Result<Evaluation> {
        let at = diag_gaussian::sample(params, draw, work, action)?;
        Ok(Self::correct(params, action, at))
    }

    fn evaluate(&self, params: &[f64], _mask: &[bool], action: &[f32], work: &mut [f64]) -> Result<Evaluation> {
        let at = diag_gaussian::evaluate(params, action, work)?;
        Ok(Self::correct(params, action, at))
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
        diag_gaussian::gradients(params, work, d_log_prob, d_entropy, out);
        if d_entropy == 0.0 {
            return;
        }
        let n = out.len() / 2;
        for i in 0..n {
            let sigma = sigma(params[n + i]);
            let inside = params[n + i].abs() <= diag_gaussian::LOG_STD_LIMIT;
            for (node, weight) in NODES {
                let up = -2.0 * math::tanh(params[i] + sigma * node);
                let down = -2.0 * math::tanh(params[i] - sigma * node);
                out[i] += d_entropy * weight * (up + down);
                if inside {
                    out[n + i] += d_entropy * weight * (up - down) * sigma * node;
                }
            }
        }
    }

    fn to_env(&self, action: &[f32], out: &mut [f32]) {
        for (i, (out, &u)) in out.iter_mut().zip(action).enumerate() {
            let (low, high) = (f64::from(self.bounds.low()[i]), f64::from(self.bounds.high()[i]));
            let scaled = low + (high - low) * (0.5 * (math::tanh(f64::from(u)) + 1.0));
            *out = (scaled as f32).max(self.bounds.low()[i]).min(self.bounds.high()[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rl::dist::Distribution;
    use crate::rl::space::Space;

    #[test]
    fn actions_stay_within_the_bounds() {
        let distribution = Distribution::for_space(&Space::bounded(&[-2.0], &[6.0]).unwrap(), true).unwrap();
        let mut sent = [0.0];
        for (raw, expected) in [(-1e9, -2.0), (0.0, 2.0), (1e9, 6.0)] {
            distribution.to_env(&[raw], &mut sent).unwrap();
            assert_eq!(sent, [expected]);
        }
        let json = serde_json::to_string(&distribution).unwrap();
        assert_eq!(serde_json::from_str::<Distribution>(&json).unwrap(), distribution);
    }

    #[test]
    fn extreme_samples_have_finite_densities() {
        let distribution = Distribution::for_space(&Space::bounded(&[-1.0], &[1.0]).unwrap(), true).unwrap();
        let mut work = vec![0.0; distribution.work_len()];
        for u in [-1e3, 0.0, 1e3] {
            let at = distribution.evaluate(&[0.0, 0.0], &[], &[u], &mut work).unwrap();
            assert!(at.log_prob.is_finite() && at.entropy.is_finite());
        }
    }
}
