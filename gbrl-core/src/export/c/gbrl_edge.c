/* The interpreter of gbrl's loadable form; see gbrl_edge.h, and docs/edge-format.md for the bytes. */
#include "gbrl_edge.h"

#include <string.h>

#include "target.c"
#include "strict.c"

enum { HEADER = 64, RUN = 12, BINARY = 255, MAX_DEPTH = 16 };
enum { DISCRETE = 0, MULTI_BINARY = 1, BOX = 2, SQUASHED_BOX = 3 };
enum { LEAF_FLOAT = 0, LEAF_INT16 = 1, LEAF_INT8 = 2 };
enum { MISSING_RIGHT = 1, EQUAL = 2 };

static uint32_t u16_at(const uint8_t *bytes, uint32_t i)
{
    return (uint32_t)bytes[2u * i] | ((uint32_t)bytes[(2u * i) + 1u] << 8);
}

static uint32_t u32_at(const uint8_t *bytes, uint32_t i)
{
    return u16_at(bytes, 2u * i) | (u16_at(bytes, (2u * i) + 1u) << 16);
}

static float as_float(uint32_t bits)
{
    float x;

    (void)memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t as_bits(float x)
{
    uint32_t bits;

    (void)memcpy(&bits, &x, sizeof bits);
    return bits;
}

static int32_t as_signed(uint32_t bits)
{
    int32_t x;

    (void)memcpy(&x, &bits, sizeof x);
    return x;
}

/* CRC-32 (IEEE 802.3, reflected), bit by bit: it is run once, and a table would cost flash. */
static uint32_t crc32(const uint8_t *bytes, uint32_t length)
{
    uint32_t crc = 0xffffffffu;
    uint32_t i;
    uint32_t bit;

    for (i = 0u; i < length; i++) {
        crc ^= bytes[i];
        for (bit = 0u; bit < 8u; bit++) {
            crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
        }
    }
    return ~crc;
}

/* The next n elements of `width` bytes, or NULL if there are fewer. */
static const uint8_t *take(const uint8_t **rest, uint32_t *left, uint32_t n, uint32_t width)
{
    const uint8_t *taken = *rest;

    if ((width != 0u) && (n > (*left / width))) {
        return NULL;
    }
    *left -= n * width;
    *rest = &taken[n * width];
    return taken;
}

static uint32_t test_slot(const gbrl_edge_policy *policy, const uint8_t *test)
{
    return (policy->test_width == 2u) ? (uint32_t)test[0] : u16_at(test, 0u);
}

/* A link's index, its highest bit set for a leaf. */
static uint32_t link_at(const gbrl_edge_policy *policy, const uint8_t *links, uint32_t i)
{
    uint32_t link;

    if (policy->link_width == 1u) {
        link = links[i];
        return (link & 0x7fu) | ((link & 0x80u) << 24);
    }
    link = u16_at(links, i);
    return (link & 0x7fffu) | ((link & 0x8000u) << 16);
}

static int head_holds(const gbrl_edge_policy *policy)
{
    uint32_t total = 0u;
    uint32_t i;

    if (policy->action_len == 0u) {
        return 0;
    }
    for (i = 0u; (policy->head == (uint8_t)DISCRETE) && (i < policy->action_len); i++) {
        const uint32_t n = u32_at(policy->parts, 2u * i);
        const uint32_t start = u32_at(policy->parts, (2u * i) + 1u);
        /* Shifted so that the smallest integer is 0: no sum of start and choice may pass the largest. */
        const uint32_t room = 0xffffffffu - (start ^ 0x80000000u);

        if ((n == 0u) || ((n - 1u) > room) || (n > (policy->n_logits - total))) {
            return 0;
        }
        total += n;
    }
    for (i = 0u; (policy->head >= (uint8_t)BOX) && (i < policy->action_len); i++) {
        const uint32_t low = u32_at(policy->parts, 2u * i);
        const uint32_t high = u32_at(policy->parts, (2u * i) + 1u);
        const uint32_t most = (policy->head == (uint8_t)BOX) ? 0x7f800000u : 0x7f7fffffu;

        if (((low & 0x7fffffffu) > most) || ((high & 0x7fffffffu) > most) || (as_float(low) > as_float(high))) {
            return 0;
        }
    }
    return ((policy->head == (uint8_t)DISCRETE) ? total : policy->action_len) == policy->n_logits;
}

static int slots_hold(gbrl_edge_policy *policy, uint32_t n_keys)
{
    const uint8_t *keys = policy->keys;
    uint32_t left = n_keys;
    uint32_t i;
    uint32_t k;

    policy->n_order = 0u;
    for (i = 0u; i < policy->n_codes; i++) {
        const uint8_t *slot = &policy->slots[4u * i];
        const uint32_t n = slot[3];

        if ((u16_at(slot, 0u) >= policy->n_features) || (slot[2] > (uint8_t)EQUAL) || (n == 0u) || (n > left)) {
            return 0;
        }
        if (slot[2] != (uint8_t)EQUAL) {
            if (policy->n_order != i) {
                return 0;
            }
            policy->n_order++;
        }
        for (k = 1u; k < n; k++) {
            if (u32_at(keys, k - 1u) >= u32_at(keys, k)) {
                return 0;
            }
        }
        keys = &keys[4u * n];
        left -= n;
    }
    return left == 0u;
}

static int tests_hold(const gbrl_edge_policy *policy, uint32_t n_tests)
{
    uint32_t i;

    for (i = 0u; i < n_tests; i++) {
        const uint8_t *test = &policy->tests[i * policy->test_width];
        const uint32_t slot = test_slot(policy, test);

        if ((slot >= policy->n_codes) || (test[policy->test_width - 1u] >= policy->slots[(4u * slot) + 3u])) {
            return 0;
        }
    }
    return 1;
}

/* Takes n times `each` from what is left; 0 if there is not so much. */
static int spend(uint32_t *left, uint32_t n, uint32_t each)
{
    if ((each != 0u) && (n > (*left / each))) {
        return 0;
    }
    *left -= n * each;
    return 1;
}

static int trees_hold(const gbrl_edge_policy *policy, uint32_t trees, uint32_t binary, uint32_t tests, uint32_t leaves)
{
    const uint8_t *sizes = policy->sizes;
    const uint8_t *links = policy->links;
    uint32_t i;

    for (i = 0u; i < policy->n_runs; i++) {
        const uint8_t *run = &policy->runs[(uint32_t)RUN * i];
        const uint32_t n = u32_at(run, 0u);
        const uint32_t width = u16_at(run, 3u);
        const uint32_t depth = run[8];
        uint32_t tree;

        if ((n == 0u) || (width == 0u) || ((u16_at(run, 2u) + width) > policy->n_sums) || !spend(&trees, n, 1u)) {
            return 0;
        }
        if (depth != (uint32_t)BINARY) {
            if ((depth > (uint32_t)MAX_DEPTH) || !spend(&tests, n, depth)) {
                return 0;
            }
            /* width << depth has at most 32 bits. */
            if ((width > (0xffffffffu >> depth)) || !spend(&leaves, n, width << depth)) {
                return 0;
            }
            continue;
        }
        if (!spend(&binary, n, 1u)) {
            return 0;
        }
        for (tree = 0u; tree < n; tree++) {
            const uint32_t size = u16_at(sizes, 0u);
            uint32_t at;

            if ((size == 0u) || !spend(&tests, size, 1u) || !spend(&leaves, size + 1u, width)) {
                return 0;
            }
            for (at = 0u; at < (2u * size); at++) {
                const uint32_t link = link_at(policy, links, at);

                if ((link & 0x80000000u) != 0u) {
                    if ((link & 0x7fffffffu) > size) {
                        return 0;
                    }
                } else if ((link <= (at / 2u)) || (link >= size)) {
                    return 0;
                } else {
                    /* leads on */
                }
            }
            links = &links[2u * size * policy->link_width];
            sizes = &sizes[2];
        }
    }
    return (trees == 0u) && (binary == 0u) && (tests == 0u) && (leaves == 0u);
}

int gbrl_edge_open(gbrl_edge_policy *policy, const uint8_t *bytes, uint32_t length)
{
    static const uint8_t magic[8] = {0x47u, 0x42u, 0x52u, 0x45u, 1u, 0u, (uint8_t)HEADER, 0u};
    const uint8_t *rest;
    uint32_t left;
    uint32_t i;
    uint32_t n_nodes = 0u;
    uint32_t relative;

    if (length < ((uint32_t)HEADER + 4u)) {
        return GBRL_EDGE_LENGTH;
    }
    if (memcmp(bytes, magic, sizeof magic) != 0) {
        return GBRL_EDGE_MAGIC;
    }
    if (u32_at(bytes, 2u) != length) {
        return GBRL_EDGE_LENGTH;
    }
    if (crc32(bytes, length - 4u) != u32_at(&bytes[length - 4u], 0u)) {
        return GBRL_EDGE_CHECKSUM;
    }
    policy->n_features = u32_at(bytes, 3u);
    policy->head = bytes[16];
    policy->leaf = bytes[17];
    policy->has_value = bytes[18];
    policy->test_width = bytes[19];
    policy->link_width = bytes[20];
    policy->n_logits = u32_at(bytes, 6u);
    policy->n_sums = u32_at(bytes, 7u);
    policy->action_len = u32_at(bytes, 8u);
    policy->n_codes = u32_at(bytes, 9u);
    policy->n_runs = u32_at(bytes, 11u);
    policy->is_box = (policy->head >= (uint8_t)BOX) ? 1u : 0u;
    if ((bytes[21] != 0u) || (u16_at(bytes, 11u) != 0u) || (policy->has_value > 1u) ||
        (policy->head > (uint8_t)SQUASHED_BOX) || (policy->leaf > (uint8_t)LEAF_INT8) ||
        (policy->n_features == 0u) || (policy->n_features > 65536u) || (policy->n_codes > 65536u) ||
        (policy->n_logits > 65536u) || (policy->action_len > policy->n_logits) ||
        (policy->test_width != ((policy->n_codes > 256u) ? 3u : 2u)) ||
        ((u32_at(bytes, 13u) == 0u) ? (policy->link_width != 0u)
                                    : ((policy->link_width == 0u) || (policy->link_width > 2u)))) {
        return GBRL_EDGE_LAYOUT;
    }
    relative = ((policy->head == (uint8_t)DISCRETE) && (policy->leaf != (uint8_t)LEAF_FLOAT)) ? policy->action_len : 0u;
    if (policy->n_sums != ((policy->n_logits + policy->has_value) - relative)) {
        return GBRL_EDGE_LAYOUT;
    }
    policy->mask_len = (policy->is_box != 0u) ? 0u : policy->n_logits;
    policy->mask_len *= (policy->head == (uint8_t)MULTI_BINARY) ? 2u : 1u;
    rest = &bytes[HEADER];
    left = length - (uint32_t)HEADER - 4u;
    policy->parts = take(&rest, &left, policy->action_len, (policy->head == (uint8_t)MULTI_BINARY) ? 0u : 8u);
    policy->bias = take(&rest, &left, policy->n_sums, 4u);
    policy->scales = take(&rest, &left, policy->n_sums, (policy->leaf == (uint8_t)LEAF_FLOAT) ? 0u : 4u);
    policy->slots = take(&rest, &left, policy->n_codes, 4u);
    policy->keys = take(&rest, &left, u32_at(bytes, 10u), 4u);
    policy->runs = take(&rest, &left, policy->n_runs, (uint32_t)RUN);
    policy->sizes = take(&rest, &left, u32_at(bytes, 13u), 2u);
    policy->tests = take(&rest, &left, u32_at(bytes, 14u), policy->test_width);
    if ((policy->parts == NULL) || (policy->bias == NULL) || (policy->scales == NULL) || (policy->slots == NULL) ||
        (policy->keys == NULL) || (policy->runs == NULL) || (policy->sizes == NULL) || (policy->tests == NULL)) {
        return GBRL_EDGE_LAYOUT;
    }
    for (i = 0u; i < u32_at(bytes, 13u); i++) {
        n_nodes += u16_at(policy->sizes, i); /* at most 2^31 trees of 2^16 nodes lie in bytes: tests were taken */
        if (n_nodes > u32_at(bytes, 14u)) {
            return GBRL_EDGE_LAYOUT;
        }
    }
    policy->links = take(&rest, &left, n_nodes, 2u * (uint32_t)policy->link_width);
    policy->leaves = take(&rest, &left, u32_at(bytes, 15u), 4u >> policy->leaf);
    if ((policy->links == NULL) || (policy->leaves == NULL) || (left != 0u) || !head_holds(policy) ||
        !slots_hold(policy, u32_at(bytes, 10u)) || !tests_hold(policy, u32_at(bytes, 14u)) ||
        !trees_hold(policy, u32_at(bytes, 12u), u32_at(bytes, 13u), u32_at(bytes, 14u), u32_at(bytes, 15u))) {
        return GBRL_EDGE_LAYOUT;
    }
    return GBRL_EDGE_OK;
}

/* One code per slot. As many steps whatever the values. */
static void encode(const gbrl_edge_policy *policy, const float *obs, uint8_t *codes)
{
    const uint8_t *keys = policy->keys;
    uint32_t i;

    for (i = 0u; i < policy->n_codes; i++) {
        const uint8_t *slot = &policy->slots[4u * i];
        const uint32_t n = slot[3];
        uint32_t bits = as_bits(obs[u16_at(slot, 0u)]);
        uint32_t rank = 0u;
        uint32_t length = n;
        uint32_t key;

        if ((slot[2] == (uint8_t)EQUAL) && (bits == 0x80000000u)) {
            bits = 0u; /* -0 equals +0 */
        }
        key = bits ^ ((0u - (bits >> 31)) | 0x80000000u);
        while (length > 1u) {
            const uint32_t half = length >> 1;

            rank += (u32_at(keys, (rank + half) - 1u) < key) ? half : 0u;
            length -= half;
        }
        rank += (u32_at(keys, rank) < key) ? 1u : 0u;
        if (slot[2] == (uint8_t)EQUAL) {
            rank = ((rank < n) && (u32_at(keys, rank) == key)) ? (rank + 1u) : 0u;
        }
        if ((bits & 0x7fffffffu) > 0x7f800000u) { /* missing */
            rank = (slot[2] == (uint8_t)MISSING_RIGHT) ? n : 0u;
        }
        codes[i] = (uint8_t)rank;
        keys = &keys[4u * n];
    }
}

static uint32_t asks(const gbrl_edge_policy *policy, const uint8_t *codes, const uint8_t *test)
{
    const uint32_t slot = test_slot(policy, test);
    const uint32_t key = test[policy->test_width - 1u];
    const uint32_t code = codes[slot];

    return ((slot < policy->n_order) ? (code > key) : (code == (key + 1u))) ? 1u : 0u;
}

/* A sum with leaf value i added. */
static uint32_t add(const gbrl_edge_policy *policy, uint32_t sum, const uint8_t *leaves, uint32_t i)
{
    if (policy->leaf == (uint8_t)LEAF_FLOAT) {
        return as_bits(as_float(sum) + as_float(u32_at(leaves, i)));
    }
    if (policy->leaf == (uint8_t)LEAF_INT16) {
        return sum + ((u16_at(leaves, i) ^ 0x8000u) - 0x8000u);
    }
    return sum + (((uint32_t)leaves[i] ^ 0x80u) - 0x80u);
}

static void run_trees(const gbrl_edge_policy *policy, const float *obs, uint8_t *codes, uint32_t *sums)
{
    const uint32_t leaf_bytes = 4u >> policy->leaf;
    const uint8_t *sizes = policy->sizes;
    const uint8_t *test = policy->tests;
    const uint8_t *links = policy->links;
    const uint8_t *leaves = policy->leaves;
    uint32_t i;
    uint32_t r;

    encode(policy, obs, codes);
    for (i = 0u; i < policy->n_sums; i++) {
        sums[i] = u32_at(policy->bias, i);
    }
    for (r = 0u; r < policy->n_runs; r++) {
        const uint8_t *run = &policy->runs[(uint32_t)RUN * r];
        const uint32_t n_trees = u32_at(run, 0u);
        const uint32_t first = u16_at(run, 2u);
        const uint32_t width = u16_at(run, 3u);
        const uint32_t depth = run[8];
        uint32_t tree;

        for (tree = 0u; tree < n_trees; tree++) {
            uint32_t at = 0u;
            uint32_t n_leaves;

            if (depth == (uint32_t)BINARY) {
                const uint32_t size = u16_at(sizes, 0u);

                n_leaves = size + 1u;
                for (;;) {
                    at = link_at(policy, links, (2u * at) + asks(policy, codes, &test[at * policy->test_width]));
                    if ((at & 0x80000000u) != 0u) {
                        at &= 0x7fffffffu;
                        break;
                    }
                }
                test = &test[size * policy->test_width];
                links = &links[2u * size * policy->link_width];
                sizes = &sizes[2];
            } else {
                n_leaves = 1u << depth;
                for (i = 0u; i < depth; i++) {
                    at = (at << 1) | asks(policy, codes, test);
                    test = &test[policy->test_width];
                }
            }
            for (i = 0u; i < width; i++) {
                sums[first + i] = add(policy, sums[first + i], leaves, (at * width) + i);
            }
            leaves = &leaves[n_leaves * width * leaf_bytes];
        }
    }
}

/* A sum as a number. */
static float output(const gbrl_edge_policy *policy, const uint32_t *sums, uint32_t i)
{
    if (policy->leaf == (uint8_t)LEAF_FLOAT) {
        return as_float(sums[i]);
    }
    return (float)as_signed(sums[i]) * as_float(u32_at(policy->scales, i));
}

/* Whether the first of two logits is larger. */
static int exceeds(const gbrl_edge_policy *policy, uint32_t a, uint32_t b)
{
    if (policy->leaf == (uint8_t)LEAF_FLOAT) {
        return as_float(a) > as_float(b);
    }
    return as_signed(a) > as_signed(b);
}

int gbrl_edge_act(const gbrl_edge_policy *policy, const float *obs, const uint8_t *mask, uint8_t *codes,
                  uint32_t *sums, int32_t *action)
{
    const uint32_t *logits = sums;
    uint32_t part;
    uint32_t from = 0u;

    if (policy->is_box != 0u) {
        return GBRL_EDGE_ABSENT;
    }
    run_trees(policy, obs, codes, sums);
    for (part = 0u; part < policy->action_len; part++) {
        if (policy->head == (uint8_t)MULTI_BINARY) {
            const int no = (mask == NULL) || (mask[2u * part] != 0u);
            const int yes = (mask == NULL) || (mask[(2u * part) + 1u] != 0u);

            if ((no == 0) && (yes == 0)) {
                return GBRL_EDGE_NOTHING_ALLOWED;
            }
            action[part] = (no == yes) ? exceeds(policy, sums[part], 0u) : yes;
        } else {
            const uint32_t n = u32_at(policy->parts, 2u * part);
            const uint32_t relative = (policy->leaf == (uint8_t)LEAF_FLOAT) ? 0u : 1u;
            uint32_t best = n;
            uint32_t largest = 0u;
            uint32_t choice;

            for (choice = 0u; choice < n; choice++) {
                const uint32_t here = (choice < relative) ? 0u : logits[choice - relative];
                const int allowed = (mask == NULL) || (mask[from + choice] != 0u);

                if (allowed && ((best == n) || exceeds(policy, here, largest))) {
                    best = choice;
                    largest = here;
                }
            }
            if (best == n) {
                return GBRL_EDGE_NOTHING_ALLOWED;
            }
            action[part] = as_signed(u32_at(policy->parts, (2u * part) + 1u) + best);
            from += n;
            logits = &logits[n - relative];
        }
    }
    return GBRL_EDGE_OK;
}

#include "tanh.c"

int gbrl_edge_act_box(const gbrl_edge_policy *policy, const float *obs, uint8_t *codes, uint32_t *sums, float *action)
{
    uint32_t i;

    if (policy->is_box == 0u) {
        return GBRL_EDGE_ABSENT;
    }
    run_trees(policy, obs, codes, sums);
    for (i = 0u; i < policy->action_len; i++) {
        const float low = as_float(u32_at(policy->parts, 2u * i));
        const float high = as_float(u32_at(policy->parts, (2u * i) + 1u));
        float x = output(policy, sums, i);

        if (policy->head == (uint8_t)SQUASHED_BOX) {
            x = (float)((double)low + (((double)high - (double)low) * (0.5 * (pol_tanh((double)x) + 1.0))));
        }
        x = (x < low) ? low : x;
        action[i] = (x > high) ? high : x;
    }
    return GBRL_EDGE_OK;
}

void gbrl_edge_logits(const gbrl_edge_policy *policy, const float *obs, uint8_t *codes, uint32_t *sums, float *logits)
{
    const int relative = (policy->head == (uint8_t)DISCRETE) && (policy->leaf != (uint8_t)LEAF_FLOAT);
    uint32_t part = 0u;
    uint32_t left = 0u;
    uint32_t sum = 0u;
    uint32_t i;

    run_trees(policy, obs, codes, sums);
    for (i = 0u; i < policy->n_logits; i++) {
        if (relative && (left == 0u)) {
            left = u32_at(policy->parts, 2u * part) - 1u;
            part++;
            logits[i] = 0.0f;
        } else {
            left--;
            logits[i] = output(policy, sums, sum);
            sum++;
        }
    }
}

int gbrl_edge_value(const gbrl_edge_policy *policy, const float *obs, uint8_t *codes, uint32_t *sums, float *value)
{
    if (policy->has_value == 0u) {
        return GBRL_EDGE_ABSENT;
    }
    run_trees(policy, obs, codes, sums);
    *value = output(policy, sums, policy->n_sums - 1u);
    return GBRL_EDGE_OK;
}
