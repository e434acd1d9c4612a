//! What an on-policy algorithm remembers of its last steps.

use crate::error::{Error, Result};
use crate::rl::advantage::{Trajectories, gae};

/// `n_steps` steps of `n_envs` environments, row `t · n_envs + env`: the same row index as in the booster's dataset,
/// which holds the observations and the policy's outputs.
///
/// Memory is taken once and reused; only the final observations of truncated episodes, at most one per row, grow
/// with the need and then stay.
#[derive(Clone, Debug)]
pub struct Rollout {
    n_steps: usize,
    n_envs: usize,
    action_len: usize,
    mask_len: usize,
    n_features: usize,
    actions: Vec<f32>,
    masks: Vec<bool>,
    log_probs: Vec<f64>,
    rewards: Vec<f32>,
    discounts: Vec<f64>,
    ends: Vec<bool>,
    ignored: Vec<bool>,
    values: Vec<f32>,
    bootstraps: Vec<f32>,
    advantages: Vec<f64>,
    returns: Vec<f64>,
    /// Rows that ended by truncation alone, and the observations after them.
    cut_rows: Vec<u32>,
    cut_observations: Vec<f32>,
}

/// What a step of all environments gave, each slice `[n_envs, …]`.
#[derive(Clone, Copy, Debug)]
pub struct StepRows<'a> {
    /// Rewards as the algorithm is to see them.
    pub rewards: &'a [f32],
    /// Where the task ended.
    pub terminated: &'a [bool],
    /// Where the episode was cut off.
    pub truncated: &'a [bool],
    /// Observations at the ends of episodes, `[n_envs, n_features]`; only rows of truncated episodes are read.
    pub final_observations: &'a [f32],
    /// Where an environment only reset itself after an end, whatever it was told to do: nothing is learnt from such a row,
    /// and its rewards and ends mean nothing. Empty where there are none.
    pub ignored: &'a [bool],
}

