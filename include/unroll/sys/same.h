/* Whether a path leads all ranks to the same file. On hosts with disks of their own it may not, and ranks with
 * different inputs would mix them without an error. */
#ifndef UNROLL_SYS_SAME_H
#define UNROLL_SYS_SAME_H

#include "unroll/base/digest.h"
#include "unroll/base/status.h"
#include "unroll/sys/comm.h"

/* Collective. `digest` is that of what this rank has read from `path`. STATUS_CONFIG, naming ranks, hosts and
 * digests, if it is not rank 0's. */
enum status same_digest(const struct comm *comm, const char *path, const char digest[DIGEST_TEXT], struct error *e);

/* Collective. The same for a file that was not read yet. One file that all hosts share is known by its inode, size and
 * times; only where these differ is it read, whole, on every rank. Pipes and devices pass. */
enum status same_file(const struct comm *comm, const char *path, struct error *e);

#endif
