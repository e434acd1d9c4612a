//! The device grows the oracle's trees, to the bit.

use std::cell::RefCell;

use crate::case::{case, large};
use crate::common::backend;
use gbrl_core::config::GrowPolicy;
use proptest::prelude::*;

#[test]
fn device_equals_oracle() {
    let Some(backend) = backend().map(RefCell::new) else { return };
    let cases = std::env::var("GBRL_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(case in case())| {
        let (data, expected) = case.expected();
        case.check(&data, &expected, &mut *backend.borrow_mut(), "cuda");
    });
}

#[test]
fn kept_histograms_wide_bins_and_many_outputs() {
    let Some(mut backend) = backend() else { return };
    for grow_policy in [GrowPolicy::Oblivious, GrowPolicy::Depthwise, GrowPolicy::Bestfirst] {
        for n_outputs in [1, 7, 20] {
            let case = large(1500, n_outputs, grow_policy);
            let (data, expected) = case.expected();
            case.check(&data, &expected, &mut backend, "cuda");
        }
    }
}

#[test]
fn a_step_asks_for_little_and_waits_once() {
    let Some(mut backend) = backend() else { return };
    let counters = backend.counters();
    let mut count = |case: &crate::case::Case| {
        let before = (counters.launches(), counters.waits());
        let (data, expected) = case.expected();
        case.check(&data, &expected, &mut backend, "cuda");
        // A check grows the tree twice, to see that nothing of the first is left.
        ((counters.launches() - before.0) / 2, (counters.waits() - before.1) / 2)
    };
    let mut case = large(400, 3, GrowPolicy::Oblivious);
    for depth in 1..=6 {
        case.params.max_depth = depth;
        // The largest gradients, integers, and for every level its histograms with the choice, and the division of rows.
        assert_eq!(count(&case), (2 + 2 * depth, 1), "depth {depth}");
    }
    // A level that is asked for by itself: smaller children, histograms, what remains, choices; then the rows.
    case.params.grow_policy = GrowPolicy::Depthwise;
    case.params.max_depth = 3;
    assert_eq!(count(&case).0, 2 + 3 + 2 * 5);
}
