/* The program: finds the command, reads its options, runs it, and turns an error into text and exit status. */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/base/build_info.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/help.h"
#include "unroll/cli/option_table.h"
#include "unroll/sys/blas.h"
#include "unroll/sys/h5.h"
#include "unroll/sys/terminal.h"

static enum status (*const command_functions[COMMANDS])(const struct options *options, struct error *e) = {
    [COMMAND_PREPARE] = cmd_prepare,   [COMMAND_TRAIN] = cmd_train,   [COMMAND_EVAL] = cmd_eval,
    [COMMAND_CLASSIFY] = cmd_classify, [COMMAND_SCORE] = cmd_score,   [COMMAND_SAMPLE] = cmd_sample,
    [COMMAND_INSPECT] = cmd_inspect,   [COMMAND_VERIFY] = cmd_verify, [COMMAND_GRADCHECK] = cmd_gradcheck,
    [COMMAND_BENCH] = cmd_bench,       [COMMAND_PLAN] = cmd_plan,     [COMMAND_GRADFLOW] = cmd_gradflow,
    [COMMAND_EXPORT] = cmd_export,     [COMMAND_IMPORT] = cmd_import, [COMMAND_SELFTEST] = cmd_selftest,
};

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

/* True in the rank that speaks for all. Ranks agree on an error before they leave, and each parses the same command line,
 * so that one of them says it; this must also hold where MPI was never initialised. */
static bool is_first_rank(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (int i = 0; i < (int)(sizeof variables / sizeof *variables); i++) {
        const char *rank = getenv(variables[i]);
        if (rank && *rank)
            return strcmp(rank, "0") == 0;
    }
    return true;
}

/* `alone` tells whether the error may be this rank's only: a configuration file that it cannot read. */
static enum status run_command(int argc, char **argv, bool *alone, struct error *e)
{
    enum command command = command_find(argv[0]);
    if (command == COMMANDS) {
        const char *near = command_suggest(argv[0]);
        if (near)
            return error_set(e, STATUS_USAGE, "unknown command '%s': did you mean '%s'? see 'unroll --help'", argv[0],
                             near);
        return error_set(e, STATUS_USAGE, "unknown command '%s': see 'unroll --help' for the list", argv[0]);
    }
    struct options options;
    enum status status = options_parse(argc, argv, &options, e);
    *alone = status != STATUS_OK && status != STATUS_USAGE && status != STATUS_CONFIG;
    if (status == STATUS_OK && options.help)
        help_command(stdout, command);
    else if (status == STATUS_OK)
        status = command_functions[command](&options, e);
    options_free(&options);
    return status;
}

static enum status run(int argc, char **argv, bool *alone, struct error *e)
{
    if (argc < 2)
        return error_set(e, STATUS_USAGE, "missing command: see 'unroll --help' for the list");
    if (strcmp(argv[1], "--version") == 0) {
        print_version();
        return STATUS_OK;
    }
    bool help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0;
    if (help && argc > 2 && command_find(argv[2]) != COMMANDS) {
        help_command(stdout, command_find(argv[2]));
        return STATUS_OK;
    }
    bool manual = help && argc > 2 && strcmp(argv[2], "--man") == 0;
    bool completion = help && argc > 2 && strcmp(argv[2], "--completion") == 0;
    if (manual || completion) {
        (manual ? help_manual : help_completion)(stdout);
        return STATUS_OK;
    }
    if (help) {
        help_program(stdout);
        return STATUS_OK;
    }
    if (argv[1][0] == '-')
        return error_set(e, STATUS_USAGE, "unknown option '%s': the command comes first; see 'unroll --help'", argv[1]);
    return run_command(argc - 1, argv + 1, alone, e);
}

int main(int argc, char **argv)
{
    /* glibc else raises the size from which memory goes back to the system when freed, up to 32 MiB */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    struct error e = {0};
    bool alone = false;
    enum status status = run(argc, argv, &alone, &e);
    /* Output that is still buffered may fail only now: on a full disk, status 0 would be a lie. */
    if (fflush(stdout) != 0 && status == STATUS_OK) {
        alone = true;
        status = error_set(&e, STATUS_IO, "cannot write to standard output: %s; make room or use another file",
                           strerror(errno));
    }
    if (*e.text && (alone || is_first_rank()))
        fprintf(stderr, "unroll: %s\n", e.text);
    else if (*e.text)
        terminal_let_output_pass(); /* mpirun ends the others when one has ended: the first shall have said it */
    return status;
}
