/* Escapes a text character by character, and undoes it. */
#include "unroll/data/escape.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "unroll/data/utf8.h"

static const char named[] = "\t\n\r\\", letters[] = "tnr\\";

size_t escape_next(const char *text, size_t length, char piece[ESCAPE_MAX])
{
    int bad, step = utf8_sequence(text, length, &bad);
    unsigned char byte = (unsigned char)text[0];
    const char *name = byte ? strchr(named, byte) : NULL;
    if (name) {
        snprintf(piece, ESCAPE_MAX, "\\%c", letters[name - named]);
    } else if (step <= 0 || iscntrl(byte)) {
        snprintf(piece, ESCAPE_MAX, "\\x%02x", byte);
    } else {
        memcpy(piece, text, (size_t)step);
        piece[step] = '\0';
    }
    return step > 0 ? (size_t)step : 1;
}

static int digit_of(char letter)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = letter ? strchr(digits, tolower((unsigned char)letter)) : NULL;
    return found ? (int)(found - digits) : -1;
}

long escape_undo(const char *text, size_t length, char *to)
{
    char *begin = to;
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\\') {
            *to++ = text[i];
            continue;
        }
        const char *letter = i + 1 < length && text[i + 1] ? strchr(letters, text[i + 1]) : NULL;
        if (letter) {
            *to++ = named[letter - letters];
            i++;
        } else if (i + 3 < length && text[i + 1] == 'x' && digit_of(text[i + 2]) >= 0 && digit_of(text[i + 3]) >= 0) {
            *to++ = (char)(digit_of(text[i + 2]) * 16 + digit_of(text[i + 3]));
            i += 3;
        } else {
            return -1;
        }
    }
    return to - begin;
}
