//! Observations that tell two policies apart, if anything does.

use super::form::{EdgePolicy, SlotKind, number};
use super::vector::Rows;

/// Values that are special to every feature.
const SPECIAL: [f32; 6] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, 1e-45];

/// Every threshold and its two neighbours among the numbers, and what is special, each in an otherwise recorded
/// observation (the recorded ones in turn; zeros where there is none), with everything allowed.
pub fn neighbours(policy: &EdgePolicy, recorded: &[f32]) -> Rows {
    let width = policy.n_features;
    let zeros = vec![0.0; width];
    let recorded = if recorded.is_empty() { &zeros } else { recorded };
    let mut rows = recorded.chunks_exact(width).cycle();
    let mut observations = Vec::new();
    let mut put = |feature: usize, x: f32| {
        if let Some(row) = rows.next() {
            let at = observations.len() + feature;
            observations.extend(row);
            observations[at] = x;
        }
    };
    for slot in &policy.slots {
        let feature = usize::from(slot.feature);
        for &key in &slot.keys {
            for key in [key - 1, key, key + 1] {
                put(feature, number(key));
            }
            if slot.kind == SlotKind::Equal {
                put(feature, number(key) + 0.5);
            }
        }
    }
    for feature in 0..width {
        for x in SPECIAL {
            put(feature, x);
        }
    }
    Rows { observations, masks: Vec::new() }
}

/// A few recorded observations for the test vector: spread evenly; zeros and infinities where there is none.
pub fn samples(policy: &EdgePolicy, recorded: &[f32], n: usize) -> Vec<f32> {
    let width = policy.n_features;
    let n_rows = recorded.len() / width;
    if n_rows == 0 {
        return [0.0, f32::INFINITY, f32::NEG_INFINITY].into_iter().flat_map(|x| vec![x; width]).collect();
    }
    let n = n.min(n_rows);
    (0..n).flat_map(|i| &recorded[i * n_rows / n * width..][..width]).copied().collect()
}
