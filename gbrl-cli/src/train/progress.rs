//! The progress bar, on stderr and only where that is a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use crate::output;
use crate::text::thousands;

/// A bar with return, speed, trees and time left; copies are of the same bar.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
    shown: Instant,
    /// Steps done before this session.
    start: u64,
    started: Instant,
}

const EVERY: Duration = Duration::from_millis(50);

impl Progress {
    /// A bar up to `total` steps; invisible if `quiet` or no terminal.
    pub fn new(start: u64, total: u64, quiet: bool) -> Self {
        let visible = !quiet && std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_finish(ProgressFinish::AndClear);
        let template = "{wide_bar:.cyan/black.bright} {percent:>3} %  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸━"));
        }
        bar.set_position(start);
        Progress { bar, shown: Instant::now(), start, started: Instant::now() }
    }

    /// Shows where the run stands, at most twenty times a second.
    pub fn update(&mut self, timesteps: u64, mean_return: impl Fn() -> f64, n_trees: usize) {
        if self.bar.is_hidden() || self.shown.elapsed() < EVERY {
            return;
        }
        self.shown = Instant::now();
        let seconds = self.started.elapsed().as_secs_f64();
        let speed = (timesteps - self.start) as f64 / seconds;
        let left = self.bar.length().unwrap_or(0).saturating_sub(timesteps) as f64 / speed;
        let mean_return = mean_return();
        let shown_return = if mean_return.is_finite() { thousands(mean_return) } else { "–".to_owned() };
        let (minutes, seconds) = (left as u64 / 60, left as u64 % 60);
        self.bar.set_message(format!(
            "return {shown_return}  {} steps/s  {} trees  {minutes}:{seconds:02} left",
            thousands(speed.round()),
            thousands(n_trees as f64),
        ));
        self.bar.set_position(timesteps);
    }

    /// Shows what is being done besides training.
    pub fn say(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// Writes a line above the bar.
    pub fn note(&self, line: &str) {
        self.bar.suspend(|| output::note(line));
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
