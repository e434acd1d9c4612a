//! `gbrl train`: a new run, or the rest of an earlier one.

mod board;
mod checkpoint;
mod curve;
mod interrupt;
mod metrics;
mod origin;
mod progress;
pub mod run_folder;
mod session;
pub mod states;
pub mod summary;
mod usage;
mod watcher;

use std::path::{Path, PathBuf};

use gbrl_core::config::{Algorithm, Settings};
use gbrl_core::rl::algo::Trainer;
use gbrl_core::rl::env::Env;

use crate::failure::{Done, Failure};
use crate::settings::{self, Preset};
use interrupt::Interrupt;
use origin::Origin;
use progress::Progress;
use run_folder::RunFolder;
use session::Session;
use states::States;
use watcher::Watcher;

/// Every setting of a run, in its folder.
const CONFIG: &str = "config.toml";

/// Copies of an environment that an evaluation steps side by side.
pub const EVAL_COPIES: usize = 16;

/// Train a policy, evaluate and save it
///
/// The run is saved in a new folder, named runs/ENV/ALGO-PRESET-CHANGES-SEED unless --out says otherwise: model.gbrl (the policy), config.toml
/// (every setting; works as --preset FILE), metrics.csv, events.out.tfevents.* (for TensorBoard), curve.svg (return
/// against steps), checkpoints/ (to resume from) and states.safetensors (a sample of visited states). A folder that is
/// there is never overwritten: the new one gets a number.
///
/// Settings come from the preset, then --set, then --steps, --n-envs, --seed and --threads. `gbrl presets` lists the
/// presets; docs/parameters.md explains all settings.
///
/// At the end it plays 100 episodes, always taking the likeliest action.
///
/// Ctrl-C ends the run after the current rollout, saves the policy and a checkpoint, says how to go on, and exits with
/// code 130. A second Ctrl-C ends at once. A run that fails saves where it stood before the rollout that failed.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Environment, such as CartPole-v1; `gbrl envs` lists them
    #[arg(required_unless_present = "resume")]
    env: Option<String>,
    /// Algorithm: ppo (the default), a2c or awr; a settings file may name its own
    #[arg(long, value_name = "NAME", value_parser = algorithm, conflicts_with = "resume")]
    algo: Option<Algorithm>,
    /// Preset of the environment, or a TOML file of settings (anything with a slash, or ending in .toml)
    #[arg(long, value_name = "NAME|FILE", default_value = "default", conflicts_with = "resume")]
    preset: String,
    /// Change one setting; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Environment steps in all (setting total_timesteps)
    #[arg(long, value_name = "N", value_parser = settings::whole)]
    steps: Option<u64>,
    /// Copies of the environment (setting n_envs)
    #[arg(long, value_name = "N", conflicts_with = "resume", value_parser = settings::whole)]
    n_envs: Option<u64>,
    /// Root of all random numbers (setting seed)
    #[arg(long, value_name = "N", conflicts_with = "resume", value_parser = settings::whole)]
    seed: Option<u64>,
    /// Threads of the learner, 0 for one per processor (setting n_threads); changes no result
    #[arg(long, value_name = "N", value_parser = settings::whole)]
    threads: Option<u64>,
    /// Where trees are grown: cpu, an NVIDIA GPU as cuda or cuda:N, or auto (setting device); changes no result
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Folder of the run, instead of runs/ENV/NAME
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with an earlier run from its last checkpoint, as if it had never stopped; one whose steps are done is
    /// evaluated
    #[arg(long, value_name = "RUN_DIR")]
    resume: Option<PathBuf>,
    /// No progress bar and no summary
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object as the last line, instead of the summary
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  gbrl train CartPole-v1
  gbrl train Pendulum-v1 --preset paper --seed 3
  gbrl train CartPole-v1 --algo a2c
  gbrl train Acrobot-v1 --set policy_lr=lin_0.2 --set max_depth=5 --steps 300000
  gbrl train CartPole-v1 --preset runs/CartPole-v1/ppo-default-seed0/config.toml --seed 1
  gbrl train --resume runs/CartPole-v1/ppo-default-seed0 --steps 2000000";

/// Runs the command.
pub fn run(args: &Args) -> Result<Done, Failure> {
    let session = match &args.resume {
        Some(folder) => resume(args, folder)?,
        None => start(args)?,
    };
    session.run()
}

