/* The gradient's norm: sums of squares in fixed blocks of the value array, whatever part of them is zero. */
#include "reducer_private.h"
#include "unroll/base/team.h"

#define CHAINS 8 /* tensors and blocks begin at multiples of it */

/* Adds blocks up to that of float `last`, from that of `first` on. */
static size_t add_blocks(uint32_t *active, size_t count, size_t first, size_t last)
{
    size_t block = first / PARAM_BLOCK;
    if (count > 0 && block <= active[count - 1])
        block = active[count - 1] + 1;
    for (; block <= last / PARAM_BLOCK; block++)
        active[count++] = (uint32_t)block;
    return count;
}

/* The blocks that have floats of dense parameters or of touched rows; returns how many. */
static size_t find_active(const struct reducer *reducer)
{
    const struct param_table *table = reducer->table;
    size_t count = 0;
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->param[i];
        const struct gradient_rows *rows = &reducer->rows.of[i];
        size_t width = reducer->layout->width[i];
        if (param_is_own(p) && !width)
            count = add_blocks(reducer->active, count, p->offset, p->offset + p->count - 1);
        for (int64_t r = 0; param_is_own(p) && width && r < rows->count; r++) {
            size_t begin = p->offset + rows->row[r] * width;
            count = add_blocks(reducer->active, count, begin, begin + width - 1);
        }
    }
    return count;
}

/* Adds the squares of floats `place`, ... of the value array to their chains. */
static void add_squares(const float *grad, size_t place, size_t count, double chain[CHAINS])
{
    size_t i = 0;
    for (; i < count && (place + i) % CHAINS; i++)
        chain[(place + i) % CHAINS] += (double)grad[i] * grad[i];
    for (; i + CHAINS <= count; i += CHAINS)
        for (size_t j = 0; j < CHAINS; j++)
            chain[j] += (double)grad[i + j] * grad[i + j];
    for (; i < count; i++)
        chain[(place + i) % CHAINS] += (double)grad[i] * grad[i];
}

/* The first touched row that ends behind float `begin` of the parameter. */
static int64_t first_row(const struct gradient_rows *rows, size_t width, size_t begin)
{
    int64_t low = 0, high = rows->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if ((rows->row[middle] + (size_t)1) * width > begin)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Floats [begin, end) of parameter i, by places in the value array. */
static void add_param(const struct reducer *reducer, int i, size_t begin, size_t end, double chain[CHAINS])
{
    const struct gradient_rows *rows = &reducer->rows.of[i];
    size_t offset = reducer->table->param[i].offset, width = reducer->layout->width[i];
    if (!width) {
        add_squares(reducer->grad[0] + reducer->layout->offset[i] + (begin - offset), begin, end - begin, chain);
        return;
    }
    for (int64_t r = first_row(rows, width, begin - offset); r < rows->count; r++) {
        size_t row = offset + rows->row[r] * width;
        if (row >= end)
            return;
        size_t from = row < begin ? begin : row, to = row + width < end ? row + width : end;
        add_squares(rows->grad[r] + (from - row), from, to - from, chain);
    }
}

/* The squares of block b, added up. */
static double block_norm2(const struct reducer *reducer, size_t b)
{
    const struct param_table *table = reducer->table;
    size_t begin = b * PARAM_BLOCK, end = begin + PARAM_BLOCK;
    double chain[CHAINS] = {0};
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->param[i];
        if (!param_is_own(p) || p->offset >= end || p->offset + p->count <= begin)
            continue;
        add_param(reducer, i, p->offset < begin ? begin : p->offset,
                  p->offset + p->count < end ? p->offset + p->count : end, chain);
    }
    return ((chain[0] + chain[1]) + (chain[2] + chain[3])) + ((chain[4] + chain[5]) + (chain[6] + chain[7]));
}

struct norm {
    struct reducer *reducer;
    size_t first; /* of the active blocks, this rank's */
};

static void norm_blocks(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct norm *work = context;
    struct reducer *reducer = work->reducer;
    for (size_t b = work->first + (size_t)begin; b < work->first + (size_t)end; b++)
        reducer->block[b] = block_norm2(reducer, reducer->active[b]);
}

double reducer_norm2(struct reducer *reducer, int threads)
{
    size_t blocks = find_active(reducer), ranks = (size_t)reducer->host.size;
    for (size_t rank = 0; rank < ranks; rank++) {
        size_t first = blocks * rank / ranks, last = blocks * (rank + 1) / ranks;
        reducer->share[0][rank] = (last - first) * sizeof *reducer->block;
        reducer->share[1][rank] = first * sizeof *reducer->block;
    }
    struct norm work = {reducer, reducer->share[1][reducer->host.rank] / sizeof *reducer->block};
    size_t mine = reducer->share[0][reducer->host.rank] / sizeof *reducer->block;
    team_share(threads, (int64_t)mine, 4 * PARAM_BLOCK * (int64_t)mine, norm_blocks, &work);
    comm_allgatherv(&reducer->host, reducer->block + work.first, reducer->block, reducer->share[0], reducer->share[1]);
    double sum = 0;
    for (size_t b = 0; b < blocks; b++)
        sum += reducer->block[b];
    return sum;
}
