/* `unroll plan --nodes`: what use/predict.h says, from the options to both outputs. JSON: a member "prediction" of
 *
 *   "between_nodes", "inside_nodes": {"latency", "start_up", "bandwidth"};
 *   "ranks_per_node", "threads", "measured_lanes": [...];
 *   "strong_ranks_max": the lane groups of --batch;
 *   "strong", "weak": [{"nodes", "ranks", "batch", "lanes_per_rank", "tokens_per_second", "efficiency",
 *              "step_seconds", "computing_seconds", "update_seconds", "losses_seconds", "sum_seconds",
 *              "sum_floats", "ring_seconds", "doubling_seconds", "bound_seconds"}, ...] */
#ifndef UNROLL_CLI_PLAN_PREDICTION_H
#define UNROLL_CLI_PLAN_PREDICTION_H

#include "unroll/cli/options.h"
#include "unroll/sys/json.h"
#include "unroll/use/predict.h"

/* Reads --from and the links. STATUS_CONFIG where a link is unknown, or an option was given that the files
 * contradict. */
enum status prediction_read(const struct options *options, struct predict_config *config, struct error *e);

/* The plan's model and batch become those of the prediction, and ranks, unless given, those of its nodes. */
void prediction_adopt(const struct options *options, const struct predict_config *config, struct plan_config *plan);

void prediction_print(const struct predict_config *config);
void prediction_put(struct json *json, const char *key, const struct predict_config *config);

#endif
