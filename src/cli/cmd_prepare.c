/* unroll prepare: turns text files into a corpus, and says what it holds and what was left out. */
#include <stdio.h>
#include <string.h>

#include "unroll/base/content.h"
#include "unroll/base/file.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/escape.h"
#include "unroll/cli/load.h"
#include "unroll/cli/vocab_origin.h"
#include "unroll/data/prepare.h"

#define PLURAL(count) (count) == 1 ? "" : "s", (count) == 1 ? "s" : "" /* of a noun, and of its verb */

static void print_split(const struct prepare_report *report, enum split split)
{
    printf("%-5s  %14lld  %14lld  %14lld  %7.3f %%", split_name(split), (long long)report->bytes[split],
           (long long)report->tokens[split], (long long)report->unknowns[split],
           100.0 * (double)report->unknowns[split] / (double)report->tokens[split]);
    if (report->labels > 0)
        printf("  %14lld", (long long)report->texts[split]);
    printf("\n");
}

/* What became of words that occur once, where nobody had said. */
static void print_single(const struct prepare_report *report)
{
    double share = 100.0 * (double)report->single / (double)report->tokens[SPLIT_TRAIN];
    if (report->single > 0 && report->min_count > 1)
        printf("note: %lld word%s that occur%s once, %.1f %% of the training text, became <unk>,\n"
               "      so that the model learns what to expect of unknown words; to keep them:\n"
               "      --min-count 1\n",
               (long long)report->single, PLURAL(report->single), share);
    else if (report->single > 0)
        printf("note: %lld word%s occur%s once, %.1f %% of the training text, and %s kept, so\n"
               "      that the model does not learn what to expect of unknown words; a longer\n"
               "      text helps, or --min-count 2\n",
               (long long)report->single, PLURAL(report->single), share, report->single == 1 ? "is" : "are");
}

#define LEFT_OUT 100 /* bytes that say how many files of one kind were */

/* In lines of at most 80 columns. */
static void print_left_out(const struct folder_counts *counts, int column)
{
    const struct {
        int64_t count;
        const char *one, *more;
    } kinds[] = {
        {counts->hidden, "hidden", "hidden"},
        {counts->empty, "empty", "empty"},
        {counts->nowhere, "link that leads nowhere", "links that lead nowhere"},
        {counts->folder_links, "link to a folder", "links to folders"},
        {counts->special, "pipe, socket or device", "pipes, sockets or devices"},
    };
    const char *before = "; left out:";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char text[LEFT_OUT];
        if (kinds[i].count == 0)
            continue;
        int length = snprintf(text, sizeof text, "%lld %s", (long long)kinds[i].count,
                              kinds[i].count == 1 ? kinds[i].one : kinds[i].more);
        column += (int)strlen(before) + 1 + length;
        bool full = column >= 80; /* a comma may come */
        printf("%s%s%s", before, full ? "\n      " : " ", text);
        column = full ? 6 + length : column;
        before = ",";
    }
}

/* Without --vocab-from, a corpus to train on. */
static void print_validation(const struct prepare_report *report)
{
    if (report->tokens[SPLIT_TRAIN] > 0 && report->tokens[SPLIT_VALID] == 0)
        printf("note: no validation text: train cannot tell its best weights;\n"
               "      --split 90,5,5 or --valid FILE gives it some\n");
}

/* Folders are not looked into. */
static void print_html(const struct prepare_config *config)
{
    for (int split = 0; split < SPLITS; split++)
        for (int i = 0; i < config->files[split]; i++)
            if (!file_is_standard(config->file[split][i]) && content_is_html(config->file[split][i]))
                printf("note: '%s' looks like HTML: its tags are learnt, too\n", config->file[split][i]);
}

static void print_folders(const struct folder_counts *counts)
{
    if (counts->folders == 0)
        return;
    int column = printf("note: %lld folder%s held %lld text%s", (long long)counts->folders,
                        counts->folders == 1 ? "" : "s", (long long)counts->files, counts->files == 1 ? "" : "s");
    print_left_out(counts, column);
    printf("\n");
}

/* Of a vocabulary that was taken over: how much of the text it does not know. */
static void print_unknown(const struct prepare_config *config, const struct prepare_report *report)
{
    long long tokens = 0, unknowns = 0;
    for (int i = 0; i < SPLITS; i++) {
        tokens += report->tokens[i];
        unknowns += report->unknowns[i];
    }
    if (unknowns == 0)
        printf("note: all %lld tokens are in the vocabulary\n", tokens);
    else
        printf("note: %lld of %lld tokens are not in the vocabulary and became <unk>\n", unknowns, tokens);
    if (unknowns > 0 && vocab_has_counts(config->vocab) && config->vocab->counts[VOCAB_UNK] == 0)
        printf("      its own training text had no <unk>: its models know nothing of it\n");
    if (config->lowercase)
        printf("note: the vocabulary is lower-case: capitals are read as small letters\n");
}

