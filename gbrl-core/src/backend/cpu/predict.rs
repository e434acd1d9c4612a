//! Prediction on the CPU: outputs of rows from a range of trees, added in the order of the trees.

use std::ops::Range;

use super::packed::{Layout, Packed, Segment};
use super::simd::{ROW_FEATURES, Simd};
use crate::data::{Lanes, TILE};
use crate::ensemble::Ensemble;
use crate::threads::Threads;
use crate::tree::Tree;

/// Trees of a block: their leaf slots for one tile take 4 KiB.
const BLOCK: usize = 64;

/// Rows that are faster one by one than as a tile.
const FEW_ROWS: usize = 3;

/// Tile-trees below which waking a second thread costs more than it saves.
const PARALLEL_MIN: usize = 20_000;

/// Tiles so many that they come from memory: even one tree is worth a second thread.
const MANY_TILES: usize = 1024;

/// The trees of an ensemble in the layout of the vector kernels; one more copy of the leaves, appended to as the
/// ensemble grows.
#[derive(Debug)]
pub struct Predictor {
    simd: Simd,
    n_features: usize,
    n_outputs: usize,
    n_trees: usize,
    /// One per column range: all outputs where groups share their trees, else one per group.
    packed: Vec<Packed>,
    /// Runs of trees with the same columns: (which of `packed`, first tree).
    runs: Vec<(usize, usize)>,
    /// Whether two column ranges overlap, so that trees of one must not overtake those of another.
    interleaved: bool,
}

/// Buffers of one prediction.
#[derive(Clone, Debug, Default)]
pub struct PredictScratch {
    slots: Vec<Lanes<u32>>,
    keys: Vec<Lanes<u32>>,
    row: Vec<f32>,
}

impl Predictor {
    /// The trees of `ensemble`, laid out. O(trees).
    pub fn new(simd: Simd, ensemble: &Ensemble) -> Self {
        let (n_features, n_outputs) = (ensemble.n_features(), ensemble.n_outputs());
        let mut predictor = Predictor {
            simd,
            n_features,
            n_outputs,
            n_trees: 0,
            packed: Vec::new(),
            runs: Vec::new(),
            interleaved: false,
        };
        for tree in ensemble.trees() {
            predictor.push(tree);
        }
        predictor
    }

    /// Appends the ensemble's next tree.
    pub fn push(&mut self, tree: &Tree) {
        let at = self.packed.iter().position(|packed| packed.columns() == tree.columns());
        let at = at.unwrap_or_else(|| {
            let (new, old) = (tree.columns(), self.packed.iter().map(Packed::columns));
            self.interleaved |= old.into_iter().any(|old| old.start < new.end && new.start < old.end);
            self.packed.push(Packed::new(new));
            self.packed.len() - 1
        });
        if self.runs.last().is_none_or(|run| run.0 != at) {
            self.runs.push((at, self.n_trees));
        }
        self.packed[at].push(self.n_trees, tree);
        self.n_trees += 1;
    }

    /// Trees.
    pub fn n_trees(&self) -> usize {
        self.n_trees
    }

    /// Adds trees `trees` to the outputs `columns` of every tile.
    ///
    /// `tiles` is `[tile][n_features][16]`, `sums` `[tile][n_outputs][16]`. O(rows · trees), shared out over tiles to
    /// `threads` where that pays; otherwise done here, in buffers that are kept.
    pub fn add(
        &self,
        threads: &Threads,
        tiles: &[Lanes<f32>],
        trees: Range<usize>,
        columns: Range<usize>,
        sums: &mut [Lanes<f32>],
        scratch: &mut PredictScratch,
    ) {
        if columns.is_empty() || trees.is_empty() {
            return;
        }
        let n_tiles = sums.len() / self.n_outputs;
        let pays = n_tiles > 1 && (n_tiles * trees.len() >= PARALLEL_MIN || n_tiles >= MANY_TILES);
        if !pays || threads.count() == 1 {
            return self.add_tiles(tiles, trees, columns, sums, scratch);
        }
        let share = n_tiles.div_ceil(threads.count());
        let parts = tiles.chunks(share * self.n_features).zip(sums.chunks_mut(share * self.n_outputs));
        threads.share(parts, |(tiles, sums)| {
            let scratch = &mut PredictScratch::default();
            self.add_tiles(tiles, trees.clone(), columns.clone(), sums, scratch);
        });
    }

