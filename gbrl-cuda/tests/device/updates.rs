//! Whole updates on the device: policies of every kind learn what they learn on the processor, to the bit, and the device is
//! asked for little and waited for once per tree.

use std::sync::{Arc, Mutex};

use gbrl_core::backend::MakeBackend;
use gbrl_core::config::{Algorithm, Settings};
use gbrl_core::io::model;
use gbrl_core::rl::algo::Agent;
use gbrl_core::rl::env::mask_len;
use gbrl_core::rl::event::Metrics;
use gbrl_core::rl::rollout::StepRows;
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;
use gbrl_cuda::{Counters, CudaBackend};

use crate::common::backend;

const N_ENVS: usize = 4;
const N_STEPS: usize = 17;
const N_ROLLOUTS: usize = 2;

/// What is learnt and how.
struct Case {
    actions: Space,
    masked: bool,
    pairs: &'static [(&'static str, &'static str)],
}

fn case(actions: Space, masked: bool, pairs: &'static [(&'static str, &'static str)]) -> Case {
    Case { actions, masked, pairs }
}

/// Some choices of each part are forbidden, never all: an odd number in a row of flags keeps its first.
fn draw_masks(actions: &Space, stream: &mut Stream) -> Vec<bool> {
    let parts: Vec<usize> = match actions {
        Space::Discrete { n, .. } => vec![*n as usize],
        Space::MultiDiscrete { nvec } => nvec.iter().map(|&n| n as usize).collect(),
        Space::MultiBinary { n } => vec![2; *n],
        _ => Vec::new(),
    };
    let mut masks = Vec::new();
    for n in parts {
        let kept = stream.below(n as u64) as usize;
        masks.extend((0..n).map(|i| i == kept || stream.uniform() < 0.6));
    }
    masks
}

/// A run by chance: the model, every metric and every cached output at its end, as bits; or the error it ended with.
fn run(backend: &MakeBackend, case: &Case) -> Result<Vec<u64>, String> {
    let algorithm = case.pairs.iter().find(|(key, _)| *key == "algo").map_or("ppo", |(_, name)| name);
    let mut settings = Settings::new(Algorithm::parse(algorithm).unwrap());
    let own: &[(&str, &str)] = match algorithm {
        "ppo" => &[("batch_size", "40"), ("n_epochs", "2")],
        "awr" => &[
            ("buffer_size", "200"),
            ("value_updates", "3"),
            ("value_batch_size", "70"),
            ("policy_updates", "4"),
            ("policy_batch_size", "33"),
        ],
        _ => &[],
    };
    let (n_envs, n_steps) = (N_ENVS.to_string(), N_STEPS.to_string());
    let shared = [("n_envs", n_envs.as_str()), ("n_steps", n_steps.as_str()), ("max_depth", "3"), ("n_threads", "1")];
    for (key, value) in shared.iter().chain(own).chain(case.pairs).filter(|(key, _)| *key != "algo") {
        settings.set(key, value).unwrap();
    }
    let spaces = (&Space::unbounded(3), &case.actions);
    let fail = |error: gbrl_core::Error| error.to_string();
    let mut agent = Agent::new_on(backend, "Chance", spaces, case.masked, &settings).map_err(fail)?;
    let mut stream = Stream::new(7, "chance", 0);
    let numbers = |stream: &mut Stream, n: usize| (0..n).map(|_| stream.normal() as f32).collect::<Vec<_>>();
    agent.begin(&numbers(&mut stream, 3 * N_ENVS)).map_err(fail)?;
    let mut bits = Vec::new();
    for rollout in 0..N_ROLLOUTS {
        loop {
            let masks: Vec<bool> = match case.masked {
                true => (0..N_ENVS).flat_map(|_| draw_masks(&case.actions, &mut stream)).collect(),
                false => Vec::new(),
            };
            assert!(!case.masked || masks.len() == N_ENVS * mask_len(&case.actions));
            let sent = agent.decide(&masks).map_err(fail)?.sent.to_vec();
            let width = sent.len() / N_ENVS;
            let rewards: Vec<f32> = sent.chunks(width).map(|action| action[0] + stream.normal() as f32).collect();
            let ended: Vec<bool> = (0..N_ENVS).map(|_| stream.uniform() < 0.1).collect();
            let (next, last) = (numbers(&mut stream, 3 * N_ENVS), numbers(&mut stream, 3 * N_ENVS));
            let step = StepRows {
                rewards: &rewards,
                terminated: &ended,
                truncated: &[false; 4],
                final_observations: &last,
                ignored: &[],
            };
            if agent.outcome(&step, &next).map_err(fail)? {
                break;
            }
        }
        agent.finish().map_err(fail)?;
        let mut metrics = Metrics::default();
        agent.update(rollout as f64 / N_ROLLOUTS as f64, &mut metrics).map_err(fail)?;
        bits.extend(metrics.iter().map(|(_, value)| value.to_bits()));
        let data = agent.data();
        let outputs = (0..data.n_rows()).flat_map(|row| (0..data.n_outputs()).map(move |d| data.output(row, d)));
        bits.extend(outputs.map(|output| u64::from(output.to_bits())));
    }
    let model = model::to_bytes(agent.model(0).map_err(fail)?).map_err(fail)?;
    bits.extend(model.into_iter().map(u64::from));
    Ok(bits)
}

