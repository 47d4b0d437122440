#include "unroll/cli/escape.h"

#include <ctype.h>
#include <string.h>

#include "unroll/data/utf8.h"

void escape_put(FILE *stream, const char *text, size_t length)
{
    static const char named[] = "\t\n\r\\", letters[] = "tnr\\";
    for (size_t i = 0; i < length;) {
        int bad, step = utf8_sequence(text + i, length - i, &bad);
        unsigned char byte = (unsigned char)text[i];
        const char *name = byte ? strchr(named, byte) : NULL;
        if (name)
            fprintf(stream, "\\%c", letters[name - named]);
        else if (step <= 0 || iscntrl(byte))
            fprintf(stream, "\\x%02x", byte);
        else
            fwrite(text + i, 1, (size_t)step, stream);
        i += step > 0 ? (size_t)step : 1;
    }
}
