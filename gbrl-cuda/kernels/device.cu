// What every kernel is written in: names for the exact operations, and nothing else. The stand-in (standin/device.h)
// gives the same names another meaning; no other file tells the two apart.
//
// Sums are of integers, so the order of threads cannot matter. Scores are f64 and go through the names below, which
// round once each and are never contracted, so that they are the CPU's to the bit.
#ifndef GBRL_STANDIN

typedef signed char i8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

__device__ __forceinline__ double add(double a, double b) { return __dadd_rn(a, b); }
__device__ __forceinline__ double mul(double a, double b) { return __dmul_rn(a, b); }
__device__ __forceinline__ double divide(double a, double b) { return __ddiv_rn(a, b); }
__device__ __forceinline__ double root(double a) { return __dsqrt_rn(a); }
__device__ __forceinline__ double to_f64(i64 a) { return __ll2double_rn(a); }
__device__ __forceinline__ float add_f32(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ u32 bits_of_f32(float a) { return __float_as_uint(a); }
__device__ __forceinline__ float to_f32(double a) { return __double2float_rn(a); }
__device__ __forceinline__ u64 bits_of(double a) { return (u64)__double_as_longlong(a); }
__device__ __forceinline__ double of_bits(u64 a) { return __longlong_as_double((i64)a); }
// The value of the lane `by` places to the left in the warp; whole warps call it together.
__device__ __forceinline__ i64 from_left(i64 a, u32 by) { return __shfl_up_sync(0xFFFFFFFFu, a, by); }
__device__ __forceinline__ i64 from_lane(i64 a, u32 lane) { return __shfl_sync(0xFFFFFFFFu, a, lane); }
__device__ __forceinline__ void add_to(i64 *to, i64 a) { atomicAdd((u64 *)to, (u64)a); }
__device__ __forceinline__ void raise(u64 *to, u64 a) { atomicMax(to, a); }
// Adds to a number and says what it was.
__device__ __forceinline__ u32 add_u32(u32 *to, u32 a) { return atomicAdd(to, a); }
// What this thread wrote comes before what it writes next, for every block.
__device__ __forceinline__ void fence() { __threadfence(); }
// Reads what another block wrote in this launch.
__device__ __forceinline__ i64 fresh(const i64 *at) { return *(const volatile i64 *)at; }

#endif

// Threads of a block, everywhere.
#define THREADS 256
#define WARP 32

// One feature's bins; twin of data::FeatureBins.
struct Feature {
    // Where its cells start in a slot.
    u32 first_bin;
    u32 n_bins;
    // Candidate bins: edges, or categories.
    u32 n_values;
    u32 categorical;
    // The bin of missing values, or n_bins where there is none.
    u32 missing;
    // Whether bins have two bytes.
    u32 wide;
    // Where its bins start, in bytes.
    u64 first_byte;
    // Factor on scores; 0 takes the feature out.
    double weight;
};

// A candidate with its score; twin of tree::Scored.
struct Best {
    double score;
    u32 feature;
    u32 bin;
    u32 missing_right;
    u32 found;
};

// A tree that grows; what stays the same from level to level.
struct Step {
    const u8 *bins;
    const Feature *features;
    // The step's rows as rows of the bins, and the node that each is in.
    const u32 *rows;
    u32 *node_of;
    // Gradients [n_rows][n_outputs], those for scores and those for leaves, and weights, all as integers.
    const i32 *score_ints;
    const i32 *leaf_ints;
    const i32 *weight_ints;
    // Of the scores' integers, then the weights' unit.
    const double *units;
    // Feature, output and direction of each constraint.
    const u32 *monotone;
    // By node, a cell of the scores' sums and, where leaves have integers of their own, one of theirs.
    i64 *sums;
    // Histograms, [slot][bins of all features][lanes].
    i64 *cells;
    // The best candidate of each feature, and those chosen.
    Best *best;
    Best *chosen;
    // Blocks that are done with each feature, and features that are done.
    u32 *arrived;
    u64 slot_cells;
    double lambda;
    u32 n_rows;
    u32 n_features;
    // A cell is [rows][weight, where weighted][one gradient per output].
    u32 n_outputs;
    u32 weighted;
    u32 two_kinds;
    // 1 for cosine, 0 for L2.
    u32 cosine;
    u32 n_monotone;
    // Least rows of a side.
    u32 min_rows;
};

__device__ __forceinline__ u32 bin_of(const u8 *bins, const Feature &feature, u32 row) {
    const u8 *column = bins + feature.first_byte;
    return feature.wide ? ((const u16 *)column)[row] : column[row];
}

__device__ __forceinline__ u32 lanes_of(const Step &step) { return 1 + step.weighted + step.n_outputs; }

// Numbers of a node's sums.
__device__ __forceinline__ u32 record_of(const Step &step) { return lanes_of(step) * (1 + step.two_kinds); }

// Adds to a number in shared memory, whose halves are added to by themselves: processors do that at once, and would go
// round in circles for 64 bits.
__device__ __forceinline__ void add_near(i64 *to, i64 a) {
    u32 low = (u32)(u64)a, high = (u32)((u64)a >> 32);
    u32 *halves = (u32 *)to;
    u32 before = add_u32(&halves[0], low);
    high += (u32)(before + low) < before;
    if (high) add_u32(&halves[1], high);
}

// Whether this block is the last of `total` to come here: it sees then, by `fresh`, what the others wrote. The counter is 0
// before and after.
__device__ u32 is_last(u32 *counter, u32 total) {
    __shared__ u32 last;
    fence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = add_u32(counter, 1) + 1 == total;
        if (last) *counter = 0;
        fence();
    }
    __syncthreads();
    u32 answer = last;
    __syncthreads();
    return answer;
}
