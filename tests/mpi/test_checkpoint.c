/* Both writers give the same checkpoint at any number of ranks, from what each rank is bound to hold; and when rank 0
 * cannot write, all ranks come back with its error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "make_corpus.h"

#include "unroll/nn/model.h"
#include "unroll/train/checkpoint.h"

#define V 19
#define BATCH 6

static int failures;

static void expect(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "test_checkpoint: %s\n", what);
        failures = 1;
    }
}

static void fill(float *array, size_t count, uint32_t what)
{
    for (size_t i = 0; i < count; i++)
        array[i] = rng_uniform_float(rng_philox(2, RNG_TEST, what, 0, 0, (uint32_t)i).word[0]);
}

/* Only rank 0 has the states and knows the facts. */
static void make(const struct comm *comm, struct checkpoint *c)
{
    struct error e;
    *c = (struct checkpoint){.batch = BATCH, .bptt = 4, .groups = 2};
    c->model = (struct model_config){.cell = CELL_GRU, .layers = 2, .embedding = 7, .hidden = 9, .vocab = V};
    param_table_build(&c->model, &c->table);
    c->values = mem_alloc(c->table.total, sizeof(float), "test", &e);
    fill(c->values, c->table.total, 1);
    struct optimizer_config config = {optimizer_kind("adam"), 0, 0.9, 0.99, 0, 1e-8, 0, SPARSE_EXACT};
    CHECK(optimizer_create(&config, &c->table, NULL, &c->optimizer, &e) == STATUS_OK);
    for (int slot = 0; slot < 2; slot++)
        fill(c->optimizer->slot[slot], c->table.total, 2 + (uint32_t)slot);
    c->optimizer->updates = 5;
    c->trained = mem_alloc(c->table.trained, sizeof(float), "test", &e);
    fill(c->trained, c->table.trained, 5);
    c->vocab = make_vocab(V);
    c->progress.lr_factor = 1;
    c->progress.valid_step = -1;
    c->progress.step = 10 + comm->rank; /* rank 0's counts */
    if (comm->rank > 0)
        return;
    size_t states = (size_t)model_state_count(&c->model) * BATCH * 9;
    c->states = mem_alloc(states, sizeof(float), "test", &e);
    fill(c->states, states, 7);
    c->average = (struct average_state){.kind = AVERAGE_EMA, .count = 4, .began = 6};
    c->options = 1;
    snprintf(c->option[0].name, sizeof c->option[0].name, "cell");
    snprintf(c->option[0].value, sizeof c->option[0].value, "gru");
    snprintf(c->corpus_digest, sizeof c->corpus_digest, "%032d", 3);
    checkpoint_build_here(&c->build);
    c->build.ranks = comm->size;
}

static void drop(struct checkpoint *c)
{
    c->owned = true;
    checkpoint_release(c);
}

static enum status write_to(const struct comm *comm, const char *path, struct checkpoint *c,
                            enum checkpoint_writer writer, const struct file_guard *guard, struct error *e)
{
    struct checkpoint_target target = {.path = path, .writer = writer, .guard = guard};
    enum status status = checkpoint_write(comm, c, &target, e);
    expect(!target.broken, "the target is broken");
    return status;
}

/* Every rank reads for itself and compares with what rank 0 put in. */
static void compare(const char *path, const struct checkpoint *c, int ranks)
{
    struct error e = {STATUS_OK, ""};
    struct checkpoint back;
    expect(checkpoint_read(path, CHECKPOINT_ALL, &back, &e) == STATUS_OK, e.text);
    if (e.status)
        return;
    for (int k = 0; k < c->table.count; k++) {
        const struct param *param = &c->table.param[k];
        size_t bytes = param->count * sizeof(float);
        expect(memcmp(c->values + param->offset, back.values + param->offset, bytes) == 0, "other parameters");
        expect(memcmp(c->trained + param->offset, back.trained + param->offset, bytes) == 0, "other trained weights");
        for (int slot = 0; slot < 2; slot++)
            expect(memcmp(c->optimizer->slot[slot] + param->offset, back.optimizer->slot[slot] + param->offset,
                          bytes) == 0,
                   "another state of the optimizer");
    }
    size_t states = (size_t)model_state_count(&c->model) * BATCH * 9;
    float *expected = mem_alloc(states, sizeof(float), "test", &e);
    fill(expected, states, 7);
    expect(memcmp(expected, back.states, states * sizeof(float)) == 0, "other carried states");
    mem_free(expected);
    expect(back.progress.step == 10, "not rank 0's progress");
    expect(back.average.count == 4 && back.average.began == 6, "not rank 0's average");
    expect(back.options == 1 && strcmp(back.option[0].value, "gru") == 0, "not rank 0's options");
    expect(back.build.ranks == ranks, "not rank 0's build");
    checkpoint_release(&back);
}

static enum status refuse(void *context, struct error *e)
{
    (void)context;
    return error_set(e, STATUS_CANTCREATE, "the lock is another's");
}

static void failures_are_shared(const struct comm *comm, const char *folder, struct checkpoint *c)
{
    static const struct file_guard guard = {refuse, NULL, NULL};
    char path[200];
    for (int writer = WRITER_SINGLE; writer <= WRITER_PARALLEL; writer++) {
        struct error e = {STATUS_OK, ""};
        snprintf(path, sizeof path, "%s/no/c.h5", folder);
        enum status status = write_to(comm, path, c, (enum checkpoint_writer)writer, NULL, &e);
        expect(status != STATUS_OK && e.status == status && strstr(e.text, "/no") != NULL, "a missing folder");
        snprintf(path, sizeof path, "%s/c%d.h5", folder, writer);
        status = write_to(comm, path, c, (enum checkpoint_writer)writer, &guard, &e);
        expect(status == STATUS_CANTCREATE && strcmp(e.text, "the lock is another's") == 0, "a refusing guard");
        snprintf(path, sizeof path, "%s/c%d.h5.tmp", folder, writer);
        expect(access(path, F_OK) != 0, "a temporary file stays");
    }
}

int main(void)
{
    struct comm comm;
    struct error e = {STATUS_OK, ""};
    if (comm_init(&comm, &e)) {
        fprintf(stderr, "test_checkpoint: %s\n", e.text);
        return 1;
    }
    char folder[128] = "", path[200];
    const char *base = getenv("TMPDIR");
    if (comm.rank == 0) {
        snprintf(folder, sizeof folder, "%.80s/checkpoint-XXXXXX", base && *base ? base : "/tmp");
        CHECK(mkdtemp(folder) != NULL);
    }
    comm_broadcast(&comm, folder, sizeof folder, 0);
    struct checkpoint c;
    make(&comm, &c);
    for (int writer = WRITER_AUTO; writer <= WRITER_PARALLEL; writer++) {
        snprintf(path, sizeof path, "%s/c%d.h5", folder, writer);
        expect(write_to(&comm, path, &c, (enum checkpoint_writer)writer, NULL, &e) == STATUS_OK, e.text);
        compare(path, &c, comm.size);
    }
    char command[500];
    snprintf(command, sizeof command, "h5diff '%s/c1.h5' '%s/c2.h5' >/dev/null", folder, folder);
    expect(comm.rank > 0 || system(command) == 0, "h5diff finds differences between the writers");
    comm_barrier(&comm);
    failures_are_shared(&comm, folder, &c);
    compare(path, &c, comm.size); /* what was there is untouched */
    comm_barrier(&comm);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    expect(comm.rank > 0 || system(command) == 0, "cannot clean up");
    drop(&c);
    int64_t failed = comm_max(&comm, failures);
    comm_finalize(&comm);
    return failed ? 1 : 0;
}
