/* Lines as tokens: the rules of `prepare`, whatever the size of the pieces that a pipe or the caller makes of them. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/use/line_reader.h"

static struct vocab *vocab_of(enum level level, const char *const *entries, int V)
{
    struct vocab *vocab = NULL;
    char *bytes = mem_alloc(256, 1, "test", NULL);
    uint64_t *offsets = mem_alloc((size_t)V + 1, sizeof *offsets, "test", NULL);
    uint64_t *counts = mem_alloc((size_t)V, sizeof *counts, "test", NULL);
    for (int v = 0; v < V; v++) {
        memcpy(bytes + offsets[v], entries[v], strlen(entries[v]));
        offsets[v + 1] = offsets[v] + strlen(entries[v]);
    }
    assert_int_equal(vocab_adopt(level, V, bytes, offsets, counts, STATUS_DATA, &vocab, NULL), STATUS_OK);
    return vocab;
}

static struct vocab *words(void)
{
    static const char *const entries[] = {"<unk>", "</s>", "the", "King", "\xc3\xa9t\xc3\xa9", "a"};
    return vocab_of(LEVEL_WORD, entries, 6);
}

static struct vocab *characters(void)
{
    static const char *const entries[] = {"<unk>", "\n", "a", "B", "\xc3\xa9", "\xe2\x82\xac", "\r"};
    return vocab_of(LEVEL_CHAR, entries, 7);
}

/* The lines as text, one digit for each token, '/' at each line's end; if the input is refused "!" and what the message
 * says behind the name. */
static void show(struct line_reader *reader, int64_t capacity, char *out)
{
    struct line_part part;
    struct error e = {0};
    uint32_t tokens[256];
    for (;;) {
        if (line_reader_next(reader, tokens, capacity, &part, &e)) {
            const char *reason = strstr(e.text, "' ");
            assert_non_null(reason);
            sprintf(out, "!%s", reason + 2);
            return;
        }
        assert_in_range(part.count, 0, capacity);
        for (int64_t i = 0; i < part.count; i++)
            out += sprintf(out, "%u", tokens[i]);
        if (part.line_ended)
            out += sprintf(out, "/");
        if (part.input_ended) {
            assert_int_equal(part.count, 0);
            *out = '\0';
            return;
        }
    }
}

/* The same lines from memory, from a file and from what gives one byte at a time. */
static void check(const struct vocab *vocab, const char *text, size_t length, const char *expected)
{
    char shown[2000], path[256];
    struct line_reader *reader;
    struct error e = {0};
    for (int64_t capacity = LINE_READER_CAPACITY_MIN; capacity <= 256; capacity += 37) {
        assert_int_equal(line_reader_open_text(text, length, "here", vocab, &reader, &e), STATUS_OK);
        show(reader, capacity, shown);
        assert_string_equal(shown, expected);
        line_reader_close(reader);
    }

    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/test_line_reader.%d", folder ? folder : "/tmp", (int)getpid());
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(text, 1, length, file), length);
    fclose(file);
    assert_int_equal(line_reader_open(path, vocab, &reader, &e), STATUS_OK);
    show(reader, 100, shown);
    assert_string_equal(shown, expected);
    line_reader_close(reader);
    unlink(path);

    int ends[2], standard_input = dup(STDIN_FILENO);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0); /* every read gives what one write gave */
    if (fork() == 0) {
        close(ends[0]);
        for (size_t i = 0; i < length; i++)
            if (write(ends[1], text + i, 1) != 1)
                _exit(1);
        _exit(0);
    }
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    assert_int_equal(line_reader_open("-", vocab, &reader, &e), STATUS_OK);
    show(reader, 100, shown);
    assert_string_equal(shown, expected);
    line_reader_close(reader);
    dup2(standard_input, STDIN_FILENO);
    close(standard_input);
    wait(NULL);
}

static void check_text(const struct vocab *vocab, const char *text, const char *expected)
{
    check(vocab, text, strlen(text), expected);
}

/* A letter under many accents is held back until it is known that no more come: more tokens at once than there is
 * room for. */
static void what_is_held_back_comes_in_parts(void **state)
{
    (void)state;
    static const char *const entries[] = {"<unk>", "\n", "a", "\xcc\x96", "\xc3\xa9"};
    struct vocab *vocab = vocab_of(LEVEL_CHAR, entries, 5);
    vocab_set_normal(vocab, NORMAL_NFC, NULL);
    char text[300] = "e\xcc\x81"
                     "a",
         expected[300] = "42";
    for (int i = 0; i < 90; i++) {
        strcat(text, "\xcc\x96");
        strcat(expected, "3");
    }
    strcat(text, "\ne\xcc\x81"
                 "e");
    strcat(expected, "/40/");
    check_text(vocab, text, expected);
    vocab_free(vocab);
}

static void words_of_lines(void **state)
{
    (void)state;
    struct vocab *vocab = words();
    check_text(vocab, "", "");
    check_text(vocab, "the King\n", "23/");
    check_text(vocab, "the King", "23/");
    check_text(vocab, "\n\n  \nthe\n\n", "///2//");
    check_text(vocab,
               " the\t\tqueen the \nking \xc3\xa9t\xc3\xa9\xe3\x80\x80"
               "a",
               "202/045/");
    check_text(vocab, "the\r\nKing\r\n", "2/3/");
    check_text(vocab, "\xef\xbb\xbfthe\nKing\n", "2/3/");
    check_text(vocab, "a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a\n",
               "555555555555555555555555555555/");
    vocab_free(vocab);
}

