//! What is compared with what.
//!
//! Like is compared with like: a peer that grows its trees depth-wise meets our depth-wise trees, and so on.

/// Threads of both sides, unless a line says otherwise.
const THREADS: usize = 2;

/// All sections, in the page's order.
pub struct Plan {
    pub sections: Vec<Section>,
}

/// One table of the page.
pub struct Section {
    /// Typed after `--only`.
    pub name: &'static str,
    pub title: &'static str,
    /// What a reader must know to judge the figures.
    pub about: &'static str,
    /// How often both sides take a turn.
    pub rounds: usize,
    pub pairs: Vec<Pair>,
}

/// Work for one or two sides.
pub struct Pair {
    /// Such as the shape.
    pub work: String,
    pub unit: Unit,
    pub ours: Job,
    pub theirs: Option<Job>,
}

/// A program with its arguments.
#[derive(Clone)]
pub struct Job {
    /// Shown in the table.
    pub name: String,
    pub program: Program,
    pub args: Vec<String>,
}

/// What runs a job.
#[derive(Clone, PartialEq, Eq)]
pub enum Program {
    /// The `gbrl` program of this workspace, printing JSON.
    Ours,
    /// A whole run of our program from start to end.
    OursWhole,
    /// A script in benches/compare, by its name without `.py`, of the peer.
    Script { peer: &'static str, script: String },
    /// Importing a peer's package in a new interpreter.
    Import { peer: &'static str, module: &'static str },
}

/// The figure that counts, out of the JSON that a job prints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    MsPerTree,
    NsPerTreeRow,
    UsPerStep,
    Seconds,
}

impl Unit {
    /// Name in the JSON.
    pub fn key(self) -> &'static str {
        match self {
            Unit::MsPerTree => "ms_per_tree",
            Unit::NsPerTreeRow => "ns_per_tree_row",
            Unit::UsPerStep => "us_per_step",
            Unit::Seconds => "seconds_total",
        }
    }

    /// Name in the table.
    pub fn shown(self) -> &'static str {
        match self {
            Unit::MsPerTree => "ms per tree",
            Unit::NsPerTreeRow => "ns per tree and row",
            Unit::UsPerStep => "µs per environment step",
            Unit::Seconds => "s",
        }
    }
}

/// Size of a boosting step.
#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    features: usize,
    outputs: usize,
    /// Trees that our side grows per measurement.
    trees: usize,
    /// Whether gbrl finishes in reasonable time.
    gbrl: bool,
    /// Whether a first look includes it.
    quick: bool,
}

const fn shape(rows: usize, features: usize, outputs: usize, trees: usize, gbrl: bool, quick: bool) -> Shape {
    Shape { rows, features, outputs, trees, gbrl, quick }
}

const SHAPES: [Shape; 6] = [
    shape(256, 4, 3, 2_000, true, true),
    shape(512, 8, 5, 1_000, true, true),
    shape(2_048, 8, 5, 500, true, true),
    shape(4_096, 24, 7, 200, true, false),
    shape(512, 128, 19, 50, true, false),
    shape(65_536, 24, 7, 30, false, false),
];

impl Shape {
    fn shown(self) -> String {
        format!("{} × {} × {}", self.rows, self.features, self.outputs)
    }

    fn args(self) -> String {
        format!("--rows {} --features {} --outputs {}", self.rows, self.features, self.outputs)
    }
}

impl Plan {
    /// Everything, or what a first look includes.
    pub fn new(quick: bool) -> Self {
        let mut sections = vec![
            step_edges(quick),
            fixed_edges(quick),
            table1(quick),
            predict(quick),
            training(),
            python(),
            threads(),
            ratios(),
            update_cost(quick),
            start_up(),
        ];
        if quick {
            for section in &mut sections {
                section.rounds = section.rounds.min(2);
            }
        }
        Plan { sections }
    }
}

fn shapes(quick: bool) -> impl Iterator<Item = Shape> {
    SHAPES.into_iter().filter(move |shape| shape.quick || !quick)
}

