/* The fast path: against the double-precision reference at sizes that fill no register, and its promises about bits:
 * what is computed for a lane does not depend on other lanes, ranges or threads, and gradients add up the lane tree. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/model.h"
#include "unroll/nn/output.h"
#include "unroll/nn/reference.h"
#include "unroll/use/gradcheck.h"

static void *take(size_t count, size_t size)
{
    struct error e;
    void *block = mem_alloc(count, size, "a test", &e);
    assert_non_null(block);
    return block;
}

/* ---- against the reference ---- */

static void expect_holds(const struct gradcheck_config *c, const char *what, const struct gradcheck_worst *worst)
{
    if (!gradcheck_holds(worst))
        fail_msg("%s: %s, %d layers, E %d, H %d, V %d, tied %d, dropout %g, T %d, B %d, groups %d, ranks %d, "
                 "threads %d: '%s'[%lld] of window %d is %.9g, the reference has %.9g (error %.2g, allowed %.2g)",
                 what, cell_name(c->model.cell), c->model.layers, c->model.embedding, c->model.hidden, c->model.vocab,
                 c->model.tied, c->model.dropout, c->bptt, c->batch, c->groups, c->ranks, c->threads, worst->tensor,
                 (long long)worst->element, worst->window, worst->got, worst->expected, worst->error, worst->tolerance);
}

/* Loss, carried state and gradients over several windows, and that `ranks` ranges of `threads` threads give the bits of
 * one. */
