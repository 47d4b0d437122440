/* unroll sample: new text from a model, to standard output as it comes. */
#include <stdio.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/cli/prime.h"
#include "unroll/cli/sample_output.h"
#include "unroll/use/beam.h"
#include "unroll/use/sampler.h"

#define LANES_MAX 64                   /* texts written at once */
#define HELD_TOKENS ((int64_t)1 << 22) /* of texts that wait to be printed one after another */

static struct text_end_config configure_end(const struct options *options, const struct vocab *vocab)
{
    struct text_end_config end = options->end;
    end.vocab = vocab;
    return end;
}

/* ---- drawn texts ---- */

/* Texts drawn side by side: the front one is printed as it is made, the others wait until it has ended. */
struct writing {
    const struct options *options;
    const struct prime *prime;
    struct text_end *end;
    struct sampler *sampler;
    struct sample_output *output;
    int lanes, texts; /* texts of the current batch, at most one for each lane */
    int front;        /* the one that is printed */
    struct text_progress progress[LANES_MAX];
    bool ended[LANES_MAX];
    uint32_t *tokens; /* [length][lanes]; with one lane nothing waits: [1] */
    float *logp;      /* the same */
};

static size_t held(const struct writing *writing, int64_t n, int text)
{
    return writing->lanes == 1 ? 0 : (size_t)n * (size_t)writing->lanes + (size_t)text;
}

static void print_held(const struct writing *writing, int64_t begin)
{
    for (int64_t n = begin; n < writing->progress[writing->front].length; n++) {
        size_t at = held(writing, n, writing->front);
        sample_output_token(writing->output, writing->tokens[at], writing->logp[at]);
    }
}

/* Prints what the last token has made ready: of the front text, and of those behind it once it has ended. */
static void print_ready(struct writing *writing)
{
    print_held(writing, writing->progress[writing->front].length - 1);
    while (writing->ended[writing->front]) {
        sample_output_end(writing->output);
        if (++writing->front == writing->texts)
            break;
        sample_output_begin(writing->output, "");
        print_held(writing, 0);
    }
    sample_output_flush(writing->output);
}

/* The next token of every text that has not ended; the n-th. */
static enum status write_tokens(struct writing *writing, int64_t n, struct error *e)
{
    uint32_t tokens[LANES_MAX];
    enum status status = sampler_next(writing->sampler, tokens, e);
    if (status)
        return status;
    for (int text = writing->front; text < writing->texts; text++) {
        if (writing->ended[text])
            continue;
        size_t at = held(writing, n, text);
        writing->tokens[at] = tokens[text];
        writing->logp[at] = sampler_logp(writing->sampler)[text];
        writing->ended[text] = text_end_reached(writing->end, &writing->progress[text], tokens[text]);
    }
    print_ready(writing);
    return STATUS_OK;
}

static enum status write_batch(struct writing *writing, int64_t first, struct error *e)
{
    int64_t left = writing->options->count - first;
    enum status status = STATUS_OK;
    writing->texts = left < writing->lanes ? (int)left : writing->lanes;
    writing->front = 0;
    for (int text = 0; text < writing->texts; text++) {
        writing->progress[text] = (struct text_progress){
            .word_before = sample_output_ends_with_word(writing->prime->text, writing->prime->length)};
        writing->ended[text] = false;
    }
    sampler_start(writing->sampler, (uint32_t)first, writing->prime->tokens, writing->prime->count);
    sample_output_begin(writing->output, "");
    for (int64_t n = 0; writing->front < writing->texts && !status && !ferror(stdout); n++)
        status = write_tokens(writing, n, e);
    return status;
}

/* Texts computed side by side: what fits in the memory for texts that wait. */
static int choose_lanes(const struct options *options)
{
    int64_t lanes = HELD_TOKENS / options->end.max_length;
    if (lanes > LANES_MAX)
        lanes = LANES_MAX;
    if (lanes > options->count)
        lanes = options->count;
    return lanes < 1 ? 1 : (int)lanes;
}

static enum status open_writing(struct writing *writing, const struct checkpoint *checkpoint, int threads,
                                struct error *e)
{
    const struct options *options = writing->options;
    struct sampler_config config = options->sampler;
    config.seed = options->train.step.seed;
    config.texts = writing->lanes;
    config.threads = threads;
    config.no_end_before = options->end.at_eos ? options->end.min_length - 1 : 0;
    struct text_end_config end = configure_end(options, checkpoint->vocab);
    enum status status =
        sampler_create(&checkpoint->model, checkpoint->values, checkpoint->vocab, &config, &writing->sampler, e);
    if (!status)
        status = text_end_create(&end, &writing->end, e);
    if (status)
        return status;
    size_t waiting = writing->lanes == 1 ? 1 : (size_t)writing->lanes * (size_t)options->end.max_length;
    writing->tokens = mem_alloc(waiting, sizeof *writing->tokens, "texts; use a smaller --length", e);
    writing->logp = mem_alloc(waiting, sizeof *writing->logp, "texts; use a smaller --length", e);
    return writing->tokens && writing->logp ? STATUS_OK : STATUS_OS;
}

