/* The adaptive softmax (Grave, Joulin, Cisse, Grangier and Jegou 2017, "Efficient softmax approximation for GPUs"), as
 * PyTorch's nn.AdaptiveLogSoftmaxWithLoss with head_bias=True: a softmax over the frequent words and the clusters of
 * the others, and in each cluster one over its words, from narrower vectors. A tail is computed for the rows alone
 * whose target it has, so a step touches all of its weights or none. */
#include <math.h>
#include <string.h>

#include "classes.h"
#include "clusters.h"
#include "ordered.h"
#include "unroll/base/arithmetic.h"
#include "unroll/base/team.h"
#include "unroll/nn/constants.h"

struct tail {
    struct cluster cluster;
    int weights;                  /* place of tail.I.0.weight [width][H]; tail.I.1.weight [size][width] follows */
    struct gemm_weights down, up; /* the first, as rows are multiplied by it and as their gradients are */
    struct classes_decoder words; /* the second */
};

struct adaptive {
    struct clusters clusters;
    struct ordered ordered;
    struct classes classes;
    struct classes_decoder head;
    struct tail tail[OUTPUT_CUTOFFS_MAX];
    uint32_t *rank; /* [V] of ids; NULL: they are their ids */
    bool knows_ranks;
    int32_t *target; /* [T * B] of the head, then of a tail's rows */
    float *dy;       /* [T * B][stride of H] */

    /* A tail's rows, those of one tail after another. */
    int *row;        /* [T * B] which they are */
    int *group_row;  /* [groups + 1] */
    int *tail_of;    /* [T * B] the tail that a row needs, -1: none */
    int32_t *column; /* [T * B] */
    float *loss;     /* [T * B] */
    float *y;        /* [T * B][stride of H] dense outputs, then the gradients that flow back to them */
    float *narrow;   /* [T * B][stride of the widest] projections, settled */
    float *d_narrow; /* the same shape: their gradients */

    /* Of resident models. */
    int logits_stride;
    float *logits;   /* [B][logits_stride] log-probabilities by id */
    float *part;     /* [B][stride of classes] logits of the head or a tail */
    float *gate;     /* [B][OUTPUT_CUTOFFS_MAX] log-probabilities of clusters */
    uint32_t *order; /* [V] ids by rank; NULL: they are their ranks */
};

static int outputs(const struct model_config *config)
{
    return config->vocab;
}

static enum status check(const struct model_config *config, struct error *e)
{
    const struct clusters clusters = clusters_of(config);
    char text[MODEL_FIELD_TEXT];
    if (config->tied)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--tied' with --output-layer adaptive: vectors of rarer words are narrower than the "
            "embedding's, which they would have to be; leave --tied out");
    if (clusters.count == 0)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--output-layer adaptive' with a vocabulary of %d: no clusters of so few words cost "
            "less than the full softmax; use --output-layer full, or name --cutoffs",
            config->vocab);
    for (int i = 1; i < clusters.count; i++)
        if (config->cutoffs[i] <= config->cutoffs[i - 1])
            return error_set(e, STATUS_CONFIG, "cannot use '--cutoffs %s': they do not ascend; write the lowest first",
                             number_format_list(config->cutoffs, OUTPUT_CUTOFFS_MAX, text, sizeof text));
    if (config->cutoffs[clusters.count - 1] >= config->vocab)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--cutoffs %s' with a vocabulary of %d: a cluster begins behind its end; use "
                         "numbers below %d",
                         number_format_list(config->cutoffs, OUTPUT_CUTOFFS_MAX, text, sizeof text), config->vocab,
                         config->vocab);
    if (clusters.cluster[clusters.count - 1].width < 1)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--div %g' with --hidden %d and %d clusters: it narrows the last one's vectors below "
            "1 number; use a smaller --div or fewer --cutoffs",
            config->div, config->hidden, clusters.count);
    return STATUS_OK;
}