impl Rollout {
    /// An empty rollout; `mask_len` is 0 without masks.
    pub fn new(n_steps: usize, n_envs: usize, n_features: usize, action_len: usize, mask_len: usize) -> Self {
        let n = n_steps * n_envs;
        Rollout {
            n_steps,
            n_envs,
            action_len,
            mask_len,
            n_features,
            actions: Vec::with_capacity(n * action_len),
            masks: Vec::with_capacity(n * mask_len),
            log_probs: Vec::with_capacity(n),
            rewards: Vec::with_capacity(n),
            discounts: Vec::with_capacity(n),
            ends: Vec::with_capacity(n),
            ignored: Vec::with_capacity(n),
            values: vec![0.0; n],
            bootstraps: vec![0.0; n],
            advantages: vec![0.0; n],
            returns: vec![0.0; n],
            cut_rows: Vec::new(),
            cut_observations: Vec::new(),
        }
    }

    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.actions.clear();
        self.masks.clear();
        self.log_probs.clear();
        self.rewards.clear();
        self.discounts.clear();
        self.ends.clear();
        self.ignored.clear();
        self.cut_rows.clear();
        self.cut_observations.clear();
    }

    /// Rows so far.
    pub fn n_rows(&self) -> usize {
        self.rewards.len()
    }

    /// Whether `n_steps` steps are there.
    pub fn is_full(&self) -> bool {
        self.n_rows() == self.n_steps * self.n_envs
    }

    /// Adds what was decided in one step, before the environments move on (and their masks with them):
    /// stored actions `[n_envs, action_len]`, the masks they were chosen under `[n_envs, mask_len]`, and ln π(action).
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) when the rollout is full, the step before has no outcome
    /// yet, or a slice has a wrong length.
    pub fn push_decision(&mut self, actions: &[f32], masks: &[bool], log_probs: &[f64]) -> Result<()> {
        let n = self.n_envs;
        if self.is_full() || self.log_probs.len() != self.n_rows() {
            return Err(Error::shape("rollout", "room for one more decision", self.log_probs.len()));
        }
        check_lengths(&[
            ("actions", n * self.action_len, actions.len()),
            ("masks", n * self.mask_len, masks.len()),
            ("log_probs", n, log_probs.len()),
        ])?;
        self.actions.extend_from_slice(actions);
        self.masks.extend_from_slice(masks);
        self.log_probs.extend_from_slice(log_probs);
        Ok(())
    }

    /// Adds what came of the last decision; `gamma` is the discount of steps that do not terminate.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) when no decision is waiting or a slice has a wrong length,
    /// [`ErrorKind::Parameter`](crate::error::ErrorKind::Parameter) for an ignored row that follows no end.
    pub fn push_outcome(&mut self, step: &StepRows<'_>, gamma: f64) -> Result<()> {
        let n = self.n_envs;
        let row = self.n_rows();
        check_lengths(&[
            ("decisions", row + n, self.log_probs.len()),
            ("rewards", n, step.rewards.len()),
            ("terminated", n, step.terminated.len()),
            ("truncated", n, step.truncated.len()),
            ("final_observations", n * self.n_features, step.final_observations.len()),
        ])?;
        self.check_ignored(step.ignored)?;
        for env in 0..n {
            let ignored = step.ignored.get(env).copied().unwrap_or(false);
            // Nothing comes from before it, since an episode had ended, and nothing of what comes after it may reach it.
            let (terminated, truncated) = (step.terminated[env] || ignored, step.truncated[env]);
            self.ignored.push(ignored);
            self.discounts.push(if terminated { 0.0 } else { gamma });
            self.ends.push(terminated || truncated);
            if truncated && !terminated {
                self.cut_rows.push((row + env) as u32);
                let last = env * self.n_features..(env + 1) * self.n_features;
                self.cut_observations.extend_from_slice(&step.final_observations[last]);
            }
        }
        self.rewards.extend_from_slice(step.rewards);
        Ok(())
    }

    /// Whether rows may be ignored in the step to come.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) for another number of environments than all or none, and
    /// [`ErrorKind::Parameter`](crate::error::ErrorKind::Parameter) for one that follows no end.
    pub(super) fn check_ignored(&self, ignored: &[bool]) -> Result<()> {
        if !ignored.is_empty() {
            check_lengths(&[("ignored", self.n_envs, ignored.len())])?;
        }
        let before = self.n_rows().checked_sub(self.n_envs).map(|first| &self.ends[first..]);
        let follows_no_end = |&(_, (&ignored, &ended)): &(usize, (&bool, &bool))| ignored && !ended;
        match ignored.iter().zip(before.unwrap_or_default()).enumerate().find(follows_no_end) {
            Some((env, _)) => {
                let rule = "false where no episode ended in the step before";
                Err(Error::parameter(format!("ignored[{env}]"), true, rule))
            }
            None => Ok(()),
        }
    }

    /// Observations after the rows that were truncated, in the order of the rows, `[n_cut, n_features]`; their values
    /// are wanted by [`finish`](Rollout::finish).
    pub fn cut_observations(&self) -> &[f32] {
        &self.cut_observations
    }

    /// Rows that ended by truncation alone, in order.
    pub fn cut_rows(&self) -> &[u32] {
        &self.cut_rows
    }

    /// Whether the task ended with a row's step, by row.
    pub fn terminated(&self) -> impl Iterator<Item = bool> {
        let mut cut = self.cut_rows.iter().peekable();
        self.ends.iter().enumerate().map(move |(row, &end)| end && cut.next_if(|&&at| at as usize == row).is_none())
    }

    /// The value column, to be filled before [`finish`](Rollout::finish): V of each row's observation.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Computes advantages and returns of a full rollout.
    ///
    /// `last_values` are V of the observations after the last step, `[n_envs]`; `cut_values` V of
    /// [`cut_observations`](Rollout::cut_observations).
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) when the rollout is not full or a length is wrong.
    pub fn finish(&mut self, last_values: &[f32], cut_values: &[f32], lambda: f64) -> Result<()> {
        let n = self.n_envs;
        let rows = self.n_steps * n;
        if !self.is_full() {
            return Err(Error::shape("rollout", rows, self.n_rows()));
        }
        check_lengths(&[("last_values", n, last_values.len()), ("cut_values", self.cut_rows.len(), cut_values.len())])?;
        // Within an episode the observation after a step is that of the next row; elsewhere see below.
        self.bootstraps[..rows - n].copy_from_slice(&self.values[n..]);
        self.bootstraps[rows - n..].copy_from_slice(last_values);
        for (&row, &value) in self.cut_rows.iter().zip(cut_values) {
            self.bootstraps[row as usize] = value;
        }
        let steps = Trajectories {
            n_envs: n,
            rewards: &self.rewards,
            values: &self.values,
            bootstraps: &self.bootstraps,
            discounts: &self.discounts,
            ends: &self.ends,
        };
        gae(&steps, lambda, &mut self.advantages, &mut self.returns)
    }

    /// Stored action of a row.
    #[inline]
    pub fn action(&self, row: usize) -> &[f32] {
        &self.actions[row * self.action_len..][..self.action_len]
    }

    /// Mask of a row; empty without masks.
    #[inline]
    pub fn mask(&self, row: usize) -> &[bool] {
        &self.masks[row * self.mask_len..][..self.mask_len]
    }

    /// ln π(action) under the policy that acted, by row.
    pub fn log_probs(&self) -> &[f64] {
        &self.log_probs
    }

    /// Rewards by row.
    pub fn rewards(&self) -> &[f32] {
        &self.rewards
    }

    /// Values by row, as they were when the rollout was finished.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Advantages by row.
    pub fn advantages(&self) -> &[f64] {
        &self.advantages
    }

    /// Returns (advantage + value) by row.
    pub fn returns(&self) -> &[f64] {
        &self.returns
    }

    /// The rows to be learnt from, in order: all but those ignored.
    pub fn learnt_rows(&self) -> impl Iterator<Item = u32> {
        self.ignored.iter().enumerate().filter(|(_, ignored)| !**ignored).map(|(row, _)| row as u32)
    }

    /// The rows that are not, in order.
    pub fn ignored_rows(&self) -> impl Iterator<Item = u32> {
        self.ignored.iter().enumerate().filter(|(_, ignored)| **ignored).map(|(row, _)| row as u32)
    }

    /// Where an episode ended with the row's step.
    pub fn ends(&self) -> &[bool] {
        &self.ends
    }
}

