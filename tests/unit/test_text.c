/* Text: strict UTF-8, files in blocks and parts, tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <utf8proc.h>

#include "support/folder.h"
#include "unroll/base/mem.h"
#include "unroll/data/encoding.h"
#include "unroll/data/text.h"
#include "unroll/data/tokenizer.h"
#include "unroll/data/utf8.h"

/* Writes the one file that a test works on, and gives its path. */
static const char *put(const void *bytes, size_t length)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/text", folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* Reads a part of a file whole; the text is the caller's. */
static enum status slurp(const char *path, int64_t begin, int64_t end, struct text_config config, char **out,
                         size_t *total, struct text_counts *counts, struct error *e)
{
    struct text *text = NULL;
    struct text_file file = {.path = path, .name = path, .size = end};
    struct text_part part = {&file, begin, end};
    const char *bytes;
    size_t length;
    int64_t offset;
    char *all = malloc((size_t)(end - begin) * 3 + 1);
    *total = 0;
    *out = all;
    enum status status = text_open(&part, &config, NULL, &text, e);
    while (status == STATUS_OK && (status = text_next(text, &bytes, &length, &offset, e)) == STATUS_OK && length) {
        assert_true(config.level == LEVEL_BYTE || utf8_valid(bytes, length) == length);
        memcpy(all + *total, bytes, length);
        *total += length;
    }
    if (text && counts)
        text_get_counts(text, counts);
    text_close(text);
    all[*total] = '\0';
    return status;
}

static void expect_text(const void *raw, size_t length, struct text_config config, const void *want, size_t want_length,
                        int64_t replaced, int64_t crlf)
{
    char *got;
    size_t total;
    struct text_counts counts;
    struct error error = {0};
    enum status status = slurp(put(raw, length), 0, (int64_t)length, config, &got, &total, &counts, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(total, want_length);
    assert_memory_equal(got, want, total);
    assert_int_equal(counts.replaced, replaced);
    assert_int_equal(counts.crlf, crlf);
    assert_int_equal(counts.bytes, length);
    free(got);
}

static void expect_refused(const void *raw, size_t length, struct text_config config, const char *words)
{
    char *got;
    size_t total;
    struct error error = {0};
    assert_int_equal(slurp(put(raw, length), 0, (int64_t)length, config, &got, &total, NULL, &error), STATUS_DATA);
    if (!strstr(error.text, words))
        fail_msg("'%s' does not say '%s'", error.text, words);
    free(got);
}

/* ---- UTF-8 ---- */

static void compare_with_utf8proc(const unsigned char *bytes, size_t length)
{
    utf8proc_int32_t code;
    utf8proc_ssize_t want = utf8proc_iterate(bytes, (utf8proc_ssize_t)length, &code);
    int bad, got = utf8_sequence((const char *)bytes, length, &bad);
    if (want > 0) {
        int decoded;
        assert_int_equal(got, want);
        assert_int_equal(utf8_decode((const char *)bytes, &decoded), code);
        assert_int_equal(decoded, want);
    } else if (got > 0 || (length == UTF8_LONGEST && got == UTF8_CUT)) {
        fail_msg("%02x %02x %02x.. is not UTF-8", bytes[0], bytes[1], bytes[2]);
    }
}

static void utf8_agrees_with_utf8proc(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1u << 24; i++) {
        unsigned char bytes[4] = {(unsigned char)(i >> 16), (unsigned char)(i >> 8), (unsigned char)i, 0};
        compare_with_utf8proc(bytes, 3);
    }
    static const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    for (int lead = 0xe0; lead < 0x100; lead++)
        for (int second = 0; second < 0x100; second++)
            for (size_t k = 0; k < sizeof edges * sizeof edges; k++) {
                unsigned char bytes[4] = {(unsigned char)lead, (unsigned char)second, edges[k / sizeof edges],
                                          edges[k % sizeof edges]};
                compare_with_utf8proc(bytes, 4);
            }
    for (uint32_t code = 0; code < UTF8_CODES; code++) {
        char bytes[UTF8_LONGEST];
        int length, bad;
        if (code >= 0xd800 && code < 0xe000)
            continue;
        int written = utf8_encode(code, bytes);
        assert_int_equal(utf8_sequence(bytes, (size_t)written, &bad), written);
        assert_int_equal(utf8_decode(bytes, &length), code);
        for (int cut = 1; cut < written; cut++)
            assert_int_equal(utf8_sequence(bytes, (size_t)cut, &bad), UTF8_CUT);
    }
}

