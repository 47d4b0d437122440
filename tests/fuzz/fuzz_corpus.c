/* Corpus files: refused with 65 and a reason, or whole: every token read is in the vocabulary. */
#include "fuzz.h"
#include "unroll/data/corpus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_file file = fuzz_file_make(data, size);
    struct corpus *corpus = NULL;
    struct error e = {0};
    enum status status = corpus_open(file.path, &corpus, &e);
    fuzz_check_error((int)status, (int)e.status, e.text);
    if (status && status != STATUS_DATA)
        abort();
    if (!status) {
        for (enum split split = SPLIT_TRAIN; split < SPLITS; split++) {
            uint32_t tokens[64];
            int64_t count = corpus->tokens[split] < 64 ? corpus->tokens[split] : 64;
            if (count > 0 && !corpus_read(corpus, split, 0, count, tokens, &e))
                for (int64_t i = 0; i < count; i++)
                    if (tokens[i] >= (uint32_t)corpus->vocab->size)
                        abort();
        }
        (void)corpus_verify(corpus, &e);
    }
    corpus_close(corpus);
    fuzz_file_close(file);
    return 0;
}
