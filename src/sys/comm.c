/* MPI: starting, agreeing on errors, collective calls, and exchanges in parts. */
#include "unroll/sys/comm.h"

#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "comm_private.h"
#include "unroll/base/mem.h"
#include "unroll/base/temporary.h"

/* MPI-3 counts are ints: longer messages travel in pieces of this size, which both sides cut alike. Tests set a small
 * one. */
#ifndef COMM_PIECE
#define COMM_PIECE ((size_t)1 << 30)
#endif

#define TAG 1

/* Parts of a message that are under way at once: bounds what waits for a late receiver. */
#ifndef COMM_PARTS
#define COMM_PARTS 64
#endif
#define WINDOW (COMM_PARTS * COMM_EAGER)

/* What comm->handle points to. The communicator comes first, so that it is also an MPI_Comm *. */
struct handle {
    MPI_Comm mpi;
    int *count, *displacement; /* [size] work arrays of the calls with unequal counts */
    struct mailboxes *boxes;   /* of this host's ranks; NULL: none */
};

static struct handle *handle_of(const struct comm *comm)
{
    return comm->handle;
}

static MPI_Comm mpi_of(const struct comm *comm)
{
    return handle_of(comm)->mpi;
}

/* Else every process would take itself for the only rank, and all would do the same work and write the same files. */
static enum status refuse_single(struct error *e)
{
    return error_set(e, STATUS_CONFIG,
                     "%ld processes were started but MPI sees only one: launcher and MPI library do not speak the same "
                     "protocol; use 'srun --mpi=pmix' or 'mpirun', or start one process ('srun -n 1')",
                     comm_launched_size());
}

/* Takes over `mpi`. Not collective; on failure the caller keeps it. */
static enum status adopt(struct comm *comm, MPI_Comm mpi, struct error *e)
{
    int size;
    MPI_Comm_size(mpi, &size);
    struct handle *handle = mem_alloc(1, sizeof *handle, "a communicator", e);
    int *counts = mem_alloc(2 * (size_t)size, sizeof *counts, "a communicator", e);
    if (!handle || !counts) {
        mem_free(handle);
        mem_free(counts);
        return STATUS_OS;
    }
    handle->mpi = mpi;
    handle->count = counts;
    handle->displacement = counts + size;
    MPI_Comm_rank(handle->mpi, &comm->rank);
    comm->size = size;
    comm->handle = handle;
    return STATUS_OK;
}

enum status comm_init(struct comm *comm, struct error *e)
{
    *comm = COMM_ALONE;
    if (!comm_launched())
        return comm_launched_size() > 1 ? refuse_single(e) : STATUS_OK;
    int provided = MPI_THREAD_SINGLE;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return error_set(e, STATUS_UNAVAILABLE, "cannot initialise MPI; check the installation with 'ompi_info'");
    if (provided < MPI_THREAD_FUNNELED) {
        MPI_Finalize();
        return error_set(e, STATUS_UNAVAILABLE,
                         "this MPI library gives no thread support (MPI_THREAD_FUNNELED); install one that does");
    }
    int size;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size == 1 && comm_launched_size() > 1) {
        MPI_Finalize();
        return refuse_single(e);
    }
    MPI_Comm world;
    MPI_Comm_dup(MPI_COMM_WORLD, &world);
    enum status status = adopt(comm, world, e);
    if (status)
        MPI_Abort(MPI_COMM_WORLD, (int)status); /* nothing to agree with yet */
    handle_of(comm)->boxes = mailboxes_open(world);
    return status;
}

void comm_finalize(struct comm *comm)
{
    if (!comm->handle)
        return;
    comm_release(comm);
    MPI_Finalize();
}

void comm_release(struct comm *comm)
{
    if (comm->handle) {
        mailboxes_close(handle_of(comm)->boxes);
        MPI_Comm_free(&handle_of(comm)->mpi);
        mem_free(handle_of(comm)->count);
        mem_free(comm->handle);
    }
    *comm = COMM_ALONE;
}

_Noreturn void comm_abort(const struct comm *comm, enum status status)
{
    fflush(NULL);
    temporary_remove_all();
    if (comm->handle)
        MPI_Abort(MPI_COMM_WORLD, (int)status);
    _exit((int)status);
}

enum status comm_agree(const struct comm *comm, enum status mine, struct error *e)
{
    if (!comm->handle)
        return mine;
    int64_t failing = comm_max(comm, mine ? comm->size - comm->rank : 0);
    if (failing == 0)
        return STATUS_OK;
    int root = comm->size - (int)failing;
    struct error agreed = {.status = mine, .text = ""};
    if (root == comm->rank) {
        if (e)
            agreed = *e;
        agreed.status = mine;
    }
    comm_broadcast(comm, &agreed, sizeof agreed, root);
    if (e)
        *e = agreed;
    return agreed.status;
}

