/* What a model is: the numbers and choices that fix its parameters and its mathematics. */
#ifndef UNROLL_NN_MODEL_CONFIG_H
#define UNROLL_NN_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/choice.h"
#include "unroll/base/limits.h"
#include "unroll/base/number.h"
#include "unroll/base/status.h"
#include "unroll/nn/cell.h"
#include "unroll/nn/precision.h"

/* What is predicted: the next token at every step, or one label for each text, from its last step on. */
enum task { TASK_LM, TASK_CLASSIFY };
const char *task_name(enum task task); /* "lm", "classify" */
extern const struct choices task_choices;

/* What a label is predicted from: the top layer's output at the text's last token, or the mean or maximum, unit by
 * unit, over all its tokens. */
enum pool { POOL_LAST, POOL_MEAN, POOL_MAX };
const char *pool_name(enum pool pool); /* "last", "mean", "max" */
extern const struct choices pool_choices;

/* Whether units are dropped anew at each time step, or the same ones in all steps of a lane's window (nn/dropout.h). */
enum dropout_kind { DROPOUT_ELEMENT, DROPOUT_LOCKED };
const char *dropout_kind_name(int kind); /* "element", "locked" */
extern const struct choices dropout_kind_choices;

#define MODEL_LAYERS_MAX 8
#define MODEL_WIDTH_MAX 65536 /* E and H */
#define OUTPUT_CUTOFFS_MAX 7
#define MOGRIFY_ROUNDS_MAX 8
#define MOGRIFY_ROUNDS_USUAL 5

/* Each member has a row in model_fields, where it says all that files, reports and comparisons need to know of it. */
struct model_config {
    enum cell cell;
    int layers, embedding;        /* L, E */
    int hidden;                   /* H: units of the top layer, and of each where `widths` says nothing else */
    int widths[MODEL_LAYERS_MAX]; /* units of each layer, the last of them H; all 0 where layers are equally wide */
    int vocab;                    /* V, including <unk> */
    bool tied;                    /* decoder.weight is encoder.weight; needs E == H */
    double dropout;               /* probability of dropping a unit before, between and after layers, 0 <= p < 1 */
    /* The same at one of these places; 0: `dropout` is; DROPOUT_NONE: nothing is dropped there. See model_dropout. */
    double dropout_input, dropout_hidden, dropout_output;
    int dropout_kind;         /* of these: an enum dropout_kind */
    double dropout_embedding; /* probability of dropping a word from a window */
    double dropout_state;     /* ... a unit of h, as W_hh multiplies it, from a lane's window */
    double weight_drop;       /* ... an element of W_hh from a step */
    uint32_t reset_token; /* every lane's state is zero before a step that reads this token, so that the sentences it
                             stands between are independent; 0, which is <unk>: never */
    double ar, tar;       /* penalties on the top layer's outputs while training, and on how they change; 0: none */
    int mogrify;          /* of cells with rounds: how many before each step; else 0 */
    int mogrify_rank;     /* ... of the rounds' matrices; 0: they are full */
    enum task task;
    int output_layer;                /* of TASK_LM: one of output_layer_choices (nn/output.h) */
    int cutoffs[OUTPUT_CUTOFFS_MAX]; /* of an adaptive softmax: ascending, the ranks at which clusters begin; 0: none */
    double div;                      /* ... how much narrower each cluster's projection is than the one before */
    int samples;                     /* of sampled outputs: how many are drawn in a step; else 0 */
    int proposal;                    /* ... and from which distribution: an enum proposal (nn/proposal.h) */
    bool reordered;                  /* ids are not in the order of their counts: the constant decoder.order says it */
    int labels;                      /* of TASK_CLASSIFY, 2 or more; else 0 */
    enum pool pool;                  /* of TASK_CLASSIFY */
    int precision;                   /* of products: an enum precision (nn/precision.h) */
    int bf16_order;                  /* of PRECISION_BF16: an enum bf16_order; else BF16_TILE */
};
#define DROPOUT_NONE -1.0

/* How many rounds a model of the cell has where nothing says it. */
int model_usual_rounds(enum cell cell);
/* Fields that the cell does not have become 0, for options have a value for each; those that it needs and that are 0
 * become what is usual. */
void model_config_settle(struct model_config *config);
/* STATUS_CONFIG with the option's name and the allowed range (vocabulary sizes from files included). */
enum status model_config_check(const struct model_config *config, struct error *e);

/* Units of layer l, and how many numbers it reads at a step. */
static inline int model_width(const struct model_config *config, int l)
{
    return config->widths[0] ? config->widths[l] : config->hidden;
}
static inline int model_inputs(const struct model_config *config, int l)
{
    return l ? model_width(config, l - 1) : config->embedding;
}
/* Units of the widest layer. */
int model_widest(const struct model_config *config);
/* Sets hidden and widths for config->layers layers of so many units each; of one number, all have it. */
void model_set_widths(struct model_config *config, const int *widths);
/* For people: "256", or "1150,1150,400". Returns `text`. */
#define MODEL_WIDTHS_TEXT 96
const char *model_widths_text(const struct model_config *config, char text[MODEL_WIDTHS_TEXT]);

