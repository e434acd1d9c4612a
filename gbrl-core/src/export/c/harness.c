/* Decides on the rows of a file: harness ROWS OUTPUTS [POLICY]. With HEADER defined by exported C, else by the
 * interpreter on the loadable form in POLICY. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef HEADER
#include HEADER
#else
#include "gbrl_edge.h"
#endif

static int read_all(FILE *file, void *to, size_t size, size_t n)
{
    return fread(to, size, n, file) == n;
}

#ifdef HEADER
static int open_policy(const char *path)
{
    (void)path;
    return SELF_TEST();
}

static int decide(const float *obs, const uint8_t *mask, FILE *out)
{
#if IS_BOX
    float action[ACTION_LEN];
#else
    int32_t action[ACTION_LEN];
#endif
    float logits[N_LOGITS];
    const int status = ACT(obs, mask, action);

    LOGITS(obs, logits);
    (void)fwrite(action, sizeof action[0], ACTION_LEN, out);
    (void)fwrite(logits, sizeof logits[0], N_LOGITS, out);
#if HAS_VALUE
    {
        const float value = VALUE(obs);

        (void)fwrite(&value, sizeof value, 1, out);
    }
#endif
    return status;
}
#else
static gbrl_edge_policy policy;
static uint8_t *codes;
static uint32_t *sums;
static int32_t *action;
static float *real;
static float *logits;
#define N_FEATURES policy.n_features
#define MASK_LEN policy.mask_len

static int open_policy(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes;
    long length;

    if ((file == NULL) || (fseek(file, 0, SEEK_END) != 0)) {
        return -1;
    }
    length = ftell(file);
    rewind(file);
    bytes = malloc((size_t)length);
    if ((bytes == NULL) || !read_all(file, bytes, 1, (size_t)length)) {
        return -1;
    }
    (void)fclose(file);
    {
        const int status = gbrl_edge_open(&policy, bytes, (uint32_t)length);

        if (status != GBRL_EDGE_OK) {
            return status;
        }
    }
    codes = malloc(policy.n_codes + 1u);
    sums = malloc((policy.n_sums + 1u) * sizeof *sums);
    action = malloc(policy.action_len * sizeof *action);
    real = malloc(policy.action_len * sizeof *real);
    logits = malloc(policy.n_logits * sizeof *logits);
    return 0;
}

static int decide(const float *obs, const uint8_t *mask, FILE *out)
{
    int status;
    float value;

    if (policy.is_box != 0u) {
        status = gbrl_edge_act_box(&policy, obs, codes, sums, real);
        (void)fwrite(real, sizeof *real, policy.action_len, out);
    } else {
        status = gbrl_edge_act(&policy, obs, mask, codes, sums, action);
        (void)fwrite(action, sizeof *action, policy.action_len, out);
    }
    gbrl_edge_logits(&policy, obs, codes, sums, logits);
    (void)fwrite(logits, sizeof *logits, policy.n_logits, out);
    if (gbrl_edge_value(&policy, obs, codes, sums, &value) == GBRL_EDGE_OK) {
        (void)fwrite(&value, sizeof value, 1, out);
    }
    return status;
}
#endif

int main(int argc, char **argv)
{
    FILE *in;
    FILE *out;
    uint32_t head[2];
    uint32_t row;
    float *obs;
    uint8_t *mask;

    if (argc < 3) {
        return 2;
    }
    {
        const int status = open_policy((argc > 3) ? argv[3] : NULL);

        if (status != 0) {
            (void)fprintf(stderr, "opening or self-test: %d\n", status);
            return 3;
        }
    }
    in = fopen(argv[1], "rb");
    out = fopen(argv[2], "wb");
    if ((in == NULL) || (out == NULL) || !read_all(in, head, sizeof head[0], 2)) {
        return 4;
    }
    obs = malloc(N_FEATURES * sizeof *obs);
    mask = malloc((size_t)MASK_LEN + 1u);
    for (row = 0u; row < head[0]; row++) {
        int status;

        if (!read_all(in, obs, sizeof *obs, N_FEATURES) || ((head[1] != 0u) && !read_all(in, mask, 1, MASK_LEN))) {
            return 5;
        }
        status = decide(obs, (head[1] != 0u) ? mask : NULL, out);
        if (status != 0) {
            (void)fprintf(stderr, "row %lu: status %d\n", (unsigned long)row, status);
            return 6;
        }
    }
    return (fclose(out) == 0) ? 0 : 7;
}
