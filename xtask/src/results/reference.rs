//! Training the reference's trees in a PPO loop of our own, `benches/compare/gbrl_ppo.py`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::cells::{POINTS, Row};
use super::suite::{Home, Paper};
use crate::compare::peers;
use crate::kernels::hash;
use crate::{process, workspace};

/// What its cells are of, where ours have an algorithm: no other table shows them.
pub const NAME: &str = "gbrl-1.1.9";
const SCRIPT: &str = "benches/compare/gbrl_ppo.py";

/// Those that this project steps and of which the paper says how far its trees came.
pub fn envs(envs: &[(&'static str, Home)]) -> Result<Vec<(&'static str, Home)>> {
    let paper = Paper::read()?;
    let is_own = |(env, home): &&(&str, Home)| *home == Home::Rust && paper.of("ppo", env).trees.is_some();
    Ok(envs.iter().filter(is_own).map(|(env, _)| (*env, Home::Reference)).collect())
}

/// What trains it.
pub struct Reference {
    /// With the wheel and our environments.
    python: PathBuf,
    /// Of the loop.
    pub sha256: String,
    /// How far its trees came: what a run is stopped by.
    paper: Paper,
    /// Steps after which a run ends that has not learnt.
    cap: Option<u64>,
}

impl Reference {
    pub fn install(cap: Option<u64>) -> Result<Self> {
        let python = peers::python_with(&["gbrl", "gymnasium", peers::OURS])?;
        let script = workspace::root().join(SCRIPT);
        let sha256 = hash(&fs::read(&script).with_context(|| script.display().to_string())?);
        Ok(Reference { python, sha256, paper: Paper::read()?, cap })
    }

    /// For tests: another program in Python's place.
    #[cfg(test)]
    pub fn of(python: &Path, sha256: &str) -> Self {
        let (python, sha256, paper) = (python.to_owned(), sha256.to_owned(), Paper::read().unwrap());
        Reference { python, sha256, paper, cap: Some(5000) }
    }

    /// The command that trains a seed of `env` in `folder`, with the presets of `program`.
    pub fn command(&self, program: &Path, (env, seed): (&str, u64), folder: &Path) -> Command {
        let mut command = process::command(&self.python);
        command.args([SCRIPT, "--env", env, "--seed", &seed.to_string(), "--out"]).arg(folder);
        command.arg("--program").arg(program);
        if let Some(cap) = self.cap {
            command.args(["--cap", &cap.to_string()]);
        }
        if let Some((trees, _)) = self.paper.of("ppo", env).trees {
            // One word: it may begin with a minus.
            command.arg(format!("--towards={trees}"));
        }
        command
    }
}

/// The points that `thin` would keep of a run of `steps` whose first part these rows are, so that its curve is as coarse as
/// ours; besides, the first, which is of random actions, and the last, where it was stopped.
pub fn curve(rows: &[Row], steps: u64) -> Vec<(u64, f64)> {
    let Some(rollout) = rows.first().map(|row| row.steps.max(1)) else { return Vec::new() };
    let missing = (steps.div_ceil(rollout) as usize).saturating_sub(rows.len());
    let rows: Vec<&Row> = rows.iter().filter(|row| row.mean.is_finite()).collect();
    let whole = rows.len() + missing;
    let step = whole.div_ceil(POINTS).max(1);
    let is_kept = |i: usize| (whole - 1 - i).is_multiple_of(step) || i == 0 || i + 1 == rows.len();
    rows.iter().enumerate().filter(|(i, _)| is_kept(*i)).map(|(_, row)| row.point()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::cells::thin;
    use super::super::suite::Suite;
    use super::*;

    #[test]
    fn the_curve_of_a_stopped_run_has_the_points_of_a_whole_one_and_its_ends() {
        let rows =
            |n: u64| (1..=n).map(|i| Row::of(100 * i, if i < 3 { f64::NAN } else { i as f64 })).collect::<Vec<_>>();
        let whole = thin(&rows(500));
        let stopped = curve(&rows(200), 49_950);
        let inside: Vec<_> = whole.iter().copied().filter(|(steps, _)| *steps < 20_000).collect();
        assert_eq!(stopped[0], (300, 3.0));
        assert_eq!(stopped[stopped.len() - 1], (20_000, 200.0));
        let grid: Vec<_> = stopped.iter().copied().filter(|point| whole.contains(point)).collect();
        assert_eq!(grid, inside);
        assert!(stopped.len() <= grid.len() + 2 && grid.len() > 20);
        assert_eq!(curve(&rows(500), 50_000)[1..], whole[usize::from(whole[0].0 == 300)..]);
        assert!(curve(&[], 10).is_empty() && curve(&rows(2), 1000).is_empty());
    }

    #[test]
    fn it_is_trained_where_the_paper_has_trees_and_the_environment_is_ours() {
        let classic = envs(Suite::Classic.envs()).unwrap();
        assert!(classic.contains(&("CartPole-v1", Home::Reference)));
        assert!(classic.iter().all(|(env, _)| *env != "LunarLander-v3"));
        assert!(envs(Suite::Equation.envs()).unwrap().is_empty());
        let reference = Reference::of(Path::new("python"), "");
        let shown = reference.command(Path::new("gbrl"), ("Pendulum-v1", 3), Path::new("runs/a"));
        let arguments = "--env Pendulum-v1 --seed 3 --out runs/a --program gbrl --cap 5000 --towards=-246.89";
        assert_eq!(process::shown(&shown), format!("python {SCRIPT} {arguments}"));
        assert!(workspace::root().join(SCRIPT).is_file());
    }
}
