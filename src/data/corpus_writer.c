#include "unroll/data/corpus_writer.h"

#include "corpus_private.h"

#include "unroll/base/mem.h"

#define PIECE ((size_t)1 << 18) /* tokens written at once */

struct corpus_writer {
    struct h5 *h5;
    const struct corpus_plan *plan;
    enum h5_type type;
    int64_t written[SPLITS], unknowns[SPLITS];
    struct digest *digest[SPLITS];
    char offsets_digest[SPLITS][DIGEST_TEXT], labels_digest[SPLITS][DIGEST_TEXT];
    uint16_t *narrow; /* [PIECE] */
};

static enum status write_part(struct h5 *h5, const char *path, enum h5_type type, int64_t count, const void *data,
                              char *hex, struct error *e)
{
    struct h5_shape shape = {type, 1, {count, 1}};
    enum status status = h5_make_dataset(h5, path, &shape, e);
    if (status == STATUS_OK)
        status = h5_write(h5, path, type, 0, count, data, e);
    digest_of(data, (size_t)count * h5_type_size(type), hex);
    return status == STATUS_OK ? h5_set_string(h5, path, CORPUS_DIGEST, hex, e) : status;
}

static enum status write_head(struct h5 *h5, const struct corpus_plan *plan, struct error *e)
{
    const struct vocab *vocab = plan->vocab;
    char hex[DIGEST_TEXT];
    enum status status = h5_set_string(h5, "/", "format", CORPUS_FORMAT, e);
    if (status == STATUS_OK)
        status = h5_set_u64(h5, "/", "version", CORPUS_VERSION, e);
    if (status == STATUS_OK)
        status = h5_set_string(h5, "/", "level", level_name(vocab->level), e);
    if (status == STATUS_OK)
        status = h5_set_u64(h5, "/", "lowercase", plan->lowercase, e);
    if (status == STATUS_OK)
        status = h5_make_group(h5, "/vocab", e);
    if (status == STATUS_OK)
        status = write_part(h5, "/vocab/bytes", H5_U8, (int64_t)vocab->offsets[vocab->size], vocab->bytes, hex, e);
    if (status == STATUS_OK)
        status = write_part(h5, "/vocab/offsets", H5_U64, (int64_t)vocab->size + 1, vocab->offsets, hex, e);
    if (status == STATUS_OK)
        status = write_part(h5, "/vocab/counts", H5_U64, vocab->size, vocab->counts, hex, e);
    const struct labels *labels = plan->labels;
    if (status == STATUS_OK && labels)
        status = h5_make_group(h5, "/labels", e);
    if (status == STATUS_OK && labels)
        status = write_part(h5, "/labels/bytes", H5_U8, (int64_t)labels->offsets[labels->count], labels->bytes, hex, e);
    if (status == STATUS_OK && labels)
        status = write_part(h5, "/labels/offsets", H5_U64, (int64_t)labels->count + 1, labels->offsets, hex, e);
    if (status == STATUS_OK && labels)
        status = write_part(h5, "/labels/counts", H5_U64, labels->count, labels->counts, hex, e);
    return status;
}

static enum status make_split(struct corpus_writer *writer, enum split split, struct error *e)
{
    char path[CORPUS_PATH];
    struct h5_shape shape = {writer->type, 1, {writer->plan->tokens[split], 1}};
    enum status status = h5_make_group(writer->h5, corpus_path(path, split, ""), e);
    if (status == STATUS_OK)
        status = h5_make_dataset(writer->h5, corpus_path(path, split, "/tokens"), &shape, e);
    if (status != STATUS_OK)
        return status;
    if (writer->plan->labels) {
        const struct corpus_plan *plan = writer->plan;
        status = write_part(writer->h5, corpus_path(path, split, "/offsets"), H5_U64, plan->texts[split] + 1,
                            plan->offsets[split], writer->offsets_digest[split], e);
        if (status == STATUS_OK)
            status = write_part(writer->h5, corpus_path(path, split, "/labels"), H5_U16, plan->texts[split],
                                plan->text_label[split], writer->labels_digest[split], e);
        if (status != STATUS_OK)
            return status;
    }
    writer->digest[split] = digest_new(e);
    return writer->digest[split] ? STATUS_OK : STATUS_OS;
}

