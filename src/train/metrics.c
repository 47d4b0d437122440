/* Files that grow by one JSON object a line: opening, appending, syncing, and reading the first line. */
#include "unroll/train/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"

#define FIRST_LINE 65536 /* bytes: more than the line that says what is trained */

struct metrics {
    char path[FILE_PATH_MAX];
    int fd;
    int64_t
        written; /* bytes that are certainly in the file; more may be there after a failed write, and are overwritten */
    void *waiting; /* text that is still to be written */
    size_t length, capacity;
    bool lost; /* no memory to keep a line */
};

/* Copies up to `keep` bytes, up to the end of the last whole line; a line that a kill cut off is left out. */
static enum status copy_lines(struct metrics *metrics, int from, int64_t keep, struct error *e)
{
    char piece[1 << 14];
    int64_t copied = 0, whole = 0;
    enum status status = STATUS_OK;
    while (!status && copied < keep) {
        size_t room = keep - copied < (int64_t)sizeof piece ? (size_t)(keep - copied) : sizeof piece;
        ssize_t got = pread(from, piece, room, (off_t)copied);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(e, STATUS_IO, "cannot read '%s': %s; check the file system", metrics->path,
                             strerror(errno));
        if (got == 0)
            break;
        status = file_write_at(metrics->fd, metrics->path, piece, (size_t)got, copied, e);
        const char *end = memrchr(piece, '\n', (size_t)got);
        if (end)
            whole = copied + (end - piece) + 1;
        copied += got;
    }
    if (!status && whole < copied && ftruncate(metrics->fd, (off_t)whole) != 0)
        return error_set(e, STATUS_IO, "cannot shorten '%s': %s; check the file system", metrics->path,
                         strerror(errno));
    metrics->written = whole;
    return status;
}

/* The file under its temporary name, with what is kept of the old one, and then under its own. */
static enum status take_over(struct metrics *metrics, const char *temporary, int64_t keep,
                             const struct file_guard *guard, struct error *e)
{
    metrics->fd = file_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int old = file_open(metrics->path, O_RDWR, 0);
    enum status status = STATUS_OK;
    if (metrics->fd < 0 || (old < 0 && access(metrics->path, F_OK) == 0))
        status = error_set(e, errno == EIO || errno == ENOSPC ? STATUS_IO : STATUS_CANTCREATE,
                           "cannot open '%s' for writing: %s; check its permissions", metrics->path, strerror(errno));
    if (!status && old >= 0)
        status = copy_lines(metrics, old, keep, e);
    if (old >= 0)
        (void)close(old);
    if (!status)
        status = file_sync(metrics->fd, temporary, e);
    if (!status)
        status = file_commit(temporary, metrics->path, guard, e);
    if (status)
        (void)unlink(temporary);
    return status;
}

enum status metrics_open(const char *path, int64_t keep, const struct file_guard *guard, struct metrics **out,
                         struct error *e)
{
    *out = NULL;
    char temporary[FILE_PATH_MAX];
    enum status status = guard ? guard->check(guard->context, e) : STATUS_OK;
    if (!status)
        status = file_temporary(temporary, path, guard, e);
    if (status)
        return status;
    struct metrics *metrics = mem_alloc(1, sizeof *metrics, "a record of metrics", e);
    if (!metrics)
        return STATUS_OS;
    CHECK(strlen(path) < sizeof metrics->path);
    memcpy(metrics->path, path, strlen(path) + 1);
    status = take_over(metrics, temporary, keep, guard, e);
    if (status) {
        metrics_close(metrics);
        return status;
    }
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

void metrics_begin_line(struct json *json, const char *type)
{
    json_init(json);
    json_object_begin(json, NULL);
    json_put_string(json, "type", type);
}

void metrics_end_line(struct metrics *metrics, struct json *json)
{
    const char *text;
    json_object_end(json);
    if (!json_text(json, &text, NULL))
        metrics_line(metrics, text);
    else
        metrics->lost = true;
    json_release(json);
}

void metrics_put_time(struct json *json)
{
    char text[32];
    struct tm parts;
    time_t now = time(NULL);
    bool known = gmtime_r(&now, &parts) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0;
    json_put_string(json, "time", known ? text : NULL);
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

/* ---- reading ---- */

enum status metrics_first_line(const char *path, struct json_read *line, struct error *e)
{
    *line = (struct json_read){.path = path};
    char *text = mem_alloc(FIRST_LINE, 1, "the first line of a run", e);
    if (!text)
        return STATUS_OS;
    enum status status = file_read_text(path, text, FIRST_LINE, e);
    const char *end = status ? NULL : strchr(text, '\n');
    if (end)
        status = json_read_text(path, text, (size_t)(end - text), line, e);
    else if (!status)
        status = error_set(e, STATUS_DATA, "'%.300s' does not begin with a whole line", path);
    mem_free(text);
    return status;
}

bool metrics_is_type(const struct json_read *line, const char *type)
{
    const char *value;
    return !json_read_string(line, "type", &value, NULL) && strcmp(value, type) == 0;
}

double metrics_number(const struct json_read *line, const char *name)
{
    double value;
    return json_read_double(line, name, -INFINITY, INFINITY, &value, NULL) ? NAN : value;
}

int64_t metrics_whole(const struct json_read *line, const char *name)
{
    double value = metrics_number(line, name);
    return value >= 0 && value <= 0x1p53 ? (int64_t)value : -1;
}
