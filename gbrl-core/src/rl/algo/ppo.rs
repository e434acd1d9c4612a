//! Proximal policy optimisation (Schulman et al. 2017) with trees.

mod minibatch;
mod state;

use std::borrow::Cow;

use crate::boost::{Booster, Dataset};
use crate::config::{Edges, OptimizerKind, PpoParams, Settings};
use crate::ensemble::{Ensemble, Optimizer, OutputGroup};
use crate::error::{Error, Result};
use crate::io::{Model, ModelRef};
use crate::math;
use crate::rl::algo::adam::Adam;
use crate::rl::algo::{Collector, CollectorParams};
use crate::rl::env::Env;
use crate::rl::event::{Control, Event, Metrics, Observer};
use crate::rl::loss::explained_variance;
use crate::rl::normalize::RewardNormalizer;
use crate::rl::policy::{About, Policy, PolicyHead, Training};
use crate::rl::rollout::Rollout;
use crate::rl::vec_env::VecEnv;
use crate::rng::{Stream, derive_seed};

pub use state::TrainerState;

use minibatch::{BatchStats, LossParams, Minibatch};

/// The algorithm's name in files and on command lines.
pub const NAME: &str = "ppo";

/// A PPO run: environments, trees, and everything between.
///
/// One iteration collects `n_steps` steps of every environment, then passes `n_epochs` times over them in shuffled
/// minibatches; every minibatch adds one tree fitted to the rows' gradients. No update walks the old trees again: the
/// outputs computed while collecting are cached and advance with each new tree.
///
/// A seed fixes the run to the byte, whatever the number of threads.
///
/// ```
/// use gbrl_core::config::Settings;
/// use gbrl_core::error::Result;
/// use gbrl_core::rl::algo::ppo::Trainer;
/// use gbrl_core::rl::env::{Action, Env, Step};
/// use gbrl_core::rl::event::{Control, Event};
/// use gbrl_core::rl::space::Space;
///
/// /// Choosing 1 pays.
/// struct One(Space, Space);
/// impl Env for One {
///     fn name(&self) -> &str {
///         "One-v0"
///     }
///     fn observation_space(&self) -> &Space {
///         &self.0
///     }
///     fn action_space(&self) -> &Space {
///         &self.1
///     }
///     fn reset(&mut self, _seed: u64, observation: &mut [f32]) -> Result<()> {
///         observation[0] = 0.0;
///         Ok(())
///     }
///     fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
///         observation[0] = 0.0;
///         Ok(Step { reward: action.discrete()? as f32, terminated: true, truncated: false })
///     }
/// }
///
/// let mut settings = Settings::default();
/// settings.set("n_envs", "4")?;
/// settings.set("n_steps", "32")?;
/// settings.set("total_timesteps", "1024")?;
/// let envs = (0..4).map(|_| Box::new(One(Space::unbounded(1), Space::discrete(2))) as Box<dyn Env>).collect();
/// let mut trainer = Trainer::new(envs, &settings)?;
/// let mut reward = 0.0;
/// trainer.run(1024, &mut |event| {
///     if let Event::UpdateFinished { metrics, .. } = event {
///         reward = metrics.get("rollout/ep_rew_mean").unwrap_or(0.0);
///     }
///     Control::Continue
/// })?;
/// assert!(reward > 0.8);
/// # Ok::<(), gbrl_core::Error>(())
/// ```
pub struct Trainer {
    settings: Settings,
    head: PolicyHead,
    booster: Booster,
    data: Dataset,
    collector: Collector,
    minibatches: Stream,
    adam: Adam,
    n_updates: u64,
    order: Vec<u32>,
    batch: Minibatch,
    metrics: Metrics,
    restarted: Vec<usize>,
    /// Where the run stood before the rollout that failed.
    before_failure: Option<Box<TrainerState>>,
}

