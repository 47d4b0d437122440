/* Checks and finds entries of a vocabulary, and gives every rank a copy. */
#include "unroll/data/vocab.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/digest.h"
#include "unroll/base/mem.h"
#include "unroll/data/text_index.h"
#include "unroll/data/utf8.h"

/* NULL, or what is wrong with entry `i`. */
static const char *entry_fault(const struct vocab *vocab, int i)
{
    uint64_t begin = vocab->offsets[i], end = vocab->offsets[i + 1];
    if (end <= begin || end - begin > VOCAB_ENTRY_MAX || end > vocab->offsets[vocab->size])
        return "is empty, too long or out of order";
    const char *text = vocab->bytes + begin;
    size_t length = (size_t)(end - begin);
    if (i == VOCAB_UNK)
        return length == strlen(VOCAB_UNK_WORD) && memcmp(text, VOCAB_UNK_WORD, length) == 0 ? NULL : "is not '<unk>'";
    const struct level_kind *kind = level_kind(vocab->level);
    if (kind->utf8 && utf8_valid(text, length) != length)
        return "is not UTF-8";
    return kind->fault(text, length);
}

static enum status check_and_index(struct vocab *vocab, struct text_index *index, enum status damaged,
                                   struct vocab_fault *found, struct error *e)
{
    if (vocab->size < 1 || vocab->size > VOCAB_MAX || vocab->offsets[0] != 0)
        return error_set(e, damaged, "vocabulary of '%d' entries is not usable; it should have 1 to %d, from offset 0",
                         vocab->size, VOCAB_MAX);
    enum status status = text_index_reserve(index, (size_t)vocab->size, e);
    for (int i = 0; !status && i < vocab->size; i++) {
        const char *fault = entry_fault(vocab, i);
        const char *text = vocab->bytes + vocab->offsets[i];
        size_t length = (size_t)(vocab->offsets[i + 1] - vocab->offsets[i]);
        uint32_t hash = fault ? 0 : text_hash(text, length);
        if (!fault && text_index_find(index, vocab->bytes, vocab->offsets, text, length, hash) != TEXT_INDEX_NONE)
            fault = "is there twice";
        if (fault) {
            *found = (struct vocab_fault){fault, i};
            return damaged;
        }
        status = text_index_add(index, hash, (uint32_t)i, e);
    }
    return status;
}

static enum status adopt(enum level level, int size, char *bytes, uint64_t *offsets, uint64_t *counts,
                         enum status damaged, struct vocab_fault *fault, struct vocab **out, struct error *e)
{
    *out = NULL;
    *fault = (struct vocab_fault){NULL, 0};
    struct vocab *vocab = mem_alloc(1, sizeof *vocab, "a vocabulary", e);
    struct text_index *index = vocab ? mem_alloc(1, sizeof *index, "a vocabulary", e) : NULL;
    if (!index) {
        mem_free(vocab);
        mem_free(bytes);
        mem_free(offsets);
        mem_free(counts);
        return STATUS_OS;
    }
    *vocab = (struct vocab){
        .level = level, .size = size, .bytes = bytes, .offsets = offsets, .counts = counts, .eos = -1, .index = index};
    vocab_set_normal(vocab, NORMAL_NONE, NULL);
    enum status status = check_and_index(vocab, index, damaged, fault, e);
    if (status) {
        vocab_free(vocab);
        return status;
    }
    const char *line_end = level_kind(level)->line_end;
    uint32_t eos = vocab_find(vocab, line_end, strlen(line_end));
    if (eos != VOCAB_UNK)
        vocab->eos = (int)eos;
    *out = vocab;
    return STATUS_OK;
}

enum status vocab_adopt(enum level level, int size, char *bytes, uint64_t *offsets, uint64_t *counts,
                        enum status damaged, struct vocab **out, struct error *e)
{
    struct vocab_fault fault;
    enum status status = adopt(level, size, bytes, offsets, counts, damaged, &fault, out, e);
    if (fault.what)
        return error_set(e, damaged, "vocabulary entry '%d' %s; the file is damaged", fault.entry, fault.what);
    return status;
}

enum status vocab_adopt_text(enum level level, int size, char *bytes, uint64_t *offsets, uint64_t *counts,
                             struct vocab_fault *fault, struct vocab **out, struct error *e)
{
    return adopt(level, size, bytes, offsets, counts, STATUS_DATA, fault, out, e);
}

enum status vocab_copy(const struct vocab *from, struct vocab **out, struct error *e)
{
    size_t V = (size_t)from->size, bytes = (size_t)from->offsets[V];
    char *text = mem_alloc(bytes, 1, "a vocabulary", e);
    uint64_t *offsets = mem_alloc(V + 1, sizeof *offsets, "a vocabulary", e);
    uint64_t *counts = mem_alloc(V, sizeof *counts, "a vocabulary", e);
    *out = NULL;
    if (!text || !offsets || !counts) {
        mem_free(text);
        mem_free(offsets);
        mem_free(counts);
        return STATUS_OS;
    }
    memcpy(text, from->bytes, bytes);
    memcpy(offsets, from->offsets, (V + 1) * sizeof *offsets);
    memcpy(counts, from->counts, V * sizeof *counts);
    enum status status = vocab_adopt(from->level, from->size, text, offsets, counts, STATUS_DATA, out, e);
    if (!status)
        vocab_set_normal(*out, from->normal, from->unicode);
    return status;
}

