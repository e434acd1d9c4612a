//! Every backend grows the same trees: the CPU's kernels against the oracle that rescans every row, on every
//! vector level and thread count.

mod case;

use case::{Case, case, large};
use gbrl_core::backend::Backend;
use gbrl_core::backend::cpu::CpuBackend;
use gbrl_core::backend::cpu::simd::{Level, Simd};
use gbrl_core::backend::naive::NaiveBackend;
use gbrl_core::config::{GrowPolicy, SplitScore};
use gbrl_core::threads::Threads;
use gbrl_core::tree::Candidate;
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

#[test]
fn small_steps_with_few_and_many_outputs() {
    for (n_rows, n_outputs) in
        [(1024, 3), (1025, 3), (700, 5), (300, 4), (260, 8), (300, 9), (300, 12), (200, 20), (90, 70)]
    {
        for grow_policy in [GrowPolicy::Oblivious, GrowPolicy::Depthwise] {
            for (missing, subset, split_score) in
                [(0.0, false, SplitScore::L2), (0.0, true, SplitScore::Cosine), (0.01, false, SplitScore::Cosine)]
            {
                let mut case = large(n_rows, n_outputs, grow_policy);
                case.n_bins = if n_outputs == 3 { 64 } else { 256 };
                (case.missing, case.subset, case.params.split_score) = (missing, subset, split_score);
                check(&case);
            }
        }
    }
}

/// Nothing obliges a grower to look for candidates in every node that it splits.
#[test]
fn nodes_may_be_split_unseen() {
    let mut case = large(400, 3, GrowPolicy::Depthwise);
    (case.missing, case.categorical) = (0.0, 0);
    let data = case.data();
    let task = case.task(&data);
    let unseen = |backend: &mut dyn Backend| {
        backend.begin(&task).unwrap();
        let at = |feature_idx, bin| Candidate { feature_idx, bin, missing_right: false };
        backend.partition(&task, &[(0, at(0, 20))]).unwrap();
        backend.partition(&task, &[(1, at(1, 30)), (2, at(2, 40))]).unwrap();
        backend.partition(&task, &[(4, at(0, 10))]).unwrap();
        let mut each = Vec::new();
        backend.best_each(&task, &[3, 5, 6, 7, 8], &mut each).unwrap();
        (each, backend.best_joint(&task, &[3, 5, 6, 7, 8]).unwrap())
    };
    let expected = unseen(&mut NaiveBackend::default());
    for simd in Level::ALL.into_iter().filter_map(Simd::force) {
        assert_eq!(unseen(&mut CpuBackend::with_simd(simd, Threads::one())), expected, "{simd:?}");
    }
}
