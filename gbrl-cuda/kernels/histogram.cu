// Sums of gradients per node, feature and bin; twin of backend/cpu/simd/histogram.rs.

// Two children of one node, of which only the one with fewer rows is summed; the other is what remains.
struct Pair {
    u32 left;
    u32 right;
    // The slot that holds the parent, and an empty one.
    u32 parent_slot;
    u32 fresh_slot;
};

// Decides, by the rows of each, which child of every pair is summed into the fresh slot.
extern "C" __global__ void choose_smaller(
    const Pair *pairs, u32 n_pairs, const i64 *sums, u32 lanes, i32 *slot_of, u32 *left_is_smaller
) {
    u32 i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= n_pairs) return;
    Pair pair = pairs[i];
    u32 smaller = sums[(u64)pair.left * lanes] <= sums[(u64)pair.right * lanes];
    left_is_smaller[i] = smaller;
    slot_of[smaller ? pair.left : pair.right] = (i32)pair.fresh_slot;
}

// Adds every row whose node has a slot to the cells of that slot. A block has one feature, blockIdx.y.
extern "C" __global__ void histogram(
    const u8 *bins, const Feature *features, const u32 *rows, const u32 *node_of, u32 n_rows, const i32 *slot_of,
    const i32 *ints, const i32 *weights, u32 n_outputs, u32 weighted, u64 slot_cells, i64 *cells
) {
    Feature feature = features[blockIdx.y];
    if (feature.weight == 0.0) return;
    u32 lanes = 1 + weighted + n_outputs;
    for (u64 p = (u64)blockIdx.x * THREADS + threadIdx.x; p < n_rows; p += (u64)gridDim.x * THREADS) {
        i32 slot = slot_of[node_of[p]];
        if (slot < 0) continue;
        u64 bin = feature.first_bin + bin_of(bins, feature, rows[p]);
        i64 *cell = cells + ((u64)slot * slot_cells + bin) * lanes;
        add_to(&cell[0], 1);
        if (weighted) add_to(&cell[1], weights[p]);
        for (u32 d = 0; d < n_outputs; d++) {
            i32 g = ints[p * n_outputs + d];
            if (g != 0) add_to(&cell[1 + weighted + d], g);
        }
    }
}

// Gives the left child the parent's slot and the right one the fresh slot: smaller and rest, whichever is which.
extern "C" __global__ void subtract(const Pair *pairs, const u32 *left_is_smaller, u64 slot_numbers, i64 *cells) {
    Pair pair = pairs[blockIdx.y];
    u32 smaller_is_left = left_is_smaller[blockIdx.y];
    i64 *parent = cells + pair.parent_slot * slot_numbers, *fresh = cells + pair.fresh_slot * slot_numbers;
    for (u64 i = (u64)blockIdx.x * THREADS + threadIdx.x; i < slot_numbers; i += (u64)gridDim.x * THREADS) {
        i64 smaller = fresh[i], rest = parent[i] - smaller;
        parent[i] = smaller_is_left ? smaller : rest;
        fresh[i] = smaller_is_left ? rest : smaller;
    }
}
