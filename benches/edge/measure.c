/* Decides on recorded rows: are the bits right, how many instructions, how much stack. */
#include <stdint.h>
#include <string.h>

#include HEADER
#include "rows.h"

void semihost(uint32_t operation, const void *argument);

#define SYSTICK ((volatile uint32_t *)0xe000e010u)

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

static uint32_t now(void)
{
    return 0xffffffu - SYSTICK[2];
}

/* 3,000,000 instructions, to know how many one tick of the clock is. */
static __attribute__((noinline)) void calibrate(void)
{
    __asm__ volatile("ldr r0, =1000000\n1: sub r0, r0, #1\n cmp r0, #0\n bne 1b" ::: "r0", "cc");
}

int main(void)
{
    static float obs[N_FEATURES];
#if IS_BOX
    static float action[ACTION_LEN];
#else
    static int32_t action[ACTION_LEN];
#endif
    static float logits[N_LOGITS];
    uint32_t row;
    uint32_t wrong = 0u;
    uint32_t ticks;
    uint32_t total = 0u;
    uint32_t most = 0u;
    uint32_t used;
    volatile uint8_t *stack;
    volatile uint8_t *low;

    if (SELF_TEST() != 0) {
        wrong++;
    }
    for (row = 0u; row < N_ROWS; row++) {
        (void)memcpy(obs, &rows_obs[row * N_FEATURES], sizeof obs);
        LOGITS(obs, logits);
        if ((ACT(obs, NULL, action) != 0) || (memcmp(action, &rows_actions[row * ACTION_LEN], sizeof action) != 0) ||
            (memcmp(logits, &rows_logits[row * N_LOGITS], sizeof logits) != 0)) {
            wrong++;
        }
    }
    print("wrong ", wrong);
    SYSTICK[1] = 0xffffffu;
    SYSTICK[2] = 0u;
    SYSTICK[0] = 5u;
    ticks = now();
    calibrate();
    print("calibration ", (now() - ticks) & 0xffffffu);
    for (row = 0u; row < N_ROWS; row++) {
        uint32_t i;

        (void)memcpy(obs, &rows_obs[row * N_FEATURES], sizeof obs);
        ticks = now();
        for (i = 0u; i < REPEATS; i++) {
            (void)ACT(obs, NULL, action);
        }
        ticks = (now() - ticks) & 0xffffffu;
        total += ticks;
        most = (ticks > most) ? ticks : most;
    }
    print("total ", total);
    print("most ", most);
    stack = (volatile uint8_t *)__builtin_frame_address(0) - 64;
    for (low = stack - 2048; low < stack; low++) {
        *low = 0xa5u;
    }
    __asm__ volatile("" ::: "memory");
    (void)ACT(obs, NULL, action);
    for (used = 0u; (used < 2048u) && (stack[(int32_t)used - 2048] == 0xa5u); used++) {
    }
    /* From the caller's stack pointer on: what lies between it and the painted bytes is counted too. */
    {
        uint8_t *sp;

        __asm__ volatile("mov %0, sp" : "=r"(sp));
        print("stack ", (uint32_t)(sp - (const uint8_t *)&stack[-2048]) - used);
    }
    return (wrong == 0u) ? 0 : 1;
}
