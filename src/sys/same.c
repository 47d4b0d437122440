/* Compares a file between ranks: by inode, size and times, or else by digest. */
#include "unroll/sys/same.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"

#define PIECE ((size_t)4 << 20)

enum status same_digest(const struct comm *comm, const char *path, const char digest[DIGEST_TEXT], struct error *e)
{
    struct {
        char host[COMM_HOST], digest[DIGEST_TEXT];
    } first;
    char host[COMM_HOST];
    comm_host(host);
    memcpy(first.host, host, sizeof host);
    memcpy(first.digest, digest, DIGEST_TEXT);
    comm_broadcast(comm, &first, sizeof first, 0);
    enum status status = STATUS_OK;
    if (strcmp(first.digest, digest) != 0)
        status = error_set(e, STATUS_CONFIG,
                           "files differ: '%.200s' has digest %.12s on rank 0, host '%s', and %.12s on rank %d, host "
                           "'%s'; name one that all hosts share, or copy it to each of them",
                           path, first.digest, first.host, digest, comm->rank, host);
    return comm_agree(comm, status, e);
}

/* What tells one file from another without reading it. */
struct identity {
    uint64_t inode, bytes;
    int64_t changed[2], modified[2]; /* seconds, nanoseconds */
};

static enum status identify(int fd, const char *path, struct identity *identity, bool *regular, struct error *e)
{
    struct stat about;
    if (fd < 0 || fstat(fd, &about) != 0) {
        int number = errno;
        return error_set(e, status_of_errno(number), "cannot open '%s': %s; check the path and its permissions", path,
                         strerror(number));
    }
    *regular = S_ISREG(about.st_mode);
    *identity = (struct identity){
        .inode = about.st_ino,
        .bytes = (uint64_t)about.st_size,
        .changed = {about.st_ctim.tv_sec, about.st_ctim.tv_nsec},
        .modified = {about.st_mtim.tv_sec, about.st_mtim.tv_nsec},
    };
    return STATUS_OK;
}

static enum status digest_file(int fd, const char *path, char hex[DIGEST_TEXT], struct error *e)
{
    struct digest *digest = digest_new(e);
    char *piece = digest ? mem_alloc(PIECE, 1, "the comparison of files between ranks", e) : NULL;
    enum status status = piece ? STATUS_OK : STATUS_OS;
    while (!status) {
        ssize_t bytes = read(fd, piece, PIECE);
        if (bytes > 0)
            digest_add(digest, piece, (size_t)bytes);
        else if (bytes == 0)
            break;
        else if (errno != EINTR)
            status = error_set(e, STATUS_IO, "cannot read '%s': %s; see the system's log", path, strerror(errno));
    }
    if (!status)
        digest_text(digest, hex);
    mem_free(piece);
    digest_free(digest);
    return status;
}

/* Collective. */
static enum status compare_open(const struct comm *comm, int fd, const char *path, struct error *e)
{
    struct identity here = {0};
    bool regular = false;
    enum status status = comm_agree_where(comm, identify(fd, path, &here, &regular, e), e);
    if (status)
        return status;
    struct identity first = here;
    comm_broadcast(comm, &first, sizeof first, 0);
    bool other = regular && memcmp(&here, &first, sizeof here) != 0;
    if (comm_max(comm, other) == 0)
        return STATUS_OK;
    char digest[DIGEST_TEXT] = "";
    status = comm_agree_where(comm, regular ? digest_file(fd, path, digest, e) : STATUS_OK, e);
    return status ? status : same_digest(comm, path, digest, e);
}

enum status same_file(const struct comm *comm, const char *path, struct error *e)
{
    if (comm->size == 1)
        return STATUS_OK;
    int fd = file_open(path, O_RDONLY | O_NONBLOCK, 0); /* a pipe would block */
    enum status status = compare_open(comm, fd, path, e);
    if (fd >= 0)
        (void)close(fd);
    return status;
}
