/* The corpus file, version 2; version 1, without normal forms and grapheme clusters, is still written where these are
 * not needed, so that earlier programs read it. HDF5 in the plain subset of sys/h5.h.
 *
 *   /                 attributes: format = "unroll-corpus"; version = 1 or 2 (uint64); level = "char", "word",
 *                     "byte" or "grapheme"; normalise = "nfc", the form that the text was brought into, else absent;
 *                     unicode, the version of Unicode that form or graphemes are of, else absent; lowercase = 0 or 1
 * (uint64); markers = "strip" or "keep", what became of "<s>" and "</s>" of a text that held them, else absent; digest
 * = XXH3-128 over the lines "vocab DIGEST\n" and, for each split that is there, "SPLIT TOKENS DIGEST\n"; of a labelled
 * corpus, then "labels DIGEST\n" and "SPLIT TEXTS DIGEST DIGEST\n" (of offsets and labels) for each of those splits
 *   /vocab/bytes      uint8 [sum]: the V entries one after another, UTF-8 (raw bytes at byte level); entry 0 is "<unk>"
 *   /vocab/offsets    uint64 [V + 1]: where each begins
 *   /vocab/counts     uint64 [V]: occurrences in the training text
 *   /SPLIT/tokens     uint16 [tokens] if V < 65536, else uint32; SPLIT is train, valid, test, and may be absent
 *   /SPLIT/offsets    uint64 [texts + 1], only if the corpus is labelled: where each text begins in the tokens
 *   /SPLIT/labels     uint16 [texts]: the number of each text's label
 *   /labels/bytes, /labels/offsets, /labels/counts: the labels, as the vocabulary's entries; counts are training texts
 *   /SPLIT            attributes: unknowns (uint64); source_bytes (uint64) and source_xxh3_128 of the text it was
 *                     made from; stripped_bytes (uint64), those of markers that were left out, if there were any
 *
 * Every dataset has an attribute xxh3_128: the digest of its bytes in the file. */
#include "unroll/data/corpus.h"

#include <string.h>

#include "corpus_private.h"

#include "unroll/base/content.h"
#include "unroll/base/mem.h"

/* ---- opening ---- */

static enum status read_head(struct corpus_file *file, enum level *level, bool *lowercase, char digest[DIGEST_TEXT],
                             struct error *e)
{
    char format[32], level_text[16];
    uint64_t version, lower;
    if (h5_attr_string(file->h5, "/", "format", format, sizeof format, NULL) || strcmp(format, CORPUS_FORMAT) != 0)
        return error_set(e, STATUS_DATA,
                         "cannot use '%s' as a corpus: its format is not '%s'; name a file that 'unroll prepare' made",
                         file->name, CORPUS_FORMAT);
    enum status status = h5_attr_u64(file->h5, "/", "version", &version, e);
    if (!status && (version < 1 || version > CORPUS_VERSION))
        status = error_set(e, STATUS_DATA,
                           "cannot use corpus '%s': it is of version %llu and this program reads 1 to %d; "
                           "make it again with 'unroll prepare'",
                           file->name, (unsigned long long)version, CORPUS_VERSION);
    if (!status)
        status = h5_attr_string(file->h5, "/", "level", level_text, sizeof level_text, e);
    if (!status && level_parse(level_text, level, NULL))
        status = corpus_damaged(file, "level", "is none that Unroll knows", e);
    if (!status)
        status = h5_attr_u64(file->h5, "/", "lowercase", &lower, e);
    if (!status && lower > 1)
        status = corpus_damaged(file, "lowercase", "is neither 0 nor 1", e);
    if (!status)
        status = h5_attr_string(file->h5, "/", "digest", digest, DIGEST_TEXT, e);
    if (!status)
        *lowercase = lower == 1;
    return status;
}

static int is_name(void *context, const char *name, enum h5_attr type)
{
    (void)type;
    return strcmp(name, context) == 0;
}

static bool has_attr(const struct corpus_file *file, const char *name)
{
    return h5_each_attr(file->h5, "/", is_name, (void *)name) == 1;
}

