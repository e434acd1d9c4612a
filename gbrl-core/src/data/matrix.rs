//! The binned matrix: one small integer per row and feature, by feature.

use std::ops::Range;

use rayon::prelude::*;

use super::binning::{self, FeatureBins, SortScratch};
use super::schema::FeatureSchema;
use super::tiles::Tiles;
use crate::config::BinStrategy;

/// Bins of every row, feature-major; `u8` where a feature has at most 256 bins, `u16` for categories beyond.
#[derive(Clone, Debug, Default)]
pub struct BinnedMatrix {
    n_rows: usize,
    columns: Vec<BinnedColumn>,
}

/// One feature's bins and where they lie.
#[derive(Clone, Debug, Default)]
pub struct BinnedColumn {
    /// What the bins mean.
    pub bins: FeatureBins,
    narrow: Vec<u8>,
    wide: Vec<u16>,
}

/// The stored bins of one feature.
#[derive(Clone, Copy, Debug)]
pub enum BinSlice<'a> {
    /// At most 256 bins.
    Narrow(&'a [u8]),
    /// More than 256.
    Wide(&'a [u16]),
}

/// How bins are placed.
#[derive(Clone, Copy, Debug)]
pub struct Binning {
    /// Bins of a numeric feature, the missing one included.
    pub n_bins: usize,
    /// Where edges lie.
    pub strategy: BinStrategy,
    /// Keep a bin for NaN even where none occurs yet, because the edges will outlive these rows.
    pub reserve_missing: bool,
}

impl BinnedMatrix {
    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// One feature.
    pub fn column(&self, feature_idx: usize) -> &BinnedColumn {
        &self.columns[feature_idx]
    }

    /// All features.
    pub fn columns(&self) -> &[BinnedColumn] {
        &self.columns
    }

    /// Places bins from `rows` of `raw` (`None`: all of them) and bins those rows; row i of the matrix is `rows[i]`.
    ///
    /// O(rows · features). `scratch` holds one sorting buffer per chunk of features that may run in parallel: one
    /// buffer keeps everything on this thread.
    pub fn rebin(
        &mut self,
        schema: &FeatureSchema,
        raw: &Tiles,
        rows: Option<&[u32]>,
        binning: Binning,
        scratch: &mut [SortScratch],
    ) {
        self.columns.resize_with(raw.n_features(), BinnedColumn::default);
        self.n_rows = rows.map_or(raw.n_rows(), <[u32]>::len);
        let chunk = raw.n_features().div_ceil(scratch.len().max(1)).max(1);
        let work = |chunk_idx: usize, columns: &mut [BinnedColumn], scratch: &mut SortScratch| {
            for (i, column) in columns.iter_mut().enumerate() {
                let feature_idx = chunk_idx * chunk + i;
                let categorical = schema.features()[feature_idx].is_categorical();
                column.rebin(raw, feature_idx, rows, categorical, binning, scratch);
            }
        };
        match scratch {
            [one] => work(0, &mut self.columns, one),
            many => self
                .columns
                .par_chunks_mut(chunk)
                .zip(many)
                .enumerate()
                .for_each(|(chunk_idx, (columns, scratch))| work(chunk_idx, columns, scratch)),
        }
    }

    /// Bins all rows of `raw` by numeric edges that are given; categories get bins by what occurs.
    pub fn bin_by(&mut self, edges: &[FeatureBins], schema: &FeatureSchema, raw: &Tiles, scratch: &mut SortScratch) {
        self.columns.resize_with(raw.n_features(), BinnedColumn::default);
        self.n_rows = raw.n_rows();
        for (feature_idx, column) in self.columns.iter_mut().enumerate() {
            if schema.features()[feature_idx].is_categorical() {
                let binning = Binning { n_bins: 2, strategy: BinStrategy::Quantile, reserve_missing: false };
                column.rebin(raw, feature_idx, None, true, binning, scratch);
            } else {
                column.bins.clone_from(&edges[feature_idx]);
                column.wide.clear();
                column.narrow.clear();
                column.narrow.extend(raw.column(feature_idx).map(|x| column.bins.bin(x) as u8));
            }
        }
    }
}

impl BinnedColumn {
    /// The stored bins.
    pub fn slice(&self) -> BinSlice<'_> {
        if self.wide.is_empty() { BinSlice::Narrow(&self.narrow) } else { BinSlice::Wide(&self.wide) }
    }

    fn rebin(
        &mut self,
        raw: &Tiles,
        feature_idx: usize,
        rows: Option<&[u32]>,
        categorical: bool,
        binning: Binning,
        scratch: &mut SortScratch,
    ) {
        let Binning { n_bins, strategy, reserve_missing } = binning;
        let bins = &mut self.bins;
        let n = match rows {
            None => {
                let column = raw.column(feature_idx);
                binning::place(column, categorical, n_bins, strategy, reserve_missing, scratch, bins);
                raw.n_rows()
            }
            Some(rows) => {
                let gathered = rows.iter().map(|&row| raw.get(row as usize, feature_idx));
                binning::place(gathered, categorical, n_bins, strategy, reserve_missing, scratch, bins);
                rows.len()
            }
        };
        self.wide.clear();
        if bins.n_bins() <= 256 {
            self.narrow.resize(n, 0);
            binning::assign(scratch, bins, &mut self.narrow);
        } else {
            self.narrow.clear();
            self.wide.resize(n, 0);
            binning::assign(scratch, bins, &mut self.wide);
        }
    }
}

impl BinSlice<'_> {
    /// The bin of one row.
    pub fn get(&self, row: usize) -> usize {
        match self {
            BinSlice::Narrow(bins) => usize::from(bins[row]),
            BinSlice::Wide(bins) => usize::from(bins[row]),
        }
    }
}

/// Cuts `n` items into at most `parts` ranges of nearly equal length.
pub fn even_ranges(n: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = parts.clamp(1, n.max(1));
    (0..parts).map(move |i| n * i / parts..n * (i + 1) / parts)
}
