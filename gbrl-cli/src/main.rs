//! `gbrl`: trains, evaluates, shows and exports policies of boosted trees, and measures the learner.

mod bench;
mod cli;
mod compress;
mod eval;
mod export;
mod failure;
mod listing;
mod output;
mod settings;
mod show;
mod text;
mod train;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Instant;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};
use failure::{Done, Failure};

static STARTED: OnceLock<Instant> = OnceLock::new();

/// When the program started.
fn started() -> Instant {
    *STARTED.get_or_init(Instant::now)
}

fn main() -> ExitCode {
    started();
    match run(&Cli::parse()) {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::With(code)) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}

fn run(cli: &Cli) -> Result<Done, Failure> {
    match &cli.command {
        None => output::print(&Cli::command().render_long_help().to_string()).map(|()| Done::Well),
        Some(Command::Train(args)) => train::run(args),
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::Show(args)) => show::run(args),
        Some(Command::Compress(args)) => compress::run(args),
        Some(Command::Export(args)) => export::run(args),
        Some(Command::Envs) => listing::envs(),
        Some(Command::Presets(args)) => listing::presets(args),
        Some(Command::Bench(args)) => bench::run(args).map(|()| Done::Well),
    }
}
