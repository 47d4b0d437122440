/* Beam search: against all texts there are, and against the same search in a few plain lines over the double-precision
 * reference; the same texts for any number of threads. Also when a text ends, and how tokens are spelt. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/nn/reference.h"
#include "unroll/use/beam.h"

#define V 6
#define LONGEST 5
#define TEXTS_MAX 4000 /* more than there are: 5 + 25 + ... + 5^5 */

struct fixture {
    struct model_config config;
    struct param_table table;
    float *values;
    struct vocab *vocab;
};

static const char *const words[V] = {"<unk>", "</s>", "a", "b", "ab", "c"};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->config = (struct model_config){.cell = CELL_LSTM, .layers = 2, .embedding = 5, .hidden = 7, .vocab = V};
    param_table_build(&f->config, &f->table);
    f->values = mem_alloc(f->table.total, sizeof *f->values, "test", NULL);
    assert_int_equal(param_init(&f->config, &f->table, INIT_AUTO, 3, f->values, NULL), STATUS_OK);
    for (size_t i = 0; i < f->table.total; i++)
        f->values[i] *= 4; /* far from uniform */
    char *bytes = mem_alloc(64, 1, "test", NULL);
    uint64_t *offsets = mem_alloc(V + 1, sizeof *offsets, "test", NULL);
    uint64_t *counts = mem_alloc(V, sizeof *counts, "test", NULL);
    for (int v = 0; v < V; v++) {
        memcpy(bytes + offsets[v], words[v], strlen(words[v]));
        offsets[v + 1] = offsets[v] + strlen(words[v]);
        counts[v] = (uint64_t)(V - v);
    }
    assert_int_equal(vocab_adopt(LEVEL_WORD, V, bytes, offsets, counts, STATUS_DATA, &f->vocab, NULL), STATUS_OK);
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

/* ---- the plain version ---- */

struct text {
    uint32_t tokens[LONGEST];
    int length;
    double total, score;
};

/* ln p of every token behind the line end and these, by the reference: one lane for each. */
static void next_logp(const struct fixture *f, const struct text *text, double logp[V])
{
    struct reference *reference;
    uint32_t input[(LONGEST + 1) * V], target[(LONGEST + 1) * V];
    double loss, row[(LONGEST + 1) * V];
    struct error e = {0};
    assert_int_equal(reference_create(&f->config, 0, V, &reference, &e), STATUS_OK);
    for (size_t i = 0; i < f->table.total; i++)
        reference->values[i] = f->values[i];
    for (int t = 0; t <= text->length; t++)
        for (int v = 0; v < V; v++) {
            input[t * V + v] = t == 0 ? (uint32_t)f->vocab->eos : text->tokens[t - 1];
            target[t * V + v] = t == text->length ? (uint32_t)v : WINDOW_NO_TARGET;
        }
    struct window window = {.T = text->length + 1, .lanes = V, .reset = true, .input = input, .target = target};
    assert_int_equal(reference_window(reference, &window, -1, &loss, row, NULL, &e), STATUS_OK);
    reference_free(reference);
    for (int v = 0; v < V; v++)
        logp[v] = -row[text->length * V + v];
}

static void spell(const struct text *text, int length, char line[64])
{
    line[0] = '\0';
    for (int i = 0; i < length; i++) {
        if (i > 0 && text->tokens[i - 1] != 1 && text->tokens[i] != 1)
            strcat(line, " ");
        strcat(line, text->tokens[i] == 1 ? "\n" : words[text->tokens[i]]);
    }
}

static int occurrences(const char *line, const char *stop)
{
    int count = 0;
    for (const char *at = line; (at = strstr(at, stop)); at++)
        count++;
    return count;
}

static bool ends(const struct text *text, const struct text_end_config *end)
{
    char line[64], before[64];
    spell(text, text->length, line);
    spell(text, text->length - 1, before);
    if (text->length == end->max_length)
        return true;
    if (text->length < end->min_length)
        return false;
    return (end->at_eos && text->tokens[text->length - 1] == 1) ||
           (end->stop && occurrences(line, end->stop) > occurrences(before, end->stop));
}

static int compare_scores(const void *a, const void *b)
{
    double x = ((const struct text *)a)->score, y = ((const struct text *)b)->score;
    return x > y ? -1 : x < y;
}

/* Level by level, until `width` go on, or all of them if it is 0. Returns how many texts ended, best first. */
static int plain_search(const struct fixture *f, const struct beam_config *config, int width, struct text *ended)
{
    static struct text live[TEXTS_MAX], next[TEXTS_MAX];
    int live_count = 1, ended_count = 0;
    live[0] = (struct text){.length = 0};
    while (live_count > 0) {
        int next_count = 0;
        for (int i = 0; i < live_count; i++) {
            double logp[V];
            next_logp(f, &live[i], logp);
            for (uint32_t v = 1; v < V; v++) {
                struct text text = live[i];
                if (v == 1 && config->end.at_eos && text.length + 1 < config->end.min_length)
                    continue;
                text.tokens[text.length++] = v;
                text.total += logp[v];
                text.score = text.total;
                next[next_count++] = text;
                assert_true(next_count < TEXTS_MAX);
            }
        }
        qsort(next, (size_t)next_count, sizeof *next, compare_scores);
        live_count = 0;
        for (int i = 0; i < next_count && (!width || live_count < width); i++) {
            if (!ends(&next[i], &config->end)) {
                live[live_count++] = next[i];
                continue;
            }
            next[i].score = next[i].total / pow(next[i].length, config->alpha);
            ended[ended_count++] = next[i];
            assert_true(ended_count < TEXTS_MAX);
        }
    }
    qsort(ended, (size_t)ended_count, sizeof *ended, compare_scores);
    return ended_count;
}