/* The probability of dropping a unit at a site (nn/dropout.h): 0 the embedding, l the output of layer l. */
double model_dropout(const struct model_config *config, int site);
/* What dropout_input, dropout_hidden and dropout_output hold for a probability, beside config->dropout. */
double model_dropout_held(const struct model_config *config, double p);
/* What only training has is left out: the model as it is evaluated. */
void model_config_evaluated(struct model_config *config);

/* ---- the table of fields (model_fields.c) ---- */

enum model_type {
    MODEL_INT,
    MODEL_REAL,
    MODEL_FLAG,
    MODEL_CHOICE, /* an enumeration: its name in files */
    MODEL_TOKEN,  /* a token that starts a new sentence, 0: none; "eos" or "none" in reports */
    MODEL_LIST,   /* an array of ints from 1 on, zeros behind them: "2000,10000" in files */
};

/* Lists that have some of the fields. Checkpoints and metrics.jsonl have all of them. */
#define MODEL_TABLE 1u   /* not to be told beside a vocabulary or labels, whose size it is */
#define MODEL_LAYERS 2u  /* the recurrent layers and the embedding: for --init-from */
#define MODEL_WEIGHTS 4u /* those and how the decoder is tied: for --branch */
#define MODEL_SHAPE 8u   /* decides how many parameters there are and what they mean, the vocabulary's texts aside */
#define MODEL_BENCH 16u  /* told by bench --json */
#define MODEL_SPEED 32u  /* the time of a step depends on it: read from bench --json and compared */
#define MODEL_FACT 64u   /* import takes it from what the file tells, for neither tensors nor options show it */

struct model_field {
    const char *stored; /* name in checkpoints */
    const char *told;   /* name in reports, if it is another */
    const char *option; /* name on the command line, if it is another */
    enum model_type type;
    unsigned lists;
    bool covered;  /* it has no option of its own: that of another field says it, too */
    bool optional; /* 0 is "without": it is then left out, and files from before there was such a field mean 0 */
    bool override; /* MODEL_REAL, optional: left out it means `dropout`, whose row stands before it */
    size_t offset, size;
    bool (*applies)(const struct model_config *config); /* NULL: to every model */
    const struct choices *choices;                      /* of MODEL_CHOICE */
    bool ascends;                                       /* of MODEL_LIST: each number is above the one before */
    const char *ranged;                                 /* what messages call it that say its range; NULL: any value */
    double least, most;                                 /* of MODEL_REAL below `most` */
};

extern const struct model_field model_fields[];
extern const int model_field_count;

const char *model_field_told(const struct model_field *field);
const char *model_field_option(const struct model_field *field);
/* The member of bench --json: the option's name in the form of JSON's names, "vocab_size". */
#define MODEL_FIELD_NAME 32
const char *model_field_measured(const struct model_field *field, char name[MODEL_FIELD_NAME]);

/* Values of all types but MODEL_REAL and MODEL_LIST as an integer, and of MODEL_REAL. An override is 0 where it says
 * so; set to the value that it would replace, it is none. */
int64_t model_field_integer(const struct model_field *field, const struct model_config *config);
void model_field_set_integer(const struct model_field *field, struct model_config *config, int64_t value);
double model_field_real(const struct model_field *field, const struct model_config *config);
void model_field_set_real(const struct model_field *field, struct model_config *config, double value);
/* STATUS_CONFIG with the range. Readers of files take a value only if it is in range: the number that stands for "no
 * dropout here" would look like one that is. */
enum status model_field_check_real(const struct model_field *field, double value, struct error *e);
enum status model_field_take_real(const struct model_field *field, struct model_config *config, double value,
                                  struct error *e);
/* As text: "2", "0.2", "true", "lstm", "none". */
#define MODEL_FIELD_TEXT 96
const char *model_field_text(const struct model_field *field, const struct model_config *config,
                             char text[MODEL_FIELD_TEXT]);

/* As its option says it, together with fields that this one covers: "1150,1150,400". */
const char *model_field_option_text(const struct model_field *field, const struct model_config *config,
                                    char text[MODEL_FIELD_TEXT]);

/* Of MODEL_LIST, from text; false: it is none, and the field is as it was. */
bool model_field_set_list(const struct model_field *field, struct model_config *config, const char *text);

/* Whether this model has the field, and whether files and reports say it. */
bool model_field_applies(const struct model_field *field, const struct model_config *config);
bool model_field_is_said(const struct model_field *field, const struct model_config *config);

bool model_field_differs(const struct model_field *field, const struct model_config *a, const struct model_config *b);
/* Whether any field of the list differs. */
bool model_config_differs(const struct model_config *a, const struct model_config *b, unsigned list);

/* The fields of a list that are said, as options, for messages: "--cell lstm --layers 2 --no-tied". Returns `text`. */
#define MODEL_OPTIONS_TEXT 400
const char *model_config_options(const struct model_config *config, unsigned list, char text[MODEL_OPTIONS_TEXT]);

/* A member of an open object. */
struct json;
void model_field_put(struct json *json, const char *key, const struct model_field *field,
                     const struct model_config *config);

#endif
