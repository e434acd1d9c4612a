//! An agent without environments: it decides, is told what came of it, and learns.

use std::borrow::Cow;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::backend::MakeBackend;
use crate::boost::{Booster, Dataset};
use crate::config::{AgentParams, AlgoParams, Edges, OptimizerKind, ParamValue, Settings};
use crate::data::FeatureSchema;
use crate::ensemble::{Ensemble, Optimizer, OutputGroup};
use crate::error::{Error, Result};
use crate::io::{Model, ModelRef};
use crate::rl::algo::Poll;
use crate::rl::algo::actor::{Actor, ActorState, Decision};
use crate::rl::algo::compaction::Compaction;
use crate::rl::algo::learner::{Learner, LearnerState, Lesson};
use crate::rl::event::Metrics;
use crate::rl::normalize::RewardNormalizer;
use crate::rl::policy::{About, Policy, PolicyHead, PolicyView, Training};
use crate::rl::rollout::{Rollout, StepRows};
use crate::rl::space::Space;
use crate::rl::vec_env::{Rules, VecEnv};
use crate::rng::derive_seed;
use crate::threads::Threads;

/// A policy of trees that learns, for whoever steps the environments: [`Trainer`](super::Trainer) for those written in
/// Rust, or a loop of one's own.
///
/// A rollout goes [`begin`](Agent::begin) once after the environments were reset, then [`decide`](Agent::decide) and
/// [`outcome`](Agent::outcome) in turn until the rollout is full, [`finish`](Agent::finish), [`update`](Agent::update),
/// and on with `decide`. A seed fixes everything to the byte, whatever the number of threads.
///
/// ```
/// use gbrl_core::config::Settings;
/// use gbrl_core::rl::algo::Agent;
/// use gbrl_core::rl::event::Metrics;
/// use gbrl_core::rl::rollout::StepRows;
/// use gbrl_core::rl::space::Space;
///
/// // Choosing 1 pays, and every episode has one step.
/// let mut settings = Settings::default();
/// for (key, value) in [("n_envs", "4"), ("n_steps", "32"), ("batch_size", "64")] {
///     settings.set(key, value)?;
/// }
/// let mut agent = Agent::new("One", &Space::unbounded(1), &Space::discrete(2), false, &settings)?;
/// let mut metrics = Metrics::default();
/// let observations = [0.0; 4];
/// agent.begin(&observations)?;
/// for rollout in 0..8 {
///     loop {
///         let rewards: Vec<f32> = agent.decide(&[])?.sent.to_vec();
///         let (terminated, truncated) = ([true; 4], [false; 4]);
///         let step = StepRows {
///             rewards: &rewards,
///             terminated: &terminated,
///             truncated: &truncated,
///             final_observations: &observations,
///             ignored: &[],
///         };
///         if agent.outcome(&step, &observations)? {
///             break;
///         }
///     }
///     agent.finish()?;
///     agent.update(rollout as f64 / 8.0, &mut metrics)?;
/// }
/// let mut action = [0.0];
/// agent.policy()?.act(&[0.0], &[], true, &mut gbrl_core::rng::Stream::new(0, "", 0), &mut action)?;
/// assert_eq!(action, [1.0]);
/// # Ok::<(), gbrl_core::Error>(())
/// ```
pub struct Agent {
    env: String,
    backend: MakeBackend,
    pub(super) settings: Settings,
    pub(super) head: PolicyHead,
    pub(super) booster: Booster,
    pub(super) data: Dataset,
    pub(super) actor: Actor,
    pub(super) learner: Learner,
    pub(super) compaction: Compaction,
    /// The ensemble before a compaction, while the rollout lasts that it followed.
    replaced: Option<Ensemble>,
    has_masks: bool,
    rules: Rules,
    stage: Stage,
    /// Where the schedule of the noise stands, 0 to 1.
    progress: f64,
}

/// What may be called next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has been observed yet.
    New,
    /// A decision is due.
    Deciding,
    /// The outcome of a decision is due.
    Waiting,
    /// The rollout is full and not valued yet.
    Full,
    /// The rollout is valued, and has been learnt from or not.
    Finished,
}

