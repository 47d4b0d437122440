/* Reads the prime, line by line, as tokens. */
#include "unroll/use/prime.h"

#include <stdbool.h>

#include "unroll/base/mem.h"
#include "unroll/use/line_reader.h"

/* Puts the token of a line's end behind the line that has just been read, if the text has one there. */
static void add_line_end(struct prime *prime, const struct vocab *vocab, bool last)
{
    if (!last || (prime->length > 0 && prime->text[prime->length - 1] == '\n'))
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

enum status prime_read(const char *text, size_t length, const char *name, const struct vocab *vocab,
                       enum markers markers, enum markers known, struct prime *prime, struct error *e)
{
    size_t capacity = 2 * length + 2 * LINE_READER_CAPACITY_MIN; /* no more tokens than bytes, and no more line ends */
    struct line_reader *reader = NULL;
    *prime = (struct prime){.text = text, .length = length, .name = name};
    prime->tokens = mem_alloc(capacity, sizeof *prime->tokens, "the prime", e);
    enum status status = STATUS_OS;
    if (prime->tokens)
        status = line_reader_open_text(text, length, name, vocab, &reader, e);
    if (!status) {
        line_reader_markers(reader, markers, known);
        status = read_lines(reader, vocab, (int64_t)capacity, prime, e);
        line_reader_met(reader, &prime->met);
    }
    line_reader_close(reader);
    return status;
}
