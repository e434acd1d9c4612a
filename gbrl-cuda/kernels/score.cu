// The best candidate of a feature, and of all; twin of tree/score.rs and backend/cpu/level.rs.

// Lanes of a cell that are added up over bins together.
#define TILE 12
// Most bins of a numeric feature.
#define BINS 256

// One side of a split while its outputs are added one after the other.
struct Side {
    double square;
    double weight;
    i64 rows;
};

__device__ __forceinline__ double denominator(double weight, double lambda) {
    return weight > 0.0 ? add(weight, lambda) : 1.0;
}

__device__ __forceinline__ double combine(const Step &rule, const Side &left, const Side &right) {
    double l = denominator(left.weight, rule.lambda), r = denominator(right.weight, rule.lambda);
    double ratio = divide(add(mul(left.square, r), mul(right.square, l)), mul(l, r));
    return rule.cosine ? root(ratio) : ratio;
}

__device__ __forceinline__ double mean(const Step &rule, const Side &side, double gradient) {
    return side.weight > 0.0 ? divide(gradient, add(side.weight, rule.lambda)) : 0.0;
}

// Candidates of a feature, in order: by bin, "missing goes left" first, at last missing values alone.
__device__ __forceinline__ u32 n_candidates(const Feature &feature) {
    u32 missing = feature.missing < feature.n_bins;
    return feature.n_values * (missing && !feature.categorical ? 2 : 1) + missing;
}

__device__ __forceinline__ void candidate(const Feature &feature, u32 i, u32 *bin, u32 *missing_right) {
    u32 both = feature.missing < feature.n_bins && !feature.categorical;
    *bin = both ? i / 2 : i;
    *missing_right = *bin == feature.n_values ? 1 : both ? i % 2 : 0;
}

// Sums over bins 0 to b of lanes first to first + n of a cell, for every ordinary bin b; a warp has a lane.
__device__ void prefixes(const i64 *cells, u32 lanes, u32 first, u32 n, u32 n_bins, i64 (*out)[BINS]) {
    u32 warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    for (u32 i = warp; i < n; i += THREADS / WARP) {
        i64 carried = 0;
        for (u32 start = 0; start < n_bins; start += WARP) {
            u32 bin = start + lane;
            i64 sum = bin < n_bins ? fresh(&cells[(u64)bin * lanes + first + i]) : 0;
            for (u32 by = 1; by < WARP; by *= 2) {
                i64 left = from_left(sum, by);
                if (lane >= by) sum += left;
            }
            sum += carried;
            if (bin < n_bins) out[i][bin] = sum;
            carried = from_lane(sum, WARP - 1);
        }
    }
}

