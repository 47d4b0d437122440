/* Writes a model as safetensors or as text. */
#include "weights_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/base/number.h"
#include "unroll/data/output.h"
#include "unroll/data/vocab_text.h"

#define FACTS_OWN 24 /* beside the options */
#define FACTS_MAX (CHECKPOINT_OPTIONS_MAX + FACTS_OWN)

/* What both formats tell beside the numbers. */
struct facts {
    int count;
    struct safetensors_note note[FACTS_MAX];
    char number[FACTS_OWN][MODEL_FIELD_TEXT]; /* the texts of those that are numbers */
    int numbers;
    char option[CHECKPOINT_OPTIONS_MAX][sizeof(((struct checkpoint_option *)0)->name) + sizeof WEIGHTS_OPTION];
};

static void add_text(struct facts *facts, const char *key, const char *value)
{
    CHECK(facts->count < FACTS_MAX);
    facts->note[facts->count++] = (struct safetensors_note){key, value};
}

static void add_number(struct facts *facts, const char *key, double value)
{
    CHECK(facts->numbers < FACTS_OWN);
    add_text(facts, key, number_format(value, facts->number[facts->numbers++]));
}

/* The fields of every model, or those of `special` ones. Readers take their own from them: weights_import.c. */
static void add_model(struct facts *facts, const struct model_config *model, bool special)
{
    for (int i = 0; i < model_field_count; i++) {
        const struct model_field *field = &model_fields[i];
        bool told = field->type == MODEL_TOKEN || model_field_is_said(field, model);
        if (field->lists & MODEL_TABLE || special != (field->applies != NULL) || !told)
            continue;
        CHECK(facts->numbers < FACTS_OWN);
        add_text(facts, model_field_told(field), model_field_text(field, model, facts->number[facts->numbers++]));
    }
}

static void collect_facts(struct facts *facts, const struct checkpoint *checkpoint)
{
    const struct model_config *model = &checkpoint->model;
    add_model(facts, model, false);
    add_number(facts, "batch", checkpoint->batch);
    add_number(facts, "bptt", checkpoint->bptt);
    add_number(facts, "lane_groups", checkpoint->groups);
    add_number(facts, "step", (double)checkpoint->progress.step);
    add_text(facts, "corpus_digest", checkpoint->corpus_digest);
    add_model(facts, model, true);
    for (int i = 0; i < checkpoint->options; i++) {
        snprintf(facts->option[i], sizeof facts->option[i], WEIGHTS_OPTION "%s", checkpoint->option[i].name);
        add_text(facts, facts->option[i], checkpoint->option[i].value);
    }
}

/* The texts that both formats hold. */
struct tables {
    char *vocabulary, *labels; /* owned; labels NULL if there are none */
};

static enum status labels_write(const struct labels *labels, char **text, struct error *e)
{
    size_t room = (size_t)labels->offsets[labels->count] + (size_t)labels->count * (NUMBER_TEXT + 2) + 1;
    char *to = *text = mem_alloc(room, 1, "labels as text", e);
    for (int i = 0; i < labels->count && to; i++) {
        size_t length;
        const char *label = labels_text(labels, i, &length);
        to += sprintf(to, "%.*s\t%llu\n", (int)length, label, (unsigned long long)labels->counts[i]);
    }
    return to ? STATUS_OK : STATUS_OS;
}

static void tables_release(struct tables *tables)
{
    mem_free(tables->vocabulary);
    mem_free(tables->labels);
}

/* Release also after a failure. */
static enum status tables_write(const struct checkpoint *checkpoint, struct tables *tables, struct error *e)
{
    size_t length;
    *tables = (struct tables){NULL, NULL};
    enum status status = vocab_text_write(checkpoint->vocab, &tables->vocabulary, &length, e);
    if (!status && checkpoint->labels)
        status = labels_write(checkpoint->labels, &tables->labels, e);
    return status;
}

/* ---- safetensors ---- */

static enum status write_safetensors(int fd, const char *path, const struct checkpoint *checkpoint, struct facts *facts,
                                     const struct tables *tables, struct error *e)
{
    struct safetensors_tensor tensors[PARAM_MAX];
    add_text(facts, "format", "pt"); /* what other readers look for */
    add_text(facts, "level", level_name(checkpoint->vocab->level));
    if (checkpoint->vocab->normal != NORMAL_NONE)
        add_text(facts, "normalise", normal_name(checkpoint->vocab->normal));
    if (*checkpoint->vocab->unicode)
        add_text(facts, "unicode", checkpoint->vocab->unicode);
    if (checkpoint->markers != MARKERS_REFUSE)
        add_text(facts, "markers", markers_name(checkpoint->markers));
    add_text(facts, "vocabulary", tables->vocabulary);
    if (tables->labels)
        add_text(facts, "labels", tables->labels);
    for (int i = 0; i < checkpoint->table.count; i++) {
        const struct param *param = &checkpoint->table.param[i];
        tensors[i] = (struct safetensors_tensor){.rank = param->rank,
                                                 .shape = {param->shape[0], param->shape[1]},
                                                 .count = (int64_t)param->count,
                                                 .data = checkpoint->values + param->offset};
        snprintf(tensors[i].name, sizeof tensors[i].name, "%s", param->name);
    }
    return safetensors_write(fd, path, tensors, checkpoint->table.count, facts->note, facts->count, e);
}

