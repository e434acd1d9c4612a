//! What happens while a run trains: numbers to files, points to the curve, checkpoints, the bar.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gbrl_core::config::Settings;
use gbrl_core::rl::env::Env;
use gbrl_core::rl::eval::evaluate;
use gbrl_core::rl::event::{Control, Event, Metrics};
use gbrl_core::rl::policy::Policy;

use super::board::Board;
use super::checkpoint::{self, ProgramState};
use super::curve::Curve;
use super::interrupt::Interrupt;
use super::metrics::{MetricsFile, TIMESTEPS, Table};
use super::origin::Origin;
use super::progress::Progress;
use super::run_folder::RunFolder;
use super::states::States;
use super::usage;
use crate::failure::Failure;

/// Episodes that the run's final training return is the mean of.
pub const WINDOW: usize = 100;
/// Rows of metrics.csv of a whole run, about.
const MAX_ROWS: u64 = 4_000;
/// So that whoever follows a long run sees it move.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

const MEAN: &str = "rollout/ep_rew_mean";
const LOW: &str = "rollout/ep_rew_p10";
const HIGH: &str = "rollout/ep_rew_p90";
const EVALUATION: &str = "eval/mean_reward";
const ELAPSED: &str = "time/time_elapsed";
const CPU: &str = "time/cpu_elapsed";
/// Columns that the program adds to the core's.
const OWN: [&str; 8] = [LOW, HIGH, "time/fps", ELAPSED, CPU, EVALUATION, "eval/std_reward", "eval/mean_ep_length"];

/// What the program itself knows of the episodes.
#[derive(Clone, Default)]
pub struct Recent {
    /// Returns of the last [`WINDOW`] training episodes.
    pub returns: VecDeque<f64>,
    pub episodes: u64,
}

impl Recent {
    /// Mean return of the last training episodes; NaN before the first ended.
    pub fn mean(&self) -> f64 {
        self.returns.iter().fold(0.0, |sum, x| sum + x) / self.returns.len() as f64
    }
}

/// Whoever watches a run.
pub struct Watcher {
    pub folder: RunFolder,
    pub env_id: String,
    pub origin: Origin,
    pub states: States,
    pub interrupt: Interrupt,
    pub recent: Recent,
    /// The same after the last rollout that was learned from: what is saved.
    settled: Recent,
    settings: Settings,
    progress: Progress,
    metrics: Option<MetricsFile>,
    board: Board,
    table: Table,
    /// For evaluations on the way, made when first needed.
    eval_envs: Vec<Box<dyn Env>>,
    eval: Vec<(&'static str, f64)>,
    started: Instant,
    flushed: Instant,
    start: u64,
    /// Of earlier sessions.
    elapsed_before: f64,
    /// Processor time of earlier sessions less what this process had used before it began; NaN where nobody knows.
    cpu_offset: f64,
    log_every: u64,
    logged_at: u64,
    n_trees: usize,
    /// Steps of the last checkpoint.
    saved_at: Option<u64>,
    failure: Option<Failure>,
}

impl Watcher {
    /// Opens the run's files: new ones, or those of the run that is resumed at `timesteps`.
    pub fn new(
        folder: RunFolder,
        (env_id, origin): (&str, Origin),
        settings: &Settings,
        states: States,
        interrupt: Interrupt,
        resumed: Option<(u64, &ProgramState)>,
        progress: Progress,
    ) -> Result<Self, Failure> {
        let start = resumed.map_or(0, |(timesteps, _)| timesteps);
        let path = folder.file("metrics.csv");
        let (metrics, table) = match resumed {
            Some((timesteps, _)) if path.exists() => {
                let (metrics, table) = MetricsFile::resume(&path, timesteps)?;
                (Some(metrics), table)
            }
            _ => (None, Table { columns: Vec::new(), rows: Vec::new() }),
        };
        let before = |column: &str| table.pairs(TIMESTEPS, column).last().map_or(0.0, |&(_, seconds)| seconds);
        let (elapsed_before, cpu_before) = (before(ELAPSED), before(CPU));
        let rollout = (settings.run.n_envs * settings.agent.n_steps) as u64;
        let program = resumed.map(|(_, program)| program);
        let recent = program.map_or_else(Recent::default, |program| Recent {
            returns: program.returns.iter().map(|&bits| f64::from_bits(bits)).collect(),
            episodes: program.episodes,
        });
        Ok(Watcher {
            board: Board::create(folder.path(), resumed.map(|(timesteps, _)| timesteps))?,
            progress,
            folder,
            env_id: env_id.to_owned(),
            origin,
            states,
            interrupt,
            settled: recent.clone(),
            recent,
            settings: settings.clone(),
            metrics,
            table,
            eval_envs: Vec::new(),
            eval: Vec::new(),
            started: Instant::now(),
            flushed: Instant::now(),
            start,
            elapsed_before,
            cpu_offset: usage::cpu_s().map_or(f64::NAN, |seconds| cpu_before - seconds),
            log_every: rollout * settings.run.total_timesteps.div_ceil(rollout).div_ceil(MAX_ROWS).max(1),
            logged_at: start,
            n_trees: 0,
            saved_at: resumed.map(|(timesteps, _)| timesteps),
            failure: None,
        })
    }

