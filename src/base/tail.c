/* Reads a file from its end in blocks, and cuts it into lines. */
#include "unroll/base/tail.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"

#define BLOCK ((size_t)1 << 16)

struct tail {
    char path[FILE_PATH_MAX];
    int fd;
    int64_t before; /* bytes of the file that stand before what is in `text` */
    char *text;     /* [left] a part of the file that has not been given yet; owned */
    size_t left, capacity;
};

enum status tail_open(const char *path, struct tail **out, struct error *e)
{
    struct stat entry;
    int fd;
    *out = NULL;
    enum status status = file_open_regular(path, &fd, e);
    if (status)
        return status;
    int64_t bytes = fstat(fd, &entry) == 0 ? entry.st_size : 0;
    struct tail *tail = mem_alloc(1, sizeof *tail, "the end of a file", e);
    if (!tail) {
        (void)close(fd);
        return STATUS_OS;
    }
    snprintf(tail->path, sizeof tail->path, "%s", path);
    tail->fd = fd;
    tail->before = bytes;
    *out = tail;
    return STATUS_OK;
}

void tail_close(struct tail *tail)
{
    if (!tail)
        return;
    (void)close(tail->fd);
    mem_free(tail->text);
    mem_free(tail);
}

static enum status read_at(const struct tail *tail, char *to, size_t bytes, int64_t offset, struct error *e)
{
    ssize_t got = file_read_at(tail->fd, to, bytes, offset);
    if (got < (ssize_t)bytes)
        return error_set(e, got < 0 ? status_of_errno(errno) : STATUS_IO, "cannot read '%.300s': %s; try again",
                         tail->path, got < 0 ? strerror(errno) : "it has become shorter");
    return STATUS_OK;
}

/* Puts the block before it in front of `text`. */
static enum status read_block(struct tail *tail, struct error *e)
{
    size_t block = tail->before < (int64_t)BLOCK ? (size_t)tail->before : BLOCK;
    void *text = tail->text;
    if (tail->left > TAIL_LINE_MAX)
        return error_set(e, STATUS_DATA, "cannot read '%.300s': a line of more than %zu MiB; it is no text of lines",
                         tail->path, TAIL_LINE_MAX >> 20);
    enum status status = mem_grow(&text, &tail->capacity, tail->left + block + 1, 1, "the end of a file", e);
    if (status)
        return status;
    tail->text = text;
    memmove(tail->text + block, tail->text, tail->left);
    status = read_at(tail, tail->text, block, tail->before - (int64_t)block, e);
    if (status)
        return status;
    tail->before -= (int64_t)block;
    tail->left += block;
    return STATUS_OK;
}

/* The byte after the last line end in the first `size` bytes of the text, NULL if there is none. */
static char *line_start(const struct tail *tail, size_t size)
{
    char *end = size > 0 ? memrchr(tail->text, '\n', size) : NULL;
    return end ? end + 1 : NULL;
}

enum status tail_next(struct tail *tail, char **line, size_t *length, struct error *e)
{
    char *end, *start = NULL;
    *line = NULL;
    *length = 0;
    while (!(end = line_start(tail, tail->left)) && tail->before > 0) {
        enum status status = read_block(tail, e);
        if (status)
            return status;
    }
    if (!end)
        return STATUS_OK;
    tail->left = (size_t)(end - tail->text); /* what follows is half a line, or has been given */
    while (!(start = line_start(tail, tail->left - 1)) && tail->before > 0) {
        enum status status = read_block(tail, e);
        if (status)
            return status;
    }
    *line = start ? start : tail->text;
    *length = (size_t)(tail->text + tail->left - 1 - *line);
    (*line)[*length] = '\0';
    tail->left = (size_t)(*line - tail->text);
    return STATUS_OK;
}
