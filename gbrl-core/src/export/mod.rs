//! A trained policy leaves the library: one artefact that decides by itself, proven equal before it is handed over.
//!
//! [`EdgePolicy`] is the policy as flat arrays, normalisation and action head inside; an [`Exporter`] writes it down in
//! one language; [`export`] runs the artefact on recorded states and on every threshold's neighbours and says in what
//! it differs from [`Policy::act`](crate::rl::policy::Policy::act): in nothing, unless leaves were quantised.
//!
//! | format | what | who runs it in the check |
//! |---|---|---|
//! | [`C`](c::C) | C99, tables and short loops | the host's C compiler |
//! | [`Rust`](rust::Rust) | the loadable form and a module for gbrl-edge | gbrl-edge |
//! | [`Onnx`](onnx::Onnx) | ONNX | nobody here: gbrl-edge on the same tables; `cargo xtask edge` runs such files with onnxruntime |
//! | [`Wasm`](wasm::Wasm) | the C form for browsers | Node.js |
//! | [`Json`](json::Json) | the whole policy as text | the library, which reads it back |
//! | [`Loadable`](loadable::Loadable) | the loadable form and its interpreter in C | gbrl-edge, the host's C compiler |

pub mod binary;
pub mod c;
pub mod check;
pub mod form;
pub mod host;
pub mod job;
pub mod json;
pub mod leaves;
pub mod loadable;
pub mod onnx;
pub mod probes;
pub mod program;
mod protobuf;
pub mod rust;
mod states;
pub mod vector;
pub mod wasm;

pub use form::EdgePolicy;
pub use job::{Exported, Format, Order, Report, export, flash_bytes};
pub use leaves::Quantize;
pub use vector::{Outputs, Rows};

use crate::error::{Error, Result};
use crate::rl::policy::Policy;

/// Writes a policy down in one language.
pub trait Exporter {
    /// The format's name, as `--format` has it.
    fn format(&self) -> &'static str;

    /// The files of a policy.
    ///
    /// # Errors
    /// Class `Unsupported` for a policy that the format cannot hold.
    fn export(&self, policy: &EdgePolicy, details: &Details) -> Result<Artefact>;
}

/// What an exporter made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// Names and contents; the first is the one that names the artefact.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What a policy does not say about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Details {
    /// In front of every public name: a C identifier.
    pub prefix: String,
    /// One line on what the policy is.
    pub about: String,
    /// Names of the features, for people.
    pub features: Vec<String>,
    /// Observations `[n, n_features]` for the test vector inside the artefact.
    pub samples: Vec<f32>,
}

impl Details {
    /// What `policy` says of itself.
    ///
    /// # Errors
    /// Class `Value` for a prefix that is no C identifier.
    pub fn new(policy: &Policy, prefix: &str, samples: Vec<f32>) -> Result<Self> {
        let first = prefix.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
        if !first || !prefix.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let rule = "a name of letters, digits and _ that begins with a letter";
            return Err(Error::parameter("name", format!("'{prefix}'"), rule));
        }
        let about = match policy.training() {
            Some(training) => {
                let algo = training.algo.algorithm().name().to_uppercase();
                format!("A policy for {}, trained with {algo} for {} steps.", plain(&training.env), training.timesteps)
            }
            None => "A policy.".into(),
        };
        let features = policy.ensemble().schema().features();
        let kind = |categorical| if categorical { "category" } else { "number" };
        let features = features.iter().map(|f| format!("{} ({})", plain(f.name()), kind(f.is_categorical()))).collect();
        Ok(Details { prefix: prefix.to_owned(), about, features, samples })
    }

    /// The prefix in capitals, with an underscore behind.
    pub fn upper(&self) -> String {
        format!("{}_", self.prefix.to_ascii_uppercase())
    }
}

/// What a policy's exported names begin with, unless somebody says: CartPole-v1 is cartpole.
pub fn name_of(policy: &Policy) -> String {
    policy.training().map_or_else(|| "policy".into(), |training| identifier(&training.env))
}

fn identifier(env: &str) -> String {
    let is_version = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let stem = env.rsplit_once("-v").map_or(env, |(stem, version)| if is_version(version) { stem } else { env });
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = stem.chars().map(plain).collect();
    if name.starts_with(|c: char| c.is_ascii_lowercase()) { name } else { format!("policy_{name}") }
}

/// Text that ends no comment of any language.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || "*/\\<>{}".contains(c) { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers() {
        for (env, name) in [
            ("CartPole-v1", "cartpole"),
            ("MiniGrid-DoorKey-5x5-v0", "minigrid_doorkey_5x5"),
            ("5-in-a-row", "policy_5_in_a_row"),
            ("MountainCarContinuous-v0", "mountaincarcontinuous"),
        ] {
            assert_eq!(identifier(env), name);
        }
    }
}
