//! A run on environments written in Rust: an agent, its environments, and the events on the way.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::backend::MakeBackend;
use crate::config::Settings;
use crate::ensemble::Ensemble;
use crate::error::{Error, Result};
use crate::io::{Model, ModelRef};
use crate::rl::algo::agent::{Agent, AgentState};
use crate::rl::env::Env;
use crate::rl::event::{Control, Event, Metrics, Observer};
use crate::rl::policy::{Policy, PolicyHead};
use crate::rl::rollout::Rollout;
use crate::rl::vec_env::{EpisodeEnd, VecEnv, VecEnvState};
use crate::rng::derive_seed;
use crate::threads::Threads;

/// A run: environments, trees, and everything between.
///
/// One iteration collects `n_steps` steps of every environment and learns from them as the settings' algorithm does;
/// every minibatch adds a tree fitted to its rows' gradients.
///
/// A seed fixes the run to the byte, whatever the number of threads.
///
/// ```
/// use gbrl_core::config::Settings;
/// use gbrl_core::error::Result;
/// use gbrl_core::rl::algo::Trainer;
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
    pub(super) agent: Agent,
    envs: VecEnv,
    /// What steps the environments.
    threads: Threads,
    progress: Progress,
    metrics: Metrics,
    restarted: Vec<usize>,
    /// Where the run stood before the rollout that failed.
    before_failure: Option<Box<TrainerState>>,
}

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    timesteps: u64,
    episodes: u64,
    /// The last `stats_window` episodes.
    pub(super) recent: VecDeque<EpisodeEnd>,
}

/// What resuming needs besides the model; taken between rollouts. Survives JSON to the bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerState {
    pub(super) agent: AgentState,
    envs: VecEnvState,
    pub(super) progress: Progress,
}

impl Trainer {
    /// A new run on copies of an environment, `settings.run.n_envs` of them.
    ///
    /// # Errors
    /// Class `Value` for a setting out of range or another number of copies; class `Unsupported` for an action space
    /// that no policy fits; class `Environment` when the copies differ or break their contract; or what an environment
    /// returned.
    pub fn new(envs: Vec<Box<dyn Env>>, settings: &Settings) -> Result<Self> {
        Self::new_on(&MakeBackend::default(), envs, settings)
    }

    /// [`new`](Trainer::new) with trees grown by another backend than the CPU's.
    ///
    /// # Errors
    /// As [`new`](Trainer::new), and class `Device` where a device is absent or fails.
    pub fn new_on(backend: &MakeBackend, envs: Vec<Box<dyn Env>>, settings: &Settings) -> Result<Self> {
        let envs = VecEnv::new(envs, derive_seed(settings.run.seed, "environments", 0))?;
        let has_masks = envs.mask_len() > 0;
        let spaces = (envs.observation_space(), envs.action_space());
        let mut agent = Agent::new_on(backend, envs.name(), spaces, has_masks, settings)?;
        agent.describe(envs.features().clone(), envs.choices())?;
        let mut trainer = Self::assemble(agent, envs)?;
        trainer.envs.reset()?;
        trainer.agent.start(trainer.envs.observations(), true);
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
        Self::resume_on(&MakeBackend::default(), envs, state, model)
    }

    /// [`resume`](Trainer::resume) with trees grown by another backend than the CPU's: the run may have begun on any.
    ///
    /// # Errors
    /// As [`resume`](Trainer::resume), and class `Device` where a device is absent or fails.
    pub fn resume_on(
        backend: &MakeBackend,
        envs: Vec<Box<dyn Env>>,
        state: &TrainerState,
        model: Model,
    ) -> Result<Self> {
        let envs = VecEnv::new(envs, 0)?;
        let head = &state.agent.head;
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
        let mut trainer = Self::assemble(Agent::resume_on(backend, &state.agent, model)?, envs)?;
        trainer.restarted = trainer.envs.restore(&state.envs)?;
        for &env_idx in &trainer.restarted {
            trainer.agent.restart(env_idx);
        }
        trainer.agent.start(trainer.envs.observations(), false);
        trainer.progress = state.progress.clone();
        // The newest, where the window has become smaller.
        let recent = &mut trainer.progress.recent;
        recent.drain(..recent.len().saturating_sub(trainer.agent.settings().run.stats_window));
        Ok(trainer)
    }

    fn assemble(agent: Agent, envs: VecEnv) -> Result<Self> {
        let run = &agent.settings().run;
        if envs.n_envs() != run.n_envs {
            return Err(Error::parameter("n_envs", run.n_envs, format!("{}, the copies given", envs.n_envs())));
        }
        Ok(Trainer {
            threads: Threads::new(run.env_threads)?,
            agent,
            envs,
            progress: Progress::default(),
            metrics: Metrics::default(),
            restarted: Vec::new(),
            before_failure: None,
        })
    }

    /// The run's settings.
    pub fn settings(&self) -> &Settings {
        self.agent.settings()
    }

