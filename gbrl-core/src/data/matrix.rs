//! The binned matrix: one small integer per row and feature, by feature.

use std::sync::atomic::{AtomicU64, Ordering};

use super::binning::{self, FeatureBins, SortScratch};
use super::schema::FeatureSchema;
use super::tiles::Tiles;
use crate::config::BinStrategy;
use crate::threads::Threads;

/// Bins of every row, feature-major; `u8` where a feature has at most 256 bins, `u16` for categories beyond.
#[derive(Clone, Debug, Default)]
pub struct BinnedMatrix {
    /// Which binning of this process the bins are from; 0 before the first.
    stamp: u64,
    n_rows: usize,
    columns: Vec<BinnedColumn>,
}

static NEXT_STAMP: AtomicU64 = AtomicU64::new(1);

/// One feature's bins and where they lie.
#[derive(Clone, Debug, Default)]
pub struct BinnedColumn {
    /// What the bins mean.
    pub bins: FeatureBins,
    narrow: Vec<u8>,
    wide: Vec<u16>,
    entries: Vec<u32>,
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

/// What it takes to place bins, per value.
pub(crate) const NANOSECONDS: usize = 7;

impl BinnedMatrix {
    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// A number that equal bins share and no others: whoever keeps a copy elsewhere sees by it whether it is still right.
    pub fn stamp(&self) -> u64 {
        self.stamp
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
    /// O(rows · features). Features are shared out to `threads` where there is enough to sort to be worth waking them;
    /// `scratch` keeps a sorting buffer for each.
    pub fn rebin(
        &mut self,
        schema: &FeatureSchema,
        raw: &Tiles,
        rows: Option<&[u32]>,
        binning: Binning,
        threads: &Threads,
        scratch: &mut Vec<SortScratch>,
    ) {
        self.stamp = NEXT_STAMP.fetch_add(1, Ordering::Relaxed);
        self.columns.resize_with(raw.n_features(), BinnedColumn::default);
        self.n_rows = rows.map_or(raw.n_rows(), <[u32]>::len);
        let rows = rows.filter(|rows| !is_all(rows, raw.n_rows()));
        scratch.resize_with(scratch.len().max(threads.count()), SortScratch::default);
        let rebin = |first: usize, columns: &mut [BinnedColumn], scratch: &mut SortScratch| {
            for (feature_idx, column) in (first..).zip(columns) {
                let categorical = schema.features()[feature_idx].is_categorical();
                column.rebin(raw, feature_idx, rows, categorical, binning, scratch);
            }
        };
        let (mut first, mut columns) = (0, self.columns.as_mut_slice());
        while !columns.is_empty() {
            let n_parts = threads.worth(self.n_rows * columns.len() * NANOSECONDS);
            if n_parts > 1 {
                let share = columns.len().div_ceil(n_parts);
                let parts = columns.chunks_mut(share).zip(scratch).enumerate();
                return threads
                    .share(parts, |(part, (columns, scratch))| rebin(first + part * share, columns, scratch));
            }
            // The others may be awake when the next one is begun.
            let (column, rest) = std::mem::take(&mut columns).split_at_mut(1);
            rebin(first, column, &mut scratch[0]);
            (first, columns) = (first + 1, rest);
        }
    }

    /// Bins all rows of `raw` by numeric edges that are given; categories get bins by what occurs.
    pub fn bin_by(&mut self, edges: &[FeatureBins], schema: &FeatureSchema, raw: &Tiles, scratch: &mut SortScratch) {
        self.stamp = NEXT_STAMP.fetch_add(1, Ordering::Relaxed);
        self.columns.resize_with(raw.n_features(), BinnedColumn::default);
        self.n_rows = raw.n_rows();
        for (feature_idx, column) in self.columns.iter_mut().enumerate() {
            if schema.features()[feature_idx].is_categorical() {
                let binning = Binning { n_bins: 2, strategy: BinStrategy::Quantile, reserve_missing: false };
                column.rebin(raw, feature_idx, None, true, binning, scratch);
            } else {
                column.bins.clone_from(&edges[feature_idx]);
                column.wide.clear();
                column.entries.clear();
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

    /// All rows as [entries](binning::entry) in the order of their bins, of numeric columns; empty where that order is
    /// not known.
    pub fn entries(&self) -> &[u32] {
        if self.bins.categorical { &[] } else { &self.entries }
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
        scratch.start(categorical);
        match rows {
            None => raw.column_parts(feature_idx).for_each(|part| scratch.extend(part.iter().copied())),
            Some(rows) => scratch.extend(rows.iter().map(|&row| raw.get(row as usize, feature_idx))),
        }
        let n = rows.map_or(raw.n_rows(), <[u32]>::len);
        binning::place(n_bins, strategy, reserve_missing, scratch, &mut self.bins);
        self.wide.clear();
        if self.bins.n_bins() <= 256 {
            self.narrow.resize(n, 0);
            binning::assign(scratch, &self.bins, &mut self.narrow, &mut self.entries);
        } else {
            self.narrow.clear();
            self.wide.resize(n, 0);
            binning::assign(scratch, &self.bins, &mut self.wide, &mut self.entries);
        }
    }
}

/// Whether `rows` are all of `n_rows` rows, in order.
pub(crate) fn is_all(rows: &[u32], n_rows: usize) -> bool {
    rows.len() == n_rows && rows.iter().enumerate().all(|(i, &row)| i == row as usize)
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