static void print_report(const struct prepare_config *config, const struct prepare_report *report, const char *origin)
{
    char shown[ESCAPE_SHOWN];
    printf("wrote '%s': level %s, vocabulary of %d tokens ", escape_shown(config->output, shown),
           level_name(config->level), report->vocab);
    if (origin)
        printf("(that of '%s')", escape_shown(origin, shown));
    else
        printf("(%lld distinct in the training text)", (long long)report->distinct);
    printf(", digest %s\n", report->digest);
    if (report->labels > 0)
        printf("%d labels\n", report->labels);
    printf("%-5s  %14s  %14s  %14s  %9s%s\n", "split", "bytes", "tokens", "unknown", "share",
           report->labels > 0 ? "           texts" : "");
    for (int i = 0; i < SPLITS; i++)
        if (report->tokens[i] > 0)
            print_split(report, (enum split)i);
    if (origin)
        print_unknown(config, report);
    if (config->labels && report->labels == 0)
        printf("note: the labels of '%s' were not taken over (--no-labelled)\n", origin);
    print_folders(&report->folders);
    print_html(config);
    print_validation(report);
    print_single(report);
    if (report->crlf > 0)
        printf("note: %lld line end%s CR LF %s read as LF\n", (long long)report->crlf, report->crlf == 1 ? "" : "s",
               report->crlf == 1 ? "was" : "were");
    if (markers_found(&report->markers)) {
        char fate[MARKERS_TEXT];
        markers_fate_text(config->markers, &report->markers, fate);
        printf("note: %s\n", fate);
    }
    if (report->markers.unknowns > 0)
        printf("note: %lld '<unk>' of the text %s among the unknown\n", (long long)report->markers.unknowns,
               report->markers.unknowns == 1 ? "is" : "are");
    if (report->replaced > 0)
        printf("note: %lld invalid byte%s or sequence%s %s replaced by U+FFFD\n", (long long)report->replaced,
               report->replaced == 1 ? "" : "s", report->replaced == 1 ? "" : "s",
               report->replaced == 1 ? "was" : "were");
}

/* ---- --vocab-from ---- */

/* Rank 0. What the old vocabulary says about the text is not said otherwise. */
static enum status read_origin(const struct options *options, struct vocab_origin *origin, struct vocab **vocab,
                               struct error *e)
{
    if (vocab_origin_says_level(options->vocab_from) && options_given(options, "level"))
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--level' together with '--vocab-from': '%s' says what its tokens are; leave it out",
            options->vocab_from);
    enum status status = vocab_origin_load(options, true, origin, e);
    if (!status && options_given(options, "normalise") && options->prepare.normal != origin->vocab->normal)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--normalise %s' with '%s', whose texts have form '%s'; leave it out",
                         normal_name(options->prepare.normal), options->vocab_from, normal_name(origin->vocab->normal));
    if (!status && options_given(options, "markers") && origin->markers != MARKERS_REFUSE &&
        options->markers != origin->markers)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--markers %s' with '%s', whose own text was read with --markers %s; leave it out",
                         markers_name(options->markers), options->vocab_from, markers_name(origin->markers));
    if (!status && !origin->labels && options->prepare.labelled && options->train_files + options->classes == 0)
        return error_set(e, STATUS_DATA,
                         "cannot take labels from '%s': it has none; name a classifier or its corpus, or give training "
                         "texts, too, by --train",
                         options->vocab_from);
    return status ? status : vocab_copy(origin->vocab, vocab, e);
}

/* A vocabulary that has labels is for labelled texts. */
static void take_labels(const struct options *options, bool has_labels, struct prepare_config *config)
{
    config->labels_implied = has_labels && !options->prepare.labelled && !options_given(options, "labelled");
    config->labelled = options->prepare.labelled || config->labels_implied;
}

/* Collective. The vocabulary on all ranks, and what follows from it; labels are rank 0's alone, which does their
 * work. */
static enum status take_origin(const struct comm *comm, const struct options *options, struct vocab_origin *origin,
                               struct vocab **vocab, struct prepare_config *config, struct error *e)
{
    enum status status = comm->rank == 0 ? read_origin(options, origin, vocab, e) : STATUS_OK;
    status = comm_agree(comm, status, e);
    if (!status && comm->size > 1)
        status = vocab_broadcast(comm, vocab, e);
    if (status)
        return status;
    bool has_labels = origin->labels != NULL;
    comm_broadcast(comm, &has_labels, sizeof has_labels, 0);
    comm_broadcast(comm, &origin->lowercase, sizeof origin->lowercase, 0);
    comm_broadcast(comm, &origin->markers, sizeof origin->markers, 0);
    config->vocab = *vocab;
    config->labels = origin->labels;
    take_labels(options, has_labels, config);
    config->level = config->vocab->level;
    config->normal = config->vocab->normal;
    config->lowercase = origin->lowercase;
    if (!options_given(options, "markers"))
        config->markers = origin->markers;
    return STATUS_OK;
}

static struct prepare_config configure(const struct options *options)
{
    struct prepare_config config = options->prepare;
    const int files[SPLITS] = {options->train_files, options->valid_files, options->test_files};
    const char *const *const file[SPLITS] = {options->train_file, options->valid_file, options->test_file};
    for (int split = 0; split < SPLITS; split++) {
        config.files[split] = files[split];
        config.file[split] = file[split];
    }
    config.classes = options->classes;
    config.class = options->class_file;
    config.markers = options->markers;
    return config;
}

enum status cmd_prepare(const struct comm *comm, const struct options *options, struct error *e)
{
    struct prepare_config config = configure(options);
    struct prepare_report report;
    struct vocab_origin origin = {.vocab = NULL};
    struct vocab *vocab = NULL;
    enum status status = STATUS_OK;
    if (options->vocab_from)
        status = take_origin(comm, options, &origin, &vocab, &config, e);
    if (!status)
        status = prepare(comm, &config, &report, e);
    if (!status && comm->rank == 0)
        print_report(&config, &report, options->vocab_from);
    vocab_free(vocab);
    vocab_origin_release(&origin);
    return status;
}
