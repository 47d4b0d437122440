/* The neural cache: outputs of the top layer with the tokens that came after them, and their mixture with the model's
 * losses.
 *
 * A lane has a ring of rows: position i (counted from where the lane began) lies in place i mod `places`. There is room
 * for `size` positions and a window, so all products of a window's rows with what is remembered and with one another
 * are one matrix product; each row then looks at its own positions. */
#include "unroll/nn/cache.h"

#include <math.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/mem.h"
#include "unroll/base/team.h"
#include "unroll/base/vmath.h"
#include "unroll/nn/gemm.h"

/* What a lane remembers. */
struct lane {
    _Alignas(MEM_ALIGN) int64_t count; /* positions seen */
};

struct cache {
    struct cache_config config;
    struct lane_share share;
    struct gemm gemm; /* float32 */
    int places;       /* of a lane's ring: a multiple of VPAD */
    int H, stride;    /* units of the top layer, and stride of their rows */
    size_t lane_bytes;
    char *lanes;     /* [lanes][lane_bytes]: struct lane, tokens [places], h [places][stride] */
    float *products; /* [bptt][products_stride] h_t . h_i of one lane */
    int products_stride;
    int64_t *position; /* [bptt] of one lane; -1: no target */
    float *row;        /* [bptt][lanes] */
    double *group;     /* [groups] */
};

/* ---- what is remembered ---- */

/* A row's positions must not share a vector of places with those of the ring's other end. */
static int places_of(const struct cache_config *config, int bptt)
{
    return VROUND(config->size + (bptt > VPAD ? bptt : VPAD));
}

size_t cache_lane_bytes(const struct cache_config *config, const struct model_config *model, int bptt)
{
    size_t places = (size_t)places_of(config, bptt), stride = (size_t)gemm_stride(model->hidden);
    return sizeof(struct lane) + places * sizeof(uint32_t) + places * stride * sizeof(float);
}

static struct lane *lane_of(const struct cache *cache, int lane)
{
    return (struct lane *)(void *)(cache->lanes + (size_t)lane * cache->lane_bytes);
}

static uint32_t *tokens_of(const struct cache *cache, int lane)
{
    return (uint32_t *)(lane_of(cache, lane) + 1);
}

static float *rows_of(const struct cache *cache, int lane)
{
    return (float *)(tokens_of(cache, lane) + cache->places);
}

const void *cache_lane(const struct cache *cache, int lane)
{
    return lane_of(cache, lane);
}

void cache_set_lane(struct cache *cache, int lane, const void *state)
{
    memcpy(lane_of(cache, lane), state, cache->lane_bytes);
}

/* ---- making ---- */

static enum status create_arrays(struct cache *cache, int bptt, struct error *e)
{
    const struct lane_share *share = &cache->share;
    const size_t lanes = (size_t)lane_share_lanes(share), steps = (size_t)bptt;
    const char *what = "a cache";
    cache->products_stride = gemm_stride(cache->places);
    cache->lanes = mem_alloc(lanes, cache->lane_bytes, what, e);
    cache->products = mem_alloc(steps * (size_t)cache->products_stride, sizeof *cache->products, what, e);
    cache->position = mem_alloc(steps, sizeof *cache->position, what, e);
    cache->row = mem_alloc(steps * lanes, sizeof *cache->row, what, e);
    cache->group = mem_alloc((size_t)lane_share_groups(share), sizeof *cache->group, what, e);
    cache->gemm.scratch = mem_alloc((size_t)cache->gemm.threads, gemm_scratch_bytes(&cache->gemm), what, e);
    bool made = cache->lanes && cache->products && cache->position && cache->row && cache->group && cache->gemm.scratch;
    return made ? STATUS_OK : STATUS_OS;
}

