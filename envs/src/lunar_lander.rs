//! LunarLander-v3: land a spacecraft on a pad with three engines. Needs the cargo feature `box2d`.
//!
//! Source: the task is Gymnasium's `LunarLander-v3`, the physics those of the crate `gmgn` on a Rust port of Box2D.
//! **Close to, but not the same task as Gymnasium's**: a random policy's mean return is about −206 here and −180
//! there. Good for trying things out; results to be compared with others' need Gymnasium's own.
//!
//! | index | observation | unit | min | max |
//! |---|---|---|---|---|
//! | 0 | horizontal position, pad at 0 | half viewport widths | −2.5 | 2.5 |
//! | 1 | height above the pad | half viewport heights | −2.5 | 2.5 |
//! | 2 | horizontal velocity | scaled | −10 | 10 |
//! | 3 | vertical velocity | scaled | −10 | 10 |
//! | 4 | angle, 0 upright | rad | −2π | 2π |
//! | 5 | angular velocity | 0.4 rad/s | −10 | 10 |
//! | 6 | first leg touches the ground | 0 or 1 | 0 | 1 |
//! | 7 | second leg touches the ground | 0 or 1 | 0 | 1 |
//!
//! Values beyond the bounds, which only a craft out of control reaches, are clipped to them.
//!
//! | | |
//! |---|---|
//! | actions | `Discrete(4)`: 0 nothing, 1 left orientation engine, 2 main engine, 3 right orientation engine |
//! | reward | change of a potential (nearer, slower, more upright, legs down), −0.3 per step of the main engine, −0.03 per step of a side engine; 100 for coming to rest, −100 for a crash |
//! | start | top centre, with a random push; random terrain around a flat pad |
//! | terminated | the body touches the ground, the craft leaves the viewport sideways, or it comes to rest |
//! | truncated | after 1000 steps (by the registry) |
//! | solved | mean return 200 |
//! | constants | gravity −10, 50 frames per second, no wind |
//!
//! The physics use the system's single-precision sine and cosine, so episodes may differ between machines; on one
//! machine a seed fixes the episode. Saving keeps the seed and the actions so far, and restoring plays them again.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use gbrl_core::data::FeatureSchema;
use gbrl_core::error::{Error, Result};
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::derive_seed;
use gmgn::env::Env as _;
use gmgn::envs::box2d::{LunarLanderConfig, LunarLanderEnv};

use crate::common::{Phase, StateReader, StateWriter, discrete_action, numbers, row, words};

const NAME: &str = "LunarLander-v3";
const BOUNDS: [f32; 6] = [2.5, 2.5, 10.0, 10.0, std::f32::consts::TAU, 10.0];
/// Longer episodes than any limit in use; bounds the time that restoring may take.
const MAX_REPLAY: u32 = 100_000;

/// The environment; the module's page describes the task.
///
/// The physics engine cannot be sent between threads, so each environment runs it on a thread of its own, which waits
/// while nobody steps and ends with the environment.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_envs::lunar_lander::LunarLander;
/// let (mut env, mut observation) = (LunarLander::new()?, [0.0; 8]);
/// env.reset(1, &mut observation)?;
/// env.step(Action::Discrete(2), &mut observation)?;
/// assert!(observation[1] > 1.0, "it starts high above the pad");
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
pub struct LunarLander {
    observation_space: Space,
    action_space: Space,
    simulation: Simulation,
    seed: u64,
    /// The actions since the last reset.
    history: Vec<u8>,
    phase: Phase,
}

impl LunarLander {
    /// A new environment with its simulation thread.
    ///
    /// # Errors
    /// [`ErrorKind::Environment`](gbrl_core::error::ErrorKind::Environment) when the system gives no thread.
    pub fn new() -> Result<Self> {
        let low = [BOUNDS.map(|x| -x).as_slice(), &[0.0; 2]].concat();
        let high = [BOUNDS.as_slice(), &[1.0; 2]].concat();
        Ok(LunarLander {
            observation_space: Space::Box { shape: vec![8], low, high },
            action_space: Space::discrete(4),
            simulation: Simulation::start()?,
            seed: 0,
            history: Vec::with_capacity(1000),
            phase: Phase::NeedsReset,
        })
    }

    fn begin(&mut self, seed: u64) -> Result<Frame> {
        self.phase = Phase::NeedsReset;
        self.history.clear();
        let frame = self.simulation.ask(Request::Reset(derive_seed(seed, NAME, 0)))?;
        (self.seed, self.phase) = (seed, Phase::Running);
        Ok(frame)
    }

    fn advance(&mut self, action: u8) -> Result<Frame> {
        let frame = self.simulation.ask(Request::Step(action))?;
        self.history.push(action);
        self.phase = Phase::after(frame.step.terminated);
        Ok(frame)
    }
}

impl Env for LunarLander {
    fn name(&self) -> &str {
        NAME
    }

    fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    fn action_space(&self) -> &Space {
        &self.action_space
    }

    fn features(&self) -> FeatureSchema {
        numbers(["x", "height", "x_velocity", "y_velocity", "angle", "angular_velocity", "leg_1", "leg_2"])
    }

