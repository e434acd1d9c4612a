//! `edge FULL MODEL...`: what policies cost on microcontrollers, measured under qemu, and what they are worth: each MODEL
//! as floats, int16 and int8, against the return of FULL, the policy that they were made from. A JSON object for each on
//! a line of its own. `cargo xtask edge` makes the policies and the table of docs/edge.md from this.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is data")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gbrl_benches::cortex::{BOARDS, Firmware};
use gbrl_core::error::{Error, Result};
use gbrl_core::export::{self, Details, EdgePolicy, Format, Order, Quantize, Rows, binary, probes};
use gbrl_core::rl::env::{Action, Env};
use gbrl_core::rl::eval::{eval_seed, evaluate};
use gbrl_core::rl::policy::Policy;
use gbrl_edge::Work;
use serde_json::json;

const EPISODES: usize = 200;
/// No policy was chosen, nor its size, on these episodes: `gbrl train`, `eval` and `compress` play others.
const SEED: u64 = 77;
/// Bytes of observations in a program; they fit beside a policy on the smallest processor.
const OBSERVATIONS: usize = 32 << 10;

fn main() -> ExitCode {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let done = match files.split_first() {
        Some((full, models)) => models.iter().try_for_each(|model| measure(full, model)),
        None => Err(Error::parameter("arguments", "none", "FULL MODEL...")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(full: &Path, model: &Path) -> Result<()> {
    let large = Policy::load(full, 0)?;
    let policy = Policy::load(model, 0)?;
    let env_id = policy.training().map(|training| training.env.clone()).unwrap_or_default();
    let states = Rows::load(full.with_file_name("states.safetensors"), policy.head().n_features())?;
    let mut envs: Vec<Box<dyn Env>> = (0..16).map(|_| envs::make(&env_id)).collect::<Result<_>>()?;
    let before = evaluate(&large, &mut envs, EPISODES, true, SEED)?.mean();
    for quantize in [Quantize::None, Quantize::Int16, Quantize::Int8] {
        eprintln!("{env_id}, {} trees, {quantize}", policy.ensemble().trees().len());
        let order = Order { format: Format::C, quantize, value: false, name: "policy".into() };
        let report = export::export(&policy, &order, &states)?.report;
        let edge = EdgePolicy::new(&policy, quantize, false)?;
        let details = Details::new(&policy, "policy", probes::samples(&edge, &states.observations, 4))?;
        let mut observations = probes::neighbours(&edge, &states.observations).observations;
        let room = OBSERVATIONS / 4 / edge.n_features;
        observations.truncate(room / 2 * edge.n_features);
        observations.extend(states.observations.iter().take(room / 2 * edge.n_features));
        let firmware = Firmware::new(&edge, &details, &Rows { observations, masks: Vec::new() })?;
        let costs: Vec<_> =
            BOARDS.iter().map(|board| Ok((board.name, firmware.cost(board)?))).collect::<Result<_>>()?;
        let cost = |(name, cost): (&str, Option<_>)| {
            let cost: Option<gbrl_benches::cortex::Cost> = cost;
            let cost = cost.map(|c| json!({"flash": c.flash, "ram": c.ram, "instructions": c.instructions}));
            (name.to_owned(), json!(cost))
        };
        let line = json!({
            "env": env_id,
            "n_trees_full": large.ensemble().trees().len(),
            "n_trees": policy.ensemble().trees().len(),
            "leaves": if quantize == Quantize::None { "float".into() } else { quantize.to_string() },
            "agreement": report.states.map_or(1.0, |states| states.agreement()),
            "episodes": EPISODES,
            "return_before": before,
            "return_after": play(&binary::to_bytes(&edge), &mut *envs[0])?,
            "boards": costs.into_iter().map(cost).collect::<serde_json::Map<_, _>>(),
        });
        println!("{line}");
    }
    Ok(())
}

/// Mean return of the exported policy over the episodes that [`evaluate`] plays.
fn play(bytes: &[u8], env: &mut dyn Env) -> Result<f64> {
    let refused = |error: gbrl_edge::Error| Error::parameter("exported policy", error, "a decision");
    let policy = gbrl_edge::Policy::new(bytes).map_err(refused)?;
    let (mut codes, mut sums) = (vec![0; policy.n_codes()], vec![0; policy.n_sums()]);
    let mut work = Work { codes: &mut codes, sums: &mut sums };
    let mut obs = vec![0.0; policy.n_features()];
    let mut total = 0.0;
    let mut action = [0];
    for episode in 0..EPISODES {
        env.reset(eval_seed(SEED, episode as u64), &mut obs)?;
        loop {
            policy.act(&obs, &[], &mut work, &mut action).map_err(refused)?;
            let step = env.step(Action::Discrete(action[0] as u32), &mut obs)?;
            total += f64::from(step.reward);
            if step.terminated || step.truncated {
                break;
            }
        }
    }
    Ok(total / EPISODES as f64)
}
