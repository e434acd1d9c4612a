//! Ctrl-C: the first one asks the run to end, the second one ends the process.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;
use crate::output;

/// What a shell reports for a program that Ctrl-C ended.
pub const EXIT_CODE: u8 = 130;

/// Whether Ctrl-C was pressed.
#[derive(Clone, Default)]
pub struct Interrupt {
    pressed: Arc<AtomicBool>,
    /// Nothing is left to be saved: the first Ctrl-C may end the process.
    saved: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens to Ctrl-C from now on.
    pub fn listen() -> Result<Self, Failure> {
        let interrupt = Interrupt::default();
        let Interrupt { pressed, saved } = interrupt.clone();
        ctrlc::set_handler(move || {
            if pressed.swap(true, Ordering::SeqCst) || saved.load(Ordering::SeqCst) {
                process::exit(i32::from(EXIT_CODE));
            }
            output::note("\nstopping after this rollout; Ctrl-C once more ends at once and saves nothing");
        })
        .map_err(|error| Failure::new(format!("Ctrl-C cannot be caught: {error}")))?;
        Ok(interrupt)
    }

    /// Whether the run should end.
    pub fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::SeqCst)
    }

    /// From now on Ctrl-C ends the process.
    pub fn all_is_saved(&self) {
        self.saved.store(true, Ordering::SeqCst);
    }
}
