/* A checkpoint gives back what was put in, with either writer; any damage to it is noticed; a file that is made to harm
 * is refused; and a failed write leaves the file before as it was. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "make_corpus.h"

#include "support/folder.h"
#include "unroll/base/digest.h"
#include "unroll/nn/constants.h"
#include "unroll/nn/model.h"
#include "unroll/sys/h5.h"
#include "unroll/train/checkpoint.h"

#include "../../src/train/checkpoint_private.h"

#define V 23
#define BATCH 5

static const struct comm alone = COMM_ALONE;
static struct model_config model_of(bool tied)
{
    return (struct model_config){.cell = CELL_LSTM,
                                 .layers = 2,
                                 .embedding = 8,
                                 .hidden = 8,
                                 .vocab = V,
                                 .tied = tied,
                                 .dropout = 0.25,
                                 .reset_token = tied ? 0 : 4};
}

static void fill(float *array, size_t count, uint32_t what)
{
    for (size_t i = 0; i < count; i++)
        array[i] = rng_uniform_float(rng_philox(1, RNG_TEST, what, 0, 0, (uint32_t)i).word[0]) - 0.5f;
}

/* Everything in it differs from everything else. */
static void make(struct checkpoint *c, bool tied, int kind)
{
    struct error e;
    *c = (struct checkpoint){.model = model_of(tied), .batch = BATCH, .bptt = 7, .groups = 3};
    param_table_build(&c->model, &c->table);
    c->values = mem_alloc(c->table.total, sizeof(float), "test", &e);
    fill(c->values, c->table.total, 1);
    struct optimizer_config config = {kind, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, SPARSE_EXACT};
    assert_int_equal(optimizer_create(&config, &c->table, NULL, &c->optimizer, &e), STATUS_OK);
    for (int slot = 0; slot < c->optimizer->slots; slot++)
        fill(c->optimizer->slot[slot], c->table.total, 2 + (uint32_t)slot);
    c->optimizer->updates = 1234;
    size_t states = (size_t)model_state_count(&c->model) * BATCH * 8;
    c->states = mem_alloc(states, sizeof(float), "test", &e);
    fill(c->states, states, 9);
    int64_t *progress = (int64_t *)&c->progress;
    for (size_t i = 0; i < sizeof c->progress / 8; i++)
        progress[i] = 100 + (int64_t)i;
    c->progress.epoch_loss = 1.0 / 3;
    c->progress.valid_loss = NAN;
    c->progress.best_valid_loss = -0.0;
    c->progress.lr_factor = 0.125;
    c->progress.log_loss = 1e300;
    c->progress.seconds = 5e-324;
    c->progress.valid_step = -1;
    c->vocab = make_vocab(V);
    c->options = CHECKPOINT_OPTIONS_MAX;
    for (int i = 0; i < c->options; i++) {
        snprintf(c->option[i].name, sizeof c->option[i].name, "option-%02d", i);
        snprintf(c->option[i].value, sizeof c->option[i].value, "value %d", 1000 - i);
    }
    c->option[3].value[0] = '\0';
    snprintf(c->corpus_digest, sizeof c->corpus_digest, "%032d", 77);
    checkpoint_build_here(&c->build);
    snprintf(c->build.kernel, sizeof c->build.kernel, "a kernel");
    c->build.ranks = 3;
    c->build.threads = 4;
}

/* What is for use is an average, and what is trained differs from it. */
static void make_average(struct checkpoint *c)
{
    c->average =
        (struct average_state){.kind = AVERAGE_UPDATES, .count = 17, .began = 0, .nonmono = 3, .validations = 8};
    c->average.recent[0] = 1.0 / 3;
    c->average.recent[1] = NAN;
    c->average.recent[2] = INFINITY;
    c->average.least = -0.0;
    c->trained = mem_alloc(c->table.trained, sizeof(float), "test", NULL);
    fill(c->trained, c->table.trained, 10);
}

static void drop(struct checkpoint *c)
{
    c->owned = true;
    checkpoint_release(c);
}

static const char *path_of(const char *name)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static enum status write_to(const char *name, const struct checkpoint *c, enum checkpoint_writer writer,
                            const struct file_guard *guard, struct error *e)
{
    struct checkpoint_target target = {.path = path_of(name), .writer = writer, .guard = guard};
    return checkpoint_write(&alone, c, &target, e);
}

static bool exists(const char *name)
{
    struct stat entry;
    return stat(path_of(name), &entry) == 0;
}

