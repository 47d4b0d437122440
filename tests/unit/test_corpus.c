/* Corpus files: what prepare writes is what is read; files made to harm are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/folder.h"
#include "unroll/base/digest.h"
#include "unroll/base/mem.h"
#include "unroll/data/corpus.h"
#include "unroll/data/corpus_writer.h"
#include "unroll/data/output.h"
#include "unroll/data/prepare.h"
#include "unroll/data/tally.h"

static char *place(const char *name)
{
    char *path = malloc(600);
    snprintf(path, 600, "%s/%s", folder, name);
    return path;
}

static char *put(const char *name, const char *text)
{
    char *path = place(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    return path;
}

/* ---- prepare ---- */

static enum status prepare_text(struct prepare_config config, const char *train, const char *valid,
                                struct corpus **corpus, struct prepare_report *report, struct error *e)
{
    char *path[2] = {put("train.txt", train), valid ? put("valid.txt", valid) : NULL}, *output = place("c.h5");
    const char *names[2] = {path[0], path[1]};
    config.files[SPLIT_TRAIN] = 1;
    config.file[SPLIT_TRAIN] = &names[0];
    config.files[SPLIT_VALID] = valid != NULL;
    config.file[SPLIT_VALID] = &names[1];
    config.output = output;
    *corpus = NULL;
    enum status status = prepare(&COMM_ALONE, &config, report, e);
    if (status == STATUS_OK)
        status = corpus_open(output, corpus, e);
    free(path[0]);
    free(path[1]);
    free(output);
    return status;
}

/* The tokens of a split as texts joined by '|'. */
static void expect_split(struct corpus *corpus, enum split split, const char *want)
{
    struct error error;
    char got[1000] = "";
    int64_t count = corpus->tokens[split];
    uint32_t *tokens = malloc((size_t)count * sizeof *tokens + 1);
    assert_int_equal(corpus_read(corpus, split, 0, count, tokens, &error), STATUS_OK);
    for (int64_t i = 0; i < count; i++) {
        size_t length;
        const char *text = vocab_text(corpus->vocab, tokens[i], &length);
        strncat(got, text, length);
        strcat(got, "|");
    }
    free(tokens);
    assert_string_equal(got, want);
}

static void prepare_splits_and_counts(void **state)
{
    (void)state;
    struct corpus *corpus;
    struct prepare_report report;
    struct error error = {0};
    struct prepare_config words = {.level = LEVEL_WORD, .min_count = 2, .lowercase = true};
    enum status status = prepare_text(words, "The cat\nthe Dog\n", "the cow\n", &corpus, &report, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, STATUS_OK);
    assert_true(corpus->lowercase);
    expect_split(corpus, SPLIT_TRAIN, "the|<unk>|</s>|the|<unk>|</s>|");
    expect_split(corpus, SPLIT_VALID, "the|<unk>|</s>|");
    assert_int_equal(corpus->tokens[SPLIT_TEST], 0);
    assert_int_equal(corpus->unknowns[SPLIT_TRAIN], 2);
    assert_int_equal(corpus->unknowns[SPLIT_VALID], 1);
    assert_int_equal(report.distinct, 4);
    assert_int_equal(report.vocab, 3);
    assert_int_equal(report.bytes[SPLIT_TRAIN], 16);
    assert_string_equal(corpus->digest, report.digest);
    assert_int_equal(corpus_verify(corpus, &error), STATUS_OK);
    corpus_close(corpus);
}

