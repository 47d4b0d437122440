/* The JSON writer: what it writes is read back with jansson, which nobody here wrote. Numbers as text, too. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "unroll/base/number.h"
#include "unroll/base/rng.h"
#include "unroll/sys/json.h"

static const char *text_of(const struct json *json)
{
    const char *text;
    struct error e = {0};
    assert_int_equal(json_text(json, &text, &e), STATUS_OK);
    return text;
}

static void nesting_and_commas(void **state)
{
    (void)state;
    struct json json;
    json_init(&json);
    json_object_begin(&json, NULL);
    json_put_int(&json, "step", -12);
    json_object_begin(&json, "empty");
    json_object_end(&json);
    json_array_begin(&json, "list");
    json_put_int(&json, NULL, 1);
    json_array_begin(&json, NULL);
    json_array_end(&json);
    json_put_bool(&json, NULL, true);
    json_array_end(&json);
    json_put_string(&json, "none", NULL);
    json_put_uint(&json, "seed", UINT64_MAX);
    json_object_end(&json);
    assert_string_equal(text_of(&json), "{\"step\": -12, \"empty\": {}, \"list\": [1, [], true], \"none\": null, "
                                        "\"seed\": 18446744073709551615}");
    json_clear(&json);
    json_put_bool(&json, NULL, false);
    assert_string_equal(text_of(&json), "false");
    json_release(&json);
}

static void any_bytes_give_json_that_parses(void **state)
{
    (void)state;
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    struct json json;
    json_init(&json);
    json_object_begin(&json, NULL);
    json_put_string_n(&json, "all", bytes, sizeof bytes);
    json_put_string(&json, "good", "a\"b\\c\n\t\r \xC3\xA9 \xE2\x82\xAC \xF0\x9D\x84\x9E");
    json_put_string_n(&json, "cut", "x\xE2\x82", 3);
    json_put_string(&json, "surrogate", "\xED\xA0\x80");
    json_object_end(&json);
    const char *text = text_of(&json);
    assert_null(strchr(text, '\n'));
    json_error_t fault;
    json_t *root = json_loads(text, JSON_ALLOW_NUL, &fault);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "good")),
                        "a\"b\\c\n\t\r \xC3\xA9 \xE2\x82\xAC \xF0\x9D\x84\x9E");
    assert_string_equal(json_string_value(json_object_get(root, "cut")), "x\\xe2\\x82");
    assert_string_equal(json_string_value(json_object_get(root, "surrogate")), "\\xed\\xa0\\x80");
    /* 128 ASCII bytes, and 128 that are not UTF-8 become four characters each, no two the same */
    json_t *all = json_object_get(root, "all");
    assert_int_equal(json_string_length(all), 128 + 128 * 4);
    assert_memory_equal(json_string_value(all), bytes, 128);
    for (int i = 128; i < 256; i++) {
        char expected[8];
        snprintf(expected, sizeof expected, "\\x%02x", i);
        assert_memory_equal(json_string_value(all) + 128 + (i - 128) * 4, expected, 4);
    }
    json_decref(root);
    json_release(&json);
}

/* Random bit patterns cover all exponents; whatever is finite must come back as the same bits. */
static void doubles_come_back_as_the_same_bits(void **state)
{
    (void)state;
    char text[NUMBER_TEXT];
    for (uint32_t i = 0; i < 20000; i++) {
        struct rng_bits bits = rng_philox(7, RNG_TEST, i, 0, 0, 0);
        double value, back;
        uint64_t pattern = (uint64_t)bits.word[0] << 32 | bits.word[1];
        memcpy(&value, &pattern, sizeof value);
        if (!isfinite(value))
            continue;
        assert_int_equal(number_parse_double(number_format(value, text), &back), 0);
        assert_memory_equal(&back, &value, sizeof value);
    }
    assert_string_equal(number_format(0.1, text), "0.1");
    assert_string_equal(number_format(-0.0, text), "-0");
    assert_string_equal(number_format(1e300, text), "1e+300");
    assert_string_equal(number_format(0.1 + 0.2, text), "0.30000000000000004");
    assert_string_equal(number_format(-NAN, text), "nan");

    struct json json;
    json_init(&json);
    json_array_begin(&json, NULL);
    json_put_double(&json, NULL, 1.0 / 3);
    json_put_double(&json, NULL, NAN);
    json_put_double(&json, NULL, -INFINITY);
    json_array_end(&json);
    assert_string_equal(text_of(&json), "[0.333333333333333"
                                        "3, null, null]");
    json_release(&json);
}

static void numbers_refuse_what_is_none(void **state)
{
    (void)state;
    int64_t whole;
    uint64_t natural;
    double real;
    static const char *const none[] = {"", " 1", "1 ", "0x10", "1.5.2", "nan", "inf", "one", "--1", "1,5", "+"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_int_equal(number_parse_i64(none[i], &whole), EINVAL);
        assert_int_equal(number_parse_u64(none[i], &natural), EINVAL);
        assert_int_equal(number_parse_double(none[i], &real), EINVAL);
    }
    assert_int_equal(number_parse_i64("1.5", &whole), EINVAL);
    assert_int_equal(number_parse_i64("9223372036854775807", &whole), 0);
    assert_true(whole == INT64_MAX);
    assert_int_equal(number_parse_i64("9223372036854775808", &whole), ERANGE);
    assert_int_equal(number_parse_u64("18446744073709551615", &natural), 0);
    assert_true(natural == UINT64_MAX);
    assert_int_equal(number_parse_u64("18446744073709551616", &natural), ERANGE);
    assert_int_equal(number_parse_u64("-1", &natural), ERANGE);
    assert_int_equal(number_parse_double("1e999", &real), ERANGE);
    assert_int_equal(number_parse_double("-2.5e-3", &real), 0);
    assert_true(real == -2.5e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nesting_and_commas),
        cmocka_unit_test(any_bytes_give_json_that_parses),
        cmocka_unit_test(doubles_come_back_as_the_same_bits),
        cmocka_unit_test(numbers_refuse_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
