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

__device__ __forceinline__ double combine(const Rule &rule, const Side &left, const Side &right) {
    double l = denominator(left.weight, rule.lambda), r = denominator(right.weight, rule.lambda);
    double ratio = divide(add(mul(left.square, r), mul(right.square, l)), mul(l, r));
    return rule.cosine ? root(ratio) : ratio;
}

__device__ __forceinline__ double mean(const Rule &rule, const Side &side, double gradient) {
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
            i64 sum = bin < n_bins ? cells[(u64)bin * lanes + first + i] : 0;
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

// The best candidate of feature blockIdx.x: for all of `nodes` together (`joint`), or for node number blockIdx.y alone.
extern "C" __global__ void best_of_feature(
    const Feature *features, u32 n_features, Rule rule, const double *units, const u32 *monotone, const i32 *slot_of,
    const u32 *nodes, u32 n_nodes, u32 joint, const i64 *sums, u64 slot_cells, const i64 *cells, Best *best
) {
    __shared__ i64 prefix[TILE][BINS];
    __shared__ Best found[THREADS];
    u32 feature_idx = blockIdx.x;
    Feature feature = features[feature_idx];
    u32 lanes = lanes_of(rule), n = feature.weight == 0.0 ? 0 : n_candidates(feature);
    u32 n_ordinary = feature.missing < feature.n_bins ? feature.n_bins - 1 : feature.n_bins;
    u32 from = joint ? 0 : blockIdx.y, to = joint ? n_nodes : blockIdx.y + 1;
    Best mine = {0.0, feature_idx, 0, 0, 0};
    for (u32 start = 0; start < n; start += THREADS) {
        u32 i = start + threadIdx.x, bin = 0, missing_right = 0;
        u32 is_one = i < n;
        candidate(feature, is_one ? i : 0, &bin, &missing_right);
        double score = 0.0;
        u32 separates = 0, vetoed = 0;
        for (u32 k = from; k < to; k++) {
            const i64 *whole = sums + (u64)nodes[k] * lanes;
            const i64 *slot = cells + ((u64)slot_of[nodes[k]] * slot_cells + feature.first_bin) * lanes;
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
                    i64 missing = feature.missing < feature.n_bins ? slot[(u64)feature.missing * lanes + d] : 0;
                    if (bin == feature.n_values && missing_right) {
                        l = whole[d] - missing;
                    } else if (feature.categorical) {
                        l = whole[d] - slot[(u64)bin * lanes + d];
                    } else {
                        l = prefix[d - first][bin] + (missing_right ? 0 : missing);
                    }
                    i64 r = whole[d] - l;
                    if (d == 0) {
                        left.rows = l;
                        right.rows = r;
                    }
                    if (d == rule.weighted) {
                        left.weight = mul(to_f64(l), rule.weight_unit);
                        right.weight = mul(to_f64(r), rule.weight_unit);
                        all.weight = mul(to_f64(whole[d]), rule.weight_unit);
                    }
                    if (d > rule.weighted) {
                        u32 output = d - rule.weighted - 1;
                        double unit = units[output];
                        double gl = mul(to_f64(l), unit), gr = mul(to_f64(r), unit), ga = mul(to_f64(whole[d]), unit);
                        left.square = add(left.square, mul(gl, gl));
                        right.square = add(right.square, mul(gr, gr));
                        all.square = add(all.square, mul(ga, ga));
                        for (u32 m = 0; m < rule.n_monotone; m++) {
                            const u32 *constraint = monotone + 3 * m;
                            if (constraint[0] == feature_idx && constraint[1] == output) {
                                double fall = add(mean(rule, left, gl), -mean(rule, right, gr));
                                breaks |= constraint[2] ? fall < 0.0 : fall > 0.0;
                            }
                        }
                    }
                }
            }
            separates |= left.rows > 0 && right.rows > 0;
            vetoed |= left.rows < (i64)rule.min_rows || right.rows < (i64)rule.min_rows;
            // Both sides would be pooled where a constraint is broken: worth what no split is.
            Side nothing = {0.0, 0.0, 0};
            score = add(score, breaks ? combine(rule, all, nothing) : combine(rule, left, right));
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
    if (threadIdx.x == 0) best[(u64)blockIdx.y * n_features + feature_idx] = found[0];
}

// The best of all features, of equal ones the first; blockIdx.x numbers the nodes.
extern "C" __global__ void best_of_all(const Best *best, u32 n_features, Best *chosen) {
    __shared__ Best found[THREADS];
    Best mine = {0.0, 0, 0, 0, 0};
    for (u32 f = threadIdx.x; f < n_features; f += THREADS) {
        Best other = best[(u64)blockIdx.x * n_features + f];
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
    if (threadIdx.x == 0) chosen[blockIdx.x] = found[0];
}
