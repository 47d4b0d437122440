/* Text at every level: what is accepted is valid UTF-8 (checked here by the definition, RFC 3629, byte by byte),
 * what is refused has a status and a message; with `replace` nothing is refused. The first byte of the input picks
 * the level. */
#include <string.h>

#include "fuzz.h"
#include "unroll/base/content.h"
#include "unroll/data/text.h"

static int sequence_length(const unsigned char *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    int length = s[0] >= 0xc2 && s[0] <= 0xdf   ? 2
                 : s[0] >= 0xe0 && s[0] <= 0xef ? 3
                 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                                : 0;
    if (length == 0 || (size_t)length > left)
        return 0;
    for (int i = 1; i < length; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

static void check_utf8(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length;) {
        int step = sequence_length((const unsigned char *)bytes + i, length - i);
        if (step == 0 || bytes[i] == '\0')
            abort();
        i += (size_t)step;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct text_config config = {data[0] % 3 == 0   ? LEVEL_CHAR
                                 : data[0] % 3 == 1 ? LEVEL_WORD
                                                    : LEVEL_BYTE,
                                 data[0] & 4};
    struct fuzz_file file = fuzz_file_make(data + 1, size - 1);
    struct text_file whole = {.path = file.path, .name = file.path, .size = (int64_t)size - 1};
    struct text_part part = {&whole, 0, whole.size};
    struct text *text = NULL;
    struct error e = {0};
    enum status status = text_open(&part, &config, NULL, &text, &e);
    size_t total = 0;
    while (!status) {
        const char *bytes;
        size_t length;
        int64_t offset;
        status = text_next(text, &bytes, &length, &offset, &e);
        if (status || length == 0)
            break;
        total += length;
        if (config.level != LEVEL_BYTE)
            check_utf8(bytes, length);
    }
    fuzz_check_error((int)status, (int)e.status, e.text);
    struct error refused; /* what is no text of any encoding, whatever is replaced */
    bool packed = content_refuse_text(content_of(data + 1, size - 1), "", true, &refused) != STATUS_OK;
    if (status && (config.level == LEVEL_BYTE || (config.replace && !packed)))
        abort();
    if (!status && config.level == LEVEL_BYTE && total != size - 1)
        abort();
    text_close(text);
    fuzz_file_close(file);
    return 0;
}
