#include "unroll/cli/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/build_info.h"
#include "unroll/base/digest.h"
#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/cli/option_table.h"
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

enum status load_model(const struct comm *comm, const struct options *options, int task, struct checkpoint *checkpoint,
                       struct error *e)
{
    memset(checkpoint, 0, sizeof *checkpoint);
    enum status status = checkpoint_read(options->model_file, CHECKPOINT_FOR_USE, checkpoint, e);
    if (!status && task != LOAD_ANY)
        status = load_check_task(options->model_file, checkpoint, (enum task)task, e);
    return comm_agree(comm, status, e);
}

enum status load_threads(const struct comm *comm, const struct options *options, int *threads, struct error *e)
{
    struct placement placement;
    char advice[ERROR_TEXT];
    enum status status = placement_choose(comm, options->threads, &placement, advice, e);
    if (status)
        return status;
    *threads = placement.threads;
    if (comm->rank == 0 && *advice)
        fprintf(stderr, "unroll: %s\n", advice);
    return STATUS_OK;
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
                     errno ? strerror(errno) : "an earlier write failed");
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

/* What the ranks of a job must have in common; processors, compilers and libraries may be of several kinds. */
struct program {
    char host[64], version[64], options[DIGEST_TEXT];
    int arithmetic;
};

static enum status compare_programs(int rank, const struct program *here, const struct program *first, struct error *e)
{
    if (strcmp(here->version, first->version) != 0)
        return error_set(e, STATUS_CONFIG,
                         "different versions of the program: rank 0 on host '%s' is %s, rank %d on host '%s' is %s; "
                         "install the same version on all hosts",
                         first->host, first->version, rank, here->host, here->version);
    if (here->arithmetic != first->arithmetic)
        return error_set(
            e, STATUS_CONFIG,
            "different arithmetic: rank 0 on host '%s' computes by arithmetic revision %d, rank %d on host "
            "'%s' by %d; install the same version on all hosts",
            first->host, first->arithmetic, rank, here->host, here->arithmetic);
    if (strcmp(here->options, first->options) != 0)
        return error_set(e, STATUS_CONFIG,
                         "different options: those that rank 0 on host '%s' knows have digest %.12s, those of rank %d "
                         "on host '%s' %.12s; install the same version on all hosts",
                         first->host, first->options, rank, here->host, here->options);
    return STATUS_OK;
}

/* Collective. STATUS_CONFIG naming rank, host and both values if the ranks' programs are different. */
static enum status check_programs(const struct comm *comm, struct error *e)
{
    struct program here = {.arithmetic = build_arithmetic()};
    (void)gethostname(here.host, sizeof here.host - 1);
    snprintf(here.version, sizeof here.version, "%s", build_version());
    enum status status = comm_agree(comm, option_table_digest(here.options, e), e);
    if (status)
        return status;
    struct program first = here;
    comm_broadcast(comm, &first, sizeof first, 0);
    return comm_agree(comm, compare_programs(comm->rank, &here, &first, e), e);
}

enum status with_comm(enum status (*command)(const struct comm *comm, const struct options *options, struct error *e),
                      const struct options *options, struct error *e)
{
    struct comm comm;
    enum status status = comm_init(&comm, e);
    if (status)
        return status;
    status = check_programs(&comm, e);
    if (!status)
        status = command(&comm, options, e);
    /* Told before the ranks end together: mpirun kills the others when the first has ended with a failure. */
    if (status && comm.rank == 0 && e->text[0])
        fprintf(stderr, "unroll: %s\n", e->text);
    if (status)
        e->text[0] = '\0';
    comm_finalize(&comm);
    return status;
}
