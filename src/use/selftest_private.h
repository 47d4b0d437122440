/* What the parts of use/selftest share. */
#ifndef UNROLL_USE_SELFTEST_PRIVATE_H
#define UNROLL_USE_SELFTEST_PRIVATE_H

#include <stdint.h>
#include <string.h>

#include "unroll/use/selftest.h"

/* ---- selftest_outcome.c ---- */

/* Counts a check as right or wrong; the text of the first wrong one is kept. */
void selftest_right(struct selftest_outcome *outcome);
void selftest_wrong(struct selftest_outcome *outcome, const char *brief, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Bit for bit: the sign of a zero counts. */
static inline bool selftest_same(float a, float b)
{
    uint32_t bits[2];
    memcpy(bits, &a, sizeof a);
    memcpy(bits + 1, &b, sizeof b);
    return bits[0] == bits[1];
}

/* ---- selftest_kernels.c: against plain C, bit for bit ---- */
enum status selftest_products(int threads, struct selftest_outcome *outcome, struct error *e);
enum status selftest_gradients(int threads, struct selftest_outcome *outcome, struct error *e);
/* Both in bf16, in both orders, by the processor's units and by emulation. */
enum status selftest_bf16(int threads, struct selftest_outcome *outcome, struct error *e);

/* ---- selftest_functions.c: within their stated bounds ---- */
enum status selftest_functions(int threads, struct selftest_outcome *outcome, struct error *e);

/* What is compared by its digest. */
struct selftest_function {
    const char *group, *name;
    enum status (*digest)(char hex[DIGEST_TEXT], struct error *e);
};
extern const struct selftest_function selftest_function_table[];
extern const int selftest_function_count;

/* ---- selftest_trials.c: tiny trainings with the real code ---- */
const char *selftest_bf16_group(int order); /* of trials in bf16, whose sums have that order */
/* Trials 0, 1, ...; NULL and false behind the last. */
const char *selftest_trial_group(int trial);
bool selftest_trial_name(int trial, char name[SELFTEST_ITEM]);
enum status selftest_trial_digest(int trial, int threads, char hex[DIGEST_TEXT], struct error *e);

#endif
