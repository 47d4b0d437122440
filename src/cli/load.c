/* Loads a model for a command, chooses its threads, and makes sure at the end that its output was written. */
#include "unroll/cli/load.h"
#include "unroll/cli/escape.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/content.h"
#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/cli/option_table.h"
#include "unroll/cli/precision.h"
#include "unroll/data/utf8.h"
#include "unroll/sys/terminal.h"
#include "unroll/train/placement.h"

enum status load_check_task(const char *path, const struct checkpoint *checkpoint, enum task task, struct error *e)
{
    if (checkpoint->model.task == task)
        return STATUS_OK;
    if (task == TASK_LM)
        return error_set(e, STATUS_CHECKPOINT,
                         "cannot use '%s' as a language model: it is a classifier; use 'unroll classify'", path);
    return error_set(e, STATUS_CHECKPOINT,
                     "cannot classify with '%s': it is a language model; train one with --task classify", path);
}

/* Text may now be cut, or brought into its form, by rules of another version. */
static void tell_unicode(const char *path, const struct vocab *vocab)
{
    char shown[ESCAPE_SHOWN];
    if (*vocab->unicode && strcmp(vocab->unicode, utf8_unicode()) != 0)
        fprintf(stderr,
                "note: the text of '%s' followed Unicode %s, and this program follows %s:\n"
                "      a few rare characters may become other tokens\n",
                escape_shown(path, shown), vocab->unicode, utf8_unicode());
}

enum status load_advise(const struct options *options, const char *path, enum status status, struct error *e)
{
    bool takes_corpus = option_find(options->command, "corpus") != NULL;
    if (status != STATUS_CHECKPOINT || !takes_corpus || content_of_file(path) != CONTENT_CORPUS)
        return status;
    char text[ERROR_TEXT];
    snprintf(text, sizeof text, "%s", e->text);
    return error_set(e, status, "%.500s, and the corpus as --corpus", text);
}

enum status load_model(const struct comm *comm, const struct options *options, int task, struct checkpoint *checkpoint,
                       struct error *e)
{
    enum status status = checkpoint_read_shared(comm, options->model_file, checkpoint, e);
    if (status && comm->rank == 0)
        load_advise(options, options->model_file, status, e);
    if (!status)
        status = precision_take(options, options->model_file, &checkpoint->model, e); /* the same on all ranks */
    if (!status && task != LOAD_ANY)
        status = load_check_task(options->model_file, checkpoint, (enum task)task, e); /* the same on all ranks */
    if (!status && comm->rank == 0)
        tell_unicode(options->model_file, checkpoint->vocab);
    return status;
}

enum status load_threads(const struct comm *comm, const struct options *options, int *threads, struct error *e)
{
    struct placement placement;
    char advice[ERROR_TEXT];
    enum status status = placement_choose(comm, options->train.threads, &placement, advice, e);
    if (status)
        return status;
    *threads = placement.threads;
    if (comm->rank == 0 && *advice)
        fprintf(stderr, "unroll: %s\n", advice);
    return STATUS_OK;
}

double load_report_cores(const struct comm *comm, int threads)
{
    struct placement_wait wait;
    char advice[ERROR_TEXT];
    placement_wait_report(comm, threads, &wait, advice);
    if (comm->rank == 0 && *advice)
        fprintf(stderr, "unroll: %s\n", advice);
    return placement_wait_share(&wait);
}

/* Why an earlier write to standard output failed, as far as that can still be told. */
static const char *earlier_failure(void)
{
    struct stat about;
    struct rlimit limit;
    bool full = fstat(STDOUT_FILENO, &about) == 0 && S_ISREG(about.st_mode) && getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
                limit.rlim_cur != RLIM_INFINITY && (rlim_t)about.st_size >= limit.rlim_cur;
    return full ? errno_text(EFBIG) : "an earlier write failed";
}

void tell_markers(enum markers markers, const struct marker_counts *met)
{
    char fate[MARKERS_TEXT];
    if (!markers_found(met) || markers == MARKERS_REFUSE)
        return;
    markers_fate_text(markers, met, fate);
    fprintf(stderr, "note: %s\n", fate);
}

enum status finish_output(struct error *e)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        terminal_let_output_pass();
        return STATUS_OK;
    }
    if (errno == EPIPE)
        return STATUS_OK; /* the reader has seen enough */
    return error_set(e, STATUS_IO, "cannot write to standard output: %s; make room or use another file",
                     errno ? errno_text(errno) : earlier_failure());
}

enum status write_report(const char *path, const struct json *json, struct error *e)
{
    const char *text;
    enum status status = json_text(json, &text, e);
    if (status)
        return status;
    size_t length = strlen(text);
    char *line = mem_alloc(length + 2, 1, "a report", e);
    if (!line)
        return STATUS_OS;
    memcpy(line, text, length);
    line[length] = '\n';
    status = file_write_report(path, line, length + 1, e);
    mem_free(line);
    return status;
}