static void valid_prefix_is_found_at_any_place(void **state)
{
    (void)state;
    char bytes[64];
    for (size_t at = 0; at < 40; at++) {
        memset(bytes, 'a', sizeof bytes);
        memcpy(bytes + 3, "\xe2\x82\xac", 3);
        bytes[at] = (char)0xff;
        size_t want = at >= 3 && at < 6 ? 3 : at;
        assert_int_equal(utf8_valid(bytes, sizeof bytes), want);
    }
}

static const struct text_config strict = {LEVEL_CHAR, false}, replacing = {LEVEL_CHAR, true};

/* ---- files ---- */

static void marks_and_line_ends(void **state)
{
    (void)state;
    expect_text("\xef\xbb\xbfhi\r\nyou\r\n", 12, strict, "hi\nyou\n", 7, 0, 2);
    expect_text("a\rb\n\r", 5, strict, "a\rb\n\r", 5, 0, 0); /* a CR alone is a character */
    expect_text("\r\r\n", 3, strict, "\r\n", 2, 0, 1);
    expect_text("x\xef\xbb\xbf", 4, strict, "x\xef\xbb\xbf", 4, 0, 0); /* elsewhere it is a character */
    expect_text("\xef\xbb\xbf", 3, strict, "", 0, 0, 0);
    expect_text("\xef\xbb\xbf\r\n\xff\0", 7, (struct text_config){LEVEL_BYTE, false}, "\xef\xbb\xbf\r\n\xff\0", 7, 0,
                0);
}

static void invalid_text_is_refused_with_its_offset(void **state)
{
    (void)state;
    expect_refused("good\xff", 5, strict, "invalid byte 0xff at byte offset 4;");
    expect_refused("\xef\xbb\xbf\r\nab\xed\xa0\x80", 10, strict, "0xed at byte offset 7;");
    expect_refused("cut \xe2\x82", 6, strict, "0xe2 at byte offset 4;");
    expect_refused("a\0b", 3, strict, "NUL byte at byte offset 1;");
    expect_refused("\xff\xfe"
                   "a\0",
                   4, strict, "UTF-16");
}

/* The example of the Unicode Standard, table 3-8, and a few of its neighbours. */
static void invalid_text_is_replaced_and_counted(void **state)
{
    (void)state;
#define R "\xef\xbf\xbd"
    expect_text("a\xf1\x80\x80\xe1\x80\xc2"
                "b\x80"
                "c\x80\xbf"
                "d",
                13, replacing, "a" R R R "b" R "c" R R "d", 22, 6, 0);
    expect_text("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
                "A",
                9, replacing, R R R R R R R R "A", 25, 8, 0);
    expect_text("\xed\xa0\x80"
                "A",
                4, replacing, R R R "A", 10, 3, 0);
    expect_text("\0\xe2\x82", 3, replacing, R R, 6, 2, 0);
}

/* Longer than a block, so that characters, line ends and invalid sequences lie across the boundary in every way. */
static void blocks_do_not_show(void **state)
{
    (void)state;
    static const char *const pieces[] = {"\xf0\x9f\x98\x80", "\xe2\x82\xac", "\xc3\xa9", "\r\n", "ab",
                                         "\xf0\x9f",         "\xff"};
    static const char *const cleaned[] = {"\xf0\x9f\x98\x80", "\xe2\x82\xac", "\xc3\xa9", "\n", "ab", R, R};
    const size_t block = (size_t)1 << 20;
    for (size_t kind = 0; kind < sizeof pieces / sizeof *pieces; kind++) {
        for (size_t before = block - 5; before <= block; before++) {
            size_t raw_length = before + strlen(pieces[kind]) + 3, clean_length = before + strlen(cleaned[kind]) + 3;
            char *raw = malloc(raw_length + 1), *clean = malloc(clean_length + 1);
            memset(raw, 'x', before);
            memset(clean, 'x', before);
            sprintf(raw + before, "%sEND", pieces[kind]);
            sprintf(clean + before, "%sEND", cleaned[kind]);
            expect_text(raw, raw_length, replacing, clean, clean_length, kind >= 5, kind == 3);
            free(raw);
            free(clean);
        }
    }
    expect_text("only\r", 5, strict, "only\r", 5, 0, 0);
}

