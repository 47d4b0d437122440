#include "prepare_private.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "unroll/base/mem.h"
#include "unroll/data/corpus_writer.h"
#include "unroll/data/output.h"
#include "unroll/data/tally.h"
#include "unroll/data/text.h"
#include "unroll/data/tokenizer.h"

struct source {             /* the text of one split */
    struct text_part *part; /* [parts]; owned */
    int parts;
    char digest[DIGEST_TEXT]; /* found by the first pass over it */
};

struct job {
    const struct prepare_config *config;
    struct prepare_report *report;
    struct source source[SPLITS];
    struct vocab *vocab;
    struct tokenizer *tokenizer; /* of the vocabulary */
};

/* ---- what to read ---- */

bool prepare_has_percents(const struct prepare_config *config)
{
    return config->percent[SPLIT_TRAIN] != 0 || config->percent[SPLIT_VALID] != 0 || config->percent[SPLIT_TEST] != 0;
}

static enum status check_config(const struct prepare_config *config, struct error *e)
{
    const double *percent = config->percent;
    if (config->files[SPLIT_TRAIN] < 1 && config->classes < 1)
        return error_set(e, STATUS_CONFIG, "no training text; name it with '--train FILE'%s",
                         config->labelled ? ", or a class's with '--class NAME=FILE'" : "");
    for (int i = 0; i < config->classes; i++) {
        size_t name = strcspn(config->class[i], "=");
        if (name == 0 || name > LABEL_BYTES_MAX || !config->class[i][name] || !config->class[i][name + 1])
            return error_set(e, STATUS_CONFIG, "bad value '%.200s' for '--class': write NAME=FILE", config->class[i]);
    }
    if (config->lowercase && config->level == LEVEL_BYTE)
        return error_set(e, STATUS_CONFIG, "'--lowercase' has no meaning for bytes; use --level char or word");
    if (!prepare_has_percents(config))
        return STATUS_OK;
    if (config->files[SPLIT_VALID] || config->files[SPLIT_TEST])
        return error_set(e, STATUS_CONFIG, "'--split' and files for validation or test exclude each other; use either");
    double sum = percent[SPLIT_TRAIN] + percent[SPLIT_VALID] + percent[SPLIT_TEST];
    if (!(percent[SPLIT_TRAIN] > 0) || !(percent[SPLIT_VALID] >= 0) || !(percent[SPLIT_TEST] >= 0) ||
        !(fabs(sum - 100) < 1e-6))
        return error_set(e, STATUS_CONFIG,
                         "'--split %g,%g,%g' is not three shares of 100 percent; use for example 90,5,5",
                         percent[SPLIT_TRAIN], percent[SPLIT_VALID], percent[SPLIT_TEST]);
    return STATUS_OK;
}

/* The files of the splits are given: each is one part. Leaves their sizes in the parts. */
static enum status whole_files(struct job *job, enum split split, struct error *e)
{
    const struct prepare_config *config = job->config;
    struct source *source = &job->source[split];
    size_t files = (size_t)config->files[split];
    source->part = mem_alloc(files, sizeof *source->part, "names of text files", e);
    if (!source->part)
        return STATUS_OS;
    for (size_t i = 0; i < files; i++) {
        struct text_part *part = &source->part[source->parts++];
        *part = (struct text_part){.path = config->file[split][i]};
        enum status status = text_size(part->path, &part->end, e);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Where in the run of all training files a split begins (SPLITS: the end of the run), and the parts up to there. */
static enum status cut_files(struct job *job, const struct source *all, struct error *e)
{
    const struct prepare_config *config = job->config;
    int64_t total = 0;
    double share = 0;
    for (int i = 0; i < all->parts; i++)
        total += all->part[i].end;
    int file = 0;
    int64_t begin = 0, base = 0; /* the file that is being cut: from `begin`; where it lies in the run */
    for (int split = 0; split < SPLITS; split++) {
        struct source *source = &job->source[split];
        source->part = mem_alloc((size_t)all->parts, sizeof *source->part, "names of text files", e);
        if (!source->part)
            return STATUS_OS;
        share += config->percent[split];
        int64_t end = split == SPLITS - 1 || share > 100 - 1e-6 ? total : (int64_t)((double)total * share / 100);
        while (file < all->parts) {
            const struct text_part *whole = &all->part[file];
            int64_t cut = whole->end;
            enum status status = STATUS_OK;
            if (end - base < whole->end)
                status =
                    text_cut(whole->path, config->level, whole->end, end - base > begin ? end - base : begin, &cut, e);
            if (status != STATUS_OK)
                return status;
            if (cut > begin)
                source->part[source->parts++] = (struct text_part){whole->path, begin, cut};
            begin = cut;
            if (cut < whole->end)
                break;
            base += whole->end;
            begin = 0;
            file++;
        }
    }
    return STATUS_OK;
}

static enum status find_sources(struct job *job, struct error *e)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < SPLITS && status == STATUS_OK; i++)
        status = whole_files(job, (enum split)i, e);
    if (status != STATUS_OK || !prepare_has_percents(job->config))
        return status;
    struct source all = job->source[SPLIT_TRAIN];
    for (int i = 0; i < SPLITS; i++) {
        if (i != SPLIT_TRAIN)
            mem_free(job->source[i].part);
        job->source[i] = (struct source){0};
    }
    status = cut_files(job, &all, e);
    mem_free(all.part);
    return status;
}