/// What an agent needs, besides its [`model`](Agent::model), to go on learning. Survives JSON to the bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentState {
    pub(super) settings: Settings,
    /// The policy without its trees.
    pub head: PolicyHead,
    has_masks: bool,
    pub(super) actor: ActorState,
    #[serde(alias = "ppo")]
    learner: LearnerState,
    pub(super) n_trees: usize,
    /// Of the noise along its schedule, 0 to 1; absent where the run began before it had one.
    #[serde(default)]
    progress: f64,
    /// Absent where a run without bounds began before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compaction: Option<Compaction>,
}

/// Settings that stay as the run began: what they decide is part of the state, and a new value would change nothing or
/// the meaning of what is there.
pub(super) const KEPT: [&str; 15] = [
    "n_envs",
    "seed",
    "n_steps",
    "policy_optimizer",
    "value_optimizer",
    "adam_beta1",
    "adam_beta2",
    "adam_eps",
    "log_std",
    "log_std_init",
    "squash_actions",
    "norm_obs",
    "norm_reward",
    "clip_obs",
    "clip_reward",
];

impl Agent {
    /// An agent that knows nothing, for `settings.run.n_envs` environments called `env` with these spaces; `has_masks`
    /// says whether decisions come with action masks.
    ///
    /// # Errors
    /// Class `Value` for a setting out of range or a space that makes no sense; class `Unsupported` for an action space
    /// that no policy fits.
    pub fn new(
        env: &str,
        observation_space: &Space,
        action_space: &Space,
        has_masks: bool,
        settings: &Settings,
    ) -> Result<Self> {
        Self::new_on(&MakeBackend::default(), env, (observation_space, action_space), has_masks, settings)
    }

    /// [`new`](Agent::new) with trees grown by another backend than the CPU's.
    ///
    /// # Errors
    /// As [`new`](Agent::new), and class `Device` where a device is absent or fails.
    pub fn new_on(
        backend: &MakeBackend,
        env: &str,
        (observation_space, action_space): (&Space, &Space),
        has_masks: bool,
        settings: &Settings,
    ) -> Result<Self> {
        for (what, space) in [("observation_space", observation_space), ("action_space", action_space)] {
            space.check(what)?;
            if space.flat_len() == 0 {
                return Err(Error::shape(what, "at least one column", 0));
            }
        }
        settings.check()?;
        let head = PolicyHead::new(observation_space, action_space, &settings.agent)?;
        let n = head.n_policy_outputs();
        let mut ensemble = Ensemble::new(observation_space.schema(), output_groups(&settings.agent, n).into())?;
        if let (Some(means), true) = (head.distribution.gaussian_len(), head.log_std.is_empty()) {
            let mut bias = vec![0.0; n + 1];
            bias[means..n].fill(settings.agent.log_std_init as f32);
            ensemble.set_bias(&bias)?;
        }
        Self::assemble(backend, env, head, has_masks, ensemble, settings)
    }

    /// Goes on from a saved state and the model saved with it; [`begin`](Agent::begin) must follow.
    ///
    /// # Errors
    /// Class `Value` for another optimizer than the run began with; class `Format` when state and trees do not belong
    /// together.
    pub fn resume(state: &AgentState, model: Model) -> Result<Self> {
        Self::resume_on(&MakeBackend::default(), state, model)
    }

