/* Export and import of a model's parameters, with PyTorch's names and shapes, in file formats of other programs.
 *
 * Safetensors: the tensors of the parameter table (tied weights under both names), and in the metadata what shapes the
 * model (format "pt", cell, layers, tied, dropout, reset_at, batch, bptt, lane_groups, step, corpus_digest), its
 * options as "option.NAME", and its vocabulary as data/vocab_text.h writes it, with its level. Of a classifier also
 * task, pool and its labels, a line each: the label, a tab and its count.
 *
 * Text, for people and scripts: lines `# NAME VALUE` for the same facts; then blocks, each of a line with its name and
 * sizes and of one line for each row: `vocabulary V LEVEL` with the lines of data/vocab_text.h, `labels N` of a
 * classifier, and `NAME ROWS COLUMNS` (or `NAME COLUMNS`: one row) with numbers that read back as the same float32.
 *
 * Import takes safetensors, and HDF5 files with datasets of those names, in "/" or in "/model", of 16, 32 or 64
 * bits, which become float32. Names that others have for such modules are known: any path in front of weight_ih_l0
 * and the like is "rnn.", modules called embedding, embed and so on are "encoder.", fc, linear, out and so on
 * "decoder."; "lstm1.", "lstm2." and "cells.0.", "cells.1." of one layer each are layers. Biases that are missing
 * are zeros. Cell and sizes are inferred from names and shapes. What those leave open comes from the caller's hints,
 * else from the file's own facts. */
#ifndef UNROLL_USE_WEIGHTS_H
#define UNROLL_USE_WEIGHTS_H

#include <stdbool.h>

#include "unroll/base/status.h"
#include "unroll/data/vocab.h"
#include "unroll/nn/param.h"
#include "unroll/train/checkpoint.h"

enum weights_format { WEIGHTS_SAFETENSORS, WEIGHTS_TEXT };
enum weights_source { WEIGHTS_FROM_SAFETENSORS, WEIGHTS_FROM_HDF5 };

/* Writes `path` whole or not at all (data/output.h); "-" is standard output. `checkpoint` needs its parameters and
 * vocabulary only. */
enum status weights_export(const struct checkpoint *checkpoint, enum weights_format format, const char *path,
                           struct error *e);

#define WEIGHTS_RENAMES_MAX 64

struct weights_hints {
    int renames;
    const char *const *rename; /* [renames] "FROM=TO": a tensor of that name, or those whose names begin so; without TO
                                  a whole name is left out */
    bool has_cell, has_tied, has_dropout, has_reset, has_batch, has_bptt;
    enum cell cell;
    bool tied;
    double dropout;
    bool reset_at_eos;
    int batch, bptt;           /* what `eval` cuts a split by */
    const struct vocab *vocab; /* NULL: the file's own; stays the caller's */
};

/* What was done to a file's weights, for people; "" where it was nothing. */
struct weights_report {
    char renamed[400];   /* "'lstm.' is 'rnn.', ..." */
    char left_out[200];  /* "'a', 'b'" */
    char zeros[200];     /* the parameters that are missing */
    char tied[40];       /* the output layer, where it is missing and so taken to be tied to the embedding */
    char cell[160];      /* a cell that differs from what the name of its module says */
    char converted[200]; /* "9 of F16, 2 of F64" */
    char lanes[80];      /* those of evaluation, where neither file nor hints tell in how many the model was trained */
};

/* Reads `path` into a checkpoint for use (neither optimizer nor states), ready for checkpoint_write. Missing:
 * STATUS_NOINPUT; damaged, or no parameters of such a model: STATUS_DATA; what neither file nor hints say (a cell, a
 * vocabulary): STATUS_USAGE naming the option that says it. On failure nothing needs releasing; else
 * checkpoint_release. */
enum status weights_import(const char *path, enum weights_source source, const struct weights_hints *hints,
                           struct checkpoint *checkpoint, struct weights_report *report, struct error *e);

#endif