impl Trainer {
    /// A new run on copies of an environment, `settings.run.n_envs` of them.
    ///
    /// # Errors
    /// Class `Value` for a setting out of range or another number of copies; class `Unsupported` for an action space
    /// that no policy fits; class `Environment` when the copies differ or break their contract; or what an environment
    /// returned.
    pub fn new(envs: Vec<Box<dyn Env>>, settings: &Settings) -> Result<Self> {
        let envs = VecEnv::new(envs, derive_seed(settings.run.seed, "environments", 0))?;
        let head = PolicyHead::new(envs.observation_space(), envs.action_space(), &settings.ppo)?;
        let n = head.n_policy_outputs();
        let groups = output_groups(&settings.ppo, n);
        let mut ensemble = Ensemble::new(envs.observation_space().schema(), groups.into())?;
        if let (Some(means), true) = (head.distribution.gaussian_len(), head.log_std.is_empty()) {
            let mut bias = vec![0.0; n + 1];
            bias[means..n].fill(settings.ppo.log_std_init as f32);
            ensemble.set_bias(&bias)?;
        }
        let mut trainer = Self::assemble(envs, head, ensemble, settings)?;
        trainer.collector.start(&mut trainer.head)?;
        Ok(trainer)
    }

    /// Goes on from a saved state and the model saved with it. What follows equals, to the byte, what the saved run
    /// would have done, except in environments that cannot be saved: those start new episodes, and the first event says so.
    ///
    /// # Errors
    /// As [`new`](Trainer::new), class `Value` for another optimizer than the run began with, and
    /// [`ErrorKind::Format`](crate::error::ErrorKind::Format) when state, trees and
    /// environments do not belong together.
    pub fn resume(envs: Vec<Box<dyn Env>>, state: &TrainerState, model: Model) -> Result<Self> {
        let settings = &state.settings;
        let Model { mut ensemble, fixed_edges, .. } = model;
        let mut head = state.head.clone();
        head.check()?;
        let envs = VecEnv::new(envs, 0)?;
        let (expected, got) =
            ((&head.observation_space, &head.action_space), (envs.observation_space(), envs.action_space()));
        if expected != got {
            return Err(Error::format(
                "trainer state",
                "of another environment",
                format!("{expected:?}"),
                format!("{got:?}"),
            ));
        }
        let n = head.n_policy_outputs();
        let columns: Vec<_> = ensemble.groups().iter().map(|group| group.columns.clone()).collect();
        if columns != [0..n, n..n + 1] || ensemble.n_features() != head.n_features() {
            let got = format!("columns {columns:?} over {} features", ensemble.n_features());
            let expected = format!("columns {:?} over {} features", [0..n, n..n + 1], head.n_features());
            return Err(Error::format("trainer state", "trees of another policy", expected, got));
        }
        if ensemble.trees().len() != state.n_trees {
            return Err(Error::format("trainer state", "number of trees", state.n_trees, ensemble.trees().len()));
        }
        state.adam.check(head.log_std.len())?;
        for (i, wanted) in output_groups(&settings.ppo, n).into_iter().enumerate() {
            let group = &ensemble.groups()[i];
            if group.optimizer != wanted.optimizer {
                // The trees that are there would come to mean something else.
                let rule = format!("{:?}, as the run began", group.optimizer);
                let name = format!("{}_optimizer", wanted.name);
                return Err(Error::parameter(name, format!("{:?}", wanted.optimizer), rule));
            }
            ensemble.set_rate(i, wanted.rate)?;
        }
        let mut trainer = Self::assemble(envs, head.clone(), ensemble, settings)?;
        if settings.tree.edges == Edges::Fixed {
            trainer.booster.set_fixed_edges(fixed_edges)?;
        }
        trainer.restarted = trainer.collector.restore(&state.collector, &mut head)?;
        trainer.minibatches = state.minibatches.clone();
        trainer.adam = state.adam.clone();
        trainer.n_updates = state.n_updates;
        Ok(trainer)
    }

    fn assemble(envs: VecEnv, head: PolicyHead, ensemble: Ensemble, settings: &Settings) -> Result<Self> {
        let (run, ppo) = (&settings.run, &settings.ppo);
        settings.check()?;
        if envs.n_envs() != run.n_envs {
            return Err(Error::parameter("n_envs", run.n_envs, format!("{}, the copies given", envs.n_envs())));
        }
        let params = CollectorParams {
            n_steps: ppo.n_steps,
            gamma: ppo.gamma,
            lambda: ppo.gae_lambda,
            clip_reward: ppo.norm_reward.then_some(ppo.clip_reward),
            env_threads: run.env_threads,
            window: run.stats_window,
            seed: run.seed,
        };
        let collector = Collector::new(envs, &head, &params)?;
        let booster = Booster::new(ensemble, settings.tree.clone(), derive_seed(run.seed, "trees", 0), run.n_threads)?;
        let n_rows = ppo.n_steps * run.n_envs;
        Ok(Trainer {
            data: booster.dataset(),
            minibatches: Stream::new(run.seed, "minibatches", 0),
            adam: Adam::new(head.log_std.len()),
            n_updates: 0,
            order: (0..n_rows as u32).collect(),
            batch: Minibatch::new(&head, ppo.batch_size.min(n_rows)),
            metrics: Metrics::default(),
            restarted: Vec::new(),
            before_failure: None,
            settings: settings.clone(),
            head,
            booster,
            collector,
        })
    }

