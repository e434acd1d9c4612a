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
#[derive(Clone, Debug, PartialEq)]
pub struct Reservoir {
    capacity: usize,
    stream: Stream,
    seen: u64,
    /// Bits of the rows, `[n, n_features]`: equal where NaN is, too.
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
        let counts_on = self.seen < u64::MAX / 2;
        counts_on
            && (1..=CAPACITY).contains(&self.capacity)
            && self.rows.len() == self.n() * n_features
            && self.masks.len() == self.n() * mask_len
    }

    /// Rows of it.
    fn n(&self) -> usize {
        self.seen.min(self.capacity as u64) as usize
    }
}

/// What a checkpoint says of samples; their numbers are blobs of their own. Older files say more here.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    copies: Vec<SavedCopy>,
    /// Of the Python package's older files.
    #[serde(default, skip_serializing, rename = "n_features")]
    _n_features: usize,
    #[serde(default, skip_serializing, rename = "mask_len")]
    _mask_len: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedCopy {
    capacity: usize,
    stream: Stream,
    seen: u64,
    /// Where rows and masks are in older files.
    #[serde(default, skip_serializing)]
    rows: Vec<u32>,
    #[serde(default, skip_serializing)]
    masks: Vec<bool>,
}

/// The samples of all copies as blobs of a [`Checkpoint`](crate::io::Checkpoint): NAME (counts and random streams, JSON),
/// NAME.rows (f32, little-endian) and NAME.masks (a byte per choice), both by copy.
///
/// ```
/// use gbrl_core::rl::visited::{Reservoir, from_blobs, to_blobs};
/// let mut copies = vec![Reservoir::new(7, 0, 1)];
/// copies[0].offer(&[0.5, f32::NAN], Vec::new);
/// let mut blobs = to_blobs(&copies, "states")?.into();
/// assert_eq!(from_blobs(&mut blobs, "states")?, Some(copies));
/// assert!(blobs.is_empty());
/// # Ok::<(), gbrl_core::Error>(())
/// ```
///
/// # Errors
/// Class `Value` when the JSON library refuses, which it has no reason to.
pub fn to_blobs(copies: &[Reservoir], name: &str) -> Result<[(String, Vec<u8>); 3]> {
    let saved = |copy: &Reservoir| SavedCopy {
        capacity: copy.capacity,
        stream: copy.stream.clone(),
        seen: copy.seen,
        rows: Vec::new(),
        masks: Vec::new(),
    };
    let saved = Saved { copies: copies.iter().map(saved).collect(), _n_features: 0, _mask_len: 0 };
    let json = serde_json::to_vec(&saved).map_err(|error| Error::parameter("states", error, "what JSON can hold"))?;
    let (rows, masks) = bytes(copies);
    Ok([(name.to_owned(), json), (format!("{name}.rows"), rows), (format!("{name}.masks"), masks)])
}

/// Takes out what [`to_blobs`] put there, or what earlier versions did; `None` where there is nothing. Whether they are of
/// the states at hand, [`Reservoir::fits`] says.
///
/// # Errors
/// Class `Format` for anything else.
pub fn from_blobs(blobs: &mut BTreeMap<String, Vec<u8>>, name: &str) -> Result<Option<Vec<Reservoir>>> {
    let Some(json) = blobs.remove(name) else { return Ok(None) };
    let saved: Saved = serde_json::from_slice(&json)
        .map_err(|error| Error::format(name, "invalid contents", "samples of visited states", error))?;
    if let Some(copy) = saved.copies.iter().find(|copy| copy.capacity > CAPACITY) {
        return Err(Error::format(name, "capacity of a sample", format!("at most {CAPACITY}"), copy.capacity));
    }
    let read = |copy: SavedCopy| {
        let SavedCopy { capacity, stream, seen, rows, masks } = copy;
        Reservoir { capacity, stream, seen, rows, masks }
    };
    let mut copies: Vec<Reservoir> = saved.copies.into_iter().map(read).collect();
    let n: usize = copies.iter().map(Reservoir::n).sum();
    for (part, size) in [("rows", 4), ("masks", 1)] {
        let Some(all) = blobs.remove(&format!("{name}.{part}")).filter(|all| !all.is_empty()) else { continue };
        if n == 0 || !all.len().is_multiple_of(n * size) {
            let got = format!("{} bytes of {part}", all.len());
            return Err(Error::format(name, "numbers of another size", format!("a multiple of {}", n * size), got));
        }
        if copies.iter().any(|copy| if part == "rows" { !copy.rows.is_empty() } else { !copy.masks.is_empty() }) {
            let expected = format!("{part} in JSON or as bytes");
            return Err(Error::format(name, "numbers in two places", expected, "both"));
        }
        if let Some(byte) = all.iter().find(|&&byte| part == "masks" && byte > 1) {
            return Err(Error::format(name, "a mask's byte", "0 or 1", byte));
        }
        let (mut rest, width) = (&all[..], all.len() / n);
        for copy in &mut copies {
            let (own, others) = rest.split_at(copy.n() * width);
            match part {
                "rows" => copy.rows = own.as_chunks().0.iter().map(|&bits| u32::from_le_bytes(bits)).collect(),
                _ => copy.masks = own.iter().map(|&allowed| allowed != 0).collect(),
            }
            rest = others;
        }
    }
    Ok(Some(copies))
}

