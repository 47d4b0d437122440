/* Quantiles of measured numbers. All sort `values` [count], ascending, in place; count >= 1, no NaN. */
#ifndef UNROLL_BASE_QUANTILE_H
#define UNROLL_BASE_QUANTILE_H

#include <stdint.h>

/* The value that a share of them, 0 <= share < 1, lies below. */
double quantile(double *values, int64_t count, double share);

/* The one in the middle; of an even number the upper of the two. */
double median(double *values, int64_t count);

#endif
