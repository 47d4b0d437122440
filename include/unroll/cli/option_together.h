/* What options mean together, command by command: defaults that follow from other options, and options that exclude
 * each other. The table of commands names these functions. */
#ifndef UNROLL_CLI_OPTION_TOGETHER_H
#define UNROLL_CLI_OPTION_TOGETHER_H

#include "unroll/base/status.h"
#include "unroll/cli/options.h"

/* Of every command, before its own. */
void options_settle_all(struct options *options);
enum status options_check_all(const struct options *options, struct error *e); /* after all are settled */
/* What a model drops at single places, beside model->dropout. */
void options_take_dropout(const struct options *options, struct model_config *model);
void options_settle_prepare(struct options *options);
void options_settle_train(struct options *options);
void options_settle_use(struct options *options); /* of score, classify, sample and gradflow */
void options_settle_eval(struct options *options);

/* STATUS_CONFIG, or STATUS_USAGE for what is missing, when all defaults are set. */
enum status options_check_prepare(const struct options *options, struct error *e);
enum status options_check_train(const struct options *options, struct error *e);
enum status options_check_step(const struct options *options, struct error *e); /* of train, bench and plan */
enum status options_check_eval(const struct options *options, struct error *e);
enum status options_check_score(const struct options *options, struct error *e);
enum status options_check_sample(const struct options *options, struct error *e);
enum status options_check_gradcheck(const struct options *options, struct error *e);
enum status options_check_gradflow(const struct options *options, struct error *e);
enum status options_check_import(const struct options *options, struct error *e);

#endif
