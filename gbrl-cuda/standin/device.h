// The device side of the stand-in: what kernels are written in, for g++. A thread is a fiber, and a block's fibers run in
// an order that is shuffled, so that a missing barrier shows.
#pragma once
#define GBRL_STANDIN
#include <cmath>
#include <cstdint>
#include <cstring>

typedef int8_t i8;
typedef uint8_t u8;
typedef uint16_t u16;
typedef int32_t i32;
typedef uint32_t u32;
typedef long long i64;
typedef unsigned long long u64;

struct Index {
    u32 x, y, z;
};

namespace standin {
extern Index thread, block, block_size, grid_size;
// Waits for every thread of the block.
void barrier();
// Waits for every thread of the warp; gives the number that its lane `lane` brought.
i64 exchange(i64 own, u32 lane);
u32 lane();
}  // namespace standin

#define threadIdx standin::thread
#define blockIdx standin::block
#define blockDim standin::block_size
#define gridDim standin::grid_size
#define __global__ __attribute__((noinline))
#define __device__ static
#define __forceinline__ inline
// In a section of their own, which is filled with rubbish before every block.
#define __shared__ static __attribute__((section("gbrl_shared")))
#define __syncthreads standin::barrier

// -ffp-contract=off keeps each of these one rounding.
static inline double add(double a, double b) { return a + b; }
static inline double mul(double a, double b) { return a * b; }
static inline double divide(double a, double b) { return a / b; }
static inline double root(double a) { return std::sqrt(a); }
static inline double to_f64(i64 a) { return (double)a; }
static inline float add_f32(float a, float b) { return a + b; }
static inline u32 bits_of_f32(float a) {
    u32 bits;
    std::memcpy(&bits, &a, sizeof bits);
    return bits;
}
static inline u64 bits_of(double a) {
    u64 bits;
    std::memcpy(&bits, &a, sizeof bits);
    return bits;
}
static inline float to_f32(double a) { return (float)a; }
static inline double of_bits(u64 bits) {
    double a;
    std::memcpy(&a, &bits, sizeof a);
    return a;
}
static inline i64 from_left(i64 a, u32 by) {
    u32 lane = standin::lane();
    return standin::exchange(a, lane >= by ? lane - by : lane);
}
static inline i64 from_lane(i64 a, u32 lane) { return standin::exchange(a, lane); }
static inline void add_to(i64 *to, i64 a) { *to = (i64)((u64)*to + (u64)a); }
static inline void raise(u64 *to, u64 a) {
    if (a > *to) *to = a;
}
static inline u32 add_u32(u32 *to, u32 a) {
    u32 before = *to;
    *to = before + a;
    return before;
}
static inline void fence() {}
static inline i64 fresh(const i64 *at) { return *at; }
