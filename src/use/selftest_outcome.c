/* What a group of checks came to: how many, how many wrong, and what was wrong first. */
#include <stdarg.h>
#include <stdio.h>

#include "selftest_private.h"

void selftest_right(struct selftest_outcome *outcome)
{
    outcome->checks++;
}

void selftest_wrong(struct selftest_outcome *outcome, const char *brief, const char *format, ...)
{
    outcome->checks++;
    if (outcome->wrong++ > 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(outcome->first, sizeof outcome->first, format, arguments);
    va_end(arguments);
    snprintf(outcome->brief, sizeof outcome->brief, "%s", brief);
}
