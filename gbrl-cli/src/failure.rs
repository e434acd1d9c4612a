//! How a command fails: the message that is printed, once, and the exit code.

use std::process::ExitCode;

use gbrl_core::error::{Error, ErrorKind};

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

    /// The same, with where it happened in front.
    pub fn within(self, place: &str) -> Self {
        match self {
            Failure::Told(message) => Failure::Told(format!("{place}: {message}")),
            Failure::ReaderGone => Failure::ReaderGone,
        }
    }

    /// The same with more to say.
    pub fn followed_by(self, text: &str) -> Self {
        match self {
            Failure::Told(message) => Failure::Told(format!("{message}{text}")),
            Failure::ReaderGone => Failure::ReaderGone,
        }
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

impl From<Error> for Failure {
    /// The library's message; where a name has no near one, how to see them all.
    fn from(error: Error) -> Self {
        let hint = match error.kind() {
            ErrorKind::UnknownName { what, nearest, .. } if nearest.is_empty() => match what.as_str() {
                "environment" => "; `gbrl envs` lists them",
                "setting" => "; `gbrl presets default --env CartPole-v1` prints them all",
                _ => "",
            },
            _ => "",
        };
        Failure::Told(format!("{error}{hint}"))
    }
}
