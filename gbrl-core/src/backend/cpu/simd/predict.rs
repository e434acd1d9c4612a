//! Leaves of sixteen rows in many trees, and their values added up in the order of the trees.

use std::ops::Range;

use super::vector::Vector;
use crate::backend::cpu::packed::{Layout, MIN_LEVELS, Segment};
use crate::data::{Lanes, TILE};
use crate::tree::split::key;

/// How many trees ahead leaves are asked for.
const PREFETCH: usize = 32;

/// Features that `add_row` can look up in two registers.
pub const ROW_FEATURES: usize = 2 * TILE;

super::kernel! {
    /// Leaf slots of a tile's rows in trees `trees` of a segment (any layout but `Walk`).
    ///
    /// `tile` is `[n_features][16]`; `keys` its keys where the segment is not plain.
    pub fn leaf_slots(
        segment: &Segment, trees: Range<usize>, tile: &[Lanes<f32>], keys: &[Lanes<u32>], out: &mut [Lanes<u32>],
    ) = leaf_slots_body
}

super::kernel! {
    /// Both steps at once, for up to eight columns of oblivious trees with up to six levels: what is faster than
    /// writing the slots down when they are used once.
    pub fn add_oblivious(
        segment: &Segment, trees: Range<usize>, columns: Range<usize>, tile: &[Lanes<f32>],
        keys: &[Lanes<u32>], sums: &mut [Lanes<f32>],
    ) = add_oblivious_body
}

super::kernel! {
    /// `sums[c] += table[columns.start + c][slot]` for every tree in order; `slots` come from `leaf_slots`.
    pub fn add_leaves(
        segment: &Segment, trees: Range<usize>, columns: Range<usize>, slots: &[Lanes<u32>], sums: &mut [Lanes<f32>],
    ) = add_leaves_body
}

super::kernel! {
    /// One row (`lane` of the tile) through plain oblivious trees of four levels: sixteen tests are four trees at once,
    /// and their sixteen answers are four leaf slots as they stand. At most [`ROW_FEATURES`] features.
    pub fn add_row(
        segment: &Segment, trees: Range<usize>, columns: Range<usize>, tile: &[Lanes<f32>], lane: usize,
        sums: &mut [Lanes<f32>],
    ) = add_row_body
}

super::kernel! {
    /// The keys of a tile.
    pub fn keys(tile: &[Lanes<f32>], out: &mut [Lanes<u32>]) = keys_body
}

#[inline(always)]
fn keys_body<V: Vector>(tile: &[Lanes<f32>], out: &mut [Lanes<u32>]) {
    for (out, x) in out.iter_mut().zip(tile) {
        for lane in 0..TILE {
            out[lane] = key(x[lane]);
        }
    }
}

#[inline(always)]
fn leaf_slots_body<V: Vector>(
    segment: &Segment,
    trees: Range<usize>,
    tile: &[Lanes<f32>],
    keys: &[Lanes<u32>],
    out: &mut [Lanes<u32>],
) {
    if segment.plain {
        slots_of::<V, _>(segment.layout, &Plain::new(segment, trees, tile), out);
    } else {
        slots_of::<V, _>(segment.layout, &Ranged::new(segment, trees, keys), out);
    }
}

/// The answers to one test of a block. A trait and not a closure: closures are compiled for the level only by luck.
trait Ask<V: Vector> {
    /// Tests asked about.
    fn len(&self) -> usize;

    /// The answers of sixteen rows.
    ///
    /// # Safety
    /// `test` is below `len()`.
    unsafe fn ask(&self, test: usize) -> V::Mask;
}

struct Plain<'a> {
    tile: &'a [Lanes<f32>],
    features: &'a [u32],
    thresholds: &'a [f32],
}

struct Ranged<'a> {
    keys: &'a [Lanes<u32>],
    features: &'a [u32],
    ranges: &'a [[u32; 2]],
}

impl<'a> Plain<'a> {
    #[inline(always)]
    fn new(segment: &'a Segment, trees: Range<usize>, tile: &'a [Lanes<f32>]) -> Self {
        assert!(tile.len() >= segment.n_features(), "a tile of too few features");
        let tests = trees.start * segment.n_tests()..trees.end * segment.n_tests();
        Plain { tile, features: &segment.features[tests.clone()], thresholds: &segment.thresholds[tests] }
    }
}

