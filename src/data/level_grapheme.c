/* Level grapheme: every extended grapheme cluster of Unicode (UAX #29) is a token, what a reader takes for one
 * character: a letter with its accents, an emoji with its skin tone and joiners, a flag; a line end too, also after a
 * CR. A cluster of more than VOCAB_CLUSTER_MAX bytes is cut before the code point that would be too much; what follows
 * begins a new one. */
#include <string.h>

#include "tokenizer_private.h"

#include "unroll/data/utf8.h"

struct clusters {
    uint32_t id[UTF8_CODES];      /* of clusters of one code point met so far */
    char open[VOCAB_CLUSTER_MAX]; /* the cluster that the last block cut */
    size_t length;                /* of it */
    uint32_t last;                /* its last code point, and */
    int32_t state;                /* what else its end depends on */
};

static void begin(struct tokenizer *tokenizer)
{
    struct clusters *clusters = tokenizer->state;
    level_no_ids(clusters->id, UTF8_CODES);
}

/* The open cluster becomes a token. */
static enum status close_cluster(struct tokenizer *tokenizer, struct error *e)
{
    struct clusters *clusters = tokenizer->state;
    int step = 0;
    enum status status = STATUS_OK;
    uint32_t *id = &tokenizer->ids[tokenizer->count], code = utf8_decode(clusters->open, &step);
    if ((size_t)step != clusters->length) {
        status = tokenizer->find(tokenizer, clusters->open, clusters->length, id, e);
    } else {
        if (clusters->id[code] == TOKENIZER_NO_ID)
            status = level_find_code(tokenizer, code, &clusters->id[code], e);
        *id = clusters->id[code];
    }
    tokenizer->count += !status;
    clusters->length = 0;
    clusters->state = 0;
    return status;
}

static enum status feed(struct tokenizer *tokenizer, const char *bytes, size_t length, const char *name, int64_t offset,
                        struct error *e)
{
    struct clusters *clusters = tokenizer->state;
    enum status status = STATUS_OK;
    (void)name, (void)offset;
    for (size_t i = 0; i < length && !status;) {
        int step;
        char text[UTF8_LONGEST];
        uint32_t code = utf8_decode(bytes + i, &step);
        i += (size_t)step;
        if (tokenizer->lowercase)
            code = utf8_lower(code);
        size_t more = (size_t)utf8_encode(code, text);
        if (clusters->length && (code == '\n' || utf8_cluster_ends(clusters->last, code, &clusters->state) ||
                                 clusters->length + more > VOCAB_CLUSTER_MAX))
            status = close_cluster(tokenizer, e);
        memcpy(clusters->open + clusters->length, text, more);
        clusters->length += more;
        clusters->last = code;
        if (code == '\n' && !status)
            status = close_cluster(tokenizer, e); /* nothing goes on a line end */
    }
    return status;
}

static enum status end(struct tokenizer *tokenizer, struct error *e)
{
    struct clusters *clusters = tokenizer->state;
    enum status status = clusters->length ? close_cluster(tokenizer, e) : STATUS_OK;
    clusters->length = 0;
    return status;
}

static const char *fault(const char *text, size_t length)
{
    (void)text;
    return length > VOCAB_CLUSTER_MAX ? "is longer than a grapheme cluster may be" : NULL;
}

const struct level_kind level_kind_grapheme = {
    .name = "grapheme",
    .unit = "grapheme cluster",
    .fix = "correct or remove it, or use another --level",
    .line_end = "\n",
    .separator = "",
    .utf8 = true,
    .version = 2,
    .fault = fault,
    .cut = level_cut_apart,
    .cut_normal = level_cut_apart,
    .piece = level_piece_code,
    .state_bytes = sizeof(struct clusters),
    .begin = begin,
    .feed = feed,
    .end = end,
};
