/* Scores the lines of standard input with a model of Unroll, as 'unroll score' does:
 *
 *     cc score_lines.c $(pkg-config --cflags --libs unroll) -o score_lines
 *     ./score_lines best.h5 <text.txt
 *     ./score_lines best.h5 --write 'In the beginning' 200      writes 200 tokens of new text instead
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unroll.h>

static int fail(const struct unroll_error *error)
{
    fprintf(stderr, "score_lines: %s\n", error->text);
    return error->status;
}

static int write_text(struct unroll_model *model, const char *prime, long length)
{
    struct unroll_sampling how = UNROLL_SAMPLING;
    struct unroll_error error;
    char *text;
    size_t bytes;
    how.prime = prime;
    how.length = length;
    if (unroll_sample(model, &how, &text, &bytes, &error) != UNROLL_OK)
        return fail(&error);
    printf("%s", prime);
    fwrite(text, 1, bytes, stdout);
    printf("\n");
    free(text);
    return 0;
}

static int score_input(struct unroll_model *model)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    int status = 0;
    while (status == 0 && (length = getline(&line, &room, stdin)) >= 0) {
        struct unroll_error error;
        struct unroll_score score;
        if (length > 0 && line[length - 1] == '\n')
            length--;
        if (unroll_score(model, line, (size_t)length, &score, &error) != UNROLL_OK)
            status = fail(&error);
        else
            printf("%.6f\n", score.log_probability);
    }
    free(line);
    return status;
}

int main(int argc, char **argv)
{
    struct unroll_model *model;
    struct unroll_error error;
    if (argc < 2) {
        fprintf(stderr, "usage: score_lines MODEL.h5 [--write PRIME TOKENS]\n");
        return 64;
    }
    if (unroll_open(argv[1], 1, &model, &error) != UNROLL_OK)
        return fail(&error);
    int status = argc == 5 && strcmp(argv[2], "--write") == 0 ? write_text(model, argv[3], atol(argv[4]))
                                                              : score_input(model);
    unroll_free(model);
    return status;
}
