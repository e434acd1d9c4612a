//! The only unsafe code of this crate: loops compiled for the vector width that the processor has.
//!
//! A [`Simd`] value is a witness: it can only be made where the processor has the level it names, so its methods need
//! no further check. Every kernel is written once, generic over the few operations of `Vector` that the compiler
//! does not find by itself, and compiled once per level. Lanes are fixed by the formula, never by the level, and
//! nothing is contracted or reassociated: all levels give the same bytes, which the tests assert.
//!
//! On aarch64 the portable form is compiled for NEON, which every such processor has.

#![allow(unsafe_code)]

mod histogram;
mod joint;
mod partition;
mod predict;
pub(super) mod quantise;
mod score;
pub(super) mod sorted;
mod sparse;
mod vector;

pub use predict::ROW_FEATURES;
pub use score::NodeRule;
pub use sparse::Sparse;

use crate::error::{Error, Result};

/// Proof that the processor has a vector level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simd {
    level: Level,
}

/// Vector levels, slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor of the architecture has.
    Portable,
    /// 256-bit vectors (x86-64 of 2013 and later).
    Avx2,
    /// 512-bit vectors with byte, double-word and mask operations.
    Avx512,
}

impl Level {
    /// All levels, slowest first.
    pub const ALL: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512];

    /// The name that GBRL_SIMD takes.
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }
}

impl Simd {
    /// The best level of this processor, or the one that the environment variable `GBRL_SIMD` names.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownName`](crate::error::ErrorKind::UnknownName) for a level that does not exist, and
    /// [`ErrorKind::Unsupported`](crate::error::ErrorKind::Unsupported) for one that this processor lacks.
    pub fn detect() -> Result<Self> {
        match std::env::var("GBRL_SIMD") {
            Err(_) => {
                let best = Level::ALL.into_iter().rev().find_map(Simd::force);
                Ok(best.unwrap_or(Simd { level: Level::Portable }))
            }
            Ok(name) => {
                let level = Level::ALL
                    .into_iter()
                    .find(|level| level.name() == name)
                    .ok_or_else(|| Error::unknown_name("GBRL_SIMD level", name, Level::ALL.map(Level::name)))?;
                Simd::force(level).ok_or_else(|| {
                    Error::unsupported(
                        "the vector level",
                        format!("GBRL_SIMD={}", level.name()),
                        "the processor lacks it",
                    )
                })
            }
        }
    }

    /// A certain level, if this processor has it.
    pub fn force(level: Level) -> Option<Self> {
        let available = match level {
            Level::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("lzcnt")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                Simd::force(Level::Avx2).is_some()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512cd")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => false,
        };
        available.then_some(Simd { level })
    }

    /// Which level this is.
    pub fn level(self) -> Level {
        self.level
    }
}

/// Compiles one generic body for every level and adds a method to [`Simd`] that runs the right one.
macro_rules! kernel {
    ($(#[$doc:meta])* pub fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        impl crate::backend::cpu::simd::Simd {
            $(#[$doc])*
            pub fn $name(self, $($arg: $ty),*) {
                use crate::backend::cpu::simd::{Level, vector};
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
                fn avx512($($arg: $ty),*) {
                    $body::<vector::Avx512>($($arg),*)
                }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
                fn avx2($($arg: $ty),*) {
                    $body::<vector::Avx2>($($arg),*)
                }
                match self.level() {
                    // SAFETY: a Simd of this level exists only where the processor has all the features listed above.
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => unsafe { avx2($($arg),*) },
                    _ => $body::<vector::Portable>($($arg),*),
                }
            }
        }
    };
}
use kernel;
