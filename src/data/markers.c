/* The choices for markers, and the messages about markers in a text. */
#include "unroll/data/markers.h"

#include <stdio.h>

static const char *const names[] = {"refuse", "strip", "keep"};

const char *markers_name(enum markers markers)
{
    return names[markers];
}

static const char *name_of(int markers)
{
    return names[markers];
}
const struct choices markers_choices = {"markers", sizeof names / sizeof *names, name_of};

bool markers_parse(const char *name, enum markers *markers)
{
    int value = choices_find(&markers_choices, name);
    if (value >= 0)
        *markers = (enum markers)value;
    return value >= 0;
}

void markers_add(struct marker_counts *sum, const struct marker_counts *more)
{
    sum->begins += more->begins;
    sum->ends += more->ends;
    sum->unknowns += more->unknowns;
}

bool markers_found(const struct marker_counts *counts)
{
    return counts->begins > 0 || counts->ends > 0;
}

int64_t markers_bytes(const struct marker_counts *counts)
{
    return 4 * counts->begins + 5 * counts->ends;
}

void markers_count_text(const struct marker_counts *counts, char text[MARKERS_TEXT])
{
    int length = 0;
    *text = '\0';
    if (counts->begins > 0)
        length = snprintf(text, MARKERS_TEXT, "%lld '<s>'%s", (long long)counts->begins, counts->ends ? " and " : "");
    if (counts->ends > 0)
        snprintf(text + length, (size_t)(MARKERS_TEXT - length), "%lld '</s>'", (long long)counts->ends);
}

void markers_fate_text(enum markers markers, const struct marker_counts *counts, char text[MARKERS_TEXT])
{
    char count[MARKERS_TEXT];
    markers_count_text(counts, count);
    if (markers == MARKERS_STRIP)
        snprintf(text, MARKERS_TEXT, "%.60s of the text were left out (--markers strip)", count);
    else
        snprintf(text, MARKERS_TEXT, "%.60s of the text were kept (--markers keep):%s%s", count,
                 counts->begins ? " '<s>' as a word" : "",
                 counts->ends ? counts->begins ? ", '</s>' as one more line end" : " as more line ends" : "");
}

enum status markers_refused(const struct marker_counts *counts, const char *name, int64_t line, enum markers known,
                            struct error *e)
{
    char text[MARKERS_TEXT] = "'<s>' or '</s>'";
    if (counts)
        markers_count_text(counts, text);
    if (known != MARKERS_REFUSE)
        return error_set(
            e, STATUS_DATA,
            "the text holds %s, the first in '%.200s' line %lld; use '--markers %s', as with the text that "
            "the model learned from",
            text, name, (long long)line, markers_name(known));
    return error_set(e, STATUS_DATA,
                     "the text holds %s, the first in '%.200s' line %lld, but every line end becomes '</s>' by itself; "
                     "use '--markers strip' to leave them out, or '--markers keep' to take them as tokens",
                     text, name, (long long)line);
}

enum status markers_check(enum markers markers, enum level level, struct error *e)
{
    if (markers == MARKERS_REFUSE || level_kind(level)->markers)
        return STATUS_OK;
    return error_set(e, STATUS_CONFIG,
                     "'--markers %s' has no meaning at level '%s', where '<s>' is text like any other; leave it out",
                     markers_name(markers), level_name(level));
}