fn check_lengths(slices: &[(&'static str, usize, usize)]) -> Result<()> {
    match slices.iter().find(|(_, expected, got)| expected != got) {
        Some((what, expected, got)) => Err(Error::shape(*what, expected, got)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(rollout: &mut Rollout, terminated: [bool; 2], truncated: [bool; 2]) -> Result<()> {
        rollout.push_decision(&[0.0, 1.0], &[], &[-0.5, -0.7])?;
        let step = StepRows {
            rewards: &[1.0, 1.0],
            terminated: &terminated,
            truncated: &truncated,
            final_observations: &[7.0, 8.0],
            ignored: &[],
        };
        rollout.push_outcome(&step, 0.9)
    }

    #[test]
    fn a_cut_row_gets_its_own_bootstrap_and_a_terminated_one_none() {
        let mut rollout = Rollout::new(2, 2, 1, 1, 0);
        push(&mut rollout, [true, false], [true, true]).unwrap();
        push(&mut rollout, [false, false], [false, false]).unwrap();
        assert_eq!(rollout.cut_observations(), [8.0]);
        rollout.values_mut().copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
        rollout.finish(&[5.0, 6.0], &[50.0], 1.0).unwrap();
        assert_eq!(rollout.bootstraps, [3.0, 50.0, 5.0, 6.0]);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        let expected = [1.0, 1.0 + 0.9 * 50.0, 1.0 + 0.9 * 5.0, 1.0 + 0.9 * 6.0];
        assert!(rollout.returns().iter().zip(expected).all(|(&r, e)| close(r, e)));
        assert_eq!((rollout.action(3), rollout.mask(3).len()), (&[1.0][..], 0));
    }

    #[test]
    fn an_ignored_row_parts_what_is_before_it_from_what_is_after() {
        let mut rollout = Rollout::new(3, 1, 1, 1, 0);
        for (reward, ignored) in [(1.0, false), (1e30, true), (2.0, false)] {
            rollout.push_decision(&[0.0], &[], &[-0.5]).unwrap();
            let (terminated, truncated) = (&[!ignored && reward == 1.0], &[ignored]);
            let step =
                StepRows { rewards: &[reward], terminated, truncated, final_observations: &[7.0], ignored: &[ignored] };
            rollout.push_outcome(&step, 0.5).unwrap();
        }
        assert_eq!(rollout.learnt_rows().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(rollout.ignored_rows().collect::<Vec<_>>(), [1]);
        assert!(rollout.cut_rows().is_empty());
        rollout.values_mut().copy_from_slice(&[0.25, 1e30, 0.5]);
        rollout.finish(&[4.0], &[], 1.0).unwrap();
        assert_eq!([rollout.returns()[0], rollout.returns()[2]], [1.0, 2.0 + 0.5 * 4.0]);
        rollout.clear();
        rollout.push_decision(&[0.0], &[], &[-0.5]).unwrap();
        let no_end = StepRows {
            rewards: &[0.0],
            terminated: &[false],
            truncated: &[false],
            final_observations: &[0.0],
            ignored: &[],
        };
        assert!(rollout.push_outcome(&StepRows { ignored: &[false; 2], ..no_end }, 0.5).is_err());
        rollout.push_outcome(&no_end, 0.5).unwrap();
        rollout.push_decision(&[0.0], &[], &[-0.5]).unwrap();
        let error = rollout.push_outcome(&StepRows { ignored: &[true], ..no_end }, 0.5).unwrap_err();
        assert_eq!(error.to_string(), "ignored[0]: expected false where no episode ended in the step before, got true");
    }

    #[test]
    fn misuse_is_an_error() {
        let mut rollout = Rollout::new(1, 2, 1, 1, 0);
        assert!(rollout.finish(&[0.0; 2], &[], 1.0).is_err());
        push(&mut rollout, [false; 2], [false; 2]).unwrap();
        assert!(push(&mut rollout, [false; 2], [false; 2]).is_err());
        assert!(rollout.finish(&[0.0; 2], &[1.0], 1.0).is_err());
        rollout.clear();
        assert_eq!(rollout.n_rows(), 0);
    }
}
