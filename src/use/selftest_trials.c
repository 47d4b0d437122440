/* Tiny trainings with made-up tokens through the steps of train/step.h: a few steps each, of sizes that fill no
 * vector, panel or block. Their tokens, sizes and options are part of the digests: never change them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "selftest_private.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/output.h"
#include "unroll/train/step.h"

#define SEED 20
#define RESET_TOKEN 1
#define CLIP 0.25

struct trial {
    const char *group, *name; /* of the three that every cell has, behind the cell's: "", ", tied", ... */
    const char *cell;         /* by name: the trial is left out where there is no such cell; NULL: of every cell */
    struct model_config model;
    int bptt, batch, groups, steps; /* no step: the digest is that of the start values */
    enum init init;
    const char *optimizer;
    double lr, weight_decay;
};

#define LANES .bptt = 11, .batch = 7, .groups = 3
#define SMALL LANES, .steps = 3
#define UNTIED .layers = 2, .embedding = 19, .hidden = 37, .vocab = 66, .dropout = 0.3
#define TIED \
    .layers = 1, .embedding = 37, .hidden = 37, .vocab = 101, .tied = true, .dropout = 0.2, .reset_token = RESET_TOKEN
#define ADAM .optimizer = "adam", .lr = 0.01
#define ON_GRU(kind, rate) .cell = "gru", .model = {UNTIED}, SMALL, .optimizer = kind, .lr = rate, .weight_decay = 0.01

/* Of every cell; a classifier pools as its cell's kind says. */
static const struct trial of_cell[] = {
    {.name = "", .model = {UNTIED}, SMALL, ADAM},
    {.name = ", tied", .model = {TIED}, SMALL, ADAM},
    {.name = ", classify", .model = {UNTIED, .task = TASK_CLASSIFY, .labels = 5}, SMALL, ADAM},
};
#define OF_CELL ((int)(sizeof of_cell / sizeof *of_cell))

#define REGULARISERS "regularisers"

static const struct trial others[] = {
    {"optimizers", "sgd", ON_GRU("sgd", 2)},
    {"optimizers", "momentum", ON_GRU("momentum", 1)},
    {"optimizers", "adagrad", ON_GRU("adagrad", 0.01)},
    {"optimizers", "rmsprop", ON_GRU("rmsprop", 0.001)},
    {"optimizers", "adam", ON_GRU("adam", 0.01)},
    {"optimizers", "adamw", ON_GRU("adamw", 0.01)},
    /* wider, and longer, than a block of any product; and of so many tokens that few rows of the encoder are touched */
    {"large",
     "wide",
     "lstm",
     {.layers = 1, .embedding = 390, .hidden = 401, .vocab = 66},
     .bptt = 5,
     .batch = 4,
     .groups = 2,
     .steps = 2,
     ADAM},
    {"large", "long", "gru", {UNTIED}, .bptt = 300, .batch = 6, .groups = 2, .steps = 2, ADAM},
    {"large",
     "many tokens",
     "lstm",
     {.layers = 1, .embedding = 16, .hidden = 16, .vocab = 10007},
     SMALL,
     .optimizer = "sgd",
     .lr = 1},
    {REGULARISERS,
     "regularised",
     "lstm",
     {UNTIED, .dropout_kind = DROPOUT_LOCKED, .dropout_embedding = 0.1, .dropout_state = 0.2, .weight_drop = 0.4,
      .ar = 2, .tar = 1},
     SMALL,
     ADAM},
    {"start values", "uniform", "lstm", {UNTIED}, LANES, .init = INIT_UNIFORM},
    {"start values", "orthogonal", "lstm", {UNTIED}, LANES, .init = INIT_ORTHOGONAL},
    {"start values", "scaled identity", "rnn-relu", {UNTIED}, LANES, .init = INIT_AUTO},
};
#define OTHERS ((int)(sizeof others / sizeof *others))

static bool is_of_cell(const struct trial *trial)
{
    return !trial->cell;
}

/* Of every output layer of language models but the first, which the cells have: of more tokens than a block of classes
 * (nn/classes.h), whose ids are not in the order of their counts. */
