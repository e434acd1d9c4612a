//! One session of training: from a trainer that is ready to a folder with everything in it.

use std::fmt::Write;
use std::time::Instant;

use gbrl_core::io::{container::write_atomic, model};
use gbrl_core::rl::algo::Trainer;
use gbrl_core::rl::eval::evaluate;
use gbrl_core::rl::event::Control;
use sha2::{Digest, Sha256};

use super::summary::Summary;
use super::watcher::Watcher;
use super::{EVAL_COPIES, checkpoint, copies, interrupt};
use crate::failure::{Done, Failure};
use crate::settings::ALGO;

/// Episodes of the evaluation at the end.
const EPISODES: usize = 100;

/// A trainer and whoever watches it.
pub struct Session {
    pub trainer: Trainer,
    pub watcher: Watcher,
    /// Steps done before.
    pub start: u64,
    pub quiet: bool,
    pub json: bool,
}

impl Session {
    /// Trains, saves, evaluates, reports.
    pub fn run(self) -> Result<Done, Failure> {
        let Session { mut trainer, mut watcher, start, quiet, json } = self;
        let began = Instant::now();
        let total = trainer.settings().run.total_timesteps;
        let seed = trainer.settings().run.seed;
        let control = trainer.run(total, &mut |event| watcher.see(event));
        let trained = began.elapsed();
        if control.is_ok() {
            watcher.log_last(trainer.timesteps(), trainer.metrics())?;
        }
        watcher.finish()?;
        watcher.failure()?;
        let interrupted = control? == Control::Stop;

        let timesteps = trainer.timesteps();
        let bytes = model::to_bytes(trainer.model()?)?;
        let path = watcher.folder.model();
        write_atomic(&path, &bytes)?;
        if !watcher.has_checkpoint(timesteps) {
            let at = watcher.folder.checkpoint(timesteps);
            let (program, states) = (watcher.program_state(), watcher.states.save());
            checkpoint::save(&at, &trainer, &program, &states)?;
        }
        write_atomic(watcher.folder.file("states.safetensors"), &watcher.states.to_bytes()?)?;
        watcher.draw_curve(None)?;
        watcher.interrupt.all_is_saved();

        let report = if interrupted {
            None
        } else {
            let mut envs = copies(&watcher.env_id, EVAL_COPIES)?;
            let report = evaluate(&trainer.policy()?, &mut envs, EPISODES, true, seed)?;
            watcher.log_final_evaluation(timesteps, report.mean(), report.std())?;
            watcher.draw_curve(Some((timesteps, report.mean())))?;
            Some(report)
        };
        let summary = Summary {
            env_id: &watcher.env_id,
            algo: ALGO,
            preset: &watcher.preset,
            seed,
            steps: timesteps,
            steps_now: timesteps - start,
            total,
            trained,
            wall: crate::started().elapsed(),
            train_return: watcher.mean_return(),
            window: watcher.returns.len(),
            episodes: watcher.episodes,
            evaluation: report.as_ref(),
            n_trees: trainer.ensemble().trees().len(),
            folder: watcher.folder.path(),
            model: &path,
            model_bytes: bytes.len() as u64,
            model_sha256: &sha256(&bytes),
            interrupted,
        };
        match (json, quiet) {
            (true, _) => crate::output::print(&summary.to_json())?,
            (false, false) => summary.print()?,
            (false, true) => {}
        }
        Ok(if interrupted { Done::With(interrupt::EXIT_CODE) } else { Done::Well })
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
