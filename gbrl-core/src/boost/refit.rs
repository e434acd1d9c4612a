//! Leaf values of many trees together, by least squares: what trees grown one after the other cannot see.
//!
//! With one coefficient per leaf and output, w minimises Σ over rows (target − Σ over trees w[leaf of the row])² + λ‖w‖²,
//! by conjugate gradients on the normal equations (Hestenes and Stiefel 1952), preconditioned by their diagonal, from
//! the values that are there. All outputs go in step, each with step lengths of its own, so that a row's leaves are
//! looked up once for all of them. Sums are f64 in one order, so threads change no byte.

use crate::error::{Error, Result};
use crate::threads::{Threads, even_ranges};
use crate::tree::Tree;

/// λ: as if each leaf had seen one row more, with target 0.
const LAMBDA: f64 = 1.0;
const ITERATIONS: usize = 20;

/// The same trees with leaf values refitted to `targets`, row-major `[n_rows, n_outputs]`, of `rows`, row-major.
///
/// Memory: 4 bytes per row and tree. O(iterations · rows · trees · outputs).
///
/// # Errors
/// Class `Value` for a value that `f32` cannot hold.
pub(super) fn refit(
    trees: &[Tree],
    rows: &[f32],
    n_features: usize,
    targets: &[f64],
    n_outputs: usize,
    threads: &Threads,
) -> Result<Vec<Tree>> {
    let n_rows = rows.len() / n_features;
    let problem = Problem::new(trees, rows, (n_rows, n_features), n_outputs, threads);
    let mut values: Vec<f64> = trees.iter().flat_map(|tree| tree.values()).map(|&value| f64::from(value)).collect();
    problem.solve(&mut values, targets);
    let mut refitted = Vec::with_capacity(trees.len());
    for (tree, place) in trees.iter().zip(&problem.places) {
        // 0 is stored as +0, as by a step.
        let own: Vec<f32> = values[place.first..][..place.len].iter().map(|&value| value as f32 + 0.0).collect();
        if let Some(i) = own.iter().position(|value| !value.is_finite()) {
            let width = tree.columns().len();
            let at = (i / width, tree.columns().start + i % width);
            return Err(Error::element("leaf values", at, "a number within ±3.4e38", values[place.first + i]));
        }
        let (covers, gains, rates) = (tree.covers().to_vec(), tree.gains().to_vec(), tree.rates().to_vec());
        refitted.push(Tree::new(tree.shape().clone(), tree.columns(), own, covers, gains, rates));
    }
    Ok(refitted)
}

/// Where a tree's values lie among all values.
struct Place {
    first: usize,
    len: usize,
    /// First output column and number of columns.
    column: usize,
    width: usize,
}

/// The matrix Z of the least squares, one row per observation, one 1 per tree in it.
struct Problem<'a> {
    threads: &'a Threads,
    n_rows: usize,
    n_outputs: usize,
    places: Vec<Place>,
    /// `[tree][row]`.
    leaves: Vec<u32>,
}

impl<'a> Problem<'a> {
    fn new(
        trees: &[Tree],
        rows: &[f32],
        (n_rows, n_features): (usize, usize),
        n_outputs: usize,
        threads: &'a Threads,
    ) -> Self {
        let mut next = 0;
        let places = trees.iter().map(|tree| {
            let (first, len) = (next, tree.values().len());
            next += len;
            Place { first, len, column: tree.columns().start, width: tree.columns().len() }
        });
        let places = places.collect();
        let mut leaves = vec![0; trees.len() * n_rows];
        threads.share(leaves.chunks_mut(n_rows.max(1)).zip(trees), |(leaves, tree)| {
            for (leaf, row) in leaves.iter_mut().zip(rows.chunks_exact(n_features)) {
                *leaf = tree.leaf_idx(row) as u32;
            }
        });
        Problem { threads, n_rows, n_outputs, places, leaves }
    }

