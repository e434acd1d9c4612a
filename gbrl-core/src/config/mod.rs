//! Settings: one definition each.

pub mod tree;

pub use tree::{BinStrategy, Edges, GrowPolicy, Monotone, SplitScore, TreeParams};
