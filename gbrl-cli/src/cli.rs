//! The command line: which commands there are.

use clap::{Parser, Subcommand};

use crate::bench;

/// Reinforcement learning whose policy is an ensemble of boosted trees.
#[derive(Parser)]
#[command(name = "gbrl", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do.
#[derive(Subcommand)]
pub enum Command {
    /// Measure the tree learner on random data
    Bench(bench::Args),
}