static void a_hundred_megabyte_line_needs_no_memory(void **state)
{
    (void)state;
    char path[600];
    snprintf(path, sizeof path, "%s/long", folder);
    FILE *file = fopen(path, "wb");
    char *block = malloc(1 << 20);
    memset(block, 'a', 1 << 20);
    for (int i = 0; i < 100; i++)
        assert_int_equal(fwrite(block, 1, 1 << 20, file), 1 << 20);
    fclose(file);
    free(block);
    struct text *text = NULL;
    struct error error;
    struct text_file whole = {.path = path, .name = path, .size = 100 << 20};
    struct text_part part = {&whole, 0, whole.size};
    const char *bytes;
    size_t length;
    int64_t offset, total = 0;
    assert_int_equal(text_open(&part, &strict, NULL, &text, &error), STATUS_OK);
    int64_t allocations = mem_allocation_count();
    while (text_next(text, &bytes, &length, &offset, &error) == STATUS_OK && length)
        total += (int64_t)length;
    assert_int_equal(total, 100 << 20);
    assert_int_equal(mem_allocation_count(), allocations);
    text_close(text);
    unlink(path);
}

static void files_that_are_no_texts(void **state)
{
    (void)state;
    struct text_file file;
    struct error error;
    char path[600];
    snprintf(path, sizeof path, "%s/absent", folder);
    assert_int_equal(text_look(path, &file, &error), STATUS_NOINPUT);
    assert_non_null(strstr(error.text, "absent': No such file or directory;"));
    assert_int_equal(text_look(folder, &file, &error), STATUS_NOINPUT);
    assert_non_null(strstr(error.text, "it is a directory;"));
    assert_int_equal(text_look("/dev/null", &file, &error), STATUS_NOINPUT);
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(text_look(path, &file, &error), STATUS_NOINPUT);
    assert_non_null(strstr(error.text, "not a regular file"));
    assert_int_equal(text_look(put("", 0), &file, &error), STATUS_DATA);
    assert_non_null(strstr(error.text, "is empty;"));
    char *got; /* a file that is shorter than it was */
    size_t total;
    assert_int_equal(slurp(put("short", 5), 0, 9, strict, &got, &total, NULL, &error), STATUS_IO);
    assert_non_null(strstr(error.text, "became shorter"));
    free(got);
}

static void cuts_lie_between_characters_and_lines(void **state)
{
    (void)state;
    static const char text[] = "ab\r\n\xe2\x82\xac"
                               "\xf0\x9f\x98\x80z\nlast";
    const int64_t size = sizeof text - 1;
    static const int chars[] = {0, 1, 2, 4, 4, 7, 7, 7, 11, 11, 11, 11, 12, 13, 14, 15, 16, 17};
    static const int words[] = {0, 4, 4, 4, 4, 13, 13, 13, 13, 13, 13, 13, 13, 13, 17, 17, 17, 17};
    const char *path = put(text, (size_t)size);
    struct text_file file = {.path = path, .name = path, .size = size};
    assert_int_equal(size, 17);
    for (int64_t at = 0; at <= size; at++) {
        int64_t cut;
        struct error error;
        assert_int_equal(text_cut(&file, level_cut_of(LEVEL_CHAR, NORMAL_NONE), at, &cut, &error), STATUS_OK);
        assert_int_equal(cut, chars[at]);
        assert_int_equal(text_cut(&file, level_cut_of(LEVEL_WORD, NORMAL_NONE), at, &cut, &error), STATUS_OK);
        assert_int_equal(cut, words[at]);
        assert_int_equal(text_cut(&file, level_cut_of(LEVEL_BYTE, NORMAL_NONE), at, &cut, &error), STATUS_OK);
        assert_int_equal(cut, at);

        /* Two parts that meet in the cut are the whole. */
        char *whole, *first, *second;
        size_t whole_length, first_length, second_length;
        assert_int_equal(text_cut(&file, level_cut_of(LEVEL_CHAR, NORMAL_NONE), at, &cut, &error), STATUS_OK);
        assert_int_equal(slurp(path, 0, size, strict, &whole, &whole_length, NULL, &error), STATUS_OK);
        assert_int_equal(slurp(path, 0, cut, strict, &first, &first_length, NULL, &error), STATUS_OK);
        assert_int_equal(slurp(path, cut, size, strict, &second, &second_length, NULL, &error), STATUS_OK);
        assert_int_equal(first_length + second_length, whole_length);
        assert_memory_equal(whole, first, first_length);
        assert_memory_equal(whole + first_length, second, second_length);
        free(whole);
        free(first);
        free(second);
    }
    char *long_line = malloc(20001); /* the next line end is beyond one buffer */
    memset(long_line, 'x', 20001);
    long_line[18000] = '\n';
    int64_t cut;
    put(long_line, 20001);
    file.size = 20001;
    assert_int_equal(text_cut(&file, level_cut_of(LEVEL_WORD, NORMAL_NONE), 10, &cut, NULL), STATUS_OK);
    assert_int_equal(cut, 18001);
    free(long_line);
}

