//! A step's gradients as integers in padded lanes.

use super::aligned::Aligned;
use super::simd::Simd;
use super::simd::quantise::larger;
use super::simd::sorted::Scaled;
use crate::backend::Task;
use crate::config::SplitScore;
use crate::error::{Error, Result};
use crate::threads::Threads;
use crate::tree::quantise::{self, moments, quantise};
use crate::tree::{ScoreRule, Sums};

/// Rows of `lanes` integers: one per output, then the weight, then (with weights) a 1 that counts rows, then zeros.
#[derive(Default)]
pub(super) struct Gradients {
    /// 4, or a multiple of 8.
    pub lanes: usize,
    n_outputs: usize,
    /// Where the row count stands in a cell.
    pub count_lane: usize,
    /// What leaves are made of.
    leaf: Aligned<i32>,
    /// What scores are made of, where it differs (L2).
    standard: Aligned<i32>,
    /// What scores are made of as numbers, where rows are kept in the order of their bins.
    pub scaled: Scaled,
    pub score_rule: ScoreRule,
    pub leaf_rule: ScoreRule,
    largest: Vec<f32>,
    scales: Vec<f64>,
    deviations: Deviations,
}

/// Buffers of standardisation, one element per output.
#[derive(Default)]
struct Deviations {
    means: Vec<f64>,
    sums: Vec<f64>,
    squares: Vec<f64>,
    largest: Vec<f64>,
    /// Mean and standard deviation.
    moments: Vec<(f64, f64)>,
}

impl Gradients {
    /// What scores are made of.
    pub fn score(&self) -> &[i32] {
        if self.has_standard() { &self.standard } else { &self.leaf }
    }

    /// What leaves are made of.
    pub fn leaf(&self) -> &[i32] {
        &self.leaf
    }

    /// Whether scores and leaves are made of different integers.
    pub fn has_standard(&self) -> bool {
        self.score_rule.score == SplitScore::L2
    }

    /// Makes the numbers of `scaled`.
    pub fn scale(&mut self, simd: Simd) {
        let ints = if self.has_standard() { &self.standard } else { &self.leaf };
        simd.scale_rows(ints, self.lanes, &self.score_rule.units, &mut self.scaled);
    }

    /// One cell as sums.
    pub fn sums(&self, cell: &[i64]) -> Sums {
        Sums {
            gradients: cell[..self.n_outputs].to_vec(),
            weight: cell[self.n_outputs],
            n_rows: cell[self.count_lane] as u32,
        }
    }

    pub fn begin(&mut self, simd: Simd, threads: &Threads, task: &Task<'_>) -> Result<()> {
        let (n, width) = (task.rows.len(), task.columns.len());
        self.n_outputs = width;
        self.count_lane = width + usize::from(task.weights.is_some());
        self.lanes = if self.count_lane < 4 { 4 } else { (self.count_lane + 1).next_multiple_of(8) };
        let rule = &mut self.score_rule;
        (rule.score, rule.lambda, rule.weight_unit) = (task.score, task.lambda, 1.0);
        rule.units.clear();
        rule.units.resize(width, 0.0);
        // Rows in parts: neither a largest value nor an integer depends on where they are cut.
        let share = n.div_ceil(threads.worth(n * self.lanes / 2)).max(1);
        self.find_largest(simd, threads, task, share);
        if self.largest.iter().any(|x| !x.is_finite()) {
            return Err(first_not_finite(task));
        }
        self.leaf.resize(n * self.lanes);
        match task.weights {
            None => self.quantise_plain(simd, threads, task, share),
            Some(weights) => self.quantise_weighted(task, weights)?,
        }
        self.leaf_rule.clone_from(&self.score_rule);
        if self.has_standard() {
            self.standard.resize(self.leaf.len());
            match task.weights {
                None => self.standardise_plain(simd, task),
                Some(weights) => {
                    self.standard.copy_from_slice(&self.leaf);
                    self.standardise_weighted(task, weights);
                }
            }
        }
        Ok(())
    }

    fn find_largest(&mut self, simd: Simd, threads: &Threads, task: &Task<'_>, share: usize) {
        let (width, stride, first) = (task.columns.len(), task.n_outputs, task.columns.start);
        let rows = task.gradients.chunks(share * stride);
        self.largest.clear();
        self.largest.resize(width * rows.len().max(1), 0.0);
        threads.share(rows.zip(self.largest.chunks_exact_mut(width)), |(rows, largest)| {
            simd.largest(rows, stride, first, largest);
        });
        let (all, others) = self.largest.split_at_mut(width);
        for part in others.chunks_exact(width) {
            all.iter_mut().zip(part).for_each(|(all, &part)| *all = larger(*all, part));
        }
        self.largest.truncate(width);
    }

