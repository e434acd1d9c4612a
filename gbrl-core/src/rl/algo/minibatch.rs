//! Losses and gradients of one minibatch: the policy's and the value's, each by itself.

use crate::backend::update::LOSS_TILE as TILE;
pub use crate::backend::update::{PolicyLoss, ValueLoss};
use crate::boost::Dataset;
use crate::error::Result;
use crate::math;
use crate::rl::dist::Evaluation;
use crate::rl::loss::ppo::{log_ratio, surrogate_of_ratio};
use crate::rl::loss::{clip_norm, clipped_value_loss, policy_gradient, standardize_advantages, value_loss};
use crate::rl::policy::PolicyHead;
use crate::rl::rollout::Rollout;

/// What was done: actions and masks by row.
pub trait Acted {
    /// The stored action.
    fn action(&self, row: usize) -> &[f32];
    /// The mask it was chosen under; empty without masks.
    fn mask(&self, row: usize) -> &[bool];
}

impl Acted for Rollout {
    fn action(&self, row: usize) -> &[f32] {
        Rollout::action(self, row)
    }

    fn mask(&self, row: usize) -> &[bool] {
        Rollout::mask(self, row)
    }
}

/// Means over a minibatch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PolicyStats {
    pub loss: f64,
    pub entropy: f64,
    pub kl: f64,
    pub clip_fraction: f64,
}

impl PolicyStats {
    fn add(&mut self, other: &PolicyStats) {
        self.loss += other.loss;
        self.entropy += other.entropy;
        self.kl += other.kl;
        self.clip_fraction += other.clip_fraction;
    }

    /// Sums over `n` rows as means.
    pub fn over(&self, n: f64) -> Self {
        PolicyStats {
            loss: self.loss / n,
            entropy: self.entropy / n,
            kl: self.kl / n,
            clip_fraction: self.clip_fraction / n,
        }
    }
}

/// Sums of minibatches' means, for the mean over an update.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub policy: PolicyStats,
    /// Of (V − R)².
    pub value: f64,
    pub n_policy: f64,
    pub n_value: f64,
}

impl Totals {
    pub fn add_policy(&mut self, stats: &PolicyStats) {
        self.policy.add(stats);
        self.n_policy += 1.0;
    }

    pub fn add_value(&mut self, squared_error: f64) {
        self.value += squared_error;
        self.n_value += 1.0;
    }
}

/// Buffers of one minibatch, kept.
pub struct Minibatch {
    n_outputs: usize,
    /// Current outputs of the rows, `[batch, n_outputs]`: the policy's columns, then the value.
    pub outputs: Vec<f32>,
    /// d loss_row / d output_row, the same shape.
    pub gradients: Vec<f32>,
    /// Batch mean of d loss_row / d log_std.
    pub log_std_gradients: Vec<f64>,
    weights: Vec<f64>,
    row_gradients: Vec<f64>,
    // One tile: rows evaluated together, so that the processor can have several exponentials in flight. One alone is a chain
    // of 30 dependent operations.
    tile_log_std: Vec<f64>,
    actions: Vec<f32>,
    masks: Vec<bool>,
    params: Vec<f64>,
    work: Vec<f64>,
    now: Vec<Evaluation>,
    log_ratios: [f64; TILE],
    ratios: [f64; TILE],
}

impl Minibatch {
    pub fn new(head: &PolicyHead) -> Self {
        Minibatch {
            n_outputs: head.n_policy_outputs() + 1,
            outputs: Vec::new(),
            gradients: Vec::new(),
            log_std_gradients: vec![0.0; head.log_std.len()],
            weights: Vec::new(),
            row_gradients: vec![0.0; head.distribution.n_params()],
            tile_log_std: vec![0.0; head.log_std.len()],
            actions: Vec::with_capacity(TILE * head.distribution.action_len()),
            masks: Vec::with_capacity(TILE * head.distribution.mask_len()),
            params: vec![0.0; TILE * head.distribution.n_params()],
            work: vec![0.0; TILE * head.distribution.work_len()],
            now: vec![Evaluation::default(); TILE],
            log_ratios: [0.0; TILE],
            ratios: [0.0; TILE],
        }
    }

    /// Fetches the current outputs of `rows` and forgets the gradients.
    pub fn gather(&mut self, data: &Dataset, rows: &[u32]) {
        self.outputs.resize(rows.len() * self.n_outputs, 0.0);
        self.gradients.clear();
        self.gradients.resize(rows.len() * self.n_outputs, 0.0);
        data.gather(rows, 0..self.n_outputs, &mut self.outputs);
    }

