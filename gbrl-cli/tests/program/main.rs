//! The program as a user sees it: exit codes, messages, files.

mod algorithms;
mod bad_input;
mod bench;
mod commands;
mod compress;
mod export;
mod interrupt;
mod resume;
mod train;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// What a run of the program gave.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// The JSON object on the last line.
    fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(self.stdout.lines().last().unwrap()).unwrap()
    }
}

/// The program, to be run in `folder`.
fn gbrl(folder: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gbrl"));
    command.current_dir(folder).args(args.split_whitespace());
    command
}

fn run(folder: &Path, args: &str) -> Ran {
    gbrl(folder, args).output().unwrap().into()
}

/// A run of a second at most. Learning rates are constant, so that a longer run begins like a shorter one.
const SMALL: &str =
    "--n-envs 2 --set n_steps=64 --set batch_size=32 --set n_epochs=2 --set policy_lr=0.1 --set value_lr=0.05";

fn train(folder: &Path, args: &str) -> Value {
    run(folder, &format!("train CartPole-v1 {SMALL} --json {args}")).json()
}
