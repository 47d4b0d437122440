/* A training step of many ranks in SimGrid's SMPI: computing as given seconds, then the reducer's exchange written out
 * once more against MPI. tools/check-scaling-model compiles it with smpicc and compares its clock with what `unroll
 * plan` says.
 *
 *   simulate_sum FLOATS GROUPS COMPUTING UPDATE ADD_RATE
 *
 * COMPUTING seconds before the exchange and UPDATE seconds after it pass on every rank; ADD_RATE floats are added in
 * a second. Rank 0 prints the seconds of the exchange and of the step. Each rank's host is simulated at 1 flop/ns. */
#include <mpi.h>
#include <smpi/smpi.h>
#include <stdio.h>
#include <stdlib.h>

#include "unroll/base/lane_share.h"

#define PIECE ((size_t)1 << 20) /* floats */

static char *out, *in; /* what is in messages does not matter, and all ranks may share it */

static void work(double seconds)
{
    smpi_execute_flops(seconds * 1e9);
}

static void trade(int to, size_t sent, int from, size_t received)
{
    MPI_Sendrecv(out, (int)sent * 4, MPI_BYTE, to, 0, in, (int)received * 4, MPI_BYTE, from, 0, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
}

static void butterfly(int rank, int ranks, size_t count, double add_rate)
{
    size_t have[32] = {count};
    int level = 0;
    for (int distance = 1; distance < ranks; distance *= 2, level++) {
        size_t lower = have[level] / 2, upper = have[level] - lower, kept = rank & distance ? upper : lower;
        trade(rank ^ distance, have[level] - kept, rank ^ distance, kept);
        work((double)kept / add_rate);
        have[level + 1] = kept;
    }
    for (int distance = ranks / 2; distance >= 1; distance /= 2, level--)
        trade(rank ^ distance, have[level], rank ^ distance, have[level - 1] - have[level]);
}

static size_t slice(size_t count, int ranks, int rank)
{
    return count * ((size_t)rank + 1) / (size_t)ranks - count * (size_t)rank / (size_t)ranks;
}

static int nodes_of(int groups, int ranks, int rank)
{
    struct lane_node nodes[LANE_NODES_MAX];
    struct lane_share share = lane_share_of(groups, groups, ranks, rank);
    return lane_share_nodes(&share, nodes);
}

static void slices(int rank, int ranks, int groups, size_t count, double add_rate)
{
    size_t mine = slice(count, ranks, rank);
    int nodes = nodes_of(groups, ranks, rank), all = nodes;
    work((double)count * nodes * 2 / 3 / add_rate); /* packing */
    for (int round = 1; round < ranks; round++) {
        int to = (rank + round) % ranks, from = (rank + ranks - round) % ranks, theirs = nodes_of(groups, ranks, from);
        trade(to, slice(count, ranks, to) * (size_t)nodes, from, mine * (size_t)theirs);
        all += theirs;
    }
    work((double)mine * (all - 1) / add_rate);
    for (int round = 0; round < ranks - 1; round++)
        trade((rank + 1) % ranks, slice(count, ranks, (rank + ranks - round) % ranks), (rank + ranks - 1) % ranks,
              slice(count, ranks, (rank + 2 * ranks - 1 - round) % ranks));
}

int main(int arguments, char **argument)
{
    int rank, ranks;
    MPI_Init(&arguments, &argument);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (arguments != 6)
        return 64;
    size_t floats = strtoull(argument[1], NULL, 10);
    int groups = atoi(argument[2]), all = 0;
    double add_rate = atof(argument[5]);
    out = SMPI_SHARED_MALLOC(PIECE * 4);
    in = SMPI_SHARED_MALLOC(PIECE * 4);
    for (int r = 0; r < ranks; r++)
        all += nodes_of(groups, ranks, r);
    double begun = MPI_Wtime();
    work(atof(argument[3]));
    MPI_Allgather(out, 16, MPI_BYTE, in, 16, MPI_BYTE, MPI_COMM_WORLD); /* losses */
    double computed = MPI_Wtime();
    for (size_t done = 0; done < floats; done += PIECE) {
        size_t count = floats - done < PIECE ? floats - done : PIECE;
        if (all == ranks && (ranks & (ranks - 1)) == 0)
            butterfly(rank, ranks, count, add_rate);
        else
            slices(rank, ranks, groups, count, add_rate);
    }
    double sum = MPI_Wtime() - computed, sum_most, step_most;
    work(atof(argument[4]));
    double step = MPI_Wtime() - begun;
    MPI_Reduce(&sum, &sum_most, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    MPI_Reduce(&step, &step_most, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("%.9g %.9g\n", sum_most, step_most);
    SMPI_SHARED_FREE(out);
    SMPI_SHARED_FREE(in);
    MPI_Finalize();
    return 0;
}
