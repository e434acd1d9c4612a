//! `gbrl`: trains, evaluates and shows policies of boosted trees, and measures the learner.

mod bench;
mod cli;
mod failure;
mod output;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        None => output::print(&Cli::command().render_long_help().to_string()),
        Some(Command::Bench(args)) => bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
