//! Whole runs, from the first reset to the resumed end.

use std::ops::ControlFlow;

use super::agent::KEPT;
use super::minibatch::{Minibatch, PolicyLoss, ValueLoss};
use super::*;
use crate::ErrorClass;
use crate::config::{AlgoParams, Algorithm, Edges, OptimizerKind, Schedule, Settings};
use crate::ensemble::Ensemble;
use crate::io::{Checkpoint, Model};
use crate::rl::env::{Env, TimeLimit};
use crate::rl::eval::{evaluate, evaluate_within};
use crate::rl::event::{Control, Event, Metrics};
use crate::rl::policy::{Policy, PolicyHead};
use crate::rl::rollout::{Rollout, StepRows};
use crate::rl::space::Space;
use crate::rl::test_envs::{Broken, Drift, Masked, MaskedParts, Target, Walk};
use crate::rl::vec_env::VecEnv;
use crate::rng::{Stream, derive_seed};
use crate::threads::Threads;

mod noise;

/// Small settings of the algorithm that the pair "algo" names, PPO without one.
pub(super) fn settings(pairs: &[(&str, &str)]) -> Settings {
    let algorithm = pairs.iter().find(|(key, _)| *key == "algo").map_or("ppo", |(_, name)| name);
    let mut settings = Settings::new(Algorithm::parse(algorithm).unwrap());
    let own: &[(&str, &str)] = match settings.algorithm() {
        Algorithm::Ppo => &[("n_steps", "16"), ("batch_size", "24"), ("n_epochs", "3")],
        Algorithm::A2c => &[("n_steps", "16")],
        Algorithm::Awr => &[
            ("n_steps", "16"),
            ("buffer_size", "200"),
            ("value_updates", "3"),
            ("value_batch_size", "50"),
            ("policy_updates", "4"),
            ("policy_batch_size", "24"),
        ],
    };
    let shared = [("n_envs", "4"), ("max_depth", "2")];
    for (key, value) in shared.iter().chain(own).chain(pairs).filter(|(key, _)| *key != "algo") {
        settings.set(key, value).unwrap();
    }
    settings
}

pub(super) const ALGOS: [&str; 3] = ["ppo", "a2c", "awr"];

pub(super) fn walks(n: usize) -> Vec<Box<dyn Env>> {
    (0..n).map(|_| Box::new(TimeLimit::new(Walk::new(), 20).unwrap()) as Box<dyn Env>).collect()
}

fn targets(n: usize) -> Vec<Box<dyn Env>> {
    (0..n).map(|_| Box::new(Target::new()) as Box<dyn Env>).collect()
}

/// Episodes of seven steps, so that rollouts of sixteen end in the middle of one.
fn drifts(n: usize) -> Vec<Box<dyn Env>> {
    (0..n).map(|_| Box::new(TimeLimit::new(Drift::new(), 7).unwrap()) as Box<dyn Env>).collect()
}

/// Every event of a run as text.
pub(super) fn log(trainer: &mut Trainer, until: u64) -> Vec<String> {
    let mut lines = Vec::new();
    trainer
        .run(until, &mut |event| {
            lines.push(match event {
                Event::EpisodeFinished { timesteps, episode } => format!("{timesteps} {episode:?}"),
                Event::RolloutFinished { timesteps, metrics } | Event::UpdateFinished { timesteps, metrics } => {
                    let bits: Vec<_> = metrics.iter().map(|(key, value)| (key, value.to_bits())).collect();
                    format!("{timesteps} {bits:?}")
                }
                Event::EvaluationDue { timesteps, .. } => format!("{timesteps} evaluation"),
                Event::CheckpointDue { timesteps, .. } => format!("{timesteps} checkpoint"),
                Event::EpisodesRestarted { timesteps, envs } => format!("{timesteps} restarted {envs:?}"),
            });
            Control::Continue
        })
        .unwrap();
    lines
}

/// The losses of a rollout's minibatches; A2C's are those of PPO without a ratio.
fn losses<'a>(settings: &Settings, rollout: &'a Rollout) -> (PolicyLoss<'a>, ValueLoss<'a>) {
    match &settings.algo {
        AlgoParams::Ppo(ppo) => ppo::losses(rollout, &settings.agent, ppo, 0.0),
        _ => a2c::losses(rollout, &settings.agent),
    }
}

