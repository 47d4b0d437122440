/* Safetensors to import: refused with a reason, or a model whose numbers are finite and whose vocabulary fits. */
#include <math.h>

#include "fuzz.h"
#include "unroll/use/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_file file = fuzz_file_make(data, size);
    const struct weights_hints hints = {.has_cell = size % 2 == 0, .cell = CELL_RNN_RELU};
    struct checkpoint checkpoint;
    struct weights_report report;
    struct error e = {0};
    enum status status = weights_import(file.path, WEIGHTS_FROM_SAFETENSORS, &hints, &checkpoint, &report, &e);
    fuzz_check_error((int)status, (int)e.status, e.text);
    if (status && status != STATUS_DATA && status != STATUS_USAGE)
        abort();
    if (!status) {
        if (checkpoint.vocab->size != checkpoint.model.vocab || checkpoint.batch < 1 || checkpoint.bptt < 1 ||
            checkpoint.groups < 1 || checkpoint.groups > checkpoint.batch)
            abort();
        for (size_t i = 0; i < checkpoint.table.total; i++)
            if (!isfinite(checkpoint.values[i]))
                abort();
        checkpoint_release(&checkpoint);
    }
    fuzz_file_close(file);
    return 0;
}
