/* A window's loss and reduced gradient are the same bits on any number of ranks as on one rank alone, for every
 * cell, one and two layers, tied or not, with dropout, repeated tokens, a ragged window and a batch that ranks do
 * not divide; and the same whether all rows of encoder.weight are summed or only those that the window touches. */
#include <stdio.h>
#include <string.h>

#include "unroll/base/lane_gather.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/sys/comm.h"
#include "unroll/train/step.h"

#define WINDOWS 3
#define BPTT 7
#define LARGE 4001 /* tokens: rows of encoder.weight are summed sparsely */

/* Trains three windows on the lanes of one rank of `comm`, without updates; leaves the last reduced gradient in
 * `sum`, its norm in *norm and all group losses of the last window in `loss`. `dense`: see train/step.h. */
static enum status run(const struct comm *comm, const struct model_config *config, const struct param_table *table,
                       float *values, int batch, int groups, int threads, bool dense, float *sum, double *norm,
                       double *loss, struct error *e)
{
    const struct step_config step_config = {.model = *config,
                                            .share = lane_share_of(batch, groups, comm->size, comm->rank),
                                            .bptt = BPTT,
                                            .threads = threads,
                                            .reduction = REDUCTION_EXACT,
                                            .norm = true,
                                            .dense = dense,
                                            .seed = 5};
    struct step *step;
    enum status status = step_create(comm, &step_config, table, values, &step, e);
    if (status)
        return status;
    model_pack(step->model);
    int lane0 = step_config.share.lane_begin, lanes = lane_share_lanes(&step_config.share);
    struct model_loss window_loss;
    for (int w = 0; w < WINDOWS; w++) {
        uint32_t input[BPTT * 64], target[BPTT * 64];
        struct window window = {w == WINDOWS - 1 ? BPTT - 3 : BPTT, lanes, lane0, w == 0, input, target};
        for (int t = 0; t < window.T; t++)
            for (int b = 0; b < lanes; b++) {
                struct rng_bits bits = rng_philox(2, RNG_TEST, (uint32_t)w, (uint32_t)(lane0 + b), (uint32_t)t, 0);
                /* of the large vocabulary rows that straddle blocks of PARAM_BLOCK */
                input[t * lanes + b] =
                    config->vocab == LARGE ? bits.word[0] % 9 * 124 : bits.word[0] % (uint32_t)config->vocab;
                target[t * lanes + b] =
                    bits.word[2] % 9 == 0 ? WINDOW_NO_TARGET : bits.word[1] % (uint32_t)config->vocab;
            }
        step_gradient(step, &window, w, &window_loss);
        *norm = step_sum(step, 1);
        gradient_lay_out(&step->gradient, table, sum);
    }
    struct lane_gather gather;
    if (lane_gather_create(&step_config.share, (struct lane_bytes){.group = sizeof *loss}, &gather, e))
        return STATUS_OS;
    comm_allgatherv(comm, window_loss.group, loss, gather.bytes, gather.offset);
    lane_gather_release(&gather);
    step_free(step);
    return STATUS_OK;
}

static int check(const struct comm *comm, struct model_config config, int batch, int groups)
{
    struct comm alone = COMM_ALONE;
    struct error e = {0};
    struct param_table table;
    param_table_build(&config, &table);
    float *values = mem_alloc(table.total, sizeof *values, "values", &e);
    float *here = mem_alloc(table.total, sizeof *here, "sums", &e);
    float *there = mem_alloc(table.total, sizeof *there, "sums", &e);
    double loss_here[64], loss_there[64], norm_here, norm_there;
    if (param_init(&config, &table, INIT_UNIFORM, 3, values, &e) ||
        run(comm, &config, &table, values, batch, groups, 2, false, here, &norm_here, loss_here, &e) ||
        run(&alone, &config, &table, values, batch, groups, 1, true, there, &norm_there, loss_there, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    int wrong = memcmp(here, there, sizeof *here * table.total) != 0 ||
                memcmp(loss_here, loss_there, sizeof *loss_here * groups) != 0 ||
                memcmp(&norm_here, &norm_there, sizeof norm_here) != 0;
    if (wrong)
        fprintf(stderr,
                "%s, %d layers, H %d, V %d, tied %d, dropout %g, %d lanes in %d groups: %d ranks differ from one\n",
                cell_name(config.cell), config.layers, config.hidden, config.vocab, config.tied, config.dropout, batch,
                groups, comm->size);
    double size = 0;
    for (size_t i = 0; i < table.total; i++)
        size += here[i] * here[i];
    if (!(size > 0))
        fprintf(stderr, "the gradient is zero or not a number\n"), wrong = 1;
    mem_free(values);
    mem_free(here);
    mem_free(there);
    return wrong;
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    if (comm_init(&comm, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    int failures = 0;
    for (int cell = 0; cell < CELLS; cell++)
        for (int variant = 0; variant < 8; variant++) {
            struct model_config config = {.cell = (enum cell)cell,
                                          .mogrify = model_usual_rounds((enum cell)cell),
                                          .layers = 1 + variant % 2,
                                          .embedding = 33,
                                          .hidden = 33,
                                          .vocab = variant & 4 ? 11 : LARGE,
                                          .tied = variant / 2 % 2,
                                          .dropout = variant % 3 == 2 ? 0.3 : 0,
                                          .reset_token = variant % 4 == 1 ? 2 : 0};
            failures += check(&comm, config, 13, 13);
            failures += check(&comm, config, 21, 10);
        }
    comm_finalize(&comm);
    return failures != 0;
}
