//! Exploration that keeps its direction for a while: a Gaussian policy's noise, correlated over the steps of an episode.
//!
//! An episode starts with ε₀ = ξ₀ and goes on with ε_t = ρ·ε_{t−1} + √(1 − ρ²)·ξ_t, ξ_t ~ N(0, 1), for each environment
//! and action dimension by itself. Every ε_t is N(0, 1), so the action μ + σ·ε_t has the density that the policy states,
//! which is the one stored; only successive actions depend on one another, over about 1/(1 − ρ) steps. Learning takes
//! them for independent, as with other noise in on-policy learning (Hollenstein et al. 2023, *Colored noise in PPO*).

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::rl::dist::Distribution;
use crate::rng::Stream;

/// ε of every environment, and how it goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Noise {
    correlation: f64,
    /// Of the step before, `[n_envs, n_actions]`.
    epsilon: Vec<f64>,
    /// Environments whose next step is the first of an episode.
    fresh: Vec<bool>,
}

/// Refuses a correlation other than 0 for a policy that has no such noise.
pub(super) fn check(distribution: &Distribution, correlation: f64) -> Result<()> {
    if correlation == 0.0 || distribution.gaussian_len().is_some() {
        return Ok(());
    }
    let reason = "only Gaussian policies, which Box actions have, draw noise that can last";
    Err(Error::unsupported("noise_correlation", "for discrete actions", reason))
}

impl Noise {
    /// Noise that starts anew everywhere; `None` where draws are independent.
    pub(super) fn new(distribution: &Distribution, n_envs: usize, correlation: f64) -> Option<Self> {
        let n_actions = distribution.gaussian_len().filter(|_| correlation > 0.0)?;
        Some(Noise { correlation, epsilon: vec![0.0; n_envs * n_actions], fresh: vec![true; n_envs] })
    }

    /// Goes on from `state` by its own correlation; where independent draws came before, it starts anew.
    pub(super) fn restore(&mut self, state: Option<&Noise>) -> Result<()> {
        let Some(state) = state else {
            self.fresh.fill(true);
            return Ok(());
        };
        let (expected, got) = ((self.fresh.len(), self.epsilon.len()), (state.fresh.len(), state.epsilon.len()));
        if expected != got {
            let text = |(n_envs, n): (usize, usize)| format!("{n} numbers for {n_envs} environments");
            return Err(Error::format("agent's state", "exploration noise", text(expected), text(got)));
        }
        *self = Noise { correlation: self.correlation, ..state.clone() };
        Ok(())
    }

    /// Starts anew in one environment.
    pub(super) fn restart(&mut self, env_idx: usize) {
        self.fresh[env_idx] = true;
    }

    /// ε of one environment's next step. Draws one normal per action dimension.
    pub(super) fn next(&mut self, env_idx: usize, stream: &mut Stream) -> &[f64] {
        let n = self.epsilon.len() / self.fresh.len();
        let kept = if std::mem::take(&mut self.fresh[env_idx]) { 0.0 } else { self.correlation };
        let drawn = (1.0 - kept * kept).sqrt();
        let epsilon = &mut self.epsilon[env_idx * n..][..n];
        for x in epsilon.iter_mut() {
            *x = kept * *x + drawn * stream.normal();
        }
        epsilon
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;
    use crate::rl::space::Space;

    fn gaussian(n: usize) -> Distribution {
        Distribution::for_space(&Space::unbounded(n), false).unwrap()
    }

    /// ε is the weighted sum of all that was drawn: ρ^t·ξ₀ + √(1 − ρ²)·Σ ρ^(t − k)·ξ_k.
    #[test]
    fn it_is_the_sum_of_everything_drawn_since_the_episode_began() {
        let rho: f64 = 0.8;
        let mut noise = Noise::new(&gaussian(2), 3, rho).unwrap();
        let (mut stream, mut same) = (Stream::new(1, "test", 0), Stream::new(1, "test", 0));
        let mut drawn: Vec<Vec<[f64; 2]>> = vec![Vec::new(); 3];
        for step in 0..40 {
            for env in 0..3 {
                if step % (7 + env) == 6 {
                    noise.restart(env);
                    drawn[env].clear();
                }
                let epsilon = noise.next(env, &mut stream).to_vec();
                drawn[env].push([same.normal(), same.normal()]);
                for (i, &epsilon) in epsilon.iter().enumerate() {
                    let t = drawn[env].len() - 1;
                    let term = |k: usize| {
                        let weight = if k == 0 { 1.0 } else { (1.0 - rho * rho).sqrt() };
                        weight * rho.powi((t - k) as i32) * drawn[env][k][i]
                    };
                    let expected: f64 = (0..=t).map(term).sum();
                    assert!((epsilon - expected).abs() < 1e-12, "step {step}, environment {env}");
                }
            }
        }
    }

    #[test]
    fn every_step_is_standard_normal_and_remembers_as_told() {
        for rho in [0.5, 0.95] {
            let n = 4000;
            let mut noise = Noise::new(&gaussian(1), n, rho).unwrap();
            let mut stream = Stream::new(2, "test", 0);
            let mut before = vec![0.0; n];
            for step in 0..6 {
                let now: Vec<f64> = (0..n).map(|env| noise.next(env, &mut stream)[0]).collect();
                let mean = |of: &dyn Fn(usize) -> f64| (0..n).map(of).sum::<f64>() / n as f64;
                // Standard deviations of these means are 0.016, 0.022 and at most 0.016.
                assert!(mean(&|i| now[i]).abs() < 0.08, "{rho} {step}");
                assert!((mean(&|i| now[i] * now[i]) - 1.0).abs() < 0.1, "{rho} {step}");
                let expected = if step == 0 { 0.0 } else { rho };
                assert!((mean(&|i| now[i] * before[i]) - expected).abs() < 0.1, "{rho} {step}");
                before = now;
            }
        }
    }

    #[test]
    fn independent_draws_need_none_and_discrete_actions_have_none() {
        assert_eq!(Noise::new(&gaussian(1), 2, 0.0), None);
        let discrete = Distribution::for_space(&Space::discrete(2), false).unwrap();
        check(&discrete, 0.0).unwrap();
        check(&gaussian(1), 0.9).unwrap();
        let error = check(&discrete, 0.9).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Unsupported);
        assert!(error.to_string().contains("noise_correlation"), "{error}");
    }

    #[test]
    fn a_state_of_other_sizes_is_refused() {
        let mut noise = Noise::new(&gaussian(2), 2, 0.5).unwrap();
        for other in [Noise::new(&gaussian(1), 2, 0.5), Noise::new(&gaussian(1), 4, 0.5)] {
            assert_eq!(noise.restore(other.as_ref()).unwrap_err().class(), ErrorClass::Format);
        }
        let mut moved = Noise::new(&gaussian(2), 2, 0.9).unwrap();
        moved.next(1, &mut Stream::new(3, "test", 0));
        noise.restore(Some(&moved)).unwrap();
        assert_eq!((noise.correlation, &noise.epsilon, &noise.fresh), (0.5, &moved.epsilon, &vec![true, false]));
        noise.restore(None).unwrap();
        assert_eq!(noise.fresh, [true, true]);
    }
}