static int params(const struct model_config *config, struct output_param list[PARAM_OUTPUT_MAX])
{
    static const char *const names[OUTPUT_CUTOFFS_MAX][2] = {
#define TAIL(i) {"decoder.tail." #i ".0.weight", "decoder.tail." #i ".1.weight"}
        TAIL(0), TAIL(1), TAIL(2), TAIL(3), TAIL(4), TAIL(5), TAIL(6)};
    const struct clusters clusters = clusters_of(config);
    int count = 0, head = clusters.head + clusters.count;
    list[count++] = (struct output_param){
        .role = PARAM_OUTPUT, .name = "decoder.head.weight", .shape = {head, config->hidden}, .linear = true};
    list[count++] = (struct output_param){.role = PARAM_OUTPUT_BIAS, .name = "decoder.head.bias", .shape = {head}};
    for (int i = 0; i < clusters.count; i++) {
        const struct cluster *cluster = &clusters.cluster[i];
        list[count++] = (struct output_param){
            .role = PARAM_OUTPUT, .name = names[i][0], .shape = {cluster->width, config->hidden}, .linear = true};
        list[count++] = (struct output_param){
            .role = PARAM_OUTPUT, .name = names[i][1], .shape = {cluster->size, cluster->width}, .linear = true};
    }
    return constants_params(config, list, count);
}

/* Each tail has a list of its own, number i, of one row: all of it. */
static void parts(const struct model_config *config, const struct param_table *table, int batch, int bptt, bool sparse,
                  struct gradient_layout *layout)
{
    (void)bptt;
    const struct clusters clusters = clusters_of(config);
    for (int i = 0; i < clusters.count && sparse; i++) {
        int list = gradient_add_list(layout, 1, batch, false);
        CHECK(list == i);
        gradient_add_part(layout, table, table->output + 2 + 2 * i, list);
        gradient_add_part(layout, table, table->output + 3 + 2 * i, list);
    }
}

/* ---- creation ---- */

/* W [n][k] of the table. */
static struct gemm_weights weights_of(struct common *common, int place)
{
    const struct param *p = common_param(common, place);
    int n = (int)p->shape[0], k = (int)p->shape[1];
    struct gemm_weights weights = {.w = common_values(common, place), .ldw = k, .transposed = true, .k = k, .n = n};
    if (common->shape.resident)
        weights.panels = store_take(&common->store, 1, gemm_panels_bytes(&common->gemm, k, n), "packed weights");
    return weights;
}

static void create_tails(struct common *common, struct adaptive *adaptive)
{
    struct store *store = &common->store;
    int H = common->config.hidden;
    size_t rows = (size_t)common->shape.bptt * common->lanes, stride = adaptive->ordered.stride;
    size_t narrow = gemm_stride(adaptive->clusters.cluster[0].width);
    for (int i = 0; i < adaptive->clusters.count; i++) {
        struct tail *tail = &adaptive->tail[i];
        tail->cluster = adaptive->clusters.cluster[i];
        tail->weights = common->table.output + 2 + 2 * i;
        tail->down = weights_of(common, tail->weights);
        tail->up = (struct gemm_weights){.w = tail->down.w, .ldw = H, .k = tail->cluster.width, .n = H};
        tail->words.weights = weights_of(common, tail->weights + 1);
    }
    adaptive->row = store_take(store, rows, sizeof *adaptive->row, "rows of a cluster");
    adaptive->tail_of = store_take(store, rows, sizeof *adaptive->tail_of, "rows of a cluster");
    adaptive->group_row = store_take(store, common->groups + 1, sizeof *adaptive->group_row, "rows of a cluster");
    adaptive->column = store_take(store, rows, sizeof *adaptive->column, "rows of a cluster");
    adaptive->loss = store_floats(store, rows, "rows of a cluster");
    adaptive->y = store_floats(store, rows * stride, "rows of a cluster");
    adaptive->narrow = store_floats(store, rows * narrow, "rows of a cluster");
    if (common->shape.train)
        adaptive->d_narrow = store_floats(store, rows * narrow, "rows of a cluster");
}

