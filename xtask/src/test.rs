//! `cargo xtask test`: everything that must hold before a change is merged.

use anyhow::Result;

use crate::steps::{self, Outcome, Step};
use crate::{budgets, cuda_tests, process, python_tests, tidy, workspace};

/// Outside the workspace: its dependencies cannot be resolved together with ours.
const STANDALONE: &str = "examples/gymnasium-rs";

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Run only these steps (all by default).
    #[arg(value_name = "STEP")]
    steps: Vec<String>,
    /// Print the steps and stop.
    #[arg(long)]
    list: bool,
}

/// Set to 1 where everything must run, as in continuous integration.
const REQUIRE: &str = "GBRL_REQUIRE_ALL";

/// The extension module links Python, the CUDA backend wants a device: steps of their own test them.
pub const TESTS: [&str; 6] = ["test", "--workspace", "--exclude", "gbrl-py", "--exclude", "gbrl-cuda"];

const STEPS: [Step; 10] = [
    Step { name: "fmt", about: "cargo fmt --all --check", run: fmt },
    Step { name: "clippy", about: "lints of every target, warnings are errors", run: clippy },
    Step { name: "tests", about: "cargo test of every crate but the extension module", run: tests },
    Step { name: "cuda", about: "the CUDA backend on a stand-in device", run: cuda_tests::run },
    Step { name: "doc", about: "documentation, warnings are errors", run: doc },
    Step { name: "tidy", about: "the rules that no compiler checks", run: tidy },
    Step { name: "budgets", about: "instruction counts against benches/budgets.toml", run: budgets::step },
    Step { name: "stub", about: "the extension module's stub against the module", run: python_tests::stub },
    Step { name: "python", about: "the wheel in fresh environments, with and without SB3", run: python_tests::run },
    Step { name: "standalone", about: "examples with a lockfile of their own", run: standalone },
];

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    if args.list {
        for step in &STEPS {
            println!("{:<12}{}", step.name, step.about);
        }
        return Ok(());
    }
    steps::known(&STEPS, &args.steps)?;
    let chosen = |step: &&Step| match args.steps.is_empty() {
        true => applies(step),
        false => args.steps.iter().any(|name| name == step.name),
    };
    steps::run("test", REQUIRE, &STEPS.iter().filter(chosen).collect::<Vec<_>>())
}

/// A step about files that this checkout does not have is left out, not skipped: no machine could run it.
fn applies(step: &Step) -> bool {
    match step.name {
        "standalone" => workspace::root().join(STANDALONE).is_dir(),
        _ => true,
    }
}

fn fmt() -> Result<Outcome> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed)
}

fn clippy() -> Result<Outcome> {
    process::run(process::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))?;
    Ok(Outcome::Passed)
}

fn tests() -> Result<Outcome> {
    process::run(process::cargo().args(TESTS).arg("--locked"))?;
    process::run(process::cargo().args(["test", "--package", "gbrl-envs", "--features", "box2d", "--locked"]))?;
    Ok(Outcome::Passed)
}

fn doc() -> Result<Outcome> {
    let mut cargo = process::cargo();
    cargo.args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings");
    process::run(&mut cargo)?;
    Ok(Outcome::Passed)
}

fn tidy() -> Result<Outcome> {
    tidy::run()?;
    Ok(Outcome::Passed)
}

fn standalone() -> Result<Outcome> {
    // In its own folder, whose .cargo/config.toml spares it a Python.
    process::run(process::cargo().args(["test", "--locked"]).current_dir(workspace::root().join(STANDALONE)))?;
    Ok(Outcome::Passed)
}
