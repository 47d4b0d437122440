/* How many lanes, epochs and validations suit a text, where the user gives none. These are rules of thumb, made on
 * English at character and word level (2 x 256 LSTM, Adam, windows of 64). They depend on the length of the training
 * text only, so the same command is the same run on any number of ranks and threads. They use integers only, so they
 * give the same on any machine. */
#ifndef UNROLL_TRAIN_FIT_H
#define UNROLL_TRAIN_FIT_H

#include <stdbool.h>
#include <stdint.h>

#define FIT_LANES_MIN 8
#define FIT_LANES_MAX 64
#define FIT_EPOCHS_MAX 20
#define FIT_VALIDATIONS 10 /* in fit_epochs(), at least */
#define FIT_PATIENCE 10    /* validations without improvement, at least */

/* Lanes: the power of two that is nearest to 400 steps an epoch, so that a short text still has enough steps, and a
 * long one full matrices. `least` lanes are wanted in any case; a text of fewer tokens than lanes has one for each
 * token but the first. */
int fit_lanes(int64_t tokens, int bptt, int least);

/* Epochs: 10 for a million tokens, half as many for ten times the text (the cube root), and at most 20: a shorter text
 * is learnt by heart within them. */
int64_t fit_epochs(int64_t tokens);

/* Steps from one validation to the next, of a text in so many lanes. 0: an epoch; of a text so long that
 * fit_epochs() is below FIT_VALIDATIONS, a part of one. It does not depend on the epochs of the run, so extending a run
 * does not change it. */
int64_t fit_eval_every(int64_t tokens, int lanes, int bptt, bool vary);

/* Validations without improvement after which a run ends, where each counts `eval_every` steps (0: an epoch):
 * FIT_PATIENCE, and never less than an epoch of `steps` steps, however often it is validated. Measured on English of 25
 * to 200 kB, characters and words, all cells, both schedules, 30 to 60 epochs: after up to 4 validations without
 * improvement, up to 10 % were still gained; after 5 or 6, 0.6 %; after more, nothing. */
int64_t fit_patience(int64_t steps, int64_t eval_every);

/* Steps of an epoch: the windows of the longest lane. Where their lengths vary, those of the first epoch by seed 0, so
 * that runs by other seeds have the same. */
int64_t fit_steps(int64_t tokens, int lanes, int bptt, bool vary);

#endif
