/* Every call of the communicator at any number of ranks. Expected bytes are a formula in who sent them and where they
 * go. The room itself is compiled in here with pieces of 1000 bytes, parts of 150, four at once, and slots of 64 for
 * messages of 500 bytes and more, so that what stands for long messages is walked as well as the plain way. */
#define COMM_PIECE ((size_t)1000)
#define COMM_EAGER ((size_t)150)
#define COMM_PARTS 4
#define MAILBOX_SLOT ((size_t)64)
#define MAILBOX_LEAST ((size_t)500)
#include <limits.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../src/sys/comm.c"
#include "../../src/sys/comm_mailbox.c"

static int failures;

/* Hosts whose ranks get no memory to share: all but those below are refused it. */
static int granted = INT_MAX;

void *shmat(int id, const void *address, int flags)
{
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank < granted ? (void *)syscall(SYS_shmat, id, address, flags) : (void *)-1; /* NOLINT: an address */
}

static void expect(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "test_comm: %s\n", what);
        failures = 1;
    }
}

/* Byte i of what rank `from` has for rank `to`. */
static unsigned char made(int from, int to, size_t i)
{
    return (unsigned char)(7 * from + 31 * to + 3 * (int)i + (int)(i / 1000));
}

static unsigned char *room(size_t bytes)
{
    struct error e;
    unsigned char *block = mem_alloc(bytes + 1, 1, "test", &e);
    CHECK(block != NULL);
    return block;
}

/* Lengths that differ by rank: small ones go the plain way, large ones by pieces; some are empty. */
static size_t length_of(int rank, bool large)
{
    return (size_t)(rank % 3) * (large ? 1700 : 5) + (large && rank == 0 ? 2000 : 0);
}

static void places(const struct comm *comm, bool large, size_t *bytes, size_t *offset, size_t *total)
{
    *total = 0;
    for (int rank = 0; rank < comm->size; rank++) {
        bytes[rank] = length_of(rank, large);
        offset[rank] = *total;
        *total += bytes[rank] + 3; /* gaps stay as they were */
    }
}

static bool all_there(const struct comm *comm, const unsigned char *all, const size_t *bytes, const size_t *offset)
{
    bool there = true;
    for (int rank = 0; rank < comm->size; rank++) {
        for (size_t i = 0; i < bytes[rank]; i++)
            there = there && all[offset[rank] + i] == made(rank, 0, i);
        for (size_t i = 0; i < 3; i++)
            there = there && all[offset[rank] + bytes[rank] + i] == 0;
    }
    return there;
}

static void gathers(const struct comm *comm, bool large)
{
    size_t *bytes = (size_t *)room(sizeof *bytes * (size_t)comm->size);
    size_t *offset = (size_t *)room(sizeof *offset * (size_t)comm->size);
    size_t total;
    places(comm, large, bytes, offset, &total);
    unsigned char *all = room(total), *mine = room(bytes[comm->rank]);
    for (size_t i = 0; i < bytes[comm->rank]; i++)
        mine[i] = made(comm->rank, 0, i);
    comm_allgatherv(comm, mine, all, bytes, offset);
    expect(all_there(comm, all, bytes, offset), "comm_allgatherv: wrong bytes");

    int root = comm->size - 1;
    memset(all, 0, total);
    comm_gatherv(comm, mine, comm->rank == root ? all : NULL, bytes, offset, root);
    expect(comm->rank != root || all_there(comm, all, bytes, offset), "comm_gatherv: wrong bytes");

    memset(mine, 0xee, bytes[comm->rank]);
    comm_scatterv(comm, comm->rank == root ? all : NULL, bytes, offset, mine, root);
    bool right = true;
    for (size_t i = 0; i < bytes[comm->rank]; i++)
        right = right && mine[i] == made(comm->rank, 0, i);
    expect(right, "comm_scatterv: wrong bytes");

    memset(all, 0, total); /* what is sent may stand in its place already */
    memcpy(all + offset[comm->rank], mine, bytes[comm->rank]);
    comm_allgatherv(comm, all + offset[comm->rank], all, bytes, offset);
    expect(all_there(comm, all, bytes, offset), "comm_allgatherv in place: wrong bytes");
    mem_free(bytes);
    mem_free(offset);
    mem_free(all);
    mem_free(mine);
}

