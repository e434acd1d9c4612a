// Outputs of rows: trees added in their order; twin of backend/cpu/predict.rs.
//
// A block has 32 rows and 8 outputs. It takes the trees a chunk at a time: first every warp finds the leaves of the 32
// rows in some of the chunk's trees, then every thread adds the leaves of its row to its output, tree after tree.

#define ROWS 32
#define COLUMNS (THREADS / ROWS)
// Trees of a chunk, leaf values and keys that are kept in shared memory where they fit.
#define TREES 32
#define VALUES 4096
#define KEYS 4096
// Rows of a tile: observations and outputs are [tile][column][16].
#define LANES 16

// One test: x answers yes, and goes right, where key(x) − low ≤ width in wrapping arithmetic; where it goes, in trees
// that are not oblivious: to test number n of its tree, or to leaf ~n.
struct Question {
    u32 feature;
    u32 low;
    u32 width;
    i32 left;
    i32 right;
};

// A tree over some output columns; its questions and its leaves, [leaf][n_columns], follow those of the one before.
struct Laid {
    u64 first_question;
    u64 first_value;
    u32 n_questions;
    u32 oblivious;
    u32 first_column;
    u32 n_columns;
};

// Twin of tree::split::key: an integer that orders as the number does, with NaN lowest of all.
__device__ __forceinline__ u32 key_of(float x) {
    if (x != x) return 0;
    u32 bits = bits_of_f32(add_f32(x, 0.0f));
    return bits ^ ((u32)((i32)bits >> 31) | 0x80000000u);
}

// The leaf of the row whose keys are `keys`, one every `stride`.
__device__ __forceinline__ u32 leaf_of(const Laid &tree, const Question *questions, const u32 *keys, u64 stride) {
    const Question *own = questions + tree.first_question;
    if (tree.oblivious) {
        u32 leaf = 0;
        for (u32 q = 0; q < tree.n_questions; q++) {
            leaf = 2 * leaf + (keys[own[q].feature * stride] - own[q].low <= own[q].width);
        }
        return leaf;
    }
    i32 at = tree.n_questions > 0 ? 0 : -1;
    while (at >= 0) {
        Question question = own[at];
        at = keys[question.feature * stride] - question.low <= question.width ? question.right : question.left;
    }
    return (u32)~at;
}

// keys[i] of every number.
extern "C" __global__ void make_keys(const float *numbers, u64 n, u32 *keys) {
    for (u64 i = (u64)blockIdx.x * THREADS + threadIdx.x; i < n; i += (u64)gridDim.x * THREADS) {
        keys[i] = key_of(numbers[i]);
    }
}

// Adds `trees` to output columns first_column to end_column of sums[tile][n_outputs][16]; keys[tile][n_features][16].
extern "C" __global__ void predict(
    const u32 *keys, u64 n_tiles, u32 n_features, const Laid *trees, u32 n_trees, const Question *questions,
    const float *values, u32 first_column, u32 end_column, u32 n_outputs, float *sums
) {
    __shared__ u32 near_keys[KEYS];
    __shared__ u32 leaves[TREES][ROWS];
    __shared__ float near_values[VALUES];
    u32 row = threadIdx.x % ROWS, group = threadIdx.x / ROWS;
    u64 first_tile = (u64)blockIdx.x * (ROWS / LANES), tile = first_tile + row / LANES;
    u32 first = first_column + blockIdx.y * COLUMNS, column = first + group;
    u32 is_row = tile < n_tiles, is_own = is_row && column < end_column;
    u64 n_tile = (u64)n_features * LANES;
    const u32 *own_keys = keys + tile * n_tile + row % LANES;
    u32 near = n_tile * (ROWS / LANES) <= KEYS;
    if (near) {
        u64 left = (n_tiles - first_tile) * n_tile, n = n_tile * (ROWS / LANES);
        for (u32 i = threadIdx.x; i < n && i < left; i += THREADS) near_keys[i] = keys[first_tile * n_tile + i];
        own_keys = near_keys + row / LANES * n_tile + row % LANES;
        __syncthreads();
    }
    float *own = sums + (tile * n_outputs + column) * LANES + row % LANES;
    float sum = is_own ? *own : 0.0f;
    for (u32 start = 0; start < n_trees; start += TREES) {
        u32 n = n_trees - start < TREES ? n_trees - start : TREES;
        const Laid *chunk = trees + start;
        for (u32 t = group; t < n; t += COLUMNS) {
            Laid tree = chunk[t];
            u32 is_wanted = tree.first_column < first + COLUMNS && first < tree.first_column + tree.n_columns;
            if (is_row && is_wanted) leaves[t][row] = leaf_of(tree, questions, own_keys, LANES);
        }
        u64 first_value = chunk[0].first_value, n_values = chunk[n].first_value - first_value;
        u32 fits = n_values <= VALUES;
        if (fits) {
            for (u32 i = threadIdx.x; i < n_values; i += THREADS) near_values[i] = values[first_value + i];
        }
        __syncthreads();
        for (u32 t = 0; t < n && is_own; t++) {
            Laid tree = chunk[t];
            // Below the tree's first column the difference wraps around to a large number.
            u32 d = column - tree.first_column;
            if (d >= tree.n_columns) continue;
            u64 at = tree.first_value - first_value + (u64)leaves[t][row] * tree.n_columns + d;
            sum = add_f32(sum, fits ? near_values[at] : values[first_value + at]);
        }
        __syncthreads();
    }
    if (is_own) *own = sum;
}