static void create(struct common *common, struct output *output)
{
    struct store *store = &common->store;
    struct adaptive *adaptive = output->own = store_keep(store, 1, sizeof *adaptive, "the output layer");
    if (!adaptive)
        return;
    const struct model_config *config = &common->config;
    size_t rows = (size_t)common->shape.bptt * common->lanes;
    int most;
    adaptive->clusters = clusters_of(config);
    most = adaptive->clusters.head + adaptive->clusters.count;
    for (int i = 0; i < adaptive->clusters.count; i++)
        most = adaptive->clusters.cluster[i].size > most ? adaptive->clusters.cluster[i].size : most;
    ordered_create(common, &adaptive->ordered);
    classes_create(common, &adaptive->classes, (int)rows, most);
    adaptive->head = (struct classes_decoder){.weights = weights_of(common, common->table.output),
                                              .bias = common_values(common, common->table.output + 1)};
    adaptive->target = store_take(store, rows, sizeof *adaptive->target, "targets");
    if (common->shape.train)
        adaptive->dy = store_floats(store, rows * adaptive->ordered.stride, "output gradients");
    create_tails(common, adaptive);
    if (config->reordered)
        adaptive->rank = store_take(store, (size_t)config->vocab, sizeof *adaptive->rank, "the order of counts");
    if (!common->shape.resident)
        return;
    adaptive->logits_stride = gemm_stride(config->vocab);
    adaptive->logits = store_floats(store, (size_t)common->lanes * adaptive->logits_stride, "logits");
    adaptive->part = store_floats(store, (size_t)common->lanes * (size_t)gemm_stride(most), "logits");
    adaptive->gate = store_floats(store, (size_t)common->lanes * OUTPUT_CUTOFFS_MAX, "logits");
    if (config->reordered)
        adaptive->order = store_take(store, (size_t)config->vocab, sizeof *adaptive->order, "the order of counts");
}

static void pack(const struct common *common, struct output *output)
{
    struct adaptive *adaptive = output->own;
    if (adaptive->rank && !adaptive->knows_ranks)
        constants_ranks(&common->config, &common->table, common->values, adaptive->rank);
    if (adaptive->order && !adaptive->knows_ranks)
        constants_order(&common->config, &common->table, common->values, adaptive->order);
    adaptive->knows_ranks = true;
    if (!common->shape.resident)
        return;
    gemm_pack(&common->gemm, &adaptive->head.weights);
    for (int i = 0; i < adaptive->clusters.count; i++) {
        gemm_pack(&common->gemm, &adaptive->tail[i].down);
        gemm_pack(&common->gemm, &adaptive->tail[i].words.weights);
    }
}

/* ---- what a step touches ---- */

static uint32_t rank_of(const struct adaptive *adaptive, uint32_t id)
{
    return adaptive->rank ? adaptive->rank[id] : id;
}

static void touch(const struct common *common, struct output *output, const struct window *window, int64_t step,
                  struct touched *touched)
{
    (void)step;
    const struct adaptive *adaptive = output->own;
    if (common->layout.lists < adaptive->clusters.count) /* all is dense */
        return;
    for (int i = 0; i < adaptive->clusters.count; i++)
        touched->list[i].count = touched->list[i].row[0] = 0;
    for (int64_t k = 0; k < (int64_t)window->T * window->lanes; k++) {
        if (window->target[k] == WINDOW_NO_TARGET)
            continue;
        int tail = clusters_find(&adaptive->clusters, rank_of(adaptive, window->target[k]));
        if (tail >= 0)
            touched->list[tail].count = 1;
    }
}

/* ---- a window, or its last step ---- */

/* Rows, and where what follows from them goes. */
struct rows {
    const struct common *common;
    const struct adaptive *adaptive;
    int count;
    const int *group_row;
    struct gemm_view y;
    const uint32_t *target;   /* [count] ids */
    float *loss, *dy;         /* [count], [count][stride of H]; dy NULL: losses alone */
    float *const *node_grads; /* NULL: none of the weights */
};

/* Where each node's gradient of a parameter begins. */
static float *const *places(const struct rows *rows, int param, float *place[LANE_NODES_MAX])
{
    const struct common *common = rows->common;
    const struct gradient_layout *layout = &common->layout;
    if (!rows->node_grads)
        return NULL;
    for (int i = 0; i < common->nodes; i++)
        place[i] =
            layout->width[param]
                ? rows->node_grads[i] +
                      gradient_part_of(layout, &common->table, param, (param - common->table.output) / 2 - 1)->offset
                : common_gradient(common, rows->node_grads[i], param);
    return place;
}

