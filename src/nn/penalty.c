/* The penalties on the top layer's outputs. */
#include "penalty.h"

#include "unroll/base/team.h"

struct penalising {
    const struct common *common;
    const float *h;
    float *dh;
    int stride;
    float own, change; /* what y and a difference are multiplied with; 0: without */
};

/* Whether the position has a difference that counts. */
static bool changes(const struct common *common, int64_t position)
{
    return position >= common->lanes && position < (int64_t)common->window->T * common->lanes &&
           common->window->target[position] != WINDOW_NO_TARGET && !(common->fresh && common->fresh[position]);
}

/* y = mask h, so that the gradient of y^2 / 2 is mask^2 h. */
static void add_own(const struct penalising *work, int64_t position, int thread)
{
    const struct common *common = work->common;
    const int H = common->config.hidden;
    const float *h = work->h + position * work->stride, own = work->own;
    float *dh = work->dh + position * work->stride;
    if (dropout_active(&common->dropout, common->config.layers)) {
        const float *mask = dropout_mask_row(&common->dropout, common->config.layers, (int)(position % common->lanes),
                                             (int)(position / common->lanes), thread, H);
#pragma omp simd
        for (int u = 0; u < H; u++)
            dh[u] += own * (mask[u] * mask[u] * h[u]);
        return;
    }
#pragma omp simd
    for (int u = 0; u < H; u++)
        dh[u] += own * h[u];
}

static void add_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const struct penalising *work = context;
    const struct common *common = work->common;
    const int H = common->config.hidden;
    const int64_t step = (int64_t)common->lanes * work->stride;
    for (int64_t position = begin; position < end; position++) {
        const float *h = work->h + position * work->stride, change = work->change;
        float *dh = work->dh + position * work->stride;
        if (work->own > 0 && common->window->target[position] != WINDOW_NO_TARGET)
            add_own(work, position, thread);
        if (change > 0 && changes(common, position))
#pragma omp simd
            for (int u = 0; u < H; u++)
                dh[u] += change * (h[u] - h[u - step]);
        if (change > 0 && changes(common, position + common->lanes))
#pragma omp simd
            for (int u = 0; u < H; u++)
                dh[u] += change * (h[u] - h[u + step]);
    }
}

#define PENALTY_FLOPS 20 /* of a unit, its mask included */

void penalty_gradient(const struct common *common, const float *h, int stride, float *dh)
{
    const struct model_config *config = &common->config;
    const int T = common->window->T;
    struct penalising work = {.common = common,
                              .h = h,
                              .dh = dh,
                              .stride = stride,
                              .own = (float)(2 * config->ar / config->hidden),
                              .change = T > 1 ? (float)(2 * config->tar / config->hidden * T / (T - 1)) : 0};
    int64_t positions = (int64_t)T * common->lanes;
    if (config->ar > 0 || config->tar > 0)
        team_share(common->shape.threads, positions, positions * config->hidden * PENALTY_FLOPS, add_rows, &work);
}

/* ---- in double precision ---- */

/* factor |a - b|^2, whose gradient d_a and d_b receive. */
static double square(double factor, int H, const double *a, const double *b, double *d_a, double *d_b)
{
    double sum = 0;
    for (int u = 0; u < H; u++) {
        const double difference = a[u] - (b ? b[u] : 0);
        sum += factor * difference * difference;
        if (d_a)
            d_a[u] += 2 * factor * difference;
        if (d_b)
            d_b[u] -= 2 * factor * difference;
    }
    return sum;
}

static double *gradient_row(double *array, size_t place)
{
    return array ? array + place : NULL;
}

double penalty_reference(const struct penalty_reference *lane)
{
    const int H = lane->config->hidden, T = lane->window->T;
    double sum = 0;
    for (int t = 0; t < T; t++) {
        const size_t y = (size_t)t * lane->y_stride, h = (size_t)t * lane->h_stride, before = h - lane->h_stride;
        if (lane->window->target[t * lane->window->lanes + lane->lane] == WINDOW_NO_TARGET)
            continue;
        sum += square(lane->config->ar / H, H, lane->y + y, NULL, gradient_row(lane->dy, y), NULL);
        if (t > 0 && !lane->fresh[t])
            sum += square(lane->config->tar / H * T / (T - 1), H, lane->h + h, lane->h + before,
                          gradient_row(lane->dh, h), gradient_row(lane->dh, before));
    }
    return sum;
}
