//! Options that the benches share, and the booster they describe.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use gbrl_core::backend::cpu::Simd;
use gbrl_core::boost::Booster;
use gbrl_core::config::{Device, Edges, GrowPolicy, SplitScore, TreeParams};
use gbrl_core::data::FeatureSchema;
use gbrl_core::data::schema::Feature;
use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
use gbrl_core::io::model::{MAX_FEATURES, MAX_OUTPUTS};
use gbrl_core::threads::Threads;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// Kinds of columns and trees.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Columns of an observation
    #[arg(long, default_value_t = 8, value_parser = at_least_1())]
    pub features: usize,
    /// Outputs of the ensemble
    #[arg(long, default_value_t = 5, value_parser = at_least_1())]
    pub outputs: usize,
    /// How many of the columns, the last ones, are categorical
    #[arg(long, default_value_t = 0, value_name = "COLUMNS")]
    pub categorical: usize,
    /// Categories of each categorical column, all equally likely
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = at_least_1())]
    pub categories: usize,
    /// Share of the values in numeric columns that are missing, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub nan: f64,
    /// Depth of the trees
    #[arg(long, default_value_t = 4)]
    pub depth: usize,
    /// Leaves of best-first trees; 2^depth if not given
    #[arg(long)]
    pub leaves: Option<usize>,
    /// Bins per numeric column
    #[arg(long, default_value_t = 256)]
    pub bins: usize,
    /// Growth policy
    #[arg(long, default_value = "oblivious", value_parser = words(&GROW))]
    pub grow: String,
    /// Split score
    #[arg(long, default_value = "cosine", value_parser = words(&SCORE))]
    pub score: String,
    /// Threads of the learner; 0 means one per processor
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Where trees are grown and predictions made: auto, cpu, cuda or cuda:N. A call on a GPU ends when its results are back
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Root of all random numbers
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const GROW: [&str; 3] = ["oblivious", "depthwise", "bestfirst"];
const SCORE: [&str; 2] = ["cosine", "l2"];
const MAX_THREADS: usize = 1024;

/// More of anything than a bench can be meant to have.
const MAX: i64 = 100_000_000;
/// Numbers in a matrix that still fits into memory.
const MAX_NUMBERS: usize = 1 << 28;

/// A parser of whole numbers from 1.
pub fn at_least_1() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u32).range(1..=MAX).map(|n| n as usize)
}

fn words(words: &'static [&'static str]) -> PossibleValuesParser {
    PossibleValuesParser::new(words)
}

impl Options {
    /// What the command line gives when no option is typed.
    pub fn plain() -> Self {
        Options {
            features: 8,
            outputs: 5,
            categorical: 0,
            categories: 8,
            nan: 0.0,
            depth: 4,
            leaves: None,
            bins: 256,
            grow: "oblivious".into(),
            score: "cosine".into(),
            threads: 0,
            device: "cpu".into(),
            seed: 0,
            json: false,
        }
    }

    /// Checks what the learner does not: sizes of the data.
    pub fn check(&self, rows: usize) -> Result<(), Failure> {
        let expected = |name: &str, rule: String, got: String| Err(Failure::expected(name, &rule, &got));
        for (name, got, most) in [("--features", self.features, MAX_FEATURES), ("--outputs", self.outputs, MAX_OUTPUTS)]
        {
            if got > most {
                return expected(name, format!("at most {most}"), got.to_string());
            }
        }
        if self.categorical > self.features {
            return expected(
                "--categorical",
                format!("at most --features {}", self.features),
                self.categorical.to_string(),
            );
        }
        if !(0.0..=1.0).contains(&self.nan) {
            return expected("--nan", "0 to 1".into(), self.nan.to_string());
        }
        let width = self.features.max(self.outputs);
        if rows.checked_mul(width).is_none_or(|numbers| numbers > MAX_NUMBERS) {
            let rule = format!("at most {MAX_NUMBERS} numbers, {} rows of {width}", MAX_NUMBERS / width);
            return expected("--rows", rule, rows.to_string());
        }
        if self.threads > MAX_THREADS {
            return expected("--threads", format!("0 to {MAX_THREADS}"), self.threads.to_string());
        }
        Ok(())
    }

    /// Threads as a number above 0.
    pub fn n_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }

    fn device(&self) -> Result<Device, Failure> {
        let expected = |_| Failure::expected("--device", "auto, cpu, cuda or cuda:N", &self.device);
        Device::try_from(self.device.clone()).map_err(expected)
    }

    /// A booster without trees.
    pub fn booster(&self, edges: Edges) -> Result<Booster, Failure> {
        let first_categorical = self.features - self.categorical;
        let column = |i: usize| match i < first_categorical {
            true => Feature::numeric(format!("x[{i}]")),
            false => Feature::declared(format!("x[{i}]"), self.categories as u32),
        };
        let schema = FeatureSchema::new((0..self.features).map(column).collect());
        let group = OutputGroup::sgd("outputs", 0..self.outputs, Schedule::Constant(0.1));
        let ensemble = Ensemble::new(schema, vec![group])?;
        let threads = Threads::new(self.n_threads())?;
        let backend = gbrl_cuda::backend(self.device()?).make(&threads)?;
        Ok(Booster::with_backend(ensemble, self.tree_params(edges), self.seed, threads, backend)?)
    }

    fn tree_params(&self, edges: Edges) -> TreeParams {
        TreeParams {
            grow_policy: match self.grow.as_str() {
                "oblivious" => GrowPolicy::Oblivious,
                "depthwise" => GrowPolicy::Depthwise,
                _ => GrowPolicy::Bestfirst,
            },
            split_score: if self.score == "l2" { SplitScore::L2 } else { SplitScore::Cosine },
            max_depth: self.depth,
            max_leaves: self.leaves(),
            n_bins: self.bins,
            edges,
            ..TreeParams::default()
        }
    }

    fn leaves(&self) -> usize {
        self.leaves.unwrap_or(1usize.checked_shl(self.depth as u32).unwrap_or(usize::MAX))
    }

    /// What was asked for, and what it ran on.
    pub fn to_json(&self) -> Result<Map<String, Value>, Failure> {
        let value = json!({
            "features": self.features,
            "outputs": self.outputs,
            "categorical": self.categorical,
            "nan": self.nan,
            "depth": self.depth,
            "bins": self.bins,
            "grow": self.grow,
            "score": self.score,
            "threads": self.n_threads(),
            "device": self.device,
            "seed": self.seed,
            "simd": Simd::detect()?.level().name(),
        });
        Ok(match value {
            Value::Object(map) => map,
            _ => Map::new(),
        })
    }
}

/// The value of `--edges`.
pub fn edges(word: &str) -> Edges {
    if word == "fixed" { Edges::Fixed } else { Edges::Step }
}
