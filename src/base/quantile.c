/* Quantiles by sorting. */
#include "unroll/base/quantile.h"

#include <stdlib.h>

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double quantile(double *values, int64_t count, double share)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return values[(int64_t)(share * (double)count)];
}

double median(double *values, int64_t count)
{
    return quantile(values, count, 0.5);
}
