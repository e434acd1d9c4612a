//! Exported C against the library on microcontrollers, under qemu.

use gbrl_benches::cortex::{BOARDS, Firmware};
use gbrl_core::export::check::Disagreement;
use gbrl_core::export::{Details, Outputs, Quantize, Rows, binary, probes};
use gbrl_core::rl::env::{Action, Env};
use gbrl_core::rl::eval::eval_seed;
use gbrl_core::rl::policy::Policy;
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

/// docs/edge.md tells how pole.gbrl was trained. What it promises for a Cortex-M4F: at most 2 kB of flash, 64 bytes of RAM,
/// 2,000 instructions, and 495 steps of 500 on episodes that it was not chosen on.
#[test]
#[ignore = "needs a cross compiler and qemu: cargo xtask edge runs it"]
fn a_small_cartpole_policy_keeps_what_is_promised() {
    let policy = Policy::load(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pole.gbrl"), 1).unwrap();
    let edge = cases::flat(&policy, Quantize::Int16, false);
    let details = Details::new(&policy, "pole", Vec::new()).unwrap();
    let observations = probes::neighbours(&edge, &[]).observations;
    let firmware = Firmware::new(&edge, &details, &Rows { observations, masks: Vec::new() }).unwrap();
    for board in &BOARDS {
        let cost = firmware.cost(board).unwrap().expect("it fits everywhere");
        assert!(cost.flash <= 2048 && cost.instructions <= 2000, "{}: {cost:?}", board.name);
        // A Cortex-M0 has fewer registers, so more lies on the stack.
        assert!(cost.ram <= if board.name == "M0" { 72 } else { 64 }, "{}: {cost:?}", board.name);
    }
    let steps = mean_steps(&binary::to_bytes(&edge), 200);
    assert!(steps >= 495.0, "{steps} steps");
}

/// Mean length of CartPole episodes that the policy plays.
fn mean_steps(bytes: &[u8], n_episodes: u64) -> f64 {
    let policy = gbrl_edge::Policy::new(bytes).unwrap();
    let (mut codes, mut sums) = (vec![0; policy.n_codes()], vec![0; policy.n_sums()]);
    let mut work = gbrl_edge::Work { codes: &mut codes, sums: &mut sums };
    let mut env = envs::make("CartPole-v1").unwrap();
    let (mut obs, mut action, mut steps) = ([0.0; 4], [0], 0u32);
    for episode in 0..n_episodes {
        env.reset(eval_seed(2, episode), &mut obs).unwrap();
        loop {
            policy.act(&obs, &[], &mut work, &mut action).unwrap();
            let step = env.step(Action::Discrete(action[0] as u32), &mut obs).unwrap();
            steps += 1;
            if step.terminated || step.truncated {
                break;
            }
        }
    }
    f64::from(steps) / n_episodes as f64
}
