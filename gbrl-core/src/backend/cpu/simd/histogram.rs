//! Sums of gradients per bin.

use super::vector::Vector;
use crate::data::BinSlice;
use crate::data::binning::BinIndex;

super::kernel! {
    /// Adds each row's gradients to the cell of its bin: `cells[bin * lanes..][..lanes] += grads[row * lanes..][..lanes]`.
    ///
    /// `rows` picks rows of `bins` and `grads`; `None` takes all rows of `bins` in order.
    pub fn accumulate(cells: &mut [i64], lanes: usize, bins: BinSlice<'_>, grads: &[i32], rows: Option<&[u32]>) =
        accumulate_body
}

super::kernel! {
    /// Takes rows away again: the inverse of `accumulate`.
    pub fn subtract_rows(cells: &mut [i64], lanes: usize, bins: BinSlice<'_>, grads: &[i32], rows: &[u32]) =
        subtract_rows_body
}

super::kernel! {
    /// `cells[i] -= other[i]`: a sibling's histogram from its parent's.
    pub fn subtract_cells(cells: &mut [i64], other: &[i64]) = subtract_cells_body
}

super::kernel! {
    /// Sums all `rows` of `grads` into one cell.
    pub fn sum_rows(cell: &mut [i64], grads: &[i32], rows: &[u32]) = sum_rows_body
}

#[inline(always)]
fn accumulate_body<V: Vector>(
    cells: &mut [i64],
    lanes: usize,
    bins: BinSlice<'_>,
    grads: &[i32],
    rows: Option<&[u32]>,
) {
    match bins {
        BinSlice::Narrow(bins) => accumulate_bins::<V, u8>(cells, lanes, bins, grads, rows),
        BinSlice::Wide(bins) => accumulate_bins::<V, u16>(cells, lanes, bins, grads, rows),
    }
}

/// The number of lanes is fixed where it is small, so that a cell is a register or two.
#[inline(always)]
fn accumulate_bins<V: Vector, B: BinIndex>(
    cells: &mut [i64],
    lanes: usize,
    bins: &[B],
    grads: &[i32],
    rows: Option<&[u32]>,
) {
    match lanes {
        4 => accumulate_lanes::<V, B, 4>(cells, bins, grads, rows),
        8 => accumulate_lanes::<V, B, 8>(cells, bins, grads, rows),
        16 => accumulate_lanes::<V, B, 16>(cells, bins, grads, rows),
        24 => accumulate_lanes::<V, B, 24>(cells, bins, grads, rows),
        _ => {
            let mut add = |row: usize| {
                let cell = &mut cells[bins[row].unpack() * lanes..][..lanes];
                for (sum, &g) in cell.iter_mut().zip(&grads[row * lanes..]) {
                    *sum += i64::from(g);
                }
            };
            match rows {
                None => (0..bins.len()).for_each(&mut add),
                Some(rows) => rows.iter().for_each(|&row| add(row as usize)),
            }
        }
    }
}

#[inline(always)]
fn accumulate_lanes<V: Vector, B: BinIndex, const L: usize>(
    cells: &mut [i64],
    bins: &[B],
    grads: &[i32],
    rows: Option<&[u32]>,
) {
    let cells = cells.as_chunks_mut::<L>().0;
    let grads = grads.as_chunks::<L>().0;
    match rows {
        None => {
            for (bin, grad) in bins.iter().zip(grads) {
                V::accumulate(&mut cells[bin.unpack()], grad);
            }
        }
        Some(rows) => {
            for &row in rows {
                V::accumulate(&mut cells[bins[row as usize].unpack()], &grads[row as usize]);
            }
        }
    }
}

#[inline(always)]
fn subtract_rows_body<V: Vector>(cells: &mut [i64], lanes: usize, bins: BinSlice<'_>, grads: &[i32], rows: &[u32]) {
    for &row in rows {
        let row = row as usize;
        let cell = &mut cells[bins.get(row) * lanes..][..lanes];
        for (sum, &g) in cell.iter_mut().zip(&grads[row * lanes..]) {
            *sum -= i64::from(g);
        }
    }
}

#[inline(always)]
fn subtract_cells_body<V: Vector>(cells: &mut [i64], other: &[i64]) {
    for (sum, &x) in cells.iter_mut().zip(other) {
        *sum -= x;
    }
}

#[inline(always)]
fn sum_rows_body<V: Vector>(cell: &mut [i64], grads: &[i32], rows: &[u32]) {
    match cell.len() {
        4 => sum_lanes::<V, 4>(cell, grads, rows),
        8 => sum_lanes::<V, 8>(cell, grads, rows),
        lanes => {
            for &row in rows {
                for (sum, &g) in cell.iter_mut().zip(&grads[row as usize * lanes..]) {
                    *sum += i64::from(g);
                }
            }
        }
    }
}

#[inline(always)]
fn sum_lanes<V: Vector, const L: usize>(cell: &mut [i64], grads: &[i32], rows: &[u32]) {
    let grads = grads.as_chunks::<L>().0;
    let mut sums = [0i64; L];
    for &row in rows {
        V::accumulate(&mut sums, &grads[row as usize]);
    }
    for l in 0..L {
        cell[l] += sums[l];
    }
}