static void prepare_cuts_by_position(void **state)
{
    (void)state;
    struct corpus *corpus;
    struct prepare_report report;
    struct error error = {0};
    /* 12 bytes: 50 % is byte 6, 75 % is byte 9, inside the euro sign: moved to 10 */
    struct prepare_config cut = {.level = LEVEL_CHAR, .percent = {50, 25, 25}};
    assert_int_equal(prepare_text(cut,
                                  "ababab"
                                  "c\xe2\x82\xac"
                                  "ba",
                                  NULL, &corpus, &report, &error),
                     STATUS_OK);
    expect_split(corpus, SPLIT_TRAIN, "a|b|a|b|a|b|");
    expect_split(corpus, SPLIT_VALID, "<unk>|<unk>|"); /* the vocabulary comes from the training text alone */
    expect_split(corpus, SPLIT_TEST, "b|a|");
    corpus_close(corpus);

    struct prepare_config lines = {.level = LEVEL_WORD, .percent = {45, 0, 55}};
    assert_int_equal(prepare_text(lines, "a b\nc d\ne f\n", NULL, &corpus, &report, &error), STATUS_OK);
    expect_split(corpus, SPLIT_TRAIN, "a|b|</s>|c|d|</s>|"); /* byte 5.4 lies in the second line */
    expect_split(corpus, SPLIT_TEST, "<unk>|<unk>|</s>|");
    assert_int_equal(corpus->tokens[SPLIT_VALID], 0);
    corpus_close(corpus);
}

static void prepare_cuts_a_run_of_files(void **state)
{
    (void)state;
    struct error error = {0};
    char *path[3] = {put("1.txt", "aaaa"), put("2.txt", "bbbbbb"), put("3.txt", "aabbccddee")}, *output = place("c.h5");
    const char *names[3] = {path[0], path[1], path[2]};
    struct prepare_config config = {.level = LEVEL_CHAR, .percent = {40, 10, 50}, .output = output};
    config.files[SPLIT_TRAIN] = 3;
    config.file[SPLIT_TRAIN] = names;
    struct prepare_report report;
    struct corpus *corpus = NULL;
    assert_int_equal(prepare(&COMM_ALONE, &config, &report, &error), STATUS_OK); /* 20 bytes: 8, 2 and 10 of them */
    assert_int_equal(corpus_open(output, &corpus, &error), STATUS_OK);
    expect_split(corpus, SPLIT_TRAIN, "a|a|a|a|b|b|b|b|");
    expect_split(corpus, SPLIT_VALID, "b|b|");
    expect_split(corpus, SPLIT_TEST, "a|a|b|b|<unk>|<unk>|<unk>|<unk>|<unk>|<unk>|");
    corpus_close(corpus);
    for (int i = 0; i < 3; i++)
        free(path[i]);
    free(output);
}

static void expect_prepare_refused(struct prepare_config config, const char *train, const char *valid,
                                   enum status status, const char *words)
{
    struct corpus *corpus;
    struct prepare_report report;
    struct error error = {0};
    char *output = place("c.h5"), *temporary = place("c.h5.tmp");
    unlink(output);
    assert_int_equal(prepare_text(config, train, valid, &corpus, &report, &error), status);
    if (!strstr(error.text, words))
        fail_msg("'%s' does not say '%s'", error.text, words);
    assert_int_equal(access(output, F_OK), -1); /* nothing is left */
    assert_int_equal(access(temporary, F_OK), -1);
    free(output);
    free(temporary);
}

static void prepare_refuses_bad_input(void **state)
{
    (void)state;
    struct prepare_config chars = {.level = LEVEL_CHAR}, words = {.level = LEVEL_WORD};
    expect_prepare_refused(chars, "", NULL, STATUS_DATA, "the file is empty;");
    expect_prepare_refused(chars, "ab", "", STATUS_DATA, "the file is empty;");
    expect_prepare_refused(chars, "a", NULL, STATUS_DATA, "'train' has 1 tokens, too few");
    expect_prepare_refused(chars, "abc", "a", STATUS_DATA, "'valid' has 1 tokens, too few");
    expect_prepare_refused(chars, "ab\xff", NULL, STATUS_DATA, "byte offset 2;");
    expect_prepare_refused(chars, "ab", "b\xff", STATUS_DATA,
                           "valid.txt' as UTF-8: invalid byte 0xff at byte offset 1");
    words.percent[SPLIT_TRAIN] = 90;
    words.percent[SPLIT_VALID] = 10;
    expect_prepare_refused(words, "one line only", NULL, STATUS_DATA, "or another --split");
    words.percent[SPLIT_VALID] = 20;
    expect_prepare_refused(words, "a\nb\n", NULL, STATUS_CONFIG, "three shares of 100 percent");
    words.percent[SPLIT_VALID] = -10;
    words.percent[SPLIT_TEST] = 20;
    expect_prepare_refused(words, "a\nb\n", NULL, STATUS_CONFIG, "three shares of 100 percent");
    expect_prepare_refused(words, "a\nb\n", "c\n", STATUS_CONFIG, "exclude each other");
    struct prepare_config bytes = {.level = LEVEL_BYTE, .lowercase = true};
    expect_prepare_refused(bytes, "ab", NULL, STATUS_CONFIG, "'--lowercase'");
}

