/* Counts the words and bytes that tokens stand for. */
#include "unroll/data/measure.h"

#include "corpus_private.h"

#include "unroll/base/mem.h"
#include "unroll/data/utf8.h"

enum kind { KIND_WORD, KIND_SPACE, KIND_LINE_END, KIND_SPACE_AND_WORD /* a blank with an accent */ };

static enum kind kind_of(const struct vocab *vocab, uint32_t token)
{
    size_t length;
    const char *text = vocab_text(vocab, token, &length);
    int step;
    if ((int)token == vocab->eos)
        return KIND_LINE_END;
    const struct level_kind *level = level_kind(vocab->level);
    if (token == VOCAB_UNK || *level->separator)
        return KIND_WORD;
    if (!level->utf8 && (unsigned char)text[0] >= 0x80)
        return KIND_WORD;
    if (!utf8_space(utf8_decode(text, &step)))
        return KIND_WORD;
    return (size_t)step == length || !level->utf8 ? KIND_SPACE : KIND_SPACE_AND_WORD;
}

enum status measure_init(const struct vocab *vocab, struct measure *measure, struct error *e)
{
    *measure = (struct measure){.vocab = vocab};
    measure->kind = mem_alloc((size_t)vocab->size, sizeof *measure->kind, "kinds of tokens", e);
    if (!measure->kind)
        return STATUS_OS;
    for (int token = 0; token < vocab->size; token++)
        measure->kind[token] = (uint8_t)kind_of(vocab, (uint32_t)token);
    return STATUS_OK;
}

void measure_release(struct measure *measure)
{
    mem_free(measure->kind);
    measure->kind = NULL;
}

static void end_word(struct measure *measure)
{
    measure->words += measure->run > 0;
    measure->run = 0;
}

/* Byte level: how many bytes of white space beyond ASCII end with the last one; 0 if none does. */
static int wide_space(uint32_t last)
{
    for (int length = 2; length <= 3; length++) {
        char bytes[3];
        int bad, step;
        for (int i = 0; i < length; i++)
            bytes[i] = (char)(last >> 8 * (length - 1 - i) & 0xff);
        if (utf8_sequence(bytes, (size_t)length, &bad) == length && utf8_space(utf8_decode(bytes, &step)))
            return length;
    }
    return 0;
}

static void add_byte(struct measure *measure, uint32_t token)
{
    const struct vocab *vocab = measure->vocab;
    size_t length;
    uint32_t byte = token == VOCAB_UNK ? 0 : (unsigned char)*vocab_text(vocab, token, &length);
    measure->last = measure->last << 8 | byte;
    int space = (byte & 0xc0) == 0x80 ? wide_space(measure->last) : 0;
    if (space > 0) { /* what it began with has been taken for bytes of a word */
        measure->run -= space;
        end_word(measure);
    }
}

void measure_add(struct measure *measure, const uint32_t *tokens, int64_t count)
{
    const struct vocab *vocab = measure->vocab;
    const struct level_kind *level = level_kind(vocab->level);
    const bool of_words = *level->separator, of_bytes = !level->utf8;
    for (int64_t i = 0; i < count; i++) {
        uint32_t token = tokens[i];
        enum kind kind = measure->kind[token];
        bool line_open = measure->run > 0;
        if (kind != KIND_WORD || of_words)
            end_word(measure);
        measure->words += kind == KIND_LINE_END;
        measure->run += kind == KIND_WORD || kind == KIND_SPACE_AND_WORD;
        if (of_bytes)
            add_byte(measure, token);
        if (token == VOCAB_UNK)
            measure->unknown++;
        else if (of_words && kind == KIND_LINE_END)
            measure->bytes += !line_open; /* else it stands where a blank was counted */
        else
            measure->bytes += (int64_t)(vocab->offsets[token + 1] - vocab->offsets[token]) + of_words;
    }
}

int64_t measure_words(const struct measure *measure)
{
    return measure->words + (measure->run > 0);
}

/* ---- a split ---- */

/* Of the split's text in its files, or MEASURE_NOT_KNOWN. */
static int64_t source_bytes(const struct corpus *corpus, enum split split)
{
    const struct corpus_file *file = corpus->file;
    char path[CORPUS_PATH];
    uint64_t bytes, stripped;
    enum status status = h5_attr_u64(file->h5, corpus_path(path, split, ""), "source_bytes", &bytes, NULL);
    if (!status && !h5_attr_u64(file->h5, path, "stripped_bytes", &stripped, NULL))
        bytes = stripped < bytes ? bytes - stripped : 0;
    return status || bytes == 0 || bytes > INT64_MAX / 8 ? MEASURE_NOT_KNOWN : (int64_t)bytes;
}

static enum status add_split(struct corpus *corpus, enum split split, int64_t first, struct measure *measure,
                             struct error *e)
{
    uint32_t *tokens = mem_alloc(CORPUS_SCRATCH, sizeof *tokens, "tokens", e);
    enum status status = tokens ? STATUS_OK : STATUS_OS;
    for (int64_t at = first, step; at < corpus->tokens[split] && !status; at += step) {
        step = corpus->tokens[split] - at < CORPUS_SCRATCH ? corpus->tokens[split] - at : CORPUS_SCRATCH;
        status = corpus_read(corpus, split, at, step, tokens, e);
        if (!status)
            measure_add(measure, tokens, step);
    }
    mem_free(tokens);
    return status;
}

/* Bytes of the first token, spelled out. */
static enum status first_bytes(struct corpus *corpus, enum split split, int64_t *bytes, struct error *e)
{
    struct measure one = {0};
    uint32_t token;
    enum status status = measure_init(corpus->vocab, &one, e);
    if (!status)
        status = corpus_read(corpus, split, 0, 1, &token, e);
    if (!status)
        measure_add(&one, &token, 1);
    *bytes = one.bytes;
    measure_release(&one);
    return status;
}

enum status measure_split(struct corpus *corpus, enum split split, int64_t first, struct text_measure *found,
                          struct error *e)
{
    struct measure measure = {0};
    int64_t skipped = 0;
    enum status status = measure_init(corpus->vocab, &measure, e);
    if (!status)
        status = add_split(corpus, split, first, &measure, e);
    if (!status && first > 0)
        status = first_bytes(corpus, split, &skipped, e);
    found->words = measure_words(&measure);
    if (corpus->labels)
        found->bytes = measure.unknown > 0 ? MEASURE_NOT_KNOWN : measure.bytes;
    else
        found->bytes = source_bytes(corpus, split);
    if (!corpus->labels && found->bytes > skipped)
        found->bytes -= skipped;
    measure_release(&measure);
    return status;
}