impl<'a> Ranged<'a> {
    #[inline(always)]
    fn new(segment: &'a Segment, trees: Range<usize>, keys: &'a [Lanes<u32>]) -> Self {
        assert!(keys.len() >= segment.n_features(), "keys of too few features");
        let tests = trees.start * segment.n_tests()..trees.end * segment.n_tests();
        Ranged { keys, features: &segment.features[tests.clone()], ranges: &segment.ranges[tests] }
    }
}

impl<V: Vector> Ask<V> for Plain<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.thresholds.len()
    }

    #[inline(always)]
    unsafe fn ask(&self, test: usize) -> V::Mask {
        // SAFETY: `test` is below the length of both slices, which `new` cut to the same range; a feature is below the
        // segment's n_features(), which `new` has compared with the tile.
        let (x, threshold) = unsafe {
            let feature = *self.features.get_unchecked(test) as usize;
            (self.tile.get_unchecked(feature), *self.thresholds.get_unchecked(test))
        };
        V::greater(V::floats(x), threshold)
    }
}

impl<V: Vector> Ask<V> for Ranged<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.ranges.len()
    }

    #[inline(always)]
    unsafe fn ask(&self, test: usize) -> V::Mask {
        // SAFETY: as for `Plain`.
        let (key, [low, width]) = unsafe {
            let feature = *self.features.get_unchecked(test) as usize;
            (self.keys.get_unchecked(feature), *self.ranges.get_unchecked(test))
        };
        V::within(V::ints(key), low, width)
    }
}

#[inline(always)]
fn slots_of<V: Vector, A: Ask<V>>(layout: Layout, tests: &A, out: &mut [Lanes<u32>]) {
    match layout {
        Layout::Oblivious(4) => oblivious_slots::<V, A>(4, tests, out),
        Layout::Oblivious(5) => oblivious_slots::<V, A>(5, tests, out),
        Layout::Oblivious(6) => oblivious_slots::<V, A>(6, tests, out),
        Layout::Oblivious(levels) => oblivious_slots::<V, A>(levels, tests, out),
        Layout::Complete => complete_slots::<V, A>(tests, out),
        Layout::Walk => unreachable!("walked trees have no slots"),
    }
}

#[inline(always)]
fn oblivious_slots<V: Vector, A: Ask<V>>(levels: usize, tests: &A, out: &mut [Lanes<u32>]) {
    assert!(out.len() * levels <= tests.len());
    for (tree, out) in out.iter_mut().enumerate() {
        let mut index = V::ints(&[0; TILE]);
        for level in 0..levels {
            // SAFETY: tree is below out.len(), so the test is below out.len() · levels, asserted above.
            index = V::set_bit(index, 1 << level, unsafe { tests.ask(tree * levels + level) });
        }
        V::store_ints(index, out);
    }
}

/// All fifteen questions are asked; which answers count is a matter of masks, not of branches.
#[inline(always)]
fn complete_slots<V: Vector, A: Ask<V>>(tests: &A, out: &mut [Lanes<u32>]) {
    const NODES: usize = (1 << MIN_LEVELS) - 1;
    assert!(out.len() * NODES <= tests.len());
    for (tree, out) in out.iter_mut().enumerate() {
        // SAFETY: tree is below out.len(), so its fifteen tests are below out.len() · NODES, asserted above.
        let mut answers = [unsafe { tests.ask(tree * NODES) }; NODES];
        for node in 1..NODES {
            // SAFETY: as above.
            answers[node] = unsafe { tests.ask(tree * NODES + node) };
        }
        // Names spell the way from the root, l and r; a mask holds the lanes whose way leads there.
        let r = answers[0];
        let rr = V::and(r, answers[2]);
        let lr = V::and_not(answers[1], r);
        let second = V::or(rr, lr);
        let (rl, not_ll) = (V::and_not(r, rr), V::or(r, lr));
        let rrr = V::and(rr, answers[6]);
        let rlr = V::and(rl, answers[5]);
        let lrr = V::and(lr, answers[4]);
        let llr = V::and_not(answers[3], not_ll);
        let third = V::or(V::or(rrr, rlr), V::or(lrr, llr));
        let right = V::or(
            V::or(V::and(rrr, answers[14]), V::and(V::and_not(rr, rrr), answers[13])),
            V::or(V::and(rlr, answers[12]), V::and(V::and_not(rl, rlr), answers[11])),
        );
        let left = V::or(
            V::or(V::and(lrr, answers[10]), V::and(V::and_not(lr, lrr), answers[9])),
            V::or(V::and(llr, answers[8]), V::and_not(answers[7], V::or(not_ll, llr))),
        );
        let mut index = V::set_bit(V::ints(&[0; TILE]), 8, r);
        index = V::set_bit(index, 4, second);
        index = V::set_bit(index, 2, third);
        index = V::set_bit(index, 1, V::or(left, right));
        V::store_ints(index, out);
    }
}

