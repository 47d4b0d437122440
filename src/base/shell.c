#include "unroll/base/shell.h"

#include <string.h>

#include "unroll/base/status.h"

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./,:+=@%"

void shell_word(const char *text, char *word, size_t size)
{
    char *end = word;
    size_t length = strlen(text);
    CHECK(size >= SHELL_WORD(length + 1));
    if (length > 0 && strspn(text, PLAIN) == length) {
        memcpy(word, text, length + 1);
        return;
    }
    *end++ = '\'';
    for (; *text; text++) {
        if (*text == '\'') { /* ends the quotes, stands alone, and opens them again */
            memcpy(end, "'\\'", 3);
            end += 3;
        }
        *end++ = *text;
    }
    *end++ = '\'';
    *end = '\0';
}
