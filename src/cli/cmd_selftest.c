/* unroll selftest: whether this build gives the bits of its arithmetic revision on this processor. */
#include <stdio.h>

#include "unroll/base/build_info.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/nn/unit.h"
#include "unroll/sys/blas.h"
#include "unroll/sys/h5.h"
#include "unroll/use/selftest.h"

static void print_units(void)
{
    printf("bf16          ");
    for (int order = 0; order < bf16_order_choices.count; order++) {
        const struct model_config model = {.precision = PRECISION_BF16, .bf16_order = order};
        printf("%s%s: %s", order ? ", " : "", bf16_order_choices.name(order), unit_name(&model));
    }
    printf("\n");
}

static void print_facts(const struct selftest_facts *facts)
{
    const char *revision = build_revision();
    printf("unroll        %s%s%s%s\n", build_version(), *revision ? " (" : "", revision, *revision ? ")" : "");
    printf("arithmetic    revision %d\n", build_arithmetic());
    printf("processor     %.65s\n", facts->processor);
    printf("instructions  %s\n", build_instructions());
    printf("compiler      %s\n", build_compiler());
    printf("BLIS          %s, kernel %s%s\n", blas_version(), facts->kernel, facts->own ? ", replaced by our own" : "");
    print_units();
    printf("MPI           %s\n", facts->mpi);
    printf("HDF5          %s\n\n", h5_library_version());
    fflush(stdout);
}

static void print_outcome(const struct selftest_outcome *outcome)
{
    if (outcome->wrong)
        printf("%-13s DIFFERS in %d of %d: %s\n", outcome->group, outcome->wrong, outcome->checks, outcome->brief);
    else
        printf("%-13s ok       %d %s\n", outcome->group, outcome->checks, outcome->kind);
    fflush(stdout);
}

/* The file src/use/selftest_digests.h as it should be for what is computed here. */
static enum status print_digests(int threads, struct error *e)
{
    printf(
        "/* The digests that `unroll selftest` expects, by 'unroll selftest --print': anew for each arithmetic revision. */\n"
        "/* clang-format off */\nstatic const struct {\n    const char *name, *hex;\n} selftest_digests[] = {\n");
    char name[SELFTEST_ITEM];
    for (int item = 0; selftest_item(item, name); item++) {
        char hex[DIGEST_TEXT];
        enum status status = selftest_digest(item, threads, hex, e);
        if (status)
            return status;
        printf("    {\"%s\", \"%s\"},\n", name, hex);
    }
    printf("};\n");
    return STATUS_OK;
}

/* Not collective. The first thing that is wrong is the error, naming this rank among several. */
static enum status check_all(const struct comm *comm, int threads, struct error *e)
{
    char where[128] = "";
    struct error wrong = {0};
    if (comm->size > 1) {
        char host[COMM_HOST];
        comm_host(host);
        snprintf(where, sizeof where, " on rank %d, host '%s'", comm->rank, host);
    }
    for (int group = 0; group < selftest_groups(); group++) {
        struct selftest_outcome outcome;
        enum status status = selftest_run(group, threads, &outcome, e);
        if (status)
            return status;
        if (comm->rank == 0)
            print_outcome(&outcome);
        if (outcome.wrong && !wrong.status)
            error_set(&wrong, STATUS_INTERNAL,
                      "wrong bits in '%s'%s: %s; do not trust the bits of this build on this processor, and report it "
                      "with the output of 'unroll selftest'",
                      outcome.group, where, outcome.first);
    }
    if (wrong.status)
        *e = wrong;
    return wrong.status;
}

/* Every rank checks itself; rank 0 tells of its own checks, and which rank is wrong. */
enum status cmd_selftest(const struct comm *comm, const struct options *options, struct error *e)
{
    struct selftest_facts facts;
    int threads = 1;
    enum status status = load_threads(comm, options, &threads, e);
    if (!status)
        status = comm_agree(comm, selftest_facts(&facts, e), e);
    if (status)
        return status;
    if (options->print_digests)
        return comm_agree(comm, comm->rank == 0 ? print_digests(threads, e) : STATUS_OK, e);
    if (comm->rank == 0)
        print_facts(&facts);
    status = comm_agree(comm, check_all(comm, threads, e), e);
    if (status)
        return status;
    if (comm->rank == 0 && comm->size > 1)
        printf("\nthe bits of arithmetic revision %d on %d ranks\n", build_arithmetic(), comm->size);
    else if (comm->rank == 0)
        printf("\nthe bits of arithmetic revision %d\n", build_arithmetic());
    return comm_agree(comm, comm->rank == 0 ? finish_output(e) : STATUS_OK, e);
}
