/* Lists the texts to read, and copies or unpacks into the spool those that can be read only once. */
#include "prepare_inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/content.h"
#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/base/unpack.h"
#include "unroll/data/output.h"
#include "unroll/sys/same.h"

#define BLOCK ((size_t)1 << 18)
#define STANDARD_INPUT "standard input"

struct finding {
    const struct prepare_config *config;
    const char *spool;
    int spool_fd; /* -1: not needed so far */
    char *block;  /* [BLOCK] */
    struct inputs *to;
    const char *class;
    bool in_folder; /* what is empty is left out there */
    bool standard_taken;
    struct folder_counts *folders;
    struct error *e;
};

/* ---- the list ---- */

static void release_file(struct text_file *file)
{
    if (file->name != file->path)
        mem_free((char *)file->name);
    mem_free((char *)file->path);
}

void inputs_release(struct inputs inputs[SPLITS])
{
    for (int i = 0; i < SPLITS; i++) {
        for (size_t k = 0; k < inputs[i].count; k++)
            release_file(&inputs[i].input[k].file);
        mem_free(inputs[i].input);
        inputs[i] = (struct inputs){NULL, 0, 0};
    }
}

/* A copy of `file` at the end. */
static enum status add_input(struct inputs *inputs, const struct text_file *file, const char *class, struct error *e)
{
    void *array = inputs->input;
    enum status status =
        mem_grow(&array, &inputs->capacity, inputs->count + 1, sizeof *inputs->input, "names of text files", e);
    inputs->input = array;
    if (status)
        return status;
    struct input *input = &inputs->input[inputs->count];
    *input = (struct input){*file, class};
    input->file.path = mem_strdup(file->path, e);
    input->file.name = file->name == file->path ? input->file.path : mem_strdup(file->name, e);
    if (!input->file.path || !input->file.name) {
        release_file(&input->file);
        return STATUS_OS;
    }
    inputs->count++;
    return STATUS_OK;
}

/* ---- the spool ---- */

char *inputs_spool(const char *output, struct error *e)
{
    size_t room = strlen(output) + sizeof ".text";
    char *longer = mem_alloc(room, 1, "a file name", e), *spool = NULL;
    if (longer) {
        snprintf(longer, room, "%s.text", output);
        spool = output_temporary(longer, e);
    }
    mem_free(longer);
    return spool;
}

