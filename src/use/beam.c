/* Beam search: keeps the best beginnings of each length and the best texts that ended. */
#include "unroll/use/beam.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "draw.h"
#include "unroll/base/arithmetic.h"
#include "unroll/base/mem.h"
#include "unroll/base/team.h"
#include "unroll/use/feeder.h"

/* One token of a beginning, and the beginning one token shorter that it extends: `parent` is a node, or -1. */
struct node {
    int64_t parent;
    uint32_t token;
    float logp;
};

struct beginning {
    double total; /* sum of ln p */
    int64_t node; /* its last token, or -1 */
    struct text_progress progress;
};

struct ended {
    double total, score;
    int64_t length;
    uint32_t *tokens; /* [length]; owned */
    float *logp;      /* [length]; owned */
};

struct beam {
    struct beam_config config;
    int V;
    struct text_end *end;
    struct feeder *feeder;
    struct node *nodes; /* of all beginnings that were ever live */
    size_t node_count, node_capacity;
    struct beginning *live, *next; /* [width] */
    int live_count;
    struct sampler_candidate *extension; /* [width][V] of each beginning: a token, and the sum of ln p with it */
    int *first, *sorted;                 /* [width] extensions taken; and how many stand in order */
    int extensions;                      /* of each beginning */
    struct ended *ended;                 /* [width + 1] best first */
    int ended_count;
    int *lane;       /* [width] */
    uint32_t *token; /* [width] */
};

/* ---- making ---- */

static enum status allocate_beam(struct beam *beam, struct error *e)
{
    size_t width = (size_t)beam->config.width, extensions;
    if (mem_mul_overflows(width, (size_t)beam->V, &extensions))
        return error_set(e, STATUS_OS, "out of memory for a beam of %d; use a smaller --beam", beam->config.width);
    beam->live = mem_alloc(width, sizeof *beam->live, "a beam", e);
    beam->next = mem_alloc(width, sizeof *beam->next, "a beam", e);
    beam->extension = mem_alloc(extensions, sizeof *beam->extension, "a beam", e);
    beam->first = mem_alloc(width, sizeof *beam->first, "a beam", e);
    beam->sorted = mem_alloc(width, sizeof *beam->sorted, "a beam", e);
    beam->ended = mem_alloc(width + 1, sizeof *beam->ended, "a beam", e);
    beam->lane = mem_alloc(width, sizeof *beam->lane, "a beam", e);
    beam->token = mem_alloc(width, sizeof *beam->token, "a beam", e);
    bool all = beam->live && beam->next && beam->extension && beam->first && beam->sorted && beam->ended &&
               beam->lane && beam->token;
    return all ? STATUS_OK : STATUS_OS;
}

static void drop_ended(struct ended *ended)
{
    mem_free(ended->tokens);
    mem_free(ended->logp);
    *ended = (struct ended){0};
}

void beam_free(struct beam *beam)
{
    if (!beam)
        return;
    for (int i = 0; i < beam->ended_count; i++)
        drop_ended(&beam->ended[i]);
    text_end_free(beam->end);
    feeder_free(beam->feeder);
    mem_free(beam->nodes);
    mem_free(beam->live);
    mem_free(beam->next);
    mem_free(beam->extension);
    mem_free(beam->first);
    mem_free(beam->sorted);
    mem_free(beam->ended);
    mem_free(beam->lane);
    mem_free(beam->token);
    mem_free(beam);
}

/* ---- texts that ended ---- */

static double score_of(const struct beam *beam, double total, int64_t length)
{
    return total / arithmetic_pow((double)length, beam->config.alpha);
}

/* Its place among those that ended, after all as good; `width` if it has none. */
static int place_of(const struct beam *beam, double score)
{
    int place = beam->ended_count;
    while (place > 0 && beam->ended[place - 1].score < score)
        place--;
    return place;
}

