/* Exported C as a WebAssembly module: memory for one decision, and functions without pointers. */
#include <stdint.h>

#include HEADER

#define EXPORT(name) __attribute__((export_name(#name)))

#define AT_LEAST_ONE(n) (((n) > 0) ? (n) : 1)

static float obs[N_FEATURES];
static uint8_t mask[AT_LEAST_ONE(MASK_LEN)];
#if IS_BOX
static float action[ACTION_LEN];
#else
static int32_t action[ACTION_LEN];
#endif
static float logits[N_LOGITS];

EXPORT(obs) float *at_obs(void) { return obs; }
EXPORT(mask) uint8_t *at_mask(void) { return mask; }
EXPORT(action) void *at_action(void) { return action; }
EXPORT(logits) float *at_logits(void) { return logits; }

/* Decides on the memory at obs(), with the mask at mask() if use_mask is not 0. */
EXPORT(act) int32_t act(int32_t use_mask) { return ACT(obs, (use_mask != 0) ? mask : (const uint8_t *)0, action); }
EXPORT(compute_logits) void compute_logits(void) { LOGITS(obs, logits); }
#if HAS_VALUE
EXPORT(value) float value(void) { return VALUE(obs); }
#endif
EXPORT(self_test) int32_t self_test(void) { return SELF_TEST(); }

/* There is no C library. */
void *memcpy(void *to, const void *from, __SIZE_TYPE__ n)
{
    __SIZE_TYPE__ i;

    for (i = 0; i < n; i++) {
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }
    return to;
}

int memcmp(const void *a, const void *b, __SIZE_TYPE__ n)
{
    __SIZE_TYPE__ i;

    for (i = 0; i < n; i++) {
        const int difference = ((const uint8_t *)a)[i] - ((const uint8_t *)b)[i];

        if (difference != 0) {
            return difference;
        }
    }
    return 0;
}
