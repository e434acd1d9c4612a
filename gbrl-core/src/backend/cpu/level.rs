//! One feature at one level: sums per bin for the nodes asked for, scores, and the best candidate.

use std::ops::Range;

use super::aligned::Aligned;
use super::gradients::Gradients;
use super::lists::Stale;
use super::nodes::{Histogram, Nodes, kept_bins};
use super::simd::sorted::{self, SortedRule, Steps};
use super::simd::{NodeRule, Simd, Sparse};
use crate::backend::{NodeId, Task, breaks_monotone};
use crate::data::binning::bin_of_entry;
use crate::data::{BinSlice, FeatureBins};
use crate::tree::{Candidate, Scored};

/// What all features of a level share.
#[derive(Clone, Copy)]
pub(super) struct Level<'a> {
    pub simd: Simd,
    pub task: &'a Task<'a>,
    pub gradients: &'a Gradients,
    pub nodes: &'a Nodes,
    /// What is to be done to lists first; `None` where none are kept.
    pub stale: Option<&'a Stale>,
    /// The nodes to split.
    pub wanted: &'a [NodeId],
}

/// One feature of the level.
#[derive(Clone, Copy)]
pub(super) struct LevelFeature<'a> {
    level: &'a Level<'a>,
    feature_idx: u32,
    /// Bins of the step's rows.
    bins: BinSlice<'a>,
    /// All rows in the order of their bins, where that is known.
    sorted: &'a [u32],
    /// What they mean.
    meaning: &'a FeatureBins,
    /// The monotone constraints on this feature.
    monotone: &'a [(u32, u32, i8)],
}

/// What features keep from level to level, one after the other.
pub(super) struct Kept<'m> {
    pub histograms: &'m mut [i64],
    pub list: &'m mut [u32],
}

/// Buffers of one thread, and what it found.
#[derive(Default)]
pub(super) struct FeatureScratch {
    /// The best candidates of the features seen so far: one for all nodes together, or one per node.
    pub found: Vec<Option<Scored>>,
    sparse: Sparse,
    /// Cells of a fleeting dense histogram.
    dense: Aligned<i64>,
    run: Vec<i64>,
    node: NodeScores,
    joint: JointScores,
    /// Entries being moved, or counts of bins.
    spare: Vec<u32>,
    /// The score behind each row of a list.
    row_scores: Vec<f64>,
    /// The scores of each node of a level.
    steps: Vec<Steps>,
}

impl<'m> Kept<'m> {
    /// Takes the first features' part.
    pub fn split_off(&mut self, n_sums: usize, n_entries: usize) -> Kept<'m> {
        let (histograms, sums) = std::mem::take(&mut self.histograms).split_at_mut(n_sums);
        let (list, entries) = std::mem::take(&mut self.list).split_at_mut(n_entries);
        (self.histograms, self.list) = (sums, entries);
        Kept { histograms, list }
    }
}

/// Scores of one node, one per cell, with missing values left and right.
#[derive(Default)]
struct NodeScores {
    left: Vec<f64>,
    right: Vec<f64>,
}

/// Sums of scores over nodes, one per bin, and whether the candidate separates rows somewhere.
#[derive(Default)]
struct JointScores {
    left: Vec<f64>,
    right: Vec<f64>,
    useful_left: Vec<u8>,
    useful_right: Vec<u8>,
    /// Whether missing values have made `right` differ from `left`; until then it is not kept.
    has_right: bool,
}

/// Sums of one node.
struct Cells<'c> {
    /// Cells of ordinary bins, all or (sparse) occupied ones.
    ordinary: &'c [i64],
    /// The cell of missing values, where the feature has such a bin.
    missing: Option<&'c [i64]>,
    /// The bin of each ordinary cell; `None` where cell i is bin i. A sparse numeric list begins with a cell of zeros
    /// that stands for everything before the first occupied bin.
    bins: Option<&'c [u32]>,
    /// The occupied bins as bits, with `bins`.
    sparse: Option<&'c Sparse>,
    /// First and last ordinary bin with rows.
    extent: Option<(usize, usize)>,
}

/// Where a cell counts its rows, and how many the node has.
struct Counts {
    lanes: usize,
    lane: usize,
    n_rows: i64,
}