static void assert_written(const char *name, const struct checkpoint *c, enum checkpoint_writer writer)
{
    struct error e = {STATUS_OK, ""};
    if (write_to(name, c, writer, NULL, &e))
        fail_msg("%s", e.text);
}

static void assert_same_parameters(const struct checkpoint *a, const struct checkpoint *b)
{
    char of_a[33], of_b[33];
    assert_int_equal(a->table.total, b->table.total);
    for (int k = 0; k < a->table.count; k++)
        assert_memory_equal(a->values + a->table.param[k].offset, b->values + a->table.param[k].offset,
                            a->table.param[k].count * sizeof(float));
    vocab_digest(a->vocab, of_a);
    vocab_digest(b->vocab, of_b);
    assert_string_equal(of_a, of_b);
}

static void assert_same_model(const struct model_config *a, const struct model_config *b)
{
    for (int i = 0; i < model_field_count; i++)
        if (model_field_differs(&model_fields[i], a, b))
            fail_msg("'%s' does not come back", model_fields[i].stored);
}

static void assert_same_slots(const struct checkpoint *c, const struct optimizer *back)
{
    for (int slot = 0; slot < c->optimizer->slots; slot++)
        for (int k = 0; k < c->table.count; k++)
            if (c->table.param[k].alias < 0)
                assert_memory_equal(c->optimizer->slot[slot] + c->table.param[k].offset,
                                    back->slot[slot] + c->table.param[k].offset,
                                    c->table.param[k].count * sizeof(float));
}

static void assert_same_trained(const struct checkpoint *c, const float *back)
{
    for (int k = 0; k < c->table.count; k++)
        if (c->table.param[k].alias < 0)
            assert_memory_equal(c->trained + c->table.param[k].offset, back + c->table.param[k].offset,
                                c->table.param[k].count * sizeof(float));
}

/* First all but the arrays, then these to where the caller has them. */
static void read_in_two_steps(const struct checkpoint *c, enum checkpoint_part part)
{
    struct error e = {STATUS_OK, ""};
    struct checkpoint back;
    char hex[DIGEST_TEXT];
    if (checkpoint_read(path_of("c.h5"), part, &back, &e))
        fail_msg("%s", e.text);
    assert_null(back.values);
    assert_null(back.optimizer);
    param_digest(&c->table, c->values, hex);
    assert_string_equal(back.parameters_digest, hex);
    assert_true(back.resumable && back.updates == 1234 && back.rule.kind == c->optimizer->config.kind);
    bool run = part == CHECKPOINT_RUN;
    assert_int_equal(back.states != NULL, run);
    float *values = mem_alloc(c->table.total, sizeof(float), "test", &e);
    float *trained = mem_alloc(c->table.trained, sizeof(float), "test", &e);
    struct optimizer *optimizer;
    assert_int_equal(optimizer_create(&back.rule, &c->table, NULL, &optimizer, &e), STATUS_OK);
    assert_int_equal(unlink(path_of("c.h5")), 0); /* the open file is still there, as when a run has pruned it */
    if (checkpoint_load(&back, values, run ? trained : NULL, run ? optimizer : NULL, &e))
        fail_msg("%s", e.text);
    struct checkpoint loaded = back;
    loaded.values = values;
    assert_same_parameters(c, &loaded);
    if (run)
        assert_same_slots(c, optimizer);
    if (run && c->trained)
        assert_same_trained(c, trained);
    assert_null(back.trained);
    mem_free(trained);
    mem_free(values);
    optimizer_free(optimizer);
    checkpoint_release(&back);
}