/// Rows and masks of all copies.
fn bytes<'a>(copies: impl IntoIterator<Item = &'a Reservoir>) -> (Vec<u8>, Vec<u8>) {
    let (mut rows, mut masks) = (Vec::new(), Vec::new());
    for copy in copies {
        rows.extend(copy.rows.iter().flat_map(|bits| bits.to_le_bytes()));
        masks.extend(copy.masks.iter().map(|&allowed| u8::from(allowed)));
    }
    (rows, masks)
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
    let (mut rows, mut masks) = bytes(copies);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;

    /// Two copies of three features and two choices, one of them full.
    fn copies() -> Vec<Reservoir> {
        let mut copies = vec![Reservoir::new(3, 0, 2000), Reservoir::new(3, 1, 2000), Reservoir::new(3, 2, 2000)];
        for i in 0..9 {
            let row = [i as f32, if i % 2 == 0 { f32::NAN } else { -0.0 }, f32::INFINITY];
            copies[0].offer(&row, || vec![true, i % 2 == 0]);
            if i < 2 {
                copies[1].offer(&row, || vec![false, true]);
            }
        }
        copies
    }

    #[test]
    fn samples_survive_blobs_to_the_bit_and_go_on_as_they_would_have() {
        let mut own = copies();
        let mut blobs: BTreeMap<_, _> = to_blobs(&own, "x").unwrap().into();
        // 3 + 2 + 0 rows: numbers, and no JSON.
        assert_eq!((blobs["x.rows"].len(), blobs["x.masks"].len()), (5 * 3 * 4, 5 * 2));
        let mut read = from_blobs(&mut blobs, "x").unwrap().unwrap();
        assert!(read == own && blobs.is_empty() && read.iter().all(|copy| copy.fits(3, 2)));
        for copies in [&mut own, &mut read] {
            for i in 0..50 {
                copies[i % 3].offer(&[i as f32, 0.0, 1.0], || vec![true, true]);
            }
        }
        assert_eq!(read, own);
        assert_eq!(from_blobs(&mut BTreeMap::new(), "x").unwrap(), None);
    }

    #[test]
    fn files_from_before_blobs_are_read() {
        let own = copies();
        let json = |copy: &Reservoir| {
            let Reservoir { capacity, stream, seen, rows, masks } = copy;
            let stream = serde_json::to_value(stream).unwrap();
            serde_json::json!({"capacity": capacity, "stream": stream, "seen": seen, "rows": rows, "masks": masks})
        };
        let copies: Vec<_> = own.iter().map(json).collect();
        for old in [
            serde_json::json!({"copies": copies}),
            serde_json::json!({"n_features": 3, "mask_len": 2, "copies": copies}),
        ] {
            let mut blobs = BTreeMap::from([("x".to_owned(), serde_json::to_vec(&old).unwrap())]);
            assert_eq!(from_blobs(&mut blobs, "x").unwrap().as_ref(), Some(&own));
            // The same numbers once more, as bytes.
            for part in ["x.rows", "x.masks"] {
                let mut blobs: BTreeMap<_, _> = to_blobs(&own, "x").unwrap().into();
                blobs.retain(|name, _| name == part);
                blobs.insert("x".to_owned(), serde_json::to_vec(&old).unwrap());
                assert_eq!(from_blobs(&mut blobs, "x").unwrap_err().class(), ErrorClass::Format);
            }
        }
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        let good: BTreeMap<String, Vec<u8>> = to_blobs(&copies(), "x").unwrap().into();
        let text = String::from_utf8(good["x"].clone()).unwrap();
        let with = |name: &str, bytes: Vec<u8>| {
            let mut blobs = good.clone();
            blobs.insert(name.to_owned(), bytes);
            from_blobs(&mut blobs, "x")
        };
        let huge = text.replace("\"capacity\":3", "\"capacity\":18446744073709551615");
        let unknown = text.replacen('{', "{\"rows\":[],", 1);
        for wrong in [
            with("x", b"{".to_vec()),
            with("x", huge.into_bytes()),
            with("x", unknown.into_bytes()),
            with("x.masks", vec![2; 10]),
            with("x.rows", vec![0; 61]),
            with("x.masks", vec![0; 11]),
        ] {
            assert_eq!(wrong.unwrap_err().class(), ErrorClass::Format);
        }
        // Rows of other states, and none where there should be some.
        for rows in [vec![0; 40], Vec::new()] {
            let read = with("x.rows", rows).unwrap().unwrap();
            assert!(!read[0].fits(3, 2));
        }
        let nothing = from_blobs(&mut to_blobs(&[], "x").unwrap().into(), "x").unwrap();
        assert_eq!(nothing, Some(Vec::new()));
    }
}