static void equal_gather(const struct comm *comm, size_t bytes)
{
    unsigned char *all = room(bytes * (size_t)comm->size), *mine = room(bytes);
    for (size_t i = 0; i < bytes; i++)
        mine[i] = made(comm->rank, 0, i);
    comm_allgather(comm, mine, bytes, all);
    bool right = true;
    for (int rank = 0; rank < comm->size; rank++)
        for (size_t i = 0; i < bytes; i++)
            right = right && all[(size_t)rank * bytes + i] == made(rank, 0, i);
    expect(right, "comm_allgather: wrong bytes");
    mem_free(all);
    mem_free(mine);
}

static void broadcasts(const struct comm *comm, size_t bytes)
{
    unsigned char *data = room(bytes);
    int root = comm->size / 2;
    for (size_t i = 0; i < bytes; i++)
        data[i] = comm->rank == root ? made(root, 0, i) : 0;
    comm_broadcast(comm, data, bytes, root);
    bool right = true;
    for (size_t i = 0; i < bytes; i++)
        right = right && data[i] == made(root, 0, i);
    expect(right, "comm_broadcast: wrong bytes");
    mem_free(data);
}

/* Neighbours in pairs, with lengths of their own in each direction. */
static void exchanges(const struct comm *comm)
{
    int peer = comm->rank ^ 1;
    if (peer >= comm->size)
        peer = comm->rank;
    size_t out = 900 * (size_t)(comm->rank + 1) + (size_t)comm->rank, in = 900 * (size_t)(peer + 1) + (size_t)peer;
    unsigned char *send = room(out), *receive = room(in);
    for (size_t i = 0; i < out; i++)
        send[i] = made(comm->rank, peer, i);
    comm_exchange(comm, peer, send, out, receive, in);
    bool right = true;
    for (size_t i = 0; i < in; i++)
        right = right && receive[i] == made(peer, comm->rank, i);
    expect(right, "comm_exchange: wrong bytes");
    mem_free(send);
    mem_free(receive);
}

static size_t pair_length(int from, int to)
{
    return (size_t)((from * 5 + to * 3) % 4) * 800;
}

static void all_to_all(const struct comm *comm)
{
    size_t *numbers = (size_t *)room(4 * sizeof(size_t) * (size_t)comm->size);
    size_t *send_bytes = numbers, *send_offset = numbers + comm->size, *receive_bytes = numbers + 2 * comm->size,
           *receive_offset = numbers + 3 * comm->size, out = 0, in = 0;
    for (int rank = 0; rank < comm->size; rank++) {
        send_bytes[rank] = pair_length(comm->rank, rank);
        receive_bytes[rank] = pair_length(rank, comm->rank);
        send_offset[rank] = out;
        receive_offset[rank] = in;
        out += send_bytes[rank];
        in += receive_bytes[rank];
    }
    unsigned char *send = room(out), *receive = room(in);
    for (int rank = 0; rank < comm->size; rank++)
        for (size_t i = 0; i < send_bytes[rank]; i++)
            send[send_offset[rank] + i] = made(comm->rank, rank, i);
    comm_alltoallv(comm, send, send_bytes, send_offset, receive, receive_bytes, receive_offset);
    bool right = true;
    for (int rank = 0; rank < comm->size; rank++)
        for (size_t i = 0; i < receive_bytes[rank]; i++)
            right = right && receive[receive_offset[rank] + i] == made(rank, comm->rank, i);
    expect(right, "comm_alltoallv: wrong bytes");
    mem_free(numbers);
    mem_free(send);
    mem_free(receive);
}

static void reductions(const struct comm *comm)
{
    int64_t ranks = comm->size, big = (int64_t)1 << 40;
    expect(comm_sum(comm, big + comm->rank) == ranks * big + ranks * (ranks - 1) / 2, "comm_sum is wrong");
    expect(comm_max(comm, -big + comm->rank) == -big + ranks - 1, "comm_max is wrong");
    float data[700];
    for (int i = 0; i < 700; i++)
        data[i] = (float)(i + comm->rank);
    comm_allreduce_float(comm, data, 700);
    bool right = true;
    for (int i = 0; i < 700; i++)
        right = right && data[i] == (float)(ranks * i + ranks * (ranks - 1) / 2); /* small integers: exact */
    expect(right, "comm_allreduce_float is wrong");
    comm_barrier(comm);
}

