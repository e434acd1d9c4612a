//! How a command fails: the message that is printed, once, and the exit code.

use std::process::ExitCode;

use crate::output;

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// As asked.
    Well,
    /// With this exit code.
    With(u8),
}

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// Something the user can mend: exit code 2.
    Told(String),
    /// Whoever read our output has gone, as in `gbrl show model.gbrl | head`: nothing to say, no failure.
    ReaderGone,
}

impl Failure {
    /// A failure with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Failure::Told(message.into())
    }

    /// A value that breaks a rule, worded as the library words it.
    pub fn expected(name: &str, rule: &str, got: &str) -> Self {
        Failure::Told(format!("{name}: expected {rule}, got {got}"))
    }

    /// Prints the message, if any, and gives the exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Failure::Told(message) => {
                output::note(&format!("error: {message}"));
                ExitCode::from(2)
            }
            Failure::ReaderGone => ExitCode::SUCCESS,
        }
    }
}

impl From<gbrl_core::Error> for Failure {
    fn from(error: gbrl_core::Error) -> Self {
        Failure::Told(error.to_string())
    }
}