static void equal_texts_give_equal_files(void **state)
{
    (void)state;
    char *path = place("c.h5"), *other = place("d.h5");
    for (int i = 0; i < 2; i++) {
        struct corpus *corpus;
        struct prepare_report report;
        struct error error;
        struct prepare_config config = {.level = LEVEL_CHAR};
        assert_int_equal(prepare_text(config, "to be or not", "to be", &corpus, &report, &error), STATUS_OK);
        corpus_close(corpus);
        if (i == 0) {
            assert_int_equal(rename(path, other), 0);
            sleep(1);
        }
    }
    char command[1400];
    snprintf(command, sizeof command, "cmp '%s' '%s'", path, other);
    assert_int_equal(system(command), 0);
    free(path);
    free(other);
}

static void large_vocabularies_take_four_bytes(void **state)
{
    (void)state;
    enum { MOST = 65535 };
    for (int extra = -1; extra <= 0; extra++) {
        char *text = malloc(MOST * 7), *at = text, *output = place("c.h5");
        for (int i = 0; i < MOST + extra - 1; i++) /* <unk> and </s> make two more */
            at += sprintf(at, "%x ", i);
        struct corpus *corpus;
        struct prepare_report report;
        struct error error = {0};
        assert_int_equal(
            prepare_text((struct prepare_config){.level = LEVEL_WORD}, text, text, &corpus, &report, &error),
            STATUS_OK);
        assert_int_equal(report.vocab, MOST + 1 + extra);
        struct h5 *file = NULL;
        struct h5_shape shape;
        assert_int_equal(h5_open_plain(output, STATUS_DATA, &file, &error), STATUS_OK);
        assert_int_equal(h5_shape(file, "/valid/tokens", &shape, &error), STATUS_OK);
        assert_int_equal(shape.type, extra < 0 ? H5_U16 : H5_U32);
        h5_close_read(file);
        uint32_t last[2];
        assert_int_equal(corpus_read(corpus, SPLIT_VALID, MOST + extra - 2, 2, last, &error), STATUS_OK);
        assert_int_equal(last[0], MOST + extra - 1); /* ties in the order of first appearance: "</s>" is last */
        assert_int_equal(last[1], MOST + extra);
        assert_int_equal(corpus_verify(corpus, &error), STATUS_OK);
        corpus_close(corpus);
        free(text);
        free(output);
    }
}

/* ---- the output file ---- */

static void output_appears_whole_or_not_at_all(void **state)
{
    (void)state;
    struct error error;
    struct output output, second;
    char *path = place("out"), *temporary = place("out.tmp"), *text = put("out", "old");
    assert_int_equal(output_begin(path, &output, &error), STATUS_OK);
    assert_int_equal(output_begin(path, &second, &error), STATUS_CANTCREATE);
    assert_non_null(strstr(error.text, "another process is making it"));
    output_abandon(&output);
    assert_int_equal(access(temporary, F_OK), -1);
    assert_int_equal(access(path, F_OK), 0); /* the old one is untouched */

    assert_int_equal(output_begin(path, &output, &error), STATUS_OK);
    free(put("out.tmp", "new"));
    assert_int_equal(output_commit(&output, &error), STATUS_OK);
    assert_int_equal(access(temporary, F_OK), -1);
    FILE *file = fopen(path, "r");
    char word[8] = "";
    assert_int_equal(fread(word, 1, 7, file), 3);
    assert_string_equal(word, "new");
    fclose(file);

    assert_int_equal(output_begin(folder, &output, &error), STATUS_CANTCREATE);
    assert_int_equal(output_begin("/dev/null", &output, &error), STATUS_CANTCREATE);
    assert_int_equal(output_begin("/nowhere/at/all", &output, &error), STATUS_CANTCREATE);
    assert_non_null(strstr(error.text, "cannot create '/nowhere/at/all': No such file or directory;"));
    free(path);
    free(temporary);
    free(text);
}

