// Which rows are in which node, and sums over nodes; twin of backend/cpu/nodes.rs.

// The split of one node: the i-th of `chosen`, children `left` and `left + 1`. No split where `chosen_idx` is negative.
struct Cut {
    i32 chosen_idx;
    u32 left;
};

// Numbers that a block gathers in shared memory, where they fit.
#define GATHERED 2048

// Whether a row in `bin` goes right; twin of Candidate::goes_right.
__device__ __forceinline__ u32 goes_right(const Feature &feature, const Best &best, u32 bin) {
    if (bin == feature.missing) return best.missing_right;
    return feature.categorical ? !best.missing_right && bin == best.bin : bin > best.bin;
}

// Adds a row to a record, [rows][weight][gradients].
__device__ __forceinline__ void add_row(const Step &step, const i32 *ints, u64 p, i64 *record, u32 is_near) {
    i64 weight = step.weighted ? step.weight_ints[p] : 0;
    if (is_near) {
        add_near(&record[0], 1);
        if (step.weighted) add_near(&record[1], weight);
        for (u32 d = 0; d < step.n_outputs; d++) add_near(&record[1 + step.weighted + d], ints[p * step.n_outputs + d]);
    } else {
        add_to(&record[0], 1);
        if (step.weighted) add_to(&record[1], weight);
        for (u32 d = 0; d < step.n_outputs; d++) add_to(&record[1 + step.weighted + d], ints[p * step.n_outputs + d]);
    }
}

// Sends every row of a split node to its child, and sums the children, nodes first to first + count, whose sums are zero
// before. `cuts` has an entry per node that rows may be in; without it all nodes of the level above, as many as half of
// `count`, are split by the one candidate that is chosen.
extern "C" __global__ void divide_rows(Step step, const Cut *cuts, const Best *chosen, u32 first, u32 count) {
    __shared__ i64 gathered[GATHERED];
    if (!cuts && !chosen[0].found) return;
    u32 lanes = lanes_of(step), record = record_of(step);
    u32 fits = (u64)count * record <= GATHERED, n_numbers = fits ? count * record : 0;
    for (u32 i = threadIdx.x; i < n_numbers; i += THREADS) gathered[i] = 0;
    __syncthreads();
    i64 *to = fits ? gathered : step.sums + (u64)first * record;
    for (u64 p = (u64)blockIdx.x * THREADS + threadIdx.x; p < step.n_rows; p += (u64)gridDim.x * THREADS) {
        u32 node = step.node_of[p];
        Cut cut = {0, first + 2 * (node + count / 2 - first)};
        if (cuts) cut = cuts[node];
        if (cut.chosen_idx < 0) continue;
        Best best = chosen[cut.chosen_idx];
        if (!best.found) continue;
        Feature feature = step.features[best.feature];
        u32 child = cut.left + goes_right(feature, best, bin_of(step.bins, feature, step.rows[p]));
        step.node_of[p] = child;
        i64 *own = to + (u64)(child - first) * record;
        add_row(step, step.score_ints, p, own, fits);
        if (step.two_kinds) add_row(step, step.leaf_ints, p, own + lanes, fits);
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < n_numbers; i += THREADS) {
        if (gathered[i] != 0) add_to(&step.sums[(u64)first * record + i], gathered[i]);
    }
}