/* Corpora of texts without markers, and those of earlier versions, have no such attribute. */
static enum status read_markers(const struct corpus_file *file, enum markers *markers, struct error *e)
{
    char text[8];
    *markers = MARKERS_REFUSE;
    if (!has_attr(file, "markers"))
        return STATUS_OK;
    if (!h5_attr_string(file->h5, "/", "markers", text, sizeof text, NULL) && markers_parse(text, markers) &&
        *markers != MARKERS_REFUSE)
        return STATUS_OK;
    return corpus_damaged(file, "markers", "is neither strip nor keep", e);
}

/* How the vocabulary's texts are brought into one form; only version 2 has these attributes. */
static enum status read_normal(const struct corpus_file *file, struct vocab *vocab, struct error *e)
{
    char text[8], unicode[VOCAB_UNICODE] = "";
    enum normal normal = NORMAL_NONE;
    if (has_attr(file, "normalise") &&
        (h5_attr_string(file->h5, "/", "normalise", text, sizeof text, NULL) || !normal_parse(text, &normal) ||
         normal == NORMAL_NONE || !level_kind(vocab->level)->utf8))
        return corpus_damaged(file, "normalise", "is no form that Unroll knows", e);
    enum status status = STATUS_OK;
    if (has_attr(file, "unicode"))
        status = h5_attr_string(file->h5, "/", "unicode", unicode, sizeof unicode, e);
    vocab_set_normal(vocab, normal, unicode);
    return status;
}

static enum status read_vocab(const struct corpus_file *file, enum level level, struct vocab **out, struct error *e)
{
    struct corpus_table table;
    struct error error = {0};
    enum status status = corpus_read_table(file, "/vocab", 1, VOCAB_MAX, VOCAB_BYTES_MAX, &table, e);
    if (status)
        return status;
    status = vocab_adopt(level, (int)table.size, table.bytes, table.offsets, table.counts, STATUS_DATA, out, &error);
    return status ? error_set(e, status, "cannot use corpus '%s': %.400s", file->name, error.text) : STATUS_OK;
}

static enum status read_split(struct corpus *corpus, enum split split, struct error *e)
{
    struct corpus_file *file = corpus->file;
    char path[CORPUS_PATH];
    uint64_t unknowns;
    if (!h5_exists(file->h5, corpus_path(path, split, "")))
        return STATUS_OK;
    enum status status = h5_attr_u64(file->h5, path, "unknowns", &unknowns, e);
    if (status)
        return status;
    corpus_path(path, split, "/tokens");
    status = corpus_check_part(file, path, file->type, 1, INT64_MAX / 8, &corpus->tokens[split], e);
    if (!status)
        status = h5_attr_string(file->h5, path, CORPUS_DIGEST, file->digest[split], DIGEST_TEXT, e);
    if (!status && unknowns > (uint64_t)corpus->tokens[split])
        status = corpus_damaged(file, path, "has fewer tokens than unknown ones", e);
    corpus->unknowns[split] = (int64_t)unknowns;
    return status;
}

static enum status read_corpus(struct corpus *corpus, struct error *e)
{
    struct corpus_file *file = corpus->file;
    enum level level = 0;
    char found[DIGEST_TEXT];
    enum status status = read_head(file, &level, &corpus->lowercase, corpus->digest, e);
    if (!status)
        status = read_markers(file, &corpus->markers, e);
    if (!status)
        status = read_vocab(file, level, &corpus->vocab, e);
    if (!status)
        status = read_normal(file, corpus->vocab, e);
    if (status)
        return status;
    file->type = corpus_token_type(corpus->vocab->size);
    for (int i = 0; i < SPLITS && !status; i++)
        status = read_split(corpus, (enum split)i, e);
    if (!status && h5_exists(file->h5, "/labels"))
        status = corpus_read_labels(corpus, e);
    if (status)
        return status;
    struct corpus_parts parts = {.vocab = corpus->vocab,
                                 .tokens = corpus->tokens,
                                 .digest = file->digest,
                                 .labels = corpus->labels,
                                 .texts = corpus->texts,
                                 .offsets_digest = file->offsets_digest,
                                 .labels_digest = file->labels_digest};
    corpus_digest(&parts, found);
    return strcmp(found, corpus->digest) == 0 ? STATUS_OK : corpus_damaged(file, "digest", "does not fit the parts", e);
}

