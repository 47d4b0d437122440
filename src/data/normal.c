/* Brings runs of code points into form C. */
#include "unroll/data/normal.h"

#include <string.h>
#include <utf8proc.h>

#include "unroll/base/mem.h"
#include "unroll/data/utf8.h"

#define EXPANSION 3           /* bytes of form C to one of UTF-8, at most (UAX #15, section 10) */
#define FULL (4 * NORMAL_RUN) /* code points that a run may be decomposed into: U+1F82 gives four */
#define FORM (UTF8PROC_STABLE | UTF8PROC_COMPOSE)

struct normalizer {
    bool lowercase;
    char run[UTF8_LONGEST * NORMAL_RUN]; /* code points that are composed together */
    size_t run_length, run_count;
    utf8proc_int32_t codes[FULL];
    char *made;
    size_t made_length, made_capacity;
};

static const char *const names[] = {"none", "nfc"};

const char *normal_name(enum normal normal)
{
    return names[normal];
}

static const char *name_of(int normal)
{
    return names[normal];
}
const struct choices normal_choices = {"normal", sizeof names / sizeof *names, name_of};

bool normal_parse(const char *name, enum normal *normal)
{
    int value = choices_find(&normal_choices, name);
    if (value >= 0)
        *normal = (enum normal)value;
    return value >= 0;
}

enum status normalizer_new(bool lowercase, struct normalizer **out, struct error *e)
{
    *out = mem_alloc(1, sizeof **out, "a normalizer", e);
    if (!*out)
        return STATUS_OS;
    **out = (struct normalizer){.lowercase = lowercase};
    return STATUS_OK;
}

void normalizer_free(struct normalizer *normalizer)
{
    if (!normalizer)
        return;
    mem_free(normalizer->made);
    mem_free(normalizer);
}

/* Whether nothing that comes before a code point bears on it: it is a starter, and none that composes backwards.
 * Those are among the code points that go on a grapheme cluster. */
static bool begins_run(uint32_t code)
{
    if (code < 0x300)
        return true;
    const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)code);
    unsigned class = property->boundclass;
    return property->combining_class == 0 && class != UTF8PROC_BOUNDCLASS_EXTEND &&
           class != UTF8PROC_BOUNDCLASS_SPACINGMARK && class != UTF8PROC_BOUNDCLASS_ZWJ &&
           class != UTF8PROC_BOUNDCLASS_V && class != UTF8PROC_BOUNDCLASS_T;
}

/* The run's code points in form C; how many. */
static size_t compose(struct normalizer *normalizer)
{
    utf8proc_ssize_t count =
        utf8proc_decompose((const utf8proc_uint8_t *)normalizer->run, (utf8proc_ssize_t)normalizer->run_length,
                           normalizer->codes, FULL, FORM);
    CHECK(count >= 0 && count <= FULL);
    count = utf8proc_normalize_utf32(normalizer->codes, count, FORM);
    CHECK(count >= 0);
    return (size_t)count;
}

/* Writes codes as UTF-8 over the run. */
static void rewrite(struct normalizer *normalizer, size_t count)
{
    normalizer->run_length = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t code = utf8_lower((uint32_t)normalizer->codes[i]);
        if (normalizer->run_length + UTF8_LONGEST <= sizeof normalizer->run)
            normalizer->run_length += (size_t)utf8_encode(code, normalizer->run + normalizer->run_length);
    }
}

/* Appends the run's result to what was made; there is room. */
static void flush(struct normalizer *normalizer)
{
    unsigned char first = (unsigned char)normalizer->run[0];
    char *to = normalizer->made + normalizer->made_length;
    if (normalizer->run_length == 1) {
        *to = normalizer->lowercase && first >= 'A' && first <= 'Z' ? (char)(first + 'a' - 'A') : (char)first;
        normalizer->made_length++;
    } else if (normalizer->run_length > 1) {
        size_t count = compose(normalizer);
        if (normalizer->lowercase) {
            rewrite(normalizer, count);
            count = compose(normalizer);
        }
        for (size_t i = 0; i < count; i++)
            normalizer->made_length +=
                (size_t)utf8_encode((uint32_t)normalizer->codes[i], normalizer->made + normalizer->made_length);
    }
    normalizer->run_length = normalizer->run_count = 0;
}

static enum status make_room(struct normalizer *normalizer, size_t length, struct error *e)
{
    void *made = normalizer->made;
    size_t most = 2 * EXPANSION * (length + sizeof normalizer->run); /* lower case may take more bytes */
    enum status status = mem_grow(&made, &normalizer->made_capacity, most, 1, "a normalized text", e);
    normalizer->made = made;
    normalizer->made_length = 0;
    return status;
}

enum status normalizer_feed(struct normalizer *normalizer, const char *bytes, size_t length, const char **made,
                            size_t *made_length, struct error *e)
{
    enum status status = make_room(normalizer, length, e);
    for (size_t i = 0; i < length && !status;) {
        int step;
        uint32_t code = utf8_decode(bytes + i, &step);
        if (begins_run(code) || normalizer->run_count == NORMAL_RUN)
            flush(normalizer);
        memcpy(normalizer->run + normalizer->run_length, bytes + i, (size_t)step);
        normalizer->run_length += (size_t)step;
        normalizer->run_count++;
        if (code == '\n')
            flush(normalizer);
        i += (size_t)step;
    }
    *made = normalizer->made;
    *made_length = normalizer->made_length;
    return status;
}

enum status normalizer_end(struct normalizer *normalizer, const char **made, size_t *made_length, struct error *e)
{
    enum status status = make_room(normalizer, 0, e);
    if (!status)
        flush(normalizer);
    *made = normalizer->made;
    *made_length = normalizer->made_length;
    return status;
}
