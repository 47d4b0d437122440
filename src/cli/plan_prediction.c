/* The prediction of `unroll plan --nodes`: from options to its setting, and from its result to text and JSON. */
#include "unroll/cli/plan_prediction.h"

#include <stdio.h>

#include "unroll/base/lane_share.h"

/* ---- options ---- */

/* A link by option, else by measurement, else by `otherwise` (NULL: unknown). */
static enum status choose_link(const char *text, const char *where, bool measured, const char *otherwise,
                               struct network_link *link, struct error *e)
{
    if (text || (!measured && otherwise))
        return network_link_parse(text ? text : otherwise, where, link, e);
    if (measured)
        return STATUS_OK;
    return error_set(e, STATUS_CONFIG,
                     "cannot predict without a network: no file of '--from' has links between hosts; add --network "
                     "LATENCY,BANDWIDTH, or what 'unroll bench --network --json' measures on two hosts");
}

static enum status refuse_given(const struct options *options, const char *name, struct error *e)
{
    return error_set(e, STATUS_CONFIG,
                     "cannot predict with '--%s' as given: '%s' was measured with another; leave the option out, "
                     "or run 'unroll bench' anew with it",
                     name, options->from_file[0]);
}

/* Options of the model that were given must say what the measurements were made with. */
static enum status check_given(const struct options *options, const struct predict_setting *setting, struct error *e)
{
    const struct {
        const char *name;
        bool differs;
    } checks[] = {
        {"bptt", options->train.step.bptt != setting->bptt},
        {"threads", options->train.threads != setting->threads},
        {"optimizer", options->train.step.optimizer.kind != setting->optimizer},
        {"reduction", options->train.step.reduction != setting->reduction},
    };
    for (int i = 0; i < model_field_count; i++) {
        const struct model_field *field = &model_fields[i];
        if (field->lists & MODEL_SPEED && model_field_differs(field, &options->train.step.model, &setting->model) &&
            options_given(options, model_field_option(field)))
            return refuse_given(options, model_field_option(field), e);
    }
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (checks[i].differs && options_given(options, checks[i].name))
            return refuse_given(options, checks[i].name, e);
    return STATUS_OK;
}

enum status prediction_read(const struct options *options, struct predict_config *config, struct error *e)
{
    *config = (struct predict_config){.groups = options->train.groups, .nodes = options->plan_nodes};
    enum status status = STATUS_OK;
    if (options->plan_nodes > PREDICT_RANKS_MAX / options->ranks_per_node)
        status = error_set(e, STATUS_CONFIG, "cannot predict '%d' nodes of %d ranks; use at most %d ranks in all",
                           options->plan_nodes, options->ranks_per_node, PREDICT_RANKS_MAX);
    for (int i = 0; i < options->from_files && !status; i++)
        status = predict_read(options->from_file[i], config, e);
    if (!status && config->count == 0)
        status = error_set(e, STATUS_CONFIG,
                           "cannot predict '%d' nodes without a measured step; run 'unroll bench' on one rank with the "
                           "options of the model and --json b.json, then add --from b.json",
                           options->plan_nodes);
    if (!status)
        status = check_given(options, &config->setting, e);
    if (!status)
        status = choose_link(options->plan_network, "'--network'", config->has_between,
                             options->plan_nodes > 1 ? NULL : "0s,1GB", &config->network.between, e);
    if (!status)
        status = choose_link(options->node_network, "'--node-network'", config->has_inside, "1us,5GB",
                             &config->network.inside, e);
    config->network.ranks_per_node = options->ranks_per_node;
    config->batch = options_given(options, "batch") || !config->count ? options->train.batch
                                                                      : config->measured[config->count - 1].lanes;
    if (!status && config->groups > config->batch)
        status = error_set(e, STATUS_CONFIG, "cannot cut '%d' lanes into '%d' groups; use --lane-groups 1 to %d",
                           config->batch, config->groups, config->batch);
    return status;
}

void prediction_adopt(const struct options *options, const struct predict_config *config, struct plan_config *plan)
{
    const struct predict_setting *setting = &config->setting;
    int64_t ranks = (int64_t)config->nodes * config->network.ranks_per_node;
    plan->step.model = setting->model;
    plan->step.bptt = setting->bptt;
    plan->batch = config->batch;
    plan->groups = lane_groups_choose(config->groups, plan->batch, plan->step.bptt);
    plan->step.threads = setting->threads;
    plan->step.optimizer.kind = setting->optimizer;
    plan->step.reduction = setting->reduction;
    if (!options->plan_ranks)
        plan->ranks = ranks < plan->groups ? (int)ranks : plan->groups;
}

/* ---- for people ---- */