    fn choices(&self) -> Vec<String> {
        words(&["nothing", "left engine", "main engine", "right engine"])
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        let row = row::<8>(observation)?;
        *row = self.begin(seed)?.observation;
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(NAME)?;
        let action = discrete_action(action, 4)?;
        let row = row::<8>(observation)?;
        let frame = self.advance(action as u8)?;
        *row = frame.observation;
        Ok(frame.step)
    }

    fn save(&self) -> Option<Vec<u8>> {
        let length = u32::try_from(self.history.len()).ok().filter(|&n| n <= MAX_REPLAY)?;
        StateWriter::new(NAME).phase(self.phase).u64(self.seed).u32(length).bytes(&self.history).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = StateReader::new(NAME, state)?;
        let (phase, seed) = (reader.phase()?, reader.u64()?);
        let length = reader.below(MAX_REPLAY + 1)?;
        let actions = reader.bytes(length as usize)?;
        if let Some(&action) = actions.iter().find(|&&action| action >= 4) {
            return Err(reader.invalid("impossible action", "below 4", action));
        }
        let impossible = reader.invalid("episode cannot be replayed", "an episode that lasts as long", length);
        reader.finish()?;
        if phase == Phase::NeedsReset {
            (self.phase, self.seed) = (phase, seed);
            self.history = actions.to_vec();
            return Ok(());
        }
        self.begin(seed)?;
        for &action in actions {
            if self.phase == Phase::NeedsReset {
                return Err(impossible);
            }
            self.advance(action)?;
        }
        if self.phase == Phase::NeedsReset {
            return Err(impossible);
        }
        Ok(())
    }
}

enum Request {
    Reset(u64),
    Step(u8),
}

#[derive(Clone, Copy)]
struct Frame {
    observation: [f32; 8],
    step: Step,
}

/// The thread that owns the physics engine, and the line to it.
struct Simulation {
    /// `None` only while dropping.
    requests: Option<SyncSender<Request>>,
    frames: Receiver<std::result::Result<Frame, String>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulation {
    fn start() -> Result<Self> {
        let (requests, inbox) = sync_channel::<Request>(1);
        let (outbox, frames) = sync_channel(1);
        let run = move || {
            let mut env = LunarLanderEnv::new(LunarLanderConfig::default());
            while let Ok(request) = inbox.recv() {
                let frame = match &mut env {
                    Ok(env) => answer(env, request),
                    Err(error) => Err(error.to_string()),
                };
                if outbox.send(frame).is_err() {
                    break;
                }
            }
        };
        let thread = Builder::new()
            .name("lunar-lander".to_owned())
            .spawn(run)
            .map_err(|error| Error::environment(NAME, "no simulation thread", "a thread", error))?;
        Ok(Simulation { requests: Some(requests), frames, thread: Some(thread) })
    }

    fn ask(&self, request: Request) -> Result<Frame> {
        let stopped = || Error::environment(NAME, "the simulation stopped", "an answer", "none");
        self.requests.as_ref().ok_or_else(stopped)?.send(request).map_err(|_| stopped())?;
        let frame = self.frames.recv().map_err(|_| stopped())?;
        frame.map_err(|reason| Error::environment(NAME, "the simulation failed", "an answer", reason))
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // The thread ends when its inbox closes.
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // It can only have panicked, which an earlier `ask` has reported.
            drop(thread.join());
        }
    }
}

fn answer(env: &mut LunarLanderEnv, request: Request) -> std::result::Result<Frame, String> {
    let (values, step) = match request {
        Request::Reset(seed) => (env.reset(Some(seed)).map_err(|error| error.to_string())?.obs, Step::default()),
        Request::Step(action) => {
            let result = env.step(&i64::from(action)).map_err(|error| error.to_string())?;
            let (reward, terminated) = (result.reward as f32, result.terminated);
            (result.obs, Step { reward, terminated, truncated: false })
        }
    };
    let mut observation: [f32; 8] =
        values.try_into().map_err(|values: Vec<f32>| format!("{} observations", values.len()))?;
    for (value, bound) in observation.iter_mut().zip(BOUNDS) {
        *value = value.clamp(-bound, bound);
    }
    Ok(Frame { observation, step })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_policy_does_as_badly_as_documented() {
        let mut stream = gbrl_core::rng::Stream::new(1, "actions", 0);
        let (mut env, mut observation, mut sum) = (LunarLander::new().unwrap(), [0.0; 8], 0.0);
        let episodes = 200;
        for seed in 0..episodes {
            env.reset(seed, &mut observation).unwrap();
            loop {
                let action = Action::Discrete(stream.below(4) as u32);
                let step = env.step(action, &mut observation).unwrap();
                sum += step.reward;
                if step.terminated {
                    break;
                }
            }
        }
        // The standard deviation of a return is about 110, of this mean about 8.
        let mean = sum / episodes as f32;
        assert!((mean + 206.0).abs() < 35.0, "{mean}");
    }

    #[test]
    fn an_episode_that_ends_early_is_not_restored() {
        let (mut env, mut observation) = (LunarLander::new().unwrap(), [0.0; 8]);
        env.reset(3, &mut observation).unwrap();
        while !env.step(Action::Discrete(0), &mut observation).unwrap().terminated {}
        let mut state = env.save().unwrap();
        state[8] = 1; // claims that the episode goes on
        assert!(env.restore(&state).is_err());
    }
}
