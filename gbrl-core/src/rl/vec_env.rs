//! Several copies of an environment, stepped together.

use serde::{Deserialize, Serialize};

use crate::data::schema::{FeatureKind, FeatureSchema, Vocabulary};
use crate::error::{Error, Result};
use crate::rl::env::{Action, Env, Step, mask_len, mask_parts};
use crate::rl::exact;
use crate::rl::space::Space;
use crate::rng::derive_seed;
use crate::threads::Threads;

/// `n` copies of an environment with autoreset in the same step.
///
/// When an episode ends, [`step`](VecEnv::step) keeps its last observation in
/// [`final_observations`](VecEnv::final_observations) and resets the copy at once, so
/// [`observations`](VecEnv::observations) always holds what the next action is chosen from. Every episode is reset with
/// a seed of its own, derived from the root seed, the copy and the episode's number.
///
/// The copies may be stepped one after the other or by several threads; results are the same to the bit, and a step
/// allocates nothing here. All arrays are `[n_envs, …]` row-major.
///
/// Checked at every step, each a typed error: rewards are finite, categorical columns hold codes of their space, a mask
/// allows at least one choice of each part. NaN in a numeric column is a missing value and passes.
pub struct VecEnv {
    name: String,
    observation_space: Space,
    action_space: Space,
    features: FeatureSchema,
    choices: Vec<String>,
    has_mask: bool,
    seed: u64,
    rules: Rules,
    slots: Vec<Slot>,
    observations: Vec<f32>,
    final_observations: Vec<f32>,
    masks: Vec<bool>,
    rewards: Vec<f32>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
    finished: Vec<EpisodeEnd>,
    is_reset: bool,
}

/// A finished episode, its rewards raw.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpisodeEnd {
    /// The copy it ran in.
    pub env_idx: usize,
    /// Its number in that copy, from 0.
    pub episode: u64,
    /// Sum of its rewards as the environment gave them.
    pub total_reward: f64,
    /// Its steps.
    pub length: u64,
    /// Whether the task ended it; otherwise it was cut off.
    pub terminated: bool,
}

/// Everything that a [`VecEnv`] needs to go on exactly where it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VecEnvState {
    seed: u64,
    slots: Vec<SlotState>,
    #[serde(with = "exact::f32_bits")]
    observations: Vec<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SlotState {
    episode: u64,
    total_reward: f64,
    length: u64,
    /// The environment's own bytes; `None` where it cannot be saved.
    state: Option<Vec<u8>>,
}

/// One copy with its counters and what its last step gave.
struct Slot {
    env: Box<dyn Env>,
    episode: u64,
    total_reward: f64,
    length: u64,
    indices: Vec<u32>,
    reward: f32,
    terminated: bool,
    truncated: bool,
    ended: Option<EpisodeEnd>,
    failure: Option<Error>,
}

/// The sizes and rules that every copy obeys.
pub(super) struct Rules {
    pub(super) n_features: usize,
    pub(super) action_len: usize,
    pub(super) mask_len: usize,
    /// Categorical columns and the codes that they may hold.
    codes: Vec<(usize, u32)>,
    /// Choices per discrete part; 0 for each number of a `Box`.
    choices: Vec<u32>,
    /// Flags per part of the mask.
    mask_parts: Vec<usize>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Discrete,
    MultiDiscrete,
    MultiBinary,
    Box,
}

impl Rules {
    pub(super) fn new(observation_space: &Space, action_space: &Space) -> Result<Self> {
        let schema = observation_space.schema();
        let codes = schema.features().iter().enumerate().filter_map(|(i, feature)| match feature.kind() {
            FeatureKind::Categorical(Vocabulary::Declared(n)) => Some((i, *n)),
            _ => None,
        });
        let (kind, choices) = match action_space {
            Space::Discrete { n, .. } => (Kind::Discrete, vec![*n]),
            Space::MultiDiscrete { nvec } => (Kind::MultiDiscrete, nvec.clone()),
            Space::MultiBinary { n } => (Kind::MultiBinary, vec![2; *n]),
            Space::Box { .. } => (Kind::Box, vec![0; action_space.flat_len()]),
            Space::Text | Space::Dict(_) | Space::Tuple(_) => {
                return Err(Error::unsupported(
                    "a vector of environments",
                    "with Text, Dict or Tuple actions",
                    "flatten them to MultiDiscrete or Box in the environment",
                ));
            }
        };
        Ok(Rules {
            n_features: schema.len(),
            action_len: choices.len(),
            mask_len: mask_len(action_space),
            codes: codes.collect(),
            choices,
            mask_parts: mask_parts(action_space),
            kind,
        })
    }

