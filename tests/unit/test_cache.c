/* The neural cache: against its definition in double precision, over the whole vocabulary and every output layer; the
 * same bits for any windows, lanes and threads; and what it remembers. Against PyTorch: test_pytorch_test_time.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/cache.h"
#include "unroll/nn/constants.h"
#include "unroll/nn/output.h"

#define V 23
#define STEPS 90
#define LANES 4

struct fixture {
    struct model_config config;
    struct param_table table;
    float *values;
    uint32_t input[STEPS][LANES], target[STEPS][LANES];
};

#define EXPECT_OK(call)             \
    do {                            \
        struct error e = {0};       \
        if ((call) != STATUS_OK)    \
            fail_msg("%s", e.text); \
    } while (0)

static uint32_t random_below(uint32_t number, uint32_t limit)
{
    return rng_philox(29, RNG_TEST, number, 0, 0, 0).word[0] % limit;
}

static void make_values_of(struct fixture *f, const char *layer, enum cell cell)
{
    uint64_t counts[V];
    f->config = (struct model_config){
        .cell = cell, .mogrify = model_usual_rounds(cell), .layers = 2, .embedding = 6, .hidden = 11, .vocab = V};
    EXPECT_OK(choices_parse(&output_layer_choices, layer, &f->config.output_layer, &e));
    if (strcmp(layer, "adaptive") == 0)
        f->config.cutoffs[0] = 5, f->config.cutoffs[1] = 12, f->config.div = 2;
    for (int v = 0; v < V; v++)
        counts[v] = (uint64_t)(V - v);
    EXPECT_OK(output_settle(&f->config, counts, &e));
    mem_free(f->values);
    param_table_build(&f->config, &f->table);
    f->values = mem_alloc(f->table.total, sizeof *f->values, "test", NULL);
    EXPECT_OK(param_init(&f->config, &f->table, INIT_AUTO, 3, f->values, &e));
    for (size_t i = 0; i < f->table.trained; i++)
        f->values[i] *= 4;
}

static void make_values(struct fixture *f, const char *layer)
{
    make_values_of(f, layer, CELL_LSTM);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    for (int t = 0; t < STEPS; t++)
        for (int lane = 0; lane < LANES; lane++)
            f->input[t][lane] = random_below((uint32_t)(7 * t + 1000 * lane), V / 3); /* words come again and again */
    for (int t = 0; t < STEPS; t++)
        for (int lane = 0; lane < LANES; lane++)
            f->target[t][lane] = t + 1 < STEPS && !(lane == 1 && t % 5 == 3) && !(lane == 2 && t > 40)
                                     ? f->input[t + 1][lane]
                                     : WINDOW_NO_TARGET;
    make_values(f, "full");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    mem_free(f->values);
    free(f);
    return 0;
}

/* Losses [STEPS][lanes] of lanes from `lane0` on, outputs [STEPS][lanes][H] and the sum of a group of all. */
struct run {
    float loss[STEPS][LANES], own[STEPS][LANES], h[STEPS][LANES][16];
    double sum, own_sum;
};

struct shape {
    int lane0, lanes, bptt, threads;
};

static void run(const struct fixture *f, const struct cache_config *config, struct shape shape, struct run *run)
{
    struct lane_share share = lane_share_whole(shape.lanes, 1);
    struct model_shape of_model = {.bptt = shape.bptt, .share = share, .threads = shape.threads, .exact = true};
    struct model *model = NULL;
    struct cache *cache = NULL;
    uint32_t input[STEPS * LANES], target[STEPS * LANES];
    *run = (struct run){.sum = 0};
    EXPECT_OK(model_create(&f->config, f->values, &of_model, &model, &e));
    model_pack(model);
    EXPECT_OK(cache_create(config, &f->config, &share, shape.bptt, shape.threads, &cache, &e));
    for (int start = 0; start < STEPS; start += shape.bptt) {
        struct window window = {.T = STEPS - start < shape.bptt ? STEPS - start : shape.bptt,
                                .lanes = shape.lanes,
                                .reset = start == 0,
                                .input = input,
                                .target = target};
        struct model_loss loss;
        int stride;
        for (int k = 0; k < window.T * shape.lanes; k++) {
            input[k] = f->input[start + k / shape.lanes][shape.lane0 + k % shape.lanes];
            target[k] = f->target[start + k / shape.lanes][shape.lane0 + k % shape.lanes];
        }
        model_forward(model, &window, -1, &loss);
        const float *h = model_outputs(model, &stride), *own = loss.row;
        run->own_sum += loss.group[0];
        cache_window(cache, model, &window, &loss);
        run->sum += loss.group[0];
        for (int k = 0; k < window.T * shape.lanes; k++) {
            int t = start + k / shape.lanes, lane = shape.lane0 + k % shape.lanes;
            run->loss[t][lane] = loss.row[k];
            run->own[t][lane] = own[k];
            memcpy(run->h[t][lane], h + (int64_t)k * stride, sizeof(float) * (size_t)f->config.hidden);
        }
    }
    cache_free(cache);
    model_free(model);
}

