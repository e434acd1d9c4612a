//! A list of steps, run in order, each announced and timed, stopping at the first that fails.

use std::time::Instant;

use anyhow::{Error, Result, bail};

/// How a step that did not fail ended.
pub enum Outcome {
    /// It ran and found nothing wrong.
    Passed,
    /// The machine lacks something: what, and how to get it.
    Skipped(String),
}

/// One thing to check.
pub struct Step {
    /// Short name, typed to run this step alone.
    pub name: &'static str,
    /// One line for the help text.
    pub about: &'static str,
    /// The work.
    pub run: fn() -> Result<Outcome>,
}

/// Refuses names that no step has.
pub fn known(steps: &[Step], names: &[String]) -> Result<()> {
    for name in names {
        if !steps.iter().any(|step| step.name == name) {
            let all: Vec<&str> = steps.iter().map(|step| step.name).collect();
            bail!("no step is called `{name}`; there are {}", all.join(", "));
        }
    }
    Ok(())
}

/// Runs the steps of `cargo xtask COMMAND`, prints one closing line `xtask: N passed, N failed, N skipped`, and fails if a
/// step did, or was skipped where the variable `require` is 1.
pub fn run(command: &str, require: &str, steps: &[&Step]) -> Result<()> {
    let require_all = std::env::var(require).is_ok_and(|value| value == "1");
    let mut passed = 0;
    let mut skipped: Vec<String> = Vec::new();
    let mut failure: Option<(&str, Error)> = None;
    for (i, step) in steps.iter().enumerate() {
        println!("\n━━ {}/{} {}: {}", i + 1, steps.len(), step.name, step.about);
        let start = Instant::now();
        let outcome = match (step.run)() {
            Ok(Outcome::Skipped(reason)) if require_all => {
                Err(Error::msg(format!("would be skipped ({reason}), but {require}=1 asks for everything")))
            }
            outcome => outcome,
        };
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(Outcome::Passed) => {
                passed += 1;
                println!("━━ {} passed in {seconds:.1} s", step.name);
            }
            Ok(Outcome::Skipped(reason)) => {
                println!("━━ {} skipped: {reason}", step.name);
                skipped.push(format!("{} ({reason})", step.name));
            }
            Err(error) => {
                println!("━━ {} FAILED after {seconds:.1} s: {error:#}", step.name);
                failure = Some((step.name, error));
                break;
            }
        }
    }
    println!();
    if !skipped.is_empty() {
        println!("{} skipped: {}", skipped.len(), skipped.join("; "));
    }
    println!("xtask: {passed} passed, {} failed, {} skipped", u8::from(failure.is_some()), skipped.len());
    if let Some((name, _)) = failure {
        bail!("{name} failed; once repaired, `cargo xtask {command} {name}` runs it alone");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not set.
    const REQUIRE: &str = "GBRL_REQUIRE_NOTHING";

    #[test]
    fn stops_at_the_first_failure() {
        let good = Step { name: "good", about: "passes", run: || Ok(Outcome::Passed) };
        let bad = Step { name: "bad", about: "fails", run: || bail!("on purpose") };
        let never = Step { name: "never", about: "not reached", run: || panic!("a step after a failed one ran") };
        assert!(run("test", REQUIRE, &[&good, &good]).is_ok());
        let error = run("test", REQUIRE, &[&good, &bad, &never]).unwrap_err();
        assert!(error.to_string().contains("cargo xtask test bad"));
    }
}
