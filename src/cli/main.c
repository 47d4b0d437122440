/* The program: finds the command, reads its options, runs it, and turns an error into text and exit status. */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/base/build_info.h"
#include "unroll/base/temporary.h"
#include "unroll/cli/command_table.h"
#include "unroll/cli/escape.h"
#include "unroll/cli/help.h"
#include "unroll/cli/options.h"
#include "unroll/cli/path_check.h"
#include "unroll/cli/precision.h"
#include "unroll/cli/ranks.h"
#include "unroll/cli/suggest.h"
#include "unroll/sys/blas.h"
#include "unroll/sys/comm.h"
#include "unroll/sys/h5.h"
#include "unroll/sys/terminal.h"

static void print_version(void)
{
    const char *revision = build_revision();
    printf("unroll %s%s%s%s\n", build_version(), *revision ? " (" : "", revision, *revision ? ")" : "");
    printf("arithmetic: revision %d\n", build_arithmetic());
    printf("compiler:   %s\n", build_compiler());
    printf("flags:      %s\n", build_flags());
    printf("built for:  %s\n", build_libraries());
    printf("running:    HDF5 %s, BLIS %s\n", h5_library_version(), blas_version());
}

static enum status unknown_command(const char *name, struct error *e)
{
    const char *near = command_suggest(name);
    if (near)
        return error_set(e, STATUS_USAGE, "unknown command '%s': did you mean '%s'? see 'unroll --help'", name, near);
    return error_set(e, STATUS_USAGE, "unknown command '%s': see 'unroll --help' for the list", name);
}

/* Collective. `parsed` is what came of this rank's command line. */
static enum status run_on_ranks(const struct comm *comm, struct options *options, enum status parsed, struct error *e)
{
    enum status status = ranks_compare_programs(comm, e);
    if (!status)
        status = comm_agree_where(comm, parsed, e);
    if (!status)
        status = ranks_compare_options(comm, options, e);
    if (!status)
        status = comm_agree(comm, comm->rank == 0 ? path_check(options, e) : STATUS_OK, e);
    if (status)
        return status;
    precision_settle(comm, options);
    if (options->info->together)
        return options->info->together(comm, options, e);
    return comm_agree(comm, comm->rank == 0 ? options->info->alone(options, e) : STATUS_OK, e);
}

/* Of a failure that ranks have agreed on rank 0 tells the text, before they end together: mpirun kills the others
 * when the first has ended with a failure. */
static enum status run_command(int argc, char **argv, struct error *e)
{
    enum command command = command_find(argv[0]);
    if (command == COMMANDS)
        return unknown_command(argv[0], e);
    struct options options;
    enum status status = options_parse(argc, argv, &options, e);
    if (!status && options.help) {
        if (comm_speaks())
            help_command(stdout, command);
        options_free(&options);
        return STATUS_OK;
    }
    struct comm comm;
    enum status launched = comm_init(&comm, e);
    if (launched) {
        status = launched;
    } else {
        status = run_on_ranks(&comm, &options, status, e);
        if (status && comm.rank == 0 && e->text[0])
            escape_tell(e->text);
        if (status)
            e->text[0] = '\0';
        comm_finalize(&comm);
    }
    options_free(&options);
    return status;
}

/* What is asked for is printed once, also if it was asked for under mpirun. */
static enum status run_help(int argc, char **argv, struct error *e)
{
    const char *about = argc > 2 ? argv[2] : NULL;
    enum command command = about ? command_find(about) : COMMANDS;
    bool manual = about && strcmp(about, "--man") == 0, completion = about && strcmp(about, "--completion") == 0;
    bool program = !about || strcmp(about, "--help") == 0 || strcmp(about, "-h") == 0;
    if (!program && !manual && !completion && command == COMMANDS)
        return unknown_command(about, e);
    if (!comm_speaks())
        return STATUS_OK;
    if (manual)
        help_manual(stdout);
    else if (completion)
        help_completion(stdout);
    else if (program)
        help_program(stdout);
    else
        help_command(stdout, command);
    return STATUS_OK;
}

static enum status run(int argc, char **argv, struct error *e)
{
    if (argc < 2)
        return error_set(e, STATUS_USAGE, "missing command: see 'unroll --help' for the list");
    if (strcmp(argv[1], "--version") == 0) {
        if (comm_speaks())
            print_version();
        return STATUS_OK;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return run_help(argc, argv, e);
    if (suggest_alike(argv[1], "--version") || suggest_alike(argv[1], "--help"))
        return error_set(e, STATUS_USAGE, "unknown option '%s': did you mean '--%s'?", argv[1],
                         suggest_alike(argv[1], "--help") ? "help" : "version");
    if (argv[1][0] == '-')
        return error_set(e, STATUS_USAGE, "unknown option '%s': the command comes first; see 'unroll --help'", argv[1]);
    return run_command(argc - 1, argv + 1, e);
}

int main(int argc, char **argv)
{
    /* glibc else raises the size from which memory goes back to the system when freed, up to 32 MiB */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    temporary_heed_signals();
    struct error e = {0};
    bool alone = false; /* the failure may be this rank's only */
    enum status status = run(argc, argv, &e);
    /* Output that is still buffered may fail only now: on a full disk, status 0 would be a lie. */
    if (fflush(stdout) != 0 && !status) {
        alone = true;
        status = error_set(&e, STATUS_IO, "cannot write to standard output: %s; make room or use another file",
                           errno_text(errno));
    }
    if (*e.text && (alone || comm_speaks()))
        escape_tell(e.text);
    else if (*e.text)
        terminal_let_output_pass(); /* mpirun ends the others when one has ended: the first shall have said it */
    return status;
}