enum status prepare_check_output(const struct prepare_config *config, const char *path, struct error *e)
{
    struct stat output, input;
    if (stat(config->output, &output) != 0 || stat(path, &input) != 0 || input.st_ino != output.st_ino ||
        input.st_dev != output.st_dev)
        return STATUS_OK;
    return error_set(e, STATUS_CANTCREATE, "cannot create '%s': it is one of the texts; choose another name",
                     config->output);
}

/* The output must not take the place of a text. */
static enum status check_output(const struct prepare_config *config, struct error *e)
{
    enum status status = STATUS_OK;
    for (int split = 0; split < SPLITS; split++)
        for (int i = 0; i < config->files[split] && status == STATUS_OK; i++)
            status = prepare_check_output(config, config->file[split][i], e);
    for (int i = 0; i < config->classes && status == STATUS_OK; i++)
        status = prepare_check_output(config, strchr(config->class[i], '=') + 1, e);
    return status;
}

/* ---- passes over the text ---- */

struct sink { /* takes the tokens of a pass */
    enum status (*take)(void *context, const uint32_t *ids, size_t count, struct error *e);
    void *context;
};

static enum status pass_blocks(struct tokenizer *tokenizer, struct text *text, const char *name,
                               const struct sink *sink, struct error *e)
{
    const char *bytes;
    const uint32_t *ids;
    size_t length, count;
    int64_t offset;
    enum status status;
    while ((status = text_next(text, &bytes, &length, &offset, e)) == STATUS_OK && length > 0) {
        status = tokenizer_feed(tokenizer, bytes, length, name, offset, &ids, &count, e);
        if (status == STATUS_OK)
            status = sink->take(sink->context, ids, count, e);
        if (status != STATUS_OK)
            return status;
    }
    if (status == STATUS_OK)
        status = tokenizer_end(tokenizer, &ids, &count, e);
    return status == STATUS_OK ? sink->take(sink->context, ids, count, e) : status;
}

/* One part of a text through the tokenizer: what a rank would do with its share. */
static enum status pass_part(const struct prepare_config *config, const struct text_part *part,
                             struct tokenizer *tokenizer, struct digest *digest, const struct sink *sink,
                             struct text_counts *met, struct error *e)
{
    struct text *text = NULL;
    enum status status = text_open(part, &(struct text_config){config->level, config->replace}, digest, &text, e);
    if (status == STATUS_OK)
        status = pass_blocks(tokenizer, text, part->path, sink, e);
    if (status == STATUS_OK)
        text_get_counts(text, met);
    text_close(text);
    return status;
}

/* All parts of a split; `hex` receives the digest of its bytes. */
static enum status pass_source(const struct job *job, enum split split, struct tokenizer *tokenizer,
                               const struct sink *sink, char hex[DIGEST_TEXT], struct text_counts *met, struct error *e)
{
    const struct source *source = &job->source[split];
    *met = (struct text_counts){0};
    struct digest *digest = digest_new(e);
    enum status status = digest ? STATUS_OK : STATUS_OS;
    for (int i = 0; i < source->parts && status == STATUS_OK; i++) {
        struct text_counts part = {0};
        status = pass_part(job->config, &source->part[i], tokenizer, digest, sink, &part, e);
        met->bytes += part.bytes;
        met->replaced += part.replaced;
        met->crlf += part.crlf;
    }
    if (status == STATUS_OK)
        digest_text(digest, hex);
    digest_free(digest);
    return status;
}

struct counting {
    struct tally *tally; /* NULL: only how many */
    int64_t tokens;
};

static enum status take_counting(void *context, const uint32_t *ids, size_t count, struct error *e)
{
    struct counting *counting = context;
    (void)e;
    if (counting->tally)
        tally_count(counting->tally, ids, count);
    counting->tokens += (int64_t)count;
    return STATUS_OK;
}

struct writing {
    struct corpus_writer *writer;
    enum split split;
};

static enum status take_writing(void *context, const uint32_t *ids, size_t count, struct error *e)
{
    const struct writing *writing = context;
    return corpus_writer_add(writing->writer, writing->split, ids, count, e);
}

