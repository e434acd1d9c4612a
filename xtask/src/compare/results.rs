//! What docs/benchmarks.json holds: every figure of the page, with the circumstances it was measured under.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::workspace;

const FILE: &str = "docs/benchmarks.json";

/// All sections that were ever measured, by name.
#[derive(Default, Serialize, Deserialize)]
pub struct Results {
    pub sections: BTreeMap<String, Section>,
}

/// One table.
#[derive(Serialize, Deserialize)]
pub struct Section {
    pub circumstances: Circumstances,
    pub lines: Vec<Line>,
}

/// When, where and with what a section was measured.
#[derive(Serialize, Deserialize)]
pub struct Circumstances {
    /// Day, in UTC.
    pub date: String,
    pub processor: String,
    pub cores: usize,
    /// Processes that wanted a core over the last minute before the start: 0 on an idle machine.
    pub load: f64,
    /// The widest level that this processor offers, or what GBRL_SIMD asked for.
    pub simd: String,
    pub rustc: String,
    /// Of this repository.
    pub commit: String,
    /// The `cargo xtask` line.
    pub command: String,
    pub quick: bool,
    /// Version of each peer, or why it could not be installed.
    pub peers: BTreeMap<String, String>,
}

/// Two sides doing the same work in turn, or one side alone.
#[derive(Serialize, Deserialize)]
pub struct Line {
    pub work: String,
    pub unit: String,
    pub ours: Side,
    pub theirs: Option<Side>,
    /// Theirs divided by ours, round by round.
    pub ratio: Option<Spread>,
}

/// One program's part.
#[derive(Serialize, Deserialize)]
pub struct Side {
    pub name: String,
    /// What was typed, without the interpreter's folder.
    pub command: String,
    /// The figures, or why there are none.
    pub outcome: Outcome,
}

/// Never dropped: what could not be run says why.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Measured { median: f64, rounds: Vec<f64>, details: serde_json::Value },
    CouldNotRun(String),
}

/// Median and extremes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Spread { median, low: sorted[0], high: sorted[sorted.len() - 1] }
    }
}

impl Results {
    /// What was measured so far; nothing if the file does not exist yet.
    pub fn load() -> Result<Self> {
        match std::fs::read_to_string(workspace::root().join(FILE)) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("reading {FILE}")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Results::default()),
            Err(error) => Err(error).with_context(|| format!("reading {FILE}")),
        }
    }

    /// Writes the file.
    pub fn save(&self) -> Result<()> {
        let path = workspace::root().join(FILE);
        std::fs::create_dir_all(workspace::root().join("docs")).context("making docs/")?;
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n").with_context(|| format!("writing {FILE}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle() {
        assert_eq!(Spread::of(&[4.0, 1.0, 3.0, 2.0]), Spread { median: 2.5, low: 1.0, high: 4.0 });
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]).median, 2.0);
    }
}
