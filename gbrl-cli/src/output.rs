//! The only place that writes to the terminal. A reader that goes away is no panic.

use std::io::{self, Write};

use crate::Failure;

/// Writes `text` and a line end to stdout.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::ReaderGone),
        Err(error) => Err(Failure::new(format!("standard output: {error}"))),
    }
}

/// Writes `text` and a line end to stderr; there is nowhere to report that this failed.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
