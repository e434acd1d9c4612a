//! `cargo xtask edge`: exported policies on other machines than this one, and what they cost there.

mod table;
mod tools;

use std::process::Command;

use anyhow::Result;

use crate::steps::{self, Outcome, Step};
use crate::{process, python, test};

/// Arguments of `cargo xtask edge`.
#[derive(clap::Args)]
pub struct Args {
    /// The checks alone, as continuous integration runs them: minutes, nothing that depends on time. Without it policies
    /// are trained (kept in target/edge) and docs/edge.md gets its table: most of an hour the first time.
    #[arg(long)]
    quick: bool,
    /// Run only these steps.
    #[arg(value_name = "STEP")]
    steps: Vec<String>,
}

const STEPS: [Step; 5] = [
    Step { name: "cortex", about: "C on Cortex-M0, M3, M4F and M7 under qemu, to the bit", run: cortex },
    Step { name: "wasm", about: "WebAssembly in Node.js, to the bit on a million observations", run: wasm },
    Step { name: "page", about: "the page that plays, in a browser without a screen", run: page },
    Step { name: "onnx", about: "ONNX by onnx's checker and in onnxruntime", run: onnx },
    Step { name: "table", about: "the table of docs/edge.md", run: table::run },
];
/// Set to 1 where every step must run.
const REQUIRE: &str = "GBRL_REQUIRE_EDGE";
/// Left out by `--quick`.
const LONG: &str = "table";
const ENVIRONMENT: (&str, &str) = (".venv-edge", "xtask/src/edge/requirements.txt");

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    steps::known(&STEPS, &args.steps)?;
    tools::install()?;
    let chosen = |step: &&Step| match args.steps.is_empty() {
        true => !(args.quick && step.name == LONG),
        false => args.steps.iter().any(|name| name == step.name),
    };
    steps::run("edge", REQUIRE, &STEPS.iter().filter(chosen).collect::<Vec<_>>())
}

/// The tests of a target whose names begin with `name` and that plain `cargo test` leaves out; of the packages that
/// `cargo xtask test` tests together, so that nothing is built anew.
fn ignored(target: &str, name: &str) -> Command {
    let mut cargo = process::cargo();
    cargo.args(test::TESTS).args(["--locked", "--test", target, "--", "--ignored", name]);
    cargo
}

fn cortex() -> Result<Outcome> {
    if let Some(missing) = tools::missing(tools::ARM) {
        return Ok(Outcome::Skipped(missing));
    }
    process::run(&mut ignored("exporters", "cortex::"))?;
    Ok(Outcome::Passed)
}

fn wasm() -> Result<Outcome> {
    if let Some(missing) = tools::missing(tools::WASM) {
        return Ok(Outcome::Skipped(missing));
    }
    process::run(&mut ignored("exporters", "wasm::"))?;
    process::run(&mut ignored("program", "export::wasm"))?;
    Ok(Outcome::Passed)
}

fn page() -> Result<Outcome> {
    let (None, Some(browser)) = (tools::missing(tools::PAGE), tools::BROWSER.find()) else {
        return Ok(Outcome::Skipped(tools::missing(tools::PAGE).unwrap_or_default()));
    };
    process::run(ignored("program", "export::page").env("GBRL_EDGE_BROWSER", browser))?;
    Ok(Outcome::Passed)
}

fn onnx() -> Result<Outcome> {
    if let Err(reason) = python::system() {
        return Ok(Outcome::Skipped(reason));
    }
    let python = python::install_file(ENVIRONMENT.0, ENVIRONMENT.1)?;
    process::run(ignored("exporters", "onnx::").env("GBRL_EDGE_PYTHON", python))?;
    Ok(Outcome::Passed)
}
