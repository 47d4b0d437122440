/* The texts that `prepare` is to read. The user names files; folders, of which every file is a text; standard input and
 * pipes; and each of these may be packed (base/unpack.h). What cannot be read at any place, again and again, is first
 * copied or unpacked into one file, the spool. It lies beside the output, on the disk that the user chose.
 *
 * Of a folder all regular files are taken, of the folders in it too, in the order of the bytes of their paths; not
 * those whose names or folders begin with a dot, nor empty ones, nor those that this program is writing. At byte level
 * the ending of its name alone says that a file is packed, else its first bytes do, too. */
#ifndef UNROLL_DATA_PREPARE_INPUTS_H
#define UNROLL_DATA_PREPARE_INPUTS_H

#include "unroll/data/prepare.h"
#include "unroll/data/text.h"

struct input {
    struct text_file file; /* its path and name are owned */
    const char *class;     /* "NAME=..." as given; NULL: the file is of no class */
};

struct inputs { /* of a split, in order; those of classes last */
    struct input *input;
    size_t count, capacity;
};

/* Where unpacked texts go; belongs to the caller (mem_free). NULL on exhaustion. */
char *inputs_spool(const char *output, struct error *e);

/* Not collective. `spool`, a path that inputs_spool gave, is made if it is needed; it must stay until the last text
 * has been read, and is the caller's to remove, also after a failure. Counts in report->folders what they held.
 * Release with inputs_release, also after a failure. */
enum status inputs_find(const struct prepare_config *config, const char *spool, struct inputs inputs[SPLITS],
                        struct prepare_report *report, struct error *e);
void inputs_release(struct inputs inputs[SPLITS]);

/* Collective. Gives every rank what rank 0 found, and compares the files between the hosts. */
enum status inputs_share(const struct comm *comm, struct inputs inputs[SPLITS], struct error *e);

#endif
