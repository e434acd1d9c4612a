//! `gbrl bench`: what a boosting step and a prediction cost, on random data, as one JSON object.

mod clock;
mod data;
mod grow;
mod options;
mod predict;
mod report;
mod step;
mod table1;
mod update;

use clap::Subcommand;

use crate::failure::Failure;

/// Arguments of `gbrl bench`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Step(step::Args),
    Predict(predict::Args),
    Table1(table1::Args),
    Update(update::Args),
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.task {
        Task::Step(args) => step::run(args),
        Task::Predict(args) => predict::run(args),
        Task::Table1(args) => table1::run(args),
        Task::Update(args) => update::run(args),
    }
}
