/* Checkpoints: refused with 76 and a reason, or whole. */
#include "fuzz.h"
#include "unroll/train/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_file file = fuzz_file_make(data, size);
    for (enum checkpoint_part part = CHECKPOINT_ALL; part <= CHECKPOINT_FOR_USE; part++) {
        struct checkpoint checkpoint = {0};
        struct error e = {0};
        enum status status = checkpoint_read(file.path, part, &checkpoint, &e);
        fuzz_check_error((int)status, (int)e.status, e.text);
        if (status && status != STATUS_CHECKPOINT)
            abort();
        if (!status) {
            if (checkpoint.model.vocab != checkpoint.vocab->size)
                abort();
            checkpoint_release(&checkpoint);
        }
    }
    fuzz_file_close(file);
    return 0;
}
