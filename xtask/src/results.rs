//! `cargo xtask results`: train every environment of a suite with several seeds and write docs/results.md.
//!
//! One run folder per cell under runs/results; what is already measured is read from docs/results.json, so a run that
//! was interrupted goes on where it stopped. The page is rendered from that file alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{process, workspace};

/// Options of `cargo xtask results`.
#[derive(clap::Args)]
pub struct Args {
    /// Seeds 0 to N−1 of every environment.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Presets, in the order of the page.
    #[arg(long, value_delimiter = ',', default_value = "paper,default")]
    presets: Vec<String>,
    /// Only these environments.
    #[arg(long, value_delimiter = ',')]
    envs: Vec<String>,
    /// Runs side by side, one thread each.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Train nothing; write the page from docs/results.json.
    #[arg(long)]
    render_only: bool,
}

/// Mean and standard deviation.
type Published = (f64, f64);

/// The paper's means and standard deviations over 5 seeds (arXiv 2407.08250v2, tables 3 and 6): trees, then networks.
const CLASSIC: [(&str, Published, Published); 5] = [
    ("Acrobot-v1", (-87.82, 2.16), (-74.83, 1.22)),
    ("CartPole-v1", (500.0, 0.0), (500.0, 0.0)),
    ("MountainCar-v0", (-110.55, 15.60), (-115.53, 1.39)),
    ("MountainCarContinuous-v0", (89.42, 5.73), (85.81, 7.51)),
    ("Pendulum-v1", (-246.89, 20.61), (-249.31, 60.00)),
];

/// What one run reported.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cell {
    env: String,
    preset: String,
    seed: u64,
    steps: u64,
    wall_s: f64,
    train_return_mean: f64,
    eval_return_mean: f64,
    eval_return_std: f64,
    n_trees: u64,
    peak_rss_mb: f64,
    model_sha256: String,
}

type Cells = BTreeMap<String, Cell>;

/// Trains what is missing and writes the page.
pub fn run(args: &Args) -> Result<()> {
    let store = workspace::root().join("docs/results.json");
    let mut cells: Cells = match fs::read_to_string(&store) {
        Ok(text) => serde_json::from_str(&text).context("docs/results.json")?,
        Err(_) => Cells::new(),
    };
    if !args.render_only {
        train(args, &mut cells, &store)?;
    }
    let page = workspace::root().join("docs/results.md");
    fs::write(&page, render(&cells)).with_context(|| page.display().to_string())?;
    println!("wrote {}", page.display());
    Ok(())
}

fn train(args: &Args, cells: &mut Cells, store: &std::path::Path) -> Result<()> {
    ensure!(args.jobs > 0, "--jobs: expected at least 1, got 0");
    if let Some(unknown) = args.envs.iter().find(|env| CLASSIC.iter().all(|(id, ..)| id != env)) {
        bail!("--envs: {unknown} is not in the suite");
    }
    process::run(process::cargo().args(["build", "--release", "--quiet", "-p", "gbrl-cli"]))?;
    let program = workspace::target().join("release/gbrl");
    let mut wanted = Vec::new();
    for preset in &args.presets {
        for (env, ..) in CLASSIC.iter().filter(|(id, ..)| args.envs.is_empty() || args.envs.iter().any(|e| e == id)) {
            wanted.extend((0..args.seeds).map(|seed| (*env, preset.clone(), seed)));
        }
    }
    wanted.retain(|(env, preset, seed)| !cells.contains_key(&key(env, preset, *seed)));
    let (n, queue, done) = (wanted.len(), Mutex::new(wanted.into_iter()), Mutex::new(cells));
    let work = || -> Result<()> {
        loop {
            let Some((env, preset, seed)) = queue.lock().expect("no thread panics").next() else { return Ok(()) };
            let out = workspace::root().join(format!("runs/results/{env}-{preset}-{seed}"));
            // An interrupted run's folder would make the program choose another name.
            let _ = fs::remove_dir_all(&out);
            let mut command = process::command(&program);
            command.args(["train", env, "--preset", &preset, "--threads", "1", "--quiet", "--json"]);
            command.args(["--seed", &seed.to_string(), "--out"]).arg(&out);
            let text = process::output(&mut command)?;
            let line = text.lines().last().unwrap_or_default();
            let mut value: serde_json::Value = serde_json::from_str(line).context("the program's last line")?;
            value["preset"] = preset.clone().into();
            let cell: Cell = serde_json::from_value(value).context("the program's last line")?;
            println!(
                "{env} {preset} seed {seed}: {:.2} in {:.1} s ({n} runs in all)",
                cell.train_return_mean, cell.wall_s
            );
            let mut cells = done.lock().expect("no thread panics");
            cells.insert(key(env, &preset, seed), cell);
            fs::write(store, serde_json::to_string_pretty(&**cells)? + "\n")?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..args.jobs).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })
}

