//! JSON: the whole policy, trees, head, normalisation and where it comes from, as [`crate::io::json`] describes it.

use super::{Artefact, Details, EdgePolicy, Exporter};
use crate::error::Result;
use crate::io::json;
use crate::rl::policy::Policy;

/// The exporter of `--format json`; it reads back without loss.
#[derive(Clone, Debug)]
pub struct Json {
    text: String,
}

impl Json {
    /// The exporter of one policy: JSON keeps what the flat form has left behind.
    ///
    /// # Errors
    /// As [`Policy::model`].
    pub fn new(policy: &Policy) -> Result<Self> {
        Ok(Json { text: json::to_json(policy.model()?)? })
    }

    /// The policy in a text.
    ///
    /// # Errors
    /// Class `Format` for a text that is no policy's.
    pub fn read(text: &str, n_threads: usize) -> Result<Policy> {
        Policy::from_model(json::from_json(text)?, n_threads)
    }
}

impl Exporter for Json {
    fn format(&self) -> &'static str {
        "json"
    }

    fn export(&self, _: &EdgePolicy, details: &Details) -> Result<Artefact> {
        Ok(Artefact { files: vec![(format!("{}.json", details.prefix), self.text.clone().into_bytes())] })
    }
}
