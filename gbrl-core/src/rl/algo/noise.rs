//! Exploration that keeps its direction for a while: the random numbers that actions are made of, correlated over the
//! steps of an episode, for each environment and number of its action by itself.
//!
//! A Gaussian's go on as ε_t = ρ·ε_{t−1} + √(1 − ρ²)·ξ_t with ξ_t ~ N(0, 1); the uniform number that a discrete choice
//! is made by stays what it was with probability ρ and is drawn anew otherwise. Either way every number has the
//! distribution of an independent one, so an action has the probability that the policy states, which is the one stored;
//! only successive actions depend on one another, over about 1/(1 − ρ) steps. Learning takes them for independent, as
//! with other noise in on-policy learning (Hollenstein et al. 2023, *Colored noise in PPO*).

use serde::{Deserialize, Serialize};

use crate::config::Schedule;
use crate::error::{Error, Result};
use crate::rl::dist::{Distribution, Draw};
use crate::rng::Stream;

/// The numbers of every environment, and how they go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Noise {
    correlation: f64,
    /// Of the step before, `[n_envs, action_len]`.
    numbers: Vec<f64>,
    /// Environments whose next step is the first of an episode.
    fresh: Vec<bool>,
}

impl Noise {
    /// Noise that starts anew everywhere, at the start of its schedule; `None` where draws are always independent.
    pub(super) fn new(distribution: &Distribution, n_envs: usize, correlation: Schedule) -> Option<Self> {
        let numbers = vec![0.0; n_envs * distribution.action_len()];
        let (start, end) = correlation.ends();
        (start.max(end) > 0.0).then(|| Noise { correlation: start, numbers, fresh: vec![true; n_envs] })
    }

    /// Correlates what is drawn from now on by another factor.
    pub(super) fn set_correlation(&mut self, correlation: f64) {
        self.correlation = correlation;
    }

    /// Goes on from `state` by its own correlation; where independent draws came before, it starts anew.
    pub(super) fn restore(&mut self, state: Option<&Noise>) -> Result<()> {
        let Some(state) = state else {
            self.fresh.fill(true);
            return Ok(());
        };
        let (expected, got) = ((self.fresh.len(), self.numbers.len()), (state.fresh.len(), state.numbers.len()));
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

    /// The numbers of one environment's next step.
    pub(super) fn next<'a>(&'a mut self, env_idx: usize, stream: &'a mut Stream) -> Correlated<'a> {
        let n = self.numbers.len() / self.fresh.len();
        let kept = if std::mem::take(&mut self.fresh[env_idx]) { 0.0 } else { self.correlation };
        Correlated { kept, numbers: &mut self.numbers[env_idx * n..][..n], stream }
    }
}

/// A step's numbers, made of those of the step before.
pub(super) struct Correlated<'a> {
    /// ρ, or 0 at the start of an episode.
    kept: f64,
    numbers: &'a mut [f64],
    stream: &'a mut Stream,
}

