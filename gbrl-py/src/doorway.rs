//! The one way from Python into long Rust work: without the GIL, and with an ear for Ctrl-C.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use gbrl_core::Result;
use pyo3::prelude::*;

use crate::error::to_py;

/// Time between two looks at Python's signals: short for a person, long for a program.
const PERIOD: Duration = Duration::from_millis(50);

/// Runs `work` while other Python threads run too.
///
/// # Errors
/// What `work` returns, or what a signal's handler raised while it ran (`KeyboardInterrupt` after Ctrl-C).
pub fn long<T: Send>(py: Python<'_>, work: impl FnOnce(&mut Signals) -> Result<T> + Send) -> PyResult<T> {
    let mut signals = Signals { next: Instant::now() + PERIOD, raised: None };
    let result = py.detach(|| work(&mut signals));
    match signals.raised {
        Some(raised) => Err(raised),
        None => result.map_err(to_py),
    }
}

/// Python's signals, for work that can stop between two of its parts.
pub struct Signals {
    next: Instant,
    raised: Option<PyErr>,
}

impl Signals {
    /// Whether to go on; `Break` once a handler has raised something.
    pub fn poll(&mut self) -> ControlFlow<()> {
        if self.raised.is_none() && Instant::now() >= self.next {
            self.raised = Python::attach(|py| py.check_signals()).err();
            self.next = Instant::now() + PERIOD;
        }
        if self.raised.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
