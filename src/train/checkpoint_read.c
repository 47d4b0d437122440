/* Reads and verifies a checkpoint. Nothing in the file is trusted: first its structure is checked (sys/h5), then the
 * attributes (checkpoint_read_attrs.c), then names, types and shapes of all datasets against the attributes. Only then
 * is memory allocated, and every dataset is compared with its digest. */
#include "checkpoint_private.h"

#include <stdio.h>
#include <string.h>

#include "unroll/base/content.h"
#include "unroll/base/digest.h"
#include "unroll/base/mem.h"
#include "unroll/nn/constants.h"

#define PIECE (1 << 20) /* bytes read at once where nothing is kept */

/* ---- the datasets that must be there, and no others ---- */

static int check_known(void *context, const char *path, const struct h5_shape *shape)
{
    struct reading *in = context;
    for (int i = 0; i < in->parts->count; i++) {
        struct part *part = &in->parts->item[i];
        if (strcmp(part->path, path) != 0)
            continue;
        if (part->kind == PART_VOCAB_BYTES || part->kind == PART_LABELS_BYTES)
            part->shape.dims[0] = shape->dims[0];
        const struct h5_shape *want = &part->shape;
        if (shape->type == want->type && shape->rank == want->rank && shape->dims[0] == want->dims[0] &&
            (shape->rank == 1 || shape->dims[1] == want->dims[1]))
            return STATUS_OK;
        return (int)error_set(in->e, STATUS_CHECKPOINT, "'%s' is %s [%lld][%lld] where the model has %s [%lld][%lld]",
                              path, h5_type_name(shape->type), (long long)shape->dims[0], (long long)shape->dims[1],
                              h5_type_name(want->type), (long long)want->dims[0], (long long)want->dims[1]);
    }
    return (int)error_set(in->e, STATUS_CHECKPOINT, "it holds '%.100s', which no such checkpoint has", path);
}

static enum status check_datasets(struct reading *in)
{
    struct checkpoint *checkpoint = in->checkpoint;
    param_table_build(&checkpoint->model, &checkpoint->table);
    parts_list(in->parts, &checkpoint->model, &checkpoint->table, checkpoint->batch, in->checkpoint->resumable,
               in->checkpoint->average.count > 0, in->checkpoint->rule.kind);
    enum status status = (enum status)h5_each_dataset(in->file, check_known, in);
    for (int i = 0; i < in->parts->count && !status; i++)
        if (!h5_exists(in->file, in->parts->item[i].path))
            status = error_set(in->e, STATUS_CHECKPOINT, "'%s' is missing", in->parts->item[i].path);
    return status;
}

/* ---- data ---- */

/* Reads a part piece by piece, into `data` unless that is NULL, and compares its digest; `hex` receives it. The bytes
 * are also added to in->all, if there is one: a piece is still in the caches then. */
static enum status read_part(struct reading *in, const struct part *part, void *data, char hex[DIGEST_TEXT])
{
    size_t size = h5_type_size(part->shape.type);
    int64_t elements = part_elements(part), piece = (int64_t)(PIECE / size);
    char stored[DIGEST_TEXT];
    enum status status = h5_attr_string(in->file, part->path, CHECKPOINT_DIGEST, stored, sizeof stored, in->e);
    char *room = data ? NULL : mem_alloc(PIECE, 1, "a piece of a checkpoint", in->e);
    struct digest *digest = digest_new(in->e);
    if (!status && ((!data && !room) || !digest))
        status = STATUS_OS;
    for (int64_t done = 0; done < elements && !status; done += piece) {
        int64_t count = elements - done < piece ? elements - done : piece;
        char *to = data ? (char *)data + (size_t)done * size : room;
        status = h5_read(in->file, part->path, part->shape.type, done, count, to, in->e);
        if (!status)
            digest_add(digest, to, (size_t)count * size);
        if (!status && in->all)
            digest_add(in->all, to, (size_t)count * size);
    }
    if (!status) {
        digest_text(digest, hex);
        if (strcmp(stored, hex) != 0)
            status = error_set(in->e, STATUS_CHECKPOINT, "the data of '%s' do not match their digest", part->path);
    }
    digest_free(digest);
    mem_free(room);
    return status;
}

