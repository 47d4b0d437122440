/* unroll sample: new text from a model, to standard output as it comes. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/mem.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/use/line_reader.h"
#include "unroll/use/sampler.h"

#define LANES_MAX 64                   /* texts written at once */
#define HELD_TOKENS ((int64_t)1 << 22) /* of texts that wait to be printed one after another */

/* Prints tokens as the text they stand for: words with a blank between them and `</s>` as a line's end, characters and
 * bytes as they are. */
struct printer {
    const struct vocab *vocab;
    bool word_before; /* on this line */
    bool line_open;
};

static void print_token(struct printer *printer, uint32_t token)
{
    size_t length;
    const char *text = vocab_text(printer->vocab, token, &length);
    if (printer->vocab->level != LEVEL_WORD) {
        fwrite(text, 1, length, stdout);
        printer->line_open = length == 0 || text[length - 1] != '\n';
    } else if ((int)token == printer->vocab->eos) {
        putchar('\n');
        printer->word_before = printer->line_open = false;
    } else {
        if (printer->word_before)
            putchar(' ');
        fwrite(text, 1, length, stdout);
        printer->word_before = printer->line_open = true;
    }
}

/* The prime as it was given, so that what is unknown to the model can still be read. */
static void print_prime(struct printer *printer, const char *prime)
{
    size_t length = strlen(prime);
    fwrite(prime, 1, length, stdout);
    printer->line_open = length > 0 && prime[length - 1] != '\n';
    printer->word_before = length > 0 && !strchr(" \t\n", prime[length - 1]);
}

static void end_text(struct printer *printer)
{
    if (printer->line_open && printer->vocab->level != LEVEL_BYTE)
        putchar('\n');
    printer->word_before = printer->line_open = false;
}

/* ---- the prime ---- */

struct prime {
    const char *text;
    uint32_t *tokens; /* owned */
    int64_t count;
};

/* Puts the token of a line's end behind the line that has just been read, if the text has one there. */
static void add_line_end(struct prime *prime, const struct vocab *vocab, bool last)
{
    size_t length = strlen(prime->text);
    if (!last || (length > 0 && prime->text[length - 1] == '\n'))
        prime->tokens[prime->count++] = vocab->eos >= 0 ? (uint32_t)vocab->eos : VOCAB_UNK;
}

static enum status read_lines(struct line_reader *reader, const struct vocab *vocab, int64_t capacity,
                              struct prime *prime, struct error *e)
{
    bool line_before = false;
    for (;;) {
        uint32_t *tokens = prime->tokens + prime->count + line_before; /* room for the end of the line before */
        struct line_part part;
        enum status status = line_reader_next(reader, tokens, capacity - prime->count - line_before, &part, e);
        if (status)
            return status;
        if (line_before)
            add_line_end(prime, vocab, part.input_ended);
        if (part.input_ended)
            return STATUS_OK;
        prime->count += part.count;
        line_before = part.line_ended;
    }
}

static enum status read_prime(const struct vocab *vocab, struct prime *prime, struct error *e)
{
    size_t length = strlen(prime->text);
    size_t capacity = 2 * length + 2 * LINE_READER_CAPACITY_MIN; /* no more tokens than bytes, and no more line ends */
    struct line_reader *reader = NULL;
    prime->tokens = mem_alloc(capacity, sizeof *prime->tokens, "the prime", e);
    enum status status = STATUS_OS;
    if (prime->tokens)
        status = line_reader_open_text(prime->text, length, "--prime", vocab, &reader, e);
    if (!status)
        status = read_lines(reader, vocab, (int64_t)capacity, prime, e);
    line_reader_close(reader);
    return status;
}

static void warn_of_unknowns(const struct prime *prime)
{
    int64_t unknown = 0;
    for (int64_t i = 0; i < prime->count; i++)
        unknown += prime->tokens[i] == VOCAB_UNK;
    if (unknown > 0)
        fprintf(stderr, "unroll: %lld of the %lld tokens of --prime are unknown to the model and enter it as <unk>\n",
                (long long)unknown, (long long)prime->count);
}

/* ---- writing ---- */

static struct sampler_config configure(const struct options *options, int texts, int threads)
{
    return (struct sampler_config){
        .rule = {.temperature = options->temperature, .top_k = options->top_k, .top_p = options->top_p},
        .seed = options->seed,
        .texts = texts,
        .threads = threads,
    };
}

