/* The loss of a split is the same bits on any number of ranks as on one rank alone, also with more ranks than lane
 * groups, and a rank whose corpus cannot be read takes all ranks out with its error. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "make_corpus.h"

#include "unroll/nn/param.h"
#include "unroll/sys/h5.h"
#include "unroll/train/evaluator.h"

#define V 29

static const int64_t lengths[SPLITS] = {2000, 300, 0};

static int failed; /* what this rank found wrong */

static void expect(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "test_evaluator: %s\n", what);
        failed = 1;
    }
}

static enum status run(const struct comm *comm, struct corpus *corpus, const struct evaluator_config *config,
                       const float *values, double *loss, int64_t *targets, struct error *e)
{
    struct evaluator *evaluator;
    enum status status = evaluator_create(comm, corpus, config, values, &evaluator, e);
    if (!status)
        status = evaluator_run(evaluator, loss, targets, e);
    evaluator_free(evaluator);
    return status;
}

static void same_bits_as_alone(const struct comm *comm, struct corpus *corpus, struct evaluator_config *config,
                               const struct cache_config *cache, const float *values)
{
    static const int shapes[][3] = {{1, 1, 9}, {5, 3, 9}, {12, 12, 7}, {7, 2, 100}};
    const struct comm alone = COMM_ALONE;
    config->cache = *cache;
    for (int i = 0; i < 4; i++)
        for (int split = SPLIT_TRAIN; split <= SPLIT_VALID; split++) {
            struct error e = {0};
            double loss = -1, expected = -2;
            int64_t targets = 0, expected_targets = 1;
            config->split = (enum split)split;
            config->batch = shapes[i][0];
            config->groups = shapes[i][1];
            config->bptt = shapes[i][2];
            config->threads = 1;
            expect(run(&alone, corpus, config, values, &expected, &expected_targets, &e) == STATUS_OK, e.text);
            config->threads = 1 + comm->rank % 2;
            expect(run(comm, corpus, config, values, &loss, &targets, &e) == STATUS_OK, e.text);
            expect(memcmp(&loss, &expected, sizeof loss) == 0, "the loss has other bits than on one rank");
            expect(targets == expected_targets && targets == lengths[split] - 1, "the number of targets is wrong");
        }
}

/* Of root mean squares, with a cache: the statistics are those of all ranks. */
static void same_dynamics_as_alone(const struct comm *comm, struct corpus *corpus, const struct evaluator_config *given,
                                   const struct cache_config *cache, const float *values)
{
    const struct comm alone = COMM_ALONE;
    struct evaluator_config config = *given;
    struct error e = {0};
    double loss = -1, expected = -2, plain = 0;
    int64_t targets = 0;
    config.split = SPLIT_VALID;
    config.batch = config.groups = 5;
    config.bptt = 6;
    config.exact_lanes = true;
    expect(run(&alone, corpus, &config, values, &plain, &targets, &e) == STATUS_OK, e.text);
    config.cache = *cache;
    config.dynamic = config.rms = true;
    config.lr = 0.01;
    config.statistics =
        (struct dynamic_config){.decay = 0.02, .epsilon = 1e-3, .windows = 20, .batch = 12, .groups = 6};
    config.threads = 1;
    expect(run(&alone, corpus, &config, values, &expected, &targets, &e) == STATUS_OK, e.text);
    config.threads = 1 + comm->rank % 2;
    enum status status = run(comm, corpus, &config, values, &loss, &targets, &e);
    if (comm->size > 5) {
        expect(status == STATUS_CONFIG, "more ranks than lane groups were not refused");
        return;
    }
    expect(status == STATUS_OK, e.text);
    expect(memcmp(&loss, &expected, sizeof loss) == 0, "dynamic evaluation has other bits than on one rank");
    expect(expected != plain, "it learned nothing");
}

static void count_beat(void *context)
{
    ++*(int64_t *)context;
}

/* Every rank hears of the work of the others, also one that has none: 2 lanes on any number of ranks. */
static void all_ranks_beat(const struct comm *comm, struct corpus *corpus, const struct evaluator_config *given,
                           const float *values)
{
    struct error e = {0};
    struct evaluator_config config = *given;
    int64_t beats = 0, targets = 0, quiet_targets = 0;
    double loss = 0, quiet = 1;
    config.split = SPLIT_TRAIN;
    config.batch = config.groups = 2;
    config.bptt = 5;
    config.threads = 1;
    expect(run(comm, corpus, &config, values, &quiet, &quiet_targets, &e) == STATUS_OK, e.text);
    config.beat = count_beat;
    config.beat_context = &beats;
    expect(run(comm, corpus, &config, values, &loss, &targets, &e) == STATUS_OK, e.text);
    expect(memcmp(&loss, &quiet, sizeof loss) == 0 && targets == quiet_targets, "a beat changes the loss");
    expect(beats == (lengths[SPLIT_TRAIN] - 1 + 9) / 10, "the beats of a rank are not the windows of all");
}

