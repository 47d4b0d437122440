/* Whether all ranks hold the same parameters, average and optimizer. */
#include "trainer_private.h"

#include <string.h>

#include "unroll/base/digest.h"
#include "unroll/base/mem.h"

static enum status digest_replica(const struct trainer *trainer, char hex[DIGEST_TEXT], struct error *e)
{
    struct digest *digest = digest_new(e);
    if (!digest)
        return STATUS_OS;
    digest_add(digest, trainer->values, trainer->table.total * sizeof(float));
    if (trainer->average.state.count > 0)
        digest_add(digest, trainer->average.values, trainer->table.total * sizeof(float));
    digest_add(digest, &trainer->average.state, sizeof trainer->average.state);
    for (int slot = 0; slot < trainer->step->optimizer->slots; slot++)
        digest_add(digest, trainer->step->optimizer->slot[slot], trainer->table.trained * sizeof(float));
    digest_add(digest, &trainer->step->optimizer->updates, sizeof trainer->step->optimizer->updates);
    digest_add(digest, &trainer->progress.step, sizeof trainer->progress.step);
    digest_text(digest, hex);
    digest_free(digest);
    return STATUS_OK;
}

static int count_equal(const char (*digests)[DIGEST_TEXT], int ranks, int rank)
{
    int equal = 0;
    for (int other = 0; other < ranks; other++)
        equal += memcmp(digests[rank], digests[other], DIGEST_TEXT) == 0;
    return equal;
}

/* A rank of the smallest group of equal ranks; of two halves, of the one without rank 0. -1 if all are equal. */
static int odd_rank(const char (*digests)[DIGEST_TEXT], int ranks)
{
    int fewest = count_equal(digests, ranks, 0), odd = -1;
    if (fewest == ranks)
        return -1;
    for (int rank = 0; rank < ranks; rank++) {
        int equal = count_equal(digests, ranks, rank);
        if (equal < fewest || odd < 0 || (equal == fewest && memcmp(digests[odd], digests[0], DIGEST_TEXT) == 0)) {
            fewest = equal;
            odd = rank;
        }
    }
    return odd;
}

enum status trainer_check_replicas(struct trainer *trainer, struct error *e)
{
    int ranks = trainer->comm->size;
    trainer_settle(trainer);
    if (ranks == 1)
        return STATUS_OK;
    heartbeat_beat(&trainer->heartbeat, "comparison of replicas");
    char mine[DIGEST_TEXT] = "";
    char(*all)[DIGEST_TEXT] = mem_alloc((size_t)ranks, sizeof *all, "digests of all ranks", e);
    enum status status = all ? digest_replica(trainer, mine, e) : STATUS_OS;
    status = comm_agree(trainer->comm, status, e);
    if (!status) {
        comm_allgather(trainer->comm, mine, sizeof mine, all);
        int odd = odd_rank((const char(*)[DIGEST_TEXT])all, ranks);
        if (odd >= 0)
            status =
                error_set(e, STATUS_INTERNAL,
                          "replicas differ: at step %lld rank %d has other parameters than the others, nothing was "
                          "saved; look for faulty memory on its host, and run the same command again to go on from "
                          "the last checkpoint",
                          (long long)trainer->progress.step, odd);
    }
    mem_free(all);
    return status;
}
