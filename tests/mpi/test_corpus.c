/* All ranks open one corpus: rank 0 reads what opening needs, the others hardly anything, and all see the same. A
 * rank that finds another file, or none, ends the opening on all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/data/corpus_private.h"
#include "make_corpus.h"

#define V 40
#define READS_BEHIND 4 /* the digest; what the test reads of /proc itself */

static const int64_t lengths[SPLITS] = {3000, 500, 400}, other_lengths[SPLITS] = {3000, 400, 500};
static int failed;

static void expect(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "test_corpus: %s\n", what);
        failed = 1;
    }
}

/* System calls that have read something in this process; -1 if the system does not tell. */
static long reads_so_far(void)
{
    char line[128];
    long reads = -1;
    FILE *io = fopen("/proc/self/io", "r");
    while (io && fgets(line, sizeof line, io))
        if (sscanf(line, "syscr: %ld", &reads) == 1)
            break;
    if (io)
        (void)fclose(io);
    return reads;
}

static void same_everywhere(const struct comm *comm, const char *path)
{
    struct error e = {0};
    struct corpus *shared = NULL, *own = NULL;
    long before = reads_so_far();
    expect(corpus_open_shared(comm, path, &shared, &e) == STATUS_OK, e.text);
    long reads = reads_so_far() - before;
    expect(before < 0 || comm->rank == 0 || reads <= READS_BEHIND, "a rank behind the first reads for itself");
    expect(corpus_open(path, &own, &e) == STATUS_OK, e.text);
    if (!shared || !own)
        return;
    char digest[2][DIGEST_TEXT];
    vocab_digest(shared->vocab, digest[0]);
    vocab_digest(own->vocab, digest[1]);
    expect(!strcmp(digest[0], digest[1]) && !strcmp(shared->digest, own->digest), "another corpus than when alone");
    for (int split = 0; split < SPLITS; split++) {
        uint32_t tokens[100];
        int64_t start = lengths[split] - 100;
        expect(shared->tokens[split] == lengths[split], "another number of tokens");
        expect(corpus_read(shared, (enum split)split, start, 100, tokens, &e) == STATUS_OK, e.text);
        for (int i = 0; i < 100; i++)
            expect(tokens[i] == made_token(V, (enum split)split, start + i), "another token");
    }
    expect(corpus_verify(shared, &e) == STATUS_OK, e.text);
    corpus_close(shared);
    corpus_close(own);
}

/* The last rank has another path than the others. */
static void refused(const struct comm *comm, const char *path, const char *last, enum status status, const char *reason)
{
    struct error e = {0};
    struct corpus *corpus = NULL;
    bool is_last = comm->rank == comm->size - 1;
    expect(corpus_open_shared(comm, is_last ? last : path, &corpus, &e) == status,
           "not refused, or for something else");
    expect(strstr(e.text, reason) != NULL, e.text);
    expect(!corpus, "a refused corpus is open");
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    char path[256], other[sizeof path + 8], cut[sizeof path + 8], absent[sizeof path + 8], rank[32];
    if (comm_init(&comm, &e))
        return 1;
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/test_corpus.%d.h5", folder ? folder : "/tmp", (int)getpid());
    comm_broadcast(&comm, path, sizeof path, 0);
    snprintf(other, sizeof other, "%s.other", path);
    snprintf(cut, sizeof cut, "%s.cut", path);
    snprintf(absent, sizeof absent, "%s.absent", path);
    if (comm.rank == 0) {
        expect(make_corpus(path, V, lengths, &e) == STATUS_OK &&
                   make_corpus(other, V, other_lengths, &e) == STATUS_OK &&
                   make_corpus(cut, V, lengths, &e) == STATUS_OK,
               e.text);
        expect(truncate(cut, 4000) == 0, "the copy cannot be cut off");
    }
    comm_barrier(&comm);
    same_everywhere(&comm, path);
    if (comm.size > 1) {
        snprintf(rank, sizeof rank, "files differ: rank %d", comm.size - 1);
        refused(&comm, path, other, STATUS_DATA, rank); /* of the same size */
        refused(&comm, path, cut, STATUS_DATA, rank);
        refused(&comm, path, absent, STATUS_NOINPUT, absent);
    }
    refused(&comm, comm.rank == 0 ? cut : path, comm.size > 1 ? path : cut, STATUS_DATA, cut);
    refused(&comm, comm.rank == 0 ? absent : path, comm.size > 1 ? path : absent, STATUS_NOINPUT, "unroll prepare");
    same_everywhere(&comm, path);

    comm_barrier(&comm);
    if (comm.rank == 0) {
        unlink(path);
        unlink(other);
        unlink(cut);
    }
    failed = comm_max(&comm, failed) != 0;
    comm_finalize(&comm);
    return failed;
}
