//! Every backend grows the same trees: the CPU's kernels against the oracle that rescans every row, on every
//! vector level and thread count.

mod case;

use case::{Case, case, large};
use gbrl_core::backend::cpu::CpuBackend;
use gbrl_core::backend::cpu::simd::{Level, Simd};
use gbrl_core::config::GrowPolicy;
use gbrl_core::threads::Threads;
use proptest::prelude::*;

fn check(case: &Case) {
    let (data, expected) = case.expected();
    for simd in Level::ALL.into_iter().filter_map(Simd::force) {
        for n_threads in [1, 2, 4] {
            let mut backend = CpuBackend::with_simd(simd, Threads::new(n_threads).unwrap());
            case.check(&data, &expected, &mut backend, &format!("{simd:?}, {n_threads} threads"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fast_equals_slow(case in case()) {
        check(&case);
    }
}

#[test]
fn kept_histograms_wide_bins_and_many_outputs() {
    for grow_policy in [GrowPolicy::Oblivious, GrowPolicy::Depthwise, GrowPolicy::Bestfirst] {
        for n_outputs in [1, 3, 7, 12, 20, 40] {
            check(&large(3000, n_outputs, grow_policy));
        }
    }
}
