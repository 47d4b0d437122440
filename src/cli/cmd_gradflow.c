/* unroll gradflow: how the gradient of a loss fades, or grows, on its way back through time, cell by cell. */
#include <stdio.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/cli/precision.h"
#include "unroll/nn/model.h"
#include "unroll/nn/output.h"
#include "unroll/use/gradflow.h"

#define RESULTS CELLS /* one of each */
#define COLUMNS 10

struct flow {
    const struct options *options;
    struct gradflow_config config;
    struct corpus *corpus;
    int results;
    struct gradflow_result result[RESULTS];
};

/* ---- the models ---- */

/* Not collective. */
static enum status check_checkpoint(const struct flow *flow, const char *path, const struct checkpoint *checkpoint,
                                    struct error *e)
{
    char of_model[33], of_corpus[33];
    if (checkpoint->model.task == TASK_CLASSIFY)
        return error_set(e, STATUS_CONFIG,
                         "cannot follow gradients of '%s': it is a classifier, which has a loss at the end of a text "
                         "only; name a language model",
                         path);
    vocab_digest(checkpoint->vocab, of_model);
    vocab_digest(flow->corpus->vocab, of_corpus);
    if (strcmp(of_model, of_corpus) != 0)
        return error_set(e, STATUS_DATA,
                         "cannot follow gradients of '%s': its vocabulary is not that of '%s'; use the corpus that the "
                         "model was trained on",
                         path, flow->options->corpus);
    for (int i = 0; i < flow->results; i++)
        if (flow->result[i].model.cell == checkpoint->model.cell)
            return error_set(e, STATUS_CONFIG,
                             "cannot show '%s' beside another model: both are of cell '%s'; name one of each", path,
                             cell_name(checkpoint->model.cell));
    return STATUS_OK;
}

static enum status follow_checkpoint(const struct comm *comm, struct flow *flow, const char *path, struct error *e)
{
    struct checkpoint checkpoint;
    enum status status = checkpoint_read_shared(comm, path, &checkpoint, e);
    if (status && comm->rank == 0)
        load_advise(flow->options, path, status, e);
    if (!status) /* from here on the same on all ranks */
        status = load_check_task(path, &checkpoint, TASK_LM, e);
    if (!status)
        status = precision_take(flow->options, path, &checkpoint.model, e);
    if (!status)
        status = check_checkpoint(flow, path, &checkpoint, e);
    if (!status)
        status = gradflow_run(comm, flow->corpus, &flow->config, &checkpoint.model, checkpoint.values,
                              &flow->result[flow->results++], e);
    checkpoint_release(&checkpoint);
    return status;
}

static enum status follow_fresh(const struct comm *comm, struct flow *flow, enum cell cell, struct error *e)
{
    const struct options *options = flow->options;
    struct model_config model = options->train.step.model;
    struct param_table table;
    model.cell = cell;
    model.vocab = flow->corpus->vocab->size;
    model_config_evaluated(&model);
    model_config_settle(&model);
    enum status status = output_settle(&model, NULL, e);
    if (!status)
        status = precision_take(options, cell_name(cell), &model, e);
    if (!status)
        status = model_config_check(&model, e); /* the same on all ranks */
    if (status)
        return status;
    param_table_build(&model, &table);
    float *values = mem_alloc(table.total, sizeof *values, "the parameters", e);
    status = values ? param_init(&model, &table, options->train.init, options->train.step.seed, values, e) : STATUS_OS;
    status = comm_agree(comm, status, e);
    if (!status)
        status = gradflow_run(comm, flow->corpus, &flow->config, &model, values, &flow->result[flow->results++], e);
    mem_free(values);
    return status;
}

static enum status follow_all(const struct comm *comm, struct flow *flow, struct error *e)
{
    const struct options *options = flow->options;
    enum status status = STATUS_OK;
    for (int i = 0; i < options->flow_models && !status; i++)
        status = follow_checkpoint(comm, flow, options->flow_model[i], e);
    /* cells that carry one state first: those that carry more have more columns */
    for (int states = 1; states <= CELL_STATES_MAX && options->flow_models == 0; states++)
        for (int i = 0; i < CELLS && !status; i++)
            if (cell_states(cell_kind((enum cell)i), 0) == states &&
                (options->flow_cell == OPTION_CELL_ALL || options->flow_cell == i))
                status = follow_fresh(comm, flow, (enum cell)i, e);
    return status;
}