// The best candidate of a feature for the k-th to the `to`-th of `nodes` together, whose histograms are in `slots`, into
// found[0]; `pool` has room for prefixes.
__device__ void find_best(
    const Step &step, u32 feature_idx, const u32 *nodes, const i32 *slots, u32 from, u32 to, i64 *pool, Best *found
) {
    i64(*prefix)[BINS] = (i64(*)[BINS])pool;
    Feature feature = step.features[feature_idx];
    u32 lanes = lanes_of(step), record = record_of(step), n = feature.weight == 0.0 ? 0 : n_candidates(feature);
    u32 n_ordinary = feature.missing < feature.n_bins ? feature.n_bins - 1 : feature.n_bins;
    double weight_unit = step.units[step.n_outputs];
    Best mine = {0.0, feature_idx, 0, 0, 0};
    for (u32 start = 0; start < n; start += THREADS) {
        u32 i = start + threadIdx.x, bin = 0, missing_right = 0;
        u32 is_one = i < n;
        candidate(feature, is_one ? i : 0, &bin, &missing_right);
        double score = 0.0;
        u32 separates = 0, vetoed = 0;
        for (u32 k = from; k < to; k++) {
            const i64 *whole = step.sums + (u64)nodes[k] * record;
            const i64 *slot = step.cells + ((u64)slots[k] * step.slot_cells + feature.first_bin) * lanes;
            Side left = {0.0, 0.0, 0}, right = {0.0, 0.0, 0}, all = {0.0, 0.0, 0};
            u32 breaks = 0;
            for (u32 first = 0; first < lanes; first += TILE) {
                u32 width = lanes - first < TILE ? lanes - first : TILE;
                if (!feature.categorical) {
                    __syncthreads();
                    prefixes(slot, lanes, first, width, n_ordinary, prefix);
                    __syncthreads();
                }
                for (u32 d = first; d < first + width && is_one; d++) {
                    i64 l;
                    i64 missing = feature.missing < feature.n_bins ? fresh(&slot[(u64)feature.missing * lanes + d]) : 0;
                    if (bin == feature.n_values && missing_right) {
                        l = whole[d] - missing;
                    } else if (feature.categorical) {
                        l = whole[d] - fresh(&slot[(u64)bin * lanes + d]);
                    } else {
                        l = prefix[d - first][bin] + (missing_right ? 0 : missing);
                    }
                    i64 r = whole[d] - l;
                    if (d == 0) {
                        left.rows = l;
                        right.rows = r;
                    }
                    if (d == step.weighted) {
                        left.weight = mul(to_f64(l), weight_unit);
                        right.weight = mul(to_f64(r), weight_unit);
                        all.weight = mul(to_f64(whole[d]), weight_unit);
                    }
                    if (d > step.weighted) {
                        u32 output = d - step.weighted - 1;
                        double unit = step.units[output];
                        double gl = mul(to_f64(l), unit), gr = mul(to_f64(r), unit), ga = mul(to_f64(whole[d]), unit);
                        left.square = add(left.square, mul(gl, gl));
                        right.square = add(right.square, mul(gr, gr));
                        all.square = add(all.square, mul(ga, ga));
                        for (u32 m = 0; m < step.n_monotone; m++) {
                            const u32 *constraint = step.monotone + 3 * m;
                            if (constraint[0] == feature_idx && constraint[1] == output) {
                                double fall = subtracted(mean(step, left, gl), mean(step, right, gr));
                                breaks |= constraint[2] ? fall < 0.0 : fall > 0.0;
                            }
                        }
                    }
                }
            }
            separates |= left.rows > 0 && right.rows > 0;
            vetoed |= left.rows < (i64)step.min_rows || right.rows < (i64)step.min_rows;
            // Both sides would be pooled where a constraint is broken: worth what no split is.
            Side nothing = {0.0, 0.0, 0};
            score = add(score, breaks ? combine(step, all, nothing) : combine(step, left, right));
        }
        double weighted = mul(feature.weight, score);
        if (is_one && separates && !vetoed && (!mine.found || weighted > mine.score)) {
            Best better = {weighted, feature_idx, bin, missing_right, 1};
            mine = better;
        }
    }
    found[threadIdx.x] = mine;
    // Of equal scores the lowest candidate: within a thread the first was kept, between threads order tells.
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) {
            Best other = found[threadIdx.x + half], own = found[threadIdx.x];
            u32 earlier = other.bin < own.bin || (other.bin == own.bin && other.missing_right < own.missing_right);
            if (other.found && (!own.found || other.score > own.score || (other.score == own.score && earlier))) {
                found[threadIdx.x] = other;
            }
        }
    }
    __syncthreads();
}

__device__ __forceinline__ Best fresh_best(const Best *at) {
    const i64 *words = (const i64 *)at;
    u64 place = (u64)fresh(&words[1]), flags = (u64)fresh(&words[2]);
    Best best = {of_bits((u64)fresh(&words[0])), (u32)place, (u32)(place >> 32), (u32)flags, (u32)(flags >> 32)};
    return best;
}

// The best of all features, of equal ones the first.
__device__ void best_of_all(const Best *best, u32 n_features, Best *found, Best *chosen) {
    Best mine = {0.0, 0, 0, 0, 0};
    for (u32 f = threadIdx.x; f < n_features; f += THREADS) {
        Best other = fresh_best(&best[f]);
        if (other.found && (!mine.found || other.score > mine.score)) mine = other;
    }
    found[threadIdx.x] = mine;
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) {
            Best other = found[threadIdx.x + half], own = found[threadIdx.x];
            u32 better = other.score > own.score || (other.score == own.score && other.feature < own.feature);
            if (other.found && (!own.found || better)) found[threadIdx.x] = other;
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) *chosen = found[0];
}

// The best candidate for all of `nodes` together (`joint`), or for each, blockIdx.y, into `chosen`; a block has a feature, and
// the last one for its nodes chooses.
extern "C" __global__ void find_splits(
    Step step, const u32 *nodes, const i32 *slots, u32 n_nodes, u32 joint, Best *chosen, u32 *arrived
) {
    __shared__ i64 pool[TILE * BINS];
    __shared__ Best found[THREADS];
    u32 from = joint ? 0 : blockIdx.y, to = joint ? n_nodes : blockIdx.y + 1;
    find_best(step, blockIdx.x, nodes, slots, from, to, pool, found);
    Best *best = step.best + (u64)blockIdx.y * step.n_features;
    if (threadIdx.x == 0) best[blockIdx.x] = found[0];
    if (is_last(&arrived[blockIdx.y], step.n_features)) best_of_all(best, step.n_features, found, &chosen[blockIdx.y]);
}