static void expect_fast(const struct gradcheck_config *config)
{
    struct gradcheck_fast fast;
    struct error e = {0};
    if (gradcheck_fast(config, &fast, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    expect_holds(config, "loss", &fast.loss);
    expect_holds(config, "state", &fast.state);
    expect_holds(config, "gradient", &fast.gradient);
    if (!fast.same_bits)
        fail_msg("%s, %d layers, H %d, V %d, dropout %g, T %d, B %d, groups %d: %d ranks of %d threads differ from one",
                 cell_name(config->model.cell), config->model.layers, config->model.hidden, config->model.vocab,
                 config->model.dropout, config->bptt, config->batch, config->groups, config->ranks, config->threads);
}

/* Widths around the registers and panels of the kernels, tiny and large vocabularies (few and many repeated tokens),
 * one lane and many, groups that divide the lanes and that do not. */
static void test_odd_sizes(void **unused)
{
    (void)unused;
    static const struct {
        int E, H, V, T, B, groups, ranks, threads;
    } sizes[] = {
        {1, 1, 2, 1, 1, 1, 1, 1},      {2, 1, 2, 3, 3, 2, 2, 2},     {9, 7, 2, 6, 3, 3, 3, 3},
        {15, 16, 101, 4, 3, 1, 1, 3},  {33, 33, 101, 5, 3, 2, 2, 1}, {17, 31, 3000, 3, 5, 5, 4, 2},
        {70, 130, 101, 5, 3, 3, 2, 3}, {65, 48, 40, 30, 8, 4, 3, 2}, {300, 20, 13, 4, 20, 6, 5, 1},
        {8, 290, 13, 3, 12, 2, 2, 2}, /* threads share out units, in the others lanes */
    };
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int c = 0; c < CELLS; c++) {
            const int variant = (int)s + c; /* each size meets each cell, and layers, ties and dropout in turn */
            const bool tied = variant / 2 % 2;
            const struct gradcheck_config config = {.model = {.cell = (enum cell)c,
                                                              .mogrify = model_usual_rounds((enum cell)c),
                                                              .layers = 1 + variant % 3,
                                                              .tied = tied,
                                                              .embedding = tied ? sizes[s].H : sizes[s].E,
                                                              .hidden = sizes[s].H,
                                                              .vocab = sizes[s].V,
                                                              .dropout = variant % 2 ? 0.3 : 0,
                                                              .reset_token = variant / 4 % 2},
                                                    .bptt = sizes[s].T,
                                                    .batch = sizes[s].B,
                                                    .groups = sizes[s].groups,
                                                    .ranks = sizes[s].ranks,
                                                    .threads = sizes[s].threads,
                                                    .seed = 3 + (uint64_t)s};
            expect_fast(&config);
        }
}

/* What is dropped, of every cell, in float32 and in both orders of bf16, on 1 to 5 ranks of 1 to 3 threads; widths that
 * fill no block, resets, labels and every number of lanes. */
static void test_dropped(void **unused)
{
    (void)unused;
    for (int i = 0; i < 6 * CELLS; i++) {
        const enum cell cell = (enum cell)(i % CELLS);
        const int turn = i / CELLS;
        struct model_config model = {.cell = cell,
                                     .mogrify = model_usual_rounds(cell),
                                     .layers = 2,
                                     .embedding = 20,
                                     .hidden = 35,
                                     .vocab = 61,
                                     .dropout = 0.1,
                                     .dropout_input = turn % 2 ? DROPOUT_NONE : 0,
                                     .dropout_hidden = 0.2,
                                     .dropout_kind = turn % 3 ? DROPOUT_LOCKED : DROPOUT_ELEMENT,
                                     .dropout_embedding = turn % 3 == 1 ? 0 : 0.2,
                                     .dropout_state = turn == 2 ? 0 : 0.2,
                                     .weight_drop = turn == 4 ? 0 : 0.3,
                                     .reset_token = turn % 2,
                                     .precision = turn / 2 ? PRECISION_BF16 : PRECISION_FLOAT32,
                                     .bf16_order = turn / 4 ? BF16_PAIR : BF16_TILE};
        const struct gradcheck_config config = {.model = model,
                                                .bptt = 1 + i % 7,
                                                .batch = 11,
                                                .groups = 7,
                                                .ranks = 1 + i % 5,
                                                .threads = 1 + i % 3,
                                                .seed = (uint64_t)i + 3};
        expect_fast(&config);
    }
}

/* Penalties on the outputs, each alone and both; every kind of output layer, number of products and order of sums. */
static void test_penalties(void **unused)
{
    (void)unused;
    for (int i = 0; i < 36; i++) {
        struct model_config model = {.cell = (enum cell)(i % CELLS),
                                     .mogrify = model_usual_rounds((enum cell)(i % CELLS)),
                                     .layers = 1 + i % 2,
                                     .embedding = 20,
                                     .hidden = 33,
                                     .vocab = 61,
                                     .ar = i % 3 == 1 ? 0 : 2,
                                     .tar = i % 3 == 2 ? 0 : 3,
                                     .dropout = i / 2 % 2 ? 0.3 : 0,
                                     .reset_token = i / 4 % 2,
                                     .output_layer = i / 3 % OUTPUT_LAYERS,
                                     .precision = i / 12 ? PRECISION_BF16 : PRECISION_FLOAT32,
                                     .bf16_order = i / 24 ? BF16_PAIR : BF16_TILE};
        if (strcmp(output_layer_choices.name(model.output_layer), "adaptive") == 0)
            model.cutoffs[0] = 15, model.cutoffs[1] = 40, model.div = 2;
        assert_int_equal(output_settle(&model, NULL, NULL), STATUS_OK);
        const struct gradcheck_config config = {.model = model,
                                                .bptt = 1 + i % 7,
                                                .batch = 11,
                                                .groups = 7,
                                                .ranks = 1 + i % 5,
                                                .threads = 1 + i % 3,
                                                .seed = 8};
        expect_fast(&config);
    }
}

/* Every number of ranks that 7 groups of 11 lanes allow, with threads that do not divide anything. */
static void test_every_rank_count(void **unused)
{
    (void)unused;
    for (int ranks = 1; ranks <= 7; ranks++)
        for (int c = 0; c < CELLS; c++) {
            const struct gradcheck_config config = {.model = {.cell = (enum cell)c,
                                                              .mogrify = model_usual_rounds((enum cell)c),
                                                              .layers = 2,
                                                              .embedding = 10,
                                                              .hidden = 37,
                                                              .vocab = 23,
                                                              .dropout = ranks % 2 ? 0 : 0.2,
                                                              .reset_token = ranks / 2 % 2 ? 5 : 0},
                                                    .bptt = 6,
                                                    .batch = 11,
                                                    .groups = 7,
                                                    .ranks = ranks,
                                                    .threads = 1 + ranks % 4,
                                                    .seed = 8};
            expect_fast(&config);
        }
}

/* A vocabulary whose logits (160 MB a window) exceed the output layer's chunk: on one rank the decoder's gradient is
 * put together from four chunks, on eight each rank's fits into one. */
static void test_several_output_chunks(void **unused)
{
    (void)unused;
    const struct gradcheck_config config = {
        .model = {.cell = CELL_GRU, .layers = 1, .embedding = 3, .hidden = 3, .vocab = 40000},
        .bptt = 16,
        .batch = 64,
        .groups = 8,
        .ranks = 8,
        .threads = 1,
        .seed = 2};
    expect_fast(&config);
}

/* ---- a model with parameters and windows of its own ---- */

struct set_up {
    struct model_config config;
    struct param_table table;
    float *values;
    int T, batch, groups;
    uint32_t *input, *target; /* [T][batch] */
};

static struct set_up set_up_of(const struct model_config *config, int T, int batch, int groups)
{
    struct set_up s = {.config = *config, .T = T, .batch = batch, .groups = groups};
    const uint32_t V = (uint32_t)config->vocab;
    struct error e = {0};
    param_table_build(&s.config, &s.table);
    s.values = take(s.table.total, sizeof *s.values);
    assert_int_equal(param_init(&s.config, &s.table, INIT_UNIFORM, 4, s.values, &e), STATUS_OK);
    s.input = take((size_t)(s.T * s.batch), sizeof *s.input);
    s.target = take((size_t)(s.T * s.batch), sizeof *s.target);
    for (int k = 0; k < s.T * s.batch; k++) {
        struct rng_bits bits = rng_philox(4, RNG_TEST, 0, 0, 0, (uint32_t)k);
        s.input[k] = bits.word[0] % V;
        s.target[k] = bits.word[1] % 6 ? bits.word[2] % V : WINDOW_NO_TARGET;
    }
    return s;
}

static struct set_up set_up(enum cell cell, double dropout)
{
    const struct model_config config = {.cell = cell,
                                        .mogrify = model_usual_rounds(cell),
                                        .layers = 2,
                                        .embedding = 12,
                                        .hidden = 21,
                                        .vocab = 19,
                                        .dropout = dropout};
    return set_up_of(&config, 7, 10, 5);
}

static void tear_down(struct set_up *s)
{
    mem_free(s->values);
    mem_free(s->input);
    mem_free(s->target);
}

static struct model_shape whole_shape(const struct set_up *s)
{
    return (struct model_shape){.bptt = s->T,
                                .share = lane_share_whole(s->batch, s->groups),
                                .threads = 2,
                                .train = true,
                                .exact = true,
                                .seed = 6};
}

static struct model *create(const struct set_up *s, const struct model_shape *shape)
{
    struct model *model = NULL;
    struct error e = {0};
    if (model_create(&s->config, s->values, shape, &model, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    model_pack(model);
    return model;
}

static struct window whole_window(const struct set_up *s, bool reset)
{
    return (struct window){.T = s->T, .lanes = s->batch, .reset = reset, .input = s->input, .target = s->target};
}

/* The lanes [begin, begin + lanes) of the whole window; the arrays are the caller's. */
static struct window part_window(const struct set_up *s, int begin, int lanes, uint32_t *input, uint32_t *target)
{
    for (int t = 0; t < s->T; t++)
        for (int b = 0; b < lanes; b++) {
            input[t * lanes + b] = s->input[t * s->batch + begin + b];
            target[t * lanes + b] = s->target[t * s->batch + begin + b];
        }
    return (struct window){.T = s->T, .lanes = lanes, .lane0 = begin, .input = input, .target = target};
}

static void expect_same_states(const struct set_up *s, const struct model *all, const struct model *part, int begin,
                               int lanes)
{
    const size_t widest = (size_t)model_state_widest(&s->config);
    float *a = take((size_t)s->batch * widest, sizeof *a), *b = take((size_t)lanes * widest, sizeof *b);
    for (int i = 0; i < model_state_count(&s->config); i++) {
        const size_t width = (size_t)model_state_width(&s->config, i);
        model_state_get(all, i, a);
        model_state_get(part, i, b);
        assert_memory_equal(a + (size_t)begin * width, b, sizeof *b * (size_t)lanes * width);
    }
    mem_free(a);
    mem_free(b);
}

/* A model that holds one lane group alone computes the same rows, states, loss and gradient as it has among all. */
static void test_a_group_alone_is_the_same(void **unused)
{
    (void)unused;
    for (int i = 0; i < 2 * CELLS; i++) {
        struct set_up s = set_up((enum cell)(i % CELLS), i / CELLS ? 0.25 : 0);
        const struct model_shape shape = whole_shape(&s);
        struct model *all = create(&s, &shape);
        float *grad = take(s.table.grad_total, sizeof *grad), *sum = take(s.table.grad_total, sizeof *sum);
        for (int g = 0; g < s.groups; g++) {
            struct model_shape alone_shape = shape;
            alone_shape.share = lane_share_of(s.batch, s.groups, s.groups, g);
            alone_shape.threads = 1 + g % 3;
            struct model *alone = create(&s, &alone_shape);
            const int begin = alone_shape.share.lane_begin, lanes = lane_share_lanes(&alone_shape.share);
            uint32_t input[7 * 10], target[7 * 10];
            struct window part = part_window(&s, begin, lanes, input, target);
            for (int step = 0; step < 2; step++) { /* the second with carried state */
                struct window window = whole_window(&s, step == 0);
                part.reset = step == 0;
                struct model_loss loss, loss_alone;
                model_train(all, &window, step, &sum, &loss);
                model_train(alone, &part, step, &grad, &loss_alone);
                for (int t = 0; t < s.T; t++)
                    assert_memory_equal(loss.row + t * s.batch + begin, loss_alone.row + t * lanes,
                                        sizeof *loss.row * (size_t)lanes);
                assert_true(loss.group[g] == loss_alone.group[0]);
                assert_int_equal(loss.targets[g], loss_alone.targets[0]);
                expect_same_states(&s, all, alone, begin, lanes);
            }
            model_free(alone);
        }
        mem_free(grad);
        mem_free(sum);
        model_free(all);
        tear_down(&s);
    }
}

/* Nor do a lane's bits depend on what its neighbours read: few or many repeated tokens there leave it as it is. */
static void test_other_lanes_do_not_matter(void **unused)
{
    (void)unused;
    for (int c = 0; c < CELLS; c++) {
        struct set_up s = set_up((enum cell)c, 0);
        const struct model_shape shape = whole_shape(&s);
        struct model *model = create(&s, &shape);
        const struct window window = whole_window(&s, true);
        float *grad = take(s.table.grad_total, sizeof *grad), row[3][7];
        for (int round = 0; round < 3; round++) {
            for (int k = 0; k < s.T * s.batch; k++)
                if (k % s.batch != 3 && round > 0)
                    s.input[k] = round == 1 ? 0 : (uint32_t)(k * 7) % 19;
            struct model_loss loss;
            model_train(model, &window, 0, &grad, &loss);
            for (int t = 0; t < s.T; t++)
                row[round][t] = loss.row[t * s.batch + 3];
        }
        assert_memory_equal(row[0], row[1], sizeof row[0]);
        assert_memory_equal(row[0], row[2], sizeof row[0]);
        mem_free(grad);
        model_free(model);
        tear_down(&s);
    }
}

static void run_window(struct model *model, const uint32_t *tokens, int T, bool reset, float *row)
{
    struct model_loss loss;
    const struct window window = {.T = T, .lanes = 1, .reset = reset, .input = tokens, .target = tokens + 1};
    model_forward(model, &window, -1, &loss);
    memcpy(row, loss.row, sizeof *row * (size_t)T);
}

/* With a reset token the sentences of a lane are those on their own, bit for bit, wherever windows cut them. (That
 * no gradient passes between them is the reference's to say, which the tests above compare with.) */
static void test_sentences_are_independent(void **unused)
{
    (void)unused;
    enum { TOKENS = 40, EOS = 3, V = 9 };
    uint32_t tokens[TOKENS + 1];
    for (int i = 0; i <= TOKENS; i++) {
        uint32_t drawn = rng_philox(4, RNG_TEST, (uint32_t)i, 0, 0, 0).word[0] % (V - 1);
        tokens[i] = i % 9 == 0 || i == 20 ? EOS : drawn + (drawn >= EOS);
    }
    for (int c = 0; c < CELLS; c++) {
        const struct model_config config = {.cell = (enum cell)c,
                                            .mogrify = model_usual_rounds((enum cell)c),
                                            .layers = 2,
                                            .embedding = 7,
                                            .hidden = 35,
                                            .vocab = V,
                                            .reset_token = EOS};
        struct param_table table;
        param_table_build(&config, &table);
        float *values = take(table.total, sizeof *values), running[TOKENS], alone[TOKENS], without[TOKENS];
        assert_int_equal(param_init(&config, &table, INIT_UNIFORM, 2, values, NULL), STATUS_OK);
        for (size_t k = 0; k < table.total; k++)
            values[k] *= 3;
        const struct model_shape shape = {.bptt = TOKENS, .share = lane_share_whole(1, 1), .threads = 1};
        struct model_config plain = config;
        struct model *model, *carrying;
        plain.reset_token = 0;
        assert_int_equal(model_create(&config, values, &shape, &model, NULL), STATUS_OK);
        assert_int_equal(model_create(&plain, values, &shape, &carrying, NULL), STATUS_OK);
        model_pack(model);
        model_pack(carrying);
        run_window(model, tokens, 13, true, running); /* windows end inside sentences and at their ends */
        run_window(model, tokens + 13, 7, false, running + 13);
        run_window(model, tokens + 20, 20, false, running + 20);
        for (int i = 0, next; i < TOKENS; i = next) {
            for (next = i + 1; next < TOKENS && tokens[next] != EOS; next++)
                continue;
            run_window(carrying, tokens + i, next - i, true, alone + i);
        }
        run_window(carrying, tokens, TOKENS, true, without);
        assert_memory_equal(running, alone, sizeof running);
        assert_memory_not_equal(running, without, sizeof running);
        model_free(model);
        model_free(carrying);
        mem_free(values);
    }
}

/* Step by step a text has the bits that it has in windows, of losses and of states: what samplers rest on. Tokens are
 * few, so that a window's distinct ones are multiplied once each, or so many that all rows are. */
static void test_step_by_step(void **unused)
{
    (void)unused;
    enum { TOKENS = 24 };
    for (int i = 0; i < CELLS * 3 * 2; i++) {
        const int vocab = i / CELLS / 3 ? 90 : 9;
        const struct model_config config = {.cell = (enum cell)(i % CELLS),
                                            .mogrify = model_usual_rounds((enum cell)(i % CELLS)),
                                            .layers = 2,
                                            .embedding = 7,
                                            .hidden = 35,
                                            .vocab = vocab,
                                            .reset_token = 3,
                                            .precision = i / CELLS % 3 ? PRECISION_BF16 : PRECISION_FLOAT32,
                                            .bf16_order = i / CELLS % 3 == 2 ? BF16_PAIR : BF16_TILE};
        uint32_t tokens[TOKENS + 1];
        for (int t = 0; t <= TOKENS; t++)
            tokens[t] = t % 11 == 5 ? 3 : rng_philox(8, RNG_TEST, (uint32_t)t, 0, 0, 0).word[0] % (uint32_t)vocab;
        struct param_table table;
        param_table_build(&config, &table);
        float *values = take(table.total, sizeof *values), at_once[TOKENS], stepwise[TOKENS];
        assert_int_equal(param_init(&config, &table, INIT_UNIFORM, 2, values, NULL), STATUS_OK);
        struct model_shape shape = {.bptt = TOKENS, .share = lane_share_whole(1, 1), .threads = 2};
        struct model *windows, *steps;
        assert_int_equal(model_create(&config, values, &shape, &windows, NULL), STATUS_OK);
        shape.bptt = 1;
        shape.resident = true;
        assert_int_equal(model_create(&config, values, &shape, &steps, NULL), STATUS_OK);
        model_pack(windows);
        model_pack(steps);
        run_window(windows, tokens, 17, true, at_once);
        run_window(windows, tokens + 17, TOKENS - 17, false, at_once + 17);
        for (int t = 0; t < TOKENS; t++)
            run_window(steps, tokens + t, 1, t == 0, stepwise + t);
        assert_memory_equal(at_once, stepwise, sizeof at_once);
        const struct set_up s = {.config = config, .batch = 1};
        expect_same_states(&s, windows, steps, 0, 1);
        model_free(windows);
        model_free(steps);
        mem_free(values);
    }
}

/* Evaluation (step < 0) uses no masks, and its rows are the reference's; a model without the backward pass, and one
 * with all weights packed, give the bits of the training one without dropout. */
static void test_evaluation(void **unused)
{
    (void)unused;
    for (int c = 0; c < CELLS; c++) {
        struct set_up s = set_up((enum cell)c, 0.3);
        struct model_shape shape = whole_shape(&s);
        struct model *train = create(&s, &shape);
        shape.train = false;
        struct model *plain = create(&s, &shape);
        shape.resident = true;
        struct model *resident = create(&s, &shape);
        struct reference *reference = NULL;
        struct error e = {0};
        assert_int_equal(reference_create(&s.config, 6, s.batch, &reference, &e), STATUS_OK);
        for (size_t k = 0; k < s.table.total; k++)
            reference->values[k] = s.values[k];
        double *row = take((size_t)(s.T * s.batch), sizeof *row), expected;
        for (int round = 0; round < 2; round++) {
            const struct window window = whole_window(&s, round == 0);
            struct model_loss a, b, d;
            model_forward(train, &window, -1, &a);
            model_forward(plain, &window, -1, &b);
            model_forward(resident, &window, -1, &d);
            assert_memory_equal(a.row, b.row, sizeof *a.row * (size_t)(s.T * s.batch));
            assert_memory_equal(a.row, d.row, sizeof *a.row * (size_t)(s.T * s.batch));
            assert_memory_equal(a.group, b.group, sizeof *a.group * (size_t)s.groups);
            assert_int_equal(reference_window(reference, &window, -1, &expected, row, NULL, &e), STATUS_OK);
            for (int k = 0; k < s.T * s.batch; k++)
                assert_true(fabs(a.row[k] - row[k]) < 1e-5); /* logits of size one, sums of 21 terms */
            assert_true(fabs(lane_tree_sum(a.group, s.groups) - expected) < 1e-5 * expected);
            expect_same_states(&s, train, plain, 0, s.batch);
            expect_same_states(&s, train, resident, 0, s.batch);
        }
        mem_free(row);
        reference_free(reference);
        model_free(train);
        model_free(plain);
        model_free(resident);
        tear_down(&s);
    }
}

/* Evaluation in several chunks of the output layer (see above) gives the rows of a model that needs one. */
static void test_evaluation_in_chunks(void **unused)
{
    (void)unused;
    enum { T = 16, B = 64, GROUP = 8 };
    const struct model_config config = {.cell = CELL_LSTM, .layers = 1, .embedding = 3, .hidden = 3, .vocab = 40000};
    struct set_up s = set_up_of(&config, T, B, B / GROUP);
    struct model_shape shape = whole_shape(&s);
    shape.train = false;
    struct model *all = create(&s, &shape);
    shape.share = lane_share_of(B, B / GROUP, B / GROUP, 5);
    struct model *alone = create(&s, &shape);
    uint32_t input[T * GROUP], target[T * GROUP];
    const struct window window = whole_window(&s, true), part = part_window(&s, 5 * GROUP, GROUP, input, target);
    struct model_loss loss, loss_alone;
    model_forward(all, &window, -1, &loss);
    model_forward(alone, &part, -1, &loss_alone);
    for (int t = 0; t < T; t++)
        assert_memory_equal(loss.row + t * B + 5 * GROUP, loss_alone.row + t * GROUP, sizeof *loss.row * GROUP);
    assert_true(loss.group[5] == loss_alone.group[0]);
    model_free(all);
    model_free(alone);
    tear_down(&s);
}

/* log softmax of the logits is the loss of the last step. */
static void test_logits(void **unused)
{
    (void)unused;
    for (int round = 0; round < 2; round++) {
        struct set_up s = set_up(CELL_GRU, 0);
        struct model_shape shape = whole_shape(&s);
        shape.resident = round == 1;
        struct model *model = create(&s, &shape);
        const struct window window = whole_window(&s, true);
        struct model_loss loss;
        model_forward(model, &window, -1, &loss);
        float last[10];
        memcpy(last, loss.row + (s.T - 1) * s.batch, sizeof last);
        int stride = 0;
        const float *logits = model_logits(model, &stride);
        assert_true(stride >= s.config.vocab);
        for (int b = 0; b < s.batch; b++) {
            const uint32_t target = s.target[(s.T - 1) * s.batch + b];
            double sum = 0;
            for (int v = 0; v < s.config.vocab; v++)
                sum += exp(logits[b * stride + v]);
            if (target != WINDOW_NO_TARGET)
                assert_true(fabs(log(sum) - logits[b * stride + (int)target] - last[b]) < 1e-5);
        }
        model_free(model);
        tear_down(&s);
    }
}

/* States go out and in without a change, also between models of other ranges; zeroing a lane leaves the others. */
static void test_states(void **unused)
{
    (void)unused;
    for (int c = 0; c < CELLS; c++) {
        struct set_up s = set_up((enum cell)c, 0);
        const struct model_shape shape = whole_shape(&s);
        struct model *a = create(&s, &shape), *b = create(&s, &shape);
        const size_t most = (size_t)(s.batch * model_state_widest(&s.config));
        const int states = model_state_count(&s.config);
        assert_int_equal(states, c == CELL_QRNN ? 5 : c == CELL_LSTM || c == CELL_MOGRIFIER || c == CELL_SRU ? 4 : 2);
        static const char *const names[] = {"h_l0", "h_l1", "c_l0", "c_l1", "p_l0"};
        float *state = take(most, sizeof *state), *again = take(most, sizeof *again);
        struct model_loss loss;
        struct window window = whole_window(&s, false);
        for (int i = 0; i < states; i++) {
            char name[16];
            assert_string_equal(model_state_name(&s.config, i, name), names[i]);
            model_state_get(a, i, state);
            for (int k = 0; k < s.batch * model_state_width(&s.config, i); k++)
                assert_true(state[k] == 0); /* after model_create */
        }
        model_forward(a, &window, -1, &loss);
        for (int i = 0; i < states; i++) {
            const size_t count = (size_t)(s.batch * model_state_width(&s.config, i));
            model_state_get(a, i, state);
            model_state_set(b, i, state);
            model_state_get(b, i, again);
            assert_memory_equal(state, again, count * sizeof *state);
        }
        model_forward(a, &window, -1, &loss);
        model_forward(b, &window, -1, &loss);
        expect_same_states(&s, a, b, 0, s.batch);

        model_state_zero_lane(b, 4);
        for (int i = 0; i < states; i++) {
            const size_t width = (size_t)model_state_width(&s.config, i);
            model_state_get(a, i, state);
            model_state_get(b, i, again);
            memset(state + 4 * width, 0, width * sizeof *state);
            assert_memory_equal(state, again, (size_t)s.batch * width * sizeof *state);
        }
        mem_free(state);
        mem_free(again);
        model_free(a);
        model_free(b);
        tear_down(&s);
    }
}

/* model_pack is what takes new values in: before it nothing changes, after it everything is as in a fresh model. */
static void test_pack(void **unused)
{
    (void)unused;
    struct set_up s = set_up(CELL_LSTM, 0);
    const struct model_shape shape = whole_shape(&s);
    struct model *old = create(&s, &shape);
    const struct window window = whole_window(&s, true);
    float *grad = take(s.table.grad_total, sizeof *grad), *fresh_grad = take(s.table.grad_total, sizeof *fresh_grad);
    struct model_loss loss, fresh_loss;
    model_train(old, &window, 0, &grad, &loss);
    for (size_t k = 0; k < s.table.total; k++)
        s.values[k] *= 1.5f;
    model_pack(old);
    struct model *fresh = create(&s, &shape);
    model_train(old, &window, 0, &grad, &loss);
    model_train(fresh, &window, 0, &fresh_grad, &fresh_loss);
    assert_memory_equal(loss.group, fresh_loss.group, sizeof *loss.group * (size_t)s.groups);
    assert_memory_equal(grad, fresh_grad, sizeof *grad * s.table.grad_total);
    mem_free(grad);
    mem_free(fresh_grad);
    model_free(old);
    model_free(fresh);
    tear_down(&s);
}

/* A step has its own W_hh, evaluation the whole one, whichever comes before; an update changes both. */
static void test_dropped_weights_between_steps(void **unused)
{
    (void)unused;
    struct model_config config = {.cell = CELL_GRU,
                                  .layers = 2,
                                  .embedding = 12,
                                  .hidden = 21,
                                  .vocab = 19,
                                  .weight_drop = 0.4,
                                  .dropout_state = 0.2};
    struct set_up s = set_up_of(&config, 7, 10, 5);
    model_config_evaluated(&config);
    struct set_up whole = set_up_of(&config, 7, 10, 5);
    const struct model_shape shape = whole_shape(&s);
    const struct window window = whole_window(&s, true);
    const size_t bytes = sizeof(float) * s.table.grad_total, groups = sizeof(double) * (size_t)s.groups;
    float *first = take(s.table.grad_total, sizeof *first), *again = take(s.table.grad_total, sizeof *again);
    for (int round = 0; round < 2; round++) {
        struct model *model = create(&s, &shape), *plain = create(&whole, &shape);
        struct model_loss loss, of_plain;
        model_train(model, &window, 3, &first, &loss);
        model_drop_gradient(model, 3, first);
        model_forward(plain, &window, -1, &of_plain);
        model_forward(model, &window, -1, &loss);
        assert_memory_equal(loss.group, of_plain.group, groups);
        model_train(model, &window, 4, &again, &loss);
        model_drop_gradient(model, 4, again);
        assert_memory_not_equal(first, again, bytes);
        model_train(model, &window, 3, &again, &loss);
        model_drop_gradient(model, 3, again);
        assert_memory_equal(first, again, bytes);
        for (size_t k = 0; k < s.table.total; k++)
            s.values[k] *= 1.5f, whole.values[k] *= 1.5f;
        model_pack(model);
        model_pack(plain);
        model_train(model, &window, 3, &again, &loss);
        model_drop_gradient(model, 3, again);
        assert_memory_not_equal(first, again, bytes);
        model_forward(model, &window, -1, &loss);
        model_forward(plain, &window, -1, &of_plain);
        assert_memory_equal(loss.group, of_plain.group, groups);
        model_free(model);
        model_free(plain);
    }
    mem_free(first);
    mem_free(again);
    tear_down(&s);
    tear_down(&whole);
}

/* --reduction fast adds in another order: the same sums to rounding. Padding of the gradient stays zero in both. */
static void test_fast_reduction(void **unused)
{
    (void)unused;
    for (int c = 0; c < CELLS; c++) {
        struct set_up s = set_up((enum cell)c, 0.1);
        struct model_shape shape = whole_shape(&s);
        struct model *exact = create(&s, &shape);
        shape.exact = false;
        struct model *fast = create(&s, &shape);
        float *a = take(s.table.grad_total, sizeof *a), *b = take(s.table.grad_total, sizeof *b);
        struct model_loss loss;
        const struct window window = whole_window(&s, true);
        model_train(exact, &window, 0, &a, &loss);
        model_train(fast, &window, 0, &b, &loss);
        size_t next = 0;
        for (int i = 0; i < s.table.count; i++) {
            const struct param *p = &s.table.param[i];
            float largest = 0;
            for (; next < p->grad_offset; next++)
                assert_true(a[next] == 0 && b[next] == 0);
            for (size_t k = p->grad_offset; k < p->grad_offset + p->count; k++)
                largest = fmaxf(largest, fabsf(a[k]));
            for (size_t k = p->grad_offset; k < p->grad_offset + p->count; k++)
                if (!(fabsf(a[k] - b[k]) <= 1e-5 * largest)) /* sums of 70 rows */
                    fail_msg("%s: %g and %g", p->name, a[k], b[k]);
            next = p->grad_offset + p->count;
        }
        mem_free(a);
        mem_free(b);
        model_free(exact);
        model_free(fast);
        tear_down(&s);
    }
}

static void test_no_allocation_in_a_step(void **unused)
{
    (void)unused;
    for (int c = 0; c < CELLS; c++) {
        struct set_up s = set_up((enum cell)c, 0.2);
        const struct model_shape shape = whole_shape(&s);
        struct model *model = create(&s, &shape);
        float *grad = take(s.table.grad_total, sizeof *grad);
        struct model_loss loss;
        int stride;
        const struct window window = whole_window(&s, true);
        const int64_t before = mem_allocation_count();
        for (int step = 0; step < 3; step++) {
            model_train(model, &window, step, &grad, &loss);
            model_forward(model, &window, -1, &loss);
            model_logits(model, &stride);
            model_pack(model);
        }
        assert_int_equal(mem_allocation_count(), before);
        mem_free(grad);
        model_free(model);
        tear_down(&s);
    }
}

static void test_bytes_grow_with_the_shape(void **unused)
{
    (void)unused;
    struct set_up s = set_up(CELL_LSTM, 0.2);
    struct model_shape shape = whole_shape(&s), more = shape;
    const size_t bytes = model_bytes(&s.config, &shape);
    assert_true(bytes > s.table.total * sizeof(float) / 4 && bytes < 64u << 20);
    more.bptt = 3 * shape.bptt;
    assert_true(model_bytes(&s.config, &more) > bytes);
    more = shape;
    more.train = false;
    assert_true(model_bytes(&s.config, &more) < bytes);
    /* No array of window tokens times vocabulary: with V = 100000 that alone would be 4 * T * B * V bytes. */
    struct model_config wide = s.config;
    wide.vocab = 100000;
    more = shape;
    more.bptt = 100;
    more.share = lane_share_whole(40, lane_groups_choose(0, 40, 100));
    const size_t window_times_vocabulary = sizeof(float) * 100 * 40 * 100000;
    assert_true(model_bytes(&wide, &more) < window_times_vocabulary / 8);
    tear_down(&s);
}

static void expect_shape_refused(const struct set_up *s, const struct model_shape *shape)
{
    struct model *model = NULL;
    struct error e = {0};
    assert_int_equal(model_create(&s->config, s->values, shape, &model, &e), STATUS_CONFIG);
    assert_true(e.text[0] != 0);
    assert_null(model);
}

static void test_refusals(void **unused)
{
    (void)unused;
    struct set_up s = set_up(CELL_LSTM, 0);
    struct model_shape shape;
#define REFUSED(field, value) (shape = whole_shape(&s), shape.field = (value), expect_shape_refused(&s, &shape))
    REFUSED(bptt, 0);
    REFUSED(share.batch, 0);
    REFUSED(share.groups, 0);
    REFUSED(share.groups, 11); /* more than lanes */
    REFUSED(share.group_end, 6);
    REFUSED(share.group_begin, -1);
    REFUSED(share.group_begin, 5); /* an empty range */
    REFUSED(threads, 0);
    s.config.layers = 0;
    shape = whole_shape(&s);
    expect_shape_refused(&s, &shape);
    tear_down(&s);
    model_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_sizes),
        cmocka_unit_test(test_every_rank_count),
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_several_output_chunks),
        cmocka_unit_test(test_a_group_alone_is_the_same),
        cmocka_unit_test(test_other_lanes_do_not_matter),
        cmocka_unit_test(test_sentences_are_independent),
        cmocka_unit_test(test_step_by_step),
        cmocka_unit_test(test_evaluation),
        cmocka_unit_test(test_evaluation_in_chunks),
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_pack),
        cmocka_unit_test(test_dropped_weights_between_steps),
        cmocka_unit_test(test_fast_reduction),
        cmocka_unit_test(test_no_allocation_in_a_step),
        cmocka_unit_test(test_bytes_grow_with_the_shape),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