/* ---- the table ---- */

struct column {
    const struct gradflow_result *result;
    int state;
};

static double norm_at(struct column column, int lag)
{
    return arithmetic_nan(column.result->norm[(int64_t)column.state * (column.result->lags + 1) + lag]);
}

/* Lags shown: all up to 4, then powers of two and the middles between them, and the last. */
static int next_lag(int lag, int last)
{
    int step = 1;
    while (4 * step <= lag)
        step *= 2;
    return lag + step < last || lag == last ? lag + step : last;
}

/* What is left over all lags, or '-' of a state that reaches no other step. */
static void print_ratio(struct column column, int lags)
{
    if (norm_at(column, 1) == 0)
        printf(" %9s", "-");
    else
        printf(" %9.2e", norm_at(column, lags) / norm_at(column, 1));
}

static void print_columns(const struct flow *flow, const struct column *column, int columns)
{
    char name[16];
    printf("\n   lag");
    for (int i = 0; i < columns; i++)
        printf(" %9s", cell_name(column[i].result->model.cell));
    printf("\n      ");
    for (int i = 0; i < columns; i++)
        printf(" %9s", model_state_name(&column[i].result->model, column[i].state, name));
    printf("\n");
    for (int lag = 0; lag <= flow->config.lags; lag = next_lag(lag, flow->config.lags)) {
        printf("%6d", lag);
        for (int i = 0; i < columns; i++)
            printf(" %9.2e", norm_at(column[i], lag));
        printf("\n");
    }
    printf(" ratio");
    for (int i = 0; i < columns; i++)
        print_ratio(column[i], flow->config.lags);
    printf("\n");
}

static void print_table(const struct flow *flow)
{
    struct column column[COLUMNS];
    int columns = 0;
    const struct gradflow_result *first = &flow->result[0];
    printf("mean norm of dL_t/dh_(t-k) and dL_t/dc_(t-k), L_t the loss at step t, by layer and lag k\n");
    printf("%s split of '%s': %d lanes, %lld pairs of lane and t; %s\n", split_name(flow->config.split),
           flow->options->corpus, first->lanes, (long long)first->samples,
           flow->options->flow_models ? "checkpoints" : "models at their initialisation");
    for (int i = 0; i < flow->results; i++) {
        int states = model_state_count(&flow->result[i].model);
        if (columns > 0 && columns + states > COLUMNS) { /* a model's columns stay together, if they can */
            print_columns(flow, column, columns);
            columns = 0;
        }
        for (int state = 0; state < states; state++) {
            column[columns++] = (struct column){&flow->result[i], state};
            if (columns == COLUMNS) {
                print_columns(flow, column, columns);
                columns = 0;
            }
        }
    }
    if (columns > 0)
        print_columns(flow, column, columns);
    printf("\nratio: of lag %d to lag 1\n", flow->config.lags);
}

/* ---- the command ---- */

/* Rank 0 alone. */
static enum status check_places(const struct options *options, struct error *e)
{
    enum status status = file_check_place(options->output, "--output", e);
    return status ? status : file_check_place(options->csv, "--csv", e);
}

/* Rank 0 alone. */
static enum status tell(const struct flow *flow, struct error *e)
{
    enum status status = STATUS_OK;
    if (!file_is_standard(flow->options->csv))
        print_table(flow);
    status = finish_output(e);
    if (!status && flow->options->output)
        status = gradflow_write_h5(flow->options->output, flow->result, flow->results, e);
    if (!status && flow->options->csv)
        status = gradflow_write_csv(flow->options->csv, flow->result, flow->results, e);
    return status;
}

enum status cmd_gradflow(const struct comm *comm, const struct options *options, struct error *e)
{
    struct flow flow = {.options = options, .config = options->flow};
    enum status status = comm_agree(comm, comm->rank == 0 ? check_places(options, e) : STATUS_OK, e);
    if (!status)
        status = corpus_open_shared(comm, options->corpus, &flow.corpus, e);
    if (!status)
        status = load_threads(comm, options, &flow.config.threads, e);
    if (!status)
        status = follow_all(comm, &flow, e);
    if (!status)
        status = comm_agree(comm, comm->rank == 0 ? tell(&flow, e) : STATUS_OK, e);
    for (int i = 0; i < flow.results; i++)
        gradflow_release(&flow.result[i]);
    corpus_close(flow.corpus);
    return status;
}
