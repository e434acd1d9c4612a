//! The few operations that the compiler does not find by itself, once per level.

use crate::data::Lanes;

/// A vector level as a type: sixteen lanes, however many registers that takes.
pub trait Vector {
    /// Sixteen numbers.
    type Floats: Copy;
    /// Sixteen integers.
    type Ints: Copy;
    /// Sixteen answers.
    type Mask: Copy;

    /// Loads numbers.
    fn floats(x: &[f32; 16]) -> Self::Floats;
    /// Stores numbers.
    fn store_floats(x: Self::Floats, out: &mut [f32; 16]);
    /// Lane-wise sum.
    fn add(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// Loads integers.
    fn ints(x: &[u32; 16]) -> Self::Ints;
    /// Stores integers.
    fn store_ints(x: Self::Ints, out: &mut [u32; 16]);
    /// `x > threshold`; false for NaN.
    fn greater(x: Self::Floats, threshold: f32) -> Self::Mask;
    /// `key − low ≤ width` in wrapping arithmetic.
    fn within(key: Self::Ints, low: u32, width: u32) -> Self::Mask;
    /// `a and b`.
    fn and(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// `a and not b`.
    fn and_not(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// `a or b`.
    fn or(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Sets `bit` where the answer is yes.
    fn set_bit(x: Self::Ints, bit: u32, mask: Self::Mask) -> Self::Ints;
    /// `table[index]`, index below 16.
    fn lookup16(table: &[f32; 16], index: Self::Ints) -> Self::Floats;
    /// `table[index]`, index below 32.
    fn lookup32(table: &[Lanes<f32>; 2], index: Self::Ints) -> Self::Floats;
    /// `table[index]`, index below 64.
    fn lookup64(table: &[Lanes<f32>; 4], index: Self::Ints) -> Self::Floats;
    /// `table[index / 16][index % 16]`.
    fn lookup(table: &[Lanes<f32>], index: Self::Ints) -> Self::Floats;

    /// Sixteen tests of one row: bit i of the result is `row[features[i]] > thresholds[i]`.
    #[inline(always)]
    fn ask_row(row: &[Lanes<f32>; 2], features: &[u32; 16], thresholds: &[f32; 16]) -> u16 {
        ask_row_portable(row, features, thresholds)
    }

    /// Asks for the cache line at an address, which need not be valid.
    fn prefetch(_address: *const u8) {}

    /// `sums[i] += scores[number of bits of `bits` from 1 up to and including i]`.
    fn add_steps(sums: &mut [f64; 8], scores: &[f64; 8], bits: u8);

    /// Bit i is byte i, each 0 or 1.
    fn bits(bytes: &[u8; 64]) -> u64;

    /// Bit i says whether the upper halves of `a[i]` and `b[i]` differ.
    fn upper_differ(a: &[u32; 8], b: &[u32; 8]) -> u8;

    /// Bit b of the 256 says whether an entry's upper half is b.
    fn upper_bits(entries: &[u32]) -> [u64; 4];

    /// Writes the numbers whose bit is set to the front of `out`, in order; what stands behind them is unspecified.
    #[inline(always)]
    fn compress(x: &[f64; 8], bits: u8, out: &mut [f64; 8]) {
        compress_portable(x, bits, out);
    }

    /// Parts sixteen list entries by the bit of `side` that the lower half of each one names: those with 0 go to the
    /// front of `left`, those with 1 to the front of `right`, in order; what stands behind them is unspecified. Gives
    /// how many went right.
    #[inline(always)]
    fn part(entries: &[u32; 16], side: &Sides, left: &mut [u32; 16], right: &mut [u32; 16]) -> usize {
        part_portable(entries, side, left, right)
    }

    /// `cell[l] += grad[l]`, L a multiple of 4.
    fn accumulate<const L: usize>(cell: &mut [i64; L], grad: &[i32; L]);

    /// Adds eight cells of `W` lanes (stride `lanes`, from `cells[0]`) to the running sums one after the other and
    /// gives the eight intermediate sums, transposed: `planes[w][j]` is lane w after cell j, exact in f64.
    fn running_planes<const W: usize>(cells: &[i64], lanes: usize, run: &mut [i64; W]) -> [[f64; 8]; W];

    /// The same of eight rows of numbers.
    fn running_rows<const W: usize>(rows: &[&[f64; W]; 8], run: &mut [f64; W]) -> [[f64; 8]; W];
}

/// One bit per row.
pub type Sides = [u32; 32];

/// What every processor has.
pub struct Portable;

/// 256-bit vectors.
#[cfg(target_arch = "x86_64")]
pub struct Avx2;

/// 512-bit vectors.
#[cfg(target_arch = "x86_64")]
pub struct Avx512;

/// 2⁵² + 2⁵¹: its low mantissa bits hold an integer below 2⁵¹ in magnitude.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// i64 → f64 for |x| < 2⁵¹ by one integer and one float addition; exact, and vectors of every level have both.
#[inline(always)]
pub fn to_f64(x: i64) -> f64 {
    f64::from_bits((x.wrapping_add(MAGIC.to_bits() as i64)) as u64) - MAGIC
}

#[inline(always)]
fn running_planes_portable<const W: usize>(cells: &[i64], lanes: usize, run: &mut [i64; W]) -> [[f64; 8]; W] {
    let mut planes = [[0.0; 8]; W];
    for j in 0..8 {
        let cell: &[i64; W] = cells[j * lanes..].first_chunk().expect("eight cells of W lanes");
        for w in 0..W {
            run[w] += cell[w];
            planes[w][j] = to_f64(run[w]);
        }
    }
    planes
}

#[inline(always)]
fn running_rows_portable<const W: usize>(rows: &[&[f64; W]; 8], run: &mut [f64; W]) -> [[f64; 8]; W] {
    let mut planes = [[0.0; 8]; W];
    for j in 0..8 {
        for w in 0..W {
            run[w] += rows[j][w];
            planes[w][j] = run[w];
        }
    }
    planes
}

#[inline(always)]
fn ask_row_portable(row: &[Lanes<f32>; 2], features: &[u32; 16], thresholds: &[f32; 16]) -> u16 {
    let mut answers = 0;
    for i in 0..16 {
        let x = row[features[i] as usize >> 4 & 1][features[i] as usize & 15];
        answers |= u16::from(x > thresholds[i]) << i;
    }
    answers
}

#[inline(always)]
fn bits_portable(bytes: &[u8; 64]) -> u64 {
    let mut word = 0;
    for (i, bytes) in bytes.as_chunks::<8>().0.iter().enumerate() {
        // The product moves bit 0 of byte j to bit 56 + j.
        let bits = u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word |= bits << (8 * i);
    }
    word
}

#[inline(always)]
fn upper_differ_portable(a: &[u32; 8], b: &[u32; 8]) -> u8 {
    let mut bits = 0;
    for i in 0..8 {
        bits |= u8::from((a[i] ^ b[i]) >> 16 != 0) << i;
    }
    bits
}

#[inline(always)]
fn upper_bits_portable(entries: &[u32]) -> [u64; 4] {
    let mut words = [0; 4];
    for &entry in entries {
        words[(entry >> 22 & 3) as usize] |= 1 << (entry >> 16 & 63);
    }
    words
}

#[inline(always)]
fn compress_portable(x: &[f64; 8], bits: u8, out: &mut [f64; 8]) {
    let mut at = 0;
    for i in 0..8 {
        out[at & 7] = x[i];
        at += usize::from(bits >> i & 1);
    }
}

/// Both ends are written for every entry and only one end advances: no branch to mispredict.
#[inline(always)]
fn part_portable(entries: &[u32; 16], side: &Sides, left: &mut [u32; 16], right: &mut [u32; 16]) -> usize {
    let mut n_right = 0;
    for i in 0..16 {
        let entry = entries[i];
        left[(i - n_right) & 15] = entry;
        right[n_right & 15] = entry;
        n_right += (side[(entry >> 5) as usize & 31] >> (entry & 31) & 1) as usize;
    }
    n_right
}

#[inline(always)]
fn add_steps_portable(sums: &mut [f64; 8], scores: &[f64; 8], bits: u8) {
    let mut step = 0;
    sums[0] += scores[0];
    for i in 1..8 {
        step += usize::from(bits >> i & 1);
        sums[i] += scores[step];
    }
}

/// Bits set from 1 up to and including each position, one byte per position, for every byte.
#[cfg(target_arch = "x86_64")]
const STEPS: [u64; 256] = {
    let mut table = [0; 256];
    let mut bits = 0;
    while bits < 256 {
        let (mut i, mut step) = (1, 0u64);
        while i < 8 {
            step += (bits as u64 >> i) & 1;
            table[bits] |= step << (8 * i);
            i += 1;
        }
        bits += 1;
    }
    table
};

#[inline(always)]
fn map<T: Copy, U: Copy + Default>(x: [T; 16], f: impl Fn(T) -> U) -> [U; 16] {
    let mut out = [U::default(); 16];
    for i in 0..16 {
        out[i] = f(x[i]);
    }
    out
}

#[inline(always)]
fn zip<T: Copy, U: Copy, R: Copy + Default>(a: [T; 16], b: [U; 16], f: impl Fn(T, U) -> R) -> [R; 16] {
    let mut out = [R::default(); 16];
    for i in 0..16 {
        out[i] = f(a[i], b[i]);
    }
    out
}

/// Answers are all ones or all zeros, as compare instructions give them.
#[inline(always)]
fn all_ones(yes: bool) -> u32 {
    u32::from(yes).wrapping_neg()
}

impl Vector for Portable {
    type Floats = [f32; 16];
    type Ints = [u32; 16];
    type Mask = [u32; 16];

    #[inline(always)]
    fn floats(x: &[f32; 16]) -> [f32; 16] {
        *x
    }
    #[inline(always)]
    fn store_floats(x: [f32; 16], out: &mut [f32; 16]) {
        *out = x;
    }
    #[inline(always)]
    fn add(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn ints(x: &[u32; 16]) -> [u32; 16] {
        *x
    }
    #[inline(always)]
    fn store_ints(x: [u32; 16], out: &mut [u32; 16]) {
        *out = x;
    }
    #[inline(always)]
    fn greater(x: [f32; 16], threshold: f32) -> [u32; 16] {
        map(x, |x| all_ones(x > threshold))
    }
    #[inline(always)]
    fn within(key: [u32; 16], low: u32, width: u32) -> [u32; 16] {
        map(key, |key| all_ones(key.wrapping_sub(low) <= width))
    }
    #[inline(always)]
    fn and(a: [u32; 16], b: [u32; 16]) -> [u32; 16] {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn and_not(a: [u32; 16], b: [u32; 16]) -> [u32; 16] {
        zip(a, b, |a, b| a & !b)
    }
    #[inline(always)]
    fn or(a: [u32; 16], b: [u32; 16]) -> [u32; 16] {
        zip(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn set_bit(x: [u32; 16], bit: u32, mask: [u32; 16]) -> [u32; 16] {
        zip(x, mask, |x, mask| x | (bit & mask))
    }
    #[inline(always)]
    fn lookup16(table: &[f32; 16], index: [u32; 16]) -> [f32; 16] {
        map(index, |i| table[i as usize & 15])
    }
    #[inline(always)]
    fn lookup32(table: &[Lanes<f32>; 2], index: [u32; 16]) -> [f32; 16] {
        map(index, |i| table[i as usize >> 4 & 1][i as usize & 15])
    }
    #[inline(always)]
    fn lookup64(table: &[Lanes<f32>; 4], index: [u32; 16]) -> [f32; 16] {
        map(index, |i| table[i as usize >> 4 & 3][i as usize & 15])
    }
    #[inline(always)]
    fn lookup(table: &[Lanes<f32>], index: [u32; 16]) -> [f32; 16] {
        map(index, |i| table[i as usize / 16][i as usize % 16])
    }
    #[inline(always)]
    fn bits(bytes: &[u8; 64]) -> u64 {
        bits_portable(bytes)
    }
    #[inline(always)]
    fn upper_differ(a: &[u32; 8], b: &[u32; 8]) -> u8 {
        upper_differ_portable(a, b)
    }
    #[inline(always)]
    fn upper_bits(entries: &[u32]) -> [u64; 4] {
        upper_bits_portable(entries)
    }
    #[inline(always)]
    fn accumulate<const L: usize>(cell: &mut [i64; L], grad: &[i32; L]) {
        for l in 0..L {
            cell[l] += i64::from(grad[l]);
        }
    }
    #[inline(always)]
    fn add_steps(sums: &mut [f64; 8], scores: &[f64; 8], bits: u8) {
        add_steps_portable(sums, scores, bits);
    }
    #[inline(always)]
    fn running_planes<const W: usize>(cells: &[i64], lanes: usize, run: &mut [i64; W]) -> [[f64; 8]; W] {
        running_planes_portable(cells, lanes, run)
    }
    #[inline(always)]
    fn running_rows<const W: usize>(rows: &[&[f64; W]; 8], run: &mut [f64; W]) -> [[f64; 8]; W] {
        running_rows_portable(rows, run)
    }
}

// In the two implementations below every intrinsic needs its processor feature. The types are named only by the
// functions that `kernel!` compiles with those features, and these are reached only through a `Simd` that has seen the
// processor's; loads and stores go through references to arrays of the right size.

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{Avx2, MAGIC, Vector, add_steps_portable, running_planes_portable};
    use crate::data::Lanes;

    impl Vector for Avx2 {
        type Floats = [__m256; 2];
        type Ints = [__m256i; 2];
        type Mask = [__m256i; 2];

        #[inline(always)]
        fn floats(x: &[f32; 16]) -> [__m256; 2] {
            // SAFETY: AVX2 as said above; both loads stay within the sixteen elements.
            unsafe { [_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))] }
        }
        #[inline(always)]
        fn store_floats(x: [__m256; 2], out: &mut [f32; 16]) {
            // SAFETY: AVX2 as said above; both stores stay within the sixteen elements.
            unsafe {
                _mm256_storeu_ps(out.as_mut_ptr(), x[0]);
                _mm256_storeu_ps(out.as_mut_ptr().add(8), x[1]);
            }
        }
        #[inline(always)]
        fn prefetch(address: *const u8) {
            // SAFETY: SSE, which every x86-64 has; a prefetch of an invalid address does nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
        }
        #[inline(always)]
        fn add(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
            // SAFETY: AVX2 as said above.
            unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn ints(x: &[u32; 16]) -> [__m256i; 2] {
            // SAFETY: AVX2 as said above; both loads stay within the sixteen elements.
            unsafe { [_mm256_loadu_si256(x.as_ptr().cast()), _mm256_loadu_si256(x.as_ptr().add(8).cast())] }
        }
        #[inline(always)]
        fn store_ints(x: [__m256i; 2], out: &mut [u32; 16]) {
            // SAFETY: AVX2 as said above; both stores stay within the sixteen elements.
            unsafe {
                _mm256_storeu_si256(out.as_mut_ptr().cast(), x[0]);
                _mm256_storeu_si256(out.as_mut_ptr().add(8).cast(), x[1]);
            }
        }
        #[inline(always)]
        fn greater(x: [__m256; 2], threshold: f32) -> [__m256i; 2] {
            // SAFETY: AVX2 as said above.
            unsafe {
                let t = _mm256_set1_ps(threshold);
                [
                    _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(x[0], t)),
                    _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(x[1], t)),
                ]
            }
        }
        #[inline(always)]
        fn within(key: [__m256i; 2], low: u32, width: u32) -> [__m256i; 2] {
            // SAFETY: AVX2 as said above.
            unsafe {
                let (low, width) = (_mm256_set1_epi32(low as i32), _mm256_set1_epi32(width as i32));
                let distance = [_mm256_sub_epi32(key[0], low), _mm256_sub_epi32(key[1], low)];
                [
                    _mm256_cmpeq_epi32(_mm256_min_epu32(distance[0], width), distance[0]),
                    _mm256_cmpeq_epi32(_mm256_min_epu32(distance[1], width), distance[1]),
                ]
            }
        }
        #[inline(always)]
        fn and(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
            // SAFETY: AVX2 as said above.
            unsafe { [_mm256_and_si256(a[0], b[0]), _mm256_and_si256(a[1], b[1])] }
        }
        #[inline(always)]
        fn and_not(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
            // SAFETY: AVX2 as said above.
            unsafe { [_mm256_andnot_si256(b[0], a[0]), _mm256_andnot_si256(b[1], a[1])] }
        }
        #[inline(always)]
        fn or(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
            // SAFETY: AVX2 as said above.
            unsafe { [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])] }
        }
        #[inline(always)]
        fn set_bit(x: [__m256i; 2], bit: u32, mask: [__m256i; 2]) -> [__m256i; 2] {
            // SAFETY: AVX2 as said above.
            unsafe {
                let bit = _mm256_set1_epi32(bit as i32);
                [
                    _mm256_or_si256(x[0], _mm256_and_si256(mask[0], bit)),
                    _mm256_or_si256(x[1], _mm256_and_si256(mask[1], bit)),
                ]
            }
        }
        #[inline(always)]
        fn lookup16(table: &[f32; 16], index: [__m256i; 2]) -> [__m256; 2] {
            // SAFETY: AVX2 as said above; the loads stay within the sixteen elements.
            unsafe {
                // Both halves are looked up by the lower three bits; the fourth, moved to the sign, chooses.
                let (low, high) = (_mm256_loadu_ps(table.as_ptr()), _mm256_loadu_ps(table.as_ptr().add(8)));
                let choose = [_mm256_slli_epi32::<28>(index[0]), _mm256_slli_epi32::<28>(index[1])];
                let lows = [_mm256_permutevar8x32_ps(low, index[0]), _mm256_permutevar8x32_ps(low, index[1])];
                let highs = [_mm256_permutevar8x32_ps(high, index[0]), _mm256_permutevar8x32_ps(high, index[1])];
                [
                    _mm256_blendv_ps(lows[0], highs[0], _mm256_castsi256_ps(choose[0])),
                    _mm256_blendv_ps(lows[1], highs[1], _mm256_castsi256_ps(choose[1])),
                ]
            }
        }
        #[inline(always)]
        fn lookup32(table: &[Lanes<f32>; 2], index: [__m256i; 2]) -> [__m256; 2] {
            Self::lookup(table, index)
        }
        #[inline(always)]
        fn lookup64(table: &[Lanes<f32>; 4], index: [__m256i; 2]) -> [__m256; 2] {
            Self::lookup(table, index)
        }
        #[inline(always)]
        fn lookup(table: &[Lanes<f32>], index: [__m256i; 2]) -> [__m256; 2] {
            let mut indices = [0; 16];
            Self::store_ints(index, &mut indices);
            let mut values = [0.0; 16];
            for lane in 0..16 {
                values[lane] = table[indices[lane] as usize / 16][indices[lane] as usize % 16];
            }
            Self::floats(&values)
        }
        #[inline(always)]
        fn bits(bytes: &[u8; 64]) -> u64 {
            // SAFETY: AVX2 as said above; both loads stay within the 64 bytes.
            unsafe {
                // Bit 0 of each byte moves to its sign; what other bits move does not matter.
                let low = _mm256_slli_epi16::<7>(_mm256_loadu_si256(bytes.as_ptr().cast()));
                let high = _mm256_slli_epi16::<7>(_mm256_loadu_si256(bytes.as_ptr().add(32).cast()));
                u64::from(_mm256_movemask_epi8(low) as u32) | (u64::from(_mm256_movemask_epi8(high) as u32) << 32)
            }
        }
        #[inline(always)]
        fn upper_differ(a: &[u32; 8], b: &[u32; 8]) -> u8 {
            // SAFETY: AVX2 as said above; both loads stay within the eight elements.
            unsafe {
                let changed =
                    _mm256_xor_si256(_mm256_loadu_si256(a.as_ptr().cast()), _mm256_loadu_si256(b.as_ptr().cast()));
                let same = _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(changed), _mm256_setzero_si256());
                !_mm256_movemask_ps(_mm256_castsi256_ps(same)) as u8
            }
        }
        #[inline(always)]
        fn upper_bits(entries: &[u32]) -> [u64; 4] {
            let mut words = [0; 4];
            // SAFETY: AVX2 as said above; the store fills the four elements.
            unsafe {
                let (one, first) = (_mm256_set1_epi64x(1), _mm256_setr_epi64x(0, 64, 128, 192));
                let mut bits = _mm256_setzero_si256();
                for &entry in entries {
                    // A shift by less than 0 or more than 63 gives no bit at all.
                    let bin = _mm256_set1_epi64x(i64::from(entry >> 16));
                    bits = _mm256_or_si256(bits, _mm256_sllv_epi64(one, _mm256_sub_epi64(bin, first)));
                }
                _mm256_storeu_si256(words.as_mut_ptr().cast(), bits);
            }
            words
        }
        #[inline(always)]
        fn accumulate<const L: usize>(cell: &mut [i64; L], grad: &[i32; L]) {
            const { assert!(L.is_multiple_of(4)) };
            for l in (0..L).step_by(4) {
                // SAFETY: AVX2 as said above; l + 4 ≤ L, the length of both arrays.
                unsafe {
                    let sum: *mut __m256i = cell.as_mut_ptr().add(l).cast();
                    let grad = _mm256_cvtepi32_epi64(_mm_loadu_si128(grad.as_ptr().add(l).cast()));
                    _mm256_storeu_si256(sum, _mm256_add_epi64(_mm256_loadu_si256(sum), grad));
                }
            }
        }
        #[inline(always)]
        fn add_steps(sums: &mut [f64; 8], scores: &[f64; 8], bits: u8) {
            add_steps_portable(sums, scores, bits);
        }
        #[inline(always)]
        fn running_planes<const W: usize>(cells: &[i64], lanes: usize, run: &mut [i64; W]) -> [[f64; 8]; W] {
            if !W.is_multiple_of(4) {
                return running_planes_portable(cells, lanes, run);
            }
            assert!(cells.len() >= 7 * lanes + W, "eight cells of W lanes");
            let mut planes = [[0.0; 8]; W];
            let out = planes.as_mut_ptr().cast::<f64>();
            for w in (0..W).step_by(4) {
                let (from, run) = (cells.as_ptr(), run.as_mut_ptr());
                // SAFETY: AVX2 as said above. Cell j is read at j·lanes + w to j·lanes + w + 4 ≤ j·lanes + W, which the
                // assertion bounds for j ≤ 7; `run` has W elements and `planes` 8·W, of which those from 8·w on are
                // `transpose`'s.
                unsafe {
                    let magic = _mm256_set1_pd(MAGIC);
                    let mut sum = _mm256_loadu_si256(run.add(w).cast());
                    for half in 0..2 {
                        let mut rows = [magic; 4];
                        for j in 0..4 {
                            sum =
                                _mm256_add_epi64(sum, _mm256_loadu_si256(from.add((4 * half + j) * lanes + w).cast()));
                            // The conversion of `to_f64`.
                            let biased = _mm256_add_epi64(sum, _mm256_castpd_si256(magic));
                            rows[j] = _mm256_sub_pd(_mm256_castsi256_pd(biased), magic);
                        }
                        transpose(rows, out.add(8 * w + 4 * half));
                    }
                    _mm256_storeu_si256(run.add(w).cast(), sum);
                }
            }
            planes
        }
        #[inline(always)]
        fn running_rows<const W: usize>(rows: &[&[f64; W]; 8], run: &mut [f64; W]) -> [[f64; 8]; W] {
            const { assert!(W.is_multiple_of(4)) };
            let mut planes = [[0.0; 8]; W];
            let out = planes.as_mut_ptr().cast::<f64>();
            for w in (0..W).step_by(4) {
                // SAFETY: AVX2 as said above. Every row and `run` have W ≥ w + 4 elements, and `planes` 8·W, of which those
                // from 8·w on are `transpose`'s.
                unsafe {
                    let mut sum = _mm256_loadu_pd(run.as_ptr().add(w));
                    for half in 0..2 {
                        let mut sums = [sum; 4];
                        for j in 0..4 {
                            sum = _mm256_add_pd(sum, _mm256_loadu_pd(rows[4 * half + j].as_ptr().add(w)));
                            sums[j] = sum;
                        }
                        transpose(sums, out.add(8 * w + 4 * half));
                    }
                    _mm256_storeu_pd(run.as_mut_ptr().add(w), sum);
                }
            }
            planes
        }
    }

    /// Writes four rows of four lanes as columns, a column every eight elements.
    ///
    /// # Safety
    /// AVX2, and 28 elements from `out` on that may be written.
    #[inline(always)]
    unsafe fn transpose(rows: [__m256d; 4], out: *mut f64) {
        // SAFETY: as this function demands.
        unsafe {
            let even = (_mm256_unpacklo_pd(rows[0], rows[1]), _mm256_unpacklo_pd(rows[2], rows[3]));
            let odd = (_mm256_unpackhi_pd(rows[0], rows[1]), _mm256_unpackhi_pd(rows[2], rows[3]));
            _mm256_storeu_pd(out, _mm256_permute2f128_pd::<0x20>(even.0, even.1));
            _mm256_storeu_pd(out.add(8), _mm256_permute2f128_pd::<0x20>(odd.0, odd.1));
            _mm256_storeu_pd(out.add(16), _mm256_permute2f128_pd::<0x31>(even.0, even.1));
            _mm256_storeu_pd(out.add(24), _mm256_permute2f128_pd::<0x31>(odd.0, odd.1));
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{Avx2, Avx512, STEPS, Sides, Vector, running_planes_portable};
    use crate::data::Lanes;

    impl Vector for Avx512 {
        type Floats = __m512;
        type Ints = __m512i;
        type Mask = __mmask16;

        #[inline(always)]
        fn floats(x: &[f32; 16]) -> __m512 {
            // SAFETY: AVX-512 as said above; the load stays within the sixteen elements.
            unsafe { _mm512_loadu_ps(x.as_ptr()) }
        }
        #[inline(always)]
        fn store_floats(x: __m512, out: &mut [f32; 16]) {
            // SAFETY: AVX-512 as said above; the store stays within the sixteen elements.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), x) }
        }
        #[inline(always)]
        fn ask_row(row: &[Lanes<f32>; 2], features: &[u32; 16], thresholds: &[f32; 16]) -> u16 {
            // SAFETY: AVX-512 as said above.
            unsafe {
                let x = _mm512_permutex2var_ps(Self::floats(&row[0]), Self::ints(features), Self::floats(&row[1]));
                _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, Self::floats(thresholds))
            }
        }
        #[inline(always)]
        fn prefetch(address: *const u8) {
            // SAFETY: SSE, which every x86-64 has; a prefetch of an invalid address does nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
        }
        #[inline(always)]
        fn add(a: __m512, b: __m512) -> __m512 {
            // SAFETY: AVX-512 as said above.
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        fn ints(x: &[u32; 16]) -> __m512i {
            // SAFETY: AVX-512 as said above; the load stays within the sixteen elements.
            unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
        }
        #[inline(always)]
        fn store_ints(x: __m512i, out: &mut [u32; 16]) {
            // SAFETY: AVX-512 as said above; the store stays within the sixteen elements.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), x) }
        }
        #[inline(always)]
        fn greater(x: __m512, threshold: f32) -> __mmask16 {
            // SAFETY: AVX-512 as said above.
            unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, _mm512_set1_ps(threshold)) }
        }
        #[inline(always)]
        fn within(key: __m512i, low: u32, width: u32) -> __mmask16 {
            // SAFETY: AVX-512 as said above.
            unsafe {
                let distance = _mm512_sub_epi32(key, _mm512_set1_epi32(low as i32));
                _mm512_cmple_epu32_mask(distance, _mm512_set1_epi32(width as i32))
            }
        }
        #[inline(always)]
        fn and(a: __mmask16, b: __mmask16) -> __mmask16 {
            a & b
        }
        #[inline(always)]
        fn and_not(a: __mmask16, b: __mmask16) -> __mmask16 {
            a & !b
        }
        #[inline(always)]
        fn or(a: __mmask16, b: __mmask16) -> __mmask16 {
            a | b
        }
        #[inline(always)]
        fn set_bit(x: __m512i, bit: u32, mask: __mmask16) -> __m512i {
            // SAFETY: AVX-512 as said above.
            unsafe { _mm512_mask_or_epi32(x, mask, x, _mm512_set1_epi32(bit as i32)) }
        }
        #[inline(always)]
        fn lookup16(table: &[f32; 16], index: __m512i) -> __m512 {
            // SAFETY: AVX-512 as said above.
            unsafe { _mm512_permutexvar_ps(index, Self::floats(table)) }
        }
        #[inline(always)]
        fn lookup32(table: &[Lanes<f32>; 2], index: __m512i) -> __m512 {
            // SAFETY: AVX-512 as said above.
            unsafe { _mm512_permutex2var_ps(Self::floats(&table[0]), index, Self::floats(&table[1])) }
        }
        #[inline(always)]
        fn lookup64(table: &[Lanes<f32>; 4], index: __m512i) -> __m512 {
            // SAFETY: AVX-512 as said above.
            unsafe {
                let low = _mm512_permutex2var_ps(Self::floats(&table[0]), index, Self::floats(&table[1]));
                let high = _mm512_permutex2var_ps(Self::floats(&table[2]), index, Self::floats(&table[3]));
                let upper = _mm512_test_epi32_mask(index, _mm512_set1_epi32(32));
                _mm512_mask_blend_ps(upper, low, high)
            }
        }
        #[inline(always)]
        fn lookup(table: &[Lanes<f32>], index: __m512i) -> __m512 {
            let mut indices = [0; 16];
            Self::store_ints(index, &mut indices);
            let mut values = [0.0; 16];
            for lane in 0..16 {
                values[lane] = table[indices[lane] as usize / 16][indices[lane] as usize % 16];
            }
            Self::floats(&values)
        }
        #[inline(always)]
        fn bits(bytes: &[u8; 64]) -> u64 {
            // SAFETY: AVX-512 as said above; the load stays within the 64 bytes.
            unsafe {
                let bytes = _mm512_loadu_si512(bytes.as_ptr().cast());
                _mm512_test_epi8_mask(bytes, bytes)
            }
        }
        #[inline(always)]
        fn upper_differ(a: &[u32; 8], b: &[u32; 8]) -> u8 {
            // SAFETY: AVX-512 as said above; both loads stay within the eight elements.
            unsafe {
                let changed =
                    _mm256_xor_si256(_mm256_loadu_si256(a.as_ptr().cast()), _mm256_loadu_si256(b.as_ptr().cast()));
                _mm256_cmpgt_epu32_mask(changed, _mm256_set1_epi32(0xFFFF))
            }
        }
        #[inline(always)]
        fn upper_bits(entries: &[u32]) -> [u64; 4] {
            Avx2::upper_bits(entries)
        }
        #[inline(always)]
        fn compress(x: &[f64; 8], bits: u8, out: &mut [f64; 8]) {
            // SAFETY: AVX-512 as said above; load and store stay within the eight elements.
            unsafe {
                let picked = _mm512_maskz_compress_pd(bits, _mm512_loadu_pd(x.as_ptr()));
                _mm512_storeu_pd(out.as_mut_ptr(), picked);
            }
        }
        #[inline(always)]
        fn part(entries: &[u32; 16], side: &Sides, left: &mut [u32; 16], right: &mut [u32; 16]) -> usize {
            // SAFETY: AVX-512 as said above; loads and stores stay within the arrays.
            unsafe {
                let entries = Self::ints(entries);
                let (low, high) =
                    (_mm512_loadu_si512(side.as_ptr().cast()), _mm512_loadu_si512(side.as_ptr().add(16).cast()));
                let words = _mm512_permutex2var_epi32(low, _mm512_srli_epi32::<5>(entries), high);
                let bit = _mm512_sllv_epi32(_mm512_set1_epi32(1), _mm512_and_si512(entries, _mm512_set1_epi32(31)));
                let goes_right = _mm512_test_epi32_mask(words, bit);
                Self::store_ints(_mm512_maskz_compress_epi32(!goes_right, entries), left);
                Self::store_ints(_mm512_maskz_compress_epi32(goes_right, entries), right);
                goes_right.count_ones() as usize
            }
        }
        #[inline(always)]
        fn accumulate<const L: usize>(cell: &mut [i64; L], grad: &[i32; L]) {
            const { assert!(L == 4 || L.is_multiple_of(8)) };
            if L == 4 {
                // SAFETY: AVX-512 as said above; both arrays have four elements.
                unsafe {
                    let l = 0;
                    let sum: *mut __m256i = cell.as_mut_ptr().add(l).cast();
                    let grad = _mm256_cvtepi32_epi64(_mm_loadu_si128(grad.as_ptr().add(l).cast()));
                    _mm256_storeu_si256(sum, _mm256_add_epi64(_mm256_loadu_si256(sum), grad));
                }
                return;
            }
            for l in (0..L).step_by(8) {
                // SAFETY: AVX-512 as said above; l + 8 ≤ L, the length of both arrays.
                unsafe {
                    let sum: *mut __m512i = cell.as_mut_ptr().add(l).cast();
                    let grad = _mm512_cvtepi32_epi64(_mm256_loadu_si256(grad.as_ptr().add(l).cast()));
                    _mm512_storeu_si512(sum.cast(), _mm512_add_epi64(_mm512_loadu_si512(sum.cast()), grad));
                }
            }
        }
        #[inline(always)]
        fn add_steps(sums: &mut [f64; 8], scores: &[f64; 8], bits: u8) {
            // SAFETY: AVX-512 as said above; loads and the store stay within the arrays.
            unsafe {
                let steps = _mm512_cvtepu8_epi64(_mm_cvtsi64_si128(STEPS[usize::from(bits)] as i64));
                let scores = _mm512_permutexvar_pd(steps, _mm512_loadu_pd(scores.as_ptr()));
                _mm512_storeu_pd(sums.as_mut_ptr(), _mm512_add_pd(_mm512_loadu_pd(sums.as_ptr()), scores));
            }
        }
        #[inline(always)]
        fn running_planes<const W: usize>(cells: &[i64], lanes: usize, run: &mut [i64; W]) -> [[f64; 8]; W] {
            if W != 4 && W != 8 {
                return running_planes_portable(cells, lanes, run);
            }
            assert!(cells.len() >= 7 * lanes + W, "eight cells of W lanes");
            let mut planes = [[0.0; 8]; W];
            let out = planes.as_mut_ptr().cast::<f64>();
            let (from, run) = (cells.as_ptr(), run.as_mut_ptr());
            match W {
                // SAFETY: AVX-512 as said above. Cell j is read at j·lanes to j·lanes + W, which the assertion bounds for
                // j ≤ 7; `run` has W elements and `planes` 8·W.
                8 => unsafe {
                    let mut sum = _mm512_loadu_si512(run.cast());
                    let mut rows = [_mm512_setzero_pd(); 8];
                    for j in 0..8 {
                        sum = _mm512_add_epi64(sum, _mm512_loadu_si512(from.add(j * lanes).cast()));
                        rows[j] = _mm512_cvtepi64_pd(sum);
                    }
                    _mm512_storeu_si512(run.cast(), sum);
                    transpose8(rows, out);
                },
                // SAFETY: as above.
                _ => unsafe {
                    let mut sum = _mm256_loadu_si256(run.cast());
                    let mut rows = [_mm256_setzero_si256(); 8];
                    for j in 0..8 {
                        sum = _mm256_add_epi64(sum, _mm256_loadu_si256(from.add(j * lanes).cast()));
                        rows[j] = sum;
                    }
                    _mm256_storeu_si256(run.cast(), sum);
                    let mut pairs = [_mm512_setzero_pd(); 4];
                    for j in 0..4 {
                        let pair = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(rows[j]), rows[j + 4]);
                        pairs[j] = _mm512_cvtepi64_pd(pair);
                    }
                    transpose4(pairs, out);
                },
            }
            planes
        }
        #[inline(always)]
        fn running_rows<const W: usize>(rows: &[&[f64; W]; 8], run: &mut [f64; W]) -> [[f64; 8]; W] {
            const { assert!(W == 4 || W == 8) };
            let mut planes = [[0.0; 8]; W];
            let out = planes.as_mut_ptr().cast::<f64>();
            let run = run.as_mut_ptr();
            match W {
                // SAFETY: AVX-512 as said above. Every row and `run` have W elements and `planes` 8·W.
                8 => unsafe {
                    let mut sum = _mm512_loadu_pd(run);
                    let mut sums = [sum; 8];
                    for j in 0..8 {
                        sum = _mm512_add_pd(sum, _mm512_loadu_pd(rows[j].as_ptr()));
                        sums[j] = sum;
                    }
                    _mm512_storeu_pd(run, sum);
                    transpose8(sums, out);
                },
                // SAFETY: as above.
                _ => unsafe {
                    // Rows j and j + 4 side by side. Sums are exact, so they may be grouped as is quickest.
                    let mut pairs = [_mm512_setzero_pd(); 4];
                    for j in 0..4 {
                        let (low, high) = (_mm256_loadu_pd(rows[j].as_ptr()), _mm256_loadu_pd(rows[j + 4].as_ptr()));
                        pairs[j] = _mm512_insertf64x4::<1>(_mm512_castpd256_pd512(low), high);
                        if j > 0 {
                            pairs[j] = _mm512_add_pd(pairs[j - 1], pairs[j]);
                        }
                    }
                    let before = _mm256_loadu_pd(run);
                    let half = _mm256_add_pd(before, _mm512_castpd512_pd256(pairs[3]));
                    _mm256_storeu_pd(run, _mm256_add_pd(half, _mm512_extractf64x4_pd::<1>(pairs[3])));
                    let before = _mm512_insertf64x4::<1>(_mm512_castpd256_pd512(before), half);
                    for pair in &mut pairs {
                        *pair = _mm512_add_pd(before, *pair);
                    }
                    transpose4(pairs, out);
                },
            }
            planes
        }
    }

