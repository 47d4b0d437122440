/* Distributions that samples come from, drawing without repetition, and expected counts. */
#include "unroll/nn/proposal.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/rng.h"
#include "unroll/base/sort.h"
#include "unroll/base/vmath.h"

static const char *const names[] = {[PROPOSAL_LOG_UNIFORM] = "log-uniform", [PROPOSAL_UNIGRAM] = "unigram"};

static const char *name_of(int proposal)
{
    return names[proposal];
}
const struct choices proposal_choices = {"proposal", sizeof names / sizeof *names, name_of};

/* ---- elementary functions, where they are small: some nanoseconds instead of some hundred ---- */

/* log(1 + x); nine terms of the series are below 2^-63 of it. */
static double log1p_of(double x)
{
    if (!(fabs(x) < 0x1p-7))
        return arithmetic_log1p(x);
    double series = 0;
    for (int n = 9; n > 0; n--)
        series = 1.0 / n - x * series;
    return x * series;
}

/* 1 - exp(x), x <= 0; ten terms of the series leave 2^-66 of it. */
static double one_less_exp(double x)
{
    if (x <= -0x1p-6) {
        vdouble same = {x, x, x, x, x, x, x, x};
        return 1 - vdouble_exp(same)[0];
    }
    double series = 1;
    for (int n = 10; n > 1; n--)
        series = 1 + x / n * series;
    return -x * series;
}

/* ---- the distribution ---- */

/* counts^0.75, by roots, which every processor rounds alike. */
static double weight_of(float count)
{
    double root = sqrt(count > 1 ? (double)count : 1.0);
    return root * sqrt(root);
}

void proposal_prepare(struct proposal_law *law)
{
    if (law->kind == PROPOSAL_LOG_UNIFORM) {
        law->scale = arithmetic_log1p(law->V);
        return;
    }
    law->scale = 0;
    for (int id = 0; id < law->V; id++) {
        law->scale += weight_of(law->counts[id]);
        law->cumulative[id] = law->scale;
    }
}

double proposal_probability(const struct proposal_law *law, uint32_t id)
{
    if (law->kind == PROPOSAL_UNIGRAM)
        return weight_of(law->counts[id]) / law->scale;
    uint32_t rank = law->rank ? law->rank[id] : id;
    return log1p_of(1 / (rank + 1.0)) / law->scale;
}

/* The first id whose cumulative weight is above `at`. */
static uint32_t find_weight(const struct proposal_law *law, double at)
{
    int begin = 0, end = law->V - 1;
    while (begin < end) {
        int middle = begin + (end - begin) / 2;
        if (law->cumulative[middle] > at)
            end = middle;
        else
            begin = middle + 1;
    }
    return (uint32_t)begin;
}

/* The ids that VDOUBLES uniform numbers stand for. A rank is exp(u log(V + 1)) - 1, rounded down. */
static void find_ids(const struct proposal_law *law, const double *u, uint32_t *id)
{
    vdouble at;
    for (int i = 0; i < VDOUBLES; i++)
        at[i] = u[i] * law->scale;
    if (law->kind == PROPOSAL_LOG_UNIFORM)
        at = vdouble_exp(at - law->scale) * (law->V + 1.0);
    for (int i = 0; i < VDOUBLES; i++) {
        if (law->kind == PROPOSAL_UNIGRAM) {
            id[i] = find_weight(law, at[i]);
            continue;
        }
        int rank = (int)at[i] - 1;
        rank = rank < 0 ? 0 : rank < law->V ? rank : law->V - 1;
        id[i] = law->order ? law->order[rank] : (uint32_t)rank;
    }
}

/* ---- a set of ids ---- */

struct ring { /* an id that has not been drawn, and when its clock rings */
    double time;
    uint32_t id;
};

/* What lies in proposal_draw.work. */
struct work {
    struct ring *ring; /* [K] */
    uint32_t *slot;    /* [slots] id + 1, 0: free */
    uint32_t slots;    /* a power of two, at least 2 K */
};

static uint32_t slots_of(int K)
{
    uint32_t slots = 16;
    while (slots < 2 * (uint32_t)K)
        slots *= 2;
    return slots;
}

size_t proposal_work_bytes(int K)
{
    return (size_t)K * sizeof(struct ring) + slots_of(K) * sizeof(uint32_t);
}

static struct work work_of(const struct proposal_draw *draw)
{
    struct ring *ring = draw->work;
    return (struct work){ring, (uint32_t *)(ring + draw->K), slots_of(draw->K)};
}

/* Its slot, or the free one where it would be. */
static uint32_t *find_slot(const struct work *work, uint32_t id)
{
    uint32_t at = id * 2654435769u; /* Knuth's multiplicative hashing */
    for (at ^= at >> 16;; at++) {
        uint32_t *slot = &work->slot[at & (work->slots - 1)];
        if (*slot == 0 || *slot == id + 1)
            return slot;
    }
}

/* ---- drawing ---- */

/* Uniform numbers 2 * unit and the next one. */
struct two {
    double u[2];
};
static struct two uniform(uint64_t seed, int64_t step, uint32_t lane, uint32_t unit)
{
    struct rng_bits bits = rng_philox(seed, RNG_SAMPLES, (uint32_t)step, lane, 0, unit);
    return (struct two){
        {rng_uniform_double(bits.word[0], bits.word[1]), rng_uniform_double(bits.word[2], bits.word[3])}};
}