    /// Reads the action of copy `env_idx` from its row; `indices` holds the discrete parts.
    pub(super) fn action<'a>(&self, env_idx: usize, row: &'a [f32], indices: &'a mut [u32]) -> Result<Action<'a>> {
        for (column, (&a, &n)) in row.iter().zip(&self.choices).enumerate() {
            let fits = if n == 0 { a.is_finite() } else { a.fract() == 0.0 && a >= 0.0 && a < n as f32 };
            if !fits {
                let rule =
                    if n == 0 { "a finite number".into() } else { format!("a whole number from 0 to {}", n - 1) };
                return Err(Error::element("actions", (env_idx, column), rule, a));
            }
            indices[column] = a as u32;
        }
        Ok(match self.kind {
            Kind::Discrete => Action::Discrete(indices[0]),
            Kind::MultiDiscrete => Action::MultiDiscrete(indices),
            Kind::MultiBinary => Action::MultiBinary(indices),
            Kind::Box => Action::Box(row),
        })
    }

    /// Checks what a step gave.
    pub(super) fn check_step(&self, env: &str, step: &Step, observation: &[f32]) -> Result<()> {
        if !step.reward.is_finite() {
            return Err(Error::environment(env, "reward", "a finite number", step.reward));
        }
        self.check_observation(env, observation)
    }

    pub(super) fn check_observation(&self, env: &str, observation: &[f32]) -> Result<()> {
        for &(column, n) in &self.codes {
            let code = observation[column];
            if !(code.fract() == 0.0 && code >= 0.0 && code < n as f32) {
                let expected = format!("a code from 0 to {} in column {column}", n.saturating_sub(1));
                return Err(Error::environment(env, "observation outside its space", expected, code));
            }
        }
        Ok(())
    }

    pub(super) fn check_mask(&self, env: &str, mask: &[bool]) -> Result<()> {
        let mut from = 0;
        for (part, &n) in self.mask_parts.iter().enumerate() {
            if !mask[from..from + n].contains(&true) {
                let got = format!("none of {n} in part {part}");
                return Err(Error::environment(env, "action mask", "at least one allowed choice of each part", got));
            }
            from += n;
        }
        Ok(())
    }
}

impl Slot {
    fn new(env: Box<dyn Env>, action_len: usize) -> Self {
        Slot {
            env,
            episode: 0,
            total_reward: 0.0,
            length: 0,
            indices: vec![0; action_len],
            reward: 0.0,
            terminated: false,
            truncated: false,
            ended: None,
            failure: None,
        }
    }

    /// Starts the episode that `self.episode` counts.
    fn reset(&mut self, seed: u64, env_idx: usize, rules: &Rules, observation: &mut [f32]) -> Result<()> {
        self.total_reward = 0.0;
        self.length = 0;
        self.env.reset(episode_seed(seed, env_idx, self.episode), observation)?;
        rules.check_observation(self.env.name(), observation)
    }

    fn write_mask(&self, has_mask: bool, rules: &Rules, mask: &mut [bool]) -> Result<()> {
        if !has_mask {
            return Ok(());
        }
        self.env.action_mask(mask);
        rules.check_mask(self.env.name(), mask)
    }

    /// One step with autoreset; everything it gives stays in the slot or goes to the given rows.
    fn step(
        &mut self,
        (seed, env_idx, has_mask): (u64, usize, bool),
        rules: &Rules,
        action: &[f32],
        observation: &mut [f32],
        final_observation: &mut [f32],
        mask: &mut [bool],
    ) -> Result<()> {
        self.ended = None;
        let action = rules.action(env_idx, action, &mut self.indices)?;
        let step = self.env.step(action, observation)?;
        rules.check_step(self.env.name(), &step, observation)?;
        (self.reward, self.terminated, self.truncated) = (step.reward, step.terminated, step.truncated);
        self.total_reward += f64::from(step.reward);
        self.length += 1;
        if step.terminated || step.truncated {
            self.ended = Some(EpisodeEnd {
                env_idx,
                episode: self.episode,
                total_reward: self.total_reward,
                length: self.length,
                terminated: step.terminated,
            });
            final_observation.copy_from_slice(observation);
            self.episode += 1;
            self.reset(seed, env_idx, rules, observation)?;
        }
        self.write_mask(has_mask, rules, mask)
    }
}

