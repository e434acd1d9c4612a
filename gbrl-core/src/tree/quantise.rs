//! Gradients as integers, so that their sums do not depend on the order of addition.
//!
//! Every output is scaled by its own power of two to at most min(30, 50 − ⌈log₂ n⌉) bits and rounded to the nearest
//! integer, ties to even. A sum over n rows then stays below 2⁵¹ in magnitude: it is exact in i64, and its conversion
//! to f64 is exact too.

/// What turns integers back into numbers: gradient = integer · `unit`, per output; likewise for weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scales {
    /// The power of two of each output.
    pub units: Vec<f64>,
    /// The power of two of row weights; 1 where rows are not weighted.
    pub weight_unit: f64,
}

/// 1.5·2⁵²: adding and subtracting it rounds a number below 2⁵¹ to the nearest integer, ties to even.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// Bits of a quantised value when up to `n_rows` of them are added: min(30, 50 − ⌈log₂ n⌉), at least 1.
pub fn bits(n_rows: usize) -> i32 {
    let log2 = n_rows.max(1).next_power_of_two().trailing_zeros() as i32;
    (50 - log2).clamp(1, 30)
}

/// The power of two s such that |x|·s < 2^bits for every |x| ≤ `largest`, and its inverse. (0, 0) for `largest` = 0.
pub fn scale(largest: f64, bits: i32) -> (f64, f64) {
    if largest == 0.0 {
        return (0.0, 0.0);
    }
    // Gradients are f32 (times an f32 weight), so their exponents are far from f64's limits.
    let exponent = ((largest.to_bits() >> 52) & 0x7FF) as i32 - 1023;
    let shift = bits - (exponent + 1);
    (power_of_two(shift), power_of_two(-shift))
}

/// The nearest integer to x·scale, ties to even; the product is exact because `scale` is a power of two.
#[inline(always)]
pub fn quantise(x: f64, scale: f64) -> i32 {
    // The sum's low 32 mantissa bits are the integer in two's complement: one add instead of a conversion.
    (x * scale + ROUNDER).to_bits() as u32 as i32
}

fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// Rows whose numbers are added up by themselves, one after the other, where a mean or a variance is wanted; the sums of
/// such chunks are added in order. So chunks can be summed side by side, with the same bytes everywhere.
pub const CHUNK: usize = 256;

/// Mean and population standard deviation of one column of a row-major matrix, as f64 sums over rows in chunks of
/// [`CHUNK`].
pub fn moments(values: impl Iterator<Item = f32> + Clone) -> (f64, f64) {
    let sum = |term: &dyn Fn(f64) -> f64| {
        let (mut total, mut part, mut n) = (0.0, 0.0, 0);
        for x in values.clone() {
            part += term(f64::from(x));
            n += 1;
            if n % CHUNK == 0 {
                total += part;
                part = 0.0;
            }
        }
        (total + part, n as f64)
    };
    let (total, n) = sum(&|x| x);
    if n == 0.0 {
        return (0.0, 0.0);
    }
    let mean = total / n;
    let (squares, _) = sum(&|x| (x - mean) * (x - mean));
    (mean, (squares / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_largest_value_fits_and_is_not_wasted(x in prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL, n in 1usize..1 << 26) {
            let x = f64::from(x.abs());
            let bits = bits(n);
            let (s, unit) = scale(x, bits);
            let q = f64::from(quantise(x, s));
            prop_assert!(q <= f64::from(bits).exp2() && q >= f64::from(bits - 1).exp2());
            prop_assert!((q * unit - x).abs() <= 0.5 * unit);
            prop_assert!((q * n as f64) <= 50f64.exp2());
            prop_assert_eq!(quantise(-x, s), -quantise(x, s));
        }
    }

    #[test]
    fn ties_go_to_even() {
        assert_eq!([0.5, 1.5, 2.5, -0.5, -1.5].map(|x| quantise(x, 1.0)), [0, 2, 2, 0, -2]);
    }

    #[test]
    fn zero_stays_zero() {
        assert_eq!(quantise(0.0, scale(0.0, 30).0), 0);
    }
}
