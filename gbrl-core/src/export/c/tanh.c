#if DBL_MANT_DIG != 53
#error "double must be the 64-bit number of IEEE 754"
#endif

/* e to the x for 0 <= x <= 40, operation by operation as the library has it: range reduction and a polynomial. */
static double pol_exp(double x)
{
    const int32_t k = (int32_t)((x * 1.4426950408889634) + 0.5);
    const double hi = x - ((double)k * 6.93147180369123816490e-01);
    const double lo = (double)k * 1.90821492927058770002e-10;
    const double r = hi - lo;
    double p = 1.0 / 6227020800.0;
    double y;
    int32_t i;

    p = (p * r) + (1.0 / 479001600.0);
    p = (p * r) + (1.0 / 39916800.0);
    p = (p * r) + (1.0 / 3628800.0);
    p = (p * r) + (1.0 / 362880.0);
    p = (p * r) + (1.0 / 40320.0);
    p = (p * r) + (1.0 / 5040.0);
    p = (p * r) + (1.0 / 720.0);
    p = (p * r) + (1.0 / 120.0);
    p = (p * r) + (1.0 / 24.0);
    p = (p * r) + (1.0 / 6.0);
    p = (p * r) + 0.5;
    y = 1.0 + (hi - (lo - ((r * r) * p)));
    for (i = 0; i < k; i++) {
        y *= 2.0; /* exact */
    }
    return y;
}

static double pol_tanh(double x)
{
    const double a = (x < 0.0) ? -x : x;
    double t;

    if (!(a <= 20.0)) {
        t = 1.0;
    } else if (a < 1e-3) {
        const double z = a * a;

        t = a * (1.0 - (z * ((1.0 / 3.0) - (z * (2.0 / 15.0)))));
    } else {
        t = 1.0 - (2.0 / (pol_exp(2.0 * a) + 1.0));
    }
    return (x < 0.0) ? -t : t;
}