/* ---- tokens ---- */

/* The tokens of a text fed in blocks that end at the given places, as texts joined by '|'. */
static char *tokens_of(enum level level, bool lowercase, const char *text, size_t cut1, size_t cut2)
{
    struct error error;
    struct tally *tally = tally_new(&error);
    struct tokenizer *tokenizer = NULL;
    struct vocab *vocab = NULL;
    const uint32_t *ids;
    size_t count, ends[4] = {cut1, cut2, strlen(text), 0}, at = 0, total = 0;
    uint32_t *all = malloc((strlen(text) + 4) * sizeof *all);
    assert_int_equal(tokenizer_open_counting(tally, level, lowercase, &tokenizer, &error), STATUS_OK);
    for (int i = 0; i < 4; i++) {
        if (i < 3)
            assert_int_equal(tokenizer_feed(tokenizer, text + at, ends[i] - at, "t", 0, &ids, &count, &error),
                             STATUS_OK);
        else
            assert_int_equal(tokenizer_end(tokenizer, &ids, &count, &error), STATUS_OK);
        tally_count(tally, ids, count);
        memcpy(all + total, ids, count * sizeof *ids);
        total += count;
        at = ends[i];
    }
    assert_int_equal(tally_vocab(tally, level, 0, 1, &vocab, &error), STATUS_OK);
    tokenizer_free(tokenizer);

    /* The vocabulary gives as many tokens as the tally did, none unknown but a literal "<unk>". */
    assert_int_equal(tokenizer_open(vocab, lowercase, &tokenizer, &error), STATUS_OK);
    char *joined = calloc(total + 1, 40);
    for (int part = 0; part < 2; part++) {
        if (part == 0)
            assert_int_equal(tokenizer_feed(tokenizer, text, strlen(text), "t", 0, &ids, &count, &error), STATUS_OK);
        else
            assert_int_equal(tokenizer_end(tokenizer, &ids, &count, &error), STATUS_OK);
        for (size_t i = 0; i < count; i++) {
            size_t length;
            const char *word = vocab_text(vocab, ids[i], &length);
            strncat(joined, word, length);
            strcat(joined, "|");
            assert_true(total-- > 0);
        }
    }
    assert_int_equal(total, 0);
    tokenizer_free(tokenizer);
    vocab_free(vocab);
    tally_free(tally);
    free(all);
    return joined;
}

static void expect_tokens(enum level level, bool lowercase, const char *text, const char *want)
{
    size_t length = strlen(text);
    for (size_t cut1 = 0; cut1 <= length; cut1++) {
        for (size_t cut2 = cut1; cut2 <= length; cut2++) {
            bool inside = (cut1 < length && ((unsigned char)text[cut1] & 0xc0) == 0x80) ||
                          (cut2 < length && ((unsigned char)text[cut2] & 0xc0) == 0x80);
            if (level != LEVEL_BYTE && inside)
                continue; /* blocks are whole code points */
            char *got = tokens_of(level, lowercase, text, cut1, cut2);
            assert_string_equal(got, want);
            free(got);
        }
    }
}