impl<'a> LevelFeature<'a> {
    pub fn new(level: &'a Level<'a>, feature_idx: usize, (bins, sorted): (BinSlice<'a>, &'a [u32])) -> Self {
        let monotone = level.task.monotone;
        let from = monotone.partition_point(|&(f, ..)| (f as usize) < feature_idx);
        let to = monotone.partition_point(|&(f, ..)| (f as usize) <= feature_idx);
        LevelFeature {
            level,
            feature_idx: feature_idx as u32,
            bins,
            sorted,
            meaning: &level.task.bins.column(feature_idx).bins,
            monotone: &monotone[from..to],
        }
    }

    /// The best candidate of this feature for all nodes together, kept in `scratch.found` if it beats what is there.
    pub fn best_joint(&self, kept: Kept<'_>, scratch: &mut FeatureScratch) {
        let Kept { histograms, list } = kept;
        self.refresh(list, scratch);
        if let [node] = *self.level.wanted
            && let Some(entries) = self.entries(node, list)
        {
            // One node's level is that node's best.
            let best = self.best_sorted(node, entries, &mut scratch.row_scores);
            return keep_best(&mut scratch.found[0], self.better(best, None));
        }
        if self.level.wanted.iter().all(|&node| self.entries(node, list).is_some()) {
            let best = self.best_joint_sorted(list, &mut scratch.row_scores, &mut scratch.steps);
            return keep_best(&mut scratch.found[0], self.better(best, None));
        }
        self.update_kept(histograms);
        scratch.joint.reset(self.meaning);
        for &node in self.level.wanted {
            let FeatureScratch { sparse, dense, run, node: scores, joint, .. } = &mut *scratch;
            let cells = self.cells(node, histograms, sparse, dense);
            self.score(node, &cells, self.level.task.min_data_in_leaf, run, scores);
            if self.meaning.categorical {
                let counts = Counts {
                    lanes: self.level.gradients.lanes,
                    lane: self.level.gradients.count_lane,
                    n_rows: self.level.nodes.len(node) as i64,
                };
                joint.add_categorical(&cells, scores, self.unmoved(node, self.level.task.min_data_in_leaf), &counts);
            } else {
                joint.add_numeric(self.level.simd, &cells, scores);
            }
        }
        let weight = self.level.task.feature_weights[self.feature_idx as usize];
        let JointScores { left, right, useful_left, useful_right, has_right } = &scratch.joint;
        let best = |n: usize, scores: &[f64], useful: &[u8]| {
            let mut best = None;
            self.level.simd.best(&scores[..n], &useful[..n], weight, &mut best);
            best
        };
        // Behind the last edge nothing but missing values can go right.
        let edges = self.meaning.values.len();
        let best_left = best(edges, left, useful_left);
        let best_right = if *has_right { best(edges + 1, right, useful_right) } else { None };
        keep_best(&mut scratch.found[0], self.better(best_left, best_right));
    }

    /// What a node scores under a candidate that moves none of its rows.
    fn unmoved(&self, node: NodeId, min_rows: usize) -> f64 {
        if min_rows > 0 { f64::NEG_INFINITY } else { self.level.nodes.unsplit(node) }
    }

    /// The best candidate of this feature for each node by itself, kept in `scratch.found` where it beats what is there.
    pub fn best_each(&self, kept: Kept<'_>, scratch: &mut FeatureScratch) {
        let Kept { histograms, list } = kept;
        self.refresh(list, scratch);
        self.update_kept(histograms);
        let min_rows = self.level.task.min_data_in_leaf.max(1);
        let weight = self.level.task.feature_weights[self.feature_idx as usize];
        let edges = self.meaning.values.len();
        let FeatureScratch { sparse, dense, run, node: scores, found, row_scores, .. } = scratch;
        for (&node, found) in self.level.wanted.iter().zip(found) {
            if let Some(entries) = self.entries(node, list) {
                let best = self.best_sorted(node, entries, row_scores);
                keep_best(found, self.better(best, None));
                continue;
            }
            let cells = self.cells(node, histograms, sparse, dense);
            self.score(node, &cells, min_rows, run, scores);
            // Of a run of bins with equal scores the first is meant: that of the cell, or 0 for the cell of zeros.
            let bin_of = |cell: usize| match cells.bins {
                None => cell,
                Some(bins) if self.meaning.categorical => bins[cell] as usize,
                Some(_) if cell == 0 => 0,
                Some(bins) => bins[cell - 1] as usize,
            };
            // Where the first bin has rows, the cell of zeros stands for no bin at all.
            let first =
                usize::from(cells.bins.is_some_and(|bins| !self.meaning.categorical && bins.first() == Some(&0)));
            let pick = |scores: &[f64], end: usize| {
                let score = |cell: usize| {
                    if cell >= first && bin_of(cell) < end { weight * scores[cell] } else { f64::NEG_INFINITY }
                };
                best_of(scores.len(), score).map(|(cell, score)| (bin_of(cell), score))
            };
            let left = pick(&scores.left, edges);
            let right = match (!scores.right.is_empty(), self.meaning.categorical) {
                (false, _) => None,
                (true, true) => Some((edges, weight * scores.right[0])).filter(|r| r.1 > f64::NEG_INFINITY),
                (true, false) => pick(&scores.right, edges + 1),
            };
            keep_best(found, self.better(left, right));
        }
    }

