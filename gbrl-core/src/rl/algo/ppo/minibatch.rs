//! Loss and gradients of one minibatch.

use crate::config::PpoParams;
use crate::error::Result;
use crate::math;
use crate::rl::dist::Evaluation;
use crate::rl::loss::ppo::{log_ratio, surrogate_of_ratio};
use crate::rl::loss::{clip_norm, clipped_value_loss, standardize_advantages, value_loss};
use crate::rl::policy::PolicyHead;
use crate::rl::rollout::Rollout;

/// The loss's coefficients at one moment of a run.
#[derive(Clone, Copy, Debug)]
pub struct LossParams {
    pub clip_range: f64,
    clip_range_vf: Option<f64>,
    ent_coef: f64,
    vf_coef: f64,
    normalize_advantage: bool,
    max_policy_grad_norm: Option<f64>,
    max_value_grad_norm: Option<f64>,
}

impl LossParams {
    pub fn at(ppo: &PpoParams, progress: f64) -> Self {
        LossParams {
            clip_range: ppo.clip_range.at(progress),
            clip_range_vf: ppo.clip_range_vf.map(|range| range.at(progress)),
            ent_coef: ppo.ent_coef,
            vf_coef: ppo.vf_coef,
            normalize_advantage: ppo.normalize_advantage,
            max_policy_grad_norm: ppo.max_policy_grad_norm,
            max_value_grad_norm: ppo.max_value_grad_norm,
        }
    }
}

/// Means over a minibatch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchStats {
    pub policy_loss: f64,
    /// Of (V − R)², as Stable-Baselines3 logs it; the loss takes half.
    pub value_loss: f64,
    pub entropy: f64,
    pub kl: f64,
    pub clip_fraction: f64,
    pub loss: f64,
}

impl BatchStats {
    pub fn add(&mut self, other: &BatchStats) {
        self.policy_loss += other.policy_loss;
        self.value_loss += other.value_loss;
        self.entropy += other.entropy;
        self.kl += other.kl;
        self.clip_fraction += other.clip_fraction;
        self.loss += other.loss;
    }
}

/// Rows evaluated together, so that the processor can have several exponentials in flight: one alone is a chain of 30
/// dependent operations.
const TILE: usize = 32;

/// Buffers of one minibatch, kept.
pub struct Minibatch {
    /// Current outputs of the rows, `[batch, n_outputs]`: the policy's columns, then the value.
    pub outputs: Vec<f32>,
    /// d loss_row / d output_row, the same shape.
    pub gradients: Vec<f32>,
    /// Batch mean of d loss_row / d log_std.
    pub log_std_gradients: Vec<f64>,
    advantages: Vec<f64>,
    row_gradients: Vec<f64>,
    pub old_values: Vec<f64>,
    // One tile.
    actions: Vec<f32>,
    masks: Vec<bool>,
    params: Vec<f64>,
    work: Vec<f64>,
    now: Vec<Evaluation>,
    log_ratios: [f64; TILE],
    ratios: [f64; TILE],
}

impl Minibatch {
    pub fn new(head: &PolicyHead, batch_size: usize) -> Self {
        let n_outputs = head.n_policy_outputs() + 1;
        Minibatch {
            outputs: vec![0.0; batch_size * n_outputs],
            gradients: vec![0.0; batch_size * n_outputs],
            log_std_gradients: vec![0.0; head.log_std.len()],
            advantages: Vec::with_capacity(batch_size),
            row_gradients: vec![0.0; head.distribution.n_params()],
            old_values: Vec::new(),
            actions: Vec::with_capacity(TILE * head.distribution.action_len()),
            masks: Vec::with_capacity(TILE * head.distribution.mask_len()),
            params: vec![0.0; TILE * head.distribution.n_params()],
            work: vec![0.0; TILE * head.distribution.work_len()],
            now: vec![Evaluation::default(); TILE],
            log_ratios: [0.0; TILE],
            ratios: [0.0; TILE],
        }
    }