#define OUTPUTS "output layers"
static const struct trial of_output = {
    OUTPUTS,
    "",
    "lstm",
    {.layers = 1,
     .embedding = 24,
     .hidden = 40,
     .vocab = 3001,
     .dropout = 0.2,
     .cutoffs = {300, 1500},
     .div = 4,
     .samples = 1100},
    SMALL,
    ADAM,
};

static void find_of_output(int layer, struct trial *trial)
{
    struct error e;
    *trial = of_output;
    trial->name = output_layer_choices.name(layer);
    trial->model.cell = CELL_LSTM;
    trial->model.output_layer = layer;
    enum status status = output_settle(&trial->model, NULL, &e);
    CHECK(!status);
    trial->model.reordered = true;
}

/* What has products of its own: optimizers and start values have none. */
static bool is_of_bf16(const struct trial *trial)
{
    return is_of_cell(trial) || strcmp(trial->group, "large") == 0 || strcmp(trial->group, OUTPUTS) == 0 ||
           strcmp(trial->group, REGULARISERS) == 0;
}

const char *selftest_bf16_group(int order)
{
    static const char *const groups[] = {[BF16_TILE] = "bf16 tile", [BF16_PAIR] = "bf16 pair"};
    return groups[order];
}

/* Trial 0, 1, ... in float32, those of the cells first; false behind the last. */
static bool find_single(int index, struct trial *trial)
{
    if (index < CELLS * OF_CELL) {
        const struct cell_kind *kind = cell_kind((enum cell)(index / OF_CELL));
        *trial = of_cell[index % OF_CELL];
        trial->group = kind->name;
        trial->model.cell = (enum cell)(index / OF_CELL);
        if (kind->rounds) {
            trial->model.mogrify = trial->model.tied ? 4 : 5;
            trial->model.mogrify_rank = trial->model.tied ? 0 : 7;
        }
        if (trial->model.task == TASK_CLASSIFY)
            trial->model.pool = (enum pool)kind->trial_pool;
        return true;
    }
    index -= CELLS * OF_CELL;
    for (int i = 0; i < OTHERS; i++) {
        *trial = others[i];
        if (!cell_parse(trial->cell, &trial->model.cell, NULL) && index-- == 0)
            return true;
    }
    if (index + 1 < OUTPUT_LAYERS) {
        find_of_output(index + 1, trial);
        return true;
    }
    return false;
}

/* Behind those the ones that are repeated in bf16, in each order of sums; false behind the last. */
static bool find_trial(int index, struct trial *trial)
{
    if (find_single(index, trial))
        return true;
    int singles = 0;
    while (find_single(singles, trial))
        singles++;
    index -= singles;
    for (int order = 0; order < bf16_order_choices.count; order++)
        for (int i = 0; i < singles; i++) {
            (void)find_single(i, trial);
            if (!is_of_bf16(trial) || index-- > 0)
                continue;
            trial->model.precision = PRECISION_BF16;
            trial->model.bf16_order = order;
            return true;
        }
    return false;
}

const char *selftest_trial_group(int index)
{
    struct trial trial;
    if (!find_trial(index, &trial))
        return NULL;
    return trial.model.precision == PRECISION_BF16 ? selftest_bf16_group(trial.model.bf16_order) : trial.group;
}

bool selftest_trial_name(int index, char name[SELFTEST_ITEM])
{
    struct trial trial;
    if (!find_trial(index, &trial))
        return false;
    bool bf16 = trial.model.precision == PRECISION_BF16;
    snprintf(name, SELFTEST_ITEM, "%s%s%s%s", is_of_cell(&trial) ? trial.group : "", trial.name, bf16 ? ", " : "",
             bf16 ? selftest_bf16_group(trial.model.bf16_order) : "");
    return true;
}

struct run {
    const struct trial *trial;
    int threads;
    struct comm alone;
    struct param_table table;
    float *values;            /* [table.total] */
    uint32_t *input, *target; /* [bptt][batch] */
    struct step *step;
};

