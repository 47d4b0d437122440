/* The rank whose threads waited most for cores is known to all ranks, whichever it is. Made-up times: rank `worst`
 * waited for half of its time, the others for a tenth and less. */
#include <stdio.h>
#include <string.h>

#include "unroll/train/placement.h"

static int failures;

static void expect(const struct comm *comm, int worst, bool holds, const char *what)
{
    if (holds)
        return;
    failures++;
    fprintf(stderr, "rank %d of %d, worst %d: %s\n", comm->rank, comm->size, worst, what);
}

static void worst_is_known(const struct comm *comm, int worst)
{
    struct placement_wait wait;
    char advice[ERROR_TEXT], name[16];
    placement_waited(comm, 3, &wait);
    expect(comm, worst, wait.rank == comm->rank && wait.ranks == comm->size && wait.threads == 3, "whose times");
    wait.computed = 100 + comm->rank;
    wait.waited = comm->rank == worst ? wait.computed : comm->rank;
    snprintf(wait.host, sizeof wait.host, "n%d", comm->rank);
    snprintf(name, sizeof name, "n%d", worst);
    placement_wait_most(comm, &wait);
    expect(comm, worst, wait.rank == worst && strcmp(wait.host, name) == 0, "which rank");
    expect(comm, worst, placement_wait_share(&wait) > 0.499 && placement_wait_share(&wait) < 0.501, "its share");
    placement_wait_advice(&wait, advice);
    expect(comm, worst, strstr(advice, comm->size > 1 ? name : "threads waited") != NULL, advice);
}

/* Of equals the first, here on a machine where nobody waited. */
static void nobody_waited(const struct comm *comm)
{
    struct placement_wait wait = {.computed = 10, .rank = comm->rank, .ranks = comm->size, .threads = 1};
    char advice[ERROR_TEXT];
    placement_wait_most(comm, &wait);
    placement_wait_advice(&wait, advice);
    expect(comm, 0, wait.rank == 0 && advice[0] == '\0', "nothing to tell");
}

/* All ranks of this test are on one host. */
static void hosts_are_counted(const struct comm *comm)
{
    struct placement placement;
    char advice[ERROR_TEXT];
    struct error e;
    enum status status = placement_choose(comm, 1, &placement, advice, &e);
    expect(comm, 0, status == STATUS_OK && placement.hosts == 1 && placement.host_ranks == comm->size, "hosts");
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    if (comm_init(&comm, &e) != STATUS_OK)
        return 1;
    for (int worst = 0; worst < comm.size; worst++)
        worst_is_known(&comm, worst);
    nobody_waited(&comm);
    hosts_are_counted(&comm);
    int64_t all = comm_sum(&comm, failures);
    comm_finalize(&comm);
    return all > 0;
}
