/* unroll classify: the label of each line of a text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/use/classify.h"
#include "unroll/use/line_reader.h"

#define PIECE 4096 /* tokens of a line read at once */

struct likely {
    float probability;
    int label;
};

/* Rank 0's part: lines in, labels out. The others only compute. */
struct classifying {
    const struct vocab *vocab;
    const struct labels *labels;
    const char *name; /* of the input */
    int longest;
    bool all, as_json;
    struct line_reader *reader;
    struct classify_pool *pool;
    struct classifier *classifier;
    struct json json;
    uint32_t piece[PIECE];
    struct likely *order;   /* [labels] */
    int64_t line;           /* lines read whole */
    int64_t cut, cut_first; /* of them longer than `longest`, and the first such */
    int64_t line_printed;
    bool input_ended;
    enum status failure; /* of the input: told when the lines before it are done */
    struct error reason;
};

/* The whole next line into the pool, as many tokens as count; false at the input's end and at a fault. */
static bool read_line(struct classifying *work)
{
    struct classify_pool *pool = work->pool;
    uint32_t *tokens = pool->tokens + pool->offset[pool->texts];
    int64_t count = 0, length = 0;
    struct line_part part = {0};
    while (!part.line_ended) {
        work->failure = line_reader_next(work->reader, work->piece, PIECE, &part, &work->reason);
        if (work->failure || part.input_ended)
            return false;
        for (int64_t i = 0; i < part.count && count < work->longest; i++)
            tokens[count++] = work->piece[i];
        length += part.count;
    }
    work->line++;
    if (length > work->longest && work->cut++ == 0)
        work->cut_first = work->line;
    if (count == 0) {
        work->failure = error_set(&work->reason, STATUS_DATA,
                                  "cannot classify '%s' line %lld: it has no text; write one, or remove the line",
                                  work->name, (long long)work->line);
        return false;
    }
    if (count < work->longest && work->vocab->eos >= 0)
        tokens[count++] = (uint32_t)work->vocab->eos; /* as every training text had one */
    pool->offset[pool->texts + 1] = pool->offset[pool->texts] + count;
    pool->texts++;
    return true;
}

/* Fills the pool until it is full, the input ends, or lines are there and the next would have to be waited for. */
static void fill_pool(struct classifying *work)
{
    struct classify_pool *pool = work->pool;
    pool->texts = 0;
    while (!work->input_ended && pool->texts < pool->texts_max &&
           pool->tokens_max - pool->offset[pool->texts] >= work->longest) {
        if (pool->texts > 0 && !line_reader_ready(work->reader))
            return;
        if (!read_line(work))
            work->input_ended = true;
    }
}

/* ---- output ---- */

static int compare_likely(const void *a, const void *b)
{
    const struct likely *x = a, *y = b;
    if (x->probability != y->probability)
        return x->probability > y->probability ? -1 : 1;
    return x->label < y->label ? -1 : x->label > y->label;
}

static int likeliest(const float *p, int labels)
{
    int best = 0;
    for (int j = 1; j < labels; j++)
        if (p[j] > p[best])
            best = j;
    return best;
}

static const char *name_of(const struct labels *labels, int label, char room[LABEL_BYTES_MAX + 1])
{
    size_t length;
    const char *text = labels_text(labels, label, &length);
    memcpy(room, text, length);
    room[length] = '\0';
    return room;
}

/* The likeliest label with its probability; with --all every label, the likeliest first. */
static void print_tsv(struct classifying *work, const float *p)
{
    char name[LABEL_BYTES_MAX + 1];
    int labels = work->labels->count, best = likeliest(p, labels), count = work->all ? labels : 1;
    struct likely *order = work->order;
    order[0] = (struct likely){p[best], best};
    for (int j = 0; work->all && j < labels; j++)
        order[j] = (struct likely){p[j], j};
    qsort(order, (size_t)count, sizeof *order, compare_likely);
    for (int i = 0; i < count; i++)
        printf("%s%s\t%.6f", i > 0 ? "\t" : "", name_of(work->labels, order[i].label, name), order[i].probability);
    printf("\n");
}

static enum status print_json(struct classifying *work, const float *p, struct error *e)
{
    char name[LABEL_BYTES_MAX + 1];
    struct json *json = &work->json;
    const char *text;
    int best = likeliest(p, work->labels->count);
    json_clear(json);
    json_object_begin(json, NULL);
    json_put_int(json, "line", work->line_printed);
    json_put_string(json, "label", name_of(work->labels, best, name));
    json_put_double(json, "probability", p[best]);
    if (work->all) {
        json_object_begin(json, "probabilities");
        for (int j = 0; j < work->labels->count; j++)
            json_put_double(json, name_of(work->labels, j, name), p[j]);
        json_object_end(json);
    }
    json_object_end(json);
    enum status status = json_text(json, &text, e);
    if (!status)
        printf("%s\n", text);
    return status;
}

