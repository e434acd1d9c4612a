//! `cargo xtask results`: train every environment of a suite with several seeds and write docs/results.md.
//!
//! One run folder per cell under runs/results; what is already measured is read from docs/results.json, and a run that
//! was interrupted goes on from its last checkpoint, if program, preset and bound are the same. Page and pictures are made
//! from docs/results.json alone. Several commands may work at once: none trains what another is training.

mod cells;
mod curves;
mod page;
mod reference;
mod samples;
mod store;
mod suite;

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::workspace;
use store::Store;
use suite::{Paper, Suite};

/// Options of `cargo xtask results`.
#[derive(clap::Args)]
pub struct Args {
    /// Which environments; classic if not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    suite: Vec<Suite>,
    /// Algorithms: ppo, a2c, awr.
    #[arg(long, value_delimiter = ',', default_value = "ppo,a2c,awr", value_parser = ["ppo", "a2c", "awr"])]
    algo: Vec<String>,
    /// Seeds 0 to N−1 of every environment.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Presets; an environment without one is passed over.
    #[arg(long, value_delimiter = ',', default_value = "paper", alias = "presets")]
    preset: Vec<String>,
    /// Only these environments of the suites.
    #[arg(long, value_delimiter = ',')]
    envs: Vec<String>,
    /// Bound ensembles to this share of the trees that the same run without a bound grew: 0.1 is a tenth.
    #[arg(long, value_name = "SHARE")]
    max_trees: Option<f64>,
    /// Train the trees of gbrl 1.1.9 instead, in a PPO loop of our own with the paper's settings, each until it has learnt,
    /// which takes minutes; one that never learns takes all of the paper's steps, or --cap.
    #[arg(long, conflicts_with_all = ["algo", "preset", "max_trees"])]
    reference: bool,
    /// With --reference: end runs after so many steps even if they have not learnt.
    #[arg(long, value_name = "STEPS", requires = "reference")]
    cap: Option<u64>,
    /// Runs side by side, one thread each.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Train nothing; write page and pictures from docs/results.json.
    #[arg(long)]
    render_only: bool,
}

/// What one run reported.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cell {
    #[serde(default = "ppo")]
    algo: String,
    env: String,
    preset: String,
    seed: u64,
    steps: u64,
    wall_s: f64,
    /// Of processors, user and system, over all sessions; none for runs from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu_s: Option<f64>,
    train_return_mean: f64,
    eval_return_mean: f64,
    eval_return_std: f64,
    n_trees: u64,
    /// The bound that the ensemble was kept to, and its share of the unbounded run's trees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_trees: Option<(u64, f64)>,
    #[serde(default)]
    peak_rss_mb: Option<f64>,
    #[serde(default)]
    model_sha256: String,
    /// Of the preset's settings; nothing for runs from before it was kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    preset_sha256: String,
    /// Steps and mean return of the last 100 episodes.
    #[serde(default)]
    curve: Vec<(u64, f64)>,
}

impl Cell {
    /// Whether it is of the preset with this digest. A run from before one was kept is of no preset of now.
    fn is_of(&self, preset_sha256: &str) -> bool {
        self.preset_sha256 == preset_sha256
    }
}

/// What cells were of before they said so.
fn ppo() -> String {
    "ppo".to_owned()
}

type Cells = BTreeMap<String, Cell>;

fn key(algo: &str, env: &str, preset: &str, seed: u64) -> String {
    format!("{algo}/{env}/{preset}/{seed:03}")
}

/// The same for a run whose ensemble is bounded to a share of the trees.
fn bounded_key(key: &str, share: f64) -> String {
    format!("{key}/max_trees={share}")
}

/// The bound that is a share of the trees of an unbounded run.
fn bound(free: &Cell, share: f64) -> (u64, f64) {
    ((free.n_trees as f64 * share).ceil() as u64, share)
}

/// Trains what is missing and writes the page.
pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    let store = Store::new(root.join("docs/results.json"), root.join("runs/results/.locks"));
    let trained = if args.render_only { Ok(()) } else { cells::train(args, &store) };
    // Also where a run failed or was stopped: what is there is shown.
    let paper = Paper::read()?;
    let page = root.join("docs/results.md");
    store.alone(|cells| {
        fs::write(&page, page::render(&cells, &paper)).with_context(|| page.display().to_string())?;
        curves::draw(&cells, &paper)
    })?;
    println!("wrote {}", page.display());
    trained
}

/// Mean and sample standard deviation, NaN for one value.
fn mean_std(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, (square / (n - 1.0)).sqrt())
}

/// The middle value, of two the lower.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn cell(seed: u64, train_return_mean: f64) -> Cell {
        Cell {
            algo: ppo(),
            env: "Pendulum-v1".into(),
            preset: "paper".into(),
            seed,
            steps: 1000,
            wall_s: 2.0,
            cpu_s: None,
            train_return_mean,
            eval_return_mean: -200.0,
            eval_return_std: 1.0,
            n_trees: 7,
            max_trees: None,
            peak_rss_mb: Some(30.0),
            model_sha256: String::new(),
            preset_sha256: String::new(),
            curve: vec![(500, -900.0), (1000, -300.0)],
        }
    }

    #[test]
    fn cells_from_before_other_algorithms_are_of_ppo() {
        let mut old = serde_json::to_value(cell(0, -1.0)).unwrap();
        old.as_object_mut().unwrap().remove("algo");
        old.as_object_mut().unwrap().remove("curve");
        let read: Cell = serde_json::from_value(old).unwrap();
        assert_eq!((read.algo.as_str(), read.curve.len(), read.cpu_s), ("ppo", 0, None));
    }
}