/// The first of several copies, all of which must have the same, valid spaces and both or none a mask.
pub(super) fn check_copies(envs: &[Box<dyn Env>]) -> Result<&dyn Env> {
    let Some(first) = envs.first() else {
        return Err(Error::parameter("n_envs", 0, "at least 1"));
    };
    let (observation_space, action_space) = (first.observation_space(), first.action_space());
    for (what, space) in [("observation_space", observation_space), ("action_space", action_space)] {
        space.check(what)?;
        if space.flat_len() == 0 {
            return Err(Error::shape(what, "at least one column", 0));
        }
    }
    for env in &envs[1..] {
        let own = (env.observation_space(), env.action_space(), env.has_action_mask());
        if own != (observation_space, action_space, first.has_action_mask()) {
            let expected = format!("those of the first copy, {observation_space:?} and {action_space:?}");
            let got = format!("{:?} and {:?}", own.0, own.1);
            return Err(Error::environment(env.name(), "spaces or masks differ between copies", expected, got));
        }
    }
    if !first.features().has_kinds_of(&observation_space.schema()) {
        let (got, expected) = (format!("{:?}", first.features()), format!("the kinds of {observation_space:?}"));
        return Err(Error::environment(
            first.name(),
            "features of other kinds than the observation space",
            expected,
            got,
        ));
    }
    Ok(first.as_ref())
}

/// The seed that episode number `episode` of copy `env_idx` is reset with.
pub fn episode_seed(seed: u64, env_idx: usize, episode: u64) -> u64 {
    derive_seed(derive_seed(seed, "env", env_idx as u64), "episode", episode)
}

impl VecEnv {
    /// Puts copies together. Nothing is reset yet.
    ///
    /// # Errors
    /// Class `Value` when there is no copy, or a space is wrong or empty; class `Environment` when the copies' spaces
    /// or masks differ; [`ErrorKind::Unsupported`](crate::error::ErrorKind::Unsupported) for `Dict` or `Tuple` actions.
    pub fn new(envs: Vec<Box<dyn Env>>, seed: u64) -> Result<Self> {
        let first = check_copies(&envs)?;
        let name = first.name().to_owned();
        let (observation_space, action_space) = (first.observation_space().clone(), first.action_space().clone());
        let has_mask = first.has_action_mask() && mask_len(&action_space) > 0;
        let rules = Rules::new(&observation_space, &action_space)?;
        let n = envs.len();
        let mask_width = if has_mask { rules.mask_len } else { 1 };
        Ok(VecEnv {
            features: first.features(),
            choices: first.choices(),
            name,
            has_mask,
            seed,
            slots: envs.into_iter().map(|env| Slot::new(env, rules.action_len)).collect(),
            observations: vec![0.0; n * rules.n_features],
            final_observations: vec![0.0; n * rules.n_features],
            masks: vec![true; n * mask_width],
            rewards: vec![0.0; n],
            terminated: vec![false; n],
            truncated: vec![false; n],
            finished: Vec::with_capacity(n),
            is_reset: false,
            observation_space,
            action_space,
            rules,
        })
    }

    /// The environment's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the columns of an observation are called.
    pub fn features(&self) -> &FeatureSchema {
        &self.features
    }

    /// What the parts of an action are called.
    pub fn choices(&self) -> &[String] {
        &self.choices
    }

    /// How many copies.
    pub fn n_envs(&self) -> usize {
        self.slots.len()
    }

    /// Columns of an observation.
    pub fn n_features(&self) -> usize {
        self.rules.n_features
    }

    /// Columns of an action.
    pub fn action_len(&self) -> usize {
        self.rules.action_len
    }

    /// Flags of a mask; 0 when the environment has none.
    pub fn mask_len(&self) -> usize {
        if self.has_mask { self.rules.mask_len } else { 0 }
    }

    /// Where observations come from.
    pub fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    /// Where actions come from.
    pub fn action_space(&self) -> &Space {
        &self.action_space
    }

