//! Means over a batch, each an f64 sum in row order, so that they are the same on every machine.

/// Mean and sample standard deviation (n − 1; 0 for fewer than two numbers).
///
/// ```
/// assert_eq!(gbrl_core::rl::loss::mean_and_std(&[1.0, 2.0, 3.0]), (2.0, 1.0));
/// ```
pub fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    if values.is_empty() {
        return (0.0, 0.0);
    }
    let mean = values.iter().fold(0.0, |sum, v| sum + v) / n;
    if values.len() < 2 {
        return (mean, 0.0);
    }
    let squares = values.iter().fold(0.0, |sum, v| sum + (v - mean) * (v - mean));
    (mean, (squares / (n - 1.0)).sqrt())
}

/// Standardises a minibatch's advantages: a ← (a − mean)/(std + 10⁻⁸), std with n − 1. One number is left alone.
///
/// ```
/// let mut advantages = [1.0, 3.0];
/// gbrl_core::rl::loss::standardize_advantages(&mut advantages);
/// assert!((advantages[1] - 0.5f64.sqrt()).abs() < 1e-7);
/// ```
pub fn standardize_advantages(advantages: &mut [f64]) {
    let (mean, scale) = standard(advantages);
    advantages.iter_mut().for_each(|a| *a = (*a - mean) / scale);
}

/// What [`standardize_advantages`] takes off, and what it divides by: 0 and 1 for one number.
pub(crate) fn standard(advantages: &[f64]) -> (f64, f64) {
    if advantages.len() < 2 {
        return (0.0, 1.0);
    }
    let (mean, std) = mean_and_std(advantages);
    (mean, std + 1e-8)
}

/// 1 − Var(R − V)/Var(R): 1 is a perfect value function, 0 as good as a constant, below 0 worse. NaN where R does not
/// vary.
///
/// ```
/// assert_eq!(gbrl_core::rl::loss::explained_variance(&[1.0, 2.0], &[1.0, 2.0]), 1.0);
/// ```
pub fn explained_variance<V: Copy + Into<f64>>(values: &[V], targets: &[f64]) -> f64 {
    let variance = |of: &dyn Fn(usize) -> f64| {
        let n = targets.len() as f64;
        let mean = (0..targets.len()).fold(0.0, |sum, i| sum + of(i)) / n;
        (0..targets.len()).fold(0.0, |sum, i| sum + (of(i) - mean) * (of(i) - mean)) / n
    };
    let of_targets = variance(&|i| targets[i]);
    if of_targets == 0.0 {
        return f64::NAN;
    }
    1.0 - variance(&|i| targets[i] - values[i].into()) / of_targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_one_or_of_equals_is_harmless() {
        let mut one = [3.0];
        standardize_advantages(&mut one);
        assert_eq!(one, [3.0]);
        let mut equal = [2.0; 5];
        standardize_advantages(&mut equal);
        assert_eq!(equal, [0.0; 5]);
        assert_eq!(mean_and_std(&[]), (0.0, 0.0));
    }

    #[test]
    fn standardised_advantages_have_mean_0_and_std_1() {
        let mut a: Vec<f64> = (0..100).map(|i| f64::from(i * i)).collect();
        standardize_advantages(&mut a);
        let (mean, std) = mean_and_std(&a);
        assert!(mean.abs() < 1e-12 && (std - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_constant_value_function_explains_nothing() {
        assert_eq!(explained_variance(&[7.0; 3], &[1.0, 2.0, 3.0]), 0.0);
        assert!(explained_variance(&[0.0, 1.0], &[2.0, 2.0]).is_nan());
    }
}
