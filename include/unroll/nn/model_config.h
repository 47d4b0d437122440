/* What a model is: the numbers and choices that fix its parameters and its mathematics. */
#ifndef UNROLL_NN_MODEL_CONFIG_H
#define UNROLL_NN_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/limits.h"
#include "unroll/base/status.h"
#include "unroll/nn/cell.h"

/* What is predicted: the next token at every step, or one label for each text, from its last step on. */
enum task { TASK_LM, TASK_CLASSIFY };
const char *task_name(enum task task); /* "lm", "classify" */

/* What a label is predicted from: the top layer's output at the text's last token, or the mean or maximum, unit by unit,
 * over all its tokens. */
enum pool { POOL_LAST, POOL_MEAN, POOL_MAX };
const char *pool_name(enum pool pool); /* "last", "mean", "max" */
enum status pool_parse(const char *name, enum pool *pool, struct error *e);

#define MODEL_LAYERS_MAX 8
#define MODEL_WIDTH_MAX 65536 /* E and H */

struct model_config {
    enum cell cell;
    int layers, embedding, hidden; /* L, E, H */
    int vocab;                     /* V, including <unk> */
    bool tied;                     /* decoder.weight is encoder.weight; needs E == H */
    double dropout;                /* probability of dropping, 0 <= p < 1 */
    uint32_t reset_token; /* every lane's state is zero before a step that reads this token, so that the sentences it
                             stands between are independent; 0, which is <unk>: never */
    enum task task;
    int labels;     /* of TASK_CLASSIFY, 2 or more; else 0 */
    enum pool pool; /* of TASK_CLASSIFY */
};
/* Rows of the decoder: V, or the number of labels. */
int model_outputs(const struct model_config *config);
/* STATUS_CONFIG with the option's name and the allowed range (vocabulary sizes from files included). */
enum status model_config_check(const struct model_config *config, struct error *e);

#endif
