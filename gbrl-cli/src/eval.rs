//! `gbrl eval`: how good a saved policy is.

use std::path::PathBuf;
use std::time::Instant;

use gbrl_core::rl::eval::evaluate;
use gbrl_core::rl::policy::Policy;
use serde_json::json;

use crate::failure::{Done, Failure};
use crate::train::{EVAL_COPIES, copies, run_folder, summary};
use crate::{output, settings, text};

/// Play episodes with a saved policy
///
/// Episodes are numbered; number i of a seed is the same for every policy, so two policies can be compared on the same
/// episodes. Without --stochastic the likeliest action is taken.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model file, checkpoint, or the folder of a run
    model: PathBuf,
    /// Environment; the one the policy was trained on if not given
    #[arg(long)]
    env: Option<String>,
    /// Episodes
    #[arg(long, default_value_t = 100, value_parser = settings::whole)]
    episodes: u64,
    /// Which episodes: the root of their random numbers
    #[arg(long, default_value_t = 0, value_parser = settings::whole)]
    seed: u64,
    /// Sample actions, as in training
    #[arg(long)]
    stochastic: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  gbrl eval runs/CartPole-v1/ppo-default-seed0
  gbrl eval model.gbrl --episodes 1000 --seed 7 --stochastic --json";

/// Runs the command.
pub fn run(args: &Args) -> Result<Done, Failure> {
    let path = run_folder::model_file(&args.model);
    let policy = Policy::load(&path, 0)?;
    let env_id = match (&args.env, policy.training()) {
        (Some(env), _) => env,
        (None, Some(training)) => &training.env,
        (None, None) => return Err(Failure::expected("--env", "an environment, as the model names none", "none")),
    };
    let episodes = args.episodes as usize;
    let mut envs = copies(env_id, EVAL_COPIES.min(episodes))?;
    let start = Instant::now();
    let report = evaluate(&policy, &mut envs, episodes, !args.stochastic, args.seed)?;
    if args.json {
        let returns = || report.returns.iter().copied();
        output::print(
            &json!({
                "model": path.display().to_string(),
                "env": env_id,
                "seed": args.seed,
                "deterministic": !args.stochastic,
                "eval_episodes": episodes,
                "eval_return_mean": report.mean(),
                "eval_return_std": report.std(),
                "eval_return_min": returns().fold(f64::INFINITY, f64::min),
                "eval_return_max": returns().fold(f64::NEG_INFINITY, f64::max),
                "eval_length_mean": report.mean_length(),
                "n_trees": policy.ensemble().trees().len(),
                "wall_s": start.elapsed().as_secs_f64(),
            })
            .to_string(),
        )?;
        return Ok(Done::Well);
    }
    let length = text::thousands(report.mean_length());
    let mut page = format!("{env_id}: {}\n", summary::evaluation(&report, !args.stochastic));
    page.push_str(&format!("{length} steps per episode, {} in all\n", text::time(start.elapsed())));
    page.extend(summary::verdict(env_id, report.mean()));
    output::print(&page)?;
    Ok(Done::Well)
}
