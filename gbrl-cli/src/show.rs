//! `gbrl show`: what a model is.

use std::fmt::Write;
use std::path::PathBuf;

use gbrl_core::ensemble::{Optimizer, Schedule};
use gbrl_core::explain::{Measure, feature_importance};
use gbrl_core::io::{Model, load_model, text::tree_text};
use gbrl_core::rl::policy::About;
use gbrl_core::tree::Tree;

use crate::failure::{Done, Failure};
use crate::output;
use crate::text::{size, thousands};
use crate::train::run_folder::model_file;

/// Show a model: settings, size, what it looks at, and one of its trees
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model file, checkpoint, or the folder of a run
    model: PathBuf,
    /// Which tree to print, counted from 0; if not given, the one whose splits gained most
    #[arg(long, value_name = "N")]
    tree: Option<usize>,
}

const EXAMPLES: &str = "Examples:
  gbrl show runs/CartPole-v1/ppo-default-seed0
  gbrl show model.gbrl --tree 0";

/// Features in the chart.
const MAX_BARS: usize = 20;
const BAR: usize = 40;

/// Runs the command.
pub fn run(args: &Args) -> Result<Done, Failure> {
    let path = model_file(&args.model);
    let model = load_model(&path)?;
    let about = About::of(&model)?;
    let n_trees = model.ensemble.trees().len();
    let mut page = head(&model, about.as_ref(), std::fs::metadata(&path).map_or(0, |file| file.len()));
    page.push_str(&importance(&model)?);
    match (args.tree, n_trees) {
        (Some(tree), _) if tree >= n_trees => {
            return Err(Failure::expected("--tree", &format!("a tree below {n_trees}"), &tree.to_string()));
        }
        (_, 0) => {}
        (tree, _) => {
            page.push('\n');
            page.push_str(&tree_text(&model.ensemble, tree.unwrap_or_else(|| telling(model.ensemble.trees())))?);
        }
    }
    output::print(&page)?;
    Ok(Done::Well)
}

/// The tree whose splits gained most.
fn telling(trees: &[Tree]) -> usize {
    let gain = |tree: &Tree| tree.gains().iter().fold(0.0, |sum, &gain| sum + f64::from(gain));
    let gains = trees.iter().map(gain).enumerate();
    gains.fold((0, f64::NEG_INFINITY), |best, (i, gain)| if gain > best.1 { (i, gain) } else { best }).0
}

fn head(model: &Model, about: Option<&About>, bytes: u64) -> String {
    let ensemble = &model.ensemble;
    let leaves: usize = ensemble.trees().iter().map(|tree| tree.n_leaves()).sum();
    let mut page = String::new();
    let training = about.and_then(|about| about.training.as_ref());
    match training {
        Some(training) => {
            let (algo, steps) = (training.algo.algorithm().title(), thousands(training.timesteps as f64));
            let _ = writeln!(page, "{algo} policy for {}, trained for {steps} steps\n", training.env);
        }
        None if about.is_some() => page.push_str("a policy of unknown origin\n\n"),
        None => page.push_str("trees without a policy\n\n"),
    }
    let (trees, leaves) = (thousands(ensemble.trees().len() as f64), thousands(leaves as f64));
    let _ = writeln!(page, "  size      {trees} trees, {leaves} leaves, {}", size(bytes));
    let _ = writeln!(page, "  inputs    {} features", ensemble.n_features());
    let groups: Vec<String> = ensemble
        .groups()
        .iter()
        .map(|group| {
            let adam = if group.optimizer == Optimizer::Sgd { "" } else { ", adam" };
            format!("{} ({}, rate {}{adam})", group.name, group.columns.len(), rate(group.rate))
        })
        .collect();
    let _ = writeln!(page, "  outputs   {}", groups.join(", "));
    if let Some(tree) = &model.params {
        let names = ["grow_policy", "max_depth", "split_score", "n_bins", "edges", "min_data_in_leaf"];
        let settings: Vec<String> =
            names.iter().map(|name| format!("{name} {}", tree.get(name).unwrap_or_default())).collect();
        let _ = writeln!(page, "  trees     {}", settings.join(", "));
    }
    if let Some(training) = training {
        let own = training.algo.algorithm();
        let shared = ["gamma", "gae_lambda", "n_steps", "ent_coef", "vf_coef"];
        let names = shared.into_iter().chain(own.defs().iter().map(|def| def.name));
        let settings: Vec<String> =
            names.map(|name| format!("{name} {}", training.get(name).unwrap_or_default())).collect();
        let _ = writeln!(page, "  {:9} {}", own.name(), settings.join(", "));
    }
    page
}

fn rate(rate: Schedule) -> String {
    match rate.ends() {
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start} to {end}"),
    }
}

/// Shares of the splits' gains, the largest first.
fn importance(model: &Model) -> Result<String, Failure> {
    let ensemble = &model.ensemble;
    let importance = feature_importance(ensemble, 0..ensemble.trees().len(), Measure::Gain, true)?;
    let sorted: Vec<(&str, f64)> = importance.sorted().into_iter().filter(|(_, share)| *share > 0.0).collect();
    let mut page = String::from("\nimportance, share of the splits' gains\n");
    let width = sorted.iter().take(MAX_BARS).map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let largest = sorted.first().map_or(1.0, |(_, share)| *share);
    for (name, share) in sorted.iter().take(MAX_BARS) {
        let length = (share / largest * BAR as f64).round() as usize;
        let _ = writeln!(page, "  {name:width$}  {:BAR$}  {:4.1} %", "█".repeat(length.max(1)), 100.0 * share);
    }
    match sorted.len() {
        0 => page.push_str("  no split yet\n"),
        n if n > MAX_BARS => {
            let _ = writeln!(page, "  and {} more", n - MAX_BARS);
        }
        _ => {}
    }
    Ok(page)
}
