//! What a step leaves on the device for the host, in one piece: one copy fetches it, and one wait.
//!
//! First the losses of a minibatch, where the step is one of an update: the largest gradient of each column and whether a
//! row has no loss, then the sums of every tile. Then the step's own: largest magnitudes, units, what was chosen at each level, and
//! the sums of every node.

use gbrl_core::error::Result;

use crate::device::{Buffer, Device};
use crate::launch::{Best, MOST_LEVELS};

/// Words of a [`Best`].
pub const BEST: usize = size_of::<Best>() / size_of::<i64>();

/// Words of 64 bits on the device, and the host's copy of those that it knows.
#[derive(Default)]
pub struct Results {
    device: Buffer<i64>,
    host: Vec<i64>,
    /// Words that the host knows as they are.
    known: usize,
    /// Where the step's own begin.
    first: usize,
    /// Columns of the step.
    width: usize,
    /// Numbers of a node.
    record: usize,
    /// Whether all words from `first` on are zero.
    clean: bool,
}

impl Results {
    /// Room for `n_losses` words of losses, all zero; what was there is gone.
    pub fn begin_losses(&mut self, device: &Device, n_losses: usize) -> Result<()> {
        (self.first, self.known, self.clean) = (n_losses, 0, false);
        self.device.resize(device, self.device.len().max(n_losses), false)?;
        self.device.clear(device, 0, self.device.len())?;
        self.clean = true;
        Ok(())
    }

    /// Forgets the losses too: the step to come is nobody's update.
    pub fn without_losses(&mut self) {
        if self.first > 0 {
            (self.first, self.clean) = (0, false);
        }
    }

    /// Begins a step of so many columns and numbers per node.
    pub fn begin(&mut self, device: &Device, width: usize, record: usize) -> Result<()> {
        (self.width, self.record, self.known) = (width, record, self.known.min(self.first));
        let (clean, len) = (std::mem::take(&mut self.clean), self.node(1));
        // Losses must not be lost, and they have been summed for this very step.
        self.device.resize(device, self.device.len().max(len), self.first > 0)?;
        if clean { Ok(()) } else { self.device.clear(device, self.first, self.device.len()) }
    }

    /// Room for the sums of `n_nodes` nodes, zero where no node was.
    pub fn grow(&mut self, device: &Device, n_nodes: usize) -> Result<()> {
        let (old, len) = (self.device.len(), self.node(n_nodes));
        if len > old {
            self.device.resize(device, len, true)?;
            self.device.clear(device, old, len)?;
        }
        Ok(())
    }

    /// Words from `at` on are about to change.
    pub fn changes(&mut self, at: usize) {
        self.known = self.known.min(at);
    }

    /// The first words up to `end`, and waits for those that are not known.
    pub fn fetch(&mut self, device: &Device, end: usize) -> Result<&[i64]> {
        if self.known < end {
            self.host.resize(self.host.len().max(end), 0);
            self.device.fetch(device, self.known, &mut self.host[self.known..end])?;
            self.known = end;
        }
        Ok(&self.host[..end])
    }

    /// Where words lie on the device.
    pub fn address(&self, device: &Device, at: usize) -> u64 {
        self.device.address(device, at)
    }

    /// The bits of the largest magnitudes: columns, standardised columns, weights.
    pub fn largest(&self) -> usize {
        self.first
    }

    /// Units, as bits: of scores, of weights, of leaves.
    pub fn units(&self) -> usize {
        self.largest() + 2 * self.width + 1
    }

    /// What was chosen at a level.
    pub fn chosen(&self, level: usize) -> usize {
        self.units() + 2 * self.width + 1 + level * BEST
    }

    /// The sums of a node.
    pub fn node(&self, node: usize) -> usize {
        self.chosen(MOST_LEVELS) + node * self.record
    }
}

/// A candidate from its words.
pub fn best(words: &[i64]) -> Best {
    let halves = |word: i64| [word as u64 as u32, (word as u64 >> 32) as u32];
    let ([feature, bin], [missing_right, found]) = (halves(words[1]), halves(words[2]));
    Best { score: f64::from_bits(words[0] as u64), feature, bin, missing_right, found }
}