#[inline(always)]
fn add_oblivious_body<V: Vector>(
    segment: &Segment,
    trees: Range<usize>,
    columns: Range<usize>,
    tile: &[Lanes<f32>],
    keys: &[Lanes<u32>],
    sums: &mut [Lanes<f32>],
) {
    if segment.plain {
        add_asked::<V, _>(segment, trees.clone(), columns, &Plain::new(segment, trees, tile), sums);
    } else {
        add_asked::<V, _>(segment, trees.clone(), columns, &Ranged::new(segment, trees, keys), sums);
    }
}

#[inline(always)]
fn add_asked<V: Vector, A: Ask<V>>(
    segment: &Segment,
    trees: Range<usize>,
    columns: Range<usize>,
    tests: &A,
    sums: &mut [Lanes<f32>],
) {
    match segment.layout {
        Layout::Oblivious(4) => add_levels::<V, A, Table<1>, 4, 1>(segment, trees, columns, tests, sums),
        Layout::Oblivious(5) => add_levels::<V, A, Table<2>, 5, 2>(segment, trees, columns, tests, sums),
        Layout::Oblivious(6) => add_levels::<V, A, Table<4>, 6, 4>(segment, trees, columns, tests, sums),
        other => unreachable!("{other:?} trees go through their slots"),
    }
}

#[inline(always)]
fn add_levels<V: Vector, A: Ask<V>, T: Lookup<V, N>, const L: usize, const N: usize>(
    segment: &Segment,
    trees: Range<usize>,
    columns: Range<usize>,
    tests: &A,
    sums: &mut [Lanes<f32>],
) {
    let tables = &segment.tables[columns.clone()];
    match columns.len() {
        1 => add_fused::<V, A, T, L, N, 1>(tests, tables, trees, sums),
        2 => add_fused::<V, A, T, L, N, 2>(tests, tables, trees, sums),
        3 => add_fused::<V, A, T, L, N, 3>(tests, tables, trees, sums),
        4 => add_fused::<V, A, T, L, N, 4>(tests, tables, trees, sums),
        5 => add_fused::<V, A, T, L, N, 5>(tests, tables, trees, sums),
        6 => add_fused::<V, A, T, L, N, 6>(tests, tables, trees, sums),
        7 => add_fused::<V, A, T, L, N, 7>(tests, tables, trees, sums),
        8 => add_fused::<V, A, T, L, N, 8>(tests, tables, trees, sums),
        more => unreachable!("{more} columns go through the slots"),
    }
}

/// The tables of `C` columns, cut to some trees.
#[inline(always)]
fn tables_of<const N: usize, const C: usize>(
    columns: &[Vec<Lanes<f32>>],
    trees: Range<usize>,
) -> [&[[Lanes<f32>; N]]; C] {
    let mut tables: [&[[Lanes<f32>; N]]; C] = [&[]; C];
    for c in 0..C {
        tables[c] = &columns[c].as_chunks::<N>().0[trees.clone()];
    }
    tables
}

