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
}

#[cfg(test)]
mod tests {
    use super::*;

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
