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
        let thresholds = &segment.thresholds[tests];
        let ask = |i: usize| {
            let x: &[f32; TILE] = tile[offsets[i] as usize..].first_chunk().expect("a tile has sixteen rows");
            V::greater(V::floats(x), thresholds[i])
        };
        slots_of::<V>(segment.layout, ask, out);
    } else {
        let ranges = &segment.ranges[tests];
        let ask = |i: usize| {
            let key: &[u32; TILE] = keys[offsets[i] as usize..].first_chunk().expect("a tile has sixteen rows");
            let [low, width] = ranges[i];
            V::within(V::ints(key), low, width)
        };
        slots_of::<V>(segment.layout, ask, out);
    }
}

#[inline(always)]
fn slots_of<V: Vector>(layout: Layout, ask: impl Fn(usize) -> V::Mask, out: &mut [[u32; TILE]]) {
    match layout {
        Layout::Oblivious(4) => oblivious_slots::<V>(4, ask, out),
        Layout::Oblivious(5) => oblivious_slots::<V>(5, ask, out),
        Layout::Oblivious(6) => oblivious_slots::<V>(6, ask, out),
        Layout::Oblivious(levels) => oblivious_slots::<V>(levels, ask, out),
        Layout::Complete => complete_slots::<V>(ask, out),
        Layout::Walk => unreachable!("walked trees have no slots"),
    }
}

#[inline(always)]
fn oblivious_slots<V: Vector>(levels: usize, ask: impl Fn(usize) -> V::Mask, out: &mut [[u32; TILE]]) {
    for (tree, out) in out.iter_mut().enumerate() {
        let mut index = V::ints(&[0; TILE]);
        for level in 0..levels {
            index = V::set_bit(index, 1 << level, ask(tree * levels + level));
        }
        V::store_ints(index, out);
    }
}

/// All fifteen questions are asked; which answers count is a matter of masks, not of branches.
#[inline(always)]
fn complete_slots<V: Vector>(ask: impl Fn(usize) -> V::Mask, out: &mut [[u32; TILE]]) {
    const NODES: usize = (1 << MIN_LEVELS) - 1;
    for (tree, out) in out.iter_mut().enumerate() {
        let ask = |node: usize| ask(tree * NODES + node);
        // Answers on the way: r1 at the root, then of each node only where the way leads through it.
        let r = ask(0);
        let rr = V::and(r, ask(2));
        let lr = V::and_not(ask(1), r);
        let second = V::or(rr, lr);
        let (rl, l) = (V::and_not(r, rr), V::or(r, lr));
        let rrr = V::and(rr, ask(6));
        let rlr = V::and(rl, ask(5));
        let lrr = V::and(lr, ask(4));
        let llr = V::and_not(ask(3), l);
        let third = V::or(V::or(rrr, rlr), V::or(lrr, llr));
        let fourth = V::or(
            V::or(
                V::or(V::and(rrr, ask(14)), V::and(V::and_not(rr, rrr), ask(13))),
                V::or(V::and(rlr, ask(12)), V::and(V::and_not(rl, rlr), ask(11))),
            ),
            V::or(
                V::or(V::and(lrr, ask(10)), V::and(V::and_not(lr, lrr), ask(9))),
                V::or(V::and(llr, ask(8)), V::and_not(ask(7), V::or(l, llr))),
            ),
        );
        let mut index = V::set_bit(V::ints(&[0; TILE]), 8, r);
        index = V::set_bit(index, 4, second);
        index = V::set_bit(index, 2, third);
        index = V::set_bit(index, 1, fourth);
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
        16 => add_tables::<V, 16>(segment, trees, columns, slots, sums, V::lookup16),
        32 => add_tables::<V, 32>(segment, trees, columns, slots, sums, V::lookup32),
        64 => add_tables::<V, 64>(segment, trees, columns, slots, sums, V::lookup64),
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

/// Up to eight columns at a time stay in registers over all trees.
#[inline(always)]
fn add_tables<V: Vector, const N: usize>(
    segment: &Segment,
    trees: Range<usize>,
    columns: Range<usize>,
    slots: &[[u32; TILE]],
    sums: &mut [[f32; TILE]],
    lookup: impl Fn(&[f32; N], V::Ints) -> V::Floats + Copy,
) {
    let width = segment.width();
    let tables = &segment.tables.as_chunks::<N>().0[trees.start * width..trees.end * width];
    for (chunk, sums) in sums[..columns.len()].chunks_mut(8).enumerate() {
        let first = columns.start + 8 * chunk;
        match sums.len() {
            1 => add_columns::<V, N, 1>(tables, width, first, slots, sums, lookup),
            2 => add_columns::<V, N, 2>(tables, width, first, slots, sums, lookup),
            3 => add_columns::<V, N, 3>(tables, width, first, slots, sums, lookup),
            4 => add_columns::<V, N, 4>(tables, width, first, slots, sums, lookup),
            5 => add_columns::<V, N, 5>(tables, width, first, slots, sums, lookup),
            6 => add_columns::<V, N, 6>(tables, width, first, slots, sums, lookup),
            7 => add_columns::<V, N, 7>(tables, width, first, slots, sums, lookup),
            _ => add_columns::<V, N, 8>(tables, width, first, slots, sums, lookup),
        }
    }
}

#[inline(always)]
fn add_columns<V: Vector, const N: usize, const C: usize>(
    tables: &[[f32; N]],
    width: usize,
    first: usize,
    slots: &[[u32; TILE]],
    sums: &mut [[f32; TILE]],
    lookup: impl Fn(&[f32; N], V::Ints) -> V::Floats,
) {
    let mut acc: [V::Floats; C] = std::array::from_fn(|c| V::floats(&sums[c]));
    for (tables, slots) in tables.chunks_exact(width).zip(slots) {
        let slots = V::ints(slots);
        let tables: &[[f32; N]; C] = tables[first..].first_chunk().expect("columns lie within the table");
        for c in 0..C {
            acc[c] = V::add(acc[c], lookup(&tables[c], slots));
        }
    }
    for c in 0..C {
        V::store_floats(acc[c], &mut sums[c]);
    }
}
