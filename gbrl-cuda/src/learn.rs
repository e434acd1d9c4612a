//! Updates on the device: outputs, losses and gradients of an update's rows stay there.

use std::sync::PoisonError;

use gbrl_core::backend::update::{Actions, LOSS_TILE, LossSums, Minibatch, Update};
use gbrl_core::backend::{Task, Updates};
use gbrl_core::data::Lanes;
use gbrl_core::error::Result;
use gbrl_core::tree::Tree;

use crate::CudaBackend;
use crate::device::Buffer;
use crate::launch;
use crate::predict::Rows;

/// Sums of a tile besides those of the log standard deviations; `LOSS_SUMS` in kernels/minibatch.cu.
const LOSS_SUMS: usize = 5;

/// What an update's losses are made of, on the device.
#[derive(Default)]
pub struct Lesson {
    rows: Rows,
    choices: Buffer<u32>,
    acted: Buffer<f32>,
    masks: Buffer<u8>,
    weights: Buffer<f64>,
    old_log_probs: Buffer<f64>,
    returns: Buffer<f64>,
    old_values: Buffer<f32>,
    log_std: Buffer<f64>,
    work: Buffer<f64>,
    /// What does not change from minibatch to minibatch.
    update: launch::Minibatch,
    n_outputs: usize,
    n_log_std: usize,
    /// Bytes that rows have taken, which later ones may use again.
    kept: usize,
    /// Rows whose gradients are on the device; 0 where there are none.
    n_rows: usize,
}

impl Lesson {
    /// Whether the gradients on the device are for such a task.
    pub fn has_gradients(&self, task: &Task<'_>) -> bool {
        self.n_rows == task.rows.len() && self.n_outputs == task.n_outputs && task.weights.is_none()
    }

    /// Others take their place.
    pub fn forget_gradients(&mut self) {
        self.n_rows = 0;
    }

    fn n_sums(&self) -> usize {
        LOSS_SUMS + self.n_log_std
    }

    /// Words before the sums of the tiles: the largest gradient of each column, and whether a row has no loss.
    fn n_head(&self) -> usize {
        self.n_outputs + 1
    }
}

impl Updates for CudaBackend {
    fn begin(&mut self, update: &Update<'_>) -> Result<bool> {
        let (device, lesson) = (&self.device, &mut self.lesson);
        lesson.forget_gradients();
        // Observations and their keys, and outputs, in buffers that grow by doubling. Where that is too much the rows are
        // learnt from as before, by their bins.
        let bytes = 2 * (2 * size_of_val(update.tiles) + size_of_val(update.outputs));
        if bytes > device.memory()?.0 + lesson.kept {
            return Ok(false);
        }
        let observed = (update.tiles, update.n_features);
        lesson.rows.keep(device, &self.kernels, observed, update.outputs, update.n_outputs)?;
        let (kind, n_parts, choices) = match update.actions {
            Actions::Choices(choices) => (0, choices.len(), choices.as_slice()),
            Actions::Bits(n) => (1, *n, &[][..]),
            Actions::Normals(n, squashed) => (2 + u32::from(*squashed), *n, &[][..]),
        };
        lesson.choices.fill(device, choices)?;
        lesson.acted.fill(device, update.acted)?;
        lesson.masks.fill(device, &update.masks.iter().map(|&allowed| u8::from(allowed)).collect::<Vec<_>>())?;
        let (policy, value) = (&update.policy, &update.value);
        let clip = policy.and_then(|policy| policy.clip);
        let value_clip = value.and_then(|value| value.clip);
        lesson.weights.fill(device, policy.map_or(&[], |policy| policy.weights))?;
        lesson.old_log_probs.fill(device, clip.map_or(&[], |(log_probs, _)| log_probs))?;
        lesson.returns.fill(device, value.map_or(&[], |value| value.returns))?;
        lesson.old_values.fill(device, value_clip.map_or(&[], |(values, _)| values))?;
        let action_len = if kind == 0 { choices.len() } else { n_parts };
        let n_rows = update.acted.len() / action_len.max(1);
        let (policy_norm, value_norm) =
            (policy.and_then(|policy| policy.max_grad_norm), value.and_then(|value| value.max_grad_norm));
        lesson.n_outputs = update.n_outputs;
        lesson.update = launch::Minibatch {
            outputs: lesson.rows.outputs.address(device, 0),
            choices: lesson.choices.address(device, 0),
            acted: lesson.acted.address(device, 0),
            masks: lesson.masks.address(device, 0),
            weights: lesson.weights.address(device, 0),
            old_log_probs: clip.map_or(0, |_| lesson.old_log_probs.address(device, 0)),
            returns: lesson.returns.address(device, 0),
            old_values: value_clip.map_or(0, |_| lesson.old_values.address(device, 0)),
            n_outputs: update.n_outputs as u32,
            kind,
            n_parts: n_parts as u32,
            action_len: action_len as u32,
            mask_len: (update.masks.len() / n_rows.max(1)) as u32,
            has_policy: policy.is_some().into(),
            has_value: value.is_some().into(),
            clips_policy_norm: policy_norm.is_some().into(),
            clips_value_norm: value_norm.is_some().into(),
            clip_range: clip.map_or(0.0, |(_, range)| range),
            ent_coef: policy.map_or(0.0, |policy| policy.ent_coef),
            policy_norm: policy_norm.unwrap_or(0.0),
            vf_range: value_clip.map_or(0.0, |(_, range)| range),
            vf_coef: value.map_or(0.0, |value| value.vf_coef),
            value_norm: value_norm.unwrap_or(0.0),
            ..launch::Minibatch::default()
        };
        lesson.kept = lesson.kept.max(bytes);
        Ok(true)
    }

