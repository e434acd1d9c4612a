//! Scores of all candidates of one feature in one node: eight cells at a time, outputs one after the other.

use super::vector::Vector;
use crate::config::SplitScore;
use crate::tree::score::{denominator, ratio};

/// What scoring a node needs besides its cells. Lanes of a cell: one per output, the weight, and the row count, which
/// is the weight's lane where rows are not weighted; the rest is padding.
#[derive(Clone, Copy, Debug)]
pub struct NodeRule<'a> {
    /// Which score.
    pub score: SplitScore,
    /// Power of two per output.
    pub units: &'a [f64],
    /// The node's sums, one per lane.
    pub totals: &'a [i64],
    /// The lane that holds the row count.
    pub count_lane: usize,
    /// Power of two of the weight.
    pub weight_unit: f64,
    /// Regularisation λ.
    pub lambda: f64,
    /// Fewest rows of a side; scores of others are −∞.
    pub min_rows: usize,
}

super::kernel! {
    /// `out[i]` = score of the candidate whose left side is `init` plus `cells[0..=i]`.
    ///
    /// `run` is scratch of one cell; `out` has one element per cell.
    pub fn score_running(cells: &[i64], init: Option<&[i64]>, rule: &NodeRule<'_>, run: &mut [i64], out: &mut [f64]) =
        score_running_body
}

super::kernel! {
    /// `out[i]` = score of the candidate whose right side is `cells[i]` alone.
    pub fn score_single(cells: &[i64], rule: &NodeRule<'_>, out: &mut [f64]) = score_single_body
}

#[inline(always)]
fn score_running_body<V: Vector>(
    cells: &[i64],
    init: Option<&[i64]>,
    rule: &NodeRule<'_>,
    run: &mut [i64],
    out: &mut [f64],
) {
    match init {
        Some(init) => run.copy_from_slice(init),
        None => run.fill(0),
    }
    score_lanes::<V, true>(cells, rule, run, out);
}

#[inline(always)]
fn score_single_body<V: Vector>(cells: &[i64], rule: &NodeRule<'_>, out: &mut [f64]) {
    score_lanes::<V, false>(cells, rule, &mut [], out);
}

/// Which score is fixed here: inside a loop the compiler would take the root for both and throw one away.
#[inline(always)]
fn score_lanes<V: Vector, const RUNNING: bool>(cells: &[i64], rule: &NodeRule<'_>, run: &mut [i64], out: &mut [f64]) {
    match (rule.totals.len(), rule.score) {
        (4, SplitScore::L2) => score_cells::<V, 4, RUNNING, false>(cells, rule, run, out),
        (4, SplitScore::Cosine) => score_cells::<V, 4, RUNNING, true>(cells, rule, run, out),
        (_, SplitScore::L2) => score_cells::<V, 8, RUNNING, false>(cells, rule, run, out),
        (_, SplitScore::Cosine) => score_cells::<V, 8, RUNNING, true>(cells, rule, run, out),
    }
}

/// Blocks of eight cells; the last one is padded with zeros, whose scores are thrown away.
#[inline(always)]
fn score_cells<V: Vector, const W: usize, const RUNNING: bool, const COSINE: bool>(
    cells: &[i64],
    rule: &NodeRule<'_>,
    run: &mut [i64],
    out: &mut [f64],
) {
    let lanes = rule.totals.len();
    let mut blocks = cells.chunks_exact(8 * lanes);
    let (whole, rest) = out.as_chunks_mut::<8>();
    for (block, out) in (&mut blocks).zip(whole) {
        *out = score_block::<V, W, RUNNING, COSINE>(block, rule, run);
    }
    if !rest.is_empty() {
        let tail = blocks.remainder();
        let mut padded = [0i64; 8 * 32];
        let scores = if tail.len() <= padded.len() && 8 * lanes <= padded.len() {
            padded[..tail.len()].copy_from_slice(tail);
            score_block::<V, W, RUNNING, COSINE>(&padded[..8 * lanes], rule, run)
        } else {
            let mut padded = tail.to_vec();
            padded.resize(8 * lanes, 0);
            score_block::<V, W, RUNNING, COSINE>(&padded, rule, run)
        };
        rest.copy_from_slice(&scores[..rest.len()]);
    }
}

#[inline(always)]
fn score_block<V: Vector, const W: usize, const RUNNING: bool, const COSINE: bool>(
    block: &[i64],
    rule: &NodeRule<'_>,
    run: &mut [i64],
) -> [f64; 8] {
    let lanes = rule.totals.len();
    let n_outputs = rule.units.len();
    let mut left = [0.0; 8];
    let mut right = [0.0; 8];
    let mut weight = [0.0; 8];
    let mut count = [0.0; 8];
    for from in (0..lanes).step_by(W) {
        let planes = if RUNNING {
            let run: &mut [i64; W] = run[from..].first_chunk_mut().expect("lanes are a multiple of W");
            V::running_planes::<W>(&block[from..], lanes, run)
        } else {
            single_planes::<W>(&block[from..], lanes)
        };
        for (w, plane) in planes.iter().enumerate() {
            let lane = from + w;
            if lane < n_outputs {
                let unit = rule.units[lane];
                let total = rule.totals[lane] as f64 * unit;
                for j in 0..8 {
                    let l = plane[j] * unit;
                    let r = total - l;
                    left[j] += l * l;
                    right[j] += r * r;
                }
            } else {
                if lane == n_outputs {
                    weight = *plane;
                }
                if lane == rule.count_lane {
                    count = *plane;
                }
            }
        }
    }
    let total_weight = rule.totals[n_outputs] as f64 * rule.weight_unit;
    let mut scores = [0.0; 8];
    for j in 0..8 {
        let w = weight[j] * rule.weight_unit;
        let l = (left[j], denominator(w, rule.lambda));
        let r = (right[j], denominator(total_weight - w, rule.lambda));
        scores[j] = if COSINE { ratio(l, r).sqrt() } else { ratio(l, r) };
    }
    if rule.min_rows > 0 {
        let least = rule.min_rows as f64;
        let most = rule.totals[rule.count_lane] as f64 - least;
        for j in 0..8 {
            if count[j] < least || count[j] > most {
                scores[j] = f64::NEG_INFINITY;
            }
        }
    }
    scores
}

#[inline(always)]
fn single_planes<const W: usize>(cells: &[i64], lanes: usize) -> [[f64; 8]; W] {
    let mut planes = [[0.0; 8]; W];
    for j in 0..8 {
        for w in 0..W {
            planes[w][j] = super::vector::to_f64(cells[j * lanes + w]);
        }
    }
    planes
}
