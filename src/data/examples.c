/* Labelled texts: their order in an epoch, and the windows made of them. */
#include "unroll/data/examples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"

struct examples {
    struct corpus *corpus;
    struct examples_config config;
    int64_t texts, windows;
    uint64_t *offsets; /* [texts + 1] */
    uint16_t *label;   /* [texts] */
    int64_t epoch, next;
    struct place *order; /* [texts] batch b is places [b * batch, (b + 1) * batch) */
    struct place *batch; /* [windows] the order of the batches: `item` is a batch */
    uint32_t *tokens;    /* [longest] of one text */
    uint32_t *input;     /* [longest][lanes] */
    uint32_t *target;    /* [longest][lanes] */
};

struct place { /* what is sorted: by key, and by number where keys are equal */
    uint64_t key;
    int64_t item;
};

static int64_t text_length(const struct examples *examples, int64_t text)
{
    int64_t length = (int64_t)(examples->offsets[text + 1] - examples->offsets[text]);
    return length < examples->config.longest ? length : examples->config.longest;
}

/* ---- opening ---- */

static enum status check(const struct corpus *corpus, const struct examples_config *config, struct error *e)
{
    CHECK(config->batch > 0 && config->longest > 0 && config->lane0 >= 0 && config->lanes >= 0 &&
          config->lane0 + config->lanes <= config->batch);
    if (!corpus->labels)
        return error_set(e, STATUS_DATA,
                         "the corpus has no labels; prepare it with --labelled or --class, or train a language model "
                         "with --task lm");
    if (corpus->tokens[config->split] == 0)
        return error_set(e, STATUS_DATA, "the corpus has no split '%s'; make one with 'unroll prepare'",
                         split_name(config->split));
    if (corpus->texts[config->split] > UINT32_MAX)
        return error_set(e, STATUS_DATA, "split '%s' has more than '%u' texts; use fewer", split_name(config->split),
                         UINT32_MAX);
    return STATUS_OK;
}

static int64_t windows_of(int64_t texts, int batch)
{
    return (texts + batch - 1) / batch;
}

size_t examples_bytes(const struct examples_config *config, int64_t texts)
{
    size_t window = (size_t)config->longest * (size_t)config->lanes;
    return (size_t)texts * (sizeof(uint64_t) + sizeof(uint16_t) + sizeof(struct place)) +
           (size_t)windows_of(texts, config->batch) * sizeof(struct place) +
           ((size_t)config->longest + 2 * window) * sizeof(uint32_t);
}

enum status examples_open(struct corpus *corpus, const struct examples_config *config, struct examples **out,
                          struct error *e)
{
    *out = NULL;
    enum status status = check(corpus, config, e);
    if (status)
        return status;
    struct examples *examples = mem_alloc(1, sizeof *examples, "labelled texts", e);
    if (!examples)
        return STATUS_OS;
    examples->corpus = corpus;
    examples->config = *config;
    examples->texts = corpus->texts[config->split];
    examples->windows = windows_of(examples->texts, config->batch);
    size_t longest = (size_t)config->longest, lanes = (size_t)config->lanes;
    status = corpus_read_texts(corpus, config->split, &examples->offsets, &examples->label, e);
    if (!status) {
        examples->order = mem_alloc((size_t)examples->texts, sizeof *examples->order, "the order of texts", e);
        examples->batch = mem_alloc((size_t)examples->windows, sizeof *examples->batch, "the order of texts", e);
        examples->tokens = mem_alloc(longest, sizeof *examples->tokens, "a text", e);
        examples->input = mem_alloc(longest, lanes * sizeof *examples->input, "a window's inputs", e);
        examples->target = mem_alloc(longest, lanes * sizeof *examples->target, "a window's targets", e);
        if (!examples->order || !examples->batch || !examples->tokens || !examples->input || !examples->target)
            status = STATUS_OS;
    }
    if (status) {
        examples_close(examples);
        return status;
    }
    examples_begin(examples, 0);
    *out = examples;
    return STATUS_OK;
}

void examples_close(struct examples *examples)
{
    if (!examples)
        return;
    mem_free(examples->offsets);
    mem_free(examples->label);
    mem_free(examples->order);
    mem_free(examples->batch);
    mem_free(examples->tokens);
    mem_free(examples->input);
    mem_free(examples->target);
    mem_free(examples);
}

enum status examples_lengths(struct corpus *corpus, enum split split, int longest, int *found, int64_t *cut,
                             double *mean, struct error *e)
{
    uint64_t *offsets;
    uint16_t *label;
    enum status status = corpus_read_texts(corpus, split, &offsets, &label, e);
    if (status)
        return status;
    double sum = 0;
    *found = 1;
    *cut = 0;
    for (int64_t i = 0; i < corpus->texts[split]; i++) {
        uint64_t length = offsets[i + 1] - offsets[i];
        if (length > (uint64_t)longest) {
            length = (uint64_t)longest;
            ++*cut;
        }
        if ((int)length > *found)
            *found = (int)length;
        sum += (double)length;
    }
    *mean = sum / (double)corpus->texts[split];
    mem_free(offsets);
    mem_free(label);
    return STATUS_OK;
}

