/* Runs a policy in gbrl's loadable form: for updates in the field, where a new policy is bytes and no new program.
 *
 * C99, no library but memcpy; no allocation, no recursion, no state. gbrl_edge_open checks the bytes once,
 * whatever they are: length, checksum, every index. Nothing outside them is ever read.
 *
 * Compile with -ffp-contract=off and without -ffast-math: then outputs are equal to the library's, bit for bit, if the
 * leaves are not quantised. The bytes need no alignment. */
#ifndef GBRL_EDGE_H
#define GBRL_EDGE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    GBRL_EDGE_OK = 0,
    GBRL_EDGE_NOTHING_ALLOWED = 1, /* the mask forbids every choice of some part */
    GBRL_EDGE_ABSENT = 2,          /* the policy has no such output */
    GBRL_EDGE_LENGTH = 3,          /* not as many bytes as they say */
    GBRL_EDGE_MAGIC = 4,           /* no policy, or one of an unknown version */
    GBRL_EDGE_CHECKSUM = 5,        /* altered */
    GBRL_EDGE_LAYOUT = 6           /* breaks a rule of the format */
};

/* A policy: where its parts lie in the bytes. What a caller needs stands first. */
typedef struct {
    uint32_t n_features; /* columns of an observation */
    uint32_t n_logits;   /* logits, or means */
    uint32_t action_len; /* numbers of an action */
    uint32_t mask_len;   /* flags of a mask; 0 for real-valued actions */
    uint32_t n_codes;    /* bytes of the work memory `codes` */
    uint32_t n_sums;     /* elements of the work memory `sums` */
    uint8_t is_box;      /* actions are real numbers: gbrl_edge_act_box */
    uint8_t has_value;
    uint8_t head;
    uint8_t leaf;
    uint8_t test_width;
    uint8_t link_width;
    uint32_t n_order;
    uint32_t n_runs;
    const uint8_t *parts;
    const uint8_t *bias;
    const uint8_t *scales;
    const uint8_t *slots;
    const uint8_t *keys;
    const uint8_t *runs;
    const uint8_t *sizes;
    const uint8_t *tests;
    const uint8_t *links;
    const uint8_t *leaves;
} gbrl_edge_policy;

/* Checks `bytes` and finds their parts; they must stay where they are as long as the policy is used. Returns
 * GBRL_EDGE_OK or why not. */
int gbrl_edge_open(gbrl_edge_policy *policy, const uint8_t *bytes, uint32_t length);

/* The likeliest action, discrete or bits. mask: a flag for each choice, two for each bit; NULL allows all. */
int gbrl_edge_act(const gbrl_edge_policy *policy, const float *obs, const uint8_t *mask, uint8_t *codes,
                  uint32_t *sums, int32_t *action);

/* The likeliest real-valued action in its bounds. */
int gbrl_edge_act_box(const gbrl_edge_policy *policy, const float *obs, uint8_t *codes, uint32_t *sums, float *action);

/* Logits, or means before they are squashed or clipped; of a quantised policy relative to the first of each part. */
void gbrl_edge_logits(const gbrl_edge_policy *policy, const float *obs, uint8_t *codes, uint32_t *sums, float *logits);

/* The value of a state. */
int gbrl_edge_value(const gbrl_edge_policy *policy, const float *obs, uint8_t *codes, uint32_t *sums, float *value);

#ifdef __cplusplus
}
#endif

#endif
