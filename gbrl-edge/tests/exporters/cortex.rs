//! Exported C against the library on microcontrollers, under qemu.

use gbrl_benches::cortex::{BOARDS, Firmware};
use gbrl_core::export::check::Disagreement;
use gbrl_core::export::{Outputs, Quantize, binary, probes};
use gbrl_core::rng::Stream;

use crate::cases::{self, SMALL};

/// Bytes of observations in a program; they fit beside a policy on the smallest processor.
const OBSERVATIONS: usize = 24 << 10;

/// Random policies, random and adversarial observations: thresholds and their neighbours, NaN, ±∞, −0.
#[test]
#[ignore = "needs a cross compiler and qemu: cargo xtask edge runs it"]
fn random_policies_decide_alike_on_every_processor() {
    let n: u64 = std::env::var("GBRL_EDGE_CASES").map_or(12, |n| n.parse().unwrap());
    let mut stream = Stream::new(14, "rows", 0);
    for seed in 0..n {
        let policy = cases::policy(seed, SMALL);
        let quantize = [Quantize::None, Quantize::None, Quantize::Int16, Quantize::Int8][seed as usize % 4];
        let edge = cases::flat(&policy, quantize, seed % 3 != 1);
        let details = cases::details(&policy, &edge, &mut stream);
        let masked = seed % 3 == 0 && edge.mask_len() > 0;
        let room = OBSERVATIONS / 4 / edge.n_features;
        let near = probes::neighbours(&edge, &[]).observations.len() / edge.n_features;
        let mut rows = cases::rows(&edge, if masked { room } else { room.saturating_sub(near) }, masked, &mut stream);
        if !masked {
            rows.observations.extend(probes::neighbours(&edge, &[]).observations);
        }
        if quantize == Quantize::None {
            let library = Outputs::of_library(&policy, &edge, &rows).unwrap();
            let edges = Outputs::of_bytes(&binary::to_bytes(&edge), &rows).unwrap();
            assert!(Disagreement::between(&edge, &library, &edges).exact, "seed {seed}");
        }
        let firmware = Firmware::new(&edge, &details, &rows).unwrap();
        for board in &BOARDS {
            let fits = firmware.check(board).unwrap_or_else(|error| panic!("seed {seed}, {}: {error}", board.name));
            assert!(fits, "seed {seed} does not fit {}", board.name);
        }
    }
}