/// The whole loss of a minibatch against finite differences in every output and every log standard deviation.
#[test]
fn minibatch_gradients_agree_with_finite_differences() {
    type Case = (fn(usize) -> Vec<Box<dyn Env>>, &'static [(&'static str, &'static str)]);
    let masked: fn(usize) -> Vec<Box<dyn Env>> = |n| (0..n).map(|_| Box::new(Masked::new()) as Box<dyn Env>).collect();
    let cases: [Case; 7] = [
        (walks, &[("algo", "a2c"), ("ent_coef", "0.1")]),
        (targets, &[("algo", "a2c"), ("ent_coef", "0.1"), ("normalize_advantage", "true")]),
        (walks, &[("ent_coef", "0.1")]),
        (walks, &[("clip_range_vf", "0.05"), ("norm_obs", "true")]),
        (masked, &[("ent_coef", "0.3"), ("normalize_advantage", "false")]),
        (targets, &[("ent_coef", "0.1"), ("log_std_init", "-0.5")]),
        (targets, &[("log_std", "outputs"), ("squash_actions", "true"), ("ent_coef", "0.2")]),
    ];
    for (envs, pairs) in cases {
        let mut trainer = Trainer::new(envs(4), &settings(pairs)).unwrap();
        trainer.run(64, &mut |_| Control::Continue).unwrap();
        // Move the outputs away from where they were collected, so that ratios differ from 1.
        let rows: Vec<u32> = (0..24).map(|i| i * 2 + 1).collect();
        let mut batch = Minibatch::new(&trainer.agent.head);
        batch.gather(&trainer.agent.data, &rows);
        let mut stream = Stream::new(1, "test", 0);
        batch.outputs.iter_mut().for_each(|x| *x += stream.range(-0.1, 0.1) as f32);
        let rollout = trainer.rollout();
        let losses = losses(trainer.settings(), rollout);
        let base = batch.outputs.clone();
        let loss_of = |batch: &mut Minibatch, head: &PolicyHead| {
            let (policy, squared_error) =
                (batch.policy(head, rollout, &rows, &losses.0).unwrap(), batch.value(&rows, &losses.1));
            policy.loss - losses.0.ent_coef * policy.entropy + losses.1.vf_coef * 0.5 * squared_error
        };
        loss_of(&mut batch, &trainer.agent.head);
        let (analytic, log_std) = (batch.gradients.clone(), batch.log_std_gradients.clone());
        let n = rows.len() as f64;
        for i in 0..base.len() {
            let mut at = |h: f32| {
                batch.outputs.copy_from_slice(&base);
                batch.outputs[i] += h;
                let moved = f64::from(batch.outputs[i]);
                (moved, loss_of(&mut batch, &trainer.agent.head))
            };
            let ((x1, l1), (x0, l0)) = (at(1e-3), at(-1e-3));
            let numeric = n * (l1 - l0) / (x1 - x0);
            let a = f64::from(analytic[i]);
            assert!((numeric - a).abs() < 3e-3 * (1.0 + a.abs()), "{pairs:?} output {i}: {a} against {numeric}");
        }
        batch.outputs.copy_from_slice(&base);
        for i in 0..log_std.len() {
            let mut at = |h: f64| {
                let mut head = trainer.agent.head.clone();
                head.log_std[i] += h;
                loss_of(&mut batch, &head)
            };
            let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((numeric - log_std[i]).abs() < 1e-5, "log_std {i}: {} against {numeric}", log_std[i]);
        }
    }
}

/// The sums of 64 rows are those of the first 32 and those of the others: halves and 32nds of numbers are exact.
#[test]
fn losses_are_summed_tile_by_tile() {
    let pairs = [("ent_coef", "0.1"), ("normalize_advantage", "false"), ("n_epochs", "1"), ("clip_range_vf", "0.05")];
    let mut trainer = Trainer::new(targets(4), &settings(&pairs)).unwrap();
    trainer.run(64, &mut |_| Control::Continue).unwrap();
    let (head, rollout, data) = (&trainer.agent.head, trainer.rollout(), &trainer.agent.data);
    let (policy, value) = losses(trainer.settings(), rollout);
    let mut batch = Minibatch::new(head);
    let mut of = |rows: std::ops::Range<u32>| {
        let rows: Vec<u32> = rows.collect();
        batch.gather(data, &rows);
        let stats = batch.policy(head, rollout, &rows, &policy).unwrap();
        let all = [stats.loss, stats.entropy, stats.kl, stats.clip_fraction, batch.value(&rows, &value)];
        [&all[..], &batch.log_std_gradients].concat()
    };
    let (first, second, both) = (of(0..32), of(32..64), of(0..64));
    assert!(first[4] != second[4] && first[0] != second[0]);
    for (i, both) in both.iter().enumerate() {
        assert_eq!(both.to_bits(), (0.5 * (first[i] + second[i])).to_bits(), "{i}");
    }
}

#[test]
fn before_the_first_tree_ratios_are_exactly_one() {
    let mut trainer = Trainer::new(walks(4), &settings(&[("n_epochs", "1"), ("batch_size", "64")])).unwrap();
    trainer.run(64, &mut |_| Control::Continue).unwrap();
    assert_eq!(trainer.metrics().get("train/approx_kl"), Some(0.0));
    assert_eq!(trainer.metrics().get("train/clip_fraction"), Some(0.0));
    assert_eq!(trainer.ensemble().trees().len(), 1);
}

#[test]
fn a_last_partial_minibatch_makes_a_tree_too() {
    let mut trainer = Trainer::new(walks(4), &settings(&[])).unwrap();
    trainer.run(64, &mut |_| Control::Continue).unwrap();
    assert_eq!(trainer.ensemble().trees().len(), 3 * 3); // 24 + 24 + 16 rows, three times
    assert_eq!(trainer.metrics().get("train/n_trees"), Some(9.0));
}

#[test]
fn row_clips_act_after_all_coefficients() {
    let pairs =
        [("vf_coef", "100"), ("max_value_grad_norm", "0.25"), ("max_policy_grad_norm", "0.1"), ("ent_coef", "5")];
    let mut trainer = Trainer::new(walks(4), &settings(&pairs)).unwrap();
    trainer.run(64, &mut |_| Control::Continue).unwrap();
    let n = trainer.agent.head.n_policy_outputs();
    let mut at_limit = 0;
    for row in trainer.agent.learner.batch.gradients.chunks_exact(n + 1).take(16) {
        let norm = row[..n].iter().map(|g| g * g).sum::<f32>().sqrt();
        assert!(norm <= 0.1 + 1e-6 && row[n].abs() <= 0.25);
        at_limit += usize::from(row[n].abs() == 0.25);
    }
    assert!(at_limit > 0);
}

#[test]
fn target_kl_forbids_the_whole_minibatch() {
    let pairs = [("target_kl", "1e-9"), ("policy_lr", "0.5"), ("batch_size", "64"), ("n_epochs", "5")];
    let mut trainer = Trainer::new(walks(4), &settings(&pairs)).unwrap();
    trainer.run(64, &mut |_| Control::Continue).unwrap();
    // The first tree moves the policy; the second minibatch sees it, and neither grows a tree nor moves anything.
    assert_eq!(trainer.ensemble().trees().len(), 1);
    let mut trainer = Trainer::new(targets(4), &settings(&pairs)).unwrap();
    trainer.run(64, &mut |_| Control::Continue).unwrap();
    let moved = trainer.agent.head.log_std[0];
    let mut one_step = Trainer::new(targets(4), &settings(&[&pairs[..], &[("n_epochs", "1")]].concat())).unwrap();
    one_step.run(64, &mut |_| Control::Continue).unwrap();
    assert_eq!(moved, one_step.agent.head.log_std[0]);
    assert_ne!(moved, -2.0);
}

#[test]
fn a_seed_fixes_the_run_whatever_the_threads() {
    for algo in ALGOS {
        let run = |pairs: &[(&str, &str)]| {
            let settings = settings(&[&[("algo", algo), ("norm_obs", "true")], pairs].concat());
            let mut trainer = Trainer::new(walks(4), &settings).unwrap();
            let lines = log(&mut trainer, 256);
            (lines, trainer.ensemble().clone())
        };
        let one = run(&[("n_threads", "1")]);
        assert!(one == run(&[("n_threads", "2"), ("env_threads", "3")]));
        assert!(one.0 != run(&[("seed", "1")]).0);
    }
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    for edges in ["rollout", "step", "fixed"] {
        resume_in_the_middle(&[("edges", edges)]);
    }
    for algo in ["a2c", "awr"] {
        resume_in_the_middle(&[("algo", algo)]);
        resume_in_the_middle(&[("algo", algo), ("value_optimizer", "adam"), ("control_variates", "true")]);
    }
    resume_in_the_middle(&[("policy_optimizer", "adam"), ("control_variates", "true")]);
    resume_in_the_middle(&[("policy_optimizer", "adam"), ("value_optimizer", "adam"), ("adam_beta1", "0.5")]);
    resume_in_the_middle(&[("clip_range", "linear:0.3:0.1")]);
}

fn resume_in_the_middle(more: &[(&str, &str)]) {
    resume_on(walks, more);
}

/// Half a run, a checkpoint as bytes, the other half: equal to a whole run in every event and in the end.
fn resume_on(envs: fn(usize) -> Vec<Box<dyn Env>>, more: &[(&str, &str)]) {
    let pairs = [
        ("norm_obs", "true"),
        ("policy_lr", "lin_0.2"),
        ("total_timesteps", "2048"),
        ("checkpoint_every", "512"),
        ("eval_every", "1000"),
    ];
    let pairs = [&pairs[..], more].concat();
    let mut whole = Trainer::new(envs(4), &settings(&pairs)).unwrap();
    let all = log(&mut whole, 2048);
    let mut first = Trainer::new(envs(4), &settings(&pairs)).unwrap();
    let mut lines = log(&mut first, 1024);
    let json = serde_json::to_value(first.state()).unwrap();
    let bytes = Checkpoint::new(first.model().unwrap(), json).to_bytes().unwrap();
    let read = Checkpoint::from_bytes(&bytes).unwrap();
    let state: TrainerState = serde_json::from_value(read.state).unwrap();
    assert_eq!(state, first.state());
    let mut second = Trainer::resume(envs(4), &state, read.model).unwrap();
    assert_eq!(second.state(), state, "{more:?}");
    lines.extend(log(&mut second, 2048));
    let differ = lines.iter().zip(&all).find(|(a, b)| a != b);
    assert!(differ.is_none() && lines.len() == all.len(), "{more:?}: {differ:#?}");
    assert!(all.iter().any(|line| line.ends_with("checkpoint")) && all.iter().any(|line| line.ends_with("evaluation")));
    assert_eq!(second.state(), whole.state());
    assert_eq!(second.model().unwrap().to_model(), whole.model().unwrap().to_model());
    assert_eq!(second.model().unwrap().fixed_edges.is_some(), second.settings().tree.edges == Edges::Fixed);
}

#[test]
fn a_gaussian_run_resumes_and_says_what_it_could_not_restore() {
    let pairs = [("log_std_lr", "0.01")];
    let mut first = Trainer::new(targets(4), &settings(&pairs)).unwrap();
    log(&mut first, 128);
    let mut second = Trainer::resume(targets(4), &first.state(), first.model().unwrap().to_model()).unwrap();
    assert_eq!(second.agent.head, first.agent.head);
    assert_eq!(second.agent.learner.adam, first.agent.learner.adam);
    assert_eq!(log(&mut second, 192)[0], "128 restarted [0, 1, 2, 3]");
}

#[test]
fn states_that_do_not_fit_are_refused() {
    let mut trainer = Trainer::new(walks(4), &settings(&[])).unwrap();
    log(&mut trainer, 64);
    let (state, ensemble) = (trainer.state(), trainer.ensemble().clone());
    let empty = Ensemble::new(ensemble.schema().clone(), ensemble.groups().to_vec()).unwrap();
    let class =
        |envs, state: &TrainerState, trees| Trainer::resume(envs, state, Model::new(trees)).err().unwrap().class();
    assert_eq!(class(walks(4), &state, empty), ErrorClass::Format);
    assert_eq!(class(targets(4), &state, ensemble.clone()), ErrorClass::Format);
    assert_eq!(class(walks(3), &state, ensemble.clone()), ErrorClass::Value);
    let mut other = state.clone();
    other.agent.settings.agent.norm_reward = false;
    assert_eq!(class(walks(4), &other, ensemble.clone()), ErrorClass::Format);
    let mut adam = state.clone();
    adam.agent.settings.agent.value_optimizer = OptimizerKind::Adam;
    let error = Trainer::resume(walks(4), &adam, Model::new(ensemble.clone())).err().unwrap();
    assert!(error.to_string().starts_with("value_optimizer: expected Sgd, as the run began, got Adam"), "{error}");
    let mut fixed = state.clone();
    fixed.agent.settings.tree.edges = Edges::Fixed;
    let model = Model { fixed_edges: Some(Vec::new()), ..Model::new(ensemble) };
    assert_eq!(Trainer::resume(walks(4), &fixed, model).err().unwrap().class(), ErrorClass::Value);
}

#[test]
fn what_is_part_of_the_state_cannot_be_changed() {
    let mut trainer = Trainer::new(targets(4), &settings(&[("norm_obs", "true")])).unwrap();
    log(&mut trainer, 64);
    let state = trainer.state();
    let changed = |key: &str, value: &str| {
        let (mut other, mut settings) = (state.clone(), state.settings().clone());
        settings.set(key, value).unwrap();
        other.set_settings(settings).map(|()| other)
    };
    for (key, value, message) in [
        ("norm_obs", "false", "norm_obs: expected true, as the run began, got false"),
        ("squash_actions", "true", "squash_actions: expected false, as the run began, got true"),
        ("log_std", "outputs", "log_std: expected free, as the run began, got outputs"),
        ("log_std_init", "-1", "log_std_init: expected -2, as the run began, got -1"),
        ("clip_obs", "5", "clip_obs: expected 10, as the run began, got 5"),
        ("clip_reward", "5", "clip_reward: expected 10, as the run began, got 5"),
        ("norm_reward", "false", "norm_reward: expected true, as the run began, got false"),
        ("value_optimizer", "adam", "value_optimizer: expected sgd, as the run began, got adam"),
        ("adam_beta1", "0.5", "adam_beta1: expected 0.9, as the run began, got 0.5"),
        ("n_envs", "3", "n_envs: expected 4, as the run began, got 3"),
        ("n_steps", "8", "n_steps: expected 16, as the run began, got 8"),
        ("seed", "9", "seed: expected 0, as the run began, got 9"),
    ] {
        assert_eq!(changed(key, value).unwrap_err().to_string(), message);
    }
    let table = state.settings();
    assert!(KEPT.iter().all(|key| table.get(key).is_some()), "a name that is no setting");
    // Discounting goes by the new setting everywhere, the rewards' normaliser included.
    let other = changed("gamma", "0.5").unwrap();
    let resumed = Trainer::resume(targets(4), &other, trainer.model().unwrap().to_model()).unwrap();
    let text = serde_json::to_string(&resumed.state()).unwrap();
    assert_eq!(text.matches("\"gamma\":0.5").count(), 2, "settings and normaliser");
    assert!(!text.contains("\"gamma\":0.99"));
}

#[test]
fn a_smaller_window_keeps_the_newest_episodes() {
    let mut trainer = Trainer::new(walks(4), &settings(&[])).unwrap();
    let mut returns = Vec::new();
    let mut watch = |event: &Event<'_>| {
        if let Event::EpisodeFinished { episode, .. } = event {
            returns.push(**episode);
        }
        Control::Continue
    };
    trainer.run(512, &mut watch).unwrap();
    let mut state = trainer.state();
    let mut settings = state.settings().clone();
    settings.set("stats_window", "3").unwrap();
    state.set_settings(settings).unwrap();
    let resumed = Trainer::resume(walks(4), &state, trainer.model().unwrap().to_model()).unwrap();
    let recent: Vec<_> = resumed.state().progress.recent.into_iter().collect();
    assert!(returns.len() > 6);
    assert_eq!(recent, returns[returns.len() - 3..]);
}

