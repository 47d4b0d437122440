/* For libFuzzer targets: the loaders take paths, so the input becomes a file in memory that has one. */
#ifndef UNROLL_TESTS_FUZZ_H
#define UNROLL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_file {
    int descriptor;
    char path[64];
};

static inline struct fuzz_file fuzz_file_make(const uint8_t *data, size_t size)
{
    struct fuzz_file file = {.descriptor = memfd_create("fuzz", 0)};
    if (file.descriptor < 0 || write(file.descriptor, data, size) != (ssize_t)size)
        abort();
    snprintf(file.path, sizeof file.path, "/proc/self/fd/%d", file.descriptor);
    return file;
}

static inline void fuzz_file_close(struct fuzz_file file)
{
    close(file.descriptor);
}

/* What every failure owes its user: a status that fits, and a message. */
static inline void fuzz_check_error(int status, int recorded, const char *text)
{
    if (status != 0 && (recorded != status || text[0] == '\0'))
        abort();
}

#endif