/// What makes one backend, and where its counters will be.
fn counted() -> (MakeBackend, Arc<Mutex<Option<Arc<Counters>>>>) {
    let place = Arc::new(Mutex::new(None));
    let own = Arc::clone(&place);
    let make = MakeBackend::new(move |_| {
        let backend = CudaBackend::new(0)?;
        *own.lock().unwrap() = Some(backend.counters());
        Ok(Box::new(backend))
    });
    (make, place)
}

fn binary(n: usize) -> Space {
    Space::MultiBinary { n }
}

fn parts() -> Space {
    Space::MultiDiscrete { nvec: vec![2, 3, 4] }
}

fn bounded(n: usize) -> Space {
    Space::bounded(&vec![-2.0; n], &vec![1.5; n]).unwrap()
}

#[test]
fn every_policy_learns_the_same_on_the_device() {
    if backend().is_none() {
        return;
    }
    let cases = [
        case(Space::discrete(5), false, &[]),
        case(Space::discrete(4), true, &[("ent_coef", "0.1"), ("normalize_advantage", "false")]),
        case(parts(), true, &[("max_policy_grad_norm", "0.3"), ("ent_coef", "0.02")]),
        case(parts(), false, &[("max_value_grad_norm", "0.2"), ("clip_range_vf", "0.05"), ("policy_lr", "3")]),
        case(binary(3), true, &[("ent_coef", "0.3"), ("max_policy_grad_norm", "0.5")]),
        case(binary(2), false, &[("vf_coef", "0.7")]),
        case(bounded(2), false, &[("ent_coef", "0.1"), ("clip_range_vf", "0.1"), ("norm_obs", "true")]),
        case(bounded(1), false, &[("log_std", "outputs"), ("ent_coef", "0.05"), ("max_policy_grad_norm", "1")]),
        case(bounded(3), false, &[("squash_actions", "true"), ("ent_coef", "0.2"), ("log_std_init", "0.5")]),
        case(bounded(2), false, &[("squash_actions", "true"), ("log_std", "outputs"), ("ent_coef", "0.2")]),
        // More sums than a warp is wide.
        case(bounded(40), false, &[("ent_coef", "0.01"), ("batch_size", "68")]),
        case(Space::discrete(3), false, &[("target_kl", "0.0003"), ("policy_lr", "2")]),
        case(Space::discrete(3), false, &[("target_kl", "1e-9")]),
        case(Space::discrete(3), false, &[("shared_structure", "false"), ("split_score", "l2"), ("lambda_l2", "2")]),
        case(Space::discrete(3), false, &[("grow_policy", "depthwise"), ("split_score", "l2"), ("batch_size", "300")]),
        case(Space::discrete(3), false, &[("grow_policy", "bestfirst"), ("shared_structure", "false")]),
        case(binary(2), false, &[("monotone", "0:0:rising"), ("feature_subsample", "0.7"), ("batch_size", "1")]),
        // Steps that need their gradients or bins on the processor.
        case(Space::discrete(3), false, &[("edges", "step")]),
        case(Space::discrete(3), false, &[("row_subsample", "0.6"), ("control_variates", "true")]),
        case(Space::discrete(3), false, &[("policy_optimizer", "adam"), ("edges", "fixed")]),
        case(bounded(2), false, &[("algo", "a2c"), ("ent_coef", "0.1"), ("normalize_advantage", "true")]),
        case(Space::discrete(3), true, &[("algo", "a2c"), ("split_score", "l2")]),
        case(bounded(2), false, &[("algo", "awr"), ("ent_coef", "0.1")]),
        case(parts(), true, &[("algo", "awr"), ("beta", "0.3")]),
    ];
    for case in cases {
        let (make, _) = counted();
        let expected = run(&MakeBackend::default(), &case).unwrap();
        assert!(run(&make, &case).unwrap() == expected, "{:?} {:?}", case.actions, case.pairs);
    }
}

