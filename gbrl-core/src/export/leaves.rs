//! Leaves and where their sums begin: as they are, or as small integers.
//!
//! **Quantised.** A leaf value v becomes the integer q = round(v / scale), sums are exact 32-bit integers, and an output
//! is scale · sum. Choices of one discrete part share a scale, so that the largest logit is the largest integer, and
//! are stored *relative to the first*: subtracting the same number from all logits changes no probability, and the
//! first choice needs no sum and no leaves. The order of integer additions does not matter, so trees are sorted by form
//! and those of a single leaf go into the beginning.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::form::{EdgeHead, FlatTree, Form};
use crate::error::{Error, Result};

/// How leaves are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quantize {
    /// As single-precision numbers: outputs are equal to the library's, bit for bit.
    #[default]
    None,
    /// As integers of 16 bits.
    Int16,
    /// As integers of 8 bits.
    Int8,
}

impl Quantize {
    /// The names of all, as they are written.
    pub const NAMES: [&str; 3] = ["none", "int16", "int8"];

    /// The largest integer.
    fn largest(self) -> f64 {
        match self {
            Quantize::Int8 => f64::from(i8::MAX),
            _ => f64::from(i16::MAX),
        }
    }
}

impl FromStr for Quantize {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "none" => Ok(Quantize::None),
            "int16" => Ok(Quantize::Int16),
            "int8" => Ok(Quantize::Int8),
            _ => Err(Error::unknown_name("quantisation", name, Quantize::NAMES)),
        }
    }
}

impl fmt::Display for Quantize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Quantize::NAMES[*self as usize])
    }
}

/// Where sums begin and what leaves add to them.
#[derive(Clone, Debug, PartialEq)]
pub enum Sums {
    /// One sum per logit, then the value.
    Float {
        /// Where the sums begin.
        bias: Vec<f32>,
        /// What the leaves add.
        leaves: Vec<f32>,
    },
    /// One sum per logit but the first of each discrete part, then the value.
    Integer {
        /// Where the sums begin.
        bias: Vec<i32>,
        /// What one unit of each sum is worth.
        scales: Vec<f32>,
        /// What the leaves add.
        leaves: Leaves,
    },
}

/// Integer leaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaves {
    /// Of 16 bits.
    Int16(Vec<i16>),
    /// Of 8 bits.
    Int8(Vec<i8>),
}

impl Sums {
    /// How many sums.
    pub fn n_sums(&self) -> usize {
        match self {
            Sums::Float { bias, .. } => bias.len(),
            Sums::Integer { bias, .. } => bias.len(),
        }
    }

    /// Bytes of one leaf value.
    pub fn leaf_bytes(&self) -> usize {
        match self {
            Sums::Float { .. } => 4,
            Sums::Integer { leaves: Leaves::Int16(_), .. } => 2,
            Sums::Integer { leaves: Leaves::Int8(_), .. } => 1,
        }
    }

    /// Leaf values, over all trees.
    pub fn n_leaf_values(&self) -> usize {
        match self {
            Sums::Float { leaves, .. } => leaves.len(),
            Sums::Integer { leaves: Leaves::Int16(leaves), .. } => leaves.len(),
            Sums::Integer { leaves: Leaves::Int8(leaves), .. } => leaves.len(),
        }
    }

    /// How leaves are stored.
    pub fn quantize(&self) -> Quantize {
        match self.leaf_bytes() {
            4 => Quantize::None,
            2 => Quantize::Int16,
            _ => Quantize::Int8,
        }
    }
}

impl Leaves {
    /// The sums of `trees`, and the order in which the trees are to be written; changes the trees' columns from outputs
    /// to sums.
    pub(super) fn sums(
        head: &EdgeHead,
        n_logits: usize,
        bias: &[f32],
        trees: &mut [FlatTree],
        quantize: Quantize,
    ) -> Result<(Sums, Vec<usize>)> {
        check_range(bias, trees)?;
        if quantize == Quantize::None {
            let leaves = trees.iter().flat_map(|tree| &tree.leaves).copied().collect();
            return Ok((Sums::Float { bias: bias.to_vec(), leaves }, (0..trees.len()).collect()));
        }
        let bias: Vec<f64> = bias.iter().map(|&b| f64::from(b)).collect();
        let mut reduction = Reduction::new(head, n_logits, bias.len());
        let mut totals = reduction.row(&bias, &(0..bias.len()));
        let mut wide: Vec<Vec<f64>> = Vec::with_capacity(trees.len());
        for tree in trees.iter_mut() {
            let outputs = tree.columns.clone();
            let rows = tree.leaves.chunks_exact(outputs.len());
            tree.columns = reduction.columns(&outputs);
            let mut leaves = Vec::new();
            for row in rows {
                let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
                leaves.extend(&reduction.row(&row, &outputs)[tree.columns.clone()]);
            }
            if tree.form == Form::Oblivious(0) {
                totals[tree.columns.clone()].iter_mut().zip(&leaves).for_each(|(total, leaf)| *total += leaf);
                leaves.clear();
            }
            wide.push(leaves);
        }
        let mut order: Vec<usize> = (0..trees.len()).filter(|&i| !wide[i].is_empty()).collect();
        order.sort_by_key(|&i| (trees[i].form, trees[i].columns.start, trees[i].columns.end));
        let scales = reduction.scales(trees, &wide, &totals, quantize.largest());
        let bias =
            totals.iter().zip(&scales).map(|(total, &scale)| (total / f64::from(scale)).round() as i32).collect();
        let mut integers = Vec::new();
        for &i in &order {
            let scales = &scales[trees[i].columns.clone()];
            for row in wide[i].chunks_exact(scales.len()) {
                integers.extend(row.iter().zip(scales).map(|(x, &scale)| {
                    (x / f64::from(scale)).round().clamp(-quantize.largest(), quantize.largest()) as i16
                }));
            }
        }
        let leaves = match quantize {
            Quantize::Int8 => Leaves::Int8(integers.into_iter().map(|q| q as i8).collect()),
            _ => Leaves::Int16(integers),
        };
        Ok((Sums::Integer { bias, scales, leaves }, order))
    }
}

