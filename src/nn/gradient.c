/* Gradient arrays: the dense part, the parts of touched rows, and lists of rows. */
#include "unroll/nn/gradient.h"

#include <string.h>

#include "unroll/base/sort.h"
#include "unroll/base/tuning.h"
#include "unroll/nn/output.h"

int gradient_add_list(struct gradient_layout *layout, int64_t rows, int64_t places, bool same)
{
    CHECK(layout->lists < GRADIENT_LISTS_MAX);
    layout->list[layout->lists] = (struct gradient_list){rows, places < rows ? places : rows, places, same};
    return layout->lists++;
}

/* The parameter whose values an alias has, or itself. */
static int own(const struct param_table *table, int param)
{
    int alias = table->param[param].alias;
    return alias < 0 ? param : alias;
}

void gradient_add_part(struct gradient_layout *layout, const struct param_table *table, int param, int list)
{
    CHECK(layout->parts < GRADIENT_PARTS_MAX);
    size_t width = table->param[param].count / (size_t)layout->list[list].rows;
    layout->part[layout->parts++] = (struct gradient_part){.param = own(table, param), .list = list, .width = width};
    layout->width[own(table, param)] = layout->width[param] = width;
}

/* Rows of encoder.weight, where a window touches so few that it is worth summing and updating those alone, or where the
 * output layer touches rows of the same values. With tied weights of a layer that does not, no row rests. */
static void add_inputs(const struct model_config *config, const struct param_table *table, int64_t positions,
                       bool sparse, struct gradient_layout *layout)
{
    layout->inputs = -1;
    bool few = TUNE_SPARSE_ROWS && sparse && !config->tied && 2 * positions <= config->vocab;
    if (!layout->width[table->encoder] && !few)
        return;
    layout->inputs = gradient_add_list(layout, config->vocab, positions, false);
    gradient_add_part(layout, table, table->encoder, layout->inputs);
}

void gradient_layout_build(const struct model_config *config, const struct param_table *table, int batch, int bptt,
                           bool sparse, struct gradient_layout *layout)
{
    const struct output_kind *kind = output_kind(config);
    memset(layout, 0, sizeof *layout);
    if (kind->parts)
        kind->parts(config, table, batch, bptt, sparse, layout);
    add_inputs(config, table, (int64_t)batch * bptt, sparse, layout);
    for (int aliases = 0; aliases < 2; aliases++) /* behind all others, as in the table */
        for (int i = 0; i < table->count; i++) {
            const struct param *p = &table->param[i];
            if (p->role == PARAM_CONSTANT || layout->width[i] || aliases != (p->alias >= 0))
                continue;
            layout->offset[i] = layout->dense;
            layout->dense += param_padded(p->count);
        }
    layout->total = layout->dense;
    for (struct gradient_part *part = layout->part; part < layout->part + layout->parts; part++) {
        part->offset = layout->total;
        layout->total += param_padded((size_t)layout->list[part->list].most * part->width);
    }
}

const struct gradient_part *gradient_part_of(const struct gradient_layout *layout, const struct param_table *table,
                                             int param, int list)
{
    for (const struct gradient_part *part = layout->part; part < layout->part + layout->parts; part++)
        if (part->param == own(table, param) && part->list == list)
            return part;
    CHECK(!"a parameter without such a part");
    return NULL;
}

/* ---- lists ---- */

int64_t touched_sort(uint32_t *ids, int64_t count)
{
    int64_t distinct = 0;
    sort_ids(ids, count);
    for (int64_t i = 0; i < count; i++)
        if (i == 0 || ids[i] != ids[i - 1])
            ids[distinct++] = ids[i];
    return distinct;
}

int64_t touched_place(const struct touched_list *list, uint32_t row)
{
    int64_t begin = 0, end = list->count;
    while (end - begin > 1) {
        int64_t middle = begin + (end - begin) / 2;
        if (list->row[middle] <= row)
            begin = middle;
        else
            end = middle;
    }
    CHECK(end > begin && list->row[begin] == row);
    return begin;
}

/* ---- for comparisons ---- */

static void add_part(const struct gradient_part *part, const struct touched_list *list, const float *from, float *to)
{
    for (int64_t i = 0; i < list->count; i++)
        for (size_t k = 0; k < part->width; k++)
            to[list->row[i] * part->width + k] += from[(size_t)i * part->width + k];
}

void gradient_expand(const struct gradient_layout *layout, const struct param_table *table,
                     const struct touched *touched, const float *array, float *dense)
{
    memset(dense, 0, table->grad_total * sizeof *dense);
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->param[i];
        if (p->role != PARAM_CONSTANT && !layout->width[i])
            memcpy(dense + p->grad_offset, array + layout->offset[i], p->count * sizeof *dense);
    }
    for (const struct gradient_part *part = layout->part; part < layout->part + layout->parts; part++)
        add_part(part, &touched->list[part->list], array + part->offset, dense + table->param[part->param].grad_offset);
}

void gradient_lay_out(const struct param_gradient *gradient, const struct param_table *table, float *values)
{
    const struct gradient_layout *layout = gradient->layout;
    memset(values, 0, table->trained * sizeof *values);
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->param[i];
        size_t width = layout ? layout->width[i] : 0;
        if (!param_is_own(p))
            continue;
        if (!width)
            memcpy(values + p->offset, gradient->dense + (layout ? layout->offset[i] : p->grad_offset),
                   p->count * sizeof *values);
        for (int64_t r = 0; width && r < gradient->rows[i].count; r++)
            memcpy(values + p->offset + gradient->rows[i].row[r] * width, gradient->rows[i].grad[r],
                   width * sizeof *values);
    }
}
