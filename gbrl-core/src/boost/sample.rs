//! Row and feature subsampling: which rows and features a tree sees depends on the seed and the tree's number alone.

use crate::rng::Stream;

/// ⌈share·n⌉ of 0..n, ascending.
pub(super) fn sample(n: usize, share: f64, stream: &mut Stream) -> Vec<u32> {
    let k = ((share * n as f64).ceil() as usize).clamp(n.min(1), n);
    let mut all: Vec<u32> = (0..n as u32).collect();
    for i in 0..k {
        all.swap(i, i + stream.below((n - i) as u64) as usize);
    }
    all.truncate(k);
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_met_and_nothing_comes_twice() {
        let mut stream = Stream::new(0, "test", 0);
        for (n, share, k) in [(10, 0.5, 5), (10, 0.01, 1), (0, 0.5, 0), (7, 1.0, 7)] {
            let picked = sample(n, share, &mut stream);
            assert_eq!(picked.len(), k);
            assert!(picked.windows(2).all(|w| w[0] < w[1]));
        }
    }
}