#[test]
fn misuse_is_an_error() {
    let class = |envs, pairs: &[(&str, &str)]| Trainer::new(envs, &settings(pairs)).err().unwrap().class();
    assert_eq!(class(walks(3), &[]), ErrorClass::Value);
    assert_eq!(class(Vec::new(), &[]), ErrorClass::Value);
    let mut bad = settings(&[]);
    bad.agent.gamma = 2.0;
    assert_eq!(Trainer::new(walks(4), &bad).err().unwrap().class(), ErrorClass::Value);
    let broken = Broken { reward: f32::INFINITY, ..Broken::nothing() };
    let mut trainer = Trainer::new(vec![Box::new(broken)], &settings(&[("n_envs", "1")])).unwrap();
    let error = trainer.run(16, &mut |_| Control::Continue).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Environment);
}

#[test]
fn adam_and_monotone_outputs_do_not_mix() {
    let pairs = [("value_optimizer", "adam"), ("monotone", "0:2:rising")];
    let error = Trainer::new(walks(4), &settings(&pairs)).err().unwrap();
    assert_eq!(error.class(), ErrorClass::Unsupported);
    assert!(error.to_string().contains("with an Adam output group"), "{error}");
    Trainer::new(walks(4), &settings(&pairs[1..])).unwrap();
}

