/* What PyTorch computed for small models: the files of tests/ref, which the scripts beside them made. A case is a group
 * whose attributes are members of struct model_config under their stored names, and the window's sizes, seed and step.
 * Everything in it is double precision from weights that float32 holds exactly. */
#ifndef TESTS_SUPPORT_FIXTURE_H
#define TESTS_SUPPORT_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/nn/constants.h"
#include "unroll/nn/model.h"
#include "unroll/nn/reference.h"
#include "unroll/sys/h5.h"

/* Both sides are double precision; the sums have some hundred terms of size one: 1e-12 is rounding, 1e-9 a mistake. */
#define DOUBLE_TOLERANCE 1e-9
/* Float32 with the same sums: some 1e-6. */
#define FLOAT_TOLERANCE 1e-5

#define EXPECT_OK(call)             \
    do {                            \
        struct error e = {0};       \
        if ((call) != STATUS_OK)    \
            fail_msg("%s", e.text); \
    } while (0)

struct fixture {
    struct h5 *file;
    const char *name; /* of the case */
    struct model_config config;
    struct param_table table;
    int lanes, bptt;
    uint64_t seed;            /* 1 if the case says nothing */
    int64_t step;             /* else 0 */
    float *values;            /* [table.total] */
    uint32_t *input, *target; /* of fixture_tokens */
};

static inline void *take(size_t count, size_t size)
{
    struct error e = {0};
    void *block = mem_alloc(count, size, "a test", &e);
    assert_non_null(block);
    return block;
}

static inline void fixture_read(const struct fixture *f, const char *part, enum h5_type type, int64_t count, void *data)
{
    char path[160];
    snprintf(path, sizeof path, "/%s/%s", f->name, part);
    EXPECT_OK(h5_read(f->file, path, type, 0, count, data, &e));
}

/* ---- opening ---- */

static inline void fixture_text(struct fixture *f, const char *object, const struct model_field *field)
{
    char text[MODEL_FIELD_TEXT];
    int value = 0;
    EXPECT_OK(h5_attr_string(f->file, object, field->stored, text, sizeof text, &e));
    if (field->type == MODEL_LIST) {
        assert_true(model_field_set_list(field, &f->config, text));
        return;
    }
    assert_int_equal(field->type, MODEL_CHOICE);
    EXPECT_OK(choices_parse(field->choices, text, &value, &e));
    model_field_set_integer(field, &f->config, value);
}

static inline int fixture_attribute(void *context, const char *name, enum h5_attr type)
{
    struct fixture *f = context;
    char object[64];
    int64_t integer = 0;
    double real = 0;
    snprintf(object, sizeof object, "/%s", f->name);
    if (type == H5_ATTR_I64)
        EXPECT_OK(h5_attr_i64(f->file, object, name, &integer, &e));
    else if (type == H5_ATTR_F64)
        EXPECT_OK(h5_attr_f64(f->file, object, name, &real, &e));
    for (int i = 0; i < model_field_count; i++)
        if (strcmp(model_fields[i].stored, name) == 0) {
            if (type == H5_ATTR_STRING)
                fixture_text(f, object, &model_fields[i]);
            else if (type == H5_ATTR_F64)
                model_field_set_real(&model_fields[i], &f->config, real);
            else
                model_field_set_integer(&model_fields[i], &f->config, integer);
            return 0;
        }
    if (strcmp(name, "lanes") == 0)
        f->lanes = (int)integer;
    else if (strcmp(name, "bptt") == 0)
        f->bptt = (int)integer;
    else if (strcmp(name, "seed") == 0)
        f->seed = (uint64_t)integer;
    else if (strcmp(name, "step") == 0)
        f->step = integer;
    else
        fail_msg("%s: nothing reads the attribute '%s'", f->name, name);
    return 0;
}

static inline void fixture_open(const char *path, const char *name, struct fixture *f)
{
    char object[80], part[80];
    *f = (struct fixture){.name = name, .seed = 1};
    snprintf(object, sizeof object, "/%s", name);
    EXPECT_OK(h5_open_plain(path, STATUS_DATA, &f->file, &e));
    assert_int_equal(h5_each_attr(f->file, object, fixture_attribute, f), 0);
    f->config.task = f->config.labels > 0 ? TASK_CLASSIFY : TASK_LM;
    EXPECT_OK(model_config_check(&f->config, &e));
    param_table_build(&f->config, &f->table);
    f->values = take(f->table.total, sizeof *f->values);
    for (int i = 0; i < f->table.count; i++) {
        const struct param *p = &f->table.param[i];
        snprintf(part, sizeof part, "weights/%s", p->name);
        if (p->alias < 0)
            fixture_read(f, part, H5_F32, (int64_t)p->count, f->values + p->offset);
    }
}

