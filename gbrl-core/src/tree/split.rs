//! The question that a node asks of a row.

/// A question about one feature; "yes" goes right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// Index of the feature in the schema.
    pub feature_idx: u32,
    /// What is asked of its value.
    pub test: Test,
}

/// What is asked of a feature's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Test {
    /// `x > threshold`; a missing value (NaN) answers `missing_right`. With threshold +∞ and `missing_right` the
    /// question is "is it missing?", for categorical columns as well.
    Greater {
        /// The largest value that still goes left.
        threshold: f32,
        /// Where NaN goes.
        missing_right: bool,
    },
    /// `x == code`; every other category, unseen ones and missing values answer no.
    Equal {
        /// The category's code.
        code: f32,
    },
}

impl Split {
    /// The question `x[feature_idx] > threshold`.
    pub fn greater(feature_idx: u32, threshold: f32, missing_right: bool) -> Self {
        Split { feature_idx, test: Test::Greater { threshold, missing_right } }
    }

    /// The question `x[feature_idx] == code`.
    pub fn equal(feature_idx: u32, code: f32) -> Self {
        Split { feature_idx, test: Test::Equal { code } }
    }

    /// The answer for one row.
    pub fn goes_right(&self, row: &[f32]) -> bool {
        self.test.accepts(row[self.feature_idx as usize])
    }

    /// Whether this is a plain `x > threshold` that sends NaN left.
    pub fn is_plain(&self) -> bool {
        matches!(self.test, Test::Greater { missing_right: false, .. })
    }
}

impl Test {
    /// The answer for one value.
    pub fn accepts(self, x: f32) -> bool {
        match self {
            Test::Greater { threshold, missing_right } => x > threshold || (missing_right && x.is_nan()),
            Test::Equal { code } => x == code,
        }
    }

    /// The test as one range of [keys](key): x answers yes where key(x) − low ≤ width in wrapping arithmetic. "NaN goes
    /// right" lets the range run over the top to 0, NaN's key.
    pub fn key_range(self) -> [u32; 2] {
        match self {
            Test::Greater { threshold, missing_right } => {
                let low = key(threshold) + 1;
                [low, if missing_right { low.wrapping_neg() } else { u32::MAX - low }]
            }
            Test::Equal { code } => [key(code), 0],
        }
    }
}

/// An integer that orders as the number does, with NaN lowest of all: 0.
#[inline(always)]
pub fn key(x: f32) -> u32 {
    let bits = (x + 0.0).to_bits(); // −0 + 0 is +0
    let order = bits ^ (((bits as i32 >> 31) as u32) | 0x8000_0000);
    if x.is_nan() { 0 } else { order }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_float() -> impl Strategy<Value = f32> {
        prop_oneof![
            prop::num::f32::ANY,
            (-3i8..3).prop_map(f32::from),
            prop_oneof![Just(f32::INFINITY), Just(f32::NEG_INFINITY), Just(-0.0f32), Just(f32::NAN)]
        ]
    }

    proptest! {
        #[test]
        fn a_range_of_keys_answers_as_the_test_does(x in any_float(), t in any_float(), right in any::<bool>(), equal in any::<bool>()) {
            prop_assume!(!t.is_nan());
            let test = if equal { Test::Equal { code: t } } else { Test::Greater { threshold: t, missing_right: right } };
            let [low, width] = test.key_range();
            prop_assert_eq!(key(x).wrapping_sub(low) <= width, test.accepts(x), "{:?} of {}", test, x);
        }
    }

    #[test]
    fn nan_goes_where_it_was_told_and_the_threshold_itself_goes_left() {
        for missing_right in [false, true] {
            let test = Test::Greater { threshold: 1.0, missing_right };
            assert_eq!(test.accepts(f32::NAN), missing_right);
            assert!(!test.accepts(1.0) && test.accepts(1.0 + f32::EPSILON) && test.accepts(f32::INFINITY));
        }
        let is_missing = Test::Greater { threshold: f32::INFINITY, missing_right: true };
        assert!(is_missing.accepts(f32::NAN) && !is_missing.accepts(f32::INFINITY));
    }

    #[test]
    fn an_unseen_category_fails_every_equality() {
        let test = Test::Equal { code: 2.0 };
        assert!(test.accepts(2.0));
        assert!(![crate::data::schema::UNSEEN, 3.0, f32::NAN].into_iter().any(|x| test.accepts(x)));
    }
}
