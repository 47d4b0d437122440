/* What the two files of use/gradcheck share. */
#ifndef UNROLL_USE_GRADCHECK_PRIVATE_H
#define UNROLL_USE_GRADCHECK_PRIVATE_H

#include "unroll/base/window.h"
#include "unroll/nn/reference.h"
#include "unroll/use/gradcheck.h"

/* The drawn problem: parameters and windows. */
struct gradcheck_problem {
    struct gradcheck_config config;
    struct param_table table;
    float *values;            /* [table.total] */
    uint32_t *input, *target; /* [GRADCHECK_WINDOWS][bptt][batch] */
};

enum status gradcheck_problem_create(const struct gradcheck_config *config, struct gradcheck_problem *problem,
                                     struct error *e);
void gradcheck_problem_release(struct gradcheck_problem *problem);
/* Window `index` of all lanes, and the step whose dropout masks it uses. */
struct window gradcheck_window(const struct gradcheck_problem *problem, int index);
int64_t gradcheck_step(int index);
/* A reference that holds the problem's parameters. */
enum status gradcheck_reference_create(const struct gradcheck_problem *problem, struct reference **out,
                                       struct error *e);

/* Draws the parameters anew until every input of a ReLU is farther than `margin` from zero, where derivatives jump.
 * STATUS_CONFIG if none of many draws is so. Does nothing for other cells. */
enum status gradcheck_draw_away_from_kinks(struct gradcheck_problem *problem, double margin, struct error *e);

double gradcheck_rms(const double *x, size_t count);
/* Keeps the worse of `worst` and this comparison. */
void gradcheck_compare(struct gradcheck_worst *worst, const char *tensor, int window, int64_t element, double expected,
                       double got, double rms, double tolerance);

#endif
