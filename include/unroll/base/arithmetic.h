/* The arithmetic that bits depend on: what this program computes is the same on every processor with fused multiply-add, with
 * every compiler at every level of optimisation. */
#ifndef UNROLL_BASE_ARITHMETIC_H
#define UNROLL_BASE_ARITHMETIC_H

/* The arithmetic revision: raised when the bits of parameters, losses, scores or samples change on purpose. It is written
 * into checkpoints (those without it are of revision 0), and compared among ranks and on resume. */
#define ARITHMETIC_REVISION 1

#endif