/* p_cache of all words at step t of a lane; false: nothing is remembered. */
static bool define(const struct fixture *f, const struct cache_config *config, const struct run *run, int t, int lane,
                   double p[V])
{
    int left = config->size, from = t;
    double total = 0;
    while (from > 0 && left > 0)
        left -= f->target[--from][lane] != WINDOW_NO_TARGET;
    memset(p, 0, V * sizeof *p);
    for (int i = from; i < t; i++) {
        double product = 0;
        if (f->target[i][lane] == WINDOW_NO_TARGET)
            continue;
        for (int k = 0; k < f->config.hidden; k++)
            product += (double)run->h[t][lane][k] * (double)run->h[i][lane][k];
        p[f->target[i][lane]] += exp(config->theta * product);
        total += exp(config->theta * product);
    }
    for (int v = 0; v < V && total > 0; v++)
        p[v] /= total;
    return total > 0;
}

static const struct cache_config configs[] = {{1, 1, 0.2},  {5, 0.5, 0.5}, {16, 3, 0.1},
                                              {17, 0, 0.9}, {64, 10, 0.3}, {1000, 1, 0.99}};
#define CONFIGS ((int)(sizeof configs / sizeof *configs))

static void losses_are_those_of_the_definition(void **state)
{
    struct fixture *f = *state;
    static const char *const layers[] = {"full", "adaptive", "sampled", "nce"};
    static struct run found;
    for (int l = 0; l < 4; l++)
        for (int c = 0; c < CONFIGS; c++) {
            make_values(f, layers[l]);
            run(f, &configs[c], (struct shape){0, LANES, 13, 1}, &found);
            double sum = 0;
            for (int t = 0; t < STEPS; t++)
                for (int lane = 0; lane < LANES; lane++) {
                    double p[V], own = (double)found.own[t][lane], expected = own, lambda = configs[c].lambda;
                    sum += (double)found.loss[t][lane];
                    if (f->target[t][lane] == WINDOW_NO_TARGET) {
                        assert_true(found.loss[t][lane] == 0);
                        continue;
                    }
                    if (define(f, &configs[c], &found, t, lane, p))
                        expected = -log((1 - lambda) * exp(-own) + lambda * p[f->target[t][lane]]);
                    if (!(fabs((double)found.loss[t][lane] - expected) <= 2e-6 * (1 + fabs(expected))))
                        fail_msg("%s, step %d, lane %d: %.9g instead of %.9g", layers[l], t, lane,
                                 (double)found.loss[t][lane], expected);
                }
            assert_true(fabs(found.sum - sum) <= 1e-12 * sum);
        }
}

/* What is remembered is what the output layer reads, of any cell. */
static void outputs_are_those_of_the_decoder(void **state)
{
    struct fixture *f = *state;
    static struct run found;
    for (int cell = 0; cell < CELLS; cell++) {
        make_values_of(f, "full", (enum cell)cell);
        for (size_t i = 0; i < f->table.trained; i++)
            f->values[i] /= 4; /* rnn-relu would grow beyond all bounds */
        const float *w = f->values + f->table.param[param_find(&f->table, "decoder.weight")].offset;
        const float *b = f->values + f->table.param[param_find(&f->table, "decoder.bias")].offset;
        run(f, &configs[0], (struct shape){0, LANES, 13, 1}, &found);
        for (int t = 0; t < STEPS - 1; t++) {
            double logit[V], sum = 0;
            for (int v = 0; v < V; v++) {
                logit[v] = (double)b[v];
                for (int k = 0; k < f->config.hidden; k++)
                    logit[v] += (double)w[v * f->config.hidden + k] * (double)found.h[t][0][k];
                sum += exp(logit[v]);
            }
            double loss = log(sum) - logit[f->target[t][0]];
            if (!(fabs((double)found.own[t][0] - loss) <= 1e-5 * (1 + loss)))
                fail_msg("%s, step %d: %.9g instead of %.9g", cell_name((enum cell)cell), t, (double)found.own[t][0],
                         loss);
        }
    }
}

/* Every word in turn as the last target of the same text. */
static void probabilities_sum_to_one(void **state)
{
    struct fixture *f = *state;
    static const char *const layers[] = {"full", "adaptive", "nce"};
    static struct run found;
    for (int l = 0; l < 3; l++)
        for (int c = 0; c < CONFIGS; c++) {
            double sum = 0;
            make_values(f, layers[l]);
            for (uint32_t v = 0; v < V; v++) {
                f->target[STEPS - 1][0] = v;
                run(f, &configs[c], (struct shape){0, 1, 32, 1}, &found);
                sum += exp(-(double)found.loss[STEPS - 1][0]);
            }
            if (!(fabs(sum - 1) < 2e-6))
                fail_msg("%s, cache of %d: the probabilities add up to %.9g", layers[l], configs[c].size, sum);
        }
}

