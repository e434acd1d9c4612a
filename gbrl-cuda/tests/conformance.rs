//! The device grows the oracle's trees, to the bit. Without a driver nothing can be tested: the tests say so and pass,
//! unless GBRL_REQUIRE_CUDA=1 makes that an error.

#[path = "../../gbrl-core/tests/case/mod.rs"]
mod case;

use std::cell::RefCell;

use case::{case, large};
use gbrl_core::ErrorClass;
use gbrl_core::config::GrowPolicy;
use gbrl_cuda::CudaBackend;
use proptest::prelude::*;

/// A backend, or nothing where there is no device.
#[allow(clippy::print_stderr)]
fn backend() -> Option<CudaBackend> {
    match CudaBackend::new(0) {
        Ok(backend) => Some(backend),
        Err(error) => {
            assert_eq!(error.class(), ErrorClass::Device);
            let required = std::env::var("GBRL_REQUIRE_CUDA").is_ok_and(|value| value == "1");
            assert!(!required, "GBRL_REQUIRE_CUDA=1, but {error}");
            eprintln!("skipped: {error}");
            None
        }
    }
}

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