static void round_trip(bool tied, int kind, enum checkpoint_writer writer, bool averaged)
{
    struct error e = {STATUS_OK, ""};
    struct checkpoint c, back;
    make(&c, tied, kind);
    if (averaged)
        make_average(&c);
    assert_written("c.h5", &c, writer);
    assert_false(exists("c.h5.tmp"));
    assert_int_equal(checkpoint_verify(path_of("c.h5"), &e), STATUS_OK);
    if (checkpoint_read(path_of("c.h5"), CHECKPOINT_ALL, &back, &e))
        fail_msg("%s", e.text);
    assert_same_parameters(&c, &back);
    /* bit for bit, so that NaN and -0 count too */
    assert_memory_equal(&c.progress, &back.progress, sizeof c.progress);
    assert_int_equal(back.batch, BATCH);
    assert_int_equal(back.bptt, 7);
    assert_int_equal(back.groups, 3);
    assert_same_model(&c.model, &back.model);
    assert_int_equal(back.optimizer->updates, 1234);
    const struct optimizer_config *was = &c.optimizer->config, *is = &back.optimizer->config;
    assert_true(was->kind == is->kind && was->momentum == is->momentum && was->beta1 == is->beta1 &&
                was->beta2 == is->beta2 && was->alpha == is->alpha && was->epsilon == is->epsilon &&
                was->weight_decay == is->weight_decay);
    assert_same_slots(&c, back.optimizer);
    assert_memory_equal(&c.average, &back.average, sizeof c.average);
    assert_int_equal(back.trained != NULL, averaged);
    if (averaged)
        assert_same_trained(&c, back.trained);
    assert_memory_equal(c.states, back.states, (size_t)model_state_count(&c.model) * BATCH * 8 * sizeof(float));
    assert_int_equal(back.options, c.options);
    for (int i = 0; i < c.options; i++) { /* names were in order */
        assert_string_equal(back.option[i].name, c.option[i].name);
        assert_string_equal(back.option[i].value, c.option[i].value);
    }
    assert_string_equal(back.corpus_digest, c.corpus_digest);
    assert_memory_equal(&back.build, &c.build, sizeof c.build);
    checkpoint_release(&back);
    assert_int_equal(checkpoint_read(path_of("c.h5"), CHECKPOINT_FOR_USE, &back, &e), STATUS_OK);
    assert_same_parameters(&c, &back);
    assert_null(back.optimizer);
    assert_null(back.states);
    assert_null(back.trained);
    assert_memory_equal(&c.average, &back.average, sizeof c.average);
    checkpoint_release(&back);
    checkpoint_release(&back); /* harmless */
    for (int part = CHECKPOINT_RUN; part <= CHECKPOINT_FACTS; part++) {
        read_in_two_steps(&c, (enum checkpoint_part)part);
        assert_written("c.h5", &c, writer);
    }
    drop(&c);
}

static void test_round_trips(void **state)
{
    (void)state;
    round_trip(false, optimizer_kind("adam"), WRITER_SINGLE, false);
    round_trip(true, optimizer_kind("momentum"), WRITER_AUTO, false);
    round_trip(true, optimizer_kind("adamw"), WRITER_PARALLEL, false);
    round_trip(false, OPTIMIZER_SGD, WRITER_PARALLEL, false);
    round_trip(true, optimizer_kind("adam"), WRITER_SINGLE, true);
    round_trip(false, optimizer_kind("ntasgd"), WRITER_PARALLEL, true);
}

/* The kind of an average, and whether there is one: what is trained is in the file then, and only in one to go on from.
 */
static void test_averages(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct checkpoint c, back;
    make(&c, false, OPTIMIZER_SGD);
    for (int kind = AVERAGE_NONE; kind <= AVERAGE_UPDATES; kind++) {
        c.average = average_start(&(struct average_config){.kind = (enum average_kind)kind, .nonmono = 64});
        assert_written("a.h5", &c, WRITER_SINGLE);
        assert_int_equal(checkpoint_read(path_of("a.h5"), CHECKPOINT_ALL, &back, &e), STATUS_OK);
        assert_int_equal(back.average.kind, kind);
        assert_int_equal(back.average.began, kind == AVERAGE_NONE ? 0 : -1);
        assert_null(back.trained);
        checkpoint_release(&back);
    }
    make_average(&c);
    struct optimizer *optimizer = c.optimizer;
    c.optimizer = NULL; /* for use only */
    assert_written("a.h5", &c, WRITER_SINGLE);
    c.optimizer = optimizer;
    assert_int_equal(checkpoint_read(path_of("a.h5"), CHECKPOINT_ALL, &back, &e), STATUS_OK);
    assert_int_equal(back.average.count, 17);
    assert_null(back.trained);
    assert_false(back.resumable);
    checkpoint_release(&back);
    c.average.began = -1;
    assert_int_equal(write_to("a.h5", &c, WRITER_SINGLE, NULL, &e), STATUS_INTERNAL);
    assert_non_null(strstr(e.text, "before it begins"));
    drop(&c);
}