static enum status open_spool(struct finding *find)
{
    if (find->spool_fd >= 0)
        return STATUS_OK;
    find->spool_fd = file_open(find->spool, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    find->block = find->spool_fd >= 0 ? mem_alloc(BLOCK, 1, "a block of text", find->e) : NULL;
    if (find->spool_fd < 0)
        return error_set(find->e, STATUS_CANTCREATE, "cannot create '%.200s': %s; check the folder of the output",
                         find->spool, strerror(errno));
    return find->block ? STATUS_OK : STATUS_OS;
}

static enum status spool_full(const struct finding *find, int number)
{
    return error_set(find->e, STATUS_IO,
                     "cannot write '%.200s': %s; texts that are unpacked or come by a pipe need their whole size there",
                     find->spool, errno_text(number));
}

static enum status cannot_read(const struct finding *find, const char *name, int number)
{
    return error_set(find->e, status_of_errno(number) == STATUS_OS ? STATUS_OS : STATUS_IO, "cannot read '%.200s': %s",
                     name, strerror(number));
}

/* Copies a stream whose first bytes are in the block. */
static enum status copy_to_spool(struct finding *find, int fd, const char *name, ssize_t have)
{
    for (; have > 0; have = file_read(fd, find->block, BLOCK)) {
        struct error e;
        if (file_write_stream(find->spool_fd, find->spool, find->block, (size_t)have, &e))
            return spool_full(find, errno);
    }
    return have < 0 ? cannot_read(find, name, errno) : STATUS_OK;
}

/* Feeds the program; one that has ended before is not our failure. */
static enum status feed(struct finding *find, int fd, const char *name, ssize_t have, int to)
{
    for (; have > 0; have = file_read(fd, find->block, BLOCK)) {
        for (ssize_t sent = 0; sent < have;) {
            ssize_t step = send(to, find->block + sent, (size_t)(have - sent), MSG_NOSIGNAL);
            if (step < 0 && errno == EINTR)
                continue;
            if (step < 0)
                return STATUS_OK;
            sent += step;
        }
    }
    return have < 0 ? cannot_read(find, name, errno) : STATUS_OK;
}

/* The program's own message would say that the archive is damaged. */
static enum status check_room(struct finding *find, enum status status)
{
    memset(find->block, 0, BLOCK);
    off_t end = lseek(find->spool_fd, 0, SEEK_END);
    ssize_t wrote = end < 0 ? -1 : pwrite(find->spool_fd, find->block, BLOCK, end);
    return wrote < (ssize_t)BLOCK ? spool_full(find, wrote < 0 ? errno : ENOSPC) : status;
}

static enum status unpack(struct finding *find, const struct packing *packing, int fd, const char *name, ssize_t have)
{
    int ends[2];
    struct unpacker unpacker;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return error_set(find->e, STATUS_OS, "cannot unpack '%.200s': %s; unpack the file first", name,
                         strerror(errno));
    enum status status = unpack_start(packing, name, ends[1], find->spool_fd, &unpacker, find->e);
    (void)close(ends[1]);
    bool started = !status;
    if (started)
        status = feed(find, fd, name, have, ends[0]);
    (void)close(ends[0]);
    if (!started)
        return status;
    struct error reason = {0};
    enum status unpacked = unpack_finish(&unpacker, false, &reason);
    if (!status && unpacked)
        status = check_room(find, error_set(find->e, unpacked, "%s", reason.text));
    return status;
}

/* What `fd` gives, to its end, becomes a text in the spool. `packing` is what the name says. */
static enum status spool(struct finding *find, int fd, const char *name, const struct packing *packing)
{
    enum status status = open_spool(find);
    if (status)
        return status;
    struct text_file file = {.path = find->spool, .name = name, .origin = lseek(find->spool_fd, 0, SEEK_END)};
    ssize_t have = file_read(fd, find->block, BLOCK);
    if (have < 0)
        return cannot_read(find, name, errno);
    if (!packing && level_kind(find->config->level)->utf8)
        packing = packing_by_content(content_of(find->block, (size_t)have));
    status = packing ? unpack(find, packing, fd, name, have) : copy_to_spool(find, fd, name, have);
    file.size = lseek(find->spool_fd, 0, SEEK_END) - file.origin;
    if (!status && file.size == 0 && find->in_folder) {
        find->folders->empty++;
        return STATUS_OK;
    }
    if (!status && file.size == 0)
        status = error_set(find->e, STATUS_DATA, "cannot use '%.200s': it holds no text; name one that does", name);
    return status ? status : add_input(find->to, &file, find->class, find->e);
}

/* ---- files ---- */

static bool is_packed(const struct finding *find, const char *path)
{
    return packing_by_name(path) ||
           (level_kind(find->config->level)->utf8 && packing_by_content(content_of_file(path)));
}

static enum status add_file(struct finding *find, const char *path)
{
    struct stat about;
    int fd = file_open(path, O_RDONLY, 0); /* waits for the writer of a pipe */
    if (fd < 0 || fstat(fd, &about) != 0) {
        int number = errno;
        if (fd >= 0)
            (void)close(fd);
        return error_set(find->e, status_of_errno(number), "cannot open '%s': %s; check the path and its permissions",
                         path, strerror(number));
    }
    bool plain = S_ISREG(about.st_mode) && (about.st_size == 0 || !is_packed(find, path));
    enum status status = STATUS_OK;
    struct text_file file;
    if (plain)
        status = text_look(path, &file, find->e);
    else
        status = spool(find, fd, path, packing_by_name(path));
    (void)close(fd);
    return plain && !status ? add_input(find->to, &file, find->class, find->e) : status;
}

static enum status add_standard(struct finding *find)
{
    if (find->standard_taken)
        return error_set(find->e, STATUS_CONFIG,
                         "cannot read '-' twice: standard input can be read once only; save it to a file first");
    find->standard_taken = true;
    return spool(find, STDIN_FILENO, STANDARD_INPUT, NULL);
}

/* ---- folders ---- */

struct paths {
    char **path;
    size_t count, capacity;
};

/* Whether this process writes to the file. */
static bool is_own(const struct finding *find, const struct stat *about)
{
    struct stat own;
    char temporary[FILE_PATH_MAX];
    const char *paths[] = {find->config->output, temporary, find->spool};
    if (file_temporary(temporary, find->config->output, NULL, NULL))
        paths[1] = find->config->output;
    for (int i = 0; i < 3; i++)
        if (stat(paths[i], &own) == 0 && own.st_dev == about->st_dev && own.st_ino == about->st_ino)
            return true;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &own) == 0 && own.st_dev == about->st_dev && own.st_ino == about->st_ino)
            return true;
    return false;
}