enum status vocab_broadcast(const struct comm *comm, struct vocab **vocab, struct error *e)
{
    struct {
        uint64_t level, normal, size, bytes;
        char unicode[VOCAB_UNICODE];
    } head = {0};
    bool first = comm->rank == 0;
    if (first) {
        head.level = (uint64_t)(*vocab)->level;
        head.normal = (uint64_t)(*vocab)->normal;
        memcpy(head.unicode, (*vocab)->unicode, sizeof head.unicode);
        head.size = (uint64_t)(*vocab)->size;
        head.bytes = (*vocab)->offsets[(*vocab)->size];
    }
    comm_broadcast(comm, &head, sizeof head, 0);
    char *bytes = first ? (*vocab)->bytes : mem_alloc((size_t)head.bytes, 1, "a vocabulary", e);
    uint64_t *offsets =
        first ? (*vocab)->offsets : mem_alloc((size_t)head.size + 1, sizeof *offsets, "a vocabulary", e);
    uint64_t *counts = first ? (*vocab)->counts : mem_alloc((size_t)head.size, sizeof *counts, "a vocabulary", e);
    enum status status = comm_agree(comm, bytes && offsets && counts ? STATUS_OK : STATUS_OS, e);
    if (!status) {
        comm_broadcast(comm, bytes, (size_t)head.bytes, 0);
        comm_broadcast(comm, offsets, ((size_t)head.size + 1) * sizeof *offsets, 0);
        comm_broadcast(comm, counts, (size_t)head.size * sizeof *counts, 0);
    } else if (!first) {
        mem_free(bytes);
        mem_free(offsets);
        mem_free(counts);
    }
    if (status)
        return status;
    if (!first)
        status = vocab_adopt((enum level)head.level, (int)head.size, bytes, offsets, counts, STATUS_INTERNAL, vocab, e);
    if (!first && !status)
        vocab_set_normal(*vocab, (enum normal)head.normal, head.unicode);
    status = comm_agree(comm, status, e);
    if (status && !first) {
        vocab_free(*vocab);
        *vocab = NULL;
    }
    return status;
}

void vocab_set_normal(struct vocab *vocab, enum normal normal, const char *unicode)
{
    vocab->normal = normal;
    memset(vocab->unicode, 0, sizeof vocab->unicode);
    if (vocab_is_new(vocab))
        snprintf(vocab->unicode, sizeof vocab->unicode, "%s", unicode ? unicode : utf8_unicode());
}

bool vocab_is_new(const struct vocab *vocab)
{
    return level_kind(vocab->level)->version > 1 || vocab->normal != NORMAL_NONE;
}

const char *vocab_kind(const struct vocab *vocab, char text[VOCAB_KIND])
{
    bool none = vocab->normal == NORMAL_NONE;
    snprintf(text, VOCAB_KIND, "%s%s%s", level_name(vocab->level), none ? "" : " ",
             none ? "" : normal_name(vocab->normal));
    return text;
}

void vocab_free(struct vocab *vocab)
{
    if (!vocab)
        return;
    if (vocab->index)
        text_index_release(vocab->index);
    mem_free(vocab->index);
    mem_free(vocab->bytes);
    mem_free(vocab->offsets);
    mem_free(vocab->counts);
    mem_free(vocab);
}

bool vocab_has_counts(const struct vocab *vocab)
{
    for (int token = 0; token < vocab->size; token++)
        if (vocab->counts[token] > 0)
            return true;
    return false;
}

uint32_t vocab_find(const struct vocab *vocab, const char *text, size_t length)
{
    uint32_t token = text_index_find(vocab->index, vocab->bytes, vocab->offsets, text, length, text_hash(text, length));
    return token == TEXT_INDEX_NONE ? VOCAB_UNK : token;
}

const char *vocab_text(const struct vocab *vocab, uint32_t token, size_t *length)
{
    CHECK(token < (uint32_t)vocab->size);
    *length = (size_t)(vocab->offsets[token + 1] - vocab->offsets[token]);
    return vocab->bytes + vocab->offsets[token];
}

void vocab_digest(const struct vocab *vocab, char hex[DIGEST_TEXT])
{
    /* One digest of three: no state to allocate, so that this cannot fail. */
    char parts[3][DIGEST_TEXT], text[VOCAB_KIND];
    const char *kind = vocab_kind(vocab, text);
    digest_of(kind, strlen(kind), parts[0]);
    digest_of(vocab->bytes, (size_t)vocab->offsets[vocab->size], parts[1]);
    digest_of(vocab->offsets, ((size_t)vocab->size + 1) * sizeof *vocab->offsets, parts[2]);
    digest_of(parts, sizeof parts, hex);
}