/* The message where the file at `path` could not be opened as a corpus, with `status`. */
static enum status opened(enum status status, const char *path, const struct error *reason, struct error *e)
{
    if (status == STATUS_NOINPUT && strstr(reason->text, "No such file"))
        return error_set(e, status, "cannot open corpus '%s': no such file; run 'unroll prepare' first", path);
    return !status ? STATUS_OK : error_set(e, status, "%s", reason->text);
}

enum status corpus_open(const char *path, struct corpus **out, struct error *e)
{
    *out = NULL;
    struct h5 *h5 = NULL;
    struct error reason = {0};
    enum status status = opened(h5_open_plain(path, STATUS_DATA, &h5, &reason), path, &reason, e);
    if (!status)
        status = corpus_adopt(h5, path, out, e);
    return content_explain(path, WANTED_CORPUS, status, e);
}

enum status corpus_open_shared(const struct comm *comm, const char *path, struct corpus **out, struct error *e)
{
    bool first = comm->rank == 0;
    struct h5 *h5 = NULL;
    struct error reason = {0};
    enum status status = STATUS_OK;
    *out = NULL;
    if (first) {
        status = opened(h5_open_traced(path, STATUS_DATA, &h5, &reason), path, &reason, e);
        if (!status)
            status = corpus_adopt(h5, path, out, e);
        status = content_explain(path, WANTED_CORPUS, status, e);
    }
    status = comm_agree(comm, status, e);
    if (!status)
        status = h5_share(comm, path, STATUS_DATA, first ? (*out)->digest : "", &h5, e);
    if (!status)
        status = comm_agree(comm, first ? STATUS_OK : corpus_adopt(h5, path, out, e), e);
    if (!status) {
        h5_share_end(h5);
    } else {
        corpus_close(*out);
        *out = NULL;
    }
    return status;
}

enum status corpus_adopt(struct h5 *h5, const char *name, struct corpus **out, struct error *e)
{
    *out = NULL;
    struct corpus *corpus = mem_alloc(1, sizeof *corpus, "a corpus", e);
    struct corpus_file *file = corpus ? mem_alloc(1, sizeof *file, "a corpus", e) : NULL;
    if (!file) {
        mem_free(corpus);
        h5_close_read(h5);
        return STATUS_OS;
    }
    corpus->file = file;
    file->h5 = h5;
    file->name = mem_strdup(name, e);
    file->scratch = file->name ? mem_alloc(CORPUS_SCRATCH, sizeof *file->scratch, "a corpus", e) : NULL;
    enum status status = file->scratch ? read_corpus(corpus, e) : STATUS_OS;
    if (!status)
        *out = corpus;
    else
        corpus_close(corpus);
    return status;
}

void corpus_close(struct corpus *corpus)
{
    if (!corpus)
        return;
    struct corpus_file *file = corpus->file;
    h5_close_read(file->h5);
    mem_free(file->name);
    mem_free(file->scratch);
    mem_free(file);
    vocab_free(corpus->vocab);
    labels_free(corpus->labels);
    mem_free(corpus);
}

/* ---- tokens ---- */

static enum status check_ids(const struct corpus *corpus, const char *path, int64_t start, int64_t count,
                             const uint32_t *tokens, struct error *e)
{
    const struct corpus_file *file = corpus->file;
    uint32_t largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = tokens[i] > largest ? tokens[i] : largest;
    if (largest < (uint32_t)corpus->vocab->size)
        return STATUS_OK;
    return error_set(e, STATUS_DATA,
                     "cannot use corpus '%s': '%s' holds token %u at or after position %lld, but the "
                     "vocabulary has %d; make it again with 'unroll prepare'",
                     file->name, path, largest, (long long)start, corpus->vocab->size);
}