#[test]
fn the_observer_can_stop_between_rollouts() {
    let mut trainer = Trainer::new(walks(4), &settings(&[])).unwrap();
    let end = trainer.run(1 << 20, &mut |event| match event {
        Event::RolloutFinished { timesteps, .. } if *timesteps >= 128 => Control::Stop,
        _ => Control::Continue,
    });
    assert_eq!((end.unwrap(), trainer.timesteps()), (Control::Stop, 128));
    assert_eq!(trainer.ensemble().trees().len(), 18, "the rollout is learned from before stopping");
}

#[test]
fn it_learns_a_walk_a_target_and_a_masked_bandit() {
    let score = |envs: fn(usize) -> Vec<Box<dyn Env>>, pairs: &[(&str, &str)], steps| {
        let mut settings = settings(&[("n_steps", "64"), ("batch_size", "64"), ("n_envs", "8")]);
        settings.run.total_timesteps = steps;
        pairs.iter().for_each(|(key, value)| settings.set(key, value).unwrap());
        let mut trainer = Trainer::new(envs(8), &settings).unwrap();
        trainer.run(steps, &mut |_| Control::Continue).unwrap();
        evaluate(&trainer.policy().unwrap(), &mut envs(3), 50, true, 7).unwrap().mean()
    };
    let up = score(walks, &[], 8192);
    assert!(up > 0.95, "walk: {up}");
    let adam = [("policy_optimizer", "adam"), ("value_optimizer", "adam"), ("policy_lr", "0.03")];
    let up = score(walks, &adam, 8192);
    assert!(up > 0.95, "walk with Adam: {up}");
    let bandits: fn(usize) -> Vec<Box<dyn Env>> = |n| (0..n).map(|_| Box::new(Masked::new()) as Box<dyn Env>).collect();
    let bandit = score(bandits, &[("policy_lr", "0.3")], 8192);
    assert!(bandit > 0.95, "bandit: {bandit}");
    // The best constant action gets −0.21. With larger steps the mean leaves the bounds, where clipping hides it.
    let gentle = [("batch_size", "256"), ("policy_lr", "0.01"), ("log_std_init", "-1")];
    for (pairs, least) in [
        (&[][..], -0.03),
        (&[("squash_actions", "true")], -0.03),
        (&[("squash_actions", "true"), ("log_std", "outputs")], -0.1),
    ] {
        let target = score(targets, &[&gentle, pairs].concat(), 32_768);
        assert!(target > least, "{pairs:?}: {target}");
    }
}

/// Over one epoch of one minibatch.
#[test]
fn a2c_is_ppo_without_a_ratio() {
    let masked: fn(usize) -> Vec<Box<dyn Env>> = |n| (0..n).map(|_| Box::new(Masked::new()) as Box<dyn Env>).collect();
    for (envs, ent_coef) in [(walks as fn(usize) -> Vec<Box<dyn Env>>, "0"), (targets, "0.3"), (masked, "0.1")] {
        for normalize in ["false", "true"] {
            let shared = [("ent_coef", ent_coef), ("normalize_advantage", normalize), ("gae_lambda", "0.9")];
            let whole = [("batch_size", "64"), ("n_epochs", "1")];
            let mut runs = [("ppo", &whole[..]), ("a2c", &[])].map(|(algo, own)| {
                let settings = settings(&[&[("algo", algo)], &shared[..], own].concat());
                let mut trainer = Trainer::new(envs(4), &settings).unwrap();
                trainer.run(64, &mut |_| Control::Continue).unwrap();
                trainer
            });
            // PPO has shuffled its rows; where they are in order the gradients are the same numbers.
            let rows: Vec<u32> = (0..64).collect();
            let [ppo, a2c] = &mut runs;
            let head = ppo.agent.head.clone();
            let gradients = [&*ppo, &*a2c].map(|trainer| {
                let (policy, value) = losses(trainer.settings(), trainer.rollout());
                let mut batch = Minibatch::new(&head);
                batch.gather(&trainer.agent.data, &rows);
                // Outputs as they were before the first tree.
                batch.outputs.fill(0.0);
                let mut before = head.clone();
                before.log_std.fill(trainer.settings().agent.log_std_init);
                batch.policy(&before, trainer.rollout(), &rows, &policy).unwrap();
                batch.value(&rows, &value);
                (batch.gradients, batch.log_std_gradients)
            });
            assert_eq!(gradients[0], gradients[1]);
            assert!(gradients[1].0.iter().any(|&g| g != 0.0));
            // One tree of either, the same but for the order of the rows, which changes no sum of integers.
            if normalize == "false" {
                assert_eq!(ppo.ensemble().trees(), a2c.ensemble().trees());
            }
            assert_eq!((ppo.ensemble().trees().len(), a2c.ensemble().trees().len()), (1, 1));
        }
    }
}

