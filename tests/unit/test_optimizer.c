/* Each optimizer against the formula of torch.optim's documentation, written in double precision for one number; and
 * the same bits for any number of threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/train/optimizer.h"

#define UPDATES 7
#define SCALE 0.125f
#define LR 0.05

static const struct model_config shape = {.cell = CELL_LSTM, .layers = 2, .embedding = 37, .hidden = 61, .vocab = 203};

/* Epsilon is large, because with weight decay a gradient may cancel to almost nothing, and then its rounding error,
 * some 1e-8, counts divided by epsilon. */
static struct optimizer_config config_of(int kind, double weight_decay)
{
    return (struct optimizer_config){kind, 0.9, 0.8, 0.95, 0.97, 1e-3, weight_decay, SPARSE_EXACT};
}

/* What one number goes through. */
struct one {
    double p, m, v;
};

static void reference(const struct optimizer_config *config, struct one *x, double g, int t)
{
    const char *name = optimizer_name(config->kind);
    bool adamw = strcmp(name, "adamw") == 0;
    if (adamw)
        x->p -= LR * config->weight_decay * x->p;
    else
        g += config->weight_decay * x->p;
    if (strcmp(name, "sgd") == 0 || strcmp(name, "ntasgd") == 0) {
        x->p -= LR * g;
    } else if (strcmp(name, "momentum") == 0) {
        x->m = t == 1 ? g : config->momentum * x->m + g;
        x->p -= LR * x->m;
    } else if (strcmp(name, "adagrad") == 0) {
        x->m += g * g;
        x->p -= LR * g / (sqrt(x->m) + config->epsilon);
    } else if (strcmp(name, "rmsprop") == 0) {
        x->m = config->alpha * x->m + (1 - config->alpha) * g * g;
        x->p -= LR * g / (sqrt(x->m) + config->epsilon);
    } else if (adamw || strcmp(name, "adam") == 0) {
        x->m = config->beta1 * x->m + (1 - config->beta1) * g;
        x->v = config->beta2 * x->v + (1 - config->beta2) * g * g;
        x->p -=
            LR * (x->m / (1 - pow(config->beta1, t))) / (sqrt(x->v / (1 - pow(config->beta2, t))) + config->epsilon);
    } else {
        fail_msg("'%s' has no formula here", name);
    }
}

static float random_of(uint32_t what, size_t i)
{
    struct rng_bits bits = rng_philox(5, RNG_TEST, what, 0, 0, (uint32_t)i);
    return rng_uniform_float(bits.word[0]) - 0.5f;
}

struct fixture {
    struct param_table table;
    struct optimizer *optimizer;
    float *values, *grad;
};

/* Padding is zero, as in a real table. */
static void fill(const struct param_table *table, uint32_t what, float factor, float *array)
{
    for (int k = 0; k < table->count; k++)
        for (size_t i = 0; i < table->param[k].count && table->param[k].alias < 0; i++)
            array[table->param[k].offset + i] = factor * random_of(what, table->param[k].offset + i);
}

static void begin(struct fixture *f, const struct optimizer_config *config)
{
    struct error e;
    param_table_build(&shape, &f->table);
    f->values = mem_alloc(f->table.total, sizeof(float), "test", &e);
    f->grad = mem_alloc(f->table.grad_total, sizeof(float), "test", &e);
    assert_int_equal(optimizer_create(config, &f->table, NULL, &f->optimizer, &e), STATUS_OK);
    assert_int_equal(f->optimizer->slots, optimizer_slots(config->kind));
    fill(&f->table, 0, 1, f->values);
}

static void end(struct fixture *f)
{
    optimizer_free(f->optimizer);
    mem_free(f->values);
    mem_free(f->grad);
}

static void update(struct fixture *f, uint32_t t, int threads)
{
    fill(&f->table, t, 3, f->grad);
    optimizer_update(f->optimizer, f->values, (struct param_gradient){.dense = f->grad}, SCALE, LR, threads);
}

