/* One step of training: gradient, sum over ranks, clipping and update. */
#include "unroll/train/step.h"

#include <math.h>

#include "unroll/base/clock.h"
#include "unroll/base/mem.h"

/* Not collective. */
static enum status create_own(struct step *step, const struct param_table *table, struct error *e)
{
    const struct step_config *config = &step->config;
    struct model_shape shape = {
        .bptt = config->bptt,
        .share = config->share,
        .threads = config->threads,
        .train = true,
        .exact = config->reduction == REDUCTION_EXACT,
        .sparse = !config->dense,
        .seed = config->seed,
    };
    enum status status = optimizer_create(&config->optimizer, table, &step->layout, &step->optimizer, e);
    return status ? status : model_create(&config->model, step->values, &shape, &step->model, e);
}

enum status step_create(const struct comm *comm, const struct step_config *config, const struct param_table *table,
                        float *values, struct step **out, struct error *e)
{
    *out = NULL;
    struct step *step = mem_alloc(1, sizeof *step, "a step", e);
    enum status status = comm_agree(comm, step ? STATUS_OK : STATUS_OS, e);
    if (!status) {
        step->config = *config;
        step->comm = comm;
        step->values = values;
        gradient_layout_build(&config->model, table, config->share.batch, config->bptt, !config->dense, &step->layout);
        status = reducer_create(comm, table, &step->layout, config->share.groups, config->reduction, &step->reducer, e);
        if (!status)
            status = comm_agree(comm, create_own(step, table, e), e);
    }
    if (status) {
        step_free(step);
        return status;
    }
    *out = step;
    return STATUS_OK;
}

void step_free(struct step *step)
{
    if (!step)
        return;
    model_free(step->model);
    reducer_free(step->reducer);
    optimizer_free(step->optimizer);
    mem_free(step);
}

/* The rows that the step reads: those it touches. */
static void catch_up(struct step *step)
{
    double begun = clock_seconds();
    const struct gradient_layout *layout = &step->layout;
    for (const struct gradient_part *part = layout->part; part < layout->part + layout->parts; part++)
        optimizer_catch_up(step->optimizer, step->values, part->param, &step->touched->list[part->list],
                           step->config.threads);
    step->seconds.optimizer += clock_seconds() - begun;
}

void step_gradient(struct step *step, const struct window *window, int64_t number, struct model_loss *loss)
{
    float *const *node_grads;
    (void)reducer_nodes(step->reducer, &node_grads);
    step->number = number;
    step->touched = model_touch(step->model, window, number);
    catch_up(step);
    model_train(step->model, window, number, node_grads, loss);
}

/* Collective. */
static double find_norm2(struct step *step)
{
    double norm2 = reducer_norm2(step->reducer, step->config.threads);
    if (step->config.reduction == REDUCTION_FAST) /* MPI does not promise the same bits everywhere */
        comm_broadcast(step->comm, &norm2, sizeof norm2, 0);
    return norm2;
}

double step_sum(struct step *step, int64_t targets)
{
    double begun = clock_seconds();
    step->gradient = reducer_sum(step->reducer, step->touched);
    float *const *arrays;
    (void)reducer_nodes(step->reducer, &arrays);
    model_drop_gradient(step->model, step->number, arrays[0]);
    step->targets = targets;
    double summed = clock_seconds();
    step->norm2 = step->config.norm ? find_norm2(step) : NAN;
    step->seconds.sum += summed - begun;
    step->seconds.optimizer += clock_seconds() - summed;
    return sqrt(step->norm2) / (double)targets;
}

/* What the sum of gradients is multiplied by. */
static float scale_of(const struct step *step)
{
    double targets = (double)step->targets, norm = sqrt(step->norm2) / targets, clip = step->config.clip;
    return (float)((clip > 0 && norm > clip ? clip / norm : 1) / targets);
}

void step_update(struct step *step, double lr)
{
    double begun = clock_seconds();
    optimizer_update(step->optimizer, step->values, step->gradient, scale_of(step), lr, step->config.threads);
    step->seconds.optimizer += clock_seconds() - begun;
    model_pack(step->model);
}

void step_settle(struct step *step)
{
    double begun = clock_seconds();
    optimizer_settle(step->optimizer, step->values, step->config.threads);
    step->seconds.optimizer += clock_seconds() - begun;
}

void step_take_seconds(struct step *step, struct step_seconds *seconds)
{
    *seconds = step->seconds;
    step->seconds = (struct step_seconds){0};
}
