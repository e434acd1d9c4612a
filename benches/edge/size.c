/* A program with a policy and one without: their difference is what the policy costs. */
#include <stdint.h>

#include HEADER

volatile float obs[N_FEATURES];
volatile int32_t action;

int main(void)
{
#ifdef WITH_POLICY
#if IS_BOX
    float act[ACTION_LEN];
#else
    int32_t act[ACTION_LEN];
#endif
    (void)ACT((const float *)(uintptr_t)obs, (const uint8_t *)0, act);
    action = (int32_t)act[0];
#endif
    return 0;
}