static inline void fixture_close(struct fixture *f)
{
    mem_free(f->values);
    mem_free(f->input);
    mem_free(f->target);
    h5_close_read(f->file);
}

/* ---- windows ---- */

/* Reads the tokens of so many windows, [windows * T][B], of `group`; "" is the case itself. */
static inline void fixture_tokens(struct fixture *f, const char *group, int windows)
{
    const int64_t count = (int64_t)windows * f->bptt * f->lanes;
    const char *slash = *group ? "/" : "";
    char part[80];
    mem_free(f->input);
    mem_free(f->target);
    f->input = take((size_t)count, sizeof *f->input);
    f->target = take((size_t)count, sizeof *f->target);
    snprintf(part, sizeof part, "%s%sinput", group, slash);
    fixture_read(f, part, H5_U32, count, f->input);
    snprintf(part, sizeof part, "%s%starget", group, slash);
    fixture_read(f, part, H5_U32, count, f->target);
}

/* One of those, from a zero state if it is the first. */
static inline struct window fixture_window(const struct fixture *f, int index, bool reset)
{
    const size_t start = (size_t)index * (size_t)(f->bptt * f->lanes);
    return (struct window){
        .T = f->bptt, .lanes = f->lanes, .reset = reset, .input = f->input + start, .target = f->target + start};
}

static inline int64_t count_targets(const struct window *window)
{
    int64_t count = 0;
    for (int k = 0; k < window->T * window->lanes; k++)
        count += window->target[k] != WINDOW_NO_TARGET;
    return count;
}

/* ---- what we compute ---- */

static inline struct reference *fixture_reference(const struct fixture *f)
{
    struct reference *reference = NULL;
    EXPECT_OK(reference_create(&f->config, f->seed, f->lanes, &reference, &e));
    for (size_t k = 0; k < f->table.total; k++)
        reference->values[k] = f->values[k];
    return reference;
}

/* The sum of the losses, and its gradient [grad_total], aliases folded in. */
static inline double fixture_reference_gradient(const struct fixture *f, struct reference *reference,
                                                const struct window *window, double *grad)
{
    double loss = 0;
    EXPECT_OK(reference_window(reference, window, f->step, &loss, NULL, grad, &e));
    for (int i = 0; i < f->table.count; i++) {
        const struct param *p = &f->table.param[i];
        for (size_t k = 0; p->alias >= 0 && k < p->count; k++)
            grad[f->table.param[p->alias].grad_offset + k] += grad[p->grad_offset + k];
    }
    return loss;
}

/* A model that trains, in so many lane groups. */
static inline struct model *fixture_model(const struct fixture *f, int groups, int threads, bool sparse)
{
    struct model *model = NULL;
    const struct model_shape shape = {.bptt = f->bptt,
                                      .share = lane_share_whole(f->lanes, groups),
                                      .threads = threads,
                                      .train = true,
                                      .exact = true,
                                      .sparse = sparse,
                                      .seed = f->seed};
    EXPECT_OK(model_create(&f->config, f->values, &shape, &model, &e));
    model_pack(model);
    return model;
}

/* The same as of the reference. */
static inline double fixture_fast_gradient(const struct fixture *f, struct model *model, int groups, bool sparse,
                                           const struct window *window, float *grad)
{
    struct gradient_layout layout;
    struct model_loss loss;
    double sum = 0;
    gradient_layout_build(&f->config, &f->table, f->lanes, f->bptt, sparse, &layout);
    float *parts = take(layout.total, sizeof *parts);
    const struct touched *touched = model_touch(model, window, f->step);
    model_train(model, window, f->step, (float *const[]){parts}, &loss);
    model_drop_gradient(model, f->step, parts);
    gradient_expand(&layout, &f->table, touched, parts, grad);
    param_fold_aliases(&f->table, grad); /* those in parts are there already */
    mem_free(parts);
    int64_t targets = 0;
    for (int g = 0; g < groups; g++) {
        sum += loss.group[g];
        targets += loss.targets[g];
    }
    assert_int_equal(targets, count_targets(window));
    return sum;
}

