/* Writes a checkpoint: rank 0 alone, or all ranks into one file. */
#include "checkpoint_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "unroll/base/digest.h"
#include "unroll/base/mem.h"
#include "unroll/base/temporary.h"
#include "unroll/train/shared_folder.h"

static bool is_resumable(const struct checkpoint *checkpoint)
{
    return checkpoint->optimizer && checkpoint->states;
}

/* ---- contents ---- */

static const void *part_data(const struct part *part, const struct checkpoint *checkpoint)
{
    const struct param *param = &checkpoint->table.param[part->index];
    switch (part->kind) {
    case PART_PARAM:
        return checkpoint->values + param->offset;
    case PART_TRAINED:
        return checkpoint->trained + param->offset;
    case PART_SLOT:
        return checkpoint->optimizer->slot[part->slot] + param->offset;
    case PART_STATE:
        return checkpoint->states ? checkpoint->states +
                                        (size_t)checkpoint->batch * model_state_offset(&checkpoint->model, part->index)
                                  : NULL;
    case PART_VOCAB_BYTES:
        return checkpoint->vocab->bytes;
    case PART_VOCAB_OFFSETS:
        return checkpoint->vocab->offsets;
    case PART_VOCAB_COUNTS:
        return checkpoint->vocab->counts;
    case PART_LABELS_BYTES:
        return checkpoint->labels->bytes;
    case PART_LABELS_OFFSETS:
        return checkpoint->labels->offsets;
    case PART_LABELS_COUNTS:
        return checkpoint->labels->counts;
    }
    return NULL;
}

/* One dataset with its digest. Ranks write a slice each, except of what rank 0 alone holds. */
static enum status write_part(struct h5 *file, const struct comm *comm, const struct part *part,
                              const struct checkpoint *checkpoint, struct error *e)
{
    enum h5_type type = part->shape.type;
    size_t size = h5_type_size(type);
    int64_t elements = part_elements(part);
    const char *data = part_data(part, checkpoint);
    char hex[DIGEST_TEXT] = "";
    if (comm->rank == 0)
        digest_of(data, (size_t)elements * size, hex);
    comm_broadcast(comm, hex, sizeof hex, 0);
    int64_t begin = elements / comm->size * comm->rank, end = elements / comm->size * (comm->rank + 1);
    if (comm->rank == comm->size - 1)
        end = elements;
    if (part->kind == PART_STATE) {
        begin = 0;
        end = comm->rank == 0 ? elements : 0;
    }
    enum status status = h5_make_dataset(file, part->path, &part->shape, e);
    if (!status)
        status = h5_set_string(file, part->path, CHECKPOINT_DIGEST, hex, e);
    if (!status)
        status =
            h5_write(file, part->path, type, begin, end - begin, end > begin ? data + (size_t)begin * size : NULL, e);
    return status;
}

static enum status make_groups(struct h5 *file, const struct checkpoint *checkpoint, bool resumable, struct error *e)
{
    static const char *const names[] = {"/model", "/progress", "/vocab", "/config", "/build", "/optimizer", "/state"};
    int count = (int)(sizeof names / sizeof *names) - (resumable ? 0 : 2);
    enum status status = STATUS_OK;
    for (int i = 0; i < count && !status; i++)
        status = h5_make_group(file, names[i], e);
    if (!status && checkpoint->model.task == TASK_CLASSIFY)
        status = h5_make_group(file, "/labels", e);
    if (!status && checkpoint->average.kind != AVERAGE_NONE)
        status = h5_make_group(file, "/average", e);
    if (!status && resumable && checkpoint->average.count > 0)
        status = h5_make_group(file, "/trained", e);
    if (status || !resumable || optimizer_slots(checkpoint->optimizer->config.kind) == 0)
        return status;
    for (int i = 0; i < checkpoint->table.count && !status; i++) {
        char path[112];
        if (!param_is_own(&checkpoint->table.param[i]))
            continue;
        snprintf(path, sizeof path, "/optimizer/%s", checkpoint->table.param[i].name);
        status = h5_make_group(file, path, e);
    }
    return status;
}

/* Collective over `comm`, which is that of the file. */
static enum status write_contents(struct h5 *file, const struct comm *comm, const struct checkpoint *checkpoint,
                                  bool resumable, const struct parts *parts, struct error *e)
{
    enum status status = make_groups(file, checkpoint, resumable, e);
    if (!status)
        status = comm_agree(comm, checkpoint_write_attributes(file, checkpoint, resumable, e), e);
    for (int i = 0; i < parts->count && !status; i++)
        status = write_part(file, comm, &parts->item[i], checkpoint, e);
    return status;
}

/* ---- the two writers ---- */

