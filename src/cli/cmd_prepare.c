#include <stdio.h>

#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/data/prepare.h"

static void print_split(const struct prepare_report *report, enum split split)
{
    printf("%-5s  %14lld  %14lld  %14lld  %7.3f %%", split_name(split), (long long)report->bytes[split],
           (long long)report->tokens[split], (long long)report->unknowns[split],
           100.0 * (double)report->unknowns[split] / (double)report->tokens[split]);
    if (report->labels > 0)
        printf("  %14lld", (long long)report->texts[split]);
    printf("\n");
}

static void print_report(const struct prepare_config *config, const struct prepare_report *report)
{
    printf("wrote '%s': level %s, vocabulary of %d tokens (%lld distinct in the training text), digest %s\n",
           config->output, level_name(config->level), report->vocab, (long long)report->distinct, report->digest);
    if (report->labels > 0)
        printf("%d labels\n", report->labels);
    printf("%-5s  %14s  %14s  %14s  %9s%s\n", "split", "bytes", "tokens", "unknown", "share",
           report->labels > 0 ? "           texts" : "");
    for (int i = 0; i < SPLITS; i++)
        if (report->tokens[i] > 0)
            print_split(report, (enum split)i);
    if (report->crlf > 0)
        printf("note: %lld line ends CR LF were read as LF\n", (long long)report->crlf);
    if (markers_found(&report->markers)) {
        char fate[MARKERS_TEXT];
        markers_fate_text(config->markers, &report->markers, fate);
        printf("note: %s\n", fate);
    }
    if (report->markers.unknowns > 0)
        printf("note: %lld '<unk>' of the text are among the unknown\n", (long long)report->markers.unknowns);
    if (report->replaced > 0)
        printf("note: %lld invalid bytes or sequences were replaced by U+FFFD\n", (long long)report->replaced);
}

enum status cmd_prepare(const struct comm *comm, const struct options *options, struct error *e)
{
    struct prepare_config config = {
        .level = options->level,
        .lowercase = options->lowercase,
        .replace = options->invalid == INVALID_REPLACE,
        .markers = options->markers,
        .vocab_size = options->vocab_size,
        .min_count = options->min_count,
        .files = {options->train_files, options->valid_files, options->test_files},
        .file = {options->train_file, options->valid_file, options->test_file},
        .percent = {options->split_percent[0], options->split_percent[1], options->split_percent[2]},
        .labelled = options->labelled,
        .classes = options->classes,
        .class = options->class_file,
        .output = options->output,
    };
    struct prepare_report report;
    enum status status = prepare(comm, &config, &report, e);
    if (status == STATUS_OK && comm->rank == 0)
        print_report(&config, &report);
    return status;
}