/* Draws until all are distinct, or `most` tries were not enough. Returns how many are. */
static int draw_tries(const struct proposal_law *law, uint64_t seed, int64_t step, int64_t most,
                      const struct work *work, struct proposal_draw *draw)
{
    int distinct = 0;
    int64_t tries = 0;
    while (distinct < draw->K && tries < most) {
        double u[VDOUBLES];
        uint32_t id[VDOUBLES];
        for (int i = 0; i < VDOUBLES; i += 2) {
            struct two two = uniform(seed, step, 0, (uint32_t)((tries + i) / 2));
            u[i] = two.u[0];
            u[i + 1] = two.u[1];
        }
        find_ids(law, u, id);
        for (int i = 0; i < VDOUBLES && distinct < draw->K; i++, tries++) {
            uint32_t *slot = find_slot(work, id[i]);
            if (*slot == 0)
                draw->id[distinct++] = id[i];
            *slot = id[i] + 1;
        }
    }
    draw->tries = (double)tries;
    return distinct;
}

static bool rings_later(const struct ring *a, const struct ring *b)
{
    return a->time != b->time ? a->time > b->time : a->id > b->id;
}

/* Moves the one at `at` of a heap, the latest on top, down to its place. */
static void sift(struct ring *heap, int at, int count)
{
    struct ring moving = heap[at];
    for (int below; (below = 2 * at + 1) < count; at = below) {
        if (below + 1 < count && rings_later(&heap[below + 1], &heap[below]))
            below++;
        if (!rings_later(&heap[below], &moving))
            break;
        heap[at] = heap[below];
    }
    heap[at] = moving;
}

static void make_heap(struct ring *ring, int count)
{
    for (int at = count / 2 - 1; at >= 0; at--)
        sift(ring, at, count);
}

/* From a heap to the earliest first. */
static void sort_heap(struct ring *heap, int count)
{
    for (int last = count - 1; last > 0; last--) {
        struct ring latest = heap[0];
        heap[0] = heap[last];
        heap[last] = latest;
        sift(heap, 0, last);
    }
}

/* The `wanted` ids that ring first, in their order, of those without a slot. Returns the probability of all those. */
static double ring_first(const struct proposal_law *law, uint64_t seed, int64_t step, int wanted,
                         const struct work *work)
{
    struct ring *heap = work->ring;
    double rest = 0;
    int count = 0;
    for (int id = 0; id < law->V; id++) {
        if (*find_slot(work, (uint32_t)id))
            continue;
        double p = proposal_probability(law, (uint32_t)id), u = uniform(seed, step, 1, (uint32_t)id / 2).u[id % 2];
        struct ring ring = {-arithmetic_log(1 - u) / p, (uint32_t)id};
        rest += p;
        if (count < wanted) {
            heap[count++] = ring;
            if (count == wanted)
                make_heap(heap, count);
        } else if (rings_later(&heap[0], &ring)) {
            heap[0] = ring;
            sift(heap, 0, count);
        }
    }
    sort_heap(heap, wanted);
    return rest;
}

#define TRIES_MOST 0x1p62

/* From `distinct` ids to all. */
static void draw_rest(const struct proposal_law *law, uint64_t seed, int64_t step, int distinct,
                      const struct work *work, struct proposal_draw *draw)
{
    int wanted = draw->K - distinct;
    double rest = ring_first(law, seed, step, wanted, work); /* the probability of a new id */
    for (int i = 0; i < wanted; i++) {
        uint32_t id = work->ring[i].id;
        double p = proposal_probability(law, id), u = uniform(seed, step, 2, (uint32_t)i / 2).u[i % 2];
        rest = rest > p ? rest : p;
        double misses = rest < 1 && distinct + i > 0 ? floor(arithmetic_log(1 - u) / log1p_of(-rest)) : 0;
        draw->tries += 1 + misses;
        rest -= p;
        draw->id[distinct + i] = id;
    }
    draw->tries = draw->tries < TRIES_MOST ? draw->tries : TRIES_MOST;
}

void proposal_draw(const struct proposal_law *law, uint64_t seed, int64_t step, struct proposal_draw *draw)
{
    if (draw->K == law->V) {
        for (int id = 0; id < law->V; id++)
            draw->id[id] = (uint32_t)id;
        draw->tries = INFINITY;
        return;
    }
    struct work work = work_of(draw);
    memset(work.slot, 0, work.slots * sizeof *work.slot);
    int64_t most = draw->K > law->V / 2 ? 0 : 64 + 16 * (int64_t)draw->K;
    int distinct = draw_tries(law, seed, step, most, &work, draw);
    if (distinct < draw->K)
        draw_rest(law, seed, step, distinct, &work, draw);
    sort_ids(draw->id, draw->K);
}

/* ---- what follows from a draw ---- */

double proposal_count(const struct proposal_law *law, const struct proposal_draw *draw, uint32_t id)
{
    if (draw->K == law->V)
        return 1;
    double p = proposal_probability(law, id);
    return draw->tries == draw->K ? p * draw->K : one_less_exp(draw->tries * log1p_of(-p));
}

float proposal_log_count(const struct proposal_law *law, const struct proposal_draw *draw, uint32_t id)
{
    return arithmetic_logf((float)proposal_count(law, draw, id));
}

int proposal_place(const struct proposal_draw *draw, uint32_t id)
{
    int begin = 0, end = draw->K;
    while (end - begin > 1) {
        int middle = begin + (end - begin) / 2;
        if (draw->id[middle] <= id)
            begin = middle;
        else
            end = middle;
    }
    return draw->id[begin] == id ? begin : -1;
}
