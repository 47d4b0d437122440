#include <stdio.h>

#include "unroll/cli/commands.h"
#include "unroll/data/prepare.h"
#include "unroll/sys/comm.h"

static void print_report(const struct prepare_config *config, const struct prepare_report *report)
{
    printf("wrote '%s': level %s, vocabulary of %d tokens (%lld distinct in the training text), digest %s\n",
           config->output, level_name(config->level), report->vocab, (long long)report->distinct, report->digest);
    printf("%-5s  %14s  %14s  %14s  %9s\n", "split", "bytes", "tokens", "unknown", "share");
    for (int i = 0; i < SPLITS; i++)
        if (report->tokens[i] > 0)
            printf("%-5s  %14lld  %14lld  %14lld  %7.3f %%\n", split_name((enum split)i), (long long)report->bytes[i],
                   (long long)report->tokens[i], (long long)report->unknowns[i],
                   100.0 * (double)report->unknowns[i] / (double)report->tokens[i]);
    if (report->crlf > 0)
        printf("note: %lld line ends CR LF were read as LF\n", (long long)report->crlf);
    if (report->replaced > 0)
        printf("note: %lld invalid bytes or sequences were replaced by U+FFFD\n", (long long)report->replaced);
}

/* Rank 0 does the work; the others wait for what became of it. */
enum status cmd_prepare(const struct options *options, struct error *e)
{
    struct comm comm;
    enum status status = comm_init(&comm, e);
    if (status != STATUS_OK)
        return status;
    if (comm.rank == 0) {
        struct prepare_config config = {
            .level = options->level,
            .lowercase = options->lowercase,
            .replace = options->invalid == INVALID_REPLACE,
            .vocab_size = options->vocab_size,
            .min_count = options->min_count,
            .files = {options->train_files, options->valid_files, options->test_files},
            .file = {options->train_file, options->valid_file, options->test_file},
            .percent = {options->split_percent[0], options->split_percent[1], options->split_percent[2]},
            .output = options->output,
        };
        struct prepare_report report;
        status = prepare(&config, &report, e);
        if (status == STATUS_OK)
            print_report(&config, &report);
    }
    status = comm_agree(&comm, status, e);
    comm_finalize(&comm);
    return status;
}
