//! WebAssembly against the library: compiled by clang, run by Node.js.

use gbrl_core::export::check::Disagreement;
use gbrl_core::export::wasm::{self, Wasm};
use gbrl_core::export::{Exporter, Outputs, Quantize, Rows, binary};
use gbrl_core::rl::policy::Policy;
use gbrl_core::rng::Stream;

use crate::cases::{self, SMALL, Size};

fn decide_alike(policy: &Policy, quantize: Quantize, rows: impl Fn(&mut Stream) -> Rows, stream: &mut Stream) {
    let edge = cases::flat(policy, quantize, true);
    let details = cases::details(policy, &edge, stream);
    let artefact = Wasm.export(&edge, &details).unwrap();
    let rows = rows(stream);
    let expected = match quantize {
        Quantize::None => Outputs::of_library(policy, &edge, &rows).unwrap(),
        _ => Outputs::of_bytes(&binary::to_bytes(&edge), &rows).unwrap(),
    };
    let got = wasm::program(&edge, &details, &artefact).unwrap().run(&edge, &rows).unwrap();
    let difference = Disagreement::between(&edge, &expected, &got);
    assert!(difference.exact, "{difference:?}");
}

#[test]
#[ignore = "needs clang, lld and Node.js: cargo xtask edge runs it"]
fn random_policies_decide_alike_to_the_bit() {
    let mut stream = Stream::new(12, "rows", 0);
    for seed in 0..24 {
        let policy = cases::policy(seed, SMALL);
        let quantize = [Quantize::None, Quantize::None, Quantize::Int16, Quantize::Int8][seed as usize % 4];
        let edge = cases::flat(&policy, quantize, true);
        let masked = seed % 3 == 0 && edge.mask_len() > 0;
        decide_alike(&policy, quantize, |stream| cases::rows(&edge, 500, masked, stream), &mut stream);
    }
}

#[test]
#[ignore = "needs clang, lld and Node.js: cargo xtask edge runs it"]
fn a_million_observations_decide_alike() {
    let mut stream = Stream::new(13, "rows", 0);
    let size = Size { n_trees: 200, n_features: 8, max_depth: 4 };
    for seed in [101, 102, 103, 104] {
        let policy = cases::policy(seed, size);
        let edge = cases::flat(&policy, Quantize::None, true);
        decide_alike(&policy, Quantize::None, |stream| cases::rows(&edge, 250_000, false, stream), &mut stream);
    }
}
