/* What `prepare` reads: the parts of files that make up each split, and each rank's share of them. */
#ifndef UNROLL_DATA_PREPARE_SOURCES_H
#define UNROLL_DATA_PREPARE_SOURCES_H

#include "prepare_inputs.h"

struct source {             /* the text of one split, or a share of it */
    struct text_part *part; /* [parts]; owned */
    int parts;
};

/* Not collective. The parts of each split; `inputs` must outlive them. Release with sources_release, also after a
 * failure. */
enum status sources_find(const struct prepare_config *config, const struct inputs inputs[SPLITS],
                         struct source source[SPLITS], struct error *e);
void sources_release(struct source source[SPLITS]);

/* Collective. Rank 0's sources are cut into one share for each rank, in rank order, at places where a text may be
 * cut; each rank's `source` becomes its own share. The other ranks open no file. */
enum status sources_share(const struct comm *comm, const struct prepare_config *config,
                          const struct inputs inputs[SPLITS], struct source source[SPLITS], struct error *e);

#endif