static void characters_of_lines(void **state)
{
    (void)state;
    struct vocab *vocab = characters();
    check_text(vocab, "aB\xc3\xa9\xe2\x82\xacz\n\na", "23450//2/");
    check_text(vocab, "a\r\nB\ra\n", "2/362/"); /* only CR LF is a line end */
    check_text(vocab,
               "\xef\xbb\xbf"
               "a\xef\xbb\xbf",
               "20/"); /* a byte order mark, and a character of no use */
    check_text(vocab, "a\r", "26/");
    check_text(
        vocab, "\xef\xbb",
        "!as UTF-8: invalid byte 0xef in line 1: the text ends within a character, it was cut off; get the whole text");
    vocab_free(vocab);
}

static void bytes_of_lines(void **state)
{
    (void)state;
    static const char *const entries[] = {"<unk>", "a", "\r", "\xff", "\n"};
    struct vocab *vocab = vocab_of(LEVEL_BYTE, entries, 5);
    check(vocab, "a\r\n\xff\0a\n", 7, "12/301/");
    vocab_free(vocab);
}

static void what_is_no_text_is_refused_behind_what_is(void **state)
{
    (void)state;
    struct vocab *vocab = words();
    check_text(
        vocab, "the\nKing \xff the\n",
        "2/3!as UTF-8: invalid byte 0xff in line 2; convert the text with iconv -f LATIN1 -t UTF-8, it looks like Latin-1");
    check_text(vocab, "the\n\n\xc3",
               "2//!as UTF-8: invalid byte 0xc3 in line 3: the text ends within a character, "
               "it was cut off; get the whole text");
    check(vocab, "the\nK\0", 6, "2/!as text: NUL byte in line 2; remove it");
    vocab_free(vocab);
}

static void a_vocabulary_without_capitals_gets_lower_case(void **state)
{
    (void)state;
    static const char *const entries[] = {"<unk>", "</s>", "the", "\xc3\xa9t\xc3\xa9"};
    struct vocab *vocab = vocab_of(LEVEL_WORD, entries, 4);
    check_text(vocab, "The THE \xc3\x89T\xc3\xa9\n", "223/");
    vocab_free(vocab);
    vocab = words();
    check_text(vocab, "The king\n", "00/");
    vocab_free(vocab);
}

/* A line and a word that are longer than any buffer. */
static void long_lines(void **state)
{
    (void)state;
    struct vocab *vocab = characters();
    struct line_reader *reader;
    struct line_part part;
    struct error e = {0};
    const size_t length = 3000000;
    char *text = malloc(length);
    uint32_t *tokens = calloc(1000, sizeof *tokens);
    int64_t count = 0;
    for (size_t i = 0; i < length; i++)
        text[i] = "a\xc3\xa9"[i % 3];
    assert_int_equal(line_reader_open_text(text, length, "here", vocab, &reader, &e), STATUS_OK);
    do {
        assert_int_equal(line_reader_next(reader, tokens, 1000, &part, &e), STATUS_OK);
        for (int64_t i = 0; i < part.count; i++)
            assert_int_equal(tokens[i], (count + i) % 2 ? 4 : 2);
        count += part.count;
    } while (!part.line_ended);
    assert_int_equal(count, length / 3 * 2);
    line_reader_close(reader);
    vocab_free(vocab);

    vocab = words();
    assert_int_equal(line_reader_open_text(text, length, "here", vocab, &reader, &e), STATUS_OK);
    enum status status;
    do
        status = line_reader_next(reader, tokens, 1000, &part, &e);
    while (!status && !part.line_ended);
    assert_int_equal(status, STATUS_DATA);
    assert_non_null(strstr(e.text, "word"));
    line_reader_close(reader);
    vocab_free(vocab);
    free(tokens);
    free(text);
}

/* Ready means: a whole line is there, or the end; a pipe with half a line is not. */
static void readiness(void **state)
{
    (void)state;
    struct vocab *vocab = words();
    struct line_reader *reader;
    struct line_part part;
    struct error e = {0};
    uint32_t tokens[32];
    int ends[2], standard_input = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    assert_int_equal(line_reader_open(NULL, vocab, &reader, &e), STATUS_OK);
    assert_false(line_reader_ready(reader));
    assert_int_equal(write(ends[1], "the King\nthe\nKi", 15), 15);
    assert_true(line_reader_ready(reader));
    for (int line = 0; line < 2; line++) {
        assert_true(line_reader_ready(reader));
        do
            assert_int_equal(line_reader_next(reader, tokens, 32, &part, &e), STATUS_OK);
        while (!part.line_ended);
    }
    assert_false(line_reader_ready(reader));
    close(ends[1]);
    assert_true(line_reader_ready(reader));
    line_reader_close(reader);
    vocab_free(vocab);
    dup2(standard_input, STDIN_FILENO);
    close(standard_input);
}

static void missing_files(void **state)
{
    (void)state;
    struct vocab *vocab = words();
    struct line_reader *reader;
    struct line_part part;
    struct error e = {0};
    uint32_t tokens[32];
    assert_int_equal(line_reader_open("/no/such/file", vocab, &reader, &e), STATUS_NOINPUT);
    assert_null(reader);
    assert_non_null(strstr(e.text, "'/no/such/file'"));
    assert_int_equal(line_reader_open("/tmp", vocab, &reader, &e), STATUS_OK);
    assert_int_equal(line_reader_next(reader, tokens, 32, &part, &e), STATUS_NOINPUT);
    line_reader_close(reader);
    vocab_free(vocab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_lines),
        cmocka_unit_test(what_is_held_back_comes_in_parts),
        cmocka_unit_test(characters_of_lines),
        cmocka_unit_test(bytes_of_lines),
        cmocka_unit_test(what_is_no_text_is_refused_behind_what_is),
        cmocka_unit_test(a_vocabulary_without_capitals_gets_lower_case),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(readiness),
        cmocka_unit_test(missing_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
