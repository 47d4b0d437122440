/* unroll export: a model's weights for other programs. */
#include <stdio.h>

#include "unroll/base/file.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/cli/option_table.h"
#include "unroll/use/weights.h"

/* Paths, threads and the like are of the run's machine and do not travel. */
static void keep_mathematics(struct checkpoint *checkpoint)
{
    int kept = 0;
    for (int i = 0; i < checkpoint->options; i++) {
        const struct option *option = option_find(COMMAND_TRAIN, checkpoint->option[i].name);
        if (option && option->class == OPTION_MATHEMATICS)
            checkpoint->option[kept++] = checkpoint->option[i];
    }
    checkpoint->options = kept;
}

enum status cmd_export(const struct options *options, struct error *e)
{
    struct checkpoint checkpoint;
    enum status status = checkpoint_read(options->model_file, CHECKPOINT_FOR_USE, &checkpoint, e);
    if (status)
        return status;
    keep_mathematics(&checkpoint);
    status = weights_export(&checkpoint, options->to, options->output, e);
    if (!status && file_standard_stream(options->output) < 0) {
        printf("wrote '%s': %d tensors, %zu numbers, vocabulary of %d tokens\n", options->output,
               checkpoint.table.count, checkpoint.table.elements, checkpoint.vocab->size);
        status = finish_output(e);
    }
    checkpoint_release(&checkpoint);
    return status;
}
