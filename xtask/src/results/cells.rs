//! Training what is missing: one run folder per cell, which an interrupted run goes on from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::reference::{self, Reference};
use super::store::Store;
use super::suite::{Home, Suite};
use super::{Args, Cell, Cells, bound, bounded_key, key};
use crate::kernels::hash;
use crate::{process, python, workspace};

const GYMNASIUM: (&str, &str) = (".venv-results", "xtask/src/results/requirements.txt");
/// Prints the hash of the installed package.
const HASH: &str = "
import gbrl_rs, hashlib, pathlib
files = pathlib.Path(gbrl_rs.__file__).parent.rglob('*')
code = sorted(file for file in files if file.suffix in ('.py', '.so', '.pyd'))
print(hashlib.sha256(b''.join(file.read_bytes() for file in code)).hexdigest())";

/// A cell to be trained.
#[derive(Clone)]
struct Wanted {
    env: &'static str,
    home: Home,
    algo: String,
    preset: String,
    seed: u64,
    steps: u64,
    preset_sha256: String,
    /// The bound of the ensemble, and its share of the unbounded run's trees.
    max_trees: Option<(u64, f64)>,
}

impl Wanted {
    fn key(&self) -> String {
        let key = key(&self.algo, self.env, &self.preset, self.seed);
        self.max_trees.map_or(key.clone(), |(_, share)| bounded_key(&key, share))
    }

    /// What another preset, another bound or another program began is in another folder.
    fn folder(&self, programs: &Programs) -> Result<PathBuf> {
        let bound = self.max_trees.map_or(String::new(), |(trees, _)| format!("-{trees}"));
        let (preset, program) = (&self.preset_sha256[..8], &programs.sha256(self.home)?[..8]);
        Ok(programs.runs.join(format!("{}{bound}-{preset}-{program}", self.key().replace('/', "-"))))
    }

    /// Whether a run is of the preset as it is now, and of the bound that follows from its unbounded twin.
    fn is_trained_as(&self, cell: &Cell) -> bool {
        cell.is_of(&self.preset_sha256) && cell.max_trees == self.max_trees
    }

    fn is_in(&self, cells: &Cells) -> bool {
        cells.get(&self.key()).is_some_and(|trained| self.is_trained_as(trained))
    }

    fn name(&self) -> String {
        let bound = self.max_trees.map_or(String::new(), |(trees, _)| format!(", at most {trees} trees"));
        format!("{} {} {} seed {}{bound}", self.algo, self.env, self.preset, self.seed)
    }
}

/// The programs that train, and where.
struct Programs {
    rust: PathBuf,
    /// Python with the package, and the package's hash, once it is needed.
    python: Option<(PathBuf, String)>,
    /// Once it is needed.
    reference: Option<Reference>,
    /// Holds the folders of runs.
    runs: PathBuf,
}

impl Programs {
    /// Of the program that trains environments from `home`, as it is now.
    fn sha256(&self, home: Home) -> Result<String> {
        match (home, &self.python, &self.reference) {
            (Home::Gymnasium, Some((_, sha256)), _) => Ok(sha256.clone()),
            (Home::Reference, _, Some(reference)) => Ok(reference.sha256.clone()),
            _ => Ok(hash(&fs::read(&self.rust).with_context(|| self.rust.display().to_string())?)),
        }
    }

    /// The command that trains `cell` in `folder`, or what a checkpoint there leaves of it.
    fn train(&self, cell: &Wanted, folder: &Path, is_rest: bool) -> Command {
        let mut command;
        match (cell.home, &self.python, &self.reference) {
            (Home::Reference, _, Some(reference)) => {
                return reference.command(&self.rust, (cell.env, cell.seed), folder);
            }
            (Home::Gymnasium, Some((python, _)), _) => {
                command = process::command(python);
                command.args(["-m", "gbrl_rs"]);
            }
            _ => command = process::command(&self.rust),
        }
        command.args(["train", cell.env]);
        if is_rest {
            command.arg("--resume").arg(folder);
        } else {
            command.args(["--algo", &cell.algo, "--preset", &cell.preset, "--seed", &cell.seed.to_string()]);
            command.arg("--out").arg(folder);
            if cell.home == Home::Rust {
                command.args(["--set", &format!("checkpoint_every={}", cell.steps.div_ceil(10))]);
            }
            if let Some((max_trees, _)) = cell.max_trees {
                command.args(["--set", &format!("max_trees={max_trees}")]);
            }
        }
        command.args(["--threads", "1", "--quiet", "--json"]);
        command
    }
}

