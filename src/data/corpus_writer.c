/* Writes a corpus file: its structure on rank 0, its tokens on every rank. */
#include "unroll/data/corpus_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "corpus_private.h"
#include "relay.h"

#include "unroll/base/file.h"
#include "unroll/base/mem.h"

#define PIECE ((size_t)1 << 18) /* tokens written at once */

struct corpus_writer {
    const struct comm *comm;
    const char *path;
    const struct corpus_plan *plan;
    struct corpus_share share;
    struct h5 *h5; /* rank 0 */
    int fd;        /* for tokens */
    enum h5_type type;
    int64_t place[SPLITS];   /* of the tokens in the file, in bytes */
    int64_t written[SPLITS]; /* up to here, from share.begin on */
    int64_t unknowns[SPLITS];
    struct digest *digest[SPLITS]; /* rank 0: of the tokens it wrote */
    char offsets_digest[SPLITS][DIGEST_TEXT], labels_digest[SPLITS][DIGEST_TEXT];
    uint16_t *narrow; /* [PIECE] */
};

static enum status write_part(struct h5 *h5, const char *path, enum h5_type type, int64_t count, const void *data,
                              char *hex, struct error *e)
{
    struct h5_shape shape = {type, 1, {count, 1}};
    enum status status = h5_make_dataset(h5, path, &shape, e);
    if (!status)
        status = h5_write(h5, path, type, 0, count, data, e);
    digest_of(data, (size_t)count * h5_type_size(type), hex);
    return status ? status : h5_set_string(h5, path, CORPUS_DIGEST, hex, e);
}

static enum status write_head(struct h5 *h5, const struct corpus_plan *plan, struct error *e)
{
    const struct vocab *vocab = plan->vocab;
    char hex[DIGEST_TEXT];
    enum status status = h5_set_string(h5, "/", "format", CORPUS_FORMAT, e);
    if (!status)
        status = h5_set_u64(h5, "/", "version", vocab_is_new(vocab) ? CORPUS_VERSION : 1, e);
    if (!status)
        status = h5_set_string(h5, "/", "level", level_name(vocab->level), e);
    if (!status)
        status = h5_set_u64(h5, "/", "lowercase", plan->lowercase, e);
    if (!status && vocab->normal != NORMAL_NONE)
        status = h5_set_string(h5, "/", "normalise", normal_name(vocab->normal), e);
    if (!status && *vocab->unicode)
        status = h5_set_string(h5, "/", "unicode", vocab->unicode, e);
    if (!status && plan->markers != MARKERS_REFUSE)
        status = h5_set_string(h5, "/", "markers", markers_name(plan->markers), e);
    if (!status)
        status = h5_make_group(h5, "/vocab", e);
    if (!status)
        status = write_part(h5, "/vocab/bytes", H5_U8, (int64_t)vocab->offsets[vocab->size], vocab->bytes, hex, e);
    if (!status)
        status = write_part(h5, "/vocab/offsets", H5_U64, (int64_t)vocab->size + 1, vocab->offsets, hex, e);
    if (!status)
        status = write_part(h5, "/vocab/counts", H5_U64, vocab->size, vocab->counts, hex, e);
    const struct labels *labels = plan->labels;
    if (!status && labels)
        status = h5_make_group(h5, "/labels", e);
    if (!status && labels)
        status = write_part(h5, "/labels/bytes", H5_U8, (int64_t)labels->offsets[labels->count], labels->bytes, hex, e);
    if (!status && labels)
        status = write_part(h5, "/labels/offsets", H5_U64, (int64_t)labels->count + 1, labels->offsets, hex, e);
    if (!status && labels)
        status = write_part(h5, "/labels/counts", H5_U64, labels->count, labels->counts, hex, e);
    return status;
}

static enum status make_split(struct corpus_writer *writer, enum split split, struct error *e)
{
    char path[CORPUS_PATH];
    const struct corpus_plan *plan = writer->plan;
    struct h5_shape shape = {writer->type, 1, {plan->tokens[split], 1}};
    enum status status = h5_make_group(writer->h5, corpus_path(path, split, ""), e);
    if (!status)
        status = h5_reserve_dataset(writer->h5, corpus_path(path, split, "/tokens"), &shape, &writer->place[split], e);
    if (!status && plan->labels)
        status = write_part(writer->h5, corpus_path(path, split, "/offsets"), H5_U64, plan->texts[split] + 1,
                            plan->offsets[split], writer->offsets_digest[split], e);
    if (!status && plan->labels)
        status = write_part(writer->h5, corpus_path(path, split, "/labels"), H5_U16, plan->texts[split],
                            plan->text_label[split], writer->labels_digest[split], e);
    return status;
}