impl Draw for Correlated<'_> {
    fn normal(&mut self, i: usize) -> f64 {
        self.numbers[i] = self.kept * self.numbers[i] + (1.0 - self.kept * self.kept).sqrt() * self.stream.normal();
        self.numbers[i]
    }

    fn uniform(&mut self, i: usize) -> f64 {
        let (turn, new) = (self.stream.uniform(), self.stream.uniform());
        if turn >= self.kept {
            self.numbers[i] = new;
        }
        self.numbers[i]
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

    fn constant(n_numbers: usize, n_envs: usize, rho: f64) -> Option<Noise> {
        Noise::new(&gaussian(n_numbers), n_envs, Schedule::Constant(rho))
    }

    /// A normal number is the weighted sum of all that was drawn: ρ^t·ξ₀ + √(1 − ρ²)·Σ ρ^(t − k)·ξ_k.
    #[test]
    fn a_normal_number_is_the_sum_of_everything_drawn_since_the_episode_began() {
        let rho: f64 = 0.8;
        let mut noise = constant(2, 3, rho).unwrap();
        let (mut stream, mut same) = (Stream::new(1, "test", 0), Stream::new(1, "test", 0));
        let mut drawn: Vec<Vec<[f64; 2]>> = vec![Vec::new(); 3];
        for step in 0..40 {
            for env in 0..3 {
                if step % (7 + env) == 6 {
                    noise.restart(env);
                    drawn[env].clear();
                }
                drawn[env].push([same.normal(), same.normal()]);
                let mut now = noise.next(env, &mut stream);
                for i in 0..2 {
                    let t = drawn[env].len() - 1;
                    let term = |k: usize| {
                        let weight = if k == 0 { 1.0 } else { (1.0 - rho * rho).sqrt() };
                        weight * rho.powi((t - k) as i32) * drawn[env][k][i]
                    };
                    let expected: f64 = (0..=t).map(term).sum();
                    assert!((now.normal(i) - expected).abs() < 1e-12, "step {step}, environment {env}");
                }
            }
        }
    }

    #[test]
    fn every_step_has_the_distribution_of_independent_draws_and_remembers_as_told() {
        // In units of its standard deviation, 1/√12, a uniform number has the moments of a standard normal one.
        let uniform = |draw: &mut Correlated<'_>| (draw.uniform(0) - 0.5) * 12f64.sqrt();
        let normal = |draw: &mut Correlated<'_>| draw.normal(0);
        for (rho, number) in
            [(0.5, &normal as &dyn Fn(&mut Correlated<'_>) -> f64), (0.95, &normal), (0.5, &uniform), (0.95, &uniform)]
        {
            let n = 4000;
            let mut noise = constant(1, n, rho).unwrap();
            let mut stream = Stream::new(2, "test", 0);
            let mut before = vec![0.0; n];
            for step in 0..6 {
                let now: Vec<f64> = (0..n).map(|env| number(&mut noise.next(env, &mut stream))).collect();
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
    fn another_factor_holds_from_the_next_number_on() {
        let mut noise = constant(1, 1, 0.9).unwrap();
        let (mut stream, mut same) = (Stream::new(5, "test", 0), Stream::new(5, "test", 0));
        let first = noise.next(0, &mut stream).normal(0);
        assert_eq!(first, same.normal());
        noise.set_correlation(0.6);
        assert_eq!(noise.next(0, &mut stream).normal(0), 0.6 * first + 0.8 * same.normal());
        noise.set_correlation(0.0);
        assert_eq!(noise.next(0, &mut stream).normal(0), same.normal());
    }

    #[test]
    fn a_choice_is_made_again_until_its_number_is_drawn_anew() {
        let mut noise = constant(1, 1, 0.9).unwrap();
        let mut stream = Stream::new(4, "test", 0);
        let numbers: Vec<f64> = (0..20_000).map(|_| noise.next(0, &mut stream).uniform(0)).collect();
        let kept = numbers.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!((kept as f64 / 20_000.0 - 0.9).abs() < 0.01, "{kept}");
        noise.restart(0);
        assert_ne!(noise.next(0, &mut stream).uniform(0), numbers[19_999]);
        assert_eq!(constant(1, 2, 0.0), None);
    }

    #[test]
    fn a_state_of_other_sizes_is_refused() {
        let mut noise = constant(2, 2, 0.5).unwrap();
        for other in [constant(1, 2, 0.5), constant(1, 4, 0.5)] {
            assert_eq!(noise.restore(other.as_ref()).unwrap_err().class(), ErrorClass::Format);
        }
        let mut moved = constant(2, 2, 0.9).unwrap();
        moved.next(1, &mut Stream::new(3, "test", 0)).normal(0);
        noise.restore(Some(&moved)).unwrap();
        assert_eq!((noise.correlation, &noise.numbers, &noise.fresh), (0.5, &moved.numbers, &vec![true, false]));
        noise.restore(None).unwrap();
        assert_eq!(noise.fresh, [true, true]);
    }
}