static void head_losses(const struct rows *rows)
{
    const struct adaptive *adaptive = rows->adaptive;
    const struct common *common = rows->common;
    float *weight[LANE_NODES_MAX], *bias[LANE_NODES_MAX];
    for (int row = 0; row < rows->count; row++) {
        adaptive->tail_of[row] = -1;
        adaptive->target[row] = CLASSES_NONE;
        if (rows->target[row] == WINDOW_NO_TARGET)
            continue;
        uint32_t rank = rank_of(adaptive, rows->target[row]);
        int tail = adaptive->tail_of[row] = clusters_find(&adaptive->clusters, rank);
        adaptive->target[row] = tail < 0 ? (int32_t)rank : adaptive->clusters.head + tail;
    }
    struct classes_rows of_rows = {
        .count = rows->count, .group_row = rows->group_row, .y = rows->y, .target = adaptive->target};
    struct classes_result result = {.loss = rows->loss,
                                    .dy = rows->dy,
                                    .weight = places(rows, common->table.output, weight),
                                    .bias = places(rows, common->table.output + 1, bias)};
    classes_window(common, &adaptive->classes, CLASSES_SOFTMAX, &adaptive->head, &of_rows, &result);
}

/* The rows that need the tail, side by side; how many. */
static int gather(const struct rows *rows, int i)
{
    const struct adaptive *adaptive = rows->adaptive;
    const struct cluster *cluster = &adaptive->clusters.cluster[i];
    int count = 0;
    for (int g = 0; g < rows->common->groups; g++) {
        adaptive->group_row[g] = count;
        for (int row = rows->group_row[g]; row < rows->group_row[g + 1]; row++) {
            if (adaptive->tail_of[row] != i)
                continue;
            memcpy((char *)adaptive->y + count * rows->y.stride, (const char *)rows->y.base + row * rows->y.stride,
                   (size_t)rows->y.stride);
            adaptive->column[count] = (int32_t)rank_of(adaptive, rows->target[row]) - cluster->first;
            adaptive->row[count++] = row;
        }
    }
    adaptive->group_row[rows->common->groups] = count;
    return count;
}

/* Rows of n numbers, for products. */
static struct gemm_view settle_rows(const struct common *common, float *x, int count, int n)
{
    int stride = gemm_stride(n);
    for (int row = 0; row < count; row++)
        gemm_settle(&common->gemm, x + (int64_t)row * stride, gemm_round(n));
    return gemm_settled(&common->gemm, x, stride);
}

static void multiply(const struct common *common, struct gemm_view x, const struct gemm_weights *weights, int count,
                     float *y)
{
    struct gemm_operand operand = {.segments = 1, .segment = {{x, weights}}};
    gemm_rows(&common->gemm, &operand, count, y, gemm_stride(weights->n));
}

/* The gathered rows, as the view of all rows has them. */
static struct gemm_view gathered(const struct rows *rows)
{
    return (struct gemm_view){rows->adaptive->y, rows->y.stride, rows->y.block};
}

/* Gradients of the projection's weights. */
static void down_gradients(const struct rows *rows, const struct tail *tail, struct gemm_view d)
{
    const struct common *common = rows->common;
    float *place[LANE_NODES_MAX];
    if (!places(rows, tail->weights, place))
        return;
    for (int i = 0; i < common->nodes; i++) {
        struct gemm_factor factor = {.sum = common_sum(common, common->node[i]),
                                     .b = gemm_lanes(gathered(rows), 0),
                                     .m = tail->cluster.width,
                                     .n = common->config.hidden,
                                     .packed = common->scratch.factor};
        factor.sum.T = 1;
        factor.sum.group_lane = rows->adaptive->group_row;
        gemm_factor_pack(&common->gemm, &factor);
        struct gemm_gradient gradient = {
            .factor = &factor, .a = gemm_lanes(d, 0), .c = place[i], .ldc = common->config.hidden};
        gemm_gradient(&common->gemm, &gradient);
    }
}

