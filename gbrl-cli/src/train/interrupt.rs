//! Ctrl-C: the first one asks the run to end, the second one ends the process.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::progress::Progress;
use crate::failure::Failure;

/// What a shell reports for a program that Ctrl-C ended.
pub const EXIT_CODE: u8 = 130;

// Phases of a run; 0 is training.
const SAVING: u8 = 1;
/// The first Ctrl-C may end the process.
const SAVED: u8 = 2;

/// Whether Ctrl-C was pressed.
#[derive(Clone, Default)]
pub struct Interrupt {
    pressed: Arc<AtomicBool>,
    phase: Arc<AtomicU8>,
}

impl Interrupt {
    /// Listens to Ctrl-C from now on.
    pub fn listen(progress: Progress) -> Result<Self, Failure> {
        let interrupt = Interrupt::default();
        let Interrupt { pressed, phase } = interrupt.clone();
        ctrlc::set_handler(move || {
            let phase = phase.load(Ordering::SeqCst);
            if pressed.swap(true, Ordering::SeqCst) || phase == SAVED {
                process::exit(i32::from(EXIT_CODE));
            }
            let doing = if phase == SAVING { "saving" } else { "stopping after this rollout" };
            progress.note(&format!("\n{doing}; Ctrl-C once more ends at once and saves nothing"));
        })
        .map_err(|error| Failure::new(format!("Ctrl-C cannot be caught: {error}")))?;
        Ok(interrupt)
    }

    /// Whether the run should end.
    pub fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::SeqCst)
    }

    /// Training is over.
    pub fn saving(&self) {
        self.phase.store(SAVING, Ordering::SeqCst);
    }

    /// From now on Ctrl-C ends the process.
    pub fn all_is_saved(&self) {
        self.phase.store(SAVED, Ordering::SeqCst);
    }
}