    /// The run's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Environment steps so far.
    pub fn timesteps(&self) -> u64 {
        self.collector.timesteps()
    }

    /// The trees so far.
    pub fn ensemble(&self) -> &Ensemble {
        self.booster.ensemble()
    }

    /// The environments.
    pub fn envs(&self) -> &VecEnv {
        self.collector.envs()
    }

    /// The last rollout, for those who want to look at it.
    pub fn rollout(&self) -> &Rollout {
        self.collector.rollout()
    }

    /// The numbers of the last rollout and its updates; empty before the first.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A copy of the policy as it is now.
    ///
    /// # Errors
    /// As [`model`](Trainer::model).
    pub fn policy(&self) -> Result<Policy> {
        Policy::from_model(self.model()?.to_model(), self.settings.run.n_threads)
    }

    /// The policy as it is now, as a model to save: nothing is copied.
    ///
    /// # Errors
    /// As [`About::to_extra`], for outputs that learning has driven out of range.
    pub fn model(&self) -> Result<ModelRef<'_>> {
        let about = self.about(&self.head, self.timesteps(), self.collector.reward_normalizer());
        Ok(ModelRef {
            ensemble: self.ensemble(),
            params: Some(&self.settings.tree),
            fixed_edges: self.booster.fixed_edges(),
            extra: Cow::Owned(about.to_extra()?),
        })
    }

    fn about(&self, head: &PolicyHead, timesteps: u64, rewards: Option<&RewardNormalizer>) -> About {
        let training = Training {
            env: self.envs().name().to_owned(),
            algo: NAME.to_owned(),
            timesteps,
            ppo: self.settings.ppo.clone(),
            reward_normalizer: rewards.map(RewardNormalizer::statistics),
        };
        About { policy: head.clone(), training: Some(training) }
    }

    /// After [`run`](Trainer::run) failed: state and model as they stood before the rollout that failed, to be saved
    /// and [resumed](Trainer::resume). `None` when nothing has failed.
    ///
    /// # Errors
    /// As [`model`](Trainer::model).
    pub fn before_failure(&self) -> Result<Option<(&TrainerState, Model)>> {
        let Some(state) = self.before_failure.as_deref() else { return Ok(None) };
        let about = self.about(&state.head, state.timesteps(), state.collector.reward_normalizer.as_ref());
        let model = Model {
            params: Some(self.settings.tree.clone()),
            fixed_edges: self.booster.fixed_edges().map(<[_]>::to_vec),
            extra: about.to_extra()?,
            ..Model::new(self.ensemble().first(state.n_trees)?)
        };
        Ok(Some((state, model)))
    }

    /// What [`resume`](Trainer::resume) needs, besides [`model`](Trainer::model).
    pub fn state(&self) -> TrainerState {
        TrainerState {
            settings: self.settings.clone(),
            head: self.head.clone(),
            collector: self.collector.save(),
            minibatches: self.minibatches.clone(),
            adam: self.adam.clone(),
            n_updates: self.n_updates,
            n_trees: self.ensemble().trees().len(),
        }
    }

    /// Trains to the end that the settings name (`total_timesteps`).
    ///
    /// # Errors
    /// As [`run`](Trainer::run).
    pub fn train(&mut self, observer: &mut Observer<'_>) -> Result<Control> {
        self.run(self.settings.run.total_timesteps, observer)
    }

    /// Trains until at least `until` environment steps are done in all, in whole rollouts. Schedules follow the
    /// settings' `total_timesteps`, so a run may be cut into several calls without changing it.
    ///
    /// Returns `Stop` when the observer asked for it.
    ///
    /// # Errors
    /// Class `Environment` for a broken contract, what an environment returned, or a setting that the trees refuse.
    /// The trainer is then between two steps and refuses to go on: resume from
    /// [`before_failure`](Trainer::before_failure) or a checkpoint.
    pub fn run(&mut self, until: u64, observer: &mut Observer<'_>) -> Result<Control> {
        if !self.restarted.is_empty() {
            let envs = std::mem::take(&mut self.restarted);
            if observer(&Event::EpisodesRestarted { timesteps: self.timesteps(), envs: &envs }) == Control::Stop {
                return Ok(Control::Stop);
            }
        }
        while self.timesteps() < until {
            if let Some(state) = &self.before_failure {
                let condition = format!("after a failure at {} steps", state.timesteps());
                return Err(Error::unsupported("training on", condition, "resume from the state before it"));
            }
            let before = self.state();
            match self.iterate(observer) {
                Ok(Control::Continue) => {}
                Ok(Control::Stop) => return Ok(Control::Stop),
                Err(error) => {
                    self.before_failure = Some(Box::new(before));
                    return Err(error);
                }
            }
        }
        Ok(Control::Continue)
    }

    /// One rollout, its updates, and the events that fall due.
    fn iterate(&mut self, observer: &mut Observer<'_>) -> Result<Control> {
        let before = self.timesteps();
        let mut control = self.collector.collect(&mut self.booster, &mut self.data, &mut self.head, observer)?;
        let timesteps = self.timesteps();
        let mut tell = |event: &Event<'_>| {
            if observer(event) == Control::Stop {
                control = Control::Stop;
            }
        };
        self.collector.report(&mut self.metrics);
        tell(&Event::RolloutFinished { timesteps, metrics: &self.metrics });
        self.update()?;
        let due = |every: u64| every > 0 && before / every < timesteps / every;
        if due(self.settings.run.eval_every) {
            tell(&Event::EvaluationDue { timesteps, policy: &self.policy()? });
        }
        tell(&Event::UpdateFinished { timesteps, metrics: &self.metrics });
        if due(self.settings.run.checkpoint_every) {
            tell(&Event::CheckpointDue { timesteps, trainer: self });
        }
        Ok(control)
    }

    /// Learns from the rollout that was just collected.
    fn update(&mut self) -> Result<()> {
        let ppo = &self.settings.ppo;
        let progress = self.collector.timesteps() as f64 / self.settings.run.total_timesteps as f64;
        let loss = LossParams::at(ppo, progress);
        let rollout = self.collector.rollout();
        let n_outputs = self.booster.ensemble().n_outputs();
        self.booster.set_progress(progress);
        for (i, row) in self.order.iter_mut().enumerate() {
            *row = i as u32;
        }
        let (mut total, mut n_batches) = (BatchStats::default(), 0.0);
        let (mut kl, mut last_loss) = (0.0, 0.0);
        'epochs: for _ in 0..ppo.n_epochs {
            self.minibatches.shuffle(&mut self.order);
            self.n_updates += 1;
            let (mut kl_sum, mut kl_batches) = (0.0, 0.0);
            for rows in self.order.chunks(ppo.batch_size) {
                let outputs = &mut self.batch.outputs[..rows.len() * n_outputs];
                self.data.gather(rows, 0..n_outputs, outputs);
                let stats = self.batch.evaluate(&self.head, rollout, rows, &loss)?;
                total.add(&stats);
                n_batches += 1.0;
                kl_sum += stats.kl;
                kl_batches += 1.0;
                kl = kl_sum / kl_batches;
                last_loss = stats.loss;
                // Before anything moves: a minibatch that has gone too far teaches nothing at all.
                if ppo.target_kl.is_some_and(|target| stats.kl > 1.5 * target) {
                    break 'epochs;
                }
                let gradients = &self.batch.gradients[..rows.len() * n_outputs];
                self.booster.step(&mut self.data, rows, gradients)?;
                let rate = ppo.log_std_lr.at(progress);
                self.adam.step(&mut self.head.log_std, &self.batch.log_std_gradients, rate);
            }
        }
        self.batch.old_values.clear();
        self.batch.old_values.extend(rollout.values().iter().map(|&v| f64::from(v)));
        let explained = explained_variance(&self.batch.old_values, rollout.returns());
        let metrics = &mut self.metrics;
        metrics.set("train/approx_kl", kl);
        metrics.set("train/clip_fraction", total.clip_fraction / n_batches);
        metrics.set("train/clip_range", loss.clip_range);
        metrics.set("train/entropy_loss", -total.entropy / n_batches);
        metrics.set("train/explained_variance", explained);
        metrics.set("train/loss", last_loss);
        metrics.set("train/n_updates", self.n_updates as f64);
        metrics.set("train/policy_gradient_loss", total.policy_loss / n_batches);
        metrics.set("train/value_loss", total.value_loss / n_batches);
        if !self.head.log_std.is_empty() {
            let sum = self.head.log_std.iter().fold(0.0, |sum, &s| sum + math::exp(s));
            metrics.set("train/std", sum / self.head.log_std.len() as f64);
        }
        metrics.set("train/policy_lr", ppo.policy_lr.at(progress));
        metrics.set("train/value_lr", ppo.value_lr.at(progress));
        metrics.set("train/n_trees", self.booster.ensemble().trees().len() as f64);
        Ok(())
    }
}

