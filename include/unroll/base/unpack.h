/* Packed texts, unpacked by the system's programs: gzip, xz and zstd, found in PATH and started without a shell. */
#ifndef UNROLL_BASE_UNPACK_H
#define UNROLL_BASE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "unroll/base/content.h"
#include "unroll/base/status.h"

/* One way of packing: a row of a constant table. */
struct packing;

/* By the ending of a name (.gz, .xz, .zst), or by a text's first bytes; NULL: it is not packed, or not in a way
 * known here. */
const struct packing *packing_by_name(const char *path);
const struct packing *packing_by_content(enum content content);

struct unpacker {
    const struct packing *packing;
    const char *name; /* of what is unpacked, for messages; not owned */
    pid_t process;
    int complaints; /* what the program writes to standard error */
};

/* Starts the program; it reads from `in` and writes to `out`, which stay the caller's. STATUS_UNAVAILABLE: the
 * program is not there. End with unpack_finish, once `in` is at its end or `out` is closed. */
enum status unpack_start(const struct packing *packing, const char *name, int in, int out, struct unpacker *unpacker,
                         struct error *e);
/* Waits until the program ends. STATUS_DATA, with the program's own message, if it failed. With `early` it may end
 * before the end of its input. */
enum status unpack_finish(struct unpacker *unpacker, bool early, struct error *e);

#endif