#[test]
fn awr_grows_trees_of_one_group_each() {
    let mut trainer = Trainer::new(walks(4), &settings(&[("algo", "awr")])).unwrap();
    trainer.run(128, &mut |_| Control::Continue).unwrap();
    let columns: Vec<_> = trainer.ensemble().trees().iter().map(|tree| tree.columns()).collect();
    let rollout = [vec![2..3; 3], vec![0..2; 4]].concat();
    assert_eq!(columns, [&rollout[..], &rollout].concat());
    assert_eq!(trainer.metrics().get("train/replay_size"), Some(128.0));
    trainer.run(512, &mut |_| Control::Continue).unwrap();
    assert_eq!(trainer.metrics().get("train/replay_size"), Some(192.0), "as many whole rollouts as 200 steps hold");
    let none = [("algo", "awr"), ("value_updates", "0"), ("policy_updates", "0")];
    let mut trainer = Trainer::new(walks(4), &settings(&none)).unwrap();
    trainer.run(128, &mut |_| Control::Continue).unwrap();
    assert_eq!(trainer.ensemble().trees().len(), 0);
}

/// Weights that are all at their largest, a power of two, so that their mean is exact.
#[test]
fn a_baseline_takes_its_share_of_the_mean_weight() {
    let run = |envs: Vec<Box<dyn Env>>, max_weight: f64, baseline: &str| {
        let pairs = [("algo", "awr"), ("max_weight", &max_weight.to_string()), ("weight_baseline", baseline)];
        let mut trainer = Trainer::new(envs, &settings(&pairs)).unwrap();
        trainer.run(256, &mut |_| Control::Continue).unwrap();
        assert_eq!(trainer.metrics().get("train/advantage_weight"), Some(max_weight));
        trainer
    };
    let weight = 0.5f64.powi(10);
    assert_eq!(run(walks(4), weight, "0.25").ensemble(), run(walks(4), 0.75 * weight, "0").ensemble());
    let entropy = |baseline| run(walks(4), weight, baseline).metrics().get("train/entropy_loss").unwrap();
    assert_eq!(entropy("1"), -2.0f64.ln(), "no tree changed the policy");
    assert_ne!(entropy("0"), -2.0f64.ln());
    let gaussian = |baseline| run(targets(4), weight, baseline);
    assert_eq!(gaussian("0.5").ensemble(), gaussian("0").ensemble(), "a Gaussian has no baseline");
}

/// The old rows were standardised by other statistics, and their rewards had another scale.
#[test]
fn another_policy_begins_with_an_empty_replay() {
    let pairs = [("algo", "awr"), ("norm_obs", "true"), ("buffer_size", "1024")];
    let mut trainer = Trainer::new(walks(4), &settings(&pairs)).unwrap();
    trainer.run(256, &mut |_| Control::Continue).unwrap();
    let rows = |trainer: &Trainer| trainer.agent.learner.replay.as_ref().unwrap().learnt_rows().count();
    assert_eq!(rows(&trainer), 256);
    trainer.agent.set_policy(trainer.model().unwrap().to_model()).unwrap();
    assert_eq!(rows(&trainer), 0);
}

#[test]
fn a_replay_survives_other_trees_and_another_size() {
    let mut trainer = Trainer::new(walks(4), &settings(&[("algo", "awr")])).unwrap();
    trainer.run(256, &mut |_| Control::Continue).unwrap();
    let mut changed = trainer.settings().clone();
    for (key, value) in [("max_depth", "1"), ("buffer_size", "128")] {
        changed.set(key, value).unwrap();
    }
    trainer.agent.set_settings(changed).unwrap();
    trainer.run(320, &mut |_| Control::Continue).unwrap();
    assert_eq!(trainer.metrics().get("train/replay_size"), Some(128.0));
    let mut other = trainer.settings().clone();
    other.algo = AlgoParams::A2c;
    let error = trainer.agent.set_settings(other).unwrap_err();
    assert_eq!(error.to_string(), "algo: expected awr, as the run began, got a2c");
}

#[test]
fn masks_are_kept_in_training_evaluation_and_saved_policies() {
    let spaces = [Space::discrete(4), Space::MultiDiscrete { nvec: vec![3, 2] }, Space::MultiBinary { n: 3 }];
    for (space, algo) in spaces.iter().flat_map(|space| ALGOS.map(|algo| (space, algo))) {
        let envs = |n| (0..n).map(|_| Box::new(MaskedParts::new(space.clone())) as Box<dyn Env>).collect::<Vec<_>>();
        let mut trainer = Trainer::new(envs(4), &settings(&[("algo", algo), ("policy_lr", "0.5")])).unwrap();
        trainer.run(512, &mut |_| Control::Continue).unwrap();
        let policy = Policy::from_model(trainer.model().unwrap().to_model(), 1).unwrap();
        for deterministic in [false, true] {
            evaluate(&policy, &mut envs(2), 20, deterministic, 1).unwrap();
        }
        let mut resumed = Trainer::resume(envs(4), &trainer.state(), trainer.model().unwrap().to_model()).unwrap();
        resumed.run(640, &mut |_| Control::Continue).unwrap();
    }
}

/// A state from before there were other algorithms.
#[test]
fn a_state_that_names_no_algorithm_is_of_ppo() {
    let mut trainer = Trainer::new(walks(4), &settings(&[])).unwrap();
    trainer.run(64, &mut |_| Control::Continue).unwrap();
    let mut json = serde_json::to_value(trainer.state()).unwrap();
    let agent = json["agent"].as_object_mut().unwrap();
    let learner = agent.remove("learner").unwrap();
    agent.insert("ppo".to_owned(), learner);
    assert_eq!(serde_json::from_value::<TrainerState>(json).unwrap(), trainer.state());
}

