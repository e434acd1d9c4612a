// Which rows are in which node, and sums over nodes; twin of backend/cpu/nodes.rs.

// The split of one node: the i-th of `chosen`, children `left` and `left + 1`. No split where `chosen_idx` is negative.
struct Cut {
    i32 chosen_idx;
    u32 left;
};

// Whether a row in `bin` goes right; twin of Candidate::goes_right.
__device__ __forceinline__ u32 goes_right(const Feature &feature, const Best &best, u32 bin) {
    if (bin == feature.missing) return best.missing_right;
    return feature.categorical ? !best.missing_right && bin == best.bin : bin > best.bin;
}

// Sends every row of a split node to its child.
extern "C" __global__ void partition(
    const u8 *bins, const Feature *features, const u32 *rows, u32 n_rows, const Best *chosen, const Cut *cuts,
    u32 *node_of
) {
    for (u64 p = (u64)blockIdx.x * THREADS + threadIdx.x; p < n_rows; p += (u64)gridDim.x * THREADS) {
        Cut cut = cuts[node_of[p]];
        if (cut.chosen_idx < 0) continue;
        Best best = chosen[cut.chosen_idx];
        if (!best.found) continue;
        Feature feature = features[best.feature];
        node_of[p] = cut.left + goes_right(feature, best, bin_of(bins, feature, rows[p]));
    }
}

// Sums over the rows of nodes first to first + count, [count][lanes], which are zero before. Blocks gather in shared
// memory what fits there.
#define GATHERED 2048
extern "C" __global__ void node_sums(
    const u32 *node_of, u32 n_rows, u32 first, u32 count, const i32 *ints, const i32 *weights, u32 n_outputs,
    u32 weighted, i64 *sums
) {
    __shared__ i64 gathered[GATHERED];
    u32 lanes = 1 + weighted + n_outputs;
    u32 fits = (u64)count * lanes <= GATHERED;
    u32 n_numbers = fits ? count * lanes : 0;
    for (u32 i = threadIdx.x; i < n_numbers; i += THREADS) gathered[i] = 0;
    __syncthreads();
    i64 *to = fits ? gathered : sums;
    for (u64 p = (u64)blockIdx.x * THREADS + threadIdx.x; p < n_rows; p += (u64)gridDim.x * THREADS) {
        u32 node = node_of[p];
        if (node < first || node - first >= count) continue;
        i64 *cell = to + (u64)(node - first) * lanes;
        add_to(&cell[0], 1);
        if (weighted) add_to(&cell[1], weights[p]);
        for (u32 d = 0; d < n_outputs; d++) add_to(&cell[1 + weighted + d], ints[p * n_outputs + d]);
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < n_numbers; i += THREADS) {
        if (gathered[i] != 0) add_to(&sums[i], gathered[i]);
    }
}
