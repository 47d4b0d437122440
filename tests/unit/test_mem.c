/* Memory comes aligned, zeroed and counted; sizes that overflow are refused, not wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"

#define HUGE_PAGE ((size_t)2 << 20)

static void expect_zero(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            fail_msg("byte %zu of %zu is %d", i, count, bytes[i]);
}

static void test_alloc(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4097, HUGE_PAGE - 1, HUGE_PAGE, HUGE_PAGE + 1};
    for (int round = 0; round < 2; round++) /* the second one meets used memory */
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct error e = {0};
            unsigned char *block = mem_alloc(sizes[i], 1, "a test", &e);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % MEM_ALIGN, 0);
            if (sizes[i] >= HUGE_PAGE)
                assert_int_equal((uintptr_t)block % HUGE_PAGE, 0);
            expect_zero(block, sizes[i]);
            memset(block, 0xff, sizes[i]);
            mem_free(block);
        }
    mem_free(NULL);
}

static void test_refusals(void **unused)
{
    (void)unused;
    struct error e = {0};
    assert_null(mem_alloc(SIZE_MAX / 2, 3, "the moon", &e)); /* wraps to a small number */
    assert_int_equal(e.status, STATUS_OS);
    assert_non_null(strstr(e.text, "the moon"));
    e = (struct error){0};
    assert_null(mem_alloc(SIZE_MAX / 4, 1, "the sun", &e)); /* does not wrap, but nobody has it */
    assert_int_equal(e.status, STATUS_OS);
    assert_non_null(strstr(e.text, "the sun"));
    assert_non_null(strstr(e.text, "--batch or --bptt"));
    assert_null(mem_alloc(SIZE_MAX, SIZE_MAX, "a test", NULL));
}

static void test_mul(void **unused)
{
    (void)unused;
    size_t product = 0;
    assert_false(mem_mul_overflows(SIZE_MAX / 2, 2, &product));
    assert_true(product == SIZE_MAX / 2 * 2);
    assert_true(mem_mul_overflows(SIZE_MAX / 2 + 1, 2, &product));
    assert_false(mem_mul_overflows(0, SIZE_MAX, &product));
    assert_true(product == 0);
}

static void test_grow(void **unused)
{
    (void)unused;
    uint32_t *items = NULL;
    size_t capacity = 0;
    struct error e = {0};
    int64_t before = mem_allocation_count();
    for (uint32_t i = 0; i < 100000; i++) {
        assert_int_equal(mem_grow((void **)&items, &capacity, i + 1, sizeof *items, "a list", &e), STATUS_OK);
        assert_true(capacity >= i + 1);
        assert_int_equal(items[i], 0);
        items[i] = i * 7;
    }
    assert_in_range(mem_allocation_count() - before, 1, 20); /* doubling */
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(items[i], i * 7);

    uint32_t *kept = items;
    const size_t kept_capacity = capacity;
    assert_int_equal(mem_grow((void **)&items, &capacity, SIZE_MAX / 8, sizeof *items, "a list", &e), STATUS_OS);
    assert_ptr_equal(items, kept);
    assert_true(capacity == kept_capacity);
    mem_free(items);
}

static void test_strdup(void **unused)
{
    (void)unused;
    const char text[] = "a\xc3\xa9 b";
    char *copy = mem_strdup(text, NULL);
    assert_non_null(copy);
    assert_ptr_not_equal(copy, text);
    assert_string_equal(copy, text);
    mem_free(copy);
    copy = mem_strdup("", NULL);
    assert_string_equal(copy, "");
    mem_free(copy);
}

static void test_count(void **unused)
{
    (void)unused;
    int64_t before = mem_allocation_count();
    mem_free(mem_alloc(3, 5, "a test", NULL));
    assert_int_equal(mem_allocation_count() - before, 1);
    assert_null(mem_alloc(SIZE_MAX, 2, "a test", NULL)); /* a failure does not count */
    assert_int_equal(mem_allocation_count() - before, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc), cmocka_unit_test(test_refusals), cmocka_unit_test(test_mul),
        cmocka_unit_test(test_grow),  cmocka_unit_test(test_strdup),   cmocka_unit_test(test_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