#[inline(always)]
fn add_fused<V: Vector, A: Ask<V>, T: Lookup<V, N>, const L: usize, const N: usize, const C: usize>(
    tests: &A,
    columns: &[Vec<Lanes<f32>>],
    trees: Range<usize>,
    sums: &mut [Lanes<f32>],
) {
    let tables = tables_of::<N, C>(columns, trees.clone());
    let n_trees = trees.len();
    assert!(n_trees * L <= tests.len() && tables.iter().all(|table| table.len() == n_trees));
    let mut acc = [V::floats(&sums[0]); C];
    for c in 1..C {
        acc[c] = V::floats(&sums[c]);
    }
    for tree in 0..n_trees {
        let mut index = V::ints(&[0; TILE]);
        for level in 0..L {
            // SAFETY: tree is below n_trees, so the test is below n_trees · L, asserted above.
            index = V::set_bit(index, 1 << level, unsafe { tests.ask(tree * L + level) });
        }
        for c in 0..C {
            // Large ensembles come from the third cache; asked for this early they arrive in time.
            V::prefetch(tables[c].as_ptr().wrapping_add(tree + PREFETCH).cast());
            acc[c] = V::add(acc[c], T::lookup(&tables[c][tree], index));
        }
    }
    for c in 0..C {
        V::store_floats(acc[c], &mut sums[c]);
    }
}

#[inline(always)]
fn add_leaves_body<V: Vector>(
    segment: &Segment,
    trees: Range<usize>,
    columns: Range<usize>,
    slots: &[Lanes<u32>],
    sums: &mut [Lanes<f32>],
) {
    match segment.n_slots() {
        16 => add_tables::<V, Table<1>, 1>(segment, trees, columns, slots, sums),
        32 => add_tables::<V, Table<2>, 2>(segment, trees, columns, slots, sums),
        64 => add_tables::<V, Table<4>, 4>(segment, trees, columns, slots, sums),
        n_slots => {
            for (tree, slots) in trees.zip(slots) {
                for (column, sum) in columns.clone().zip(sums.iter_mut()) {
                    let table = &segment.tables[column][tree * n_slots / TILE..][..n_slots / TILE];
                    let value = V::lookup(table, V::ints(slots));
                    V::store_floats(V::add(V::floats(sum), value), sum);
                }
            }
        }
    }
}

/// Look-up in a table of N · 16 leaves.
trait Lookup<V: Vector, const N: usize> {
    fn lookup(table: &[Lanes<f32>; N], slots: V::Ints) -> V::Floats;
}

struct Table<const N: usize>;

impl<V: Vector> Lookup<V, 1> for Table<1> {
    #[inline(always)]
    fn lookup(table: &[Lanes<f32>; 1], slots: V::Ints) -> V::Floats {
        V::lookup16(&table[0], slots)
    }
}

impl<V: Vector> Lookup<V, 2> for Table<2> {
    #[inline(always)]
    fn lookup(table: &[Lanes<f32>; 2], slots: V::Ints) -> V::Floats {
        V::lookup32(table, slots)
    }
}

impl<V: Vector> Lookup<V, 4> for Table<4> {
    #[inline(always)]
    fn lookup(table: &[Lanes<f32>; 4], slots: V::Ints) -> V::Floats {
        V::lookup64(table, slots)
    }
}

/// Up to eight columns at a time stay in registers over all trees.
#[inline(always)]
fn add_tables<V: Vector, T: Lookup<V, N>, const N: usize>(
    segment: &Segment,
    trees: Range<usize>,
    columns: Range<usize>,
    slots: &[Lanes<u32>],
    sums: &mut [Lanes<f32>],
) {
    for (chunk, sums) in sums[..columns.len()].chunks_mut(8).enumerate() {
        let tables = &segment.tables[columns.start + 8 * chunk..];
        match sums.len() {
            1 => add_columns::<V, T, N, 1>(tables, trees.clone(), slots, sums),
            2 => add_columns::<V, T, N, 2>(tables, trees.clone(), slots, sums),
            3 => add_columns::<V, T, N, 3>(tables, trees.clone(), slots, sums),
            4 => add_columns::<V, T, N, 4>(tables, trees.clone(), slots, sums),
            5 => add_columns::<V, T, N, 5>(tables, trees.clone(), slots, sums),
            6 => add_columns::<V, T, N, 6>(tables, trees.clone(), slots, sums),
            7 => add_columns::<V, T, N, 7>(tables, trees.clone(), slots, sums),
            _ => add_columns::<V, T, N, 8>(tables, trees.clone(), slots, sums),
        }
    }
}

