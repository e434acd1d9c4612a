//! `gbrl bench update`: does a step cost more when many trees are there?

use gbrl_core::config::Edges;
use serde_json::json;

use super::data::Source;
use super::options::{Options, at_least_1, edges};
use super::{clock, grow, report};
use crate::failure::Failure;

/// Time of one boosting step with 1,000 to 50,000 trees already there
///
/// For each number of trees a rollout of --rollout new random rows is handed over, its outputs are computed, and then
/// the call `Booster::step` is timed on minibatches of --rows of them, with new gradients each time, as in the update of
/// PPO: 50 steps warm up, the median of --steps counts. A step includes advancing the cached outputs of the whole
/// rollout by the new tree. The last number is the ratio of the dearest to the cheapest.
#[derive(clap::Args)]
pub struct Args {
    /// Rows of a minibatch
    #[arg(long, default_value_t = 256, value_parser = at_least_1())]
    rows: usize,
    /// Rows of the rollout, at least --rows
    #[arg(long, default_value_t = 2048, value_parser = at_least_1())]
    rollout: usize,
    /// Bin edges from every step's rows, or from the first rollout's for ever
    #[arg(long, default_value = "step", value_parser = clap::builder::PossibleValuesParser::new(["step", "fixed"]))]
    edges: String,
    /// Trees that are there, with commas between
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 5_000, 10_000, 20_000, 50_000])]
    existing: Vec<usize>,
    /// Steps that are timed at each
    #[arg(long, default_value_t = 400, value_parser = at_least_1())]
    steps: usize,
    #[command(flatten)]
    options: Options,
}

const WARM_UP: usize = 50;

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    args.options.check(args.rollout)?;
    if args.rollout < args.rows {
        return Err(Failure::expected(
            "--rollout",
            &format!("at least --rows {}", args.rows),
            &args.rollout.to_string(),
        ));
    }
    let edges = edges(&args.edges);
    let mut points = Vec::new();
    for &existing in &args.existing {
        points.push((existing, median(args, edges, existing)?));
    }
    let times = || points.iter().map(|&(_, ms)| ms);
    let (low, high) = (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max));
    let results = json!({
        "bench": "update",
        "rows": args.rows,
        "rollout": args.rollout,
        "edges": args.edges,
        "points": points.iter().map(|(n, ms)| json!({ "existing": n, "ms_per_tree": ms })).collect::<Vec<_>>(),
        "dearest_to_cheapest": high / low,
    });
    report::print(args.options.json, args.options.to_json()?, results)
}

/// The median time in ms of a step when `existing` trees are there.
fn median(args: &Args, edges: Edges, existing: usize) -> Result<f64, Failure> {
    let mut booster = args.options.booster(edges)?;
    let mut source = Source::new(&args.options);
    grow::grow(&mut booster, &mut source, existing)?;
    let mut data = booster.dataset();
    let (mut observations, mut gradients) = (Vec::new(), Vec::new());
    source.observations(args.rollout, &mut observations);
    booster.append(&mut data, &observations, 0..0, &mut [])?;
    booster.complete(&mut data)?;
    let n_features = args.options.features;
    let mut times = Vec::with_capacity(args.steps);
    for step in 0..WARM_UP + args.steps {
        let first = step % (args.rollout / args.rows) * args.rows;
        let rows: Vec<u32> = (first..first + args.rows).map(|row| row as u32).collect();
        source.gradients(&observations[first * n_features..(first + args.rows) * n_features], &mut gradients);
        let seconds = clock::seconds(|| booster.step(&mut data, &rows, &gradients))?;
        if step >= WARM_UP {
            times.push(seconds * 1e3);
        }
    }
    Ok(clock::median(&times))
}
