//! A sample of the states that an agent was asked about, for whoever exports or compresses its policy.

use std::collections::BTreeMap;

use gbrl_core::error::{Error, Result};
use gbrl_core::rl::visited::{Reservoir, from_blobs, to_blobs, to_safetensors};

/// The blobs of a saved agent that hold it.
const NAME: &str = "visited";

/// The blobs of a checkpoint.
type Blobs = BTreeMap<String, Vec<u8>>;

/// Samples of all copies.
pub struct Visited {
    n_features: usize,
    mask_len: usize,
    copies: Vec<Reservoir>,
    /// What the next decision is about, `[n_envs, n_features]`; not in files, since `begin` comes first.
    next: Vec<f32>,
}

impl Visited {
    /// Nothing yet, of `n_envs` environments.
    pub fn new(seed: u64, n_envs: usize, n_features: usize, mask_len: usize) -> Self {
        let copies = (0..n_envs).map(|env_idx| Reservoir::new(seed, env_idx, n_envs)).collect();
        Visited { n_features, mask_len, copies, next: Vec::new() }
    }

    /// Remembers what the next decision will be about.
    pub fn show(&mut self, observations: &[f32]) {
        self.next.clear();
        self.next.extend_from_slice(observations);
    }

    /// The decision about what was shown is made, with these masks.
    pub fn decided(&mut self, masks: &[bool]) {
        let next = std::mem::take(&mut self.next);
        self.offer(&next, masks);
        self.next = next;
    }

    /// A decision about these observations, `[n_envs, n_features]`, is made.
    pub fn offer(&mut self, observations: &[f32], masks: &[bool]) {
        let rows = observations.chunks_exact(self.n_features);
        for (env_idx, (copy, row)) in self.copies.iter_mut().zip(rows).enumerate() {
            copy.offer(row, || masks.get(env_idx * self.mask_len..).map_or(&[][..], |m| &m[..self.mask_len]).to_vec());
        }
    }

    /// Whether no decision has been made yet.
    pub fn is_empty(&self) -> bool {
        self.copies.iter().all(|copy| copy.seen() == 0)
    }

    /// The file states.safetensors.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        to_safetensors(&self.copies, self.n_features, self.mask_len)
    }

    /// Puts it into a checkpoint.
    pub fn write(&self, blobs: &mut Blobs) -> Result<()> {
        blobs.extend(to_blobs(&self.copies, NAME)?);
        Ok(())
    }

    /// What a checkpoint says, which belongs to these environments; `None` where it says nothing.
    pub fn read(blobs: &mut Blobs, n_envs: usize, n_features: usize, mask_len: usize) -> Result<Option<Self>> {
        let Some(copies) = from_blobs(blobs, NAME)? else { return Ok(None) };
        if copies.len() != n_envs || !copies.iter().all(|copy| copy.fits(n_features, mask_len)) {
            let expected = format!("{n_envs} copies of {n_features} features and {mask_len} flags");
            return Err(Error::format("visited states", "another size", expected, format!("{} copies", copies.len())));
        }
        Ok(Some(Visited { n_features, mask_len, copies, next: Vec::new() }))
    }
}