/* Values have padding, which must not travel; make it differ. */
/* Every field of a model, off 0 where it may be: none is lost. */
static void test_every_field_comes_back(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct checkpoint c, back;
    struct labels *labels = labels_new(&e);
    int label;
    for (int i = 0; i < 3; i++) {
        char name[] = {(char)('a' + i), '\0'};
        assert_int_equal(labels_add(labels, name, 1, &label, &e), STATUS_OK);
    }
    for (int i = 0; i < model_field_count; i++) {
        const struct model_field *field = &model_fields[i];
        make(&c, strcmp(field->stored, "tied") == 0, optimizer_kind("adam"));
        optimizer_free(c.optimizer);
        mem_free(c.states);
        mem_free(c.values);
        c.optimizer = NULL;
        c.states = NULL;
        c.model.precision = PRECISION_BF16; /* without it the order would not apply */
        if (strncmp(field->stored, "mogrify", 7) == 0)
            c.model.cell = CELL_MOGRIFIER, c.model.mogrify_rank = 2;
        for (int layer = 0; layer < output_layer_choices.count && !model_field_applies(field, &c.model); layer++)
            c.model.output_layer = layer;
        if (!model_field_applies(field, &c.model)) {
            c.model.output_layer = 0;
            c.model.task = TASK_CLASSIFY;
            c.model.reset_token = 0;
            c.model.labels = 3;
            c.labels = labels;
        }
        if (output_kind(&c.model)->uses & OUTPUT_CLUSTERS) {
            c.model.cutoffs[0] = 3;
            c.model.cutoffs[1] = 5;
            c.model.div = 1.5;
        }
        assert_int_equal(output_settle(&c.model, NULL, &e), STATUS_OK);
        if (field->type == MODEL_CHOICE)
            model_field_set_integer(field, &c.model, field->choices->count - 1);
        for (int l = 0; strcmp(field->stored, "widths") == 0 && l < c.model.layers; l++)
            c.model.widths[l] = c.model.hidden + c.model.layers - 1 - l;
        c.model.dropout = field->override ? 0.5 : c.model.dropout;
        if (field->type == MODEL_REAL && field->optional && !field->applies)
            model_field_set_real(field, &c.model, field->override && i % 2 ? 0 : 0.25);
        if (field->type == MODEL_FLAG && field->applies)
            model_field_set_integer(field, &c.model, 1);
        if (strcmp(field->stored, "widths") == 0)
            c.model.widths[0] = 5, c.model.widths[1] = c.model.hidden;
        if (field->type == MODEL_REAL && field->optional && model_field_real(field, &c.model) == 0)
            model_field_set_real(field, &c.model, 0.25);
        if (field->choices == &output_layer_choices)
            assert_int_equal(output_settle(&c.model, NULL, &e), STATUS_OK);
        model_config_settle(&c.model);
        param_table_build(&c.model, &c.table);
        c.values = mem_alloc(c.table.total, sizeof(float), "test", &e);
        fill(c.values, c.table.total, 1);
        for (int k = 0; k < c.table.count; k++)
            if (c.table.param[k].role == PARAM_CONSTANT)
                constants_make_up(&c.model, &c.table.param[k], c.values + c.table.param[k].offset);
        if (model_field_applies(field, &c.model) && !(field->optional && field->type == MODEL_TOKEN))
            if (!model_field_is_said(field, &c.model))
                fail_msg("%s", field->stored);
        assert_written("field.h5", &c, WRITER_SINGLE);
        if (checkpoint_read(path_of("field.h5"), CHECKPOINT_FOR_USE, &back, &e))
            fail_msg("%s: %s", field->stored, e.text);
        assert_same_model(&c.model, &back.model);
        checkpoint_release(&back);
        c.labels = NULL;
        drop(&c);
    }
    labels_free(labels);
}

static void test_padding_is_not_saved(void **state)
{
    (void)state;
    struct error e;
    struct checkpoint c, back;
    make(&c, false, OPTIMIZER_SGD);
    memset(c.values, 0, c.table.total * sizeof(float));
    const struct param *first = &c.table.param[0];
    c.values[first->offset + first->count] = 5;
    assert_true(first->offset + first->count < c.table.param[1].offset);
    assert_written("p.h5", &c, WRITER_SINGLE);
    assert_int_equal(checkpoint_read(path_of("p.h5"), CHECKPOINT_FOR_USE, &back, &e), STATUS_OK);
    assert_true(back.values[first->offset + first->count] == 0);
    checkpoint_release(&back);
    drop(&c);
}

static void test_for_use_only(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct checkpoint c, back;
    make(&c, true, optimizer_kind("adam"));
    struct optimizer *optimizer = c.optimizer;
    c.optimizer = NULL;
    assert_written("u.h5", &c, WRITER_SINGLE);
    if (checkpoint_read(path_of("u.h5"), CHECKPOINT_ALL, &back, &e))
        fail_msg("%s", e.text);
    assert_null(back.optimizer);
    assert_same_parameters(&c, &back);
    checkpoint_release(&back);
    c.optimizer = optimizer;
    drop(&c);
}