/* ---- files made to harm ---- */

static void set_digest(struct h5 *file, const char *path, const void *data, size_t bytes)
{
    char hex[DIGEST_TEXT];
    digest_of(data, bytes, hex);
    assert_int_equal(h5_set_string(file, path, "xxh3_128", hex, NULL), STATUS_OK);
}

static void add_part(struct h5 *file, const char *path, enum h5_type type, int64_t count, const void *data)
{
    struct h5_shape shape = {type, 1, {count, 1}};
    assert_int_equal(h5_make_dataset(file, path, &shape, NULL), STATUS_OK);
    assert_int_equal(h5_write(file, path, type, 0, count, data, NULL), STATUS_OK);
    set_digest(file, path, data, (size_t)count * h5_type_size(type));
}

struct recipe { /* of a small corpus: <unk> a b; train "ab" */
    const char *format, *level, *digest;
    uint64_t version, lowercase, offsets[4], unknowns;
    int64_t offsets_count, counts_count;
    const char *bytes;
    uint16_t tokens[2];
    enum h5_type token_type;
    bool no_vocab, no_digest, token_matrix;
    const char *normalise, *unicode;
};

static const struct recipe good = {
    .format = "unroll-corpus",
    .level = "char",
    .version = 1,
    .offsets = {0, 5, 6, 7},
    .offsets_count = 4,
    .counts_count = 3,
    .bytes = "<unk>ab",
    .tokens = {1, 2},
    .token_type = H5_U16,
};

/* Digest of the whole, from its definition in corpus.c. */
static void whole_digest(const struct recipe *recipe, char hex[DIGEST_TEXT])
{
    char part[3][DIGEST_TEXT], vocab[DIGEST_TEXT], tokens[DIGEST_TEXT], text[200];
    digest_of(recipe->level, strlen(recipe->level), part[0]);
    digest_of(recipe->bytes, strlen(recipe->bytes), part[1]);
    digest_of(recipe->offsets, (size_t)recipe->offsets_count * 8, part[2]);
    digest_of(part, sizeof part, vocab);
    digest_of(recipe->tokens, sizeof recipe->tokens, tokens);
    int length = snprintf(text, sizeof text, "vocab %s\ntrain 2 %s\n", vocab, tokens);
    digest_of(text, (size_t)length, hex);
}

static enum status open_recipe(const struct recipe *recipe, struct corpus **corpus, void **image, struct error *e)
{
    struct h5 *file = NULL;
    uint64_t counts[4] = {0, 1, 1, 0};
    uint32_t wide[2] = {1, 2};
    char hex[DIGEST_TEXT];
    size_t size;
    assert_int_equal(h5_create_image(&file, NULL), STATUS_OK);
    whole_digest(recipe, hex);
    h5_set_string(file, "/", "format", recipe->format, NULL);
    h5_set_string(file, "/", "level", recipe->level, NULL);
    h5_set_string(file, "/", "digest", recipe->digest ? recipe->digest : hex, NULL);
    h5_set_u64(file, "/", "version", recipe->version, NULL);
    h5_set_u64(file, "/", "lowercase", recipe->lowercase, NULL);
    if (recipe->normalise)
        h5_set_string(file, "/", "normalise", recipe->normalise, NULL);
    if (recipe->unicode)
        h5_set_string(file, "/", "unicode", recipe->unicode, NULL);
    if (!recipe->no_vocab) {
        assert_int_equal(h5_make_group(file, "/vocab", NULL), STATUS_OK);
        add_part(file, "/vocab/bytes", H5_U8, (int64_t)strlen(recipe->bytes), recipe->bytes);
        add_part(file, "/vocab/offsets", H5_U64, recipe->offsets_count, recipe->offsets);
        add_part(file, "/vocab/counts", H5_U64, recipe->counts_count, counts);
    }
    assert_int_equal(h5_make_group(file, "/train", NULL), STATUS_OK);
    h5_set_u64(file, "/train", "unknowns", recipe->unknowns, NULL);
    if (recipe->token_matrix) {
        struct h5_shape shape = {H5_U16, 2, {1, 2}};
        assert_int_equal(h5_make_dataset(file, "/train/tokens", &shape, NULL), STATUS_OK);
        assert_int_equal(h5_write(file, "/train/tokens", H5_U16, 0, 2, recipe->tokens, NULL), STATUS_OK);
    } else if (recipe->no_digest) {
        struct h5_shape shape = {H5_U16, 1, {2, 1}};
        assert_int_equal(h5_make_dataset(file, "/train/tokens", &shape, NULL), STATUS_OK);
        assert_int_equal(h5_write(file, "/train/tokens", H5_U16, 0, 2, recipe->tokens, NULL), STATUS_OK);
    } else if (recipe->token_type == H5_U16) {
        add_part(file, "/train/tokens", H5_U16, 2, recipe->tokens);
    } else {
        add_part(file, "/train/tokens", recipe->token_type, 2, wide);
    }
    assert_int_equal(h5_image_bytes(file, image, &size, NULL), STATUS_OK);
    h5_close_write(file, NULL);
    assert_int_equal(h5_open_image(*image, size, "test", STATUS_DATA, &file, e), STATUS_OK);
    return corpus_adopt(file, "test", corpus, e);
}

