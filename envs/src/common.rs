//! What all environments share: fixed-width state bytes, random numbers within an episode, argument checks.

use gbrl_core::data::{Feature, FeatureSchema};
use gbrl_core::error::{Error, Result};
use gbrl_core::rl::env::Action;
use gbrl_core::rng::{Stream, derive_seed};

/// Counts up when the bytes of any environment's state change their meaning.
const STATE_VERSION: u64 = 1;

/// Whether `step` may be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// New, or the task ended: only `reset` may follow.
    #[default]
    NeedsReset,
    /// An episode is under way.
    Running,
}

/// Columns of numbers by name.
pub(crate) fn numbers<const N: usize>(names: [&str; N]) -> FeatureSchema {
    FeatureSchema::new(names.map(Feature::numeric).into())
}

/// Names of an action's parts.
pub(crate) fn words(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl Phase {
    pub(crate) fn after(terminated: bool) -> Self {
        if terminated { Phase::NeedsReset } else { Phase::Running }
    }

    pub(crate) fn require_running(self, env: &str) -> Result<()> {
        match self {
            Phase::Running => Ok(()),
            Phase::NeedsReset => Err(Error::environment(env, "step without an episode", "reset first", "step")),
        }
    }
}

/// Random numbers within an episode: draw `i` has a stream of its own, so that the complete random state is two
/// numbers, which any checkpoint can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Draws {
    pub(crate) seed: u64,
    pub(crate) count: u64,
}

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Draws { seed, count: 0 }
    }

    /// The stream of the next draw.
    pub(crate) fn next(&mut self, env: &str) -> Stream {
        self.count = self.count.wrapping_add(1);
        Stream::new(self.seed, env, self.count)
    }
}

/// Writes a state: a tag that tells environment and version, then fixed-width little-endian fields.
pub(crate) struct StateWriter(Vec<u8>);

impl StateWriter {
    pub(crate) fn new(env: &str) -> Self {
        StateWriter(tag(env).to_vec())
    }

    pub(crate) fn phase(mut self, phase: Phase) -> Self {
        self.0.push(u8::from(phase == Phase::Running));
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn f64s(mut self, values: &[f64]) -> Self {
        for value in values {
            self.0.extend(value.to_le_bytes());
        }
        self
    }

    pub(crate) fn draws(self, draws: Draws) -> Self {
        self.u64(draws.seed).u64(draws.count)
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        Some(self.0)
    }
}

/// Reads what [`StateWriter`] wrote; anything else is an error of kind `Format`.
pub(crate) struct StateReader<'a> {
    what: String,
    rest: &'a [u8],
}

impl<'a> StateReader<'a> {
    pub(crate) fn new(env: &str, bytes: &'a [u8]) -> Result<Self> {
        let mut reader = StateReader { what: format!("state of {env}"), rest: bytes };
        let found: [u8; 8] = reader.take()?;
        if found != tag(env) {
            return Err(reader.invalid("wrong tag", format!("{:02x?}", tag(env)), format!("{found:02x?}")));
        }
        Ok(reader)
    }

    pub(crate) fn phase(&mut self) -> Result<Phase> {
        match self.take::<1>()? {
            [0] => Ok(Phase::NeedsReset),
            [1] => Ok(Phase::Running),
            [other] => Err(self.invalid("wrong phase", "0 or 1", other)),
        }
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u32) -> Result<u32> {
        let value = self.u32()?;
        if value < end { Ok(value) } else { Err(self.invalid("number too large", format!("below {end}"), value)) }
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// Numbers within `limits`; never NaN.
    pub(crate) fn f64s<const N: usize>(&mut self, limits: &Limits<N>) -> Result<[f64; N]> {
        let mut values = [0.0; N];
        for value in &mut values {
            *value = f64::from_le_bytes(self.take()?);
        }
        match limits.first_outside(values) {
            None => Ok(values),
            Some(i) => Err(self.invalid("number out of range", limits.rule(i), values[i])),
        }
    }

    pub(crate) fn draws(&mut self) -> Result<Draws> {
        Ok(Draws { seed: self.u64()?, count: self.u64()? })
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(n) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(self.invalid("too short", format!("{n} more bytes"), self.rest.len())),
        }
    }