    fn losses(&mut self, minibatch: &Minibatch<'_>) -> Result<()> {
        let (device, lesson) = (&self.device, &mut self.lesson);
        let (n, n_columns) = (minibatch.rows.len(), lesson.n_outputs - 1 + minibatch.log_std.len());
        lesson.n_log_std = minibatch.log_std.len();
        lesson.forget_gradients();
        self.rows.fill(device, minibatch.rows)?;
        lesson.log_std.fill(device, minibatch.log_std)?;
        lesson.work.resize(device, n * n_columns, false)?;
        self.gradients.resize(device, n * lesson.n_outputs, false)?;
        self.results.begin_losses(device, lesson.n_head() + n.div_ceil(LOSS_TILE) * lesson.n_sums())?;
        let (mean, scale) = minibatch.standard;
        let argument = launch::Minibatch {
            rows: self.rows.address(device, 0),
            gradients: self.gradients.address(device, 0),
            work: lesson.work.address(device, 0),
            sums: self.results.address(device, lesson.n_head()),
            largest: self.results.address(device, 0),
            log_std: lesson.log_std.address(device, 0),
            n_rows: n as u32,
            n_log_std: lesson.n_log_std as u32,
            mean,
            scale,
            ..lesson.update
        };
        if n > 0 {
            self.kernels.losses(device, &argument)?;
        }
        lesson.n_rows = n;
        Ok(())
    }

    fn sums(&mut self) -> Result<Option<LossSums>> {
        let lesson = &self.lesson;
        let (n_head, n_sums) = (lesson.n_head(), lesson.n_sums());
        let end = n_head + lesson.n_rows.div_ceil(LOSS_TILE) * n_sums;
        let words = self.results.fetch(&self.device, end)?;
        let number = |word: i64| f64::from_bits(word as u64);
        let (largest, flag) = (&words[..lesson.n_outputs], words[lesson.n_outputs]);
        if flag != 0 || largest.iter().any(|&bits| !number(bits).is_finite()) {
            return Ok(None);
        }
        let mut totals = vec![0.0; n_sums];
        for tile in words[n_head..].chunks_exact(n_sums) {
            totals.iter_mut().zip(tile).for_each(|(total, &part)| *total += number(part));
        }
        Ok(Some(LossSums {
            loss: totals[0],
            entropy: totals[1],
            kl: totals[2],
            clipped: totals[3],
            squared_error: totals[4],
            log_std: totals[LOSS_SUMS..].to_vec(),
        }))
    }

    fn advance(&mut self, trees: &[Tree], stamp: u64, first: usize) -> Result<()> {
        let forest = self.forest.get_mut().unwrap_or_else(PoisonError::into_inner);
        forest.follow(&self.device, trees, stamp)?;
        let (rows, columns) = (&mut self.lesson.rows, 0..self.lesson.n_outputs);
        forest.advance(&self.device, &self.kernels, rows, first..trees.len(), columns)
    }

    fn end(&mut self, outputs: &mut [Lanes<f32>]) -> Result<()> {
        self.lesson.forget_gradients();
        self.lesson.rows.outputs.fetch(&self.device, 0, launch::numbers_mut(outputs))
    }
}
