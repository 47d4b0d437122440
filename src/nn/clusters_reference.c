/* The adaptive softmax in double precision: for each row the head, and the tail of the target's cluster. */
#include <math.h>
#include <string.h>

#include "clusters.h"
#include "unroll/nn/constants.h"

size_t clusters_reference_work(const struct model_config *config)
{
    return (size_t)config->vocab + OUTPUT_CUTOFFS_MAX +
           2 * (size_t)config->hidden; /* logits, a projection, its gradient */
}

/* A matrix [n][k] and its gradient. */
struct matrix {
    int n, k;
    const double *w, *bias; /* bias NULL: none */
    double *dw, *d_bias;    /* NULL: not wanted */
};

static struct matrix matrix_of(const struct reference_output *lane, int place, bool has_bias)
{
    const struct param *p = &lane->table->param[place];
    struct matrix matrix = {.n = (int)p->shape[0], .k = (int)p->shape[1], .w = lane->values + p->offset};
    matrix.bias = has_bias ? lane->values + p[1].offset : NULL;
    matrix.dw = lane->grad ? lane->grad + p->grad_offset : NULL;
    matrix.d_bias = lane->grad && has_bias ? lane->grad + p[1].grad_offset : NULL;
    return matrix;
}

static void multiply(const struct matrix *m, const double *x, double *y)
{
    for (int i = 0; i < m->n; i++) {
        y[i] = m->bias ? m->bias[i] : 0;
        for (int j = 0; j < m->k; j++)
            y[i] += m->w[(size_t)i * (size_t)m->k + (size_t)j] * x[j];
    }
}

/* From that of y to those of the matrix and of x; they are added to. */
static void multiply_backward(const struct matrix *m, const double *x, const double *dy, double *dx)
{
    for (int i = 0; i < m->n; i++) {
        if (m->d_bias)
            m->d_bias[i] += dy[i];
        for (int j = 0; j < m->k; j++) {
            m->dw[(size_t)i * (size_t)m->k + (size_t)j] += dy[i] * x[j];
            dx[j] += m->w[(size_t)i * (size_t)m->k + (size_t)j] * dy[i];
        }
    }
}

/* -log softmax at the target; logits become its gradient. */
static double softmax_loss(double *logits, int n, int target)
{
    double largest = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        largest = fmax(largest, logits[i]);
    for (int i = 0; i < n; i++)
        sum += exp(logits[i] - largest);
    double log_sum = largest + log(sum), loss = log_sum - logits[target];
    for (int i = 0; i < n; i++)
        logits[i] = exp(logits[i] - log_sum) - (i == target);
    return loss;
}

static int rank_of(const struct reference_output *lane, uint32_t id)
{
    int order = constants_find(lane->table, CONSTANTS_ORDER), rank = 0;
    if (order < 0)
        return (int)id;
    while (lane->values[lane->table->param[order].offset + (size_t)rank] != id)
        rank++;
    return rank;
}

static double row_loss(const struct reference_output *lane, const struct clusters *clusters, uint32_t target,
                       const double *y, double *dy)
{
    const int rank = rank_of(lane, target), cluster = clusters_find(clusters, (uint32_t)rank), H = lane->config->hidden;
    const struct matrix head = matrix_of(lane, lane->table->output, true);
    double *logits = lane->work, *p = logits + lane->config->vocab + OUTPUT_CUTOFFS_MAX, *dp = p + H;
    multiply(&head, y, logits);
    double loss = softmax_loss(logits, head.n, cluster < 0 ? rank : clusters->head + cluster);
    if (lane->grad)
        multiply_backward(&head, y, logits, dy);
    if (cluster < 0)
        return loss;
    const int place = lane->table->output + 2 + 2 * cluster;
    const struct matrix down = matrix_of(lane, place, false), words = matrix_of(lane, place + 1, false);
    multiply(&down, y, p);
    multiply(&words, p, logits);
    loss += softmax_loss(logits, words.n, rank - clusters->cluster[cluster].first);
    if (lane->grad) {
        memset(dp, 0, sizeof *dp * (size_t)down.n);
        multiply_backward(&words, p, logits, dp);
        multiply_backward(&down, y, dp, dy);
    }
    return loss;
}

double clusters_reference(const struct reference_output *lane)
{
    const struct clusters clusters = clusters_of(lane->config);
    double sum = 0;
    for (int time = 0; time < lane->window->T; time++) {
        const int position = time * lane->window->lanes + lane->lane;
        const uint32_t target = lane->window->target[position];
        const size_t row = (size_t)time * lane->stride;
        double loss = 0;
        if (target != WINDOW_NO_TARGET)
            loss = row_loss(lane, &clusters, target, lane->y + row, lane->dy + row);
        if (lane->row)
            lane->row[position] = loss;
        sum += loss;
    }
    return sum;
}
