/* Labelled texts to a corpus: each line is a text, and its label stands before a tab or is that of its file.
 *
 * Three passes over the lines, which all go the same way: training texts make the vocabulary and the table of
 * labels; the other texts are counted; all are written. Memory is the vocabulary, a few blocks, and ten bytes for
 * each text. */
#include <string.h>

#include "prepare_private.h"

#include "unroll/base/mem.h"
#include "unroll/data/corpus_writer.h"
#include "unroll/data/tally.h"
#include "unroll/data/text.h"
#include "unroll/data/tokenizer.h"

#define FILES_MAX (1 << 29) /* more than memory can name */

enum pass { PASS_VOCAB, PASS_COUNT, PASS_WRITE };

struct texts { /* of one split */
    uint64_t *offsets;
    uint16_t *label;
    size_t count, offsets_capacity, label_capacity;
    int64_t bytes;
};

struct labelling {
    const struct prepare_config *config;
    const struct inputs *inputs; /* [SPLITS] */
    struct prepare_report *report;
    struct labels *labels;
    int64_t *seen; /* [labels met] texts of each label in this pass: what deals texts to splits */
    size_t seen_capacity;
    struct texts texts[SPLITS];
    struct tally *tally; /* these two: NULL if the vocabulary is given */
    struct vocab *made;
    const struct vocab *vocab;
    struct corpus_writer *writer;
    char digest[SPLITS][DIGEST_TEXT]; /* of the files of each split; with percents, of all under the first */
    int64_t file_bytes[SPLITS];
    const char *marked_path; /* the file of the first marker; NULL: none */
    int marked_file;         /* its place in the order of splits and files */
    int64_t marked_line;

    /* the pass at hand */
    enum pass pass;
    struct tokenizer *tokenizer;
    enum split files_of; /* whose files are read */
    const char *path;
    int file_number;        /* in the order of splits and files */
    const char *class_name; /* NULL: labels stand in the lines */
    size_t class_length;

    /* the line at hand */
    int64_t line;
    bool in_text, line_begun, wanted;
    char label[LABEL_BYTES_MAX];
    size_t label_length;
    int number;
    enum split split;
    int64_t tokens, bytes;
};

/* ---- which split ---- */

/* Text k of a label goes to the split in whose share frac((k + 1) * golden ratio) falls. So every stretch of a label's
 * texts is cut in about the given shares, whatever their order. */
static enum split split_of_text(const double *percent, int64_t k)
{
    uint64_t turn = (uint64_t)(k + 1) * 11400714819323198485u; /* 2^64 / golden ratio */
    double share = 100 * ((double)(turn >> 11) * 0x1p-53);
    if (share < percent[SPLIT_TRAIN])
        return SPLIT_TRAIN;
    return percent[SPLIT_TEST] == 0 || share < percent[SPLIT_TRAIN] + percent[SPLIT_VALID] ? SPLIT_VALID : SPLIT_TEST;
}

/* ---- one text ---- */

static enum status line_error(const struct labelling *work, const char *what, struct error *e)
{
    return error_set(e, STATUS_DATA, "cannot use '%s' line %lld: %s", work->path, (long long)work->line, what);
}

static enum status no_tab(const struct labelling *work, const char *behind, struct error *e)
{
    return error_set(e, STATUS_DATA, "cannot use '%s' line %lld: no tab%s; write label, tab and text%s", work->path,
                     (long long)work->line, behind,
                     work->config->labels_implied ? ", as the vocabulary is a classifier's, or add --no-labelled" : "");
}

static enum status find_label(struct labelling *work, struct error *e)
{
    const char *text = work->class_name ? work->class_name : work->label;
    size_t length = work->class_name ? work->class_length : work->label_length;
    work->number = labels_find(work->labels, text, length);
    if (work->number >= 0)
        return STATUS_OK;
    if (work->files_of != SPLIT_TRAIN && !work->config->labels)
        return error_set(e, STATUS_DATA,
                         "cannot use '%s' line %lld: no training text has its label '%.*s'; correct it, or add such "
                         "texts to the training text",
                         work->path, (long long)work->line, (int)length, text);
    if (work->config->labels)
        return error_set(e, STATUS_DATA,
                         "cannot use '%s' line %lld: what --vocab-from names has no label '%.*s'; correct it",
                         work->path, (long long)work->line, (int)length, text);
    struct error reason;
    enum status status = labels_add(work->labels, text, length, &work->number, &reason);
    if (status == STATUS_DATA)
        return line_error(work, reason.text, e);
    return status ? error_set(e, status, "%s", reason.text) : STATUS_OK;
}