/* ---- the search ---- */

static const struct text_end_config end_cases[] = {
    {.max_length = 3},
    {.at_eos = true, .max_length = 4},
    {.at_eos = true, .min_length = 3, .max_length = 4},
    {.stop = "b c", .max_length = 4},
    {.stop = "ab a", .at_eos = true, .min_length = 2, .max_length = 4},
};
static const double alphas[] = {0, 1, 0.6};

static void check_search(const struct fixture *f, int width, const struct text_end_config *end, double alpha,
                         bool exhaustive)
{
    static struct text expected[TEXTS_MAX];
    struct beam_config config = {.width = width, .alpha = alpha, .end = *end, .threads = 1};
    struct beam *beam;
    struct error e = {0};
    config.end.vocab = f->vocab;
    int count = plain_search(f, &config, exhaustive ? 0 : width, expected);
    assert_int_equal(beam_search(&f->config, f->values, &config, NULL, 0, &beam, &e), STATUS_OK);
    assert_int_equal(beam_texts(beam), count < width ? count : width);
    for (int i = 0; i < beam_texts(beam); i++) {
        struct beam_text text = beam_text(beam, i);
        double total = 0;
        assert_int_equal(text.length, expected[i].length);
        assert_memory_equal(text.tokens, expected[i].tokens, (size_t)text.length * sizeof *text.tokens);
        assert_true(fabs(text.total - expected[i].total) < 1e-5 && fabs(text.score - expected[i].score) < 1e-5);
        for (int64_t n = 0; n < text.length; n++)
            total += text.logp[n];
        assert_true(fabs(total - text.total) < 1e-5);
    }
    beam_free(beam);
}

/* A beam wider than there are beginnings loses none: the texts are the best of all there are, in their order. */
static void a_wide_beam_finds_the_best_of_all_texts(void **state)
{
    for (size_t i = 0; i < sizeof end_cases / sizeof *end_cases; i++)
        for (size_t a = 0; a < 2; a++)
            check_search(*state, 130, &end_cases[i], alphas[a], true);
}

static void a_narrow_beam_keeps_the_best_of_each_length(void **state)
{
    static const int widths[] = {1, 2, 5};
    for (size_t i = 0; i < sizeof end_cases / sizeof *end_cases; i++)
        for (size_t a = 0; a < sizeof alphas / sizeof *alphas; a++)
            for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
                check_search(*state, widths[w], &end_cases[i], alphas[a], false);
}

static void threads_change_nothing(void **state)
{
    const struct fixture *f = *state;
    struct beam_config config = {.width = 7, .end = {.vocab = f->vocab, .max_length = 30}, .threads = 1};
    static const uint32_t prime[] = {2, 0, 5};
    struct beam *one, *three;
    struct error e = {0};
    assert_int_equal(beam_search(&f->config, f->values, &config, prime, 3, &one, &e), STATUS_OK);
    config.threads = 3;
    assert_int_equal(beam_search(&f->config, f->values, &config, prime, 3, &three, &e), STATUS_OK);
    for (int i = 0; i < 7; i++) {
        struct beam_text a = beam_text(one, i), b = beam_text(three, i);
        assert_int_equal(a.length, 30);
        assert_memory_equal(a.tokens, b.tokens, 30 * sizeof *a.tokens);
        assert_memory_equal(a.logp, b.logp, 30 * sizeof *a.logp);
    }
    beam_free(one);
    beam_free(three);
}

static void a_diverged_model_is_refused(void **state)
{
    const struct fixture *f = *state;
    struct beam_config config = {.width = 2, .end = {.vocab = f->vocab, .max_length = 3}, .threads = 1};
    struct beam *beam;
    struct error e = {0};
    f->values[f->table.param[param_find(&f->table, "decoder.bias")].offset + 3] = NAN;
    assert_int_equal(beam_search(&f->config, f->values, &config, NULL, 0, &beam, &e), STATUS_CHECKPOINT);
    assert_non_null(strstr(e.text, "no finite probabilities"));
    assert_null(beam);
}

/* ---- where texts end ---- */

/* Made-up texts, token by token, against strstr; the patterns overlap themselves. */
static void stop_is_found_where_it_is_complete(void **state)
{
    const struct fixture *f = *state;
    static const char *const stops[] = {"a", "ab", "a a b", "a a a", "b a b a", "ab\na", "\n", "c c", "b "};
    for (size_t s = 0; s < sizeof stops / sizeof *stops; s++)
        for (uint32_t number = 0; number < 3000; number++) {
            struct text_end_config config = {.vocab = f->vocab, .stop = stops[s], .max_length = 100};
            struct text_progress progress = {0};
            struct text_end *end;
            struct text text = {.length = 0};
            uint32_t digits = number * 2654435761u;
            assert_int_equal(text_end_create(&config, &end, NULL), STATUS_OK);
            while (text.length < LONGEST) {
                text.tokens[text.length++] = 1 + digits % 5;
                digits /= 5;
                assert_int_equal(text_end_reached(end, &progress, text.tokens[text.length - 1]), ends(&text, &config));
            }
            text_end_free(end);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_wide_beam_finds_the_best_of_all_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_narrow_beam_keeps_the_best_of_each_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_change_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_diverged_model_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stop_is_found_where_it_is_complete, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
