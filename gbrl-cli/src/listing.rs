//! `gbrl envs` and `gbrl presets`: what there is.

use std::fmt::Write;

use crate::failure::{Done, Failure};
use crate::output;
use crate::settings::{self, ALGO, Preset};
use crate::text::thousands;

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
}

const EXAMPLES: &str = "Examples:
  gbrl presets
  gbrl presets paper --env CartPole-v1 > mine.toml
  gbrl train CartPole-v1 --preset mine.toml";

/// Runs `gbrl presets`.
pub fn presets(args: &PresetsArgs) -> Result<Done, Failure> {
    let mut page = String::new();
    match (&args.env, &args.name) {
        (Some(env_id), Some(name)) => {
            let preset = Preset::of(env_id, ALGO, name)?;
            let source = preset.source().unwrap_or_default().to_owned();
            page = settings::to_toml(&preset.settings()?, &[("env", env_id), ("algo", ALGO), ("source", &source)]);
        }
        (Some(env_id), None) => list(&mut page, env_id)?,
        (None, _) => {
            for spec in envs::specs() {
                list(&mut page, spec.id)?;
            }
        }
    }
    output::print(&page)?;
    Ok(Done::Well)
}

fn list(page: &mut String, env_id: &str) -> Result<(), Failure> {
    let generic = if envs::presets::of(env_id).is_none() { " (shared by all without a file of their own)" } else { "" };
    let _ = writeln!(page, "{env_id}{generic}");
    for (name, source) in settings::names(env_id, ALGO)? {
        let _ = writeln!(page, "  {name:9} {source}");
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
