/* Values and the optimizer's state after many steps on any number of ranks: with exact updates of touched rows the bits
 * of a dense optimizer on one rank, which gets all of the gradient and knows of no rows; with lazy ones those of one
 * rank. For every optimizer, with and without weight decay, and values that are read by others on the way; and an
 * average of the values over the last updates, for which all rows catch up. */
#include <stdio.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/output.h"
#include "unroll/nn/precision.h"
#include "unroll/sys/comm.h"
#include "unroll/train/average.h"
#include "unroll/train/step.h"

#define STEPS 24
#define BPTT 7
#define BATCH 13
#define VOCAB 701
#define SAMPLES 24
#define ARRAYS (2 + OPTIMIZER_SLOTS_MAX)
#define AVERAGED 6 /* updates */

/* Frequent tokens and rare ones, and some that come once. */
static uint32_t token(struct rng_bits bits, int step)
{
    switch (bits.word[0] % 8) {
    case 0:
        return bits.word[1] % VOCAB;
    case 1:
        return 100 + (uint32_t)(step / 9);
    default:
        return bits.word[1] % 40 * 17;
    }
}

static void fill(const struct window *window, int step, uint32_t *input, uint32_t *target)
{
    for (int t = 0; t < window->T; t++)
        for (int b = 0; b < window->lanes; b++) {
            int at = t * window->lanes + b;
            uint32_t lane = (uint32_t)(window->lane0 + b);
            input[at] = token(rng_philox(3, RNG_TEST, (uint32_t)step, lane, (uint32_t)t, 0), step);
            target[at] = token(rng_philox(3, RNG_TEST, (uint32_t)step, lane, (uint32_t)t, 1), step);
        }
}

static double rate(const struct optimizer_config *config, int step)
{
    double lr = optimizer_default_lr(config->kind);
    return step < 10 ? lr * (step + 1) / 10 : lr / (1 + step / 15);
}

struct run {
    const struct comm *comm;
    const struct model_config *model;
    const struct param_table *table;
    const struct optimizer_config *config;
    bool plain;           /* a dense optimizer beside the step, which gets all of the gradient */
    float *array[ARRAYS]; /* what comes out: values, average and slots, [trained] each */
    int64_t rows;         /* that the last step touched, of parameters in parts */
};

static void update(struct step *step, const struct run *run, struct optimizer *plain, float *dense, double lr)
{
    if (!run->plain) {
        step_update(step, lr);
        return;
    }
    gradient_lay_out(&step->gradient, run->table, dense);
    optimizer_update(plain, step->values, (struct param_gradient){NULL, dense, NULL}, (float)(1.0 / 91), lr, 1);
    model_pack(step->model);
}

static enum status train(struct run *run, struct error *e)
{
    const struct step_config config = {.model = *run->model,
                                       .share = lane_share_of(BATCH, BATCH, run->comm->size, run->comm->rank),
                                       .bptt = BPTT,
                                       .threads = run->comm->size % 2 + 1,
                                       .optimizer = *run->config,
                                       .reduction = REDUCTION_EXACT,
                                       .seed = 5};
    struct step *step;
    struct optimizer *plain;
    float *values = mem_alloc(run->table->total, sizeof *values, "values", e);
    float *dense = mem_alloc(run->table->trained, sizeof *values, "a gradient", e);
    struct average average;
    const struct average_config averages = {.kind = AVERAGE_EMA, .decay = 0.8, .from = 1};
    if (average_create(&averages, run->table, &average, e) || !values || !dense ||
        param_init(run->model, run->table, INIT_UNIFORM, 3, values, e) ||
        step_create(run->comm, &config, run->table, values, &step, e) ||
        optimizer_create(run->config, run->table, NULL, &plain, e))
        return STATUS_OS;
    model_pack(step->model);
    for (int number = 0; number < STEPS; number++) {
        uint32_t input[BPTT * BATCH], target[BPTT * BATCH];
        const struct window window = {.T = BPTT,
                                      .lanes = lane_share_lanes(&config.share),
                                      .lane0 = config.share.lane_begin,
                                      .reset = number == 0,
                                      .input = input,
                                      .target = target};
        struct model_loss loss;
        fill(&window, number, input, target);
        step_gradient(step, &window, number, &loss);
        (void)step_sum(step, BPTT * BATCH);
        update(step, run, plain, dense, rate(run->config, number));
        if (number % 11 == 10)
            step_settle(step);
        if (number < STEPS - AVERAGED)
            continue;
        step_settle(step);
        average_add(&average, values, number, config.threads);
    }
    run->rows = 0;
    for (int i = 0; i < run->table->count && step->gradient.layout; i++)
        run->rows += step->gradient.rows[i].count;
    step_settle(step);
    const struct optimizer *optimizer = run->plain ? plain : step->optimizer;
    for (int array = 0; array <= optimizer->slots; array++)
        memcpy(run->array[array ? array + 1 : 0], array ? optimizer->slot[array - 1] : values,
               run->table->trained * sizeof *values);
    memcpy(run->array[1], average.values, run->table->trained * sizeof *values);
    average_release(&average);
    optimizer_free(plain);
    step_free(step);
    mem_free(values);
    mem_free(dense);
    return STATUS_OK;
}

