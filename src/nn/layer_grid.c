/* How threads share out a time step of a layer. */
#include "layer_grid.h"

#include "unroll/base/team.h"

#define STEP_CACHE (1 << 20)   /* bytes of packed weights that stay near a core from one time step to the next */
#define NEAR_LANES 4           /* a block's weights from there take as long as so many lanes by it */
#define FAR_LANES 12           /* from further away */
#define UNITS_SHARED (1 << 20) /* flops that a core could do while it waits for others and fetches what they made */

/* What a time step takes one thread, in flops. Ranges of units need a barrier after each step, and read what other
 * threads wrote; ranges of lanes do not, but each reads all weights. */
static int64_t cost_of(const struct gemm *gemm, int64_t k, int blocks, int lanes, struct grid grid)
{
    int64_t flops = 2 * k * GEMM_WIDE; /* of a lane by a block */
    int64_t own_blocks = (blocks + grid.units - 1) / grid.units;
    int64_t own_lanes = (lanes + grid.lanes - 1) / grid.lanes;
    int64_t bytes = own_blocks * flops / 2 * (int64_t)gemm_number_bytes(gemm);
    return own_blocks * flops * (own_lanes + (bytes <= STEP_CACHE ? NEAR_LANES : FAR_LANES)) +
           (grid.units > 1 ? UNITS_SHARED : 0);
}

struct grid grid_choose(const struct gemm *gemm, int64_t k, int blocks, int lanes, int threads)
{
    struct grid best = {1, 1};
    int64_t least = INT64_MAX;
    for (int rows = 1; rows <= threads && rows <= lanes; rows++) {
        struct grid grid = {rows, threads / rows};
        if (grid.units > blocks)
            grid.units = blocks;
        int64_t cost = cost_of(gemm, k, blocks, lanes, grid);
        if (cost < least)
            least = cost, best = grid;
    }
    return best;
}

struct part grid_part(struct grid grid, int blocks, int lanes, int thread)
{
    int row = thread / grid.units, column = thread % grid.units;
    if (row >= grid.lanes)
        return (struct part){0, 0, 0, 0};
    return (struct part){(int)team_begin(blocks, column, grid.units), (int)team_begin(blocks, column + 1, grid.units),
                         (int)team_begin(lanes, row, grid.lanes), (int)team_begin(lanes, row + 1, grid.lanes)};
}
