/* A model that is fed one token a step in each of several lanes, for writing text: the common part of sampler.h and
 * beam.h.
 *
 * A lane's arithmetic does not depend on the other lanes or on the threads (nn/model.h). */
#ifndef UNROLL_USE_FEEDER_H
#define UNROLL_USE_FEEDER_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/vocab.h"
#include "unroll/nn/param.h"

struct feeder;

/* `values` and `vocab` stay the caller's and must outlive the feeder. STATUS_CHECKPOINT if the vocabulary has
 * nothing but "<unk>", so that there is nothing to write; STATUS_OS if memory is short. Release with feeder_free. */
enum status feeder_create(const struct model_config *model, const float *values, const struct vocab *vocab, int lanes,
                          int threads, struct feeder **out, struct error *e);
void feeder_free(struct feeder *feeder); /* NULL is allowed */
/* What the model of so many lanes and threads takes; the arrays of tokens and states besides are small. */
size_t feeder_bytes(const struct model_config *model, int lanes, int threads);

/* All lanes begin anew: state zero, then the line end (vocab->eos: a text begins where a line begins), then the
 * tokens of the prime. */
void feeder_start(struct feeder *feeder, const uint32_t *prime, int64_t count);

/* One token for each lane, tokens [lanes], behind those before. */
void feeder_push(struct feeder *feeder, const uint32_t *tokens);

/* Logits of what comes next: [lanes][V], rows `*stride` floats apart, valid until the next call. If nothing was fed
 * yet, as without a line end in the vocabulary and without a prime, these are the logarithms of the training text's
 * counts, with stride 0. */
const float *feeder_logits(struct feeder *feeder, int *stride);

/* Lane i goes on from where lane from[i] is. Only after feeder_logits, with no token pushed since. */
void feeder_permute(struct feeder *feeder, const int *from);

/* ln sum exp of V logits, in double precision; NaN or infinite if one of them is NaN or +infinity, or all are
 * -infinity. */
double feeder_log_sum(const float *logits, int V);

/* Sets the error that no token has a finite probability after `count` tokens; returns STATUS_CHECKPOINT. */
enum status feeder_no_probabilities(int64_t count, struct error *e);

#endif
