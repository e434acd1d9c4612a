//! Keeping an ensemble small while it grows: now and then it is distilled into fewer trees.
//!
//! Between two compactions the ensemble only grows, so caches stay valid; a compaction makes another ensemble, and
//! whoever holds outputs of the old one starts anew.

use serde::{Deserialize, Serialize};

use crate::boost::{Booster, OutputChange};
use crate::config::{RunParams, TreeParams};
use crate::data::Tiles;
use crate::ensemble::Ensemble;
use crate::error::{Error, Result};
use crate::rl::event::Metrics;
use crate::rl::exact::f32_text;
use crate::rl::policy::{PolicyHead, PolicyView};
use crate::rl::visited::place;
use crate::rng::Stream;

/// `max_trees` is divided by these, one after the other, until the distilled policy is near enough. How near it comes to
/// the old one depends more on the states than on the number of trees (docs/experiments.md), so the first is nearly always
/// the last.
const DIVISORS: [usize; 3] = [16, 4, 1];

/// Fewer trees than this save nothing; at most half of `max_trees`.
const LEAST: usize = 128;

/// Policies so near each other, in nats, are the same whatever their outputs: where one action is certain, logits may
/// change much. A narrow Gaussian's divergence is large on the other hand where nothing is amiss.
const NEAR: f64 = 0.01;

/// Of so many states one judges the outcome, and is not fitted to.
const HELD_OUT: usize = 4;

/// A sample of visited states, and what came of earlier compactions.
///
/// The sample is uniform over all states since the last compaction, with those it held then
/// counting as so many visited ones: it forgets slowly, so that a policy keeps what it knows of states that it has
/// learnt to avoid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compaction {
    /// How often the ensemble has been replaced.
    pub(super) n_compactions: u64,
    /// After no attempt was near enough: the number of trees at which it is tried again.
    retry_at: usize,
    last: Option<Outcome>,
    /// Rows as the trees see them.
    #[serde(with = "f32_text")]
    states: Vec<f32>,
    /// States that the sample stands for.
    seen: u64,
    stream: Stream,
}

/// What the last attempt changed, on states held out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    /// Largest rms of the change of an output of the policy, in units of the output's standard deviation.
    policy_change: f64,
    /// The same of the value.
    value_change: f64,
    /// Mean KL(old ‖ new) of the policy.
    kl: f64,
}

impl Compaction {
    pub(super) fn new(seed: u64) -> Self {
        Compaction {
            n_compactions: 0,
            retry_at: 0,
            last: None,
            states: Vec::new(),
            seen: 0,
            stream: Stream::new(seed, "visited states", 0),
        }
    }

    /// Restarts the stream of random numbers that states are sampled with.
    pub(super) fn seed(&mut self, seed: u64) {
        self.stream = Stream::new(seed, "visited states", 0);
    }

    /// Whether there is anything to save: states, or another ensemble than the run began with.
    pub(super) fn is_used(&self) -> bool {
        self.n_compactions > 0 || self.seen > 0
    }

    /// The same without what was seen of a policy that has been replaced.
    pub(super) fn afresh(&self) -> Self {
        Compaction { retry_at: 0, last: None, states: Vec::new(), seen: 0, ..self.clone() }
    }

    /// A saved one is of this policy.
    pub(super) fn check(&self, n_features: usize) -> Result<()> {
        let n = self.states.len() / n_features;
        let refuse = |what, expected: String, got: String| Err(Error::format("agent's state", what, expected, got));
        if !self.states.len().is_multiple_of(n_features) {
            return refuse("sample of states", format!("rows of {n_features} numbers"), self.states.len().to_string());
        }
        match (n as u64..u64::MAX / 2).contains(&self.seen) && self.n_compactions < u64::MAX / 2 {
            true => Ok(()),
            false => {
                refuse("counts of a sample", format!("at least {n}, and counts that go on"), self.seen.to_string())
            }
        }
    }

