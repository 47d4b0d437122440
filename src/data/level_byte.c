/* Level byte: every byte is a token, whatever it is part of. */
#include "tokenizer_private.h"

struct bytes {
    uint32_t id[256]; /* of bytes met so far */
};

static void begin(struct tokenizer *tokenizer)
{
    struct bytes *known = tokenizer->state;
    level_no_ids(known->id, 256);
}

static enum status feed(struct tokenizer *tokenizer, const char *bytes, size_t length, const char *name, int64_t offset,
                        struct error *e)
{
    struct bytes *known = tokenizer->state;
    (void)name, (void)offset;
    for (size_t i = 0; i < length; i++) {
        uint32_t *id = &known->id[(unsigned char)bytes[i]];
        if (*id == TOKENIZER_NO_ID) {
            enum status status = tokenizer->find(tokenizer, bytes + i, 1, id, e);
            if (status)
                return status;
        }
        tokenizer->ids[i] = *id;
    }
    tokenizer->count = length;
    return STATUS_OK;
}

static const char *fault(const char *text, size_t length)
{
    (void)text;
    return length == 1 ? NULL : "is not one byte";
}

static size_t piece(const char *text, bool composed, size_t *skip)
{
    (void)composed;
    *skip = 0;
    return *text != '\0';
}

const struct level_kind level_kind_byte = {
    .name = "byte",
    .unit = "byte",
    .fix = "correct or remove it, or use another --level",
    .line_end = "\n",
    .separator = "",
    .version = 1,
    .fault = fault,
    .piece = piece,
    .state_bytes = sizeof(struct bytes),
    .begin = begin,
    .feed = feed,
};