static enum status put_pool(struct classifying *work, struct error *e)
{
    const struct classify_pool *pool = work->pool;
    enum status status = STATUS_OK;
    for (int text = 0; text < pool->texts && !status; text++) {
        const float *p = pool->probability + (int64_t)text * work->labels->count;
        work->line_printed++;
        if (!isfinite(p[0]))
            status = error_set(e, STATUS_CHECKPOINT,
                               "cannot classify line %lld: its probabilities are not finite; the model's training "
                               "diverged: use an earlier checkpoint",
                               (long long)work->line_printed);
        else if (work->as_json)
            status = print_json(work, p, e);
        else
            print_tsv(work, p);
    }
    return status ? status : finish_output(e);
}

/* ---- the command ---- */

/* Collective. Pool after pool, until rank 0 has none. */
static enum status classify_lines(const struct comm *comm, struct classifying *work, struct error *e)
{
    for (;;) {
        if (comm->rank == 0)
            fill_pool(work);
        if (comm_max(comm, comm->rank == 0 ? work->pool->texts : 0) == 0)
            return STATUS_OK;
        classifier_run(work->classifier, comm, work->pool);
        enum status status = comm_agree(comm, comm->rank == 0 ? put_pool(work, e) : STATUS_OK, e);
        if (status)
            return status;
        if (comm->rank == 0 && ferror(stdout))
            work->input_ended = true; /* the reader has seen enough */
    }
}

/* Rank 0, at the end. */
static void tell_cut(const struct classifying *work)
{
    if (work->cut > 0)
        fprintf(
            stderr,
            "unroll: %lld of %lld lines, line %lld the first, were classified by their first %d tokens, as many as the "
            "model read of a text in training (--bptt)\n",
            (long long)work->cut, (long long)work->line, (long long)work->cut_first, work->longest);
}

static enum status open_classifying(const struct comm *comm, const struct options *options,
                                    const struct checkpoint *checkpoint, int threads, struct classifying *work,
                                    struct error *e)
{
    bool standard = options->files == 0 || file_is_standard(options->file[0]);
    work->vocab = checkpoint->vocab;
    work->labels = checkpoint->labels;
    work->name = standard ? "standard input" : options->file[0];
    work->longest = checkpoint->bptt;
    work->all = options->all_labels;
    work->as_json = options->score_tsv_json;
    json_init(&work->json);
    work->order = mem_alloc((size_t)work->labels->count, sizeof *work->order, "labels", e);
    enum status status = work->order ? markers_check(options->markers, work->vocab->level, e) : STATUS_OS;
    if (!status)
        status = classify_pool_create(work->labels->count, work->longest, &work->pool, e);
    if (!status)
        status =
            classifier_create(&checkpoint->model, checkpoint->values, work->longest, threads, &work->classifier, e);
    if (!status && comm->rank == 0)
        status = line_reader_open(options->files > 0 ? options->file[0] : NULL, work->vocab, &work->reader, e);
    if (!status && work->reader)
        line_reader_markers(work->reader, options->markers, checkpoint->markers);
    return status;
}

static void close_classifying(struct classifying *work)
{
    line_reader_close(work->reader);
    classifier_free(work->classifier);
    classify_pool_free(work->pool);
    json_release(&work->json);
    mem_free(work->order);
    mem_free(work);
}

enum status cmd_classify(const struct comm *comm, const struct options *options, struct error *e)
{
    struct checkpoint checkpoint;
    struct classifying *work = mem_alloc(1, sizeof *work, "texts to classify", e);
    int threads = 1;
    enum status status = comm_agree(comm, work ? STATUS_OK : STATUS_OS, e);
    if (status) {
        mem_free(work);
        return status;
    }
    json_init(&work->json);
    status = load_model(comm, options, TASK_CLASSIFY, &checkpoint, e);
    if (!status)
        status = load_threads(comm, options, &threads, e);
    if (!status)
        status = comm_agree(comm, open_classifying(comm, options, &checkpoint, threads, work, e), e);
    if (!status)
        status = classify_lines(comm, work, e);
    if (!status && comm->rank == 0)
        tell_cut(work);
    if (!status && comm->rank == 0) {
        struct marker_counts met;
        line_reader_met(work->reader, &met);
        tell_markers(options->markers, &met);
    }
    if (!status && comm->rank == 0 && work->failure)
        status = error_set(e, work->failure, "%s", work->reason.text);
    status = comm_agree(comm, status, e);
    close_classifying(work);
    checkpoint_release(&checkpoint);
    return status;
}
