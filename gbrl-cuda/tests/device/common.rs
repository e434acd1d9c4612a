//! What the tests share.

use gbrl_core::ErrorClass;
use gbrl_cuda::CudaBackend;

/// A backend, or nothing where there is no device: the test says so and passes, unless GBRL_REQUIRE_CUDA=1 makes that an
/// error.
#[allow(clippy::print_stderr)]
pub fn backend() -> Option<CudaBackend> {
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
