//! The table of docs/edge.md: trains the policies, makes small ones of them, measures all.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::tools;
use crate::steps::Outcome;
use crate::{process, workspace};

/// A policy, how it is trained, and sizes that are made of it.
struct Recipe {
    folder: &'static str,
    env: &'static str,
    settings: &'static [&'static str],
    sizes: &'static [u64],
}

const RECIPES: [Recipe; 4] = [
    // The small one: a tree from each rollout of 32,768 steps, at a high rate.
    Recipe {
        folder: "pole",
        env: "CartPole-v1",
        settings: &[
            "total_timesteps=524288",
            "n_steps=2048",
            "batch_size=32768",
            "n_epochs=1",
            "gamma=0.99",
            "gae_lambda=0.95",
            "policy_lr=1.5",
            "value_lr=0.2",
            "max_depth=3",
            "n_bins=8",
        ],
        sizes: &[],
    },
    Recipe {
        folder: "cartpole",
        env: "CartPole-v1",
        settings: &[
            "total_timesteps=150000",
            "gamma=0.99",
            "gae_lambda=0.95",
            "policy_lr=linear:0.15:0.01",
            "value_lr=0.05",
        ],
        sizes: SIZES,
    },
    Recipe {
        folder: "lunarlander",
        env: "LunarLander-v3",
        settings: &[
            "total_timesteps=4000000",
            "n_steps=1024",
            "batch_size=4096",
            "n_epochs=6",
            "policy_lr=linear:0.2:0.02",
            "value_lr=0.05",
            "ent_coef=0.02",
            "noise_correlation=0",
        ],
        sizes: SIZES,
    },
    Recipe {
        folder: "doorkey",
        env: "MiniGrid-DoorKey-5x5-v0",
        settings: &[
            "total_timesteps=1048576",
            "n_steps=128",
            "batch_size=2048",
            "n_epochs=8",
            "policy_lr=0.1",
            "value_lr=0.010031711962959627",
        ],
        sizes: SIZES,
    },
];
const SIZES: &[u64] = &[16, 64, 256, 1024];
const SEED: &str = "0";
const MODEL: &str = "model.gbrl";
/// Beside the model: what it was made from.
const NOTE: &str = "recipe.txt";

const PAGE: &str = "docs/edge.md";
const BEGIN: &str = "<!-- table: cargo xtask edge -->";
const END: &str = "<!-- end of table -->";
const PROCESSORS: [&str; 4] = ["M0", "M3", "M4F", "M7"];

/// Runs the step.
pub fn run() -> Result<Outcome> {
    if let Some(missing) = tools::missing(tools::ARM) {
        return Ok(Outcome::Skipped(missing));
    }
    if !RECIPES.iter().all(Recipe::is_made) {
        build("gbrl-cli", "gbrl")?;
    }
    build("gbrl-benches", "edge")?;
    let mut rows = String::from(
        "| policy | trees | leaves | flash | RAM M0, M4F | M0 | M3 | M4F | M7 | same action | return |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for recipe in &RECIPES {
        let full = recipe.train()?;
        let mut models: Vec<PathBuf> =
            recipe.sizes.iter().map(|&n| recipe.compress(&full, n)).collect::<Result<_>>()?;
        if models.is_empty() {
            models.push(full.clone());
        }
        let said = process::output(process::command(program("edge")).arg(&full).args(&models))?;
        for line in said.lines() {
            rows.push_str(&row(&serde_json::from_str(line).with_context(|| line.to_owned())?));
        }
    }
    let path = workspace::root().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| PAGE.to_owned())?;
    fs::write(&path, replaced(&page, &rows).with_context(|| format!("{PAGE} has no `{BEGIN}` and `{END}`"))?)?;
    println!("wrote {PAGE}");
    Ok(Outcome::Passed)
}

fn build(package: &str, name: &str) -> Result<()> {
    let build = ["build", "--release", "--locked", "--features", "box2d", "--package", package, "--bin", name];
    process::run(process::cargo().args(build))
}

fn program(name: &str) -> PathBuf {
    workspace::target().join("release").join(name)
}

impl Recipe {
    fn folder(&self) -> PathBuf {
        workspace::target().join("edge").join(self.folder)
    }

