/* What W_hh reads, and W_hh itself, through their dropouts: row after row, from the definitions of nn/dropout.h. */
#include "reference_drop.h"

#include "unroll/nn/dropout.h"

void reference_drop_states(const struct reference_drop *drop, int l, int64_t lane, double *mask)
{
    const int H = model_width(drop->config, l);
    const uint32_t threshold = dropout_of(drop->config).states;
    const bool drops = drop->step >= 0 && threshold > 0;
    if (drops)
        dropout_state_mask(drop->seed, l, (uint32_t)drop->step, (uint32_t)lane, H, threshold, drop->room);
    for (int u = 0; u < H; u++)
        mask[u] = drops ? drop->room[u] : 1;
}

bool reference_drops_weights(const struct reference_drop *drop)
{
    return drop->step >= 0 && dropout_of(drop->config).weights > 0;
}

void reference_drop_weights(const struct reference_drop *drop, int l, const double *from, double *to)
{
    const int H = model_width(drop->config, l), rows = cell_kind(drop->config->cell)->recurrent_gates * H;
    const uint32_t threshold = dropout_of(drop->config).weights;
    for (int row = 0; row < rows; row++) {
        dropout_weight_mask(drop->seed, l, (uint32_t)drop->step, (uint32_t)row, H, threshold, drop->room);
        for (int u = 0; u < H; u++)
            to[(size_t)row * (size_t)H + (size_t)u] = from[(size_t)row * (size_t)H + (size_t)u] * drop->room[u];
    }
}