/* The text of `beginning` and one token more. */
static enum status put_ended(struct beam *beam, const struct beginning *beginning, struct node last, double total,
                             struct error *e)
{
    int64_t length = beginning->progress.length + 1;
    struct ended ended = {.total = total, .score = score_of(beam, total, length), .length = length};
    int place = place_of(beam, ended.score);
    if (place == beam->config.width)
        return STATUS_OK;
    ended.tokens = mem_alloc((size_t)length, sizeof *ended.tokens, "a text", e);
    ended.logp = mem_alloc((size_t)length, sizeof *ended.logp, "a text", e);
    if (!ended.tokens || !ended.logp) {
        drop_ended(&ended);
        return STATUS_OS;
    }
    const struct node *node = &last;
    for (int64_t at = length - 1; at >= 0; at--) {
        ended.tokens[at] = node->token;
        ended.logp[at] = node->logp;
        node = at > 0 ? &beam->nodes[node->parent] : NULL;
    }
    memmove(beam->ended + place + 1, beam->ended + place, (size_t)(beam->ended_count - place) * sizeof ended);
    beam->ended[place] = ended;
    if (beam->ended_count == beam->config.width)
        drop_ended(&beam->ended[beam->config.width]);
    else
        beam->ended_count++;
    return STATUS_OK;
}

/* True if a beginning with this sum can still become one of the best that ended. */
static bool can_win(const struct beam *beam, double total)
{
    if (beam->ended_count < beam->config.width)
        return true;
    return score_of(beam, total, beam->config.end.max_length) > beam->ended[beam->ended_count - 1].score;
}

/* ---- one step ---- */

/* Every extension of a beginning, none of them in order yet. False if its probabilities are not finite. */
static bool extend_beginning(struct beam *beam, int index, const float *logits, uint32_t forbidden)
{
    struct sampler_candidate *to = beam->extension + (size_t)index * (size_t)beam->V;
    double sum = feeder_log_sum(logits, beam->V);
    for (int token = VOCAB_UNK + 1; token < beam->V; token++)
        to[token - 1] = (struct sampler_candidate){
            token == (int)forbidden ? -INFINITY : beam->live[index].total + ((double)logits[token] - sum),
            (uint32_t)token};
    beam->first[index] = 0;
    beam->sorted[index] = 0;
    return isfinite(sum);
}

/* The next extension of a beginning in falling order, or NULL. Sorts only as far as they are asked for. */
static const struct sampler_candidate *best_of(struct beam *beam, int index)
{
    struct sampler_candidate *items = beam->extension + (size_t)index * (size_t)beam->V;
    int at = beam->first[index];
    if (at == beam->extensions)
        return NULL;
    if (at == beam->sorted[index]) {
        int more = at == 0 ? beam->config.width + 1 : at;
        if (more > beam->extensions - at)
            more = beam->extensions - at;
        draw_select(items + at, beam->extensions - at, more);
        beam->sorted[index] += more;
    }
    return isfinite(items[at].weight) ? &items[at] : NULL;
}

/* The beginning whose next extension is the best of all, or -1. */
static int best_beginning(struct beam *beam)
{
    int best = -1;
    double weight = 0;
    for (int i = 0; i < beam->live_count; i++) {
        const struct sampler_candidate *item = best_of(beam, i);
        if (item && (best < 0 || item->weight > weight)) {
            best = i;
            weight = item->weight;
        }
    }
    return best;
}

/* Takes the best extensions until `width` of them go on. */
static enum status select_next(struct beam *beam, struct error *e)
{
    int count = 0;
    enum status status = STATUS_OK;
    while (count < beam->config.width && !status) {
        int from = best_beginning(beam);
        if (from < 0)
            break;
        const struct beginning *beginning = &beam->live[from];
        struct sampler_candidate item = *best_of(beam, from);
        beam->first[from]++;
        if (!can_win(beam, item.weight))
            break; /* nor can those behind it */
        struct node node = {beginning->node, item.token, (float)(item.weight - beginning->total)};
        struct text_progress progress = beginning->progress;
        if (text_end_reached(beam->end, &progress, item.token)) {
            status = put_ended(beam, beginning, node, item.weight, e);
            continue;
        }
        void *nodes = beam->nodes;
        status = mem_grow(&nodes, &beam->node_capacity, beam->node_count + 1, sizeof *beam->nodes, "a beam", e);
        beam->nodes = nodes;
        if (status)
            break;
        beam->nodes[beam->node_count] = node;
        beam->next[count] = (struct beginning){item.weight, (int64_t)beam->node_count++, progress};
        beam->lane[count] = from;
        beam->token[count++] = item.token;
    }
    struct beginning *old = beam->live;
    beam->live = beam->next;
    beam->next = old;
    beam->live_count = count;
    return status;
}