    fn quantise_plain(&mut self, simd: Simd, threads: &Threads, task: &Task<'_>, share: usize) {
        let bits = quantise::bits(task.rows.len());
        self.scales.clear();
        for (unit, &largest) in self.score_rule.units.iter_mut().zip(&self.largest) {
            let (scale, inverse) = quantise::scale(f64::from(largest), bits);
            self.scales.push(scale);
            *unit = inverse;
        }
        let (stride, first) = (task.n_outputs, task.columns.start);
        let (scales, lanes) = (&self.scales, self.lanes);
        let parts = task.gradients.chunks(share * stride).zip(self.leaf.chunks_mut(share * lanes));
        threads.share(parts, |(rows, ints)| simd.quantise_rows(rows, stride, first, scales, ints, lanes));
    }

    fn quantise_weighted(&mut self, task: &Task<'_>, weights: &[f32]) -> Result<()> {
        let bits = quantise::bits(task.rows.len());
        if let Some(p) = weights.iter().position(|&w| !(w >= 0.0 && w.is_finite())) {
            return Err(Error::element("weights", (p, 0), "a finite number of at least 0", weights[p]));
        }
        let largest = weights.iter().fold(0.0, |a: f32, &w| a.max(w));
        let (scale, unit) = quantise::scale(f64::from(largest), bits);
        self.score_rule.weight_unit = unit;
        for (ints, &w) in self.leaf.chunks_exact_mut(self.lanes).zip(weights) {
            ints.fill(0);
            ints[self.n_outputs] = quantise(f64::from(w), scale);
            ints[self.count_lane] = 1;
        }
        for d in 0..self.n_outputs {
            let weighted = |p: usize| f64::from(gradient(task, p, d)) * f64::from(weights[p]);
            self.score_rule.units[d] = fill_lane(&mut self.leaf, self.lanes, d, bits, &weighted);
        }
        Ok(())
    }

    /// (g − mean)/σ per output over the batch; 0 where σ is 0. The sums are those of [`quantise::moments`].
    fn standardise_plain(&mut self, simd: Simd, task: &Task<'_>) {
        let (n, width, bits) = (task.rows.len(), task.columns.len(), quantise::bits(task.rows.len()));
        let (stride, first) = (task.n_outputs, task.columns.start);
        let Deviations { means, sums, squares, largest, moments } = &mut self.deviations;
        for buffer in [&mut *means, &mut *sums, &mut *squares, &mut *largest] {
            buffer.clear();
            buffer.resize(width, 0.0);
        }
        simd.deviations(task.gradients, stride, first, means, sums, squares, largest);
        let rows = n.max(1) as f64;
        means.iter_mut().zip(&*sums).for_each(|(mean, sum)| *mean = sum / rows);
        simd.deviations(task.gradients, stride, first, means, sums, squares, largest);
        moments.clear();
        moments.extend(means.iter().zip(&*squares).map(|(&mean, square)| (mean, (square / rows).sqrt())));
        self.scales.clear();
        for (d, &(_, std)) in moments.iter().enumerate() {
            // Division keeps order, so the largest quotient is that of the largest deviation.
            let largest = if std > 0.0 { largest[d] / std } else { 0.0 };
            let (scale, inverse) = quantise::scale(largest, bits);
            self.scales.push(scale);
            self.score_rule.units[d] = inverse;
        }
        simd.standardise_rows(task.gradients, stride, first, moments, &self.scales, &mut self.standard, self.lanes);
    }

    /// The same times the weight.
    fn standardise_weighted(&mut self, task: &Task<'_>, weights: &[f32]) {
        let bits = quantise::bits(task.rows.len());
        for d in 0..self.n_outputs {
            let (mean, std) = moments((0..task.rows.len()).map(|p| gradient(task, p, d)));
            let value = |p: usize| {
                if std > 0.0 { (f64::from(gradient(task, p, d)) - mean) / std * f64::from(weights[p]) } else { 0.0 }
            };
            self.score_rule.units[d] = fill_lane(&mut self.standard, self.lanes, d, bits, &value);
        }
    }
}

fn gradient(task: &Task<'_>, p: usize, d: usize) -> f32 {
    task.gradients[p * task.n_outputs + task.columns.start + d]
}

/// Quantises one lane of all rows and gives its unit.
fn fill_lane(ints: &mut [i32], lanes: usize, lane: usize, bits: i32, value: &dyn Fn(usize) -> f64) -> f64 {
    let n = ints.len() / lanes;
    let largest = (0..n).fold(0.0, |a: f64, p| a.max(value(p).abs()));
    let (scale, unit) = quantise::scale(largest, bits);
    for (p, row) in ints.chunks_exact_mut(lanes).enumerate() {
        row[lane] = quantise(value(p), scale);
    }
    unit
}

#[cold]
fn first_not_finite(task: &Task<'_>) -> Error {
    for p in 0..task.rows.len() {
        for d in 0..task.columns.len() {
            let g = gradient(task, p, d);
            if !g.is_finite() {
                return Error::element("gradients", (p, task.columns.start + d), "a finite number", g);
            }
        }
    }
    unreachable!("called where a gradient is not finite")
}
