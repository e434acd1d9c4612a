//! Raw observations in tiles of sixteen rows, so that one feature of a tile is one vector.

use std::ops::{Deref, DerefMut};

use crate::error::{Error, Result};

/// Rows of a tile.
pub const TILE: usize = 16;

/// One value for each row of a tile, a whole cache line of four-byte values: a load never straddles two lines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Lanes<T>(pub [T; TILE]);

impl<T> Deref for Lanes<T> {
    type Target = [T; TILE];

    fn deref(&self) -> &[T; TILE] {
        &self.0
    }
}

impl<T> DerefMut for Lanes<T> {
    fn deref_mut(&mut self) -> &mut [T; TILE] {
        &mut self.0
    }
}

/// Rows appended over time, kept as `[tile][feature_idx][row % 16]`; the last tile is padded with zeros.
///
/// `clear` keeps the memory: a rollout of the same length never allocates again.
#[derive(Clone, Debug, Default)]
pub struct Tiles {
    n_features: usize,
    n_rows: usize,
    data: Vec<Lanes<f32>>,
}

impl Tiles {
    /// No rows of `n_features` columns.
    pub fn new(n_features: usize) -> Self {
        Tiles { n_features, n_rows: 0, data: Vec::new() }
    }

    /// Columns.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Rows appended since the last `clear`.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.n_rows = 0;
        self.data.clear();
    }

    /// One value.
    pub fn get(&self, row: usize, feature_idx: usize) -> f32 {
        self.data[row / TILE * self.n_features + feature_idx][row % TILE]
    }

    /// The values of one feature, one per row.
    pub fn column(&self, feature_idx: usize) -> impl ExactSizeIterator<Item = f32> + Clone {
        (0..self.n_rows).map(move |row| self.get(row, feature_idx))
    }

    /// The values of one feature, those of a tile at a time.
    pub fn column_parts(&self, feature_idx: usize) -> impl Iterator<Item = &[f32]> {
        let n_rows = self.n_rows;
        self.tiles().enumerate().map(move |(i, tile)| &tile[feature_idx][..(n_rows - TILE * i).min(TILE)])
    }

    /// The tiles, each `[n_features][16]`; the last one may be padded.
    pub fn tiles(&self) -> impl ExactSizeIterator<Item = &[Lanes<f32>]> {
        self.data.chunks_exact(self.n_features.max(1))
    }

    /// All tiles, one behind the other.
    pub fn as_slice(&self) -> &[Lanes<f32>] {
        &self.data
    }

    /// Appends rows given row-major `[k, n_features]`. O(k · n_features), amortised.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) when the length is no multiple of `n_features`.
    pub fn append(&mut self, rows: &[f32]) -> Result<()> {
        let n_rows = self.n_rows + n_rows(rows, self.n_features)?;
        self.data.resize(n_rows.div_ceil(TILE) * self.n_features, Lanes::default());
        for (row, values) in (self.n_rows..).zip(rows.chunks_exact(self.n_features)) {
            let tile = &mut self.data[row / TILE * self.n_features..];
            for (feature_idx, &x) in values.iter().enumerate() {
                tile[feature_idx][row % TILE] = x;
            }
        }
        self.n_rows = n_rows;
        Ok(())
    }

    /// Drops the first `n_oldest` rows and appends those of `newer`. O(rows · n_features).
    pub(crate) fn replace_oldest(&mut self, n_oldest: usize, newer: &Tiles) {
        splice(&mut self.data, self.n_features, (self.n_rows, n_oldest), (&newer.data, newer.n_rows));
        self.n_rows = self.n_rows - n_oldest + newer.n_rows;
    }

    /// All rows, row-major.
    pub fn to_rows(&self) -> Vec<f32> {
        let mut rows = vec![0.0; self.n_rows * self.n_features];
        if self.n_features > 0 {
            rows.chunks_exact_mut(self.n_features).enumerate().for_each(|(row, out)| self.read_row(row, out));
        }
        rows
    }

    /// Writes one row, row-major.
    pub fn read_row(&self, row: usize, out: &mut [f32]) {
        for (feature_idx, x) in out.iter_mut().enumerate() {
            *x = self.get(row, feature_idx);
        }
    }
}

/// Of `old.0` rows in `[tile][width][16]` drops the first `old.1`, then appends the first `more.1` rows of `more.0`. Padding
/// is zero afterwards.
pub(crate) fn splice<T: Copy + Default>(
    lanes: &mut Vec<Lanes<T>>,
    width: usize,
    (n_rows, n_dropped): (usize, usize),
    (more, n_more): (&[Lanes<T>], usize),
) {
    let n_kept = n_rows - n_dropped;
    let n = n_kept + n_more;
    lanes.resize(n_rows.max(n).div_ceil(TILE) * width, Lanes::default());
    // Forwards, so that a row is read before its place is written.
    for row in 0..n_kept {
        for column in 0..width {
            lanes[row / TILE * width + column][row % TILE] =
                lanes[(row + n_dropped) / TILE * width + column][(row + n_dropped) % TILE];
        }
    }
    for row in 0..n_more {
        for column in 0..width {
            lanes[(n_kept + row) / TILE * width + column][(n_kept + row) % TILE] =
                more[row / TILE * width + column][row % TILE];
        }
    }
    lanes.truncate(n.div_ceil(TILE) * width);
    if n > 0 {
        let last = lanes.len() - width;
        lanes[last..].iter_mut().for_each(|column| column[(n - 1) % TILE + 1..].fill(T::default()));
    }
}

/// Rows in a row-major buffer of `n_features` columns.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) when the length is no multiple of `n_features`.
pub fn n_rows(rows: &[f32], n_features: usize) -> Result<usize> {
    if n_features == 0 || !rows.len().is_multiple_of(n_features) {
        return Err(Error::shape("observations", format!("[rows, {n_features}]"), format!("{} values", rows.len())));
    }
    Ok(rows.len() / n_features)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_growth_and_come_back() {
        let mut tiles = Tiles::new(3);
        for i in 0..100 {
            let x = i as f32;
            tiles.append(&[x, -x, 0.5 * x]).unwrap();
        }
        let mut row = [0.0; 3];
        tiles.read_row(77, &mut row);
        assert_eq!(row, [77.0, -77.0, 38.5]);
        assert_eq!(tiles.column(1).nth(5), Some(-5.0));
        assert_eq!((tiles.tiles().len(), tiles.column(0).len()), (7, 100));
        assert!(tiles.append(&[1.0, 2.0]).is_err());
    }
}
