/* Reads and verifies a checkpoint. Nothing in the file is trusted: first its structure is checked (sys/h5), then the
 * attributes (checkpoint_read_attrs.c), then names, types and shapes of all datasets against the attributes. Only then
 * is memory allocated, and every dataset is compared with its digest. */
#include "checkpoint_private.h"

#include <string.h>

#include "unroll/base/content.h"
#include "unroll/base/digest.h"
#include "unroll/base/mem.h"

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
    parts_list(in->parts, &checkpoint->model, &checkpoint->table, checkpoint->batch, in->resumable, in->optimizer.kind);
    enum status status = (enum status)h5_each_dataset(in->file, check_known, in);
    for (int i = 0; i < in->parts->count && !status; i++)
        if (!h5_exists(in->file, in->parts->item[i].path))
            status = error_set(in->e, STATUS_CHECKPOINT, "'%s' is missing", in->parts->item[i].path);
    return status;
}

/* ---- data ---- */

/* Reads a whole part into `data`, or piece by piece if that is NULL, and compares its digest; `hex` receives it. The
 * bytes are also added to in->all, if there is one. */
static enum status read_part(struct reading *in, const struct part *part, void *data, char hex[DIGEST_TEXT])
{
    size_t size = h5_type_size(part->shape.type);
    int64_t elements = part_elements(part), piece = data ? elements : (int64_t)(PIECE / size);
    char stored[DIGEST_TEXT];
    enum status status = h5_attr_string(in->file, part->path, CHECKPOINT_DIGEST, stored, sizeof stored, in->e);
    void *room = data ? data : mem_alloc(PIECE, 1, "a piece of a checkpoint", in->e);
    struct digest *digest = digest_new(in->e);
    if (!status && (!room || !digest))
        status = STATUS_OS;
    for (int64_t done = 0; done < elements && !status; done += piece) {
        int64_t count = elements - done < piece ? elements - done : piece;
        status = h5_read(in->file, part->path, part->shape.type, done, count, room, in->e);
        if (!status)
            digest_add(digest, room, (size_t)count * size);
        if (!status && in->all)
            digest_add(in->all, room, (size_t)count * size);
    }
    if (!status) {
        digest_text(digest, hex);
        if (strcmp(stored, hex) != 0)
            status = error_set(in->e, STATUS_CHECKPOINT, "the data of '%s' do not match their digest", part->path);
    }
    digest_free(digest);
    if (!data)
        mem_free(room);
    return status;
}

static enum status tied_differ(const struct reading *in, const struct part *part, const struct param *first)
{
    return error_set(in->e, STATUS_CHECKPOINT, "'%s' differs from '/model/%s', to which it is tied", part->path,
                     first->name);
}

/* The second name of tied weights holds the same bytes. */
static enum status read_alias(struct reading *in, const struct part *part, char hex[DIGEST_TEXT])
{
    const struct param_table *table = &in->checkpoint->table;
    const struct param *first = &table->param[table->param[part->index].alias];
    char expected[DIGEST_TEXT];
    digest_of(in->checkpoint->values + first->offset, first->count * sizeof(float), expected);
    enum status status = read_part(in, part, NULL, hex);
    if (!status && strcmp(hex, expected) != 0)
        status = tied_differ(in, part, first);
    return status;
}