enum status comm_agree_where(const struct comm *comm, enum status mine, struct error *e)
{
    if (comm->rank > 0 && mine && e) {
        char host[COMM_HOST];
        comm_host(host);
        size_t length = strlen(e->text);
        snprintf(e->text + length, sizeof e->text - length, " (rank %d on host '%s')", comm->rank, host);
    }
    return comm_agree(comm, mine, e);
}

void comm_barrier(const struct comm *comm)
{
    if (comm->handle)
        MPI_Barrier(mpi_of(comm));
}

void comm_barrier_asleep(const struct comm *comm)
{
    if (!comm->handle)
        return;
    MPI_Request request;
    int done = 0;
    MPI_Ibarrier(mpi_of(comm), &request);
    for (long nap = 10000;; nap = nap < 500000 ? 2 * nap : 1000000) { /* nanoseconds */
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (done)
            return;
        nanosleep(&(struct timespec){.tv_nsec = nap}, NULL);
    }
}

void comm_broadcast(const struct comm *comm, void *data, size_t bytes, int root)
{
    if (!comm->handle)
        return;
    for (size_t done = 0; done < bytes; done += COMM_PIECE) {
        size_t piece = bytes - done < COMM_PIECE ? bytes - done : COMM_PIECE;
        MPI_Bcast((char *)data + done, (int)piece, MPI_BYTE, root, mpi_of(comm));
    }
}

int64_t comm_sum(const struct comm *comm, int64_t value)
{
    if (comm->handle)
        MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, MPI_SUM, mpi_of(comm));
    return value;
}

int64_t comm_max(const struct comm *comm, int64_t value)
{
    if (comm->handle)
        MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, MPI_MAX, mpi_of(comm));
    return value;
}

void comm_unite_bits(const struct comm *comm, uint64_t *words, size_t count)
{
    const size_t most = COMM_PIECE / sizeof *words;
    for (size_t done = 0; comm->handle && done < count; done += most)
        MPI_Allreduce(MPI_IN_PLACE, words + done, (int)(count - done < most ? count - done : most), MPI_UINT64_T,
                      MPI_BOR, mpi_of(comm));
}

/* Posts all parts of a message at once; returns how many. */
static int post_parts(const struct comm *comm, int peer, char *receive, const char *send, size_t bytes,
                      MPI_Request *request)
{
    int count = 0;
    for (size_t done = 0; done < bytes; done += COMM_EAGER, count++) {
        int part = (int)(bytes - done < COMM_EAGER ? bytes - done : COMM_EAGER);
        if (receive)
            MPI_Irecv(receive + done, part, MPI_BYTE, peer, TAG, mpi_of(comm), &request[count]);
        else
            MPI_Isend(send + done, part, MPI_BYTE, peer, TAG, mpi_of(comm), &request[count]);
    }
    return count;
}

/* One direction of an exchange: from memory, or to it. */
struct way {
    int peer;
    const char *from;
    char *to;
    size_t bytes, done; /* moved by mailbox, or posted to MPI */
    bool boxed;
};

static struct way way_of(const struct comm *comm, int peer, const char *from, char *to, size_t bytes)
{
    bool boxed = bytes >= MAILBOX_LEAST && mailboxes_reach(handle_of(comm)->boxes, peer);
    return (struct way){peer, from, to, bytes, 0, boxed};
}

static int post_window(const struct comm *comm, struct way *way, MPI_Request *request)
{
    size_t begin = way->done, bytes = way->boxed ? 0 : way->bytes - begin;
    if (bytes > WINDOW)
        bytes = WINDOW;
    way->done += bytes;
    return post_parts(comm, way->peer, way->to ? way->to + begin : NULL, way->from ? way->from + begin : NULL, bytes,
                      request);
}

/* Both move a slot if they can, and say whether a mailbox may still have one. */
static bool put_slot(struct mailboxes *boxes, struct way *out, bool *moved)
{
    if (!out->boxed)
        return false;
    *moved |= mailboxes_put(boxes, out->peer, out->from, out->bytes, &out->done);
    return out->done < out->bytes || !mailboxes_emptied(boxes, out->peer);
}

static bool take_slot(struct mailboxes *boxes, struct way *in, bool *moved)
{
    if (!in->boxed)
        return false;
    *moved |= mailboxes_take(boxes, in->peer, in->to, in->bytes, &in->done);
    return in->done < in->bytes;
}

