/* LSTM as PyTorch's nn.LSTM. */
#include "cell_lstm_step.h"

const struct cell_kind cell_kind_lstm = {
    .name = "lstm",
    .torch = "LSTM",
    LSTM_STEP,
    .trial_pool = POOL_MEAN,
};
