//! `cargo xtask <command>`: everything one does to this workspace besides building it.

mod budgets;
mod compare;
mod cuda_tests;
mod edge;
mod gpu_check;
mod kernels;
mod process;
mod python;
mod python_tests;
mod results;
mod steps;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The workspace's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check everything: format, lints, tests, docs, tidy rules, instruction budgets, stand-alone examples.
    Test(test::Args),
    /// Check the rules that no compiler checks: module order, where unsafe may be, what no file may mention.
    Tidy,
    /// Count the instructions of the benches under valgrind and compare them with benches/budgets.toml.
    Budgets(budgets::Args),
    /// Measure this library against its peers and write docs/benchmarks.md.
    Compare(compare::Args),
    /// Compile the CUDA kernels into gbrl-cuda/kernels/kernels.fatbin; needs no GPU and no toolkit.
    Kernels,
    /// Make target/gpu-check/gpu-check, one program that checks and measures the CUDA backend, and run it.
    GpuCheck(gpu_check::Args),
    /// Check exported policies on microcontrollers, in WebAssembly, a browser and onnxruntime, and measure what they cost.
    Edge(edge::Args),
    /// Train the environments of the paper with several seeds and write docs/results.md.
    Results(results::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test(args) => test::run(&args),
        Command::Tidy => tidy::run(),
        Command::Budgets(args) => budgets::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Kernels => kernels::run(),
        Command::GpuCheck(args) => gpu_check::run(&args),
        Command::Edge(args) => edge::run(&args),
        Command::Results(args) => results::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