    pub(crate) fn finish(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.invalid("too long", "the end", self.rest.len())) }
    }

    pub(crate) fn invalid(
        &self,
        problem: &'static str,
        expected: impl std::fmt::Display,
        got: impl std::fmt::Display,
    ) -> Error {
        Error::format(&self.what, problem, expected, got)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(self.invalid("too short", format!("{N} more bytes"), self.rest.len())),
        }
    }
}

fn tag(env: &str) -> [u8; 8] {
    derive_seed(STATE_VERSION, env, 0).to_le_bytes()
}

/// The index of a discrete action below `n`.
pub(crate) fn discrete_action(action: Action<'_>, n: u32) -> Result<u32> {
    let index = action.discrete()?;
    if index < n { Ok(index) } else { Err(Error::parameter("action", index, format!("an index below {n}"))) }
}

/// The single finite number of a continuous action.
pub(crate) fn scalar_action(action: Action<'_>) -> Result<f32> {
    match action.continuous()? {
        [value] if value.is_finite() => Ok(*value),
        [value] => Err(Error::element("action", (0, 0), "a finite number", value)),
        other => Err(Error::shape("action", 1, other.len())),
    }
}

/// The caller's buffer as an array of the right length.
pub(crate) fn row<const N: usize>(observation: &mut [f32]) -> Result<&mut [f32; N]> {
    let got = observation.len();
    observation.try_into().map_err(|_| Error::shape("observation", N, got))
}

/// The range of each number of a state.
pub(crate) struct Limits<const N: usize> {
    pub(crate) low: [f64; N],
    pub(crate) high: [f64; N],
}

impl<const N: usize> Limits<N> {
    /// −high to high.
    pub(crate) const fn symmetric(high: [f64; N]) -> Self {
        let (mut low, mut i) = (high, 0);
        while i < N {
            low[i] = -high[i];
            i += 1;
        }
        Limits { low, high }
    }

    /// Refuses a state with an element that is NaN or out of its range.
    pub(crate) fn check(&self, state: [f64; N]) -> Result<()> {
        match self.first_outside(state) {
            None => Ok(()),
            Some(i) => Err(Error::element("state", (0, i), self.rule(i), state[i])),
        }
    }

    fn first_outside(&self, values: [f64; N]) -> Option<usize> {
        (0..N).find(|&i| !(self.low[i] <= values[i] && values[i] <= self.high[i]))
    }

    fn rule(&self, i: usize) -> String {
        format!("from {} to {}", self.low[i], self.high[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_back_and_altered_bytes_are_refused() {
        let bytes = StateWriter::new("A").phase(Phase::Running).u32(7).f64s(&[1.5, -2.0]).finish().unwrap();
        let read = |bytes: &[u8], env| -> Result<(Phase, u32, [f64; 2])> {
            let mut reader = StateReader::new(env, bytes)?;
            let fields = (reader.phase()?, reader.u32()?, reader.f64s(&Limits::symmetric([2.0; 2]))?);
            reader.finish()?;
            Ok(fields)
        };
        assert_eq!(read(&bytes, "A").unwrap(), (Phase::Running, 7, [1.5, -2.0]));
        assert!(read(&bytes, "B").is_err());
        for n in 0..bytes.len() {
            assert!(read(&bytes[..n], "A").is_err());
        }
        let mut long = bytes.clone();
        long.push(0);
        assert!(read(&long, "A").is_err());
        let mut nan = bytes;
        nan[13..21].copy_from_slice(&f64::NAN.to_le_bytes());
        assert!(read(&nan, "A").is_err());
    }

    #[test]
    fn draws_continue_from_their_two_numbers() {
        let mut draws = Draws::new(5);
        draws.next("A");
        let mut copy = draws;
        assert_eq!(draws.next("A").bits(), copy.next("A").bits());
        assert_ne!(draws.next("A").bits(), copy.next("B").bits());
    }
}
