//! What can be wrong with bytes, and with a call.

use core::fmt;

/// Why bytes are no policy, or a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes are not as many as they say.
    Length {
        /// How many a policy of this header has; at least the header.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// They do not begin as a policy does, or have a version that this program does not know.
    Magic,
    /// They were altered: the checksum differs.
    Checksum,
    /// The checksum is right, but a part breaks a rule of the format.
    Layout(&'static str),
    /// A slice of a wrong length.
    Shape {
        /// Which.
        what: &'static str,
        /// How many elements it needs.
        expected: usize,
        /// How many it has.
        got: usize,
    },
    /// The policy has no such output: a value that was not exported, or the other kind of action.
    Absent(&'static str),
    /// The mask forbids every choice of this part.
    NothingAllowed(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Length { expected, got } => write!(f, "policy: expected {expected} bytes, got {got}"),
            Error::Magic => f.write_str("policy: expected bytes that begin with GBRE and version 1"),
            Error::Checksum => f.write_str("policy: the checksum differs, the bytes were altered"),
            Error::Layout(part) => write!(f, "policy: {part} break the rules of the format"),
            Error::Shape { what, expected, got } => write!(f, "{what}: expected {expected} elements, got {got}"),
            Error::Absent(what) => write!(f, "the policy has no {what}"),
            Error::NothingAllowed(part) => write!(f, "action mask: part {part} allows no choice"),
        }
    }
}

impl core::error::Error for Error {}
