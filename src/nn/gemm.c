/* Packs weights, and computes rows times weights on all threads. */
#include <string.h>

#include "unroll/base/bf16.h"
#include "unroll/base/team.h"

#include "gemm_private.h"

enum status gemm_init(struct gemm *gemm, const struct gemm_kind *kind, int threads, struct error *e)
{
    *gemm = (struct gemm){.kind = kind, .threads = threads};
    return blas_init(&gemm->tile, e);
}

/* ---- operands ---- */

size_t gemm_number_bytes(const struct gemm *gemm)
{
    return gemm->kind->number_bytes;
}

struct gemm_view gemm_dense(const struct gemm *gemm, const void *base, int64_t stride)
{
    int64_t bytes = (int64_t)gemm->kind->number_bytes;
    return (struct gemm_view){base, stride * bytes, GEMM_WIDE * bytes};
}

struct gemm_view gemm_settled(const struct gemm *gemm, const float *base, int64_t stride)
{
    (void)gemm;
    return (struct gemm_view){base, stride * (int64_t)sizeof *base, GEMM_WIDE * (int64_t)sizeof *base};
}

void gemm_store(const struct gemm *gemm, const float *from, int n, void *to)
{
    if (gemm_is_rounded(gemm))
        bf16_round_row(from, n, to);
    else if (to != from)
        memcpy(to, from, sizeof *from * (size_t)n);
}

const float *gemm_load(const struct gemm *gemm, const void *from, int n, float *to)
{
    if (!gemm_is_rounded(gemm))
        return from;
    for (int i = 0; i < n; i++)
        to[i] = bf16_expand(((const uint16_t *)from)[i]);
    return to;
}

void gemm_settle(const struct gemm *gemm, float *row, int n)
{
    for (int i = 0; gemm_is_rounded(gemm) && i < n; i += GEMM_WIDE)
        bf16_round_row(row + i, GEMM_WIDE, (uint16_t *)(row + i));
}

void gemm_add_settled(const struct gemm *gemm, const float *row, int n, float *to)
{
    if (gemm_is_rounded(gemm))
        for (int i = 0; i < n; i += GEMM_WIDE)
            bf16_add_row((const uint16_t *)(row + i), GEMM_WIDE, to + i);
    else
        for (int i = 0; i < n; i += VLEN)
            vstore(to + i, vload(to + i) + vload(row + i));
}

static int panels_of(int n)
{
    return gemm_round(n) / GEMM_WIDE;
}

/* ---- packed panels ---- */

size_t gemm_panels_bytes(const struct gemm *gemm, int k, int n)
{
    return (size_t)panels_of(n) * gemm_panel_bytes(gemm->kind, k);
}

void gemm_pack_panel(const struct gemm *gemm, const struct gemm_weights *weights, int panel)
{
    gemm->kind->pack(weights, 0, weights->k, panel, gemm_panel_at(gemm->kind, weights, panel, 0));
}

struct packing {
    const struct gemm *gemm;
    const struct gemm_weights *weights;
};

static void pack_panels(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct packing *work = context;
    for (int64_t panel = begin; panel < end; panel++)
        gemm_pack_panel(work->gemm, work->weights, (int)panel);
}

void gemm_pack(const struct gemm *gemm, const struct gemm_weights *weights)
{
    struct packing work = {gemm, weights};
    team_share(gemm->threads, panels_of(weights->n), 8 * (int64_t)weights->k * weights->n, pack_panels, &work);
}

/* How much of k is multiplied at once. */
static int block_of(const struct gemm_kind *kind, const struct gemm_weights *weights)
{
    return kind->whole && weights->panels && weights->k > 0 ? weights->k : GEMM_KC;
}

/* The same rows from column `first` on. */
static struct gemm_view view_from(struct gemm_view view, int first)
{
    return (struct gemm_view){gemm_view_at(view, first), view.stride, view.block};
}

void gemm_panel(const struct gemm *gemm, const struct gemm_weights *weights, int panel, int rows, struct gemm_view a,
                bool accumulate, float *c, int64_t ldc)
{
    int rest = weights->n - panel * GEMM_WIDE, columns = rest < GEMM_WIDE ? rest : GEMM_WIDE;
    int block = block_of(gemm->kind, weights);
    for (int begin = 0; begin < weights->k; begin += block) {
        int k = weights->k - begin < block ? weights->k - begin : block;
        gemm->kind->multiply(rows, k, view_from(a, begin), gemm_panel_at(gemm->kind, weights, panel, begin), 0, columns,
                             accumulate || begin, c, ldc);
    }
}

