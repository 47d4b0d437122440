/* What is in a checkpoint: the fields of its progress and the list of its datasets. */
#include "checkpoint_private.h"

#include <stddef.h>
#include <stdio.h>

#define FIELD(field, rule, least)                             \
    {                                                         \
#field, offsetof(struct progress, field), rule, least \
    }
#define COUNT(field) FIELD(field, FIELD_COUNT, 0)
#define REAL(field) FIELD(field, FIELD_REAL, 0)

const struct progress_field progress_fields[] = {
    COUNT(step),           COUNT(epoch),
    COUNT(window),         COUNT(tokens),
    COUNT(skipped),        COUNT(skipped_in_row),
    REAL(epoch_loss),      COUNT(epoch_tokens),
    REAL(valid_loss),      FIELD(valid_step, FIELD_COUNT, -1),
    REAL(best_valid_loss), COUNT(best_step),
    COUNT(stalls),         FIELD(lr_factor, FIELD_POSITIVE, 0),
    COUNT(plateau_stalls), REAL(log_loss),
    COUNT(log_tokens),     COUNT(metrics_bytes),
    COUNT(finished),       REAL(seconds),
};
const int progress_field_count = (int)(sizeof progress_fields / sizeof *progress_fields);

/* Each field of struct progress is 8 bytes and stands in the table. */
_Static_assert(sizeof(struct progress) == sizeof progress_fields / sizeof *progress_fields * 8,
               "progress_fields lists every field of struct progress");

static struct part *add_part(struct parts *parts, enum part_kind kind, int index, enum h5_type type, int rank,
                             int64_t rows, int64_t columns)
{
    struct part *part = &parts->item[parts->count++];
    *part = (struct part){.kind = kind, .index = index, .shape = {type, rank, {rows, columns}}};
    return part;
}

static void add_trained(struct parts *parts, const struct param_table *table)
{
    for (int i = 0; i < table->count; i++) {
        const struct param *param = &table->param[i];
        if (!param_is_own(param))
            continue;
        struct part *part = add_part(parts, PART_TRAINED, i, H5_F32, param->rank, param->shape[0], param->shape[1]);
        snprintf(part->path, sizeof part->path, "/trained/%s", param->name);
    }
}

void parts_list(struct parts *parts, const struct model_config *model, const struct param_table *table, int batch,
                bool resumable, bool averaged, int optimizer)
{
    parts->count = 0;
    for (int i = 0; i < table->count; i++) {
        const struct param *param = &table->param[i];
        struct part *part = add_part(parts, PART_PARAM, i, H5_F32, param->rank, param->shape[0], param->shape[1]);
        snprintf(part->path, sizeof part->path, "/model/%s", param->name);
    }
    if (resumable && averaged)
        add_trained(parts, table);
    for (int i = 0; i < table->count && resumable; i++) {
        const struct param *param = &table->param[i];
        for (int slot = 0; slot < optimizer_slots(optimizer) && param_is_own(param); slot++) {
            struct part *part = add_part(parts, PART_SLOT, i, H5_F32, param->rank, param->shape[0], param->shape[1]);
            part->slot = slot;
            snprintf(part->path, sizeof part->path, "/optimizer/%s/%s", param->name,
                     optimizer_slot_name(optimizer, slot));
        }
    }
    for (int i = 0; i < model_state_count(model) && resumable; i++) {
        char name[16];
        struct part *part = add_part(parts, PART_STATE, i, H5_F32, 2, batch, model_state_width(model, i));
        snprintf(part->path, sizeof part->path, "/state/%s", model_state_name(model, i, name));
    }
    snprintf(add_part(parts, PART_VOCAB_BYTES, 0, H5_U8, 1, 0, 1)->path, sizeof parts->item->path, "/vocab/bytes");
    snprintf(add_part(parts, PART_VOCAB_OFFSETS, 0, H5_U64, 1, (int64_t)model->vocab + 1, 1)->path,
             sizeof parts->item->path, "/vocab/offsets");
    snprintf(add_part(parts, PART_VOCAB_COUNTS, 0, H5_U64, 1, model->vocab, 1)->path, sizeof parts->item->path,
             "/vocab/counts");
    if (model->task != TASK_CLASSIFY)
        return;
    snprintf(add_part(parts, PART_LABELS_BYTES, 0, H5_U8, 1, 0, 1)->path, sizeof parts->item->path, "/labels/bytes");
    snprintf(add_part(parts, PART_LABELS_OFFSETS, 0, H5_U64, 1, (int64_t)model->labels + 1, 1)->path,
             sizeof parts->item->path, "/labels/offsets");
    snprintf(add_part(parts, PART_LABELS_COUNTS, 0, H5_U64, 1, model->labels, 1)->path, sizeof parts->item->path,
             "/labels/counts");
}

int64_t part_elements(const struct part *part)
{
    return part->shape.rank == 2 ? part->shape.dims[0] * part->shape.dims[1] : part->shape.dims[0];
}
