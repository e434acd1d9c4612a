//! Scores of a node from its rows in the order of one feature's bins: sums run along the rows, and no histogram is made.
//!
//! Lists hold [entries](crate::data::binning::entry). Every row is scored as if it were the last one on the left; only the
//! last row of a bin is a candidate.

use super::joint::Best;
use super::vector::{Sides, Vector};
use crate::backend::cpu::aligned::Aligned;
use crate::config::SplitScore;
use crate::data::binning::row_of_entry;
use crate::tree::score::ratio;

/// Most rows of a list: one bit of [`Sides`] for each.
pub const MAX_ROWS: usize = 1024;

/// Entries that must stand behind a node's own: kernels read eight at a time, and the one behind; what they find there
/// counts for nothing.
pub const PADDING: usize = 8;

/// Which rows go right, a bit each.
#[derive(Debug, Default)]
pub struct Side(Sides);

impl Side {
    /// Sends all rows left.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Sends some rows right.
    pub fn set(&mut self, rows: &[u32]) {
        for &row in rows {
            self.0[row as usize >> 5 & 31] |= 1 << (row & 31);
        }
    }
}

/// Gradients as numbers again, integer · unit: their sums are exact, as those of the integers are.
///
/// `[chunk][row][8]`, the last chunk `[row][4]` where four lanes are enough; lanes behind the outputs are 0.
#[derive(Debug, Default)]
pub struct Scaled {
    n_rows: usize,
    n_outputs: usize,
    values: Aligned<f64>,
}

/// What scoring a node needs besides its rows.
#[derive(Clone, Copy, Debug)]
pub struct SortedRule<'a> {
    /// Which score.
    pub score: SplitScore,
    /// All rows' gradients.
    pub scaled: &'a Scaled,
    /// The node's sums, one per output.
    pub totals: &'a [f64],
    /// Rows of the node.
    pub n_rows: usize,
    /// Regularisation λ.
    pub lambda: f64,
}

/// A node's scores as a step function over bins.
#[derive(Debug, Default)]
pub struct Steps {
    /// The score below the first occupied bin, then one from each occupied bin on, then eight more of any value.
    scores: Vec<f64>,
    /// A bit per bin.
    occupied: [u64; 4],
    /// Where a walk along the bins has come to in `scores`.
    at: usize,
}

impl Scaled {
    /// Where each chunk starts, its width, and its first output.
    #[inline(always)]
    fn chunk(&self, first: usize) -> (&[f64], bool) {
        let values = &self.values[first * self.n_rows..];
        (values, self.n_outputs - first > 4)
    }
}

super::kernel! {
    /// Fills `scaled` from rows of `lanes` integers.
    pub fn scale_rows(ints: &[i32], lanes: usize, units: &[f64], scaled: &mut Scaled) = scale_rows_body
}

