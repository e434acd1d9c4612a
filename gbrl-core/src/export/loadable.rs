//! The loadable form by itself, with the interpreter that reads it in C: for updates in the field.

use super::{Artefact, Details, EdgePolicy, Exporter, binary};
use crate::error::Result;

/// The interpreter's header.
pub const HEADER: &str = include_str!("c/gbrl_edge.h");
/// The interpreter.
pub const SOURCE: &str = include_str!("c/gbrl_edge.c");

/// The exporter of `--format bin`.
#[derive(Clone, Copy, Debug)]
pub struct Loadable;

impl Exporter for Loadable {
    fn format(&self) -> &'static str {
        "bin"
    }

    fn export(&self, policy: &EdgePolicy, details: &Details) -> Result<Artefact> {
        Ok(Artefact {
            files: vec![
                (format!("{}.gbe", details.prefix), binary::to_bytes(policy)),
                ("gbrl_edge.h".into(), HEADER.into()),
                ("gbrl_edge.c".into(), SOURCE.into()),
            ],
        })
    }
}
