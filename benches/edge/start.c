/* The smallest program for a Cortex-M: vectors, a stack, semihosting. */
#include <stdint.h>

extern uint32_t stack_top;
extern uint8_t data_load, data_start, data_end, bss_start, bss_end;
int main(void);

void semihost(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;

    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

__attribute__((noreturn)) void finish(uint32_t reason)
{
    semihost(0x18u, (const void *)(uintptr_t)reason); /* SYS_EXIT */
    for (;;) {
    }
}

void reset(void)
{
    const uint8_t *from = &data_load;
    uint8_t *to;

#ifdef __ARM_FP
    *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20; /* the floating-point unit */
    __asm__ volatile("dsb\n isb");
#endif
    for (to = &data_start; to < &data_end; to++) {
        *to = *from++;
    }
    for (to = &bss_start; to < &bss_end; to++) {
        *to = 0;
    }
    finish((main() == 0) ? 0x20026u : 0x20023u);
}

static void fault(void)
{
    finish(0x20023u);
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))&stack_top, reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, fault,
};
