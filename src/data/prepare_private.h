/* What the two ways from text to a corpus share (prepare_config.c). */
#ifndef UNROLL_DATA_PREPARE_PRIVATE_H
#define UNROLL_DATA_PREPARE_PRIVATE_H

#include "prepare_inputs.h"

#include "unroll/data/prepare.h"
#include "unroll/data/tally.h"

/* STATUS_CONFIG for what does not fit together. */
enum status prepare_check(const struct prepare_config *config, struct error *e);
bool prepare_is_labelled(const struct prepare_config *config);
bool prepare_has_percents(const struct prepare_config *config);
/* Chooses the vocabulary of a training text of so many tokens, and reports how. */
enum status prepare_vocab(const struct prepare_config *config, const struct tally *tally, int64_t tokens,
                          struct prepare_report *report, struct vocab **vocab, struct error *e);
/* The text is not the one that an earlier pass saw. */
enum status prepare_text_changed(enum split split, struct error *e);

/* prepare_labelled.c: a checked configuration with labels, into the temporary file `path`. */
enum status prepare_labelled(const struct prepare_config *config, const struct inputs inputs[SPLITS], const char *path,
                             struct prepare_report *report, struct error *e);

#endif