    /// `trees` in parts that may be added one after the other: one per column range, in any order, where these do not
    /// overlap, else one per run of trees.
    fn parts(&self, trees: Range<usize>) -> impl Iterator<Item = (&Packed, Range<usize>)> {
        let whole = if self.interleaved { 0 } else { self.packed.len() };
        let runs = if self.interleaved { self.runs.as_slice() } else { &[] };
        let ends = runs.iter().skip(1).map(|run| run.1).chain([self.n_trees]);
        let runs = runs.iter().zip(ends).map(|(&(at, first), end)| (at, first..end));
        let clip = move |own: Range<usize>| own.start.max(trees.start)..own.end.min(trees.end);
        (0..whole)
            .map(|at| (at, 0..self.n_trees))
            .chain(runs)
            .map(move |(at, own)| (&self.packed[at], clip(own)))
            .filter(|(_, trees)| !trees.is_empty())
    }

    /// [`add_tiles`](Predictor::add_tiles) of one tile of which only the first `n_rows` rows are wanted: a few rows go
    /// one by one, where lanes run across trees.
    pub fn add_rows(
        &self,
        tile: &[Lanes<f32>],
        n_rows: usize,
        trees: Range<usize>,
        columns: Range<usize>,
        sums: &mut [Lanes<f32>],
        scratch: &mut PredictScratch,
    ) {
        let by_row = |segment: &Segment| segment.plain && segment.layout == Layout::Oblivious(4);
        let possible = self.packed.iter().flat_map(Packed::segments).all(by_row);
        if n_rows > FEW_ROWS || self.n_features > ROW_FEATURES || !possible {
            return self.add_tiles(tile, trees, columns, sums, scratch);
        }
        for (packed, trees) in self.parts(trees) {
            let from = packed.columns().start.max(columns.start);
            let to = packed.columns().end.min(columns.end);
            for segment in packed.segments().iter().filter(|_| from < to) {
                let wanted = |idx: usize| segment.tree_idx.partition_point(|&t| (t as usize) < idx);
                let own = wanted(trees.start)..wanted(trees.end);
                let within = from - packed.columns().start..to - packed.columns().start;
                for lane in 0..n_rows {
                    self.simd.add_row(segment, own.clone(), within.clone(), tile, lane, &mut sums[from..to]);
                }
            }
        }
    }

    /// [`add`](Predictor::add) on this thread, with buffers that are kept.
    pub fn add_tiles(
        &self,
        tiles: &[Lanes<f32>],
        trees: Range<usize>,
        columns: Range<usize>,
        sums: &mut [Lanes<f32>],
        scratch: &mut PredictScratch,
    ) {
        scratch.slots.resize(BLOCK, Lanes::default());
        // A group of tiles is taken through a block of trees while both are in the first cache.
        let group = 8;
        let tile_len = self.n_features;
        for (tiles, sums) in tiles.chunks(group * tile_len).zip(sums.chunks_mut(group * self.n_outputs)) {
            for (packed, trees) in self.parts(trees.clone()) {
                let from = packed.columns().start.max(columns.start);
                let to = packed.columns().end.min(columns.end);
                if from >= to {
                    continue;
                }
                let within = from - packed.columns().start..to - packed.columns().start;
                for segment in packed.segments() {
                    let wanted = |idx: usize| segment.tree_idx.partition_point(|&t| (t as usize) < idx);
                    let (mut at, end) = (wanted(trees.start), wanted(trees.end));
                    while at < end {
                        let block = at..(at + BLOCK).min(end);
                        for (tile, sums) in tiles.chunks_exact(tile_len).zip(sums.chunks_exact_mut(self.n_outputs)) {
                            self.add_block(segment, block.clone(), within.clone(), tile, &mut sums[from..to], scratch);
                        }
                        at = block.end;
                    }
                }
            }
        }
    }

