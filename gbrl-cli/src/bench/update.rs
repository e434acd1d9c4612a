//! `gbrl bench update`: does a step cost more when many trees are there?

use gbrl_core::boost::{Booster, Dataset};
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
/// PPO. A step includes advancing the cached outputs of the whole rollout by the new tree. The learners take turns of 25
/// steps, the first 5 without the clock, so that a machine that gets busier meets all of them alike; the median of
/// --steps counts. The last number is the ratio of the dearest to the cheapest.
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

/// Steps of a turn, and how many of them are not timed.
const TURN: usize = 25;
const WARM_UP: usize = 5;

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
    let mut learners = args.existing.iter().map(|&n| Learner::new(args, edges, n)).collect::<Result<Vec<_>, _>>()?;
    for _ in 0..args.steps.div_ceil(TURN - WARM_UP) {
        for learner in &mut learners {
            learner.take_turn(args)?;
        }
    }
    let points: Vec<(usize, f64)> =
        learners.iter().map(|learner| (learner.existing, clock::median(&learner.times))).collect();
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

/// A booster with many trees, in the middle of an update.
struct Learner {
    existing: usize,
    booster: Booster,
    source: Source,
    data: Dataset,
    observations: Vec<f32>,
    gradients: Vec<f32>,
    /// Minibatches so far.
    n_batches: usize,
    /// Milliseconds of each timed step.
    times: Vec<f64>,
}

impl Learner {
    fn new(args: &Args, edges: Edges, existing: usize) -> Result<Self, Failure> {
        let mut booster = args.options.booster(edges)?;
        let mut source = Source::new(&args.options);
        grow::grow(&mut booster, &mut source, existing)?;
        let mut data = booster.dataset();
        let mut observations = Vec::new();
        source.observations(args.rollout, &mut observations);
        booster.append(&mut data, &observations, 0..0, &mut [])?;
        booster.complete(&mut data)?;
        let (gradients, times) = (Vec::new(), Vec::new());
        Ok(Learner { existing, booster, source, data, observations, gradients, n_batches: 0, times })
    }

    fn take_turn(&mut self, args: &Args) -> Result<(), Failure> {
        let width = args.options.features;
        for step in 0..TURN {
            let first = self.n_batches % (args.rollout / args.rows) * args.rows;
            self.n_batches += 1;
            let rows: Vec<u32> = (first..first + args.rows).map(|row| row as u32).collect();
            let observations = &self.observations[first * width..(first + args.rows) * width];
            self.source.gradients(observations, &mut self.gradients);
            let seconds = clock::seconds(|| self.booster.step(&mut self.data, &rows, &self.gradients))?;
            if step >= WARM_UP {
                self.times.push(seconds * 1e3);
            }
        }
        Ok(())
    }
}
