//! The hyperbolic tangent of squashed actions, from plain IEEE operations; the library has its own from here.

const LN2_HI: f64 = f64::from_bits(0x3FE6_2E42_FEE0_0000); // ln 2, upper 32 bits of the mantissa
const LN2_LO: f64 = f64::from_bits(0x3DEA_39EF_3579_3C76); // ln 2 − LN2_HI

/// (y, k) with eˣ = y·2ᵏ, for |x| up to 746.
///
/// x = k·ln 2 + r with |r| ≤ ½ ln 2, then the Taylor polynomial of eʳ to r¹³ (remainder below 2⁻⁵⁷).
#[inline]
pub fn exp_reduced(x: f64) -> (f64, i32) {
    let k = (x * core::f64::consts::LOG2_E + if x < 0.0 { -0.5 } else { 0.5 }) as i32;
    let kf = f64::from(k);
    let hi = x - kf * LN2_HI;
    let lo = kf * LN2_LO;
    let r = hi - lo;
    // eʳ = 1 + r + r²·p(r); 1 + (hi − (lo − r²p)) keeps the rounding error of r out of the sum.
    let mut p = 1.0 / 6_227_020_800.0;
    p = p * r + 1.0 / 479_001_600.0;
    p = p * r + 1.0 / 39_916_800.0;
    p = p * r + 1.0 / 3_628_800.0;
    p = p * r + 1.0 / 362_880.0;
    p = p * r + 1.0 / 40_320.0;
    p = p * r + 1.0 / 5_040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    (1.0 + (hi - (lo - r * r * p)), k)
}

/// Hyperbolic tangent; relative error below 2⁻⁴⁰ everywhere, which is 1 ulp once rounded to f32.
///
/// ```
/// assert_eq!(gbrl_edge::tanh(0.0), 0.0);
/// ```
pub fn tanh(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let a = x.abs();
    let t = if a > 20.0 {
        1.0
    } else if a < 1e-3 {
        let z = a * a;
        a * (1.0 - z * (1.0 / 3.0 - z * (2.0 / 15.0)))
    } else {
        let (y, k) = exp_reduced(2.0 * a);
        1.0 - 2.0 / (y * f64::from_bits(((1023 + k) as u64) << 52) + 1.0)
    };
    if x < 0.0 { -t } else { t }
}
