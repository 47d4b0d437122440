/* libunroll: scores lines and writes text with a model that 'unroll train' made (or 'unroll import').
 *
 *     struct unroll_error error;
 *     struct unroll_model *model;
 *     struct unroll_score score;
 *     if (unroll_open("best.h5", 1, &model, &error) != UNROLL_OK ||
 *         unroll_score(model, "In the beginning", 16, &score, &error) != UNROLL_OK)
 *         fprintf(stderr, "%s\n", error.text);
 *     else
 *         printf("%f\n", score.log_probability);
 *     unroll_free(model);
 *
 * Link with `pkg-config --cflags --libs unroll`, statically with `--static`.
 *
 * Results are those of 'unroll score' and 'unroll sample' to the last bit, for any number of threads. MPI need not be
 * initialised; where it is, every process computes for itself and no call is collective. Functions may be called from
 * any thread and run one at a time: the parallelism is that of `threads`, which OpenMP makes. Nothing is printed, and
 * the process is ended only by a defect of the library itself.
 *
 * The words "<s>" and "</s>" in a text are left out or kept as they were in the text that the model learned from
 * ('unroll prepare --markers'); where that had none, they are refused.
 *
 * With more than one thread the library keeps threads of its own. They sleep between calls, take no signals and end
 * with the process; a child of fork() starts new ones.
 *
 * The library changes two things in its process: HDF5 no longer loads plugins or prints errors, and BLIS_ARCH_TYPE is
 * set in the environment if BLIS does not know the CPU.
 *
 * Stability: the functions and structures below keep their meaning and layout as long as the shared library's number
 * (libunroll.so.N) is the same. */
#ifndef UNROLL_H
#define UNROLL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UNROLL_API __attribute__((visibility("default")))

/* What the functions return: UNROLL_OK, or why not, as the program's exit status. */
enum {
    UNROLL_OK = 0,
    UNROLL_USAGE = 64,       /* an argument that makes no sense */
    UNROLL_DATA = 65,        /* text that is not UTF-8, has a NUL byte, a line end in a line or, unless the text that
                                the model learned from had them, the words <s> or </s> */
    UNROLL_NOINPUT = 66,     /* the model's file is missing */
    UNROLL_UNAVAILABLE = 69, /* the host lacks something */
    UNROLL_OS = 71,          /* out of memory or another resource */
    UNROLL_IO = 74,          /* reading failed */
    UNROLL_CHECKPOINT = 76   /* the file is not a usable model */
};

#define UNROLL_ERROR_TEXT 1024

/* Filled by every function that takes one; NULL is allowed everywhere. */
struct unroll_error {
    int status;                   /* what the function returned */
    char text[UNROLL_ERROR_TEXT]; /* cause, 'object'; fix. Empty if there was no error */
};

/* "0.1.0" */
UNROLL_API const char *unroll_version(void);

struct unroll_model;

/* Reads a checkpoint (best.h5, or any in checkpoints/; of a run directory best.h5, else latest), verifies it and
 * holds it in memory. `threads` >= 1 is for all calls with this model. On failure *model is NULL. */
UNROLL_API int unroll_open(const char *path, int threads, struct unroll_model **model, struct unroll_error *error);
UNROLL_API void unroll_free(struct unroll_model *model); /* NULL is allowed */

/* Entries of the vocabulary, "<unk>" among them. */
UNROLL_API int unroll_vocabulary_size(const struct unroll_model *model);

struct unroll_score {
    double log_probability; /* natural logarithm, of all tokens and the line end; without line ends in the model's
                               vocabulary, of the second token and those behind it */
    int64_t tokens;         /* how many that are */
    int64_t unknown;        /* of them, not in the vocabulary, scored as "<unk>" */
};

/* Of one line, `length` bytes of UTF-8 without a line end. Each line stands alone. A CR at its end, that of CR LF,
 * is left out as the program leaves it out; at byte level it is a byte like others. */
UNROLL_API int unroll_score(struct unroll_model *model, const char *line, size_t length, struct unroll_score *score,
                            struct unroll_error *error);

/* Of many, computed side by side: much faster than one by one, and the same numbers. lines[i] has lengths[i] bytes;
 * scores[i] receives its score. On failure the scores are undefined; the message names the line, counted from 1. */
UNROLL_API int unroll_score_lines(struct unroll_model *model, const char *const *lines, const size_t *lengths,
                                  size_t count, struct unroll_score *scores, struct unroll_error *error);

/* How to draw text. Begin with UNROLL_SAMPLING, which holds the defaults, and change what you like: fields may be
 * added at the end, and `size` tells the library which ones the caller knows. */
struct unroll_sampling {
    size_t size;        /* sizeof(struct unroll_sampling) */
    const char *prime;  /* text to go on from, UTF-8 */
    int64_t length;     /* tokens to draw, at least 1 */
    uint64_t seed;      /* the same seed gives the same text */
    double temperature; /* below 1 keeps to likely tokens, above 1 is wilder; 0: the likeliest token */
    int64_t top_k;      /* draw from so many likeliest tokens; 0: all */
    double top_p;       /* and of those from the fewest that together have this share, above 0 and at most 1 */
};
#define UNROLL_SAMPLING                                         \
    {                                                           \
        sizeof(struct unroll_sampling), "", 500, 1, 1.0, 0, 1.0 \
    }

/* New text behind the prime, which is not repeated; with an empty one, if the model's vocabulary has no line end to
 * begin behind, the first token comes from the counts of the training text, or evenly where none are known. *text
 * ends with a null byte, which *length (NULL is allowed) does not count, and is released with free(). At byte level
 * it may hold any bytes. `how` NULL: the defaults. */
UNROLL_API int unroll_sample(struct unroll_model *model, const struct unroll_sampling *how, char **text, size_t *length,
                             struct unroll_error *error);

#ifdef __cplusplus
}
#endif

#endif