static void test_writers_give_the_same_content(void **state)
{
    (void)state;
    struct checkpoint c;
    char command[400];
    make(&c, false, optimizer_kind("adam"));
    assert_written("single.h5", &c, WRITER_SINGLE);
    assert_written("parallel.h5", &c, WRITER_PARALLEL);
    snprintf(command, sizeof command, "h5diff '%s/single.h5' '%s/parallel.h5' >/dev/null", folder, folder);
    assert_int_equal(system(command), 0);
    drop(&c);
}

/* ---- damage ---- */

static unsigned char *slurp(const char *name, size_t *bytes)
{
    struct stat entry;
    int fd = open(path_of(name), O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &entry), 0);
    *bytes = (size_t)entry.st_size;
    unsigned char *content = mem_alloc(*bytes, 1, "test", NULL);
    assert_int_equal(read(fd, content, *bytes), entry.st_size);
    close(fd);
    return content;
}

static void spill(const char *name, const void *content, size_t bytes)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, bytes), (ssize_t)bytes);
    close(fd);
}

/* One bit of every byte, the bit's number running along; with `step` only every so many bytes. */
static void test_every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct checkpoint c, back;
    size_t bytes, missed = 0;
    size_t step = getenv("UNROLL_TEST_LONG") ? 1 : getenv("UNROLL_TEST_SHORT") ? 331 : 13;
    make(&c, true, optimizer_kind("momentum"));
    make_average(&c);
    c.options = 12;
    assert_written("flip.h5", &c, WRITER_SINGLE);
    unsigned char *content = slurp("flip.h5", &bytes);
    for (size_t i = 0; i < bytes; i += step) {
        struct error e = {STATUS_OK, ""};
        content[i] ^= (unsigned char)(1 << i % 8);
        spill("flipped.h5", content, bytes);
        content[i] ^= (unsigned char)(1 << i % 8);
        enum status read = checkpoint_read(path_of("flipped.h5"), CHECKPOINT_ALL, &back, &e);
        enum status verified = checkpoint_verify(path_of("flipped.h5"), NULL);
        if (read == STATUS_OK || verified == STATUS_OK) {
            print_message("byte %zu of %zu: nobody noticed\n", i, bytes);
            checkpoint_release(&back);
            missed++;
        } else {
            assert_int_equal(read, STATUS_CHECKPOINT);
            assert_int_equal(verified, STATUS_CHECKPOINT);
            assert_non_null(strstr(e.text, "flipped.h5"));
        }
    }
    assert_int_equal(missed, 0);
    mem_free(content);
    drop(&c);
}

static void test_every_truncation_is_noticed(void **state)
{
    (void)state;
    struct checkpoint c, back;
    struct error e;
    size_t bytes;
    make(&c, false, optimizer_kind("adam"));
    assert_written("whole.h5", &c, WRITER_SINGLE);
    unsigned char *content = slurp("whole.h5", &bytes);
    for (size_t piece = 0; piece <= bytes / 512 + 1; piece++) {
        size_t length = piece * 512 < bytes ? piece * 512 : bytes - 1;
        spill("cut.h5", content, length);
        assert_int_equal(checkpoint_read(path_of("cut.h5"), CHECKPOINT_ALL, &back, &e), STATUS_CHECKPOINT);
    }
    mem_free(content);
    drop(&c);
}

/* ---- files made to harm: whole and with true digests, but wrong ---- */

/* A file with nothing but a root that claims to be a checkpoint, its digest true. */
static void make_root(const char *name, const char *format, int64_t version)
{
    struct error e;
    struct h5 *file;
    char text[300], hex[DIGEST_TEXT];
    size_t length = 0;
    void *image;
    size_t bytes;
    assert_int_equal(h5_create_image(&file, &e), STATUS_OK);
    h5_set_string(file, "/", "format", format, &e);
    h5_set_i64(file, "/", "version", version, &e);
    memcpy(text, "format", 7), length = 7;
    text[length++] = 's';
    memcpy(text + length, format, strlen(format) + 1), length += strlen(format) + 1;
    memcpy(text + length, "version", 8), length += 8;
    text[length++] = 'i';
    memcpy(text + length, &version, 8), length += 8;
    digest_of(text, length, hex);
    h5_set_string(file, "/", "xxh3_128", hex, &e);
    assert_int_equal(h5_image_bytes(file, &image, &bytes, &e), STATUS_OK);
    spill(name, image, bytes);
    mem_free(image);
    assert_int_equal(h5_close_write(file, &e), STATUS_OK);
}

