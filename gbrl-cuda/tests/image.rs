//! The compiled kernels are those of the sources.

use gbrl_cuda::image::{self, SOURCE};
use sha2::{Digest, Sha256};

#[test]
fn the_compiled_kernels_are_those_of_the_sources() {
    let record: toml::Table = include_str!("../kernels/kernels.toml").parse().unwrap();
    let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let again = "run `cargo xtask kernels`";
    assert_eq!(record["source_sha256"].as_str(), Some(hash(SOURCE.as_bytes()).as_str()), "{again}");
    let compiled = include_bytes!("../kernels/kernels.fatbin");
    assert_eq!(record["fatbin_sha256"].as_str(), Some(hash(compiled).as_str()), "{again}");
    // Nothing spills: every thread's numbers stay in registers.
    for (name, of) in record["kernels"].as_table().unwrap() {
        assert_eq!(of["spilled_bytes"].as_integer(), Some(0), "{name}");
    }
}

/// Without NVRTC (the extras cuda12 and cuda13 of the Python package have it) there is nothing to test.
#[test]
#[allow(clippy::print_stderr)]
fn nvrtc_understands_the_text() {
    if !image::has_compiler() {
        eprintln!("skipped: no NVRTC");
        return;
    }
    let text = image::compile().unwrap().to_src();
    assert!(text.contains(".entry predict") && text.contains(".entry histogram"));
    // Nothing is contracted into one rounding.
    assert!(!text.contains("fma."), "fused multiply-add");
}
