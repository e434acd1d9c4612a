//! An artefact made ready to decide on this machine: a folder with its files, and what runs there.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::Artefact;
use super::form::EdgePolicy;
use super::vector::{Outputs, Rows};
use crate::error::{Error, Result};

/// Lines of what a failed program said.
const SAID: usize = 20;

/// A temporary folder in which programs run.
pub(super) struct Folder(TempDir);

impl Folder {
    /// With the files of an artefact, if there is one.
    pub fn new(artefact: Option<&Artefact>) -> Result<Self> {
        let folder = Folder(tempfile::tempdir().map_err(|error| Error::file(std::env::temp_dir(), error))?);
        for (name, content) in artefact.iter().flat_map(|artefact| &artefact.files) {
            folder.write(name, content)?;
        }
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path().join(name);
        std::fs::write(&path, content).map_err(|error| Error::file(path, error))
    }

    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path().join(name);
        std::fs::read(&path).map_err(|error| Error::file(path, error))
    }

    /// Runs `command` here; what it said is in the error.
    pub fn run(&self, command: &mut Command, operation: &'static str) -> Result<()> {
        let device = command.get_program().to_string_lossy().into_owned();
        let run = command.current_dir(self.path()).output();
        let run = run.map_err(|error| Error::device(device.clone(), operation, error))?;
        if run.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&run.stderr);
        let said: Vec<&str> = said.lines().take(SAID).collect();
        Err(Error::device(device, operation, format!("{}: {}", run.status, said.join("\n"))))
    }
}

/// An artefact that reads rows from the file `rows` and writes `outputs`.
pub struct Program {
    folder: Folder,
    program: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    pub(super) fn new(folder: Folder, program: impl Into<PathBuf>, arguments: Vec<String>) -> Self {
        Program { folder, program: program.into(), arguments }
    }

    /// What the artefact says about rows, after its own test.
    ///
    /// # Errors
    /// Class `Device` when it fails; class `Io` without a place for temporary files.
    pub fn run(&self, policy: &EdgePolicy, rows: &Rows) -> Result<Outputs> {
        self.folder.write("rows", to_bytes(policy, rows))?;
        self.folder.run(Command::new(&self.program).args(&self.arguments), "running the exported policy")?;
        from_bytes(policy, &self.folder.read("outputs")?)
    }
}

/// Rows as programs read them, in this machine's order of bytes: how many, whether there are masks, then the rows.
fn to_bytes(policy: &EdgePolicy, rows: &Rows) -> Vec<u8> {
    let flags = if rows.masks.is_empty() { 0 } else { policy.mask_len() };
    let n_rows = rows.observations.len() / policy.n_features;
    let mut out = Vec::with_capacity(8 + rows.observations.len() * 4 + rows.masks.len());
    out.extend((n_rows as u32).to_ne_bytes());
    out.extend(u32::from(flags > 0).to_ne_bytes());
    for (i, row) in rows.observations.chunks_exact(policy.n_features).enumerate() {
        out.extend(row.iter().flat_map(|x| x.to_ne_bytes()));
        out.extend(rows.masks[i * flags..][..flags].iter().map(|&allowed| u8::from(allowed)));
    }
    out
}

/// Outputs as programs write them: action, logits and value of each row.
fn from_bytes(policy: &EdgePolicy, bytes: &[u8]) -> Result<Outputs> {
    let (n_action, n_logits) = (policy.action_len(), policy.n_logits);
    let width = 4 * (n_action + n_logits + usize::from(policy.has_value));
    if !bytes.len().is_multiple_of(width) {
        let expected = format!("rows of {width} bytes");
        return Err(Error::format("outputs of the exported policy", "length", expected, bytes.len()));
    }
    let mut out = Outputs::default();
    for row in bytes.chunks_exact(width) {
        let word = |i: usize| [row[4 * i], row[4 * i + 1], row[4 * i + 2], row[4 * i + 3]];
        out.actions.extend((0..n_action).map(|i| match policy.is_box() {
            true => f64::from(f32::from_ne_bytes(word(i))),
            false => f64::from(i32::from_ne_bytes(word(i))),
        }));
        out.logits.extend((n_action..n_action + n_logits).map(|i| f32::from_ne_bytes(word(i))));
        if policy.has_value {
            out.values.push(f32::from_ne_bytes(word(n_action + n_logits)));
        }
    }
    Ok(out)
}
