/* Prepares running text on all ranks: counts, chooses the vocabulary, then encodes and writes. */
#include "prepare_private.h"

#include <string.h>

#include "prepare_sources.h"
#include "relay.h"

#include "unroll/base/mem.h"
#include "unroll/base/temporary.h"
#include "unroll/data/corpus_writer.h"
#include "unroll/data/output.h"
#include "unroll/data/tally.h"
#include "unroll/data/text.h"
#include "unroll/data/tokenizer.h"

struct met { /* in a rank's share of a split */
    struct text_counts text;
    struct marker_counts markers;
    const struct text_part *marked; /* the first part with a marker; NULL: none */
    int64_t line;                   /* of that marker in its part */
};

struct job {
    const struct comm *comm;
    const struct prepare_config *config;
    struct prepare_report *report; /* of all ranks */
    char *temporary, *spool;       /* the files that are written */
    struct inputs inputs[SPLITS];
    struct source source[SPLITS]; /* this rank's share */
    struct met met[SPLITS];
    int64_t stripped[SPLITS];      /* bytes of markers that are left out, of all ranks */
    int64_t tokens[SPLITS];        /* that the first pass found in this rank's share */
    struct digest *digest[SPLITS]; /* of this rank's share; the relay begins with rank 0's */
    char share_digest[SPLITS][DIGEST_TEXT];
    char source_digest[SPLITS][DIGEST_TEXT]; /* of all ranks' */
    struct vocab *made;                      /* NULL: the vocabulary was given */
    const struct vocab *vocab;
    struct tokenizer *tokenizer; /* of the vocabulary */
};

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
    while (!(status = text_next(text, &bytes, &length, &offset, e)) && length > 0) {
        status = tokenizer_feed(tokenizer, bytes, length, name, offset, &ids, &count, e);
        if (!status)
            status = sink->take(sink->context, ids, count, e);
        if (status)
            return status;
    }
    if (!status)
        status = tokenizer_end(tokenizer, &ids, &count, e);
    return status ? status : sink->take(sink->context, ids, count, e);
}

static enum status pass_part(const struct prepare_config *config, const struct text_part *part,
                             struct tokenizer *tokenizer, struct digest *digest, const struct sink *sink,
                             struct met *met, struct error *e)
{
    struct text *text = NULL;
    struct tokenizer_met words;
    enum status status = text_open(part, &(struct text_config){config->level, config->replace}, digest, &text, e);
    if (!status)
        status = pass_blocks(tokenizer, text, part->file->name, sink, e);
    if (!status)
        text_get_counts(text, &met->text);
    text_close(text);
    tokenizer_take_met(tokenizer, &words);
    met->markers = words.markers;
    met->line = words.line;
    return status;
}

static void add_met(struct met *sum, const struct met *more, const struct text_part *part)
{
    sum->text.bytes += more->text.bytes;
    sum->text.replaced += more->text.replaced;
    sum->text.crlf += more->text.crlf;
    markers_add(&sum->markers, &more->markers);
    if (!sum->marked && more->line > 0) {
        sum->marked = part;
        sum->line = more->line;
    }
}

