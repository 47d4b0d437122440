/* The neural cache of Grave, Joulin and Usunier 2017 ("Improving neural language models with a continuous cache",
 * section 3): words that came lately after states like the present one are likelier.
 *
 *   p(w | text) = (1 - lambda) p_model(w | text) + lambda p_cache(w | text)
 *   p_cache(w | text) = sum over i in C with x_(i+1) = w of exp(theta h_t . h_i)
 *                       / sum over i in C              of exp(theta h_t . h_i)
 *
 * h_t is the output of the top layer behind token x_t, in evaluation (no dropout), from which the model predicts
 * x_(t+1); C are the last `size` positions i before t of the lane's text, and x_(i+1) the tokens that stood there. All
 * that the lane read since it began counts, across windows, line ends and the tokens at which a model's state is reset
 * (--reset-at): the cache remembers what the state forgets. While C is empty the model is alone. A position without a
 * target neither asks nor is remembered. As with the sum over the vocabulary of p_model and that of p_cache, that of p
 * is 1.
 *
 * In which precision: products h_t . h_i are those of nn/gemm.h in float32, also for a model of bf16; exp(theta h_t .
 * h_i - the largest) in float32; sums over C in sixteen chains, that of i being i mod 16, from the oldest on; the
 * mixture in double, rounded once. So a loss has the same bits whatever the lengths of windows, other lanes, ranks and
 * threads. With lambda 0 it is the model's, bit for bit.
 *
 * Behind a model that changes on the way (dynamic evaluation) h_i stay as they were when they were computed. */
#ifndef UNROLL_NN_CACHE_H
#define UNROLL_NN_CACHE_H

#include <stddef.h>

#include "unroll/base/lane_share.h"
#include "unroll/base/status.h"
#include "unroll/base/window.h"
#include "unroll/nn/model.h"

#define CACHE_SIZE_MAX 1000000

struct cache_config {
    int size;      /* positions, at most CACHE_SIZE_MAX; 0: no cache */
    double theta;  /* >= 0; at 0 all positions count alike */
    double lambda; /* share of the cache, 0 <= lambda < 1 */
};

struct cache;

/* Of the lanes of `share`, for windows of up to `bptt` steps of models of that configuration; empty. STATUS_OS. Not
 * collective, nor is any other. */
enum status cache_create(const struct cache_config *config, const struct model_config *model,
                         const struct lane_share *share, int bptt, int threads, struct cache **out, struct error *e);
void cache_free(struct cache *cache); /* NULL is allowed */

/* After model_forward or model_train has seen the window: puts losses of the mixture in place of the model's,
 * loss->row and loss->group, and remembers the window. If it resets the state, lanes are emptied first. The arrays
 * belong to the cache until its next window. */
void cache_window(struct cache *cache, struct model *model, const struct window *window, struct model_loss *loss);

/* All that a lane remembers, as so many bytes that a cache of the same configuration, models and bptt takes. */
size_t cache_lane_bytes(const struct cache_config *config, const struct model_config *model, int bptt);
const void *cache_lane(const struct cache *cache, int lane);
void cache_set_lane(struct cache *cache, int lane, const void *state);

#endif
