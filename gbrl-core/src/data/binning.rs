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

/// A column being binned: filled by `start` and `extend`, sorted by [`place`], read by [`assign`]. Kept between columns.
#[derive(Clone, Debug, Default)]
pub struct SortScratch {
    categorical: bool,
    /// Whether each value of the column has a bin of its own.
    distinct: bool,
    keys: Vec<u64>,
    swap: Vec<u64>,
}

/// A row and its bin in one number, the bin above, so that entries sort by bin: what [`assign`] lists.
#[inline(always)]
pub fn entry(bin: usize, row: usize) -> u32 {
    (bin << 16 | row) as u32
}

/// The bin of an entry.
#[inline(always)]
pub fn bin_of_entry(entry: u32) -> usize {
    (entry >> 16) as usize
}

/// The row of an entry.
#[inline(always)]
pub fn row_of_entry(entry: u32) -> usize {
    (entry & 0xFFFF) as usize
}

/// Most rows that entries can tell apart.
pub const MAX_ENTRIES: usize = 1 << 16;

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

/// Sorts the column in `scratch` and places its bins: fills `bins` and leaves the sorted keys for [`assign`].
///
/// `n_bins` counts all bins of a numeric feature, the missing one included; categories get one bin each.
/// O(n) for n above about a hundred (radix sort), O(n log n) below.
pub fn place(
    n_bins: usize,
    strategy: BinStrategy,
    reserve_missing: bool,
    scratch: &mut SortScratch,
    bins: &mut FeatureBins,
) {
    scratch.sort();
    let categorical = scratch.categorical;
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
    scratch.distinct = distinct_edges(keys, wanted, &mut bins.values);
    if !scratch.distinct {
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

/// Writes the bin of every row of the column that [`place`] sorted last, and lists the rows' entries in the order of
/// their bins (none where there are too many for entries). O(n).
pub fn assign<B: BinIndex>(scratch: &SortScratch, bins: &FeatureBins, out: &mut [B], entries: &mut Vec<u32>) {
    if scratch.keys.len() > MAX_ENTRIES {
        entries.clear();
        return assign_each(scratch, bins, |_, key, bin| out[row_of(key)] = B::pack(bin));
    }
    entries.resize(scratch.keys.len(), 0);
    assign_each(scratch, bins, |i, key, bin| {
        out[row_of(key)] = B::pack(bin);
        entries[i] = entry(bin, row_of(key));
    });
}

/// Calls `assign` with the position, key and bin of every row, in the order of the bins but for unseen codes, which
/// come first.
fn assign_each(scratch: &SortScratch, bins: &FeatureBins, mut assign: impl FnMut(usize, u64, usize)) {
    let (first, end) = scratch.finite_range(bins.categorical);
    let keys = &scratch.keys;
    for i in 0..first {
        assign(i, keys[i], bins.values.len());
    }
    let mut bin = 0;
    if bins.categorical {
        for i in first..end {
            bin += usize::from(bins.values[bin] != value_of(keys[i]));
            assign(i, keys[i], bin);
        }
    } else if scratch.distinct {
        for i in first..end {
            bin += usize::from(i > first && keys[i - 1] >> 32 != keys[i] >> 32);
            assign(i, keys[i], bin);
        }
    } else {
        // The sentinel ends the comparison after the last edge: no key's order is above u32::MAX.
        let mut next = bins.values.first().map_or(u32::MAX, |&e| order_of(e));
        for i in first..end {
            while (keys[i] >> 32) as u32 > next {
                bin += 1;
                next = bins.values.get(bin).map_or(u32::MAX, |&e| order_of(e));
            }
            assign(i, keys[i], bin);
        }
    }
    if let Some(missing) = bins.missing_bin() {
        for i in end..keys.len() {
            assign(i, keys[i], missing);
        }
    }
}

impl SortScratch {
    /// Begins another column.
    pub fn start(&mut self, categorical: bool) {
        self.categorical = categorical;
        self.keys.clear();
    }

    /// Appends the values of further rows: (value, row) pairs packed into 64 bits, the value's order in the upper half.
    pub fn extend(&mut self, values: impl ExactSizeIterator<Item = f32>) {
        let first = self.keys.len();
        let values = values.enumerate();
        if self.categorical {
            let code = |x: f32| if is_code(x) || x.is_nan() { x } else { UNSEEN };
            self.keys.extend(values.map(|(i, x)| key_of(code(x), first + i)));
        } else {
            self.keys.extend(values.map(|(i, x)| key_of(x, first + i)));
        }
    }

    fn sort(&mut self) {
        if self.keys.len() <= RADIX_MIN {
            self.keys.sort_unstable();
        } else if !leading_sort(&mut self.keys, &mut self.swap) {
            radix_sort(&mut self.keys, &mut self.swap, |key| (key >> 32) as u32, 4);
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
fn key_of(x: f32, row: usize) -> u64 {
    (u64::from(order_of(x)) << 32) | row as u64
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

/// Sorts by the leading bits in which the values differ at all, then moves the few that are out of place; false, with
/// the keys in some other order, where they are not few. Equal values must come in the order of their rows.
fn leading_sort(keys: &mut Vec<u64>, swap: &mut Vec<u64>) -> bool {
    let (mut all, mut any) = (u64::MAX, 0);
    for &key in keys.iter() {
        (all, any) = (all & key, any | key);
    }
    let shift = (all ^ any).leading_zeros() & 63;
    // Two digits leave about n²/2,000 pairs of normal numbers unsorted, three hardly any.
    let n_digits = if keys.len() <= 512 { 2 } else { 3 };
    radix_sort(keys, swap, |key| (key << shift >> 32) as u32, n_digits);
    let mut moves = keys.len();
    for i in 1..keys.len() {
        let key = keys[i];
        let mut at = i;
        while at > 0 && keys[at - 1] > key {
            keys[at] = keys[at - 1];
            at -= 1;
        }
        if at < i {
            keys[at] = key;
            moves = moves.saturating_sub(i - at);
            if moves == 0 {
                return false;
            }
        }
    }
    true
}

/// Sorts by the leading `n_digits` bytes of `order`, least significant first; passes in which all bytes agree are skipped.
#[inline(always)]
fn radix_sort(keys: &mut Vec<u64>, swap: &mut Vec<u64>, order: impl Fn(u64) -> u32, n_digits: usize) {
    let mut counts = [[0u32; 256]; 4];
    let counts = &mut counts[4 - n_digits..];
    let digit_of = |key: u64, digit: usize| (order(key) >> (8 * (4 - n_digits + digit))) as usize & 255;
    for &key in keys.iter() {
        for (digit, count) in counts.iter_mut().enumerate() {
            count[digit_of(key, digit)] += 1;
        }
    }
    let n = keys.len();
    swap.resize(n, 0);
    for (digit, count) in counts.iter_mut().enumerate() {
        if count[digit_of(keys[0], digit)] as usize == n {
            continue;
        }
        let mut at = 0;
        for c in count.iter_mut() {
            at += std::mem::replace(c, at);
        }
        let swapped = &mut swap[..n];
        for &key in keys.iter() {
            let slot = &mut count[digit_of(key, digit)];
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
    out.resize(wanted, 0.0);
    let mut n_edges = 0;
    for pair in keys.windows(2) {
        out[n_edges] = value_of(pair[0]);
        n_edges += usize::from(pair[0] >> 32 != pair[1] >> 32);
        if n_edges == wanted {
            out.clear();
            return false;
        }
    }
    out.truncate(n_edges);
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
        scratch.start(categorical);
        scratch.extend(column.iter().copied());
        place(n_bins, strategy, false, &mut scratch, &mut bins);
        let (mut out, mut entries) = (vec![0u16; column.len()], Vec::new());
        assign(&scratch, &bins, &mut out, &mut entries);
        let mut listed: Vec<_> = entries.iter().map(|&e| (row_of_entry(e), bin_of_entry(e))).collect();
        listed.sort_unstable();
        assert!(
            column.len() > MAX_ENTRIES || listed.iter().map(|&(_, bin)| bin).eq(out.iter().map(|&b| usize::from(b)))
        );
        assert!(categorical || entries.is_sorted_by_key(|&e| bin_of_entry(e)));
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
            let crowded = values.iter().map(|x| center + x * 1e-4);
            let mut expected: Vec<u64> = crowded.enumerate().map(|(row, x)| key_of(x, row)).collect();
            let (keys, mut swap) = (expected.clone(), Vec::new());
            expected.sort_unstable();
            let mut sorted = SortScratch { keys: keys.clone(), ..SortScratch::default() };
            sorted.sort();
            prop_assert_eq!(&sorted.keys, &expected);
            if !values.is_empty() {
                let mut radix = keys.clone();
                radix_sort(&mut radix, &mut swap, |key| (key >> 32) as u32, 4);
                prop_assert_eq!(&radix, &expected);
                let mut leading = keys;
                if leading_sort(&mut leading, &mut swap) {
                    prop_assert_eq!(&leading, &expected);
                }
            }
        }
    }

    #[test]
    fn values_that_share_their_leading_bits_are_sorted_too() {
        // All but one lie close together, the last ones first.
        let mut scratch = SortScratch::default();
        scratch.start(false);
        scratch.extend((0..400).map(|i| if i == 7 { -1e30 } else { 1.0 - i as f32 * f32::EPSILON }));
        let mut keys = scratch.keys.clone();
        assert!(!leading_sort(&mut keys, &mut Vec::new()));
        scratch.sort();
        assert!(scratch.keys.is_sorted());
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
