//! Candidate splits in terms of bins.

use super::split::Split;
use crate::data::FeatureBins;

/// A question about one feature's bins. The order of candidates, which breaks ties between equal scores, is by
/// feature, then bin, then "missing goes left" first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The feature.
    pub feature_idx: u32,
    /// Numeric: the last bin that goes left. Categorical: the bin that goes right.
    pub bin: u32,
    /// Whether the missing bin goes right.
    pub missing_right: bool,
}

/// A candidate with its weighted score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The candidate.
    pub candidate: Candidate,
    /// Feature weight · score; of all nodes together in an oblivious level.
    pub score: f64,
}

impl Candidate {
    /// Whether a row in `bin` of the feature goes right.
    pub fn goes_right(&self, bins: &FeatureBins, bin: usize) -> bool {
        if Some(bin) == bins.missing_bin() {
            return self.missing_right;
        }
        if bins.categorical { !self.missing_right && bin == self.bin as usize } else { bin > self.bin as usize }
    }

    /// [`goes_right`](Candidate::goes_right) of every bin as 0 or 1, and 0 up to 256 entries, so that any byte is an
    /// index of the table.
    pub fn tabulate(&self, bins: &FeatureBins, out: &mut Vec<u8>) {
        let (n, bin) = (bins.n_bins(), self.bin as usize);
        out.clear();
        out.resize(n.max(256), 0);
        if !bins.categorical {
            out[(bin + 1).min(n)..n].fill(1);
        } else if !self.missing_right {
            out[bin] = 1;
        }
        if let Some(missing) = bins.missing_bin() {
            out[missing] = u8::from(self.missing_right);
        }
    }

    /// The same question about values.
    pub fn to_split(self, bins: &FeatureBins) -> Split {
        match bins.values.get(self.bin as usize) {
            Some(&code) if bins.categorical && !self.missing_right => Split::equal(self.feature_idx, code),
            Some(&edge) if !bins.categorical => Split::greater(self.feature_idx, edge, self.missing_right),
            // Behind the last edge, or missing against all categories: only NaN goes right.
            _ => Split::greater(self.feature_idx, f32::INFINITY, self.missing_right),
        }
    }

    /// Every candidate of a feature, in order.
    pub fn all(feature_idx: u32, bins: &FeatureBins) -> impl Iterator<Item = Candidate> {
        let edges = bins.values.len() as u32;
        let missing = bins.has_missing;
        let both = missing && !bins.categorical;
        let ordinary = (0..edges).flat_map(move |bin| {
            let one = Candidate { feature_idx, bin, missing_right: false };
            [Some(one), both.then_some(Candidate { missing_right: true, ..one })]
        });
        // For a numeric feature `edges` is the last ordinary bin; for a categorical one it is behind the last code.
        let missing_alone = missing.then_some(Candidate { feature_idx, bin: edges, missing_right: true });
        ordinary.flatten().chain(missing_alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bins(values: &[f32], categorical: bool, has_missing: bool) -> FeatureBins {
        FeatureBins { values: values.to_vec(), categorical, has_other: false, has_missing }
    }

    #[test]
    fn bins_and_values_give_the_same_answer() {
        for bins in [
            bins(&[0.0, 1.0], false, false),
            bins(&[0.0, 1.0], false, true),
            bins(&[0.0, 3.0, 7.0], true, false),
            bins(&[0.0, 3.0, 7.0], true, true),
        ] {
            let candidates: Vec<_> = Candidate::all(0, &bins).collect();
            assert!(candidates.is_sorted());
            let mut table = Vec::new();
            for candidate in candidates {
                candidate.tabulate(&bins, &mut table);
                assert_eq!(table.len(), 256);
                for (bin, &right) in table.iter().enumerate() {
                    let expected = bin < bins.n_bins() && candidate.goes_right(&bins, bin);
                    assert_eq!(right == 1, expected, "{candidate:?} {bin}");
                }
                let split = candidate.to_split(&bins);
                for x in [-1e9, 0.0, 0.5, 1.0, 3.0, 7.0, f32::INFINITY, f32::NAN] {
                    if bins.categorical && !x.is_nan() && !bins.values.contains(&x) || x.is_nan() && !bins.has_missing {
                        continue;
                    }
                    assert_eq!(candidate.goes_right(&bins, bins.bin(x)), split.goes_right(&[x]), "{candidate:?} {x}");
                }
            }
        }
    }

    #[test]
    fn missing_values_double_the_numeric_candidates_and_add_one_more() {
        assert_eq!(Candidate::all(0, &bins(&[0.0, 1.0], false, false)).count(), 2);
        assert_eq!(Candidate::all(0, &bins(&[0.0, 1.0], false, true)).count(), 5);
        assert_eq!(Candidate::all(0, &bins(&[0.0, 1.0], true, true)).count(), 3);
    }
}