    /// Takes note of an event. A failure to write is kept and ends the run.
    pub fn see(&mut self, event: &Event<'_>) -> Control {
        if let Err(failure) = self.note(event) {
            self.failure.get_or_insert(failure);
        }
        if self.failure.is_some() || self.interrupt.is_pressed() { Control::Stop } else { Control::Continue }
    }

    /// What went wrong while watching.
    pub fn failure(&mut self) -> Result<(), Failure> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Writes the run's last numbers, which are not always due.
    pub fn log_last(&mut self, timesteps: u64, metrics: &Metrics) -> Result<(), Failure> {
        if timesteps > self.logged_at { self.log(timesteps, metrics) } else { Ok(()) }
    }

    /// Shows what is being done besides training.
    pub fn say(&self, what: &str) {
        self.progress.say(what);
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.progress.clear();
    }

    /// What a checkpoint keeps of the program.
    pub fn program_state(&self) -> ProgramState {
        ProgramState {
            preset: self.origin.preset.clone(),
            changes: self.origin.changes.clone(),
            returns: self.settled.returns.iter().map(|x| x.to_bits()).collect(),
            episodes: self.settled.episodes,
        }
    }

    /// Whether a checkpoint of these steps is there already.
    pub fn has_checkpoint(&self, timesteps: u64) -> bool {
        self.saved_at == Some(timesteps)
    }

    /// Adds a final evaluation to TensorBoard's numbers.
    pub fn log_final_evaluation(&mut self, timesteps: u64, mean: f64, std: f64) -> Result<(), Failure> {
        self.board.scalar("eval/final_mean_reward", timesteps, mean)?;
        self.board.scalar("eval/final_std_reward", timesteps, std)?;
        self.board.flush()
    }

    /// Draws the learning curve.
    pub fn draw_curve(&self, last_evaluation: Option<(u64, f64)>) -> Result<(), Failure> {
        let mut evaluations = self.table.pairs(TIMESTEPS, EVALUATION);
        evaluations.extend(last_evaluation.map(|(timesteps, mean)| (timesteps as f64, mean)));
        let curve = Curve {
            title: format!(
                "{} on {}, {}, seed {}",
                self.settings.algorithm().title(),
                self.env_id,
                self.origin.title(),
                self.settings.run.seed
            ),
            mean: self.table.pairs(TIMESTEPS, MEAN),
            mean_window: self.settings.run.stats_window,
            band_window: WINDOW,
            low: self.table.pairs(TIMESTEPS, LOW),
            high: self.table.pairs(TIMESTEPS, HIGH),
            evaluations,
        };
        Ok(gbrl_core::io::container::write_atomic(self.folder.file("curve.svg"), curve.to_svg()?.as_bytes())?)
    }

