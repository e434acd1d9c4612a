// exp, ln and tanh; twin of math.rs, line by line, so that both give the same bits.

#define LN2_HI of_bits(0x3FE62E42FEE00000ull)
#define LN2_LO of_bits(0x3DEA39EF35793C76ull)
#define LOG2_E of_bits(0x3FF71547652B82FEull)
#define LN_2 of_bits(0x3FE62E42FEFA39EFull)
#define SQRT_2 of_bits(0x3FF6A09E667F3BCDull)
#define INFINITE of_bits(0x7FF0000000000000ull)

__device__ __forceinline__ double subtracted(double a, double b) { return add(a, -b); }
__device__ __forceinline__ double magnitude(double a) { return of_bits(bits_of(a) & 0x7FFFFFFFFFFFFFFFull); }
__device__ __forceinline__ double clamped(double a, double low, double high) {
    return a < low ? low : a > high ? high : a;
}
__device__ __forceinline__ double power_of_two(i32 e) { return of_bits((u64)(1023 + e) << 52); }

__device__ __forceinline__ double scaled(double y, i32 k) {
    if (k > 1023) return mul(mul(y, power_of_two(1023)), power_of_two(k - 1023));
    if (k >= -1021) return mul(y, power_of_two(k));
    return mul(mul(y, power_of_two(k + 60)), power_of_two(-60));
}

__device__ double exponential(double x) {
    if (x != x) return x;
    if (x > 709.782712893384) return INFINITE;
    if (x < -745.1332191019412) return 0.0;
    i32 k = (i32)add(mul(x, LOG2_E), x < 0.0 ? -0.5 : 0.5);
    double kf = to_f64(k);
    double hi = subtracted(x, mul(kf, LN2_HI));
    double lo = mul(kf, LN2_LO);
    double r = subtracted(hi, lo);
    double p = 1.0 / 6227020800.0;
    p = add(mul(p, r), 1.0 / 479001600.0);
    p = add(mul(p, r), 1.0 / 39916800.0);
    p = add(mul(p, r), 1.0 / 3628800.0);
    p = add(mul(p, r), 1.0 / 362880.0);
    p = add(mul(p, r), 1.0 / 40320.0);
    p = add(mul(p, r), 1.0 / 5040.0);
    p = add(mul(p, r), 1.0 / 720.0);
    p = add(mul(p, r), 1.0 / 120.0);
    p = add(mul(p, r), 1.0 / 24.0);
    p = add(mul(p, r), 1.0 / 6.0);
    p = add(mul(p, r), 0.5);
    double y = add(1.0, subtracted(hi, subtracted(lo, mul(mul(r, r), p))));
    return scaled(y, k);
}

__device__ double logarithm(double x) {
    if (x != x || x < 0.0) return of_bits(0x7FF8000000000000ull);
    if (x == 0.0) return -INFINITE;
    if (x == INFINITE) return x;
    i32 bias = 0;
    if (x < of_bits(0x0010000000000000ull)) {
        x = mul(x, power_of_two(54));
        bias = 54;
    }
    u64 bits = bits_of(x);
    i32 k = (i32)(bits >> 52) - 1023 - bias;
    double m = of_bits((bits & 0x000FFFFFFFFFFFFFull) | (1023ull << 52));
    if (m > SQRT_2) {
        m = mul(m, 0.5);
        k += 1;
    }
    double f = subtracted(m, 1.0);
    double s = divide(f, add(2.0, f));
    double z = mul(s, s);
    double p = 2.0 / 23.0;
    p = add(mul(p, z), 2.0 / 21.0);
    p = add(mul(p, z), 2.0 / 19.0);
    p = add(mul(p, z), 2.0 / 17.0);
    p = add(mul(p, z), 2.0 / 15.0);
    p = add(mul(p, z), 2.0 / 13.0);
    p = add(mul(p, z), 2.0 / 11.0);
    p = add(mul(p, z), 2.0 / 9.0);
    p = add(mul(p, z), 2.0 / 7.0);
    p = add(mul(p, z), 2.0 / 5.0);
    p = add(mul(p, z), 2.0 / 3.0);
    double r = mul(p, z);
    double half = mul(mul(0.5, f), f);
    double kf = to_f64(k);
    double small = add(mul(s, add(half, r)), mul(kf, LN2_LO));
    return subtracted(mul(kf, LN2_HI), subtracted(subtracted(half, small), f));
}

__device__ double tangent(double x) {
    if (x != x) return x;
    double a = magnitude(x), t;
    if (a > 20.0) {
        t = 1.0;
    } else if (a < 1e-3) {
        double z = mul(a, a);
        t = mul(a, subtracted(1.0, mul(z, subtracted(1.0 / 3.0, mul(z, 2.0 / 15.0)))));
    } else {
        t = subtracted(1.0, divide(2.0, add(exponential(mul(2.0, a)), 1.0)));
    }
    return x < 0.0 ? -t : t;
}
