/* Decides on recorded rows: are the bits right, how many instructions, how much stack. */
#include <stdint.h>
#include <string.h>

#include HEADER
#include "rows.h"

void semihost(uint32_t operation, const void *argument);

#define SYSTICK ((volatile uint32_t *)0xe000e010u)
/* Bytes below the caller's stack that are watched. */
#define WATCHED 2048u

static float obs[N_FEATURES];
#if IS_BOX
static float action[ACTION_LEN];
#else
static int32_t action[ACTION_LEN];
#endif
static float logits[N_LOGITS];

static void print(const char *name, uint32_t x)
{
    char text[32];
    char digits[11];
    uint32_t n = 0u;
    uint32_t at = 0u;

    while (*name != '\0') {
        text[at++] = *name++;
    }
    do {
        digits[n++] = (char)('0' + (x % 10u));
        x /= 10u;
    } while (x != 0u);
    while (n > 0u) {
        text[at++] = digits[--n];
    }
    text[at++] = '\n';
    text[at] = '\0';
    semihost(4u, text); /* SYS_WRITE0 */
}

static const uint8_t *show(uint32_t row)
{
    (void)memcpy(obs, &rows_obs[row * N_FEATURES], sizeof obs);
#if HAS_MASKS
    return &rows_masks[row * MASK_LEN];
#else
    return NULL;
#endif
}

static int is_wrong(uint32_t row)
{
    const uint8_t *mask = show(row);
    int wrong;

    LOGITS(obs, logits);
    wrong = ACT(obs, mask, action) != 0;
    wrong |= memcmp(action, &rows_actions[row * ACTION_LEN], sizeof action) != 0;
    wrong |= memcmp(logits, &rows_logits[row * N_LOGITS], sizeof logits) != 0;
#if HAS_VALUE
    {
        const float value = VALUE(obs);

        wrong |= memcmp(&value, &rows_values[row], sizeof value) != 0;
    }
#endif
    return wrong;
}

static uint32_t now(void)
{
    return 0xffffffu - SYSTICK[2];
}

/* 3,000,000 instructions, to know how many one tick of the clock is. */
static __attribute__((noinline)) void calibrate(void)
{
    __asm__ volatile("ldr r0, =1000000\n1: sub r0, r0, #1\n cmp r0, #0\n bne 1b" ::: "r0", "cc");
}

/* Bytes below the caller's stack that a decision writes to: its frames, and those of all that it calls. */
static __attribute__((noinline)) uint32_t stack_of(const uint8_t *mask)
{
    volatile uint8_t *sp;
    uint32_t left;

    __asm__ volatile("mov %0, sp" : "=r"(sp));
    for (left = 1u; left <= WATCHED; left++) {
        sp[-(int32_t)left] = 0xa5u;
    }
    (void)ACT(obs, mask, action);
    for (left = WATCHED; (left > 0u) && (sp[-(int32_t)left] == 0xa5u); left--) {
    }
    return left;
}

int main(void)
{
    uint32_t row;
    uint32_t wrong = 0u;

    wrong += (SELF_TEST() != 0) ? 1u : 0u;
    for (row = 0u; row < N_ROWS; row++) {
        wrong += is_wrong(row) ? 1u : 0u;
    }
    print("wrong ", wrong);
#if REPEATS > 0
    {
        uint32_t ticks;
        uint32_t most = 0u;
        uint32_t stack = 0u;

        SYSTICK[1] = 0xffffffu;
        SYSTICK[2] = 0u;
        SYSTICK[0] = 5u;
        ticks = now();
        calibrate();
        print("calibration ", (now() - ticks) & 0xffffffu);
        for (row = 0u; row < N_TIMED; row++) {
            const uint8_t *mask = show(row);
            uint32_t i;
            uint32_t used;

            ticks = now();
            for (i = 0u; i < REPEATS; i++) {
                (void)ACT(obs, mask, action);
            }
            ticks = (now() - ticks) & 0xffffffu;
            most = (ticks > most) ? ticks : most;
            used = stack_of(mask);
            stack = (used > stack) ? used : stack;
        }
        print("most ", most);
        print("stack ", stack);
    }
#endif
    return (wrong == 0u) ? 0 : 1;
}