enum status cache_create(const struct cache_config *config, const struct model_config *model,
                         const struct lane_share *share, int bptt, int threads, struct cache **out, struct error *e)
{
    *out = NULL;
    CHECK(config->size > 0 && config->size <= CACHE_SIZE_MAX && config->lambda >= 0 && config->lambda < 1);
    struct cache *cache = mem_alloc(1, sizeof *cache, "a cache", e);
    if (!cache)
        return STATUS_OS;
    cache->config = *config;
    cache->share = *share;
    cache->places = places_of(config, bptt);
    cache->H = model->hidden;
    cache->stride = gemm_stride(model->hidden);
    cache->lane_bytes = cache_lane_bytes(config, model, bptt);
    enum status status = gemm_init(&cache->gemm, gemm_kind(PRECISION_FLOAT32, BF16_TILE), threads, e);
    if (!status)
        status = create_arrays(cache, bptt, e);
    if (status) {
        cache_free(cache);
        return status;
    }
    *out = cache;
    return STATUS_OK;
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    mem_free(cache->lanes);
    mem_free(cache->products);
    mem_free(cache->position);
    mem_free(cache->row);
    mem_free(cache->group);
    mem_free(cache->gemm.scratch);
    mem_free(cache);
}

/* ---- one row ---- */

/* Whole vectors of VPAD places, [begin, end), in which a run of positions lies. */
struct places {
    int begin, end;
};

/* Products of the positions [first, last) times theta: `run` is those up to the ring's end, and those from its
 * beginning on. Other positions in their vectors get -infinity, whose exp is 0. */
static void find_places(const struct cache *cache, int64_t first, int64_t last, float *products, struct places run[2])
{
    int ring = cache->places, begin = (int)(first % ring), count = (int)(last - first);
    int end = begin + count < ring ? begin + count : ring, rest = begin + count - end;
    const vfloat theta = vset((float)cache->config.theta);
    run[0] = (struct places){begin / VPAD * VPAD, VROUND(end)};
    run[1] = (struct places){0, VROUND(rest)};
    for (int r = 0; r < 2; r++)
        for (int i = run[r].begin; i < run[r].end; i += VLEN)
            vstore(products + i, theta * vload(products + i));
    for (int i = run[0].begin; i < begin; i++)
        products[i] = -INFINITY;
    for (int i = end; i < run[0].end; i++)
        products[i] = -INFINITY;
    for (int i = rest; i < run[1].end; i++)
        products[i] = -INFINITY;
}

static float largest_of(const float *products, const struct places run[2])
{
    vfloat most = vset(-INFINITY);
    for (int r = 0; r < 2; r++)
        for (int i = run[r].begin; i < run[r].end; i += VLEN)
            most = vmax(vload(products + i), most);
    return vlargest(most);
}

/* p_cache of a token: the share of the positions it stood behind. */
static double probability(const float *products, const uint32_t *tokens, uint32_t token, const struct places run[2])
{
    vfloat all[VCHAINS] = {{0}}, its[VCHAINS] = {{0}}, largest = vset(largest_of(products, run));
    vint wanted = (vint){0} + (int32_t)token;
    for (int r = 0; r < 2; r++)
        for (int i = run[r].begin; i < run[r].end; i += VPAD)
            for (int c = 0; c < VCHAINS; c++) {
                const int at = i + c * VLEN;
                vfloat weight = vexp(vload(products + at) - largest);
                all[c] += weight;
                its[c] += vselect(*(const vint *)(const void *)(tokens + at) == wanted, weight, vset(0));
            }
    return (double)vsum_chains(its) / (double)vsum_chains(all);
}

/* -ln((1 - lambda) exp(-loss) + lambda p). */
static float mix(double lambda, double loss, double p)
{
    double own = arithmetic_log1p(-lambda) - loss;
    if (lambda * p == 0)
        return (float)-own;
    double cached = arithmetic_log(lambda * p), most = own > cached ? own : cached;
    return (float)-(most + arithmetic_log(arithmetic_exp(own - most) + arithmetic_exp(cached - most)));
}

