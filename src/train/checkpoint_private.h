/* What the writer and the reader of checkpoints share: sets of attributes, and the list of datasets. */
#ifndef UNROLL_TRAIN_CHECKPOINT_PRIVATE_H
#define UNROLL_TRAIN_CHECKPOINT_PRIVATE_H

#include "unroll/base/content.h"
#include "unroll/base/digest.h"
#include "unroll/nn/model.h"
#include "unroll/sys/h5.h"
#include "unroll/train/checkpoint.h"

#define CHECKPOINT_VERSION 2         /* 1 is still written where the text has no normal form and no grapheme clusters */
#define CHECKPOINT_DIGEST "xxh3_128" /* name of the attribute that carries a digest */

/* ---- attributes of one object ---- */

#define ATTRS_MAX CHECKPOINT_OPTIONS_MAX

struct attr {
    char name[32];
    enum h5_attr type; /* string, i64 or f64 */
    bool taken;        /* reading: someone asked for it */
    int64_t integer;
    double real;
    char text[CHECKPOINT_TEXT];
};

struct attrs {
    const char *object;
    int count;
    struct attr item[ATTRS_MAX];
};

/* NULL and STATUS_OS if memory is short. Release with mem_free. */
struct attrs *attrs_new(const char *object, struct error *e);

/* Texts that are too long are cut, at a UTF-8 character boundary. */
void attrs_add_string(struct attrs *attrs, const char *name, const char *text);
void attrs_add_i64(struct attrs *attrs, const char *name, int64_t value);
void attrs_add_f64(struct attrs *attrs, const char *name, double value);
/* Writes them in name order with their digest. */
enum status attrs_write(struct attrs *attrs, struct h5 *file, struct error *e);

/* Reads all attributes of the object and compares their digest. */
enum status attrs_read(struct attrs *attrs, struct h5 *file, struct error *e);
bool attrs_has(const struct attrs *attrs, const char *name);
/* One that must be there; STATUS_CHECKPOINT otherwise, or if it does not fit. */
enum status attrs_string(struct attrs *attrs, const char *name, char *text, size_t size, struct error *e);
enum status attrs_i64(struct attrs *attrs, const char *name, int64_t least, int64_t most, int64_t *value,
                      struct error *e);
enum status attrs_int(struct attrs *attrs, const char *name, int least, int most, int *value, struct error *e);
enum status attrs_f64(struct attrs *attrs, const char *name, double *value, struct error *e);
/* STATUS_CHECKPOINT if one was not asked for: nothing unknown may be in a checkpoint. */
enum status attrs_all_taken(const struct attrs *attrs, struct error *e);

/* ---- the fields of struct progress, by name, and what they may be ---- */

enum field_rule {
    FIELD_COUNT,   /* int64_t, `least` or more */
    FIELD_REAL,    /* double, any, also infinite or NaN */
    FIELD_POSITIVE /* double above 0 */
};

struct progress_field {
    const char *name;
    size_t offset;
    enum field_rule rule;
    int64_t least;
};

extern const struct progress_field progress_fields[];
extern const int progress_field_count;

/* Checks the values of a checkpoint; writer and reader use the same rules (checkpoint_valid.c). STATUS_CHECKPOINT, or
 * STATUS_CONFIG of model_config_check; the text names what is wrong. Vocabulary, labels and optimizer are
 * not checked while they are NULL, as when a file is being read. */
enum status checkpoint_check(const struct checkpoint *checkpoint, struct error *e);
enum status progress_check(const struct progress *progress, struct error *e);

/* ---- datasets ---- */

enum part_kind {
    PART_PARAM,
    PART_TRAINED,
    PART_SLOT,
    PART_STATE,
    PART_VOCAB_BYTES,
    PART_VOCAB_OFFSETS,
    PART_VOCAB_COUNTS,
    PART_LABELS_BYTES,
    PART_LABELS_OFFSETS,
    PART_LABELS_COUNTS
};

struct part {
    enum part_kind kind;
    int index, slot; /* parameter or state; slot of the optimizer */
    char path[112];
    struct h5_shape shape; /* dims[0] of the bytes of vocabulary and labels is 0 while it is not known */
};

#define PARTS_MAX (PARAM_MAX * (2 + OPTIMIZER_SLOTS_MAX) + 2 * MODEL_LAYERS_MAX + 6)

struct parts {
    int count;
    struct part item[PARTS_MAX];
};

/* The datasets of a checkpoint with the given table. `optimizer`, and `averaged`: whether its parameters are an
 * average, are ignored unless `resumable`. */
void parts_list(struct parts *parts, const struct model_config *model, const struct param_table *table, int batch,
                bool resumable, bool averaged, int optimizer);
int64_t part_elements(const struct part *part);

/* ---- writing ---- */

/* All attributes (checkpoint_write_attrs.c). Every rank that has opened `file` says the same. STATUS_IO, STATUS_OS. */
enum status checkpoint_write_attributes(struct h5 *file, const struct checkpoint *checkpoint, bool resumable,
                                        struct error *e);

/* ---- reading ---- */

/* A checkpoint that is being read. */
struct reading {
    char path[FILE_PATH_MAX]; /* for messages */
    struct h5 *file;
    struct checkpoint *checkpoint;
    enum level level;
    enum normal normal;
    char unicode[VOCAB_UNICODE];
    struct attrs *attrs;
    struct parts *parts;
    struct digest *all; /* of all parameters, while they are read */
    struct error *e;    /* why it cannot be used: that is `reason` */
    struct error reason;
};

/* Reads all attributes into `in` and its checkpoint, and checks them (checkpoint_read_attrs.c). STATUS_CHECKPOINT,
 * STATUS_OS. */
enum status reading_attributes(struct reading *in);

#endif
