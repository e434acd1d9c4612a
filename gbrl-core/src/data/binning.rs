//! From values to bins: where edges lie and which bin a value falls into.
//!
//! Bins of a feature, in this order:
//!
//! ```text
//! numeric       [..=e₀] (e₀..=e₁] … (e_last..]          then: missing (NaN), where it occurs
//! categorical   c₀  c₁  … (codes that occur, ascending)  then: other (unseen codes), then: missing
//! ```
//!
//! An edge is the largest value of its left bin, so `x > edge` and `bin(x) > bin(edge)` always agree.

use super::schema::{MAX_CATEGORIES, UNSEEN};
use crate::config::BinStrategy;

/// Most bins of a numeric feature, so that a bin fits into a byte.
pub const MAX_NUMERIC_BINS: usize = 256;

/// The bins of one feature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureBins {
    /// Numeric: ascending edges. Categorical: ascending codes.
    pub values: Vec<f32>,
    /// Whether `values` are codes.
    pub categorical: bool,
    /// Whether a bin for codes that are none of `values` follows (categorical only).
    pub has_other: bool,
    /// Whether a bin for NaN comes last.
    pub has_missing: bool,
}

impl FeatureBins {
    /// Bins that hold ordinary values: intervals or codes.
    pub fn n_ordinary(&self) -> usize {
        if self.categorical { self.values.len() } else { self.values.len() + 1 }
    }

    /// All bins.
    pub fn n_bins(&self) -> usize {
        self.n_ordinary() + usize::from(self.has_other) + usize::from(self.has_missing)
    }

    /// The bin of NaN, if there is one.
    pub fn missing_bin(&self) -> Option<usize> {
        self.has_missing.then(|| self.n_bins() - 1)
    }

    /// The bin of `x`, O(log bins). NaN without a bin of its own goes where `x > edge` is never true: to the first.
    pub fn bin(&self, x: f32) -> usize {
        if x.is_nan() {
            return self.missing_bin().unwrap_or(if self.categorical { self.values.len() } else { 0 });
        }
        if self.categorical {
            return self.values.binary_search_by(|code| code.total_cmp(&(x + 0.0))).unwrap_or(self.values.len());
        }
        self.values.partition_point(|&edge| edge < x)
    }
}

/// Buffers of [`place`] and [`assign`], kept between calls.
#[derive(Clone, Debug, Default)]
pub struct SortScratch {
    keys: Vec<u64>,
    swap: Vec<u64>,
}

/// A bin index as it is stored: `u8`, or `u16` for categories past 255.
pub trait BinIndex: Copy + Default + Send + Sync + 'static {
    /// Stores an index that is known to fit.
    fn pack(bin: usize) -> Self;
    /// The index.
    fn unpack(self) -> usize;
}

impl BinIndex for u8 {
    fn pack(bin: usize) -> Self {
        bin as u8
    }
    fn unpack(self) -> usize {
        usize::from(self)
    }
}

impl BinIndex for u16 {
    fn pack(bin: usize) -> Self {
        bin as u16
    }
    fn unpack(self) -> usize {
        usize::from(self)
    }
}

/// Sorts a column and places its bins: fills `bins` and leaves the sorted keys in `scratch` for [`assign`].
///
/// `n_bins` counts all bins of a numeric feature, the missing one included; categories get one bin each.
/// O(n) for n above about a hundred (radix sort), O(n log n) below.
pub fn place(
    column: impl ExactSizeIterator<Item = f32>,
    categorical: bool,
    n_bins: usize,
    strategy: BinStrategy,
    reserve_missing: bool,
    scratch: &mut SortScratch,
    bins: &mut FeatureBins,
) {
    if categorical {
        scratch.sort(column.map(|x| if is_code(x) || x.is_nan() { x } else { UNSEEN }));
    } else {
        scratch.sort(column);
    }
    let (first, end) = scratch.finite_range(categorical);
    let keys = &scratch.keys[first..end];
    bins.categorical = categorical;
    bins.has_other = first > 0;
    bins.has_missing = end < scratch.keys.len() || reserve_missing;
    bins.values.clear();
    if categorical {
        push_distinct(keys, &mut bins.values);
        return;
    }
    let wanted = n_bins - usize::from(bins.has_missing);
    if !distinct_edges(keys, wanted, &mut bins.values) {
        match strategy {
            BinStrategy::Quantile => quantile_edges(keys, wanted, &mut bins.values),
            BinStrategy::Uniform => uniform_edges(keys, wanted, &mut bins.values),
        }
    }
}

