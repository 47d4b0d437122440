/* Under --reduction fast ranks may come to different sums, yet all clip by one norm, that of rank 0, and make the
 * same update. MPI is not seen to differ here, so the norm of each rank is made its own on the way (ld --wrap). */
#include <math.h>
#include <stdio.h>

#include "unroll/base/mem.h"
#include "unroll/train/step.h"

enum { T = 3, B = 8, V = 5 };

static int rank_here;

double __real_reducer_norm2(struct reducer *reducer, int threads);
double __wrap_reducer_norm2(struct reducer *reducer, int threads);
double __wrap_reducer_norm2(struct reducer *reducer, int threads)
{
    return __real_reducer_norm2(reducer, threads) * (1 + rank_here);
}

/* The norm that this rank gets for a step, by which it clips; the other ranks' in `norms`. Negative: something
 * failed. */
static double norm_of_step(const struct comm *comm, enum reduction reduction, double *norms)
{
    const struct model_config model = {.cell = CELL_LSTM, .layers = 1, .embedding = 3, .hidden = 3, .vocab = V};
    const struct step_config config = {.model = model,
                                       .share = lane_share_of(B, B, comm->size, comm->rank),
                                       .bptt = T,
                                       .threads = 1,
                                       .reduction = reduction,
                                       .norm = true,
                                       .clip = 1e-9};
    struct param_table table;
    struct error e = {0};
    struct step *step;
    struct model_loss loss;
    static const uint32_t tokens[T * B] = {1, 2, 3, 4};
    const int lanes = lane_share_lanes(&config.share);
    const struct window window = {T, lanes, config.share.lane_begin, true, tokens, tokens};
    param_table_build(&model, &table);
    float *values = mem_alloc(table.total, sizeof *values, "values", &e);
    if (!values || param_init(&model, &table, INIT_UNIFORM, 1, values, &e) ||
        step_create(comm, &config, &table, values, &step, &e))
        return fprintf(stderr, "%s\n", e.text), -1;
    model_pack(step->model);
    step_gradient(step, &window, 0, &loss);
    double norm = step_sum(step, T * B);
    comm_allgather(comm, &norm, sizeof norm, norms);
    step_free(step);
    mem_free(values);
    return norm;
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    double fast[64], exact[64];
    if (comm_init(&comm, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    rank_here = comm.rank;
    int wrong = !(norm_of_step(&comm, REDUCTION_FAST, fast) > 0) || !(norm_of_step(&comm, REDUCTION_EXACT, exact) > 0);
    for (int rank = 0; rank < comm.size && !wrong; rank++) {
        if (fast[rank] < fast[0] || fast[rank] > fast[0])
            wrong = fprintf(stderr, "fast: rank %d has norm %a and rank 0 %a\n", rank, fast[rank], fast[0]);
        if (!(fabs(exact[rank] - sqrt(1 + rank) * exact[0]) < 1e-6 * exact[0])) /* exact: nothing needs to be sent */
            wrong = fprintf(stderr, "exact: rank %d has norm %a and rank 0 %a\n", rank, exact[rank], exact[0]);
    }
    comm_finalize(&comm);
    return wrong != 0;
}