    /// out = Z·values, `[row][output]`.
    fn outputs(&self, values: &[f64], out: &mut [f64]) {
        let ranges = even_ranges(self.n_rows, self.n_parts());
        let mut rest = out;
        let parts = ranges.map(|rows| {
            let (part, tail) = std::mem::take(&mut rest).split_at_mut(rows.len() * self.n_outputs);
            rest = tail;
            (rows, part)
        });
        self.threads.share(parts, |(rows, out)| {
            out.fill(0.0);
            for (place, leaves) in self.places.iter().zip(self.leaves.chunks(self.n_rows.max(1))) {
                let values = &values[place.first..][..place.len];
                for (&leaf, out) in leaves[rows.clone()].iter().zip(out.chunks_exact_mut(self.n_outputs)) {
                    let leaf = &values[leaf as usize * place.width..][..place.width];
                    for (sum, value) in out[place.column..].iter_mut().zip(leaf) {
                        *sum += value;
                    }
                }
            }
        });
    }

    /// out = Zᵀ·outputs: per leaf the sum over its rows.
    fn sums(&self, outputs: &[f64], out: &mut [f64]) {
        let mut rest = out;
        let parts = even_ranges(self.places.len(), self.n_parts()).map(|trees| {
            let len = self.places[trees.clone()].iter().map(|place| place.len).sum();
            let (part, tail) = std::mem::take(&mut rest).split_at_mut(len);
            rest = tail;
            (trees, part)
        });
        self.threads.share(parts, |(trees, out)| {
            out.fill(0.0);
            let Some(start) = self.places.get(trees.start).map(|place| place.first) else { return };
            for tree in trees {
                let place = &self.places[tree];
                let sums = &mut out[place.first - start..][..place.len];
                let leaves = &self.leaves[tree * self.n_rows..][..self.n_rows];
                for (&leaf, outputs) in leaves.iter().zip(outputs.chunks_exact(self.n_outputs)) {
                    let leaf = &mut sums[leaf as usize * place.width..][..place.width];
                    for (sum, output) in leaf.iter_mut().zip(&outputs[place.column..]) {
                        *sum += output;
                    }
                }
            }
        });
    }

    fn solve(&self, values: &mut [f64], targets: &[f64]) {
        let columns = self.columns();
        let dot = |a: &[f64], b: &[f64]| {
            let mut sums = vec![0.0; self.n_outputs];
            for ((a, b), &column) in a.iter().zip(b).zip(&columns) {
                sums[column] += a * b;
            }
            sums
        };
        let mut diagonal = vec![0.0; values.len()];
        self.sums(&vec![1.0; targets.len()], &mut diagonal);
        let mut outputs = vec![0.0; targets.len()];
        self.outputs(values, &mut outputs);
        for (output, target) in outputs.iter_mut().zip(targets) {
            *output = target - *output;
        }
        let mut residual = vec![0.0; values.len()];
        self.sums(&outputs, &mut residual);
        for (r, value) in residual.iter_mut().zip(&*values) {
            *r -= LAMBDA * value;
        }
        let scaled =
            |residual: &[f64]| -> Vec<f64> { residual.iter().zip(&diagonal).map(|(r, n)| r / (n + LAMBDA)).collect() };
        let mut direction = scaled(&residual);
        let mut length = dot(&residual, &direction);
        let mut image = vec![0.0; values.len()];
        for _ in 0..ITERATIONS {
            self.outputs(&direction, &mut outputs);
            self.sums(&outputs, &mut image);
            for (image, d) in image.iter_mut().zip(&direction) {
                *image += LAMBDA * d;
            }
            let curvature = dot(&direction, &image);
            let step = quotients(&length, &curvature);
            for (i, &column) in columns.iter().enumerate() {
                values[i] += step[column] * direction[i];
                residual[i] -= step[column] * image[i];
            }
            let next = scaled(&residual);
            let next_length = dot(&residual, &next);
            let keep = quotients(&next_length, &length);
            for ((d, next), &column) in direction.iter_mut().zip(&next).zip(&columns) {
                *d = next + keep[column] * *d;
            }
            length = next_length;
        }
    }

    /// The output column of each value.
    fn columns(&self) -> Vec<usize> {
        let of = |place: &Place| {
            let (column, width) = (place.column, place.width);
            (0..place.len).map(move |i| column + i % width)
        };
        self.places.iter().flat_map(of).collect()
    }

    fn n_parts(&self) -> usize {
        self.threads.worth(self.leaves.len() * self.n_outputs)
    }
}