static enum status tied_differ(const struct reading *in, const struct part *part, const struct param *first)
{
    return error_set(in->e, STATUS_CHECKPOINT, "'%s' differs from '/model/%s', to which it is tied", part->path,
                     first->name);
}

/* The parameters, in the order of the table, which is that of their common digest. The second name of tied weights must
 * hold the same bytes. With `values` NULL they are not kept. */
static enum status read_parameters(struct reading *in, float *values)
{
    const struct param_table *table = &in->checkpoint->table;
    char hex[PARAM_MAX][DIGEST_TEXT];
    enum status status = STATUS_OK;
    for (int i = 0; i < in->parts->count && !status; i++) {
        const struct part *part = &in->parts->item[i];
        if (part->kind != PART_PARAM)
            continue;
        const struct param *param = &table->param[part->index];
        status = read_part(in, part, values && param->alias < 0 ? values + param->offset : NULL, hex[part->index]);
        if (!status && param->alias >= 0 && strcmp(hex[part->index], hex[param->alias]) != 0)
            status = tied_differ(in, part, &table->param[param->alias]);
    }
    return status;
}

static enum status read_values(struct reading *in, float *values)
{
    char together[DIGEST_TEXT];
    in->all = digest_new(in->e);
    enum status status = in->all ? read_parameters(in, values) : STATUS_OS;
    if (!status) {
        digest_text(in->all, together);
        if (strcmp(together, in->checkpoint->parameters_digest) != 0)
            status = error_set(in->e, STATUS_CHECKPOINT, "the parameters do not match 'parameters_digest'");
    }
    if (!status && values)
        status = constants_check(&in->checkpoint->model, &in->checkpoint->table, values, in->e);
    digest_free(in->all);
    in->all = NULL;
    return status;
}

/* With `to` NULL it is not kept. */
static enum status read_trained(struct reading *in, float *to)
{
    char hex[DIGEST_TEXT];
    enum status status = STATUS_OK;
    for (int i = 0; i < in->parts->count && !status; i++) {
        const struct part *part = &in->parts->item[i];
        if (part->kind == PART_TRAINED)
            status = read_part(in, part, to ? to + in->checkpoint->table.param[part->index].offset : NULL, hex);
    }
    return status;
}

/* With `to` NULL they are not kept. */
static enum status read_slots(struct reading *in, const struct optimizer *to)
{
    char hex[DIGEST_TEXT];
    enum status status = STATUS_OK;
    for (int i = 0; i < in->parts->count && !status; i++) {
        const struct part *part = &in->parts->item[i];
        size_t offset = in->checkpoint->table.param[part->index].offset;
        if (part->kind == PART_SLOT)
            status = read_part(in, part, to ? to->slot[part->slot] + offset : NULL, hex);
    }
    return status;
}

static enum status read_states(struct reading *in)
{
    struct checkpoint *checkpoint = in->checkpoint;
    size_t batch = (size_t)checkpoint->batch;
    char hex[DIGEST_TEXT];
    enum status status = STATUS_OK;
    checkpoint->states = mem_alloc(batch * model_state_total(&checkpoint->model), sizeof(float),
                                   "the carried states of a checkpoint", in->e);
    if (!checkpoint->states)
        return STATUS_OS;
    for (int i = 0; i < in->parts->count && !status; i++) {
        const struct part *part = &in->parts->item[i];
        if (part->kind == PART_STATE)
            status = read_part(in, part,
                               checkpoint->states + batch * model_state_offset(&checkpoint->model, part->index), hex);
    }
    return status;
}

/* The three datasets of a table of texts, `first` being its bytes, `size` entries: bytes, offsets, counts, which are
 * the caller's if all went well. */
