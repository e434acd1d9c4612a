//! Errors that carry facts: what was expected and what came.
//!
//! [`Error`] is one word wide inside a `Result`. [`Error::kind`] gives the facts, [`Error::class`] the closed
//! classification that other languages map to their own exceptions.

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any failure of this crate; see [`ErrorKind`] for the facts.
///
/// ```
/// use gbrl_core::error::{Error, ErrorClass};
/// let error = Error::parameter("max_depth", 0, "a whole number from 1 to 16");
/// assert_eq!(error.class(), ErrorClass::Value);
/// assert_eq!(error.to_string(), "max_depth: expected a whole number from 1 to 16, got 0");
/// ```
pub struct Error(Box<ErrorKind>);

/// What went wrong, with the numbers and names that a caller needs to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting outside its range.
    #[error("{name}: expected {rule}, got {value}")]
    Parameter {
        /// The setting's name as users write it.
        name: String,
        /// The value that was given, printed.
        value: String,
        /// The range or rule that it breaks.
        rule: String,
    },
    /// An array whose shape does not fit.
    #[error("{what}: expected shape {expected}, got {got}")]
    Shape {
        /// Which array.
        what: String,
        /// The shape that would fit.
        expected: String,
        /// The shape that came.
        got: String,
    },
    /// A value in an array that cannot be used where it stands.
    #[error("{what}[{row}, {column}]: expected {rule}, got {value}")]
    Element {
        /// Which array.
        what: String,
        /// Row of the first offending value.
        row: usize,
        /// Column of the first offending value.
        column: usize,
        /// What would have been right.
        rule: String,
        /// The value, printed.
        value: String,
    },
    /// A name that is not known; the nearest known ones are suggested.
    #[error("unknown {what} '{name}'{}", suggestion(.nearest))]
    UnknownName {
        /// The kind of thing that was named: "setting", "environment", …
        what: String,
        /// The name that came.
        name: String,
        /// Known names closest to it, best first; may be empty.
        nearest: Vec<String>,
    },
    /// Reading or writing a file failed.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Bytes that are not a valid file of ours: truncated, altered, or of an unknown version.
    #[error("{what}: {problem}: expected {expected}, got {got}")]
    Format {
        /// The file or section.
        what: String,
        /// What is wrong with it.
        problem: &'static str,
        /// What a valid file has there.
        expected: String,
        /// What stands there.
        got: String,
    },
    /// A combination that is not offered, and why.
    #[error("{what} is not available {condition}: {reason}")]
    Unsupported {
        /// The operation or option.
        what: &'static str,
        /// Under which condition ("with an Adam output group").
        condition: String,
        /// Why not.
        reason: &'static str,
    },
    /// An environment broke the contract of [`crate::rl::env::Env`].
    #[error("environment {env}: {problem}: expected {expected}, got {got}")]
    Environment {
        /// The environment's name.
        env: String,
        /// Which rule was broken.
        problem: &'static str,
        /// What the contract asks for.
        expected: String,
        /// What the environment did.
        got: String,
    },
    /// A compute device failed or is absent.
    #[error("device {device}: {operation} failed: {reason}")]
    Device {
        /// The device, as the user named it.
        device: String,
        /// What was being done.
        operation: &'static str,
        /// The driver's reason, with its numbers.
        reason: String,
    },
}

/// A closed classification of every [`ErrorKind`]; one exception type of another language each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorClass {
    /// A value, shape or element outside its range.
    Value,
    /// A name that is not known.
    Name,
    /// A file that does not exist.
    NotFound,
    /// Any other failure to read or write.
    Io,
    /// Bytes that are not a valid file of ours.
    Format,
    /// Something this library does not offer.
    Unsupported,
    /// An environment that broke its contract.
    Environment,
    /// A compute device that failed or is absent.
    Device,
}

impl Error {
    /// The facts.
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// The closed classification.
    pub fn class(&self) -> ErrorClass {
        match &*self.0 {
            ErrorKind::Parameter { .. } | ErrorKind::Shape { .. } | ErrorKind::Element { .. } => ErrorClass::Value,
            ErrorKind::UnknownName { .. } => ErrorClass::Name,
            ErrorKind::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ErrorClass::NotFound,
            ErrorKind::File { .. } => ErrorClass::Io,
            ErrorKind::Format { .. } => ErrorClass::Format,
            ErrorKind::Unsupported { .. } => ErrorClass::Unsupported,
            ErrorKind::Environment { .. } => ErrorClass::Environment,
            ErrorKind::Device { .. } => ErrorClass::Device,
        }
    }