/* The label is known: the text's split, and whether this pass wants its tokens. */
static enum status begin_text(struct labelling *work, struct error *e)
{
    enum status status = find_label(work, e);
    void *seen = work->seen;
    if (!status)
        status = mem_grow(&seen, &work->seen_capacity, (size_t)work->labels->count, sizeof *work->seen,
                          "counts of labels", e);
    work->seen = seen;
    if (status)
        return status;
    work->split = work->files_of;
    if (prepare_has_percents(work->config))
        work->split = split_of_text(work->config->percent, work->seen[work->number]);
    work->seen[work->number]++;
    work->wanted = work->pass == PASS_WRITE || (work->split == SPLIT_TRAIN) == (work->pass == PASS_VOCAB);
    work->in_text = true;
    work->tokens = work->bytes = 0;
    return STATUS_OK;
}

static enum status take_ids(struct labelling *work, const uint32_t *ids, size_t count, struct error *e)
{
    work->tokens += (int64_t)count;
    if (work->pass == PASS_VOCAB && work->tally)
        tally_count(work->tally, ids, count);
    return work->pass == PASS_WRITE ? corpus_writer_add(work->writer, work->split, ids, count, e) : STATUS_OK;
}

static enum status feed_text(struct labelling *work, const char *bytes, size_t length, int64_t offset, struct error *e)
{
    const uint32_t *ids;
    size_t count;
    work->bytes += (int64_t)length;
    if (!work->wanted || length == 0)
        return STATUS_OK;
    enum status status = tokenizer_feed(work->tokenizer, bytes, length, work->path, offset, &ids, &count, e);
    return status ? status : take_ids(work, ids, count, e);
}

static enum status keep_text(struct labelling *work, struct error *e)
{
    struct texts *texts = &work->texts[work->split];
    void *offsets = texts->offsets, *label = texts->label;
    size_t next = texts->count + 1;
    enum status status =
        mem_grow(&offsets, &texts->offsets_capacity, next + 1, sizeof *texts->offsets, "places of texts", e);
    texts->offsets = offsets;
    if (!status)
        status = mem_grow(&label, &texts->label_capacity, next, sizeof *texts->label, "labels of texts", e);
    texts->label = label;
    if (status)
        return status;
    texts->offsets[next] = texts->offsets[next - 1] + (uint64_t)work->tokens;
    texts->label[next - 1] = (uint16_t)work->number;
    texts->count = next;
    texts->bytes += work->bytes;
    if (work->split == SPLIT_TRAIN)
        work->labels->counts[work->number]++;
    return STATUS_OK;
}

/* Both passes before the last may find markers, of different texts. */
static void take_markers(struct labelling *work)
{
    struct tokenizer_met met;
    tokenizer_take_met(work->tokenizer, &met);
    if (work->pass == PASS_WRITE)
        return;
    markers_add(&work->report->markers, &met.markers);
    bool first = !work->marked_path || work->file_number < work->marked_file ||
                 (work->file_number == work->marked_file && work->line < work->marked_line);
    if (met.line > 0 && first) {
        work->marked_path = work->path;
        work->marked_file = work->file_number;
        work->marked_line = work->line;
    }
}

/* Called after the line end, whose token belongs to the text. */
static enum status end_text(struct labelling *work, int64_t offset, struct error *e)
{
    enum status status = feed_text(work, "\n", 1, offset, e); /* what was open comes with it */
    take_markers(work);
    if (!status && work->wanted && work->tokens <= 1)
        status = line_error(work, "it has no text; write one behind the label, or remove the line", e);
    if (!status && work->wanted && work->pass != PASS_WRITE)
        status = keep_text(work, e);
    work->in_text = false;
    return status;
}

/* ---- lines ---- */

/* The part of a label that lies in a block. */
static enum status feed_label(struct labelling *work, const char *bytes, size_t length, struct error *e)
{
    if (length > sizeof work->label - work->label_length)
        return no_tab(work, " behind a label of at most 255 bytes", e);
    memcpy(work->label + work->label_length, bytes, length);
    work->label_length += length;
    return STATUS_OK;
}

