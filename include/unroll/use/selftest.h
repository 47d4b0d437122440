/* Tests whether this build, on this processor, gives the bits that its arithmetic revision promises: kernels against
 * plain C, bit for bit, and digests of elementary functions, start values, schedules and tiny trainings against those
 * that are compiled in. It reads no file but /proc/cpuinfo, and takes seconds. Not collective: each rank does it on its
 * own. */
#ifndef UNROLL_USE_SELFTEST_H
#define UNROLL_USE_SELFTEST_H

#include <stdbool.h>

#include "unroll/base/digest.h"
#include "unroll/base/status.h"

#define SELFTEST_NAME 96

/* What computes here. */
struct selftest_facts {
    char processor[SELFTEST_NAME], mpi[SELFTEST_NAME];
    const char *kernel; /* BLIS's */
    bool own;           /* that kernel adds in another order, so Unroll's own is used instead */
};
enum status selftest_facts(struct selftest_facts *facts, struct error *e);

/* What one group of checks found. */
struct selftest_outcome {
    const char *group, *kind; /* "lstm"; what was looked at: "trainings" */
    int checks;               /* how many */
    int wrong;                /* how many of them came out wrong */
    char first[160];          /* the first of those: the value found and the right one; "" if none */
    char brief[64];           /* the same for a line of 80 columns */
};

int selftest_groups(void); /* how many there are; each cell is one */

/* Runs group 0 .. selftest_groups() - 1 on so many threads. Whatever it finds, STATUS_OK; else STATUS_OS, or what
 * blas_init returns. */
enum status selftest_run(int group, int threads, struct selftest_outcome *outcome, struct error *e);

/* The digests as they come out here. Item 0, 1, ...: false behind the last. */
#define SELFTEST_ITEM 32
bool selftest_item(int item, char name[SELFTEST_ITEM]);
enum status selftest_digest(int item, int threads, char hex[DIGEST_TEXT], struct error *e);

#endif
