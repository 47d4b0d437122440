/* From text files to a corpus file, in two passes over the text: the first counts, the second encodes. Memory is the
 * vocabulary and a few blocks, whatever the files and their lines are.
 *
 * A name is that of a file, a folder, whose files are read, a pipe, or "-", standard input; each may be packed
 * (src/data/prepare_inputs.h). Several files of one split are read one after another. `percent` cuts the training
 * files, taken as one run of bytes, by position: after that share of the bytes, moved forward to the next character
 * (char), past the next line end (word), or not at all (byte). The vocabulary comes from the training text alone,
 * unless one is given: then what it lacks is <unk>, and `level` must be its.
 *
 * The bytes of each split are dealt to the ranks in the same way. Each rank counts and encodes its share and writes its
 * tokens to their place in the file; the counts are merged in the order of the text, and only rank 0 looks at files
 * before they are dealt. Texts shorter than 64 KiB for each rank are dealt to fewer; labelled ones are rank 0's.
 *
 * With labels every line is a text: `label<TAB>text`, or the whole line in the file of a class. `percent` then deals
 * the texts out one by one: text k (from 0) of each label goes where the fraction of (k + 1) times the golden ratio
 * falls. */
#ifndef UNROLL_DATA_PREPARE_H
#define UNROLL_DATA_PREPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/digest.h"
#include "unroll/base/status.h"
#include "unroll/data/corpus.h"
#include "unroll/data/markers.h"
#include "unroll/data/vocab.h"
#include "unroll/sys/comm.h"

/* 2 for words without a `vocab_size`, so that <unk> is trained, unless words that occur once are half of the
 * training text or more; else 1. Labelled texts keep all: there --word-dropout trains <unk>, and they are few. */
#define PREPARE_MIN_COUNT_AUTO (-1)

struct prepare_config {
    enum level level;
    enum normal normal; /* the form that texts are brought into first */
    bool lowercase;
    bool replace;         /* invalid UTF-8 and NUL bytes become U+FFFD instead of an error */
    enum markers markers; /* word level: "<s>" and "</s>" in the text */
    int64_t vocab_size;   /* with <unk>; 0: no limit */
    int64_t min_count;    /* entries that occur less often become <unk>; or PREPARE_MIN_COUNT_AUTO */
    int files[SPLITS];
    const char *const *file[SPLITS]; /* [files[split]] */
    double percent[SPLITS];          /* all 0: each split has its own files */
    bool labelled;                   /* the files hold lines of label, tab and text */
    bool labels_implied;             /* `labelled` follows from `labels`: nobody has said it */
    int classes;
    const char *const *class; /* [classes] "NAME=FILE": more training texts, those of one label */
    const struct vocab
        *vocab; /* the same on all ranks; NULL: it is made of the training text, which else may be missing */
    const struct labels *labels; /* with `vocab`: those that texts may have; NULL: those of the training text */
    const char *output;
};

struct folder_counts {
    int64_t folders, files; /* named, and files that they held */
    /* left out: */
    int64_t hidden, empty; /* an empty one may be packed */
    int64_t folder_links;  /* links to folders */
    int64_t nowhere;       /* links that lead nowhere */
    int64_t special;       /* pipes, sockets and devices */
};

struct prepare_report {
    int vocab;         /* V, with <unk> */
    int64_t distinct;  /* entries of the training text before any was dropped; 0: the vocabulary was given */
    int64_t single;    /* words that occur once, where that decided about `min_count`; else 0 */
    int64_t min_count; /* as used */
    int64_t tokens[SPLITS], unknowns[SPLITS], bytes[SPLITS];
    int labels;             /* 0: the corpus is not labelled */
    int64_t texts[SPLITS];  /* of a labelled corpus */
    int64_t replaced, crlf; /* over all splits */
    struct folder_counts folders;
    struct marker_counts markers;
    char digest[DIGEST_TEXT]; /* of the corpus */
};

/* Collective. Writes config->output, whole or not at all; the bytes are the same for any number of ranks. Markers
 * that are to be refused are counted in all texts first: STATUS_DATA with their number and the first one's file and
 * line. Else STATUS_NOINPUT, STATUS_DATA, STATUS_CONFIG, STATUS_CANTCREATE, STATUS_IO, STATUS_OS. Report and error
 * are the same on all ranks. */
enum status prepare(const struct comm *comm, const struct prepare_config *config, struct prepare_report *report,
                    struct error *e);

#endif
