// Losses and gradients of a minibatch's rows; twin of rl/algo/minibatch.rs, rl/dist and rl/loss.
//
// A block is a warp and has one tile of rows, which are a lane each: the rows' gradients are written, and the sums of the
// losses over the tile, added up in the order of the rows.

#define HALF_LN_TAU 0.9189385332046727
#define LOG_STD_LIMIT 20.0
#define LOG_RATIO_LIMIT 20.0

// What a row of parameters means; twin of backend::update::Actions.
#define CHOICES 0
#define BITS 1
#define NORMALS 2
#define SQUASHED 3

// Sums of a tile besides those of the log standard deviations: loss, entropy, kl, clipped, squared error.
#define LOSS_SUMS 5

// What stays the same during an update, all by row of the dataset, and this minibatch.
struct Minibatch {
    const u32 *rows;
    // [tile][n_outputs][16], and of the minibatch [n_rows][n_outputs].
    const float *outputs;
    float *gradients;
    // The same in f64, [column][n_rows], free log standard deviations included; room for work.
    double *work;
    double *sums;
    // Largest magnitude of each column, as bits; the last is not 0 where a row has no loss.
    u64 *largest;
    const u32 *choices;
    const double *log_std;
    const float *acted;
    const u8 *masks;
    const double *weights;
    const double *old_log_probs;
    const double *returns;
    const float *old_values;
    u32 n_rows;
    u32 n_outputs;
    u32 kind;
    // Parts of the choices, bits, or dimensions.
    u32 n_parts;
    u32 action_len;
    // 0 without masks.
    u32 mask_len;
    u32 n_log_std;
    u32 has_policy;
    u32 has_value;
    u32 clips_policy_norm;
    u32 clips_value_norm;
    u32 unused;
    double mean;
    double scale;
    double clip_range;
    double ent_coef;
    double policy_norm;
    double vf_range;
    double vf_coef;
    double value_norm;
};

struct Evaluation {
    double log_prob;
    double entropy;
    u32 is_one;
};

// A row of the minibatch and where it stands.
struct Row {
    // Of the policy's columns.
    const float *outputs;
    const float *acted;
    const u8 *mask;
    double *work;
    u64 stride;
};

__device__ __forceinline__ double output_of(const Row &row, u32 column) { return (double)row.outputs[column * 16]; }
__device__ __forceinline__ u32 is_finite(double x) { return magnitude(x) < INFINITE; }

__device__ __forceinline__ u32 is_free(const Row &row, u32 choice) { return !row.mask || row.mask[choice]; }

// Independent choices; p into work, from which the gradients are made.
__device__ Evaluation evaluate_choices(const Minibatch &m, const Row &row) {
    Evaluation total = {0.0, 0.0, 1};
    u32 from = 0;
    for (u32 part = 0; part < m.n_parts; part++) {
        u32 n = m.choices[part], acted = (u32)row.acted[part];
        double largest = -INFINITE;
        for (u32 i = from; i < from + n; i++) {
            double logit = output_of(row, i);
            // Logits are f32: the largest finite one is the limit.
            if (!is_finite(logit)) total.is_one = 0;
            if (is_free(row, i) && logit > largest) largest = logit;
        }
        if (largest == -INFINITE || acted >= n) total.is_one = 0;
        double sum = 0.0;
        for (u32 i = from; i < from + n; i++) {
            double p = is_free(row, i) ? exponential(subtracted(output_of(row, i), largest)) : 0.0;
            row.work[i * row.stride] = p;
            sum = add(sum, p);
        }
        double ln_sum = logarithm(sum), entropy = 0.0;
        for (u32 i = from; i < from + n; i++) {
            double p = divide(row.work[i * row.stride], sum);
            double ln_p = is_free(row, i) ? subtracted(subtracted(output_of(row, i), largest), ln_sum) : 0.0;
            entropy = subtracted(entropy, mul(p, ln_p));
            if (i == from + acted) total.log_prob = add(total.log_prob, is_free(row, i) ? ln_p : -INFINITE);
        }
        total.entropy = add(total.entropy, entropy);
        from += n;
    }
    return total;
}