    /// [`resume`](Agent::resume) with trees grown by another backend than the CPU's.
    ///
    /// # Errors
    /// As [`resume`](Agent::resume), and class `Device` where a device is absent or fails.
    pub fn resume_on(backend: &MakeBackend, state: &AgentState, model: Model) -> Result<Self> {
        let settings = &state.settings;
        let env = About::of(&model)?.and_then(|about| about.training).map_or(String::new(), |training| training.env);
        let Model { mut ensemble, fixed_edges, .. } = model;
        let head = &state.head;
        head.check()?;
        let n = head.n_policy_outputs();
        let columns: Vec<_> = ensemble.groups().iter().map(|group| group.columns.clone()).collect();
        if columns != [0..n, n..n + 1] || ensemble.n_features() != head.n_features() {
            let got = format!("columns {columns:?} over {} features", ensemble.n_features());
            let expected = format!("columns {:?} over {} features", [0..n, n..n + 1], head.n_features());
            return Err(Error::format("agent's state", "trees of another policy", expected, got));
        }
        if ensemble.trees().len() != state.n_trees {
            return Err(Error::format("agent's state", "number of trees", state.n_trees, ensemble.trees().len()));
        }
        for (i, wanted) in output_groups(&settings.agent, n).into_iter().enumerate() {
            let group = &ensemble.groups()[i];
            if group.optimizer != wanted.optimizer {
                // The trees that are there would come to mean something else.
                let rule = format!("{:?}, as the run began", group.optimizer);
                let name = format!("{}_optimizer", wanted.name);
                return Err(Error::parameter(name, format!("{:?}", wanted.optimizer), rule));
            }
            ensemble.set_rate(i, wanted.rate)?;
        }
        let mut agent = Self::assemble(backend, &env, head.clone(), state.has_masks, ensemble, settings)?;
        if settings.tree.edges == Edges::Fixed {
            agent.booster.set_fixed_edges(fixed_edges)?;
        }
        if !(0.0..=1.0).contains(&state.progress) {
            return Err(Error::format("agent's state", "progress", "0 to 1", state.progress));
        }
        agent.actor.restore(&state.actor)?;
        agent.set_progress(state.progress)?;
        if let Some(compaction) = &state.compaction {
            compaction.check(agent.head.n_features())?;
            agent.compaction = compaction.clone();
            agent.booster.set_seed(trees_seed(settings, &agent.compaction));
        }
        agent.learner.restore(&state.learner, &agent.head, &mut agent.booster)?;
        Ok(agent)
    }