#define LOGIT_FLOPS 20 /* a logit's part of a sum of exponentials, and of the selection */

struct extension {
    struct beam *beam;
    const float *logits;
    size_t stride;
    uint32_t forbidden;
    atomic_bool finite; /* all of them */
};

static void extend_range(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    struct extension *work = context;
    for (int64_t i = begin; i < end; i++)
        if (!extend_beginning(work->beam, (int)i, work->logits + (size_t)i * work->stride, work->forbidden))
            work->finite = false;
}

static enum status extend_all(struct beam *beam, int64_t length, struct error *e)
{
    int stride;
    const float *logits = feeder_logits(beam->feeder, &stride);
    int eos = beam->config.end.vocab->eos;
    uint32_t forbidden =
        beam->config.end.at_eos && eos >= 0 && length + 1 < beam->config.end.min_length ? (uint32_t)eos : VOCAB_UNK;
    struct extension work = {beam, logits, (size_t)stride, forbidden, true};
    team_share(beam->config.threads, beam->live_count, LOGIT_FLOPS * (int64_t)beam->live_count * stride, extend_range,
               &work);
    if (!work.finite)
        return feeder_no_probabilities(length, e);
    enum status status = select_next(beam, e);
    if (status || beam->live_count == 0)
        return status;
    for (int i = beam->live_count; i < beam->config.width; i++) { /* unused lanes */
        beam->lane[i] = beam->lane[0];
        beam->token[i] = beam->token[0];
    }
    feeder_permute(beam->feeder, beam->lane);
    feeder_push(beam->feeder, beam->token);
    return STATUS_OK;
}

static enum status search_texts(struct beam *beam, const uint32_t *prime, int64_t count, struct error *e)
{
    enum status status = STATUS_OK;
    feeder_start(beam->feeder, prime, count);
    beam->live[0] = (struct beginning){.node = -1, .progress = {.word_before = beam->config.word_before}};
    beam->live_count = 1;
    for (int64_t length = 0; beam->live_count > 0 && !status; length++)
        status = extend_all(beam, length, e);
    if (!status && beam->ended_count == 0)
        status = feeder_no_probabilities(0, e);
    return status;
}

enum status beam_search(const struct model_config *model, const float *values, const struct beam_config *config,
                        const uint32_t *prime, int64_t count, struct beam **out, struct error *e)
{
    *out = NULL;
    CHECK(config->width >= 1 && config->width <= BEAM_WIDTH_MAX && config->end.max_length >= 1 && config->threads >= 1);
    struct beam *beam = mem_alloc(1, sizeof *beam, "a beam", e);
    if (!beam)
        return STATUS_OS;
    beam->config = *config;
    beam->V = config->end.vocab->size;
    beam->extensions = beam->V - (VOCAB_UNK + 1);
    enum status status =
        feeder_create(model, values, config->end.vocab, config->width, config->threads, &beam->feeder, e);
    if (!status)
        status = text_end_create(&config->end, &beam->end, e);
    if (!status)
        status = allocate_beam(beam, e);
    if (!status)
        status = search_texts(beam, prime, count, e);
    if (status) {
        beam_free(beam);
        return status;
    }
    *out = beam;
    return STATUS_OK;
}

int beam_texts(const struct beam *beam)
{
    return beam->ended_count;
}

struct beam_text beam_text(const struct beam *beam, int index)
{
    const struct ended *ended = &beam->ended[index];
    return (struct beam_text){ended->tokens, ended->logp, ended->length, ended->total, ended->score};
}