static void assert_refused(const char *name, const char *why)
{
    struct error e = {STATUS_OK, ""};
    struct checkpoint back;
    assert_int_equal(checkpoint_read(path_of(name), CHECKPOINT_ALL, &back, &e), STATUS_CHECKPOINT);
    if (!strstr(e.text, why))
        fail_msg("'%s' does not say '%s'", e.text, why);
    assert_int_equal(checkpoint_verify(path_of(name), &e), STATUS_CHECKPOINT);
}

static void test_other_files_are_refused(void **state)
{
    (void)state;
    struct error e;
    struct checkpoint back;
    make_root("other.h5", "unroll-corpus", 1);
    assert_refused("other.h5", "it is a corpus of 'unroll prepare'");
    make_root("newer.h5", "unroll-checkpoint", 3);
    assert_refused("newer.h5", "version 3");
    make_root("bare.h5", "unroll-checkpoint", 1);
    assert_refused("bare.h5", "lacks the attribute");
    spill("text.h5", "not HDF5 at all", 15);
    assert_refused("text.h5", "text.h5");
    assert_int_equal(checkpoint_read(path_of("missing.h5"), CHECKPOINT_ALL, &back, &e), STATUS_NOINPUT);
}

/* The root of a checkpoint and its model, of a cell, with one attribute more; digests are true, and nothing else there.
 */
static void make_model(const char *name, const char *cell, const char *attr, double value)
{
    struct error e;
    struct h5 *file;
    struct attrs *root = attrs_new("/", &e), *model = attrs_new("/model", &e);
    static const char *const sizes[] = {"layers", "embedding", "hidden", "vocab"};
    void *image;
    size_t bytes;
    assert_int_equal(h5_create_image(&file, &e), STATUS_OK);
    attrs_add_string(root, "format", "unroll-checkpoint");
    attrs_add_string(root, "parameters_digest", "00000000000000000000000000000000");
    attrs_add_string(root, "corpus_digest", "00000000000000000000000000000000");
    attrs_add_i64(root, "version", 1);
    attrs_add_i64(root, "step", 3);
    attrs_add_i64(root, "resumable", 0);
    attrs_add_string(model, "cell", cell);
    for (int i = 0; i < 4; i++)
        attrs_add_i64(model, sizes[i], 5 - i);
    attrs_add_i64(model, "tied", 0);
    attrs_add_f64(model, "dropout", strcmp(attr, "dropout") == 0 ? value : 0.25);
    if (strcmp(attr, "mogrify") == 0)
        attrs_add_i64(model, attr, (int64_t)value);
    else if (strcmp(attr, "dropout") != 0)
        attrs_add_f64(model, attr, value);
    assert_int_equal(attrs_write(root, file, &e), STATUS_OK);
    assert_int_equal(h5_make_group(file, "/model", &e), STATUS_OK);
    assert_int_equal(attrs_write(model, file, &e), STATUS_OK);
    assert_int_equal(h5_image_bytes(file, &image, &bytes, &e), STATUS_OK);
    spill(name, image, bytes);
    mem_free(image);
    assert_int_equal(h5_close_write(file, &e), STATUS_OK);
    mem_free(root);
    mem_free(model);
}

/* Probabilities that are none, -1 among them, by which a struct says that nothing is dropped; and fields that the cell
 * does not have. */
static void test_values_of_the_model_are_refused(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"dropout_input", "dropout-input"},   {"dropout_hidden", "dropout-hidden"},
        {"dropout_output", "dropout-output"}, {"dropout_embedding", "dropout-embedding"},
        {"dropout_state", "dropout-state"},   {"weight_drop", "weight-drop"},
    };
    static const double bad[] = {-1, -0.5, 1, 2, NAN, INFINITY};
    char why[80];
    make_model("model.h5", "gru", "weight_drop", 0.5);
    assert_refused("model.h5", "/progress"); /* the first that it lacks */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            snprintf(why, sizeof why, "value out of range for '--%s': %g", names[i][1], bad[k]);
            make_model("model.h5", "gru", names[i][0], bad[k]);
            assert_refused("model.h5", why);
        }
    make_model("model.h5", "qrnn", "weight_drop", 0.5);
    assert_refused("model.h5", "'/model' has an attribute 'weight_drop'");
    make_model("model.h5", "sru", "dropout_state", 0.5);
    assert_refused("model.h5", "'/model' has an attribute 'dropout_state'");
    make_model("model.h5", "lstm", "mogrify", 5);
    assert_refused("model.h5", "'/model' has an attribute 'mogrify'");
}

