/* Streams: which token stands where, against the definition; the same for any share of the lanes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/data/corpus_writer.h"
#include "unroll/data/stream.h"
#include "unroll/data/tally.h"

/* Token of position i: distinct over long stretches, so that a wrong place shows. */
enum { V = 251 };

static uint32_t token_at(int64_t i)
{
    return (uint32_t)((i * 7 + i / V) % V);
}

static char corpus_path[600];

/* A byte-level corpus of V entries with one split. */
static struct corpus *make_corpus(enum split split, int64_t tokens)
{
    struct error error = {0};
    struct tally *tally = tally_new(&error);
    for (int i = 1; i < V; i++) {
        char byte = (char)i;
        uint32_t number;
        assert_int_equal(tally_find(tally, &byte, 1, &number, &error), STATUS_OK);
    }
    struct vocab *vocab = NULL;
    assert_int_equal(tally_vocab(tally, LEVEL_BYTE, 0, 0, &vocab, &error), STATUS_OK);
    tally_free(tally);
    assert_int_equal(vocab->size, V);
    struct corpus_plan plan = {.vocab = vocab};
    plan.tokens[split] = tokens;
    snprintf(plan.source_digest[split], DIGEST_TEXT, "none");

    const char *parent = getenv("TMPDIR");
    snprintf(corpus_path, sizeof corpus_path, "%s/unroll-stream-XXXXXX", parent ? parent : "/tmp");
    int fd = mkstemp(corpus_path);
    assert_true(fd >= 0);
    close(fd);
    struct corpus_writer *writer = NULL;
    assert_int_equal(corpus_writer_open(corpus_path, &plan, &writer, &error), STATUS_OK);
    uint32_t *all = malloc((size_t)tokens * sizeof *all);
    for (int64_t i = 0; i < tokens; i++)
        all[i] = token_at(i);
    assert_int_equal(corpus_writer_add(writer, split, all, (size_t)tokens, &error), STATUS_OK);
    assert_int_equal(corpus_writer_close(writer, NULL, NULL, &error), STATUS_OK);
    free(all);
    vocab_free(vocab);
    struct corpus *corpus = NULL;
    assert_int_equal(corpus_open(corpus_path, &corpus, &error), STATUS_OK);
    return corpus;
}

static void drop_corpus(struct corpus *corpus)
{
    corpus_close(corpus);
    unlink(corpus_path);
}

/* One window against the definition in stream.h. */
static void check_steps(const struct window *window, int64_t begin, int64_t tokens, int batch, int length)
{
    int64_t P = tokens - 1, longest = (P + batch - 1) / batch;
    assert_int_equal(window->T, longest - begin < length ? longest - begin : length);
    assert_int_equal(window->reset, begin == 0);
    for (int t = 0; t < window->T; t++) {
        for (int i = 0; i < window->lanes; i++) {
            int lane = window->lane0 + i;
            int64_t first = lane * P / batch, end = (lane + 1) * P / batch, at = first + begin + t;
            uint32_t input = window->input[t * window->lanes + i], target = window->target[t * window->lanes + i];
            assert_int_equal(input, at < end ? token_at(at) : 0);
            assert_int_equal(target, at < end ? token_at(at + 1) : WINDOW_NO_TARGET);
        }
    }
}

static void check_window(const struct window *window, int64_t index, int64_t tokens, int batch, int bptt)
{
    check_steps(window, index * bptt, tokens, batch, bptt);
}

