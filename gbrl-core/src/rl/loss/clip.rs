//! Clipping of a row's gradient by its length.

/// Scales `row` so that its L2 norm is at most `max`: g ← g · min(1, max/‖g‖). `None` leaves it alone.
///
/// Acts on one row's gradient, after all coefficients, not on the batch.
///
/// ```
/// let mut row = [3.0, 4.0];
/// gbrl_core::rl::loss::clip_norm(&mut row, Some(2.5));
/// assert_eq!(row, [1.5, 2.0]);
/// ```
#[inline]
pub fn clip_norm(row: &mut [f64], max: Option<f64>) {
    let Some(max) = max else { return };
    let norm = row.iter().fold(0.0, |sum, g| sum + g * g).sqrt();
    if norm > max {
        // A length beyond f64 (a component near 1e200) gives factor 0, not NaN.
        let factor = max / norm;
        row.iter_mut().for_each(|g| *g *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::clip_norm;

    #[test]
    fn short_rows_are_left_alone_to_the_bit() {
        let mut row = [0.1, -0.2];
        clip_norm(&mut row, Some(0.5));
        clip_norm(&mut row, None);
        clip_norm(&mut [], Some(1.0));
        assert_eq!(row, [0.1, -0.2]);
    }

    #[test]
    fn direction_stays_and_length_is_the_limit() {
        let mut row = [1e3, -2e3, 2e3];
        clip_norm(&mut row, Some(3.0));
        assert!(row.iter().zip([1.0, -2.0, 2.0]).all(|(a, b)| (a - b).abs() < 1e-12));
        let mut huge = [1e200, 0.0];
        clip_norm(&mut huge, Some(1.0));
        assert!(huge.iter().all(|g| g.is_finite()));
    }
}