    /// Higher score first; of equal ones the lower bin, then "missing goes left".
    fn better(&self, left: Option<(usize, f64)>, right: Option<(usize, f64)>) -> Option<Scored> {
        let scored = |(bin, score): (usize, f64), missing_right| Scored {
            candidate: Candidate { feature_idx: self.feature_idx, bin: bin as u32, missing_right },
            score,
        };
        match (left, right) {
            (Some(l), Some(r)) if r.1 > l.1 || (r.1 == l.1 && r.0 < l.0) => Some(scored(r, true)),
            (Some(l), _) => Some(scored(l, false)),
            (None, Some(r)) => Some(scored(r, true)),
            (None, None) => None,
        }
    }

    /// Brings the feature's list up to date.
    pub fn refresh(&self, list: &mut [u32], scratch: &mut FeatureScratch) {
        if let Some(stale) = self.level.stale
            && !self.meaning.categorical
        {
            stale.refresh(self.level.simd, self.bins, self.sorted, list, &mut scratch.spare);
        }
    }

    /// The node's rows in the order of their bins, and [`sorted::PADDING`] more; `None` where there is no list, or where
    /// it is not enough: missing values may go either way, and constraints need the sums.
    fn entries<'l>(&self, node: NodeId, list: &'l [u32]) -> Option<&'l [u32]> {
        self.level.stale?;
        let (start, len) = self.level.nodes.range(node);
        let entries = &list[start..start + len + sorted::PADDING];
        let is_plain = !self.meaning.categorical && self.monotone.is_empty();
        let last = entries[..len].last().map(|&entry| bin_of_entry(entry));
        (is_plain && (last.is_none() || last != self.meaning.missing_bin())).then_some(entries)
    }

    fn score_sorted(&self, node: NodeId, entries: &[u32], out: &mut Vec<f64>) {
        let Level { simd, gradients, nodes, .. } = *self.level;
        let (n_rows, min_rows) = (nodes.len(node), self.level.task.min_data_in_leaf);
        let rule = SortedRule {
            score: gradients.score_rule.score,
            scaled: &gradients.scaled,
            totals: nodes.scaled_totals(node),
            n_rows,
            lambda: gradients.score_rule.lambda,
        };
        out.resize(out.len().max(n_rows + 8), 0.0);
        simd.score_sorted(entries, &rule, out);
        let few = min_rows.min(n_rows);
        out[..few.saturating_sub(1)].fill(f64::NEG_INFINITY);
        out[n_rows - few.max(1).min(n_rows)..n_rows + 8].fill(f64::NEG_INFINITY);
    }

    /// The best bin of one node, and its weighted score.
    fn best_sorted(&self, node: NodeId, entries: &[u32], scores: &mut Vec<f64>) -> Option<(usize, f64)> {
        let Level { simd, nodes, task, .. } = *self.level;
        self.score_sorted(node, entries, scores);
        let (mut best, weight) = (None, task.feature_weights[self.feature_idx as usize]);
        let n = nodes.len(node).next_multiple_of(8);
        simd.best_sorted(&entries[..(n + 1).min(entries.len())], &scores[..n], weight, &mut best);
        best.map(|(row, score)| (bin_of_entry(entries[row]), score))
    }

    /// The best bin for all nodes together, and its weighted score.
    fn best_joint_sorted(&self, list: &[u32], scores: &mut Vec<f64>, steps: &mut Vec<Steps>) -> Option<(usize, f64)> {
        let Level { simd, nodes, task, wanted, .. } = *self.level;
        steps.resize_with(steps.len().max(wanted.len()), Steps::default);
        let mut useful = [0; 4];
        for (&node, steps) in wanted.iter().zip(steps.iter_mut()) {
            let entries = self.entries(node, list)?;
            let n_rows = nodes.len(node);
            self.score_sorted(node, entries, scores);
            simd.sorted_steps(entries, n_rows, scores, self.unmoved(node, task.min_data_in_leaf), steps);
            if n_rows > 0 {
                set_bits(&mut useful, bin_of_entry(entries[0])..bin_of_entry(entries[n_rows - 1]));
            }
        }
        let (mut best, weight) = (None, task.feature_weights[self.feature_idx as usize]);
        simd.best_of_steps(&mut steps[..wanted.len()], &useful, weight, &mut best);
        best
    }

    /// Brings the histograms that are kept between levels up to date: first those summed from rows, then those
    /// inherited from a parent, which need their sibling's.
    fn update_kept(&self, histograms: &mut [i64]) {
        if kept_bins(self.meaning) == 0 {
            return;
        }
        let Level { simd, gradients, nodes, wanted, .. } = *self.level;
        let size = self.meaning.n_bins() * gradients.lanes;
        for &node in wanted {
            if let Histogram::Kept(slot) = nodes.histogram(node) {
                let cells = &mut histograms[slot as usize * size..][..size];
                cells.fill(0);
                simd.accumulate(cells, gradients.lanes, self.bins, gradients.score(), nodes.rows(node));
            }
        }
        for &node in wanted {
            let Histogram::Inherited { slot, sibling } = nodes.histogram(node) else { continue };
            let at = slot as usize * size;
            if let Histogram::Kept(other) = nodes.histogram(sibling) {
                let other = other as usize * size;
                let (low, high) = histograms.split_at_mut(at.max(other));
                let (cells, sibling) = if at < other {
                    (&mut low[at..][..size], &high[..size])
                } else {
                    (&mut high[..size], &low[other..][..size])
                };
                simd.subtract_cells(cells, sibling);
            } else {
                let cells = &mut histograms[at..][..size];
                simd.subtract_rows(cells, gradients.lanes, self.bins, gradients.score(), nodes.rows_listed(sibling));
            }
        }
    }

    /// The sums of one node, however they are cheapest to get.
    fn cells<'c>(
        &self,
        node: NodeId,
        histograms: &'c [i64],
        sparse: &'c mut Sparse,
        dense: &'c mut Aligned<i64>,
    ) -> Cells<'c> {
        let Level { simd, gradients, nodes, .. } = *self.level;
        let lanes = gradients.lanes;
        let n_bins = self.meaning.n_bins();
        let rows = nodes.rows(node);
        let kept = if kept_bins(self.meaning) > 0 { nodes.histogram(node) } else { Histogram::Fleeting };
        let all = match kept {
            Histogram::Kept(slot) | Histogram::Inherited { slot, .. } => {
                &histograms[slot as usize * n_bins * lanes..][..n_bins * lanes]
            }
            Histogram::Fleeting if n_bins <= nodes.len(node) => {
                dense.zero(n_bins * lanes);
                simd.accumulate(dense, lanes, self.bins, gradients.score(), rows);
                dense
            }
            Histogram::Fleeting => {
                simd.accumulate_sparse(sparse, n_bins, lanes, self.bins, gradients.score(), rows);
                return self.sparse_cells(sparse, lanes);
            }
        };
        let n_ordinary = self.meaning.n_ordinary();
        let ordinary = &all[..n_ordinary * lanes];
        let occupied = |cell: &[i64]| cell[gradients.count_lane] != 0;
        let first = ordinary.chunks_exact(lanes).position(occupied);
        let last = ordinary.chunks_exact(lanes).rposition(occupied);
        Cells {
            ordinary,
            missing: self.meaning.missing_bin().map(|bin| &all[bin * lanes..]),
            bins: None,
            sparse: None,
            extent: first.zip(last),
        }
    }

    fn sparse_cells<'c>(&self, sparse: &'c Sparse, lanes: usize) -> Cells<'c> {
        let all = sparse.bins();
        // At most two bins, unseen codes and missing values, stand behind the ordinary ones.
        let is_special = |&&bin: &&u32| bin as usize >= self.meaning.n_ordinary();
        let n = all.len() - all.iter().rev().take_while(is_special).count();
        let bins = &all[..n];
        let is_missing = |&&bin: &&u32| Some(bin as usize) == self.meaning.missing_bin();
        let missing_idx = all.last().filter(is_missing).map(|_| all.len() - 1);
        // A numeric list starts with the cell of zeros.
        let from = if self.meaning.categorical { lanes } else { 0 };
        Cells {
            ordinary: &sparse.cells[from..(n + 1) * lanes],
            // The cell of zeros serves where no row is missing.
            missing: self.meaning.has_missing.then(|| match missing_idx {
                Some(i) => &sparse.cells[(i + 1) * lanes..][..lanes],
                None => &sparse.cells[..lanes],
            }),
            bins: Some(bins),
            sparse: Some(sparse),
            extent: bins.first().zip(bins.last()).map(|(&first, &last)| (first as usize, last as usize)),
        }
    }

    /// Whether rows of the node are missing in this feature.
    fn has_missing_rows(&self, cells: &Cells<'_>) -> bool {
        cells.missing.is_some_and(|cell| cell[self.level.gradients.count_lane] > 0)
    }

    /// Scores of every cell as a candidate. Categorical: the cell goes right, and the last element of `right` is
    /// missing against the rest.
    fn score(&self, node: NodeId, cells: &Cells<'_>, min_rows: usize, run: &mut Vec<i64>, out: &mut NodeScores) {
        let Level { simd, gradients, nodes, .. } = *self.level;
        let score_rule = &gradients.score_rule;
        let rule = NodeRule {
            score: score_rule.score,
            units: &score_rule.units,
            totals: nodes.score_totals(node),
            count_lane: gradients.count_lane,
            weight_unit: score_rule.weight_unit,
            lambda: score_rule.lambda,
            min_rows,
        };
        let n = cells.ordinary.len() / gradients.lanes;
        run.resize(gradients.lanes, 0);
        out.left.resize(n, 0.0);
        out.right.clear();
        if self.meaning.categorical {
            simd.score_single(cells.ordinary, &rule, &mut out.left);
            if let Some(missing) = cells.missing {
                out.right.resize(1, 0.0);
                simd.score_single(&missing[..gradients.lanes], &rule, &mut out.right);
            }
        } else {
            let missing = cells.missing.map(|cell| &cell[..gradients.lanes]);
            // Where no row is missing both directions are the same candidate, and "left" comes first.
            if self.has_missing_rows(cells) {
                simd.score_running(cells.ordinary, missing, &rule, run, &mut out.left);
                out.right.resize(n, 0.0);
                simd.score_running(cells.ordinary, None, &rule, run, &mut out.right);
            } else if cells.sparse.is_some() {
                // The cell of zeros and the last one move no row.
                let unmoved = self.unmoved(node, min_rows);
                (out.left[0], out.left[n - 1]) = (unmoved, unmoved);
                if n > 2 {
                    let inner = &cells.ordinary[gradients.lanes..(n - 1) * gradients.lanes];
                    simd.score_running(inner, None, &rule, run, &mut out.left[1..n - 1]);
                }
            } else {
                simd.score_running(cells.ordinary, None, &rule, run, &mut out.left);
            }
            if !self.monotone.is_empty() {
                self.pool_violations(node, cells, out);
            }
        }
    }

    /// A candidate that breaks a monotone constraint counts as no split: both sides would be pooled.
    fn pool_violations(&self, node: NodeId, cells: &Cells<'_>, out: &mut NodeScores) {
        let gradients = self.level.gradients;
        let totals = gradients.sums(self.level.nodes.score_totals(node));
        let unsplit = self.level.nodes.unsplit(node);
        let variants = [(cells.missing, &mut out.left), (None, &mut out.right)];
        for (init, scores) in variants {
            let mut run = init.map_or_else(|| vec![0; gradients.lanes], |cell| cell[..gradients.lanes].to_vec());
            for (score, cell) in scores.iter_mut().zip(cells.ordinary.chunks_exact(gradients.lanes)) {
                run.iter_mut().zip(cell).for_each(|(sum, x)| *sum += x);
                let left = gradients.sums(&run);
                if *score > f64::NEG_INFINITY && breaks_monotone(&gradients.score_rule, self.monotone, &totals, &left) {
                    *score = unsplit;
                }
            }
        }
    }
}

