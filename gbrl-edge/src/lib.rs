//! Runs an exported policy of boosted trees on anything that has Rust's core library.
//!
//! No allocation, no unsafe code, no panic. A discrete decision of a quantised policy does no arithmetic on floating-point
//! numbers: observations are compared by their bits. [`Policy::new`] checks the bytes once, from then on every decision is a fixed number of steps for oblivious trees,
//! and a bounded one for others. Decisions and outputs are equal to those of the library that exported the policy, bit
//! for bit, if its leaves were not quantised.
//!
//! ```
//! use gbrl_edge::{Policy, Work};
//!
//! # static BYTES: &[u8] = include_bytes!("../tests/data/tiny.gbe");
//! // static BYTES: &[u8] = include_bytes!("cartpole.gbe");
//! let policy = Policy::new(BYTES)?;
//! let (mut codes, mut sums) = ([0; 8], [0; 4]); // at least policy.n_codes() and policy.n_sums()
//! let mut work = Work { codes: &mut codes, sums: &mut sums };
//! let mut action = [0];
//! policy.act(&[0.1, f32::NAN], &[], &mut work, &mut action)?;
//! # Ok::<(), gbrl_edge::Error>(())
//! ```
//!
//! The bytes are described in docs/edge-format.md.

#![no_std]
#![forbid(unsafe_code)]

mod bytes;
mod check;
mod crc;
mod error;
mod math;
mod policy;

pub use crc::crc32;
pub use error::Error;
pub use math::{exp_reduced, tanh};
pub use policy::{Policy, Work};
