/* The groups of the self-test, and the digests that they compare. */
#include "unroll/use/selftest.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "selftest_digests.h"
#include "selftest_private.h"
#include "unroll/nn/cell.h"
#include "unroll/sys/blas.h"
#include "unroll/sys/comm.h"

/* ---- what computes here ---- */

/* The value of the first line "name : value" of /proc/cpuinfo, or "". */
static void cpu_fact(const char *name, char *room, size_t size)
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "r");
    *room = '\0';
    while (file && !*room && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, name, strlen(name)) != 0 || strspn(line + strlen(name), " \t:") == 0)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(room, size, "%.90s", colon);
    }
    if (file)
        (void)fclose(file);
}

/* "AMD EPYC 9B45", or on Arm "aarch64, implementer 0x41, part 0xd0c"; in doubt what uname says. */
static void name_processor(char room[SELFTEST_NAME])
{
    struct utsname host;
    char implementer[32], part[32];
    cpu_fact("model name", room, SELFTEST_NAME);
    if (*room)
        return;
    const char *machine = uname(&host) == 0 ? host.machine : "unknown";
    cpu_fact("CPU implementer", implementer, sizeof implementer);
    cpu_fact("CPU part", part, sizeof part);
    if (*implementer)
        snprintf(room, SELFTEST_NAME, "%.20s, implementer %.20s, part %.20s", machine, implementer, part);
    else
        snprintf(room, SELFTEST_NAME, "%.20s", machine);
}

enum status selftest_facts(struct selftest_facts *facts, struct error *e)
{
    struct blas_tile tile;
    enum status status = blas_init(&tile, e);
    if (status)
        return status;
    facts->kernel = tile.kernel;
    facts->own = tile.own;
    name_processor(facts->processor);
    comm_library(facts->mpi, sizeof facts->mpi);
    return STATUS_OK;
}

/* ---- digests ---- */

bool selftest_item(int item, char name[SELFTEST_ITEM])
{
    if (item >= selftest_function_count)
        return selftest_trial_name(item - selftest_function_count, name);
    snprintf(name, SELFTEST_ITEM, "%s", selftest_function_table[item].name);
    return true;
}

static const char *group_of(int item)
{
    return item < selftest_function_count ? selftest_function_table[item].group
                                          : selftest_trial_group(item - selftest_function_count);
}

enum status selftest_digest(int item, int threads, char hex[DIGEST_TEXT], struct error *e)
{
    if (item < selftest_function_count)
        return selftest_function_table[item].digest(hex, e);
    return selftest_trial_digest(item - selftest_function_count, threads, hex, e);
}

static const char *recorded_digest(const char *name)
{
    for (int i = 0; i < (int)(sizeof selftest_digests / sizeof *selftest_digests); i++)
        if (strcmp(selftest_digests[i].name, name) == 0)
            return selftest_digests[i].hex;
    return "none";
}

static enum status check_digests(int threads, struct selftest_outcome *outcome, struct error *e)
{
    enum status status = STATUS_OK;
    char name[SELFTEST_ITEM];
    for (int item = 0; selftest_item(item, name) && !status; item++) {
        char is[DIGEST_TEXT], brief[64];
        const char *should = recorded_digest(name);
        if (strcmp(group_of(item), outcome->group) != 0)
            continue;
        status = selftest_digest(item, threads, is, e);
        if (status)
            continue;
        snprintf(brief, sizeof brief, "%s: %.8s, not %.8s", name, is, should);
        if (strcmp(is, should) == 0)
            selftest_right(outcome);
        else
            selftest_wrong(outcome, brief, "'%s' has digest %s, and should have %s", name, is, should);
    }
    return status;
}

/* ---- groups ---- */

struct group {
    const char *name, *kind;
    enum status (*check)(int threads, struct selftest_outcome *outcome, struct error *e); /* NULL: only digests */
};

static const struct group before_cells[] = {
    {"products", "shapes, bit for bit as plain C", selftest_products},
    {"gradients", "shapes, bit for bit as plain C", selftest_gradients},
    {"bf16", "shapes, bit for bit as plain C", selftest_bf16},
    {"functions", "sets of values", selftest_functions},
    {"schedules", "digest", NULL},
    {"start values", "digests", NULL},
};
static const struct group behind_cells[] = {
    {"optimizers", "trainings", NULL},    {"large", "trainings beyond a block", NULL},
    {"output layers", "trainings", NULL}, {"regularisers", "training", NULL},
    {"bf16 tile", "trainings", NULL},     {"bf16 pair", "trainings", NULL},
};
#define BEFORE ((int)(sizeof before_cells / sizeof *before_cells))
#define BEHIND ((int)(sizeof behind_cells / sizeof *behind_cells))

int selftest_groups(void)
{
    return BEFORE + CELLS + BEHIND;
}

static struct group group_at(int index)
{
    if (index < BEFORE)
        return before_cells[index];
    if (index >= BEFORE + CELLS)
        return behind_cells[index - BEFORE - CELLS];
    return (struct group){cell_name((enum cell)(index - BEFORE)), "trainings", NULL};
}

enum status selftest_run(int group, int threads, struct selftest_outcome *outcome, struct error *e)
{
    const struct group at = group_at(group);
    *outcome = (struct selftest_outcome){.group = at.name, .kind = at.kind};
    enum status status = at.check ? at.check(threads, outcome, e) : STATUS_OK;
    return status ? status : check_digests(threads, outcome, e);
}
