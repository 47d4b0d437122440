/* Words of a text that are markers: "<s>" and "</s>" around its sentences. At word level every line end becomes the
 * token "</s>". So a text with its own markers would have its sentence ends twice, or in the middle of lines. "<unk>"
 * is no marker: it stands for an unknown word, as the program's own does.
 *
 * A marker is a whole word; "</S>" is one only where the text is turned into lower case. At the other levels there are
 * no markers. */
#ifndef UNROLL_DATA_MARKERS_H
#define UNROLL_DATA_MARKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/choice.h"
#include "unroll/base/status.h"
#include "unroll/data/vocab.h"

#define MARKERS_BEGIN "<s>" /* the other one is VOCAB_EOS_WORD */

enum markers {
    MARKERS_REFUSE, /* a text that holds one is not taken */
    MARKERS_STRIP,  /* they are left out */
    MARKERS_KEEP    /* "</s>" is one more of the line end's token, "<s>" a word like any other */
};

const char *markers_name(enum markers markers); /* "refuse", "strip", "keep" */
extern const struct choices markers_choices;
bool markers_parse(const char *name, enum markers *markers);

struct marker_counts {
    int64_t begins, ends; /* "<s>", "</s>" */
    int64_t unknowns;     /* "<unk>" */
};

void markers_add(struct marker_counts *sum, const struct marker_counts *more);
bool markers_found(const struct marker_counts *counts); /* any "<s>" or "</s>" */

/* Bytes of the "<s>" and "</s>", each with the blank that divides it from a word. */
int64_t markers_bytes(const struct marker_counts *counts);

#define MARKERS_TEXT 200

/* "3 '<s>' and 2 '</s>'". */
void markers_count_text(const struct marker_counts *counts, char text[MARKERS_TEXT]);
/* What became of them under STRIP and KEEP, for a notice. */
void markers_fate_text(enum markers markers, const struct marker_counts *counts, char text[MARKERS_TEXT]);

/* STATUS_DATA: the text holds so many, the first in line `line` of `name`; NULL: nobody has counted. `known` is what
 * became of those in the text that the model learned from, REFUSE if it had none. */
enum status markers_refused(const struct marker_counts *counts, const char *name, int64_t line, enum markers known,
                            struct error *e);

/* STATUS_CONFIG: a choice other than REFUSE is for words only. */
enum status markers_check(enum markers markers, enum level level, struct error *e);

#endif
