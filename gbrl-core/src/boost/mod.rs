//! STUB: a stand-in learner with the real one's signatures, replaced when the branches meet.
//!
//! Oblivious trees of depth ≤ `max_depth` over a few quantiles, all rows rescanned for every candidate.

use std::ops::Range;

use crate::config::TreeParams;
use crate::ensemble::Ensemble;
use crate::error::{Error, Result};
use crate::tree::{Shape, Split, Tree};

/// Stand-in for the booster.
pub struct Booster {
    ensemble: Ensemble,
    params: TreeParams,
    progress: f64,
}

/// Stand-in for the dataset.
pub struct Dataset {
    n_features: usize,
    n_outputs: usize,
    rows: Vec<f32>,
    outputs: Vec<f32>,
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepReport {
    /// Leaves of the tree.
    pub n_leaves: usize,
    /// Depth of the tree.
    pub depth: usize,
}

impl Booster {
    /// A booster.
    ///
    /// # Errors
    /// Settings out of range.
    pub fn new(ensemble: Ensemble, params: TreeParams, _seed: u64, _n_threads: usize) -> Result<Booster> {
        params.check(ensemble.n_features(), ensemble.n_outputs())?;
        Ok(Booster { ensemble, params, progress: 0.0 })
    }

    /// The trees.
    pub fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// The settings.
    pub fn params(&self) -> &TreeParams {
        &self.params
    }

    /// Progress of the run.
    pub fn set_progress(&mut self, progress: f64) {
        self.progress = progress;
    }

    /// An empty dataset.
    pub fn dataset(&self) -> Dataset {
        Dataset {
            n_features: self.ensemble.n_features(),
            n_outputs: self.ensemble.n_outputs(),
            rows: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Appends rows and predicts.
    ///
    /// # Errors
    /// Wrong shapes.
    pub fn append(
        &self,
        data: &mut Dataset,
        observations: &[f32],
        columns: Range<usize>,
        out: &mut [f32],
    ) -> Result<()> {
        self.predict(observations, columns, out)?;
        data.rows.extend_from_slice(observations);
        for row in observations.chunks_exact(data.n_features) {
            let at = data.outputs.len();
            data.outputs.extend_from_slice(self.ensemble.bias());
            self.add_trees(row, &mut data.outputs[at..]);
        }
        Ok(())
    }

    fn add_trees(&self, row: &[f32], outputs: &mut [f32]) {
        for tree in self.ensemble.trees() {
            for (o, v) in outputs.iter_mut().zip(tree.leaf(tree.leaf_idx(row))) {
                *o += v;
            }
        }
    }

    /// Completes a dataset.
    ///
    /// # Errors
    /// None.
    pub fn complete(&mut self, _data: &mut Dataset) -> Result<()> {
        Ok(())
    }

    /// One tree.
    ///
    /// # Errors
    /// Wrong shapes.
    pub fn step(&mut self, data: &mut Dataset, rows: &[u32], gradients: &[f32]) -> Result<StepReport> {
        let d = data.n_outputs;
        if gradients.len() != rows.len() * d {
            return Err(Error::shape("gradients", rows.len() * d, gradients.len()));
        }
        let f = data.n_features;
        let x = |i: usize, j: usize| data.rows[rows[i] as usize * f + j];
        let mut node = vec![0usize; rows.len()];
        let mut splits: Vec<Split> = Vec::new();
        for level in 0..self.params.max_depth.min(4) {
            let mut best: Option<(f64, Split)> = None;
            for j in 0..f {
                let mut values: Vec<f32> = (0..rows.len()).map(|i| x(i, j)).filter(|v| !v.is_nan()).collect();
                values.sort_by(f32::total_cmp);
                for q in 1..8 {
                    let Some(&threshold) = values.get(values.len() * q / 8) else { continue };
                    let split = Split::greater(j as u32, threshold, false);
                    let n = 2usize << level;
                    let (mut sums, mut counts) = (vec![0.0f64; n * d], vec![0.0f64; n]);
                    for i in 0..rows.len() {
                        let k = 2 * node[i] + usize::from(split.test.accepts(x(i, j)));
                        counts[k] += 1.0;
                        for c in 0..d {
                            sums[k * d + c] += f64::from(gradients[i * d + c]);
                        }
                    }
                    let score: f64 = (0..n)
                        .filter(|&k| counts[k] > 0.0)
                        .map(|k| (sums[k * d..(k + 1) * d].iter().map(|s| s * s).sum::<f64>() / counts[k]).sqrt())
                        .sum();
                    if best.as_ref().is_none_or(|(b, _)| score > *b) {
                        best = Some((score, split));
                    }
                }
            }
            let Some((_, split)) = best else { break };
            for i in 0..rows.len() {
                node[i] = 2 * node[i] + usize::from(split.test.accepts(x(i, split.feature_idx as usize)));
            }
            splits.push(split);
        }
        let depth = splits.len();
        let n = 1 << depth;
        let (mut sums, mut covers) = (vec![0.0f64; n * d], vec![0u32; n]);
        for i in 0..rows.len() {
            covers[node[i]] += 1;
            for c in 0..d {
                sums[node[i] * d + c] += f64::from(gradients[i * d + c]);
            }
        }
        let mut values = vec![0.0f32; n * d];
        for group in self.ensemble.groups() {
            let rate = group.rate.at(self.progress);
            for k in 0..n {
                for c in group.columns.clone() {
                    if covers[k] > 0 {
                        values[k * d + c] = (-rate * sums[k * d + c] / f64::from(covers[k])) as f32;
                    }
                }
            }
        }
        let tree = Tree::new(Shape::Oblivious(splits.into()), 0..d, values, covers, vec![0.0; depth]);
        for (row, outputs) in data.rows.chunks_exact(f).zip(data.outputs.chunks_exact_mut(d)) {
            for (o, v) in outputs.iter_mut().zip(tree.leaf(tree.leaf_idx(row))) {
                *o += v;
            }
        }
        self.ensemble.push(tree);
        Ok(StepReport { n_leaves: n, depth })
    }

    /// Outputs of loose rows.
    ///
    /// # Errors
    /// Wrong shapes.
    pub fn predict(&self, observations: &[f32], columns: Range<usize>, out: &mut [f32]) -> Result<()> {
        let k = observations.len() / self.ensemble.n_features();
        if out.len() != k * columns.len() {
            return Err(Error::shape("out", k * columns.len(), out.len()));
        }
        let mut full = vec![0.0; self.ensemble.n_outputs()];
        for (row, out) in
            observations.chunks_exact(self.ensemble.n_features()).zip(out.chunks_exact_mut(columns.len().max(1)))
        {
            full.copy_from_slice(self.ensemble.bias());
            self.add_trees(row, &mut full);
            out.copy_from_slice(&full[columns.clone()]);
        }
        Ok(())
    }
}

impl Dataset {
    /// Rows so far.
    pub fn n_rows(&self) -> usize {
        self.rows.len() / self.n_features
    }

    /// Forgets the rows.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.outputs.clear();
    }

    /// Cached outputs, row-major.
    pub fn gather(&self, rows: &[u32], columns: Range<usize>, out: &mut [f32]) {
        for (&row, out) in rows.iter().zip(out.chunks_exact_mut(columns.len())) {
            let from = row as usize * self.n_outputs;
            out.copy_from_slice(&self.outputs[from + columns.start..from + columns.end]);
        }
    }
}
