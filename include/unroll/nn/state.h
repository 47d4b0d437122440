/* The states that a model carries from window to window: those of its cell, each in every layer that has it; first h of
 * all layers, then the cell's next state of all layers: number `index` is state index / L of layer index % L. In
 * memory, [lanes][width] one after the other. */
#ifndef UNROLL_NN_STATE_H
#define UNROLL_NN_STATE_H

#include <stddef.h>

#include "unroll/nn/model_config.h"

/* How many a language model carries from window to window; 0 to classify, since texts do not share them. */
int model_state_count(const struct model_config *config);
/* How many its layers hand on from step to step, whatever the task. */
int model_state_arrays(const struct model_config *config);
/* 0 <= index < model_state_arrays: "h_l0", "c_l0", ... */
const char *model_state_name(const struct model_config *config, int index, char name[16]);
int model_state_width(const struct model_config *config, int index); /* numbers of a lane */
/* Numbers of a lane in all states before `index`, which may be their count: lanes * this is where the state begins. */
size_t model_state_offset(const struct model_config *config, int index);
size_t model_state_total(const struct model_config *config); /* numbers of a lane in all states that are carried */
int model_state_widest(const struct model_config *config);

#endif