static void bits_depend_on_nothing_else(void **state)
{
    struct fixture *f = *state;
    static struct run expected, found;
    static const struct shape shapes[] = {
        {0, LANES, 1, 1}, {0, LANES, STEPS, 3}, {0, LANES, 16, 2}, {1, 2, 7, 1}, {3, 1, 50, 3}};
    for (int c = 0; c < CONFIGS; c++) {
        run(f, &configs[c], (struct shape){0, LANES, 11, 1}, &expected);
        for (int s = 0; s < 5; s++) {
            run(f, &configs[c], shapes[s], &found);
            for (int t = 0; t < STEPS; t++)
                assert_memory_equal(&found.loss[t][shapes[s].lane0], &expected.loss[t][shapes[s].lane0],
                                    sizeof(float) * (size_t)shapes[s].lanes);
        }
    }
}

static void no_share_is_the_model_alone(void **state)
{
    struct fixture *f = *state;
    static struct run found;
    const struct cache_config config = {.size = 30, .theta = 1, .lambda = 0};
    run(f, &config, (struct shape){0, LANES, 13, 1}, &found);
    assert_memory_equal(found.loss, found.own, sizeof found.loss);
    assert_memory_equal(&found.sum, &found.own_sum, sizeof found.sum);
}

/* In bf16 the products are those of the outputs as they are. */
static void bf16_is_cached_in_float32(void **state)
{
    struct fixture *f = *state;
    static struct run found;
    double p[V];
    f->config.precision = PRECISION_BF16;
    run(f, &configs[1], (struct shape){0, LANES, 13, 1}, &found);
    for (int t = 1; t < STEPS - 1; t++) {
        double own = (double)found.own[t][0];
        assert_true(define(f, &configs[1], &found, t, 0, p));
        double expected = -log(0.5 * exp(-own) + 0.5 * p[f->target[t][0]]);
        assert_true(fabs((double)found.loss[t][0] - expected) <= 2e-6 * (1 + expected));
    }
}

/* A lane taken over goes on as the one that it was taken from; a reset empties it. */
static void lanes_are_taken_over(void **state)
{
    struct fixture *f = *state;
    const struct lane_share one = lane_share_whole(1, 1), two = lane_share_whole(2, 2);
    const struct model_shape shape = {.bptt = 20, .share = one, .threads = 1},
                             twice = {.bptt = 20, .share = two, .threads = 1};
    struct model *single = NULL, *pair = NULL;
    struct cache *from = NULL, *to = NULL;
    uint32_t input[40], target[40];
    struct model_loss loss, again;
    EXPECT_OK(model_create(&f->config, f->values, &shape, &single, &e));
    EXPECT_OK(model_create(&f->config, f->values, &twice, &pair, &e));
    EXPECT_OK(cache_create(&configs[4], &f->config, &one, 20, 1, &from, &e));
    EXPECT_OK(cache_create(&configs[4], &f->config, &two, 20, 1, &to, &e));
    model_pack(single);
    model_pack(pair);
    for (int t = 0; t < 20; t++)
        for (int lane = 0; lane < 2; lane++) {
            input[2 * t + lane] = f->input[t][0];
            target[2 * t + lane] = f->target[t][0];
        }
    uint32_t alone_input[20], alone_target[20];
    for (int t = 0; t < 20; t++) {
        alone_input[t] = f->input[t][0];
        alone_target[t] = f->target[t][0];
    }
    struct window window = {.T = 20, .lanes = 1, .reset = true, .input = alone_input, .target = alone_target};
    model_forward(single, &window, -1, &loss);
    cache_window(from, single, &window, &loss);
    cache_set_lane(to, 1, cache_lane(from, 0));
    for (int s = 0; s < model_state_count(&f->config); s++) {
        float state_of[2 * 16] = {0};
        int width = model_state_width(&f->config, s);
        model_state_get(single, s, state_of + width);
        model_state_set(pair, s, state_of);
    }
    window.reset = false;
    model_forward(single, &window, -1, &loss);
    cache_window(from, single, &window, &loss);
    struct window both = {.T = 20, .lanes = 2, .input = input, .target = target};
    model_forward(pair, &both, -1, &again);
    cache_window(to, pair, &both, &again);
    for (int t = 0; t < 20; t++) {
        assert_memory_equal(&again.row[2 * t + 1], &loss.row[t], sizeof(float));
        assert_true(t == 0 || again.row[2 * t] != loss.row[t]);
    }
    float first = again.row[2 * 3];
    both.reset = true;
    model_forward(pair, &both, -1, &again);
    cache_window(to, pair, &both, &again);
    assert_memory_equal(&again.row[2 * 3], &again.row[2 * 3 + 1], sizeof(float));
    assert_memory_equal(&again.row[2 * 3], &first, sizeof first); /* lane 0 began empty before, too */
    cache_free(from);
    cache_free(to);
    model_free(single);
    model_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(losses_are_those_of_the_definition, set_up, tear_down),
        cmocka_unit_test_setup_teardown(outputs_are_those_of_the_decoder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(probabilities_sum_to_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bits_depend_on_nothing_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_share_is_the_model_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bf16_is_cached_in_float32, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lanes_are_taken_over, set_up, tear_down),
    };
    setenv("UNROLL_TEAM_SHARE", "1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