static void add_gradients(const struct rows *rows, int count)
{
    const struct adaptive *adaptive = rows->adaptive;
    int64_t stride = adaptive->ordered.stride;
    for (int k = 0; k < count; k++)
        for (int u = 0; u < adaptive->ordered.in; u++)
            rows->dy[adaptive->row[k] * stride + u] += adaptive->y[k * stride + u];
}

static void clear(const struct rows *rows, int param)
{
    float *place[LANE_NODES_MAX];
    if (!places(rows, param, place) || rows->common->layout.width[param])
        return;
    for (int i = 0; i < rows->common->nodes; i++)
        memset(place[i], 0, sizeof(float) * common_param(rows->common, param)->count);
}

static void tail_losses(const struct rows *rows, int i)
{
    const struct common *common = rows->common;
    const struct adaptive *adaptive = rows->adaptive;
    const struct tail *tail = &adaptive->tail[i];
    int count = gather(rows, i), width = tail->cluster.width;
    float *place[LANE_NODES_MAX];
    if (count == 0) {
        clear(rows, tail->weights);
        clear(rows, tail->weights + 1);
        return;
    }
    multiply(common, gathered(rows), &tail->down, count, adaptive->narrow);
    struct classes_rows of_rows = {.count = count,
                                   .group_row = adaptive->group_row,
                                   .y = settle_rows(common, adaptive->narrow, count, width),
                                   .target = adaptive->column};
    struct classes_result result = {.loss = adaptive->loss,
                                    .dy = rows->dy ? adaptive->d_narrow : NULL,
                                    .weight = places(rows, tail->weights + 1, place)};
    classes_window(common, &adaptive->classes, CLASSES_SOFTMAX, &tail->words, &of_rows, &result);
    for (int k = 0; k < count; k++)
        rows->loss[adaptive->row[k]] += adaptive->loss[k];
    if (!rows->dy)
        return;
    struct gemm_view d = settle_rows(common, adaptive->d_narrow, count, width);
    down_gradients(rows, tail, d);
    multiply(common, d, &tail->up, count, adaptive->y);
    add_gradients(rows, count);
}

static void all_losses(const struct rows *rows)
{
    head_losses(rows);
    for (int i = 0; i < rows->adaptive->clusters.count; i++)
        tail_losses(rows, i);
}

static void window_losses(const struct common *common, struct output *output, const struct output_step *step)
{
    const struct adaptive *adaptive = output->own;
    const struct ordered *ordered = &adaptive->ordered;
    ordered_fill(common, ordered, step);
    const struct rows rows = {.common = common,
                              .adaptive = adaptive,
                              .count = ordered->group_row[common->groups],
                              .group_row = ordered->group_row,
                              .y = ordered_rows(common, ordered, 0),
                              .target = ordered->target,
                              .loss = ordered->loss,
                              .dy = step->node_grads ? adaptive->dy : NULL,
                              .node_grads = step->node_grads};
    all_losses(&rows);
    ordered_sum_losses(common, ordered, output);
    if (!step->node_grads)
        return;
    for (int i = 0; i < common->nodes; i++) {
        int64_t first = ordered->group_row[common->node[i].begin - common->group0];
        ordered_scatter(common, ordered, common->node[i], adaptive->dy + first * ordered->stride, step->dh);
    }
    ordered_drop_gradients(common, ordered, step->dh);
}

static void last(const struct common *common, struct output *output, const struct output_step *step)
{
    const struct adaptive *adaptive = output->own;
    int64_t before = (int64_t)(common->window->T - 1) * common->lanes, stride = adaptive->ordered.stride;
    struct rows rows = {.common = common,
                        .adaptive = adaptive,
                        .count = common->lanes,
                        .group_row = common->group_lane,
                        .y = step->rows,
                        .target = common->window->target + before,
                        .loss = adaptive->ordered.loss,
                        .dy = step->dh + before * stride};
    rows.y.base = (const char *)rows.y.base + before * rows.y.stride;
    memset(step->dh, 0, sizeof *step->dh * (size_t)(before * stride));
    all_losses(&rows);
}

/* ---- log-probabilities of the whole vocabulary ---- */