static enum status read_values(struct reading *in)
{
    struct checkpoint *checkpoint = in->checkpoint;
    char hex[DIGEST_TEXT];
    checkpoint->values = mem_alloc(checkpoint->table.total, sizeof(float), "the parameters of a checkpoint", in->e);
    enum status status = checkpoint->values ? STATUS_OK : STATUS_OS;
    for (int i = 0; i < in->parts->count && !status; i++) {
        const struct part *part = &in->parts->item[i];
        if (part->kind != PART_PARAM)
            continue;
        const struct param *param = &checkpoint->table.param[part->index];
        status = param->alias >= 0 ? read_alias(in, part, hex)
                                   : read_part(in, part, checkpoint->values + param->offset, hex);
    }
    if (status)
        return status;
    param_digest(&checkpoint->table, checkpoint->values, hex);
    if (strcmp(hex, in->parameters_digest) != 0)
        return error_set(in->e, STATUS_CHECKPOINT, "the parameters do not match 'parameters_digest'");
    return STATUS_OK;
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

static enum status read_run_state(struct reading *in)
{
    struct checkpoint *checkpoint = in->checkpoint;
    char hex[DIGEST_TEXT];
    enum status status = optimizer_create(&in->optimizer, &checkpoint->table, NULL, &checkpoint->optimizer, in->e);
    if (status)
        return status;
    checkpoint->optimizer->updates = in->updates;
    size_t batch = (size_t)checkpoint->batch;
    checkpoint->states = mem_alloc(batch * model_state_total(&checkpoint->model), sizeof(float),
                                   "the carried states of a checkpoint", in->e);
    if (!checkpoint->states)
        return STATUS_OS;
    for (int i = 0; i < in->parts->count && !status; i++) {
        const struct part *part = &in->parts->item[i];
        if (part->kind == PART_SLOT)
            status = read_part(
                in, part, checkpoint->optimizer->slot[part->slot] + checkpoint->table.param[part->index].offset, hex);
        else if (part->kind == PART_STATE)
            status = read_part(in, part,
                               checkpoint->states + batch * model_state_offset(&checkpoint->model, part->index), hex);
    }
    return status;
}

static enum status read_all(struct reading *in, enum checkpoint_part part)
{
    enum status status = reading_attributes(in);
    if (!status)
        status = check_datasets(in);
    if (!status)
        status = read_values(in);
    if (!status)
        status = read_vocab(in);
    if (!status)
        status = read_labels(in);
    if (!status && part == CHECKPOINT_ALL && in->resumable)
        status = read_run_state(in);
    return status;
}

/* The parameters, in the order of the table, without keeping them. */
static enum status verify_values(struct reading *in)
{
    const struct param_table *table = &in->checkpoint->table;
    char hex[PARAM_MAX][DIGEST_TEXT], together[DIGEST_TEXT];
    enum status status = STATUS_OK;
    for (int i = 0; i < in->parts->count && !status; i++) {
        const struct part *part = &in->parts->item[i];
        if (part->kind != PART_PARAM)
            continue;
        int first = table->param[part->index].alias;
        status = read_part(in, part, NULL, hex[part->index]);
        if (!status && first >= 0 && strcmp(hex[part->index], hex[first]) != 0)
            status = tied_differ(in, part, &table->param[first]);
    }
    if (status)
        return status;
    digest_text(in->all, together);
    if (strcmp(together, in->parameters_digest) != 0)
        return error_set(in->e, STATUS_CHECKPOINT, "the parameters do not match 'parameters_digest'");
    return STATUS_OK;
}

static enum status verify_all(struct reading *in)
{
    char hex[DIGEST_TEXT];
    enum status status = reading_attributes(in);
    if (!status)
        status = check_datasets(in);
    in->all = status ? NULL : digest_new(in->e);
    if (!status)
        status = in->all ? verify_values(in) : STATUS_OS;
    digest_free(in->all);
    in->all = NULL;
    if (!status)
        status = read_vocab(in);
    if (!status)
        status = read_labels(in);
    vocab_free((struct vocab *)in->checkpoint->vocab);
    labels_free((struct labels *)in->checkpoint->labels);
    for (int i = 0; i < in->parts->count && !status; i++) {
        enum part_kind kind = in->parts->item[i].kind;
        if (kind == PART_SLOT || kind == PART_STATE)
            status = read_part(in, &in->parts->item[i], NULL, hex);
    }
    return status;
}

/* Opens the file, lets `verb` read, closes it, and puts file and reason into one message. */
static enum status with_file(const char *path, struct reading *in, enum status (*verb)(struct reading *, int),
                             int argument, struct error *e)
{
    enum status status = h5_open_plain(path, STATUS_CHECKPOINT, &in->file, e);
    if (status)
        return status;
    struct error reason = {STATUS_OK, ""};
    in->e = &reason;
    in->attrs = attrs_new("/", &reason);
    in->parts = mem_alloc(1, sizeof *in->parts, "a checkpoint", &reason);
    status = in->attrs && in->parts ? verb(in, argument) : STATUS_OS;
    mem_free(in->attrs);
    mem_free(in->parts);
    h5_close_read(in->file);
    if (status == STATUS_OS || status == STATUS_IO)
        return error_set(e, status, "cannot read '%.200s': %.350s", path, reason.text);
    if (status)
        return error_set(e, STATUS_CHECKPOINT, "cannot use '%.200s' as a checkpoint: %.300s; use another one", path,
                         reason.text);
    return STATUS_OK;
}

static enum status read_verb(struct reading *in, int part)
{
    return read_all(in, (enum checkpoint_part)part);
}

static enum status verify_verb(struct reading *in, int unused)
{
    (void)unused;
    return verify_all(in);
}

enum status checkpoint_read(const char *path, enum checkpoint_part part, struct checkpoint *checkpoint, struct error *e)
{
    *checkpoint = (struct checkpoint){.owned = true};
    struct reading in = {.checkpoint = checkpoint};
    enum status status = with_file(path, &in, read_verb, (int)part, e);
    if (status)
        checkpoint_release(checkpoint);
    return content_explain(path, WANTED_CHECKPOINT, status, e);
}

enum status checkpoint_verify(const char *path, struct error *e)
{
    struct checkpoint *facts = mem_alloc(1, sizeof *facts, "a checkpoint", e);
    if (!facts)
        return STATUS_OS;
    struct reading in = {.checkpoint = facts};
    enum status status = with_file(path, &in, verify_verb, 0, e);
    mem_free(facts);
    return status;
}

void checkpoint_release(struct checkpoint *checkpoint)
{
    if (checkpoint->owned) {
        mem_free(checkpoint->values);
        optimizer_free(checkpoint->optimizer);
        mem_free(checkpoint->states);
        vocab_free((struct vocab *)checkpoint->vocab);
        labels_free((struct labels *)checkpoint->labels);
    }
    *checkpoint = (struct checkpoint){.options = 0};
}