    /// Offers the rows of a rollout to the sample.
    pub(super) fn visit(&mut self, rows: &Tiles, run: &RunParams) {
        if run.max_trees.is_none() {
            return;
        }
        let (width, capacity) = (rows.n_features(), run.compaction_states);
        // Where the capacity was larger.
        self.states.truncate(capacity * width);
        self.seen = self.seen.max((self.states.len() / width) as u64);
        for row in 0..rows.n_rows() {
            let n = self.states.len() / width;
            let Some(at) = place(&mut self.stream, &mut self.seen, n, capacity) else { continue };
            if at == n {
                self.states.resize((n + 1) * width, 0.0);
            }
            rows.read_row(row, &mut self.states[at * width..][..width]);
        }
    }

    /// The ensemble that is to replace the booster's, where that has too many trees and one is found that is near enough.
    pub(super) fn attempt(
        &mut self,
        booster: &Booster,
        head: &PolicyHead,
        run: &RunParams,
    ) -> Result<Option<Ensemble>> {
        let Some(max_trees) = run.max_trees else { return Ok(None) };
        let n_trees = booster.n_trees();
        // Without a state there is nothing to go by: the bound was set after the rollout.
        if n_trees <= max_trees || n_trees < self.retry_at || self.states.is_empty() {
            return Ok(None);
        }
        let (fitted, held_out) = self.divide(head.n_features());
        let mut distiller = booster.distiller(&fitted)?;
        for n_trees in sizes(max_trees) {
            let small = distiller.distil(n_trees, |_| ())?;
            let outcome = Outcome::of(booster, &small, head, &held_out)?;
            self.last = Some(outcome);
            if outcome.policy_change <= run.max_compaction_change || outcome.kl <= NEAR {
                self.n_compactions += 1;
                self.retry_at = 0;
                self.seen = (self.states.len() / head.n_features()) as u64;
                return Ok(Some(small));
            }
        }
        self.retry_at = n_trees.saturating_mul(2);
        Ok(None)
    }

    /// Reports `train/compaction…`; what has not happened yet is NaN.
    pub(super) fn report(&self, run: &RunParams, metrics: &mut Metrics) {
        if run.max_trees.is_some() {
            metrics.set("train/compactions", self.n_compactions as f64);
            let last = |of: fn(Outcome) -> f64| self.last.map_or(f64::NAN, of);
            metrics.set("train/compaction_change", last(|last| last.policy_change));
            metrics.set("train/compaction_value_change", last(|last| last.value_change));
            metrics.set("train/compaction_kl", last(|last| last.kl));
        }
    }

    /// States to fit to, and those held out. Places tell nothing once the sample has been replaced a few times; until then
    /// every fourth row is of whichever environment comes fourth.
    fn divide(&self, n_features: usize) -> (Vec<f32>, Vec<f32>) {
        let (mut fitted, mut held_out) = (Vec::new(), Vec::new());
        for (i, state) in self.states.chunks_exact(n_features).enumerate() {
            if i % HELD_OUT == HELD_OUT - 1 { &mut held_out } else { &mut fitted }.extend_from_slice(state);
        }
        if held_out.is_empty() {
            held_out.clone_from(&fitted);
        }
        (fitted, held_out)
    }
}

/// How many trees are tried, one after the other.
fn sizes(max_trees: usize) -> Vec<usize> {
    // A step may take a tree for each of the two groups.
    let least = LEAST.min(max_trees / 2).max(2);
    let mut sizes = DIVISORS.map(|divisor| (max_trees / divisor).max(least)).to_vec();
    sizes.dedup();
    sizes
}