/// A new run. The folder is made last, when nothing else can be wrong.
fn start(args: &Args) -> Result<Session, Failure> {
    let env_id = args.env.as_deref().unwrap_or_default();
    envs::spec(env_id)?;
    let preset = Preset::find(env_id, args.algo, &args.preset)?;
    let mut settings = preset.settings()?;
    apply(args, &mut settings)?;
    settings.check()?;
    let (states, copies) = States::watch(copies(env_id, settings.run.n_envs)?, settings.run.seed);
    let trainer = Trainer::new_on(&gbrl_cuda::backend(settings.run.device), copies, &settings)?;
    let origin = Origin::new(&preset, &settings)?;
    let wanted = args.out.clone().unwrap_or_else(|| default_folder(env_id, &origin, &settings));
    let progress = Progress::new(0, settings.run.total_timesteps, args.quiet || args.json);
    let interrupt = Interrupt::listen(progress.clone())?;
    let folder = RunFolder::create(&wanted)?;
    write_config(&folder, env_id, &origin, &settings)?;
    let watcher = Watcher::new(folder, (env_id, origin), &settings, states, interrupt, None, progress)?;
    Ok(Session { trainer, watcher, start: 0, quiet: args.quiet, json: args.json })
}

/// The rest of an earlier run.
fn resume(args: &Args, path: &Path) -> Result<Session, Failure> {
    let folder = RunFolder::open(path)?;
    let mut saved = checkpoint::load(&folder.last_checkpoint()?)?;
    let env_id = saved.env_id.as_str();
    if let Some(other) = args.env.as_deref().filter(|other| *other != env_id) {
        return Err(Failure::expected("environment", &format!("{env_id}, as in {}", path.display()), other));
    }
    let start = saved.trainer.timesteps();
    let mut settings = saved.trainer.settings().clone();
    let asked = settings.run.total_timesteps;
    // A session that was to make more steps and was killed before its first checkpoint left this alone.
    let config = folder.file(CONFIG);
    if config.exists()
        && let Some(total) = Preset::from_file(&config, None)?.get("total_timesteps")
    {
        settings.set("total_timesteps", &total)?;
    }
    apply(args, &mut settings)?;
    let mut origin = Origin { preset: saved.program.preset.clone(), changes: saved.program.changes.clone() };
    origin.change(saved.trainer.settings(), &settings);
    saved.trainer.set_settings(settings.clone())?;
    let total = settings.run.total_timesteps;
    // What ended a run before its evaluation leaves it to this one. Other settings need steps to show in.
    let is_another = origin.changes != saved.program.changes || total != asked;
    if start >= total && is_another {
        return Err(Failure::new(format!(
            "{}: nothing is left to do: {start} of {total} steps are done; expected more steps, as in --steps {}",
            path.display(),
            2 * start.max(total)
        )));
    }
    let (states, copies) = States::watch(copies(env_id, settings.run.n_envs)?, settings.run.seed);
    states.restore(saved.states)?;
    let trainer = Trainer::resume_on(&gbrl_cuda::backend(settings.run.device), copies, &saved.trainer, saved.model)?;
    let progress = Progress::new(start, total, args.quiet || args.json);
    let interrupt = Interrupt::listen(progress.clone())?;
    let resumed = Some((start, &saved.program));
    let watcher = Watcher::new(folder, (env_id, origin), &settings, states, interrupt, resumed, progress)?;
    // Last: a run that cannot go on keeps the settings that it ran with.
    write_config(&watcher.folder, env_id, &watcher.origin, &settings)?;
    Ok(Session { trainer, watcher, start, quiet: args.quiet, json: args.json })
}

/// Applies what the command line says.
fn apply(args: &Args, settings: &mut Settings) -> Result<(), Failure> {
    for assignment in &args.set {
        settings::set(settings, assignment)?;
    }
    let flags =
        [("total_timesteps", args.steps), ("n_envs", args.n_envs), ("seed", args.seed), ("n_threads", args.threads)];
    for (key, value) in flags {
        if let Some(value) = value {
            settings.set(key, &value.to_string())?;
        }
    }
    if let Some(device) = &args.device {
        settings.set("device", device)?;
    }
    Ok(())
}

/// Reads the name of an algorithm.
pub fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::parse(name).map_err(|_| {
        let known: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
        format!("expected one of {}", known.join(", "))
    })
}

/// Copies of an environment.
pub fn copies(env_id: &str, n: usize) -> Result<Vec<Box<dyn Env>>, Failure> {
    Ok((0..n).map(|_| envs::make(env_id)).collect::<Result<_, _>>()?)
}

fn default_folder(env_id: &str, origin: &Origin, settings: &Settings) -> PathBuf {
    let (algo, stem) = (settings.algorithm().name(), origin.stem());
    Path::new("runs").join(env_id).join(format!("{algo}-{stem}-seed{}", settings.run.seed))
}

fn write_config(folder: &RunFolder, env_id: &str, origin: &Origin, settings: &Settings) -> Result<(), Failure> {
    let source = format!("gbrl train {env_id}, {}", origin.text());
    let algo = settings.algorithm().name();
    let text = settings::to_toml(settings, &[("env", env_id), ("algo", algo), ("source", &source)]);
    Ok(gbrl_core::io::container::write_atomic(folder.file(CONFIG), text.as_bytes())?)
}
