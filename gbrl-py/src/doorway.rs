//! The ways from Python into long Rust work: without the GIL, and with an ear for Ctrl-C.

use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use gbrl_core::Result;
use pyo3::prelude::*;

use crate::error::to_py;

/// Time between two looks at Python's signals: short for a person, long for a program.
const PERIOD: Duration = Duration::from_millis(50);

/// Runs `work` while other Python threads run too.
///
/// # Errors
/// What `work` returns.
pub fn long<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    py.detach(work).map_err(to_py)
}

/// [`long`] on a thread of its own, while this one listens. The handlers of signals hold nothing then that `work` has
/// locked, so they may ask for it, and wait like any other thread.
///
/// # Errors
/// What `work` returns, what a signal's handler raised while it ran (`KeyboardInterrupt` after Ctrl-C), and `OSError` where
/// the system gives no thread.
pub fn apart<T: Send>(py: Python<'_>, work: impl FnOnce(&Stop) -> Result<T> + Send) -> PyResult<T> {
    let stop = &Stop::default();
    py.detach(|| {
        thread::scope(|scope| {
            // Dropped with the work, however that ends.
            let (working, ended) = channel::<()>();
            let worker = thread::Builder::new().name("gbrl-work".into()).spawn_scoped(scope, move || {
                let _working = working;
                work(stop)
            })?;
            let mut raised = None;
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                if raised.is_none() {
                    raised = Python::attach(|py| py.check_signals()).err();
                    stop.0.store(raised.is_some(), Ordering::Relaxed);
                }
            }
            let result = worker.join().unwrap_or_else(|panic| resume_unwind(panic));
            match raised {
                Some(raised) => Err(raised),
                None => result.map_err(to_py),
            }
        })
    })
}

/// Whether work that is done [`apart`] is to stop.
#[derive(Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Whether to go on; `Break` once a handler has raised something.
    pub fn poll(&self) -> ControlFlow<()> {
        if self.0.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
