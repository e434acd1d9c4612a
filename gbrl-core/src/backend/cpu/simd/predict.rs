//! Leaves of sixteen rows in many trees, and their values added up in the order of the trees.

use std::ops::Range;

use super::vector::Vector;
use crate::backend::cpu::packed::{Layout, MIN_LEVELS, Segment, key};
use crate::data::TILE;

super::kernel! {
    /// Leaf slots of a tile's rows in trees `trees` of a segment (any layout but `Walk`).
    ///
    /// `tile` is `[n_features][16]`; `keys` its keys where the segment is not plain.
    pub fn leaf_slots(
        segment: &Segment, trees: Range<usize>, tile: &[f32], keys: &[u32], out: &mut [[u32; TILE]],
    ) = leaf_slots_body
}

super::kernel! {
    /// `sums[c] += table[columns.start + c][slot]` for every tree in order; `slots` come from `leaf_slots`.
    pub fn add_leaves(
        segment: &Segment, trees: Range<usize>, columns: Range<usize>, slots: &[[u32; TILE]], sums: &mut [[f32; TILE]],
    ) = add_leaves_body
}

super::kernel! {
    /// The keys of a tile.
    pub fn keys(tile: &[f32], out: &mut [u32]) = keys_body
}

#[inline(always)]
fn keys_body<V: Vector>(tile: &[f32], out: &mut [u32]) {
    for (out, &x) in out.iter_mut().zip(tile) {
        *out = key(x);
    }
}

#[inline(always)]
fn leaf_slots_body<V: Vector>(
    segment: &Segment,
    trees: Range<usize>,
    tile: &[f32],
    keys: &[u32],
    out: &mut [[u32; TILE]],
) {
    let tests = trees.start * segment.n_tests()..trees.end * segment.n_tests();
    let offsets = &segment.offsets[tests.clone()];
    if segment.plain {
        slots_of::<V, _>(segment.layout, &Plain { tile, offsets, thresholds: &segment.thresholds[tests] }, out);
    } else {
        slots_of::<V, _>(segment.layout, &Ranged { keys, offsets, ranges: &segment.ranges[tests] }, out);
    }
}

/// The answers to one test of a block. A trait and not a closure: closures are compiled for the level only by luck.
trait Ask<V: Vector> {
    fn ask(&self, test: usize) -> V::Mask;
}

struct Plain<'a> {
    tile: &'a [f32],
    offsets: &'a [u32],
    thresholds: &'a [f32],
}

struct Ranged<'a> {
    keys: &'a [u32],
    offsets: &'a [u32],
    ranges: &'a [[u32; 2]],
}

impl<V: Vector> Ask<V> for Plain<'_> {
    #[inline(always)]
    fn ask(&self, test: usize) -> V::Mask {
        let x: &[f32; TILE] = self.tile[self.offsets[test] as usize..].first_chunk().expect("a tile has sixteen rows");
        V::greater(V::floats(x), self.thresholds[test])
    }
}

impl<V: Vector> Ask<V> for Ranged<'_> {
    #[inline(always)]
    fn ask(&self, test: usize) -> V::Mask {
        let key: &[u32; TILE] =
            self.keys[self.offsets[test] as usize..].first_chunk().expect("a tile has sixteen rows");
        let [low, width] = self.ranges[test];
        V::within(V::ints(key), low, width)
    }
}