static void check_stream(struct corpus *corpus, int64_t tokens, int batch, int bptt, int lane0, int lanes)
{
    struct error error;
    struct stream *stream = NULL;
    struct window window;
    struct stream_config config = {SPLIT_VALID, batch, lane0, lanes, bptt, VOCAB_UNK, false, 0};
    assert_int_equal(stream_open(corpus, &config, &stream, &error), STATUS_OK);
    int64_t windows = stream_windows(stream), targets = 0;
    for (int64_t index = 0; index < windows; index++) {
        assert_int_equal(stream_position(stream), index);
        assert_int_equal(stream_next(stream, &window, &error), STATUS_OK);
        assert_true(window.T > 0 && window.lanes == lanes && window.lane0 == lane0);
        check_window(&window, index, tokens, batch, bptt);
        int64_t here = 0;
        for (int k = 0; k < window.T * lanes; k++)
            here += window.target[k] != WINDOW_NO_TARGET;
        assert_int_equal(stream_targets(stream, index, lane0, lane0 + lanes), here);
        targets += stream_targets(stream, index, 0, batch);
    }
    assert_int_equal(targets, tokens - 1); /* no position is lost */
    assert_int_equal(stream_next(stream, &window, &error), STATUS_OK);
    assert_int_equal(window.T, 0);

    for (int64_t index = windows - 1; index >= 0; index -= 3) { /* anywhere, backwards */
        stream_seek(stream, index);
        assert_int_equal(stream_next(stream, &window, &error), STATUS_OK);
        check_window(&window, index, tokens, batch, bptt);
    }
    stream_close(stream);
}

static void windows_follow_the_definition(void **state)
{
    (void)state;
    static const int64_t lengths[] = {2, 11, 100, 1001};
    static const int batches[] = {1, 3, 10, 64}, steps[] = {1, 7, 10, 2000};
    for (int n = 0; n < 4; n++) {
        struct corpus *corpus = make_corpus(SPLIT_VALID, lengths[n]);
        for (int b = 0; b < 4; b++) {
            if (batches[b] > lengths[n] - 1)
                continue;
            for (int s = 0; s < 4; s++) {
                int batch = batches[b], cut = batch / 3;
                check_stream(corpus, lengths[n], batch, steps[s], 0, batch);
                check_stream(corpus, lengths[n], batch, steps[s], cut, batch - cut);
                check_stream(corpus, lengths[n], batch, steps[s], cut, 1);
            }
        }
        drop_corpus(corpus);
    }
}

/* The windows of one epoch in turn, then some of them backwards: each begins where those before it end. */
static void check_varied_epoch(struct stream *stream, int64_t epoch, int64_t tokens, int batch, int first, int lanes)
{
    struct error error;
    struct window window;
    const struct cuts *cuts = stream_cuts(stream);
    int64_t begin[1000], at = 0, targets = 0;
    stream_begin(stream, epoch);
    int64_t windows = stream_windows(stream);
    assert_int_equal(windows, cuts_windows(cuts, epoch));
    assert_true(windows < 1000);
    for (int64_t index = 0; index < windows; index++) {
        begin[index] = at;
        assert_int_equal(stream_position(stream), index);
        assert_int_equal(stream_next(stream, &window, &error), STATUS_OK);
        check_steps(&window, at, tokens, batch, cuts_length(cuts, epoch, index));
        int64_t here = 0;
        for (int k = 0; k < window.T * lanes; k++)
            here += window.target[k] != WINDOW_NO_TARGET;
        assert_int_equal(stream_targets(stream, index, first, first + lanes), here);
        targets += stream_targets(stream, index, 0, batch);
        at += window.T;
    }
    assert_int_equal(at, cuts->steps); /* the longest lane's */
    assert_int_equal(targets, tokens - 1);
    assert_int_equal(stream_next(stream, &window, &error), STATUS_OK);
    assert_int_equal(window.T, 0);
    for (int64_t index = windows - 1; index >= 0; index -= 3) {
        stream_seek(stream, index);
        assert_int_equal(stream_next(stream, &window, &error), STATUS_OK);
        check_steps(&window, begin[index], tokens, batch, cuts_length(cuts, epoch, index));
        assert_int_equal(stream_targets(stream, 0, 0, batch),
                         stream_targets(stream, 0, 0, first) + stream_targets(stream, 0, first, batch));
    }
}

static void check_varied(int64_t tokens, int batch, int bptt, int first, int lanes)
{
    struct error error;
    struct corpus *corpus = make_corpus(SPLIT_VALID, tokens);
    struct stream *stream = NULL;
    struct stream_config config = {SPLIT_VALID, batch, first, lanes, bptt, VOCAB_UNK, true, 5};
    assert_int_equal(stream_open(corpus, &config, &stream, &error), STATUS_OK);
    for (int64_t epoch = 0; epoch < 3; epoch++)
        check_varied_epoch(stream, epoch, tokens, batch, first, lanes);
    check_varied_epoch(stream, 1, tokens, batch, first, lanes); /* back again, as in a run that branches */
    stream_close(stream);
    drop_corpus(corpus);
}