__device__ void differentiate_choices(const Minibatch &m, const Row &row, double d_log_prob, double d_entropy) {
    u32 from = 0;
    for (u32 part = 0; part < m.n_parts; part++) {
        u32 n = m.choices[part], acted = (u32)row.acted[part];
        double largest = -INFINITE, sum = 0.0, entropy = 0.0;
        for (u32 i = from; i < from + n; i++) {
            double logit = output_of(row, i);
            if (is_free(row, i) && logit > largest) largest = logit;
            sum = add(sum, row.work[i * row.stride]);
        }
        double ln_sum = logarithm(sum);
        for (u32 i = from; i < from + n; i++) {
            double p = divide(row.work[i * row.stride], sum);
            double ln_p = is_free(row, i) ? subtracted(subtracted(output_of(row, i), largest), ln_sum) : 0.0;
            entropy = subtracted(entropy, mul(p, ln_p));
        }
        for (u32 i = from; i < from + n; i++) {
            double p = divide(row.work[i * row.stride], sum);
            double ln_p = subtracted(subtracted(output_of(row, i), largest), ln_sum);
            double hit = i == from + acted ? 1.0 : 0.0;
            double up = mul(d_log_prob, subtracted(hit, p)), even = mul(mul(d_entropy, p), add(ln_p, entropy));
            row.work[i * row.stride] = is_free(row, i) ? subtracted(up, even) : 0.0;
        }
        from += n;
    }
}

// Independent bits; σ(−|l|) into work, or −1 for a bit that the mask fixes.
__device__ Evaluation evaluate_bits(const Minibatch &m, const Row &row) {
    Evaluation total = {0.0, 0.0, 1};
    for (u32 i = 0; i < m.n_parts; i++) {
        double logit = output_of(row, i), size = magnitude(logit);
        u32 one = row.acted[i] == 1.0f, may_0 = is_free(row, 2 * i), may_1 = is_free(row, 2 * i + 1);
        if (!is_finite(logit) || !(may_0 || may_1)) total.is_one = 0;
        if (!(may_0 && may_1)) {
            row.work[i * row.stride] = -1.0;
            if (one != may_1) total.log_prob = -INFINITE;
            continue;
        }
        double e = exponential(-size), rare = divide(e, add(1.0, e)), softplus = logarithm(add(1.0, e));
        row.work[i * row.stride] = rare;
        u32 likely = one == (logit >= 0.0);
        total.log_prob = add(total.log_prob, likely ? -softplus : subtracted(-softplus, size));
        total.entropy = add(total.entropy, add(softplus, mul(size, rare)));
    }
    return total;
}

__device__ void differentiate_bits(const Minibatch &m, const Row &row, double d_log_prob, double d_entropy) {
    for (u32 i = 0; i < m.n_parts; i++) {
        double logit = output_of(row, i), rare = row.work[i * row.stride], gradient = 0.0;
        if (rare >= 0.0) {
            double p = logit >= 0.0 ? subtracted(1.0, rare) : rare;
            double even = mul(mul(mul(d_entropy, logit), rare), subtracted(1.0, rare));
            gradient = subtracted(mul(d_log_prob, subtracted((double)row.acted[i], p)), even);
        }
        row.work[i * row.stride] = gradient;
    }
}

// Nodes above 0 and weights of the 16-point Gauss-Hermite rule; twin of rl/dist/squashed_gaussian.rs.
#define NODES 8
__device__ __forceinline__ double node_of_rule(u32 i) {
    const double nodes[NODES] = {0.3867606045005573, 1.1638291005549648, 1.9519803457163334, 2.7602450476307014,
                                 3.600873624171548,  4.492955302520011,  5.472225705949343,  6.630878198393129};
    return nodes[i];
}
__device__ __forceinline__ double weight_of_rule(u32 i) {
    const double weights[NODES] = {0.28656852123801213,   0.1583383727509496,     0.047284752354014026,
                                   0.007266937601184733,  0.0005259849265739092,  1.5300032162487272e-05,
                                   1.3094732162868227e-07, 1.4978147231618397e-10};
    return weights[i];
}

__device__ double ln_slope(double u) {
    double a = magnitude(u);
    return mul(2.0, subtracted(subtracted(LN_2, a), logarithm(add(1.0, exponential(mul(-2.0, a))))));
}

__device__ __forceinline__ double log_std_of(const Minibatch &m, const Row &row, u32 i) {
    return m.n_log_std ? m.log_std[i] : output_of(row, m.n_parts + i);
}

