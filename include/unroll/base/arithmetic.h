/* The arithmetic that bits depend on. What enters parameters, states, losses, norms, metrics, scores and samples is the
 * same, bit for bit, on every processor with fused multiply-add, with every compiler and at every level of
 * optimisation:
 *
 * - The compiler fuses nothing by itself (-ffp-contract=off, Makefile). A fused multiply-add stands where it is
 *   written: vfma in base/vmath.h, and the chains of nn/gemm.h.
 * - Sums have an order of their own: chains over k in blocks of GEMM_KC (nn/gemm.h), lane groups up the lane tree
 *   (base/lane_tree.h), sums of squares in eight chains (below). No block length is a CPU's or BLIS's.
 * - +, -, *, / and square root are IEEE 754's. Other functions are those of this header and of base/vmath.h, never the
 *   C library's, whose last bits differ between versions and processors.
 * - A NaN's sign and payload differ between processors: what prints or stores a number makes all NaNs one
 *   (arithmetic_nan).
 *
 * Not part of it: the double-precision reference of gradcheck (nn/reference.h), predictions and timings. */
#ifndef UNROLL_BASE_ARITHMETIC_H
#define UNROLL_BASE_ARITHMETIC_H

/* The arithmetic revision: raised when the bits of parameters, losses, scores or samples change on purpose. It is
 * written into checkpoints (those without it are of revision 0), and compared among ranks and on resume. */
#define ARITHMETIC_REVISION 1

/* Elementary functions in double precision, at most 0.51 ulp (tests/unit/test_arithmetic.c, against MPFR); below
 * 2^-1022 results are rounded twice, at most 1 ulp. Computed in pairs of doubles, some 0.1 to 0.5 us each: for what
 * is done once a step or once a token. */
double arithmetic_exp(double x);
double arithmetic_log(double x);
double arithmetic_log1p(double x);         /* log(1 + x) */
double arithmetic_pow(double x, double y); /* x >= 0; NaN for others */

/* sin and cos of 2 pi `turns`; at most 1 ulp. Exact zeros and ones at quarters. */
void arithmetic_sincos(double turns, double *sine, double *cosine);

/* log of a float, for losses: in double, rounded once; at most 0.501 ulp. Some 10 ns. */
float arithmetic_logf(float x);

/* sum of a[i] b[i] in eight chains of fused multiply-adds. */
double arithmetic_dot(int n, const double *a, const double *b);

/* x, or the one NaN that is printed and stored. */
static inline double arithmetic_nan(double x)
{
    return x == x ? x : __builtin_nan("");
}

#endif
