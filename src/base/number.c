/* Turns numbers into text, and text into numbers. */
#include "unroll/base/number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *number_format(double value, char text[NUMBER_TEXT])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, NUMBER_TEXT, "%.*g", digits, value);
        if (isnan(value)) {
            strcpy(text, "nan"); /* without the sign that some NaNs have */
            break;
        }
        if (strtod(text, NULL) == value)
            break;
    }
    return text;
}

/* strtol and strtod skip leading blanks, and accept "0x10", "inf" and "nan": none of them is meant here. */
static int looks_decimal(const char *text, const char *allowed)
{
    return *text && strspn(text, allowed) == strlen(text);
}

int number_parse_i64(const char *text, int64_t *value)
{
    if (!looks_decimal(text, "+-0123456789"))
        return EINVAL;
    char *end;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (*end || end == text)
        return EINVAL;
    if (errno == ERANGE)
        return ERANGE;
    *value = parsed;
    return 0;
}

int number_parse_u64(const char *text, uint64_t *value)
{
    if (!looks_decimal(text, "+-0123456789"))
        return EINVAL;
    char *end;
    errno = 0;
    unsigned long long parsed = strtoull(text, &end, 10);
    if (*end || end == text)
        return EINVAL;
    if (errno == ERANGE || *text == '-') /* strtoull would wrap a negative number around */
        return ERANGE;
    *value = parsed;
    return 0;
}

int number_parse_double(const char *text, double *value)
{
    if (!looks_decimal(text, "+-.eE0123456789"))
        return EINVAL;
    char *end;
    double parsed = strtod(text, &end);
    if (*end || end == text)
        return EINVAL;
    if (!isfinite(parsed)) /* a number too small to tell from 0 is no error: it becomes 0 or a subnormal */
        return ERANGE;
    *value = parsed;
    return 0;
}

const char *number_duration(double seconds, char text[NUMBER_TEXT])
{
    long long whole = seconds > 0 && seconds < 1e12 ? (long long)(seconds + 0.5) : 0;
    snprintf(text, NUMBER_TEXT, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
    return text;
}

#define LIST_MOST 16

int number_parse_list(const char *text, int most, bool ascends, int *list)
{
    int parsed[LIST_MOST] = {0}, count = 0;
    for (const char *at = text; at; count++) {
        char number[NUMBER_TEXT] = "";
        size_t length = strcspn(at, ",");
        int64_t value = 0;
        if (length >= sizeof number)
            return EINVAL;
        memcpy(number, at, length);
        int fault = number_parse_i64(number, &value);
        if (fault)
            return fault;
        if (count == most || count == LIST_MOST || value > INT32_MAX ||
            value <= (ascends && count ? parsed[count - 1] : 0))
            return ERANGE;
        parsed[count] = (int)value;
        at = at[length] ? at + length + 1 : NULL;
    }
    memcpy(list, parsed, sizeof *list * (size_t)(most < LIST_MOST ? most : LIST_MOST));
    return 0;
}

const char *number_format_list(const int *list, int most, char *text, size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < most && list[i] && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%d", i ? "," : "", list[i]);
    return text;
}