static enum status feed_block(struct labelling *work, const char *bytes, size_t length, int64_t offset, struct error *e)
{
    enum status status = STATUS_OK;
    for (size_t at = 0; at < length && !status;) {
        const char *end = memchr(bytes + at, '\n', length - at);
        size_t line_end = end ? (size_t)(end - bytes) : length;
        if (!work->line_begun) {
            work->line_begun = true;
            work->label_length = 0;
            work->line++;
            if (work->class_name)
                status = begin_text(work, e);
        }
        if (!status && !work->in_text) {
            const char *tab = memchr(bytes + at, '\t', line_end - at);
            size_t label_end = tab ? (size_t)(tab - bytes) : line_end;
            status = feed_label(work, bytes + at, label_end - at, e);
            if (!status && tab)
                status = begin_text(work, e);
            else if (!status && end)
                status = no_tab(work, "", e);
            at = tab ? label_end + 1 : label_end;
        }
        if (!status && work->in_text) {
            status = feed_text(work, bytes + at, line_end - at, offset + (int64_t)at, e);
            if (!status && end)
                status = end_text(work, offset + (int64_t)line_end, e);
        }
        if (end)
            work->line_begun = false;
        at = line_end + (end != NULL);
    }
    return status;
}

static enum status read_lines(struct labelling *work, struct text *text, struct error *e)
{
    const char *bytes;
    size_t length;
    int64_t offset = 0;
    enum status status;
    work->line = 0;
    work->line_begun = work->in_text = false;
    while (!(status = text_next(text, &bytes, &length, &offset, e)) && length > 0) {
        status = feed_block(work, bytes, length, offset, e);
        if (status)
            return status;
    }
    if (!status && work->in_text) /* the last line has no end */
        status = end_text(work, offset, e);
    else if (!status && work->line_begun)
        status = no_tab(work, "", e);
    return status;
}

static enum status read_file(struct labelling *work, const struct input *input, struct digest *digest, struct error *e)
{
    struct text *text = NULL;
    struct text_counts met = {0};
    struct text_part part = {&input->file, 0, input->file.size};
    work->class_name = input->class;
    if (input->class)
        work->class_length = strcspn(input->class, "=");
    work->path = input->file.name;
    work->file_number++;
    enum status status =
        text_open(&part, &(struct text_config){work->config->level, work->config->replace}, digest, &text, e);
    if (!status)
        status = read_lines(work, text, e);
    if (!status)
        text_get_counts(text, &met);
    text_close(text);
    work->file_bytes[work->files_of] += met.bytes;
    if (work->pass == PASS_WRITE) {
        work->report->replaced += met.replaced;
        work->report->crlf += met.crlf;
    }
    return status;
}

/* All files of a split; with percents those of the training split, which hold the others. */
static enum status read_files(struct labelling *work, enum split split, struct error *e)
{
    const struct inputs *inputs = &work->inputs[split];
    struct digest *digest = digest_new(e);
    char hex[DIGEST_TEXT];
    enum status status = digest ? STATUS_OK : STATUS_OS;
    work->files_of = split;
    work->file_bytes[split] = 0;
    work->file_number = split * FILES_MAX;
    for (size_t i = 0; i < inputs->count && !status; i++)
        status = read_file(work, &inputs->input[i], digest, e);
    if (!status)
        digest_text(digest, hex);
    digest_free(digest);
    if (!status && work->digest[split][0] && strcmp(hex, work->digest[split]) != 0)
        return prepare_text_changed(split, e);
    if (!status)
        memcpy(work->digest[split], hex, DIGEST_TEXT);
    return status;
}

static enum status run_pass(struct labelling *work, enum pass pass, struct error *e)
{
    bool percents = prepare_has_percents(work->config);
    enum status status = STATUS_OK;
    work->pass = pass;
    if (work->seen)
        memset(work->seen, 0, work->seen_capacity * sizeof *work->seen);
    for (int i = 0; i < SPLITS && !status; i++) {
        bool needed = percents ? i == SPLIT_TRAIN : pass == PASS_WRITE || (i == SPLIT_TRAIN) == (pass == PASS_VOCAB);
        if (needed)
            status = read_files(work, (enum split)i, e);
    }
    return status;
}

/* ---- the whole ---- */

/* Those that are given, or none yet. */
static enum status begin_labels(struct labelling *work, struct error *e)
{
    const struct labels *given = work->config->labels;
    work->labels = labels_new(e);
    enum status status = work->labels ? STATUS_OK : STATUS_OS;
    for (int i = 0; given && i < given->count && !status; i++) {
        size_t length;
        int number;
        const char *text = labels_text(given, i, &length);
        status = labels_add(work->labels, text, length, &number, e);
    }
    return status;
}

static enum status check_labels(const struct labelling *work, struct error *e)
{
    const struct labels *labels = work->labels;
    for (int i = 0; i < labels->count; i++) {
        size_t length;
        const char *text = labels_text(labels, i, &length);
        if (labels->counts[i] == 0)
            return error_set(e, STATUS_DATA,
                             "cannot learn the label '%.*s': --split leaves no text of it to train on; use a larger "
                             "first share, or more texts",
                             (int)length, text);
        if (labels->count == 1)
            return error_set(e, STATUS_DATA,
                             "cannot train on texts of one label only, '%.*s': there is nothing to tell apart; use "
                             "texts of two labels or more",
                             (int)length, text);
    }
    return STATUS_OK;
}

