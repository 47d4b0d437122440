/* Running text: reads each lane's tokens ahead, and makes windows of them. */
#include "unroll/data/stream.h"

#include "unroll/base/mem.h"

#define AHEAD_BYTES ((int64_t)16 << 20) /* read-ahead of all lanes together, unless one window is larger */
#define AHEAD_LANE ((int64_t)1 << 14)   /* tokens of one lane read at once, about */

/* Where a window of the current epoch begins: its first time step. */
struct cut {
    int64_t index, begin;
};

struct stream {
    struct corpus *corpus;
    struct stream_config config;
    int64_t positions; /* P, of the whole split */
    struct cuts cuts;
    int64_t epoch, windows; /* the current one, and its windows */
    struct cut next;        /* window */
    struct cut last;        /* the one read last */
    int64_t have_begin;     /* time steps [have_begin, have_end) of every lane are in `ahead` */
    int64_t have_end;
    int64_t piece;    /* time steps read at once: a multiple of the longest window */
    uint32_t *ahead;  /* [lanes][piece + 1] tokens */
    uint32_t *input;  /* [longest window][lanes] */
    uint32_t *target; /* [longest window][lanes] */
};

/* First position of a lane; `lane` == batch gives P. */
static int64_t lane_begin(const struct stream *stream, int lane)
{
    return (int64_t)((__int128)lane * stream->positions / stream->config.batch);
}

static int64_t lane_length(const struct stream *stream, int lane)
{
    return lane_begin(stream, lane + 1) - lane_begin(stream, lane);
}

static int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit;
}

static bool has_before(const struct stream_config *config)
{
    return config->before != VOCAB_UNK;
}

static enum status check(const struct corpus *corpus, const struct stream_config *config, struct error *e)
{
    const char *name = split_name(config->split);
    CHECK(config->batch > 0 && config->bptt > 0 && config->lane0 >= 0 && config->lanes >= 0 &&
          config->lane0 + config->lanes <= config->batch);
    int64_t tokens = corpus->tokens[config->split], positions = tokens - !has_before(config);
    if (tokens == 0)
        return error_set(e, STATUS_DATA, "the corpus has no split '%s'; make one with 'unroll prepare'", name);
    if (positions < 1)
        return error_set(e, STATUS_DATA,
                         "split '%s' has a single token, which leaves nothing to predict; use a longer text", name);
    if (positions < config->batch)
        return error_set(e, STATUS_CONFIG, "--batch '%d' is too large for split '%s' of %lld tokens; use at most %lld",
                         config->batch, name, (long long)tokens, (long long)positions);
    return STATUS_OK;
}

static int longest_window(const struct stream_config *config)
{
    return cuts_longest(config->bptt, config->vary);
}

/* Time steps read at once, of `steps`. */
static int64_t piece_of(const struct stream_config *config, int64_t steps)
{
    int window = longest_window(config);
    int64_t share = AHEAD_BYTES / (int64_t)sizeof(uint32_t) / (config->lanes > 0 ? config->lanes : 1);
    int64_t ahead = at_most(at_most(AHEAD_LANE, share) / window, steps / window + (steps % window > 0));
    return (ahead > 0 ? ahead : 1) * window;
}

size_t stream_bytes(const struct stream_config *config)
{
    size_t lanes = (size_t)config->lanes, window = (size_t)longest_window(config);
    return lanes * ((size_t)piece_of(config, INT64_MAX) + 1 + 2 * window) * sizeof(uint32_t);
}

enum status stream_open(struct corpus *corpus, const struct stream_config *config, struct stream **out, struct error *e)
{
    *out = NULL;
    enum status status = check(corpus, config, e);
    if (status)
        return status;
    struct stream *stream = mem_alloc(1, sizeof *stream, "a stream", e);
    if (!stream)
        return STATUS_OS;
    stream->corpus = corpus;
    stream->config = *config;
    stream->positions = corpus->tokens[config->split] - !has_before(config);
    stream->cuts = (struct cuts){.steps = (stream->positions + config->batch - 1) / config->batch,
                                 .bptt = config->bptt,
                                 .vary = config->vary,
                                 .seed = config->seed};
    stream->epoch = -1;
    stream_begin(stream, 0);

    size_t lanes = (size_t)config->lanes, cells;
    stream->piece = piece_of(config, stream->cuts.steps);
    if (mem_mul_overflows(lanes, (size_t)longest_window(config), &cells)) {
        mem_free(stream);
        return error_set(e, STATUS_CONFIG, "--batch '%d' times --bptt %d cannot be addressed; use smaller ones",
                         config->batch, config->bptt);
    }
    stream->ahead = mem_alloc(lanes, ((size_t)stream->piece + 1) * sizeof *stream->ahead, "read-ahead of tokens", e);
    stream->input = stream->ahead ? mem_alloc(cells, sizeof *stream->input, "a window's inputs", e) : NULL;
    stream->target = stream->input ? mem_alloc(cells, sizeof *stream->target, "a window's targets", e) : NULL;
    if (!stream->target) {
        stream_close(stream);
        return STATUS_OS;
    }
    *out = stream;
    return STATUS_OK;
}