#[test]
fn what_goes_wrong_on_the_device_goes_wrong_as_on_the_processor() {
    if backend().is_none() {
        return;
    }
    // Outputs leave f32 after some trees, or a leaf does.
    let mut errors = Vec::new();
    for pairs in [&HUGE[..], &HUGER[..], &HUGEST[..]] {
        for actions in [Space::discrete(3), bounded(1), binary(2)] {
            let case = Case { actions, masked: false, pairs };
            let (make, _) = counted();
            let (ours, expected) = (run(&make, &case), run(&MakeBackend::default(), &case));
            assert!(ours == expected, "{pairs:?}: {:?} against {:?}", ours.err(), expected.err());
            errors.extend(expected.err());
        }
    }
    assert!(errors.iter().any(|error| error.starts_with("leaf values")), "{errors:?}");
    assert!(errors.len() > 3, "{errors:?}");
}

const HUGE: [(&str, &str); 2] = [("policy_lr", "1e38"), ("norm_reward", "false")];
const HUGER: [(&str, &str); 3] = [("policy_lr", "3e38"), ("value_lr", "3e38"), ("normalize_advantage", "false")];
const HUGEST: [(&str, &str); 3] = [("algo", "a2c"), ("policy_lr", "3e38"), ("log_std", "outputs")];

#[test]
fn an_update_asks_for_little_and_waits_once_per_tree() {
    if backend().is_none() {
        return;
    }
    let trees = |n_epochs| N_ROLLOUTS * n_epochs * (N_STEPS * N_ENVS).div_ceil(40);
    let counts = |pairs: &'static [(&str, &str)]| {
        let (make, counters) = counted();
        run(&make, &case(Space::discrete(3), false, pairs)).unwrap();
        let counters = counters.lock().unwrap().clone().unwrap();
        (counters.launches(), counters.waits())
    };
    // Losses, integers, two for each of three levels, outputs; per update the keys of its rows.
    assert_eq!(counts(&[("n_epochs", "2")]), (trees(2) * (1 + 1 + 2 * 3 + 1) + N_ROLLOUTS, trees(2) + N_ROLLOUTS));
    // L2: means, deviations and the largest of what they make.
    let l2 = counts(&[("n_epochs", "2"), ("split_score", "l2"), ("max_depth", "4")]);
    assert_eq!(l2, (trees(2) * (1 + 3 + 1 + 2 * 4 + 1) + N_ROLLOUTS, trees(2) + N_ROLLOUTS));
    // Losses are looked at together with the tree, also where they may stop it.
    let stops = counts(&[("n_epochs", "2"), ("target_kl", "1e9")]);
    assert_eq!(stops.1, trees(2) + N_ROLLOUTS);
}
