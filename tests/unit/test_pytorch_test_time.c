/* Neural cache and dynamic evaluation by root mean squares against tests/ref/test_time.h5 (layout and origin:
 * tests/ref/make_test_time.py): the loss of every token, and the statistics. */
#include "support/fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "make_corpus.h"

#include "unroll/train/evaluator.h"

#define FIXTURES "tests/ref/test_time.h5" /* make runs the tests in the root of the source tree */
#define TRAIN 281
#define TEST 121

static const char *const cases[] = {"untied", "tied"};
static const char *const ways[] = {"cache", "long", "alike", "lanes", "rms", "clipped", "both"};
#define CASES ((int)(sizeof cases / sizeof *cases))
#define WAYS ((int)(sizeof ways / sizeof *ways))

struct text {
    struct fixture f;
    char path[256];
    struct corpus *corpus;
};

static void text_open(const char *name, struct text *text)
{
    static const int64_t lengths[SPLITS] = {TRAIN, 0, TEST};
    static uint32_t train[TRAIN], test[TEST];
    const uint32_t *const given[SPLITS] = {train, NULL, test};
    const char *folder = getenv("TMPDIR");
    fixture_open(FIXTURES, name, &text->f);
    fixture_read(&text->f, "train", H5_U32, TRAIN, train);
    fixture_read(&text->f, "test", H5_U32, TEST, test);
    snprintf(text->path, sizeof text->path, "%s/test_time.%d.h5", folder ? folder : "/tmp", (int)getpid());
    EXPECT_OK(make_corpus_of(text->path, text->f.config.vocab, lengths, given, &e));
    EXPECT_OK(corpus_open(text->path, &text->corpus, &e));
}

static void text_close(struct text *text)
{
    corpus_close(text->corpus);
    unlink(text->path);
    fixture_close(&text->f);
}

static int integer_of(const struct fixture *f, const char *object, const char *name)
{
    int64_t value = 0;
    EXPECT_OK(h5_attr_i64(f->file, object, name, &value, &e));
    return (int)value;
}

static double real_of(const struct fixture *f, const char *object, const char *name)
{
    double value = 0;
    EXPECT_OK(h5_attr_f64(f->file, object, name, &value, &e));
    return value;
}

static struct evaluator_config read_way(const struct fixture *f, const char *way)
{
    char object[80];
    snprintf(object, sizeof object, "/%s/how/%s", f->name, way);
    struct evaluator_config config = {
        .split = SPLIT_TEST,
        .model = f->config,
        .batch = integer_of(f, object, "lanes"),
        .bptt = integer_of(f, object, "bptt"),
        .threads = 1,
        .lr = real_of(f, object, "lr"),
        .exact_lanes = true,
        .statistics = {.batch = integer_of(f, object, "train_lanes"),
                       .windows = integer_of(f, object, "windows"),
                       .decay = real_of(f, object, "decay"),
                       .epsilon = real_of(f, object, "epsilon")},
        .cache = {.size = integer_of(f, object, "cache"),
                  .theta = real_of(f, object, "theta"),
                  .lambda = real_of(f, object, "lambda")},
    };
    config.dynamic = config.rms = config.lr > 0;
    config.groups = config.batch;
    config.statistics.groups = config.statistics.batch;
    return config;
}

struct losses {
    double of[TEST - 1]; /* in the text's order */
    int lanes, seen;     /* steps of the windows before */
};

/* Lanes are of one length. */
static void keep(void *context, const struct window *window, const float *row)
{
    struct losses *losses = context;
    const int length = (TEST - 1) / losses->lanes;
    for (int t = 0; t < window->T; t++)
        for (int lane = 0; lane < window->lanes; lane++)
            losses->of[lane * length + losses->seen + t] = row[t * window->lanes + lane];
    losses->seen += window->T;
}

static void run(const struct text *text, struct evaluator_config config, struct losses *losses)
{
    const struct comm alone = COMM_ALONE;
    struct evaluator *evaluator = NULL;
    double loss = 0, sum = 0;
    int64_t targets = 0;
    *losses = (struct losses){.lanes = config.batch};
    config.look = keep;
    config.look_context = losses;
    EXPECT_OK(evaluator_create(&alone, text->corpus, &config, text->f.values, &evaluator, &e));
    EXPECT_OK(evaluator_run(evaluator, &loss, &targets, &e));
    evaluator_free(evaluator);
    assert_int_equal(targets, TEST - 1);
    for (int i = 0; i < TEST - 1; i++)
        sum += losses->of[i];
    if (!(fabs(sum - loss) <= 1e-12 * loss))
        fail_msg("the sum of the tokens is %.9g, that of the text %.9g", sum, loss);
}

static void losses_are_those_of_the_formulas(void **state)
{
    (void)state;
    for (int c = 0; c < CASES; c++) {
        struct text text;
        text_open(cases[c], &text);
        for (int w = 0; w < WAYS; w++) {
            struct evaluator_config config = read_way(&text.f, ways[w]);
            struct losses losses, again;
            char part[80];
            run(&text, config, &losses);
            snprintf(part, sizeof part, "how/%s/loss", ways[w]);
            fixture_expect(&text.f, part, TEST - 1, losses.of, FLOAT_TOLERANCE);
            config.threads = 3; /* a test of small work: UNROLL_TEAM_SHARE */
            run(&text, config, &again);
            assert_memory_equal(&again, &losses, sizeof losses);
        }
        text_close(&text);
    }
}

static void statistics_are_those_of_the_formulas(void **state)
{
    (void)state;
    const struct comm alone = COMM_ALONE;
    for (int c = 0; c < CASES; c++) {
        struct text text;
        text_open(cases[c], &text);
        for (int w = 0; w < WAYS; w++) {
            const struct evaluator_config config = read_way(&text.f, ways[w]);
            const struct param_table *table = &text.f.table;
            struct dynamic *dynamic = NULL;
            char part[80];
            if (!config.rms)
                continue;
            EXPECT_OK(dynamic_create(&alone, text.corpus, &config.statistics, &text.f.config, table, text.f.values,
                                     config.bptt, 1, &dynamic, &e));
            float *roots = take(table->grad_total, sizeof *roots);
            memcpy(roots, dynamic_root(dynamic), table->trained * sizeof *roots);
            snprintf(part, sizeof part, "how/%s/root", ways[w]);
            fixture_expect_float_tensors(&text.f, part, roots, FLOAT_TOLERANCE);
            mem_free(roots);
            dynamic_free(dynamic);
        }
        text_close(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_those_of_the_formulas),
        cmocka_unit_test(statistics_are_those_of_the_formulas),
    };
    setenv("UNROLL_TEAM_SHARE", "1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