struct stopper {
    int64_t beats;
    bool asks;
};

static void count_of_stopper(void *context)
{
    ((struct stopper *)context)->beats++;
}

static bool asks_from_the_third(void *context)
{
    const struct stopper *stopper = context;
    return stopper->asks && stopper->beats >= 3;
}

/* The last rank has received a signal: all end within a few windows. */
static void one_stop_ends_all(const struct comm *comm, struct corpus *corpus, const struct evaluator_config *given,
                              const float *values)
{
    struct error e = {0};
    struct evaluator_config config = *given;
    struct stopper stopper = {.asks = comm->rank == comm->size - 1};
    int64_t targets;
    double loss;
    config.split = SPLIT_TRAIN;
    config.batch = config.groups = 2;
    config.bptt = 5;
    config.threads = 1;
    config.beat = count_of_stopper;
    config.beat_context = &stopper;
    config.stop = asks_from_the_third;
    expect(run(comm, corpus, &config, values, &loss, &targets, &e) == STATUS_STOPPED, "it did not stop on all ranks");
    expect(e.status == STATUS_STOPPED && *e.text, "a rank does not know why");
    expect(stopper.beats >= 3 && stopper.beats <= 8, "it did not stop soon");
}

/* A token outside the vocabulary, in the last rank's own copy of the corpus. */
static void one_bad_corpus_ends_all(const struct comm *comm, const char *path, struct evaluator_config *config,
                                    const float *values)
{
    struct error e = {0};
    struct corpus *corpus;
    struct h5 *file;
    uint16_t bad = V;
    double loss;
    int64_t targets;
    char copy[300];
    snprintf(copy, sizeof copy, "%s.%d", path, comm->rank);
    expect(make_corpus(copy, V, lengths, &e) == STATUS_OK, e.text);
    if (comm->rank == comm->size - 1) {
        expect(h5_open_plain(copy, STATUS_DATA, &file, &e) == STATUS_OK, e.text);
        int64_t place = h5_data_offset(file, "/train/tokens") + (int64_t)sizeof bad * (lengths[SPLIT_TRAIN] - 2);
        h5_close_read(file);
        int fd = open(copy, O_WRONLY);
        expect(pwrite(fd, &bad, sizeof bad, place) == sizeof bad, "the copy cannot be damaged");
        close(fd);
    }
    expect(corpus_open(copy, &corpus, &e) == STATUS_OK, e.text);
    config->split = SPLIT_TRAIN;
    config->batch = 12;
    config->groups = 12;
    e = (struct error){0};
    expect(run(comm, corpus, config, values, &loss, &targets, &e) == STATUS_DATA, "a bad token was not noticed by all");
    expect(e.status == STATUS_DATA && *e.text, "a rank does not know the reason");
    struct evaluator_config beating = *config;
    int64_t beats = 0;
    beating.beat = count_beat;
    beating.beat_context = &beats;
    e = (struct error){0};
    expect(run(comm, corpus, &beating, values, &loss, &targets, &e) == STATUS_DATA && *e.text, "nor with a beat");
    config->split = SPLIT_TEST;
    expect(run(comm, corpus, config, values, &loss, &targets, &e) == STATUS_DATA, "an absent split was not refused");
    corpus_close(corpus);
    unlink(copy);
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    struct corpus *corpus = NULL;
    struct param_table table;
    char path[256];
    if (comm_init(&comm, &e))
        return 1;
    struct evaluator_config config = {
        .model = {.cell = CELL_GRU, .layers = 2, .embedding = 7, .hidden = 12, .vocab = V}};
    param_table_build(&config.model, &table);
    float *values = mem_alloc(table.total, sizeof *values, "test", &e);
    expect(param_init(&config.model, &table, INIT_AUTO, 4, values, &e) == STATUS_OK, e.text);

    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/test_evaluator.%d.h5", folder ? folder : "/tmp", (int)getpid());
    comm_broadcast(&comm, path, sizeof path, 0);
    if (comm.rank == 0)
        expect(make_corpus(path, V, lengths, &e) == STATUS_OK, e.text);
    comm_barrier(&comm);
    expect(corpus_open(path, &corpus, &e) == STATUS_OK, e.text);
    const struct cache_config none = {0}, cache = {.size = 40, .theta = 0.5, .lambda = 0.2};
    same_bits_as_alone(&comm, corpus, &config, &none, values);
    same_bits_as_alone(&comm, corpus, &config, &cache, values);
    config.cache = none;
    same_dynamics_as_alone(&comm, corpus, &config, &cache, values);
    all_ranks_beat(&comm, corpus, &config, values);
    one_stop_ends_all(&comm, corpus, &config, values);
    one_bad_corpus_ends_all(&comm, path, &config, values);

    corpus_close(corpus);
    mem_free(values);
    comm_barrier(&comm);
    if (comm.rank == 0)
        unlink(path);
    failed = comm_max(&comm, failed) != 0;
    comm_finalize(&comm);
    return failed;
}