/// Trains what the arguments ask for and the store has not, saving after every run.
pub fn train(args: &Args, store: &Store) -> Result<()> {
    ensure!(args.jobs > 0, "--jobs: expected at least 1, got 0");
    process::run(process::cargo().args(["build", "--release", "--quiet", "-p", "gbrl-cli"]))?;
    let (rust, runs) = (workspace::target().join("release/gbrl"), workspace::root().join("runs/results"));
    let mut programs = Programs { rust, python: None, reference: None, runs };
    let cells = store.read()?;
    let mut wanted = wanted(args, &programs.rust, &cells)?;
    let asked = wanted.len();
    wanted.retain(|cell| !cell.is_in(&cells));
    println!("{asked} runs asked for, {} of them to be trained", wanted.len());
    if wanted.iter().any(|cell| cell.home == Home::Gymnasium) {
        programs.python = Some(gymnasium()?);
    }
    if wanted.iter().any(|cell| cell.home == Home::Reference) {
        programs.reference = Some(Reference::install(args.cap)?);
    }
    let bars = MultiProgress::new();
    let total = bars.add(ProgressBar::new(wanted.iter().map(|cell| cell.steps).sum()));
    let style = "{prefix:40!} {bar:30} {percent:>3} %  {elapsed} gone, {eta} to go";
    let style = ProgressStyle::with_template(style).context("progress bar")?;
    total.set_style(style.clone());
    total.set_prefix(format!("{} runs", wanted.len()));
    total.enable_steady_tick(Duration::from_secs(1));
    let (queue, failed) = (Mutex::new(wanted.into_iter()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some(cell) = queue.lock().expect("no thread panics").next() else { return };
            let bar = bars.add(ProgressBar::new(cell.steps).with_style(style.clone()));
            bar.set_prefix(cell.name());
            let trained = run_unclaimed(&cell, &programs, store, (&bar, &total));
            bar.finish_and_clear();
            // One run that cannot be trained keeps the others from nothing.
            let said = trained.unwrap_or_else(|error| {
                failed.lock().expect("no thread panics").push(cell.name());
                format!("{error:#}")
            });
            let _ = bars.println(format!("{}: {said}", cell.name()));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().expect("no thread panics");
    ensure!(failed.is_empty(), "{} runs failed: {}", failed.len(), failed.join(", "));
    Ok(())
}

/// Every cell that the arguments name and that has a preset.
fn wanted(args: &Args, program: &Path, cells: &Cells) -> Result<Vec<Wanted>> {
    if let Some(share) = args.max_trees {
        ensure!(share > 0.0 && share < 1.0, "--max-trees: expected above 0, below 1, got {share}");
    }
    let suites = if args.suite.is_empty() { vec![Suite::Classic] } else { args.suite.clone() };
    let mut envs: Vec<_> = suites.iter().flat_map(|suite| suite.envs()).copied().collect();
    let (mut algos, mut presets) = (args.algo.clone(), args.preset.clone());
    if args.reference {
        envs = reference::envs(&envs)?;
        (algos, presets) = (vec![reference::NAME.to_owned()], vec!["paper".to_owned()]);
    }
    if let Some(unknown) = args.envs.iter().find(|env| envs.iter().all(|(id, _)| id != env)) {
        bail!("--envs: expected environments of the suites ({}), got {unknown}", names(&envs));
    }
    let mut wanted = Vec::new();
    for algo in &algos {
        for preset in &presets {
            for &(env, home) in envs.iter().filter(|(id, _)| args.envs.is_empty() || args.envs.iter().any(|e| e == id))
            {
                let mut command = process::command(program);
                let settings_of = if home == Home::Reference { "ppo" } else { algo };
                command.args(["presets", preset, "--env", env, "--algo", settings_of]);
                // Not every environment has a preset of the paper's.
                let Ok(text) = process::output(&mut command) else { continue };
                let settings: toml::Table = text.parse().context("a preset")?;
                let steps = settings["total_timesteps"].as_integer().context("total_timesteps")? as u64;
                let preset_sha256 = digest(settings);
                for seed in 0..args.seeds {
                    let key = key(algo, env, preset, seed);
                    let free = cells.get(&key).filter(|cell| cell.is_of(&preset_sha256));
                    let max_trees = match (args.max_trees, free) {
                        (None, _) => None,
                        (Some(share), Some(free)) => Some(bound(free, share)),
                        (Some(_), None) => bail!("--max-trees: {key} has to be trained without a bound before"),
                    };
                    let (algo, preset) = (algo.clone(), preset.clone());
                    let preset_sha256 = preset_sha256.clone();
                    wanted.push(Wanted { env, home, algo, preset, seed, steps, preset_sha256, max_trees });
                }
            }
        }
    }
    Ok(wanted)
}

/// Of the settings alone: where they come from changes no run.
fn digest(mut settings: toml::Table) -> String {
    settings.remove("source");
    hash(settings.to_string().as_bytes())
}

fn names(envs: &[(&str, Home)]) -> String {
    envs.iter().map(|(id, _)| *id).collect::<Vec<_>>().join(", ")
}

/// Python with Gymnasium's Box2D and this project's package, built from the sources as they are.
fn gymnasium() -> Result<(PathBuf, String)> {
    let python = python::install_file(GYMNASIUM.0, GYMNASIUM.1)?;
    python::install_own(&python)?;
    let sha256 = process::output(process::command(&python).args(["-c", HASH]))?;
    Ok((python, sha256.trim().to_owned()))
}

/// Trains a cell that nobody else does and adds it to the store; says what came of it.
fn run_unclaimed(
    cell: &Wanted,
    programs: &Programs,
    store: &Store,
    (bar, total): (&ProgressBar, &ProgressBar),
) -> Result<String> {
    let left_alone = |reason: &str| {
        total.inc(cell.steps);
        Ok(reason.to_owned())
    };
    let folder = cell.folder(programs)?;
    let Some(_claim) = store.claim(&cell.key(), &folder)? else {
        return left_alone("left to another process, which is training it");
    };
    if cell.is_in(&store.read()?) {
        return left_alone("trained by another process meanwhile");
    }
    let trained = run_one(cell, programs, &folder, (bar, total))?;
    let said = format!("{:.2} in {:.1} s", trained.train_return_mean, trained.wall_s);
    store.add(cell.key(), trained)?;
    // Whoever takes the cell out of the store wants it measured, not evaluated again.
    let checkpoints = folder.join("checkpoints");
    // The reference leaves none.
    if checkpoints.is_dir() {
        fs::remove_dir_all(&checkpoints).with_context(|| checkpoints.display().to_string())?;
    }
    Ok(said)
}

/// Trains one cell, or the rest of it.
fn run_one(cell: &Wanted, programs: &Programs, folder: &Path, bars: (&ProgressBar, &ProgressBar)) -> Result<Cell> {
    if let Some(before) = spent_before(cell, folder) {
        match run_session(cell, programs, folder, Some(before), bars) {
            // Only its evaluation was left; there is none of a run that was stopped while it learnt from its last rollout.
            Err(error) if cell.home == Home::Gymnasium => {
                bars.0.println(format!("{}: trained anew: {error:#}", cell.name()));
            }
            trained => return trained,
        }
    }
    // A folder without a checkpoint would make the program choose another name.
    let _ = fs::remove_dir_all(folder);
    run_session(cell, programs, folder, None, bars)
}

/// What the earlier sessions of a run took until its last checkpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spent {
    wall_s: f64,
    /// `None` where one of them did not count.
    cpu_s: Option<f64>,
}

/// `None` for a run that begins, or has to begin anew.
fn spent_before(cell: &Wanted, folder: &Path) -> Option<Spent> {
    let done = last_checkpoint(folder)?;
    // Gymnasium's environments cannot be saved: what is left of such a run is the same only where it is its evaluation.
    if cell.home == Home::Gymnasium && done < cell.steps {
        return None;
    }
    let row = metrics(folder).ok()?.into_iter().rfind(|row| row.steps <= done)?;
    Some(Spent { wall_s: row.elapsed?, cpu_s: row.cpu })
}

/// One run of the program.
fn run_session(
    cell: &Wanted,
    programs: &Programs,
    folder: &Path,
    before: Option<Spent>,
    (bar, total): (&ProgressBar, &ProgressBar),
) -> Result<Cell> {
    let mut command = programs.train(cell, folder, before.is_some());
    let (ended, at) = (AtomicBool::new(false), Mutex::new(0));
    let text = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let steps = steps_so_far(folder).unwrap_or(0).min(cell.steps);
                let mut at = at.lock().expect("no thread panics");
                bar.set_position(steps);
                total.inc(steps.saturating_sub(*at));
                *at = steps.max(*at);
                drop(at);
                std::thread::park_timeout(Duration::from_secs(1));
            }
        });
        let text = process::output(&mut command);
        ended.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        text
    })?;
    total.inc(cell.steps.saturating_sub(*at.lock().expect("no thread panics")));
    let line = text.lines().last().unwrap_or_default();
    let mut value: serde_json::Value = serde_json::from_str(line).context("the program's last line")?;
    value["preset"] = cell.preset.clone().into();
    value["seed"] = cell.seed.into();
    let mut trained: Cell = serde_json::from_value(value).context("the program's last line")?;
    ensure!(trained.algo == cell.algo, "the program's last line: expected {}, got {}", cell.algo, trained.algo);
    trained.max_trees = cell.max_trees;
    trained.preset_sha256.clone_from(&cell.preset_sha256);
    if let Some(before) = before {
        trained.wall_s += before.wall_s;
        trained.cpu_s = trained.cpu_s.zip(before.cpu_s).map(|(now, before)| before + now);
        // What the earlier sessions had is known to nobody.
        trained.peak_rss_mb = None;
    }
    let rows = metrics(folder)?;
    trained.curve = if cell.home == Home::Reference { reference::curve(&rows, cell.steps) } else { thin(&rows) };
    Ok(trained)
}

