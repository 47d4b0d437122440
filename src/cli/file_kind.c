/* Tells a corpus from a checkpoint, also where the file is damaged. */
#include "unroll/cli/file_kind.h"

#include <stdbool.h>
#include <string.h>

#include "unroll/base/content.h"
#include "unroll/sys/h5.h"

static bool kind_of_format(const char *format, enum file_kind *kind)
{
    bool corpus = strcmp(format, CORPUS_FORMAT) == 0;
    *kind = corpus ? FILE_CORPUS : FILE_CHECKPOINT;
    return corpus || strcmp(format, CHECKPOINT_FORMAT) == 0;
}

/* `e` holds why the file did not open, and keeps it unless the kind is found. */
static enum status kind_of_damaged(const char *path, enum file_kind *kind, struct error *e)
{
    enum content content = content_of_file(path);
    if (content != CONTENT_CORPUS && content != CONTENT_CHECKPOINT)
        return content_explain(path, WANTED_EITHER, e->status, e);
    *kind = content == CONTENT_CORPUS ? FILE_CORPUS : FILE_CHECKPOINT;
    return STATUS_OK;
}

enum status file_kind(const char *path, enum file_kind *kind, struct error *e)
{
    struct error local;
    struct h5 *file;
    char format[64];
    enum status status = h5_open_plain(path, STATUS_DATA, &file, &local);
    if (!status) {
        status = h5_attr_string(file, "/", "format", format, sizeof format, &local);
        h5_close_read(file);
        if (!status && !kind_of_format(format, kind))
            status = error_set(&local, STATUS_DATA,
                               "cannot use '%s': it is neither a corpus nor a checkpoint of Unroll", path);
    }
    if (status == STATUS_DATA)
        status = kind_of_damaged(path, kind, &local);
    if (status)
        error_set(e, status, "%s", local.text);
    return status;
}