    /// What the next actions are chosen from, `[n_envs, n_features]`.
    pub fn observations(&self) -> &[f32] {
        &self.observations
    }

    /// Last observations of the episodes that ended with the last step, `[n_envs, n_features]`; rows of other copies
    /// are stale.
    pub fn final_observations(&self) -> &[f32] {
        &self.final_observations
    }

    /// Allowed choices of the next actions, `[n_envs, mask_len]`; empty when there are no masks.
    pub fn masks(&self) -> &[bool] {
        if self.has_mask { &self.masks } else { &[] }
    }

    /// Rewards of the last step, raw.
    pub fn rewards(&self) -> &[f32] {
        &self.rewards
    }

    /// Where the last step ended the task.
    pub fn terminated(&self) -> &[bool] {
        &self.terminated
    }

    /// Where the last step cut the episode off.
    pub fn truncated(&self) -> &[bool] {
        &self.truncated
    }

    /// Episodes that ended with the last step, in the order of the copies.
    pub fn finished(&self) -> &[EpisodeEnd] {
        &self.finished
    }

    /// Starts the next episode of every copy (the first one, on the first call).
    ///
    /// # Errors
    /// What the environments return, or class `Environment` for a broken contract.
    pub fn reset(&mut self) -> Result<()> {
        let width = self.rules.n_features;
        for (env_idx, slot) in self.slots.iter_mut().enumerate() {
            if self.is_reset {
                slot.episode += 1;
            }
            let observation = &mut self.observations[env_idx * width..][..width];
            slot.reset(self.seed, env_idx, &self.rules, observation)?;
        }
        self.is_reset = true;
        self.finished.clear();
        self.write_masks()
    }

    /// Starts again from the first episodes of another seed; a [`reset`](VecEnv::reset) must follow.
    pub fn reseed(&mut self, seed: u64) {
        self.seed = seed;
        self.slots.iter_mut().for_each(|slot| slot.episode = 0);
        self.is_reset = false;
    }

    fn write_masks(&mut self) -> Result<()> {
        let width = self.masks.len() / self.slots.len();
        for (slot, mask) in self.slots.iter().zip(self.masks.chunks_exact_mut(width)) {
            slot.write_mask(self.has_mask, &self.rules, mask)?;
        }
        Ok(())
    }

    /// Steps every copy with its row of `actions`, `[n_envs, action_len]`: indices as whole numbers for discrete
    /// parts, the numbers themselves for a `Box`. The copies are shared out to `threads`.
    ///
    /// # Errors
    /// Of several failing copies the first one's: [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) or
    /// [`ErrorKind::Element`](crate::error::ErrorKind::Element) for actions that are none, class `Environment` for a
    /// broken contract or a step before the first reset, or what the environment returned. The copies are then in
    /// different steps and must be [`reset`](VecEnv::reset) before going on.
    pub fn step(&mut self, actions: &[f32], threads: &Threads) -> Result<()> {
        let n = self.slots.len();
        if actions.len() != n * self.rules.action_len {
            return Err(Error::shape("actions", format!("[{n}, {}]", self.rules.action_len), actions.len()));
        }
        if !self.is_reset {
            return Err(Error::environment(&self.name, "step before reset", "a reset first", "a step"));
        }
        let rules = &self.rules;
        let (seed, has_mask) = (self.seed, self.has_mask);
        let (width, action_len, mask_width) = (rules.n_features, rules.action_len, self.masks.len() / n);
        let share = n.div_ceil(threads.count());
        let parts = (self.slots.chunks_mut(share).zip(actions.chunks(share * action_len)))
            .zip(self.observations.chunks_mut(share * width).zip(self.final_observations.chunks_mut(share * width)))
            .zip(self.masks.chunks_mut(share * mask_width))
            .enumerate();
        threads.share(parts, |(part, (((slots, actions), (now, last)), masks))| {
            let rows = (slots.iter_mut().zip(actions.chunks_exact(action_len)))
                .zip(now.chunks_exact_mut(width).zip(last.chunks_exact_mut(width)))
                .zip(masks.chunks_exact_mut(mask_width));
            for (i, (((slot, action), (now, last)), mask)) in rows.enumerate() {
                let of = (seed, part * share + i, has_mask);
                slot.failure = slot.step(of, rules, action, now, last, mask).err();
            }
        });
        self.finished.clear();
        for (env_idx, slot) in self.slots.iter_mut().enumerate() {
            if let Some(error) = slot.failure.take() {
                return Err(error);
            }
            self.rewards[env_idx] = slot.reward;
            self.terminated[env_idx] = slot.terminated;
            self.truncated[env_idx] = slot.truncated;
            self.finished.extend(slot.ended);
        }
        Ok(())
    }

