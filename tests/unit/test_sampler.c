/* Drawing tokens: against brute-force softmax, rank and nucleus; texts: against the double-precision reference, and the
 * same for any number of texts and threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/gemm.h"
#include "unroll/nn/reference.h"
#include "unroll/use/sampler.h"

#define V 14

static double uniform(uint32_t step)
{
    struct rng_bits bits = rng_philox(7, RNG_TEST, step, 0, 0, 0);
    return rng_uniform_double(bits.word[0], bits.word[1]);
}

/* Logits in quarters, so that ties happen. */
static void make_logits(uint32_t number, float logits[V])
{
    for (int v = 0; v < V; v++)
        logits[v] = (float)floor(16 * uniform(1000 * number + (uint32_t)v + 1)) / 4 - 2;
}

/* Products of the output layer: linked in front of gemm_rows (-Wl,--wrap). */
static int output_products;

void __real_gemm_rows(const struct gemm *, const struct gemm_operand *, int, float *, int64_t);
void __wrap_gemm_rows(const struct gemm *, const struct gemm_operand *, int, float *, int64_t);
void __wrap_gemm_rows(const struct gemm *gemm, const struct gemm_operand *operand, int rows, float *c, int64_t ldc)
{
    output_products += operand->segment[0].w->n == V;
    __real_gemm_rows(gemm, operand, rows, c, ldc);
}

/* ---- brute force ---- */

/* Position of `token` when all but <unk> are sorted by falling logit, ties by id. */
static int position_of(const float *logits, int token)
{
    int position = 0;
    for (int v = 1; v < V; v++)
        position += logits[v] > logits[token] || (logits[v] == logits[token] && v < token);
    return position;
}

/* The probabilities that the rule promises, obviously. */
static void expected_probabilities(const float *logits, const struct sampler_rule *rule, double p[V])
{
    double weight[V] = {0}, total = 0, kept = 0, before = 0;
    int64_t k = rule->top_k > 0 ? rule->top_k : V;
    for (int v = 1; v < V; v++)
        if (position_of(logits, v) < k)
            total += weight[v] = exp(logits[v] / rule->temperature);
    memset(p, 0, V * sizeof *p);
    for (int position = 0; position < V - 1; position++)
        for (int v = 1; v < V; v++)
            if (position_of(logits, v) == position && (rule->top_p >= 1 || before < rule->top_p * total)) {
                before += weight[v];
                kept += p[v] = weight[v];
            }
    for (int v = 0; v < V; v++)
        p[v] /= kept;
}

/* Pearson's statistic over the tokens of positive probability; what has none must not be drawn. */
static void check_distribution(const float *logits, const struct sampler_rule *rule, uint32_t first_draw)
{
    enum { DRAWS = 20000 };
    struct sampler_candidate scratch[V];
    double p[V], chi2 = 0;
    int drawn[V] = {0}, degrees = -1;
    expected_probabilities(logits, rule, p);
    for (int i = 0; i < DRAWS; i++) {
        uint32_t token = sampler_choose(logits, V, rule, uniform(first_draw + (uint32_t)i), scratch);
        assert_in_range(token, 1, V - 1);
        drawn[token]++;
    }
    for (int v = 0; v < V; v++) {
        if (p[v] == 0) {
            assert_int_equal(drawn[v], 0);
            continue;
        }
        double expected = p[v] * DRAWS;
        chi2 += (drawn[v] - expected) * (drawn[v] - expected) / expected;
        degrees++;
    }
    /* Mean `degrees`, variance 2 * degrees: six standard deviations above is far out for any of these. */
    assert_true(chi2 <= degrees + 6 * sqrt(2.0 * degrees + 1));
}

static void draws_follow_the_softmax(void **state)
{
    (void)state;
    static const double temperatures[] = {0.5, 1, 2};
    float logits[V];
    for (uint32_t i = 0; i < 3; i++) {
        make_logits(i, logits);
        logits[VOCAB_UNK] = 100; /* would win every draw */
        struct sampler_rule rule = {temperatures[i], 0, 1, 0};
        check_distribution(logits, &rule, 100000 * (i + 1));
    }
}