enum status corpus_read(struct corpus *corpus, enum split split, int64_t start, int64_t count, uint32_t *tokens,
                        struct error *e)
{
    struct corpus_file *file = corpus->file;
    char path[CORPUS_PATH];
    corpus_path(path, split, "/tokens");
    enum status status = STATUS_OK;
    if (file->type == H5_U32) {
        status = h5_read(file->h5, path, H5_U32, start, count, tokens, e);
    } else {
        for (int64_t done = 0, step; done < count && !status; done += step) {
            step = count - done < CORPUS_SCRATCH ? count - done : CORPUS_SCRATCH;
            status = h5_read(file->h5, path, H5_U16, start + done, step, file->scratch, e);
            for (int64_t i = 0; i < step && !status; i++)
                tokens[done + i] = file->scratch[i];
        }
    }
    return status ? status : check_ids(corpus, path, start, count, tokens, e);
}

enum status corpus_count(struct corpus *corpus, enum split split, uint64_t *counts, struct error *e)
{
    uint32_t *tokens = mem_alloc(CORPUS_SCRATCH, sizeof *tokens, "tokens to count", e);
    enum status status = tokens ? STATUS_OK : STATUS_OS;
    memset(counts, 0, (size_t)corpus->vocab->size * sizeof *counts);
    for (int64_t done = 0, step; done < corpus->tokens[split] && !status; done += step) {
        step = corpus->tokens[split] - done < CORPUS_SCRATCH ? corpus->tokens[split] - done : CORPUS_SCRATCH;
        status = corpus_read(corpus, split, done, step, tokens, e);
        for (int64_t i = 0; i < step && !status; i++)
            counts[tokens[i]]++;
    }
    mem_free(tokens);
    return status;
}

static enum status verify_split(struct corpus *corpus, enum split split, struct digest *digest, uint32_t *tokens,
                                struct error *e)
{
    struct corpus_file *file = corpus->file;
    char path[CORPUS_PATH], found[DIGEST_TEXT];
    int64_t unknowns = 0;
    corpus_path(path, split, "/tokens");
    for (int64_t done = 0, step; done < corpus->tokens[split]; done += step) {
        step = corpus->tokens[split] - done < CORPUS_SCRATCH ? corpus->tokens[split] - done : CORPUS_SCRATCH;
        enum status status = corpus_read(corpus, split, done, step, tokens, e);
        if (status)
            return status;
        if (file->type == H5_U16) /* still there from corpus_read, which takes no more than this at once */
            digest_add(digest, file->scratch, (size_t)step * sizeof *file->scratch);
        else
            digest_add(digest, tokens, (size_t)step * sizeof *tokens);
        for (int64_t i = 0; i < step; i++)
            unknowns += tokens[i] == VOCAB_UNK;
    }
    digest_text(digest, found);
    if (strcmp(found, file->digest[split]) != 0)
        return corpus_damaged(file, path, "does not match its digest", e);
    return unknowns == corpus->unknowns[split] ? STATUS_OK
                                               : corpus_damaged(file, path, "has another number of unknowns", e);
}

enum status corpus_verify(struct corpus *corpus, struct error *e)
{
    enum status status = STATUS_OK;
    uint32_t *tokens = mem_alloc(CORPUS_SCRATCH, sizeof *tokens, "tokens", e);
    if (!tokens)
        return STATUS_OS;
    for (int i = 0; i < SPLITS && !status; i++) {
        if (corpus->tokens[i] == 0)
            continue;
        struct digest *digest = digest_new(e);
        status = digest ? verify_split(corpus, (enum split)i, digest, tokens, e) : STATUS_OS;
        digest_free(digest);
        if (!status && corpus->labels)
            status = corpus_verify_texts(corpus, (enum split)i, e);
    }
    mem_free(tokens);
    return status;
}
