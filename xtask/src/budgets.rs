//! Instruction counts of the benches, measured under valgrind, held against recorded budgets.
//!
//! Wall time on a shared machine varies by tens of per cent; the number of instructions does not vary at all.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::steps::Outcome;
use crate::{process, workspace};

/// Arguments of `cargo xtask budgets`.
#[derive(clap::Args)]
pub struct Args {
    /// Record what is measured now as the new budgets.
    #[arg(long)]
    update: bool,
}

const FILE: &str = "benches/budgets.toml";
const HEADER: &str =
    "# Instructions per bench, written by `cargo xtask budgets --update`; more than 10 % above fails.\n\n";
/// What a count may change by, in per cent: above, the gate closes; below, the gain is worth recording.
const TOLERANCE: u64 = 10;
/// The benches' runner must have the library's version.
const RUNNER: &str = "gungraun-runner";

/// The data file: counts, and the compiler they were measured with.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Budgets {
    rustc: String,
    instructions: BTreeMap<String, u64>,
}

/// One line of the runner's JSON output; everything else in it is of no interest here.
#[derive(Deserialize)]
struct Line {
    function_name: String,
    id: Option<String>,
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    total: Total,
}

#[derive(Deserialize)]
struct Total {
    metrics: BTreeMap<String, Metric>,
}

#[derive(Deserialize)]
struct Metric {
    values: Values,
}

#[derive(Deserialize)]
struct Values {
    new: serde_json::Number,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    if let Err(reason) = machine_can_measure() {
        bail!("{reason}");
    }
    let measured = Budgets { rustc: rustc_version()?, instructions: measure()? };
    if args.update {
        let text = format!("{HEADER}{}", toml::to_string(&measured)?);
        return std::fs::write(workspace::root().join(FILE), text).with_context(|| format!("writing {FILE}"));
    }
    let text = std::fs::read_to_string(workspace::root().join(FILE)).with_context(|| format!("reading {FILE}"))?;
    let recorded: Budgets = toml::from_str(&text).with_context(|| format!("reading {FILE}"))?;
    judge(&recorded, &measured)
}

/// The step of `cargo xtask test`.
pub fn step() -> Result<Outcome> {
    if let Err(reason) = machine_can_measure() {
        return Ok(Outcome::Skipped(reason));
    }
    run(&Args { update: false })?;
    Ok(Outcome::Passed)
}

fn machine_can_measure() -> Result<(), String> {
    #[cfg(target_arch = "x86_64")]
    let comparable = std::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    let comparable = false;
    if !comparable {
        return Err("budgets are recorded on x86-64 with AVX2, this machine is something else".into());
    }
    if process::find("valgrind").is_none() {
        return Err("no valgrind on this machine: install it to count instructions".into());
    }
    Ok(())
}

/// Instructions of every bench.
fn measure() -> Result<BTreeMap<String, u64>> {
    let mut cargo = process::cargo();
    cargo.args(["bench", "--locked", "--quiet", "-p", "gbrl-benches", "--bench", "instructions"]);
    cargo.args(["--", "--output-format=json"]).env("GUNGRAUN_RUNNER", runner()?);
    parse(&process::output(&mut cargo)?)
}

fn parse(output: &str) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for line in output.lines().filter(|line| line.starts_with('{')) {
        let line: Line = serde_json::from_str(line).context("the runner's JSON has another form than expected")?;
        let count = line.profiles.iter().find_map(|profile| profile.data.total.metrics.get("Ir")?.values.new.as_u64());
        let name = match line.id {
            Some(id) => format!("{}.{id}", line.function_name),
            None => line.function_name,
        };
        let count = count.with_context(|| format!("no instruction count for {name}"))?;
        counts.insert(name, count);
    }
    Ok(counts)
}