/* Of the vocabulary, or before there is one of the tally. */
static enum status open_tokenizer(struct labelling *work, struct error *e)
{
    const struct prepare_config *config = work->config;
    enum status status =
        work->vocab ? tokenizer_open(work->vocab, config->lowercase, &work->tokenizer, e)
                    : tokenizer_open_counting(work->tally, config->level, config->lowercase, &work->tokenizer, e);
    if (!status && !work->vocab)
        status = tokenizer_normalize(work->tokenizer, config->normal, e);
    if (!status)
        tokenizer_set_markers(work->tokenizer, config->markers);
    return status;
}

static enum status make_vocab(struct labelling *work, struct error *e)
{
    const struct prepare_config *config = work->config;
    work->vocab = config->vocab;
    if (!work->vocab && !(work->tally = tally_new(e)))
        return STATUS_OS;
    enum status status = open_tokenizer(work, e);
    if (!status)
        status = run_pass(work, PASS_VOCAB, e);
    if (!status && !config->labels)
        status = check_labels(work, e);
    if (work->vocab)
        return status;
    if (!status)
        status = prepare_vocab(config, work->tally, 0, work->report, &work->made, e);
    work->vocab = work->made;
    tokenizer_free(work->tokenizer);
    work->tokenizer = NULL;
    return status ? status : open_tokenizer(work, e);
}

static void plan_corpus(const struct labelling *work, struct corpus_plan *plan)
{
    bool percents = prepare_has_percents(work->config);
    *plan = (struct corpus_plan){.vocab = work->vocab, .lowercase = work->config->lowercase, .labels = work->labels};
    if (work->marked_path)
        plan->markers = work->config->markers;
    for (int i = 0; i < SPLITS; i++) {
        const struct texts *texts = &work->texts[i];
        int source = percents ? SPLIT_TRAIN : i;
        work->report->tokens[i] = plan->tokens[i] = (int64_t)texts->offsets[texts->count];
        work->report->texts[i] = plan->texts[i] = (int64_t)texts->count;
        work->report->bytes[i] = texts->bytes;
        plan->offsets[i] = texts->offsets;
        plan->text_label[i] = texts->label;
        plan->source_bytes[i] = work->file_bytes[source];
        memcpy(plan->source_digest[i], work->digest[source], DIGEST_TEXT);
    }
}

static enum status count_and_write(struct labelling *work, const char *path, struct error *e)
{
    struct prepare_report *report = work->report;
    struct corpus_plan plan;
    enum status status = make_vocab(work, e);
    if (!status)
        status = run_pass(work, PASS_COUNT, e);
    if (!status && work->config->markers == MARKERS_REFUSE && work->marked_path)
        status = markers_refused(&report->markers, work->marked_path, work->marked_line, MARKERS_REFUSE, e);
    if (status)
        return status;
    report->vocab = work->vocab->size;
    report->labels = work->labels->count;
    plan_corpus(work, &plan);
    status = corpus_writer_open(path, &plan, &work->writer, e);
    if (!status)
        status = run_pass(work, PASS_WRITE, e);
    if (!status) {
        struct corpus_writer *writer = work->writer;
        work->writer = NULL;
        status = corpus_writer_close(writer, report->unknowns, report->digest, e);
    }
    return status;
}

enum status prepare_labelled(const struct prepare_config *config, const struct inputs inputs[SPLITS], const char *path,
                             struct prepare_report *report, struct error *e)
{
    struct labelling work = {.config = config, .inputs = inputs, .report = report};
    enum status status = begin_labels(&work, e);
    for (int i = 0; i < SPLITS && !status; i++) {
        void *offsets = NULL; /* the first is 0 */
        status =
            mem_grow(&offsets, &work.texts[i].offsets_capacity, 1, sizeof *work.texts[i].offsets, "places of texts", e);
        work.texts[i].offsets = offsets;
    }
    if (!status)
        status = count_and_write(&work, path, e);
    corpus_writer_discard(work.writer);
    tokenizer_free(work.tokenizer);
    tally_free(work.tally);
    vocab_free(work.made);
    labels_free(work.labels);
    mem_free(work.seen);
    for (int i = 0; i < SPLITS; i++) {
        mem_free(work.texts[i].offsets);
        mem_free(work.texts[i].label);
    }
    return status;
}