static enum status write_drawn(const struct options *options, const struct checkpoint *checkpoint,
                               const struct prime *prime, int threads, struct sample_output *output, struct error *e)
{
    struct writing writing = {.options = options, .prime = prime, .output = output, .lanes = choose_lanes(options)};
    enum status status = open_writing(&writing, checkpoint, threads, e);
    for (int64_t first = 0; first < options->count && !status && !ferror(stdout); first += writing.lanes)
        status = write_batch(&writing, first, e);
    sampler_free(writing.sampler);
    text_end_free(writing.end);
    mem_free(writing.tokens);
    mem_free(writing.logp);
    return status;
}

/* ---- the likeliest texts ---- */

static enum status write_likeliest(const struct options *options, const struct checkpoint *checkpoint,
                                   const struct prime *prime, int threads, struct sample_output *output,
                                   struct error *e)
{
    struct beam_config config = options->beam;
    config.end = configure_end(options, checkpoint->vocab);
    config.word_before = sample_output_ends_with_word(prime->text, prime->length);
    config.threads = threads;
    struct beam *beam;
    enum status status =
        beam_search(&checkpoint->model, checkpoint->values, &config, prime->tokens, prime->count, &beam, e);
    if (status)
        return status;
    for (int k = 0; k < options->count && k < beam_texts(beam); k++) {
        struct beam_text text = beam_text(beam, k);
        char note[64];
        snprintf(note, sizeof note, ", log-probability %.6f", text.total);
        sample_output_begin(output, note);
        for (int64_t n = 0; n < text.length; n++)
            sample_output_token(output, text.tokens[n], text.logp[n]);
        sample_output_end(output);
    }
    beam_free(beam);
    return STATUS_OK;
}

/* ---- the command ---- */

static enum status check_end(const struct options *options, const struct vocab *vocab, struct error *e)
{
    if (options->end.stop && level_kind(vocab->level)->markers && strstr(options->end.stop, VOCAB_EOS_WORD))
        return error_set(e, STATUS_CONFIG,
                         "'--stop %.100s' would never be met: the token '</s>' is written as a line end; use "
                         "--stop-at-eos, or a stop with a line end in it",
                         options->end.stop);
    if (!options->end.at_eos || vocab->eos >= 0)
        return STATUS_OK;
    return error_set(e, STATUS_CONFIG,
                     "cannot stop at a line end: the vocabulary of '%s' has none; leave out --stop-at-eos",
                     options->model_file);
}

static enum status write_texts(const struct options *options, const struct checkpoint *checkpoint, int threads,
                               struct error *e)
{
    struct prime prime = {0};
    struct sample_output output;
    const char *text, *name;
    size_t length;
    char *held;
    enum status status = check_end(options, checkpoint->vocab, e);
    if (!status)
        status = markers_check(options->markers, checkpoint->vocab->level, e);
    if (status)
        return status;
    status = prime_text(options, &held, &text, &length, &name, e);
    sample_output_init(&output, checkpoint->vocab, text, length, options->sampler.logp, options->count > 1);
    if (!status)
        status = prime_read(text, length, name, checkpoint->vocab, options->markers, checkpoint->markers, &prime, e);
    if (!status)
        status = prime_warn(&prime, checkpoint->vocab, options->markers, e);
    if (!status)
        tell_markers(options->markers, &prime.met);
    output.counts_first = checkpoint->vocab->eos < 0 && prime.count == 0;
    if (!status && output.counts_first)
        fprintf(
            stderr,
            "unroll: the model has no line end to begin behind: the first token %s; give a --prime to begin with the "
            "model\n",
            vocab_has_counts(checkpoint->vocab) ? "comes from the counts of the training text"
                                                : "has no counts known: it is drawn evenly");
    if (!status)
        status =
            (options->beam.width ? write_likeliest : write_drawn)(options, checkpoint, &prime, threads, &output, e);
    mem_free(prime.tokens);
    mem_free(held);
    enum status written = finish_output(status ? NULL : e);
    return status ? status : written;
}

enum status cmd_sample(const struct comm *comm, const struct options *options, struct error *e)
{
    struct checkpoint checkpoint;
    int threads = 1;
    enum status status = load_model(comm, options, TASK_LM, &checkpoint, e);
    if (!status)
        status = load_threads(comm, options, &threads, e);
    if (!status && comm->rank == 0)
        status = write_texts(options, &checkpoint, threads, e);
    status = comm_agree(comm, status, e);
    checkpoint_release(&checkpoint);
    return status;
}