/// Prints every bench with its budget; fails if one is above it, or has none, or has vanished.
fn judge(recorded: &Budgets, measured: &Budgets) -> Result<()> {
    let mut faults = Vec::new();
    for (name, &count) in &measured.instructions {
        let Some(&budget) = recorded.instructions.get(name) else {
            faults.push(format!("{name} has no budget"));
            continue;
        };
        let change = count as f64 / budget as f64 - 1.0;
        println!("{name:<40}{count:>14} instructions, budget {budget:>14} ({:+.2} %)", change * 100.0);
        if count * 100 > budget * (100 + TOLERANCE) {
            faults.push(format!("{name} costs {:.1} % more than its budget", change * 100.0));
        } else if count * 100 < budget * (100 - TOLERANCE) {
            println!("    better than recorded: `cargo xtask budgets --update` keeps the gain");
        }
    }
    for name in recorded.instructions.keys().filter(|name| !measured.instructions.contains_key(*name)) {
        faults.push(format!("{name} has a budget but no bench"));
    }
    if faults.is_empty() {
        return Ok(());
    }
    let compiler = if recorded.rustc == measured.rustc {
        String::new()
    } else {
        format!(" (recorded with rustc {}, measured with {})", recorded.rustc, measured.rustc)
    };
    bail!("{}{compiler}; if that is meant, run `cargo xtask budgets --update`", faults.join("; "))
}

/// The runner of the library's version, installed into the workspace if it is not there yet.
fn runner() -> Result<PathBuf> {
    let version = locked_version("gungraun")?;
    let runner = workspace::tools().join("bin").join(RUNNER);
    if !process::has_version(&runner, &version) {
        println!("installing {RUNNER} {version} into .cache/tools (some minutes, once)");
        let mut cargo = process::cargo();
        // Unoptimised it builds in half the time, and it only reads small files.
        cargo.args(["install", "--locked", "--quiet", "--debug", "--force", "--version", &version, "--root"]);
        process::run(cargo.arg(workspace::tools()).arg(RUNNER))?;
    }
    Ok(runner)
}

/// The version of `package` in Cargo.lock.
fn locked_version(package: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let text = std::fs::read_to_string(workspace::root().join("Cargo.lock")).context("reading Cargo.lock")?;
    let lock: Lock = toml::from_str(&text).context("reading Cargo.lock")?;
    let found = lock.package.into_iter().find(|candidate| candidate.name == package);
    Ok(found.with_context(|| format!("{package} is not in Cargo.lock"))?.version)
}

/// Such as `1.95.0`.
pub fn rustc_version() -> Result<String> {
    let text = process::output(process::command("rustc").arg("--version"))?;
    Ok(text.split_whitespace().nth(1).unwrap_or("unknown").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets(entries: &[(&str, u64)]) -> Budgets {
        let instructions = entries.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        Budgets { rustc: "1.0.0".into(), instructions }
    }

    #[test]
    fn the_gate_closes_above_ten_per_cent() {
        let recorded = budgets(&[("a", 1_000)]);
        assert!(judge(&recorded, &budgets(&[("a", 1_100)])).is_ok());
        assert!(judge(&recorded, &budgets(&[("a", 1_101)])).is_err());
        assert!(judge(&recorded, &budgets(&[("a", 10)])).is_ok());
    }

    #[test]
    fn benches_and_budgets_must_match() {
        assert!(judge(&budgets(&[]), &budgets(&[("a", 1)])).unwrap_err().to_string().contains("no budget"));
        assert!(judge(&budgets(&[("a", 1)]), &budgets(&[])).unwrap_err().to_string().contains("no bench"));
    }

    #[test]
    fn reads_the_runners_output() {
        let line = r#"{"function_name":"f","id":"n8","profiles":[{"data":{"total":{"metrics":
            {"Ir":{"values":{"new":42,"old":41}},"HitRate":{"values":{"new":0.5}}}}}}]}"#;
        let text = format!("Running benches\n{}\n", line.replace('\n', ""));
        assert_eq!(parse(&text).unwrap(), BTreeMap::from([("f.n8".to_owned(), 42)]));
    }
}