static void top_k_and_top_p_cut_the_tail(void **state)
{
    (void)state;
    static const struct sampler_rule rules[] = {{1, 1, 1, 0},   {1, 5, 1, 0},       {0.7, 9, 1, 0},   {1, 0, 0.3, 0},
                                                {1, 0, 0.9, 0}, {1.5, 0, 0.999, 0}, {0.8, 6, 0.7, 0}, {1, V + 5, 1, 0}};
    float logits[V];
    for (uint32_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        make_logits(i + 10, logits);
        check_distribution(logits, &rules[i], 100000 * (i + 10));
    }
}

/* For many logits and every cut: all that may be drawn is drawn at its share of u, nothing else is. */
static void every_cut_keeps_the_right_tokens(void **state)
{
    (void)state;
    struct sampler_candidate scratch[V];
    float logits[V];
    for (uint32_t number = 100; number < 160; number++) {
        make_logits(number, logits);
        for (int k = 0; k < V; k++) {
            struct sampler_rule rule = {1, k, k % 2 ? 1 : uniform(number * 100 + (uint32_t)k) * 0.98 + 0.01, 0};
            double p[V];
            bool seen[V] = {false};
            expected_probabilities(logits, &rule, p);
            for (int i = 0; i < 2000; i++)
                seen[sampler_choose(logits, V, &rule, (i + 0.5) / 2000, scratch)] = true;
            for (int v = 0; v < V; v++) {
                if (p[v] == 0)
                    assert_false(seen[v]);
                else if (p[v] > 1.0 / 1000)
                    assert_true(seen[v]);
            }
        }
    }
}

static void temperature_zero_takes_the_largest(void **state)
{
    (void)state;
    struct sampler_candidate scratch[V];
    struct sampler_rule rule = {0, 0, 1, 0};
    float logits[V] = {9, 1, 3, 2, 3};
    assert_int_equal(sampler_choose(logits, V, &rule, 0.99, scratch), 2);
    logits[13] = 3.5f;
    assert_int_equal(sampler_choose(logits, V, &rule, 0, scratch), 13);
    rule.temperature = 1e-300; /* as good as zero, without dividing by it */
    assert_int_equal(sampler_choose(logits, V, &rule, 0.5, scratch), 13);
}

/* The forbidden token is as if it were not there, whatever the rule. */
static void the_forbidden_token_is_not_drawn(void **state)
{
    (void)state;
    static const struct sampler_rule rules[] = {{0, 0, 1, 4}, {1, 0, 1, 4}, {0.5, 3, 1, 4}, {1, 0, 0.8, 4}};
    struct sampler_candidate scratch[V];
    for (uint32_t number = 0; number < 40; number++)
        for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
            float logits[V], without[V];
            make_logits(number, logits);
            memcpy(without, logits, sizeof logits);
            without[4] = -INFINITY;
            struct sampler_rule plain = rules[i];
            plain.forbidden = VOCAB_UNK;
            for (int k = 0; k < 50; k++)
                assert_int_equal(sampler_choose(logits, V, &rules[i], (k + 0.5) / 50, scratch),
                                 sampler_choose(without, V, &plain, (k + 0.5) / 50, scratch));
        }
}

static void extreme_logits(void **state)
{
    (void)state;
    struct sampler_candidate scratch[V];
    struct sampler_rule rule = {1, 0, 1, 0};
    float logits[V];
    for (int v = 0; v < V; v++)
        logits[v] = -INFINITY;
    assert_int_equal(sampler_choose(logits, V, &rule, 0.5, scratch), SAMPLER_NONE);
    logits[4] = 3e38f;
    logits[5] = -3e38f;
    assert_int_equal(sampler_choose(logits, V, &rule, 0, scratch), 4);
    assert_int_equal(sampler_choose(logits, V, &rule, 0x1.fffffffffffffp-1, scratch), 4);
    logits[4] = NAN;
    assert_int_equal(sampler_choose(logits, V, &rule, 0.5, scratch), SAMPLER_NONE);
    logits[4] = INFINITY;
    assert_int_equal(sampler_choose(logits, V, &rule, 0.5, scratch), SAMPLER_NONE);
}

/* ---- texts ---- */

struct fixture {
    struct model_config config;
    struct param_table table;
    float *values;
    struct vocab *vocab;
};