/// The policy's `n` columns and the value's, with the rates and optimizers of the settings.
fn output_groups(ppo: &PpoParams, n: usize) -> [OutputGroup; 2] {
    let group = |name: &str, columns, rate, optimizer| {
        let optimizer = match optimizer {
            OptimizerKind::Sgd => Optimizer::Sgd,
            OptimizerKind::Adam => {
                Optimizer::Adam { beta1: ppo.adam_beta1, beta2: ppo.adam_beta2, epsilon: ppo.adam_eps }
            }
        };
        OutputGroup { optimizer, ..OutputGroup::sgd(name, columns, rate) }
    };
    [
        group("policy", 0..n, ppo.policy_lr, ppo.policy_optimizer),
        group("value", n..n + 1, ppo.value_lr, ppo.value_optimizer),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;
    use crate::config::Schedule;
    use crate::io::Checkpoint;
    use crate::rl::env::TimeLimit;
    use crate::rl::eval::{evaluate, evaluate_within};
    use crate::rl::test_envs::{Broken, Masked, Target, Walk};

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        let defaults =
            [("n_envs", "4"), ("n_steps", "16"), ("batch_size", "24"), ("n_epochs", "3"), ("max_depth", "2")];
        for (key, value) in defaults.iter().chain(pairs) {
            settings.set(key, value).unwrap();
        }
        settings
    }

    fn walks(n: usize) -> Vec<Box<dyn Env>> {
        (0..n).map(|_| Box::new(TimeLimit::new(Walk::new(), 20).unwrap()) as Box<dyn Env>).collect()
    }

    fn targets(n: usize) -> Vec<Box<dyn Env>> {
        (0..n).map(|_| Box::new(Target::new()) as Box<dyn Env>).collect()
    }

    /// Every event of a run as text.
    fn log(trainer: &mut Trainer, until: u64) -> Vec<String> {
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

    /// The whole loss of a minibatch against finite differences in every output and every log standard deviation.
    #[test]
    fn minibatch_gradients_agree_with_finite_differences() {
        type Case = (fn(usize) -> Vec<Box<dyn Env>>, &'static [(&'static str, &'static str)]);
        let masked: fn(usize) -> Vec<Box<dyn Env>> =
            |n| (0..n).map(|_| Box::new(Masked::new()) as Box<dyn Env>).collect();
        let cases: [Case; 5] = [
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
            let d = trainer.ensemble().n_outputs();
            let loss = LossParams::at(&trainer.settings.ppo, 0.0);
            let mut batch = Minibatch::new(&trainer.head, rows.len());
            trainer.data.gather(&rows, 0..d, &mut batch.outputs);
            let mut stream = Stream::new(1, "test", 0);
            batch.outputs.iter_mut().for_each(|x| *x += stream.range(-0.1, 0.1) as f32);
            let rollout = trainer.collector.rollout();
            let base = batch.outputs.clone();
            batch.evaluate(&trainer.head, rollout, &rows, &loss).unwrap();
            let (analytic, log_std) = (batch.gradients.clone(), batch.log_std_gradients.clone());
            let n = rows.len() as f64;
            for i in 0..base.len() {
                let mut at = |h: f32| {
                    batch.outputs.copy_from_slice(&base);
                    batch.outputs[i] += h;
                    let moved = f64::from(batch.outputs[i]);
                    (moved, batch.evaluate(&trainer.head, rollout, &rows, &loss).unwrap().loss)
                };
                let ((x1, l1), (x0, l0)) = (at(1e-3), at(-1e-3));
                let numeric = n * (l1 - l0) / (x1 - x0);
                let a = f64::from(analytic[i]);
                assert!((numeric - a).abs() < 3e-3 * (1.0 + a.abs()), "{pairs:?} output {i}: {a} against {numeric}");
            }
            batch.outputs.copy_from_slice(&base);
            for i in 0..log_std.len() {
                let mut at = |h: f64| {
                    let mut head = trainer.head.clone();
                    head.log_std[i] += h;
                    batch.evaluate(&head, rollout, &rows, &loss).unwrap().loss
                };
                let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((numeric - log_std[i]).abs() < 1e-5, "log_std {i}: {} against {numeric}", log_std[i]);
            }
        }
    }

    #[test]
    fn before_the_first_tree_ratios_are_exactly_one() {
        let mut trainer = Trainer::new(walks(4), &settings(&[("n_epochs", "1"), ("batch_size", "64")])).unwrap();
        trainer.run(64, &mut |_| Control::Continue).unwrap();
        assert_eq!(trainer.metrics.get("train/approx_kl"), Some(0.0));
        assert_eq!(trainer.metrics.get("train/clip_fraction"), Some(0.0));
        assert_eq!(trainer.ensemble().trees().len(), 1);
    }

    #[test]
    fn a_last_partial_minibatch_makes_a_tree_too() {
        let mut trainer = Trainer::new(walks(4), &settings(&[])).unwrap();
        trainer.run(64, &mut |_| Control::Continue).unwrap();
        assert_eq!(trainer.ensemble().trees().len(), 3 * 3); // 24 + 24 + 16 rows, three times
        assert_eq!(trainer.metrics.get("train/n_trees"), Some(9.0));
    }

    #[test]
    fn row_clips_act_after_all_coefficients() {
        let pairs =
            [("vf_coef", "100"), ("max_value_grad_norm", "0.25"), ("max_policy_grad_norm", "0.1"), ("ent_coef", "5")];
        let mut trainer = Trainer::new(walks(4), &settings(&pairs)).unwrap();
        trainer.run(64, &mut |_| Control::Continue).unwrap();
        let n = trainer.head.n_policy_outputs();
        let mut at_limit = 0;
        for row in trainer.batch.gradients.chunks_exact(n + 1).take(16) {
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
        let moved = trainer.head.log_std[0];
        let mut one_step = Trainer::new(targets(4), &settings(&[&pairs[..], &[("n_epochs", "1")]].concat())).unwrap();
        one_step.run(64, &mut |_| Control::Continue).unwrap();
        assert_eq!(moved, one_step.head.log_std[0]);
        assert_ne!(moved, -2.0);
    }

    #[test]
    fn a_seed_fixes_the_run_whatever_the_threads() {
        let run = |pairs: &[(&str, &str)]| {
            let mut trainer = Trainer::new(walks(4), &settings(pairs)).unwrap();
            let lines = log(&mut trainer, 256);
            (lines, trainer.ensemble().clone())
        };
        let one = run(&[("norm_obs", "true"), ("n_threads", "1")]);
        assert!(one == run(&[("norm_obs", "true"), ("n_threads", "2"), ("env_threads", "3")]));
        assert!(one.0 != run(&[("norm_obs", "true"), ("seed", "1")]).0);
    }

    #[test]
    fn a_resumed_run_equals_an_uninterrupted_one() {
        for edges in ["rollout", "step", "fixed"] {
            resume_in_the_middle(&[("edges", edges)]);
        }
        resume_in_the_middle(&[("policy_optimizer", "adam"), ("control_variates", "true")]);
        resume_in_the_middle(&[("policy_optimizer", "adam"), ("value_optimizer", "adam"), ("adam_beta1", "0.5")]);
    }

    /// Half a run, a checkpoint as bytes, the other half: equal to a whole run in every event and in the end.
    fn resume_in_the_middle(more: &[(&str, &str)]) {
        let pairs = [
            ("norm_obs", "true"),
            ("policy_lr", "lin_0.2"),
            ("clip_range", "linear:0.3:0.1"),
            ("total_timesteps", "2048"),
            ("checkpoint_every", "512"),
            ("eval_every", "1000"),
        ];
        let pairs = [&pairs[..], more].concat();
        let mut whole = Trainer::new(walks(4), &settings(&pairs)).unwrap();
        let all = log(&mut whole, 2048);
        let mut first = Trainer::new(walks(4), &settings(&pairs)).unwrap();
        let mut lines = log(&mut first, 1024);
        let json = serde_json::to_value(first.state()).unwrap();
        let bytes = Checkpoint::new(first.model().unwrap(), json).to_bytes().unwrap();
        let read = Checkpoint::from_bytes(&bytes).unwrap();
        let state: TrainerState = serde_json::from_value(read.state).unwrap();
        assert_eq!(state, first.state());
        let mut second = Trainer::resume(walks(4), &state, read.model).unwrap();
        lines.extend(log(&mut second, 2048));
        let differ = lines.iter().zip(&all).find(|(a, b)| a != b);
        assert!(differ.is_none() && lines.len() == all.len(), "{more:?}: {differ:#?}");
        assert!(
            all.iter().any(|line| line.ends_with("checkpoint")) && all.iter().any(|line| line.ends_with("evaluation"))
        );
        assert_eq!(second.state(), whole.state());
        assert_eq!(second.model().unwrap().to_model(), whole.model().unwrap().to_model());
        assert_eq!(second.model().unwrap().fixed_edges.is_some(), second.settings.tree.edges == Edges::Fixed);
    }

    #[test]
    fn a_gaussian_run_resumes_and_says_what_it_could_not_restore() {
        let pairs = [("log_std_lr", "0.01")];
        let mut first = Trainer::new(targets(4), &settings(&pairs)).unwrap();
        log(&mut first, 128);
        let mut second = Trainer::resume(targets(4), &first.state(), first.model().unwrap().to_model()).unwrap();
        assert_eq!((&second.head, &second.adam), (&first.head, &first.adam));
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
        other.settings.ppo.norm_reward = false;
        assert_eq!(class(walks(4), &other, ensemble.clone()), ErrorClass::Format);
        let mut adam = state.clone();
        adam.settings.ppo.value_optimizer = OptimizerKind::Adam;
        let error = Trainer::resume(walks(4), &adam, Model::new(ensemble.clone())).err().unwrap();
        assert!(error.to_string().starts_with("value_optimizer: expected Sgd, as the run began, got Adam"), "{error}");
        let mut fixed = state.clone();
        fixed.settings.tree.edges = Edges::Fixed;
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
        assert!(state::KEPT.iter().all(|key| table.get(key).is_some()), "a name that is no setting");
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
        let recent: Vec<_> = resumed.state().collector.recent.into_iter().collect();
        assert!(returns.len() > 6);
        assert_eq!(recent, returns[returns.len() - 3..]);
    }

    #[test]
    fn misuse_is_an_error() {
        let class = |envs, pairs: &[(&str, &str)]| Trainer::new(envs, &settings(pairs)).err().unwrap().class();
        assert_eq!(class(walks(3), &[]), ErrorClass::Value);
        assert_eq!(class(Vec::new(), &[]), ErrorClass::Value);
        let mut bad = settings(&[]);
        bad.ppo.gamma = 2.0;
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
        let bandits: fn(usize) -> Vec<Box<dyn Env>> =
            |n| (0..n).map(|_| Box::new(Masked::new()) as Box<dyn Env>).collect();
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

    #[test]
    fn a_failed_run_goes_on_from_where_it_last_stood() {
        let pairs = [("norm_obs", "true"), ("eval_every", "128"), ("total_timesteps", "512")];
        let mut whole = Trainer::new(walks(4), &settings(&pairs)).unwrap();
        let all = log(&mut whole, 512);
        let mut first = Trainer::new(walks(4), &settings(&pairs)).unwrap();
        assert!(first.before_failure().unwrap().is_none());
        let mut lines = log(&mut first, 256);
        // From here on trees overflow: the first minibatch of the next rollout may already have moved things.
        first.booster.set_rate(1, Schedule::Constant(3e38)).unwrap();
        let failure = first.train(&mut |_| Control::Continue).unwrap_err();
        assert_eq!(failure.class(), ErrorClass::Value);
        let (state, model) = first.before_failure().unwrap().unwrap();
        assert_eq!((state.timesteps(), model.ensemble.trees().len()), (256, state.n_trees));
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
        let message =
            format!("episode without end: expected an end within {limit} steps, as a TimeLimit gives, got none");
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
        let other = PolicyHead { action_space: crate::rl::space::Space::discrete(3), ..head };
        assert_eq!(Policy::new(trainer.ensemble().clone(), other, 1).err().unwrap().class(), ErrorClass::Format);
    }
}
