/* The parts of the fast model, from inside: output layers as rows of one table, memory that is counted as it is
 * taken, and a layer whose input is rows, with an index or without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/nn/model_private.h"
#include "unroll/base/mem.h"

#define LANES 4
#define BPTT 6

static const struct model_config full = {.cell = CELL_LSTM, .layers = 2, .embedding = 5, .hidden = 7, .vocab = 11};
static const struct model_config tied = {
    .cell = CELL_GRU, .layers = 3, .embedding = 9, .hidden = 9, .vocab = 300, .tied = true, .dropout = 0.3};
static const struct model_config reset = {
    .cell = CELL_RNN_TANH, .layers = 1, .embedding = 5, .hidden = 33, .vocab = 11, .reset_token = 3};
static const struct model_config classifier = {.cell = CELL_LSTM,
                                               .layers = 1,
                                               .embedding = 5,
                                               .hidden = 7,
                                               .vocab = 11,
                                               .dropout = 0.3,
                                               .task = TASK_CLASSIFY,
                                               .labels = 3,
                                               .pool = POOL_MAX};
static const struct model_config adaptive = {.cell = CELL_LSTM,
                                             .layers = 1,
                                             .embedding = 5,
                                             .hidden = 17,
                                             .vocab = 300,
                                             .output_layer = 1,
                                             .cutoffs = {20, 30, 299},
                                             .div = 2,
                                             .reordered = true};
static const struct model_config *const configs[] = {&full, &tied, &reset, &classifier, &adaptive};
#define CONFIGS ((int)(sizeof configs / sizeof configs[0]))

static const struct output_kind *const kinds[] = {
#define KIND(kind) &output_kind_##kind,
    OUTPUT_TABLE(KIND)};
#define KINDS ((int)(sizeof kinds / sizeof kinds[0]))

/* Each kind of the table has what the others ask of it, and a name of its own. */
static void test_kinds(void **unused)
{
    (void)unused;
    for (int i = 0; i < KINDS; i++) {
        const struct output_kind *kind = kinds[i];
        assert_true(kind->outputs && kind->check && kind->params && kind->create && kind->pack && kind->window);
        assert_true(kind->reference && kind->reference_work);
        assert_true(kind->task == TASK_CLASSIFY ? kind->probabilities != NULL : kind->logits && kind->last);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(kinds[k]->name, kind->name);
    }
    assert_ptr_equal(output_kind(&full), &output_kind_softmax);
    assert_ptr_equal(output_kind(&classifier), &output_kind_classifier);
    assert_ptr_equal(output_kind(&adaptive), &output_kind_adaptive);
    assert_int_equal(output_kind(&full)->outputs(&full), 11);
    assert_int_equal(output_kind(&classifier)->outputs(&classifier), 3);
}

/* The parameter table ends with the kind's, in its order. */
static void test_parameters(void **unused)
{
    (void)unused;
    for (int i = 0; i < CONFIGS; i++) {
        struct output_param params[PARAM_OUTPUT_MAX];
        struct param_table table;
        param_table_build(configs[i], &table);
        int count = output_kind(configs[i])->params(configs[i], params);
        assert_int_equal(table.output + count, table.count);
        for (int k = 0; k < count; k++) {
            const struct param *p = &table.param[table.output + k];
            assert_string_equal(p->name, params[k].name);
            assert_int_equal(p->role, params[k].role);
            assert_int_equal(p->shape[0], params[k].shape[0]);
            assert_int_equal(p->rank, params[k].shape[1] ? 2 : 1);
            assert_int_equal(p->alias, params[k].tied ? table.encoder : -1);
        }
    }
}

static void expect_refusal(struct model_config config, const char *text)
{
    struct error e = {0};
    assert_int_equal(model_config_check(&config, &e), STATUS_CONFIG);
    assert_non_null(strstr(e.text, text));
}