/* This rank's share of a split; `digest` takes in its bytes. */
static enum status pass_share(const struct job *job, enum split split, struct tokenizer *tokenizer,
                              const struct sink *sink, struct digest *digest, struct met *met, struct error *e)
{
    const struct source *source = &job->source[split];
    enum status status = STATUS_OK;
    *met = (struct met){.line = 0};
    for (int i = 0; i < source->parts && !status; i++) {
        struct met part = {.line = 0};
        status = pass_part(job->config, &source->part[i], tokenizer, digest, sink, &part, e);
        add_met(met, &part, &source->part[i]);
    }
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

/* ---- first pass: counting ---- */

static enum status count_share(struct job *job, enum split split, struct tokenizer *tokenizer, struct tally *tally,
                               struct error *e)
{
    struct counting counting = {tally, 0};
    struct sink sink = {take_counting, &counting};
    enum status status = pass_share(job, split, tokenizer, &sink, job->digest[split], &job->met[split], e);
    digest_text(job->digest[split], job->share_digest[split]);
    job->tokens[split] = counting.tokens;
    return status;
}

/* Collective: what the ranks found in a split, or the failure `mine` of one of them. */
static enum status sum_split(struct job *job, enum split split, enum status mine, struct error *e)
{
    struct prepare_report *report = job->report;
    const struct prepare_config *config = job->config;
    bool percents = prepare_has_percents(config);
    enum status status = comm_agree(job->comm, mine, e);
    if (status)
        return status;
    report->tokens[split] = comm_sum(job->comm, job->tokens[split]);
    report->bytes[split] = comm_sum(job->comm, job->met[split].text.bytes);
    report->replaced += comm_sum(job->comm, job->met[split].text.replaced);
    report->crlf += comm_sum(job->comm, job->met[split].text.crlf);
    struct marker_counts markers = {
        .begins = comm_sum(job->comm, job->met[split].markers.begins),
        .ends = comm_sum(job->comm, job->met[split].markers.ends),
        .unknowns = comm_sum(job->comm, job->met[split].markers.unknowns),
    };
    markers_add(&report->markers, &markers);
    job->stripped[split] = config->markers == MARKERS_STRIP ? markers_bytes(&markers) : 0;
    if (report->tokens[split] >= 2)
        return STATUS_OK;
    return error_set(e, STATUS_DATA,
                     "cannot use '%s': its split '%s' has %lld tokens, too few for a single prediction; "
                     "use a longer text%s",
                     job->inputs[percents ? SPLIT_TRAIN : split].input[0].file.name, split_name(split),
                     (long long)report->tokens[split], percents ? " or another --split" : "");
}

/* Collective: the vocabulary of the training text, on all ranks. */
static enum status choose_vocab(struct job *job, struct tally *tally, struct error *e)
{
    enum status status = tally_gather(job->comm, tally, e);
    if (!status && job->comm->rank == 0)
        status = prepare_vocab(job->config, tally, job->report->tokens[SPLIT_TRAIN], job->report, &job->made, e);
    status = comm_agree(job->comm, status, e);
    comm_broadcast(job->comm, job->report, sizeof *job->report, 0);
    if (!status && job->comm->size > 1)
        status = vocab_broadcast(job->comm, &job->made, e);
    job->vocab = job->made;
    return status;
}

static enum status make_vocab(struct job *job, struct error *e)
{
    const struct prepare_config *config = job->config;
    struct tokenizer *tokenizer = NULL;
    struct tally *tally = tally_new(e);
    enum status status = tally ? STATUS_OK : STATUS_OS;
    if (!status)
        status = tokenizer_open_counting(tally, config->level, config->lowercase, &tokenizer, e);
    if (!status)
        status = tokenizer_normalize(tokenizer, config->normal, e);
    if (!status)
        tokenizer_set_markers(tokenizer, config->markers);
    if (!status)
        status = count_share(job, SPLIT_TRAIN, tokenizer, tally, e);
    status = sum_split(job, SPLIT_TRAIN, status, e);
    tokenizer_free(tokenizer);
    if (!status)
        status = choose_vocab(job, tally, e);
    tally_free(tally);
    return status;
}

static bool is_wanted(const struct job *job, enum split split)
{
    return prepare_has_percents(job->config) ? job->config->percent[split] > 0 : job->config->files[split] > 0;
}

static enum status add_source(void *context, int split, struct digest *digest, struct error *e)
{
    const struct job *job = context;
    const struct source *source = &job->source[split];
    enum status status = STATUS_OK;
    for (int i = 0; i < source->parts && !status; i++)
        status = text_digest(&source->part[i], digest, e);
    return status;
}

/* Collective. The first marker is that of the lowest rank that has one in the first split where any has. */
static enum status refuse_markers(const struct job *job, struct error *e)
{
    const struct comm *comm = job->comm;
    int64_t places = (int64_t)SPLITS * comm->size, mine = 0; /* places - number of (split, rank); 0: none */
    const struct met *met = NULL;
    for (int i = 0; i < SPLITS && !met; i++)
        if (job->met[i].marked) {
            met = &job->met[i];
            mine = places - ((int64_t)i * comm->size + comm->rank);
        }
    enum status status = STATUS_OK;
    if (comm_max(comm, mine) == mine && met) {
        int64_t line = text_line(met->marked->file, met->marked->begin) + met->line - 1;
        status = markers_refused(&job->report->markers, met->marked->file->name, line, MARKERS_REFUSE, e);
    }
    return comm_agree(comm, status, e);
}

static enum status open_tokenizer(struct job *job, struct error *e)
{
    enum status status = tokenizer_open(job->vocab, job->config->lowercase, &job->tokenizer, e);
    if (!status)
        tokenizer_set_markers(job->tokenizer, job->config->markers);
    return status;
}

static enum status count_all(struct job *job, struct error *e)
{
    enum status status = STATUS_OK;
    job->vocab = job->config->vocab;
    if (!job->vocab)
        status = make_vocab(job, e);
    if (!status)
        status = comm_agree(job->comm, open_tokenizer(job, e), e);
    for (int i = job->made ? SPLIT_TRAIN + 1 : SPLIT_TRAIN; i < SPLITS && !status; i++)
        if (is_wanted(job, (enum split)i))
            status = sum_split(job, (enum split)i, count_share(job, (enum split)i, job->tokenizer, NULL, e), e);
    if (!status && job->config->markers == MARKERS_REFUSE && markers_found(&job->report->markers))
        status = refuse_markers(job, e);
    if (status)
        return status;
    job->report->vocab = job->vocab->size;
    return digest_relay(job->comm, SPLITS, job->digest, add_source, job, job->source_digest, e);
}

/* ---- second pass: the tokens ---- */

static enum status write_share(struct job *job, struct corpus_writer *writer, enum split split, struct error *e)
{
    char hex[DIGEST_TEXT];
    struct met met;
    struct writing writing = {writer, split};
    struct sink sink = {take_writing, &writing};
    struct digest *digest = digest_new(e);
    if (!digest)
        return STATUS_OS;
    enum status status = pass_share(job, split, job->tokenizer, &sink, digest, &met, e);
    digest_text(digest, hex);
    digest_free(digest);
    if (!status && strcmp(hex, job->share_digest[split]) != 0)
        status = prepare_text_changed(split, e);
    return status;
}

/* Collective: which tokens of each split this rank writes. */
static enum status place_tokens(const struct job *job, struct corpus_share *share, struct error *e)
{
    const struct comm *comm = job->comm;
    int64_t *all = mem_alloc((size_t)comm->size, sizeof job->tokens, "numbers of tokens", e);
    enum status status = comm_agree(comm, all ? STATUS_OK : STATUS_OS, e);
    if (!status) {
        comm_allgather(comm, job->tokens, sizeof job->tokens, all);
        for (int i = 0; i < SPLITS; i++) {
            share->begin[i] = 0;
            for (int rank = 0; rank < comm->rank; rank++)
                share->begin[i] += all[rank * SPLITS + i];
            share->end[i] = share->begin[i] + job->tokens[i];
        }
    }
    mem_free(all);
    return status;
}

static enum status write_corpus(struct job *job, const char *path, struct error *e)
{
    struct prepare_report *report = job->report;
    struct corpus_plan plan = {.vocab = job->vocab, .lowercase = job->config->lowercase};
    if (markers_found(&report->markers))
        plan.markers = job->config->markers;
    struct corpus_share share;
    struct corpus_writer *writer = NULL;
    for (int i = 0; i < SPLITS; i++) {
        plan.tokens[i] = report->tokens[i];
        plan.source_bytes[i] = report->bytes[i];
        plan.stripped_bytes[i] = job->stripped[i];
        memcpy(plan.source_digest[i], job->source_digest[i], DIGEST_TEXT);
    }
    enum status status = place_tokens(job, &share, e);
    if (!status)
        status = corpus_writer_open_shared(job->comm, path, &plan, &share, &writer, e);
    if (status)
        return status;
    for (int i = 0; i < SPLITS && !status; i++)
        if (is_wanted(job, (enum split)i))
            status = write_share(job, writer, (enum split)i, e);
    status = comm_agree(job->comm, status, e);
    if (!status)
        return corpus_writer_close(writer, report->unknowns, report->digest, e);
    corpus_writer_discard(writer);
    return status;
}

/* ---- all together ---- */

/* Not collective. */
static enum status begin(struct job *job, struct error *e)
{
    job->temporary = output_temporary(job->config->output, e);
    job->spool = job->temporary ? inputs_spool(job->config->output, e) : NULL;
    enum status status = job->spool ? STATUS_OK : STATUS_OS;
    for (int i = 0; i < SPLITS && !status; i++) {
        job->digest[i] = digest_new(e);
        status = job->digest[i] ? STATUS_OK : STATUS_OS;
    }
    return status;
}

static void release(struct job *job)
{
    tokenizer_free(job->tokenizer);
    vocab_free(job->made);
    sources_release(job->source);
    inputs_release(job->inputs);
    for (int i = 0; i < SPLITS; i++)
        digest_free(job->digest[i]);
    mem_free(job->temporary);
    mem_free(job->spool);
}

/* Collective. Labelled texts are few and short: rank 0 does the work. */
static enum status run_labelled(struct job *job, struct error *e)
{
    enum status status = STATUS_OK;
    if (job->comm->rank == 0)
        status = prepare_labelled(job->config, job->inputs, job->temporary, job->report, e);
    status = comm_agree(job->comm, status, e);
    comm_broadcast(job->comm, job->report, sizeof *job->report, 0);
    return status;
}

/* Collective. Standard input may arrive late: the other ranks sleep. */
static enum status prepare_running_text(struct job *job, struct error *e)
{
    enum status status = STATUS_OK;
    if (job->comm->rank == 0)
        status = inputs_find(job->config, job->spool, job->inputs, job->report, e);
    comm_barrier_asleep(job->comm);
    status = comm_agree(job->comm, status, e);
    if (!status && prepare_is_labelled(job->config))
        return run_labelled(job, e);
    if (!status)
        status = inputs_share(job->comm, job->inputs, e);
    if (!status && job->comm->rank == 0)
        status = sources_find(job->config, job->inputs, job->source, e);
    status = comm_agree(job->comm, status, e);
    if (!status)
        status = sources_share(job->comm, job->config, job->inputs, job->source, e);
    if (!status)
        status = count_all(job, e);
    return status ? status : write_corpus(job, job->temporary, e);
}

enum status prepare(const struct comm *comm, const struct prepare_config *config, struct prepare_report *report,
                    struct error *e)
{
    struct job job = {.comm = comm, .config = config, .report = report};
    struct output output;
    bool begun = false;
    *report = (struct prepare_report){0};
    enum status status = prepare_check(config, e); /* the same on all ranks */
    if (status)
        return status;
    status = begin(&job, e);
    if (!status && comm->rank == 0) {
        status = output_begin(config->output, &output, e);
        begun = !status;
    }
    status = comm_agree(comm, status, e);
    if (!status) {
        temporary_watch(job.temporary); /* on all ranks: mpirun kills the others as soon as one has ended */
        temporary_watch(job.spool);
        status = prepare_running_text(&job, e);
    }
    if (begun)
        temporary_remove(job.spool); /* if it was made */
    if (begun && !status)
        status = output_commit(&output, e);
    else if (begun)
        output_abandon(&output);
    status = comm_agree(comm, status, e);
    if (job.temporary)
        temporary_forget(job.temporary);
    if (job.spool)
        temporary_forget(job.spool);
    release(&job);
    return status;
}
