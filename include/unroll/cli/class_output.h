/* What `eval` prints of a classifier besides accuracy: macro-F1 (the mean over labels of the harmonic mean of
 * precision and recall, labels that neither occur nor are predicted left out), both for each label, and the
 * confusion matrix. */
#ifndef UNROLL_CLI_CLASS_OUTPUT_H
#define UNROLL_CLI_CLASS_OUTPUT_H

#include <stdint.h>

#include "unroll/data/labels.h"
#include "unroll/sys/json.h"

#define CLASS_OUTPUT_LABELS_MAX 4096 /* the matrix of more labels is not counted */

/* `confusion` [labels][labels]: how many texts of each label (row) were taken for which (column). */
double class_macro_f1(const struct labels *labels, const int64_t *confusion);

/* The table of labels, and the matrix if it is not too wide, to standard output. */
void class_output_print(const struct labels *labels, const int64_t *confusion);
/* Members of the object at hand. STATUS_OS is remembered in `json`. */
void class_output_json(const struct labels *labels, const int64_t *confusion, struct json *json);

#endif
