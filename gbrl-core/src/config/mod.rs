//! Settings: one definition each, from which fields, defaults, checks, parsers and docs/parameters.md come.

pub(crate) mod knob;
pub mod params;
pub mod schedule;
pub mod tree;

pub use knob::{ParamDef, ParamValue};
pub use params::{ALL, Device, LogStd, MAX_EPISODES, OptimizerKind, PpoParams, RunParams, Settings};
pub use schedule::Schedule;
pub use tree::{BinStrategy, Edges, GrowPolicy, Monotone, SplitScore, TreeParams};
