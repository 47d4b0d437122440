/* Checks that the tensors of a foreign file are those of the model, and reports what is missing or converted. */
#include "weights_private.h"

#include <stdio.h>
#include <string.h>

#include "unroll/base/mem.h"

#define PIECE (1 << 18) /* numbers compared at once */

/* Called before any of its numbers are read. */
static enum status check_type(const struct importing *in, const struct source_tensor *tensor)
{
    char reason[200];
    if (!tensor || tensor->is_float)
        return STATUS_OK;
    snprintf(reason, sizeof reason,
             "is %s, but weights are float32, float16, bfloat16 or float64; write it as one of them", tensor->type);
    return import_refuse(in, tensor->name, reason);
}

/* Compares the matrices piece by piece, since they may be large. */
enum status import_compare_tied(const struct importing *in, bool *same)
{
    const struct source_tensor *one = source_find(&in->source, "encoder.weight");
    const struct source_tensor *two = source_find(&in->source, "decoder.weight");
    enum status status = check_type(in, one);
    if (!status)
        status = check_type(in, two);
    if (status)
        return status;
    *same = two && two->rank == 2 && one->shape[0] == two->shape[0] && one->shape[1] == two->shape[1];
    if (!*same)
        return STATUS_OK;
    float *pieces = mem_alloc(2 * PIECE, sizeof *pieces, "weights to compare", in->e);
    status = pieces ? STATUS_OK : STATUS_OS;
    int64_t elements = one->shape[0] * one->shape[1];
    for (int64_t done = 0; done < elements && *same && !status; done += PIECE) {
        int64_t count = elements - done < PIECE ? elements - done : PIECE;
        status = source_read(&in->source, one, done, count, pieces, in->e);
        if (!status)
            status = source_read(&in->source, two, done, count, pieces + PIECE, in->e);
        *same = !status && memcmp(pieces, pieces + PIECE, (size_t)count * sizeof *pieces) == 0;
    }
    mem_free(pieces);
    return status;
}

/* Whether a tensor without a place may be the output layer's, which is not there. */
static bool may_be_output(const struct importing *in, const struct source_tensor *tensor)
{
    const char *dot = strrchr(tensor->given, '.');
    return !source_find(&in->source, "decoder.weight") && dot && tensor->shape[0] == in->checkpoint->model.vocab &&
           (strcmp(dot, ".weight") == 0 || strcmp(dot, ".bias") == 0);
}

/* Tensors that such a model has no place for. */
static enum status refuse_unused(const struct importing *in, const struct param_table *table)
{
    char list[240], advice[240] = "";
    const struct source_tensor *first = NULL;
    size_t used = 0;
    int count = 0;
    for (int i = 0; i < in->source.count; i++) {
        const struct source_tensor *tensor = &in->source.tensor[i];
        if (!tensor->name[0] || param_find(table, tensor->name) >= 0)
            continue;
        first = first ? first : tensor;
        if (count++ < 3)
            used +=
                (size_t)snprintf(list + used, sizeof list - used, "%s'%.60s'", count > 1 ? ", " : "", tensor->given);
        if (may_be_output(in, tensor))
            snprintf(advice, sizeof advice, "; '--rename %.*s=decoder.' if that is the output layer",
                     (int)(strrchr(tensor->given, '.') - tensor->given) + 1, tensor->given);
    }
    if (count == 0)
        return STATUS_OK;
    if (count > 3)
        snprintf(list + used, sizeof list - used, " and %d more", count - 3);
    return error_set(
        in->e, STATUS_DATA,
        "cannot import '%.100s': %s %s no parameter%s of such a model; '--rename %.60s=' leaves one out, if the "
        "model works without%s",
        in->source.path, list, count > 1 ? "are" : "is", count > 1 ? "s" : "", first->given, advice);
}

/* The tensor must have the parameter's shape and a floating-point type. */
static enum status check_tensor(const struct importing *in, const struct param *param,
                                const struct source_tensor *tensor)
{
    char reason[200];
    if (tensor->rank != param->rank || tensor->shape[0] != param->shape[0] || tensor->shape[1] != param->shape[1]) {
        snprintf(reason, sizeof reason, "is %s[%lld][%lld] where such a model has [%lld][%lld]",
                 tensor->rank > 2 ? "more than " : "", (long long)tensor->shape[0], (long long)tensor->shape[1],
                 (long long)param->shape[0], (long long)param->shape[1]);
        return import_refuse(in, param->name, reason);
    }
    return check_type(in, tensor);
}

/* Biases that are not there are zeros: of modules made with bias=False. */
static void tell_zeros(const struct importing *in, const struct param *param)
{
    char *text = in->report->zeros;
    size_t used = strlen(text), size = sizeof in->report->zeros;
    snprintf(text + used, size - used, "%s'%s'", used ? ", " : "", param->name);
}

/* Every parameter of the table is there with its shape, and nothing else. */
enum status import_check_tensors(const struct importing *in, const struct param_table *table)
{
    enum status status = refuse_unused(in, table);
    for (int i = 0; i < table->count && !status; i++) {
        const struct param *param = &table->param[i];
        const struct source_tensor *tensor = source_find(&in->source, param->name);
        if (tensor)
            status = check_tensor(in, param, tensor);
        else if (strstr(param->name, "bias"))
            tell_zeros(in, param);
        else if (param->alias < 0)
            status = import_refuse(in, param->name, "is missing");
        else if (!in->hints->has_tied)
            snprintf(in->report->tied, sizeof in->report->tied, "'%s'", param->name);
    }
    return status;
}

/* How many of the tensors used were no float32, by type. */
void import_tell_converted(const struct importing *in)
{
    static const char *const types[][2] = {{"F16", "float16"}, {"BF16", "bfloat16"}, {"F64", "float64"}};
    char *text = in->report->converted;
    size_t used = 0, size = sizeof in->report->converted;
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        int count = 0;
        for (int i = 0; i < in->source.count; i++) {
            const struct source_tensor *tensor = &in->source.tensor[i];
            bool same = strcmp(tensor->type, types[k][0]) == 0 || strcmp(tensor->type, types[k][1]) == 0;
            count += tensor->name[0] && same;
        }
        if (count > 0)
            used += (size_t)snprintf(text + used, size - used, "%s%d of %s", used ? ", " : "", count, types[k][1]);
    }
}
