/* Level char: every code point of Unicode is a token, line ends ("\n") too. */
#include "tokenizer_private.h"

#include "unroll/data/utf8.h"

struct chars {
    uint32_t id[UTF8_CODES]; /* of code points met so far */
};

static void begin(struct tokenizer *tokenizer)
{
    struct chars *chars = tokenizer->state;
    level_no_ids(chars->id, UTF8_CODES);
}

static enum status feed(struct tokenizer *tokenizer, const char *bytes, size_t length, const char *name, int64_t offset,
                        struct error *e)
{
    struct chars *chars = tokenizer->state;
    size_t count = 0;
    (void)name, (void)offset;
    for (size_t i = 0; i < length;) {
        int step;
        uint32_t code = utf8_decode(bytes + i, &step);
        if (chars->id[code] == TOKENIZER_NO_ID) {
            enum status status = level_find_code(tokenizer, code, &chars->id[code], e);
            if (status)
                return status;
        }
        tokenizer->ids[count++] = chars->id[code];
        i += (size_t)step;
    }
    tokenizer->count = count;
    return STATUS_OK;
}

static const char *fault(const char *text, size_t length)
{
    int first;
    (void)utf8_decode(text, &first);
    return (size_t)first == length ? NULL : "is not one character";
}

const struct level_kind level_kind_char = {
    .name = "char",
    .unit = "character",
    .fix = "correct or remove it, or use another --level",
    .line_end = "\n",
    .separator = "",
    .utf8 = true,
    .version = 1,
    .fault = fault,
    .cut = level_cut_code,
    .cut_normal = level_cut_apart,
    .piece = level_piece_code,
    .state_bytes = sizeof(struct chars),
    .begin = begin,
    .feed = feed,
};