struct work {
    struct cache *cache;
    const struct window *window;
    const float *loss; /* [T][lanes] the model's */
    int lane;
};

static void mix_rows(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct work *work = context;
    struct cache *cache = work->cache;
    for (int64_t t = begin; t < end; t++) {
        int64_t at = t * work->window->lanes + work->lane, last = cache->position[t];
        cache->row[at] = work->loss[at];
        if (last <= 0)
            continue;
        int64_t first = last > cache->config.size ? last - cache->config.size : 0;
        float *products = cache->products + t * cache->products_stride;
        struct places run[2];
        find_places(cache, first, last, products, run);
        double p = probability(products, tokens_of(cache, work->lane), work->window->target[at], run);
        cache->row[at] = mix(cache->config.lambda, (double)work->loss[at], p);
    }
}

/* ---- a window ---- */

/* Remembers the lane's rows of the window, and finds the position of each; how many places of the ring are filled. */
static int remember(struct cache *cache, const struct window *window, const float *h, int lane)
{
    struct lane *to = lane_of(cache, lane);
    uint32_t *tokens = tokens_of(cache, lane);
    float *rows = rows_of(cache, lane);
    for (int t = 0; t < window->T; t++) {
        int64_t at = (int64_t)t * window->lanes + lane, place = to->count % cache->places;
        cache->position[t] = window->target[at] == WINDOW_NO_TARGET ? -1 : to->count;
        if (cache->position[t] < 0)
            continue;
        tokens[place] = window->target[at];
        memcpy(rows + place * cache->stride, h + at * cache->stride, sizeof *rows * (size_t)cache->stride);
        to->count++;
    }
    return to->count < cache->places ? (int)to->count : cache->places;
}

static void run_lane(struct cache *cache, const struct window *window, const float *h, const float *loss, int lane)
{
    const int64_t before = lane_of(cache, lane)->count;
    const int filled = remember(cache, window, h, lane);
    struct work work = {cache, window, loss, lane};
    if (filled > 1 && lane_of(cache, lane)->count > before) {
        struct gemm_weights weights = {
            .w = rows_of(cache, lane), .ldw = cache->stride, .transposed = true, .k = cache->H, .n = filled};
        struct gemm_operand operand = {.segments = 1};
        operand.segment[0].a =
            gemm_dense(&cache->gemm, h + (int64_t)lane * cache->stride, (int64_t)window->lanes * cache->stride);
        operand.segment[0].w = &weights;
        gemm_rows(&cache->gemm, &operand, window->T, cache->products, cache->products_stride);
    }
    team_share(cache->gemm.threads, window->T, (int64_t)window->T * (20 * (int64_t)filled + 2000), mix_rows, &work);
}

/* In the order in which the output layers add (nn/ordered.h). */
static void sum_groups(struct cache *cache, const struct window *window)
{
    const struct lane_share *share = &cache->share;
    for (int g = 0; g < lane_share_groups(share); g++) {
        int begin = lane_share_group_lane(share, share->group_begin + g) - share->lane_begin;
        int end = lane_share_group_lane(share, share->group_begin + g + 1) - share->lane_begin;
        cache->group[g] = 0;
        for (int t = 0; t < window->T; t++)
            for (int lane = begin; lane < end; lane++)
                cache->group[g] += cache->row[(int64_t)t * window->lanes + lane];
    }
}

void cache_window(struct cache *cache, struct model *model, const struct window *window, struct model_loss *loss)
{
    int stride;
    const float *h = model_outputs(model, &stride);
    CHECK(stride == cache->stride && window->lanes == lane_share_lanes(&cache->share));
    for (int lane = 0; lane < window->lanes; lane++) {
        if (window->reset)
            lane_of(cache, lane)->count = 0;
        run_lane(cache, window, h, loss->row, lane);
    }
    sum_groups(cache, window);
    loss->row = cache->row;
    loss->group = cache->group;
}
