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
            let scores = scores[first + usize::from(bits & 1)..].first_chunk().expect("scores are padded");
            V::add_steps(sums, scores, bits);
            first += bits.count_ones() as usize;
        }
        let bits = word.checked_shr(8 * groups.len() as u32).unwrap_or(0);
        for (i, sum) in rest.iter_mut().enumerate() {
            *sum += scores[first + (bits & (2u64 << i).wrapping_sub(1)).count_ones() as usize];
        }
    }
}

#[inline(always)]
fn best_body<V: Vector>(scores: &[f64], useful: &[u8], weight: f64, out: &mut Option<(usize, f64)>) {
    let (groups, rest) = scores.as_chunks::<8>();
    let (useful_groups, useful_rest) = useful.as_chunks::<8>();
    let mut best = Best::default();
    for (scores, useful) in groups.iter().zip(useful_groups) {
        let mut weighted = [0.0; 8];
        for lane in 0..8 {
            weighted[lane] = useful_or_lowest(weight * scores[lane], useful[lane]);
        }
        best.take(&weighted);
    }
    let mut weighted = [f64::NEG_INFINITY; 8];
    for (i, &score) in rest.iter().enumerate() {
        weighted[i] = useful_or_lowest(weight * score, useful_rest[i]);
    }
    best.take(&weighted);
    *out = best.largest();
}

/// Eight running maxima, each with the group it stood in; a later one must be larger to take its place.
pub struct Best {
    largest: [f64; 8],
    group_of: [f64; 8],
    next_group: f64,
}

impl Default for Best {
    #[inline(always)]
    fn default() -> Self {
        Best { largest: [f64::NEG_INFINITY; 8], group_of: [0.0; 8], next_group: 0.0 }
    }
}

impl Best {
    /// Takes the next eight scores.
    #[inline(always)]
    pub fn take(&mut self, scores: &[f64; 8]) {
        for lane in 0..8 {
            let better = scores[lane] > self.largest[lane];
            self.largest[lane] = if better { scores[lane] } else { self.largest[lane] };
            self.group_of[lane] = if better { self.next_group } else { self.group_of[lane] };
        }
        self.next_group += 1.0;
    }

    /// The first of the largest scores, and where it stood, if it is above −∞.
    #[inline(always)]
    pub fn largest(&self) -> Option<(usize, f64)> {
        let mut best = (usize::MAX, f64::NEG_INFINITY);
        for lane in 0..8 {
            let candidate = (8 * self.group_of[lane] as usize + lane, self.largest[lane]);
            if candidate.1 > best.1 || (candidate.1 == best.1 && candidate.0 < best.0) {
                best = candidate;
            }
        }
        (best.1 > f64::NEG_INFINITY).then_some(best)
    }
}

/// `score` where `useful` is 1, −∞ where it is 0: chosen by bits, because a branch would keep the loop from being
/// compiled to vectors.
#[inline(always)]
fn useful_or_lowest(score: f64, useful: u8) -> f64 {
    let mask = u64::from(useful).wrapping_neg();
    f64::from_bits((score.to_bits() & mask) | (f64::NEG_INFINITY.to_bits() & !mask))
}
