//! Rules that no compiler checks, each in one file, each telling the place and what to do.
//!
//! They run as tests of this crate, so plain `cargo test` finds a breach too.

mod core_crate;
mod documents;
mod mentions;
mod module_order;
mod rust;
mod text;
mod unsafe_code;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::workspace;

/// A file of the workspace.
struct File {
    /// Relative to the root, with forward slashes.
    path: String,
    /// Contents.
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// A breach of a rule.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    /// File, relative to the root.
    path: String,
    /// Counted from 1; 0 where the whole file is meant.
    line: usize,
    /// What is wrong and what to do.
    message: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// A rule: all breaches in the given files.
type Rule = fn(&[File]) -> Vec<Breach>;

const RULES: [Rule; 8] = [
    text::trailing_whitespace,
    text::length,
    mentions::check,
    unsafe_code::check,
    module_order::check,
    core_crate::silent,
    core_crate::knows_no_environment,
    documents::check,
];

/// Checks the whole workspace; prints every breach and fails if there is one.
pub fn run() -> Result<()> {
    let breaches = breaches(&files()?);
    for breach in &breaches {
        eprintln!("{breach}");
    }
    match breaches.len() {
        0 => Ok(()),
        n => bail!("{n} tidy rules broken, listed above"),
    }
}

fn breaches(files: &[File]) -> Vec<Breach> {
    RULES.iter().flat_map(|rule| rule(files)).collect()
}

/// The text files of the workspace; what is no UTF-8 is no text.
fn files() -> Result<Vec<File>> {
    let mut files = Vec::new();
    for path in workspace::files()? {
        if let Ok(text) = String::from_utf8(std::fs::read(workspace::root().join(&path))?) {
            files.push(File { path: with_forward_slashes(path), text });
        }
    }
    Ok(files)
}

fn with_forward_slashes(path: PathBuf) -> String {
    path.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace of one file.
    pub fn one(path: &str, text: &str) -> Vec<File> {
        vec![File { path: path.into(), text: text.into() }]
    }

    #[test]
    fn the_workspace_is_tidy() {
        let breaches = breaches(&files().unwrap());
        let list: Vec<String> = breaches.iter().map(Breach::to_string).collect();
        assert!(list.is_empty(), "\n{}", list.join("\n"));
    }

    #[test]
    fn a_breach_names_its_place() {
        let breach = Breach { path: "a/b.rs".into(), line: 3, message: "too long".into() };
        assert_eq!(breach.to_string(), "a/b.rs:3: too long");
    }
}