/* What ranks that wait for a mailbox do meanwhile: MPI moves nothing unless it is called, and others may share this
 * core. */
static void progress_and_yield(const struct comm *comm, int *waited)
{
    int arrived;
    if (++*waited % 64)
        return;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, mpi_of(comm), &arrived, MPI_STATUS_IGNORE);
    sched_yield();
}

/* Sends to `destination` and receives from `source` (no bytes: from or to nobody), window by window. Ranks that walk
 * the same sequence of calls cannot block each other: window i of a call waits for nothing later.
 *
 * Long messages inside a host go by mailbox. To other hosts they go in parts that MPI sends without asking the receiver
 * first. Larger messages wait for its consent. Over TCP that consent may wait for the bytes that the receiver itself is
 * sending: then two ranks do not exchange at the same time but take turns. On a link of 1 Gbit/s 128 KiB each way took
 * 2.7 ms so, and 1.3 ms in parts. */
static void exchange(const struct comm *comm, int destination, const char *send, size_t send_bytes, int source,
                     char *receive, size_t receive_bytes)
{
    struct mailboxes *boxes = handle_of(comm)->boxes;
    struct way out = way_of(comm, destination, send, NULL, send_bytes);
    struct way in = way_of(comm, source, NULL, receive, receive_bytes);
    MPI_Request request[2 * COMM_PARTS];
    int count = 0, waited = 0;
    for (;;) {
        bool moved = false, putting = put_slot(boxes, &out, &moved), taking = take_slot(boxes, &in, &moved);
        if (count == 0) {
            count = post_window(comm, &in, request);
            count += post_window(comm, &out, request + count);
        }
        if (count == 0 && !putting && !taking)
            return; /* NOLINT: the analyzer cannot count requests */
        int arrived = 1;
        if (putting || taking)
            MPI_Testall(count, request, &arrived, MPI_STATUSES_IGNORE); /* NOLINT: as above */
        else
            MPI_Waitall(count, request, MPI_STATUSES_IGNORE); /* NOLINT: as above */
        if (arrived)
            count = 0;
        if (!moved)
            progress_and_yield(comm, &waited);
    }
}

static void copy(void *to, const void *from, size_t bytes)
{
    if (bytes && to != from)
        memmove(to, from, bytes);
}

void comm_exchange(const struct comm *comm, int peer, const void *send, size_t send_bytes, void *receive,
                   size_t receive_bytes)
{
    if (peer == comm->rank)
        copy(receive, send, send_bytes < receive_bytes ? send_bytes : receive_bytes);
    else
        exchange(comm, peer, send, send_bytes, peer, receive, receive_bytes);
}

void comm_allgather(const struct comm *comm, const void *mine, size_t bytes, void *all)
{
    if (!comm->handle) {
        copy(all, mine, bytes);
        return;
    }
    if (bytes <= COMM_PIECE / (size_t)comm->size) {
        bool in_place = mine == (char *)all + (size_t)comm->rank * bytes;
        MPI_Allgather(in_place ? MPI_IN_PLACE : mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, mpi_of(comm));
        return;
    }
    copy((char *)all + (size_t)comm->rank * bytes, mine, bytes);
    for (int root = 0; root < comm->size; root++)
        comm_broadcast(comm, (char *)all + (size_t)root * bytes, bytes, root);
}

/* Fills the handle's arrays of ints; false if a number is too large for one (the same result on every rank, because all
 * know the same numbers). */
static bool places_fit(const struct comm *comm, const size_t *bytes, const size_t *offset)
{
    struct handle *handle = handle_of(comm);
    for (int rank = 0; rank < comm->size; rank++) {
        if (bytes[rank] > COMM_PIECE || offset[rank] > COMM_PIECE)
            return false;
        handle->count[rank] = (int)bytes[rank];
        handle->displacement[rank] = (int)offset[rank];
    }
    return true;
}