    fn assemble(
        backend: &MakeBackend,
        env: &str,
        head: PolicyHead,
        has_masks: bool,
        ensemble: Ensemble,
        settings: &Settings,
    ) -> Result<Self> {
        settings.check()?;
        let n_envs = settings.run.n_envs;
        let compaction = Compaction::new(settings.run.seed);
        let booster = new_booster(backend, ensemble, settings, &compaction)?;
        Ok(Agent {
            env: env.to_owned(),
            backend: backend.clone(),
            data: booster.dataset(),
            actor: Actor::new(&head, n_envs, has_masks, settings),
            learner: Learner::new(&head, has_masks, &booster, settings),
            compaction,
            replaced: None,
            rules: Rules::new(&head.observation_space, &head.action_space)?,
            has_masks,
            stage: Stage::New,
            progress: 0.0,
            settings: settings.clone(),
            head,
            booster,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What turns the trees' outputs into actions.
    pub fn head(&self) -> &PolicyHead {
        &self.head
    }

    /// The trees so far.
    pub fn ensemble(&self) -> &Ensemble {
        self.booster.ensemble()
    }

    /// The rollout that is being filled, or the last full one.
    pub fn rollout(&self) -> &Rollout {
        &self.actor.rollout
    }

    /// The rows of [`rollout`](Agent::rollout): observations as the trees see them, and their current outputs.
    pub fn data(&self) -> &Dataset {
        &self.data
    }

    /// Whether decisions come with action masks.
    pub fn has_masks(&self) -> bool {
        self.has_masks
    }

    /// Takes what the environments show after a reset, `[n_envs, n_features]`, and starts an empty rollout.
    ///
    /// # Errors
    /// Class `Value` for a wrong length, class `Environment` for a code that its column does not have.
    pub fn begin(&mut self, observations: &[f32]) -> Result<()> {
        self.check_observations("observations", observations)?;
        for env_idx in 0..self.settings.run.n_envs {
            self.actor.restart(env_idx);
        }
        self.start(observations, true);
        Ok(())
    }

    /// [`begin`](Agent::begin) for a resumed agent whose environments stand where they stood: the statistics have seen these
    /// observations before.
    ///
    /// # Errors
    /// As [`begin`](Agent::begin).
    pub fn begin_again(&mut self, observations: &[f32]) -> Result<()> {
        self.check_observations("observations", observations)?;
        self.start(observations, false);
        Ok(())
    }

    /// [`begin`](Agent::begin) without checks; `learn` says whether the statistics see these observations the first time.
    pub(super) fn start(&mut self, observations: &[f32], learn: bool) {
        self.actor.clear(&mut self.data);
        self.actor.observe(observations, &mut self.head, learn);
        self.stage = Stage::Deciding;
    }

    /// Samples an action for every environment, given which choices `masks` allow, `[n_envs, mask_len]` (see
    /// [`mask_len`](crate::rl::env::mask_len)), or nothing where there are no masks. The first decision after
    /// [`finish`](Agent::finish) starts a new rollout.
    ///
    /// # Errors
    /// Class `Value` for a wrong length or a call out of turn, which change nothing, and for a mask that allows nothing,
    /// after which [`begin`](Agent::begin) is due.
    pub fn decide(&mut self, masks: &[bool]) -> Result<Decision<'_>> {
        if !matches!(self.stage, Stage::Deciding | Stage::Finished) {
            return Err(out_of_turn("decide", self.stage));
        }
        let wanted = if self.has_masks { self.settings.run.n_envs * self.rules.mask_len } else { 0 };
        if masks.len() != wanted {
            return Err(Error::shape("masks", wanted, masks.len()));
        }
        self.leave_finished();
        let decision = self.actor.decide(&self.booster, &mut self.data, &self.head, masks)?;
        self.stage = Stage::Waiting;
        Ok(decision)
    }

    /// Remembers what came of the last decision, rewards and final observations raw, and takes the observations that
    /// come next, `[n_envs, n_features]` (after a reset, where an episode ended). Says whether the rollout is full.
    ///
    /// # Errors
    /// Class `Value` for a wrong length or a call out of turn; class `Environment` for a reward that is not finite or a
    /// code that its column does not have. Nothing has changed then.
    pub fn outcome(&mut self, step: &StepRows<'_>, next: &[f32]) -> Result<bool> {
        if self.stage != Stage::Waiting {
            return Err(out_of_turn("outcome", self.stage));
        }
        let n_envs = self.settings.run.n_envs;
        for (what, len) in [
            ("rewards", step.rewards.len()),
            ("terminated", step.terminated.len()),
            ("truncated", step.truncated.len()),
        ] {
            if len != n_envs {
                return Err(Error::shape(what, n_envs, len));
            }
        }
        if let Some(reward) = step.rewards.iter().find(|reward| !reward.is_finite()) {
            return Err(Error::environment(&self.env, "reward", "a finite number", reward));
        }
        self.check_observations("observations", next)?;
        self.check_shape("final_observations", step.final_observations)?;
        self.actor.rollout.check_ignored(step.ignored)?;
        self.actor.outcome(step, next, &mut self.head)?;
        let full = self.actor.rollout.is_full();
        self.stage = if full { Stage::Full } else { Stage::Deciding };
        Ok(full)
    }

    /// Fills a rollout with steps of `envs` on `threads`, instead of [`decide`](Agent::decide) and
    /// [`outcome`](Agent::outcome): `on_step` is called after each, when [`VecEnv::finished`] has the episodes that ended
    /// with it, and may end it all, after which [`begin`](Agent::begin) is due; [`finish`](Agent::finish) comes next
    /// otherwise.
    ///
    /// # Errors
    /// Class `Value` for a call out of turn and for environments of another kind or number, which change nothing, and what
    /// the environments return, after which [`begin`](Agent::begin) is due.
    pub fn collect(
        &mut self,
        envs: &mut VecEnv,
        threads: &Threads,
        mut on_step: impl FnMut(&VecEnv) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        if !matches!(self.stage, Stage::Deciding | Stage::Finished) {
            return Err(out_of_turn("collect", self.stage));
        }
        self.check_envs(envs)?;
        self.leave_finished();
        while !self.actor.rollout.is_full() {
            let decision = self.actor.decide(&self.booster, &mut self.data, &self.head, envs.masks())?;
            envs.step(decision.sent, threads)?;
            let step = StepRows {
                rewards: envs.rewards(),
                terminated: envs.terminated(),
                truncated: envs.truncated(),
                final_observations: envs.final_observations(),
                ignored: &[],
            };
            self.actor.outcome(&step, envs.observations(), &mut self.head)?;
            if on_step(envs).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.stage = Stage::Full;
        Ok(ControlFlow::Continue(()))
    }

    /// Empties a rollout that has been learnt from. Until what is done now has succeeded, a new beginning is due.
    fn leave_finished(&mut self) {
        if self.stage == Stage::Finished {
            self.actor.clear(&mut self.data);
            self.replaced = None;
        }
        self.stage = Stage::New;
    }

    fn check_envs(&self, envs: &VecEnv) -> Result<()> {
        let own = (self.settings.run.n_envs, &self.head.observation_space, &self.head.action_space, self.has_masks);
        let got = (envs.n_envs(), envs.observation_space(), envs.action_space(), envs.mask_len() > 0);
        match own == got {
            true => Ok(()),
            false => Err(Error::parameter("environments", format!("{got:?}"), format!("{own:?}"))),
        }
    }

    /// Values every row of a full rollout, and computes advantages and returns.
    ///
    /// # Errors
    /// Class `Value` for a call out of turn.
    pub fn finish(&mut self) -> Result<()> {
        if self.stage != Stage::Full {
            return Err(out_of_turn("finish", self.stage));
        }
        self.actor.finish(&mut self.booster, &mut self.data, &self.head)?;
        self.compaction.visit(self.data.observations(), &self.settings.run);
        if let Some(replay) = &mut self.learner.replay {
            let (last_observations, new_episodes) = self.actor.ends();
            let rollout = &self.actor.rollout;
            replay.push(&mut self.booster, rollout, &self.data, last_observations, new_episodes)?;
        }
        self.actor.go_on();
        self.stage = Stage::Finished;
        Ok(())
    }

    /// Moves the schedule of what is decided from now on, [`noise_correlation`](crate::config::AgentParams), to `progress`,
    /// clamped to 0 to 1. [`update`](Agent::update) does so by itself; this is for a run whose length changed since.
    ///
    /// # Errors
    /// Class `Value` for a progress that is no number.
    pub fn set_progress(&mut self, progress: f64) -> Result<()> {
        if progress.is_nan() {
            return Err(Error::parameter("progress", progress, "0 to 1"));
        }
        self.progress = progress.clamp(0.0, 1.0);
        self.actor.correlate(self.settings.agent.noise_correlation, self.progress);
        Ok(())
    }

    /// Learns from the finished rollout and sets `train/…` in `metrics`. Schedules stand at `progress`, 0 to 1. Where the
    /// ensemble has come to more than `max_trees`, a distilled one replaces it.
    ///
    /// # Errors
    /// Class `Value` for a call out of turn, a progress that is no number, a setting that the trees refuse, and where
    /// `max_trees` is set for outputs that are not finite.
    pub fn update(&mut self, progress: f64, metrics: &mut Metrics) -> Result<()> {
        self.update_while(progress, metrics, &mut || ControlFlow::Continue(()))
    }

    /// [`update`](Agent::update) that asks `poll` before every minibatch whether to go on. What was learnt until then
    /// stays.
    ///
    /// # Errors
    /// As [`update`](Agent::update).
    pub fn update_while(&mut self, progress: f64, metrics: &mut Metrics, poll: &mut Poll<'_>) -> Result<()> {
        if self.stage != Stage::Finished {
            return Err(out_of_turn("update", self.stage));
        }
        self.set_progress(progress)?;
        let mut interrupted = false;
        let poll: &mut Poll<'_> = &mut || {
            let flow = poll();
            interrupted |= flow.is_break();
            flow
        };
        let lesson = Lesson {
            head: &mut self.head,
            booster: &mut self.booster,
            data: &mut self.data,
            rollout: &self.actor.rollout,
            settings: &self.settings.agent,
            progress,
            metrics,
            poll,
        };
        self.learner.update(&self.settings.algo, lesson)?;
        // Who wants to stop does not want to wait for a distillation; the next update tries again.
        let small = match interrupted {
            true => None,
            false => self.compaction.attempt(&self.booster, &self.head, &self.settings.run)?,
        };
        if let Some(small) = small {
            let settings = self.settings.clone();
            self.replaced = Some(self.go_on_from(small, &settings)?.into_ensemble());
            metrics.set("train/n_trees", self.booster.n_trees() as f64);
        }
        self.compaction.report(&self.settings.run, metrics);
        Ok(())
    }

    /// Goes on with other trees or by other settings of theirs, and gives back the booster until now. A finished rollout
    /// stays, to be learnt from by the trees to come.
    fn go_on_from(&mut self, ensemble: Ensemble, settings: &Settings) -> Result<Booster> {
        let edges = self.booster.fixed_edges().map(<[_]>::to_vec);
        let mut booster = new_booster(&self.backend, ensemble, settings, &self.compaction)?;
        if settings.tree.edges == Edges::Fixed {
            booster.set_fixed_edges(edges)?;
        }
        let mut data = booster.dataset();
        booster.append(&mut data, &self.data.observations().to_rows(), 0..0, &mut [])?;
        booster.complete(&mut data)?;
        self.data = data;
        let before = std::mem::replace(&mut self.booster, booster);
        if let Some(replay) = &mut self.learner.replay {
            replay.rebuild(&mut self.booster)?;
        }
        Ok(before)
    }

    /// Forgets the running return and the noise of an environment that started a new episode without ending the old one.
    pub(super) fn restart(&mut self, env_idx: usize) {
        self.actor.restart(env_idx);
    }

    /// Changes the settings of what follows; see [`AgentState::set_settings`] for which may change. Settings of the trees
    /// cannot change in the middle of a rollout.
    ///
    /// # Errors
    /// As [`AgentState::set_settings`]; the settings are then as before.
    pub fn set_settings(&mut self, settings: Settings) -> Result<()> {
        check_change(&self.settings, &settings)?;
        let old = &self.settings;
        if old.run.device != settings.run.device {
            let (device, own) = (settings.run.device.print(), old.run.device.print());
            return Err(Error::parameter("device", device, format!("{own}, as the agent was made")));
        }
        if (&old.tree, old.run.n_threads) != (&settings.tree, settings.run.n_threads) {
            if matches!(self.stage, Stage::Waiting | Stage::Full)
                || self.stage == Stage::Deciding && self.data.n_rows() > 0
            {
                let reason = "its rows are binned and cached for the trees as they are";
                return Err(Error::unsupported("changing the trees' settings", "in the middle of a rollout", reason));
            }
            self.go_on_from(self.booster.ensemble().clone(), &settings)?;
        }
        for (i, group) in output_groups(&settings.agent, self.head.n_policy_outputs()).into_iter().enumerate() {
            self.booster.set_rate(i, group.rate)?;
        }
        self.actor.set_discounts(settings.agent.gamma, settings.agent.gae_lambda);
        if settings.agent.noise_correlation != self.settings.agent.noise_correlation {
            self.actor.set_noise_correlation(settings.agent.noise_correlation, &self.head.distribution)?;
        }
        if let (AlgoParams::Awr(awr), Some(replay)) = (&settings.algo, &mut self.learner.replay) {
            replay.set_capacity(awr.buffer_size);
        }
        self.settings = settings;
        self.set_progress(self.progress)
    }

    /// Calls the columns of observations and the codes of categories by other names than the observation space's, and the
    /// policy's outputs by those of the actions that they stand for, as many as there are.
    ///
    /// # Errors
    /// Class `Value` for columns of other kinds.
    pub fn describe(&mut self, features: FeatureSchema, choices: &[String]) -> Result<()> {
        let n = self.head.n_policy_outputs();
        let name = |column| match choices.get(column) {
            Some(choice) if column < n => format!("policy[{choice}]"),
            _ => self.booster.ensemble().output_name(column),
        };
        let names = if choices.is_empty() { Vec::new() } else { (0..=n).map(name).collect() };
        self.booster.describe(features, names)
    }

    /// Restarts every random stream from another seed.
    pub fn seed(&mut self, seed: u64) {
        self.settings.run.seed = seed;
        self.compaction.seed(seed);
        self.booster.set_seed(trees_seed(&self.settings, &self.compaction));
        self.actor.seed(seed);
        self.learner.seed(seed);
    }

    /// The code of a string in a column of strings, giving it the next one when it is new.
    ///
    /// # Errors
    /// Those of [`Ensemble::learn`].
    pub fn learn(&mut self, feature_idx: usize, text: &str) -> Result<f32> {
        self.booster.learn(feature_idx, text)
    }

    /// What the policy as it is now says about observations.
    pub fn view(&self) -> PolicyView<'_> {
        PolicyView::new(&self.booster, &self.head)
    }

    /// Takes over the trees, statistics and standard deviations of another policy for the same spaces and settings, and
    /// goes on learning from there; [`begin`](Agent::begin) must follow.
    ///
    /// # Errors
    /// Class `Format` for a model without a policy, or with one that does not fit this agent.
    pub fn set_policy(&mut self, model: Model) -> Result<()> {
        let Some(about) = About::of(&model)? else {
            return Err(Error::format("model", "no policy", "a policy's description", "trees without one"));
        };
        let mut state = AgentState { head: about.policy, n_trees: model.ensemble.trees().len(), ..self.state() };
        // Their states were standardised by statistics of their own, and their rewards had a scale of their own.
        state.compaction = state.compaction.map(|compaction| compaction.afresh());
        state.learner.replay = None;
        // The value that comes along is in units of its own rewards.
        let scale = about.training.and_then(|training| training.reward_normalizer);
        if let (Some(own), Some(scale)) = (&mut state.actor.reward_normalizer, &scale) {
            own.take_scale(scale);
        }
        let fits = |head: &PolicyHead| {
            (head.observation_space.clone(), head.distribution.clone(), head.log_std.len(), head.normalizer.is_some())
        };
        if fits(&state.head) != fits(&self.head) {
            let (expected, got) = (format!("{:?}", fits(&self.head)), format!("{:?}", fits(&state.head)));
            return Err(Error::format("model", "a policy for other spaces or settings", expected, got));
        }
        *self = Agent { env: self.env.clone(), ..Agent::resume_on(&self.backend, &state, model)? };
        Ok(())
    }

    /// A copy of the policy as it is now.
    ///
    /// # Errors
    /// As [`model`](Agent::model).
    pub fn policy(&self) -> Result<Policy> {
        Policy::from_model(self.model(0)?.to_model(), self.settings.run.n_threads)
    }

    /// The policy after `timesteps` steps of training, as a model to save: nothing is copied.
    ///
    /// # Errors
    /// As [`About::to_extra`], for outputs that learning has driven out of range.
    pub fn model(&self, timesteps: u64) -> Result<ModelRef<'_>> {
        let about = self.about(&self.head, timesteps, self.actor.reward_normalizer.as_ref());
        Ok(ModelRef {
            ensemble: self.ensemble(),
            params: Some(&self.settings.tree),
            fixed_edges: self.booster.fixed_edges(),
            extra: Cow::Owned(about.to_extra()?),
        })
    }

