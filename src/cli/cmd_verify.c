/* unroll verify: whether files are whole, byte for byte. */
#include <stdio.h>

#include "unroll/cli/commands.h"
#include "unroll/cli/file_kind.h"
#include "unroll/cli/load.h"
#include "unroll/train/checkpoint.h"

static enum status verify_corpus(const char *path, struct error *e)
{
    struct corpus *corpus;
    enum status status = corpus_open(path, &corpus, e);
    if (status)
        return status;
    status = corpus_verify(corpus, e);
    corpus_close(corpus);
    return status;
}

static enum status verify_file(const char *path, struct error *e)
{
    enum file_kind kind;
    enum status status = file_kind(path, &kind, e);
    if (!status)
        status = kind == FILE_CHECKPOINT ? checkpoint_verify(path, e) : verify_corpus(path, e);
    if (!status)
        printf("%s: whole %s\n", path, kind == FILE_CHECKPOINT ? "checkpoint" : "corpus");
    return status;
}

/* What a script should hear of several failures: that a file could not be judged, before that one is damaged, before
 * that one is missing. */
static int severity(enum status status)
{
    static const enum status rising[] = {STATUS_OK, STATUS_NOINPUT, STATUS_DATA, STATUS_CHECKPOINT};
    int known = (int)(sizeof rising / sizeof rising[0]);
    for (int i = 0; i < known; i++)
        if (rising[i] == status)
            return i;
    return known;
}

enum status cmd_verify(const struct options *options, struct error *e)
{
    enum status worst = STATUS_OK;
    int failed = 0;
    for (int i = 0; i < options->files; i++) {
        struct error reason = {0};
        enum status status = verify_file(options->file[i], &reason);
        if (status) {
            printf("%s: %s, %s\n", options->file[i], status == STATUS_NOINPUT ? "missing" : "not whole", reason.text);
            failed++;
        }
        if (severity(status) > severity(worst))
            worst = status;
    }
    enum status written = finish_output(e);
    if (written)
        return written;
    if (failed)
        return error_set(e, worst, "%d of %d files not whole; see the lines above", failed, options->files);
    return STATUS_OK;
}
