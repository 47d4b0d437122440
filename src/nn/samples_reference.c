/* Sampled output layers in double precision, straight from the formulas. */
#include <math.h>

#include "decoder.h"
#include "samples.h"
#include "unroll/nn/constants.h"

/* Where things lie in the numbers that a reference lends. */
struct room {
    double *logits; /* [V or K + 1, the larger] */
    double *cumulative;
    uint32_t *order, *rank, *id;
    float *counts;
    void *work;
};

static struct room room_of(const struct model_config *config, double *numbers)
{
    size_t V = (size_t)config->vocab, K = (size_t)config->samples, half = (V + 1) / 2;
    struct room room = {.logits = numbers};
    room.cumulative = room.logits + V + 1;
    room.order = (uint32_t *)(room.cumulative + V);
    room.rank = (uint32_t *)(room.cumulative + V + half);
    room.counts = (float *)(room.cumulative + V + 2 * half);
    room.id = (uint32_t *)(room.cumulative + V + 3 * half);
    room.work = room.cumulative + V + 3 * half + (K + 1) / 2;
    return room;
}

size_t samples_reference_work(const struct model_config *config)
{
    size_t V = (size_t)config->vocab, K = (size_t)config->samples;
    return 2 * V + 1 + 3 * ((V + 1) / 2) + (K + 1) / 2 + (proposal_work_bytes(config->samples) + 7) / 8;
}

/* The samples of the step. */
static void draw(const struct reference_output *lane, const struct room *room, struct proposal_law *law,
                 struct proposal_draw *samples)
{
    const struct model_config *config = lane->config;
    const struct param *table = lane->table->param;
    int order = constants_find(lane->table, CONSTANTS_ORDER), counts = constants_find(lane->table, CONSTANTS_COUNTS);
    *law = (struct proposal_law){
        .kind = (enum proposal)config->proposal, .V = config->vocab, .cumulative = room->cumulative};
    for (int i = 0; i < config->vocab && order >= 0; i++) {
        room->order[i] = (uint32_t)lane->values[table[order].offset + (size_t)i];
        room->rank[room->order[i]] = (uint32_t)i;
    }
    for (int i = 0; i < config->vocab && counts >= 0; i++)
        room->counts[i] = (float)lane->values[table[counts].offset + (size_t)i];
    if (order >= 0) {
        law->order = room->order;
        law->rank = room->rank;
    }
    law->counts = room->counts;
    proposal_prepare(law);
    *samples = (struct proposal_draw){.K = config->samples, .id = room->id, .work = room->work};
    proposal_draw(law, lane->seed, lane->step, samples);
}

/* One row: logits of samples and target, the loss, and with gradients what follows from theirs. */
static double row(const struct reference_output *lane, const struct reference_decoder *decoder,
                  const struct proposal_law *law, const struct proposal_draw *samples, samples_loss *loss,
                  uint32_t target, const double *y, double *dy, double *logits)
{
    const int H = decoder->in, K = samples->K;
    for (int i = 0; i <= K; i++) {
        uint32_t id = i < K ? samples->id[i] : target;
        const double *w = decoder->weight + (size_t)id * (size_t)H;
        logits[i] = decoder->bias[id] - log(proposal_count(law, samples, id));
        for (int k = 0; k < H; k++)
            logits[i] += y[k] * w[k];
        if (i < K && id == target)
            logits[i] = -INFINITY;
    }
    double sum = loss(logits, K, lane->grad != NULL);
    for (int i = 0; i <= K && lane->grad; i++) {
        uint32_t id = i < K ? samples->id[i] : target;
        size_t at = (size_t)id * (size_t)H;
        decoder->d_bias[id] += logits[i];
        for (int k = 0; k < H; k++) {
            decoder->d_weight[at + (size_t)k] += logits[i] * y[k];
            dy[k] += logits[i] * decoder->weight[at + (size_t)k];
        }
    }
    return sum;
}

double samples_reference(const struct reference_output *lane, samples_loss *loss)
{
    const struct reference_decoder decoder = reference_decoder_of(lane);
    const struct room room = room_of(lane->config, lane->work);
    const bool samples_step = lane->step >= 0;
    struct proposal_law law;
    struct proposal_draw samples;
    double sum = 0;
    if (samples_step)
        draw(lane, &room, &law, &samples);
    for (int time = 0; time < lane->window->T; time++) {
        const int position = time * lane->window->lanes + lane->lane;
        const uint32_t target = lane->window->target[position];
        const double *y = lane->y + (size_t)time * lane->stride;
        double *dy = lane->dy + (size_t)time * lane->stride, of_row = 0;
        if (target != WINDOW_NO_TARGET && samples_step) {
            of_row = row(lane, &decoder, &law, &samples, loss, target, y, dy, room.logits);
        } else if (target != WINDOW_NO_TARGET) {
            of_row = reference_decoder_loss(&decoder, y, target, room.logits);
            if (lane->grad)
                reference_decoder_backward(&decoder, y, room.logits, dy);
        }
        if (lane->row)
            lane->row[position] = of_row;
        sum += of_row;
    }
    return sum;
}
