//! What is claimed of the GPU, checked and measured on the machine that this runs on: `cargo xtask gpu-check` makes it one
//! program that needs libc and a driver. Correctness comes first; then the table, as Markdown.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[allow(dead_code)]
#[path = "../../../gbrl-core/tests/case/mod.rs"]
mod case;
mod correct;
mod measure;
mod rows;
mod wheel;

use std::process::{Command, ExitCode};

const HELP: &str = "\
gpu-check [--device N] [--threads N] [--quick] [--only correct|table] [--cases N]

  --device N     number of the GPU (0)
  --threads N    threads of our processor in comparisons (2)
  --quick        tiny shapes: tries everything, measures nothing that means anything
  --only PART    correct or table: correctness alone, or the table alone
  --cases N      random shapes of the correctness part (300; 20 with --quick)

GBRL_REQUIRE_CUDA=1 makes everything that is skipped an error.";

/// What was asked for.
pub struct Args {
    device: usize,
    threads: usize,
    quick: bool,
    only: Option<Part>,
    cases: Option<u32>,
}

/// What there is to be run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Correct,
    Table,
}

fn parse() -> Result<Args, String> {
    let mut args = Args { device: 0, threads: 2, quick: false, only: None, cases: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word}: expected a value"));
        let whole = |text: String| text.parse().map_err(|_| format!("{word}: expected a whole number, got {text}"));
        match word.as_str() {
            "--quick" => args.quick = true,
            "--device" => args.device = whole(value()?)?,
            "--threads" => args.threads = whole(value()?)?.max(1),
            "--cases" => args.cases = Some(whole(value()?)? as u32),
            "--only" => {
                args.only = Some(match value()?.as_str() {
                    "correct" => Part::Correct,
                    "table" => Part::Table,
                    other => return Err(format!("--only: expected correct or table, got {other}")),
                });
            }
            "--help" | "-h" => return Err(HELP.to_owned()),
            other => return Err(format!("unknown argument {other}\n\n{HELP}")),
        }
    }
    Ok(args)
}

/// What could not be run, and why.
#[derive(Default)]
pub struct Skipped(Vec<String>);

impl Skipped {
    /// Says so now, and again at the end.
    pub fn add(&mut self, what: &str, why: impl std::fmt::Display) {
        println!("skipped: {what}: {why}");
        self.0.push(format!("{what} ({why})"));
    }
}

fn run(args: &Args) -> Result<Skipped, Box<dyn std::error::Error>> {
    let mut skipped = Skipped::default();
    let name = match gbrl_cuda::device_name(args.device) {
        Ok(name) => name,
        Err(error) => {
            skipped.add("everything", error);
            return Ok(skipped);
        }
    };
    println!("# gpu-check on {name}\n");
    if name == "stand-in" {
        println!("**This is the stand-in device, a processor: no time below says anything about a GPU.**\n");
    }
    if args.quick {
        println!("**--quick: shapes are tiny, no time below is a result.**\n");
    }
    if args.only != Some(Part::Table) {
        println!("## Correctness\n");
        correct::run(args)?;
        if args.only.is_none() {
            wheel::run(args, &mut skipped)?;
            sanitize(args, &mut skipped)?;
        }
    }
    if args.only != Some(Part::Correct) {
        println!("\n## Times\n");
        rows::run(args, &mut skipped)?;
    }
    Ok(skipped)
}

/// The correctness part again under compute-sanitizer, where it is installed.
fn sanitize(args: &Args, skipped: &mut Skipped) -> Result<(), Box<dyn std::error::Error>> {
    let mut command = Command::new("compute-sanitizer");
    command.args(["--error-exitcode", "9"]).arg(std::env::current_exe()?);
    command.args(["--only", "correct", "--cases", "10", "--quick", "--device", &args.device.to_string()]);
    match command.status() {
        Err(error) => skipped.add("compute-sanitizer", error),
        Ok(status) if status.success() => println!("* compute-sanitizer found nothing"),
        Ok(status) => return Err(format!("compute-sanitizer ended with {status}").into()),
    }
    Ok(())
}

fn main() -> ExitCode {
    let outcome = parse().map_err(Into::into).and_then(|args| run(&args));
    match outcome {
        Err(error) => {
            eprintln!("gpu-check: {error}");
            ExitCode::FAILURE
        }
        Ok(skipped) => {
            println!(
                "\n{} skipped{}{}",
                skipped.0.len(),
                if skipped.0.is_empty() { "" } else { ": " },
                skipped.0.join("; ")
            );
            let required = std::env::var("GBRL_REQUIRE_CUDA").is_ok_and(|value| value == "1");
            if required && !skipped.0.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}
