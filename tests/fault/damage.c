/* damage CHECKPOINT SCRATCH EVERY: does any damage to a checkpoint go unnoticed?
 *
 * One bit is flipped in every EVERY-th byte of the metadata (1: in every byte) and in 1000 places of the numbers, and
 * the file is cut at every 4 KiB. checkpoint_verify, and checkpoint_read as resuming does it, must refuse each with
 * STATUS_CHECKPOINT. A child does the work on the copy SCRATCH, so that a crash or a hang is a finding like others.
 * Says how many were tried; ends with 1 if any was accepted or did not end well. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/sys/h5.h"
#include "unroll/train/checkpoint.h"

#define PLACES 1000
#define SECONDS_EACH 20
#define TELL_MOST 20

enum kind { FLIP_METADATA, FLIP_NUMBERS, CUT };
static const char *const kind_name[] = {"metadata byte", "byte of numbers", "cut"};

struct damage {
    enum kind kind;
    int64_t at;
    int bit;
};

struct work {
    const char *path; /* of the copy */
    unsigned char *bytes;
    int64_t size;
    bool *is_number; /* [size] byte of a dataset */
    struct h5 *file;
    struct damage *list;
    int count;
};

struct outcome { /* shared with the child */
    int done;
    int accepted;
};

static void fail(const char *what, const struct error *e)
{
    fprintf(stderr, "damage: %s: %s\n", what, e ? e->text : "");
    exit(70);
}

static int note_numbers(void *context, const char *path, const struct h5_shape *shape)
{
    struct work *work = context;
    int64_t begin = h5_data_offset(work->file, path);
    int64_t bytes = shape->dims[0] * shape->dims[1] * (int64_t)h5_type_size(shape->type);
    if (begin < 0 || begin + bytes > work->size)
        return 1;
    memset(work->is_number + begin, true, (size_t)bytes);
    return 0;
}

static void load(struct work *work, const char *path)
{
    struct error e;
    struct stat entry;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &entry) != 0)
        fail(path, NULL);
    work->size = entry.st_size;
    work->bytes = mem_alloc((size_t)work->size, 1, "the file", &e);
    work->is_number = mem_alloc((size_t)work->size, sizeof *work->is_number, "a map", &e);
    if (!work->bytes || !work->is_number || read(fd, work->bytes, (size_t)work->size) != work->size)
        fail(path, NULL);
    (void)close(fd);
    if (h5_open_plain(path, STATUS_CHECKPOINT, &work->file, &e))
        fail(path, &e);
    if (h5_each_dataset(work->file, note_numbers, work) != 0)
        fail("datasets", NULL);
    h5_close_read(work->file);
}

static void add(struct work *work, enum kind kind, int64_t at)
{
    work->list[work->count] = (struct damage){kind, at, (int)((at * 5 + work->count) % 8)};
    work->count++;
}

static void plan(struct work *work, int64_t every)
{
    struct error e;
    uint64_t random = 88172645463325252u;
    work->list = mem_alloc((size_t)(work->size + PLACES + work->size / 4096 + 1), sizeof *work->list, "a plan", &e);
    if (!work->list)
        fail("plan", &e);
    for (int64_t at = 0, metadata = 0; at < work->size; at++)
        if (!work->is_number[at] && metadata++ % every == 0)
            add(work, FLIP_METADATA, at);
    for (int placed = 0; placed < PLACES;) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        int64_t at = (int64_t)(random % (uint64_t)work->size);
        if (work->is_number[at]) {
            add(work, FLIP_NUMBERS, at);
            placed++;
        }
    }
    for (int64_t at = 0; at < work->size; at += 4096)
        add(work, CUT, at);
}

/* Both readers must refuse, and with the status that says why. */
static bool refused(const char *path)
{
    struct error e = {STATUS_OK, ""};
    static struct checkpoint checkpoint;
    if (checkpoint_verify(path, &e) != STATUS_CHECKPOINT || !*e.text)
        return false;
    enum status status = checkpoint_read(path, CHECKPOINT_ALL, &checkpoint, &e);
    if (status == STATUS_OK)
        checkpoint_release(&checkpoint);
    return status == STATUS_CHECKPOINT;
}

static void write_copy(const struct work *work, int64_t size)
{
    struct error e;
    if (file_write_new(work->path, work->bytes, (size_t)size, &e))
        fail(work->path, &e);
}

static bool try_damage(const struct work *work, const struct damage *damage)
{
    if (damage->kind == CUT) {
        write_copy(work, damage->at);
        bool good = refused(work->path);
        write_copy(work, work->size);
        return good;
    }
    int fd = open(work->path, O_RDWR);
    unsigned char byte = work->bytes[damage->at] ^ (unsigned char)(1u << damage->bit);
    if (fd < 0 || pwrite(fd, &byte, 1, damage->at) != 1)
        fail(work->path, NULL);
    bool good = refused(work->path);
    if (pwrite(fd, &work->bytes[damage->at], 1, damage->at) != 1)
        fail(work->path, NULL);
    (void)close(fd);
    return good;
}

static void tell(const struct damage *damage, const char *how, int told)
{
    if (told > TELL_MOST)
        return;
    printf("%s %" PRId64 " (bit %d): %s\n", kind_name[damage->kind], damage->at, damage->bit, how);
}

/* In a child, from `outcome->done` on. */
static void try_all(const struct work *work, struct outcome *outcome)
{
    write_copy(work, work->size);
    for (; outcome->done < work->count; outcome->done++) {
        alarm(SECONDS_EACH);
        if (try_damage(work, &work->list[outcome->done]))
            continue;
        outcome->accepted++;
        tell(&work->list[outcome->done], "accepted, or refused with another status", outcome->accepted);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 64;
    struct error e;
    struct work work = {.path = argv[2]};
    int crashes = 0;
    load(&work, argv[1]);
    plan(&work, strtoll(argv[3], NULL, 10));
    struct outcome *outcome = mmap(NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (outcome == MAP_FAILED)
        fail("mmap", NULL);
    write_copy(&work, work.size);
    if (checkpoint_verify(work.path, &e))
        fail("the undamaged copy", &e);
    while (outcome->done < work.count) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            try_all(&work, outcome);
            fflush(stdout);
            _exit(0);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child)
            fail("fork", NULL);
        if (outcome->done < work.count) {
            crashes++;
            tell(&work.list[outcome->done], WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "ended", crashes);
            outcome->done++;
        }
    }
    printf("%d damages: %d accepted, %d crashes\n", work.count, outcome->accepted, crashes);
    return outcome->accepted || crashes;
}
