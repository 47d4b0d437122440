/* unroll gradcheck: every cell, 1 and 2 layers, tied and not, with and without dropout and resets at sentence ends;
 * options narrow it down. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/cli/option_together.h"
#include "unroll/nn/output.h"
#include "unroll/use/gradcheck.h"

#define DROPOUT 0.3   /* where dropout is on and none was named */
#define RESET_TOKEN 1 /* the sentence end of the made-up tokens */

/* The models that differ only in size. Differences cost some evaluations of the loss for each parameter and are taken
 * on the first; the fast path runs on all others: no full vector, just below and just above one, and more than one
 * panel of a product; one lane, one group, uneven groups and ranges. With tied weights `embedding` becomes `hidden`. */
struct size {
    int embedding, hidden, vocab, bptt, batch, groups, ranks, threads, labels;
};
static const struct size sizes[] = {
    {3, 4, 7, 4, 2, 1, 1, 1, 3},      {2, 1, 2, 3, 1, 1, 1, 1, 2},      {9, 7, 11, 5, 3, 3, 2, 2, 3},
    {20, 33, 101, 6, 5, 4, 3, 3, 45}, {70, 130, 101, 7, 3, 2, 2, 2, 4}, {130, 40, 37, 9, 17, 7, 4, 1, 70},
};
#define SIZES ((int)(sizeof sizes / sizeof sizes[0]))

/* Which values each option takes. */
struct variants {
    int cells, layers, ties, dropouts, resets, pools;
    enum cell cell[CELLS];
    int layer[2];
    bool tied[2];
    double dropout[2];
    bool reset[2];
    enum pool pool[3];
};

static struct variants choose(const struct options *options)
{
    struct variants c = {.cells = CELLS,
                         .layers = 2,
                         .layer = {1, 2},
                         .ties = 2,
                         .tied = {false, true},
                         .dropouts = 2,
                         .dropout = {0, DROPOUT},
                         .resets = 2,
                         .reset = {false, true},
                         .pools = 1};
    for (int i = 0; i < CELLS; i++)
        c.cell[i] = (enum cell)i;
    if (options_given(options, "cell")) {
        c.cells = 1;
        c.cell[0] = options->train.step.model.cell;
    }
    if (options_given(options, "layers")) {
        c.layers = 1;
        c.layer[0] = options->train.step.model.layers;
    }
    if (output_kind(&options->train.step.model)->uses & OUTPUT_CLUSTERS) /* it has no tied weights */
        c.ties = 1;
    if (options_given(options, "tied")) {
        c.ties = 1;
        c.tied[0] = options->train.step.model.tied;
    }
    if (options_given(options, "dropout")) {
        c.dropouts = 1;
        c.dropout[0] = options->train.step.model.dropout;
    }
    if (options_given(options, "reset-at")) {
        c.resets = 1;
        c.reset[0] = options->train.reset_at_eos;
    }
    if (options->train.step.model.task ==
        TASK_CLASSIFY) { /* labels are tied to no words, and no text goes on behind another */
        c.ties = c.resets = 1;
        c.tied[0] = c.reset[0] = false;
        c.pools = 3;
        c.pool[1] = POOL_MEAN;
        c.pool[2] = POOL_MAX;
    }
    return c;
}

/* Small clusters, of odd sizes: as many as the width allows to narrow. Where the ids of the made-up words are in the
 * order of counts, and where they are not. */
static void cut(struct model_config *model)
{
    int left = model->vocab;
    model->div = model->hidden < 16 ? 2 : 3.5;
    double width = model->hidden / model->div;
    memset(model->cutoffs, 0, sizeof model->cutoffs);
    for (int i = 0; i < 3 && (i == 0 || (width >= 1 && left > 4)); i++, width /= model->div) {
        model->cutoffs[i] = model->vocab - left + (left + 2) / 3;
        left = model->vocab - model->cutoffs[i];
    }
    if (model->hidden == 1)
        model->div = 1;
}

/* Few rounds and many, full matrices and narrow ones. */
static void set_rounds(struct model_config *model, int size)
{
    int narrow = model->embedding < model->hidden ? model->embedding : model->hidden;
    model->mogrify = 5 - 2 * size % 5; /* 5, 3, 1, 4, 2 */
    model->mogrify_rank = size % 3 == 1 ? 0 : narrow / 2;
}

static struct gradcheck_config config_of(const struct options *options, const struct model_config *model,
                                         const struct size *size)
{
    struct gradcheck_config config = {.model = *model,
                                      .bptt = size->bptt,
                                      .batch = size->batch,
                                      .groups = size->groups,
                                      .ranks = size->ranks,
                                      .threads = options->train.threads > 0 ? options->train.threads : size->threads,
                                      .seed = options->train.step.seed};
    config.model.embedding = model->tied ? size->hidden : size->embedding;
    int widths[MODEL_LAYERS_MAX] = {size->hidden};
    if (model->layers == 2 && (size - sizes) % 2) { /* the layer below is wider, beyond a vector */
        widths[0] = size->hidden + 19;
        widths[1] = size->hidden;
    }
    model_set_widths(&config.model, widths);
    config.model.vocab = size->vocab;
    config.model.labels = model->task == TASK_CLASSIFY ? size->labels : 0;
    if (output_kind(model)->uses & OUTPUT_CLUSTERS)
        cut(&config.model);
    if (cell_kind(model->cell)->rounds)
        set_rounds(&config.model, (int)(size - sizes));
    (void)output_settle(&config.model, NULL, NULL);
    if (output_kind(model)->uses & OUTPUT_CLUSTERS)
        config.model.reordered = (size - sizes) % 2;
    return config;
}