    /// What the run in the folder was made from, if it was made from this.
    fn text(&self) -> String {
        format!("{} seed {SEED}\n{}\n", self.env, self.settings.join("\n"))
    }

    fn is_trained(&self) -> bool {
        let made = fs::read_to_string(self.folder().join(NOTE));
        self.folder().join(MODEL).is_file() && made.is_ok_and(|made| made == self.text())
    }

    /// Whether the run and the small policies are there.
    fn is_made(&self) -> bool {
        self.is_trained() && self.sizes.iter().all(|&n| self.folder().join(small(n)).is_file())
    }

    /// The model of the run, trained unless target/edge has it from the same settings.
    fn train(&self) -> Result<PathBuf> {
        let folder = self.folder();
        let model = folder.join(MODEL);
        if self.is_trained() {
            return Ok(model);
        }
        let _ = fs::remove_dir_all(&folder);
        let mut train = process::command(program("gbrl"));
        train.args(["train", self.env, "--seed", SEED]).arg("--out").arg(&folder);
        self.settings.iter().for_each(|setting| {
            train.args(["--set", setting]);
        });
        process::run(&mut train)?;
        fs::write(folder.join(NOTE), self.text()).with_context(|| folder.display().to_string())?;
        Ok(model)
    }

    /// The policy in at most `n` trees.
    fn compress(&self, full: &Path, n: u64) -> Result<PathBuf> {
        let small = full.with_file_name(small(n));
        // As old as the run that it was made from.
        if !small.is_file() {
            let trees = n.to_string();
            let mut compress = process::command(program("gbrl"));
            compress.arg("compress").arg(full).args(["--episodes", "0", "--trees", &trees]).arg("--out").arg(&small);
            process::run(&mut compress)?;
        }
        Ok(small)
    }
}

/// The file of the policy in at most `n` trees.
fn small(n: u64) -> String {
    format!("model-{n}.gbrl")
}

/// A row of the table.
fn row(line: &Value) -> String {
    let cost = |board: &str, what: &str| match line["boards"][board][what].as_u64() {
        Some(n) => n.to_string(),
        None => "–".into(),
    };
    let number = |name: &str| line[name].as_f64().unwrap_or(f64::NAN);
    let mut out = format!(
        "| {} | {} | {} | {} | {}, {} ",
        line["env"].as_str().unwrap_or_default(),
        line["n_trees"],
        line["leaves"].as_str().unwrap_or_default(),
        cost("M4F", "flash"),
        cost("M0", "ram"),
        cost("M4F", "ram"),
    );
    PROCESSORS.iter().for_each(|board| {
        let _ = write!(out, "| {} ", cost(board, "instructions"));
    });
    // A mean is written as exactly as its size deserves.
    let decimals = if number("return_before").abs() < 10.0 { 3 } else { 1 };
    let (before, after) = (number("return_before"), number("return_after"));
    let _ = writeln!(out, "| {:.2} % | {before:.decimals$} → {after:.decimals$} |", 100.0 * number("agreement"));
    out
}

/// The page with other rows between its marks.
fn replaced(page: &str, rows: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{rows}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_put_between_the_marks() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = replaced(&page, "| new |\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\n| new |\n{END}\nafter\n"));
        assert_eq!(replaced(&new, "| new |\n"), Some(new));
        assert_eq!(replaced("no marks", ""), None);
    }

    #[test]
    fn a_policy_that_does_not_fit_has_a_dash() {
        let line = serde_json::json!({
            "env": "CartPole-v1", "n_trees": 16, "leaves": "int16", "agreement": 0.9987, "return_before": 499.96,
            "return_after": 0.875,
            "boards": {"M0": null, "M4F": {"flash": 868, "ram": 52, "instructions": 1024}},
        });
        assert_eq!(
            row(&line),
            "| CartPole-v1 | 16 | int16 | 868 | –, 52 | – | – | 1024 | – | 99.87 % | 500.0 → 0.9 |\n"
        );
    }

    #[test]
    fn the_page_has_the_marks() {
        let page = fs::read_to_string(workspace::root().join(PAGE)).unwrap();
        assert!(replaced(&page, "").is_some());
    }
}
