//! A sample of visited states: what export and compression are tested on.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::rng::Stream;

/// States that a run's sample has at most.
pub const CAPACITY: usize = 4096;

/// A uniform sample of the rows that one copy of an environment showed the policy, with their action masks.
/// Its random numbers are its own, so a sample depends neither on threads nor on time.
///
/// ```
/// use gbrl_core::rl::visited::Reservoir;
/// let mut reservoir = Reservoir::new(7, 0, 1);
/// for i in 0..5000 {
///     reservoir.offer(&[i as f32], Vec::new);
/// }
/// assert_eq!(reservoir.seen(), 5000);
/// assert!(reservoir.fits(1, 0));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reservoir {
    capacity: usize,
    stream: Stream,
    seen: u64,
    /// Bits of the rows, `[n, n_features]`, so that NaN survives JSON.
    rows: Vec<u32>,
    /// Masks `[n, mask_len]`, empty where the environment has none.
    masks: Vec<bool>,
}

impl Reservoir {
    /// An empty one for copy `env_idx` of the `n_envs` of a run, which share [`CAPACITY`].
    pub fn new(seed: u64, env_idx: usize, n_envs: usize) -> Self {
        let stream = Stream::new(seed, "visited states", env_idx as u64);
        let capacity = CAPACITY.div_ceil(n_envs.max(1));
        Reservoir { capacity, stream, seen: 0, rows: Vec::new(), masks: Vec::new() }
    }

    /// States that were offered.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Offers a state that the policy is about to act in; `mask` is asked for where it is kept.
    pub fn offer(&mut self, row: &[f32], mask: impl FnOnce() -> Vec<bool>) {
        let n = self.rows.len() / row.len().max(1);
        let Some(at) = place(&mut self.stream, &mut self.seen, n, self.capacity) else { return };
        let mask = mask();
        if at == n {
            self.rows.extend(row.iter().map(|x| x.to_bits()));
            self.masks.extend(mask);
        } else {
            for (to, x) in self.rows[at * row.len()..][..row.len()].iter_mut().zip(row) {
                *to = x.to_bits();
            }
            let len = mask.len();
            self.masks[at * len..][..len].copy_from_slice(&mask);
        }
    }

    /// Whether what a file says can be a sample of such states.
    pub fn fits(&self, n_features: usize, mask_len: usize) -> bool {
        let n = (self.seen as usize).min(self.capacity);
        let counts_on = self.seen < u64::MAX / 2;
        counts_on
            && (1..=CAPACITY).contains(&self.capacity)
            && self.rows.len() == n * n_features
            && self.masks.len() == n * mask_len
    }
}

/// Where the next of `seen` things goes in a uniform sample of `capacity` that holds `n`; `None` where it is left out. Vitter
/// (1985), algorithm R.
pub(super) fn place(stream: &mut Stream, seen: &mut u64, n: usize, capacity: usize) -> Option<usize> {
    *seen += 1;
    let at = if n < capacity { n } else { stream.below(*seen) as usize };
    (at < capacity).then_some(at)
}

/// The samples of all copies as a safetensors file: `observations` `[n, n_features]` f32 and, where there are masks,
/// `masks` `[n, mask_len]` u8; at most [`CAPACITY`] rows, grouped by copy.
///
/// # Errors
/// Class `Value` when the safetensors library refuses, which it has no reason to.
pub fn to_safetensors<'a>(
    copies: impl IntoIterator<Item = &'a Reservoir>,
    n_features: usize,
    mask_len: usize,
) -> Result<Vec<u8>> {
    let (mut rows, mut masks) = (Vec::new(), Vec::new());
    for copy in copies {
        rows.extend(copy.rows.iter().flat_map(|bits| bits.to_le_bytes()));
        masks.extend(copy.masks.iter().map(|&allowed| u8::from(allowed)));
    }
    let width = 4 * n_features.max(1);
    let n = (rows.len() / width).min(CAPACITY);
    rows.truncate(n * width);
    masks.truncate(n * mask_len);
    let failed = |error| Error::parameter("states", error, "rows of one width");
    let mut tensors = BTreeMap::new();
    tensors.insert("observations", TensorView::new(Dtype::F32, vec![n, n_features], &rows).map_err(failed)?);
    if mask_len > 0 {
        tensors.insert("masks", TensorView::new(Dtype::U8, vec![n, mask_len], &masks).map_err(failed)?);
    }
    safetensors::serialize(tensors, None).map_err(failed)
}