static enum status leave_out(int64_t *count)
{
    ++*count;
    return STATUS_OK;
}

static enum status take_path(struct finding *find, const FTSENT *entry, struct paths *paths)
{
    struct stat about;
    if (entry->fts_info != FTS_SL)
        about = *entry->fts_statp;
    else if (stat(entry->fts_path, &about) != 0 && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR))
        return leave_out(&find->folders->nowhere);
    else if (stat(entry->fts_path, &about) != 0)
        return error_set(find->e, status_of_errno(errno), "cannot read '%.300s': %s; check its permissions",
                         entry->fts_path, strerror(errno));
    if (S_ISDIR(about.st_mode))
        return leave_out(&find->folders->folder_links);
    if (is_own(find, &about))
        return STATUS_OK;
    if (!S_ISREG(about.st_mode))
        return leave_out(&find->folders->special);
    if (about.st_size == 0)
        return leave_out(&find->folders->empty);
    void *array = paths->path;
    enum status status =
        mem_grow(&array, &paths->capacity, paths->count + 1, sizeof *paths->path, "names of text files", find->e);
    paths->path = array;
    if (!status)
        paths->path[paths->count] = mem_strdup(entry->fts_path, find->e);
    if (!status && !paths->path[paths->count])
        return STATUS_OS;
    paths->count += !status;
    return status;
}

static enum status walk(struct finding *find, FTS *tree, struct paths *paths)
{
    enum status status = STATUS_OK;
    errno = 0;
    for (FTSENT *entry; !status && (entry = fts_read(tree)); errno = 0) {
        bool hidden = entry->fts_level > 0 && entry->fts_name[0] == '.';
        if (hidden && entry->fts_info != FTS_DP) {
            find->folders->hidden++;
            (void)fts_set(tree, entry, FTS_SKIP);
        } else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
            status =
                error_set(find->e, status_of_errno(entry->fts_errno), "cannot read '%.300s': %s; check its permissions",
                          entry->fts_path, strerror(entry->fts_errno));
        } else if (entry->fts_info == FTS_F || entry->fts_info == FTS_SL || entry->fts_info == FTS_DEFAULT) {
            status = take_path(find, entry, paths);
        }
    }
    return !status && errno != 0 ? cannot_read(find, tree->fts_path, errno) : status;
}

static int compare_paths(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static enum status list_folder(struct finding *find, const char *path, struct paths *paths)
{
    char *root = mem_strdup(path, find->e);
    if (!root)
        return STATUS_OS;
    for (size_t length = strlen(root); length > 1 && root[length - 1] == '/'; length--)
        root[length - 1] = '\0';
    FTS *tree = fts_open((char *const[]){root, NULL}, FTS_COMFOLLOW | FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    enum status status = tree ? walk(find, tree, paths) : cannot_read(find, path, errno);
    if (tree)
        (void)fts_close(tree);
    mem_free(root);
    return status;
}

static enum status add_folder(struct finding *find, const char *path)
{
    struct paths paths = {NULL, 0, 0};
    size_t before = find->to->count;
    enum status status = list_folder(find, path, &paths);
    find->in_folder = true;
    if (paths.count > 0)
        qsort(paths.path, paths.count, sizeof *paths.path, compare_paths);
    for (size_t i = 0; i < paths.count; i++) {
        if (!status)
            status = add_file(find, paths.path[i]);
        mem_free(paths.path[i]);
    }
    mem_free(paths.path);
    find->in_folder = false;
    find->folders->folders++;
    find->folders->files += (int64_t)(find->to->count - before);
    if (!status && find->to->count == before)
        status = error_set(find->e, STATUS_DATA,
                           "cannot use '%.300s': the folder holds no files with text; name one that does", path);
    return status;
}

/* ---- all together ---- */

static enum status add_named(struct finding *find, const char *path)
{
    struct stat about;
    if (file_is_standard(path))
        return add_standard(find);
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode))
        return add_folder(find, path);
    return add_file(find, path);
}