    /// Writes eight rows of eight lanes as columns, one behind the other.
    ///
    /// # Safety
    /// AVX-512, and 64 elements from `out` on that may be written.
    #[inline(always)]
    unsafe fn transpose8(rows: [__m512d; 8], out: *mut f64) {
        // SAFETY: as this function demands.
        unsafe {
            for odd in 0..2 {
                let pair = if odd == 0 {
                    [
                        _mm512_unpacklo_pd(rows[0], rows[1]),
                        _mm512_unpacklo_pd(rows[2], rows[3]),
                        _mm512_unpacklo_pd(rows[4], rows[5]),
                        _mm512_unpacklo_pd(rows[6], rows[7]),
                    ]
                } else {
                    [
                        _mm512_unpackhi_pd(rows[0], rows[1]),
                        _mm512_unpackhi_pd(rows[2], rows[3]),
                        _mm512_unpackhi_pd(rows[4], rows[5]),
                        _mm512_unpackhi_pd(rows[6], rows[7]),
                    ]
                };
                // What remains is a 4 × 4 transposition of 128-bit pairs.
                let (a, b) =
                    (_mm512_shuffle_f64x2::<0x88>(pair[0], pair[1]), _mm512_shuffle_f64x2::<0xDD>(pair[0], pair[1]));
                let (c, d) =
                    (_mm512_shuffle_f64x2::<0x88>(pair[2], pair[3]), _mm512_shuffle_f64x2::<0xDD>(pair[2], pair[3]));
                _mm512_storeu_pd(out.add(8 * odd), _mm512_shuffle_f64x2::<0x88>(a, c));
                _mm512_storeu_pd(out.add(8 * (2 + odd)), _mm512_shuffle_f64x2::<0x88>(b, d));
                _mm512_storeu_pd(out.add(8 * (4 + odd)), _mm512_shuffle_f64x2::<0xDD>(a, c));
                _mm512_storeu_pd(out.add(8 * (6 + odd)), _mm512_shuffle_f64x2::<0xDD>(b, d));
            }
        }
    }