enum status corpus_writer_open(const char *path, const struct corpus_plan *plan, struct corpus_writer **out,
                               struct error *e)
{
    *out = NULL;
    struct corpus_writer *writer = mem_alloc(1, sizeof *writer, "a corpus", e);
    if (!writer)
        return STATUS_OS;
    writer->plan = plan;
    writer->type = corpus_token_type(plan->vocab->size);
    writer->narrow = mem_alloc(PIECE, sizeof *writer->narrow, "tokens", e);
    enum status status = writer->narrow ? h5_create_serial(path, &writer->h5, e) : STATUS_OS;
    if (status == STATUS_OK)
        status = write_head(writer->h5, plan, e);
    for (int i = 0; i < SPLITS && status == STATUS_OK; i++)
        if (plan->tokens[i] > 0)
            status = make_split(writer, (enum split)i, e);
    if (status == STATUS_OK)
        *out = writer;
    else
        corpus_writer_discard(writer);
    return status;
}

void corpus_writer_discard(struct corpus_writer *writer)
{
    if (!writer)
        return;
    if (writer->h5)
        (void)h5_close_write(writer->h5, NULL);
    for (int i = 0; i < SPLITS; i++)
        digest_free(writer->digest[i]);
    mem_free(writer->narrow);
    mem_free(writer);
}

static enum status source_changed(enum split split, struct error *e)
{
    return error_set(e, STATUS_IO, "the text of split '%s' changed while it was read; try again when it is complete",
                     split_name(split));
}

enum status corpus_writer_add(struct corpus_writer *writer, enum split split, const uint32_t *tokens, size_t count,
                              struct error *e)
{
    char path[CORPUS_PATH];
    corpus_path(path, split, "/tokens");
    if ((int64_t)count > writer->plan->tokens[split] - writer->written[split])
        return source_changed(split, e);
    for (size_t done = 0, step; done < count; done += step) {
        step = count - done < PIECE ? count - done : PIECE;
        const void *data = tokens + done;
        for (size_t i = 0; i < step; i++) {
            writer->unknowns[split] += tokens[done + i] == VOCAB_UNK;
            writer->narrow[i] = (uint16_t)tokens[done + i];
        }
        if (writer->type == H5_U16)
            data = writer->narrow;
        digest_add(writer->digest[split], data, step * h5_type_size(writer->type));
        enum status status = h5_write(writer->h5, path, writer->type, writer->written[split], (int64_t)step, data, e);
        if (status != STATUS_OK)
            return status;
        writer->written[split] += (int64_t)step;
    }
    return STATUS_OK;
}

static enum status finish_split(struct corpus_writer *writer, enum split split, char hex[DIGEST_TEXT], struct error *e)
{
    char path[CORPUS_PATH];
    if (writer->written[split] != writer->plan->tokens[split])
        return source_changed(split, e);
    digest_text(writer->digest[split], hex);
    enum status status = h5_set_string(writer->h5, corpus_path(path, split, "/tokens"), CORPUS_DIGEST, hex, e);
    corpus_path(path, split, "");
    if (status == STATUS_OK)
        status = h5_set_u64(writer->h5, path, "unknowns", (uint64_t)writer->unknowns[split], e);
    if (status == STATUS_OK)
        status = h5_set_u64(writer->h5, path, "source_bytes", (uint64_t)writer->plan->source_bytes[split], e);
    if (status == STATUS_OK)
        status = h5_set_string(writer->h5, path, "source_xxh3_128", writer->plan->source_digest[split], e);
    return status;
}

enum status corpus_writer_close(struct corpus_writer *writer, int64_t *unknowns, char digest[DIGEST_TEXT],
                                struct error *e)
{
    char splits[SPLITS][DIGEST_TEXT], whole[DIGEST_TEXT];
    enum status status = STATUS_OK;
    for (int i = 0; i < SPLITS && status == STATUS_OK; i++) {
        if (writer->plan->tokens[i] > 0)
            status = finish_split(writer, (enum split)i, splits[i], e);
        if (unknowns)
            unknowns[i] = writer->unknowns[i];
    }
    if (status == STATUS_OK) {
        struct corpus_parts parts = {.vocab = writer->plan->vocab,
                                     .tokens = writer->plan->tokens,
                                     .digest = splits,
                                     .labels = writer->plan->labels,
                                     .texts = writer->plan->texts,
                                     .offsets_digest = writer->offsets_digest,
                                     .labels_digest = writer->labels_digest};
        corpus_digest(&parts, whole);
        if (digest)
            snprintf(digest, DIGEST_TEXT, "%s", whole);
        status = h5_set_string(writer->h5, "/", "digest", whole, e);
    }
    if (status == STATUS_OK) {
        status = h5_close_write(writer->h5, e);
        writer->h5 = NULL;
    }
    corpus_writer_discard(writer);
    return status;
}