#[test]
fn a2c_and_awr_learn_a_walk_a_target_and_a_masked_bandit() {
    let masked: fn(usize) -> Vec<Box<dyn Env>> = |n| (0..n).map(|_| Box::new(Masked::new()) as Box<dyn Env>).collect();
    let score = |envs: fn(usize) -> Vec<Box<dyn Env>>, pairs: &[(&str, &str)], steps: u64| {
        let mut settings = settings(&[&[("n_envs", "8")], pairs].concat());
        settings.run.total_timesteps = steps;
        let mut trainer = Trainer::new(envs(8), &settings).unwrap();
        trainer.run(steps, &mut |_| Control::Continue).unwrap();
        evaluate(&trainer.policy().unwrap(), &mut envs(3), 50, true, 7).unwrap().mean()
    };
    let a2c = [("algo", "a2c"), ("n_steps", "8"), ("policy_lr", "0.3")];
    let awr = [("algo", "awr"), ("n_steps", "32"), ("buffer_size", "2048"), ("policy_lr", "0.2")];
    let awr = [&awr[..], &[("policy_updates", "10"), ("policy_batch_size", "256")]].concat();
    for pairs in [&a2c[..], &awr] {
        let up = score(walks, pairs, 16_384);
        assert!(up > 0.95, "walk, {pairs:?}: {up}");
        let bandit = score(masked, pairs, 16_384);
        assert!(bandit > 0.95, "bandit, {pairs:?}: {bandit}");
    }
    // 256 rows a tree, as PPO has there.
    let gentle = [("n_steps", "32"), ("policy_lr", "0.01"), ("log_std_init", "-1"), ("normalize_advantage", "true")];
    for pairs in [&a2c[..1], &awr] {
        let target = score(targets, &[pairs, &gentle].concat(), 131_072);
        // The best constant action gets −0.21.
        assert!(target > -0.1, "target, {pairs:?}: {target}");
    }
}

#[test]
fn a_failed_run_goes_on_from_where_it_last_stood() {
    let pairs = [("norm_obs", "true"), ("eval_every", "128"), ("total_timesteps", "512")];
    let mut whole = Trainer::new(walks(4), &settings(&pairs)).unwrap();
    let all = log(&mut whole, 512);
    let mut first = Trainer::new(walks(4), &settings(&pairs)).unwrap();
    assert!(first.before_failure().unwrap().is_none());
    let mut lines = log(&mut first, 256);
    // From here on trees overflow: the first minibatch of the next rollout may already have moved things.
    first.agent.booster.set_rate(1, Schedule::Constant(3e38)).unwrap();
    let failure = first.train(&mut |_| Control::Continue).unwrap_err();
    assert_eq!(failure.class(), ErrorClass::Value);
    let (state, model) = first.before_failure().unwrap().unwrap();
    assert_eq!((state.timesteps(), model.ensemble.trees().len()), (256, state.agent.n_trees));
    assert_eq!(Policy::from_model(model.clone(), 1).unwrap().training().unwrap().timesteps, 256);
    let mut rest = Trainer::resume(walks(4), state, model).unwrap();
    lines.extend(log(&mut rest, 512));
    assert!(lines == all && rest.state() == whole.state());
    let error = first.train(&mut |_| Control::Continue).unwrap_err();
    assert!(error.to_string().contains("after a failure at 256 steps"), "{error}");
}

#[test]
fn evaluations_come_before_the_update_they_are_reported_with() {
    let mut trainer = Trainer::new(walks(4), &settings(&[("eval_every", "128")])).unwrap();
    let lines = log(&mut trainer, 128);
    assert!(lines[lines.len() - 2] == "128 evaluation" && lines[lines.len() - 1].contains("train/loss"));
}

#[test]
fn an_episode_without_end_is_an_error() {
    let mut trainer = Trainer::new(walks(4), &settings(&[])).unwrap();
    log(&mut trainer, 64);
    let policy = trainer.policy().unwrap();
    let within = |limit| evaluate_within(&policy, &mut walks(2), 4, true, 3, limit);
    let whole = within(None).unwrap();
    let longest = *whole.lengths.iter().max().unwrap();
    assert_eq!(within(Some(longest)).unwrap(), whole);
    let error = within(Some(longest - 1)).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Environment);
    let limit = longest - 1;
    let message = format!("episode without end: expected an end within {limit} steps, as a TimeLimit gives, got none");
    assert!(error.to_string().ends_with(&message), "{error}");
}

#[test]
fn evaluation_does_not_depend_on_the_number_of_copies() {
    let mut trainer = Trainer::new(walks(4), &settings(&[("norm_obs", "true")])).unwrap();
    log(&mut trainer, 256);
    let policy = trainer.policy().unwrap();
    for deterministic in [false, true] {
        let one = evaluate(&policy, &mut walks(1), 7, deterministic, 3).unwrap();
        for n in [2, 5, 9] {
            assert_eq!(evaluate(&policy, &mut walks(n), 7, deterministic, 3).unwrap(), one);
        }
    }
    assert_eq!(evaluate(&policy, &mut targets(1), 7, true, 3).unwrap_err().class(), ErrorClass::Environment);
    assert!(evaluate(&policy, &mut walks(1), 0, true, 3).is_err());
    assert!(evaluate(&policy, &mut [], 1, true, 3).is_err());
}

#[test]
fn a_policy_survives_json_and_refuses_what_does_not_fit() {
    let mut trainer = Trainer::new(walks(4), &settings(&[("norm_obs", "true")])).unwrap();
    log(&mut trainer, 128);
    let policy = trainer.policy().unwrap();
    let head: PolicyHead = serde_json::from_str(&serde_json::to_string(policy.head()).unwrap()).unwrap();
    let copy = Policy::new(trainer.ensemble().clone(), head.clone(), 1).unwrap();
    let observations = [1.0, 0.5, f32::NAN, 0.1, -3.0, f32::INFINITY];
    let act = |policy: &Policy| {
        let mut actions = [0.0; 3];
        policy.act(&observations, &[], false, &mut Stream::new(1, "test", 0), &mut actions).unwrap();
        let mut values = [0.0; 3];
        policy.values(&observations, &mut values).unwrap();
        (actions, values)
    };
    assert_eq!(act(&copy), act(&policy));
    let mut stream = Stream::new(1, "test", 0);
    assert!(policy.act(&observations[..5], &[], true, &mut stream, &mut [0.0; 3]).is_err());
    assert!(policy.act(&observations, &[true], true, &mut stream, &mut [0.0; 3]).is_err());
    let mask = [true, false, true, true, false, false];
    let error = policy.act(&observations, &mask, true, &mut stream, &mut [0.0; 3]).unwrap_err();
    assert_eq!(error.to_string(), "action mask[2, 0]: expected at least one allowed choice, got none");
    let other = PolicyHead { action_space: Space::discrete(3), ..head };
    assert_eq!(Policy::new(trainer.ensemble().clone(), other, 1).err().unwrap().class(), ErrorClass::Format);
}

