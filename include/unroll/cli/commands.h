/* The commands: each takes parsed options and returns the exit status with its message in `e`. Commands that run under MPI
 * initialise and finalise it themselves. */
#ifndef UNROLL_CLI_COMMANDS_H
#define UNROLL_CLI_COMMANDS_H

#include "unroll/base/status.h"
#include "unroll/cli/options.h"

enum status cmd_prepare(const struct options *options, struct error *e);
enum status cmd_train(const struct options *options, struct error *e);
enum status cmd_eval(const struct options *options, struct error *e);
enum status cmd_score(const struct options *options, struct error *e);
enum status cmd_classify(const struct options *options, struct error *e);
enum status cmd_sample(const struct options *options, struct error *e);
enum status cmd_export(const struct options *options, struct error *e);
enum status cmd_import(const struct options *options, struct error *e);
enum status cmd_inspect(const struct options *options, struct error *e);
enum status cmd_verify(const struct options *options, struct error *e);
enum status cmd_gradcheck(const struct options *options, struct error *e);
enum status cmd_gradflow(const struct options *options, struct error *e);
enum status cmd_bench(const struct options *options, struct error *e);
enum status cmd_plan(const struct options *options, struct error *e);
enum status cmd_selftest(const struct options *options, struct error *e);

#endif