static void test_formulas(void **state)
{
    (void)state;
    for (int kind = 0; kind < optimizer_choices.count; kind++)
        for (int decay = 0; decay < 2; decay++) {
            struct optimizer_config config = config_of(kind, 0.1 * decay);
            struct fixture f;
            begin(&f, &config);
            struct one *expected = mem_alloc(f.table.total, sizeof *expected, "test", NULL);
            for (size_t i = 0; i < f.table.total; i++)
                expected[i].p = f.values[i];
            for (int t = 1; t <= UPDATES; t++) {
                update(&f, (uint32_t)t, 2);
                for (size_t i = 0; i < f.table.total; i++)
                    reference(&config, &expected[i], (double)f.grad[i] * SCALE, t);
            }
            assert_int_equal(f.optimizer->updates, UPDATES);
            for (size_t i = 0; i < f.table.total; i++) {
                /* a few roundings per update, each of a number below 1 */
                double error = fabs(f.values[i] - expected[i].p);
                if (!(error <= UPDATES * 8 * 6e-8 * (1 + fabs(expected[i].p))))
                    fail_msg("%s, element %zu: %.9g instead of %.9g", optimizer_name(kind), i, f.values[i],
                             expected[i].p);
            }
            mem_free(expected);
            end(&f);
        }
}

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    for (int kind = 0; kind < optimizer_choices.count; kind++) {
        struct optimizer_config config = config_of(kind, 0.01);
        struct fixture one, many;
        begin(&one, &config);
        begin(&many, &config);
        for (uint32_t t = 1; t <= 3; t++) {
            update(&one, t, 1);
            update(&many, t, 1 + (int)t);
        }
        assert_memory_equal(one.values, many.values, one.table.total * sizeof(float));
        for (int slot = 0; slot < one.optimizer->slots; slot++)
            assert_memory_equal(one.optimizer->slot[slot], many.optimizer->slot[slot], one.table.total * sizeof(float));
        end(&one);
        end(&many);
    }
}

static void test_padding_stays_zero(void **state)
{
    (void)state;
    struct optimizer_config config = config_of(optimizer_kind("adamw"), 0.1);
    struct fixture f;
    begin(&f, &config);
    for (uint32_t t = 1; t <= 3; t++)
        update(&f, t, 2);
    const struct param *first = &f.table.param[0];
    assert_true(f.table.param[1].offset > first->offset + first->count); /* there is some */
    for (size_t i = first->offset + first->count; i < f.table.param[1].offset; i++)
        assert_true(f.values[i] == 0);
    end(&f);
}

/* What others ask of the table: names, defaults, arrays of state, and words for help. */
static void test_table(void **state)
{
    (void)state;
    struct error e;
    char words[OPTIMIZER_WORDS];
    int kind = -1;
    assert_int_equal(choices_parse(&optimizer_choices, "adamax", &kind, &e), STATUS_CONFIG);
    assert_string_equal(e.text, "unknown optimizer 'adamax'; use sgd, ntasgd, momentum, adagrad, rmsprop, adam or "
                                "adamw");
    assert_int_equal(kind, -1);
    assert_string_equal(optimizer_name(OPTIMIZER_SGD), "sgd");
    assert_int_equal(optimizer_slots(OPTIMIZER_SGD), 0);
    assert_int_equal(optimizer_slots(optimizer_kind("adam")), 2);
    assert_string_equal(optimizer_slot_name(optimizer_kind("adam"), 1), "exp_avg_sq");
    assert_true(optimizer_default_lr(optimizer_kind("momentum")) == 0.1);
    assert_true(optimizer_default_epsilon(optimizer_kind("adagrad")) == 1e-10);
    assert_true(optimizer_default_epsilon(OPTIMIZER_SGD) == 1e-8); /* old runs have written it */
    assert_string_equal(optimizer_words("beta2", words), "adam, adamw");
    assert_string_equal(optimizer_words("momentum", words), "momentum");
    assert_string_equal(optimizer_words("weight-decay", words), "adamw");
    assert_string_equal(optimizer_words("lr", words),
                        "1 for sgd, ntasgd, 0.1 momentum, 0.02 adagrad, 0.002 rmsprop, adam, adamw");
    assert_string_equal(optimizer_words("epsilon", words), "1e-10 for adagrad, 1e-08 rmsprop, adam, adamw");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_padding_stays_zero),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