/* One text, every token printed when it is drawn. */
static enum status write_one(struct sampler *sampler, const struct options *options, const struct prime *prime,
                             struct printer *printer, struct error *e)
{
    bool watched = isatty(STDOUT_FILENO);
    enum status status = STATUS_OK;
    sampler_start(sampler, 0, prime->tokens, prime->count);
    print_prime(printer, prime->text);
    for (int64_t n = 0; n < options->length && !status && !ferror(stdout); n++) {
        uint32_t token;
        status = sampler_next(sampler, &token, e);
        if (!status)
            print_token(printer, token);
        if (watched)
            fflush(stdout);
    }
    end_text(printer);
    return status;
}

/* Texts first .. first + texts - 1, held in `tokens` [length][lanes] until all are complete. */
static enum status write_batch(struct sampler *sampler, const struct options *options, const struct prime *prime,
                               int64_t first, int texts, int lanes, uint32_t *tokens, struct printer *printer,
                               struct error *e)
{
    sampler_start(sampler, (uint32_t)first, prime->tokens, prime->count);
    for (int64_t n = 0; n < options->length; n++) {
        enum status status = sampler_next(sampler, tokens + n * lanes, e);
        if (status)
            return status;
    }
    for (int text = 0; text < texts; text++) {
        printf("%s==> text %lld <==\n", first + text > 0 ? "\n" : "", (long long)(first + text + 1));
        print_prime(printer, prime->text);
        for (int64_t n = 0; n < options->length; n++)
            print_token(printer, tokens[n * lanes + text]);
        end_text(printer);
    }
    return STATUS_OK;
}

static enum status write_many(struct sampler *sampler, const struct options *options, const struct prime *prime,
                              int lanes, struct printer *printer, struct error *e)
{
    uint32_t *tokens = NULL;
    size_t count;
    if (!mem_mul_overflows((size_t)lanes, (size_t)options->length, &count))
        tokens = mem_alloc(count, sizeof *tokens, "texts; use a smaller --length", e);
    enum status status = tokens ? STATUS_OK : STATUS_OS;
    for (int64_t first = 0; first < options->count && !status && !ferror(stdout); first += lanes) {
        int64_t left = options->count - first;
        status =
            write_batch(sampler, options, prime, first, left < lanes ? (int)left : lanes, lanes, tokens, printer, e);
    }
    mem_free(tokens);
    return status;
}

/* Texts computed side by side: what fits in the memory for texts that wait. */
static int choose_lanes(const struct options *options)
{
    int64_t lanes = HELD_TOKENS / options->length;
    if (lanes > LANES_MAX)
        lanes = LANES_MAX;
    if (lanes > options->count)
        lanes = options->count;
    return lanes < 1 ? 1 : (int)lanes;
}

static enum status write_texts(const struct options *options, const struct checkpoint *checkpoint,
                               const struct prime *prime, int threads, struct error *e)
{
    int lanes = choose_lanes(options);
    struct sampler_config config = configure(options, lanes, threads);
    struct sampler *sampler;
    enum status status =
        sampler_create(&checkpoint->model, checkpoint->values, checkpoint->vocab, &config, &sampler, e);
    if (status)
        return status;
    struct printer printer = {checkpoint->vocab, false, false};
    if (options->count == 1)
        status = write_one(sampler, options, prime, &printer, e);
    else
        status = write_many(sampler, options, prime, lanes, &printer, e);
    sampler_free(sampler);
    enum status written = finish_output(status ? NULL : e);
    return status ? status : written;
}

static enum status run(const struct comm *comm, const struct options *options, struct error *e)
{
    struct checkpoint checkpoint;
    struct prime prime = {options->prime ? options->prime : "", NULL, 0};
    int threads = 1;
    enum status status = load_model(comm, options, TASK_LM, &checkpoint, e);
    if (!status)
        status = load_threads(comm, options, &threads, e);
    if (!status && comm->rank == 0) {
        status = read_prime(checkpoint.vocab, &prime, e);
        if (!status) {
            warn_of_unknowns(&prime);
            status = write_texts(options, &checkpoint, &prime, threads, e);
        }
    }
    status = comm_agree(comm, status, e);
    mem_free(prime.tokens);
    checkpoint_release(&checkpoint);
    return status;
}

enum status cmd_sample(const struct options *options, struct error *e)
{
    return with_comm(run, options, e);
}
