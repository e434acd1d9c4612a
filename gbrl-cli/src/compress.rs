//! `gbrl compress`: the same policy with fewer trees.

use std::fmt::Write;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use gbrl_core::boost::OutputChange;
use gbrl_core::export::Rows;
use gbrl_core::rl::eval::{EvalReport, evaluate};
use gbrl_core::rl::policy::Policy;
use gbrl_core::rng::Stream;
use indicatif::ProgressBar;
use serde_json::json;

use crate::failure::{Done, Failure};
use crate::text::{size, thousands, time};
use crate::train::{EVAL_COPIES, copies, run_folder};
use crate::{output, settings};

/// Distil a policy into fewer trees
///
/// The small policy is fitted to what the large one says about visited states, which a run leaves in states.safetensors,
/// and measured on a quarter of them that it was not fitted to. Where the environment is known it plays the same episodes
/// as the large one: some while its size is sought, others for the report. Without --trees, --max-error or --max-loss it
/// is the smallest one that loses at most 1 % of the return.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model file, checkpoint, or the folder of a run
    model: PathBuf,
    /// At most so many trees
    #[arg(long, value_name = "N", value_parser = settings::whole, group = "goal")]
    trees: Option<u64>,
    /// As few trees as change no output of the policy by more than this share of its standard deviation (root mean square)
    #[arg(long, value_name = "SHARE", group = "goal")]
    max_error: Option<f64>,
    /// As few trees as lose at most this share of the return
    #[arg(long, value_name = "SHARE", group = "goal")]
    max_loss: Option<f64>,
    /// States to fit to; states.safetensors beside the model if not given
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
    /// Environment to measure the return on; the one the policy was trained on if not given
    #[arg(long)]
    env: Option<String>,
    /// Episodes of each evaluation; 0 for none
    #[arg(long, default_value_t = 100, value_parser = settings::whole)]
    episodes: u64,
    /// Where to write the small model; MODEL-N.gbrl, N its trees, if not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  gbrl compress runs/CartPole-v1/ppo-default-seed0
  gbrl compress runs/CartPole-v1/ppo-default-seed0 --trees 32 --out small.gbrl
  gbrl compress model.gbrl --states states.safetensors --max-error 0.1 --json";

/// Which episodes sizes are compared on, and which ones the report is about: a size chosen on some episodes suits them.
const SOUGHT_ON: u64 = 0;
const REPORTED_ON: u64 = 1;

/// Episodes of each evaluation while a size is sought for a suggestion: as many as `--episodes` says by itself.
const SUGGESTED_ON: usize = 100;

/// Return that may be lost where nothing else is asked for.
const MAX_LOSS: f64 = 0.01;

/// How small it is to be.
enum Goal {
    Trees(usize),
    /// Largest relative change of an output of the policy.
    Error(f64),
    /// Least mean return.
    Return(f64),
}

/// A small policy and what it is worth.
struct Small {
    policy: Policy,
    changes: Vec<OutputChange>,
}

impl Small {
    fn n_trees(&self) -> usize {
        self.policy.ensemble().trees().len()
    }