impl JointScores {
    fn reset(&mut self, meaning: &FeatureBins) {
        // One more: "missing against all categories" stands behind the last one.
        let n = meaning.n_ordinary() + 1;
        self.has_right = meaning.categorical && meaning.has_missing;
        self.left.clear();
        self.left.resize(n, 0.0);
        self.useful_left.clear();
        self.useful_left.resize(n, 0);
        if self.has_right {
            self.keep_right();
        }
    }

    /// From here on candidates with missing values on the right differ from those with missing values on the left.
    fn keep_right(&mut self) {
        self.has_right = true;
        self.right.clone_from(&self.left);
        self.useful_right.clone_from(&self.useful_left);
    }

    fn add_numeric(&mut self, simd: Simd, cells: &Cells<'_>, scores: &mut NodeScores) {
        let has_missing_rows = !scores.right.is_empty();
        if has_missing_rows && !self.has_right {
            self.keep_right();
        }
        Self::add(simd, &mut self.left, &mut scores.left, cells);
        if self.has_right {
            let scores = if has_missing_rows { &mut scores.right } else { &mut scores.left };
            Self::add(simd, &mut self.right, scores, cells);
        }
        if let Some((first, last)) = cells.extent {
            self.useful_left[if has_missing_rows { 0 } else { first }..last].fill(1);
            if self.has_right {
                let end = if has_missing_rows { self.useful_right.len() - 1 } else { last };
                self.useful_right[first..end].fill(1);
            }
        }
    }

