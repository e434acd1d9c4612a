// A whole level of an oblivious tree: histograms, what remains of the parents, scores, the choice. Nodes and slots follow
// from the depth, so nothing has to be sent or fetched between levels.

// Most nodes of a level that is split.
#define LEVEL_NODES 128

// The slot of the k-th node of a level: a left child has its parent's, a right child the next free one.
__device__ __forceinline__ u32 slot_at(u32 depth, u32 k) {
    while (depth > 0) {
        depth--;
        if (k % 2 == 1) return (1u << depth) + k / 2;
        k /= 2;
    }
    return 0;
}

// A block has one feature, first_feature + blockIdx.y, and a share of the rows; the last one of a feature scores it, and the
// last feature's chooses.
extern "C" __global__ void grow_level(Step step, u32 first_feature, u32 depth) {
    __shared__ i64 pool[NEAR];
    __shared__ Best found[THREADS];
    __shared__ u32 nodes[LEVEL_NODES];
    __shared__ i32 slots[LEVEL_NODES];
    __shared__ i32 build[LEVEL_NODES];
    // Where nothing was left to split, there is nothing to do below.
    if (depth > 0 && !step.chosen[depth - 1].found) return;
    u32 n_nodes = 1u << depth, first = n_nodes - 1, n_pairs = n_nodes / 2, feature_idx = first_feature + blockIdx.y;
    for (u32 k = threadIdx.x; k < n_nodes; k += THREADS) {
        u32 left = first + k - k % 2;
        nodes[k] = first + k;
        slots[k] = (i32)slot_at(depth, k);
        build[k] = depth == 0 ? 0 : k % 2 != left_is_smaller(step, left, left + 1) ? (i32)(n_pairs + k / 2) : -1;
    }
    __syncthreads();
    Feature feature = step.features[feature_idx];
    u32 counts = feature.weight != 0.0, n_fresh = depth == 0 ? 1 : n_pairs;
    if (counts) add_rows(step, feature, build, first, depth == 0 ? 0 : n_pairs, n_fresh, pool);
    if (!is_last(&step.arrived[feature_idx], gridDim.x)) return;
    u32 lanes = lanes_of(step), n = feature.n_bins * lanes;
    for (u64 i = threadIdx.x; counts && i < (u64)n_pairs * n; i += THREADS) {
        u64 pair = i / n, at = (u64)feature.first_bin * lanes + i % n, numbers = step.slot_cells * lanes;
        i64 *parent = step.cells + (u32)slots[2 * pair] * numbers + at;
        i64 *own = step.cells + (u32)slots[2 * pair + 1] * numbers + at;
        i64 smaller = fresh(own), rest = fresh(parent) - smaller;
        u32 smaller_is_left = build[2 * pair] >= 0;
        *parent = smaller_is_left ? smaller : rest;
        *own = smaller_is_left ? rest : smaller;
    }
    __syncthreads();
    find_best(step, feature_idx, nodes, slots, 0, n_nodes, pool, found);
    if (threadIdx.x == 0) step.best[feature_idx] = found[0];
    if (!is_last(&step.arrived[step.n_features], step.n_features)) return;
    best_of_all(step.best, step.n_features, found, &step.chosen[depth]);
}