    /// The model as it was in an earlier `state` of this agent, at most one rollout ago. Its trees are copied.
    ///
    /// # Errors
    /// As [`model`](Agent::model).
    pub fn earlier_model(&self, state: &AgentState, timesteps: u64) -> Result<Model> {
        let n_compactions = state.compaction.as_ref().map_or(0, |compaction| compaction.n_compactions);
        let ensemble = match &self.replaced {
            Some(replaced) if n_compactions < self.compaction.n_compactions => replaced,
            _ => self.ensemble(),
        };
        let about = self.about(&state.head, timesteps, state.actor.reward_normalizer.as_ref());
        Ok(Model {
            params: Some(self.settings.tree.clone()),
            fixed_edges: self.booster.fixed_edges().map(<[_]>::to_vec),
            extra: about.to_extra()?,
            ..Model::new(ensemble.first(state.n_trees)?)
        })
    }

    fn about(&self, head: &PolicyHead, timesteps: u64, rewards: Option<&RewardNormalizer>) -> About {
        let training = Training {
            env: self.env.clone(),
            timesteps,
            agent: self.settings.agent.clone(),
            algo: self.settings.algo.clone(),
            reward_normalizer: rewards.map(RewardNormalizer::statistics),
        };
        About { policy: head.clone(), training: Some(training) }
    }