    fn note(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        match event {
            Event::EpisodeFinished { timesteps, episode } => {
                let Recent { returns, episodes } = &mut self.recent;
                if returns.len() == WINDOW {
                    returns.pop_front();
                }
                returns.push_back(episode.total_reward);
                *episodes += 1;
                self.progress.update(*timesteps, || self.recent.mean(), self.n_trees);
            }
            Event::UpdateFinished { timesteps, metrics } => {
                self.settled.clone_from(&self.recent);
                self.n_trees = metrics.get("train/n_trees").unwrap_or(0.0) as usize;
                self.progress.update(*timesteps, || self.recent.mean(), self.n_trees);
                // An evaluation's numbers stand in the row of their step.
                if timesteps.is_multiple_of(self.log_every) || !self.eval.is_empty() {
                    self.log(*timesteps, metrics)?;
                }
            }
            Event::EvaluationDue { timesteps, policy } => self.evaluate(*timesteps, policy)?,
            Event::CheckpointDue { timesteps, trainer } => {
                let (path, program) = (self.folder.checkpoint(*timesteps), self.program_state());
                // What a checkpoint continues from is on the disk before it, the last row too: who goes on from the last
                // one takes no step that could bring it.
                let is_last = *timesteps >= self.settings.run.total_timesteps;
                let logged = if is_last { self.log_last(*timesteps, trainer.metrics()) } else { Ok(()) };
                // Also where it cannot be: what was learnt is worth more than its numbers.
                let written = logged.and(self.flush());
                checkpoint::save(&path, (&trainer.state(), trainer.model()?), &program, &self.states.save())?;
                self.saved_at = Some(*timesteps);
                written?;
            }
            Event::EpisodesRestarted { envs, .. } => {
                self.progress.note(&format!(
                    "{} of {} environments could not be restored and start new episodes",
                    envs.len(),
                    self.settings.run.n_envs
                ));
            }
            _ => {}
        }
        Ok(())
    }

    fn log(&mut self, timesteps: u64, core: &Metrics) -> Result<(), Failure> {
        self.logged_at = timesteps;
        let seconds = self.started.elapsed().as_secs_f64();
        let mut sorted: Vec<f64> = self.recent.returns.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let share = |p: f64| {
            let at = (p * sorted.len().saturating_sub(1) as f64).round() as usize;
            sorted.get(at).copied().unwrap_or(f64::NAN)
        };
        let mut numbers: Vec<(&str, f64)> = core.iter().collect();
        numbers.push((LOW, share(0.1)));
        numbers.push((HIGH, share(0.9)));
        numbers.push(("time/fps", ((timesteps - self.start) as f64 / seconds).round()));
        numbers.push((ELAPSED, self.elapsed_before + seconds));
        numbers.push((CPU, self.cpu_offset + usage::cpu_s().unwrap_or(f64::NAN)));
        for (key, value) in &numbers {
            if *key != TIMESTEPS {
                self.board.scalar(key, timesteps, *value)?;
            }
        }
        numbers.append(&mut self.eval);
        if self.table.columns.is_empty() {
            let core = core.iter().map(|(key, _)| key).filter(|key| *key != TIMESTEPS);
            self.table.columns = [TIMESTEPS].into_iter().chain(core).chain(OWN).map(str::to_owned).collect();
        }
        if self.metrics.is_none() {
            let path = self.folder.file("metrics.csv");
            self.metrics = Some(MetricsFile::create(&path, self.table.columns.clone())?);
        }
        let cell = |column: &String| numbers.iter().find(|(key, _)| key == column).map_or(f64::NAN, |(_, x)| *x);
        let row = self.table.columns.iter().map(cell).collect();
        self.table.rows.push(row);
        if let Some(metrics) = &mut self.metrics {
            metrics.row(&numbers)?;
        }
        if self.flushed.elapsed() > FLUSH_EVERY {
            self.flushed = Instant::now();
            self.flush()?;
        }
        Ok(())
    }

    /// Sees to it that everything so far is in the files.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let metrics = self.metrics.as_mut().map_or(Ok(()), MetricsFile::flush);
        metrics.and(self.board.flush())
    }

