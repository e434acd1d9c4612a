//! A checker of the environment contract, for environments of one's own.
//!
//! [`check`] plays an environment by random actions and refuses it with
//! [`ErrorKind::Environment`](gbrl_core::error::ErrorKind::Environment) at the first broken rule:
//!
//! | rule | problem reported |
//! |---|---|
//! | it has a name | `no name` |
//! | both spaces make sense (ordered bounds, no empty set) | `invalid observation space`, `invalid action space` |
//! | actions are of one kind, not `Dict` or `Tuple` | `unsupported action space` |
//! | spaces and the presence of a mask never change | `spaces changed` |
//! | `reset` and `step` write every element of the observation | `observation not written` |
//! | observations lie inside their space; NaN ("missing") only in a `Box` | `observation outside its space` |
//! | rewards are finite | `reward not finite` |
//! | the same seed and actions give the same episodes, whatever came before | `not deterministic` |
//! | a `Box` action has no mask | `mask of a continuous action` |
//! | every flag of a mask is written | `mask not written` |
//! | every discrete part has an allowed choice | `mask forbids everything` |
//! | an action of the wrong kind is an error | `wrong kind of action accepted` |
//! | what `save` gave, `restore` accepts | `saved state refused` |
//! | a restored episode goes on as the saved one did, masks included | `restored episode differs` |
//! | truncated bytes are refused | `truncated state accepted` |
//!
//! What is allowed but often a mistake comes back as a [`Note`]. Errors of the environment itself are passed on.

use gbrl_core::error::{Error, Result};
use gbrl_core::rl::env::{Action, Env, Step, mask_len, mask_parts};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;

/// Steps of each trajectory; the longest registered episode has 2,560.
const STEPS: usize = 3_000;
/// Steps replayed from each restored state.
const REPLAYED: usize = 60;
/// Steps played before each saved state.
const SAVED_AFTER: [usize; 4] = [0, 1, 7, 40];
/// A NaN that no computation gives, to see what is not written.
const UNWRITTEN: u32 = 0x7FC0_DEAD;

/// What a check saw.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The environment's name.
    pub name: String,
    /// Steps played in all.
    pub steps: usize,
    /// Episodes that came to their end.
    pub episodes: usize,
    /// What is allowed but worth knowing.
    pub notes: Vec<Note>,
}

/// Something allowed that is often a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Every seed gave the same first observation and, with the same actions, the same episode.
    SeedsDoNotDiffer,
    /// No episode ended within the steps of a check.
    NeverEnded,
    /// The environment cannot be saved; a resumed run starts a new episode.
    CannotBeSaved,
    /// Missing values were observed.
    NanObserved,
    /// An infinite value was observed in an unbounded `Box`.
    InfinityObserved,
    /// An action index or bit beyond the action space was accepted.
    AcceptsActionsOutOfRange,
    /// All rewards were the same.
    ConstantReward,
}

