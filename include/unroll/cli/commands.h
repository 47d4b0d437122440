/* The commands: each takes parsed options and returns the exit status with its message in `e`. Those with a `comm` are
 * collective; the others are called on one rank. */
#ifndef UNROLL_CLI_COMMANDS_H
#define UNROLL_CLI_COMMANDS_H

#include "unroll/base/status.h"
#include "unroll/cli/options.h"
#include "unroll/sys/comm.h"

enum status cmd_prepare(const struct comm *comm, const struct options *options, struct error *e);
enum status cmd_train(const struct comm *comm, const struct options *options, struct error *e);
enum status cmd_eval(const struct comm *comm, const struct options *options, struct error *e);
enum status cmd_score(const struct comm *comm, const struct options *options, struct error *e);
enum status cmd_classify(const struct comm *comm, const struct options *options, struct error *e);
enum status cmd_sample(const struct comm *comm, const struct options *options, struct error *e);
enum status cmd_export(const struct options *options, struct error *e);
enum status cmd_import(const struct options *options, struct error *e);
enum status cmd_inspect(const struct options *options, struct error *e);
enum status cmd_verify(const struct options *options, struct error *e);
enum status cmd_runs(const struct options *options, struct error *e);
enum status cmd_gradcheck(const struct options *options, struct error *e);
enum status cmd_gradflow(const struct comm *comm, const struct options *options, struct error *e);
enum status cmd_bench(const struct comm *comm, const struct options *options, struct error *e);
enum status cmd_plan(const struct comm *comm, const struct options *options, struct error *e);
enum status cmd_selftest(const struct comm *comm, const struct options *options, struct error *e);

#endif
