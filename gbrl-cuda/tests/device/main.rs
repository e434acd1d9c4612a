//! What a device computes is what the processor computes, to the bit. Without a driver nothing can be tested: the tests say
//! so and pass, unless GBRL_REQUIRE_CUDA=1 makes that an error.

mod auto;
#[path = "../../../gbrl-core/tests/case/mod.rs"]
mod case;
mod common;
mod conformance;
mod memory;
mod prediction;
mod training;
mod updates;