/// Plays `env` by random actions and checks that it keeps the contract of [`Env`].
///
/// The environment is left in the middle of an episode; reset it before use.
///
/// ```
/// let mut env = gbrl_envs::make("CartPole-v1")?;
/// let report = gbrl_envs::check(&mut env)?;
/// assert!(report.episodes > 10);
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Environment`](gbrl_core::error::ErrorKind::Environment) naming the first broken rule, what was
/// expected and what came; or an error of the environment itself.
pub fn check(env: &mut dyn Env) -> Result<CheckReport> {
    let mut checker = Checker::new(env)?;
    let first = checker.play(0, STEPS)?;
    let other = checker.play(1, STEPS)?;
    let again = checker.play(0, STEPS)?;
    checker.same("not deterministic", "the same with the same seed", &first, &again)?;
    if first.observations == other.observations && first.steps == other.steps {
        checker.report.notes.push(Note::SeedsDoNotDiffer);
    }
    if first.steps.windows(2).all(|pair| pair[0].reward == pair[1].reward) {
        checker.report.notes.push(Note::ConstantReward);
    }
    checker.check_saving()?;
    checker.check_wrong_actions()?;
    checker.check_constancy()?;
    Ok(checker.finish())
}

struct Checker<'e> {
    env: &'e mut dyn Env,
    observation_space: Space,
    action_space: Space,
    has_action_mask: bool,
    columns: usize,
    report: CheckReport,
}

/// What happened, to be compared bit by bit.
#[derive(Default)]
struct Trajectory {
    /// Bits of every observation, [steps + resets][columns].
    observations: Vec<u32>,
    steps: Vec<Step>,
    masks: Vec<bool>,
}

/// Buffers for one action of any kind.
struct Sampler {
    random: Stream,
    mask: Vec<bool>,
    indices: Vec<u32>,
    reals: Vec<f32>,
}

impl<'e> Checker<'e> {
    fn new(env: &'e mut dyn Env) -> Result<Self> {
        let (observation_space, action_space) = (env.observation_space().clone(), env.action_space().clone());
        let report = CheckReport { name: env.name().to_owned(), steps: 0, episodes: 0, notes: Vec::new() };
        let has_action_mask = env.has_action_mask();
        let mut checker = Checker { env, observation_space, action_space, has_action_mask, columns: 0, report };

        if checker.report.name.is_empty() {
            return Err(checker.violation("no name", "a name such as \"CartPole-v1\"", "an empty one"));
        }
        if let Err(error) = checker.observation_space.check("observation_space") {
            return Err(checker.violation("invalid observation space", "a space that makes sense", error));
        }
        if let Err(error) = checker.action_space.check("action_space") {
            return Err(checker.violation("invalid action space", "a space that makes sense", error));
        }
        match checker.action_space {
            Space::Text | Space::Dict(_) | Space::Tuple(_) => {
                let expected = "Discrete, MultiDiscrete, MultiBinary or Box";
                return Err(checker.violation("unsupported action space", expected, "Text, Dict or Tuple"));
            }
            Space::Box { .. } if has_action_mask => {
                return Err(checker.violation("mask of a continuous action", "no mask", "has_action_mask() = true"));
            }
            _ => {}
        }
        if !checker.env.features().has_kinds_of(&checker.observation_space.schema()) {
            let expected = format!("columns of {:?}", checker.observation_space);
            let got = format!("{:?}", checker.env.features());
            return Err(checker.violation("features of other kinds than the observation space", expected, got));
        }
        // Only now is the length known to make sense.
        checker.columns = checker.observation_space.flat_len();
        Ok(checker)
    }

    fn violation(&self, problem: &'static str, expected: impl std::fmt::Display, got: impl std::fmt::Display) -> Error {
        Error::environment(&self.report.name, problem, expected, got)
    }

    fn note(&mut self, note: Note) {
        if !self.report.notes.contains(&note) {
            self.report.notes.push(note);
        }
    }

    /// Plays `steps` steps of episodes with seeds from `seed` on.
    fn play(&mut self, seed: u64, steps: usize) -> Result<Trajectory> {
        let mut trajectory = Trajectory::default();
        let mut sampler = self.sampler(7);
        self.reset(first_of(seed), &mut trajectory)?;
        self.go_on(seed, steps, &mut sampler, &mut trajectory)?;
        Ok(trajectory)
    }

    /// Steps `steps` times, resetting after the end of each episode with seeds after `seed`.
    fn go_on(&mut self, seed: u64, steps: usize, sampler: &mut Sampler, trajectory: &mut Trajectory) -> Result<()> {
        let mut seed = first_of(seed);
        for _ in 0..steps {
            self.read_mask(&mut sampler.mask)?;
            trajectory.masks.extend(&sampler.mask);
            let step = self.step(sampler, trajectory)?;
            if step.terminated || step.truncated {
                self.report.episodes += 1;
                seed += 1;
                self.reset(seed, trajectory)?;
            }
        }
        Ok(())
    }

    fn reset(&mut self, seed: u64, trajectory: &mut Trajectory) -> Result<()> {
        let mut observation = vec![f32::from_bits(UNWRITTEN); self.columns];
        self.env.reset(seed, &mut observation)?;
        self.check_observation("after reset", &observation)?;
        trajectory.observations.extend(observation.iter().map(|x| x.to_bits()));
        Ok(())
    }

    fn step(&mut self, sampler: &mut Sampler, trajectory: &mut Trajectory) -> Result<Step> {
        let mut observation = vec![f32::from_bits(UNWRITTEN); self.columns];
        let step = self.env.step(sampler.sample(&self.action_space), &mut observation)?;
        self.report.steps += 1;
        self.check_observation("after step", &observation)?;
        if !step.reward.is_finite() {
            return Err(self.violation("reward not finite", "a finite reward", step.reward));
        }
        trajectory.observations.extend(observation.iter().map(|x| x.to_bits()));
        trajectory.steps.push(step);
        Ok(step)
    }

    fn check_observation(&mut self, when: &str, observation: &[f32]) -> Result<()> {
        if let Some(i) = observation.iter().position(|x| x.to_bits() == UNWRITTEN) {
            let expected = format!("a value in element {i} {when}");
            return Err(self.violation("observation not written", expected, "none"));
        }
        if let Some(i) = self.observation_space.first_outside(observation) {
            let expected = format!("element {i} {when} inside {:?}", self.observation_space);
            return Err(self.violation("observation outside its space", expected, observation[i]));
        }
        if observation.iter().any(|x| x.is_nan()) {
            self.note(Note::NanObserved);
        }
        if observation.iter().any(|x| x.is_infinite()) {
            self.note(Note::InfinityObserved);
        }
        Ok(())
    }

    /// Reads and checks the mask; all flags are set where there is none.
    fn read_mask(&self, mask: &mut [bool]) -> Result<()> {
        mask.fill(true);
        if !self.has_action_mask {
            return Ok(());
        }
        let mut inverse = vec![false; mask.len()];
        self.env.action_mask(mask);
        self.env.action_mask(&mut inverse);
        if let Some(i) = (0..mask.len()).find(|&i| mask[i] != inverse[i]) {
            return Err(self.violation(
                "mask not written",
                format!("flag {i} whatever it was before"),
                "left as it was",
            ));
        }
        let mut from = 0;
        for (part, n) in mask_parts(&self.action_space).into_iter().enumerate() {
            if !mask[from..from + n].contains(&true) {
                let expected = format!("an allowed choice in part {part}");
                return Err(self.violation("mask forbids everything", expected, format!("none of {n}")));
            }
            from += n;
        }
        Ok(())
    }

    fn same(&self, problem: &'static str, what: &str, first: &Trajectory, second: &Trajectory) -> Result<()> {
        let columns = self.columns.max(1);
        if let Some(i) = differ(&first.observations, &second.observations) {
            let value = |t: &Trajectory| t.observations.get(i).map(|&bits| f32::from_bits(bits));
            let place = format!("{:?}, {what} (observation {}, element {})", value(first), i / columns, i % columns);
            return Err(self.violation(problem, place, format!("{:?}", value(second))));
        }
        // Rewards are finite here, so that equality is equality of numbers.
        if let Some(i) = differ(&first.steps, &second.steps) {
            let place = format!("{:?}, {what} (step {i})", first.steps.get(i));
            return Err(self.violation(problem, place, format!("{:?}", second.steps.get(i))));
        }
        if let Some(i) = differ(&first.masks, &second.masks) {
            let place = format!("{:?}, {what} (mask flag {i})", first.masks.get(i));
            return Err(self.violation(problem, place, format!("{:?}", second.masks.get(i))));
        }
        Ok(())
    }

    fn check_saving(&mut self) -> Result<()> {
        for (i, before) in SAVED_AFTER.into_iter().enumerate() {
            let seed = 100 + i as u64;
            self.play(seed, before)?;
            let Some(state) = self.env.save() else {
                self.note(Note::CannotBeSaved);
                return Ok(());
            };
            let first = self.continuation(seed)?;
            // Another episode in between shows what the saved state lacks.
            self.play(seed + 50, 3)?;
            if let Err(error) = self.env.restore(&state) {
                return Err(self.violation("saved state refused", "success", error));
            }
            let second = self.continuation(seed)?;
            self.same("restored episode differs", "as after saving", &first, &second)?;
            if let Some((_, short)) = state.split_last()
                && self.env.restore(short).is_ok()
            {
                let got = format!("success with {} of {} bytes", short.len(), state.len());
                return Err(self.violation("truncated state accepted", "an error", got));
            }
        }
        Ok(())
    }

    /// What follows from the current state under the same actions each time.
    fn continuation(&mut self, seed: u64) -> Result<Trajectory> {
        let (mut trajectory, mut sampler) = (Trajectory::default(), self.sampler(11));
        self.go_on(seed, REPLAYED, &mut sampler, &mut trajectory)?;
        Ok(trajectory)
    }

    fn check_wrong_actions(&mut self) -> Result<()> {
        let mut observation = vec![0.0; self.columns];
        let (zero, wrong) = ([0.0f32], [u32::MAX]);
        let (wrong_kind, kind) = match &self.action_space {
            Space::Box { .. } => (Action::Discrete(0), "Discrete"),
            _ => (Action::Box(&zero), "Box"),
        };
        self.env.reset(0, &mut observation)?;
        if self.env.step(wrong_kind, &mut observation).is_ok() {
            return Err(self.violation("wrong kind of action accepted", "an error", format!("success with {kind}")));
        }
        let huge = wrong.repeat(self.action_space.flat_len());
        let out_of_range = match &self.action_space {
            Space::Discrete { .. } => Action::Discrete(wrong[0]),
            Space::MultiDiscrete { .. } => Action::MultiDiscrete(&huge),
            Space::MultiBinary { .. } => Action::MultiBinary(&huge),
            _ => return Ok(()),
        };
        self.env.reset(0, &mut observation)?;
        if self.env.step(out_of_range, &mut observation).is_ok() {
            self.note(Note::AcceptsActionsOutOfRange);
        }
        Ok(())
    }

    fn check_constancy(&mut self) -> Result<()> {
        for (what, before, now) in [
            ("observation space", &self.observation_space, self.env.observation_space()),
            ("action space", &self.action_space, self.env.action_space()),
        ] {
            if before != now {
                return Err(self.violation("spaces changed", format!("{what} {before:?}"), format!("{now:?}")));
            }
        }
        if self.env.has_action_mask() != self.has_action_mask {
            let (before, now) = (self.has_action_mask, self.env.has_action_mask());
            return Err(self.violation("spaces changed", format!("has_action_mask() = {before}"), now));
        }
        Ok(())
    }

    fn sampler(&self, seed: u64) -> Sampler {
        Sampler {
            random: Stream::new(seed, "environment checker", 0),
            mask: vec![true; mask_len(&self.action_space)],
            indices: vec![0; self.action_space.flat_len()],
            reals: vec![0.0; self.action_space.flat_len()],
        }
    }

    fn finish(mut self) -> CheckReport {
        if self.report.episodes == 0 {
            self.note(Note::NeverEnded);
        }
        self.report
    }
}

impl Sampler {
    /// A uniformly random allowed action; normal where a `Box` has no bounds.
    fn sample(&mut self, space: &Space) -> Action<'_> {
        if let Space::Box { low, high, .. } = space {
            for ((real, &low), &high) in self.reals.iter_mut().zip(low).zip(high) {
                *real = match (low.is_finite(), high.is_finite()) {
                    (true, true) => (self.random.range(low.into(), high.into()) as f32).clamp(low, high),
                    (true, false) => low + self.random.normal().abs() as f32,
                    (false, true) => high - self.random.normal().abs() as f32,
                    (false, false) => self.random.normal() as f32,
                };
            }
            return Action::Box(&self.reals);
        }
        let mut from = 0;
        for (index, n) in self.indices.iter_mut().zip(mask_parts(space)) {
            let flags = &self.mask[from..from + n];
            let allowed = flags.iter().filter(|&&flag| flag).count();
            let chosen = self.random.below(allowed as u64) as usize;
            *index = (0..n).filter(|&i| flags[i]).nth(chosen).unwrap_or(0) as u32;
            from += n;
        }
        match space {
            Space::MultiDiscrete { .. } => Action::MultiDiscrete(&self.indices),
            Space::MultiBinary { .. } => Action::MultiBinary(&self.indices),
            _ => Action::Discrete(self.indices[0]),
        }
    }
}

/// The seed of a trajectory's first episode: so far apart that two trajectories share none.
fn first_of(seed: u64) -> u64 {
    seed << 32
}

/// Where two sequences first differ, their lengths included.
fn differ<T: PartialEq>(a: &[T], b: &[T]) -> Option<usize> {
    (0..a.len().max(b.len())).find(|&i| a.get(i) != b.get(i))
}