fn step_edges(quick: bool) -> Section {
    let variants = [
        ("oblivious, cosine", "--grow oblivious --score cosine"),
        ("oblivious, L2", "--grow oblivious --score l2"),
        ("depth-wise, cosine", "--grow depthwise --score cosine"),
    ];
    let mut pairs = Vec::new();
    for shape in shapes(quick) {
        for (name, options) in variants {
            let ours = ours_step(name, &format!("{} {options} --edges step --trees {}", shape.args(), shape.trees));
            let theirs = script("gbrl", "step", name, &format!("{} {options}", shape.args()));
            pairs.push(Pair { work: shape.shown(), unit: Unit::MsPerTree, ours, theirs: shape.gbrl.then_some(theirs) });
        }
    }
    Section {
        name: "step",
        title: "Boosting step, edges per step",
        about: "One tree of depth 4 on a batch, rows × features × outputs, 256 bins. Both sides compute quantile edges \
                from the batch at each step, the only way gbrl knows. gbrl is not run on the largest shape.",
        rounds: 5,
        pairs,
    }
}

fn fixed_edges(quick: bool) -> Section {
    let peers = [
        ("catboost", "CatBoost", "oblivious, cosine", "--grow oblivious --score cosine"),
        ("lightgbm", "LightGBM × outputs", "depth-wise, L2", "--grow depthwise --score l2"),
        ("xgboost", "XGBoost, vector leaves", "depth-wise, L2", "--grow depthwise --score l2"),
    ];
    let mut pairs = Vec::new();
    for shape in shapes(quick) {
        for (peer, name, ours_name, options) in peers {
            let ours =
                ours_step(ours_name, &format!("{} {options} --edges fixed --trees {}", shape.args(), shape.trees));
            let theirs = Job { name: name.into(), ..script(peer, "step", "", &format!("{} {options}", shape.args())) };
            pairs.push(Pair { work: shape.shown(), unit: Unit::MsPerTree, ours, theirs: Some(theirs) });
        }
    }
    Section {
        name: "fixed-edges",
        title: "Boosting step, fixed edges",
        about: "The same with data binned once beforehand, as in all minibatches of one rollout. gbrl cannot reuse \
                edges. LightGBM's trees have one output, so one tree per output is timed; its leaves are grown best \
                first under the same depth.",
        rounds: 5,
        pairs,
    }
}

fn table1(quick: bool) -> Section {
    let steps = if quick { 100 } else { 1_000 };
    let shape = "--rows 128 --features 20 --outputs 3";
    let peers = [("gbrl", "gbrl"), ("catboost", "CatBoost"), ("xgboost", "XGBoost, vector leaves")];
    let pair = |(peer, name): (&'static str, &str)| Pair {
        work: format!("{steps} steps of 128 × 20 × 3"),
        unit: Unit::Seconds,
        ours: ours_step("oblivious, cosine", &format!("{shape} --edges step --trees {steps} --fresh")),
        theirs: Some(Job { name: name.into(), ..script(peer, "table1", "", &format!("{shape} --trees {steps}")) }),
    };
    Section {
        name: "table1",
        title: "The paper's table 1: 1,000 steps, each on a new random batch of 128 × 20, 3 outputs",
        about: "The paper reports CatBoost 36.17 s, XGBoost 67.11 s, GBRL 5.47 s on its hardware. XGBoost here updates \
                one booster; training on top of a copy, as its `xgb_model` argument does, takes about twenty times as long. Ours counts the whole of the steps, not a median.",
        rounds: 3,
        pairs: peers.into_iter().map(pair).collect(),
    }
}

fn predict(quick: bool) -> Section {
    let peers = [
        ("gbrl", "gbrl", "oblivious"),
        ("catboost", "CatBoost", "oblivious"),
        ("gbrl", "gbrl", "depthwise"),
        ("lightgbm", "LightGBM × outputs", "depthwise"),
        ("xgboost", "XGBoost, vector leaves", "depthwise"),
    ];
    let mut pairs = Vec::new();
    for rows in [1, 16, 2_048] {
        for (peer, name, grow) in peers {
            let shape = format!("--trees 1000 --rows {rows} --features 8 --outputs 5 --grow {grow}");
            let ours = ours("bench predict", grow, &shape);
            let theirs = Job { name: name.into(), ..script(peer, "predict", "", &shape) };
            pairs.push(Pair { work: format!("{rows} rows"), unit: Unit::NsPerTreeRow, ours, theirs: Some(theirs) });
        }
    }
    Section {
        name: "predict",
        title: "Prediction, 1,000 trees",
        about: "Trees of depth 4 over 8 features with 5 outputs; LightGBM needs 1,000 trees per output for the same.",
        rounds: if quick { 1 } else { 3 },
        pairs,
    }
}

