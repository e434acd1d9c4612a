//! Timing: warm-up and medians.

use std::time::{Duration, Instant};

/// A warm-up lasts at least this many rounds and this long.
const WARM_UP_ROUNDS: usize = 10;
const WARM_UP_TIME: Duration = Duration::from_millis(200);

/// Does `work` until caches, branch predictors and the processor's clock have settled.
pub fn warm_up<E>(mut work: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < WARM_UP_ROUNDS || start.elapsed() < WARM_UP_TIME {
        work()?;
        rounds += 1;
    }
    Ok(())
}

/// Seconds that `work` takes.
pub fn seconds<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<f64, E> {
    let start = Instant::now();
    let done = work()?;
    let seconds = start.elapsed().as_secs_f64();
    std::hint::black_box(done);
    Ok(seconds)
}

/// The median, the lower of the middle two; 0 of nothing.
pub fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_measured_value() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
    }
}
