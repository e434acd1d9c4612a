//! Inputs of the benches, made from fixed seeds so that every run does the same work.

use gbrl_core::rng::Stream;

/// `n` standard normal numbers.
///
/// ```
/// assert_eq!(gbrl_benches::normals(8), gbrl_benches::normals(8));
/// ```
pub fn normals(n: usize) -> Vec<f64> {
    let mut stream = Stream::new(0, "benches", 0);
    (0..n).map(|_| stream.normal()).collect()
}

/// The row indices 0..n, in order.
///
/// ```
/// assert_eq!(gbrl_benches::row_indices(3), [0, 1, 2]);
/// ```
pub fn row_indices(n: u32) -> Vec<u32> {
    (0..n).collect()
}
