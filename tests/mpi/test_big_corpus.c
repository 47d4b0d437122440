/* A corpus is opened and streamed in pieces: one of 3 GB (a sparse file, all of it <unk>) takes no more memory and
 * no more reading than a small one, and each rank reads its own lanes alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/data/corpus_private.h"
#include "make_corpus.h"

#include "unroll/base/lane_share.h"
#include "unroll/data/stream.h"

#define WORDS 30
#define BIG ((int64_t)1500000000)
#define SMALL ((int64_t)4000000)
#define BATCH 64
#define BPTT 50
#define WINDOWS 100
#define ROOM ((double)(4 << 20)) /* HDF5's own, blocks that round up */

static int failed;

static void expect(int holds, const char *what, double got, double most)
{
    if (!holds) {
        fprintf(stderr, "test_big_corpus: %s: %.0f, expected at most %.0f\n", what, got, most);
        failed = 1;
    }
}

/* A number of a file of /proc, behind its name; in kilobytes for the memory. */
static double number_of(const char *file, const char *name)
{
    char line[256];
    double value = -1;
    FILE *stream = fopen(file, "r");
    while (stream && fgets(line, sizeof line, stream))
        if (strncmp(line, name, strlen(name)) == 0)
            value = atof(line + strlen(name));
    if (stream)
        (void)fclose(stream);
    return value;
}

static enum status put_array(struct h5 *h5, const char *path, enum h5_type type, int64_t count, const void *data,
                             struct error *e)
{
    char hex[DIGEST_TEXT];
    struct h5_shape shape = {type, 1, {count, 1}};
    enum status status = h5_make_dataset(h5, path, &shape, e);
    if (!status)
        status = h5_write(h5, path, type, 0, count, data, e);
    digest_of(data, (size_t)count * h5_type_size(type), hex);
    return status ? status : h5_set_string(h5, path, CORPUS_DIGEST, hex, e);
}

/* As corpus_writer would, but the tokens stay the hole that they are; their digest is made up: only `verify` reads
 * them. */
static enum status make_sparse(const char *path, int64_t tokens, struct error *e)
{
    char whole[DIGEST_TEXT], digest[SPLITS][DIGEST_TEXT] = {"0123456789abcdef0123456789abcdef"};
    int64_t counts[SPLITS] = {tokens, 0, 0}, offset;
    struct vocab *vocab = make_vocab(WORDS);
    struct corpus_parts parts = {.vocab = vocab, .tokens = counts, .digest = digest};
    struct h5_shape shape = {H5_U16, 1, {tokens, 1}};
    struct h5 *h5;
    corpus_digest(&parts, whole);
    CHECK(h5_create_serial(path, &h5, e) == STATUS_OK);
    CHECK(!h5_set_string(h5, "/", "format", CORPUS_FORMAT, e) && !h5_set_u64(h5, "/", "version", CORPUS_VERSION, e));
    CHECK(!h5_set_string(h5, "/", "level", "word", e) && !h5_set_u64(h5, "/", "lowercase", 0, e));
    CHECK(!h5_make_group(h5, "/vocab", e) && !h5_make_group(h5, "/train", e));
    CHECK(!put_array(h5, "/vocab/bytes", H5_U8, (int64_t)vocab->offsets[WORDS], vocab->bytes, e));
    CHECK(!put_array(h5, "/vocab/offsets", H5_U64, WORDS + 1, vocab->offsets, e));
    CHECK(!put_array(h5, "/vocab/counts", H5_U64, WORDS, vocab->counts, e));
    CHECK(!h5_reserve_dataset(h5, "/train/tokens", &shape, &offset, e));
    CHECK(!h5_set_string(h5, "/train/tokens", CORPUS_DIGEST, digest[0], e));
    CHECK(!h5_set_u64(h5, "/train", "unknowns", (uint64_t)tokens, e) && !h5_set_string(h5, "/", "digest", whole, e));
    vocab_free(vocab);
    return h5_close_write(h5, e);
}

struct cost {
    double memory, bytes; /* peak of the resident set over what was there before; bytes read */
};

/* Opens, runs the first windows of this rank's lanes, then the last ones. */
static struct cost walk(const struct comm *comm, const char *path)
{
    struct error e = {0};
    struct corpus *corpus = NULL;
    struct stream *stream = NULL;
    struct window window;
    struct lane_share share = lane_share_of(BATCH, BATCH, comm->size, comm->rank);
    int begin = share.lane_begin, end = share.lane_end;
    struct stream_config config = {
        .split = SPLIT_TRAIN, .batch = BATCH, .lane0 = begin, .lanes = end - begin, .bptt = BPTT};
    FILE *reset = fopen("/proc/self/clear_refs", "w"); /* 5: the peak is what there is now */
    if (reset) {
        (void)fputs("5", reset);
        (void)fclose(reset);
    }
    double memory = number_of("/proc/self/status", "VmHWM:"), bytes = number_of("/proc/self/io", "rchar:");
    CHECK(corpus_open(path, &corpus, &e) == STATUS_OK && stream_open(corpus, &config, &stream, &e) == STATUS_OK);
    for (int64_t i = 0; i < WINDOWS; i++)
        expect(stream_next(stream, &window, &e) == STATUS_OK && window.T == BPTT, "a window is missing", 0, 0);
    stream_seek(stream, stream_windows(stream) - 1);
    expect(stream_next(stream, &window, &e) == STATUS_OK && window.T > 0, "the last window is missing", 0, 0);
    struct cost cost = {1024 * (number_of("/proc/self/status", "VmHWM:") - memory),
                        number_of("/proc/self/io", "rchar:") - bytes};
    stream_close(stream);
    corpus_close(corpus);
    return cost;
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    char small[256], big[sizeof small + 4];
    if (comm_init(&comm, &e))
        return 1;
    const char *folder = getenv("TMPDIR");
    snprintf(small, sizeof small, "%s/test_big_corpus.%d", folder ? folder : "/tmp", (int)getpid());
    comm_broadcast(&comm, small, sizeof small, 0);
    snprintf(big, sizeof big, "%s.big", small);
    if (comm.rank == 0) {
        CHECK(make_sparse(small, SMALL, &e) == STATUS_OK && make_sparse(big, BIG, &e) == STATUS_OK);
        expect(number_of("/proc/self/status", "VmHWM:") < 1e6, "writing took memory", 0, 0);
    }
    comm_barrier(&comm);
    (void)walk(&comm, small); /* what is allocated once */
    struct cost of_small = walk(&comm, small), of_big = walk(&comm, big);
    struct stream_config config = {.batch = BATCH, .lanes = BATCH / comm.size + 1, .bptt = BPTT};
    double ahead = (double)stream_bytes(&config);
    expect(of_small.bytes > 0, "bytes read are not told", of_small.bytes, 0);
#if !defined __SANITIZE_ADDRESS__ /* it keeps what was freed */
    expect(of_big.memory <= ahead + ROOM, "memory of the big corpus", of_big.memory, ahead + ROOM);
#endif
    /* as far as it reads ahead, once at the beginning and once at the end, 2 bytes of 4 a token */
    expect(of_big.bytes <= ahead + 65536, "bytes read of the big corpus", of_big.bytes, ahead + 65536);
    expect(of_small.bytes <= ahead + 65536, "bytes read of the small corpus", of_small.bytes, ahead + 65536);
    comm_barrier(&comm);
    if (comm.rank == 0 && !getenv("UNROLL_TEST_KEEP")) {
        unlink(small);
        unlink(big);
    }
    failed = comm_max(&comm, failed) != 0;
    comm_finalize(&comm);
    return failed;
}