#[inline(always)]
fn add_columns<V: Vector, T: Lookup<V, N>, const N: usize, const C: usize>(
    columns: &[Vec<Lanes<f32>>],
    trees: Range<usize>,
    slots: &[Lanes<u32>],
    sums: &mut [Lanes<f32>],
) {
    let tables = tables_of::<N, C>(columns, trees);
    let mut acc = [V::floats(&sums[0]); C];
    for c in 1..C {
        acc[c] = V::floats(&sums[c]);
    }
    for (tree, slots) in slots.iter().enumerate() {
        let slots = V::ints(slots);
        for c in 0..C {
            acc[c] = V::add(acc[c], T::lookup(&tables[c][tree], slots));
        }
    }
    for c in 0..C {
        V::store_floats(acc[c], &mut sums[c]);
    }
}

#[inline(always)]
fn add_row_body<V: Vector>(
    segment: &Segment,
    trees: Range<usize>,
    columns: Range<usize>,
    tile: &[Lanes<f32>],
    lane: usize,
    sums: &mut [Lanes<f32>],
) {
    assert!(segment.plain && segment.layout == Layout::Oblivious(4) && tile.len() <= ROW_FEATURES);
    let mut row = [Lanes::default(); 2];
    for (feature, x) in tile.iter().enumerate() {
        row[feature / TILE][feature % TILE] = x[lane];
    }
    for (chunk, sums) in sums[..columns.len()].chunks_mut(8).enumerate() {
        let tables = &segment.tables[columns.start + 8 * chunk..];
        match sums.len() {
            1 => add_row_columns::<V, 1>(segment, tables, trees.clone(), &row, lane, sums),
            2 => add_row_columns::<V, 2>(segment, tables, trees.clone(), &row, lane, sums),
            3 => add_row_columns::<V, 3>(segment, tables, trees.clone(), &row, lane, sums),
            4 => add_row_columns::<V, 4>(segment, tables, trees.clone(), &row, lane, sums),
            5 => add_row_columns::<V, 5>(segment, tables, trees.clone(), &row, lane, sums),
            6 => add_row_columns::<V, 6>(segment, tables, trees.clone(), &row, lane, sums),
            7 => add_row_columns::<V, 7>(segment, tables, trees.clone(), &row, lane, sums),
            _ => add_row_columns::<V, 8>(segment, tables, trees.clone(), &row, lane, sums),
        }
    }
}

#[inline(always)]
fn add_row_columns<V: Vector, const C: usize>(
    segment: &Segment,
    columns: &[Vec<Lanes<f32>>],
    trees: Range<usize>,
    row: &[Lanes<f32>; 2],
    lane: usize,
    sums: &mut [Lanes<f32>],
) {
    let tests = 4 * trees.start..4 * trees.end;
    let (features, last_features) = segment.features[tests.clone()].as_chunks::<16>();
    let (thresholds, last_thresholds) = segment.thresholds[tests].as_chunks::<16>();
    let tables = tables_of::<1, C>(columns, trees);
    let mut acc = [0.0; C];
    for c in 0..C {
        acc[c] = sums[c][lane];
    }
    for (four, (features, thresholds)) in features.iter().zip(thresholds).enumerate() {
        let answers = V::ask_row(row, features, thresholds);
        for tree in 0..4 {
            let slot = usize::from(answers >> (4 * tree) & 15);
            for c in 0..C {
                acc[c] += tables[c][4 * four + tree][0][slot];
            }
        }
    }
    let done = 4 * features.len();
    let rest = last_features.as_chunks::<4>().0.iter().zip(last_thresholds.as_chunks::<4>().0);
    for (tree, (features, thresholds)) in rest.enumerate() {
        let mut slot = 0;
        for level in 0..4 {
            let x = row[features[level] as usize / TILE][features[level] as usize % TILE];
            slot |= usize::from(x > thresholds[level]) << level;
        }
        for c in 0..C {
            acc[c] += tables[c][done + tree][0][slot];
        }
    }
    for c in 0..C {
        sums[c][lane] = acc[c];
    }
}
