/* Constants of a model: tensors that are not trained (PyTorch's buffers), of role PARAM_CONSTANT, behind all others of
 * the parameter table. They are filled once, when a run starts, and travel in files like any tensor.
 *
 * decoder.order [V]: order[rank] = id, whole numbers. Where ids are not in the order of their counts, which clusters
 *   and log-uniform proposals go by (config.reordered); else a rank is an id.
 * decoder.counts [V]: how often each id occurs in the training text, rounded to float32. Of the proposal unigram.
 *
 * The order of counts: ids 0 and 1, which may be <unk> and the line end, stand first whatever their counts; then
 * falling counts, equal ones by id. */
#ifndef UNROLL_NN_CONSTANTS_H
#define UNROLL_NN_CONSTANTS_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/nn/output.h"

#define CONSTANTS_SPECIALS 2
#define CONSTANTS_ORDER "decoder.order"
#define CONSTANTS_COUNTS "decoder.counts"

/* Whether ids are not in the order of their counts [V]. */
bool constants_reordered(int V, const uint64_t *counts);
/* sorted[rank]: the counts in that order; both [V]. */
void constants_sort(int V, const uint64_t *counts, uint64_t *sorted);

/* For kinds of output layers (output_kind.params): appends those that the configuration has to a list of `count`
 * parameters; how many there are then. They must be the last. */
int constants_params(const struct model_config *config, struct output_param *list, int count);

/* Fills one that was made up, for models without a text (param_init): the count of rank r is in proportion to
 * 1 / (r + 1), and the order, where there is one, is that of falling ids. */
void constants_make_up(const struct model_config *config, const struct param *param, float *x);
/* Fills all of a model from the counts of its ids, [V]. config.reordered is as constants_reordered says, or true.
 * STATUS_OS. */
enum status constants_fill(const struct model_config *config, const struct param_table *table, const uint64_t *counts,
                           float *values, struct error *e);
/* Of files from elsewhere: STATUS_CHECKPOINT where the order is no order as above, or a count no number of at least
 * zero; STATUS_OS. */
enum status constants_check(const struct model_config *config, const struct param_table *table, const float *values,
                            struct error *e);

/* What a kind reads, with or without a constant: rank[id] and order[rank], [V]. */
void constants_ranks(const struct model_config *config, const struct param_table *table, const float *values,
                     uint32_t *rank);
void constants_order(const struct model_config *config, const struct param_table *table, const float *values,
                     uint32_t *order);
/* Of that name, -1: the model has none. */
int constants_find(const struct param_table *table, const char *name);

#endif
