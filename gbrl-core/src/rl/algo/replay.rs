//! Rollouts that are learnt from again: their observations binned and with their current outputs, the oldest dropped.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::boost::{Booster, Dataset};
use crate::config::{AlgoParams, Settings};
use crate::error::{Error, Result};
use crate::rl::advantage::{Trajectories, gae};
use crate::rl::algo::minibatch::Acted;
use crate::rl::exact::{bits, f32_text};
use crate::rl::policy::PolicyHead;
use crate::rl::rollout::Rollout;

/// The last rollouts, one long one: row `t · n_envs + env`, t counting through all of them. A trajectory that goes on in
/// the next rollout goes on here too. Returns look forward only, so one whose first steps were dropped keeps exact
/// ones.
///
/// Observations and rewards stay as they were seen: where statistics normalise them, by the statistics of that time.
pub(super) struct Replay {
    shape: Shape,
    capacity: usize,
    chunks: VecDeque<Arc<Chunk>>,
    /// The rows.
    data: Dataset,
    /// What came after rows: of each rollout the final observations of truncated episodes, then those after its last step.
    after: Dataset,
    values: Vec<f32>,
    returns: Vec<f64>,
}

/// What rows look like.
#[derive(Clone, Copy)]
struct Shape {
    n_steps: usize,
    n_envs: usize,
    n_features: usize,
    action_len: usize,
    mask_len: usize,
}

impl Shape {
    fn n_rows(self) -> usize {
        self.n_steps * self.n_envs
    }
}

/// One rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chunk {
    #[serde(with = "f32_text")]
    observations: Vec<f32>,
    #[serde(with = "f32_text")]
    actions: Vec<f32>,
    #[serde(with = "bits")]
    masks: Vec<bool>,
    #[serde(with = "f32_text")]
    rewards: Vec<f32>,
    #[serde(with = "bits")]
    terminated: Vec<bool>,
    /// Rows that ended by truncation alone, and the observations after them.
    cut_rows: Vec<u32>,
    #[serde(with = "f32_text")]
    cut_observations: Vec<f32>,
    /// Observations after the last step, `[n_envs, n_features]`.
    #[serde(with = "f32_text")]
    last_observations: Vec<f32>,
    /// Whether the first step goes on with the trajectory that the rollout before left open, by environment.
    #[serde(with = "bits")]
    goes_on: Vec<bool>,
    /// Rows that nothing is learnt from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ignored_rows: Vec<u32>,
}

/// The rollouts, shared with the replay they are of: a copy costs nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ReplayState {
    chunks: VecDeque<Arc<Chunk>>,
}

impl Chunk {
    fn of(shape: Shape, rollout: &Rollout, data: &Dataset, last_observations: &[f32], new_episodes: &[bool]) -> Self {
        let rows = 0..shape.n_rows();
        Chunk {
            observations: data.observations().to_rows(),
            actions: rows.clone().flat_map(|row| rollout.action(row)).copied().collect(),
            masks: rows.flat_map(|row| rollout.mask(row)).copied().collect(),
            rewards: rollout.rewards().to_vec(),
            terminated: rollout.terminated().collect(),
            cut_rows: rollout.cut_rows().to_vec(),
            cut_observations: rollout.cut_observations().to_vec(),
            last_observations: last_observations.to_vec(),
            goes_on: new_episodes.iter().map(|new| !new).collect(),
            ignored_rows: rollout.ignored_rows().collect(),
        }
    }

    /// Rows of [`Replay::after`].
    fn n_after(&self, shape: Shape) -> usize {
        self.cut_rows.len() + shape.n_envs
    }

    /// [`Replay::after`]'s observations.
    fn after(&self) -> Vec<f32> {
        [&self.cut_observations[..], &self.last_observations].concat()
    }

