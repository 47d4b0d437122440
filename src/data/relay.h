/* Digests of what lies on the ranks, one part after another. XXH3 cannot be put together from parts, but it is fast:
 * the state of the digest goes from rank to rank, and each adds its part. */
#ifndef UNROLL_DATA_RELAY_H
#define UNROLL_DATA_RELAY_H

#include "unroll/base/digest.h"
#include "unroll/base/status.h"
#include "unroll/sys/comm.h"

/* Collective. `digest` [count], all made by digest_new; rank 0's hold its parts already, and `add` is called on the
 * other ranks to add theirs, for each index in turn. hex [count] is filled on every rank. The error is the same on
 * all. */
enum status digest_relay(const struct comm *comm, int count, struct digest *const *digest,
                         enum status (*add)(void *context, int index, struct digest *digest, struct error *e),
                         void *context, char (*hex)[DIGEST_TEXT], struct error *e);

#endif