/* A word-level vocabulary <unk> </s> a b c ...; without the line end x takes its place. */
static struct vocab *make_vocab(bool line_end)
{
    static const char *const first[] = {"<unk>", "</s>"};
    struct vocab *vocab = NULL;
    char *bytes = mem_alloc(64, 1, "test", NULL);
    uint64_t *offsets = mem_alloc(V + 1, sizeof *offsets, "test", NULL);
    uint64_t *counts = mem_alloc(V, sizeof *counts, "test", NULL);
    for (int v = 0; v < V; v++) {
        char letter[2] = {(char)('a' + v), 0};
        const char *text = v == 0 || (v == 1 && line_end) ? first[v] : letter;
        memcpy(bytes + offsets[v], text, strlen(text));
        offsets[v + 1] = offsets[v] + strlen(text);
        counts[v] = (uint64_t)(2 * V - v);
    }
    assert_int_equal(vocab_adopt(LEVEL_WORD, V, bytes, offsets, counts, STATUS_DATA, &vocab, NULL), STATUS_OK);
    return vocab;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->config = (struct model_config){.cell = CELL_GRU, .layers = 2, .embedding = 5, .hidden = 9, .vocab = V};
    param_table_build(&f->config, &f->table);
    f->values = mem_alloc(f->table.total, sizeof *f->values, "test", NULL);
    assert_int_equal(param_init(&f->config, &f->table, INIT_AUTO, 3, f->values, NULL), STATUS_OK);
    for (size_t i = 0; i < f->table.total; i++)
        f->values[i] *= 4; /* far from uniform */
    f->vocab = make_vocab(true);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vocab_free(f->vocab);
    mem_free(f->values);
    free(f);
    return 0;
}

#define LENGTH 40

/* tokens [texts][LENGTH] */
static void write_texts(const struct fixture *f, struct sampler_rule rule, int texts, uint32_t first_text, int threads,
                        const uint32_t *prime, int64_t count, uint32_t *tokens)
{
    struct sampler_config config = {
        .rule = rule, .seed = 11, .texts = texts, .first_text = first_text, .threads = threads};
    struct sampler *sampler;
    struct error e = {0};
    uint32_t next[16];
    assert_int_equal(sampler_create(&f->config, f->values, f->vocab, &config, &sampler, &e), STATUS_OK);
    sampler_start(sampler, first_text, prime, count);
    for (int n = 0; n < LENGTH; n++) {
        assert_int_equal(sampler_next(sampler, next, &e), STATUS_OK);
        for (int text = 0; text < texts; text++)
            tokens[text * LENGTH + n] = next[text];
    }
    sampler_free(sampler);
}

static void text_k_is_the_same_however_many_are_written(void **state)
{
    const struct fixture *f = *state;
    static const uint32_t prime[] = {3, 0, 5};
    struct sampler_rule rule = {1, 10, 0.95, 0};
    uint32_t all[7 * LENGTH], some[7 * LENGTH];
    write_texts(f, rule, 7, 0, 1, prime, 3, all);
    assert_memory_not_equal(all, all + LENGTH, LENGTH * sizeof *all);
    write_texts(f, rule, 7, 0, 2, prime, 3, some);
    assert_memory_equal(some, all, sizeof all);
    write_texts(f, rule, 1, 0, 1, prime, 3, some);
    assert_memory_equal(some, all, LENGTH * sizeof *all);
    write_texts(f, rule, 3, 4, 2, prime, 3, some);
    assert_memory_equal(some, all + 4 * LENGTH, 3 * LENGTH * sizeof *all);
}

/* All parameters zero: every token is equally likely at every step, so each step must draw with a number of its own. */
static void every_step_draws_anew(void **state)
{
    const struct fixture *f = *state;
    enum { STEPS = 4000 };
    struct sampler_config config = {.rule = {1, 0, 1, 0}, .seed = 5, .texts = 1, .threads = 1};
    struct sampler *sampler;
    struct error e = {0};
    int drawn[V] = {0};
    double chi2 = 0;
    memset(f->values, 0, f->table.total * sizeof *f->values);
    assert_int_equal(sampler_create(&f->config, f->values, f->vocab, &config, &sampler, &e), STATUS_OK);
    for (int n = 0; n < STEPS; n++) {
        uint32_t token;
        assert_int_equal(sampler_next(sampler, &token, &e), STATUS_OK);
        drawn[token]++;
    }
    for (int v = 1; v < V; v++) {
        double expected = (double)STEPS / (V - 1);
        chi2 += (drawn[v] - expected) * (drawn[v] - expected) / expected;
    }
    assert_true(chi2 <= V - 2 + 6 * sqrt(2.0 * V));
    sampler_free(sampler);
}