fn key(env: &str, preset: &str, seed: u64) -> String {
    format!("ppo/{env}/{preset}/{seed:03}")
}

fn render(cells: &Cells) -> String {
    let mut page = String::from(
        "# Results\n\n\
         Written by `cargo xtask results` from docs/results.json; do not edit. PPO; the mean return of the last 100 training\n\
         episodes (sampled actions, raw rewards), mean ± standard deviation over seeds 0, 1, …; the paper's columns (5 seeds)\n\
         are from arXiv 2407.08250v2. Runs take one thread; seconds are of the whole program, evaluation included.\n",
    );
    let mut presets: Vec<&str> = Vec::new();
    for cell in cells.values() {
        if !presets.contains(&cell.preset.as_str()) {
            presets.push(&cell.preset);
        }
    }
    presets.sort_by_key(|preset| std::cmp::Reverse(*preset));
    for preset in presets {
        let _ = writeln!(page, "\n## Preset `{preset}`\n");
        page += "| environment | seeds | steps | ours | paper, trees | paper, networks | evaluation (100 episodes) | trees | seconds | peak MB |\n";
        page += "|---|---|---|---|---|---|---|---|---|---|\n";
        for (env, trees, networks) in CLASSIC {
            let runs: Vec<&Cell> = cells.values().filter(|c| c.env == env && c.preset == preset).collect();
            let Some(first) = runs.first() else { continue };
            let of = |f: fn(&Cell) -> f64| mean_std(&runs.iter().map(|c| f(c)).collect::<Vec<_>>());
            let (ours, eval) = (of(|c| c.train_return_mean), of(|c| c.eval_return_mean));
            let _ = writeln!(
                page,
                "| {env} | {} | {} | {:.2} ± {:.2} | {:.2} ± {:.2} | {:.2} ± {:.2} | {:.2} ± {:.2} | {} | {:.1} | {:.0} |",
                runs.len(),
                first.steps,
                ours.0,
                ours.1,
                trees.0,
                trees.1,
                networks.0,
                networks.1,
                eval.0,
                eval.1,
                first.n_trees,
                of(|c| c.wall_s).0,
                of(|c| c.peak_rss_mb).0,
            );
        }
    }
    page += "\n## Every run\n\n| environment | preset | seed | steps | last 100 episodes | evaluation | trees | seconds |\n|---|---|---|---|---|---|---|---|\n";
    for c in cells.values() {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {:.2} | {:.2} ± {:.2} | {} | {:.1} |",
            c.env,
            c.preset,
            c.seed,
            c.steps,
            c.train_return_mean,
            c.eval_return_mean,
            c.eval_return_std,
            c.n_trees,
            c.wall_s
        );
    }
    page
}

/// Mean and sample standard deviation (0 for one value).
fn mean_std(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, if values.len() > 1 { (square / (n - 1.0)).sqrt() } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_row_for_each_environment_that_ran() {
        let cell = |seed, train_return_mean| Cell {
            env: "Pendulum-v1".into(),
            preset: "paper".into(),
            seed,
            steps: 1000,
            wall_s: 2.0,
            train_return_mean,
            eval_return_mean: -200.0,
            eval_return_std: 1.0,
            n_trees: 7,
            peak_rss_mb: 30.0,
            model_sha256: String::new(),
        };
        let cells: Cells =
            [(key("Pendulum-v1", "paper", 0), cell(0, -250.0)), (key("Pendulum-v1", "paper", 1), cell(1, -230.0))]
                .into();
        let page = render(&cells);
        assert!(page.contains("| Pendulum-v1 | 2 | 1000 | -240.00 ± 14.14 | -246.89 ± 20.61 |"), "{page}");
        assert!(!page.contains("Acrobot"));
    }
}
