/* Opens and uses every policy of attacks.bin in memory of exactly its size; writes 0 or 1 (refused) for each. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "gbrl_edge.h"

int main(void)
{
    FILE *file = fopen("attacks.bin", "rb");
    uint32_t length;

    if (file == NULL) {
        return 2;
    }
    while (fread(&length, sizeof length, 1, file) == 1) {
        uint8_t *bytes = malloc(length);
        gbrl_edge_policy policy;
        int refused;

        if ((bytes == NULL) || (fread(bytes, 1, length, file) != length)) {
            return 3;
        }
        refused = gbrl_edge_open(&policy, bytes, length) != GBRL_EDGE_OK;
        if (!refused) {
            const float values[4] = {0.0f, NAN, INFINITY, -3.0f};
            uint8_t *codes = malloc(policy.n_codes + (policy.n_codes == 0u));
            uint32_t *sums = malloc((policy.n_sums + (policy.n_sums == 0u)) * sizeof *sums);
            int32_t *action = malloc(policy.action_len * sizeof *action);
            float *real = malloc(policy.action_len * sizeof *real);
            float *logits = malloc(policy.n_logits * sizeof *logits);
            float *obs = malloc(policy.n_features * sizeof *obs);
            uint32_t i;
            uint32_t k;

            for (k = 0u; k < 4u; k++) {
                float value;

                for (i = 0u; i < policy.n_features; i++) {
                    obs[i] = values[k];
                }
                (void)gbrl_edge_act(&policy, obs, NULL, codes, sums, action);
                (void)gbrl_edge_act_box(&policy, obs, codes, sums, real);
                gbrl_edge_logits(&policy, obs, codes, sums, logits);
                (void)gbrl_edge_value(&policy, obs, codes, sums, &value);
            }
            free(codes);
            free(sums);
            free(action);
            free(real);
            free(logits);
            free(obs);
        }
        (void)putchar(refused);
        free(bytes);
    }
    return 0;
}
