//! Inputs of the benches, made from fixed seeds so that every run does the same work.

pub mod cortex;

use gbrl_core::backend::cpu::Simd;
use gbrl_core::boost::{Booster, Dataset};
use gbrl_core::config::{Edges, SplitScore, TreeParams};
use gbrl_core::data::FeatureSchema;
use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
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

/// Everything one boosting step needs: 512 rows, 8 features, 5 outputs.
pub struct Step {
    /// The booster, whose ensemble has `n_trees` trees.
    pub booster: Booster,
    /// The rows, binned.
    pub data: Dataset,
    /// 0..512.
    pub rows: Vec<u32>,
    /// `[512, 5]`.
    pub gradients: Vec<f32>,
}

/// A step that is ready to be taken, after `n_trees` others.
///
/// ```
/// use gbrl_core::config::Edges;
/// assert_eq!(gbrl_benches::step(Edges::Step, 2).booster.n_trees(), 2);
/// ```
pub fn step(edges: Edges, n_trees: usize) -> Step {
    let group = OutputGroup::sgd("y", 0..5, Schedule::Constant(0.1));
    let ensemble = Ensemble::new(FeatureSchema::numeric(8), vec![group]).expect("one group from column 0");
    let params = TreeParams { edges, ..TreeParams::default() };
    let mut booster = Booster::new(ensemble, params, 0, 1).expect("defaults are in range");
    let observations: Vec<f32> = normals(512 * 8).into_iter().map(|x| x as f32).collect();
    let gradients: Vec<f32> = normals(512 * 5).into_iter().map(|x| x as f32).collect();
    let rows = row_indices(512);
    let mut data = booster.dataset();
    booster.append(&mut data, &observations, 0..0, &mut []).expect("eight columns");
    booster.complete(&mut data).expect("rows are there");
    for _ in 0..n_trees {
        booster.step(&mut data, &rows, &gradients).expect("shapes fit");
    }
    Step { booster, data, rows, gradients }
}

/// What the split scan of one feature and node reads: 256 cells of 8 lanes (5 outputs and the row count).
pub struct Scan {
    /// The vector level.
    pub simd: Simd,
    /// `[256][8]`.
    pub cells: Vec<i64>,
    /// Their sums.
    pub totals: Vec<i64>,
    /// Power of two per output.
    pub units: [f64; 5],
    /// Which score.
    pub score: SplitScore,
}

/// Two rows per bin, gradients of 30 bits.
pub fn scan() -> Scan {
    let mut stream = Stream::new(0, "benches", 1);
    let mut cells = vec![0; 256 * 8];
    let mut totals = vec![0; 8];
    for cell in cells.chunks_exact_mut(8) {
        cell[..5].fill_with(|| stream.below(1 << 31) as i64 - (1 << 30));
        cell[5] = 2;
        totals.iter_mut().zip(cell).for_each(|(total, x)| *total += *x);
    }
    let simd = Simd::detect().expect("GBRL_SIMD names a level of this processor");
    Scan { simd, cells, totals, units: [0.5; 5], score: SplitScore::Cosine }
}
