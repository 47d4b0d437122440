/* Reading the weights of a foreign file: its tensors by name, and its facts (metadata) as text. */
#ifndef UNROLL_USE_WEIGHTS_PRIVATE_H
#define UNROLL_USE_WEIGHTS_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/sys/h5.h"
#include "unroll/sys/safetensors.h"
#include "unroll/use/weights.h"

#define WEIGHTS_OPTION "option." /* in front of the names of options among the facts */

#define SOURCE_TENSORS_MAX SAFETENSORS_TENSORS_MAX
#define SOURCE_FACT_TEXT 64

struct source_tensor {
    char name[SAFETENSORS_NAME];  /* as Unroll calls it (weights_names.c); empty: it is left out */
    char given[SAFETENSORS_NAME]; /* as the file calls it */
    char type[SAFETENSORS_TYPE];  /* "float32", or in safetensors "F32" */
    bool is_float;                /* its numbers can be read */
    int rank;                     /* more than 2 only in safetensors */
    int64_t shape[2];
    int index; /* of a safetensors file's tensor */
};

struct source {
    const char *path;
    struct safetensors *safetensors; /* one of the two */
    struct h5 *h5;
    const char *group; /* of the HDF5 file's tensors: "/model" or "" */
    int count;
    struct source_tensor tensor[SOURCE_TENSORS_MAX];
};

/* `path` must outlive the source. Release with source_close, also after a failure. */
enum status source_open(struct source *source, const char *path, enum weights_source kind, struct error *e);
void source_close(struct source *source);

/* NULL if there is none. */
const struct source_tensor *source_find(const struct source *source, const char *name);
/* Elements [start, start + count), which must be there, of a floating-point tensor; rounded to float32. */
enum status source_read(const struct source *source, const struct source_tensor *tensor, int64_t start, int64_t count,
                        float *data, struct error *e);
/* A fact as text into `text` [SOURCE_FACT_TEXT]; false if the file does not tell it. */
bool source_fact(const struct source *source, const char *name, char *text);
/* One that is an integer between `least` and `most`; false if the file does not tell such a one. */
bool source_fact_int(const struct source *source, const char *name, int least, int most, int *value);

/* STATUS_DATA: "cannot import 'FILE': 'NAME' ...", with the name that the file has for it where that is another. */
enum status source_refuse(const struct source *source, const char *name, struct error *e, const char *reason, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- cells (weights_cell.c) ---- */

struct weights_cell {
    enum cell cell;
    int64_t hidden;
};
/* Whether layer 0 is taken for one of a cell without weight_hh: its shapes fit and it has no bias_hh, or the caller
 * says so. */
bool cell_without_recurrence(const struct source *source, const struct weights_hints *hints);
/* Sets the fields of rounds (nn/mogrify.h) by the tensors of layer 0; 0 where it has none. */
void cell_rounds_of_weights(const struct source *source, struct model_config *model);
/* The cell of layer 0, whose weight_hh, if there is one, is a matrix. STATUS_USAGE if several fit, STATUS_DATA if
 * none does. */
enum status cell_of_weights(const struct source *source, const struct weights_hints *hints, struct weights_report *told,
                            struct weights_cell *found, struct error *e);
#define CELL_MODULES_TEXT 160
const char *cell_torch_modules(char text[CELL_MODULES_TEXT]); /* "nn.RNN, nn.LSTM and ..." */

/* ---- the adaptive softmax (weights_adaptive.c) ---- */

/* Gives the tensors of an nn.AdaptiveLogSoftmaxWithLoss the names that Unroll has for them; whether there are some. */
bool adaptive_recognise(struct source *source, struct weights_report *told);
/* The output layer, cutoffs and div of a model whose vocabulary and width are known, where the tensors are of such a
 * one; its div may be what the file tells. STATUS_DATA where they are no whole. */
enum status adaptive_infer(const struct source *source, struct model_config *model, struct error *e);

/* ---- names (weights_names.c) ---- */

/* The caller's names: `rename` [renames] holds "FROM=TO" each. `told` says what is left out. STATUS_DATA for a FROM
 * that is none. */
enum status names_rename(struct source *source, const char *const *rename, int renames, struct weights_report *told,
                         struct error *e);
/* Gives the tensors the names that Unroll has for them, by what others call such modules; what is not known keeps
 * its name. `told` says what became of them. STATUS_DATA if two tensors would get one name, or if two modules could be
 * the same layer. */
enum status names_recognise(struct source *source, struct weights_report *told, struct error *e);

/* "'a' [2][3], 'b' [4]" of the matrices outside of the recurrent layers (or of all tensors) with `columns` columns
 * (0: any), at most a few, into `text`; how many there are. */
int names_list(const struct source *source, bool matrices, int64_t columns, char *text, size_t size);

/* ---- checks of tensors (weights_check.c) ---- */

/* A file that is being imported. */
struct importing {
    struct source source;
    const struct weights_hints *hints;
    struct checkpoint *checkpoint;
    struct weights_report *report;
    struct error *e;
};

static inline enum status import_refuse(const struct importing *in, const char *name, const char *reason)
{
    return source_refuse(&in->source, name, in->e, "%s", reason);
}

/* *same: embedding and output layer hold the same bits. False if there is no output layer. */
enum status import_compare_tied(const struct importing *in, bool *same);
/* STATUS_DATA unless the file has every parameter of the table with its shape, and no others. */
enum status import_check_tensors(const struct importing *in, const struct param_table *table);
/* Reports how many tensors were converted to float32, by type. */
void import_tell_converted(const struct importing *in);

/* ---- the model (weights_import_model.c) ---- */

/* Gives the tensors Unroll's names and fills model, labels and parameter table of the checkpoint, all by what the file
 * has and the hints say. STATUS_DATA where that is no model, or one that Unroll has not; STATUS_USAGE where a hint is
 * needed; STATUS_OS. */
enum status import_choose_model(struct importing *in);

#endif
