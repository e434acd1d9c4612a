//! `gbrl bench predict`: outputs of an ensemble.

use std::time::Instant;

use gbrl_core::config::Edges;
use serde_json::json;

use super::data::Source;
use super::options::{Options, at_least_1};
use super::{clock, grow, report};
use crate::failure::Failure;

/// Time of a prediction: ns_per_tree_row
///
/// Timed is the call `Booster::predict(observations, all columns, out)` and nothing else, call by call for at least
/// 0.5 s after a warm-up of at least 10 calls and 0.2 s; the median is divided by --trees and --rows. Every call walks
/// all trees for all rows; nothing is cached.
///
/// The trees are grown before that, each by a step with its own bin edges on a new random batch of 128 rows (past 2,048
/// trees the last 64 batches take turns, with new gradients). Observations are standard normal, gradients standard
/// normal plus the first column.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Trees of the ensemble
    #[arg(long, default_value_t = 1000, value_parser = at_least_1())]
    trees: usize,
    /// Rows predicted per call
    #[arg(long, default_value_t = 2048, value_parser = at_least_1())]
    rows: usize,
    #[command(flatten)]
    options: Options,
}

const EXAMPLES: &str = "Examples:
  gbrl bench predict --trees 1000 --rows 2048 --features 8 --outputs 5 --json
  gbrl bench predict --trees 1000 --rows 1 --grow depthwise --threads 1";

const LEAST_SECONDS: f64 = 0.5;
const LEAST_CALLS: usize = 5;

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    args.options.check(args.rows)?;
    let mut booster = args.options.booster(Edges::Step)?;
    let mut source = Source::new(&args.options);
    grow::grow(&mut booster, &mut source, args.trees)?;
    let mut observations = Vec::new();
    source.observations(args.rows, &mut observations);
    let mut out = vec![0.0; args.rows * args.options.outputs];
    let mut predict = || -> Result<f64, Failure> {
        Ok(clock::seconds(|| booster.predict(std::hint::black_box(&observations), 0..args.options.outputs, &mut out))?)
    };
    clock::warm_up(|| predict().map(drop))?;
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < LEAST_CALLS || start.elapsed().as_secs_f64() < LEAST_SECONDS {
        times.push(predict()?);
    }
    let leaves = booster.ensemble().trees().iter().map(|tree| tree.n_leaves()).sum::<usize>() as f64;
    let per_tree_row = |seconds: f64| seconds * 1e9 / (args.trees * args.rows) as f64;
    let results = json!({
        "bench": "predict",
        "rows": args.rows,
        "trees": args.trees,
        "leaves_mean": leaves / args.trees as f64,
        "calls": times.len(),
        "ns_per_tree_row": per_tree_row(clock::median(&times)),
        "ns_per_tree_row_min": per_tree_row(times.iter().copied().fold(f64::INFINITY, f64::min)),
        "us_per_call": clock::median(&times) * 1e6,
    });
    report::print(args.options.json, args.options.to_json()?, results)
}
