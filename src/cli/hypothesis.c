/* One line of an n-best list: read, ranked, and written with the model's score. */
#include "unroll/cli/hypothesis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/data/utf8.h"

static struct span trimmed(const char *line, size_t begin, size_t end)
{
    while (begin < end && (line[begin] == ' ' || line[begin] == '\t'))
        begin++;
    while (end > begin && (line[end - 1] == ' ' || line[end - 1] == '\t'))
        end--;
    return (struct span){begin, end};
}

/* The number that is all of the span. */
static bool read_number(const char *line, struct span span, double *number)
{
    char *end;
    if (span.begin == span.end)
        return false;
    *number = strtod(line + span.begin, &end);
    return end == line + span.end && isfinite(*number);
}

static bool parse_moses(struct hypothesis *out)
{
    const char *line = out->line;
    struct span field[4];
    size_t at = 0, length = strlen(line);
    for (int i = 0; i < 4; i++) {
        const char *bars = strstr(line + at, "|||");
        if (!bars && i < 3)
            return false;
        size_t end = bars ? (size_t)(bars - line) : length;
        field[i] = trimmed(line, at, end);
        at = end + 3;
    }
    out->key = out->list = field[0];
    out->text = field[1];
    out->features = field[2];
    out->score_text = field[3];
    return field[0].begin < field[0].end && read_number(line, field[3], &out->score);
}

static bool parse_kaldi(struct hypothesis *out)
{
    const char *line = out->line;
    size_t key = strcspn(line, " \t"), name = key;
    while (name > 0 && line[name] != '-')
        name--;
    out->key = (struct span){0, key};
    out->list = (struct span){0, name};
    out->text = trimmed(line, key, strlen(line));
    return name > 0 && name + 1 < key && strspn(line + name + 1, "0123456789") == key - name - 1;
}

enum status hypothesis_parse(enum nbest format, char *line, const char *name, int64_t number, struct hypothesis *out,
                             struct error *e)
{
    *out = (struct hypothesis){.line = line};
    if (format == NBEST_MOSES ? parse_moses(out) : parse_kaldi(out))
        return STATUS_OK;
    return error_set(e, STATUS_DATA, "cannot read line %lld of '%s' as a hypothesis: write %s", (long long)number, name,
                     format == NBEST_MOSES ? "'id ||| text ||| features ||| score', the score a number"
                                           : "'utterance-N text', N a number");
}

static bool equal(const char *a, struct span x, const char *b, struct span y)
{
    return x.end - x.begin == y.end - y.begin && memcmp(a + x.begin, b + y.begin, x.end - x.begin) == 0;
}

bool hypothesis_same_list(const struct hypothesis *a, const struct hypothesis *b)
{
    return equal(a->line, a->list, b->line, b->list);
}

double hypothesis_rank(const struct hypothesis *hypothesis, enum nbest format, double weight)
{
    return format == NBEST_KALDI ? hypothesis->logp : hypothesis->score + weight * hypothesis->logp;
}

static void put_span(const char *line, size_t begin, size_t end)
{
    fwrite(line + begin, 1, end - begin, stdout);
}

bool hypothesis_has_feature(const struct hypothesis *hypothesis, const char *name)
{
    const char *line = hypothesis->line;
    size_t length = strlen(name), at = hypothesis->features.begin, end = hypothesis->features.end;
    while (at < end) {
        size_t word = strcspn(line + at, " \t");
        if (word > length && strncmp(line + at, name, length) == 0 && line[at + length] == '=')
            return true;
        at += word + strspn(line + at + word, " \t");
    }
    return false;
}

bool hypothesis_is_feature(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f || name[i] == '=' || name[i] == '|')
            return false;
    return length > 0 && utf8_valid(name, length) == length;
}

void hypothesis_put(const struct hypothesis *hypothesis, enum nbest format, const char *feature, double weight,
                    bool rescored, bool best)
{
    const char *line = hypothesis->line;
    if (format == NBEST_KALDI) {
        struct span name = best ? hypothesis->list : hypothesis->key;
        put_span(line, name.begin, name.end);
        putchar(' ');
        if (best)
            put_span(line, hypothesis->text.begin, hypothesis->text.end);
        else
            printf("%.6f", -hypothesis->logp);
        putchar('\n');
        return;
    }
    struct span score = hypothesis->score_text;
    put_span(line, 0, hypothesis->features.end);
    printf(" %s= %.6f", feature, hypothesis->logp);
    put_span(line, hypothesis->features.end, score.begin);
    if (rescored)
        printf("%.6f", hypothesis_rank(hypothesis, format, weight));
    else
        put_span(line, score.begin, score.end);
    printf("%s\n", line + score.end);
}
