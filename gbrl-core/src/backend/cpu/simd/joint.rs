//! Sums of scores over the nodes of a level, and the largest of them.

use super::vector::Vector;

super::kernel! {
    /// `sums[i] += scores[i]`.
    pub fn add_scores(sums: &mut [f64], scores: &[f64]) = add_scores_body
}

super::kernel! {
    /// Adds a step function: `sums[bin] += scores[number of occupied bins up to and including bin]`.
    ///
    /// `occupied` has a bit per bin, `below` the number of occupied bins before each of its words; `scores` has nine
    /// elements more than there are occupied bins.
    pub fn add_steps(sums: &mut [f64], scores: &[f64], occupied: &[u64], below: &[u32]) = add_steps_body
}

super::kernel! {
    /// The first of the largest `weight · scores[i]` above −∞ among those with `useful[i]` not 0.
    pub fn best(scores: &[f64], useful: &[u8], weight: f64, out: &mut Option<(usize, f64)>) = best_body
}

#[inline(always)]
fn add_scores_body<V: Vector>(sums: &mut [f64], scores: &[f64]) {
    for (sum, score) in sums.iter_mut().zip(scores) {
        *sum += score;
    }
}

#[inline(always)]
fn add_steps_body<V: Vector>(sums: &mut [f64], scores: &[f64], occupied: &[u64], below: &[u32]) {
    for (word_idx, sums) in sums.chunks_mut(64).enumerate() {
        let word = occupied[word_idx];
        let mut first = below[word_idx] as usize;
        let (groups, rest) = sums.as_chunks_mut::<8>();
        for (group_idx, sums) in groups.iter_mut().enumerate() {
            let bits = (word >> (8 * group_idx)) as u8;
            let scores: &[f64; 16] = scores[first..].first_chunk().expect("scores are padded");
            V::add_steps(sums, scores, bits);
            first += bits.count_ones() as usize;
        }
        let bits = word.checked_shr(8 * groups.len() as u32).unwrap_or(0);
        for (i, sum) in rest.iter_mut().enumerate() {
            *sum += scores[first + (bits & (2u64 << i).wrapping_sub(1)).count_ones() as usize];
        }
    }
}

/// Two passes: how much, then where. Both are plain vector loops, and the second one mostly ends early.
#[inline(always)]
fn best_body<V: Vector>(scores: &[f64], useful: &[u8], weight: f64, out: &mut Option<(usize, f64)>) {
    let (groups, rest) = scores.as_chunks::<8>();
    let (useful_groups, useful_rest) = useful.as_chunks::<8>();
    let mut largest = [f64::NEG_INFINITY; 8];
    for (scores, useful) in groups.iter().zip(useful_groups) {
        for lane in 0..8 {
            let score = if useful[lane] != 0 { weight * scores[lane] } else { f64::NEG_INFINITY };
            largest[lane] = if score > largest[lane] { score } else { largest[lane] };
        }
    }
    let mut best = f64::NEG_INFINITY;
    for score in largest {
        best = if score > best { score } else { best };
    }
    let mut last = None;
    for (i, &score) in rest.iter().enumerate() {
        if useful_rest[i] != 0 && weight * score > best {
            best = weight * score;
            last = Some(8 * groups.len() + i);
        }
    }
    *out = match last {
        Some(i) => Some((i, best)),
        None if best > f64::NEG_INFINITY => first_equal(groups, useful_groups, weight, best).map(|i| (i, best)),
        None => None,
    };
}

#[inline(always)]
fn first_equal(groups: &[[f64; 8]], useful: &[[u8; 8]], weight: f64, wanted: f64) -> Option<usize> {
    for (group_idx, (scores, useful)) in groups.iter().zip(useful).enumerate() {
        let mut found = 0u8;
        for lane in 0..8 {
            found |= u8::from(useful[lane] != 0 && weight * scores[lane] == wanted) << lane;
        }
        if found != 0 {
            return Some(8 * group_idx + found.trailing_zeros() as usize);
        }
    }
    None
}
