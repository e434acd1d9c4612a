//! `gbrl bench step`: one boosting step.

use clap::builder::PossibleValuesParser;
use gbrl_core::boost::{Booster, Dataset};
use gbrl_core::config::Edges;
use serde_json::json;

use super::data::Source;
use super::options::{Options, at_least_1, edges};
use super::{clock, grow, report};
use crate::failure::Failure;

/// Time of one boosting step: ms_per_tree
///
/// Timed is the call `Booster::step(data, rows, gradients)` and nothing else, every step by itself; the median of all
/// --trees steps is printed, after a warm-up of at least 10 steps and 0.2 s.
///
/// With --edges step, each step gets a batch of new random observations. The call then computes the bin edges of this
/// batch, bins it, quantises the gradients, grows the tree and advances the batch's cached outputs; no edge, bin or
/// output of an earlier batch is used. Making the data, handing the observations over (`append`) and the outputs of
/// the trees already there (`complete`) happen before the clock starts, for four batches at a time: the first of the
/// four is stepped on without the clock, because walking the old trees has emptied the processor's caches, and the
/// others also catch up with the one to three trees grown since, on the clock.
///
/// With --fresh, the clock also runs while the observations are handed over (`append`) and the outputs of the trees so
/// far are computed (`complete`): seconds_total is then the time from raw batches to trees, making the random data
/// apart, on a learner that has no tree at the start. `gbrl bench table1` is such a measurement.
///
/// With --edges fixed, the observations stay and were binned once beforehand; the call does the rest. The gradients are
/// new at every step in both cases.
///
/// Observations are standard normal, gradients standard normal plus the first column.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Rows of a batch
    #[arg(long, default_value_t = 2048, value_parser = at_least_1())]
    rows: usize,
    /// Bin edges from every step's rows, or from the first step's for ever
    #[arg(long, default_value = "step", value_parser = PossibleValuesParser::new(["step", "fixed"]))]
    edges: String,
    /// Steps that are timed
    #[arg(long, default_value_t = 500, value_parser = at_least_1())]
    trees: usize,
    /// Trees that are there before the first step
    #[arg(long, default_value_t = 0, value_name = "TREES")]
    existing: usize,
    /// Time a batch's whole way into a tree, not the step alone
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    options: Options,
}

const EXAMPLES: &str = "Examples:
  gbrl bench step --rows 512 --features 8 --outputs 5 --json
  gbrl bench step --rows 65536 --features 24 --outputs 7 --edges fixed --trees 50 --threads 2
  gbrl bench step --rows 2048 --categorical 4 --nan 0.1 --grow depthwise --score l2";

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    args.options.check(args.rows)?;
    let edges = edges(&args.edges);
    if args.fresh && edges == Edges::Fixed {
        return Err(Failure::expected("--fresh", "--edges step", "--edges fixed"));
    }
    let mut bench = Bench::new(args, edges)?;
    clock::warm_up(|| bench.step().map(drop))?;
    let warm_up_trees = bench.booster.n_trees() - args.existing;
    if args.fresh {
        bench = Bench::new(args, edges)?;
    }
    let mut times = Vec::with_capacity(args.trees);
    while times.len() < args.trees {
        times.extend(bench.step()?);
    }
    let results = json!({
        "bench": "step",
        "rows": args.rows,
        "edges": args.edges,
        "trees": args.trees,
        "existing": args.existing,
        "fresh": args.fresh,
        "warm_up_trees": warm_up_trees,
        "leaves": bench.leaves,
        "ms_per_tree": clock::median(&times) * 1e3,
        "ms_per_tree_min": times.iter().copied().fold(f64::INFINITY, f64::min) * 1e3,
        "ms_per_tree_mean": times.iter().sum::<f64>() / times.len() as f64 * 1e3,
        "seconds_total": times.iter().sum::<f64>(),
    });
    report::print(args.options.json, args.options.to_json()?, results)
}

/// Batches that are handed over together.
const BLOCK: usize = 4;

/// A booster that is asked for one step after the other.
struct Bench {
    booster: Booster,
    source: Source,
    rows: Vec<u32>,
    /// Stepped on in turn; one that stays where edges are fixed.
    batches: Vec<Batch>,
    /// Which batch comes next; 0 also means that all are used up.
    next: usize,
    /// Whether handing over is timed too.
    fresh: bool,
    gradients: Vec<f32>,
    /// Leaves of the last tree.
    leaves: usize,
}

/// Observations, and the learner's view of them.
struct Batch {
    data: Dataset,
    observations: Vec<f32>,
}

impl Bench {
    fn new(args: &Args, edges: Edges) -> Result<Self, Failure> {
        let mut booster = args.options.booster(edges)?;
        let mut source = Source::new(&args.options);
        grow::grow(&mut booster, &mut source, args.existing)?;
        let n_batches = if edges == Edges::Step && !args.fresh { BLOCK } else { 1 };
        let batches = (0..n_batches).map(|_| Batch { data: booster.dataset(), observations: Vec::new() }).collect();
        let rows = (0..args.rows as u32).collect();
        let mut bench =
            Bench { booster, source, rows, batches, next: 0, fresh: args.fresh, gradients: Vec::new(), leaves: 0 };
        bench.renew()?;
        Ok(bench)
    }

    /// New observations in all batches, handed over, with the outputs of the trees so far.
    fn renew(&mut self) -> Result<(), Failure> {
        for Batch { data, observations } in &mut self.batches {
            self.source.observations(self.rows.len(), observations);
            data.clear();
            self.booster.append(data, observations, 0..0, &mut [])?;
            self.booster.complete(data)?;
        }
        Ok(())
    }

    /// One step and the seconds it took; none where it only fills the processor's caches again.
    fn step(&mut self) -> Result<Option<f64>, Failure> {
        if self.fresh {
            return self.whole_way().map(Some);
        }
        let stays = self.batches.len() == 1;
        let first_of_block = self.next == 0 && !stays;
        if first_of_block {
            self.renew()?;
        }
        let Batch { data, observations } = &mut self.batches[self.next];
        self.source.gradients(observations, &mut self.gradients);
        let mut leaves = 0;
        let seconds = clock::seconds(|| {
            self.booster.step(data, &self.rows, &self.gradients).map(|report| leaves = report.n_leaves)
        })?;
        self.leaves = leaves;
        self.next = (self.next + 1) % self.batches.len();
        Ok((!first_of_block).then_some(seconds))
    }

    /// The seconds from a raw batch to a tree.
    fn whole_way(&mut self) -> Result<f64, Failure> {
        let Batch { data, observations } = &mut self.batches[0];
        self.source.observations(self.rows.len(), observations);
        self.source.gradients(observations, &mut self.gradients);
        let mut leaves = 0;
        let seconds = clock::seconds(|| {
            data.clear();
            self.booster.append(data, observations, 0..0, &mut [])?;
            self.booster.complete(data)?;
            self.booster.step(data, &self.rows, &self.gradients).map(|report| leaves = report.n_leaves)
        })?;
        self.leaves = leaves;
        Ok(seconds)
    }
}
