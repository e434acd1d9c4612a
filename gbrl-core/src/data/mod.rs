//! Observations: what the columns mean, where their bins lie, and the binned matrix that trees are grown on.

pub mod binning;
pub mod matrix;
pub mod schema;
pub mod tiles;

pub use binning::{FeatureBins, SortScratch};
pub use matrix::{BinSlice, BinnedColumn, BinnedMatrix, Binning};
pub use schema::{Feature, FeatureKind, FeatureSchema, Vocabulary};
pub use tiles::{Lanes, TILE, Tiles};