static enum status run_create(struct run *run, struct error *e)
{
    const struct trial *trial = run->trial;
    const struct step_config config = {
        .model = trial->model,
        .share = lane_share_whole(trial->batch, trial->groups),
        .bptt = trial->bptt,
        .threads = run->threads,
        .optimizer = {.kind = trial->optimizer ? optimizer_kind(trial->optimizer) : OPTIMIZER_SGD,
                      .momentum = 0.9,
                      .beta1 = 0.9,
                      .beta2 = 0.999,
                      .alpha = 0.99,
                      .epsilon = 1e-8,
                      .weight_decay = trial->weight_decay},
        .reduction = REDUCTION_EXACT,
        .norm = true,
        .clip = CLIP,
        .seed = SEED};
    size_t positions = (size_t)trial->bptt * (size_t)trial->batch;
    run->alone = COMM_ALONE;
    param_table_build(&trial->model, &run->table);
    run->values = mem_alloc(run->table.total, sizeof(float), "a self-test", e);
    run->input = mem_alloc(positions, sizeof *run->input, "a self-test", e);
    run->target = mem_alloc(positions, sizeof *run->target, "a self-test", e);
    if (!run->values || !run->input || !run->target)
        return STATUS_OS;
    enum status status = param_init(&trial->model, &run->table, trial->init, SEED, run->values, e);
    if (!status)
        status = step_create(&run->alone, &config, &run->table, run->values, &run->step, e);
    if (!status)
        model_pack(run->step->model);
    return status;
}

static void run_release(struct run *run)
{
    step_free(run->step);
    mem_free(run->values);
    mem_free(run->input);
    mem_free(run->target);
}

/* The last lane's texts are shorter than the window when there are labels; some positions have no target otherwise. */
static void draw_window(struct run *run, int step)
{
    const struct trial *trial = run->trial;
    int T = trial->bptt, B = trial->batch;
    bool classify = trial->model.task == TASK_CLASSIFY;
    for (int t = 0; t < T; t++)
        for (int b = 0; b < B; b++) {
            struct rng_bits bits = rng_philox(SEED, RNG_TEST, (uint32_t)step, (uint32_t)b, (uint32_t)t, 0);
            int last = T - 1 - b % 3;
            run->input[t * B + b] = bits.word[0] % (uint32_t)trial->model.vocab;
            if (classify)
                run->target[t * B + b] = t == last ? bits.word[1] % (uint32_t)trial->model.labels : WINDOW_NO_TARGET;
            else
                run->target[t * B + b] =
                    bits.word[2] % 16 == 0 ? WINDOW_NO_TARGET : bits.word[1] % (uint32_t)trial->model.vocab;
        }
}

/* One step; the groups' losses and the gradient's norm go into the digest. */
static void run_step(struct run *run, int step, struct digest *digest)
{
    const struct trial *trial = run->trial;
    const struct window window = {.T = trial->bptt,
                                  .lanes = trial->batch,
                                  .reset = step == 0 || trial->model.task == TASK_CLASSIFY,
                                  .input = run->input,
                                  .target = run->target};
    struct model_loss loss;
    int64_t targets = 0;
    draw_window(run, step);
    step_gradient(run->step, &window, step, &loss);
    for (int g = 0; g < trial->groups; g++)
        targets += loss.targets[g];
    (void)step_sum(run->step, targets);
    step_update(run->step, trial->lr);
    double norm = sqrt(run->step->norm2) * (1 / (double)targets); /* the bits of record */
    digest_add(digest, loss.group, sizeof *loss.group * (size_t)trial->groups);
    digest_add(digest, &norm, sizeof norm);
}

enum status selftest_trial_digest(int index, int threads, char hex[DIGEST_TEXT], struct error *e)
{
    struct trial trial;
    CHECK(find_trial(index, &trial));
    struct run run = {.trial = &trial, .threads = threads};
    struct digest *digest = digest_new(e);
    enum status status = digest ? run_create(&run, e) : STATUS_OS;
    for (int step = 0; step < run.trial->steps && !status; step++)
        run_step(&run, step, digest);
    if (!status)
        step_settle(run.step);
    for (int i = 0; i < run.table.count && !status; i++) {
        const struct param *param = &run.table.param[i];
        digest_add(digest, run.values + param->offset, param->count * sizeof(float));
        for (int slot = 0; slot < run.step->optimizer->slots && param->role != PARAM_CONSTANT; slot++)
            digest_add(digest, run.step->optimizer->slot[slot] + param->offset, param->count * sizeof(float));
    }
    if (!status)
        digest_text(digest, hex);
    digest_free(digest);
    run_release(&run);
    return status;
}
