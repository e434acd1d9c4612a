//! Settings: one definition each, from which fields, defaults, checks, parsers and docs/parameters.md come.

pub mod algo;
pub(crate) mod knob;
pub mod params;
pub mod schedule;
pub mod tree;

pub use algo::{AgentParams, AlgoParams, Algorithm, AwrParams, LogStd, OptimizerKind, PpoParams};
pub use knob::{ParamDef, ParamValue};
pub use params::{ALL, Device, MAX_EPISODES, RunParams, Settings};
pub use schedule::Schedule;
pub use tree::{BinStrategy, Edges, GrowPolicy, Monotone, SplitScore, TreeParams};