/* ---- text ---- */

static void print_param(FILE *stream, const struct param *param, const float *values)
{
    int64_t rows = param->rank == 2 ? param->shape[0] : 1, columns = (int64_t)param->count / (rows ? rows : 1);
    if (param->rank == 2)
        fprintf(stream, "%s %lld %lld\n", param->name, (long long)rows, (long long)columns);
    else
        fprintf(stream, "%s %lld\n", param->name, (long long)columns);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++)
            fprintf(stream, "%.9g%c", arithmetic_nan(values[row * columns + column]),
                    column + 1 < columns ? ' ' : '\n');
}

static void print_text(FILE *stream, const struct checkpoint *checkpoint, const struct facts *facts,
                       const struct tables *tables)
{
    fputs("# unroll-weights 1\n", stream);
    for (int i = 0; i < facts->count; i++)
        fprintf(stream, "# %s %s\n", facts->note[i].key, facts->note[i].value);
    char kind[VOCAB_KIND];
    fprintf(stream, "vocabulary %d %s\n%s", checkpoint->vocab->size, vocab_kind(checkpoint->vocab, kind),
            tables->vocabulary);
    if (tables->labels)
        fprintf(stream, "labels %d\n%s", checkpoint->labels->count, tables->labels);
    for (int i = 0; i < checkpoint->table.count && !ferror(stream); i++)
        print_param(stream, &checkpoint->table.param[i], checkpoint->values + checkpoint->table.param[i].offset);
}

/* `fd` stays the caller's. */
static enum status write_text(int fd, const char *path, const struct checkpoint *checkpoint, const struct facts *facts,
                              const struct tables *tables, struct error *e)
{
    enum status status = STATUS_OK;
    int copy = dup(fd);
    FILE *stream = copy >= 0 ? fdopen(copy, "w") : NULL;
    if (!stream) {
        status = error_set(e, STATUS_OS, "cannot open '%s' as a stream: %s; free some memory", path, strerror(errno));
        if (copy >= 0)
            (void)close(copy);
    } else {
        errno = 0;
        print_text(stream, checkpoint, facts, tables);
        bool failed = ferror(stream);
        int number = errno;
        if (fclose(stream) != 0 && !failed) {
            failed = true;
            number = errno;
        }
        if (failed)
            status = error_set(e, STATUS_IO, "cannot write '%s': %s; make room or choose another place", path,
                               errno_text(number));
    }
    return status;
}

/* Into an empty file. */
static enum status write_weights(int fd, const char *path, const struct checkpoint *checkpoint,
                                 enum weights_format format, struct error *e)
{
    struct tables tables;
    struct facts *facts = mem_alloc(1, sizeof *facts, "facts about a model", e);
    if (!facts)
        return STATUS_OS;
    collect_facts(facts, checkpoint);
    enum status status = tables_write(checkpoint, &tables, e);
    if (!status && format == WEIGHTS_TEXT)
        status = write_text(fd, path, checkpoint, facts, &tables, e);
    else if (!status)
        status = write_safetensors(fd, path, checkpoint, facts, &tables, e);
    tables_release(&tables);
    mem_free(facts);
    return status;
}

static enum status copy_out(int fd, int stream, const char *name, struct error *e)
{
    char piece[1 << 14];
    enum status status = STATUS_OK;
    for (off_t at = 0; !status;) {
        ssize_t got = pread(fd, piece, sizeof piece, at);
        if (got < 0)
            return error_set(e, STATUS_IO, "cannot read what is to go to %s: %s; free some memory", name,
                             strerror(errno));
        if (got == 0)
            break;
        status = file_write_stream(stream, name, piece, (size_t)got, e);
        at += got;
    }
    return status;
}

/* By way of memory: the writers go to and fro, and a reader gets all or nothing. */
static enum status export_to_stream(const struct checkpoint *checkpoint, enum weights_format format, int stream,
                                    const char *path, struct error *e)
{
    const char *name = file_is_standard(path) ? "standard output" : path;
    int fd = memfd_create("weights", MFD_CLOEXEC);
    if (fd < 0)
        return error_set(e, STATUS_OS, "cannot get memory for weights: %s; free some", strerror(errno));
    enum status status = write_weights(fd, name, checkpoint, format, e);
    if (!status)
        status = copy_out(fd, stream, name, e);
    (void)close(fd);
    return status;
}

enum status weights_export(const struct checkpoint *checkpoint, enum weights_format format, const char *path,
                           struct error *e)
{
    struct output output;
    int stream = file_standard_stream(path);
    if (stream >= 0)
        return export_to_stream(checkpoint, format, stream, path, e);
    enum status status = output_begin(path, &output, e);
    if (status)
        return status;
    if (ftruncate(output.lock, 0) != 0) /* what an earlier export that was killed left behind */
        status = error_set(e, STATUS_IO, "cannot empty '%s': %s; remove it", output.temporary, strerror(errno));
    if (!status)
        status = write_weights(output.lock, output.temporary, checkpoint, format, e);
    if (!status)
        return output_commit(&output, e);
    output_abandon(&output);
    return status;
}
