/* One of several names, as an option, a file or a report says it. The room that owns the kinds says how many there
 * are and what they are called; parsing, help and messages ask it. */
#ifndef UNROLL_BASE_CHOICE_H
#define UNROLL_BASE_CHOICE_H

#include <stddef.h>

#include "unroll/base/status.h"

struct choices {
    const char *what; /* for messages: "optimizer" */
    int count;
    const char *(*name)(int value); /* 0 <= value < count */
};

/* The value of that name, or -1. */
int choices_find(const struct choices *choices, const char *name);

/* The same; STATUS_CONFIG, with all names, if it is none: *value is left alone. */
enum status choices_parse(const struct choices *choices, const char *name, int *value, struct error *e);

#define CHOICES_TEXT 200

/* All names, with `last` before the last one: "a, b or c" with " or ", "a, b, c" with ", ". Returns `room`. */
const char *choices_text(const struct choices *choices, const char *last, char room[CHOICES_TEXT]);

#endif