/// The loop that a caller with environments of another kind writes.
#[test]
fn an_agent_stepped_by_hand_learns_what_a_trainer_learns() {
    let masked: fn(usize) -> Vec<Box<dyn Env>> = |n| (0..n).map(|_| Box::new(Masked::new()) as Box<dyn Env>).collect();
    let cases = [walks, targets, masked].into_iter().flat_map(|envs| ALGOS.map(|algo| (envs, algo)));
    for (envs, algo) in cases {
        let settings = settings(&[("algo", algo), ("norm_obs", "true"), ("total_timesteps", "320")]);
        let mut trainer = Trainer::new(envs(4), &settings).unwrap();
        trainer.train(&mut |_| Control::Continue).unwrap();
        let mut envs = VecEnv::new(envs(4), derive_seed(settings.run.seed, "environments", 0)).unwrap();
        let (observation_space, action_space) = (envs.observation_space().clone(), envs.action_space().clone());
        let masks = envs.mask_len() > 0;
        let mut agent = Agent::new(envs.name(), &observation_space, &action_space, masks, &settings).unwrap();
        envs.reset().unwrap();
        agent.begin(envs.observations()).unwrap();
        for rollout in 1..=5 {
            loop {
                let sent = agent.decide(envs.masks()).unwrap().sent;
                envs.step(sent, &Threads::one()).unwrap();
                let step = StepRows {
                    rewards: envs.rewards(),
                    terminated: envs.terminated(),
                    truncated: envs.truncated(),
                    final_observations: envs.final_observations(),
                    ignored: &[],
                };
                if agent.outcome(&step, envs.observations()).unwrap() {
                    break;
                }
            }
            agent.finish().unwrap();
            agent.update(f64::from(rollout) * 64.0 / 320.0, &mut Metrics::default()).unwrap();
        }
        assert_eq!(agent.state(), trainer.agent.state());
        assert_eq!(agent.model(320).unwrap().to_model(), trainer.model().unwrap().to_model());
    }
}

#[test]
fn an_agent_names_the_call_that_is_due() {
    let trainer = Trainer::new(walks(4), &settings(&[])).unwrap();
    let (observations, actions) = (trainer.envs().observation_space(), trainer.envs().action_space());
    let mut agent = Agent::new("Walk", observations, actions, false, &settings(&[])).unwrap();
    assert_eq!(agent.decide(&[]).unwrap_err().to_string(), "call: expected begin, got decide");
    assert_eq!(agent.begin(&[0.0; 7]).unwrap_err().to_string(), "observations: expected shape [4, 2], got 7 numbers");
    let next = [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    let at_hand: Vec<f32> = next.iter().map(|x| x * 0.5).collect();
    agent.begin(&at_hand).unwrap();
    assert_eq!(agent.finish().unwrap_err().to_string(), "call: expected decide, got finish");
    assert_eq!(agent.decide(&[true]).unwrap_err().to_string(), "masks: expected shape 0, got 1");
    agent.decide(&[]).unwrap();
    let step = |rewards| StepRows {
        rewards,
        terminated: &[false; 4],
        truncated: &[false; 4],
        final_observations: &next,
        ignored: &[],
    };
    assert_eq!(agent.decide(&[]).unwrap_err().to_string(), "call: expected outcome, got decide");
    let error = agent.outcome(&step(&[0.0, f32::NAN, 0.0, 0.0]), &next).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Environment);
    assert_eq!(agent.outcome(&step(&[0.0; 3]), &next).unwrap_err().to_string(), "rewards: expected shape 4, got 3");
    assert!(!agent.outcome(&step(&[0.0; 4]), &next).unwrap());
    let error = agent.update(0.0, &mut Metrics::default()).unwrap_err();
    assert_eq!(error.to_string(), "call: expected decide, got update");
}

/// What an agent learns from `Walk`s that reset themselves in the step after an end, whatever they answer in it.
fn learnt_beside_resets(algo: &str, reward: f32, truncated: bool) -> (AgentState, Ensemble) {
    let settings = settings(&[("algo", algo), ("norm_reward", "true")]);
    let mut envs = VecEnv::new(walks(4), 0).unwrap();
    let (observation_space, action_space) = (envs.observation_space().clone(), envs.action_space().clone());
    let mut agent = Agent::new("Walk", &observation_space, &action_space, false, &settings).unwrap();
    envs.reset().unwrap();
    agent.begin(envs.observations()).unwrap();
    let mut n_ignored = 0;
    for _ in 0..4 {
        for t in 0.. {
            // Every third answer of the second and the last environment is to be ignored; episodes end before it.
            let ignored = [false, t % 3 == 2, false, t % 3 == 2];
            n_ignored += ignored.iter().filter(|&&ignored| ignored).count();
            let sent = agent.decide(&[]).unwrap().sent;
            envs.step(sent, &Threads::one()).unwrap();
            let (mut rewards, mut cut) = (envs.rewards().to_vec(), envs.truncated().to_vec());
            let mut terminated = envs.terminated().to_vec();
            for env in [1, 3] {
                terminated[env] |= t % 3 == 1;
            }
            for env in (0..4).filter(|&env| ignored[env]) {
                (rewards[env], cut[env]) = (reward, truncated);
            }
            let step = StepRows {
                rewards: &rewards,
                terminated: &terminated,
                truncated: &cut,
                final_observations: envs.final_observations(),
                ignored: &ignored,
            };
            if agent.outcome(&step, envs.observations()).unwrap() {
                break;
            }
        }
        agent.finish().unwrap();
        agent.update(0.5, &mut Metrics::default()).unwrap();
    }
    assert!(n_ignored > 20);
    let ensemble = agent.ensemble().clone();
    assert!(ensemble.trees().len() >= 4);
    (agent.state(), ensemble)
}

