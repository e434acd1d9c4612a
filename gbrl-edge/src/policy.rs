//! A policy in its bytes, and how it decides.

use crate::bytes::{f32_at, i32_at, u8_at, u16_at, u32_at};
use crate::error::Error;
use crate::{check, math};

/// The kind of a slot that asks for equality.
pub const EQUAL: u8 = 2;
/// The kind of a slot whose missing values go right.
const MISSING_RIGHT: u8 = 1;
/// Where an oblivious tree has its depth.
pub const BINARY: u8 = 255;
/// Bytes of a run.
pub const RUN: usize = 12;

/// A policy: borrowed bytes and their sizes, checked once.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    pub(crate) n_features: usize,
    pub(crate) n_logits: usize,
    pub(crate) n_sums: usize,
    pub(crate) n_parts: usize,
    pub(crate) has_value: bool,
    pub(crate) head: Head<'a>,
    pub(crate) leaf: LeafKind,
    pub(crate) test_width: usize,
    pub(crate) child_width: usize,
    /// Slots below this ask for order, the others for equality.
    pub(crate) n_order: usize,
    pub(crate) bias: &'a [u8],
    pub(crate) scales: &'a [u8],
    pub(crate) slots: &'a [u8],
    pub(crate) keys: &'a [u8],
    pub(crate) runs: &'a [u8],
    pub(crate) sizes: &'a [u8],
    pub(crate) tests: &'a [u8],
    pub(crate) children: &'a [u8],
    pub(crate) leaves: &'a [u8],
}