/* ---- comparisons ---- */

/* Relative to the largest, so that sums that cancel are not held to their own tiny size. A NaN on either side fails. */
static inline void fixture_expect(const struct fixture *f, const char *part, size_t count, const double *got,
                                  double tolerance)
{
    double *expected = take(count, sizeof *expected), scale = 0;
    fixture_read(f, part, H5_F64, (int64_t)count, expected);
    for (size_t k = 0; k < count; k++)
        scale = fmax(scale, fabs(expected[k]));
    for (size_t k = 0; k < count; k++)
        if (!(fabs(got[k] - expected[k]) <= tolerance * scale))
            fail_msg("%s %s[%zu]: PyTorch has %.12g, we have %.12g", f->name, part, k, expected[k], got[k]);
    mem_free(expected);
}

static inline void fixture_expect_floats(const struct fixture *f, const char *part, size_t count, const float *got,
                                         double tolerance)
{
    double *wide = take(count, sizeof *wide);
    for (size_t k = 0; k < count; k++)
        wide[k] = got[k];
    fixture_expect(f, part, count, wide, tolerance);
    mem_free(wide);
}

/* Every trained tensor of an array in the table's places, against `group`/NAME. */
static inline void fixture_expect_tensors(const struct fixture *f, const char *group, const double *got,
                                          double tolerance)
{
    for (int i = 0; i < f->table.count; i++) {
        const struct param *p = &f->table.param[i];
        char part[96];
        snprintf(part, sizeof part, "%s/%s", group, p->name);
        if (p->alias < 0 && p->role != PARAM_CONSTANT)
            fixture_expect(f, part, p->count, got + p->grad_offset, tolerance);
    }
}

static inline void fixture_expect_float_tensors(const struct fixture *f, const char *group, const float *got,
                                                double tolerance)
{
    double *wide = take(f->table.grad_total, sizeof *wide);
    for (size_t k = 0; k < f->table.grad_total; k++)
        wide[k] = got[k];
    fixture_expect_tensors(f, group, wide, tolerance);
    mem_free(wide);
}

/* ---- cases of one window: `loss`, the sum over the targets, and `grad`, that of the sum ---- */

static inline void fixture_reference_matches(struct fixture *f)
{
    fixture_tokens(f, "", 1);
    struct reference *reference = fixture_reference(f);
    const struct window window = fixture_window(f, 0, true);
    double *grad = take(f->table.grad_total, sizeof *grad);
    const double loss = fixture_reference_gradient(f, reference, &window, grad);
    fixture_expect(f, "loss", 1, &loss, DOUBLE_TOLERANCE);
    fixture_expect_tensors(f, "grad", grad, DOUBLE_TOLERANCE);
    mem_free(grad);
    reference_free(reference);
}

static inline void fixture_fast_matches(struct fixture *f, int groups, int threads, bool sparse)
{
    fixture_tokens(f, "", 1);
    struct model *model = fixture_model(f, groups, threads, sparse);
    const struct window window = fixture_window(f, 0, true);
    float *grad = take(f->table.grad_total, sizeof *grad);
    const double loss = fixture_fast_gradient(f, model, groups, sparse, &window, grad);
    fixture_expect(f, "loss", 1, &loss, FLOAT_TOLERANCE);
    fixture_expect_float_tensors(f, "grad", grad, FLOAT_TOLERANCE);
    mem_free(grad);
    model_free(model);
}

/* All cases of a file, in the reference. */
static inline void fixtures_reference_match(const char *path, const char *const *cases, int count)
{
    for (int i = 0; i < count; i++) {
        struct fixture f;
        fixture_open(path, cases[i], &f);
        EXPECT_OK(constants_check(&f.config, &f.table, f.values, &e));
        fixture_reference_matches(&f);
        fixture_close(&f);
    }
}

/* The same in the fast path: alone, and by groups and threads. `sparse`: there also of gradients by rows. */
static inline void fixtures_fast_match(const char *path, const char *const *cases, int count, bool sparse)
{
    for (int i = 0; i < count; i++) {
        struct fixture f;
        fixture_open(path, cases[i], &f);
        fixture_fast_matches(&f, 1, 1, false);
        fixture_fast_matches(&f, 3, 2, sparse);
        fixture_close(&f);
    }
}

#endif