/// a / b where that is a step: 0 for an output that is solved already.
fn quotients(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| if *b > 0.0 { a / b } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use crate::tree::{Shape, Split};

    fn stump(feature_idx: u32, threshold: f32, columns: std::ops::Range<usize>) -> Tree {
        let shape = Shape::Oblivious([Split::greater(feature_idx, threshold, false)].into());
        let width = columns.len();
        Tree::new(shape, columns, vec![0.0; 2 * width], vec![1; 2], vec![0.0], vec![1.0; width])
    }

    /// Random rows and targets, and stumps of which one covers the second output alone.
    fn case(n_rows: usize) -> (Vec<Tree>, Vec<f32>, Vec<f64>) {
        let mut stream = Stream::new(1, "refit", 0);
        let rows: Vec<f32> = (0..2 * n_rows).map(|_| stream.uniform() as f32).collect();
        let targets = rows.chunks(2).flat_map(|row| [row[0] * row[1], row[0] - 2.0 * row[1]].map(f64::from)).collect();
        let trees =
            [(0, 0.3, 0..2), (0, 0.7, 0..2), (1, 0.5, 0..2), (1, 0.8, 1..2)].map(|(f, t, c)| stump(f, t, c)).into();
        (trees, rows, targets)
    }

    /// Gaussian elimination on the normal equations of one output, written out.
    fn oracle(trees: &[Tree], rows: &[f32], targets: &[f64], column: usize) -> Vec<f64> {
        let own: Vec<&Tree> = trees.iter().filter(|tree| tree.columns().contains(&column)).collect();
        let n = 2 * own.len();
        let mut matrix = vec![vec![0.0; n + 1]; n];
        for (row, target) in rows.chunks(2).zip(targets.chunks(2)) {
            let at: Vec<usize> = own.iter().enumerate().map(|(i, tree)| 2 * i + tree.leaf_idx(row)).collect();
            for &i in &at {
                at.iter().for_each(|&j| matrix[i][j] += 1.0);
                matrix[i][n] += target[column];
            }
        }
        (0..n).for_each(|i| matrix[i][i] += LAMBDA);
        for pivot in 0..n {
            let row = matrix[pivot].clone();
            for (_, other) in matrix.iter_mut().enumerate().filter(|(i, _)| *i != pivot) {
                let factor = other[pivot] / row[pivot];
                other.iter_mut().zip(&row).for_each(|(x, y)| *x -= factor * y);
            }
        }
        (0..n).map(|i| matrix[i][n] / matrix[i][i]).collect()
    }

    #[test]
    fn equals_elimination() {
        let (trees, rows, targets) = case(200);
        let refitted = refit(&trees, &rows, 2, &targets, 2, &Threads::one()).unwrap();
        for column in 0..2 {
            let own = refitted.iter().filter(|tree| tree.columns().contains(&column));
            let got = own.flat_map(|tree| (0..2).map(move |leaf| tree.leaf(leaf)[column - tree.columns().start]));
            for (got, expected) in got.zip(oracle(&trees, &rows, &targets, column)) {
                assert!((f64::from(got) - expected).abs() < 1e-6, "{got} {expected}");
            }
        }
    }

    #[test]
    fn threads_change_nothing() {
        let (trees, rows, targets) = case(9_000);
        let one = refit(&trees, &rows, 2, &targets, 2, &Threads::one()).unwrap();
        assert_eq!(one, refit(&trees, &rows, 2, &targets, 2, &Threads::new(3).unwrap()).unwrap());
        assert_ne!(one, trees);
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        let (trees, rows, mut targets) = case(50);
        targets.iter_mut().for_each(|target| *target = 1e300);
        let error = refit(&trees, &rows, 2, &targets, 2, &Threads::one()).unwrap_err();
        assert!(error.to_string().starts_with("leaf values[0, 0]: expected a number within"), "{error}");
    }

    #[test]
    fn nothing_to_fit_is_no_trouble() {
        let (trees, ..) = case(10);
        assert_eq!(refit(&trees, &[], 2, &[], 2, &Threads::one()).unwrap(), trees);
        assert!(refit(&[], &[0.5, 0.5], 2, &[1.0, 1.0], 2, &Threads::one()).unwrap().is_empty());
    }
}
