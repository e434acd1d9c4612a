//! How good a split is. `docs/math/score.md` derives the formulas.
//!
//! With G the sum of a side's gradients and W its weight (its rows, when rows are not weighted), both scores need
//! only G and W of the two sides:
//!
//! ```text
//! l2      = ‖G_L‖²/(W_L + λ) + ‖G_R‖²/(W_R + λ)        of gradients standardised per output
//! cosine  = √ of the same expression                    of the gradients as they are
//! ```
//!
//! Both are computed over one common denominator, which saves a division, and an empty side counts with denominator 1,
//! so that a candidate that moves no row scores to the bit what the unsplit node scores.

use crate::config::SplitScore;

/// Integer sums over some rows: one per output, then the weight, then the number of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Quantised gradients, one per output.
    pub gradients: Vec<i64>,
    /// Quantised weights; the number of rows where rows are not weighted.
    pub weight: i64,
    /// Rows.
    pub n_rows: u32,
}

/// What a score needs besides the sums.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreRule {
    /// Which score.
    pub score: SplitScore,
    /// Regularisation λ.
    pub lambda: f64,
    /// Power of two of each output's integers.
    pub units: Vec<f64>,
    /// Power of two of the weights.
    pub weight_unit: f64,
}

/// The denominator W + λ of one side; 1 for an empty one.
#[inline(always)]
pub fn denominator(weight: f64, lambda: f64) -> f64 {
    if weight > 0.0 { weight + lambda } else { 1.0 }
}

/// The L2 score from the squared lengths and the denominators of both sides.
#[inline(always)]
pub fn ratio(left: (f64, f64), right: (f64, f64)) -> f64 {
    (left.0 * right.1 + right.0 * left.1) / (left.1 * right.1)
}

fn combine(score: SplitScore, left: (f64, f64), right: (f64, f64)) -> f64 {
    match score {
        SplitScore::L2 => ratio(left, right),
        SplitScore::Cosine => ratio(left, right).sqrt(),
    }
}

impl ScoreRule {
    /// ‖G‖² in the units of the gradients, outputs added one after the other, and the denominator.
    fn side(&self, gradients: impl Iterator<Item = i64>, weight: i64) -> (f64, f64) {
        let mut square = 0.0;
        for (g, unit) in gradients.zip(&self.units) {
            let g = g as f64 * unit;
            square += g * g;
        }
        (square, denominator(weight as f64 * self.weight_unit, self.lambda))
    }

    /// The score of the node left whole.
    pub fn unsplit(&self, node: &Sums) -> f64 {
        self.unsplit_of(&node.gradients, node.weight)
    }

    /// [`unsplit`](ScoreRule::unsplit) of sums that are not gathered in a [`Sums`].
    pub fn unsplit_of(&self, gradients: &[i64], weight: i64) -> f64 {
        combine(self.score, self.side(gradients.iter().copied(), weight), (0.0, 1.0))
    }

    /// The score of splitting `node` into `left` and the rest.
    pub fn split(&self, node: &Sums, left: &Sums) -> f64 {
        let rest = node.gradients.iter().zip(&left.gradients).map(|(t, l)| t - l);
        combine(
            self.score,
            self.side(left.gradients.iter().copied(), left.weight),
            self.side(rest, node.weight - left.weight),
        )
    }

    /// The mean gradient G/(W + λ) of one output of a leaf; 0 for an empty one.
    pub fn mean(&self, leaf: &Sums, output: usize) -> f64 {
        let weight = leaf.weight as f64 * self.weight_unit;
        if weight > 0.0 { leaf.gradients[output] as f64 * self.units[output] / (weight + self.lambda) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(score: SplitScore, lambda: f64) -> ScoreRule {
        ScoreRule { score, lambda, units: vec![0.5, 0.25], weight_unit: 1.0 }
    }

    fn sums(gradients: [i64; 2], n: i64) -> Sums {
        Sums { gradients: gradients.to_vec(), weight: n, n_rows: n as u32 }
    }

    #[test]
    fn an_empty_side_scores_as_the_unsplit_node_to_the_bit() {
        for score in [SplitScore::Cosine, SplitScore::L2] {
            for lambda in [0.0, 0.3, 7.0] {
                let rule = rule(score, lambda);
                let node = sums([12_345, -777], 13);
                assert_eq!(rule.split(&node, &sums([0, 0], 0)).to_bits(), rule.unsplit(&node).to_bits());
                assert_eq!(rule.split(&node, &node).to_bits(), rule.unsplit(&node).to_bits());
            }
        }
    }

    #[test]
    fn cosine_is_the_length_of_the_projection_on_the_leaf_means() {
        // Two rows left with gradients (1, 0), (3, 0); one right with (0, 2): 2·2² + 1·2² = 12.
        let rule = ScoreRule { score: SplitScore::Cosine, lambda: 0.0, units: vec![1.0, 1.0], weight_unit: 1.0 };
        assert_eq!(rule.split(&sums([4, 2], 3), &sums([4, 0], 2)), 12f64.sqrt());
    }
}