/// Whether `x` is a code that a column can have; anything else fails every equality test.
fn is_code(x: f32) -> bool {
    x >= 0.0 && x < MAX_CATEGORIES as f32 && x.fract() == 0.0
}

/// Writes the bin of every row of the column that [`place`] sorted last. O(n).
pub fn assign<B: BinIndex>(scratch: &SortScratch, bins: &FeatureBins, out: &mut [B]) {
    let (first, end) = scratch.finite_range(bins.categorical);
    let other = B::pack(bins.values.len());
    for &key in &scratch.keys[..first] {
        out[row_of(key)] = other;
    }
    let mut bin = 0;
    if bins.categorical {
        for &key in &scratch.keys[first..end] {
            bin += usize::from(bins.values[bin] != value_of(key));
            out[row_of(key)] = B::pack(bin);
        }
    } else {
        // The sentinel ends the comparison after the last edge: no key's order is above u32::MAX.
        let mut next = bins.values.first().map_or(u32::MAX, |&e| order_of(e));
        for &key in &scratch.keys[first..end] {
            while (key >> 32) as u32 > next {
                bin += 1;
                next = bins.values.get(bin).map_or(u32::MAX, |&e| order_of(e));
            }
            out[row_of(key)] = B::pack(bin);
        }
    }
    if let Some(missing) = bins.missing_bin() {
        for &key in &scratch.keys[end..] {
            out[row_of(key)] = B::pack(missing);
        }
    }
}

impl SortScratch {
    /// Sorts (value, row) pairs packed into 64 bits: the value's order in the upper half, the row below.
    fn sort(&mut self, column: impl ExactSizeIterator<Item = f32>) {
        self.keys.clear();
        self.keys.extend(column.enumerate().map(|(row, x)| (u64::from(order_of(x)) << 32) | row as u64));
        if self.keys.len() <= RADIX_MIN {
            self.keys.sort_unstable();
        } else {
            radix_sort(&mut self.keys, &mut self.swap);
        }
    }

    /// The keys that are ordinary values: behind negative codes of a categorical column, before NaN.
    fn finite_range(&self, categorical: bool) -> (usize, usize) {
        let zero = u64::from(order_of(0.0)) << 32;
        let first = if categorical { self.keys.partition_point(|&key| key < zero) } else { 0 };
        let end = self.keys.len() - self.keys.iter().rev().take_while(|&&key| (key >> 32) as u32 == NAN_ORDER).count();
        (first, end)
    }
}

/// Below this, comparison sort wins over four counting passes.
const RADIX_MIN: usize = 96;

const NAN_ORDER: u32 = u32::MAX;

/// An integer that orders as the number does: −∞ < … < −0 = 0 < … < ∞ < NaN.
#[inline]
fn order_of(x: f32) -> u32 {
    if x.is_nan() {
        return NAN_ORDER;
    }
    let bits = (x + 0.0).to_bits(); // −0 + 0 is +0
    bits ^ (((bits as i32 >> 31) as u32) | 0x8000_0000)
}

#[inline]
fn value_of(key: u64) -> f32 {
    let order = (key >> 32) as u32;
    f32::from_bits(if order & 0x8000_0000 != 0 { order ^ 0x8000_0000 } else { !order })
}

#[inline]
fn row_of(key: u64) -> usize {
    key as u32 as usize
}