/* Lanes of different lengths, texts shorter than a window, and lanes longer than what is read ahead. */
static void windows_vary_from_epoch_to_epoch(void **state)
{
    (void)state;
    check_varied(2, 1, 70, 0, 1);
    check_varied(31, 30, 5, 7, 23);
    check_varied(60, 7, 70, 0, 7);
    check_varied(5003, 5, 20, 2, 2);
    check_varied(40001, 2, 50, 0, 2);
}

/* Longer than what is read ahead, so that pieces follow each other. */
static void long_lanes_are_read_in_pieces(void **state)
{
    (void)state;
    const int64_t tokens = 250001;
    struct corpus *corpus = make_corpus(SPLIT_VALID, tokens);
    int64_t before = mem_allocation_count();
    check_stream(corpus, tokens, 2, 35, 0, 2);
    check_stream(corpus, tokens, 3, 50000, 1, 2); /* a window larger than the read-ahead */
    assert_true(mem_allocation_count() - before <= 8);
    drop_corpus(corpus);
}

/* As if token 7 stood in front of the split: every position is one further on, and there is one more. */
static void a_token_before_the_split_makes_the_first_a_target(void **state)
{
    (void)state;
    struct error error;
    struct window window;
    const int64_t tokens = 50;
    struct corpus *corpus = make_corpus(SPLIT_VALID, tokens);
    for (int batch = 1; batch <= 50; batch += 7) {
        struct stream *stream = NULL;
        struct stream_config config = {SPLIT_VALID, batch, 0, batch, 4, 7, false, 0};
        int64_t targets = 0;
        assert_int_equal(stream_open(corpus, &config, &stream, &error), STATUS_OK);
        for (int64_t index = 0; index < stream_windows(stream); index++) {
            assert_int_equal(stream_next(stream, &window, &error), STATUS_OK);
            for (int k = 0; k < window.T * batch; k++) {
                int64_t lane = k % batch, at = lane * tokens / batch + index * 4 + k / batch;
                if (at >= (lane + 1) * tokens / batch) {
                    assert_int_equal(window.target[k], WINDOW_NO_TARGET);
                    continue;
                }
                assert_int_equal(window.input[k], at > 0 ? token_at(at - 1) : 7);
                assert_int_equal(window.target[k], token_at(at));
                targets++;
            }
        }
        assert_int_equal(targets, tokens);
        stream_close(stream);
    }
    struct stream_config config = {SPLIT_VALID, 51, 0, 51, 4, 7, false, 0};
    struct stream *stream = NULL;
    assert_int_equal(stream_open(corpus, &config, &stream, &error), STATUS_CONFIG);
    assert_non_null(strstr(error.text, "use at most 50"));
    drop_corpus(corpus);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct error error;
    struct stream *stream = NULL;
    struct corpus *corpus = make_corpus(SPLIT_VALID, 11);
    struct stream_config config = {SPLIT_VALID, 11, 0, 11, 5, VOCAB_UNK, false, 0};
    assert_int_equal(stream_open(corpus, &config, &stream, &error), STATUS_CONFIG);
    assert_string_equal(error.text, "--batch '11' is too large for split 'valid' of 11 tokens; use at most 10");
    config.split = SPLIT_TEST;
    assert_int_equal(stream_open(corpus, &config, &stream, &error), STATUS_DATA);
    assert_non_null(strstr(error.text, "no split 'test'"));
    drop_corpus(corpus);
    corpus = make_corpus(SPLIT_VALID, 1);
    config = (struct stream_config){SPLIT_VALID, 1, 0, 1, 5, VOCAB_UNK, false, 0};
    assert_int_equal(stream_open(corpus, &config, &stream, &error), STATUS_DATA);
    drop_corpus(corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_follow_the_definition),
        cmocka_unit_test(windows_vary_from_epoch_to_epoch),
        cmocka_unit_test(long_lanes_are_read_in_pieces),
        cmocka_unit_test(a_token_before_the_split_makes_the_first_a_target),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
