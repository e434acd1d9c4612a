//! How many instructions the daily work costs. The budgets are in budgets.toml, the gate is `cargo xtask budgets`.

// The bench macros make public items and paths of their own.
#![allow(missing_docs, unused_qualifications)]

use std::hint::black_box;

use gbrl_benches::{Scan, Step, normals, row_indices, scan, step};
use gbrl_core::backend::cpu::simd::NodeRule;
use gbrl_core::config::Edges;
use gbrl_core::data::BinSlice;
use gbrl_core::math;
use gbrl_core::rng::Stream;
use gungraun::{LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};

#[library_benchmark]
#[bench::values_4096(normals(4096))]
fn math_exp(values: Vec<f64>) -> f64 {
    values.iter().map(|&x| math::exp(black_box(x))).sum()
}

#[library_benchmark]
#[bench::rows_4096(row_indices(4096))]
fn rng_shuffle(mut rows: Vec<u32>) -> Vec<u32> {
    Stream::new(0, "minibatches", 0).shuffle(&mut rows);
    rows
}

fn scattered_bins(n: u32) -> Vec<u8> {
    (0..n).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

// Histogram of one feature: 4,096 rows into 256 cells of 8 lanes.
#[library_benchmark]
#[bench::rows_4096(scan(), scattered_bins(4096), vec![1; 4096 * 8])]
fn histogram(mut at: Scan, bins: Vec<u8>, gradients: Vec<i32>) -> (Scan, Vec<u8>, Vec<i32>) {
    at.simd.accumulate(&mut at.cells, 8, BinSlice::Narrow(&bins), &gradients, None);
    (at, bins, gradients)
}

// Scores of all 256 candidates of one feature in one node.
#[library_benchmark]
#[bench::bins_256(scan())]
fn split_scan(at: Scan) -> Vec<f64> {
    let rule = NodeRule {
        score: at.score,
        units: &at.units,
        totals: &at.totals,
        count_lane: 5,
        weight_unit: 1.0,
        lambda: 0.0,
        min_rows: 0,
    };
    let mut scores = vec![0.0; 256];
    at.simd.score_running(&at.cells, None, &rule, &mut [0; 8], &mut scores);
    scores
}

// One boosting step, with new bin edges and with the dataset's.
#[library_benchmark]
#[bench::new_edges(step(Edges::Step, 1))]
#[bench::old_edges(step(Edges::Rollout, 1))]
fn boosting_step(mut at: Step) -> Step {
    at.booster.step(&mut at.data, &at.rows, &at.gradients).expect("shapes fit");
    at
}

// Outputs of 64 rows, and of one, from 100 trees.
#[library_benchmark]
#[bench::rows_64(step(Edges::Rollout, 100), 64)]
#[bench::rows_1(step(Edges::Rollout, 100), 1)]
fn predict(at: Step, n_rows: usize) -> (Step, Vec<f32>) {
    let observations = vec![0.25; 8 * n_rows];
    let mut out = vec![0.0; 5 * n_rows];
    at.booster.predict(&observations, 0..5, &mut out).expect("shapes fit");
    // Given back, so that freeing the trees is not counted.
    (at, out)
}

library_benchmark_group!(
    name = core,
    benchmarks = [math_exp, rng_shuffle, histogram, split_scan, boosting_step, predict]
);

// One SIMD level for all machines: valgrind knows AVX2 but not AVX-512. Everything else in the environment is cleared.
main!(config = LibraryBenchmarkConfig::default().env("GBRL_SIMD", "avx2"), library_benchmark_groups = core);