    fn add(simd: Simd, sums: &mut [f64], scores: &mut Vec<f64>, cells: &Cells<'_>) {
        match cells.sparse {
            None => simd.add_scores(sums, scores),
            Some(sparse) => {
                // The kernel loads sixteen scores at a time.
                let n = scores.len();
                scores.resize(n + 16, 0.0);
                let n_ordinary = sums.len() - 1;
                simd.add_steps(&mut sums[..n_ordinary], scores, &sparse.occupied, &sparse.below);
            }
        }
    }

    /// `unmoved` is the score where no row has the category.
    fn add_categorical(&mut self, cells: &Cells<'_>, scores: &NodeScores, unmoved: f64, counts: &Counts) {
        let n_codes = self.left.len() - 1;
        let is_useful = |cell: &[i64]| cell[counts.lane] > 0 && cell[counts.lane] < counts.n_rows;
        match cells.bins {
            None => self.left.iter_mut().zip(&scores.left).for_each(|(sum, score)| *sum += score),
            Some(bins) => {
                let mut from = 0;
                for (&bin, &score) in bins.iter().zip(&scores.left) {
                    let bin = bin as usize;
                    self.left[from..bin].iter_mut().for_each(|sum| *sum += unmoved);
                    self.left[bin] += score;
                    from = bin + 1;
                }
                self.left[from..n_codes].iter_mut().for_each(|sum| *sum += unmoved);
            }
        }
        for (i, cell) in cells.ordinary.chunks_exact(counts.lanes).enumerate() {
            if is_useful(cell) {
                self.useful_left[cells.bins.map_or(i, |bins| bins[i] as usize)] = 1;
            }
        }
        if let Some(missing) = cells.missing {
            self.right[n_codes] += scores.right[0];
            self.useful_right[n_codes] |= u8::from(is_useful(missing));
        }
    }
}

/// Sets a range of bits.
fn set_bits(words: &mut [u64; 4], range: Range<usize>) {
    let below = |end: usize| if end < 64 { (1 << end) - 1 } else { u64::MAX };
    for (i, word) in words.iter_mut().enumerate() {
        *word |= below(range.end.saturating_sub(64 * i)) & !below(range.start.saturating_sub(64 * i));
    }
}

/// Of equal scores the earlier one stays.
pub(super) fn keep_best(best: &mut Option<Scored>, new: Option<Scored>) {
    if let Some(new) = new
        && best.is_none_or(|best| new.score > best.score)
    {
        *best = Some(new);
    }
}

/// The first of the largest scores above −∞.
fn best_of(n: usize, score: impl Fn(usize) -> f64) -> Option<(usize, f64)> {
    let mut best = None;
    let mut largest = f64::NEG_INFINITY;
    for i in 0..n {
        let s = score(i);
        if s > largest {
            largest = s;
            best = Some((i, s));
        }
    }
    best
}
