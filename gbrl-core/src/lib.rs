//! Reinforcement learning whose policy and value function are gradient-boosted trees, grown online.
//!
//! Every minibatch of policy gradients adds one tree (Fuhrer, Tessler, Dalal: *Gradient Boosting Reinforcement
//! Learning*, ICML 2025). The crate reads from the data to the policy, each module building on those before it:
//!
//! [`data`] → [`tree`] → [`ensemble`] → [`backend`] → [`grow`] → [`boost`] → [`rl`] → [`export`], with [`io`] and
//! [`explain`] looking on.

pub mod backend;
pub mod boost;
pub mod config;
pub mod data;
pub mod ensemble;
pub mod error;
pub mod explain;
pub mod export;
pub mod grow;
pub mod io;
pub mod math;
pub mod rl;
pub mod rng;
pub mod threads;
pub mod tree;

/// This crate's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub use error::{Error, ErrorClass, ErrorKind, Result};
