/* --config files: any bytes give a status and a message, or options within their ranges; --batch 0 is auto. */
#include "fuzz.h"
#include "unroll/cli/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_file file = fuzz_file_make(data, size);
    char *argv[] = {"train", "--config", file.path, "--corpus", "c.h5", "--run", "run", NULL};
    struct options options;
    struct error e = {0};
    enum status status = options_parse(7, argv, &options, &e);
    fuzz_check_error((int)status, (int)e.status, e.text);
    if (!status && (options.train.batch < 0 || options.train.step.bptt < 1 || options.train.step.model.layers < 1 ||
                    !(options.train.step.model.dropout < 1)))
        abort();
    options_free(&options);
    fuzz_file_close(file);
    return 0;
}