/* log of the sum of exponentials. */
static float log_sum_of(float *logits, int n)
{
    vfloat sums[VCHAINS] = {{0}};
    float largest = -INFINITY;
    for (int v = n; v < VROUND(n); v++)
        logits[v] = -INFINITY;
    for (int v = 0; v < n; v++)
        largest = logits[v] > largest ? logits[v] : largest;
    for (int v = 0; v < n; v += VPAD)
        for (int i = 0; i < VCHAINS; i++)
            sums[i] += vexp(vload(logits + v + i * VLEN) - largest);
    return arithmetic_logf(vsum_chains(sums)) + largest;
}

/* Logits of head or tail, to become log-probabilities by id. */
struct words {
    const struct adaptive *adaptive;
    const struct classes_decoder *decoder;
    int first, count; /* ranks */
    int cluster;      /* whose they are; -1: the head, whose classes behind its words are the clusters */
};

static void tell_words(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct words *work = context;
    const struct adaptive *adaptive = work->adaptive;
    int n = work->decoder->weights.n;
    for (int64_t lane = begin; lane < end; lane++) {
        float *logits = adaptive->part + lane * gemm_stride(n), *to = adaptive->logits + lane * adaptive->logits_stride;
        float *gate = adaptive->gate + lane * OUTPUT_CUTOFFS_MAX;
        for (int v = 0; v < n && work->decoder->bias; v++)
            logits[v] += work->decoder->bias[v];
        float log_sum = log_sum_of(logits, n), before = work->cluster < 0 ? 0 : gate[work->cluster];
        for (int v = 0; v < work->count; v++) {
            int rank = work->first + v;
            to[adaptive->order ? (int)adaptive->order[rank] : rank] = before + (logits[v] - log_sum);
        }
        for (int v = work->count; v < n; v++)
            gate[v - work->count] = logits[v] - log_sum;
    }
}

static void tell(const struct common *common, const struct words *words, struct gemm_view rows)
{
    int n = words->decoder->weights.n;
    multiply(common, rows, &words->decoder->weights, common->lanes, words->adaptive->part);
    team_share(common->shape.threads, common->lanes, 30 * (int64_t)common->lanes * n, tell_words, (void *)words);
}

static const float *logits_of(const struct common *common, struct output *output, const float *h, int *stride)
{
    const struct adaptive *adaptive = output->own;
    const struct gemm_view rows = gemm_dense(&common->gemm, adaptive->ordered.y, adaptive->ordered.stride);
    CHECK(adaptive->logits);
    gemm_store(&common->gemm, h, common->lanes * adaptive->ordered.stride, adaptive->ordered.y);
    tell(common, &(struct words){adaptive, &adaptive->head, 0, adaptive->clusters.head, -1}, rows);
    for (int i = 0; i < adaptive->clusters.count; i++) {
        const struct tail *tail = &adaptive->tail[i];
        multiply(common, rows, &tail->down, common->lanes, adaptive->narrow);
        struct gemm_view narrow = settle_rows(common, adaptive->narrow, common->lanes, tail->cluster.width);
        tell(common, &(struct words){adaptive, &tail->words, tail->cluster.first, tail->cluster.size, i}, narrow);
    }
    *stride = adaptive->logits_stride;
    return adaptive->logits;
}

static double weights(const struct model_config *config, double (*below)(int rank, int vocab))
{
    struct clusters clusters = clusters_of(config);
    double H = config->hidden, sum = (clusters.head + clusters.count) * H;
    for (const struct cluster *c = clusters.cluster; c < clusters.cluster + clusters.count; c++) {
        double share = below(c->first + c->size, config->vocab) - below(c->first, config->vocab);
        sum += share * c->width * (H + c->size);
    }
    return sum;
}

const struct output_kind output_kind_adaptive = {
    .name = "adaptive",
    .task = TASK_LM,
    .uses = OUTPUT_CLUSTERS | OUTPUT_ORDER,
    .outputs = outputs,
    .check = check,
    .params = params,
    .parts = parts,
    .weights = weights,
    .create = create,
    .pack = pack,
    .touch = touch,
    .window = window_losses,
    .last = last,
    .logits = logits_of,
    .reference = clusters_reference,
    .reference_work = clusters_reference_work,
};