/// Steps of the checkpoint with the most.
fn last_checkpoint(folder: &Path) -> Option<u64> {
    let files = fs::read_dir(folder.join("checkpoints")).ok()?;
    files.filter_map(|file| file.ok()?.file_name().to_str()?.strip_suffix(".gbrl")?.parse().ok()).max()
}

/// A row of metrics.csv.
pub struct Row {
    pub steps: u64,
    /// NaN before the first episode ended.
    pub mean: f64,
    elapsed: Option<f64>,
    cpu: Option<f64>,
}

impl Row {
    /// As a stored curve has it.
    pub fn point(&self) -> (u64, f64) {
        (self.steps, (self.mean * 1e4).round() / 1e4)
    }

    #[cfg(test)]
    pub fn of(steps: u64, mean: f64) -> Self {
        Row { steps, mean, elapsed: None, cpu: None }
    }
}

fn metrics(folder: &Path) -> Result<Vec<Row>> {
    let path = folder.join("metrics.csv");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| header.iter().position(|known| *known == name);
    let (Some(steps), Some(mean)) = (column("time/total_timesteps"), column("rollout/ep_rew_mean")) else {
        bail!("{}: expected the columns time/total_timesteps and rollout/ep_rew_mean", path.display());
    };
    let (elapsed, cpu) = (column("time/time_elapsed"), column("time/cpu_elapsed"));
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |column: usize| fields.get(column)?.parse::<f64>().ok();
        let (elapsed, cpu) = (elapsed.and_then(number), cpu.and_then(number));
        Some(Row { steps: number(steps)? as u64, mean: number(mean).unwrap_or(f64::NAN), elapsed, cpu })
    };
    Ok(lines.filter_map(row).collect())
}

