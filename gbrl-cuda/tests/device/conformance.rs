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