/* Facts about the model that contradict the datasets: the digests hold, the shapes do not. */
static void test_contradictions_are_refused(void **state)
{
    (void)state;
    struct checkpoint c;
    make(&c, false, optimizer_kind("adam"));
    c.model.vocab = V - 1; /* the vocabulary of the file has V entries */
    param_table_build(&c.model, &c.table);
    assert_int_equal(write_to("small.h5", &c, WRITER_SINGLE, NULL, NULL), STATUS_INTERNAL);
    c.model.vocab = V;
    param_table_build(&c.model, &c.table);
    c.progress.step = -1;
    assert_int_equal(write_to("negative.h5", &c, WRITER_SINGLE, NULL, NULL), STATUS_INTERNAL);
    c.progress.step = 100;
    c.groups = BATCH + 1;
    assert_int_equal(write_to("groups.h5", &c, WRITER_SINGLE, NULL, NULL), STATUS_INTERNAL);
    c.groups = 3;
    assert_int_equal(write_to("right.h5", &c, WRITER_SINGLE, NULL, NULL), STATUS_OK);
    drop(&c);
}

/* ---- what the writer takes, the reader takes, and nothing else ---- */

/* The fields of struct progress in its order: i counts from 0, r any number, p above 0, v counts from -1. */
static const char kinds[] = "iiiiiirirrii"
                            "pivriiir";
static const char *const names[] = {
    "step",         "epoch",      "window",          "tokens",        "skipped",  "skipped_in_row", "epoch_loss",
    "epoch_tokens", "valid_loss", "best_valid_loss", "best_step",     "stalls",   "lr_factor",      "plateau_stalls",
    "valid_step",   "log_loss",   "log_tokens",      "metrics_bytes", "finished", "seconds",
};

#define FIELDS (sizeof(struct progress) / 8)

static void set_real(struct progress *progress, size_t field, double value)
{
    memcpy((char *)progress + 8 * field, &value, 8);
}

static void set_count(struct progress *progress, size_t field, int64_t value)
{
    memcpy((char *)progress + 8 * field, &value, 8);
}

static uint32_t draw(uint32_t state, uint32_t what)
{
    return rng_philox(3, RNG_TEST, what, 0, 0, state).word[0];
}

/* State 0 is the least that is valid, 1 the most; the others are drawn from ends and middles. */
static void fill_valid(struct progress *progress, uint32_t state)
{
    static const int64_t counts[] = {0, INT64_MAX, 1, 17, (int64_t)1 << 53, INT32_MAX};
    static const double reals[] = {-INFINITY, NAN, INFINITY, -0.0, 5e-324, -1e300};
    static const double positives[] = {5e-324, INFINITY, 1, 1e-300, 1.0 / 3, 1e300};
    for (size_t field = 0; field < FIELDS; field++) {
        size_t pick = state < 2 ? state : draw(state, (uint32_t)field) % 6;
        if (kinds[field] == 'r')
            set_real(progress, field, reals[pick]);
        else if (kinds[field] == 'p')
            set_real(progress, field, positives[pick]);
        else
            set_count(progress, field, kinds[field] == 'v' && pick == 0 ? -1 : counts[pick]);
    }
}

static void test_every_valid_state_comes_back(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct checkpoint c, back;
    make(&c, false, optimizer_kind("adam"));
    c.options = 3;
    for (uint32_t i = 0; i < 40; i++) {
        fill_valid(&c.progress, i);
        c.optimizer->updates = i == 1 ? INT64_MAX : (int64_t)i;
        c.optimizer->config.beta1 = i % 2 ? NAN : INFINITY;
        c.groups = i % 2 ? 1 : BATCH;
        c.bptt = i == 1 ? INT32_MAX : 1 + (int)i;
        c.build.ranks = i == 1 ? INT32_MAX : (int)i;
        c.model.dropout = i == 1 ? nextafter(1, 0) : 0;
        assert_written("valid.h5", &c, i % 2 ? WRITER_SINGLE : WRITER_PARALLEL);
        if (checkpoint_read(path_of("valid.h5"), CHECKPOINT_ALL, &back, &e))
            fail_msg("state %u: %s", i, e.text);
        assert_memory_equal(&c.progress, &back.progress, sizeof c.progress);
        assert_int_equal(back.optimizer->updates, c.optimizer->updates);
        assert_int_equal(back.bptt, c.bptt);
        assert_true(back.model.dropout == c.model.dropout);
        checkpoint_release(&back);
    }
    drop(&c);
}

