//! Returns and advantages of rollouts.
//!
//! Arrays are `[n_steps, n_envs]` row-major. Nothing here is called "done": a **discount** says what the future after
//! a step is worth (γ, or 0 where the task terminated), a **bootstrap** says what the value function thinks of the
//! observation after the step (for a truncated episode that of its final observation), and **ends** says where
//! summing over later steps stops because they belong to another episode.

use crate::error::{Error, Result};

/// What [`gae`] needs to know of a rollout; all slices `[n_steps, n_envs]` row-major.
#[derive(Clone, Copy, Debug)]
pub struct Trajectories<'a> {
    /// Environments side by side.
    pub n_envs: usize,
    /// r_t, the reward of step t.
    pub rewards: &'a [f32],
    /// V(s_t), the value of the observation before step t.
    pub values: &'a [f32],
    /// V of the observation after step t: V(s_{t+1}) within an episode, that of the final observation where it was
    /// truncated; of no effect where the discount is 0.
    pub bootstraps: &'a [f32],
    /// γ, or 0 where step t terminated the task.
    pub discounts: &'a [f64],
    /// Whether step t ended an episode, either way.
    pub ends: &'a [bool],
}

impl Trajectories<'_> {
    fn check(&self, outs: &[(&'static str, usize)]) -> Result<usize> {
        let n = self.rewards.len();
        if self.n_envs == 0 || !n.is_multiple_of(self.n_envs) {
            return Err(Error::shape("rewards", format!("[n_steps, {}]", self.n_envs), n));
        }
        let own = [
            ("values", self.values.len()),
            ("bootstraps", self.bootstraps.len()),
            ("discounts", self.discounts.len()),
            ("ends", self.ends.len()),
        ];
        match own.iter().chain(outs).find(|(_, len)| *len != n) {
            Some((what, len)) => Err(Error::shape(*what, n, len)),
            None => Ok(n / self.n_envs),
        }
    }

    /// δ = r + discount · bootstrap − V of one step.
    #[inline]
    fn delta(&self, i: usize) -> f64 {
        f64::from(self.rewards[i]) + self.discounts[i] * f64::from(self.bootstraps[i]) - f64::from(self.values[i])
    }
}

/// Generalised advantage estimation (Schulman et al. 2016), backwards in O(n_steps · n_envs):
///
/// δ_t = r_t + discount_t·bootstrap_t − V_t, A_t = δ_t + discount_t·λ·A_{t+1} (the last term 0 after an end),
/// return R_t = A_t + V_t.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) when the slices' lengths differ.
///
/// ```
/// use gbrl_core::rl::advantage::{Trajectories, gae};
/// // One environment, two steps; the second terminates. λ = 1: plain discounted returns.
/// let steps = Trajectories {
///     n_envs: 1,
///     rewards: &[1.0, 2.0],
///     values: &[0.0, 0.0],
///     bootstraps: &[0.0, 100.0],
///     discounts: &[0.5, 0.0],
///     ends: &[false, true],
/// };
/// let (mut advantages, mut returns) = ([0.0; 2], [0.0; 2]);
/// gae(&steps, 1.0, &mut advantages, &mut returns)?;
/// assert_eq!(returns, [2.0, 2.0]);
/// # Ok::<(), gbrl_core::Error>(())
/// ```
pub fn gae(steps: &Trajectories<'_>, lambda: f64, advantages: &mut [f64], returns: &mut [f64]) -> Result<()> {
    let n_steps = steps.check(&[("advantages", advantages.len()), ("returns", returns.len())])?;
    let n_envs = steps.n_envs;
    for t in (0..n_steps).rev() {
        for env in 0..n_envs {
            let i = t * n_envs + env;
            let later = if steps.ends[i] || t + 1 == n_steps { 0.0 } else { advantages[i + n_envs] };
            advantages[i] = steps.delta(i) + steps.discounts[i] * lambda * later;
            returns[i] = advantages[i] + f64::from(steps.values[i]);
        }
    }
    Ok(())
}

/// The same from the definition A_t = Σ_k (Π_{j<k} discount_{t+j}·λ) δ_{t+k}, each step by itself, O(n_steps²·n_envs).
/// Kept as the oracle for [`gae`].
///
/// # Errors
/// As [`gae`].
pub fn gae_oracle(steps: &Trajectories<'_>, lambda: f64, advantages: &mut [f64], returns: &mut [f64]) -> Result<()> {
    let n_steps = steps.check(&[("advantages", advantages.len()), ("returns", returns.len())])?;
    for env in 0..steps.n_envs {
        for t in 0..n_steps {
            let (mut sum, mut weight) = (0.0, 1.0);
            for later in t..n_steps {
                let i = later * steps.n_envs + env;
                sum += weight * steps.delta(i);
                weight *= steps.discounts[i] * lambda;
                if steps.ends[i] {
                    break;
                }
            }
            let i = t * steps.n_envs + env;
            advantages[i] = sum;
            returns[i] = sum + f64::from(steps.values[i]);
        }
    }
    Ok(())
}

/// Discounted returns G_t = r_t + discount_t·(G_{t+1}, or the bootstrap after an end or the last step).
///
/// # Errors
/// As [`gae`].
///
/// ```
/// use gbrl_core::rl::advantage::{Trajectories, discounted_returns};
/// let steps = Trajectories {
///     n_envs: 1,
///     rewards: &[1.0, 1.0],
///     values: &[0.0; 2],
///     bootstraps: &[0.0, 8.0],
///     discounts: &[0.5, 0.5],
///     ends: &[false, true], // truncated: the future is worth 8
/// };
/// let mut returns = [0.0; 2];
/// discounted_returns(&steps, &mut returns)?;
/// assert_eq!(returns, [3.5, 5.0]);
/// # Ok::<(), gbrl_core::Error>(())
/// ```
pub fn discounted_returns(steps: &Trajectories<'_>, returns: &mut [f64]) -> Result<()> {
    let n_steps = steps.check(&[("returns", returns.len())])?;
    for t in (0..n_steps).rev() {
        for env in 0..steps.n_envs {
            let i = t * steps.n_envs + env;
            let cut = steps.ends[i] || t + 1 == n_steps;
            let future = if cut { f64::from(steps.bootstraps[i]) } else { returns[i + steps.n_envs] };
            returns[i] = f64::from(steps.rewards[i]) + steps.discounts[i] * future;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    struct Case {
        n_envs: usize,
        rewards: Vec<f32>,
        values: Vec<f32>,
        bootstraps: Vec<f32>,
        discounts: Vec<f64>,
        ends: Vec<bool>,
    }

    impl Case {
        /// One environment with constant reward and value, never ending.
        fn constant(n: usize, reward: f32, value: f32, gamma: f64) -> Self {
            Case {
                n_envs: 1,
                rewards: vec![reward; n],
                values: vec![value; n],
                bootstraps: vec![value; n],
                discounts: vec![gamma; n],
                ends: vec![false; n],
            }
        }

        fn random(n_steps: usize, n_envs: usize, gamma: f64, end: f64, stream: &mut Stream) -> Self {
            let n = n_steps * n_envs;
            let mut case = Case::constant(n, 0.0, 0.0, gamma);
            case.n_envs = n_envs;
            for i in 0..n {
                case.rewards[i] = stream.normal() as f32;
                case.values[i] = stream.normal() as f32;
                case.bootstraps[i] = stream.normal() as f32;
                case.ends[i] = stream.uniform() < end;
                if case.ends[i] && stream.uniform() < 0.5 {
                    case.discounts[i] = 0.0;
                }
            }
            case
        }

        fn steps(&self) -> Trajectories<'_> {
            Trajectories {
                n_envs: self.n_envs,
                rewards: &self.rewards,
                values: &self.values,
                bootstraps: &self.bootstraps,
                discounts: &self.discounts,
                ends: &self.ends,
            }
        }

        fn gae(&self, lambda: f64) -> (Vec<f64>, Vec<f64>) {
            let (mut a, mut r) = (vec![0.0; self.rewards.len()], vec![0.0; self.rewards.len()]);
            gae(&self.steps(), lambda, &mut a, &mut r).unwrap();
            (a, r)
        }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * (1.0 + b.abs())
    }

    const GRID: [f64; 5] = [0.0, 0.5, 0.9, 0.99, 1.0];

    #[test]
    fn fast_equals_the_oracle() {
        let mut stream = Stream::new(1, "test", 0);
        for (n_steps, n_envs, end) in [(1, 1, 0.5), (40, 3, 0.1), (25, 2, 1.0), (60, 4, 0.0)] {
            for gamma in GRID {
                for lambda in GRID {
                    let case = Case::random(n_steps, n_envs, gamma, end, &mut stream);
                    let (a, r) = case.gae(lambda);
                    let (mut oa, mut or) = (vec![0.0; a.len()], vec![0.0; a.len()]);
                    gae_oracle(&case.steps(), lambda, &mut oa, &mut or).unwrap();
                    assert!((0..a.len()).all(|i| close(a[i], oa[i]) && close(r[i], or[i])));
                }
            }
        }
    }

    #[test]
    fn a_constant_value_that_is_right_has_no_advantage() {
        // Reward c for ever is worth c/(1 − γ).
        for gamma in [0.5, 0.75] {
            for lambda in GRID {
                let (a, _) = Case::constant(30, 1.0, (1.0 / (1.0 - gamma)) as f32, gamma).gae(lambda);
                assert!(a.iter().all(|a| a.abs() < 1e-12));
            }
        }
    }

    #[test]
    fn an_infinite_horizon_with_value_zero_sums_a_geometric_series() {
        let (n, gamma, lambda) = (50, 0.9, 0.8);
        let (a, _) = Case::constant(n, 1.0, 0.0, gamma).gae(lambda);
        let q: f64 = gamma * lambda;
        assert!((0..n).all(|t| close(a[t], (1.0 - q.powi((n - t) as i32)) / (1.0 - q))));
    }

    #[test]
    fn a_single_final_reward_is_discounted_back() {
        for gamma in GRID {
            for lambda in GRID {
                let mut case = Case::constant(8, 0.0, 0.0, gamma);
                case.rewards[7] = 1.0;
                (case.discounts[7], case.ends[7], case.bootstraps[7]) = (0.0, true, 1e6);
                let (a, r) = case.gae(lambda);
                assert!((0..8).all(|t| close(a[t], (gamma * lambda).powi(7 - t as i32)) && a[t] == r[t]));
            }
        }
    }

    #[test]
    fn lambda_0_is_one_step_and_lambda_1_is_the_discounted_return() {
        let mut stream = Stream::new(2, "test", 0);
        let mut case = Case::random(30, 2, 0.97, 0.15, &mut stream);
        // Within an episode the bootstrap is the next value; λ = 1 telescopes only then.
        for i in 0..case.values.len() - 2 {
            if !case.ends[i] {
                case.bootstraps[i] = case.values[i + 2];
            }
        }
        let (a, _) = case.gae(0.0);
        assert!((0..a.len()).all(|i| a[i] == case.steps().delta(i)));
        let (_, r) = case.gae(1.0);
        let mut g = vec![0.0; r.len()];
        discounted_returns(&case.steps(), &mut g).unwrap();
        assert!((0..r.len()).all(|i| close(r[i], g[i])));
    }

    #[test]
    fn truncation_bootstraps_and_termination_does_not() {
        // Truncated at every step: every advantage is its own one-step error, whatever λ.
        let mut case = Case::constant(5, 1.0, 10.0, 0.9);
        case.ends = vec![true; 5];
        case.bootstraps = vec![20.0; 5];
        for lambda in GRID {
            assert!(case.gae(lambda).0.iter().all(|&a| close(a, 1.0 + 0.9 * 20.0 - 10.0)));
        }
        case.discounts = vec![0.0; 5];
        assert!(case.gae(0.95).0.iter().all(|&a| close(a, 1.0 - 10.0)));
    }

    #[test]
    fn lengths_that_differ_are_refused() {
        let case = Case::constant(4, 1.0, 0.0, 0.9);
        let error = gae(&case.steps(), 0.9, &mut [0.0; 4], &mut [0.0; 3]).unwrap_err();
        assert_eq!(error.to_string(), "returns: expected shape 4, got 3");
        let steps = Trajectories { n_envs: 3, ..case.steps() };
        assert!(discounted_returns(&steps, &mut [0.0; 4]).is_err());
    }
}
