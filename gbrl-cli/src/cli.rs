//! The command line: which commands there are.

use clap::{Parser, Subcommand};

use crate::{bench, compress, eval, export, listing, show, train};

/// Reinforcement learning whose policy is an ensemble of boosted trees
#[derive(Parser)]
#[command(name = "gbrl", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXAMPLES: &str = "Examples:
  gbrl train CartPole-v1
  gbrl train Acrobot-v1 --preset paper --seed 1
  gbrl eval runs/CartPole-v1/ppo-default-seed0
  gbrl export runs/CartPole-v1/ppo-default-seed0 --format c
  gbrl train --help";

/// What the program can do.
#[derive(Subcommand)]
pub enum Command {
    Train(train::Args),
    Eval(eval::Args),
    Show(show::Args),
    Compress(compress::Args),
    Export(export::Args),
    /// List the environments
    Envs,
    Presets(listing::PresetsArgs),
    /// Measure the tree learner on random data
    Bench(bench::Args),
}