enum status inputs_find(const struct prepare_config *config, const char *spool, struct inputs inputs[SPLITS],
                        struct prepare_report *report, struct error *e)
{
    struct finding find = {.config = config, .spool = spool, .spool_fd = -1, .folders = &report->folders, .e = e};
    enum status status = STATUS_OK;
    for (int i = 0; i < SPLITS && !status; i++) {
        find.to = &inputs[i];
        find.class = NULL;
        for (int k = 0; k < config->files[i] && !status; k++)
            status = add_named(&find, config->file[i][k]);
        for (int k = 0; i == SPLIT_TRAIN && k < config->classes && !status; k++) {
            find.class = config->class[k];
            status = add_named(&find, strchr(find.class, '=') + 1);
        }
    }
    if (find.spool_fd >= 0)
        (void)close(find.spool_fd);
    mem_free(find.block);
    return status;
}

/* ---- all ranks ---- */

struct parcel { /* what travels; strings end with a null byte, an empty name is the path itself */
    char *bytes;
    size_t length, capacity, at;
};

static enum status put(struct parcel *parcel, const void *bytes, size_t length, struct error *e)
{
    void *array = parcel->bytes;
    enum status status = mem_grow(&array, &parcel->capacity, parcel->length + length, 1, "names of text files", e);
    parcel->bytes = array;
    if (status)
        return status;
    memcpy(parcel->bytes + parcel->length, bytes, length);
    parcel->length += length;
    return STATUS_OK;
}

static void get(struct parcel *parcel, void *bytes, size_t length)
{
    memcpy(bytes, parcel->bytes + parcel->at, length);
    parcel->at += length;
}

static const char *get_text(struct parcel *parcel)
{
    const char *text = parcel->bytes + parcel->at;
    parcel->at += strlen(text) + 1;
    return text;
}

static enum status pack_names(const struct inputs inputs[SPLITS], struct parcel *parcel, struct error *e)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < SPLITS && !status; i++) {
        status = put(parcel, &inputs[i].count, sizeof inputs[i].count, e);
        for (size_t k = 0; k < inputs[i].count && !status; k++) {
            const struct text_file *file = &inputs[i].input[k].file;
            const char *name = file->name == file->path ? "" : file->name;
            int64_t place[2] = {file->origin, file->size};
            status = put(parcel, place, sizeof place, e);
            if (!status)
                status = put(parcel, file->path, strlen(file->path) + 1, e);
            if (!status)
                status = put(parcel, name, strlen(name) + 1, e);
        }
    }
    return status;
}

static enum status unpack_names(struct parcel *parcel, struct inputs inputs[SPLITS], struct error *e)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < SPLITS && !status; i++) {
        size_t count;
        get(parcel, &count, sizeof count);
        for (size_t k = 0; k < count && !status; k++) {
            int64_t place[2];
            get(parcel, place, sizeof place);
            struct text_file file = {.path = get_text(parcel), .origin = place[0], .size = place[1]};
            const char *name = get_text(parcel);
            file.name = *name ? name : file.path;
            status = add_input(&inputs[i], &file, NULL, e);
        }
    }
    return status;
}

/* Collective. A host that finds another text under the same name would put a piece of it into the corpus. */
static enum status compare_files(const struct comm *comm, const struct inputs inputs[SPLITS], struct error *e)
{
    const char *last = "";
    enum status status = STATUS_OK;
    for (int i = 0; i < SPLITS; i++)
        for (size_t k = 0; k < inputs[i].count && !status; k++) {
            const char *path = inputs[i].input[k].file.path;
            if (strcmp(path, last) != 0) /* many texts may lie in the spool */
                status = same_file(comm, path, e);
            last = path;
        }
    return status;
}

enum status inputs_share(const struct comm *comm, struct inputs inputs[SPLITS], struct error *e)
{
    struct parcel parcel = {NULL, 0, 0, 0};
    bool first = comm->rank == 0;
    if (comm->size == 1)
        return STATUS_OK;
    enum status status = comm_agree(comm, first ? pack_names(inputs, &parcel, e) : STATUS_OK, e);
    if (!status) {
        comm_broadcast(comm, &parcel.length, sizeof parcel.length, 0);
        if (!first)
            parcel.bytes = mem_alloc(parcel.length, 1, "names of text files", e);
        status = comm_agree(comm, parcel.bytes ? STATUS_OK : STATUS_OS, e);
    }
    if (!status) {
        comm_broadcast(comm, parcel.bytes, parcel.length, 0);
        status = comm_agree(comm, first ? STATUS_OK : unpack_names(&parcel, inputs, e), e);
    }
    mem_free(parcel.bytes);
    return status ? status : compare_files(comm, inputs, e);
}