    /// Of all outputs but the value.
    fn policy_changes(&self) -> &[OutputChange] {
        &self.changes[..self.changes.len() - 1]
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done, Failure> {
    let start = Instant::now();
    let path = run_folder::model_file(&args.model);
    let policy = Policy::load(&path, 0)?;
    let n_trees = policy.ensemble().trees().len();
    let states = args.states.clone().unwrap_or_else(|| run_folder::states_file(&path));
    let rows = Rows::load(states, policy.head().n_features())?;
    let (fitted, held_out) = divide(&rows.observations, policy.head().n_features());
    let arena = Arena::of(args, &policy)?;
    let play = |policy: &Policy, seed| arena.as_ref().map(|arena| arena.play(policy, seed)).transpose();
    let before = play(&policy, REPORTED_ON)?;
    let goal = Goal::of(args, || play(&policy, SOUGHT_ON))?;
    let bar =
        if args.json || !std::io::stderr().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let mut compressor = policy.compressor(&fitted)?;
    let mut attempt = |n: usize| -> Result<Small, Failure> {
        let small = compressor.compressed(n, |grown| {
            bar.set_message(format!("{} of {} trees", thousands(grown as f64), thousands(n as f64)));
            bar.tick();
        })?;
        let changes = policy.change(&small, &held_out)?;
        Ok(Small { policy: small, changes })
    };
    let none_is_near = || {
        let trees = thousands(n_trees as f64);
        let hint = "allow more, or give more --states";
        Failure::new(format!("no policy of fewer than {trees} trees comes near enough: {hint}"))
    };
    let small = match goal {
        Goal::Trees(n) => attempt(n)?,
        Goal::Error(most) => {
            smallest(n_trees, |small| Ok(worst(small.policy_changes()) <= most), attempt)?.ok_or_else(none_is_near)?
        }
        Goal::Return(least) => {
            let returns_enough = |small: &Small| {
                bar.set_message(format!("{} trees at play", thousands(small.n_trees() as f64)));
                Ok(play(&small.policy, SOUGHT_ON)?.is_some_and(|report| report.mean() >= least))
            };
            smallest(n_trees, returns_enough, attempt)?.ok_or_else(none_is_near)?
        }
    };
    let after = play(&small.policy, REPORTED_ON)?;
    bar.finish_and_clear();
    let out = args.out.clone().unwrap_or_else(|| named(&path, small.n_trees()));
    small.policy.save(&out)?;
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let policy_outputs = small.policy_changes();
    if args.json {
        let mean = |report: &Option<EvalReport>| report.as_ref().map(EvalReport::mean);
        output::print(
            &json!({
                "model": path.display().to_string(),
                "out": out.display().to_string(),
                "n_trees_before": n_trees,
                "n_trees": small.n_trees(),
                "bytes_before": bytes(&path),
                "bytes": bytes(&out),
                "states_fitted": fitted.len() / policy.head().n_features(),
                "states_measured": held_out.len() / policy.head().n_features(),
                "policy_change": worst(policy_outputs),
                "value_change": small.changes[policy_outputs.len()].relative(),
                "eval_episodes": before.as_ref().map_or(0, |report| report.returns.len()),
                "eval_return_mean_before": mean(&before),
                "eval_return_mean": mean(&after),
                "wall_s": start.elapsed().as_secs_f64(),
            })
            .to_string(),
        )?;
        return Ok(Done::Well);
    }
    let mut page = String::new();
    let trees = |n: usize| thousands(n as f64);
    let _ = writeln!(page, "{} trees became {} in {}\n", trees(n_trees), trees(small.n_trees()), time(start.elapsed()));
    let _ = writeln!(page, "  size        {} before, {} now", size(bytes(&path)), size(bytes(&out)));
    let _ = writeln!(
        page,
        "  outputs     the policy's changed by {:.1} %, the value's by {:.1} % of their spread, on {} states it was not fitted to",
        100.0 * worst(policy_outputs),
        100.0 * small.changes[policy_outputs.len()].relative(),
        thousands((held_out.len() / policy.head().n_features()) as f64),
    );
    if let (Some(before), Some(after)) = (&before, &after) {
        let text = |report: &EvalReport| format!("{} ± {}", thousands(report.mean()), thousands(report.std()));
        let _ = writeln!(
            page,
            "  return      {} before, {} now, over the same {} episodes",
            text(before),
            text(after),
            thousands(before.returns.len() as f64)
        );
    }
    let _ = writeln!(page, "  file        {}", out.display());
    output::print(&page)?;
    Ok(Done::Well)
}

/// Where policies are measured.
struct Arena {
    env_id: String,
    episodes: usize,
}

impl Arena {
    /// `None` where nothing is to be played, or the environment is none of ours and nobody asked for it.
    fn of(args: &Args, policy: &Policy) -> Result<Option<Self>, Failure> {
        let episodes = args.episodes as usize;
        let trained_on = policy.training().map(|training| training.env.clone());
        if episodes == 0 {
            return Ok(None);
        }
        match (&args.env, trained_on) {
            (Some(env), _) => {
                envs::spec(env)?;
                Ok(Some(Arena { env_id: env.clone(), episodes }))
            }
            (None, Some(env)) if envs::spec(&env).is_ok() => Ok(Some(Arena { env_id: env, episodes })),
            (None, _) => Ok(None),
        }
    }

    fn play(&self, policy: &Policy, seed: u64) -> Result<EvalReport, Failure> {
        let mut envs = copies(&self.env_id, EVAL_COPIES.min(self.episodes))?;
        Ok(evaluate(policy, &mut envs, self.episodes, true, seed)?)
    }
}

impl Goal {
    fn of(args: &Args, play: impl Fn() -> Result<Option<EvalReport>, Failure>) -> Result<Self, Failure> {
        let share = |name: &str, x: f64| match x >= 0.0 && x.is_finite() {
            true => Ok(x),
            false => Err(Failure::expected(name, "a share of at least 0, such as 0.01", &x.to_string())),
        };
        if let Some(n) = args.trees {
            return Ok(Goal::Trees(n as usize));
        }
        if let Some(error) = args.max_error {
            return Ok(Goal::Error(share("--max-error", error)?));
        }
        let loss = share("--max-loss", args.max_loss.unwrap_or(MAX_LOSS))?;
        match play()? {
            Some(report) => Ok(Goal::Return(report.mean() - loss * report.mean().abs())),
            None => {
                let rule = "--trees N or --max-error SHARE, as there is no environment to measure the return on";
                Err(Failure::expected("how small", rule, "neither"))
            }
        }
    }
}

/// The smallest policy that loses at most 1 % of the return, sought as [`run`] seeks it without being told a goal; `None`
/// where there is no environment to measure the return on, no state, or no smaller policy that plays as well.
pub fn suggestion(policy: &Policy, states: &Rows) -> Result<Option<Policy>, Failure> {
    let env = policy.training().map(|training| training.env.clone()).filter(|env| envs::spec(env).is_ok());
    let Some(env_id) = env.filter(|_| !states.observations.is_empty()) else { return Ok(None) };
    let arena = Arena { env_id, episodes: SUGGESTED_ON };
    let (fitted, _) = divide(&states.observations, policy.head().n_features());
    let mean = arena.play(policy, SOUGHT_ON)?.mean();
    let least = mean - MAX_LOSS * mean.abs();
    let mut compressor = policy.compressor(&fitted)?;
    smallest(
        policy.ensemble().trees().len(),
        |small: &Policy| Ok(arena.play(small, SOUGHT_ON)?.mean() >= least),
        |n| Ok(compressor.compressed(n, |_| ())?),
    )
}

/// The fewest trees that meet the goal: doubling from 2, then halving the gap until it is an eighth of the number.
fn smallest<S>(
    n_trees: usize,
    is_met: impl Fn(&S) -> Result<bool, Failure>,
    mut attempt: impl FnMut(usize) -> Result<S, Failure>,
) -> Result<Option<S>, Failure> {
    let (mut too_few, mut n) = (1, 2);
    let mut best = loop {
        if n >= n_trees {
            return Ok(None);
        }
        let small = attempt(n)?;
        if is_met(&small)? {
            break small;
        }
        (too_few, n) = (n, 2 * n);
    };
    while n - too_few > (n / 8).max(1) {
        let middle = too_few.midpoint(n);
        let small = attempt(middle)?;
        if is_met(&small)? {
            (best, n) = (small, middle);
        } else {
            too_few = middle;
        }
    }
    Ok(Some(best))
}

/// The largest relative change.
fn worst(changes: &[OutputChange]) -> f64 {
    changes.iter().map(OutputChange::relative).fold(0.0, f64::max)
}

/// Three quarters of the rows, shuffled, and the rest; the same ones every time.
fn divide(rows: &[f32], n_features: usize) -> (Vec<f32>, Vec<f32>) {
    let mut order: Vec<usize> = (0..rows.len() / n_features).collect();
    Stream::new(0, "states held out", 0).shuffle(&mut order);
    let gather = |order: &[usize]| order.iter().flat_map(|&i| &rows[i * n_features..][..n_features]).copied().collect();
    let (held_out, fitted) = order.split_at(order.len() / 4);
    (gather(fitted), gather(held_out))
}

/// model.gbrl with the number of trees in its name.
fn named(model: &Path, n_trees: usize) -> PathBuf {
    let stem = model.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy());
    model.with_file_name(format!("{stem}-{n_trees}.gbrl"))
}
