/* unroll bench: how fast a training step is here, as a share of BLIS's sgemm, and what its time goes into. */
#include <stdio.h>

#include "unroll/base/build_info.h"
#include "unroll/base/file.h"
#include "unroll/base/lane_share.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/cli/network_output.h"
#include "unroll/cli/precision.h"
#include "unroll/nn/output.h"
#include "unroll/nn/unit.h"
#include "unroll/sys/json.h"
#include "unroll/use/bench.h"

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void print_result(const struct comm *comm, const struct bench_config *config, const struct bench_result *result)
{
    const struct model_config *model = &config->step.model;
    char widths[MODEL_WIDTHS_TEXT];
    printf("model          %s, %d %s, embedding %d, hidden %s, vocabulary %d%s, dropout %g\n", cell_name(model->cell),
           model->layers, model->layers == 1 ? "layer" : "layers", model->embedding, model_widths_text(model, widths),
           model->vocab, model->tied ? ", tied" : "", model->dropout);
    if (model->task == TASK_CLASSIFY)
        printf("task           classify, %d labels, pool %s\n", model->labels, pool_name(model->pool));
    precision_print(model, 15);
    printf("training       batch %d, bptt %d, %s, %s reduction over %d lane groups\n", config->batch, config->step.bptt,
           optimizer_name(config->step.optimizer.kind), reduction_name(config->step.reduction), config->groups);
    printf("here           %d %s of %d %s, BLIS kernel '%s'\n", comm->size, comm->size == 1 ? "rank" : "ranks",
           config->step.threads, config->step.threads == 1 ? "thread" : "threads", result->kernel);
    printf("timed          %lld steps in %lld %s, after %lld to warm up; loss %.4f to %.4f\n\n",
           (long long)result->steps, (long long)result->repetitions,
           result->repetitions == 1 ? "repetition" : "repetitions", (long long)result->warm_up, result->loss_first,
           result->loss_last);
    printf("tokens/s       %.0f\n", result->tokens_per_second);
    printf("ms a step      %.3f  (%.3f to %.3f)\n", 1e3 * result->step_seconds, 1e3 * result->step_seconds_min,
           1e3 * result->step_seconds_max);
    printf("GFLOP/s        %.1f = %.3f of the sgemm's %.1f (%d cubed)\n", 1e-9 * result->flops,
           result->fraction_of_sgemm, 1e-9 * result->sgemm_flops, BENCH_SGEMM);
    printf("peak memory    %.1f MiB a rank; planned %.1f MiB\n", mib(result->peak_rss_bytes),
           mib(result->planned_bytes));
    printf("allocations    %lld in the timed steps; %lld page faults\n\n", (long long)result->allocations,
           (long long)result->page_faults);
    printf("phase                     ms  share\n");
    for (int phase = 0; phase < BENCH_PHASES; phase++)
        printf("  %-18s %7.3f  %4.1f %%\n", bench_phase_name(phase), 1e3 * result->phase[phase],
               100 * result->phase[phase] / result->step_seconds);
}

static void put_model(struct json *json, const struct bench_config *config)
{
    const struct model_config *model = &config->step.model;
    json_object_begin(json, "model");
    for (int i = 0; i < model_field_count; i++) {
        const struct model_field *field = &model_fields[i];
        char name[MODEL_FIELD_NAME];
        if (field->lists & MODEL_BENCH && model_field_is_said(field, model))
            model_field_put(json, model_field_measured(field, name), field, model);
    }
    json_put_int(json, "batch", config->batch);
    json_put_int(json, "bptt", config->step.bptt);
    json_put_int(json, "lane_groups", config->groups);
    json_put_string(json, "optimizer", optimizer_name(config->step.optimizer.kind));
    json_put_string(json, "reduction", reduction_name(config->step.reduction));
    json_object_end(json);
}

static enum status write_json(const char *path, const struct comm *comm, const struct bench_config *config,
                              const struct bench_result *result, double waited, struct error *e)
{
    struct json json;
    json_init(&json);
    json_object_begin(&json, NULL);
    json_put_double(&json, "tokens_per_second", result->tokens_per_second);
    json_put_double(&json, "ms_per_step", 1e3 * result->step_seconds);
    json_put_double(&json, "ms_per_step_min", 1e3 * result->step_seconds_min);
    json_put_double(&json, "ms_per_step_max", 1e3 * result->step_seconds_max);
    json_put_double(&json, "gflops", 1e-9 * result->flops);
    json_put_double(&json, "sgemm_gflops", 1e-9 * result->sgemm_flops);
    json_put_double(&json, "fraction_of_sgemm", result->fraction_of_sgemm);
    json_put_uint(&json, "peak_rss_bytes", result->peak_rss_bytes);
    json_put_uint(&json, "planned_bytes", result->planned_bytes);
    json_put_int(&json, "ranks", comm->size);
    json_put_int(&json, "threads", config->step.threads);
    json_object_begin(&json, "phases");
    for (int phase = 0; phase < BENCH_PHASES; phase++)
        json_put_double(&json, bench_phase_name(phase), result->phase[phase]);
    json_object_end(&json);
    json_put_double(&json, "added_floats_per_second", result->add_rate);
    json_put_int(&json, "allocations", result->allocations);
    json_put_int(&json, "page_faults", result->page_faults);
    json_put_int(&json, "steps", result->steps);
    json_put_int(&json, "repetitions", result->repetitions);
    json_put_int(&json, "warm_up", result->warm_up);
    json_put_double(&json, "waited_for_cores", waited);
    json_put_double(&json, "loss_first", result->loss_first);
    json_put_double(&json, "loss_last", result->loss_last);
    put_model(&json, config);
    json_put_string(&json, "version", build_version());
    json_put_string(&json, "revision", build_revision());
    json_put_int(&json, "arithmetic", build_arithmetic());
    json_put_string(&json, "kernel", result->kernel);
    json_put_string(&json, "unit", unit_name(&config->step.model));
    if (config->network)
        network_put(&json, "network", config->network);
    json_object_end(&json);
    enum status status = write_report(path, &json, e);
    json_release(&json);
    return status;
}

enum status cmd_bench(const struct comm *comm, const struct options *options, struct error *e)
{
    const struct trainer_config *train = &options->train;
    struct bench_config config = {
        .step = train->step,
        .init = train->init,
        .batch = train->batch,
        .groups = lane_groups_choose(train->groups, train->batch, train->step.bptt),
        .lr = train->schedule.lr,
        .steps = options->bench_steps,
    };
    struct bench_result result;
    struct network_report network = {0};
    model_config_settle(&config.step.model);
    config.network = options->bench_network ? &network : NULL;
    enum status status = comm->rank == 0 ? file_check_place(options->json_summary, "--json", e) : STATUS_OK;
    if (!status)
        status = output_settle(&config.step.model, NULL, e);
    status = comm_agree(comm, status, e);
    if (!status)
        status = load_threads(comm, options, &config.step.threads, e);
    if (!status)
        status = bench_run(comm, &config, &result, e);
    double waited = status ? 0 : load_report_cores(comm, config.step.threads);
    if (!status && comm->rank == 0) {
        bool table = !file_is_standard(options->json_summary);
        if (table)
            print_result(comm, &config, &result);
        if (table && config.network)
            network_print(config.network);
        status = finish_output(e);
        if (!status && options->json_summary)
            status = write_json(options->json_summary, comm, &config, &result, waited, e);
    }
    network_release(&network);
    return comm_agree(comm, status, e);
}
