/* Checks the values of a checkpoint. The writer calls it before it writes, the reader after it has read, so both accept
 * the same files. */
#include "checkpoint_private.h"

static enum status check_least(const char *name, int64_t value, int64_t least, struct error *e)
{
    if (value >= least)
        return STATUS_OK;
    return error_set(e, STATUS_CHECKPOINT, "'%s' is %lld, it must be %lld or more", name, (long long)value,
                     (long long)least);
}

static enum status check_field(const struct progress_field *field, const struct progress *progress, struct error *e)
{
    const char *value = (const char *)progress + field->offset;
    if (field->rule == FIELD_COUNT)
        return check_least(field->name, *(const int64_t *)value, field->least, e);
    double real = *(const double *)value;
    if (field->rule == FIELD_POSITIVE && !(real > 0)) /* a NaN fails too */
        return error_set(e, STATUS_CHECKPOINT, "'%s' is %g, it must be above 0", field->name, real);
    return STATUS_OK;
}

enum status progress_check(const struct progress *progress, struct error *e)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < progress_field_count && !status; i++)
        status = check_field(&progress_fields[i], progress, e);
    return status;
}

static enum status check_lanes(const struct checkpoint *checkpoint, struct error *e)
{
    enum status status = check_least("batch", checkpoint->batch, 1, e);
    if (!status)
        status = check_least("bptt", checkpoint->bptt, 1, e);
    if (!status)
        status = check_least("lane_groups", checkpoint->groups, 1, e);
    if (!status && checkpoint->groups > checkpoint->batch)
        status = error_set(e, STATUS_CHECKPOINT, "'lane_groups' is %d, it must be %d, the batch, or less",
                           checkpoint->groups, checkpoint->batch);
    return status;
}

static enum status check_build(const struct checkpoint_build *build, struct error *e)
{
    enum status status = check_least("ranks", build->ranks, 0, e);
    if (!status)
        status = check_least("threads", build->threads, 0, e);
    return status ? status : check_least("arithmetic", build->arithmetic, 0, e);
}

/* Its tables of words: as long as the model says. */
static enum status check_tables(const struct checkpoint *checkpoint, struct error *e)
{
    const struct model_config *model = &checkpoint->model;
    int labels = model->task == TASK_CLASSIFY ? model->labels : 0, there = 0;
    if (checkpoint->vocab && checkpoint->vocab->size != model->vocab)
        return error_set(e, STATUS_CHECKPOINT, "the vocabulary has %d entries and the model %d",
                         checkpoint->vocab->size, model->vocab);
    if (checkpoint->labels)
        there = checkpoint->labels->count;
    if ((checkpoint->vocab || checkpoint->labels) && there != labels)
        return error_set(e, STATUS_CHECKPOINT, "there are %d labels and the model has %d", there, labels);
    return STATUS_OK;
}

enum status checkpoint_check(const struct checkpoint *checkpoint, struct error *e)
{
    enum status status = model_config_check(&checkpoint->model, e);
    if (!status)
        status = check_lanes(checkpoint, e);
    if (!status)
        status = progress_check(&checkpoint->progress, e);
    if (!status)
        status = check_build(&checkpoint->build, e);
    if (!status && checkpoint->optimizer)
        status = check_least("updates", checkpoint->optimizer->updates, 0, e);
    if (!status)
        status = average_check(&checkpoint->average, e);
    return status ? status : check_tables(checkpoint, e);
}