    fn check(&self, shape: Shape) -> Result<()> {
        let (n, width) = (shape.n_rows(), shape.n_features);
        let lengths = [
            ("observations", n * width, self.observations.len()),
            ("actions", n * shape.action_len, self.actions.len()),
            ("masks", n * shape.mask_len, self.masks.len()),
            ("rewards", n, self.rewards.len()),
            ("terminated", n, self.terminated.len()),
            ("cut_observations", self.cut_rows.len() * width, self.cut_observations.len()),
            ("last_observations", shape.n_envs * width, self.last_observations.len()),
            ("goes_on", shape.n_envs, self.goes_on.len()),
        ];
        if let Some((what, expected, got)) = lengths.into_iter().find(|(_, expected, got)| expected != got) {
            return Err(Error::format("replay", what, format!("{expected} values"), got));
        }
        for (what, rows) in [("cut_rows", &self.cut_rows), ("ignored_rows", &self.ignored_rows)] {
            if let Some(row) = rows.iter().find(|&&row| row as usize >= n) {
                return Err(Error::format("replay", what, format!("rows below {n}"), row));
            }
        }
        Ok(())
    }
}

impl Replay {
    /// An empty one, of the capacity that the settings of AWR say.
    pub(super) fn new(head: &PolicyHead, has_masks: bool, booster: &Booster, settings: &Settings) -> Option<Self> {
        let AlgoParams::Awr(awr) = &settings.algo else { return None };
        let shape = Shape {
            n_steps: settings.agent.n_steps,
            n_envs: settings.run.n_envs,
            n_features: head.n_features(),
            action_len: head.distribution.action_len(),
            mask_len: if has_masks { head.distribution.mask_len() } else { 0 },
        };
        Some(Replay {
            shape,
            capacity: awr.buffer_size,
            chunks: VecDeque::new(),
            data: booster.dataset(),
            after: booster.dataset(),
            values: Vec::new(),
            returns: Vec::new(),
        })
    }

    pub(super) fn state(&self) -> ReplayState {
        ReplayState { chunks: self.chunks.clone() }
    }

    /// Takes over saved rollouts, the newest ones that fit.
    pub(super) fn restore(&mut self, state: &ReplayState, booster: &mut Booster) -> Result<()> {
        state.chunks.iter().try_for_each(|chunk| chunk.check(self.shape))?;
        self.chunks = state.chunks.clone();
        let (n_chunks, _) = self.make_room(0);
        self.chunks.drain(..n_chunks);
        self.rebuild(booster)
    }