    /// What [`resume`](Agent::resume) needs, besides [`model`](Agent::model).
    pub fn state(&self) -> AgentState {
        AgentState {
            settings: self.settings.clone(),
            head: self.head.clone(),
            has_masks: self.has_masks,
            actor: self.actor.state(),
            learner: self.learner.state(),
            n_trees: self.ensemble().trees().len(),
            progress: self.progress,
            compaction: self.compaction.is_used().then(|| self.compaction.clone()),
        }
    }

    fn check_shape(&self, what: &'static str, observations: &[f32]) -> Result<()> {
        let (n, width) = (self.settings.run.n_envs, self.rules.n_features);
        match observations.len() == n * width {
            true => Ok(()),
            false => Err(Error::shape(what, format!("[{n}, {width}]"), format!("{} numbers", observations.len()))),
        }
    }

    fn check_observations(&self, what: &'static str, observations: &[f32]) -> Result<()> {
        self.check_shape(what, observations)?;
        let mut rows = observations.chunks_exact(self.rules.n_features);
        rows.try_for_each(|row| self.rules.check_observation(&self.env, row))
    }
}

impl AgentState {
    /// The settings that a resumed agent goes by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes the settings of what follows. Thread counts, intervals and the total are free, learning rates and
    /// coefficients too (the run is then another one).
    ///
    /// # Errors
    /// Class `Value` for a setting out of range, and for a change of one that is part of the state, such as `n_envs` or
    /// `norm_obs`; the settings are then as before.
    pub fn set_settings(&mut self, settings: Settings) -> Result<()> {
        check_change(&self.settings, &settings)?;
        self.settings = settings;
        Ok(())
    }
}

