//! The end of a run: a page for people, one line for programs.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use gbrl_core::rl::eval::EvalReport;
use serde_json::json;

use super::origin::Origin;
use super::usage;
use crate::failure::Failure;
use crate::output;
use crate::text::{size, thousands, time};

/// What a run came to.
pub struct Summary<'a> {
    pub env_id: &'a str,
    pub algo: &'a str,
    pub origin: &'a Origin,
    pub seed: u64,
    /// Environment steps in all, and those of this session.
    pub steps: u64,
    pub steps_now: u64,
    /// Steps that the run was to have.
    pub total: u64,
    /// Time of training, and of everything.
    pub trained: Duration,
    pub wall: Duration,
    pub train_return: f64,
    pub window: usize,
    pub episodes: u64,
    pub evaluation: Option<&'a EvalReport>,
    pub n_trees: usize,
    pub folder: &'a Path,
    pub model: &'a Path,
    pub model_bytes: u64,
    pub model_sha256: &'a str,
    pub interrupted: bool,
}

impl Summary<'_> {
    /// One JSON object; numbers that do not exist are null.
    pub fn to_json(&self) -> String {
        json!({
            "env": self.env_id,
            "algo": self.algo,
            "preset": self.origin.preset,
            "changes": self.origin.changes,
            "seed": self.seed,
            "steps": self.steps,
            "wall_s": self.wall.as_secs_f64(),
            "cpu_s": usage::cpu_s(),
            "train_s": self.trained.as_secs_f64(),
            "steps_per_s": self.speed(),
            "train_return_mean": self.train_return,
            "train_episodes": self.episodes,
            "eval_return_mean": self.evaluation.map(EvalReport::mean),
            "eval_return_std": self.evaluation.map(EvalReport::std),
            "eval_episodes": self.evaluation.map_or(0, |report| report.returns.len()),
            "n_trees": self.n_trees,
            "peak_rss_mb": usage::peak_rss_mb(),
            "run": self.folder.display().to_string(),
            "model": self.model.display().to_string(),
            "model_bytes": self.model_bytes,
            "model_sha256": self.model_sha256,
            "interrupted": self.interrupted,
        })
        .to_string()
    }

    /// The page.
    pub fn print(&self) -> Result<(), Failure> {
        let mut page = String::new();
        let verb = if self.interrupted { "stopped after" } else { "trained for" };
        let pace =
            self.speed().map(|speed| format!(" in {} ({} steps/s)", time(self.trained), thousands(speed.round())));
        let _ = writeln!(page, "{} {verb} {}{}\n", self.env_id, self.steps_done(), pace.unwrap_or_default());
        let training = match self.window {
            0 => "no episode has ended yet".to_owned(),
            n => format!(
                "return {}, mean of the last {n} of {} episodes",
                thousands(self.train_return),
                thousands(self.episodes as f64)
            ),
        };
        let _ = writeln!(page, "  training    {training}");
        if let Some(report) = self.evaluation {
            let _ = writeln!(page, "  evaluation  {}", evaluation(report, true));
            if let Some(verdict) = verdict(self.env_id, report.mean()) {
                let _ = writeln!(page, "              {verdict}");
            }
        }
        let peak = usage::peak_rss_mb().map(|mb| format!(", {mb:.0} MB of memory at most")).unwrap_or_default();
        let _ =
            writeln!(page, "  policy      {} trees, {}{peak}", thousands(self.n_trees as f64), size(self.model_bytes));
        let _ = writeln!(page, "  settings    {}, seed {}", self.origin.text(), self.seed);
        let _ = writeln!(page, "  files       {}", self.folder.display());
        let _ = writeln!(page, "\nNext:");
        for (command, about) in self.next_commands() {
            let _ = writeln!(page, "  {command}{about}");
        }
        output::print(&page)
    }

    /// Steps per second; `None` where all steps were done before.
    fn speed(&self) -> Option<f64> {
        (self.steps_now > 0).then(|| self.steps_now as f64 / self.trained.as_secs_f64())
    }

    fn steps_done(&self) -> String {
        let (now, all) = (thousands(self.steps_now as f64), thousands(self.steps as f64));
        match self.steps - self.steps_now {
            0 => format!("{all} steps"),
            before if before == self.steps => format!("{all} steps before"),
            _ => format!("{now} more steps, {all} in all,"),
        }
    }

    fn next_commands(&self) -> Vec<(String, String)> {
        let gbrl = program();
        let (folder, model) = (shell(self.folder), shell(self.model));
        if self.interrupted {
            let go_on = (format!("{gbrl} train --resume {folder}"), String::new());
            return vec![go_on, (format!("{gbrl} eval {model}"), String::new())];
        }
        let commands = [
            (format!("{gbrl} eval {model} --episodes 1000"), "how good it is, more exactly"),
            (format!("{gbrl} show {model}"), "what it looks at"),
            (
                format!("{gbrl} train --resume {folder} --steps {}", 2 * self.total),
                "train on; schedules stretch to the new total",
            ),
            (format!("tensorboard --logdir {folder}"), "curves; curve.svg shows the return"),
        ];
        let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
        commands
            .into_iter()
            .map(|(command, about)| {
                let gap = " ".repeat(width - command.len() + 3);
                (command, format!("{gap}{about}"))
            })
            .collect()
    }
}

/// An evaluation in a line.
pub fn evaluation(report: &EvalReport, deterministic: bool) -> String {
    let actions = if deterministic { "likeliest actions" } else { "sampled actions" };
    let (mean, std) = (thousands(report.mean()), thousands(report.std()));
    format!("return {mean} ± {std} over {} episodes, {actions}", thousands(report.returns.len() as f64))
}

/// Whether the task counts as solved, where that is defined.
pub fn verdict(env_id: &str, mean: f64) -> Option<String> {
    let threshold = f64::from(envs::spec(env_id).ok()?.reward_threshold?);
    let word = if mean >= threshold { "solved" } else { "not solved yet" };
    Some(format!("{word}: {} or more counts as solved", thousands(threshold)))
}

/// How the program was called.
fn program() -> String {
    std::env::args().next().map_or_else(|| "gbrl".to_owned(), |name| shell(Path::new(&name)))
}

/// A path as one types it.
pub fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
