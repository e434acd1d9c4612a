//! `gbrl envs` and `gbrl presets`: what there is.

use std::fmt::Write;

use gbrl_core::config::Algorithm;

use crate::failure::{Done, Failure};
use crate::output;
use crate::settings::{self, Preset};
use crate::text::thousands;
use crate::train::algorithm;

/// List the presets, or print one as a file of settings
///
/// A printed preset holds every setting, also those at their default; changed to taste it is a --preset FILE.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PresetsArgs {
    /// Preset to print
    #[arg(requires = "env")]
    name: Option<String>,
    /// Environment
    #[arg(long)]
    env: Option<String>,
    /// Algorithm: ppo, a2c or awr; all of them if not given, and ppo for a preset that is printed
    #[arg(long, value_name = "NAME", value_parser = algorithm)]
    algo: Option<Algorithm>,
}

const EXAMPLES: &str = "Examples:
  gbrl presets
  gbrl presets --env CartPole-v1 --algo a2c
  gbrl presets paper --env CartPole-v1 > mine.toml
  gbrl train CartPole-v1 --preset mine.toml";

/// Runs `gbrl presets`.
pub fn presets(args: &PresetsArgs) -> Result<Done, Failure> {
    let mut page = String::new();
    match (&args.env, &args.name) {
        (Some(env_id), Some(name)) => {
            let algorithm = args.algo.unwrap_or_default();
            let preset = Preset::of(env_id, algorithm, name)?;
            let source = preset.source().unwrap_or_default().to_owned();
            let remarks = [("env", env_id.as_str()), ("algo", algorithm.name()), ("source", &source)];
            page = settings::to_toml(&preset.settings()?, &remarks);
        }
        (Some(env_id), None) => {
            let shared = if has_own(env_id) { "" } else { " (shared by all without presets of their own)" };
            list(&mut page, (&format!("{env_id}{shared}"), env_id), args.algo)?;
        }
        (None, _) => {
            let ids = envs::specs().iter().map(|spec| spec.id);
            let (own, others): (Vec<&str>, Vec<&str>) = ids.partition(|id| has_own(id));
            own.into_iter().try_for_each(|env_id| list(&mut page, (env_id, env_id), args.algo))?;
            if let Some(env_id) = others.first() {
                list(&mut page, (&format!("all others: {}", others.join(", ")), env_id), args.algo)?;
            }
        }
    }
    output::print(&page)?;
    Ok(Done::Well)
}

fn has_own(env_id: &str) -> bool {
    envs::presets::of(env_id).is_some()
}

fn list(page: &mut String, (title, env_id): (&str, &str), only: Option<Algorithm>) -> Result<(), Failure> {
    let _ = writeln!(page, "{title}");
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| only.is_none_or(|only| only == *algorithm)) {
        for (name, source) in settings::names(env_id, algorithm)? {
            let _ = writeln!(page, "  {:4} {name:9} {source}", algorithm.name());
        }
    }
    Ok(())
}

/// Runs `gbrl envs`.
pub fn envs() -> Result<Done, Failure> {
    let specs = envs::specs();
    let width = specs.iter().map(|spec| spec.id.len()).max().unwrap_or(0);
    let mut page = format!("{:width$}  {:>9}  {:>11}  task\n", "environment", "max steps", "solved from");
    for spec in specs {
        let solved = spec.reward_threshold.map_or("–".to_owned(), |x| thousands((f64::from(x) * 1e3).round() / 1e3));
        let _ = write!(page, "{:width$}  {:>9}  {solved:>11}  {}", spec.id, spec.max_steps, spec.description);
        match (spec.is_available(), spec.feature) {
            (false, Some(feature)) => {
                let _ = writeln!(page, " [not in this build: needs --features {feature}]");
            }
            _ => page.push('\n'),
        }
    }
    output::print(&page)?;
    Ok(Done::Well)
}