#[inline(always)]
fn slots_of<V: Vector, A: Ask<V>>(layout: Layout, tests: &A, out: &mut [[u32; TILE]]) {
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
fn oblivious_slots<V: Vector, A: Ask<V>>(levels: usize, tests: &A, out: &mut [[u32; TILE]]) {
    for (tree, out) in out.iter_mut().enumerate() {
        let mut index = V::ints(&[0; TILE]);
        for level in 0..levels {
            index = V::set_bit(index, 1 << level, tests.ask(tree * levels + level));
        }
        V::store_ints(index, out);
    }
}

/// All fifteen questions are asked; which answers count is a matter of masks, not of branches.
#[inline(always)]
fn complete_slots<V: Vector, A: Ask<V>>(tests: &A, out: &mut [[u32; TILE]]) {
    const NODES: usize = (1 << MIN_LEVELS) - 1;
    for (tree, out) in out.iter_mut().enumerate() {
        let at = tree * NODES;
        // Names spell the way from the root, l and r; a mask holds the lanes whose way leads there.
        let r = tests.ask(at);
        let rr = V::and(r, tests.ask(at + 2));
        let lr = V::and_not(tests.ask(at + 1), r);
        let second = V::or(rr, lr);
        let (rl, not_ll) = (V::and_not(r, rr), V::or(r, lr));
        let rrr = V::and(rr, tests.ask(at + 6));
        let rlr = V::and(rl, tests.ask(at + 5));
        let lrr = V::and(lr, tests.ask(at + 4));
        let llr = V::and_not(tests.ask(at + 3), not_ll);
        let third = V::or(V::or(rrr, rlr), V::or(lrr, llr));
        let right = V::or(
            V::or(V::and(rrr, tests.ask(at + 14)), V::and(V::and_not(rr, rrr), tests.ask(at + 13))),
            V::or(V::and(rlr, tests.ask(at + 12)), V::and(V::and_not(rl, rlr), tests.ask(at + 11))),
        );
        let left = V::or(
            V::or(V::and(lrr, tests.ask(at + 10)), V::and(V::and_not(lr, lrr), tests.ask(at + 9))),
            V::or(V::and(llr, tests.ask(at + 8)), V::and_not(tests.ask(at + 7), V::or(not_ll, llr))),
        );
        let mut index = V::set_bit(V::ints(&[0; TILE]), 8, r);
        index = V::set_bit(index, 4, second);
        index = V::set_bit(index, 2, third);
        index = V::set_bit(index, 1, V::or(left, right));
        V::store_ints(index, out);
    }
}

#[inline(always)]
fn add_leaves_body<V: Vector>(
    segment: &Segment,
    trees: Range<usize>,
    columns: Range<usize>,
    slots: &[[u32; TILE]],
    sums: &mut [[f32; TILE]],
) {
    match segment.n_slots() {
        16 => add_tables::<V, Table<16>, 16>(segment, trees, columns, slots, sums),
        32 => add_tables::<V, Table<32>, 32>(segment, trees, columns, slots, sums),
        64 => add_tables::<V, Table<64>, 64>(segment, trees, columns, slots, sums),
        n_slots => {
            for (tree, slots) in trees.zip(slots) {
                for (column, sum) in columns.clone().zip(sums.iter_mut()) {
                    let table = &segment.tables[(tree * segment.width() + column) * n_slots..][..n_slots];
                    let value = V::lookup(table, V::ints(slots));
                    V::store_floats(V::add(V::floats(sum), value), sum);
                }
            }
        }
    }
}

/// Look-up in a table of N leaves.
trait Lookup<V: Vector, const N: usize> {
    fn lookup(table: &[f32; N], slots: V::Ints) -> V::Floats;
}

struct Table<const N: usize>;

impl<V: Vector> Lookup<V, 16> for Table<16> {
    #[inline(always)]
    fn lookup(table: &[f32; 16], slots: V::Ints) -> V::Floats {
        V::lookup16(table, slots)
    }
}

impl<V: Vector> Lookup<V, 32> for Table<32> {
    #[inline(always)]
    fn lookup(table: &[f32; 32], slots: V::Ints) -> V::Floats {
        V::lookup32(table, slots)
    }
}

impl<V: Vector> Lookup<V, 64> for Table<64> {
    #[inline(always)]
    fn lookup(table: &[f32; 64], slots: V::Ints) -> V::Floats {
        V::lookup64(table, slots)
    }
}

/// Up to eight columns at a time stay in registers over all trees.
#[inline(always)]
fn add_tables<V: Vector, T: Lookup<V, N>, const N: usize>(
    segment: &Segment,
    trees: Range<usize>,
    columns: Range<usize>,
    slots: &[[u32; TILE]],
    sums: &mut [[f32; TILE]],
) {
    let width = segment.width();
    let tables = &segment.tables.as_chunks::<N>().0[trees.start * width..trees.end * width];
    for (chunk, sums) in sums[..columns.len()].chunks_mut(8).enumerate() {
        let first = columns.start + 8 * chunk;
        match sums.len() {
            1 => add_columns::<V, T, N, 1>(tables, width, first, slots, sums),
            2 => add_columns::<V, T, N, 2>(tables, width, first, slots, sums),
            3 => add_columns::<V, T, N, 3>(tables, width, first, slots, sums),
            4 => add_columns::<V, T, N, 4>(tables, width, first, slots, sums),
            5 => add_columns::<V, T, N, 5>(tables, width, first, slots, sums),
            6 => add_columns::<V, T, N, 6>(tables, width, first, slots, sums),
            7 => add_columns::<V, T, N, 7>(tables, width, first, slots, sums),
            _ => add_columns::<V, T, N, 8>(tables, width, first, slots, sums),
        }
    }
}

#[inline(always)]
fn add_columns<V: Vector, T: Lookup<V, N>, const N: usize, const C: usize>(
    tables: &[[f32; N]],
    width: usize,
    first: usize,
    slots: &[[u32; TILE]],
    sums: &mut [[f32; TILE]],
) {
    let mut acc = [V::floats(&sums[0]); C];
    for c in 1..C {
        acc[c] = V::floats(&sums[c]);
    }
    for (tables, slots) in tables.chunks_exact(width).zip(slots) {
        let slots = V::ints(slots);
        let tables: &[[f32; N]; C] = tables[first..].first_chunk().expect("columns lie within the table");
        for c in 0..C {
            acc[c] = V::add(acc[c], T::lookup(&tables[c], slots));
        }
    }
    for c in 0..C {
        V::store_floats(acc[c], &mut sums[c]);
    }
}