    /// Bins and predicts all rows anew, for another booster. O(rows · trees).
    pub(super) fn rebuild(&mut self, booster: &mut Booster) -> Result<()> {
        (self.data, self.after) = (booster.dataset(), booster.dataset());
        for chunk in &self.chunks {
            booster.append(&mut self.data, &chunk.observations, 0..0, &mut [])?;
            booster.append(&mut self.after, &chunk.after(), 0..0, &mut [])?;
        }
        booster.complete(&mut self.data)?;
        booster.complete(&mut self.after)
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Adds a finished rollout whose rows `data` holds; `last_observations` came after its last step, and
    /// `new_episodes` says which environments had not gone on where the rollout before it left them.
    pub(super) fn push(
        &mut self,
        booster: &mut Booster,
        rollout: &Rollout,
        data: &Dataset,
        last_observations: &[f32],
        new_episodes: &[bool],
    ) -> Result<()> {
        let mut chunk = Chunk::of(self.shape, rollout, data, last_observations, new_episodes);
        if let Some(before) = self.chunks.back() {
            let width = self.shape.n_features;
            let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
            let (lasts, firsts) = (before.last_observations.chunks(width), chunk.observations.chunks(width));
            for (goes_on, (last, first)) in chunk.goes_on.iter_mut().zip(lasts.zip(firsts)) {
                *goes_on &= same(last, first);
            }
        }
        let (n_chunks, n_after) = self.make_room(self.shape.n_rows());
        let mut after = booster.dataset();
        booster.append(&mut after, &chunk.after(), 0..0, &mut [])?;
        booster.complete(&mut after)?;
        booster.replace_oldest(&mut self.after, n_after, &after)?;
        booster.replace_oldest(&mut self.data, n_chunks * self.shape.n_rows(), data)?;
        self.chunks.drain(..n_chunks);
        self.chunks.push_back(Arc::new(chunk));
        Ok(())
    }

    /// How many of the oldest rollouts have to go before `n_rows` more fit, and how many rows of `after` go with them.
    fn make_room(&self, n_rows: usize) -> (usize, usize) {
        let most = self.capacity.saturating_sub(n_rows) / self.shape.n_rows();
        let n_chunks = self.chunks.len().saturating_sub(most);
        (n_chunks, self.chunks.iter().take(n_chunks).map(|chunk| chunk.n_after(self.shape)).sum())
    }

    /// Values of all rows, and their targets by TD(λ). O(rows), and O(trees) more for each row of `after` for the trees
    /// grown since the last time.
    pub(super) fn value(&mut self, booster: &Booster, gamma: f64, lambda: f64) -> Result<()> {
        let (n, n_envs, column) = (self.n_rows(), self.shape.n_envs, self.data.n_outputs() - 1);
        booster.advance(&mut self.after)?;
        self.values.clear();
        self.values.extend((0..n).map(|row| self.data.output(row, column)));
        let (mut rewards, mut discounts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut bootstraps: Vec<f32> = self.values.iter().skip(n_envs).copied().collect();
        bootstraps.resize(n, 0.0);
        let mut after = 0;
        for (i, chunk) in self.chunks.iter().enumerate() {
            let first = i * self.shape.n_rows();
            rewards.extend_from_slice(&chunk.rewards);
            discounts.extend(chunk.terminated.iter().map(|&terminated| if terminated { 0.0 } else { gamma }));
            ends.extend_from_slice(&chunk.terminated);
            let next = self.chunks.get(i + 1);
            let last = first + self.shape.n_rows() - n_envs;
            // Final observations come later in this loop than last ones, where a row has both.
            for env in 0..n_envs {
                bootstraps[last + env] = self.after.output(after + chunk.cut_rows.len() + env, column);
                ends[last + env] |= next.is_none_or(|next| !next.goes_on[env]);
            }
            for (k, &row) in chunk.cut_rows.iter().enumerate() {
                bootstraps[first + row as usize] = self.after.output(after + k, column);
                ends[first + row as usize] = true;
            }
            after += chunk.n_after(self.shape);
        }
        let steps = Trajectories {
            n_envs,
            rewards: &rewards,
            values: &self.values,
            bootstraps: &bootstraps,
            discounts: &discounts,
            ends: &ends,
        };
        let mut advantages = vec![0.0; n];
        self.returns.clear();
        self.returns.resize(n, 0.0);
        gae(&steps, lambda, &mut advantages, &mut self.returns)
    }

    /// Rows.
    pub(super) fn n_rows(&self) -> usize {
        self.chunks.len() * self.shape.n_rows()
    }

    /// The rows to be learnt from, in order.
    pub(super) fn learnt_rows(&self) -> impl Iterator<Item = u32> {
        let mut learnt = vec![true; self.n_rows()];
        for (i, chunk) in self.chunks.iter().enumerate() {
            for &row in &chunk.ignored_rows {
                learnt[i * self.shape.n_rows() + row as usize] = false;
            }
        }
        learnt.into_iter().enumerate().filter(|&(_, learnt)| learnt).map(|(row, _)| row as u32)
    }

    /// Values by row, as they were at the last [`value`](Replay::value).
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Targets by row.
    pub(super) fn returns(&self) -> &[f64] {
        &self.returns
    }

    /// Targets less the values as they are now, by row.
    pub(super) fn advantages(&self) -> Vec<f64> {
        let column = self.data.n_outputs() - 1;
        let value = |row| f64::from(self.data.output(row, column));
        self.returns.iter().enumerate().map(|(row, target)| target - value(row)).collect()
    }

    /// Observations and current outputs.
    pub(super) fn data(&self) -> &Dataset {
        &self.data
    }

    pub(super) fn data_mut(&mut self) -> &mut Dataset {
        &mut self.data
    }
}

impl Acted for Replay {
    fn action(&self, row: usize) -> &[f32] {
        let (chunk, row) = (&self.chunks[row / self.shape.n_rows()], row % self.shape.n_rows());
        &chunk.actions[row * self.shape.action_len..][..self.shape.action_len]
    }

    fn mask(&self, row: usize) -> &[bool] {
        let (chunk, row) = (&self.chunks[row / self.shape.n_rows()], row % self.shape.n_rows());
        &chunk.masks[row * self.shape.mask_len..][..self.shape.mask_len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Algorithm, TreeParams};
    use crate::data::FeatureSchema;
    use crate::ensemble::{Ensemble, OutputGroup, Schedule};
    use crate::rl::rollout::StepRows;
    use crate::rl::space::Space;
    use crate::rng::Stream;

    const N_STEPS: usize = 5;
    const N_ENVS: usize = 3;

    /// What was seen in one step of one environment, and the time at which its trajectory goes on.
    struct Seen {
        observation: f32,
        reward: f32,
        terminated: bool,
        /// Observation after it.
        next: f32,
        goes_on: bool,
    }

    fn booster() -> Booster {
        let group = |name, columns| OutputGroup::sgd(name, columns, Schedule::Constant(0.5));
        let groups = vec![group("policy", 0..2), group("value", 2..3)];
        Booster::new(Ensemble::new(FeatureSchema::numeric(1), groups).unwrap(), TreeParams::default(), 0, 1).unwrap()
    }

    fn replay(booster: &Booster, capacity: usize) -> Replay {
        let mut settings = Settings::new(Algorithm::Awr);
        settings.agent.n_steps = N_STEPS;
        settings.run.n_envs = N_ENVS;
        let head = PolicyHead::new(&Space::unbounded(1), &Space::discrete(2), &settings.agent).unwrap();
        let mut replay = Replay::new(&head, false, booster, &settings).unwrap();
        replay.set_capacity(capacity);
        replay
    }

    /// A rollout in which episodes end at random; some environments may start anew before it.
    fn fill(
        now: &mut [f32; N_ENVS],
        seen: &mut [Vec<Seen>; N_ENVS],
        (booster, replay): (&mut Booster, &mut Replay),
        stream: &mut Stream,
    ) {
        let mut new_episodes = [false; N_ENVS];
        for env in 0..N_ENVS {
            if stream.uniform() < 0.2 {
                new_episodes[env] = true;
                if let Some(last) = seen[env].last_mut() {
                    last.goes_on = false;
                }
                now[env] = stream.normal() as f32;
            }
        }
        let mut rollout = Rollout::new(N_STEPS, N_ENVS, 1, 1, 0);
        let mut data = booster.dataset();
        for _ in 0..N_STEPS {
            booster.append(&mut data, now, 0..0, &mut []).unwrap();
            rollout.push_decision(&[0.0; N_ENVS], &[], &[0.0; N_ENVS]).unwrap();
            let mut draw = |p: f64| [(); N_ENVS].map(|()| stream.uniform() < p);
            let (terminated, truncated) = (draw(0.15), draw(0.15));
            let mut draw = || [(); N_ENVS].map(|()| stream.normal() as f32);
            let (rewards, finals, resets) = (draw(), draw(), draw());
            for env in 0..N_ENVS {
                let ended = terminated[env] || truncated[env];
                seen[env].push(Seen {
                    observation: now[env],
                    reward: rewards[env],
                    terminated: terminated[env],
                    next: finals[env],
                    goes_on: !ended,
                });
                now[env] = if ended { resets[env] } else { finals[env] };
            }
            let (terminated, truncated) = (&terminated, &truncated);
            let step = StepRows { rewards: &rewards, terminated, truncated, final_observations: &finals, ignored: &[] };
            rollout.push_outcome(&step, 0.9).unwrap();
        }
        booster.complete(&mut data).unwrap();
        replay.push(booster, &rollout, &data, now, &new_episodes).unwrap();
    }

    /// R_t by the definition of TD(λ): V_t + Σ_k (γλ)^k δ_{t+k}, to the end of the trajectory. O(T²).
    fn target(seen: &[Seen], t: usize, value: &dyn Fn(f32) -> f64, (gamma, lambda): (f64, f64)) -> f64 {
        let (mut sum, mut weight) = (value(seen[t].observation), 1.0);
        for step in &seen[t..] {
            let future = if step.terminated { 0.0 } else { gamma * value(step.next) };
            sum += weight * (f64::from(step.reward) + future - value(step.observation));
            weight *= gamma * lambda;
            if !step.goes_on {
                break;
            }
        }
        sum
    }

    #[test]
    fn targets_equal_their_definition_and_the_oldest_rollouts_go() {
        let (mut booster, mut stream) = (booster(), Stream::new(1, "test", 0));
        let mut replay = replay(&booster, 4 * N_STEPS * N_ENVS + 7);
        let mut now = [0.0; N_ENVS];
        let mut seen: [Vec<Seen>; N_ENVS] = [const { Vec::new() }; N_ENVS];
        for round in 0..30 {
            fill(&mut now, &mut seen, (&mut booster, &mut replay), &mut stream);
            let kept = (round + 1).min(4) * N_STEPS;
            assert_eq!(replay.n_rows(), kept * N_ENVS);
            let factors = (0.9, [0.0, 0.7, 1.0][round % 3]);
            replay.value(&booster, factors.0, factors.1).unwrap();
            let value = |x: f32| {
                let mut out = [0.0];
                booster.predict(&[x], 2..3, &mut out).unwrap();
                f64::from(out[0])
            };
            for (env, seen) in seen.iter().enumerate() {
                let first = seen.len() - kept;
                for t in 0..kept {
                    let (row, wanted) = (t * N_ENVS + env, target(seen, first + t, &value, factors));
                    assert_eq!(replay.data().observations().get(row, 0), seen[first + t].observation);
                    assert_eq!(f64::from(replay.values()[row]), value(seen[first + t].observation));
                    assert!((replay.returns()[row] - wanted).abs() < 1e-9, "round {round}, step {t} of {env}");
                }
            }
            let rows: Vec<u32> = (0..replay.n_rows() as u32).collect();
            let gradients: Vec<f32> = (0..3 * rows.len()).map(|_| stream.normal() as f32).collect();
            booster.step_group(replay.data_mut(), &rows, &gradients, 1).unwrap();
            let advantages = replay.advantages();
            assert!(rows.iter().all(|&row| {
                let value = f64::from(replay.data().output(row as usize, 2));
                advantages[row as usize] == replay.returns()[row as usize] - value
            }));
        }
    }

    #[test]
    fn a_saved_replay_is_the_same_and_a_broken_one_is_refused() {
        let (mut booster, mut stream) = (booster(), Stream::new(2, "test", 0));
        let mut first = replay(&booster, 1000);
        let (mut now, mut seen) = ([0.0; N_ENVS], [const { Vec::new() }; N_ENVS]);
        for _ in 0..5 {
            fill(&mut now, &mut seen, (&mut booster, &mut first), &mut stream);
            let rows: Vec<u32> = (0..first.n_rows() as u32).collect();
            let gradients: Vec<f32> = (0..3 * rows.len()).map(|_| stream.normal() as f32).collect();
            booster.step(first.data_mut(), &rows, &gradients).unwrap();
        }
        let json = serde_json::to_string(&first.state()).unwrap();
        let state: ReplayState = serde_json::from_str(&json).unwrap();
        assert_eq!(state, first.state());
        let mut second = replay(&booster, 1000);
        second.restore(&state, &mut booster).unwrap();
        first.value(&booster, 0.9, 0.8).unwrap();
        second.value(&booster, 0.9, 0.8).unwrap();
        assert_eq!((first.values(), first.returns()), (second.values(), second.returns()));
        let mut smaller = replay(&booster, 2 * N_STEPS * N_ENVS);
        smaller.restore(&state, &mut booster).unwrap();
        assert_eq!(smaller.n_rows(), 2 * N_STEPS * N_ENVS);
        let change = |of: fn(&mut Chunk)| {
            let mut chunk = (*state.chunks[0]).clone();
            of(&mut chunk);
            ReplayState { chunks: [Arc::new(chunk)].into() }
        };
        for broken in [
            change(|chunk| chunk.rewards.clear()),
            change(|chunk| chunk.goes_on.push(true)),
            change(|chunk| {
                chunk.cut_rows = vec![99];
                chunk.cut_observations = vec![0.0];
            }),
            change(|chunk| chunk.ignored_rows = vec![99]),
        ] {
            let error = replay(&booster, 1000).restore(&broken, &mut booster).unwrap_err();
            assert_eq!(error.class(), crate::ErrorClass::Format);
        }
    }
}