static enum status count_split(struct job *job, enum split split, struct tokenizer *tokenizer, struct tally *tally,
                               struct error *e)
{
    struct prepare_report *report = job->report;
    struct counting counting = {tally, 0};
    struct sink sink = {take_counting, &counting};
    struct text_counts met;
    enum status status = pass_source(job, split, tokenizer, &sink, job->source[split].digest, &met, e);
    if (status != STATUS_OK)
        return status;
    report->tokens[split] = counting.tokens;
    report->bytes[split] = met.bytes;
    report->replaced += met.replaced;
    report->crlf += met.crlf;
    if (counting.tokens >= 2)
        return STATUS_OK;
    return error_set(e, STATUS_DATA,
                     "cannot use '%s': its split '%s' has %lld tokens, too few for a single prediction; "
                     "use a longer text%s",
                     job->config->file[prepare_has_percents(job->config) ? SPLIT_TRAIN : split][0], split_name(split),
                     (long long)counting.tokens, prepare_has_percents(job->config) ? " or another --split" : "");
}

/* First pass over the training text: the vocabulary. */
static enum status make_vocab(struct job *job, struct error *e)
{
    const struct prepare_config *config = job->config;
    struct tokenizer *tokenizer = NULL;
    struct tally *tally = tally_new(e);
    if (!tally)
        return STATUS_OS;
    enum status status = tokenizer_open_counting(tally, config->level, config->lowercase, &tokenizer, e);
    if (status == STATUS_OK)
        status = count_split(job, SPLIT_TRAIN, tokenizer, tally, e);
    if (status == STATUS_OK)
        status = tally_vocab(tally, config->level, config->vocab_size, config->min_count, &job->vocab, e);
    job->report->distinct = tally_entries(tally);
    tokenizer_free(tokenizer);
    tally_free(tally);
    return status;
}

static bool is_wanted(const struct job *job, enum split split)
{
    return prepare_has_percents(job->config) ? job->config->percent[split] > 0 : job->config->files[split] > 0;
}

enum status prepare_text_changed(enum split split, struct error *e)
{
    return error_set(e, STATUS_IO, "the text of split '%s' changed while it was read; try again when it is complete",
                     split_name(split));
}

static enum status write_split(struct job *job, struct corpus_writer *writer, enum split split, struct error *e)
{
    char hex[DIGEST_TEXT];
    struct text_counts met;
    struct writing writing = {writer, split};
    struct sink sink = {take_writing, &writing};
    enum status status = pass_source(job, split, job->tokenizer, &sink, hex, &met, e);
    if (status == STATUS_OK && strcmp(hex, job->source[split].digest) != 0)
        status = prepare_text_changed(split, e);
    return status;
}

/* Second pass: the tokens. */
static enum status write_corpus(struct job *job, const char *path, struct error *e)
{
    struct prepare_report *report = job->report;
    struct corpus_plan plan = {.vocab = job->vocab, .lowercase = job->config->lowercase};
    for (int i = 0; i < SPLITS; i++) {
        plan.tokens[i] = report->tokens[i];
        plan.source_bytes[i] = report->bytes[i];
        memcpy(plan.source_digest[i], job->source[i].digest, DIGEST_TEXT);
    }
    struct corpus_writer *writer = NULL;
    enum status status = corpus_writer_open(path, &plan, &writer, e);
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < SPLITS && status == STATUS_OK; i++)
        if (is_wanted(job, (enum split)i))
            status = write_split(job, writer, (enum split)i, e);
    if (status == STATUS_OK)
        return corpus_writer_close(writer, report->unknowns, report->digest, e);
    corpus_writer_discard(writer);
    return status;
}

static enum status run(struct job *job, const char *path, struct error *e)
{
    enum status status = make_vocab(job, e);
    if (status == STATUS_OK) {
        job->report->vocab = job->vocab->size;
        status = tokenizer_open(job->vocab, job->config->lowercase, &job->tokenizer, e);
    }
    for (int i = SPLIT_TRAIN + 1; i < SPLITS && status == STATUS_OK; i++)
        if (is_wanted(job, (enum split)i))
            status = count_split(job, (enum split)i, job->tokenizer, NULL, e);
    return status == STATUS_OK ? write_corpus(job, path, e) : status;
}

enum status prepare(const struct prepare_config *config, struct prepare_report *report, struct error *e)
{
    struct job job = {.config = config, .report = report};
    struct output output;
    *report = (struct prepare_report){0};
    enum status status = check_config(config, e);
    bool labelled = config->labelled || config->classes > 0;
    if (status == STATUS_OK && !labelled)
        status = find_sources(&job, e);
    if (status == STATUS_OK)
        status = check_output(config, e);
    if (status == STATUS_OK)
        status = output_begin(config->output, &output, e);
    if (status == STATUS_OK) {
        status = labelled ? prepare_labelled(config, output.temporary, report, e) : run(&job, output.temporary, e);
        if (status == STATUS_OK)
            status = output_commit(&output, e);
        else
            output_abandon(&output);
    }
    tokenizer_free(job.tokenizer);
    vocab_free(job.vocab);
    for (int i = 0; i < SPLITS; i++)
        mem_free(job.source[i].part);
    return status;
}
