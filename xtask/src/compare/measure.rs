//! Running both sides in turn.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::peers::Peers;
use super::plan::{Job, Pair, Program, Unit};
use super::results::{Line, Outcome, Side, Spread};
use crate::{process, workspace};

/// What is needed to run a job.
pub struct Runner<'a> {
    peers: &'a Peers,
    gbrl: PathBuf,
    /// Text of `gbrl bench step --help`, from which its options are known.
    help: String,
}

impl<'a> Runner<'a> {
    /// After our program was built.
    pub fn new(peers: &'a Peers) -> Result<Self> {
        let gbrl = workspace::target().join("release/gbrl");
        let help = process::output(process::command(&gbrl).args(["bench", "step", "--help"])).unwrap_or_default();
        Ok(Runner { peers, gbrl, help })
    }

    /// Both sides take turns; a side that fails once is not asked again, the other goes on.
    pub fn measure(&self, pair: &Pair, rounds: usize) -> Line {
        let (mut ours, mut theirs) = (Turns::default(), Turns::default());
        for _ in 0..rounds {
            ours.take(|| self.run(&pair.ours, pair.unit));
            if let Some(job) = &pair.theirs {
                theirs.take(|| self.run(job, pair.unit));
            }
        }
        let both = ours.failure.is_none() && theirs.failure.is_none() && pair.theirs.is_some();
        let ratios = || -> Vec<f64> { theirs.figures.iter().zip(&ours.figures).map(|(b, a)| b / a).collect() };
        let line = Line {
            work: pair.work.clone(),
            unit: pair.unit.shown().to_owned(),
            ratio: both.then(|| Spread::of(&ratios())),
            ours: self.side(&pair.ours, ours),
            theirs: pair.theirs.as_ref().map(|job| self.side(job, theirs)),
        };
        println!("{}", progress(&line));
        line
    }

    fn side(&self, job: &Job, turns: Turns) -> Side {
        let command = self.command(job).map(|command| process::shown(&command)).unwrap_or_default();
        let command = self.without_folders(&command);
        let outcome = match turns.failure {
            Some(reason) => Outcome::CouldNotRun(self.without_folders(&reason)),
            None => Outcome::Measured {
                median: Spread::of(&turns.figures).median,
                rounds: turns.figures,
                details: turns.details,
            },
        };
        Side { name: job.name.clone(), command, outcome }
    }

    /// What is recorded names no folder of this machine.
    fn without_folders(&self, text: &str) -> String {
        let text = text.replace(&*self.gbrl.to_string_lossy(), "gbrl");
        let text = text.replace(&format!("{}/", workspace::root().display()), "");
        match std::env::var("HOME") {
            Ok(home) if home.len() > 1 => text.replace(&home, "~"),
            _ => text,
        }
    }

    fn run(&self, job: &Job, unit: Unit) -> Result<(f64, Value)> {
        let text = process::output(&mut self.command(job)?)?;
        let line = text.lines().rfind(|line| line.starts_with('{')).context("it printed no JSON object")?;
        let details: Value = serde_json::from_str(line).context("its JSON cannot be read")?;
        Ok((figure(&details, unit)?, details))
    }

    fn command(&self, job: &Job) -> Result<Command> {
        let scripts = workspace::root().join("benches/compare");
        let mut python = process::command(&self.peers.python);
        Ok(match &job.program {
            Program::Ours => {
                let mut command = process::command(&self.gbrl);
                command.args(self.supported(&job.args)?);
                command
            }
            Program::OursWhole => {
                python.arg(scripts.join("run_program.py")).arg(&self.gbrl).args(&job.args);
                python
            }
            Program::Script { peer, script } => {
                self.peers.available(peer).map_err(anyhow::Error::msg)?;
                python.arg(scripts.join(format!("{script}.py"))).args(&job.args);
                python
            }
            Program::Import { peer, module } => {
                self.peers.available(peer).map_err(anyhow::Error::msg)?;
                python.arg(scripts.join("run_program.py")).arg(&self.peers.python);
                python.args(["-c", &format!("import {module}")]);
                python
            }
        })
    }

