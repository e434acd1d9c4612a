//! The squared error of the value function.

/// The value loss of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueLoss {
    /// ½(V − R)², before the coefficient.
    pub loss: f64,
    /// ∂loss/∂V.
    pub d_value: f64,
}

/// loss = ½(V − R)², ∂loss/∂V = V − R.
///
/// ```
/// use gbrl_core::rl::loss::value_loss;
/// let at = value_loss(3.0, 1.0);
/// assert_eq!((at.loss, at.d_value), (2.0, 2.0));
/// ```
#[inline]
pub fn value_loss(value: f64, target: f64) -> ValueLoss {
    let error = value - target;
    ValueLoss { loss: 0.5 * error * error, d_value: error }
}

/// The same of the clipped value V' = V_old + clip(V − V_old, −c, c), as Stable-Baselines3 does it:
/// loss = ½(V' − R)², ∂loss/∂V = V' − R within the clip and 0 beyond.
///
/// ```
/// use gbrl_core::rl::loss::clipped_value_loss;
/// assert_eq!(clipped_value_loss(3.0, 0.0, 5.0, 1.0).d_value, 0.0);
/// assert_eq!(clipped_value_loss(0.5, 0.0, 5.0, 1.0).d_value, -4.5);
/// ```
#[inline]
pub fn clipped_value_loss(value: f64, old_value: f64, target: f64, clip_range: f64) -> ValueLoss {
    let step = value - old_value;
    let at = value_loss(old_value + step.clamp(-clip_range, clip_range), target);
    if step.abs() > clip_range { ValueLoss { d_value: 0.0, ..at } } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_agree_with_finite_differences() {
        let h = 1e-6;
        for i in -20..20 {
            let v = f64::from(i) * 0.313 + 0.01;
            let free = |v| value_loss(v, 1.3).loss;
            let held = |v| clipped_value_loss(v, 0.4, 1.3, 0.5).loss;
            assert!(((free(v + h) - free(v - h)) / (2.0 * h) - value_loss(v, 1.3).d_value).abs() < 1e-6);
            let d = clipped_value_loss(v, 0.4, 1.3, 0.5).d_value;
            assert!(((held(v + h) - held(v - h)) / (2.0 * h) - d).abs() < 1e-6);
        }
    }

    #[test]
    fn a_wide_clip_changes_nothing() {
        assert_eq!(clipped_value_loss(2.0, 1.5, -1.0, 10.0), value_loss(2.0, -1.0));
    }
}