void stream_close(struct stream *stream)
{
    if (!stream)
        return;
    mem_free(stream->ahead);
    mem_free(stream->input);
    mem_free(stream->target);
    mem_free(stream);
}

const struct cuts *stream_cuts(const struct stream *stream)
{
    return &stream->cuts;
}

int64_t stream_windows(const struct stream *stream)
{
    return stream->windows;
}

/* Time steps of a window, at the end of the text those that are left. */
static int length_of(const struct stream *stream, const struct cut *cut)
{
    return (int)at_most(stream->cuts.steps - cut->begin, cuts_length(&stream->cuts, stream->epoch, cut->index));
}

/* The window `index`, from one before it if `from` is. */
static struct cut find_cut(const struct stream *stream, struct cut from, int64_t index)
{
    const struct cuts *cuts = &stream->cuts;
    if (!cuts->vary)
        return (struct cut){index, index * cuts->bptt};
    if (from.index > index)
        from = (struct cut){0, 0};
    for (; from.index < index; from.index++)
        from.begin += cuts_length(cuts, stream->epoch, from.index);
    return from;
}

void stream_begin(struct stream *stream, int64_t epoch)
{
    stream->next = stream->last = (struct cut){0, 0};
    if (stream->epoch == epoch)
        return;
    stream->epoch = epoch;
    stream->windows = cuts_windows(&stream->cuts, epoch);
}

int64_t stream_targets(const struct stream *stream, int64_t index, int lane_first, int lane_end)
{
    struct cut cut = find_cut(stream, stream->last, index);
    int64_t targets = 0, T = length_of(stream, &cut);
    for (int lane = lane_first; lane < lane_end; lane++) {
        int64_t left = lane_length(stream, lane) - cut.begin;
        if (left > 0)
            targets += at_most(left, T);
    }
    return targets;
}

int64_t stream_position(const struct stream *stream)
{
    return stream->next.index;
}

void stream_seek(struct stream *stream, int64_t index)
{
    CHECK(index >= 0 && index <= stream->windows);
    stream->next = find_cut(stream, stream->next, index);
}

/* Reads `count` tokens of the split from position `start` on; with a token before the split, that is position 0. */
static enum status read_tokens(struct stream *stream, int64_t start, int64_t count, uint32_t *tokens, struct error *e)
{
    const struct stream_config *config = &stream->config;
    if (!has_before(config))
        return corpus_read(stream->corpus, config->split, start, count, tokens, e);
    if (start > 0)
        return corpus_read(stream->corpus, config->split, start - 1, count, tokens, e);
    tokens[0] = config->before;
    return corpus_read(stream->corpus, config->split, 0, count - 1, tokens + 1, e);
}

/* Reads the time steps from `begin` on, and the token after them, of all lanes of this rank. */
static enum status read_ahead(struct stream *stream, int64_t begin, struct error *e)
{
    const struct stream_config *config = &stream->config;
    stream->have_begin = stream->have_end = 0; /* nothing, should reading fail */
    for (int i = 0; i < config->lanes; i++) {
        int64_t steps = at_most(lane_length(stream, config->lane0 + i) - begin, stream->piece);
        if (steps <= 0)
            continue;
        enum status status = read_tokens(stream, lane_begin(stream, config->lane0 + i) + begin, steps + 1,
                                         stream->ahead + i * (stream->piece + 1), e);
        if (status)
            return status;
    }
    stream->have_begin = begin;
    stream->have_end = begin + stream->piece;
    return STATUS_OK;
}

enum status stream_next(struct stream *stream, struct window *window, struct error *e)
{
    const struct stream_config *config = &stream->config;
    int64_t begin = stream->next.begin;
    int lanes = config->lanes;
    *window = (struct window){.lanes = lanes, .lane0 = config->lane0, .input = stream->input, .target = stream->target};
    if (stream->next.index >= stream->windows)
        return STATUS_OK;
    int T = length_of(stream, &stream->next);
    if (begin < stream->have_begin || begin + T > stream->have_end) {
        enum status status = read_ahead(stream, begin, e);
        if (status)
            return status;
    }
    for (int i = 0; i < lanes; i++) {
        const uint32_t *tokens = stream->ahead + i * (stream->piece + 1) + (begin - stream->have_begin);
        int64_t left = lane_length(stream, config->lane0 + i) - begin;
        for (int t = 0; t < T; t++) {
            stream->input[(int64_t)t * lanes + i] = t < left ? tokens[t] : 0;
            stream->target[(int64_t)t * lanes + i] = t < left ? tokens[t + 1] : WINDOW_NO_TARGET;
        }
    }
    window->T = T;
    window->reset = stream->next.index == 0;
    stream->last = stream->next;
    stream->next = (struct cut){stream->last.index + 1, begin + T};
    return STATUS_OK;
}
