//! The loadable form by itself, with the interpreter that reads it in C: for updates in the field.

use super::c::{STRICT, TANH, TARGET};
use super::{Artefact, Details, EdgePolicy, Exporter, binary};
use crate::error::Result;

/// The interpreter's header.
pub const HEADER: &str = include_str!("c/gbrl_edge.h");

/// The interpreter, in one file: what it shares with exported C is put in.
pub fn source() -> String {
    let parts = [("target.c", TARGET), ("strict.c", STRICT), ("tanh.c", TANH)];
    let whole = include_str!("c/gbrl_edge.c").to_owned();
    parts.iter().fold(whole, |text, (name, part)| text.replace(&format!("#include \"{name}\"\n"), part))
}

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
                ("gbrl_edge.c".into(), source().into()),
            ],
        })
    }
}