/* A state that would be refused when it is read is not written: the message says what is wrong, the old file stays. */
static void never_written(const struct checkpoint *c, const char *what)
{
    for (int writer = WRITER_AUTO; writer <= WRITER_PARALLEL; writer++) {
        struct error e = {STATUS_OK, ""};
        assert_int_equal(write_to("never.h5", c, (enum checkpoint_writer)writer, NULL, &e), STATUS_INTERNAL);
        if (!strstr(e.text, what) || !strstr(e.text, "nothing was written"))
            fail_msg("'%s' does not say '%s'", e.text, what);
        assert_false(exists("never.h5"));
        assert_false(exists("never.h5.tmp"));
    }
}

static void test_invalid_states_are_never_written(void **state)
{
    (void)state;
    struct checkpoint c;
    make(&c, false, optimizer_kind("adam"));
    struct progress valid = c.progress;
    for (size_t field = 0; field < FIELDS; field++) {
        double below[] = {0, -0.0, -1, NAN, -INFINITY};
        for (int i = 0; i < 5 && kinds[field] == 'p'; i++) {
            set_real(&c.progress, field, below[i]);
            never_written(&c, names[field]);
        }
        for (int i = 0; i < 2 && (kinds[field] == 'i' || kinds[field] == 'v'); i++) {
            set_count(&c.progress, field, i ? INT64_MIN : kinds[field] == 'v' ? -2 : -1);
            never_written(&c, names[field]);
        }
        c.progress = valid;
    }
    c.optimizer->updates = -1;
    never_written(&c, "updates");
    c.optimizer->updates = 0;
    c.model.dropout = 1;
    never_written(&c, "dropout");
    c.model.dropout = 0;
    c.bptt = 0;
    never_written(&c, "bptt");
    c.bptt = 1;
    c.groups = 0;
    never_written(&c, "lane_groups");
    c.groups = 1;
    c.build.threads = -1;
    never_written(&c, "threads");
    drop(&c);
}

/* ---- writing that fails ---- */

static enum status refuse(void *context, struct error *e)
{
    ++*(int *)context;
    return error_set(e, STATUS_CANTCREATE, "no more");
}

static void test_guard_keeps_the_old_file(void **state)
{
    (void)state;
    struct error e;
    struct checkpoint c, back;
    int asked = 0;
    struct file_guard guard = {refuse, &asked, NULL};
    for (int writer = WRITER_SINGLE; writer <= WRITER_PARALLEL; writer++) {
        make(&c, false, OPTIMIZER_SGD);
        assert_written("kept.h5", &c, WRITER_SINGLE);
        c.progress.step = 999;
        assert_int_equal(write_to("kept.h5", &c, (enum checkpoint_writer)writer, &guard, &e), STATUS_CANTCREATE);
        assert_string_equal(e.text, "no more");
        assert_false(exists("kept.h5.tmp"));
        assert_int_equal(checkpoint_read(path_of("kept.h5"), CHECKPOINT_ALL, &back, &e), STATUS_OK);
        assert_int_equal(back.progress.step, 100);
        checkpoint_release(&back);
        drop(&c);
    }
    assert_int_equal(asked, 2);
}

static void test_missing_folder(void **state)
{
    (void)state;
    struct error e = {STATUS_OK, ""};
    struct checkpoint c;
    make(&c, false, OPTIMIZER_SGD);
    assert_int_equal(write_to("nowhere/c.h5", &c, WRITER_SINGLE, NULL, &e), STATUS_CANTCREATE);
    assert_non_null(strstr(e.text, "nowhere/c.h5"));
    drop(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_averages),
        cmocka_unit_test(test_every_field_comes_back),
        cmocka_unit_test(test_padding_is_not_saved),
        cmocka_unit_test(test_for_use_only),
        cmocka_unit_test(test_writers_give_the_same_content),
        cmocka_unit_test(test_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_every_truncation_is_noticed),
        cmocka_unit_test(test_other_files_are_refused),
        cmocka_unit_test(test_values_of_the_model_are_refused),
        cmocka_unit_test(test_contradictions_are_refused),
        cmocka_unit_test(test_every_valid_state_comes_back),
        cmocka_unit_test(test_invalid_states_are_never_written),
        cmocka_unit_test(test_guard_keeps_the_old_file),
        cmocka_unit_test(test_missing_folder),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
