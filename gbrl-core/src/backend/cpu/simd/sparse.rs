//! Sums of gradients over the occupied bins only, for nodes with fewer rows than bins.

use super::vector::Vector;
use crate::backend::cpu::aligned::Aligned;
use crate::data::BinSlice;
use crate::data::binning::BinIndex;

/// The occupied bins of a node, ascending, and their sums.
#[derive(Debug, Default)]
pub struct Sparse {
    /// One byte per bin, 1 where it has rows; all zero between calls.
    marks: Vec<u8>,
    /// The cell of each bin that has rows; stale elsewhere.
    cell_of: Vec<u32>,
    /// One bit per bin.
    pub occupied: Vec<u64>,
    /// Occupied bins below each word of `occupied`.
    pub below: Vec<u32>,
    /// The bin of each cell, ascending, in the first `n_cells` elements.
    bins: Vec<u32>,
    n_cells: usize,
    /// A cell of zeros, then one cell per occupied bin.
    pub cells: Aligned<i64>,
}

impl Sparse {
    /// The occupied bins, ascending.
    pub fn bins(&self) -> &[u32] {
        &self.bins[..self.n_cells]
    }
}

super::kernel! {
    /// Sums `rows` (`None`: all) into `sparse`. O(rows · lanes + bins / 64).
    pub fn accumulate_sparse(
        sparse: &mut Sparse, n_bins: usize, lanes: usize, bins: BinSlice<'_>, grads: &[i32], rows: Option<&[u32]>,
    ) = accumulate_sparse_body
}

#[inline(always)]
fn accumulate_sparse_body<V: Vector>(
    sparse: &mut Sparse,
    n_bins: usize,
    lanes: usize,
    bins: BinSlice<'_>,
    grads: &[i32],
    rows: Option<&[u32]>,
) {
    match (bins, rows) {
        (BinSlice::Narrow(bins), Some(rows)) => {
            accumulate::<V, _>(sparse, n_bins, lanes, bins, grads, rows.iter().map(|&row| row as usize));
        }
        (BinSlice::Wide(bins), Some(rows)) => {
            accumulate::<V, _>(sparse, n_bins, lanes, bins, grads, rows.iter().map(|&row| row as usize));
        }
        (BinSlice::Narrow(bins), None) => accumulate::<V, _>(sparse, n_bins, lanes, bins, grads, 0..bins.len()),
        (BinSlice::Wide(bins), None) => accumulate::<V, _>(sparse, n_bins, lanes, bins, grads, 0..bins.len()),
    }
}

#[inline(always)]
fn accumulate<V: Vector, B: BinIndex>(
    sparse: &mut Sparse,
    n_bins: usize,
    lanes: usize,
    bins: &[B],
    grads: &[i32],
    rows: impl Iterator<Item = usize> + Clone,
) {
    let Sparse { marks, cell_of, occupied, below, bins: cell_bins, n_cells, cells } = sparse;
    let n_padded = n_bins.next_multiple_of(64);
    if marks.len() < n_padded {
        marks.resize(n_padded, 0);
        cell_of.resize(n_padded, 0);
        cell_bins.resize(n_padded, 0);
    }
    // Bytes are marked without waiting for the row before; many at a time then become bits.
    for row in rows.clone() {
        marks[bins[row].unpack()] = 1;
    }
    occupied.clear();
    below.clear();
    let mut n = 0;
    let cell_bins = &mut cell_bins[..n_padded];
    let numbers = cell_of[..n_padded].as_chunks_mut::<64>().0;
    for (word_idx, (marks, numbers)) in marks[..n_padded].as_chunks_mut::<64>().0.iter_mut().zip(numbers).enumerate() {
        let mut word = V::bits(marks);
        marks.fill(0);
        occupied.push(word);
        below.push(n as u32);
        while word != 0 {
            let bit = word.trailing_zeros() as usize;
            cell_bins[n] = (64 * word_idx + bit) as u32;
            n += 1;
            numbers[bit & 63] = n as u32;
            word &= word - 1;
        }
    }
    *n_cells = n;
    cells.zero((n + 1) * lanes);
    let cell_of = cell_of.as_slice();
    match lanes {
        4 => add_rows::<V, B, 4>(cells, bins, grads, rows, cell_of),
        8 => add_rows::<V, B, 8>(cells, bins, grads, rows, cell_of),
        16 => add_rows::<V, B, 16>(cells, bins, grads, rows, cell_of),
        24 => add_rows::<V, B, 24>(cells, bins, grads, rows, cell_of),
        _ => {
            for row in rows {
                let cell = &mut cells[cell_of[bins[row].unpack()] as usize * lanes..][..lanes];
                for (sum, &g) in cell.iter_mut().zip(&grads[row * lanes..]) {
                    *sum += i64::from(g);
                }
            }
        }
    }
}

#[inline(always)]
fn add_rows<V: Vector, B: BinIndex, const L: usize>(
    cells: &mut [i64],
    bins: &[B],
    grads: &[i32],
    rows: impl Iterator<Item = usize>,
    cell_of: &[u32],
) {
    let cells = cells.as_chunks_mut::<L>().0;
    let grads = grads.as_chunks::<L>().0;
    for row in rows {
        V::accumulate(&mut cells[cell_of[bins[row].unpack()] as usize], &grads[row]);
    }
}
