/* For tests/cli/test_torch.py: `logits M.h5 TOKEN...` prints the model's logits after each token, a line each, with
 * digits that read back as the same float32. One lane, from the zero state. */
#include <stdio.h>
#include <stdlib.h>

#include "unroll/nn/model.h"
#include "unroll/train/checkpoint.h"

static int fail(const struct error *e)
{
    fprintf(stderr, "logits: %s\n", e->text);
    return (int)e->status;
}

int main(int argc, char **argv)
{
    static struct checkpoint checkpoint;
    struct error e = {0};
    if (checkpoint_read(argv[1], CHECKPOINT_FOR_USE, &checkpoint, &e) != STATUS_OK)
        return fail(&e);
    struct model_shape shape = {
        .bptt = 1, .share = lane_share_whole(1, 1), .threads = 1, .resident = true, .exact = true};
    struct model *model;
    if (model_create(&checkpoint.model, checkpoint.values, &shape, &model, &e) != STATUS_OK)
        return fail(&e);
    model_pack(model);
    for (int i = 2; i < argc; i++) {
        uint32_t input = (uint32_t)atoi(argv[i]), target = WINDOW_NO_TARGET;
        struct window window = {.T = 1, .lanes = 1, .reset = i == 2, .input = &input, .target = &target};
        struct model_loss loss;
        int stride;
        model_forward(model, &window, -1, &loss);
        const float *logits = model_logits(model, &stride);
        for (int token = 0; token < checkpoint.model.vocab; token++)
            printf("%.9g%c", (double)logits[token], token + 1 < checkpoint.model.vocab ? ' ' : '\n');
    }
    model_free(model);
    checkpoint_release(&checkpoint);
    return 0;
}
