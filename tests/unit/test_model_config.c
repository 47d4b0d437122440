/* Each member of struct model_config has a row in the table of fields, and each row stands for its own bytes. */
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/nn/model_config.h"

#define HEADER "include/unroll/nn/model_config.h" /* make runs the tests in the root of the source tree */
#define TEXT 65536

/* The members of the struct, without comments. */
static char *read_members(char *text)
{
    FILE *file = fopen(HEADER, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, TEXT - 1, file);
    fclose(file);
    text[length] = '\0';
    char *begin = strstr(text, "struct model_config {");
    assert_non_null(begin);
    char *end = strstr(begin, "};");
    assert_non_null(end);
    *end = '\0';
    begin = strchr(begin, '{') + 1;
    for (char *comment; (comment = strstr(begin, "/*"));) {
        char *after = strstr(comment, "*/");
        assert_non_null(after);
        memmove(comment, after + 2, strlen(after + 2) + 1);
    }
    return begin;
}

static bool is_row(const char *name)
{
    for (int i = 0; i < model_field_count; i++)
        if (strcmp(model_fields[i].stored, name) == 0)
            return true;
    return false;
}

static void test_every_member_has_a_row(void **state)
{
    (void)state;
    static char text[TEXT];
    char *members = read_members(text), *save = NULL;
    int count = 0;
    for (char *member = strtok_r(members, ";,", &save); member; member = strtok_r(NULL, ";,", &save)) {
        char *end =
            member + strlen(member); /* the last word: the name, behind the type if it is the first of several */
        while (end > member && isspace((unsigned char)end[-1]))
            *--end = '\0';
        char *array = strchr(member, '[');
        end = array ? array : end;
        *end = '\0';
        char *name = end;
        while (name > member && (isalnum((unsigned char)name[-1]) || name[-1] == '_'))
            name--;
        if (name == end)
            continue;
        if (!is_row(name))
            fail_msg("'%s' of struct model_config has no row in model_fields", name);
        count++;
    }
    assert_int_equal(count, model_field_count);
}

static void test_rows_are_apart(void **state)
{
    (void)state;
    for (int i = 0; i < model_field_count; i++) {
        struct model_config zero, other;
        memset(&zero, 0, sizeof zero);
        memset(&other, 0, sizeof other);
        if (model_fields[i].type == MODEL_REAL)
            model_field_set_real(&model_fields[i], &other, 0.5);
        else
            model_field_set_integer(&model_fields[i], &other, 1); /* the first number of a list */
        for (int k = 0; k < model_field_count; k++)
            assert_int_equal(model_field_differs(&model_fields[k], &zero, &other), k == i);
        for (size_t byte = 0; byte < sizeof zero; byte++)
            if (((char *)&other)[byte])
                assert_in_range(byte, model_fields[i].offset, model_fields[i].offset + model_fields[i].size - 1);
        if (model_fields[i].type == MODEL_REAL)
            assert_true(model_field_real(&model_fields[i], &other) == 0.5);
        else
            assert_int_equal(model_field_integer(&model_fields[i], &other), 1);
    }
}

static void test_options(void **state)
{
    (void)state;
    char text[MODEL_OPTIONS_TEXT];
    struct model_config config = {.cell = CELL_GRU, .layers = 2, .embedding = 30, .hidden = 40, .vocab = 50};
    assert_string_equal(model_config_options(&config, MODEL_LAYERS, text),
                        "--cell gru --layers 2 --embedding 30 --hidden 40");
    assert_string_equal(model_config_options(&config, MODEL_WEIGHTS, text),
                        "--cell gru --layers 2 --embedding 30 --hidden 40 --no-tied");
    struct model_config other = config;
    other.dropout = 0.5;
    assert_false(model_config_differs(&config, &other, MODEL_SHAPE | MODEL_SPEED));
    other.tied = true;
    assert_false(model_config_differs(&config, &other, MODEL_LAYERS));
    assert_true(model_config_differs(&config, &other, MODEL_WEIGHTS));
}

static const struct model_field *row_of(const char *name)
{
    for (int i = 0; i < model_field_count; i++)
        if (strcmp(model_fields[i].stored, name) == 0)
            return &model_fields[i];
    fail_msg("'%s' has no row", name);
    return NULL;
}

/* A probability of one place is said where it differs from that of all places, 0 among them, and reads back as it was
 * said. */
static void test_probabilities_of_places(void **state)
{
    (void)state;
    static const double all[] = {0, 0.3}, one[] = {0, 0.3, 0.5};
    const struct model_field *field = row_of("dropout_output");
    struct model_config config = {.layers = 2, .dropout = 0.3};
    assert_false(model_field_is_said(field, &config));
    assert_true(model_dropout(&config, 0) == 0.3 && model_dropout(&config, 2) == 0.3);
    for (int a = 0; a < 2; a++)
        for (int o = 0; o < 3; o++) {
            config.dropout = all[a];
            model_field_set_real(field, &config, one[o]);
            assert_int_equal(model_field_is_said(field, &config), all[a] != one[o]);
            assert_true(model_dropout(&config, 0) == all[a] && model_dropout(&config, 1) == all[a]);
            assert_true(model_dropout(&config, 2) == one[o]);
            assert_true(all[a] == one[o] || model_field_real(field, &config) == one[o]);
        }
    model_config_evaluated(&config);
    for (int site = 0; site <= 2; site++)
        assert_true(model_dropout(&config, site) == 0);
}

static void test_probabilities_in_range(void **state)
{
    (void)state;
    static const char *const names[] = {"dropout",           "dropout_input", "dropout_hidden", "dropout_output",
                                        "dropout_embedding", "dropout_state", "weight_drop"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        static const double bad[] = {-0.5, -1, -2, 1, 1.5, NAN};
        struct model_config config = {.cell = CELL_LSTM, .layers = 1, .embedding = 3, .hidden = 4, .vocab = 5};
        assert_int_equal(model_config_check(&config, NULL), STATUS_OK);
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            struct error e;
            const struct model_config before = config;
            assert_int_equal(model_field_take_real(row_of(names[i]), &config, bad[k], &e), STATUS_CONFIG);
            assert_non_null(strstr(e.text, model_field_option(row_of(names[i]))));
            assert_memory_equal(&before, &config, sizeof config);
            if (bad[k] == DROPOUT_NONE && row_of(names[i])->override)
                continue; /* nothing dropped: what an option's 0 is held as */
            model_field_set_real(row_of(names[i]), &config, bad[k]);
            assert_int_equal(model_config_check(&config, &e), STATUS_CONFIG);
            assert_non_null(strstr(e.text, model_field_option(row_of(names[i]))));
            config = before;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_member_has_a_row),
        cmocka_unit_test(test_rows_are_apart),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_probabilities_of_places),
        cmocka_unit_test(test_probabilities_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