static void print_rows(const struct predict_row *rows, int count)
{
    printf("  nodes  ranks   lanes    step ms  tokens/s  efficiency |  computing   update   losses      sum |     ring "
           "doubling    bound\n");
    for (int i = 0; i < count; i++) {
        const struct predict_row *row = &rows[i];
        printf("  %5d %6d %7d %10.3f %9.0f %10.1f%% | %10.3f %8.3f %8.3f %8.3f | %8.3f %8.3f %8.3f\n", row->nodes,
               row->ranks, row->lanes, 1e3 * row->step, row->tokens_per_second, 100 * row->efficiency,
               1e3 * row->computing, 1e3 * row->update, 1e3 * row->losses, 1e3 * row->sum, 1e3 * row->ring,
               1e3 * row->doubling, 1e3 * row->bound);
    }
    const struct predict_row *last = &rows[count - 1];
    printf("  on %d %s a step is %.0f %% computing, %.0f %% update, %.0f %% exchange of losses, %.0f %% sum of "
           "gradients\n",
           last->ranks, last->ranks == 1 ? "rank" : "ranks", 100 * last->computing / last->step,
           100 * last->update / last->step, 100 * last->losses / last->step, 100 * last->sum / last->step);
}

static void print_link(const char *name, const struct network_link *link)
{
    printf("%s %.4g us (large messages %.4g us) and %.4g MB/s", name, 1e6 * link->latency, 1e6 * link->start_up,
           1e-6 * link->bandwidth);
}

void prediction_print(const struct predict_config *config)
{
    struct predict_row rows[PREDICT_ROWS_MAX];
    int groups = lane_groups_choose(config->groups, config->batch, config->setting.bptt);
    printf("\nprediction   from steps of ");
    for (int i = 0; i < config->count; i++)
        printf("%s%d", i == 0 ? "" : i == config->count - 1 ? " and " : ", ", config->measured[i].lanes);
    printf(" lanes on one rank of %d %s;\n             ", config->setting.threads,
           config->setting.threads == 1 ? "thread" : "threads");
    print_link("between nodes", &config->network.between);
    if (config->network.ranks_per_node > 1)
        print_link(",\n             inside", &config->network.inside);
    printf("\n\nstrong scaling: %d lanes in all, on at most %d ranks (lane groups); milliseconds\n", config->batch,
           groups);
    print_rows(rows, predict_rows(config, true, rows));
    printf("\nweak scaling: %d lanes for each rank; milliseconds\n", config->first_lanes);
    print_rows(rows, predict_rows(config, false, rows));
}

/* ---- for programs ---- */

static void put_link(struct json *json, const char *key, const struct network_link *link)
{
    json_object_begin(json, key);
    json_put_double(json, "latency", link->latency);
    json_put_double(json, "start_up", link->start_up);
    json_put_double(json, "bandwidth", link->bandwidth);
    json_object_end(json);
}

static void put_rows(struct json *json, const char *key, const struct predict_row *rows, int count)
{
    json_array_begin(json, key);
    for (int i = 0; i < count; i++) {
        const struct predict_row *row = &rows[i];
        json_object_begin(json, NULL);
        json_put_int(json, "nodes", row->nodes);
        json_put_int(json, "ranks", row->ranks);
        json_put_int(json, "batch", row->batch);
        json_put_int(json, "lanes_per_rank", row->lanes);
        json_put_double(json, "tokens_per_second", row->tokens_per_second);
        json_put_double(json, "efficiency", row->efficiency);
        json_put_double(json, "step_seconds", row->step);
        json_put_double(json, "computing_seconds", row->computing);
        json_put_double(json, "update_seconds", row->update);
        json_put_double(json, "losses_seconds", row->losses);
        json_put_double(json, "sum_seconds", row->sum);
        json_put_uint(json, "sum_floats", row->sum_floats);
        json_put_double(json, "ring_seconds", row->ring);
        json_put_double(json, "doubling_seconds", row->doubling);
        json_put_double(json, "bound_seconds", row->bound);
        json_object_end(json);
    }
    json_array_end(json);
}

void prediction_put(struct json *json, const char *key, const struct predict_config *config)
{
    struct predict_row rows[PREDICT_ROWS_MAX];
    json_object_begin(json, key);
    put_link(json, "between_nodes", &config->network.between);
    put_link(json, "inside_nodes", &config->network.inside);
    json_put_int(json, "ranks_per_node", config->network.ranks_per_node);
    json_put_int(json, "threads", config->setting.threads);
    json_array_begin(json, "measured_lanes");
    for (int i = 0; i < config->count; i++)
        json_put_int(json, NULL, config->measured[i].lanes);
    json_array_end(json);
    json_put_int(json, "strong_ranks_max", lane_groups_choose(config->groups, config->batch, config->setting.bptt));
    put_rows(json, "strong", rows, predict_rows(config, true, rows));
    put_rows(json, "weak", rows, predict_rows(config, false, rows));
    json_object_end(json);
}