    /// An evaluation on the way; its numbers go into the row of the update that follows.
    fn evaluate(&mut self, timesteps: u64, policy: &Policy) -> Result<(), Failure> {
        let run = &self.settings.run;
        if self.eval_envs.is_empty() {
            for _ in 0..super::EVAL_COPIES.min(run.eval_episodes) {
                self.eval_envs.push(envs::make(&self.env_id)?);
            }
        }
        let report = evaluate(policy, &mut self.eval_envs, run.eval_episodes, run.eval_deterministic, run.seed)?;
        self.eval = vec![
            (EVALUATION, report.mean()),
            ("eval/std_reward", report.std()),
            ("eval/mean_ep_length", report.mean_length()),
        ];
        for (key, value) in &self.eval {
            self.board.scalar(key, timesteps, *value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use gbrl_core::config::Algorithm;
    use gbrl_core::rl::algo::Trainer;
    use tempfile::TempDir;

    use super::*;
    use crate::settings::{self, Preset};
    use crate::train::copies;

    /// A run of rollouts of 128 steps in a folder of its own.
    fn run(assignments: &[&str]) -> (TempDir, Trainer, Watcher) {
        let env_id = "CartPole-v1";
        let preset = Preset::of(env_id, Algorithm::Ppo, "default").unwrap();
        let mut settings = preset.settings().unwrap();
        for assignment in ["n_envs=2", "n_steps=64", "batch_size=64", "n_epochs=1"].iter().chain(assignments) {
            settings::set(&mut settings, assignment).unwrap();
        }
        let (states, copies) = States::watch(copies(env_id, 2).unwrap(), 0);
        let trainer = Trainer::new(copies, &settings).unwrap();
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&root.path().join("run")).unwrap();
        let origin = Origin::new(&preset, &settings).unwrap();
        let progress = Progress::new(0, settings.run.total_timesteps, true);
        let watcher =
            Watcher::new(folder, (env_id, origin), &settings, states, Interrupt::default(), None, progress).unwrap();
        (root, trainer, watcher)
    }

    /// Whatever ends the run just after it: nothing may be left in memory that the checkpoint continues from.
    #[test]
    fn the_numbers_until_a_checkpoint_are_on_the_disk_with_it() {
        let (_root, mut trainer, mut watcher) = run(&["total_timesteps=1024", "checkpoint_every=256"]);
        watcher.log_every = 384;
        let mut seen = Vec::new();
        let mut watch = |event: &Event<'_>| {
            let control = watcher.see(event);
            if let Event::CheckpointDue { timesteps, .. } = event {
                assert!(watcher.folder.checkpoint(*timesteps).exists());
                let table = Table::read(&watcher.folder.file("metrics.csv")).ok();
                let rows = table.map_or(Vec::new(), |table| table.pairs(TIMESTEPS, TIMESTEPS));
                seen.push((*timesteps, rows.iter().map(|(steps, _)| *steps as u64).collect::<Vec<_>>()));
            }
            control
        };
        trainer.train(&mut watch).unwrap();
        watcher.failure().unwrap();
        // The last row is nobody's to write who goes on from the last checkpoint.
        let expected = [(256, vec![]), (512, vec![384]), (768, vec![384, 768]), (1024, vec![384, 768, 1024])];
        assert_eq!(seen, expected);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_learnt_is_saved_where_its_numbers_cannot_be() {
        use crate::train::{checkpoint, session::Session};

        // At an interval's checkpoint, and at the end.
        for every in ["checkpoint_every=256", "checkpoint_every=0"] {
            let (root, trainer, mut watcher) = run(&["total_timesteps=384", every]);
            watcher.metrics = Some(MetricsFile::on_a_full_disk());
            let session = Session { trainer, watcher, start: 0, quiet: true, json: false };
            let Err(Failure::Told(message)) = session.run() else { panic!("{every}: not told") };
            assert!(message.starts_with("/dev/full: "), "{message}");
            let file = |name: &str| -> PathBuf { root.path().join("run").join(name) };
            let steps = if every == "checkpoint_every=256" { 256 } else { 384 };
            let saved = checkpoint::load(&file(&format!("checkpoints/{steps}.gbrl"))).unwrap();
            assert_eq!(saved.trainer.timesteps(), steps);
            assert!(file("model.gbrl").exists() && file("states.safetensors").exists(), "{every}");
        }
    }
}