/// A finite sum for every observation: an infinite or undefined logit has no largest.
fn check_range(bias: &[f32], trees: &[FlatTree]) -> Result<()> {
    let mut most: Vec<f64> = bias.iter().map(|b| f64::from(b.abs())).collect();
    for tree in trees {
        for (i, column) in tree.columns.clone().enumerate() {
            let leaves = tree.leaves.iter().skip(i).step_by(tree.columns.len());
            // `max` would pass over NaN.
            most[column] +=
                leaves.fold(0.0, |most: f64, x| if x.is_nan() { f64::NAN } else { most.max(f64::from(x.abs())) });
        }
    }
    match most.iter().position(|&most| most.is_nan() || most > f64::from(f32::MAX) / 2.0) {
        None => Ok(()),
        Some(i) => Err(Error::element("sum of the largest leaves", (0, i), "at most half of f32::MAX", most[i])),
    }
}

/// From outputs to sums: the first choice of a discrete part is subtracted from the others and left out.
struct Reduction {
    n_logits: usize,
    n_outputs: usize,
    /// Outputs of each group that shares a scale, and whether its first is left out.
    groups: Vec<(Range<usize>, bool)>,
}

impl Reduction {
    fn new(head: &EdgeHead, n_logits: usize, n_outputs: usize) -> Self {
        let mut groups = Vec::new();
        if let EdgeHead::Discrete(parts) = head {
            let mut from = 0;
            for part in parts {
                groups.push((from..from + part.n as usize, true));
                from += part.n as usize;
            }
        } else {
            groups.extend((0..n_logits).map(|i| (i..i + 1, false)));
        }
        groups.extend((n_logits..n_outputs).map(|i| (i..i + 1, false)));
        Reduction { n_logits, n_outputs, groups }
    }

    /// Sums before output `to`, which is 0, the end of the logits or the end of all.
    fn before(&self, to: usize) -> usize {
        self.groups
            .iter()
            .filter(|(group, _)| group.end <= to)
            .map(|(group, first)| group.len() - usize::from(*first))
            .sum()
    }

    /// The sums of a tree with these output columns: whole parts only.
    fn columns(&self, outputs: &Range<usize>) -> Range<usize> {
        let from = if outputs.start < self.n_logits { 0 } else { self.n_logits };
        let to = if outputs.end > self.n_logits { self.n_outputs } else { self.n_logits };
        self.before(from)..self.before(to)
    }

    /// All sums of one row of outputs, 0 outside them.
    fn row(&mut self, values: &[f64], outputs: &Range<usize>) -> Vec<f64> {
        let mut all = vec![0.0; self.n_outputs];
        all[outputs.clone()].copy_from_slice(values);
        let mut sums = Vec::with_capacity(self.n_outputs);
        for (group, first_out) in &self.groups {
            let group = &all[group.clone()];
            match first_out {
                true => sums.extend(group[1..].iter().map(|x| x - group[0])),
                false => sums.extend(group),
            }
        }
        sums
    }

    /// One scale per sum: leaves reach ±`largest`, and no sum can leave 31 bits.
    fn scales(&self, trees: &[FlatTree], wide: &[Vec<f64>], totals: &[f64], largest: f64) -> Vec<f32> {
        const ROOM: f64 = (1 << 29) as f64;
        let mut leaf = vec![0.0f64; totals.len()];
        let mut sum: Vec<f64> = totals.iter().map(|total| total.abs()).collect();
        for (tree, values) in trees.iter().zip(wide) {
            for (i, column) in tree.columns.clone().enumerate() {
                let most =
                    values.iter().skip(i).step_by(tree.columns.len()).fold(0.0, |most: f64, x| most.max(x.abs()));
                leaf[column] = leaf[column].max(most);
                sum[column] += most;
            }
        }
        let mut scales = Vec::with_capacity(totals.len());
        for (group, first_out) in &self.groups {
            let n = group.len() - usize::from(*first_out);
            let here = scales.len()..scales.len() + n;
            let most = |of: &[f64]| of[here.clone()].iter().fold(0.0, |most: f64, x| most.max(*x));
            let scale = (most(&leaf) / largest).max(most(&sum) / ROOM);
            // f32 rounds to nearest, which may be below: one step up keeps every quotient within.
            let scale = if scale > f64::from(f32::MIN_POSITIVE) { (scale as f32).next_up() } else { 1.0 };
            scales.extend(std::iter::repeat_n(scale, n));
        }
        scales
    }
}