    /// Leaf values of every tree for every tile, one `(tree, column, values)` at a time in the order of the trees: for
    /// outputs that are no plain sum. Slower than [`add`](Predictor::add), by scalar look-ups.
    pub fn visit(
        &self,
        tile: &[Lanes<f32>],
        trees: &[Tree],
        scratch: &mut PredictScratch,
        mut visit: impl FnMut(usize, usize, &[f32; TILE]),
    ) {
        let rows = &mut scratch.row;
        rows.clear();
        rows.extend((0..TILE).flat_map(|lane| tile.iter().map(move |column| column[lane])));
        for (tree_idx, tree) in trees.iter().enumerate() {
            let leaves: [usize; TILE] =
                std::array::from_fn(|lane| tree.leaf_idx(&rows[lane * self.n_features..][..self.n_features]));
            for (i, column) in tree.columns().enumerate() {
                visit(tree_idx, column, &leaves.map(|leaf| tree.leaf(leaf)[i]));
            }
        }
    }

    fn add_block(
        &self,
        segment: &Segment,
        block: Range<usize>,
        columns: Range<usize>,
        tile: &[Lanes<f32>],
        sums: &mut [Lanes<f32>],
        scratch: &mut PredictScratch,
    ) {
        let PredictScratch { slots, keys, row } = scratch;
        if segment.layout == Layout::Walk {
            row.resize(self.n_features, 0.0);
            for lane in 0..TILE {
                for (feature_idx, x) in row.iter_mut().enumerate() {
                    *x = tile[feature_idx][lane];
                }
                for tree in &segment.walked[block.clone()] {
                    let leaf = &tree.leaf(tree.leaf_idx(row))[columns.clone()];
                    sums.iter_mut().zip(leaf).for_each(|(sum, value)| sum[lane] += value);
                }
            }
            return;
        }
        if !segment.plain {
            keys.resize(tile.len(), Lanes::default());
            self.simd.keys(tile, keys);
        }
        if matches!(segment.layout, Layout::Oblivious(4..=6)) && columns.len() <= 8 {
            self.simd.add_oblivious(segment, block, columns, tile, keys, sums);
            return;
        }
        let slots = &mut slots[..block.len()];
        self.simd.leaf_slots(segment, block.clone(), tile, keys, slots);
        self.simd.add_leaves(segment, block, columns, slots, sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::simd::Level;
    use crate::data::{FeatureSchema, Tiles};
    use crate::ensemble::{OutputGroup, Schedule};
    use crate::rng::Stream;
    use crate::tree::{Child, Node, Shape, Split};

    fn split(stream: &mut Stream, plain: bool) -> Split {
        let feature_idx = stream.below(3) as u32;
        match stream.below(if plain { 1 } else { 3 }) {
            0 => Split::greater(feature_idx, stream.normal() as f32, false),
            1 => Split::greater(feature_idx, stream.normal() as f32, true),
            _ => Split::equal(feature_idx, stream.below(3) as f32),
        }
    }

    /// Trees of every layout over the whole and over parts of four outputs, so that column ranges interleave.
    fn ensemble(stream: &mut Stream, n_trees: usize, deepest: u64, plain: bool) -> Ensemble {
        let group = |name, columns| OutputGroup::sgd(name, columns, Schedule::Constant(1.0));
        let groups = vec![group("policy", 0..3), group("value", 3..4)];
        let mut ensemble = Ensemble::new(FeatureSchema::numeric(3), groups).unwrap();
        ensemble.set_bias(&[1e3, -0.5, 0.0, 7.0]).unwrap();
        for _ in 0..n_trees {
            let columns = [0..4, 0..3, 3..4][stream.below(3) as usize].clone();
            let depth = stream.below(deepest + 1) as usize;
            let shape = if stream.below(2) == 0 {
                Shape::Oblivious((0..depth).map(|_| split(stream, plain)).collect())
            } else {
                // A chain: as deep as it has nodes.
                let node = |i: usize, stream: &mut Stream| {
                    let last = if i + 1 == depth { Child::Leaf(depth as u32) } else { Child::Node(i as u32 + 1) };
                    Node { split: split(stream, plain), left: Child::Leaf(i as u32), right: last }
                };
                Shape::Binary((0..depth).map(|i| node(i, stream)).collect())
            };
            let n_leaves = match &shape {
                Shape::Oblivious(splits) => 1 << splits.len(),
                Shape::Binary(nodes) => nodes.len() + 1,
            };
            let n_splits = if matches!(shape, Shape::Oblivious(_)) { depth } else { n_leaves - 1 };
            let values = (0..n_leaves * columns.len()).map(|_| (1e4 * stream.normal()) as f32).collect();
            let rates = vec![1.0; columns.len()];
            ensemble.push(Tree::new(shape, columns, values, vec![1; n_leaves], vec![0.0; n_splits], rates)).unwrap();
        }
        ensemble
    }

    /// The slow and obvious sum, tree after tree.
    fn walked(ensemble: &Ensemble, trees: Range<usize>, row: &[f32]) -> Vec<u32> {
        let mut sums = ensemble.bias().to_vec();
        for tree in &ensemble.trees()[trees] {
            tree.columns().zip(tree.leaf(tree.leaf_idx(row))).for_each(|(column, value)| sums[column] += value);
        }
        sums.into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn every_level_adds_trees_in_their_order() {
        let mut stream = Stream::new(1, "predict", 0);
        for (n_trees, deepest, plain) in [(40, 3, true), (150, 7, false), (7, 12, true), (200, 4, true), (1, 0, false)]
        {
            let ensemble = ensemble(&mut stream, n_trees, deepest, plain);
            for n_rows in [1, 2, 16, 37] {
                let value = |stream: &mut Stream| match stream.below(8) {
                    0 => f32::NAN,
                    1 => stream.below(3) as f32,
                    _ => stream.normal() as f32,
                };
                let rows: Vec<f32> = (0..3 * n_rows).map(|_| value(&mut stream)).collect();
                let mut tiles = Tiles::new(3);
                tiles.append(&rows).unwrap();
                let trees = stream.below(n_trees as u64) as usize / 2..n_trees;
                let expected: Vec<_> = rows.chunks_exact(3).map(|row| walked(&ensemble, trees.clone(), row)).collect();
                for simd in Level::ALL.into_iter().filter_map(Simd::force) {
                    let predictor = Predictor::new(simd, &ensemble);
                    let start: Vec<_> =
                        (0..4 * tiles.tiles().len()).map(|i| Lanes([ensemble.bias()[i % 4]; TILE])).collect();
                    let by_tile = {
                        let mut sums = start.clone();
                        predictor.add(
                            &Threads::one(),
                            tiles.as_slice(),
                            trees.clone(),
                            0..4,
                            &mut sums,
                            &mut PredictScratch::default(),
                        );
                        sums
                    };
                    let mut by_row = start;
                    if n_rows <= TILE {
                        let scratch = &mut PredictScratch::default();
                        predictor.add_rows(tiles.as_slice(), n_rows, trees.clone(), 0..4, &mut by_row, scratch);
                    } else {
                        by_row.clone_from(&by_tile);
                    }
                    for (i, expected) in expected.iter().enumerate() {
                        for sums in [&by_tile, &by_row] {
                            let got: Vec<u32> = (0..4).map(|c| sums[i / TILE * 4 + c][i % TILE].to_bits()).collect();
                            assert_eq!(&got, expected, "{simd:?}, {n_rows} rows, trees {trees:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn one_deep_tree_does_not_blow_up_the_shallow_ones_after_it() {
        let groups = vec![OutputGroup::sgd("y", 0..1, Schedule::Constant(1.0))];
        let mut ensemble = Ensemble::new(FeatureSchema::numeric(1), groups).unwrap();
        let tree = |depth: usize| {
            let splits = vec![Split::greater(0, 0.0, false); depth];
            let n = 1 << depth;
            Tree::new(Shape::Oblivious(splits.into()), 0..1, vec![0.0; n], vec![1; n], vec![0.0; depth], vec![1.0])
        };
        ensemble.push(tree(12)).unwrap();
        for _ in 0..1000 {
            ensemble.push(tree(2)).unwrap();
        }
        let predictor = Predictor::new(Simd::detect().unwrap(), &ensemble);
        let slots: usize = predictor.packed[0].segments().iter().map(|s| s.len() * s.n_slots()).sum();
        assert!(slots <= 4 * (4096 + 1000 * 16), "{slots}");
    }
}
