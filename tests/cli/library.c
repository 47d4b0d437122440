/* For tests/cli/install.bats, linked against an installed libunroll: `library MODEL TEXT` scores the lines of TEXT
 * in every way that <unroll.h> offers, makes all its mistakes, and prints the log-probabilities. With -DWITH_MPI
 * inside MPI. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef WITH_MPI
#include <mpi.h>
#endif
#include <unroll.h>

#define EXPECT(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

/* Names that the library uses inside: with its static form they must not clash. */
int vocab_free = 1, comm_init = 2, json_init = 3, checkpoint_read = 4, mem_alloc = 5;

static struct unroll_error error;

static void fail(const char *condition, int line)
{
    fprintf(stderr, "line %d: %s does not hold; last error %d '%s'\n", line, condition, error.status, error.text);
    exit(1);
}

static void expect_error(int status, int wanted, const char *word, int line)
{
    if (status == wanted && error.status == wanted && strstr(error.text, word))
        return;
    fprintf(stderr, "line %d: status %d, error %d '%s'; wanted %d with '%s'\n", line, status, error.status, error.text,
            wanted, word);
    exit(1);
}
#define EXPECT_ERROR(call, wanted, word) expect_error(call, wanted, word, __LINE__)

struct lines {
    char *text;
    const char **line;
    size_t *length, count;
};

static struct lines read_lines(const char *path)
{
    struct lines lines = {0};
    FILE *file = fopen(path, "rb");
    EXPECT(file && fseek(file, 0, SEEK_END) == 0);
    size_t bytes = (size_t)ftell(file);
    rewind(file);
    lines.text = malloc(bytes + 1);
    lines.line = calloc(bytes + 1, sizeof *lines.line);
    lines.length = calloc(bytes + 1, sizeof *lines.length);
    EXPECT(lines.text && lines.line && lines.length && fread(lines.text, 1, bytes, file) == bytes);
    fclose(file);
    for (size_t at = 0; at < bytes;) {
        char *end = memchr(lines.text + at, '\n', bytes - at);
        EXPECT(end != NULL);
        lines.line[lines.count] = lines.text + at;
        lines.length[lines.count++] = (size_t)(end - lines.text) - at;
        at = (size_t)(end - lines.text) + 1;
    }
    return lines;
}

static struct unroll_score *score(struct unroll_model *model, const struct lines *lines, size_t count)
{
    struct unroll_score *scores = calloc(count + 1, sizeof *scores);
    EXPECT(scores && unroll_score_lines(model, lines->line, lines->length, count, scores, &error) == UNROLL_OK);
    return scores;
}

static void check_scores(struct unroll_model *model, const struct lines *lines)
{
    struct unroll_score *together = score(model, lines, lines->count), one;
    for (size_t i = 0; i < lines->count; i++) {
        EXPECT(unroll_score(model, lines->line[i], lines->length[i], &one, &error) == UNROLL_OK);
        EXPECT(memcmp(&one, &together[i], sizeof one) == 0);
        EXPECT(one.tokens >= 1 && one.unknown >= 0 && one.unknown <= one.tokens && one.log_probability < 0);
        printf("%.6f\n", one.log_probability);
    }
    EXPECT(unroll_score_lines(model, NULL, NULL, 0, NULL, NULL) == UNROLL_OK);
    free(together);
}

static void check_sampling(struct unroll_model *model)
{
    struct unroll_sampling how = UNROLL_SAMPLING;
    char *first, *second;
    size_t length;
    EXPECT(unroll_sample(model, NULL, &first, NULL, &error) == UNROLL_OK);
    EXPECT(unroll_sample(model, &how, &second, &length, NULL) == UNROLL_OK);
    EXPECT(strcmp(first, second) == 0 && strlen(first) == length && length >= 500);
    free(second);
    how.size = offsetof(struct unroll_sampling, temperature); /* a caller of an older header */
    EXPECT(unroll_sample(model, &how, &second, &length, &error) == UNROLL_OK && strcmp(first, second) == 0);
    free(second);
    how.size = sizeof how;
    how.seed = 2;
    EXPECT(unroll_sample(model, &how, &second, &length, &error) == UNROLL_OK && strcmp(first, second) != 0);
    free(first);
    free(second);
}