fn training() -> Section {
    let args = "train CartPole-v1 --preset paper --json";
    let ours = Job { name: "gbrl-rs".into(), program: Program::OursWhole, args: words(args) };
    Section {
        name: "training",
        title: "Training CartPole-v1, one million steps",
        about: "The whole program from start to end. Reference: gbrl's own loop takes about 560 s on a 2-core machine \
                and reaches 500; its loop is not on PyPI, so the figure is quoted, not measured here.",
        rounds: 1,
        pairs: vec![Pair { work: "PPO, the paper's settings".into(), unit: Unit::Seconds, ours, theirs: None }],
    }
}

fn python() -> Section {
    let job = |peer: &'static str, name: &str, options: &str| Job {
        name: name.into(),
        program: Program::Script { peer, script: "gbrl_rs_ppo".into() },
        args: words(options),
    };
    let ours = "--library gbrl_rs --envs";
    let pairs = vec![
        Pair {
            work: "Gymnasium's environment, 200,000 steps".into(),
            unit: Unit::UsPerStep,
            ours: job("gbrl-rs", "gbrl_rs", &format!("{ours} gymnasium")),
            theirs: Some(job("stable-baselines3", "Stable-Baselines3", "--library sb3 --envs gymnasium")),
        },
        Pair {
            work: "our environment, a million steps".into(),
            unit: Unit::UsPerStep,
            ours: job("gbrl-rs", "gbrl_rs", &format!("{ours} rust --steps 1000000")),
            theirs: Some(job("gbrl-rs", "the program gbrl", "--library program --envs rust --steps 1000000")),
        },
    ];
    Section {
        name: "python",
        title: "PPO from Python: CartPole-v1, 8 copies, the paper's settings",
        about: "Learning included. Stable-Baselines3 has the same settings where they mean something for a network, and \
                torch one thread. The reference's own loop makes 5,600 steps per second (178 µs per step) at this length \
                on a 2-core machine; it is not on PyPI, so the figure is quoted, not measured here.",
        rounds: 3,
        pairs,
    }
}

fn threads() -> Section {
    let step = |rows: &str| format!("bench step {rows} --edges fixed --trees 200");
    let predict = "bench predict --trees 1000 --rows 2048 --features 8 --outputs 5";
    let works = [
        ("step 256 × 4 × 3", Unit::MsPerTree, step("--rows 256 --features 4 --outputs 3")),
        ("step 4096 × 24 × 7", Unit::MsPerTree, step("--rows 4096 --features 24 --outputs 7")),
        ("step 65536 × 24 × 7", Unit::MsPerTree, step("--rows 65536 --features 24 --outputs 7")),
        ("predict 2048 rows", Unit::NsPerTreeRow, predict.to_owned()),
    ];
    let with = |command: &str, threads: usize| Job {
        name: if threads == 1 { "1 thread".into() } else { format!("{threads} threads") },
        program: Program::Ours,
        args: words(&format!("{command} --threads {threads} --json")),
    };
    let pair = |(work, unit, command): (&str, Unit, String)| Pair {
        work: work.into(),
        unit,
        ours: with(&command, 2),
        theirs: Some(with(&command, 1)),
    };
    Section {
        name: "threads",
        title: "Threads",
        about: "Our own program with two threads and with one; the ratio is the gain.",
        rounds: 5,
        pairs: works.into_iter().map(pair).collect(),
    }
}

