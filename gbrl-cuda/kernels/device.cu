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
__device__ __forceinline__ u64 bits_of(double a) { return (u64)__double_as_longlong(a); }
// The value of the lane `by` places to the left in the warp; whole warps call it together.
__device__ __forceinline__ i64 from_left(i64 a, u32 by) { return __shfl_up_sync(0xFFFFFFFFu, a, by); }
__device__ __forceinline__ i64 from_lane(i64 a, u32 lane) { return __shfl_sync(0xFFFFFFFFu, a, lane); }
__device__ __forceinline__ void add_to(i64 *to, i64 a) { atomicAdd((u64 *)to, (u64)a); }
__device__ __forceinline__ void raise(u64 *to, u64 a) { atomicMax(to, a); }

#endif

// Threads of a block, everywhere.
#define THREADS 256
#define WARP 32

// What the score of a split needs besides the sums; twin of tree::ScoreRule and the Task.
struct Rule {
    // 1 for cosine, 0 for L2.
    u32 cosine;
    // Outputs; a cell of a histogram is [rows][weight, where weighted][one gradient per output].
    u32 n_outputs;
    u32 weighted;
    u32 n_monotone;
    // Least rows of a side.
    u32 min_rows;
    u32 unused;
    double lambda;
    double weight_unit;
};

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

__device__ __forceinline__ u32 bin_of(const u8 *bins, const Feature &feature, u32 row) {
    const u8 *column = bins + feature.first_byte;
    return feature.wide ? ((const u16 *)column)[row] : column[row];
}

__device__ __forceinline__ u32 lanes_of(const Rule &rule) { return 1 + rule.weighted + rule.n_outputs; }
