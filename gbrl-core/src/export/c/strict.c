#ifdef __FAST_MATH__
#error "compile this file without -ffast-math: sums must be added in their order"
#endif
