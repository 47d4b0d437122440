/* Products of the double-precision reference. */
#ifndef UNROLL_NN_AFFINE_H
#define UNROLL_NN_AFFINE_H

#include <stddef.h>

/* y = W x + b, W [rows][columns]; b may be NULL */
static inline void affine(int rows, int columns, const double *W, const double *x, const double *b, double *y)
{
    for (int i = 0; i < rows; i++) {
        y[i] = b ? b[i] : 0;
        for (int j = 0; j < columns; j++)
            y[i] += W[(size_t)i * (size_t)columns + (size_t)j] * x[j];
    }
}

/* Its derivative: dW += dy x^T, db += dy, dx += W^T dy. */
static inline void affine_backward(int rows, int columns, const double *W, const double *x, const double *dy,
                                   double *dW, double *db, double *dx)
{
    for (int i = 0; i < rows; i++) {
        if (db)
            db[i] += dy[i];
        for (int j = 0; j < columns; j++) {
            dW[(size_t)i * (size_t)columns + (size_t)j] += dy[i] * x[j];
            dx[j] += W[(size_t)i * (size_t)columns + (size_t)j] * dy[i];
        }
    }
}

#endif