static void tokens_do_not_depend_on_blocks(void **state)
{
    (void)state;
    expect_tokens(LEVEL_CHAR, false, "aB\n\xc3\x84", "a|B|\n|\xc3\x84|");
    expect_tokens(LEVEL_CHAR, true, "aB\n\xc3\x84\xc8\xba", "a|b|\n|\xc3\xa4|\xe2\xb1\xa5|");
    expect_tokens(LEVEL_BYTE, false, "a\xc3\xff", "a|\xc3|\xff|");
    expect_tokens(LEVEL_WORD, false, "the  cat\tsat\nthe end", "the|cat|sat|</s>|the|end|</s>|");
    expect_tokens(LEVEL_WORD, false, "\n \na\n", "</s>|</s>|a|</s>|");
    expect_tokens(LEVEL_WORD, false, "a <unk> </s>\n", "a|<unk>|</s>|</s>|");
    expect_tokens(LEVEL_WORD, true, "THE \xc3\x84Z\n", "the|\xc3\xa4z|</s>|");
    /* no-break, ideographic and thin spaces part words; a quotation mark that begins with the same byte does not */
    expect_tokens(LEVEL_WORD, false,
                  "a\xc2\xa0"
                  "b\xe3\x80\x80"
                  "c\xe2\x80\x89"
                  "d\xe2\x80\x9d"
                  "e \xc2\xa9",
                  "a|b|c|d\xe2\x80\x9d"
                  "e|\xc2\xa9|</s>|");
}

static void words_have_a_longest_length(void **state)
{
    (void)state;
    const size_t most = TOKENIZER_WORD_MAX;
    char *text = malloc(most + 3);
    memset(text, 'w', most + 1);
    for (int excess = 0; excess < 2; excess++) {
        for (size_t cut = 0; cut <= most; cut += most / 2) {
            struct error error;
            struct tally *tally = tally_new(&error);
            struct tokenizer *tokenizer = NULL;
            const uint32_t *ids;
            size_t count;
            text[most + (size_t)excess] = ' ';
            text[most + (size_t)excess + 1] = '\n';
            assert_int_equal(tokenizer_open_counting(tally, LEVEL_WORD, true, &tokenizer, &error), STATUS_OK);
            enum status status = tokenizer_feed(tokenizer, text, cut, "t", 0, &ids, &count, &error);
            assert_int_equal(status, STATUS_OK);
            status = tokenizer_feed(tokenizer, text + cut, most + (size_t)excess + 2 - cut, "t", (int64_t)cut, &ids,
                                    &count, &error);
            assert_int_equal(status, excess ? STATUS_DATA : STATUS_OK);
            if (excess)
                assert_non_null(strstr(error.text, "cannot use 't' at word level: word of more than"));
            else
                assert_int_equal(count, 2);
            tokenizer_free(tokenizer);
            tally_free(tally);
        }
        text[most] = 'w';
    }
    free(text);
}

/* Tokens of a text that is cut at `cut`, and what was met in it. */
static size_t count_marked(const char *text, size_t cut, bool strip, struct tokenizer_met *met)
{
    struct error error;
    struct tally *tally = tally_new(&error);
    struct tokenizer *tokenizer = NULL;
    const uint32_t *ids;
    size_t count, total = 0;
    assert_int_equal(tokenizer_open_counting(tally, LEVEL_WORD, true, &tokenizer, &error), STATUS_OK);
    if (strip)
        tokenizer_set_markers(tokenizer, MARKERS_STRIP);
    for (int part = 0; part < 3; part++) {
        const char *from = part == 0 ? text : text + cut;
        size_t length = part == 0 ? cut : strlen(text) - cut;
        if (part < 2)
            assert_int_equal(tokenizer_feed(tokenizer, from, length, "t", 0, &ids, &count, &error), STATUS_OK);
        else
            assert_int_equal(tokenizer_end(tokenizer, &ids, &count, &error), STATUS_OK);
        total += count;
    }
    tokenizer_take_met(tokenizer, met);
    struct tokenizer_met again;
    tokenizer_take_met(tokenizer, &again);
    assert_int_equal(again.line + again.markers.begins + again.markers.ends + again.markers.unknowns, 0);
    tokenizer_free(tokenizer);
    tally_free(tally);
    return total;
}

