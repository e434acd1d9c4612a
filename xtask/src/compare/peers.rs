//! The libraries we compare with, installed into .venv-compare.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Error, Result};

use crate::{process, python};

/// By the names of their packages. The last is our own, from Python.
pub const NAMES: [&str; 6] = ["gbrl", "catboost", "lightgbm", "xgboost", "stable-baselines3", OURS];
pub const OURS: &str = "gbrl-rs";
const FOLDER: &str = ".venv-compare";
/// The system to beat is one version; the others are whatever is current.
const PINNED: [(&str, &str); 1] = [("gbrl", "gbrl==1.1.9")];

/// An interpreter, and for each peer its version or why it is missing.
pub struct Peers {
    pub python: PathBuf,
    state: BTreeMap<String, Result<String, String>>,
}

impl Peers {
    /// Installs what is missing, one by one, so that one failure leaves the others running.
    pub fn install(skipped: &[String]) -> Result<Self> {
        let python = python::environment(FOLDER)?;
        let mut state = BTreeMap::new();
        for name in NAMES {
            let outcome = if skipped.iter().any(|skip| skip == name) {
                Err("left out with --skip-peers".to_owned())
            } else {
                install_one(&python, name)
            };
            println!("{name}: {}", outcome.as_deref().unwrap_or_else(|reason| reason));
            state.insert(name.to_owned(), outcome);
        }
        Ok(Peers { python, state })
    }

    /// For tests: no peer at all.
    #[cfg(test)]
    pub fn none() -> Self {
        Peers { python: PathBuf::new(), state: BTreeMap::new() }
    }

    /// Whether the peer can be run, or the reason why not.
    pub fn available(&self, name: &str) -> Result<(), String> {
        match self.state.get(name) {
            Some(Ok(_)) => Ok(()),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(format!("unknown peer {name}")),
        }
    }

    /// For the page: version, or the reason why there is none.
    pub fn versions(&self) -> BTreeMap<String, String> {
        let text = |state: &Result<String, String>| state.clone().unwrap_or_else(|reason| format!("none ({reason})"));
        self.state.iter().map(|(name, state)| (name.clone(), text(state))).collect()
    }
}

/// The interpreter, with what its caller needs of them and no more.
pub fn python_with(packages: &[&str]) -> Result<PathBuf> {
    let python = python::environment(FOLDER)?;
    for name in packages {
        let version = install_one(&python, name).map_err(|reason| Error::msg(format!("{name} {reason}")))?;
        println!("{name}: {version}");
    }
    Ok(python)
}

fn install_one(python: &PathBuf, name: &str) -> Result<String, String> {
    if name == OURS {
        return python::install_own(python)
            .and_then(|_| version(python, name))
            .map_err(|error| format!("could not be installed: {error:#}"));
    }
    if let Ok(version) = version(python, name) {
        return Ok(version);
    }
    let requirement = PINNED.iter().find(|(pinned, _)| *pinned == name).map_or(name, |(_, requirement)| requirement);
    println!("installing {requirement} into {FOLDER}");
    process::output(process::command(python).args(["-m", "pip", "install", "--quiet", requirement, "numpy"]))
        .and_then(|_| version(python, name))
        .map_err(|error| format!("could not be installed: {error:#}"))
}

fn version(python: &PathBuf, name: &str) -> Result<String> {
    let program = format!("import importlib.metadata as m; print(m.version('{name}'))");
    Ok(process::output(process::command(python).args(["-c", &program]))?.trim().to_owned())
}