    /// Environment steps so far.
    pub fn timesteps(&self) -> u64 {
        self.progress.timesteps
    }

    /// The trees so far.
    pub fn ensemble(&self) -> &Ensemble {
        self.agent.ensemble()
    }

    /// The environments.
    pub fn envs(&self) -> &VecEnv {
        &self.envs
    }

    /// The last rollout, for those who want to look at it.
    pub fn rollout(&self) -> &Rollout {
        self.agent.rollout()
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
        Policy::from_model(self.model()?.to_model(), self.settings().run.n_threads)
    }

    /// The policy as it is now, as a model to save: nothing is copied.
    ///
    /// # Errors
    /// As [`Agent::model`].
    pub fn model(&self) -> Result<ModelRef<'_>> {
        self.agent.model(self.timesteps())
    }

    /// After [`run`](Trainer::run) failed: state and model as they stood before the rollout that failed, to be saved
    /// and [resumed](Trainer::resume). `None` when nothing has failed.
    ///
    /// # Errors
    /// As [`model`](Trainer::model).
    pub fn before_failure(&self) -> Result<Option<(&TrainerState, Model)>> {
        let Some(state) = self.before_failure.as_deref() else { return Ok(None) };
        Ok(Some((state, self.agent.earlier_model(&state.agent, state.timesteps())?)))
    }

    /// What [`resume`](Trainer::resume) needs, besides [`model`](Trainer::model).
    pub fn state(&self) -> TrainerState {
        TrainerState { agent: self.agent.state(), envs: self.envs.save(), progress: self.progress.clone() }
    }

    /// Trains to the end that the settings name (`total_timesteps`).
    ///
    /// # Errors
    /// As [`run`](Trainer::run).
    pub fn train(&mut self, observer: &mut Observer<'_>) -> Result<Control> {
        self.run(self.settings().run.total_timesteps, observer)
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
        let mut control = Control::Continue;
        let mut tell = |event: &Event<'_>| {
            if observer(event) == Control::Stop {
                control = Control::Stop;
            }
        };
        self.agent.set_progress(before as f64 / self.agent.settings().run.total_timesteps as f64)?;
        let (progress, window) = (&mut self.progress, self.agent.settings().run.stats_window);
        let _ = self.agent.collect(&mut self.envs, &self.threads, |envs| {
            progress.timesteps += envs.n_envs() as u64;
            progress.episodes += envs.finished().len() as u64;
            for episode in envs.finished() {
                if progress.recent.len() == window {
                    progress.recent.pop_front();
                }
                progress.recent.push_back(*episode);
                tell(&Event::EpisodeFinished { timesteps: progress.timesteps, episode });
            }
            // A rollout is always finished and learnt from before a run stops.
            ControlFlow::Continue(())
        })?;
        self.agent.finish()?;
        let timesteps = self.progress.timesteps;
        self.progress.report(&mut self.metrics);
        tell(&Event::RolloutFinished { timesteps, metrics: &self.metrics });
        let run = &self.agent.settings().run;
        let (eval_every, checkpoint_every) = (run.eval_every, run.checkpoint_every);
        self.agent.update(timesteps as f64 / run.total_timesteps as f64, &mut self.metrics)?;
        let due = |every: u64| every > 0 && before / every < timesteps / every;
        if due(eval_every) {
            tell(&Event::EvaluationDue { timesteps, policy: &self.policy()? });
        }
        tell(&Event::UpdateFinished { timesteps, metrics: &self.metrics });
        if due(checkpoint_every) {
            tell(&Event::CheckpointDue { timesteps, trainer: self });
        }
        Ok(control)
    }
}

impl TrainerState {
    /// Environment steps done.
    pub fn timesteps(&self) -> u64 {
        self.progress.timesteps
    }

    /// The policy without its trees.
    pub fn head(&self) -> &PolicyHead {
        &self.agent.head
    }

    /// The settings that a resumed run goes by.
    pub fn settings(&self) -> &Settings {
        self.agent.settings()
    }

    /// Changes the settings of the rest of the run.
    ///
    /// # Errors
    /// As [`AgentState::set_settings`].
    pub fn set_settings(&mut self, settings: Settings) -> Result<()> {
        self.agent.set_settings(settings)
    }
}

impl Progress {
    /// Starts a new report with `rollout/…` and `time/…`: means over the last episodes, raw.
    fn report(&self, metrics: &mut Metrics) {
        metrics.clear();
        let mean = |of: fn(&EpisodeEnd) -> f64| {
            self.recent.iter().fold(0.0, |sum, episode| sum + of(episode)) / self.recent.len() as f64
        };
        metrics.set("rollout/ep_rew_mean", mean(|episode| episode.total_reward));
        metrics.set("rollout/ep_len_mean", mean(|episode| episode.length as f64));
        metrics.set("time/episodes", self.episodes as f64);
        metrics.set("time/total_timesteps", self.timesteps as f64);
    }
}