static enum status make_file(struct corpus_writer *writer, struct error *e)
{
    enum status status = h5_create_serial(writer->path, &writer->h5, e);
    if (!status)
        status = write_head(writer->h5, writer->plan, e);
    for (int i = 0; i < SPLITS && !status; i++)
        if (writer->plan->tokens[i] > 0)
            status = make_split(writer, (enum split)i, e);
    return status;
}

/* Not collective. */
static enum status make_writer(struct corpus_writer *writer, struct error *e)
{
    for (int i = 0; i < SPLITS; i++) {
        writer->digest[i] = digest_new(e);
        if (!writer->digest[i])
            return STATUS_OS;
    }
    writer->narrow = mem_alloc(PIECE, sizeof *writer->narrow, "tokens", e);
    if (!writer->narrow)
        return STATUS_OS;
    return writer->comm->rank == 0 ? make_file(writer, e) : STATUS_OK;
}

/* Not collective; the file is there. */
static enum status open_for_tokens(struct corpus_writer *writer, struct error *e)
{
    writer->fd = file_open(writer->path, O_RDWR | O_NOFOLLOW, 0);
    if (writer->fd >= 0)
        return STATUS_OK;
    return error_set(
        e, STATUS_CANTCREATE,
        "cannot open '%s' on rank %d: %s; write to a folder that all hosts share, and check its permissions",
        writer->path, writer->comm->rank, strerror(errno));
}

enum status corpus_writer_open_shared(const struct comm *comm, const char *path, const struct corpus_plan *plan,
                                      const struct corpus_share *share, struct corpus_writer **out, struct error *e)
{
    *out = NULL;
    struct corpus_writer *writer = mem_alloc(1, sizeof *writer, "a corpus", e);
    if (writer) {
        *writer = (struct corpus_writer){.comm = comm, .path = path, .plan = plan, .share = *share, .fd = -1};
        writer->type = corpus_token_type(plan->vocab->size);
    }
    enum status status = comm_agree(comm, writer ? make_writer(writer, e) : STATUS_OS, e);
    if (!status) {
        comm_broadcast(comm, writer->place, sizeof writer->place, 0);
        status = comm_agree(comm, open_for_tokens(writer, e), e);
    }
    if (!status)
        *out = writer;
    else
        corpus_writer_discard(writer);
    return status;
}

enum status corpus_writer_open(const char *path, const struct corpus_plan *plan, struct corpus_writer **out,
                               struct error *e)
{
    static const struct comm alone = COMM_ALONE; /* the writer keeps its place */
    struct corpus_share whole = {{0}, {0}};
    memcpy(whole.end, plan->tokens, sizeof whole.end);
    return corpus_writer_open_shared(&alone, path, plan, &whole, out, e);
}

void corpus_writer_discard(struct corpus_writer *writer)
{
    if (!writer)
        return;
    if (writer->h5)
        (void)h5_close_write(writer->h5, NULL);
    if (writer->fd >= 0)
        (void)close(writer->fd);
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

/* Byte position in the file of token `index` of a split. */
static int64_t place_of(const struct corpus_writer *writer, enum split split, int64_t index)
{
    return writer->place[split] + index * (int64_t)h5_type_size(writer->type);
}

enum status corpus_writer_add(struct corpus_writer *writer, enum split split, const uint32_t *tokens, size_t count,
                              struct error *e)
{
    if ((int64_t)count > writer->share.end[split] - writer->share.begin[split] - writer->written[split])
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
        if (writer->comm->rank == 0)
            digest_add(writer->digest[split], data, step * h5_type_size(writer->type));
        int64_t place = place_of(writer, split, writer->share.begin[split] + writer->written[split]);
        enum status status = file_write_at(writer->fd, writer->path, data, step * h5_type_size(writer->type), place, e);
        if (status)
            return status;
        writer->written[split] += (int64_t)step;
    }
    return STATUS_OK;
}