/* Each rank in turn fails on purpose: all come back with its status and its text. */
static void agreements(const struct comm *comm)
{
    struct error e = {STATUS_OK, ""};
    expect(comm_agree(comm, STATUS_OK, &e) == STATUS_OK, "comm_agree: a failure that nobody had");
    for (int failing = 0; failing < comm->size; failing++) {
        char expected[64];
        snprintf(expected, sizeof expected, "rank %d has failed", failing);
        enum status mine = STATUS_OK;
        e = (struct error){STATUS_OK, ""};
        if (comm->rank >= failing) /* and all above it, with another story */
            mine = comm->rank == failing ? error_set(&e, STATUS_IO, "%s", expected)
                                         : error_set(&e, STATUS_OS, "another story");
        expect(comm_agree(comm, mine, &e) == STATUS_IO, "comm_agree: not the status of the lowest failing rank");
        expect(e.status == STATUS_IO && strcmp(e.text, expected) == 0, "comm_agree: not its text");
        char host[COMM_HOST], placed[200];
        comm_host(host);
        snprintf(placed, sizeof placed, failing > 0 ? "bad (rank %d on host '%s')" : "bad", failing, host);
        mine = comm->rank == failing ? error_set(&e, STATUS_IO, "bad") : STATUS_OK;
        expect(comm_agree_where(comm, mine, &e) == STATUS_IO && strcmp(e.text, placed) == 0, "comm_agree_where");
        mine = comm->rank == failing ? STATUS_DATA : STATUS_OK;
        expect(comm_agree(comm, mine, NULL) == STATUS_DATA, "comm_agree: without texts");
    }
}

static void hosts(const struct comm *comm)
{
    struct comm local;
    struct error e;
    expect(comm_split_host(comm, &local, &e) == STATUS_OK, "comm_split_host fails");
    expect(local.size == comm->size && local.rank == comm->rank, "comm_split_host: all ranks of the test share a host");
    expect(comm_sum(&local, 1) == local.size, "comm_split_host: its ranks do not hear each other");
    comm_release(&local);
    expect(local.size == 1 && local.handle == NULL, "comm_release leaves no single rank");
}

/* Refused to all ranks or to one of them, no rank shares memory. */
static void refusals(const struct comm *comm)
{
    expect((handle_of(comm)->boxes != NULL) == (comm->size > 1), "comm_init: ranks of one host share no memory");
    for (granted = 0; granted<comm->size; granted += comm->size> 1 ? comm->size - 1 : 1)
        expect(mailboxes_open(mpi_of(comm)) == NULL, "mailboxes: opened though a rank was refused memory");
    granted = INT_MAX;
}

static void messages(const struct comm *comm)
{
    for (int large = 0; large < 2; large++)
        gathers(comm, large);
    for (int round = 0; round < 20; round++) {
        exchanges(comm);
        all_to_all(comm);
    }
}

int main(void)
{
    struct comm comm;
    struct error e = {STATUS_OK, ""};
    if (comm_init(&comm, &e)) {
        fprintf(stderr, "test_comm: %s\n", e.text);
        return 1;
    }
    const char *launched = getenv("OMPI_COMM_WORLD_SIZE");
    launched = launched ? launched : getenv("PMI_SIZE"); /* MPICH */
    expect(comm.size == (launched ? atoi(launched) : 1), "comm_init: wrong number of ranks");
    expect((comm.handle != NULL) == (launched != NULL), "comm_init: MPI without a launcher, or none with one");
    reductions(&comm);
    agreements(&comm);
    messages(&comm);
    equal_gather(&comm, 7);
    equal_gather(&comm, 2600);
    broadcasts(&comm, 0);
    broadcasts(&comm, 10);
    broadcasts(&comm, 3333);
    hosts(&comm);
    if (comm.handle) {
        refusals(&comm);
        struct mailboxes *boxes = handle_of(&comm)->boxes;
        handle_of(&comm)->boxes = NULL; /* all by MPI, and then by mailbox where ranks are of the same parity */
        messages(&comm);
        handle_of(&comm)->boxes = boxes;
        for (int rank = 0; boxes && rank < comm.size; rank++)
            if ((rank ^ comm.rank) & 1)
                boxes->host_rank[rank] = MPI_UNDEFINED;
        messages(&comm);
    }
    int64_t failed = comm_max(&comm, failures);
    comm_finalize(&comm);
    return failed ? 1 : 0;
}