/// Least significant digit first, one byte of the value's order per pass; passes in which all bytes agree are skipped.
fn radix_sort(keys: &mut Vec<u64>, swap: &mut Vec<u64>) {
    let mut counts = [[0u32; 256]; 4];
    for &key in keys.iter() {
        let order = (key >> 32) as u32;
        for (digit, count) in counts.iter_mut().enumerate() {
            count[(order >> (8 * digit)) as usize & 255] += 1;
        }
    }
    let n = keys.len();
    swap.resize(n, 0);
    for (digit, count) in counts.iter_mut().enumerate() {
        if count[(keys[0] >> (32 + 8 * digit)) as usize & 255] as usize == n {
            continue;
        }
        let mut at = 0;
        for c in count.iter_mut() {
            at += std::mem::replace(c, at);
        }
        let swapped = &mut swap[..n];
        for &key in keys.iter() {
            let slot = &mut count[(key >> (32 + 8 * digit)) as usize & 255];
            swapped[*slot as usize] = key;
            *slot += 1;
        }
        std::mem::swap(keys, swap);
    }
}

fn push_distinct(keys: &[u64], out: &mut Vec<f32>) {
    let mut last = None;
    for &key in keys {
        let order = key >> 32;
        if last != Some(order) {
            out.push(value_of(key));
            last = Some(order);
        }
    }
}

/// All distinct values but the largest, if they leave at most `wanted` bins.
fn distinct_edges(keys: &[u64], wanted: usize, out: &mut Vec<f32>) -> bool {
    let steps = keys.windows(2).map(|pair| usize::from(pair[0] >> 32 != pair[1] >> 32)).sum::<usize>();
    if steps >= wanted {
        return false;
    }
    out.reserve(steps);
    for pair in keys.windows(2) {
        if pair[0] >> 32 != pair[1] >> 32 {
            out.push(value_of(pair[0]));
        }
    }
    true
}

/// Edges after every ⌈k·n/wanted⌉-th value, ties merged.
fn quantile_edges(keys: &[u64], wanted: usize, out: &mut Vec<f32>) {
    let n = keys.len();
    let largest = keys[n - 1] >> 32;
    let mut last = u64::MAX;
    // k·n/wanted as a whole part and a remainder, without a division per edge.
    let (mut whole, mut rest) = (0, 0);
    for _ in 1..wanted {
        (whole, rest) = (whole + n / wanted, rest + n % wanted);
        if rest >= wanted {
            (whole, rest) = (whole + 1, rest - wanted);
        }
        let key = keys[whole + usize::from(rest > 0) - 1];
        let order = key >> 32;
        if order != last && order != largest {
            out.push(value_of(key));
            last = order;
        }
    }
}

