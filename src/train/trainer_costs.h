/* The seconds that this start of the program has spent so far, by kind of work, and how much work that was. The
 * forecast is made from them (trainer_forecast.c). Not collective. */
#ifndef UNROLL_TRAIN_TRAINER_COSTS_H
#define UNROLL_TRAIN_TRAINER_COSTS_H

#include <stdbool.h>
#include <stdint.h>

struct costs {
    double begun;  /* clock_seconds() of this start */
    double before; /* seconds of the run in earlier starts */

    double steps, evaluations, saves, bests; /* seconds in all, by kind: steps, evaluations, checkpoints, best.h5 */
    int64_t tokens;                          /* targets of those steps */
    int64_t saved, saved_best;               /* how often a checkpoint was written, and best.h5 */
    double recent; /* seconds of steps in the last ten minutes or so, without the first step ... */
    int64_t recent_steps, recent_tokens; /* ... and how many steps and targets those were */
    double evaluation;                   /* of the last evaluation, ... */
    int64_t evaluated;                   /* ... which had so many targets */
};

void costs_begin(struct costs *costs);
/* Seconds of this start so far, and of the whole run. */
double costs_elapsed(const struct costs *costs);
double costs_of_run(const struct costs *costs);

void costs_add_step(struct costs *costs, double seconds, int64_t tokens);
void costs_add_evaluation(struct costs *costs, double seconds, int64_t targets);
/* Seconds that rank 0 took to write a checkpoint, or best.h5, and check it. */
void costs_add_save(struct costs *costs, double seconds, bool best);

/* Expected seconds to write the next file of so many bytes. */
double costs_of_writing(const struct costs *costs, bool best, int64_t bytes);

#endif
