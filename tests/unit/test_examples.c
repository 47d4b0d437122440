/* Labelled texts: the corpus file gives back what was written, an epoch shows every text once, whichever lanes are
 * read, and its order is a function of seed and epoch alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "make_corpus.h"
#include "unroll/data/examples.h"

enum { V = 30, TEXTS = 333, LABELS = 3, BATCH = 7, LONGEST = 9 };

static char path[64];

/* Text i has 2 + i % 11 tokens and ends with </s>; its second token is i % V, so that it can be told apart. */
static int length_of(int text)
{
    return 2 + text % 11;
}

static uint32_t token_of(int text, int t)
{
    if (t == length_of(text) - 1)
        return 1;
    return t == 0 ? 2 + (uint32_t)(text / 28) : 2 + (uint32_t)((text + t) % 28);
}

static int set_up(void **state)
{
    struct vocab *vocab = make_vocab(V);
    struct labels *labels = labels_new(NULL);
    static uint64_t offsets[TEXTS + 1];
    static uint16_t label[TEXTS];
    (void)state;
    for (int i = 0; i < LABELS; i++) {
        char name[2] = {(char)('a' + i), 0};
        int number;
        assert_int_equal(labels_add(labels, name, 1, &number, NULL), STATUS_OK);
        assert_int_equal(number, i);
    }
    for (int i = 0; i < TEXTS; i++) {
        offsets[i + 1] = offsets[i] + (uint64_t)length_of(i);
        label[i] = (uint16_t)(i % LABELS);
        labels->counts[label[i]]++;
    }
    struct corpus_plan plan = {.vocab = vocab,
                               .tokens = {(int64_t)offsets[TEXTS]},
                               .labels = labels,
                               .texts = {TEXTS},
                               .offsets = {offsets},
                               .text_label = {label}};
    memset(plan.source_digest[0], '0', DIGEST_TEXT - 1);
    snprintf(path, sizeof path, "/tmp/test_examples.%d.h5", (int)getpid());
    struct corpus_writer *writer;
    assert_int_equal(corpus_writer_open(path, &plan, &writer, NULL), STATUS_OK);
    for (int i = 0; i < TEXTS; i++)
        for (int t = 0; t < length_of(i); t++) {
            uint32_t token = token_of(i, t);
            assert_int_equal(corpus_writer_add(writer, SPLIT_TRAIN, &token, 1, NULL), STATUS_OK);
        }
    assert_int_equal(corpus_writer_close(writer, NULL, NULL, NULL), STATUS_OK);
    vocab_free(vocab);
    labels_free(labels);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static struct corpus *open_corpus(void)
{
    struct corpus *corpus;
    struct error e;
    if (corpus_open(path, &corpus, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    return corpus;
}

static void the_corpus_gives_back_texts_and_labels(void **state)
{
    (void)state;
    struct corpus *corpus = open_corpus();
    struct error e;
    uint64_t *offsets;
    uint16_t *label;
    assert_int_equal(corpus->labels->count, LABELS);
    assert_int_equal(corpus->texts[SPLIT_TRAIN], TEXTS);
    assert_int_equal(labels_find(corpus->labels, "c", 1), 2);
    assert_int_equal(labels_find(corpus->labels, "d", 1), -1);
    assert_int_equal(corpus->labels->counts[1], TEXTS / LABELS);
    assert_int_equal(corpus_read_texts(corpus, SPLIT_TRAIN, &offsets, &label, &e), STATUS_OK);
    for (int i = 0; i < TEXTS; i++) {
        assert_int_equal(offsets[i + 1] - offsets[i], length_of(i));
        assert_int_equal(label[i], i % LABELS);
    }
    assert_int_equal(corpus_verify(corpus, &e), STATUS_OK);
    mem_free(offsets);
    mem_free(label);
    corpus_close(corpus);
}

/* Which text stands in a lane; -1: none. Checks tokens, label and padding. */
static int text_in(const struct window *window, int lane)
{
    int end = -1;
    for (int t = 0; t < window->T; t++)
        if (window->target[t * window->lanes + lane] != WINDOW_NO_TARGET) {
            assert_int_equal(end, -1); /* one target only */
            end = t;
        }
    for (int t = end + 1; t < window->T; t++)
        assert_int_equal(window->input[t * window->lanes + lane], 0);
    for (int text = 0; end >= 0 && text < TEXTS; text++) {
        int length = length_of(text) < LONGEST ? length_of(text) : LONGEST, t = 0;
        while (t < length && length == end + 1 && window->input[t * window->lanes + lane] == token_of(text, t))
            t++;
        if (t == length && window->target[end * window->lanes + lane] == (uint32_t)text % LABELS)
            return text;
    }
    assert_int_equal(end, -1); /* what is there is a text of the corpus */
    return -1;
}

/* order[k] is the text of place k: window k / BATCH, lane k % BATCH. Returns the padding in it. */
static int read_epoch(struct corpus *corpus, const struct examples_config *config, int64_t epoch, int64_t from,
                      int *order)
{
    struct examples *examples;
    struct window window;
    struct error e;
    int padding = 0;
    if (examples_open(corpus, config, &examples, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    assert_int_equal(examples_windows(examples), (TEXTS + BATCH - 1) / BATCH);
    examples_begin(examples, epoch);
    examples_seek(examples, from);
    for (int64_t w = from; w < examples_windows(examples); w++) {
        assert_int_equal(examples_next(examples, &window, &e), STATUS_OK);
        assert_true(window.T >= 1 && window.T <= LONGEST && window.reset);
        int64_t targets = 0;
        for (int lane = 0; lane < config->lanes; lane++) {
            int text = text_in(&window, lane);
            order[w * BATCH + config->lane0 + lane] = text;
            targets += text >= 0;
            padding += text < 0 ? 0 : window.T - (length_of(text) < LONGEST ? length_of(text) : LONGEST);
        }
        assert_int_equal(targets, examples_targets(examples, w, config->lane0, config->lane0 + config->lanes));
    }
    assert_int_equal(examples_next(examples, &window, &e), STATUS_OK);
    assert_int_equal(window.T, 0);
    examples_close(examples);
    return padding;
}

static void an_epoch_shows_every_text_once(void **state)
{
    (void)state;
    struct corpus *corpus = open_corpus();
    static int order[4][TEXTS + BATCH];
    struct examples_config config = {
        .split = SPLIT_TRAIN, .batch = BATCH, .lanes = BATCH, .longest = LONGEST, .shuffle = true, .seed = 3};
    for (int epoch = 0; epoch < 3; epoch++) {
        int seen[TEXTS] = {0}, padding = read_epoch(corpus, &config, epoch, 0, order[epoch]);
        for (int k = 0; k < (TEXTS + BATCH - 1) / BATCH * BATCH; k++)
            if (order[epoch][k] >= 0)
                seen[order[epoch][k]]++;
        for (int text = 0; text < TEXTS; text++)
            assert_int_equal(seen[text], 1);
        assert_true(padding < TEXTS / 2); /* about equally long: unsorted batches have some 3 for each text */
    }
    assert_memory_not_equal(order[0], order[1], sizeof order[0]);
    read_epoch(corpus, &config, 2, 0, order[3]);
    assert_memory_equal(order[2], order[3], sizeof order[0]);
    config.seed = 4;
    read_epoch(corpus, &config, 2, 0, order[3]);
    assert_memory_not_equal(order[2], order[3], sizeof order[0]);
    corpus_close(corpus);
}

static void every_share_of_the_lanes_reads_its_part(void **state)
{
    (void)state;
    struct corpus *corpus = open_corpus();
    static int whole[TEXTS + BATCH], parts[TEXTS + BATCH];
    struct examples_config config = {
        .split = SPLIT_TRAIN, .batch = BATCH, .lanes = BATCH, .longest = LONGEST, .shuffle = true, .seed = 3};
    read_epoch(corpus, &config, 1, 0, whole);
    const int begin[] = {0, 3, 4, BATCH};
    for (int rank = 0; rank < 3; rank++) {
        config.lane0 = begin[rank];
        config.lanes = begin[rank + 1] - begin[rank];
        read_epoch(corpus, &config, 1, 0, parts);
    }
    assert_memory_equal(whole, parts, sizeof whole);
    config.lane0 = 0; /* what a resumed run reads */
    config.lanes = BATCH;
    memset(parts, 0, sizeof parts);
    read_epoch(corpus, &config, 1, 20, parts);
    assert_memory_equal(whole + 20 * BATCH, parts + 20 * BATCH, sizeof whole - 20 * BATCH * sizeof *whole);
    corpus_close(corpus);
}

static void evaluation_reads_longest_first_and_drops_nothing(void **state)
{
    (void)state;
    struct corpus *corpus = open_corpus();
    static int order[TEXTS + BATCH];
    const struct examples_config config = {
        .split = SPLIT_TRAIN, .batch = BATCH, .lanes = BATCH, .longest = LONGEST, .word_dropout = 0.9};
    read_epoch(corpus, &config, 0, 0, order);
    for (int k = 1; k < TEXTS; k++) {
        int before = length_of(order[k - 1]), length = length_of(order[k]);
        assert_true((before < LONGEST ? before : LONGEST) >= (length < LONGEST ? length : LONGEST));
    }
    corpus_close(corpus);
}

static void word_dropout_reads_that_share_as_unknown(void **state)
{
    (void)state;
    struct corpus *corpus = open_corpus();
    struct examples_config config = {.split = SPLIT_TRAIN,
                                     .batch = BATCH,
                                     .lanes = BATCH,
                                     .longest = 100,
                                     .shuffle = true,
                                     .seed = 3,
                                     .word_dropout = 0.25};
    struct examples *examples;
    struct window window;
    int words = 0, unknown = 0, ends = 0;
    assert_int_equal(examples_open(corpus, &config, &examples, NULL), STATUS_OK);
    while (examples_next(examples, &window, NULL) == STATUS_OK && window.T > 0)
        for (int lane = 0; lane < BATCH; lane++) {
            int end = window.T - 1;
            while (end >= 0 && window.target[end * BATCH + lane] == WINDOW_NO_TARGET)
                end--;
            for (int t = 0; t < end; t++) {
                words++;
                unknown += window.input[t * BATCH + lane] == VOCAB_UNK;
            }
            ends += end >= 0 && window.input[end * BATCH + lane] == 1; /* </s> stays */
        }
    assert_int_equal(ends, TEXTS);
    assert_true(unknown > words / 5 && unknown < words * 3 / 10);
    examples_close(examples);
    corpus_close(corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_gives_back_texts_and_labels),
        cmocka_unit_test(an_epoch_shows_every_text_once),
        cmocka_unit_test(every_share_of_the_lanes_reads_its_part),
        cmocka_unit_test(evaluation_reads_longest_first_and_drops_nothing),
        cmocka_unit_test(word_dropout_reads_that_share_as_unknown),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
