/* What a layer's recurrent product drops in training: units of the states that it reads, and weights (nn/dropout.h). */
#ifndef UNROLL_NN_LAYER_DROP_H
#define UNROLL_NN_LAYER_DROP_H

#include "layer.h"

/* Memory of all layers, where the model has such a dropout and is trained. Their weights are placed. */
void layer_drop_create(struct common *common, struct layer *layers);

/* Before a window: masks of its states. */
void layer_drop_states(const struct common *common, struct layer *layer);
/* A block of units of h in row block `block` of [T + 1], lanes [begin, end), to layer->dropped_rows. Only where
 * dropout_active_states. */
void layer_drop_rows(const struct common *common, const struct layer *layer, int block, int begin, int end, int unit);
/* The same of one row h [H] of lane `lane`, to row `row` of [T + 1][B]: for engines whose W_hh reads another one. */
void layer_drop_row(const struct common *common, const struct layer *layer, int64_t row, int lane, const float *h);
/* The mirror image: recurrent [lanes][stride], the gradient of that block of what W_hh multiplies, of lanes from
 * `lane` on, becomes the gradient of h. */
void layer_drop_recurrent(const struct layer *layer, int lane, int lanes, int unit, float *recurrent, int64_t stride);

/* Before a window: makes W_hh that of its step. Whether it must be packed. */
bool layer_drop_weights(const struct common *common, struct layer *layer);

#endif