/* Reads the synced temporary file back and gives it its name. */
static enum status verify_and_commit(const char *temporary, const struct checkpoint_target *target, struct error *e)
{
    struct error reason = {STATUS_OK, ""};
    enum status status = checkpoint_verify(temporary, &reason);
    if (status)
        status = error_set(e, status == STATUS_OS ? status : STATUS_IO,
                           "checkpoint '%.200s' was written but does not read back: %.300s", target->path, reason.text);
    if (!status)
        status = file_commit(temporary, target->path, target->guard, e);
    if (status)
        temporary_remove(temporary);
    return status;
}

/* A parallel file cannot recover from a full disk, so check the free space before. */
static enum status check_space(const char *path, int64_t need, struct error *e)
{
    char folder[FILE_PATH_MAX];
    file_folder(path, folder);
    struct statvfs space;
    if (statvfs(folder, &space) != 0)
        return error_set(e, status_of_errno(errno), "cannot look at '%s': %s; check the path", folder, strerror(errno));
    if ((double)space.f_bavail * (double)space.f_frsize < (double)need)
        return error_set(e, STATUS_IO, "cannot write '%s': %.0f MiB are free, %.0f MiB are needed; free some space",
                         path, (double)space.f_bavail * (double)space.f_frsize / 1048576, (double)need / 1048576);
    return STATUS_OK;
}

static enum status sync_path(const char *path, struct error *e)
{
    int fd = file_open(path, O_RDWR, 0);
    if (fd < 0)
        return error_set(e, status_of_errno(errno), "cannot open '%s': %s; check the file system", path,
                         strerror(errno));
    enum status status = file_sync(fd, path, e);
    (void)close(fd);
    return status;
}

/* Rank 0 alone, dataset by dataset from where the values lie: it takes no memory to speak of. */
static enum status write_single(const struct checkpoint *checkpoint, const struct parts *parts,
                                const struct checkpoint_target *target, struct error *e)
{
    char temporary[FILE_PATH_MAX];
    struct h5 *file = NULL;
    enum status status = file_temporary(temporary, target->path, target->guard, e);
    if (status)
        return status;
    temporary_watch(temporary);
    status = h5_create_serial(temporary, &file, e);
    if (!status)
        status = write_contents(file, &COMM_ALONE, checkpoint, is_resumable(checkpoint), parts, e);
    enum status closed = file ? h5_close_write(file, status ? NULL : e) : STATUS_OK;
    if (!status)
        status = closed;
    if (!status)
        status = sync_path(temporary, e);
    if (status)
        temporary_remove(temporary);
    return status ? status : verify_and_commit(temporary, target, e);
}

/* Collective. The folder of a file that all ranks are to write; `temporary` is rank 0's. */
static enum status check_shared(const struct comm *comm, const char *temporary, struct error *e)
{
    char folder[FILE_PATH_MAX];
    if (comm->size == 1)
        return STATUS_OK;
    file_folder(temporary, folder);
    return shared_folder_check(comm, folder, SHARED_FOLDER_PATIENCE, e);
}

static enum status write_parallel(const struct comm *comm, const struct checkpoint *checkpoint, bool resumable,
                                  const struct parts *parts, struct checkpoint_target *target, int64_t bytes,
                                  struct error *e)
{
    char temporary[FILE_PATH_MAX];
    struct h5 *file = NULL;
    enum status status = STATUS_OK;
    if (comm->rank == 0)
        status = file_temporary(temporary, target->path, target->guard, e);
    if (!status && comm->rank == 0)
        status = check_space(target->path, bytes, e);
    status = comm_agree(comm, status, e);
    if (status)
        return status;
    status = check_shared(comm, temporary, e);
    if (status)
        return status;
    comm_broadcast(comm, temporary, sizeof temporary, 0); /* rank 0 alone has the guard */
    temporary_watch(temporary);
    status = comm->size > 1 ? h5_create_parallel(temporary, comm, &file, e) : h5_create_serial(temporary, &file, e);
    if (!status)
        status = write_contents(file, comm, checkpoint, resumable, parts, e);
    if (status && file && comm->size > 1)
        target->broken = true;
    else if (file) {
        enum status closed = h5_close_write(file, status ? NULL : e);
        if (!status)
            status = closed;
    }
    if (status) {
        if (comm->rank == 0)
            (void)unlink(temporary);
        temporary_forget(temporary);
        return status;
    }
    if (comm->rank == 0) {
        status = sync_path(temporary, e);
        if (status)
            temporary_remove(temporary);
        else
            status = verify_and_commit(temporary, target, e);
    }
    status = comm_agree(comm, status, e);
    temporary_forget(temporary);
    return status;
}

/* ---- both ---- */