fn steps_so_far(folder: &Path) -> Option<u64> {
    metrics(folder).ok()?.last().map(|row| row.steps)
}

/// Points of a stored curve.
pub const POINTS: usize = 60;

/// About `POINTS` rows, evenly spaced, the last among them.
pub fn thin(rows: &[Row]) -> Vec<(u64, f64)> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.mean.is_finite()).collect();
    let step = rows.len().div_ceil(POINTS).max(1);
    rows.iter().rev().step_by(step).rev().map(|row| row.point()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thinned_curve_keeps_its_end() {
        let rows: Vec<Row> = (1..=1000).map(|i| Row::of(i, i as f64)).collect();
        let curve = thin(&rows);
        assert!(curve.len() <= POINTS && curve[curve.len() - 1] == (1000, 1000.0));
        assert!(thin(&[]).is_empty());
    }

    #[test]
    fn another_setting_is_another_preset_and_another_source_is_not() {
        let digest = |text: &str| digest(text.parse().unwrap());
        let own = digest("source = \"a\"\nn_envs = 8\ngamma = 0.9");
        assert_eq!(own, digest("gamma = 0.9\nsource = \"b\"\nn_envs = 8"));
        assert_ne!(own, digest("gamma = 0.9\nn_envs = 9"));
    }

    /// What stands in for the program: writes what a run leaves, and which arguments it got. It cannot go on with what is
    /// called spoilt.
    #[cfg(unix)]
    const PROGRAM: &str = r#"#!/bin/sh
for argument; do
    [ "$before" = --out ] || [ "$before" = --resume ] && folder=$argument
    before=$argument
done
echo "$@" >> "$(dirname "$0")/log"
case "$*" in *--resume*) [ -e "$folder/spoilt" ] && exit 2 ;; esac
mkdir -p "$folder/checkpoints"
printf 'time/total_timesteps,rollout/ep_rew_mean\n1000,1\n' > "$folder/metrics.csv"
: > "$folder/checkpoints/1000.gbrl"
cat "$(dirname "$0")/said"
"#;

    #[cfg(unix)]
    struct Place(PathBuf);

    #[cfg(unix)]
    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("gbrl-cells-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            let said = Cell { cpu_s: Some(1.0), ..super::super::tests::cell(0, -1.0) };
            fs::write(path.join("said"), serde_json::to_string(&said).unwrap()).unwrap();
            let place = Place(path);
            place.put_program(PROGRAM);
            place
        }

        fn put_program(&self, text: &str) {
            fs::write(self.0.join("text"), text).unwrap();
            // Not by this process, in which another thread may be starting a program while the file is open for writing.
            let copy = "cp \"$0/text\" \"$0/program\" && chmod +x \"$0/program\"";
            assert!(Command::new("sh").args(["-c", copy]).arg(&self.0).status().unwrap().success());
        }

        fn programs(&self) -> Programs {
            let program = self.0.join("program");
            let python = Some((program.clone(), "0123456789".into()));
            let reference = Some(Reference::of(&program, "123456789"));
            Programs { rust: program, python, reference, runs: self.0.join("runs") }
        }

        fn train(&self, cell: &Wanted, store: &Store) -> String {
            let bar = ProgressBar::hidden();
            run_unclaimed(cell, &self.programs(), store, (&bar, &bar)).unwrap();
            fs::read_to_string(self.0.join("log")).unwrap().lines().last().unwrap().to_owned()
        }
    }

    #[cfg(unix)]
    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[cfg(unix)]
    fn pendulum(home: Home, max_trees: Option<(u64, f64)>) -> Wanted {
        Wanted {
            env: "Pendulum-v1",
            home,
            algo: "ppo".into(),
            preset: "paper".into(),
            seed: 0,
            steps: 1000,
            preset_sha256: "abcdefghi".into(),
            max_trees,
        }
    }

    /// What a kill leaves of a run with a checkpoint after `steps`.
    #[cfg(unix)]
    fn leave(folder: &Path, steps: u64) {
        fs::create_dir_all(folder.join("checkpoints")).unwrap();
        fs::write(folder.join(format!("checkpoints/{steps}.gbrl")), "").unwrap();
        let text = "time/total_timesteps,rollout/ep_rew_mean,time/time_elapsed,time/cpu_elapsed\n\
                    300,,2,1.5\n500,-2,3,2.5\n700,-1,4,3.5\n";
        fs::write(folder.join("metrics.csv"), text).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_cell_that_is_taken_out_of_the_store_is_trained_anew_and_a_killed_one_goes_on() {
        let place = Place::new("anew");
        let store = |name: &str| Store::new(place.0.join(name), place.0.join("locks"));
        let cell = pendulum(Home::Rust, None);
        assert!(place.train(&cell, &store("a")).contains("--seed 0 --out "));
        let first = store("a").read().unwrap()[&cell.key()].clone();
        assert_eq!((first.wall_s, first.cpu_s, first.peak_rss_mb), (2.0, Some(1.0), Some(30.0)));
        // The finished run is still there.
        let folder = cell.folder(&place.programs()).unwrap();
        assert!(folder.join("metrics.csv").exists());
        assert!(place.train(&cell, &store("b")).contains("--seed 0 --out "));
        leave(&folder, 600);
        assert!(place.train(&cell, &store("c")).contains("train Pendulum-v1 --resume "));
        let rest = store("c").read().unwrap()[&cell.key()].clone();
        assert_eq!((rest.wall_s, rest.cpu_s, rest.peak_rss_mb), (5.0, Some(3.5), None));
        // Without a number until its checkpoint it begins anew.
        leave(&folder, 200);
        assert!(place.train(&cell, &store("d")).contains("--out "));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_left_of_a_gymnasium_run_is_its_evaluation_or_all_of_it() {
        let place = Place::new("gymnasium");
        let store = |name: &str| Store::new(place.0.join(name), place.0.join("locks"));
        let cell = pendulum(Home::Gymnasium, None);
        let folder = cell.folder(&place.programs()).unwrap();
        leave(&folder, 600);
        assert!(place.train(&cell, &store("a")).contains("--out "));
        leave(&folder, 1000);
        assert!(place.train(&cell, &store("b")).contains("-m gbrl_rs train Pendulum-v1 --resume "));
        leave(&folder, 1000);
        fs::write(folder.join("spoilt"), "").unwrap();
        assert!(place.train(&cell, &store("c")).contains("--out ") && !folder.join("spoilt").exists());
        assert_eq!(store("c").read().unwrap()[&cell.key()].wall_s, 2.0);
    }

    #[cfg(unix)]
    #[test]
    fn the_reference_is_trained_by_its_own_loop_and_stored_under_its_own_name() {
        let place = Place::new("reference");
        let store = Store::new(place.0.join("a"), place.0.join("locks"));
        let cell = Wanted { algo: reference::NAME.into(), ..pendulum(Home::Reference, None) };
        let bar = ProgressBar::hidden();
        let train = || run_unclaimed(&cell, &place.programs(), &store, (&bar, &bar));
        assert!(train().is_err() && store.read().unwrap().is_empty(), "another version's words");
        let said = Cell { algo: reference::NAME.into(), ..super::super::tests::cell(0, -1.0) };
        fs::write(place.0.join("said"), serde_json::to_string(&said).unwrap()).unwrap();
        // What a kill leaves has no checkpoint.
        let folder = cell.folder(&place.programs()).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("metrics.csv"), "time/total_timesteps,rollout/ep_rew_mean\n500,\n").unwrap();
        train().unwrap();
        let log = fs::read_to_string(place.0.join("log")).unwrap();
        assert!(
            log.lines().last().unwrap().starts_with("benches/compare/gbrl_ppo.py --env Pendulum-v1 --seed 0 --out ")
        );
        let cells = store.read().unwrap();
        let stored = &cells["gbrl-1.1.9/Pendulum-v1/paper/000"];
        assert_eq!((stored.curve.as_slice(), stored.preset_sha256.as_str()), (&[(1000, 1.0)][..], "abcdefghi"));
        assert!(train().unwrap().contains("by another process"), "it is there");
    }

    #[cfg(unix)]
    #[test]
    fn another_bound_preset_or_program_is_another_folder() {
        let place = Place::new("folder");
        let programs = place.programs();
        let free = pendulum(Home::Rust, None);
        let rest = Wanted { preset_sha256: "bbcdefghi".into(), ..free.clone() };
        let others = [
            pendulum(Home::Rust, Some((5, 0.1))),
            pendulum(Home::Rust, Some((6, 0.1))),
            pendulum(Home::Gymnasium, None),
            pendulum(Home::Reference, None),
            rest,
        ];
        let mut folders: Vec<_> = others.iter().map(|cell| cell.folder(&programs).unwrap()).collect();
        folders.push(free.folder(&programs).unwrap());
        fs::remove_file(&programs.rust).unwrap();
        fs::write(&programs.rust, "changed").unwrap();
        folders.push(free.folder(&programs).unwrap());
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), 7, "{folders:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_run_of_another_preset_or_of_none_that_is_known_is_trained_again() {
        let cell = pendulum(Home::Rust, None);
        let stored = |preset_sha256: &str| {
            let trained = Cell { preset_sha256: preset_sha256.into(), ..super::super::tests::cell(0, -1.0) };
            cell.is_in(&Cells::from([(cell.key(), trained)]))
        };
        assert!(stored("abcdefghi") && !stored("bbcdefghi") && !stored("") && !cell.is_in(&Cells::new()));
    }

    #[cfg(unix)]
    #[test]
    fn a_bound_follows_from_a_run_of_the_preset_as_it_is() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let place = Place::new("bound");
        place.put_program("#!/bin/sh\necho total_timesteps = 1000\n");
        let line = "xtask --algo ppo --envs Pendulum-v1 --seeds 1 --max-trees 0.1";
        let args = <Line as clap::Parser>::try_parse_from(line.split(' ')).unwrap().args;
        let of = |preset_sha256: &str| {
            let free = Cell { preset_sha256: preset_sha256.into(), ..super::super::tests::cell(0, -1.0) };
            wanted(&args, &place.programs().rust, &Cells::from([(key("ppo", "Pendulum-v1", "paper", 0), free)]))
        };
        let now = digest("total_timesteps = 1000".parse().unwrap());
        let bounds: Vec<_> = of(&now).unwrap().into_iter().map(|cell| cell.max_trees).collect();
        assert_eq!(bounds, [Some((1, 0.1))]);
        for stale in ["", "bbcdefghi"] {
            let error = of(stale).err().unwrap().to_string();
            assert!(error.contains("ppo/Pendulum-v1/paper/000 has to be trained without a bound before"), "{error}");
        }
    }

    #[test]
    fn metrics_are_read_by_name() {
        let folder = std::env::temp_dir().join(format!("gbrl-results-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let text = "rollout/ep_rew_mean,time/total_timesteps,time/time_elapsed\n,100,0.5\n-3.5,200,1\n-2,300,\n";
        fs::write(folder.join("metrics.csv"), text).unwrap();
        let rows = metrics(&folder).unwrap();
        assert_eq!((rows.len(), rows[1].steps, rows[1].mean, rows[1].elapsed), (3, 200, -3.5, Some(1.0)));
        assert_eq!((steps_so_far(&folder), rows[1].cpu, rows[0].elapsed), (Some(300), None, Some(0.5)));
        assert_eq!(thin(&rows), [(200, -3.5), (300, -2.0)]);
        fs::create_dir_all(folder.join("checkpoints")).unwrap();
        assert_eq!(last_checkpoint(&folder), None);
        for name in ["900.gbrl", "1000.gbrl", "2000.tmp", ".lock"] {
            fs::write(folder.join("checkpoints").join(name), "").unwrap();
        }
        assert_eq!(last_checkpoint(&folder), Some(1000));
        fs::remove_dir_all(&folder).unwrap();
    }
}