static void test_checks(void **unused)
{
    (void)unused;
    struct model_config config = tied;
    config.embedding = 8;
    expect_refusal(config, "--tied");
    config = adaptive;
    config.tied = true;
    expect_refusal(config, "--tied");
    config = adaptive;
    config.cutoffs[1] = 20;
    expect_refusal(config, "do not ascend");
    config = adaptive;
    config.cutoffs[2] = 300;
    expect_refusal(config, "behind its end");
    config = adaptive;
    config.div = 2.6;
    expect_refusal(config, "--div");
    config = adaptive;
    config.cutoffs[0] = 0;
    expect_refusal(config, "--cutoffs");
    config = classifier;
    config.labels = 1;
    expect_refusal(config, "number of labels");
    config = classifier;
    config.tied = true;
    expect_refusal(config, "--tied");
    config = classifier;
    config.reset_token = 3;
    expect_refusal(config, "--reset-at");
    config = tied;
    config.mogrify = 3;
    expect_refusal(config, "has no rounds");
}

static struct model_shape shape_of(bool train, bool resident)
{
    return (struct model_shape){.bptt = BPTT,
                                .share = lane_share_whole(LANES, 2),
                                .threads = 2,
                                .train = train,
                                .resident = resident,
                                .exact = true};
}

/* All blocks that a model takes are counted ahead, to the byte. */
static void test_bytes(void **unused)
{
    (void)unused;
    for (int i = 0; i < CONFIGS; i++)
        for (int k = 0; k < 4; k++) {
            struct model_shape shape = shape_of(k & 1, k & 2);
            struct param_table table;
            struct model *model;
            param_table_build(configs[i], &table);
            float *values = mem_alloc(table.total, sizeof *values, "values", NULL);
            size_t counted = model_bytes(configs[i], &shape);
            assert_int_equal(model_create(configs[i], values, &shape, &model, NULL), STATUS_OK);
            assert_int_equal(model->common.store.bytes, counted);
            model_free(model);
            mem_free(values);
        }
}

/* The same outputs whether rows have an index, as the embedding hands them over, or one stands for each position. */
static void test_rows_with_an_index(void **unused)
{
    (void)unused;
    struct model_shape shape = shape_of(false, false);
    struct param_table table;
    struct model *model;
    uint32_t input[BPTT * LANES], target[BPTT * LANES];
    struct model_loss loss;
    param_table_build(&full, &table);
    float *values = mem_alloc(table.total, sizeof *values, "values", NULL);
    assert_int_equal(param_init(&full, &table, INIT_AUTO, 1, values, NULL), STATUS_OK);
    assert_int_equal(model_create(&full, values, &shape, &model, NULL), STATUS_OK);
    model_pack(model);
    for (int i = 0; i < BPTT * LANES; i++)
        input[i] = target[i] = (uint32_t)(i * i % 7);
    struct window window = {.T = BPTT, .lanes = LANES, .reset = true, .input = input, .target = target};
    model_forward(model, &window, -1, &loss);

    struct layer *layer = &model->layer[0];
    assert_non_null(layer->input.index);
    assert_int_equal(layer->input.rows, 4); /* squares modulo 7 */
    size_t rows = BPTT * LANES, count = rows * (size_t)layer->h_stride;
    float *outputs = mem_alloc(count, sizeof *outputs, "outputs", NULL);
    float *x = mem_alloc(rows * (size_t)layer->in_stride, sizeof *x, "rows", NULL);
    memcpy(outputs, layer_outputs(&model->common, layer), count * sizeof *outputs);
    for (size_t row = 0; row < rows; row++)
        memcpy(x + row * (size_t)layer->in_stride, values + input[row] * (size_t)full.embedding,
               sizeof *x * (size_t)full.embedding);
    layer->input = (struct layer_input){.x = gemm_dense(&model->common.gemm, x, layer->in_stride), .rows = (int)rows};
    for (int lane = 0; lane < LANES; lane++)
        model_state_zero_lane(model, lane);
    memset(layer->state[CELL_H].steps + (size_t)LANES * layer->h_stride, 0, count * sizeof *outputs);
    layer_project(&model->common, layer);
    layer_forward(&model->common, layer);
    assert_memory_equal(outputs, layer_outputs(&model->common, layer), count * sizeof *outputs);
    mem_free(x);
    mem_free(outputs);
    model_free(model);
    mem_free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds), cmocka_unit_test(test_parameters),         cmocka_unit_test(test_checks),
        cmocka_unit_test(test_bytes), cmocka_unit_test(test_rows_with_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