    /// From `self.outputs` of `rows` computes `self.gradients`, `self.log_std_gradients` and the statistics.
    ///
    /// loss_row = surrogate(ratio, Â) − ent_coef·H + vf_coef·½(V − R)². Sums run in the order of `rows`.
    pub fn evaluate(
        &mut self,
        head: &PolicyHead,
        rollout: &Rollout,
        rows: &[u32],
        loss: &LossParams,
    ) -> Result<BatchStats> {
        let n = head.n_policy_outputs();
        self.advantages.clear();
        self.advantages.extend(rows.iter().map(|&row| rollout.advantages()[row as usize]));
        if loss.normalize_advantage {
            standardize_advantages(&mut self.advantages);
        }
        self.log_std_gradients.fill(0.0);
        let mut sum = BatchStats::default();
        let (n_params, w) = (head.distribution.n_params(), head.distribution.work_len());
        for (tile, rows) in rows.chunks(TILE).enumerate() {
            let first = tile * TILE;
            let k = rows.len();
            self.actions.clear();
            self.masks.clear();
            for (i, &row) in rows.iter().enumerate() {
                self.actions.extend_from_slice(rollout.action(row as usize));
                self.masks.extend_from_slice(rollout.mask(row as usize));
                let outputs = &self.outputs[(first + i) * (n + 1)..][..n];
                head.fill(outputs, &mut self.params[i * n_params..][..n_params]);
            }
            let (params, work) = (&self.params[..k * n_params], &mut self.work[..k * w]);
            head.distribution.evaluate_rows(params, &self.masks, &self.actions, work, &mut self.now[..k])?;
            for (i, &row) in rows.iter().enumerate() {
                self.log_ratios[i] = log_ratio(self.now[i].log_prob, rollout.log_probs()[row as usize]);
            }
            for i in 0..k {
                self.ratios[i] = math::exp(self.log_ratios[i]);
            }
            for (i, &row) in rows.iter().enumerate() {
                self.finish_row(head, rollout, (first, i, row as usize), loss, &mut sum)?;
            }
        }
        let count = rows.len() as f64;
        self.log_std_gradients.iter_mut().for_each(|g| *g /= count);
        sum.policy_loss /= count;
        sum.value_loss /= count;
        sum.entropy /= count;
        sum.kl /= count;
        sum.clip_fraction /= count;
        sum.loss = sum.policy_loss - loss.ent_coef * sum.entropy + loss.vf_coef * (0.5 * sum.value_loss);
        Ok(sum)
    }

    /// Loss and gradients of row `i` of the tile that starts at `first`, from its evaluation and ratio.
    #[inline]
    fn finish_row(
        &mut self,
        head: &PolicyHead,
        rollout: &Rollout,
        (first, i, row): (usize, usize, usize),
        loss: &LossParams,
        sum: &mut BatchStats,
    ) -> Result<()> {
        let n = head.n_policy_outputs();
        let (n_params, w) = (head.distribution.n_params(), head.distribution.work_len());
        let (params, work) = (&self.params[i * n_params..][..n_params], &self.work[i * w..][..w]);
        let surrogate =
            surrogate_of_ratio(self.log_ratios[i], self.ratios[i], self.advantages[first + i], loss.clip_range);
        let gradients = &mut self.row_gradients;
        let d = surrogate.d_log_prob;
        let (action, mask) = (rollout.action(row), rollout.mask(row));
        head.distribution.gradients(params, mask, action, work, d, -loss.ent_coef, gradients)?;
        for (to, &from) in self.log_std_gradients.iter_mut().zip(&gradients[n..]) {
            *to += from;
        }
        clip_norm(&mut gradients[..n], loss.max_policy_grad_norm);
        let value = f64::from(self.outputs[(first + i) * (n + 1) + n]);
        let target = rollout.returns()[row];
        let error = match loss.clip_range_vf {
            None => value_loss(value, target),
            Some(range) => clipped_value_loss(value, f64::from(rollout.values()[row]), target, range),
        };
        let mut d_value = [loss.vf_coef * error.d_value];
        clip_norm(&mut d_value, loss.max_value_grad_norm);
        let out = &mut self.gradients[(first + i) * (n + 1)..][..n + 1];
        for (to, &from) in out.iter_mut().zip(gradients[..n].iter().chain(&d_value)) {
            *to = from as f32;
        }
        sum.policy_loss += surrogate.loss;
        sum.value_loss += 2.0 * error.loss;
        sum.entropy += self.now[i].entropy;
        sum.kl += surrogate.kl;
        sum.clip_fraction += f64::from(u8::from(surrogate.clipped));
        Ok(())
    }
}
