/* Quotes words for a shell. */
#include "unroll/base/shell.h"

#include <string.h>

#include "unroll/base/status.h"

bool shell_is_plain(const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./,:+=@%";
    return *text && text[strspn(text, plain)] == '\0';
}

void shell_word(const char *text, char *word, size_t size)
{
    char *end = word;
    size_t length = strlen(text);
    CHECK(size >= SHELL_WORD(length + 1));
    if (shell_is_plain(text)) {
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