static void check_mistakes(struct unroll_model *model, const char *path)
{
    struct unroll_model *none = model;
    struct unroll_score one;
    struct unroll_sampling how = UNROLL_SAMPLING;
    char *text;
    EXPECT_ERROR(unroll_open("none.h5", 1, &none, &error), UNROLL_NOINPUT, "'none.h5'");
    EXPECT(none == NULL);
    EXPECT_ERROR(unroll_open("not-a-model", 1, &none, &error), UNROLL_CHECKPOINT, "'not-a-model'");
    EXPECT_ERROR(unroll_open(path, 0, &none, &error), UNROLL_USAGE, "threads");
    EXPECT_ERROR(unroll_open(NULL, 1, &none, &error), UNROLL_USAGE, "path");
    EXPECT_ERROR(unroll_open(path, 1, NULL, &error), UNROLL_USAGE, "model");
    EXPECT(unroll_open("none.h5", 1, &none, NULL) == UNROLL_NOINPUT);
    struct unroll_score crlf;
    EXPECT(unroll_score(model, "line", 4, &one, NULL) == UNROLL_OK);
    EXPECT(unroll_score(model, "line\r", 5, &crlf, NULL) == UNROLL_OK);
    EXPECT(one.tokens == crlf.tokens && one.log_probability == crlf.log_probability);
    EXPECT_ERROR(unroll_score(model, "a\nb", 3, &one, &error), UNROLL_DATA, "line 1");
    EXPECT_ERROR(unroll_score(model, "a\xff", 2, &one, &error), UNROLL_DATA, "UTF-8");
    EXPECT_ERROR(unroll_score(model, "a\0b", 3, &one, &error), UNROLL_DATA, "lines");
    EXPECT_ERROR(unroll_score(NULL, "a", 1, &one, &error), UNROLL_USAGE, "NULL");
    EXPECT_ERROR(unroll_score(model, NULL, 0, &one, &error), UNROLL_USAGE, "NULL");
    EXPECT_ERROR(unroll_score(model, "a", 1, NULL, &error), UNROLL_USAGE, "NULL");
    EXPECT_ERROR(unroll_sample(model, &how, NULL, NULL, &error), UNROLL_USAGE, "unroll_sample");
    how.size = 3;
    EXPECT_ERROR(unroll_sample(model, &how, &text, NULL, &error), UNROLL_USAGE, "unroll_sample");
    how.size = sizeof how;
    how.prime = "\xff";
    EXPECT_ERROR(unroll_sample(model, &how, &text, NULL, &error), UNROLL_DATA, "prime");
    how.prime = NULL;
    EXPECT_ERROR(unroll_sample(model, &how, &text, NULL, &error), UNROLL_USAGE, "prime");
    how.prime = "a";
    how.length = 0;
    EXPECT_ERROR(unroll_sample(model, &how, &text, NULL, &error), UNROLL_USAGE, "length");
    how.length = 1;
    how.temperature = -1;
    EXPECT_ERROR(unroll_sample(model, &how, &text, NULL, &error), UNROLL_USAGE, "temperature");
    how.temperature = 1;
    how.top_k = -1;
    EXPECT_ERROR(unroll_sample(model, &how, &text, NULL, &error), UNROLL_USAGE, "top_k");
    how.top_k = 0;
    how.top_p = 0;
    EXPECT_ERROR(unroll_sample(model, &how, &text, NULL, &error), UNROLL_USAGE, "top_p");
    how.top_p = 1;
    EXPECT(unroll_sample(model, &how, &text, NULL, &error) == UNROLL_OK && *error.text == '\0');
    free(text);
    unroll_free(NULL);
}

struct worker {
    const char *path;
    const struct lines *lines;
    struct unroll_score *scores;
};

static void *work(void *context)
{
    struct worker *worker = context;
    struct unroll_model *model;
    if (unroll_open(worker->path, 2, &model, NULL) == UNROLL_OK) {
        worker->scores = score(model, worker->lines, worker->lines->count);
        unroll_free(model);
    }
    return NULL;
}

/* Two threads with a model each, at the same time. */
static void check_threads(const char *path, const struct lines *lines)
{
    struct worker worker[2] = {{path, lines, NULL}, {path, lines, NULL}};
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        EXPECT(pthread_create(&thread[i], NULL, work, &worker[i]) == 0);
    for (int i = 0; i < 2; i++)
        EXPECT(pthread_join(thread[i], NULL) == 0 && worker[i].scores);
    EXPECT(memcmp(worker[0].scores, worker[1].scores, lines->count * sizeof *worker[0].scores) == 0);
    free(worker[0].scores);
    free(worker[1].scores);
}

int main(int argc, char **argv)
{
    struct unroll_model *model;
    EXPECT(argc == 3);
#ifdef WITH_MPI
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank > 0 && !freopen("/dev/null", "w", stdout))
        return 1;
#endif
    EXPECT(strncmp(unroll_version(), "0.", 2) == 0);
    struct lines lines = read_lines(argv[2]);
    EXPECT(unroll_open(argv[1], 1, &model, &error) == UNROLL_OK);
    EXPECT(unroll_vocabulary_size(model) > 10);
    check_scores(model, &lines);
    check_mistakes(model, argv[1]);
    check_sampling(model);
    check_threads(argv[1], &lines);
    unroll_free(model);
    free(lines.text);
    free(lines.line);
    free(lines.length);
#ifdef WITH_MPI
    MPI_Finalize();
#endif
    return vocab_free + comm_init + json_init + checkpoint_read + mem_alloc == 15 ? 0 : 1;
}