    /// A setting outside its range.
    pub fn parameter(name: impl Into<String>, value: impl fmt::Display, rule: impl Into<String>) -> Self {
        ErrorKind::Parameter { name: name.into(), value: value.to_string(), rule: rule.into() }.into()
    }

    /// An array whose shape does not fit.
    pub fn shape(what: impl Into<String>, expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        ErrorKind::Shape { what: what.into(), expected: expected.to_string(), got: got.to_string() }.into()
    }

    /// An array element that cannot be used where it stands.
    pub fn element(
        what: impl Into<String>,
        (row, column): (usize, usize),
        rule: impl Into<String>,
        value: impl fmt::Display,
    ) -> Self {
        ErrorKind::Element { what: what.into(), row, column, rule: rule.into(), value: value.to_string() }.into()
    }

    /// A name that is not among `known`; the nearest ones are suggested.
    pub fn unknown_name<'a>(
        what: impl Into<String>,
        name: impl Into<String>,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let name = name.into();
        let nearest = nearest_names(&name, known);
        ErrorKind::UnknownName { what: what.into(), name, nearest }.into()
    }

    /// A failed read or write of `path`.
    pub fn file(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        ErrorKind::File { path: path.as_ref().to_owned(), source }.into()
    }

    /// Bytes that are not a valid file of ours.
    pub fn format(
        what: impl Into<String>,
        problem: &'static str,
        expected: impl fmt::Display,
        got: impl fmt::Display,
    ) -> Self {
        ErrorKind::Format { what: what.into(), problem, expected: expected.to_string(), got: got.to_string() }.into()
    }

    /// A combination that is not offered.
    pub fn unsupported(what: &'static str, condition: impl Into<String>, reason: &'static str) -> Self {
        ErrorKind::Unsupported { what, condition: condition.into(), reason }.into()
    }

    /// A compute device that failed or is absent.
    pub fn device(device: impl Into<String>, operation: &'static str, reason: impl fmt::Display) -> Self {
        ErrorKind::Device { device: device.into(), operation, reason: reason.to_string() }.into()
    }

    /// An environment that broke its contract.
    pub fn environment(
        env: impl Into<String>,
        problem: &'static str,
        expected: impl fmt::Display,
        got: impl fmt::Display,
    ) -> Self {
        ErrorKind::Environment { env: env.into(), problem, expected: expected.to_string(), got: got.to_string() }.into()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error(Box::new(kind))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

fn suggestion(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        [one] => format!("; did you mean '{one}'?"),
        many => format!("; did you mean one of {}?", many.join(", ")),
    }
}

/// Up to three of `known` whose edit distance to `name` is small, best first, ties alphabetical.
fn nearest_names<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let mut scored: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = edit_distance(&wanted, &lower);
            let related = distance <= 2.max(wanted.len() / 3)
                || (wanted.len() >= 3 && (lower.starts_with(&wanted) || wanted.starts_with(&lower)));
            related.then_some((distance, candidate))
        })
        .collect();
    scored.sort();
    scored.into_iter().take(3).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// Levenshtein distance in characters, O(|a|·|b|).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_one_word_wide() {
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let known = ["CartPole-v1", "Acrobot-v1", "Pendulum-v1"];
        let error = Error::unknown_name("environment", "Cartpole-v0", known);
        assert_eq!(error.to_string(), "unknown environment 'Cartpole-v0'; did you mean 'CartPole-v1'?");
        let error = Error::unknown_name("environment", "zzz", known);
        assert_eq!(error.to_string(), "unknown environment 'zzz'");
    }

    #[test]
    fn a_missing_file_is_told_from_other_failures() {
        let missing = Error::file("a", std::io::ErrorKind::NotFound.into());
        let denied = Error::file("a", std::io::ErrorKind::PermissionDenied.into());
        assert_eq!((missing.class(), denied.class()), (ErrorClass::NotFound, ErrorClass::Io));
    }
}