impl Outcome {
    fn of(booster: &Booster, small: &Ensemble, head: &PolicyHead, states: &[f32]) -> Result<Self> {
        let changes = booster.change(small, states)?;
        // An output that is the same everywhere has no scale. The number has to survive JSON.
        let worst = |changes: &[OutputChange]| changes.iter().map(OutputChange::relative).fold(0.0, f64::max);
        let (policy, value) = changes.split_at(changes.len() - 1);
        let (policy_change, value_change) = (worst(policy).min(f64::MAX), worst(value).min(f64::MAX));
        let small = Booster::on_threads(small.clone(), TreeParams::default(), 0, booster.threads())?;
        let (mut old, mut new) = (Vec::new(), Vec::new());
        let n = PolicyView::new(booster, head).parameters(states, &mut old)?;
        PolicyView::new(&small, head).parameters(states, &mut new)?;
        let width = head.distribution.n_params();
        let rows = old.chunks_exact(width).zip(new.chunks_exact(width));
        let sum = rows.into_iter().try_fold(0.0, |sum, (p, q)| Ok::<_, Error>(sum + head.distribution.kl(p, q)?))?;
        Ok(Outcome { policy_change, value_change, kl: sum / n as f64 })
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::super::tests::{ALGOS, log, settings, walks};
    use super::*;
    use crate::ErrorClass;
    use crate::io::Checkpoint;
    use crate::rl::algo::{Trainer, TrainerState};
    use crate::rl::eval::evaluate;
    use crate::rl::event::Control;

    /// Few trees, and whatever they say is near enough.
    const BOUND: [(&str, &str); 5] = [
        ("max_trees", "24"),
        ("max_compaction_change", "10"),
        ("compaction_states", "400"),
        ("norm_obs", "true"),
        ("max_depth", "4"),
    ];

    fn bounded(pairs: &[(&str, &str)]) -> Trainer {
        Trainer::new(walks(4), &settings(&[&BOUND, pairs].concat())).unwrap()
    }

    fn metric(trainer: &Trainer, key: &str) -> f64 {
        trainer.metrics().get(key).unwrap()
    }

    #[test]
    fn a_policy_stays_small_while_it_learns() {
        for algo in ALGOS {
            let mut trainer = bounded(&[("algo", algo), ("policy_lr", "0.2"), ("total_timesteps", "16384")]);
            let mut most = 0;
            while trainer.timesteps() < 16_384 {
                trainer.run(trainer.timesteps() + 1, &mut |_| Control::Continue).unwrap();
                most = most.max(trainer.ensemble().trees().len());
                assert_eq!(metric(&trainer, "train/n_trees"), trainer.ensemble().trees().len() as f64);
            }
            assert!(most <= 24, "{algo}: {most} trees");
            assert!(metric(&trainer, "train/compactions") > 5.0);
            for key in ["train/compaction_change", "train/compaction_value_change", "train/compaction_kl"] {
                assert!(metric(&trainer, key) > 0.0 && metric(&trainer, key).is_finite(), "{key}");
            }
            let up = evaluate(&trainer.policy().unwrap(), &mut walks(3), 50, true, 7).unwrap().mean();
            assert!(up > 0.9, "{algo}: {up}");
        }
    }

    #[test]
    fn few_trees_are_tried_first_and_all_that_are_allowed_last() {
        assert_eq!(sizes(16_000), [1000, 4000, 16_000]);
        assert_eq!(sizes(1000), [128, 250, 1000]);
        assert_eq!(sizes(296), [128, 296]);
        assert_eq!(sizes(3), [2, 3]);
        assert_eq!(sizes(2), [2]);
    }

    #[test]
    fn threads_change_nothing() {
        for algo in ALGOS {
            let run = |n_threads| {
                let mut trainer = bounded(&[("algo", algo), ("n_threads", n_threads), ("max_trees", "8")]);
                (log(&mut trainer, 1024), trainer.ensemble().clone(), metric(&trainer, "train/compactions"))
            };
            let one = run("1");
            assert!(one == run("3") && one.2 > 0.0, "{algo}");
        }
    }

    /// From checkpoints as bytes before, between and after compactions.
    #[test]
    fn a_resumed_run_equals_an_uninterrupted_one() {
        let more = [("row_subsample", "0.7"), ("edges", "fixed")];
        for pairs in [&[("algo", "ppo")][..], &[("algo", "a2c"), ("max_trees", "4")], &[("algo", "awr")], &more] {
            let mut whole = bounded(pairs);
            let all = log(&mut whole, 1024);
            let (mut first, mut lines, mut counts) = (bounded(pairs), Vec::new(), Vec::new());
            while first.timesteps() < 1024 {
                let until = first.timesteps() + 1;
                lines.extend(log(&mut first, until));
                counts.push(first.state().agent.compaction.unwrap().n_compactions);
                let json = serde_json::to_value(first.state()).unwrap();
                let bytes = Checkpoint::new(first.model().unwrap(), json).to_bytes().unwrap();
                let read = Checkpoint::from_bytes(&bytes).unwrap();
                let state: TrainerState = serde_json::from_value(read.state).unwrap();
                first = Trainer::resume(walks(4), &state, read.model).unwrap();
            }
            counts.dedup();
            assert!(counts.len() > 2, "{pairs:?}: {counts:?}");
            assert!(lines == all && first.state() == whole.state(), "{pairs:?}");
            assert_eq!(first.ensemble(), whole.ensemble());
        }
    }

    #[test]
    fn the_model_before_a_compaction_is_not_lost() {
        let mut trainer = bounded(&[]);
        let mut compacted = 0;
        while trainer.timesteps() < 1024 {
            let (before, state) = (trainer.ensemble().clone(), trainer.state());
            trainer.run(trainer.timesteps() + 1, &mut |_| Control::Continue).unwrap();
            assert_eq!(trainer.agent.earlier_model(&state.agent, 0).unwrap().ensemble, before);
            compacted += u32::from(trainer.ensemble().trees().len() < before.trees().len());
        }
        assert!(compacted > 2);
    }

    #[test]
    fn a_bad_copy_replaces_nothing() {
        // Two trees cannot say what hundreds do.
        let bad = [("max_trees", "2"), ("max_compaction_change", "1e-3"), ("policy_lr", "1")];
        let mut trainer = bounded(&bad);
        assert!(trainer.metrics().get("train/compaction_kl").is_none());
        log(&mut trainer, 512);
        assert_eq!(metric(&trainer, "train/compactions"), 0.0);
        assert!(metric(&trainer, "train/compaction_kl") > NEAR);
        let mut free = Trainer::new(walks(4), &settings(&[&BOUND[1..], &bad[1..]].concat())).unwrap();
        log(&mut free, 512);
        assert_eq!(trainer.ensemble(), free.ensemble());
        assert!(free.metrics().get("train/compactions").is_none() && free.state().agent.compaction.is_none());
    }

    #[test]
    fn another_policy_brings_no_states_along() {
        let mut trainer = bounded(&[]);
        log(&mut trainer, 1024);
        let model = trainer.model().unwrap().to_model();
        let before = trainer.state().agent.compaction.unwrap();
        assert!(!before.states.is_empty());
        trainer.agent.set_policy(model).unwrap();
        let after = trainer.state().agent.compaction.unwrap();
        assert_eq!((after.states.len(), after.seen, after.retry_at), (0, 0, 0));
        assert_eq!((after.n_compactions, &after.stream), (before.n_compactions, &before.stream));
    }

    #[test]
    fn a_stop_waits_for_no_distillation_and_a_late_bound_for_states() {
        let mut trainer = Trainer::new(walks(4), &settings(&BOUND[1..])).unwrap();
        log(&mut trainer, 512);
        let mut settings = trainer.settings().clone();
        settings.set("max_trees", "24").unwrap();
        // The rollout is over, and nobody has looked at its states.
        trainer.agent.set_settings(settings).unwrap();
        trainer.agent.update(0.5, &mut Metrics::default()).unwrap();
        assert!(trainer.ensemble().trees().len() > 24);
        let mut bounded = bounded(&[("max_trees", "8")]);
        log(&mut bounded, 256);
        let compactions = |trainer: &Trainer| trainer.state().agent.compaction.unwrap().n_compactions;
        let before = compactions(&bounded);
        let mut n = 0;
        let mut stop = || {
            n += 1;
            if n > 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        for _ in 0..4 {
            bounded.agent.update_while(0.5, &mut Metrics::default(), &mut stop).unwrap();
        }
        assert_eq!(compactions(&bounded), before);
    }

    #[test]
    fn a_saved_sample_makes_sense() {
        let mut trainer = bounded(&[]);
        log(&mut trainer, 512);
        let sample = trainer.state().agent.compaction.unwrap();
        sample.check(2).unwrap();
        let n = sample.states.len() as u64 / 2;
        for wrong in [
            Compaction { seen: n - 1, ..sample.clone() },
            Compaction { seen: u64::MAX, ..sample.clone() },
            Compaction { n_compactions: u64::MAX, ..sample.clone() },
            Compaction { states: vec![0.0; 3], ..sample },
        ] {
            assert_eq!(wrong.check(2).unwrap_err().class(), ErrorClass::Format);
        }
    }

    #[test]
    fn a_bound_may_come_later_and_go_again() {
        let mut trainer = Trainer::new(walks(4), &settings(&BOUND[1..])).unwrap();
        log(&mut trainer, 512);
        let n_trees = trainer.ensemble().trees().len();
        let change = |trainer: &Trainer, max_trees: &str| {
            let mut state = trainer.state();
            let mut settings = state.settings().clone();
            settings.set("max_trees", max_trees).unwrap();
            state.set_settings(settings).unwrap();
            Trainer::resume(walks(4), &state, trainer.model().unwrap().to_model()).unwrap()
        };
        let mut trainer = change(&trainer, "24");
        log(&mut trainer, 1024);
        assert!(trainer.ensemble().trees().len() <= 24 && n_trees > 60);
        let mut trainer = change(&trainer, "none");
        log(&mut trainer, 1536);
        assert!(trainer.ensemble().trees().len() > 60);
    }

    #[test]
    fn what_is_no_sum_is_refused() {
        for (key, value) in [("policy_optimizer", "adam"), ("value_optimizer", "adam"), ("control_variates", "true")] {
            let error = Trainer::new(walks(4), &settings(&[BOUND[0], (key, value)])).err().unwrap();
            assert_eq!(error.class(), ErrorClass::Unsupported);
            assert!(error.to_string().starts_with("max_trees is not available with "), "{error}");
        }
        let mut state = Compaction::new(0);
        state.states = vec![0.0; 5];
        assert_eq!(state.check(2).unwrap_err().class(), ErrorClass::Format);
    }

    #[test]
    fn every_state_has_the_same_chance_and_earlier_ones_fade() {
        let run = RunParams { max_trees: Some(2), compaction_states: 100, ..RunParams::default() };
        let rows = |from: usize, n: usize| {
            let mut rows = Tiles::new(1);
            rows.append(&(from..from + n).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
            rows
        };
        let mut counts = [0; 4];
        for seed in 0..200 {
            let mut sample = Compaction::new(seed);
            (0..8).for_each(|i| sample.visit(&rows(50 * i, 50), &run));
            assert_eq!((sample.states.len(), sample.seen), (100, 400));
            sample.states.iter().for_each(|&state| counts[state as usize / 100] += 1);
        }
        // 5,000 each; the standard deviation is about 55.
        assert!(counts.iter().all(|&n: &i32| (n - 5_000).abs() < 250), "{counts:?}");
        let mut sample = Compaction::new(0);
        sample.visit(&rows(0, 1000), &run);
        sample.seen = 100;
        sample.visit(&rows(1000, 300), &run);
        let old = sample.states.iter().filter(|&&state| state < 1000.0).count();
        assert!((10..45).contains(&old), "{old}");
        sample.visit(&rows(0, 1), &RunParams { compaction_states: 16, ..run.clone() });
        assert_eq!(sample.states.len(), 16);
        sample.visit(&rows(0, 1), &RunParams { max_trees: None, ..run });
        assert_eq!(sample.seen, 401);
    }
}