static void expect_recipe_refused(struct recipe recipe, const char *words)
{
    struct error error = {0};
    struct corpus *corpus;
    void *image;
    assert_int_equal(open_recipe(&recipe, &corpus, &image, &error), STATUS_DATA);
    assert_null(corpus);
    mem_free(image);
    if (!strstr(error.text, words))
        fail_msg("'%s' does not say '%s'", error.text, words);
}

static void hostile_corpora_are_refused(void **state)
{
    (void)state;
    struct error error = {0};
    struct corpus *corpus;
    void *image;
    enum status status = open_recipe(&good, &corpus, &image, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(corpus->tokens[SPLIT_TRAIN], 2);
    assert_int_equal(corpus_verify(corpus, &error), STATUS_OK);
    corpus_close(corpus);
    mem_free(image);

#define BUT(...)   \
    recipe = good; \
    recipe.__VA_ARGS__
    struct recipe recipe;
    BUT(format = "unroll-checkpoint");
    expect_recipe_refused(recipe, "its format is not 'unroll-corpus'");
    BUT(version = 3);
    expect_recipe_refused(recipe, "it is of version 3 and this program reads 1 to 2");
    BUT(normalise = "nfx");
    expect_recipe_refused(recipe, "'normalise' is no form that Unroll knows");
    BUT(normalise = "none");
    expect_recipe_refused(recipe, "'normalise' is no form that Unroll knows");
    BUT(normalise = "nfc"); /* the digest is of another kind of vocabulary */
    expect_recipe_refused(recipe, "'digest' does not fit the parts");
    BUT(unicode = "15.0.0 and more than fits");
    expect_recipe_refused(recipe, "unicode");
    BUT(level = "letter");
    expect_recipe_refused(recipe, "'level' is none that Unroll knows");
    BUT(lowercase = 2);
    expect_recipe_refused(recipe, "'lowercase'");
    BUT(digest = "0123");
    expect_recipe_refused(recipe, "'digest' does not fit the parts");
    BUT(no_vocab = true);
    expect_recipe_refused(recipe, "no dataset '/vocab/bytes'");
    BUT(offsets[1] = 7);
    expect_recipe_refused(recipe, "entry '0' is not '<unk>'");
    BUT(offsets[2] = UINT64_MAX);
    expect_recipe_refused(recipe, "entry '1' is empty, too long or out of order");
    BUT(offsets[3] = 8);
    expect_recipe_refused(recipe, "'/vocab/offsets' does not end where the texts end");
    BUT(offsets_count = 3);
    expect_recipe_refused(recipe, "'/vocab/offsets' has a length out of range");
    BUT(counts_count = 4);
    expect_recipe_refused(recipe, "'/vocab/offsets' has a length out of range");
    BUT(bytes = "<unk>aa");
    expect_recipe_refused(recipe, "entry '2' is there twice");
    BUT(unknowns = 3);
    expect_recipe_refused(recipe, "fewer tokens than unknown ones");
    BUT(token_type = H5_U32);
    expect_recipe_refused(recipe, "'/train/tokens' has another type or shape");
    BUT(token_matrix = true);
    expect_recipe_refused(recipe, "'/train/tokens' has another type or shape");
    BUT(no_digest = true);
    expect_recipe_refused(recipe, "no usable attribute 'xxh3_128'");
}

static void tokens_beyond_the_vocabulary_are_refused(void **state)
{
    (void)state;
    struct error error = {0};
    struct corpus *corpus;
    void *image;
    struct recipe recipe = good;
    recipe.tokens[1] = 3;
    assert_int_equal(open_recipe(&recipe, &corpus, &image, &error), STATUS_OK);
    uint32_t tokens[2];
    assert_int_equal(corpus_read(corpus, SPLIT_TRAIN, 0, 1, tokens, &error), STATUS_OK);
    assert_int_equal(corpus_read(corpus, SPLIT_TRAIN, 0, 2, tokens, &error), STATUS_DATA);
    assert_non_null(strstr(error.text, "holds token 3"));
    assert_int_equal(corpus_verify(corpus, &error), STATUS_DATA);
    corpus_close(corpus);
    mem_free(image);

    recipe = good; /* says that none is unknown, and one is */
    recipe.tokens[1] = 0;
    assert_int_equal(open_recipe(&recipe, &corpus, &image, &error), STATUS_OK);
    assert_int_equal(corpus_verify(corpus, &error), STATUS_DATA);
    assert_non_null(strstr(error.text, "number of unknowns"));
    corpus_close(corpus);
    mem_free(image);
}

/* Every bit of a corpus: a flip is noticed when it is opened or verified. */
static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct corpus *corpus;
    struct prepare_report report;
    struct error error;
    struct prepare_config config = {.level = LEVEL_CHAR};
    assert_int_equal(prepare_text(config, "to be or not", "to be", &corpus, &report, &error), STATUS_OK);
    corpus_close(corpus);
    char *path = place("c.h5"), bytes[20000];
    FILE *file = fopen(path, "rb");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_in_range(size, 1000, sizeof bytes - 1);
    for (size_t i = 0; i < size; i++) {
        struct h5 *h5 = NULL;
        bytes[i] ^= (char)(1 << i % 8);
        enum status status = h5_open_image(bytes, size, "flipped", STATUS_DATA, &h5, &error);
        if (status == STATUS_OK)
            status = corpus_adopt(h5, "flipped", &corpus, &error);
        if (status == STATUS_OK) {
            status = corpus_verify(corpus, &error);
            corpus_close(corpus);
        }
        if (status != STATUS_DATA)
            fail_msg("byte %zu flipped gave %d", i, (int)status);
        bytes[i] ^= (char)(1 << i % 8);
    }
    free(path);
}

static void missing_corpus_says_what_to_do(void **state)
{
    (void)state;
    struct corpus *corpus;
    struct error error;
    assert_int_equal(corpus_open("absent.h5", &corpus, &error), STATUS_NOINPUT);
    assert_string_equal(error.text, "cannot open corpus 'absent.h5': no such file; run 'unroll prepare' first");
    assert_int_equal(choices_find(&split_choices, "test"), SPLIT_TEST);
    assert_int_equal(choices_find(&split_choices, "tests"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepare_splits_and_counts),
        cmocka_unit_test(prepare_cuts_by_position),
        cmocka_unit_test(prepare_cuts_a_run_of_files),
        cmocka_unit_test(prepare_refuses_bad_input),
        cmocka_unit_test(equal_texts_give_equal_files),
        cmocka_unit_test(large_vocabularies_take_four_bytes),
        cmocka_unit_test(output_appears_whole_or_not_at_all),
        cmocka_unit_test(hostile_corpora_are_refused),
        cmocka_unit_test(tokens_beyond_the_vocabulary_are_refused),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(missing_corpus_says_what_to_do),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
