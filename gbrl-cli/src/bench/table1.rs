//! `gbrl bench table1`: the paper's table 1.

use gbrl_core::config::Edges;
use serde_json::json;

use super::clock;
use super::data::Source;
use super::options::Options;
use super::report;
use crate::failure::Failure;

/// The paper's table 1: 1,000 steps on new random batches of 128 x 20, 3 outputs: seconds_total
///
/// seconds_total is the time from a batch's raw observations to the grown tree, summed over all steps: handing the
/// observations over (`append`), the outputs of the trees so far (`complete`), and the step with its bin edges, bins,
/// tree and cache. Only making the random data is left out. seconds_steps counts `step` alone. 10 steps on other
/// batches warm up.
///
/// The paper reports CatBoost 36.17 s, XGBoost 67.11 s, GBRL 5.47 s on its own hardware.
#[derive(clap::Args)]
pub struct Args {
    /// Steps
    #[arg(long, default_value_t = 1000, value_parser = super::options::at_least_1())]
    trees: usize,
    /// Threads of the learner; 0 means one per processor
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Root of all random numbers
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const ROWS: usize = 128;
const WARM_UP: usize = 10;

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let options = Options { features: 20, outputs: 3, threads: args.threads, seed: args.seed, ..Options::plain() };
    options.check(ROWS)?;
    let mut booster = options.booster(Edges::Step)?;
    let mut source = Source::new(&options);
    let mut data = booster.dataset();
    let rows: Vec<u32> = (0..ROWS as u32).collect();
    let (mut observations, mut gradients) = (Vec::new(), Vec::new());
    let (mut total, mut steps) = (0.0, 0.0);
    for step in 0..WARM_UP + args.trees {
        source.observations(ROWS, &mut observations);
        source.gradients(&observations, &mut gradients);
        let before = clock::seconds(|| {
            data.clear();
            booster.append(&mut data, &observations, 0..0, &mut [])?;
            booster.complete(&mut data)
        })?;
        let timed = clock::seconds(|| booster.step(&mut data, &rows, &gradients))?;
        if step >= WARM_UP {
            total += before + timed;
            steps += timed;
        }
    }
    let results = json!({
        "bench": "table1",
        "rows": ROWS,
        "edges": "step",
        "trees": args.trees,
        "ms_per_tree": total / args.trees as f64 * 1e3,
        "seconds_steps": steps,
        "seconds_total": total,
    });
    report::print(args.json, options.to_json()?, results)
}