/* On a rank after the first: reads back what this rank has written, and adds it to the digest. */
static enum status add_written(void *context, int split, struct digest *digest, struct error *e)
{
    struct corpus_writer *writer = context;
    size_t room = PIECE * sizeof *writer->narrow;
    int64_t at = place_of(writer, (enum split)split, writer->share.begin[split]);
    int64_t end = place_of(writer, (enum split)split, writer->share.end[split]);
    while (at < end) {
        ssize_t have = pread(writer->fd, writer->narrow, end - at < (int64_t)room ? (size_t)(end - at) : room, at);
        if (have < 0 && errno == EINTR)
            continue;
        if (have <= 0)
            return error_set(e, STATUS_IO, "cannot read back '%s': %s; check the disk", writer->path,
                             have < 0 ? strerror(errno) : "it is shorter than what was written");
        digest_add(digest, writer->narrow, (size_t)have);
        at += have;
    }
    return STATUS_OK;
}

static enum status check_written(const struct corpus_writer *writer, struct error *e)
{
    for (int i = 0; i < SPLITS; i++)
        if (writer->written[i] != writer->share.end[i] - writer->share.begin[i])
            return source_changed((enum split)i, e);
    /* rank 0 is on the host of the caller, who syncs the whole */
    return writer->comm->rank == 0 ? STATUS_OK : file_sync(writer->fd, writer->path, e);
}

static enum status finish_split(struct corpus_writer *writer, enum split split, const char *hex, struct error *e)
{
    char path[CORPUS_PATH];
    enum status status = h5_set_string(writer->h5, corpus_path(path, split, "/tokens"), CORPUS_DIGEST, hex, e);
    corpus_path(path, split, "");
    if (!status)
        status = h5_set_u64(writer->h5, path, "unknowns", (uint64_t)writer->unknowns[split], e);
    if (!status)
        status = h5_set_u64(writer->h5, path, "source_bytes", (uint64_t)writer->plan->source_bytes[split], e);
    if (!status)
        status = h5_set_string(writer->h5, path, "source_xxh3_128", writer->plan->source_digest[split], e);
    if (!status && writer->plan->stripped_bytes[split] > 0)
        status = h5_set_u64(writer->h5, path, "stripped_bytes", (uint64_t)writer->plan->stripped_bytes[split], e);
    return status;
}

/* Rank 0. */
static enum status finish_file(struct corpus_writer *writer, char splits[SPLITS][DIGEST_TEXT], const char *whole,
                               struct error *e)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < SPLITS && !status; i++)
        if (writer->plan->tokens[i] > 0)
            status = finish_split(writer, (enum split)i, splits[i], e);
    if (!status)
        status = h5_set_string(writer->h5, "/", "digest", whole, e);
    if (!status) {
        status = h5_close_write(writer->h5, e);
        writer->h5 = NULL;
    }
    return status;
}

enum status corpus_writer_close(struct corpus_writer *writer, int64_t *unknowns, char digest[DIGEST_TEXT],
                                struct error *e)
{
    char splits[SPLITS][DIGEST_TEXT], whole[DIGEST_TEXT] = "";
    const struct comm *comm = writer->comm;
    enum status status = comm_agree(comm, check_written(writer, e), e);
    if (!status)
        status = digest_relay(comm, SPLITS, writer->digest, add_written, writer, splits, e);
    if (!status) {
        for (int i = 0; i < SPLITS; i++)
            writer->unknowns[i] = comm_sum(comm, writer->unknowns[i]);
        if (unknowns)
            memcpy(unknowns, writer->unknowns, sizeof writer->unknowns);
        struct corpus_parts parts = {.vocab = writer->plan->vocab,
                                     .tokens = writer->plan->tokens,
                                     .digest = splits,
                                     .labels = writer->plan->labels,
                                     .texts = writer->plan->texts,
                                     .offsets_digest = writer->offsets_digest,
                                     .labels_digest = writer->labels_digest};
        corpus_digest(&parts, whole);
        if (digest)
            memcpy(digest, whole, DIGEST_TEXT);
        status = comm_agree(comm, comm->rank == 0 ? finish_file(writer, splits, whole, e) : STATUS_OK, e);
    }
    corpus_writer_discard(writer);
    return status;
}
