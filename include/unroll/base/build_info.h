/* What this program was built from: for --version, the first line of every log and the checkpoints. The Makefile
 * passes the facts to build_info.c alone, so that a new revision recompiles one file. All strings are constants. */
#ifndef UNROLL_BASE_BUILD_INFO_H
#define UNROLL_BASE_BUILD_INFO_H

#include <stdbool.h>

#include "unroll/base/status.h"

const char *build_version(void);   /* "0.1.0" */
const char *build_revision(void);  /* `git describe`, or "" outside a repository */
const char *build_compiler(void);  /* "gcc 12.2.0" */
const char *build_flags(void);     /* the compiler's flags that change the code */
const char *build_libraries(void); /* "Open MPI 4.1.4, HDF5 1.10.8, ...": the versions compiled against */

/* The widest vectors this code was compiled for: "avx512f", "avx2", "sse2", "neon", "portable". All give the same bits
 * (base/arithmetic.h). */
const char *build_instructions(void);

/* ARITHMETIC_REVISION (base/arithmetic.h), which bits do depend on. */
int build_arithmetic(void);

/* STATUS_CONFIG if UNROLL_ARCH in the environment asks for other instructions than this code has. The variable names
 * a level of the x86-64 ABI, "x86-64-v3" (AVX2) or "x86-64-v4" (AVX-512), to compute as a host of that level does,
 * BLIS's kernels included: to compare their bits, which are the same, or their speed. A program built with
 * ARCH=portable obeys it (cli/start.c), another one can only check it. */
enum status build_check_arch(struct error *e);
bool build_is_lowered(void); /* UNROLL_ARCH is x86-64-v3: no AVX-512 anywhere */

#endif