static void markers_do_not_depend_on_blocks(void **state)
{
    (void)state;
    static const char text[] = "a\nb <s> </s> c</s>\n</S> <s> <>\n<UNK> <s></s> <unk>\n<s>";
    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct tokenizer_met met;
        assert_int_equal(count_marked(text, cut, false, &met), 17);
        assert_int_equal(met.markers.begins, 3);
        assert_int_equal(met.markers.ends, 2);
        assert_int_equal(met.markers.unknowns, 2);
        assert_int_equal(met.line, 2);
        assert_int_equal(count_marked(text, cut, true, &met), 12);
        assert_int_equal(met.markers.begins, 3);
        assert_int_equal(met.line, 2);
    }
}

static void expect_advice(const char *bytes, size_t length, const char *want)
{
    char text[ENCODING_TEXT];
    encoding_advice(bytes, length, 0, NULL, text);
    if (!strstr(text, want))
        fail_msg("%s instead of %s", text, want);
}

static void encodings_are_guessed(void **state)
{
    (void)state;
    expect_advice("caf\xe9", 4, "LATIN1");
    expect_advice("\x93quoted\x94", 8, "CP1252");
    expect_advice("a\0b\0c\0d\0e\0", 10, "UTF-16LE");
    expect_advice("\0a\0b\0c\0d\0e", 10, "UTF-16BE");
    expect_advice("a\0\0b\0c", 6, "with iconv"); /* NUL bytes here and there */
    expect_advice("\xd0\xd1\xc9\xd7\xc5\xd4 \xcd\xc9\xd2 \xcb\xc1\xcb", 14, "KOI8-R");
    expect_advice("na\xc3\xafve Stra\xc3\x9f"
                  "e, \xc3\xa4 gr\xfc",
                  20, "with iconv");
    expect_advice("a\0\0\0b\0\0\0c\0\0\0d\0\0\0", 16, "UTF-32LE");
    expect_advice("P\xf8\xedli\xb9 \xbelu\xbb"
                  "ou\xe8k\xfd k\xf9\xf2 \xfap\xecl",
                  23, "another 8-bit encoding, such as ISO-8859-2");
    char text[ENCODING_TEXT], random[64];
    encoding_advice("caf\xe9", 4, 0, "a.txt", text);
    assert_string_equal(text, "with 'iconv -f LATIN1 -t UTF-8 a.txt >TEXT', it looks like Latin-1");
    assert_int_equal(encoding_advice("a\0b\xff\1\2", 6, 0, NULL, text), ENCODING_BINARY);
    assert_int_equal(encoding_advice("gr\xfc\xdf", 4, 0, NULL, text), ENCODING_BYTES);
    for (int round = 0; round < 1000; round++) { /* whatever the bytes are */
        for (size_t i = 0; i < sizeof random; i++)
            random[i] = (char)(rand() >> 7);
        encoding_advice(random, (size_t)(rand() % 65), rand() % 2, NULL, text);
        assert_ptr_equal(strstr(text, "with iconv"), text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_agrees_with_utf8proc),
        cmocka_unit_test(valid_prefix_is_found_at_any_place),
        cmocka_unit_test(marks_and_line_ends),
        cmocka_unit_test(invalid_text_is_refused_with_its_offset),
        cmocka_unit_test(invalid_text_is_replaced_and_counted),
        cmocka_unit_test(blocks_do_not_show),
        cmocka_unit_test(a_hundred_megabyte_line_needs_no_memory),
        cmocka_unit_test(files_that_are_no_texts),
        cmocka_unit_test(cuts_lie_between_characters_and_lines),
        cmocka_unit_test(tokens_do_not_depend_on_blocks),
        cmocka_unit_test(words_have_a_longest_length),
        cmocka_unit_test(markers_do_not_depend_on_blocks),
        cmocka_unit_test(encodings_are_guessed),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