void comm_allgatherv(const struct comm *comm, const void *mine, void *all, const size_t *bytes, const size_t *offset)
{
    char *place = (char *)all + offset[comm->rank];
    if (!comm->handle) {
        copy(place, mine, bytes[0]);
        return;
    }
    struct handle *handle = handle_of(comm);
    size_t total = 0;
    for (int rank = 0; rank < comm->size; rank++)
        total += bytes[rank];
    if (total <= COMM_EAGER * (size_t)comm->size && places_fit(comm, bytes, offset)) {
        MPI_Allgatherv(mine == place ? MPI_IN_PLACE : mine, handle->count[comm->rank], MPI_BYTE, all, handle->count,
                       handle->displacement, MPI_BYTE, handle->mpi);
        return;
    }
    /* A ring: in each round everyone hands on what came in the round before. */
    copy(place, mine, bytes[comm->rank]);
    int size = comm->size, right = (comm->rank + 1) % size, left = (comm->rank + size - 1) % size;
    for (int round = 0; round < size - 1; round++) {
        int out = (comm->rank + size - round) % size, in = (left + size - round) % size;
        exchange(comm, right, (const char *)all + offset[out], bytes[out], left, (char *)all + offset[in], bytes[in]);
    }
}

void comm_gatherv(const struct comm *comm, const void *mine, void *all, const size_t *bytes, const size_t *offset,
                  int root)
{
    if (!comm->handle) {
        copy((char *)all + offset[0], mine, bytes[0]);
        return;
    }
    struct handle *handle = handle_of(comm);
    char *place = comm->rank == root ? (char *)all + offset[root] : NULL;
    if (places_fit(comm, bytes, offset)) {
        MPI_Gatherv(place && place == mine ? MPI_IN_PLACE : mine, handle->count[comm->rank], MPI_BYTE, all,
                    handle->count, handle->displacement, MPI_BYTE, root, handle->mpi);
        return;
    }
    if (!place) {
        exchange(comm, root, mine, bytes[comm->rank], MPI_PROC_NULL, NULL, 0);
        return;
    }
    copy(place, mine, bytes[root]);
    for (int rank = 0; rank < comm->size; rank++)
        if (rank != root)
            exchange(comm, MPI_PROC_NULL, NULL, 0, rank, (char *)all + offset[rank], bytes[rank]);
}

void comm_scatterv(const struct comm *comm, const void *all, const size_t *bytes, const size_t *offset, void *mine,
                   int root)
{
    if (!comm->handle) {
        copy(mine, (const char *)all + offset[0], bytes[0]);
        return;
    }
    struct handle *handle = handle_of(comm);
    const char *place = comm->rank == root ? (const char *)all + offset[root] : NULL;
    if (places_fit(comm, bytes, offset)) {
        MPI_Scatterv(all, handle->count, handle->displacement, MPI_BYTE, place && place == mine ? MPI_IN_PLACE : mine,
                     handle->count[comm->rank], MPI_BYTE, root, handle->mpi);
        return;
    }
    if (!place) {
        exchange(comm, MPI_PROC_NULL, NULL, 0, root, mine, bytes[comm->rank]);
        return;
    }
    copy(mine, place, bytes[root]);
    for (int rank = 0; rank < comm->size; rank++)
        if (rank != root)
            exchange(comm, rank, (const char *)all + offset[rank], bytes[rank], MPI_PROC_NULL, NULL, 0);
}

void comm_alltoallv(const struct comm *comm, const void *send, const size_t *send_bytes, const size_t *send_offset,
                    void *receive, const size_t *receive_bytes, const size_t *receive_offset)
{
    /* Pairwise: in round i everyone sends i ranks to the right. No rank knows all counts, so MPI's own call could not
     * be chosen by their size. */
    int rank = comm->rank, size = comm->size;
    copy((char *)receive + receive_offset[rank], (const char *)send + send_offset[rank], send_bytes[rank]);
    for (int round = 1; round < size; round++) {
        int to = (rank + round) % size, from = (rank + size - round) % size;
        exchange(comm, to, (const char *)send + send_offset[to], send_bytes[to], from,
                 (char *)receive + receive_offset[from], receive_bytes[from]);
    }
}

void comm_allreduce_float(const struct comm *comm, float *data, size_t count)
{
    if (!comm->handle)
        return;
    for (size_t done = 0; done < count; done += COMM_PIECE / sizeof *data) {
        size_t piece = count - done < COMM_PIECE / sizeof *data ? count - done : COMM_PIECE / sizeof *data;
        MPI_Allreduce(MPI_IN_PLACE, data + done, (int)piece, MPI_FLOAT, MPI_SUM, mpi_of(comm));
    }
}

enum status comm_split_host(const struct comm *comm, struct comm *local, struct error *e)
{
    *local = COMM_ALONE;
    if (!comm->handle)
        return STATUS_OK;
    MPI_Comm host;
    MPI_Comm_split_type(mpi_of(comm), MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &host);
    enum status status = adopt(local, host, e);
    if (status)
        MPI_Comm_free(&host);
    status = comm_agree(comm, status, e);
    if (status)
        comm_release(local);
    return status;
}