/* The likeliest token after `history`, by the reference: one lane for each candidate. */
static uint32_t likeliest(const struct fixture *f, const uint32_t *history, int length)
{
    struct reference *reference;
    static uint32_t input[(LENGTH + 8) * V], target[(LENGTH + 8) * V];
    static double row[(LENGTH + 8) * V];
    double loss;
    struct error e = {0};
    assert_int_equal(reference_create(&f->config, 0, V, &reference, &e), STATUS_OK);
    for (size_t i = 0; i < f->table.total; i++)
        reference->values[i] = f->values[i];
    for (int t = 0; t < length; t++)
        for (int v = 0; v < V; v++) {
            input[t * V + v] = history[t];
            target[t * V + v] = t == length - 1 ? (uint32_t)v : WINDOW_NO_TARGET;
        }
    struct window window = {length, V, 0, true, input, target};
    assert_int_equal(reference_window(reference, &window, -1, &loss, row, NULL, &e), STATUS_OK);
    reference_free(reference);
    int best = 1;
    for (int v = 1; v < V; v++)
        if (row[(length - 1) * V + v] < row[(length - 1) * V + best])
            best = v;
    return (uint32_t)best;
}

static void greedy_text_is_that_of_the_reference(void **state)
{
    const struct fixture *f = *state;
    static const uint32_t prime[] = {7, 2, 12, 0};
    struct sampler_rule greedy = {0, 0, 1, 0};
    uint32_t history[LENGTH + 8], text[LENGTH];
    int length = 0;
    history[length++] = (uint32_t)f->vocab->eos; /* a text begins where a line begins */
    for (int i = 0; i < 4; i++)
        history[length++] = prime[i];
    write_texts(f, greedy, 1, 0, 1, prime, 4, text);
    for (int n = 0; n < LENGTH; n++) {
        assert_int_equal(text[n], likeliest(f, history, length));
        history[length++] = text[n];
    }
}

/* What the sampler says of its tokens is what the reference computes for them, and no line end comes too early. */
static void log_probabilities_are_those_of_the_reference(void **state)
{
    const struct fixture *f = *state;
    struct sampler_config config = {
        .rule = {4, 0, 1, 0}, .seed = 4, .texts = 2, .threads = 2, .no_end_before = 15, .logp = true};
    struct sampler *sampler;
    struct reference *reference;
    uint32_t tokens[LENGTH + 1][2];
    float logp[LENGTH][2];
    double loss, row[LENGTH * 2];
    struct error e = {0};
    int ends = 0;
    assert_int_equal(sampler_create(&f->config, f->values, f->vocab, &config, &sampler, &e), STATUS_OK);
    tokens[0][0] = tokens[0][1] = (uint32_t)f->vocab->eos;
    for (int n = 0; n < LENGTH; n++) {
        assert_int_equal(sampler_next(sampler, tokens[n + 1], &e), STATUS_OK);
        memcpy(logp[n], sampler_logp(sampler), sizeof logp[n]);
        for (int text = 0; text < 2; text++) {
            bool end = (int)tokens[n + 1][text] == f->vocab->eos;
            assert_false(n < 15 && end);
            ends += end;
        }
    }
    assert_true(ends > 0); /* later it may */
    assert_int_equal(reference_create(&f->config, 0, 2, &reference, &e), STATUS_OK);
    for (size_t i = 0; i < f->table.total; i++)
        reference->values[i] = f->values[i];
    struct window window = {LENGTH, 2, 0, true, tokens[0], tokens[1]};
    assert_int_equal(reference_window(reference, &window, -1, &loss, row, NULL, &e), STATUS_OK);
    for (int i = 0; i < LENGTH * 2; i++)
        assert_true(fabs(logp[i / 2][i % 2] + row[i]) <= 1e-5 * (1 + row[i]));
    reference_free(reference);
    sampler_free(sampler);
}

/* The output layer is most of a step's work: it is computed once for each token drawn, and not for the prime's. */
static void logits_are_computed_once_a_token(void **state)
{
    const struct fixture *f = *state;
    static const uint32_t prime[] = {7, 2, 12};
    uint32_t text[LENGTH];
    output_products = 0;
    write_texts(f, (struct sampler_rule){1, 0, 1, 0}, 1, 0, 1, prime, 3, text);
    assert_int_equal(output_products, LENGTH);
}