#[test]
fn nothing_is_learnt_from_ignored_rows() {
    for algo in ["ppo", "a2c"] {
        let learnt = learnt_beside_resets(algo, 0.0, false);
        assert!(learnt_beside_resets(algo, 1e20, false) == learnt, "{algo}");
        assert!(learnt_beside_resets(algo, -3.0, true) == learnt, "{algo}");
    }
    // A replay keeps the rewards that it was told of, and learns the same.
    let learnt = |reward| learnt_beside_resets("awr", reward, false).1;
    assert!(learnt(0.0) == learnt(1e20));
}

#[test]
fn a_rollout_of_resets_alone_teaches_nothing() {
    for algo in ["ppo", "a2c", "awr"] {
        let settings = settings(&[("algo", algo)]);
        let envs = VecEnv::new(walks(4), 0).unwrap();
        let mut agent = Agent::new("Walk", envs.observation_space(), envs.action_space(), false, &settings).unwrap();
        let (observations, no) = ([0.0; 8], [false; 4]);
        agent.begin(&observations).unwrap();
        loop {
            agent.decide(&[]).unwrap();
            let step = StepRows {
                rewards: &[1.0; 4],
                terminated: &no,
                truncated: &no,
                final_observations: &observations,
                ignored: &[true; 4],
            };
            if agent.outcome(&step, &observations).unwrap() {
                break;
            }
        }
        agent.finish().unwrap();
        let mut metrics = Metrics::default();
        agent.update(0.0, &mut metrics).unwrap();
        assert_eq!(agent.ensemble().trees().len(), 0);
        assert!(metrics.iter().all(|(_, value): (&str, f64)| value.is_finite()));
    }
}

#[test]
fn settings_change_between_rollouts_and_the_trees_stay() {
    let mut trainer = Trainer::new(walks(4), &settings(&[])).unwrap();
    trainer.run(128, &mut |_| Control::Continue).unwrap();
    let trees = trainer.ensemble().clone();
    let mut changed = trainer.settings().clone();
    for (key, value) in [("max_depth", "1"), ("batch_size", "64"), ("policy_lr", "0.5"), ("gamma", "0.5")] {
        changed.set(key, value).unwrap();
    }
    trainer.agent.set_settings(changed).unwrap();
    trainer.run(192, &mut |_| Control::Continue).unwrap();
    assert_eq!(trainer.ensemble().first(trees.trees().len()).unwrap().trees(), trees.trees());
    let new = &trainer.ensemble().trees()[trees.trees().len()..];
    assert_eq!(new.len(), 3, "one minibatch per epoch");
    assert!(new.iter().all(|tree| tree.depth() <= 1));
    let mut seeded = trainer.settings().clone();
    seeded.set("seed", "5").unwrap();
    assert_eq!(trainer.agent.set_settings(seeded).unwrap_err().class(), ErrorClass::Value);
}

#[test]
fn trees_may_change_between_a_rollout_and_its_update() {
    let run = |change_after: bool| {
        let mut trainer = Trainer::new(walks(4), &settings(&[])).unwrap();
        trainer.run(64, &mut |_| Control::Continue).unwrap();
        let mut envs = VecEnv::new(walks(4), 9).unwrap();
        envs.reset().unwrap();
        let agent = &mut trainer.agent;
        agent.begin(envs.observations()).unwrap();
        let mut changed = agent.settings().clone();
        changed.set("max_depth", "1").unwrap();
        if !change_after {
            agent.set_settings(changed.clone()).unwrap();
        }
        let go_on = |_: &VecEnv| ControlFlow::Continue(());
        assert!(agent.collect(&mut envs, &Threads::one(), go_on).unwrap().is_continue());
        agent.finish().unwrap();
        if change_after {
            agent.set_settings(changed).unwrap();
        }
        agent.update(0.5, &mut Metrics::default()).unwrap();
        agent.model(0).unwrap().to_model()
    };
    assert!(run(true) == run(false));
}

#[test]
fn whatever_stops_a_rollout_a_new_beginning_is_due() {
    let masked = |n| (0..n).map(|_| Box::new(Masked::new()) as Box<dyn Env>).collect::<Vec<_>>();
    let mut envs = VecEnv::new(masked(4), 9).unwrap();
    envs.reset().unwrap();
    let (observations, actions) = (envs.observation_space().clone(), envs.action_space().clone());
    let mut agent = Agent::new("Masked", &observations, &actions, true, &settings(&[])).unwrap();
    agent.begin(envs.observations()).unwrap();
    let nothing = vec![false; envs.masks().len()];
    assert_eq!(agent.decide(&nothing).unwrap_err().class(), ErrorClass::Value);
    assert_eq!(agent.decide(envs.masks()).unwrap_err().to_string(), "call: expected begin, got decide");
    agent.begin(envs.observations()).unwrap();
    let mut steps = 0;
    let stop = |_: &VecEnv| {
        steps += 1;
        if steps < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    assert!(agent.collect(&mut envs, &Threads::one(), stop).unwrap().is_break());
    assert_eq!(agent.finish().unwrap_err().to_string(), "call: expected begin, got finish");
    agent.begin(envs.observations()).unwrap();
    let go_on = |_: &VecEnv| ControlFlow::Continue(());
    assert!(agent.collect(&mut envs, &Threads::one(), go_on).unwrap().is_continue());
    agent.finish().unwrap();
    // A rollout that waits to be learnt from is not lost to a call that was wrong.
    assert_eq!(agent.decide(&[true]).unwrap_err().class(), ErrorClass::Value);
    let mut others = VecEnv::new(walks(4), 1).unwrap();
    others.reset().unwrap();
    let error = agent.collect(&mut others, &Threads::one(), go_on).unwrap_err();
    assert!(error.class() == ErrorClass::Value && error.to_string().starts_with("environments: "), "{error}");
    agent.update(0.0, &mut Metrics::default()).unwrap();
}

#[test]
fn a_new_seed_is_the_trees_too_and_a_device_stays() {
    let mut trainer = Trainer::new(walks(4), &settings(&[("row_subsample", "0.5")])).unwrap();
    trainer.agent.seed(7);
    let model = trainer.model().unwrap().to_model();
    let mut resumed = Trainer::resume(walks(4), &trainer.state(), model).unwrap();
    trainer.run(128, &mut |_| Control::Continue).unwrap();
    resumed.run(128, &mut |_| Control::Continue).unwrap();
    assert_eq!(resumed.ensemble(), trainer.ensemble());
    let mut elsewhere = trainer.settings().clone();
    elsewhere.set("device", "cuda").unwrap();
    assert_eq!(trainer.agent.set_settings(elsewhere).unwrap_err().class(), ErrorClass::Value);
}