/* ---- rows times weights, over all threads ---- */

size_t gemm_scratch_bytes(const struct gemm *gemm)
{
    return GEMM_GROUP * gemm_panel_bytes(gemm->kind, GEMM_KC);
}

#define PACKED_ROWS 16 /* of a product take as long as packing its weights */

/* The share of a grid of row threads x column threads: as square as balance allows. */
struct share {
    int row_begin, row_end, panel_begin, panel_end;
};

static struct share share_of(int rows, int panels, int thread, int threads)
{
    int best_columns = 1;
    int64_t best_cost = INT64_MAX;
    for (int columns = 1; columns <= threads && columns <= panels; columns++) {
        if (threads % columns)
            continue;
        int row_threads = threads / columns;
        int64_t share_rows = (rows + row_threads - 1) / row_threads, share_panels = (panels + columns - 1) / columns;
        int64_t cost = share_panels * (share_rows + PACKED_ROWS);
        if (cost < best_cost)
            best_cost = cost, best_columns = columns;
    }
    int row_threads = threads / best_columns, row = thread / best_columns, column = thread % best_columns;
    return (struct share){(int)((int64_t)rows * row / row_threads), (int)((int64_t)rows * (row + 1) / row_threads),
                          (int)((int64_t)panels * column / best_columns),
                          (int)((int64_t)panels * (column + 1) / best_columns)};
}

/* The share of one block of k of one segment. */
static void block_part(const struct gemm_kind *kind, const struct gemm_weights *weights, struct gemm_view a, int begin,
                       struct share share, bool accumulate, float *c, int64_t ldc, char *scratch)
{
    int rows = share.row_end - share.row_begin, block = block_of(kind, weights);
    int k = weights->k - begin < block ? weights->k - begin : block;
    size_t apart = gemm_panel_bytes(kind, weights->panels ? weights->k : k);
    a.base = (const char *)gemm_view_at(a, begin) + share.row_begin * a.stride;
    for (int first = share.panel_begin; first < share.panel_end; first += GEMM_GROUP) {
        int last = first + GEMM_GROUP < share.panel_end ? first + GEMM_GROUP : share.panel_end;
        int columns = (last * GEMM_WIDE < weights->n ? last * GEMM_WIDE : weights->n) - first * GEMM_WIDE;
        const void *panels = weights->panels ? gemm_panel_at(kind, weights, first, begin) : scratch;
        for (int p = first; !weights->panels && p < last; p++)
            kind->pack(weights, begin, k, p, scratch + (size_t)(p - first) * apart);
        kind->multiply(rows, k, a, panels, apart, columns, accumulate, c + share.row_begin * ldc + first * GEMM_WIDE,
                       ldc);
    }
}

struct product {
    const struct gemm *gemm;
    const struct gemm_operand *operand;
    int rows;
    float *c;
    int64_t ldc;
};

static void multiply_share(void *context, const struct team_member *me)
{
    const struct product *work = context;
    const struct gemm_operand *operand = work->operand;
    struct share share = share_of(work->rows, panels_of(operand->segment[0].w->n), me->thread, me->threads);
    char *scratch = (char *)work->gemm->scratch + (size_t)me->thread * gemm_scratch_bytes(work->gemm);
    bool accumulate = operand->add;
    for (int s = 0; s < operand->segments; s++)
        for (int begin = 0; begin < operand->segment[s].w->k;
             begin += block_of(work->gemm->kind, operand->segment[s].w)) {
            block_part(work->gemm->kind, operand->segment[s].w, operand->segment[s].a, begin, share, accumulate,
                       work->c, work->ldc, scratch);
            accumulate = true;
        }
}

void gemm_rows(const struct gemm *gemm, const struct gemm_operand *operand, int rows, float *c, int64_t ldc)
{
    struct product work = {gemm, operand, rows, c, ldc};
    bool packed = operand->segment[0].w->panels;
    int64_t k = 0, n = operand->segment[0].w->n;
    for (int s = 0; s < operand->segments; s++)
        k += operand->segment[s].w->k;
    team_run(gemm->threads, 2 * k * n * (rows + (packed ? 0 : PACKED_ROWS)), multiply_share, &work);
}
