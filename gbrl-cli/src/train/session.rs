//! One session of training: from a trainer that is ready to a folder with everything in it.

use std::fmt::Write;
use std::time::Instant;

use gbrl_core::Error;
use gbrl_core::io::{ModelRef, container::write_atomic, model};
use gbrl_core::rl::algo::{Trainer, TrainerState};
use gbrl_core::rl::eval::evaluate;
use sha2::{Digest, Sha256};

use super::summary::Summary;
use super::watcher::Watcher;
use super::{EVAL_COPIES, checkpoint, copies, interrupt, states};
use crate::failure::{Done, Failure};

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
        let result = trainer.train(&mut |event| watcher.see(event));
        let trained = began.elapsed();
        watcher.interrupt.saving();
        if let Err(error) = result {
            return Err(rescue(error, &trainer, &mut watcher));
        }
        let timesteps = trainer.timesteps();
        // A failure to write the run's numbers is told only when the policy is safe.
        let watched = watcher.failure().and_then(|()| watcher.log_last(timesteps, trainer.metrics()));
        let saved = save(&mut watcher, (&trainer.state(), trainer.model()?));
        watched?;
        let bytes = saved?;
        watcher.interrupt.all_is_saved();
        let path = watcher.folder.model();
        // Ctrl-C in the last rollout leaves nothing undone.
        let interrupted = timesteps < total;

        let report = if interrupted {
            None
        } else {
            watcher.say(&format!("playing {EPISODES} episodes to evaluate"));
            let mut envs = copies(&watcher.env_id, EVAL_COPIES)?;
            let report = evaluate(&trainer.policy()?, &mut envs, EPISODES, true, seed)?;
            watcher.log_final_evaluation(timesteps, report.mean(), report.std())?;
            watcher.draw_curve(Some((timesteps, report.mean())))?;
            Some(report)
        };
        watcher.clear();
        let summary = Summary {
            env_id: &watcher.env_id,
            algo: trainer.settings().algorithm().name(),
            origin: &watcher.origin,
            seed,
            steps: timesteps,
            steps_now: timesteps - start,
            total,
            trained,
            wall: crate::started().elapsed(),
            train_return: watcher.recent.mean(),
            window: watcher.recent.returns.len(),
            episodes: watcher.recent.episodes,
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

/// Writes policy, checkpoint, sample of states, numbers and curve; returns the model's bytes. A failure to write numbers is
/// told when all else is safe.
fn save(watcher: &mut Watcher, (state, model): (&TrainerState, ModelRef<'_>)) -> Result<Vec<u8>, Failure> {
    let bytes = model::to_bytes(&model)?;
    write_atomic(watcher.folder.model(), &bytes)?;
    // First, so that whoever goes on from the checkpoint finds the numbers until there.
    let flushed = watcher.flush();
    if !watcher.has_checkpoint(state.timesteps()) {
        let path = watcher.folder.checkpoint(state.timesteps());
        checkpoint::save(&path, (state, model), &watcher.program_state(), &watcher.states.save())?;
    }
    write_atomic(watcher.folder.file(states::FILE), &watcher.states.to_bytes()?)?;
    flushed?;
    watcher.draw_curve(None)?;
    Ok(bytes)
}

/// Saves what a failed run had learnt before the rollout that failed. Only the sample of states knows that rollout.
fn rescue(error: Error, trainer: &Trainer, watcher: &mut Watcher) -> Failure {
    let place = format!("training failed after {} steps", trainer.timesteps());
    let failure = Failure::from(error).within(&place);
    let saved = match trainer.before_failure() {
        Ok(Some((state, model))) if state.timesteps() > 0 => {
            let folder = watcher.folder.path().display().to_string();
            save(watcher, (state, ModelRef::from(&model))).map(|_| {
                let steps = state.timesteps();
                format!("\nthe first {steps} steps are saved: `gbrl train --resume {folder}` goes on from there, with --set where a setting is to blame")
            })
        }
        Ok(_) => Ok(String::new()),
        Err(error) => Err(error.into()),
    };
    match saved {
        Ok(hint) => failure.followed_by(&hint),
        Err(Failure::Told(second)) => failure.followed_by(&format!("\nnothing could be saved: {second}")),
        Err(Failure::ReaderGone) => failure,
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