    /// The arguments, or an error that names the first option this build does not have.
    fn supported<'b>(&self, args: &'b [String]) -> Result<&'b [String]> {
        // Only the help of `bench step` is at hand, and only its options differ between builds.
        let is_step = args.get(1).is_some_and(|word| word == "step");
        match args.iter().find(|arg| is_step && arg.starts_with("--") && !self.help.contains(arg.as_str())) {
            Some(option) => bail!("this build of gbrl has no {option} in `gbrl bench step`"),
            None => Ok(args),
        }
    }
}

/// What one side's turns gave so far.
#[derive(Default)]
struct Turns {
    figures: Vec<f64>,
    details: Value,
    failure: Option<String>,
}

impl Turns {
    fn take(&mut self, run: impl FnOnce() -> Result<(f64, Value)>) {
        if self.failure.is_some() {
            return;
        }
        match run() {
            Ok((figure, details)) => {
                self.figures.push(figure);
                self.details = details;
            }
            Err(error) => self.failure = Some(format!("{error:#}")),
        }
    }
}

/// The figure of `unit`.
fn figure(details: &Value, unit: Unit) -> Result<f64> {
    let found = details.get(unit.key()).and_then(Value::as_f64);
    let found = found.with_context(|| format!("its JSON has no `{}`", unit.key()))?;
    if !(found.is_finite() && found > 0.0) {
        bail!("its `{}` is {found}", unit.key());
    }
    Ok(found)
}

fn progress(line: &Line) -> String {
    let side = |side: &Side| match &side.outcome {
        Outcome::Measured { median, .. } => format!("{} {median:.4}", side.name),
        Outcome::CouldNotRun(reason) => format!("{} could not be run: {reason}", side.name),
    };
    let theirs = line.theirs.as_ref().map(side).unwrap_or_default();
    let ratio = line.ratio.map(|ratio| format!(", ratio {:.2}", ratio.median)).unwrap_or_default();
    format!("{}: {}, {theirs}{ratio} ({})", line.work, side(&line.ours), line.unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job that prints `text`, with echo in the place of our program.
    fn echo(text: &str) -> Job {
        Job { name: "echo".into(), program: Program::Ours, args: vec![text.into()] }
    }

    fn runner(peers: &Peers) -> Runner<'_> {
        Runner { peers, gbrl: PathBuf::from("/bin/echo"), help: "--rows".into() }
    }

    #[test]
    fn the_ratio_is_theirs_over_ours() {
        let (ours, theirs) = (echo("{\"ms_per_tree\": 2}"), echo("{\"ms_per_tree\": 6}"));
        let pair = Pair { work: "w".into(), unit: Unit::MsPerTree, ours, theirs: Some(theirs) };
        let line = runner(&Peers::none()).measure(&pair, 3);
        assert_eq!(line.ratio, Some(Spread { median: 3.0, low: 3.0, high: 3.0 }));
    }

    #[test]
    fn a_side_that_fails_is_recorded_with_its_reason() {
        let script = Program::Script { peer: "gbrl", script: "gbrl_step".into() };
        let theirs = Job { name: "gbrl".into(), program: script, args: Vec::new() };
        let ours = echo("{\"ms_per_tree\": 2}");
        let pair = Pair { work: "w".into(), unit: Unit::MsPerTree, ours, theirs: Some(theirs) };
        let line = runner(&Peers::none()).measure(&pair, 1);
        assert!(line.ratio.is_none());
        assert!(matches!(line.theirs.unwrap().outcome, Outcome::CouldNotRun(reason) if reason.contains("gbrl")));
    }

    #[test]
    fn an_option_that_the_build_lacks_is_named() {
        let peers = Peers::none();
        let supported = |text: &str| {
            let args: Vec<String> = text.split(' ').map(str::to_owned).collect();
            runner(&peers).supported(&args).map(<[String]>::len)
        };
        assert_eq!(supported("bench step --rows 2").unwrap(), 4);
        assert!(supported("bench step --nan 0.1").unwrap_err().to_string().contains("--nan"));
    }

    #[test]
    fn nonsense_is_no_figure() {
        assert!(figure(&serde_json::json!({ "ms_per_tree": -1.0 }), Unit::MsPerTree).is_err());
    }

    #[test]
    fn a_failure_ends_the_turns() {
        let mut turns = Turns::default();
        turns.take(|| Ok((1.0, Value::Null)));
        turns.take(|| bail!("broken"));
        turns.take(|| panic!("asked again after a failure"));
        assert_eq!(turns.failure.as_deref(), Some("broken"));
    }
}