super::kernel! {
    /// `out[i]` = score of the candidate whose left side is the first i + 1 of the node's rows, but for the last row.
    ///
    /// `list` starts with the node's entries and has `PADDING` more; `out` has room for `n_rows + 8`.
    pub fn score_sorted(list: &[u32], rule: &SortedRule<'_>, out: &mut [f64]) = score_sorted_body
}

super::kernel! {
    /// Keeps the scores of the last row of each bin. `unmoved` is the score where no row is left or none is right.
    ///
    /// `list` starts with the node's `n` entries and has `PADDING` more; scores are as `score_sorted` leaves them.
    pub fn sorted_steps(list: &[u32], n: usize, scores: &[f64], unmoved: f64, steps: &mut Steps) = sorted_steps_body
}

super::kernel! {
    /// The first of the bins with the largest weighted sum of the nodes' scores, added in the order of the nodes, above −∞
    /// and among bins with a bit in `useful`.
    pub fn best_of_steps(nodes: &mut [Steps], useful: &[u64; 4], weight: f64, out: &mut Option<(usize, f64)>) =
        best_of_steps_body
}

super::kernel! {
    /// The first of the largest `weight · scores[i]` above −∞ among rows that are the last of their bin. `list` has one
    /// entry more than there are scores, a multiple of eight.
    pub fn best_sorted(list: &[u32], scores: &[f64], weight: f64, out: &mut Option<(usize, f64)>) = best_sorted_body
}

super::kernel! {
    /// Moves rows that go right behind the others, both in their old order. `spare` has room for all and sixteen more.
    pub fn partition_sorted(list: &mut [u32], spare: &mut [u32], side: &Side) = partition_sorted_body
}

#[inline(always)]
fn scale_rows_body<V: Vector>(ints: &[i32], lanes: usize, units: &[f64], scaled: &mut Scaled) {
    let n_rows = ints.len() / lanes;
    scaled.n_rows = n_rows;
    scaled.n_outputs = units.len();
    scaled.values.resize(n_rows * units.len().next_multiple_of(4));
    for first in (0..units.len()).step_by(8) {
        let out = &mut scaled.values[first * n_rows..];
        if units.len() - first > 4 {
            scale_lanes::<8>(ints, lanes, first, units, out);
        } else {
            scale_lanes::<4>(ints, lanes, first, units, out);
        }
    }
}

#[inline(always)]
fn scale_lanes<const W: usize>(ints: &[i32], lanes: usize, first: usize, units: &[f64], out: &mut [f64]) {
    let mut unit = [0.0; W];
    for (unit, &x) in unit.iter_mut().zip(&units[first..]) {
        *unit = x;
    }
    for (out, row) in out.as_chunks_mut::<W>().0.iter_mut().zip(ints.chunks_exact(lanes)) {
        let row: &[i32; W] = row[first..].first_chunk().expect("as many lanes");
        for w in 0..W {
            out[w] = f64::from(row[w]) * unit[w];
        }
    }
}

#[inline(always)]
fn score_sorted_body<V: Vector>(list: &[u32], rule: &SortedRule<'_>, out: &mut [f64]) {
    match rule.score {
        SplitScore::L2 => score_rows::<V, false>(list, rule, out),
        SplitScore::Cosine => score_rows::<V, true>(list, rule, out),
    }
}

#[inline(always)]
fn score_rows<V: Vector, const COSINE: bool>(list: &[u32], rule: &SortedRule<'_>, out: &mut [f64]) {
    // The last row's candidate leaves nothing on the right.
    let n_blocks = rule.n_rows.saturating_sub(1).div_ceil(8);
    let list = &list.as_chunks::<8>().0[..n_blocks];
    let out = &mut out.as_chunks_mut::<8>().0[..n_blocks];
    match rule.totals.len() {
        0..=4 => score_narrow::<V, 4, COSINE>(list, rule, out),
        5..=8 => score_narrow::<V, 8, COSINE>(list, rule, out),
        _ => score_wide::<V, COSINE>(list, rule, out),
    }
}

#[inline(always)]
fn score_narrow<V: Vector, const W: usize, const COSINE: bool>(
    list: &[[u32; 8]],
    rule: &SortedRule<'_>,
    out: &mut [[f64; 8]],
) {
    let rows = rule.scaled.values.as_chunks::<W>().0;
    let mut run = [0.0; W];
    let mut before = 0.0;
    for (entries, out) in list.iter().zip(out) {
        let (mut left, mut right) = ([0.0; 8], [0.0; 8]);
        add_lanes::<V, W>(entries, rows, rule.totals, &mut run, &mut left, &mut right);
        *out = finish::<COSINE>(rule, before, &left, &right);
        before += 8.0;
    }
}

#[inline(always)]
fn score_wide<V: Vector, const COSINE: bool>(list: &[[u32; 8]], rule: &SortedRule<'_>, out: &mut [[f64; 8]]) {
    const MAX_CHUNKS: usize = 8;
    let n_chunks = rule.totals.len().div_ceil(8);
    let mut few = [[0.0; 8]; MAX_CHUNKS];
    let mut many = Vec::new();
    let runs = if n_chunks <= MAX_CHUNKS {
        &mut few[..n_chunks]
    } else {
        many.resize(n_chunks, [0.0; 8]);
        &mut many
    };
    let mut before = 0.0;
    for (entries, out) in list.iter().zip(out) {
        let (mut left, mut right) = ([0.0; 8], [0.0; 8]);
        for (chunk_idx, run) in runs.iter_mut().enumerate() {
            let first = 8 * chunk_idx;
            let totals = &rule.totals[first..];
            let (values, is_wide) = rule.scaled.chunk(first);
            if is_wide {
                add_lanes::<V, 8>(entries, values.as_chunks().0, totals, run, &mut left, &mut right);
            } else {
                let run = run.first_chunk_mut().expect("four of eight");
                add_lanes::<V, 4>(entries, values.as_chunks().0, totals, run, &mut left, &mut right);
            }
        }
        *out = finish::<COSINE>(rule, before, &left, &right);
        before += 8.0;
    }
}

/// Adds the squares of up to `W` outputs of eight candidates, one output after the other.
#[inline(always)]
fn add_lanes<V: Vector, const W: usize>(
    entries: &[u32; 8],
    rows: &[[f64; W]],
    totals: &[f64],
    run: &mut [f64; W],
    left: &mut [f64; 8],
    right: &mut [f64; 8],
) {
    let mut picked = [&rows[row_of_entry(entries[0])]; 8];
    for j in 1..8 {
        picked[j] = &rows[row_of_entry(entries[j])];
    }
    let planes = V::running_rows::<W>(&picked, run);
    for w in 0..W {
        if w < totals.len() {
            for j in 0..8 {
                let l = planes[w][j];
                let r = totals[w] - l;
                left[j] += l * l;
                right[j] += r * r;
            }
        }
    }
}

#[inline(always)]
fn finish<const COSINE: bool>(rule: &SortedRule<'_>, before: f64, left: &[f64; 8], right: &[f64; 8]) -> [f64; 8] {
    let mut scores = [0.0; 8];
    for j in 0..8 {
        let n_left = before + (j + 1) as f64;
        let n_right = rule.n_rows as f64 - n_left;
        let score = ratio((left[j], n_left + rule.lambda), (right[j], n_right + rule.lambda));
        scores[j] = if COSINE { score.sqrt() } else { score };
    }
    scores
}

#[inline(always)]
fn sorted_steps_body<V: Vector>(list: &[u32], n: usize, scores: &[f64], unmoved: f64, steps: &mut Steps) {
    if steps.scores.len() < n + 9 {
        steps.scores.resize(n + 9, 0.0);
    }
    steps.occupied = V::upper_bits(&list[..n]);
    // Of the last row on there is nothing to keep.
    let n_inner = n.saturating_sub(1);
    let out = steps.scores.as_mut_slice();
    out[0] = unmoved;
    let mut at = 1;
    let (blocks, behind) = (list.as_chunks::<8>().0, list[1..].as_chunks::<8>().0);
    for ((i, (entries, next)), scores) in
        (0..n_inner).step_by(8).zip(blocks.iter().zip(behind)).zip(scores.as_chunks().0)
    {
        let mut kept = V::upper_differ(entries, next);
        if n_inner - i < 8 {
            kept &= (1 << (n_inner - i)) - 1;
        }
        V::compress(scores, kept, out[at..].first_chunk_mut().expect("room for eight more"));
        at += kept.count_ones() as usize;
    }
    out[at] = unmoved;
}

#[inline(always)]
fn best_of_steps_body<V: Vector>(nodes: &mut [Steps], useful: &[u64; 4], weight: f64, out: &mut Option<(usize, f64)>) {
    for node in nodes.iter_mut() {
        node.at = 0;
    }
    let mut best = Best::default();
    for (word_idx, &useful) in useful.iter().enumerate() {
        for shift in (0..64).step_by(8) {
            let mut sums = [0.0; 8];
            for node in nodes.iter_mut() {
                let bits = (node.occupied[word_idx] >> shift) as u8;
                let scores = node.scores[node.at + usize::from(bits & 1)..].first_chunk().expect("eight more");
                V::add_steps(&mut sums, scores, bits);
                node.at += bits.count_ones() as usize;
            }
            let useful = useful >> shift;
            for j in 0..8 {
                sums[j] = if useful >> j & 1 == 1 { weight * sums[j] } else { f64::NEG_INFINITY };
            }
            best.take(&sums);
        }
    }
    *out = best.largest();
}

#[inline(always)]
fn best_sorted_body<V: Vector>(list: &[u32], scores: &[f64], weight: f64, out: &mut Option<(usize, f64)>) {
    let (entries, next) = (list.as_chunks::<8>().0, list[1..].as_chunks::<8>().0);
    let mut best = Best::default();
    for ((entries, next), scores) in entries.iter().zip(next).zip(scores.as_chunks::<8>().0) {
        let mut weighted = [0.0; 8];
        for j in 0..8 {
            let is_last = (entries[j] ^ next[j]) >> 16 != 0;
            weighted[j] = if is_last { weight * scores[j] } else { f64::NEG_INFINITY };
        }
        best.take(&weighted);
    }
    *out = best.largest();
}

#[inline(always)]
fn partition_sorted_body<V: Vector>(list: &mut [u32], spare: &mut [u32], side: &Side) {
    let (n, mut left, mut right) = (list.len(), 0, 0);
    let mut from = 0;
    while from + 16 <= n {
        let entries: [u32; 16] = *list[from..].first_chunk().expect("sixteen more");
        let n_right = V::part(
            &entries,
            &side.0,
            list[left..].first_chunk_mut().expect("sixteen were read"),
            spare[right..].first_chunk_mut().expect("sixteen more"),
        );
        left += 16 - n_right;
        right += n_right;
        from += 16;
    }
    for i in from..n {
        let entry = list[i];
        let goes_right = (side.0[(entry >> 5) as usize & 31] >> (entry & 31) & 1) as usize;
        list[left] = entry;
        spare[right] = entry;
        left += 1 - goes_right;
        right += goes_right;
    }
    list[left..].copy_from_slice(&spare[..right]);
}
