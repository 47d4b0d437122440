/* The Mogrifier LSTM of Melis, Kocisky and Blunsom (2020): an LSTM's step, whose input and state gate one another
 * before it (mogrify.h). Beside the LSTM's tensors a layer has, of round i that gates its input, mogrify_qI_left [E][k]
 * and mogrify_qI_right [k][H], and of one that gates its state mogrify_rI_left [H][k] and mogrify_rI_right [k][E]; of
 * full matrices mogrify_qI [E][H] and mogrify_rI [H][E]. */
#include <math.h>
#include <stdio.h>

#include "cell_lstm_step.h"
#include "mogrify.h"

_Static_assert(2 * MOGRIFY_ROUNDS_MAX <= CELL_TENSORS_MAX && MOGRIFY_ROUNDS_MAX < 10,
               "two matrices a round, and a digit");

static void add(struct cell_tensor *tensor, struct mogrify_shape shape, int round, const char *side, int rows,
                int columns)
{
    *tensor = (struct cell_tensor){.rows = rows, .columns = columns, .bound = 1 / sqrt(columns)};
    snprintf(tensor->name, sizeof tensor->name, "mogrify_%c%c%s", shape.of_x ? 'q' : 'r', '0' + round, side);
}

static int tensors(const struct model_config *config, int layer, struct cell_tensor list[CELL_TENSORS_MAX])
{
    int count = 0, rank = config->mogrify_rank;
    for (int i = 1; i <= config->mogrify; i++) {
        struct mogrify_shape shape = mogrify_shape(i, model_inputs(config, layer), model_width(config, layer));
        add(&list[count++], shape, i, rank ? "_left" : "", shape.rows, rank ? rank : shape.columns);
        if (rank)
            add(&list[count++], shape, i, "_right", rank, shape.columns);
    }
    return count;
}

const struct cell_kind cell_kind_mogrifier = {
    .name = "mogrifier",
    LSTM_STEP,
    .rounds = true,
    .tensors = tensors,
    .trial_pool = POOL_LAST,
};