__device__ Evaluation evaluate_normals(const Minibatch &m, const Row &row) {
    Evaluation total = {0.0, 0.0, 1};
    for (u32 i = 0; i < m.n_parts; i++) {
        double mean = output_of(row, i), log_std = log_std_of(m, row, i);
        if (!is_finite(mean) || !is_finite(log_std)) total.is_one = 0;
        double s = clamped(log_std, -LOG_STD_LIMIT, LOG_STD_LIMIT);
        double inverse = exponential(-s);
        double z = mul(subtracted((double)row.acted[i], mean), inverse);
        row.work[i * row.stride] = z;
        row.work[(m.n_parts + i) * row.stride] = inverse;
        double ln = subtracted(subtracted(mul(mul(-0.5, z), z), s), HALF_LN_TAU);
        total.log_prob = add(total.log_prob, ln);
        total.entropy = add(total.entropy, add(add(s, 0.5), HALF_LN_TAU));
    }
    for (u32 i = 0; i < m.n_parts && m.kind == SQUASHED; i++) {
        total.log_prob = subtracted(total.log_prob, ln_slope((double)row.acted[i]));
        double sigma = exponential(clamped(log_std_of(m, row, i), -LOG_STD_LIMIT, LOG_STD_LIMIT));
        for (u32 k = 0; k < NODES; k++) {
            double step = mul(sigma, node_of_rule(k)), mean = output_of(row, i);
            double slopes = add(ln_slope(add(mean, step)), ln_slope(subtracted(mean, step)));
            total.entropy = add(total.entropy, mul(weight_of_rule(k), slopes));
        }
    }
    return total;
}

__device__ void differentiate_normals(const Minibatch &m, const Row &row, double d_log_prob, double d_entropy) {
    for (u32 i = 0; i < m.n_parts; i++) {
        double *to_mean = &row.work[i * row.stride], *to_log_std = &row.work[(m.n_parts + i) * row.stride];
        double z = *to_mean, inverse = *to_log_std, log_std = log_std_of(m, row, i), mean = output_of(row, i);
        u32 inside = magnitude(log_std) <= LOG_STD_LIMIT;
        double d_mean = mul(mul(d_log_prob, z), inverse);
        double d_log_std = inside ? add(mul(d_log_prob, subtracted(mul(z, z), 1.0)), d_entropy) : 0.0;
        if (m.kind == SQUASHED && d_entropy != 0.0) {
            double sigma = exponential(clamped(log_std, -LOG_STD_LIMIT, LOG_STD_LIMIT));
            for (u32 k = 0; k < NODES; k++) {
                double node = node_of_rule(k), weight = weight_of_rule(k);
                double up = mul(-2.0, tangent(add(mean, mul(sigma, node))));
                double down = mul(-2.0, tangent(subtracted(mean, mul(sigma, node))));
                d_mean = add(d_mean, mul(mul(d_entropy, weight), add(up, down)));
                if (inside) {
                    double along = mul(mul(mul(mul(d_entropy, weight), subtracted(up, down)), sigma), node);
                    d_log_std = add(d_log_std, along);
                }
            }
        }
        *to_mean = d_mean;
        *to_log_std = d_log_std;
    }
}

// The factor that makes a row of that squared length no longer than `most`; twin of rl/loss/clip.rs.
__device__ __forceinline__ double shrink(double square, double most) {
    double norm = root(square);
    return norm > most ? divide(most, norm) : 1.0;
}

// The policy's gradients of a row into its work, and its part of the sums; whether it has a loss.
__device__ u32 learn_policy(const Minibatch &m, const Row &row, u32 idx, double *sums) {
    Evaluation at = m.kind == CHOICES ? evaluate_choices(m, row)
                    : m.kind == BITS  ? evaluate_bits(m, row)
                                      : evaluate_normals(m, row);
    double weight = divide(subtracted(m.weights[idx], m.mean), m.scale), d_log_prob;
    if (m.old_log_probs) {
        double log_ratio =
            clamped(subtracted(at.log_prob, m.old_log_probs[idx]), -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT);
        double ratio = exponential(log_ratio), free = mul(ratio, weight);
        double held = mul(clamped(ratio, subtracted(1.0, m.clip_range), add(1.0, m.clip_range)), weight);
        sums[0] = -(free < held ? free : held);
        sums[2] = subtracted(subtracted(ratio, 1.0), log_ratio);
        sums[3] = magnitude(subtracted(ratio, 1.0)) > m.clip_range ? 1.0 : 0.0;
        d_log_prob = free <= held ? -free : 0.0;
    } else {
        sums[0] = -mul(weight, at.log_prob);
        d_log_prob = -weight;
    }
    sums[1] = at.entropy;
    double d_entropy = -m.ent_coef;
    if (m.kind == CHOICES) differentiate_choices(m, row, d_log_prob, d_entropy);
    else if (m.kind == BITS) differentiate_bits(m, row, d_log_prob, d_entropy);
    else differentiate_normals(m, row, d_log_prob, d_entropy);
    return at.is_one;
}