fn check_change(old: &Settings, new: &Settings) -> Result<()> {
    new.check()?;
    if old.algorithm() != new.algorithm() {
        let rule = format!("{}, as the run began", old.algorithm().name());
        return Err(Error::parameter("algo", new.algorithm().name(), rule));
    }
    for key in KEPT {
        let (old, new) = (old.get(key).unwrap_or_default(), new.get(key).unwrap_or_default());
        if old != new {
            return Err(Error::parameter(key, new, format!("{old}, as the run began")));
        }
    }
    Ok(())
}

fn out_of_turn(call: &'static str, stage: Stage) -> Error {
    let next = match stage {
        Stage::New => "begin",
        Stage::Deciding => "decide",
        Stage::Waiting => "outcome",
        Stage::Full => "finish",
        Stage::Finished => "update or decide",
    };
    Error::parameter("call", call, next)
}

fn new_booster(
    backend: &MakeBackend,
    ensemble: Ensemble,
    settings: &Settings,
    compaction: &Compaction,
) -> Result<Booster> {
    let threads = Threads::new(settings.run.n_threads)?;
    let backend = backend.make(&threads)?;
    Booster::with_backend(ensemble, settings.tree.clone(), trees_seed(settings, compaction), threads, backend)
}

/// Trees are counted anew after a compaction: their random numbers are others then.
fn trees_seed(settings: &Settings, compaction: &Compaction) -> u64 {
    derive_seed(settings.run.seed, "trees", compaction.n_compactions)
}

/// Which of the output groups is the policy's, and which the value's.
pub(super) const POLICY: usize = 0;
pub(super) const VALUE: usize = 1;

/// The policy's `n` columns and the value's, with the rates and optimizers of the settings.
fn output_groups(params: &AgentParams, n: usize) -> [OutputGroup; 2] {
    let group = |name: &str, columns, rate, optimizer| {
        let optimizer = match optimizer {
            OptimizerKind::Sgd => Optimizer::Sgd,
            OptimizerKind::Adam => {
                Optimizer::Adam { beta1: params.adam_beta1, beta2: params.adam_beta2, epsilon: params.adam_eps }
            }
        };
        OutputGroup { optimizer, ..OutputGroup::sgd(name, columns, rate) }
    };
    [
        group("policy", 0..n, params.policy_lr, params.policy_optimizer),
        group("value", n..n + 1, params.value_lr, params.value_optimizer),
    ]
}