static enum status read_table(struct reading *in, enum part_kind first, int size, void *data[3])
{
    const struct part *found[3] = {NULL, NULL, NULL};
    char hex[DIGEST_TEXT];
    enum status status = STATUS_OK;
    for (int i = 0; i < in->parts->count; i++) {
        enum part_kind kind = in->parts->item[i].kind;
        if (kind >= first && kind < first + 3)
            found[kind - first] = &in->parts->item[i];
    }
    for (int i = 0; i < 3; i++)
        data[i] = NULL;
    for (int i = 0; i < 3 && !status; i++) {
        data[i] = mem_alloc((size_t)part_elements(found[i]), h5_type_size(found[i]->shape.type), "a vocabulary", in->e);
        status = data[i] ? read_part(in, found[i], data[i], hex) : STATUS_OS;
    }
    const uint64_t *offsets = data[1];
    if (!status && offsets[size] != (uint64_t)part_elements(found[0]))
        status = error_set(in->e, STATUS_CHECKPOINT, "'%s' end at %llu but '%s' has %lld bytes", found[1]->path,
                           (unsigned long long)offsets[size], found[0]->path, (long long)part_elements(found[0]));
    for (int i = 0; i < 3 && status; i++)
        mem_free(data[i]);
    return status;
}

static enum status read_labels(struct reading *in)
{
    void *data[3];
    struct labels *labels = NULL;
    int count = in->checkpoint->model.labels;
    if (in->checkpoint->model.task != TASK_CLASSIFY)
        return STATUS_OK;
    enum status status = read_table(in, PART_LABELS_BYTES, count, data);
    if (!status)
        status = labels_adopt(count, data[0], data[1], data[2], STATUS_CHECKPOINT, &labels, in->e);
    in->checkpoint->labels = labels;
    return status;
}

static enum status read_vocab(struct reading *in)
{
    void *data[3];
    struct vocab *vocab = NULL;
    int V = in->checkpoint->model.vocab;
    enum status status = read_table(in, PART_VOCAB_BYTES, V, data);
    if (status)
        return status;
    status = vocab_adopt(in->level, V, data[0], data[1], data[2], STATUS_CHECKPOINT, &vocab, in->e);
    if (!status)
        vocab_set_normal(vocab, in->normal, in->unicode);
    in->checkpoint->vocab = vocab;
    return status;
}

/* Room for what is to be kept. */
static enum status make_room(struct reading *in, enum checkpoint_part part)
{
    struct checkpoint *checkpoint = in->checkpoint;
    enum status status = STATUS_OK;
    if (part == CHECKPOINT_ALL || part == CHECKPOINT_FOR_USE) {
        checkpoint->values = mem_alloc(checkpoint->table.total, sizeof(float), "the parameters of a checkpoint", in->e);
        status = checkpoint->values ? STATUS_OK : STATUS_OS;
    }
    if (!status && part == CHECKPOINT_ALL && checkpoint->resumable && checkpoint->average.count > 0) {
        checkpoint->trained = mem_alloc(checkpoint->table.trained, sizeof(float), "the weights of a checkpoint", in->e);
        status = checkpoint->trained ? STATUS_OK : STATUS_OS;
    }
    if (!status && part == CHECKPOINT_ALL && checkpoint->resumable) {
        status = optimizer_create(&checkpoint->rule, &checkpoint->table, NULL, &checkpoint->optimizer, in->e);
        if (!status)
            checkpoint->optimizer->updates = checkpoint->updates;
    }
    return status;
}

static enum status read_all(struct reading *in, enum checkpoint_part part)
{
    bool run = part == CHECKPOINT_ALL || part == CHECKPOINT_RUN;
    enum status status = reading_attributes(in);
    if (!status)
        status = check_datasets(in);
    if (!status)
        status = make_room(in, part);
    if (!status)
        status = read_values(in, in->checkpoint->values);
    if (!status)
        status = read_vocab(in);
    if (!status)
        status = read_labels(in);
    if (!status && run && in->checkpoint->resumable)
        status = read_trained(in, in->checkpoint->trained);
    if (!status && run && in->checkpoint->resumable)
        status = read_slots(in, in->checkpoint->optimizer);
    if (!status && run && in->checkpoint->resumable)
        status = read_states(in);
    return status;
}