static void restart_gives_the_same_texts(void **state)
{
    const struct fixture *f = *state;
    struct sampler_config config = {.rule = {1, 0, 1, 0}, .seed = 11, .texts = 2, .threads = 1};
    struct sampler *sampler;
    uint32_t first[LENGTH][2], again[LENGTH][2];
    struct error e = {0};
    assert_int_equal(sampler_create(&f->config, f->values, f->vocab, &config, &sampler, &e), STATUS_OK);
    for (int n = 0; n < LENGTH; n++)
        assert_int_equal(sampler_next(sampler, first[n], &e), STATUS_OK);
    sampler_start(sampler, 0, NULL, 0);
    for (int n = 0; n < LENGTH; n++)
        assert_int_equal(sampler_next(sampler, again[n], &e), STATUS_OK);
    assert_memory_equal(first, again, sizeof first);
    sampler_start(sampler, 2, NULL, 0);
    for (int n = 0; n < LENGTH; n++)
        assert_int_equal(sampler_next(sampler, again[n], &e), STATUS_OK);
    assert_memory_not_equal(first, again, sizeof first);
    sampler_free(sampler);
}

/* Without a line end nothing is fed before the first token: it follows the counts of the training text. */
static void first_token_without_a_line_end_follows_the_counts(void **state)
{
    struct fixture *f = *state;
    vocab_free(f->vocab);
    f->vocab = make_vocab(false);
    assert_int_equal(f->vocab->eos, -1);
    enum { TEXTS = 4000 };
    struct sampler_config config = {.rule = {1, 0, 1, 0}, .seed = 5, .texts = TEXTS, .threads = 1};
    struct sampler *sampler;
    struct error e = {0};
    uint32_t *tokens = calloc(TEXTS, sizeof *tokens);
    int drawn[V] = {0};
    double total = 0, chi2 = 0;
    assert_int_equal(sampler_create(&f->config, f->values, f->vocab, &config, &sampler, &e), STATUS_OK);
    assert_int_equal(sampler_next(sampler, tokens, &e), STATUS_OK);
    for (int text = 0; text < TEXTS; text++)
        drawn[tokens[text]]++;
    assert_int_equal(drawn[VOCAB_UNK], 0);
    for (int v = 1; v < V; v++)
        total += (double)f->vocab->counts[v];
    for (int v = 1; v < V; v++) {
        double expected = TEXTS * (double)f->vocab->counts[v] / total;
        chi2 += (drawn[v] - expected) * (drawn[v] - expected) / expected;
    }
    assert_true(chi2 <= V - 2 + 6 * sqrt(2.0 * V));
    sampler_free(sampler);
    free(tokens);
}

static void a_diverged_model_is_refused(void **state)
{
    const struct fixture *f = *state;
    int bias = param_find(&f->table, "decoder.bias");
    f->values[f->table.param[bias].offset + 3] = NAN;
    struct sampler_config config = {.rule = {1, 0, 1, 0}, .seed = 5, .texts = 1, .threads = 1};
    struct sampler *sampler;
    struct error e = {0};
    uint32_t token;
    assert_int_equal(sampler_create(&f->config, f->values, f->vocab, &config, &sampler, &e), STATUS_OK);
    assert_int_equal(sampler_next(sampler, &token, &e), STATUS_CHECKPOINT);
    assert_non_null(strstr(e.text, "no finite probabilities"));
    sampler_free(sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_follow_the_softmax),
        cmocka_unit_test(top_k_and_top_p_cut_the_tail),
        cmocka_unit_test(every_cut_keeps_the_right_tokens),
        cmocka_unit_test(temperature_zero_takes_the_largest),
        cmocka_unit_test(the_forbidden_token_is_not_drawn),
        cmocka_unit_test(extreme_logits),
        cmocka_unit_test_setup_teardown(text_k_is_the_same_however_many_are_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_step_draws_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(greedy_text_is_that_of_the_reference, set_up, tear_down),
        cmocka_unit_test_setup_teardown(log_probabilities_are_those_of_the_reference, set_up, tear_down),
        cmocka_unit_test_setup_teardown(logits_are_computed_once_a_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(restart_gives_the_same_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(first_token_without_a_line_end_follows_the_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_diverged_model_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