static int compare(const struct run *here, const struct run *there, const char *what)
{
    const struct param_table *table = here->table;
    for (int array = 0; array <= 1 + optimizer_slots(here->config->kind); array++)
        for (int i = 0; i < table->count; i++) {
            const struct param *param = &table->param[i];
            if (param->role == PARAM_CONSTANT ||
                memcmp(here->array[array] + param->offset, there->array[array] + param->offset,
                       param->count * sizeof(float)) == 0)
                continue;
            fprintf(stderr, "%s, decay %g, output layer %d, tied %d, %d ranks: array %d of %s is not that of %s\n",
                    optimizer_name(here->config->kind), here->config->weight_decay, here->model->output_layer,
                    here->model->tied, here->comm->size, array, param->name, what);
            return 1;
        }
    return 0;
}

static int check(const struct comm *comm, const struct model_config *model, struct optimizer_config config)
{
    struct comm alone = COMM_ALONE;
    struct error e = {0};
    struct param_table table;
    param_table_build(model, &table);
    struct run here = {comm, model, &table, &config, false, {0}, 0},
               there = {&alone, model, &table, &config, true, {0}, 0};
    for (int array = 0; array < ARRAYS; array++) {
        here.array[array] = mem_alloc(table.trained, sizeof(float), "values", &e);
        there.array[array] = mem_alloc(table.trained, sizeof(float), "values", &e);
    }
    if (train(&here, &e) || train(&there, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    int wrong = compare(&here, &there, "the dense update on one rank");
    if (here.rows == 0 || here.rows > 4 * (BPTT * BATCH + SAMPLES))
        fprintf(stderr, "a step touches %lld rows\n", (long long)here.rows), wrong = 1;
    config.sparse_update = SPARSE_LAZY;
    there.plain = false;
    if (train(&here, &e) || train(&there, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    wrong += compare(&here, &there, "the lazy update on one rank");
    for (int array = 0; array < ARRAYS; array++) {
        mem_free(here.array[array]);
        mem_free(there.array[array]);
    }
    return wrong;
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    if (comm_init(&comm, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    int failures = 0;
    const int sampled = choices_find(&output_layer_choices, "sampled"),
              nce = choices_find(&output_layer_choices, "nce");
    const struct model_config usual = {
        .cell = CELL_GRU, .layers = 1, .embedding = 21, .hidden = 21, .vocab = VOCAB, .dropout = 0.2};
    struct model_config models[3] = {usual, usual, usual};
    models[1].output_layer = sampled;
    models[2].output_layer = nce;
    models[1].samples = models[2].samples = SAMPLES;
    models[2].tied = true;
    models[2].precision = PRECISION_BF16;
    for (int kind = 0; kind < optimizer_choices.count; kind++)
        for (int decay = 0; decay < 2; decay++) {
            const struct optimizer_config config = {
                kind, 0.9, 0.9, 0.999, 0.99, optimizer_default_epsilon(kind), 0.01 * decay, SPARSE_EXACT};
            failures += check(&comm, &models[(kind + decay) % 3], config);
        }
    comm_finalize(&comm);
    return failures != 0;
}
