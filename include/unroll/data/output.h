/* A file that appears under its name whole or not at all: written under a temporary name beside it, synced, renamed. */
#ifndef UNROLL_DATA_OUTPUT_H
#define UNROLL_DATA_OUTPUT_H

#include "unroll/base/status.h"

struct output {
    char *path;      /* the final name; owned */
    char *temporary; /* where to write until output_commit; owned */
    int lock;        /* holds the temporary file against another process that makes the same output */
};

/* The name under which `path` is written; the caller's (mem_free), NULL on exhaustion. */
char *output_temporary(const char *path, struct error *e);

/* Creates the empty temporary file `path`.tmp, so that a folder that cannot be written to is found before the work. A
 * file that another process is making, a name that is a folder or a device: STATUS_CANTCREATE. */
enum status output_begin(const char *path, struct output *output, struct error *e);
/* After the temporary file was written and closed: syncs it, renames it, syncs the folder. Releases `output`; on
 * failure removes the temporary file first. STATUS_IO, STATUS_CANTCREATE. */
enum status output_commit(struct output *output, struct error *e);
/* Removes the temporary file and releases `output`. */
void output_abandon(struct output *output);

#endif
