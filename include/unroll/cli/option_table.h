/* THE table of options, in src/cli/option_rows_*.c. Parsing, INI files, --help, config.ini and checkpoints all walk
 * it. An option is one row, which says where its value lies in struct options. */
#ifndef UNROLL_CLI_OPTION_TABLE_H
#define UNROLL_CLI_OPTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "unroll/base/choice.h"
#include "unroll/base/digest.h"
#include "unroll/base/status.h"
#include "unroll/cli/command_table.h"
#include "unroll/cli/options.h"

enum option_type {
    OPTION_BOOL,     /* bool:        --name, --no-name; in INI files true or false */
    OPTION_INT,      /* int */
    OPTION_INT64,    /* int64_t */
    OPTION_UINT64,   /* uint64_t */
    OPTION_DOUBLE,   /* double */
    OPTION_DURATION, /* double:      seconds, also as 90s, 5m, 1h or 2d, or [D-]HH:MM:SS */
    OPTION_CHOICE,   /* an enum, int or bool of `size` bytes: one of `choices` */
    OPTION_TEXT,     /* const char * */
    OPTION_FILES,    /* const char *[OPTION_FILES_MAX]: one or more; the int at `count_offset` says how many */
    OPTION_PERCENTS, /* double[3]:   A,B or A,B,C that sum to 100 */
    OPTION_LIST      /* int[size / 4]: whole numbers from 1 on, zeros behind them; of none the first word */
};

/* What a command does with the file that a text names (cli/path_check.h). Operands are read, all of them. */
enum option_path {
    OPTION_PATH_NONE,     /* it names none */
    OPTION_PATH_READ,     /* a file that is read, or a run directory that one is taken from */
    OPTION_PATH_LABELLED, /* NAME=FILE, which is read */
    OPTION_PATH_RUN,      /* a run directory whose files are written */
    OPTION_PATH_STREAM,   /* a file that is written; "-" is standard output */
    OPTION_PATH_HDF5      /* a file that is written, and not from front to back: it needs a name */
};

/* Whether the config.ini of a run holds it, and whether the run goes on with it. */
enum option_kept {
    OPTION_KEPT,      /* both */
    OPTION_TOLD,      /* it is written; a start has its own */
    OPTION_OF_A_START /* what the file's place says, or one start: neither. Older files hold it, too */
};

#define OPTION_WORDS 2
#define OPTION_FOLLOWS 2

struct option {
    const char *name;
    char letter; /* a short form, or 0 */
    enum option_type type;
    unsigned commands;                 /* bit 1 << COMMAND_... for each command that takes it */
    unsigned required;                 /* the same for each that cannot do without */
    size_t offset, size, count_offset; /* of the field in struct options */
    const char *initial;               /* the default, as text that parses; NULL: zero bytes */
    const char *classify;              /* the default with --task classify, if it is another */
    double min, max;                   /* numbers: the allowed range */
    bool above_min, below_max;         /* the range leaves its end out */
    bool ascends;                      /* OPTION_LIST: each number is above the one before */
    struct {
        const char *text;
        double value;
    } word[OPTION_WORDS];                /* numbers: words allowed instead, and the values they mean; lists: of none */
    bool of_run;                         /* paths: a run directory may be named where a model is asked for */
    bool singly;                         /* OPTION_FILES: one each time it is given */
    const char *bare;                    /* OPTION_TEXT: its value if none is given; NULL: one must be */
    bool may_be_empty;                   /* OPTION_TEXT: "" is a value */
    const struct choices *choices;       /* OPTION_CHOICE: the room's own */
    const char *follows[OPTION_FOLLOWS]; /* where one of these is given anew, a run's own value of this gives way to the
                                            default */
    const char *yields; /* a value that leaves the choice to the start of a run: one that goes on keeps its own */
    enum option_class class;
    enum option_kept kept;
    enum option_path path;
    const char *section; /* heading in --help and config.ini */
    const char *metavar;
    const char *help;
    const char *(*words)(const char *name, char *room); /* what stands for "%s" in `help`: see option_help */
};

/* All rows by number; a row's number. */
int option_count(void);
const struct option *option_at(int number);
int option_index(const struct option *option);

/* The row behind `before` that `command` takes (COMMANDS: any), or NULL; the first with NULL. */
const struct option *option_next(enum command command, const struct option *before);

/* The option of that name that `command` takes (COMMANDS: the first of any), or NULL. Names are without dashes. */
const struct option *option_find(enum command command, const char *name);

/* The first row by which `command` sets the field of `option`: another one where an option has two names. */
const struct option *option_of_field(enum command command, const struct option *option);

/* The name nearest to `name` for a "did you mean" among the options of `command` (COMMANDS: of all). NULL if none is
 * near. */
const char *option_suggest(enum command command, const char *name);

/* Sets the field from `text`. `where` names the option for messages: "'--layers'" or "'layers' in 'x.ini' line 3". A
 * text of the wrong kind is `malformed`, a value that is not allowed STATUS_CONFIG. Text is not copied. For
 * OPTION_FILES appends one file. */
enum status option_set(const struct option *option, struct options *options, const char *text, const char *where,
                       enum status malformed, struct error *e);

/* The field as text that option_set reads back; the number's word where it has that value. Not for OPTION_FILES. `room`
 * is used for numbers; NULL for a text that is not set. */
const char *option_text(const struct option *option, const struct options *options, char room[96]);

/* The texts of an OPTION_TEXT, none or one, or an OPTION_FILES; *count is how many. */
const char *const *option_texts(const struct option *option, const struct options *options, int *count);

/* The option's help, with the words of the room that owns what it is about. Returns `room`. */
const char *option_help(const struct option *option, char room[400]);

/* What values are allowed, in words: "1 to 8", "above 0 and at most 1". Returns `room`. */
const char *option_range(const struct option *option, char room[160]);

/* Of all that a command line may say and what it means: commands, and names, kinds, defaults, choices and bounds of the
 * options. Programs with the same digest read a command line alike. STATUS_OS. */
enum status option_table_digest(char hex[DIGEST_TEXT], struct error *e);

#endif
