/* What the two ways from text to a corpus share. */
#ifndef UNROLL_DATA_PREPARE_PRIVATE_H
#define UNROLL_DATA_PREPARE_PRIVATE_H

#include "unroll/data/prepare.h"

bool prepare_has_percents(const struct prepare_config *config);
/* The text is not the one that an earlier pass saw. */
enum status prepare_text_changed(enum split split, struct error *e);

/* prepare_labelled.c: a checked configuration with labels, into the temporary file `path`. */
enum status prepare_labelled(const struct prepare_config *config, const char *path, struct prepare_report *report,
                             struct error *e);

#endif
