/* The ranks of a run: the only room that sees mpi.h.
 *
 * A program that was not started by an MPI launcher (no mpirun, no srun with PMI) is a communicator of one rank without
 * MPI_Init: it starts at once and works on hosts where MPI cannot be initialised. `comm_launched` below decides.
 * Every function says whether it is collective. Reductions here are over integers only, whose sums do not depend on
 * order; sums of floats belong to train/reducer. Failures of MPI itself end all ranks (MPI_ERRORS_ARE_FATAL). Byte
 * counts may exceed 2^31. Where a call copies a rank's `mine` to its own place in `all`, `mine` may already be that
 * place. */
#ifndef UNROLL_SYS_COMM_H
#define UNROLL_SYS_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"

struct comm {
    int rank, size;
    void *handle; /* MPI_Comm *, NULL without MPI; owned */
};

/* A communicator of one rank, without MPI. */
#define COMM_ALONE ((struct comm){.rank = 0, .size = 1, .handle = NULL})

/* True if the environment says that an MPI launcher (Open MPI's mpirun, PMIx, PMI-1/2, Hydra) started this process. */
bool comm_launched(void);

/* Not collective. The process of Open MPI's mpirun where it has started this one from a terminal; 0 else. Ctrl-C there
 * goes to it alone, and it kills its ranks at once; it passes USR1 on. */
long comm_mpirun_on_terminal(void);

/* Not collective, also before comm_init and where MPI is never initialised: true in the one process of a launch that
 * speaks for all of them. */
bool comm_speaks(void);

/* Not collective. The name of this host, "unknown" if the system does not tell. */
#define COMM_HOST 65 /* Linux has no longer ones */
void comm_host(char host[COMM_HOST]);

/* Not collective, also before comm_init: name and version of the MPI library that runs, such as "Open MPI v4.1.4". */
void comm_library(char *room, size_t size);

/* Collective over all ranks. Initialises MPI when comm_launched(), at MPI_THREAD_FUNNELED. STATUS_CONFIG, not
 * agreed, in a process that is alone although its launcher started several (OMPI_COMM_WORLD_SIZE, PMI_SIZE, else
 * SLURM_STEP_NUM_TASKS): `srun` without a protocol that the MPI library speaks. */
enum status comm_init(struct comm *comm, struct error *e);
void comm_finalize(struct comm *comm); /* collective */

/* Not collective. Ends every rank with `status`; never returns. */
_Noreturn void comm_abort(const struct comm *comm, enum status status);

/* Collective. The failure of the lowest failing rank, status and text, becomes everyone's; OK if none failed.
 * The way out of every fallible section between collective calls: no rank leaves alone. */
enum status comm_agree(const struct comm *comm, enum status mine, struct error *e);
/* Collective. The same where a failure may be one of a single host: unless rank 0 has it too, the text ends with
 * rank and host. */
enum status comm_agree_where(const struct comm *comm, enum status mine, struct error *e);

/* All collective. */
void comm_barrier(const struct comm *comm);
/* A barrier whose waiting ranks sleep, up to a millisecond at a time: those that share a core leave it to others. */
void comm_barrier_asleep(const struct comm *comm);
void comm_broadcast(const struct comm *comm, void *data, size_t bytes, int root);
int64_t comm_sum(const struct comm *comm, int64_t value);
int64_t comm_max(const struct comm *comm, int64_t value);
/* In place: bits set on any rank are set on all. */
void comm_unite_bits(const struct comm *comm, uint64_t *words, size_t count);
/* Every rank's `bytes` (equal on all) one after another in rank order into `all`, on every rank. */
void comm_allgather(const struct comm *comm, const void *mine, size_t bytes, void *all);
/* Rank r's bytes[r] bytes at `all + offset[r]`; on every rank, or on `root` only (`all` may be NULL elsewhere). */
void comm_allgatherv(const struct comm *comm, const void *mine, void *all, const size_t *bytes, const size_t *offset);
void comm_gatherv(const struct comm *comm, const void *mine, void *all, const size_t *bytes, const size_t *offset,
                  int root);
/* From `root`'s all + offset[r], bytes[r] to rank r's `mine`. */
void comm_scatterv(const struct comm *comm, const void *all, const size_t *bytes, const size_t *offset, void *mine,
                   int root);

/* Exchanges, and allgatherv of more than this for each rank, go in parts of so many bytes; see comm.c. Below Open
 * MPI's limit for messages that it sends over TCP without asking first, 64 KiB with its header. (Tests set a small
 * one.) */
#ifndef COMM_EAGER
#define COMM_EAGER ((size_t)60 << 10)
#endif

/* Between ranks of one host they go through memory that the two share, if the host gives it: so many bytes of
 * each rank. */
#define COMM_OUTBOX ((size_t)256 << 10)

/* Point to point, for the reducer; both ranks call it with each other's rank. Byte counts may differ. */
void comm_exchange(const struct comm *comm, int peer, const void *send, size_t send_bytes, void *receive,
                   size_t receive_bytes);
/* Collective. Personalised exchange: send_bytes[r] from send + send_offset[r] to rank r, and the same for receiving. */
void comm_alltoallv(const struct comm *comm, const void *send, const size_t *send_bytes, const size_t *send_offset,
                    void *receive, const size_t *receive_bytes, const size_t *receive_offset);
/* Collective. In-place float sum by MPI_Allreduce, in whatever order MPI likes: only for --reduction fast. */
void comm_allreduce_float(const struct comm *comm, float *data, size_t count);

/* Collective. Splits off the ranks that share this rank's host; `local` must be released with comm_release. */
enum status comm_split_host(const struct comm *comm, struct comm *local, struct error *e);
void comm_release(struct comm *comm);

#endif