/* ---- the order of an epoch ---- */

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static uint64_t random_key(const struct examples *examples, int64_t item, uint32_t time)
{
    struct rng_bits bits =
        rng_philox(examples->config.seed, RNG_SHUFFLE, (uint32_t)examples->epoch, (uint32_t)item, time, 0);
    return (uint64_t)bits.word[0] << 32 | bits.word[1];
}

/* Longest first. */
static void sort_by_length(const struct examples *examples, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        examples->order[i].key = UINT64_MAX - (uint64_t)text_length(examples, examples->order[i].item);
    qsort(examples->order + begin, (size_t)(end - begin), sizeof *examples->order, compare_places);
}

void examples_begin(struct examples *examples, int64_t epoch)
{
    const struct examples_config *config = &examples->config;
    int64_t pool = config->shuffle ? (int64_t)EXAMPLES_POOL * config->batch : examples->texts;
    examples->epoch = epoch;
    examples->next = 0;
    for (int64_t i = 0; i < examples->texts; i++)
        examples->order[i] = (struct place){config->shuffle ? random_key(examples, i, 0) : 0, i};
    qsort(examples->order, (size_t)examples->texts, sizeof *examples->order, compare_places);
    for (int64_t begin = 0; begin < examples->texts; begin += pool)
        sort_by_length(examples, begin, begin + pool < examples->texts ? begin + pool : examples->texts);
    for (int64_t b = 0; b < examples->windows; b++)
        examples->batch[b] = (struct place){config->shuffle ? random_key(examples, b, 1) : 0, b};
    qsort(examples->batch, (size_t)examples->windows, sizeof *examples->batch, compare_places);
}

/* ---- windows ---- */

int64_t examples_windows(const struct examples *examples)
{
    return examples->windows;
}

void examples_seek(struct examples *examples, int64_t index)
{
    CHECK(index >= 0 && index <= examples->windows);
    examples->next = index;
}

/* The texts of a window are places [*begin, *end) of `order`, one for each lane from the first on. */
static void window_places(const struct examples *examples, int64_t index, int64_t *begin, int64_t *end)
{
    int batch = examples->config.batch;
    *begin = examples->batch[index].item * batch;
    *end = *begin + batch < examples->texts ? *begin + batch : examples->texts;
}

int64_t examples_targets(const struct examples *examples, int64_t index, int lane_begin, int lane_end)
{
    int64_t begin, end;
    window_places(examples, index, &begin, &end);
    int64_t last = end - begin < lane_end ? end - begin : lane_end;
    return last > lane_begin ? last - lane_begin : 0;
}

/* Reads some words of a training text as <unk>, but not its line end, so that the model has met unknown words before
 * they come. */
static void drop_words(const struct examples *examples, int64_t text, int64_t length)
{
    const struct examples_config *config = &examples->config;
    double threshold = ldexp(config->word_dropout, 32);
    struct rng_bits bits = {{0}};
    for (int64_t t = 0; t < length; t++) {
        if (t % 4 == 0)
            bits = rng_philox(config->seed, RNG_WORDS, (uint32_t)examples->epoch, (uint32_t)text, 0, (uint32_t)(t / 4));
        if ((double)bits.word[t % 4] < threshold && (int64_t)examples->tokens[t] != examples->corpus->vocab->eos)
            examples->tokens[t] = VOCAB_UNK;
    }
}

static enum status fill_lane(struct examples *examples, int lane, int64_t text, struct error *e)
{
    const struct examples_config *config = &examples->config;
    int64_t length = text_length(examples, text);
    enum status status =
        corpus_read(examples->corpus, config->split, (int64_t)examples->offsets[text], length, examples->tokens, e);
    if (status)
        return status;
    if (config->shuffle && config->word_dropout > 0)
        drop_words(examples, text, length);
    for (int64_t t = 0; t < length; t++)
        examples->input[t * config->lanes + lane] = examples->tokens[t];
    examples->target[(length - 1) * config->lanes + lane] = examples->label[text];
    return STATUS_OK;
}

enum status examples_next(struct examples *examples, struct window *window, struct error *e)
{
    const struct examples_config *config = &examples->config;
    int64_t begin, end;
    *window = (struct window){.lanes = config->lanes,
                              .lane0 = config->lane0,
                              .reset = true,
                              .input = examples->input,
                              .target = examples->target};
    if (examples->next >= examples->windows)
        return STATUS_OK;
    window_places(examples, examples->next, &begin, &end);
    int T = (int)text_length(examples, examples->order[begin].item); /* the longest is the first, on every rank */
    size_t cells = (size_t)T * (size_t)config->lanes;
    memset(examples->input, 0, cells * sizeof *examples->input);
    for (size_t i = 0; i < cells; i++)
        examples->target[i] = WINDOW_NO_TARGET;
    for (int lane = 0; lane < config->lanes && begin + config->lane0 + lane < end; lane++) {
        enum status status = fill_lane(examples, lane, examples->order[begin + config->lane0 + lane].item, e);
        if (status)
            return status;
    }
    window->T = T;
    examples->next++;
    return STATUS_OK;
}