/// The largest value at or below each of wanted − 1 equally spaced boundaries between the finite extremes.
fn uniform_edges(keys: &[u64], wanted: usize, out: &mut Vec<f32>) {
    let finite = |&&key: &&u64| value_of(key).is_finite();
    let (Some(&low), Some(&high)) = (keys.iter().find(finite), keys.iter().rev().find(finite)) else {
        return quantile_edges(keys, wanted, out);
    };
    let (low, high) = (f64::from(value_of(low)), f64::from(value_of(high)));
    let largest = keys[keys.len() - 1] >> 32;
    let mut last = u64::MAX;
    for k in 1..wanted {
        let boundary = low + (high - low) * (k as f64 / wanted as f64);
        let below = keys.partition_point(|&key| f64::from(value_of(key)) <= boundary);
        let order = if below == 0 { continue } else { keys[below - 1] >> 32 };
        if order != last && order != largest {
            out.push(value_of(keys[below - 1]));
            last = order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bins_of(column: &[f32], categorical: bool, n_bins: usize, strategy: BinStrategy) -> (FeatureBins, Vec<usize>) {
        let (mut scratch, mut bins) = (SortScratch::default(), FeatureBins::default());
        place(column.iter().copied(), categorical, n_bins, strategy, false, &mut scratch, &mut bins);
        let mut out = vec![0u16; column.len()];
        assign(&scratch, &bins, &mut out);
        (bins, out.into_iter().map(usize::from).collect())
    }

    fn hostile() -> impl Strategy<Value = f32> {
        prop_oneof![
            6 => -3.0f32..3.0,
            2 => (-2i8..3).prop_map(f32::from),
            1 => Just(f32::NAN),
            1 => prop_oneof![Just(f32::INFINITY), Just(f32::NEG_INFINITY), Just(-0.0f32), Just(f32::MIN_POSITIVE / 4.0)],
        ]
    }

    proptest! {
        #[test]
        fn a_value_falls_left_of_an_edge_exactly_when_it_is_not_above(
            column in prop::collection::vec(hostile(), 0..300), n_bins in 2usize..40, uniform in any::<bool>(),
        ) {
            let strategy = if uniform { BinStrategy::Uniform } else { BinStrategy::Quantile };
            let (bins, assigned) = bins_of(&column, false, n_bins, strategy);
            prop_assert!(bins.n_bins() <= n_bins.max(2));
            prop_assert!(bins.values.windows(2).all(|w| w[0] < w[1]));
            for (&x, &bin) in column.iter().zip(&assigned) {
                prop_assert_eq!(bin, bins.bin(x));
                for (b, &edge) in bins.values.iter().enumerate() {
                    prop_assert!(x.is_nan() || (x > edge) == (bin > b));
                }
            }
            for (b, &edge) in bins.values.iter().enumerate() {
                prop_assert!(column.contains(&edge), "edge {} is no value", edge);
                prop_assert!(assigned.contains(&b) && assigned.iter().any(|&a| a > b), "an edge separates nothing");
            }
        }

        #[test]
        fn every_category_has_its_bin(codes in prop::collection::vec(-1i16..400, 0..500)) {
            let column: Vec<f32> = codes.iter().map(|&c| f32::from(c)).collect();
            let (bins, assigned) = bins_of(&column, true, 2, BinStrategy::Quantile);
            for (&x, &bin) in column.iter().zip(&assigned) {
                prop_assert_eq!(bin, bins.bin(x));
                let right = if x < 0.0 { bin == bins.values.len() } else { bins.values[bin] == x };
                prop_assert!(right);
            }
        }
    }

    proptest! {
        #[test]
        fn every_sort_gives_the_same_order(
            values in prop::collection::vec(hostile(), 0..700), center in prop_oneof![Just(0.0f32), Just(1e3), Just(-3e-30)],
        ) {
            let mut sorted = SortScratch::default();
            let crowded = values.iter().map(|x| center + x * 1e-4);
            sorted.sort(crowded.clone());
            let mut expected: Vec<u64> =
                crowded.enumerate().map(|(row, x)| (u64::from(order_of(x)) << 32) | row as u64).collect();
            expected.sort_unstable();
            prop_assert_eq!(&sorted.keys, &expected);
            if !values.is_empty() {
                sorted.keys.sort_unstable_by_key(|&key| key as u32);
                radix_sort(&mut sorted.keys, &mut sorted.swap);
                prop_assert_eq!(&sorted.keys, &expected);
            }
        }
    }

    #[test]
    fn more_distinct_values_than_codes_share_the_bin_of_unseen_ones() {
        let column: Vec<f32> = (0..70_000).map(|i| i as f32).chain([0.5, 1e9, f32::INFINITY, -3.0]).collect();
        let (bins, assigned) = bins_of(&column, true, 2, BinStrategy::Quantile);
        assert_eq!(bins.values.len(), MAX_CATEGORIES as usize);
        for (&x, &bin) in column.iter().zip(&assigned) {
            assert_eq!(bin, if is_code(x) { x as usize } else { bins.values.len() }, "{x}");
            assert_eq!(bin, bins.bin(x));
        }
    }

    #[test]
    fn quantiles_are_balanced() {
        let column: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).sin()).collect();
        let (bins, assigned) = bins_of(&column, false, 10, BinStrategy::Quantile);
        assert_eq!(bins.values.len(), 9);
        for bin in 0..10 {
            assert_eq!(assigned.iter().filter(|&&b| b == bin).count(), 100);
        }
    }

    #[test]
    fn few_values_get_a_bin_each_and_one_value_gets_no_edge() {
        assert_eq!(bins_of(&[2.0, 1.0, 2.0, 3.0], false, 256, BinStrategy::Quantile).0.values, [1.0, 2.0]);
        assert!(bins_of(&[5.0; 9], false, 256, BinStrategy::Uniform).0.values.is_empty());
        assert!(bins_of(&[], false, 256, BinStrategy::Quantile).0.values.is_empty());
    }
}