fn ratios() -> Section {
    let small = "--rows 2048 --features 8 --outputs 5 --edges fixed --trees 300";
    let wide = "--rows 2048 --features 51 --outputs 8 --edges fixed --trees 100";
    let forest = "--rows 2048 --features 51 --outputs 8 --trees 1000";
    let variants = [
        ("step", small, "depth 6 against 4", "--depth 6"),
        ("step", wide, "51 categorical columns against 51 numeric", "--categorical 51"),
        ("step", wide, "a tenth of all values missing", "--nan 0.1"),
        ("step", small, "depth-wise against oblivious", "--grow depthwise"),
        ("step", small, "edges per step against fixed", "--edges step"),
        ("predict", forest, "depth 6 against 4", "--depth 6"),
        ("predict", forest, "51 categorical columns against 51 numeric", "--categorical 51"),
        ("predict", forest, "a tenth of all values missing", "--nan 0.1"),
    ];
    let pair = |(task, base, work, option): (&str, &str, &str, &str)| {
        let changed = match option.strip_prefix("--edges") {
            Some(_) => base.replace("--edges fixed", option),
            None => format!("{base} {option}"),
        };
        let command = format!("bench {task}");
        Pair {
            work: format!("{task}: {work}"),
            unit: if task == "step" { Unit::MsPerTree } else { Unit::NsPerTreeRow },
            ours: ours(&command, "plain", base),
            theirs: Some(ours(&command, option, &changed)),
        }
    };
    Section {
        name: "ratios",
        title: "What depth, categories and missing values cost",
        about: "Our own step on 2048 × 8 × 5 or 2048 × 51 × 8, and our own prediction of 2048 rows by a thousand trees over \
                51 columns with 8 outputs, plain and with one thing changed; the ratio is the price.",
        rounds: 5,
        pairs: variants.into_iter().map(pair).collect(),
    }
}

fn update_cost(quick: bool) -> Section {
    let sizes: &[usize] = if quick { &[100, 1_000] } else { &[100, 1_000, 4_000] };
    let shape = "--rows 256 --features 4 --outputs 3";
    let pair = |&trees: &usize| Pair {
        work: format!("256 × 4 × 3 at {trees} trees"),
        unit: Unit::MsPerTree,
        ours: ours_step("cached outputs", &format!("{shape} --edges step --trees 100 --existing {trees}")),
        theirs: Some(Job { name: "gbrl".into(), ..script("gbrl", "update", "", &format!("{shape} --trees {trees}")) }),
    };
    Section {
        name: "update-cost",
        title: "Cost of an update versus the number of trees",
        about: "One minibatch of a policy that already has this many trees: its outputs, then a boosting step. With \
                cached outputs the old trees are never walked again, so our figure must not grow.",
        rounds: 3,
        pairs: sizes.iter().map(pair).collect(),
    }
}

fn start_up() -> Section {
    let peers = [
        ("gbrl", "import gbrl", "gbrl.learners.gbt_learner"),
        ("catboost", "import catboost", "catboost"),
        ("lightgbm", "import lightgbm", "lightgbm"),
        ("xgboost", "import xgboost", "xgboost"),
    ];
    let pair = |(peer, name, module): (&'static str, &str, &'static str)| Pair {
        work: "start of the process to its end".into(),
        unit: Unit::Seconds,
        ours: Job { name: "gbrl --version".into(), program: Program::OursWhole, args: words("--version") },
        theirs: Some(Job { name: name.into(), program: Program::Import { peer, module }, args: Vec::new() }),
    };
    Section {
        name: "start-up",
        title: "Start-up",
        about: "A process that starts, is ready to work, and ends.",
        rounds: 5,
        pairs: peers.into_iter().map(pair).collect(),
    }
}

fn ours_step(name: &str, options: &str) -> Job {
    ours("bench step", name, options)
}

fn ours(command: &str, name: &str, options: &str) -> Job {
    let args = words(&format!("{command} {options} --threads {THREADS} --json"));
    Job { name: name.into(), program: Program::Ours, args }
}

fn script(peer: &'static str, task: &str, variant: &str, options: &str) -> Job {
    let program = Program::Script { peer, script: format!("{peer}_{task}") };
    Job { name: format!("{peer} {variant}"), program, args: words(&format!("{options} --threads {THREADS}")) }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn every_script_exists() {
        for section in Plan::new(false).sections {
            for job in section.pairs.into_iter().filter_map(|pair| pair.theirs) {
                if let Program::Script { script, .. } = job.program {
                    let path = workspace::root().join(format!("benches/compare/{script}.py"));
                    assert!(path.is_file(), "{} is missing", path.display());
                }
            }
        }
    }

    #[test]
    fn a_first_look_is_smaller() {
        let count = |quick| Plan::new(quick).sections.iter().map(|section| section.pairs.len()).sum::<usize>();
        assert!(count(true) < count(false));
    }
}