    /// Writes eight rows of four lanes, j and j + 4 side by side, as columns, one behind the other.
    ///
    /// # Safety
    /// AVX-512, and 32 elements from `out` on that may be written.
    #[inline(always)]
    unsafe fn transpose4(pairs: [__m512d; 4], out: *mut f64) {
        // SAFETY: as this function demands.
        unsafe {
            let even = (_mm512_unpacklo_pd(pairs[0], pairs[1]), _mm512_unpacklo_pd(pairs[2], pairs[3]));
            let odd = (_mm512_unpackhi_pd(pairs[0], pairs[1]), _mm512_unpackhi_pd(pairs[2], pairs[3]));
            let first = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
            let second = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
            _mm512_storeu_pd(out, _mm512_permutex2var_pd(even.0, first, even.1));
            _mm512_storeu_pd(out.add(8), _mm512_permutex2var_pd(odd.0, first, odd.1));
            _mm512_storeu_pd(out.add(16), _mm512_permutex2var_pd(even.0, second, even.1));
            _mm512_storeu_pd(out.add(24), _mm512_permutex2var_pd(odd.0, second, odd.1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_bits() {
        let bytes: [u8; 64] = std::array::from_fn(|i| u8::from(i % 3 == 0 || i == 62));
        let expected = (0..64).fold(0, |word, i| word | u64::from(bytes[i]) << i);
        assert_eq!(bits_portable(&bytes), expected);
    }

    #[test]
    fn the_magic_conversion_is_exact() {
        for x in [0, 1, -1, 12_345_678_901, (1 << 51) - 1, -(1 << 51) + 1] {
            assert_eq!(to_f64(x), x as f64);
        }
    }
}
