/* The factor that several weight gradients share, packed once for all of them. */
#include "gemm_gradient_private.h"
#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

#define STORE_TURNED 24 /* rows that a tile could sum while a turned one is stored */

struct gemm_layout gemm_layout(const struct gemm *gemm, int m, int n, int rows)
{
    int narrow = gemm_narrow(gemm), wide = gemm_wide(gemm);
    int64_t straight = (int64_t)gemm_round_up(m, narrow) * gemm_round_up(n, wide) * rows;
    int64_t turned = (int64_t)gemm_round_up(m, wide) * gemm_round_up(n, narrow) * (rows + STORE_TURNED);
    return TUNE_TURN_TILES && turned < straight ? (struct gemm_layout){true, wide, narrow}
                                                : (struct gemm_layout){false, narrow, wide};
}

size_t gemm_factor_bytes(const struct gemm *gemm, int n, int groups, int rows)
{
    int straight = gemm_round_up(n, gemm_wide(gemm)), turned = gemm_round_up(n, gemm_narrow(gemm));
    size_t row = gemm->kind->tiles->number_bytes * (size_t)(straight > turned ? straight : turned);
    return (row + 63) / 64 * 64 * (size_t)gemm_packed_rows_most(gemm, groups, rows);
}

struct packing {
    const struct gemm *gemm;
    const struct gemm_factor *factor;
    struct gemm_layout lay;
    int panels;
    size_t panel_bytes;
};

static struct packing packing_of(const struct gemm *gemm, const struct gemm_factor *factor)
{
    struct gemm_layout lay = gemm_layout(gemm, factor->m, factor->n, gemm_sum_rows(&factor->sum));
    size_t row_bytes = gemm->kind->tiles->number_bytes * (size_t)lay.b_width;
    return (struct packing){gemm, factor, lay, (factor->n + lay.b_width - 1) / lay.b_width,
                            row_bytes * (size_t)gemm_packed_rows(gemm, &factor->sum)};
}

static void pack_panels(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct packing *work = context;
    const struct gemm_factor *factor = work->factor;
    int width = work->lay.b_width;
    for (int64_t p = begin; p < end; p++) {
        struct gemm_slab slab = {
            &factor->sum, factor->b, factor->n,        (int)p * width,
            width,        1,         work->lay.turned, (char *)factor->packed + (size_t)p * work->panel_bytes};
        gemm_pack_slab(work->gemm, &slab, NULL);
    }
}

void gemm_factor_pack(const struct gemm *gemm, const struct gemm_factor *factor)
{
    struct packing work = packing_of(gemm, factor);
    team_share(gemm->threads, work.panels, 8 * (int64_t)gemm_sum_rows(&factor->sum) * factor->n, pack_panels, &work);
}

void gemm_factor_clear(const struct gemm *gemm, const struct gemm_factor *factor, const uint8_t *marks, int lanes)
{
    const struct gemm_sum *sum = &factor->sum;
    const struct gemm_tiles *tiles = gemm->kind->tiles;
    struct packing work = packing_of(gemm, factor);
    int row = 0;
    for (int g = sum->node.begin - sum->group0; g < sum->node.end - sum->group0; g++) {
        for (int t = 0; t < sum->T; t++)
            for (int lane = sum->group_lane[g]; lane < sum->group_lane[g + 1]; lane++, row++)
                for (int p = 0; marks[t * lanes + lane] && p < work.panels; p++)
                    tiles->clear(gemm, row, work.lay.turned, (char *)factor->packed + (size_t)p * work.panel_bytes);
        if (sum->exact)
            row = gemm_round_up(row, tiles->rows); /* a group's first row is a multiple */
    }
}