__device__ double learn_value(const Minibatch &m, double value, u32 idx, double *squared_error) {
    double target = m.returns[idx], at = value;
    u32 beyond = 0;
    if (m.old_values) {
        double old = (double)m.old_values[idx], step = subtracted(value, old);
        at = add(old, clamped(step, -m.vf_range, m.vf_range));
        beyond = magnitude(step) > m.vf_range;
    }
    double error = subtracted(at, target);
    *squared_error = mul(2.0, mul(mul(0.5, error), error));
    return mul(m.vf_coef, beyond ? 0.0 : error);
}

// Writes a gradient, raises the largest of its column; whole warps call it together.
__device__ __forceinline__ void write_gradient(const Minibatch &m, u32 is_row, u32 i, u32 column, double gradient) {
    float rounded = is_row ? to_f32(gradient) : 0.0f;
    if (is_row) m.gradients[(u64)i * m.n_outputs + column] = rounded;
    i64 most = (i64)(bits_of((double)rounded) & 0x7FFFFFFFFFFFFFFFull);
    for (u32 by = WARP / 2; by > 0; by /= 2) {
        i64 other = from_lane(most, (threadIdx.x + by) % WARP);
        most = other > most ? other : most;
    }
    if (threadIdx.x == 0) raise(&m.largest[column], (u64)most);
}

extern "C" __global__ void losses(Minibatch m) {
    __shared__ double shares[WARP][WARP + 1];
    u32 lane = threadIdx.x, i = blockIdx.x * WARP + lane, n_policy = m.n_outputs - 1;
    u32 is_row = i < m.n_rows, idx = is_row ? m.rows[i] : 0, is_one = 1;
    u32 n_here = m.n_rows - blockIdx.x * WARP < WARP ? m.n_rows - blockIdx.x * WARP : WARP;
    const float *outputs = m.outputs + (u64)(idx / 16) * m.n_outputs * 16 + idx % 16;
    Row row = {outputs, m.acted + (u64)idx * m.action_len, m.mask_len ? m.masks + (u64)idx * m.mask_len : 0,
               m.work + i, m.n_rows};
    double sums[LOSS_SUMS] = {0.0, 0.0, 0.0, 0.0, 0.0};
    double factor = 1.0;
    if (is_row && m.has_policy) {
        is_one = learn_policy(m, row, idx, sums);
        double square = 0.0;
        for (u32 c = 0; c < n_policy; c++) square = add(square, mul(row.work[c * row.stride], row.work[c * row.stride]));
        if (m.clips_policy_norm) factor = shrink(square, m.policy_norm);
    }
    for (u32 c = 0; c < n_policy; c++) {
        double gradient = is_row && m.has_policy ? row.work[c * row.stride] : 0.0;
        write_gradient(m, is_row, i, c, factor != 1.0 ? mul(gradient, factor) : gradient);
    }
    double d_value = 0.0;
    if (is_row && m.has_value) {
        d_value = learn_value(m, (double)outputs[n_policy * 16], idx, &sums[4]);
        if (m.clips_value_norm) {
            double less = shrink(mul(d_value, d_value), m.value_norm);
            if (less != 1.0) d_value = mul(d_value, less);
        }
    }
    write_gradient(m, is_row, i, n_policy, d_value);
    if (!is_one) raise(&m.largest[m.n_outputs], 1);
    // The sums, a warp's width of them at a time: a lane adds up one of them, row after row.
    u32 n_sums = LOSS_SUMS + m.n_log_std;
    for (u32 first = 0; first < n_sums; first += WARP) {
        u32 n = n_sums - first < WARP ? n_sums - first : WARP;
        for (u32 s = 0; s < n && is_row; s++) {
            u32 sum = first + s;
            double own = 0.0;
            if (sum < LOSS_SUMS) own = sums[sum];
            else if (m.has_policy) own = row.work[(n_policy + sum - LOSS_SUMS) * row.stride];
            shares[s][lane] = own;
        }
        __syncthreads();
        if (lane < n) {
            double total = 0.0;
            for (u32 r = 0; r < n_here; r++) total = add(total, shares[lane][r]);
            m.sums[(u64)blockIdx.x * n_sums + first + lane] = total;
        }
        __syncthreads();
    }
}
