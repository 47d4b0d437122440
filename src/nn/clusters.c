/* Clusters of words, and which cost least. */
#include "clusters.h"

#include <math.h>
#include <string.h>

struct clusters clusters_of(const struct model_config *config)
{
    struct clusters clusters = {.head = config->cutoffs[0]};
    double narrower = 1;
    for (int i = 0; i < OUTPUT_CUTOFFS_MAX && config->cutoffs[i]; i++) {
        bool last = i + 1 == OUTPUT_CUTOFFS_MAX || !config->cutoffs[i + 1];
        int end = last ? config->vocab : config->cutoffs[i + 1];
        narrower *= config->div;
        clusters.cluster[clusters.count++] = (struct cluster){
            .first = config->cutoffs[i], .size = end - config->cutoffs[i], .width = (int)(config->hidden / narrower)};
    }
    return clusters;
}

int clusters_find(const struct clusters *clusters, uint32_t rank)
{
    int found = -1;
    for (int i = 0; i < clusters->count && rank >= (uint32_t)clusters->cluster[i].first; i++)
        found = i;
    return found;
}

/* ---- which cost least ---- */

#define ROWS 1024.0      /* of a window: a usual one, so that the choice does not depend on --batch */
#define PASS_FLOPS 2     /* of a weight and a row: one product */
#define LOGIT_FLOPS 60   /* of a logit: exponentials, and its way through the cache */
#define NARROW 16        /* a product over k numbers takes as long as one over k + 16 at full speed */
#define WEIGHT_BYTES 48  /* moved for a weight in a step that touches it: itself three times, gradient, optimizer */
#define FLOPS_OF_BYTE 10 /* done while a byte comes from the memory */
#define HEAD_SHARE 0.7   /* of the text that the head covers, at least: what is rarer has less room */
#define WORTH 0.9        /* of the full softmax's cost, at most */
#define CLUSTERS_MOST 4
#define CANDIDATES_MOST 128

struct search {
    const struct model_config *config;
    int candidates, candidate[CANDIDATES_MOST + 1]; /* ranks; the last is V */
    double below[CANDIDATES_MOST + 1];              /* the share of the text with lower ones */
};

/* Rows times n classes of so many numbers, with all gradients; `share` of the steps touch their weights. */
static double cost_of(double rows, double n, double width, double share)
{
    double products = n > 1024 ? 4 : 3; /* logits (where there are several blocks: twice), rows, weights */
    return rows * n * (products * PASS_FLOPS * (width + NARROW) + LOGIT_FLOPS) +
           share * n * width * WEIGHT_BYTES * FLOPS_OF_BYTE;
}

static double tail_cost(const struct search *search, int from, int to, double width)
{
    double rows = ROWS * (search->below[to] - search->below[from]), share = rows < 1 ? rows : 1;
    double n = search->candidate[to] - search->candidate[from], H = search->config->hidden;
    return cost_of(rows, n, width, share) + rows * 3 * PASS_FLOPS * H * (width + NARROW) +
           share * H * width * WEIGHT_BYTES * FLOPS_OF_BYTE;
}

/* 100, 120, 150, ... below V: numbers that a person would choose. */
static void list_candidates(struct search *search)
{
    static const int digits[] = {10, 12, 15, 18, 20, 25, 30, 35, 40, 50, 60, 70, 80, 90};
    int V = search->config->vocab, count = (int)(sizeof digits / sizeof *digits);
    for (int64_t scale = 10; scale * 10 < V; scale *= 10)
        for (int i = 0; i < count && digits[i] * scale < V && search->candidates < CANDIDATES_MOST; i++)
            search->candidate[search->candidates++] = (int)(digits[i] * scale);
    search->candidate[search->candidates] = V;
}

static void find_shares(struct search *search, const uint64_t *counts)
{
    double sum = 0;
    int next = 0;
    for (int rank = 0; rank < search->config->vocab; rank++) {
        if (search->candidate[next] == rank)
            search->below[next++] = sum;
        sum += counts ? (double)counts[rank] : 1.0 / (rank + 1);
    }
    search->below[search->candidates] = sum;
    for (int i = 0; i <= search->candidates && sum > 0; i++)
        search->below[i] /= sum;
}

/* The least cost of `count` clusters, the first of which begins at `from` and has that width; where they begin. */
static double best_from(const struct search *search, int from, int count, double width, int *begin)
{
    double best = INFINITY;
    begin[0] = from;
    if (width < 1)
        return best;
    if (count == 1)
        return tail_cost(search, from, search->candidates, floor(width));
    for (int to = from + 1; to < search->candidates; to++) {
        int rest[CLUSTERS_MOST];
        double cost = tail_cost(search, from, to, floor(width)) +
                      best_from(search, to, count - 1, width / search->config->div, rest);
        if (cost < best) {
            best = cost;
            memcpy(begin + 1, rest, sizeof *rest * (size_t)(count - 1));
        }
    }
    return best;
}

void clusters_choose(struct model_config *config, const uint64_t *counts)
{
    struct search search = {.config = config};
    double H = config->hidden, best = WORTH * cost_of(ROWS, config->vocab, H, 1);
    list_candidates(&search);
    find_shares(&search, counts);
    for (int count = 1; count <= CLUSTERS_MOST; count++)
        for (int from = 0; from < search.candidates; from++) {
            int begin[CLUSTERS_MOST];
            double cost = cost_of(ROWS, search.candidate[from] + count, H, 1) +
                          best_from(&search, from, count, H / config->div, begin);
            if (search.below[from] < HEAD_SHARE || !(cost < best))
                continue;
            best = cost;
            memset(config->cutoffs, 0, sizeof config->cutoffs);
            for (int i = 0; i < count; i++)
                config->cutoffs[i] = search.candidate[begin[i]];
        }
}