static int64_t bytes_of(const struct parts *parts)
{
    int64_t bytes = (int64_t)parts->count * 1024 + 65536; /* headers and attributes */
    for (int i = 0; i < parts->count; i++)
        bytes += part_elements(&parts->item[i]) * (int64_t)h5_type_size(parts->item[i].shape.type);
    return bytes;
}

static void list_parts(const struct checkpoint *checkpoint, bool resumable, struct parts *parts)
{
    parts_list(parts, &checkpoint->model, &checkpoint->table, checkpoint->batch, resumable,
               checkpoint->average.count > 0, resumable ? checkpoint->optimizer->config.kind : OPTIMIZER_SGD);
    for (int i = 0; i < parts->count; i++) {
        struct part *part = &parts->item[i];
        if (part->kind == PART_VOCAB_BYTES)
            part->shape.dims[0] = (int64_t)checkpoint->vocab->offsets[checkpoint->vocab->size];
        if (part->kind == PART_LABELS_BYTES)
            part->shape.dims[0] = (int64_t)checkpoint->labels->offsets[checkpoint->labels->count];
    }
}

enum status checkpoint_prepare(const struct comm *comm, const struct checkpoint_target *target, struct error *e)
{
    char temporary[FILE_PATH_MAX] = "";
    enum status status = STATUS_OK;
    if (target->writer != WRITER_PARALLEL)
        return STATUS_OK;
    if (comm->rank == 0)
        status = file_temporary(temporary, target->path, target->guard, e);
    status = comm_agree(comm, status, e);
    return status ? status : check_shared(comm, temporary, e);
}

/* The small values of rank 0's checkpoint. All ranks must write the same ones into a parallel file. */
struct facts {
    struct progress progress;
    struct average_state average;
    int options;
    bool resumable;
    struct checkpoint_option option[CHECKPOINT_OPTIONS_MAX];
    char corpus_digest[33];
    struct checkpoint_build build;
};

/* Collective. `all` becomes a copy of this rank's checkpoint with rank 0's facts. */
static void share_facts(const struct comm *comm, struct facts *facts, const struct checkpoint *checkpoint,
                        struct checkpoint *all)
{
    *all = *checkpoint;
    if (comm->rank == 0) {
        facts->progress = checkpoint->progress;
        facts->average = checkpoint->average;
        facts->options = checkpoint->options;
        facts->resumable = is_resumable(checkpoint);
        memcpy(facts->option, checkpoint->option, sizeof facts->option);
        memcpy(facts->corpus_digest, checkpoint->corpus_digest, sizeof facts->corpus_digest);
        facts->build = checkpoint->build;
    }
    comm_broadcast(comm, facts, sizeof *facts, 0);
    all->progress = facts->progress;
    all->average = facts->average;
    all->options = facts->options;
    memcpy(all->option, facts->option, sizeof facts->option);
    memcpy(all->corpus_digest, facts->corpus_digest, sizeof facts->corpus_digest);
    all->build = facts->build;
}

/* A checkpoint that a reader would refuse is not written. */
static enum status check_facts(const struct checkpoint *checkpoint, const char *path, struct error *e)
{
    struct error reason;
    if (!checkpoint_check(checkpoint, &reason))
        return STATUS_OK;
    return error_set(e, STATUS_INTERNAL,
                     "cannot write checkpoint '%.200s': %.300s; nothing was written, and this is a fault of the "
                     "program: go on from the checkpoint before",
                     path, reason.text);
}

enum status checkpoint_write(const struct comm *comm, const struct checkpoint *checkpoint,
                             struct checkpoint_target *target, struct error *e)
{
    target->broken = false;
    struct parts *parts = mem_alloc(1, sizeof *parts, "a checkpoint", e);
    struct facts *facts = mem_alloc(1, sizeof *facts, "a checkpoint", e);
    struct checkpoint *all = mem_alloc(1, sizeof *all, "a checkpoint", e);
    enum status status = parts && facts && all ? STATUS_OK : STATUS_OS;
    if (!status && comm->rank == 0 && target->guard)
        status = target->guard->check(target->guard->context, e);
    if (!status && comm->rank == 0)
        status = check_facts(checkpoint, target->path, e);
    status = comm_agree(comm, status, e);
    if (!status) {
        share_facts(comm, facts, checkpoint, all);
        list_parts(all, facts->resumable, parts);
        if (target->writer == WRITER_PARALLEL)
            status = write_parallel(comm, all, facts->resumable, parts, target, bytes_of(parts), e);
        else
            status = comm_agree(comm, comm->rank == 0 ? write_single(all, parts, target, e) : STATUS_OK, e);
        if (status && !target->broken) /* the folder may be gone because another job has taken the run */
            status = comm_agree(comm, comm->rank == 0 ? file_guard_reason(target->guard, status, e) : status, e);
    }
    mem_free(parts);
    mem_free(facts);
    mem_free(all);
    return status;
}