/// From sums to actions; the bytes are (choices, start) or (low, high) of each part.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head<'a> {
    Discrete(&'a [u8]),
    MultiBinary,
    Box(&'a [u8]),
    SquashedBox(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeafKind {
    F32,
    I16,
    I8,
}

impl LeafKind {
    pub(crate) fn bytes(self) -> usize {
        match self {
            LeafKind::F32 => 4,
            LeafKind::I16 => 2,
            LeafKind::I8 => 1,
        }
    }
}

/// The memory of a decision; what it holds before and after means nothing.
#[derive(Debug)]
pub struct Work<'w> {
    /// At least [`Policy::n_codes`].
    pub codes: &'w mut [u8],
    /// At least [`Policy::n_sums`].
    pub sums: &'w mut [i32],
}

pub(crate) struct Run {
    pub n_trees: u32,
    pub first: usize,
    pub width: usize,
    pub depth: u8,
}

impl<'a> Policy<'a> {
    /// The policy in `bytes`, all of them. O(bytes); whatever the bytes are, nothing outside them is read.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Magic`], [`Error::Checksum`] or [`Error::Layout`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        check::read(bytes)
    }

    /// Columns of an observation.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Logits (or means) that the action is made from.
    pub fn n_logits(&self) -> usize {
        self.n_logits
    }

    /// Numbers of an action.
    pub fn action_len(&self) -> usize {
        self.n_parts
    }

    /// Flags of a mask, 0 for real-valued actions.
    pub fn mask_len(&self) -> usize {
        match self.head {
            Head::Discrete(_) => self.n_logits,
            Head::MultiBinary => 2 * self.n_parts,
            _ => 0,
        }
    }

    /// Whether actions are real numbers: [`act_box`](Policy::act_box) instead of [`act`](Policy::act).
    pub fn is_box(&self) -> bool {
        matches!(self.head, Head::Box(_) | Head::SquashedBox(_))
    }

    /// Whether [`value`](Policy::value) is there.
    pub fn has_value(&self) -> bool {
        self.has_value
    }

    /// Bytes of [`Work::codes`].
    pub fn n_codes(&self) -> usize {
        self.slots.len() / 4
    }

    /// Elements of [`Work::sums`].
    pub fn n_sums(&self) -> usize {
        self.n_sums
    }

    /// The likeliest action: a whole number for each part of a discrete action, 0 or 1 for each bit. `mask` says which
    /// choices are allowed, two flags (0, 1) for each bit; an empty one allows all.
    ///
    /// # Errors
    /// [`Error::Shape`] for a slice of a wrong length, [`Error::NothingAllowed`], and [`Error::Absent`] where actions are real numbers.
    pub fn act(&self, obs: &[f32], mask: &[bool], work: &mut Work<'_>, action: &mut [i32]) -> Result<(), Error> {
        if self.is_box() {
            return Err(Error::Absent("discrete action"));
        }
        if !mask.is_empty() {
            exactly("action mask", self.mask_len(), mask.len())?;
        }
        exactly("action", self.n_parts, action.len())?;
        self.sum(obs, work)?;
        let allowed = |i: usize| mask.is_empty() || mask.get(i).copied().unwrap_or(false);
        let Head::Discrete(parts) = self.head else {
            for (i, action) in action.iter_mut().enumerate() {
                let one = match (allowed(2 * i), allowed(2 * i + 1)) {
                    (true, true) => self.positive(work, i),
                    (false, false) => return Err(Error::NothingAllowed(i)),
                    (_, one) => one,
                };
                *action = i32::from(one);
            }
            return Ok(());
        };
        let (mut from, mut first_sum) = (0, 0);
        for (part, action) in action.iter_mut().enumerate() {
            let (n, start) = (u32_at(parts, 2 * part) as usize, i32_at(parts, 2 * part + 1));
            let mut best: Option<usize> = None;
            for choice in 0..n {
                let beats = |best| self.exceeds(work, first_sum, choice, best);
                if allowed(from + choice) && best.is_none_or(beats) {
                    best = Some(choice);
                }
            }
            *action = start + best.ok_or(Error::NothingAllowed(part))? as i32;
            from += n;
            first_sum += n - usize::from(self.leaf != LeafKind::F32);
        }
        Ok(())
    }

    /// The likeliest action in its bounds.
    ///
    /// # Errors
    /// [`Error::Shape`] for a slice of a wrong length, [`Error::Absent`] where actions are discrete.
    pub fn act_box(&self, obs: &[f32], work: &mut Work<'_>, action: &mut [f32]) -> Result<(), Error> {
        let (Head::Box(bounds) | Head::SquashedBox(bounds)) = self.head else {
            return Err(Error::Absent("real-valued action"));
        };
        exactly("action", self.n_parts, action.len())?;
        self.sum(obs, work)?;
        for (i, action) in action.iter_mut().enumerate() {
            let (low, high) = (f32_at(bounds, 2 * i), f32_at(bounds, 2 * i + 1));
            let mut x = self.output(work, i);
            if matches!(self.head, Head::SquashedBox(_)) {
                let (low, high) = (f64::from(low), f64::from(high));
                x = (low + (high - low) * (0.5 * (math::tanh(f64::from(x)) + 1.0))) as f32;
            }
            x = if x < low { low } else { x };
            *action = if x > high { high } else { x };
        }
        Ok(())
    }

    /// The logits, or the means before they are clipped or squashed. Of a quantised policy the first logit of each
    /// discrete part is 0 and the others are relative to it.
    ///
    /// # Errors
    /// [`Error::Shape`] for a slice of a wrong length.
    pub fn logits(&self, obs: &[f32], work: &mut Work<'_>, logits: &mut [f32]) -> Result<(), Error> {
        exactly("logits", self.n_logits, logits.len())?;
        self.sum(obs, work)?;
        let Head::Discrete(parts) = self.head else {
            logits.iter_mut().enumerate().for_each(|(i, logit)| *logit = self.output(work, i));
            return Ok(());
        };
        let relative = self.leaf != LeafKind::F32;
        let (mut part, mut left, mut sum) = (0, 0, 0);
        for logit in logits {
            let first = left == 0;
            if first {
                left = u32_at(parts, 2 * part);
                part += 1;
            }
            left -= 1;
            if relative && first {
                *logit = 0.0;
            } else {
                *logit = self.output(work, sum);
                sum += 1;
            }
        }
        Ok(())
    }

    /// The value of the observation's state, in the scale that the rewards were learnt in.
    ///
    /// # Errors
    /// [`Error::Absent`] where it was not exported, [`Error::Shape`] for a slice of a wrong length.
    pub fn value(&self, obs: &[f32], work: &mut Work<'_>) -> Result<f32, Error> {
        if !self.has_value {
            return Err(Error::Absent("value"));
        }
        self.sum(obs, work)?;
        Ok(self.output(work, self.n_sums.saturating_sub(1)))
    }

    /// Whether a choice's logit exceeds another's.
    fn exceeds(&self, work: &Work<'_>, first_sum: usize, choice: usize, best: usize) -> bool {
        if self.leaf == LeafKind::F32 {
            let logit = |choice: usize| f32::from_bits(sum(work, first_sum + choice) as u32);
            return logit(choice) > logit(best);
        }
        let logit = |choice: usize| choice.checked_sub(1).map_or(0, |i| sum(work, first_sum + i));
        logit(choice) > logit(best)
    }

    fn positive(&self, work: &Work<'_>, i: usize) -> bool {
        let sum = sum(work, i);
        if self.leaf == LeafKind::F32 { f32::from_bits(sum as u32) > 0.0 } else { sum > 0 }
    }

    /// A sum as a number.
    fn output(&self, work: &Work<'_>, i: usize) -> f32 {
        let sum = sum(work, i);
        if self.leaf == LeafKind::F32 { f32::from_bits(sum as u32) } else { sum as f32 * f32_at(self.scales, i) }
    }

    /// Observation to codes to sums.
    fn sum(&self, obs: &[f32], work: &mut Work<'_>) -> Result<(), Error> {
        exactly("observation", self.n_features, obs.len())?;
        at_least("work.codes", self.n_codes(), work.codes.len())?;
        at_least("work.sums", self.n_sums, work.sums.len())?;
        self.encode(obs, work.codes);
        for (i, sum) in work.sums.iter_mut().enumerate().take(self.n_sums) {
            *sum = i32_at(self.bias, i);
        }
        let (mut test, mut tree, mut node, mut leaf) = (0, 0, 0, 0);
        for run in (0..self.runs.len() / RUN).map(|i| self.run(i)) {
            for _ in 0..run.n_trees {
                let (n_tests, n_leaves, slot);
                if run.depth == BINARY {
                    n_tests = usize::from(u16_at(self.sizes, tree));
                    n_leaves = n_tests + 1;
                    slot = self.walk(work.codes, test, node, n_tests);
                    tree += 1;
                    node += n_tests;
                } else {
                    n_tests = usize::from(run.depth);
                    n_leaves = 1 << n_tests;
                    slot =
                        (0..n_tests).fold(0, |slot, level| 2 * slot + usize::from(self.asks(work.codes, test + level)));
                }
                let sums = work.sums.iter_mut().skip(run.first).take(run.width);
                sums.enumerate().for_each(|(i, sum)| *sum = self.add(*sum, leaf + slot * run.width + i));
                test += n_tests;
                leaf += n_leaves * run.width;
            }
        }
        Ok(())
    }

    /// The leaf of a tree with nodes; links only lead on, so it ends.
    fn walk(&self, codes: &[u8], first_test: usize, first_node: usize, n_nodes: usize) -> usize {
        let mut at = 0;
        for _ in 0..n_nodes {
            let (is_leaf, to) = self.link(first_node + at, usize::from(self.asks(codes, first_test + at)));
            if is_leaf {
                return to;
            }
            at = to;
        }
        0
    }

    fn asks(&self, codes: &[u8], test: usize) -> bool {
        let (slot, key) = self.test(test);
        let code = u8_at(codes, slot);
        if slot < self.n_order { code > key } else { code == key.wrapping_add(1) }
    }

    /// Slot and key of a question.
    pub(crate) fn test(&self, i: usize) -> (usize, u8) {
        if self.test_width == 2 {
            (usize::from(u8_at(self.tests, 2 * i)), u8_at(self.tests, 2 * i + 1))
        } else {
            let slot = u16::from_le_bytes([u8_at(self.tests, 3 * i), u8_at(self.tests, 3 * i + 1)]);
            (usize::from(slot), u8_at(self.tests, 3 * i + 2))
        }
    }

    /// Where a node leads, by "no" (0) or "yes" (1): whether to a leaf, and which.
    pub(crate) fn link(&self, node: usize, side: usize) -> (bool, usize) {
        if self.child_width == 1 {
            let link = usize::from(u8_at(self.children, 2 * node + side));
            (link & 0x80 != 0, link & 0x7F)
        } else {
            let link = usize::from(u16_at(self.children, 2 * node + side));
            (link & 0x8000 != 0, link & 0x7FFF)
        }
    }

    pub(crate) fn run(&self, i: usize) -> Run {
        Run {
            n_trees: u32_at(self.runs, 3 * i),
            first: usize::from(u16_at(self.runs, 6 * i + 2)),
            width: usize::from(u16_at(self.runs, 6 * i + 3)),
            depth: u8_at(self.runs, RUN * i + 8),
        }
    }

    /// A sum with a leaf's value added.
    fn add(&self, sum: i32, i: usize) -> i32 {
        match self.leaf {
            LeafKind::F32 => (f32::from_bits(sum as u32) + f32_at(self.leaves, i)).to_bits() as i32,
            LeafKind::I16 => sum.wrapping_add(i32::from(u16_at(self.leaves, i) as i16)),
            LeafKind::I8 => sum.wrapping_add(i32::from(u8_at(self.leaves, i) as i8)),
        }
    }

    /// One code per slot.
    fn encode(&self, obs: &[f32], codes: &mut [u8]) {
        let mut first = 0;
        for (i, code) in codes.iter_mut().enumerate().take(self.n_codes()) {
            let (kind, n) = (u8_at(self.slots, 4 * i + 2), u8_at(self.slots, 4 * i + 3));
            let x = obs.get(usize::from(u16_at(self.slots, 2 * i))).copied().unwrap_or(f32::NAN);
            let bits = x.to_bits();
            let missing = bits << 1 > 0xFF00_0000;
            *code = match kind {
                MISSING_RIGHT if missing => n,
                _ if missing => 0,
                EQUAL => {
                    let key = key(if bits == 1 << 31 { 0 } else { bits }); // −0 equals +0
                    let rank = self.rank(first, n, key);
                    let found = rank < n && u32_at(self.keys, first + usize::from(rank)) == key;
                    if found { rank + 1 } else { 0 }
                }
                _ => self.rank(first, n, key(bits)),
            };
            first += usize::from(n);
        }
    }

    /// How many of the `n` keys from `first` on are below `key`: as many steps whatever the key.
    fn rank(&self, first: usize, n: u8, key: u32) -> u8 {
        let (mut base, mut length) = (0, n);
        while length > 1 {
            let half = length / 2;
            base += if u32_at(self.keys, first + usize::from(base + half - 1)) < key { half } else { 0 };
            length -= half;
        }
        base + u8::from(u32_at(self.keys, first + usize::from(base)) < key)
    }
}

/// A float's bits as an unsigned integer in the order of the floats.
fn key(bits: u32) -> u32 {
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn sum(work: &Work<'_>, i: usize) -> i32 {
    work.sums.get(i).copied().unwrap_or(0)
}

fn exactly(what: &'static str, expected: usize, got: usize) -> Result<(), Error> {
    if expected == got { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
}

fn at_least(what: &'static str, expected: usize, got: usize) -> Result<(), Error> {
    if expected <= got { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
}