    /// Everything needed to go on from here.
    pub fn save(&self) -> VecEnvState {
        let slot = |slot: &Slot| SlotState {
            episode: slot.episode,
            total_reward: slot.total_reward,
            length: slot.length,
            state: slot.env.save(),
        };
        VecEnvState {
            seed: self.seed,
            slots: self.slots.iter().map(slot).collect(),
            observations: self.observations.clone(),
        }
    }

    /// Goes on from a saved state. Copies whose environment could not be saved start their next episode instead; their
    /// indices are returned, so that whoever resumes can say so.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::error::ErrorKind::Format) when the state is of another number of copies or columns,
    /// or an environment refuses its bytes.
    pub fn restore(&mut self, state: &VecEnvState) -> Result<Vec<usize>> {
        let (expected, got) =
            ((self.slots.len(), self.observations.len()), (state.slots.len(), state.observations.len()));
        if expected != got {
            let text = |(n, len): (usize, usize)| format!("{n} copies with {len} numbers of observations");
            return Err(Error::format("environments' state", "wrong size", text(expected), text(got)));
        }
        self.seed = state.seed;
        self.observations.copy_from_slice(&state.observations);
        let width = self.rules.n_features;
        let mut restarted = Vec::new();
        for (env_idx, (slot, saved)) in self.slots.iter_mut().zip(&state.slots).enumerate() {
            let observation = &mut self.observations[env_idx * width..][..width];
            slot.episode = saved.episode;
            match &saved.state {
                Some(bytes) => {
                    slot.env.restore(bytes)?;
                    (slot.total_reward, slot.length) = (saved.total_reward, saved.length);
                    self.rules.check_observation(slot.env.name(), observation)?;
                }
                None => {
                    slot.episode += 1;
                    slot.reset(self.seed, env_idx, &self.rules, observation)?;
                    restarted.push(env_idx);
                }
            }
        }
        self.is_reset = true;
        self.finished.clear();
        self.write_masks()?;
        Ok(restarted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;
    use crate::rl::env::TimeLimit;
    use crate::rl::test_envs::{Broken, Walk};

    fn walks(n: usize, seed: u64) -> VecEnv {
        VecEnv::new((0..n).map(|_| Box::new(Walk::new()) as Box<dyn Env>).collect(), seed).unwrap()
    }

    #[test]
    fn an_ended_episode_is_reset_in_the_same_step_and_its_end_is_kept() {
        let mut envs = VecEnv::new(vec![Box::new(TimeLimit::new(Walk::new(), 3).unwrap())], 1).unwrap();
        envs.reset().unwrap();
        let start = envs.observations()[0];
        let mut total = 0.0;
        for t in 0..3 {
            envs.step(&[1.0], &Threads::one()).unwrap();
            total += f64::from(envs.rewards()[0]);
            assert_eq!(envs.truncated()[0], t == 2);
        }
        assert_eq!(envs.final_observations()[0], start + 3.0);
        assert_ne!(envs.observations()[0], envs.final_observations()[0]);
        let end = EpisodeEnd { env_idx: 0, episode: 0, total_reward: total, length: 3, terminated: false };
        assert_eq!(envs.finished(), [end]);
        envs.step(&[1.0], &Threads::one()).unwrap();
        assert!(envs.finished().is_empty());
    }

    #[test]
    fn a_seed_given_again_gives_the_same_episodes() {
        let (mut envs, mut fresh) = (walks(2, 5), walks(2, 8));
        envs.reset().unwrap();
        (0..40).for_each(|_| envs.step(&[1.0, 0.0], &Threads::one()).unwrap());
        envs.reseed(8);
        assert_eq!(envs.step(&[1.0, 0.0], &Threads::one()).unwrap_err().class(), ErrorClass::Environment);
        envs.reset().unwrap();
        fresh.reset().unwrap();
        assert_eq!(envs.save(), fresh.save());
    }

    #[test]
    fn threads_change_nothing() {
        let threads = Threads::new(3).unwrap();
        let (mut serial, mut threaded) = (walks(7, 5), walks(7, 5));
        serial.reset().unwrap();
        threaded.reset().unwrap();
        for t in 0..200 {
            let actions: Vec<f32> = (0..7).map(|i| ((t * 7 + i) / 3 % 2) as f32).collect();
            serial.step(&actions, &Threads::one()).unwrap();
            threaded.step(&actions, &threads).unwrap();
            assert_eq!(serial.observations(), threaded.observations());
            assert_eq!(serial.finished(), threaded.finished());
        }
        assert_eq!(serial.save(), threaded.save());
    }

    #[test]
    fn a_restored_state_goes_on_as_if_nothing_had_happened() {
        let mut envs = walks(3, 9);
        envs.reset().unwrap();
        let steps = |envs: &mut VecEnv, n: usize| -> Vec<f32> {
            (0..n)
                .flat_map(|t| {
                    envs.step(&[0.0, 1.0, (t % 2) as f32], &Threads::one()).unwrap();
                    [envs.observations(), envs.rewards()].concat()
                })
                .collect()
        };
        steps(&mut envs, 37);
        let json = serde_json::to_string(&envs.save()).unwrap();
        let expected = steps(&mut envs, 50);
        let mut copy = walks(3, 0);
        assert!(copy.restore(&serde_json::from_str(&json).unwrap()).unwrap().is_empty());
        assert_eq!(steps(&mut copy, 50), expected);
        assert_eq!(walks(2, 0).restore(&copy.save()).unwrap_err().class(), ErrorClass::Format);
    }

    #[test]
    fn what_cannot_be_saved_starts_its_next_episode_and_is_named() {
        let mut envs = VecEnv::new(vec![Box::new(Broken::nothing())], 0).unwrap();
        envs.reset().unwrap();
        envs.step(&[0.0], &Threads::one()).unwrap();
        let state = envs.save();
        assert_eq!(envs.restore(&state).unwrap(), [0]);
        assert_eq!(envs.save().slots[0].episode, 1);
    }

    #[test]
    fn broken_contracts_are_named() {
        let problem = |broken: Broken| {
            let mut envs = VecEnv::new(vec![Box::new(broken)], 0).unwrap();
            let error = envs.reset().and_then(|()| envs.step(&[0.0], &Threads::one())).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Environment);
            error.to_string()
        };
        assert_eq!(
            problem(Broken { reward: f32::NAN, ..Broken::nothing() }),
            "environment Broken-v0: reward: expected a finite number, got NaN"
        );
        assert_eq!(
            problem(Broken { code: 3.0, ..Broken::nothing() }),
            "environment Broken-v0: observation outside its space: expected a code from 0 to 2 in column 0, got 3"
        );
        assert_eq!(
            problem(Broken { mask: Some([false, false]), ..Broken::nothing() }),
            "environment Broken-v0: action mask: expected at least one allowed choice of each part, got none of 2 in part 0"
        );
        let error = VecEnv::new(vec![Box::new(Walk::new()), Box::new(Broken::nothing())], 0).err().unwrap();
        assert_eq!(error.class(), ErrorClass::Environment);
    }

    #[test]
    fn wrong_actions_are_named_by_row() {
        let mut envs = walks(2, 0);
        assert_eq!(envs.step(&[0.0, 0.0], &Threads::one()).unwrap_err().class(), ErrorClass::Environment);
        envs.reset().unwrap();
        assert_eq!(
            envs.step(&[0.0], &Threads::one()).unwrap_err().to_string(),
            "actions: expected shape [2, 1], got 1"
        );
        for (actions, message) in [
            ([0.0, 2.0], "actions[1, 0]: expected a whole number from 0 to 1, got 2"),
            ([f32::NAN, 0.0], "actions[0, 0]: expected a whole number from 0 to 1, got NaN"),
        ] {
            assert_eq!(envs.step(&actions, &Threads::one()).unwrap_err().to_string(), message);
        }
        assert!(VecEnv::new(Vec::new(), 0).is_err());
    }

    #[test]
    fn episodes_have_seeds_of_their_own() {
        let seeds: std::collections::BTreeSet<u64> =
            (0..50).flat_map(|env| (0..50).map(move |episode| episode_seed(7, env, episode))).collect();
        assert_eq!(seeds.len(), 2500);
    }
}
