/* How an adaptive softmax divides the vocabulary: words by rank (the order of their counts), the first ones in the
 * head, the others in clusters, each with a tail of its own. Shapes are those of PyTorch's
 * nn.AdaptiveLogSoftmaxWithLoss. */
#ifndef UNROLL_NN_CLUSTERS_H
#define UNROLL_NN_CLUSTERS_H

#include "unroll/nn/output.h"

struct clusters {
    int count;
    int head; /* words in the head, which has a class for each of them, then one for each cluster */
    struct cluster {
        int first, size; /* ranks [first, first + size) */
        int width;       /* of its projection: H / div^(i + 1), rounded down */
    } cluster[OUTPUT_CUTOFFS_MAX];
};

/* Of a configuration's cutoffs and div, checked or not. */
struct clusters clusters_of(const struct model_config *config);
/* The cluster of a rank, -1: it is in the head. */
int clusters_find(const struct clusters *clusters, uint32_t rank);

/* Sets the cutoffs that cost least; leaves them as they are where none cost less than the full softmax by a tenth. The
 * cost is that of a training step over a window of 1024 rows: floating-point operations and bytes of the products, as
 * in Grave, Joulin, Cisse, Grangier and Jegou (2017), "Efficient softmax approximation for GPUs", section 4.2, whose
 * function of rows and classes is linear with an offset; here the offset is the memory's part, and narrow products are
 * dearer. At most four clusters (more gain next to nothing there, too), and the head covers seven tenths of the text.
 * `counts` by rank [V], NULL: that of rank r is in proportion to 1 / (r + 1). In double precision, by +, -, * and /
 * alone: the same on every machine. */
void clusters_choose(struct model_config *config, const uint64_t *counts);

/* The output layer in double precision, straight from the formulas (clusters_reference.c): as output_kind.reference. */
double clusters_reference(const struct reference_output *lane);
size_t clusters_reference_work(const struct model_config *config);

#endif
