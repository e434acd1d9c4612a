//! How many instructions the daily work costs. The budgets are in budgets.toml, the gate is `cargo xtask budgets`.

// The bench macros make public items and paths of their own.
#![allow(missing_docs, unused_qualifications)]

use std::hint::black_box;

use gbrl_benches::{normals, row_indices};
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

library_benchmark_group!(name = core, benchmarks = [math_exp, rng_shuffle]);

// One SIMD level for all machines: valgrind knows AVX2 but not AVX-512. Everything else in the environment is cleared.
main!(config = LibraryBenchmarkConfig::default().env("GBRL_SIMD", "avx2"), library_benchmark_groups = core);
