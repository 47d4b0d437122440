#include "unroll/train/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"

struct metrics {
    char path[FILE_PATH_MAX];
    int fd;
    int64_t written; /* bytes that the file surely has: a failed write may have left more, which is overwritten */
    void *waiting;   /* text that is still to be written */
    size_t length, capacity;
    bool lost; /* no memory to keep a line */
};

enum status metrics_open(const char *path, struct metrics **out, struct error *e)
{
    *out = NULL;
    struct metrics *metrics = mem_alloc(1, sizeof *metrics, "a record of metrics", e);
    if (!metrics)
        return STATUS_OS;
    CHECK(strlen(path) < sizeof metrics->path);
    memcpy(metrics->path, path, strlen(path) + 1);
    metrics->fd = file_open(path, O_WRONLY | O_CREAT, 0666);
    struct stat entry = {.st_size = 0};
    if (metrics->fd < 0 || fstat(metrics->fd, &entry) != 0) {
        enum status status =
            error_set(e, errno == EIO || errno == ENOSPC ? STATUS_IO : STATUS_CANTCREATE,
                      "cannot open '%s' for writing: %s; check its permissions", path, strerror(errno));
        metrics_close(metrics);
        return status;
    }
    metrics->written = entry.st_size;
    *out = metrics;
    return STATUS_OK;
}

static enum status write_waiting(struct metrics *metrics, struct error *e)
{
    enum status status =
        file_write_at(metrics->fd, metrics->path, metrics->waiting, metrics->length, metrics->written, e);
    if (status)
        return status;
    metrics->written += (int64_t)metrics->length;
    metrics->length = 0;
    return STATUS_OK;
}

void metrics_close(struct metrics *metrics)
{
    if (!metrics)
        return;
    if (metrics->fd >= 0) {
        (void)write_waiting(metrics, NULL);
        (void)close(metrics->fd);
    }
    mem_free(metrics->waiting);
    mem_free(metrics);
}

enum status metrics_cut(struct metrics *metrics, int64_t bytes, struct error *e)
{
    metrics->length = 0;
    if (metrics->written < bytes)
        return error_set(e, STATUS_DATA, "'%s' has %lld bytes where the checkpoint knows %lld: lines are missing",
                         metrics->path, (long long)metrics->written, (long long)bytes);
    if (ftruncate(metrics->fd, (off_t)bytes) != 0)
        return error_set(e, STATUS_IO, "cannot shorten '%s': %s; check the file system", metrics->path,
                         strerror(errno));
    metrics->written = bytes;
    return STATUS_OK;
}

void metrics_line(struct metrics *metrics, const char *text)
{
    size_t length = strlen(text);
    if (mem_grow(&metrics->waiting, &metrics->capacity, metrics->length + length + 1, 1, "lines of metrics", NULL)) {
        metrics->lost = true;
        return;
    }
    char *end = (char *)metrics->waiting + metrics->length;
    memcpy(end, text, length);
    end[length] = '\n';
    metrics->length += length + 1;
    (void)write_waiting(metrics, NULL);
}

int64_t metrics_bytes(const struct metrics *metrics)
{
    return metrics->written + (int64_t)metrics->length;
}

enum status metrics_sync(struct metrics *metrics, struct error *e)
{
    if (metrics->lost)
        return error_set(e, STATUS_OS, "out of memory: lines of '%s' were lost; resume from the last checkpoint",
                         metrics->path);
    enum status status = write_waiting(metrics, e);
    return status ? status : file_sync(metrics->fd, metrics->path, e);
}