/* ---- the file ---- */

static void reading_close(struct reading *in)
{
    if (!in)
        return;
    mem_free(in->attrs);
    mem_free(in->parts);
    h5_close_read(in->file);
    mem_free(in);
}

/* Opens the file for `checkpoint`. On failure there is nothing to close. */
static enum status reading_open(const char *path, struct checkpoint *checkpoint, struct reading **out, struct error *e)
{
    struct reading *in = *out = mem_alloc(1, sizeof *in, "a checkpoint", e);
    if (!in)
        return STATUS_OS;
    snprintf(in->path, sizeof in->path, "%s", path);
    in->checkpoint = checkpoint;
    in->e = &in->reason;
    enum status status = h5_open_plain(path, STATUS_CHECKPOINT, &in->file, e);
    if (!status) {
        in->attrs = attrs_new("/", e);
        in->parts = mem_alloc(1, sizeof *in->parts, "a checkpoint", e);
        status = in->attrs && in->parts ? STATUS_OK : STATUS_OS;
    }
    if (status) {
        reading_close(in);
        *out = NULL;
    }
    return status;
}

/* Puts file and reason into one message. */
static enum status reading_result(const struct reading *in, enum status status, struct error *e)
{
    if (status == STATUS_OS || status == STATUS_IO)
        return error_set(e, status, "cannot read '%.200s': %.350s", in->path, in->reason.text);
    if (status)
        return error_set(e, STATUS_CHECKPOINT, "cannot use '%.200s' as a checkpoint: %.300s; use another one", in->path,
                         in->reason.text);
    return STATUS_OK;
}

enum status checkpoint_read(const char *path, enum checkpoint_part part, struct checkpoint *checkpoint, struct error *e)
{
    struct reading *in;
    *checkpoint = (struct checkpoint){.owned = true};
    enum status status = reading_open(path, checkpoint, &in, e);
    if (!status)
        status = reading_result(in, read_all(in, part), e);
    if (!status && (part == CHECKPOINT_RUN || part == CHECKPOINT_FACTS))
        checkpoint->source = in;
    else
        reading_close(in);
    if (status)
        checkpoint_release(checkpoint);
    return content_explain(path, WANTED_CHECKPOINT, status, e);
}

enum status checkpoint_load(struct checkpoint *checkpoint, float *values, float *trained, struct optimizer *optimizer,
                            struct error *e)
{
    struct reading *in = checkpoint->source;
    in->checkpoint = checkpoint;
    enum status status = values ? read_values(in, values) : STATUS_OK;
    if (!status && trained)
        status = read_trained(in, trained);
    if (!status && optimizer)
        status = read_slots(in, optimizer);
    return reading_result(in, status, e);
}

enum status checkpoint_verify(const char *path, struct error *e)
{
    struct checkpoint *checkpoint = mem_alloc(1, sizeof *checkpoint, "a checkpoint", e);
    struct reading *in;
    if (!checkpoint)
        return STATUS_OS;
    checkpoint->owned = true;
    enum status status = reading_open(path, checkpoint, &in, e);
    if (!status)
        status = reading_result(in, read_all(in, CHECKPOINT_RUN), e);
    reading_close(in);
    checkpoint_release(checkpoint);
    mem_free(checkpoint);
    return status;
}

void checkpoint_release(struct checkpoint *checkpoint)
{
    if (checkpoint->owned) {
        mem_free(checkpoint->values);
        mem_free(checkpoint->trained);
        optimizer_free(checkpoint->optimizer);
        mem_free(checkpoint->states);
        vocab_free((struct vocab *)checkpoint->vocab);
        labels_free((struct labels *)checkpoint->labels);
        reading_close(checkpoint->source);
    }
    *checkpoint = (struct checkpoint){.options = 0};
}
