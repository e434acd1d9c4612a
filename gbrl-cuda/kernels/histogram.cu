// Sums of gradients per node, feature and bin; twin of backend/cpu/simd/histogram.rs.

// Numbers of histograms that a block gathers in its shared memory.
#define NEAR 4096

// Two children of one node, of which only the one with fewer rows is summed; the other is what remains.
struct Pair {
    u32 left;
    u32 right;
    // The slot that holds the parent, and an empty one.
    u32 parent_slot;
    u32 fresh_slot;
};

__device__ __forceinline__ u32 left_is_smaller(const Step &step, u32 left, u32 right) {
    u32 record = record_of(step);
    return step.sums[(u64)left * record] <= step.sums[(u64)right * record];
}

// Adds this block's share of the rows to the cells of one feature: those of slot build[node - first_node], where that is
// not negative. Where the `n_slots` slots from first_slot on are all that occur (0 where that is not known), are few, and
// there are rows enough to make it worth the while, they are gathered in shared memory: the same integers either way.
__device__ void add_rows(
    const Step &step, const Feature &feature, const i32 *build, u32 first_node, u32 first_slot, u32 n_slots, i64 *near
) {
    u32 lanes = lanes_of(step), n_slot = feature.n_bins * lanes;
    u64 n_near = (u64)n_slots * n_slot;
    u32 is_near = n_near > 0 && n_near <= NEAR && n_near <= (u64)step.n_rows * lanes / gridDim.x;
    if (is_near) {
        for (u32 i = threadIdx.x; i < n_near; i += THREADS) near[i] = 0;
        __syncthreads();
    }
    for (u64 p = (u64)blockIdx.x * THREADS + threadIdx.x; p < step.n_rows; p += (u64)gridDim.x * THREADS) {
        i32 slot = build[step.node_of[p] - first_node];
        if (slot < 0) continue;
        u64 bin = bin_of(step.bins, feature, step.rows[p]);
        const i32 *ints = step.score_ints + p * step.n_outputs;
        if (is_near) {
            i64 *cell = near + (u64)((u32)slot - first_slot) * n_slot + bin * lanes;
            add_near(&cell[0], 1);
            if (step.weighted) add_near(&cell[1], step.weight_ints[p]);
            for (u32 d = 0; d < step.n_outputs; d++) {
                if (ints[d] != 0) add_near(&cell[1 + step.weighted + d], ints[d]);
            }
        } else {
            i64 *cell = step.cells + ((u64)slot * step.slot_cells + feature.first_bin + bin) * lanes;
            add_to(&cell[0], 1);
            if (step.weighted) add_to(&cell[1], step.weight_ints[p]);
            for (u32 d = 0; d < step.n_outputs; d++) {
                if (ints[d] != 0) add_to(&cell[1 + step.weighted + d], ints[d]);
            }
        }
    }
    if (!is_near) return;
    __syncthreads();
    for (u32 i = threadIdx.x; i < n_near; i += THREADS) {
        u64 slot = first_slot + i / n_slot;
        if (near[i] != 0) add_to(&step.cells[(slot * step.slot_cells + feature.first_bin) * lanes + i % n_slot], near[i]);
    }
}

// Decides, by the rows of each, which child of every pair is summed into the fresh slot.
extern "C" __global__ void choose_smaller(Step step, const Pair *pairs, u32 n_pairs, i32 *slot_of) {
    u32 i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= n_pairs) return;
    Pair pair = pairs[i];
    slot_of[left_is_smaller(step, pair.left, pair.right) ? pair.left : pair.right] = (i32)pair.fresh_slot;
}

// Adds every row whose node has a slot to the cells of that slot. A block has one feature, first_feature + blockIdx.y.
extern "C" __global__ void histogram(Step step, u32 first_feature, const i32 *slot_of, u32 first_slot, u32 n_slots) {
    __shared__ i64 near[NEAR];
    Feature feature = step.features[first_feature + blockIdx.y];
    if (feature.weight == 0.0) return;
    add_rows(step, feature, slot_of, 0, first_slot, n_slots, near);
}

// Gives the left child the parent's slot and the right one the fresh slot: smaller and rest, whichever is which.
extern "C" __global__ void subtract(Step step, const Pair *pairs) {
    Pair pair = pairs[blockIdx.y];
    u32 smaller_is_left = left_is_smaller(step, pair.left, pair.right);
    u64 numbers = step.slot_cells * lanes_of(step);
    i64 *parent = step.cells + pair.parent_slot * numbers, *fresh_cells = step.cells + pair.fresh_slot * numbers;
    for (u64 i = (u64)blockIdx.x * THREADS + threadIdx.x; i < numbers; i += (u64)gridDim.x * THREADS) {
        i64 smaller = fresh_cells[i], rest = parent[i] - smaller;
        parent[i] = smaller_is_left ? smaller : rest;
        fresh_cells[i] = smaller_is_left ? rest : smaller;
    }
}
