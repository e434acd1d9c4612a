// Gradients as integers; twin of tree/quantise.rs and backend/cpu/gradients.rs.

// Rows whose numbers are added up by themselves, in order; twin of quantise::CHUNK.
#define CHUNK 256

// Numbers row-major, some columns of which are meant, and what is done to them first: standardised where `moments` are
// there, [mean of each][deviation of each] (0 where the deviation is), times the row's weight where `weights` is.
struct Numbers {
    const float *values;
    const double *moments;
    const float *weights;
    u32 n_rows;
    u32 stride;
    u32 first;
    u32 n_columns;
};

__device__ __forceinline__ double number(const Numbers &numbers, u64 row, u32 column, u32 is_standard) {
    double x = (double)numbers.values[row * numbers.stride + numbers.first + column];
    if (is_standard) {
        double mean = numbers.moments[column], deviation = numbers.moments[numbers.n_columns + column];
        x = deviation > 0.0 ? divide(subtracted(x, mean), deviation) : 0.0;
    }
    return numbers.weights ? mul(x, (double)numbers.weights[row]) : x;
}

// What a block is about: columns as they are, then, where wanted, standardised, then the weights.
__device__ __forceinline__ double number_of_slot(const Numbers &numbers, u64 row, u32 slot) {
    u32 n = numbers.n_columns;
    if (slot == 2 * n) return (double)numbers.weights[row];
    return number(numbers, row, slot % n, slot >= n);
}

// The largest magnitude of slots first_slot + blockIdx.x, of which there are 2 n_columns + 1, as bits: those of NaN and
// infinity are above all others. With `and_weights` the grid's last slot is that of the weights.
extern "C" __global__ void largest(Numbers numbers, u32 first_slot, u32 and_weights, u64 *out) {
    __shared__ u64 found[THREADS];
    u32 slot = and_weights && blockIdx.x + 1 == gridDim.x ? 2 * numbers.n_columns : first_slot + blockIdx.x;
    u64 most = 0;
    for (u64 row = (u64)blockIdx.y * THREADS + threadIdx.x; row < numbers.n_rows; row += (u64)gridDim.y * THREADS) {
        u64 bits = bits_of(number_of_slot(numbers, row, slot)) & 0x7FFFFFFFFFFFFFFFull;
        most = bits > most ? bits : most;
    }
    found[threadIdx.x] = most;
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half && found[threadIdx.x + half] > found[threadIdx.x]) {
            found[threadIdx.x] = found[threadIdx.x + half];
        }
    }
    if (threadIdx.x == 0) raise(&out[slot], found[0]);
}

// Means of the columns into moments, or with `squares` the deviations from them behind these. A thread has a chunk of a
// column, and the last block adds the chunks up in order. Weights count for nothing here.
extern "C" __global__ void sum_chunks(Numbers numbers, u32 squares, i64 *parts, double *moments, u32 *arrived) {
    u32 n = numbers.n_columns;
    u64 n_chunks = ((u64)numbers.n_rows + CHUNK - 1) / CHUNK, i = (u64)blockIdx.x * THREADS + threadIdx.x;
    if (i < n_chunks * n) {
        u32 column = (u32)(i % n);
        u64 first = i / n * CHUNK, end = first + CHUNK < numbers.n_rows ? first + CHUNK : numbers.n_rows;
        double mean = squares ? moments[column] : 0.0, sum = 0.0;
        for (u64 row = first; row < end; row++) {
            double x = (double)numbers.values[row * numbers.stride + numbers.first + column];
            double deviation = subtracted(x, mean);
            sum = add(sum, squares ? mul(deviation, deviation) : x);
        }
        parts[i] = (i64)bits_of(sum);
    }
    if (!is_last(arrived, gridDim.x)) return;
    for (u32 column = threadIdx.x; column < n; column += THREADS) {
        double total = 0.0;
        for (u64 chunk = 0; chunk < n_chunks; chunk++) total = add(total, of_bits((u64)fresh(&parts[chunk * n + column])));
        double mean = divide(total, to_f64(numbers.n_rows));
        moments[squares * n + column] = squares ? root(mean) : mean;
    }
}

// Twin of quantise::scale: what a number is multiplied by to have `bits` bits, and what its integers are multiplied by.
__device__ __forceinline__ double scale_of(u64 largest, i32 bits, double *unit) {
    i32 exponent = (i32)((largest >> 52) & 0x7FF) - 1023, shift = bits - (exponent + 1);
    // Whatever is not finite is refused by whoever looks at the largest magnitudes; its integers mean nothing.
    if (largest == 0 || exponent == 1024) return *unit = 0.0;
    *unit = power_of_two(-shift);
    return power_of_two(shift);
}

// What quantise writes: integers [row][column] of the leaves and, where they have their own, of the scores, and the rows'
// weights; units, of scores, of weights, of leaves; the sums of node 0, which all rows are in.
struct Quantised {
    i32 *leaf_ints;
    i32 *score_ints;
    i32 *weight_ints;
    u32 *node_of;
    double *units;
    i64 *sums;
    i32 bits;
    u32 two_kinds;
};

// The nearest integer to number · scale, ties to even, of slot blockIdx.x, as in `largest`: the low bits of a sum with
// 1.5 · 2^52 are it. `raw` are the largest magnitudes of the columns as they are, `others` of all slots.
extern "C" __global__ void quantise(Numbers numbers, const u64 *raw, const u64 *others, Quantised out) {
    __shared__ i64 total[THREADS];
    u32 n = numbers.n_columns, weighted = numbers.weights != 0, lanes = 1 + weighted + n;
    u32 slot = weighted && blockIdx.x + 1 == gridDim.x ? 2 * n : blockIdx.x;
    double unit, scale = scale_of(slot < n ? raw[slot] : others[slot], out.bits, &unit);
    i32 *ints = slot == 2 * n ? out.weight_ints : slot >= n ? out.score_ints : out.leaf_ints;
    u32 width = slot == 2 * n ? 1 : n, column = slot == 2 * n ? 0 : slot % n;
    i64 sum = 0;
    for (u64 row = (u64)blockIdx.y * THREADS + threadIdx.x; row < numbers.n_rows; row += (u64)gridDim.y * THREADS) {
        i32 q = (i32)(u32)bits_of(add(mul(number_of_slot(numbers, row, slot), scale), 6755399441055744.0));
        ints[row * width + column] = q;
        sum += q;
        if (slot == 0) out.node_of[row] = 0;
    }
    total[threadIdx.x] = sum;
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) total[threadIdx.x] += total[threadIdx.x + half];
    }
    if (threadIdx.x > 0) return;
    u32 is_score = slot < n ? !out.two_kinds : slot < 2 * n, is_leaf = slot < n;
    if (slot == 2 * n) {
        add_to(&out.sums[1], total[0]);
        if (out.two_kinds) add_to(&out.sums[lanes + 1], total[0]);
    } else {
        i64 *record = out.sums + (is_score ? 0 : lanes);
        add_to(&record[1 + weighted + column], total[0]);
    }
    if (blockIdx.y > 0) return;
    if (slot == 2 * n) out.units[n] = unit;
    if (is_score && slot < 2 * n) out.units[column] = unit;
    if (is_leaf) out.units[n + 1 + column] = unit;
    if (slot == 0) {
        out.sums[0] = numbers.n_rows;
        if (out.two_kinds) out.sums[lanes] = numbers.n_rows;
        if (!weighted) out.units[n] = 1.0;
    }
}