static const char *describe(const struct model_config *model, char text[96])
{
    if (model->task == TASK_CLASSIFY)
        snprintf(text, 96, "classifier, %s, %d %s, pool %s, dropout %g", cell_name(model->cell), model->layers,
                 model->layers == 1 ? "layer" : "layers", pool_name(model->pool), model->dropout);
    else
        snprintf(text, 96, "%s, %d %s%s%s, dropout %g", cell_name(model->cell), model->layers,
                 model->layers == 1 ? "layer" : "layers", model->tied ? ", tied" : "",
                 model->reset_token ? ", reset at eos" : "", model->dropout);
    return text;
}

/* The first failure of the run stays in `e`; NaN is one. */
static void judge(const struct gradcheck_config *config, const struct gradcheck_worst *worst, const char *what,
                  const char *oracle, struct error *e)
{
    char model[96];
    if (gradcheck_holds(worst) || e->status)
        return;
    error_set(e, STATUS_INTERNAL,
              "%s wrong in '%s': element %lld is %.9g, but %s gives %.9g (relative error %.2g, allowed %.2g; %s; "
              "embedding %d, hidden %d, vocabulary %d, bptt %d, batch %d, lane groups %d, seed %llu, window %d); "
              "do not train with this build, and report it",
              what, worst->tensor, (long long)worst->element, worst->got, oracle, worst->expected, worst->error,
              worst->tolerance, describe(&config->model, model), config->model.embedding, config->model.hidden,
              config->model.vocab, config->bptt, config->batch, config->groups, (unsigned long long)config->seed,
              worst->window);
}

static double worse(double a, double b)
{
    return isnan(a) || isnan(b) ? NAN : fmax(a, b);
}

/* One line of the table. Errors are shown as shares of what is allowed, the largest over the sizes. `e` holds the first
 * wrong number so far; returned is only what kept a check from running. */
static enum status check_model(const struct options *options, const struct model_config *model, struct error *wrong,
                               struct error *e)
{
    struct gradcheck_worst differences;
    struct gradcheck_config config = config_of(options, model, &sizes[0]);
    enum status status = gradcheck_reference(&config, &differences, e);
    if (status)
        return status;
    judge(&config, &differences, "gradient of the reference", "the central difference", wrong);

    double loss = 0, state = 0, gradient = 0;
    bool same_bits = true;
    for (int i = 1; i < SIZES; i++) {
        struct gradcheck_fast fast;
        config = config_of(options, model, &sizes[i]);
        status = gradcheck_fast(&config, &fast, e);
        if (status)
            return status;
        judge(&config, &fast.loss, "loss", "the reference", wrong);
        judge(&config, &fast.state, "carried state", "the reference", wrong);
        judge(&config, &fast.gradient, "gradient", "the reference", wrong);
        loss = worse(loss, fast.loss.error / fast.loss.tolerance);
        if (fast.state.tolerance > 0) /* a classifier carries none */
            state = worse(state, fast.state.error / fast.state.tolerance);
        gradient = worse(gradient, fast.gradient.error / fast.gradient.tolerance);
        same_bits = same_bits && fast.same_bits;
        char text[96];
        if (!fast.same_bits && !wrong->status)
            error_set(wrong, STATUS_INTERNAL,
                      "bits differ for '%s': hidden %d, 1 rank of 1 thread against %d of %d; do not train with this "
                      "build, and report it",
                      describe(model, text), config.model.hidden, config.ranks, config.threads);
    }
    const char *variant = model->task == TASK_CLASSIFY ? pool_name(model->pool) : model->tied ? "yes" : "no";
    printf("%-9s %6d  %-4s %7g  %-5s  %11.1e  %8.3f %8.3f %8.3f  %s\n", cell_name(model->cell), model->layers, variant,
           model->dropout, model->reset_token ? "eos" : "none", differences.error, loss, state, gradient,
           same_bits ? "same" : "DIFFER");
    fflush(stdout);
    return STATUS_OK;
}

enum status cmd_gradcheck(const struct options *options, struct error *e)
{
    const struct variants c = choose(options);
    struct error wrong = {0};
    int models = 0;
    printf("differences: largest relative error of the reference's gradients against central differences (< 1e-6)\n"
           "loss, state, gradient: largest error of the fast path against the reference, as a share of the tolerance\n"
           "bits: whether several ranks and threads give those of one\n\n"
           "cell      layers  %s dropout  reset  differences      loss    state gradient  bits\n",
           options->train.step.model.task == TASK_CLASSIFY ? "pool" : "tied");
    for (int i = 0; i < c.cells; i++)
        for (int l = 0; l < c.layers; l++)
            for (int t = 0; t < c.ties; t++)
                for (int d = 0; d < c.dropouts; d++)
                    for (int r = 0; r < c.resets * c.pools; r++) {
                        struct model_config model = options->train.step.model;
                        model.cell = c.cell[i];
                        model.layers = c.layer[l];
                        model.tied = c.tied[t];
                        model.dropout = c.dropout[d];
                        model.reset_token = c.reset[r % c.resets] ? RESET_TOKEN : 0;
                        model.pool = c.pool[r / c.resets];
                        model_config_settle(&model);
                        options_take_dropout(options, &model);
                        enum status status = check_model(options, &model, &wrong, e);
                        if (status)
                            return status;
                        models++;
                    }
    if (wrong.status) {
        *e = wrong;
        return e->status;
    }
    printf("\n%d models: all gradients hold\n", models);
    return finish_output(e);
}
