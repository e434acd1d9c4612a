// Gradients as integers; twin of tree/quantise.rs and backend/cpu/gradients.rs.

// Numbers row-major, some columns of which are meant, and what is done to them first: standardised where `means` is
// there (0 where the deviation is), times the row's weight where `weights` is.
struct Numbers {
    const float *values;
    u32 n_rows;
    u32 stride;
    u32 first;
    u32 n_columns;
    const double *means;
    const double *deviations;
    const float *weights;
};

__device__ __forceinline__ double number(const Numbers &numbers, u64 row, u32 column) {
    double x = (double)numbers.values[row * numbers.stride + numbers.first + column];
    if (numbers.means) {
        double deviation = numbers.deviations[column];
        x = deviation > 0.0 ? divide(add(x, -numbers.means[column]), deviation) : 0.0;
    }
    return numbers.weights ? mul(x, (double)numbers.weights[row]) : x;
}

// The largest magnitude of each column, blockIdx.x, as bits: those of NaN and infinity are above all others.
extern "C" __global__ void largest(Numbers numbers, u64 *out) {
    __shared__ u64 found[THREADS];
    u64 most = 0;
    for (u64 row = (u64)blockIdx.y * THREADS + threadIdx.x; row < numbers.n_rows; row += (u64)gridDim.y * THREADS) {
        u64 bits = bits_of(number(numbers, row, blockIdx.x)) & 0x7FFFFFFFFFFFFFFFull;
        most = bits > most ? bits : most;
    }
    found[threadIdx.x] = most;
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half && found[threadIdx.x + half] > found[threadIdx.x]) {
            found[threadIdx.x] = found[threadIdx.x + half];
        }
    }
    if (threadIdx.x == 0) raise(&out[blockIdx.x], found[0]);
}

// ints[row][column]: the nearest integer to number · scale, ties to even. The low bits of a sum with 1.5 · 2^52 are it.
extern "C" __global__ void quantise(Numbers numbers, const double *scales, i32 *ints) {
    u64 n = (u64)numbers.n_rows * numbers.n_columns;
    for (u64 i = (u64)blockIdx.x * THREADS + threadIdx.x; i < n; i += (u64)gridDim.x * THREADS) {
        u32 column = (u32)(i % numbers.n_columns);
        double x = number(numbers, i / numbers.n_columns, column);
        ints[i] = (i32)(u32)bits_of(add(mul(x, scales[column]), 6755399441055744.0));
    }
}