    /// From `self.outputs` of `rows` computes the policy's columns of `self.gradients`, `self.log_std_gradients` and
    /// the statistics.
    ///
    /// loss_row = (clipped surrogate, or −w·ln π) − ent_coef·H. Sums run in the order of `rows`, tile by tile
    /// ([`LOSS_TILE`](crate::backend::update::LOSS_TILE)).
    pub fn policy(
        &mut self,
        head: &PolicyHead,
        acted: &impl Acted,
        rows: &[u32],
        loss: &PolicyLoss<'_>,
    ) -> Result<PolicyStats> {
        let n = head.n_policy_outputs();
        self.weights.clear();
        self.weights.extend(rows.iter().map(|&row| loss.weights[row as usize]));
        if loss.standardize {
            standardize_advantages(&mut self.weights);
        }
        self.log_std_gradients.fill(0.0);
        let mut sum = PolicyStats::default();
        let (n_params, w) = (head.distribution.n_params(), head.distribution.work_len());
        for (tile, rows) in rows.chunks(TILE).enumerate() {
            let first = tile * TILE;
            let k = rows.len();
            self.actions.clear();
            self.masks.clear();
            for (i, &row) in rows.iter().enumerate() {
                self.actions.extend_from_slice(acted.action(row as usize));
                self.masks.extend_from_slice(acted.mask(row as usize));
                let outputs = &self.outputs[(first + i) * (n + 1)..][..n];
                head.fill(outputs, &mut self.params[i * n_params..][..n_params]);
            }
            let (params, work) = (&self.params[..k * n_params], &mut self.work[..k * w]);
            head.distribution.evaluate_rows(params, &self.masks, &self.actions, work, &mut self.now[..k])?;
            if let Some((old_log_probs, _)) = loss.clip {
                for (i, &row) in rows.iter().enumerate() {
                    self.log_ratios[i] = log_ratio(self.now[i].log_prob, old_log_probs[row as usize]);
                }
                for i in 0..k {
                    self.ratios[i] = math::exp(self.log_ratios[i]);
                }
            }
            let mut part = PolicyStats::default();
            self.tile_log_std.fill(0.0);
            for (i, &row) in rows.iter().enumerate() {
                self.finish_policy_row(head, acted, (first, i, row as usize), loss, &mut part)?;
            }
            sum.add(&part);
            self.log_std_gradients.iter_mut().zip(&self.tile_log_std).for_each(|(sum, part)| *sum += part);
        }
        let count = rows.len() as f64;
        self.log_std_gradients.iter_mut().for_each(|g| *g /= count);
        Ok(sum.over(count))
    }

    /// Loss and gradients of row `i` of the tile that starts at `first`, from its evaluation and ratio.
    #[inline]
    fn finish_policy_row(
        &mut self,
        head: &PolicyHead,
        acted: &impl Acted,
        (first, i, row): (usize, usize, usize),
        loss: &PolicyLoss<'_>,
        sum: &mut PolicyStats,
    ) -> Result<()> {
        let n = head.n_policy_outputs();
        let (n_params, w) = (head.distribution.n_params(), head.distribution.work_len());
        let (params, work) = (&self.params[i * n_params..][..n_params], &self.work[i * w..][..w]);
        let weight = self.weights[first + i];
        let d_log_prob = match loss.clip {
            Some((_, clip_range)) => {
                let at = surrogate_of_ratio(self.log_ratios[i], self.ratios[i], weight, clip_range);
                sum.loss += at.loss;
                sum.kl += at.kl;
                sum.clip_fraction += f64::from(u8::from(at.clipped));
                at.d_log_prob
            }
            None => {
                let at = policy_gradient(self.now[i].log_prob, weight);
                sum.loss += at.loss;
                at.d_log_prob
            }
        };
        sum.entropy += self.now[i].entropy;
        let gradients = &mut self.row_gradients;
        let (action, mask) = (acted.action(row), acted.mask(row));
        head.distribution.gradients(params, mask, action, work, d_log_prob, -loss.ent_coef, gradients)?;
        for (to, &from) in self.tile_log_std.iter_mut().zip(&gradients[n..]) {
            *to += from;
        }
        clip_norm(&mut gradients[..n], loss.max_grad_norm);
        let out = &mut self.gradients[(first + i) * (n + 1)..][..n];
        for (to, &from) in out.iter_mut().zip(&gradients[..n]) {
            *to = from as f32;
        }
        Ok(())
    }

    /// From `self.outputs` of `rows` computes the value's column of `self.gradients`: of vf_coef·½(V − R)². Returns the
    /// mean of (V − R)², as Stable-Baselines3 logs it.
    pub fn value(&mut self, rows: &[u32], loss: &ValueLoss<'_>) -> f64 {
        let width = self.n_outputs;
        let (mut sum, mut part) = (0.0, 0.0);
        for (i, &row) in rows.iter().enumerate() {
            if i % TILE == 0 {
                sum += std::mem::take(&mut part);
            }
            let at = i * width + width - 1;
            let (value, target) = (f64::from(self.outputs[at]), loss.returns[row as usize]);
            let error = match loss.clip {
                None => value_loss(value, target),
                Some((old, range)) => clipped_value_loss(value, f64::from(old[row as usize]), target, range),
            };
            let mut d_value = [loss.vf_coef * error.d_value];
            clip_norm(&mut d_value, loss.max_grad_norm);
            self.gradients[at] = d_value[0] as f32;
            part += 2.0 * error.loss;
        }
        (sum + part) / rows.len() as f64
    }
}
