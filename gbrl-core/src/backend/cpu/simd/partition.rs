//! Stable partition of a node's rows.

use super::vector::Vector;
use crate::data::BinSlice;
use crate::data::binning::BinIndex;

super::kernel! {
    /// Moves rows whose bin is marked in `goes_right` behind the others, both in their old order, and counts the
    /// others. `spare` has room for all rows.
    pub fn partition(rows: &mut [u32], spare: &mut [u32], bins: BinSlice<'_>, goes_right: &[u8], n_left: &mut usize) =
        partition_body
}

#[inline(always)]
fn partition_body<V: Vector>(
    rows: &mut [u32],
    spare: &mut [u32],
    bins: BinSlice<'_>,
    goes_right: &[u8],
    n_left: &mut usize,
) {
    *n_left = match bins {
        BinSlice::Narrow(bins) => partition_bins(rows, spare, bins, goes_right),
        BinSlice::Wide(bins) => partition_bins(rows, spare, bins, goes_right),
    };
}

/// Both ends are written for every row and only one end advances: no branch to mispredict.
#[inline(always)]
fn partition_bins<B: BinIndex>(rows: &mut [u32], spare: &mut [u32], bins: &[B], goes_right: &[u8]) -> usize {
    let (mut left, mut right) = (0, 0);
    for i in 0..rows.len() {
        let row = rows[i];
        let goes_right = usize::from(goes_right[bins[row as usize].unpack()]);
        rows[left] = row;
        spare[right] = row;
        left += 1 - goes_right;
        right += goes_right;
    }
    rows[left..].copy_from_slice(&spare[..right]);
    left
}
