/* A new run that starts from another model's parameters (--init-from): the layers as they are, the embedding word by
 * word. A language model also takes the decoder's rows of the words that both know; what is new stays as it was
 * drawn. */
#include "trainer_private.h"

#include <string.h>

#include "unroll/base/mem.h"

/* Rank 0. */
static enum status check_source(const struct trainer *trainer, const struct checkpoint *source, struct error *e)
{
    const struct model_config *from = &source->model, *to = &trainer->shape;
    char its[MODEL_OPTIONS_TEXT], of_run[MODEL_OPTIONS_TEXT];
    if (model_config_differs(from, to, MODEL_LAYERS))
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--init-from %.200s': its model is %s, and the run's %s; use the same",
                         trainer->config->init_from, model_config_options(from, MODEL_LAYERS, its),
                         model_config_options(to, MODEL_LAYERS, of_run));
    if (source->vocab->level != trainer->corpus->vocab->level)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--init-from %.200s': its tokens are of level %s and those of the corpus of level %s; "
            "use a corpus of the same level",
            trainer->config->init_from, level_name(source->vocab->level), level_name(trainer->corpus->vocab->level));
    return STATUS_OK;
}

static const struct param *param_of(const struct param_table *table, const char *name)
{
    return &table->param[param_find(table, name)];
}

/* Rows of a tensor whose rows belong to words: those of words that both vocabularies have. Returns how many. */
static int copy_rows(struct trainer *trainer, const struct checkpoint *source, const char *name)
{
    const struct vocab *vocab = trainer->corpus->vocab;
    const struct param *to = param_of(&trainer->table, name), *from = param_of(&source->table, name);
    size_t width = (size_t)to->shape[1];
    int copied = 0;
    for (int token = 0; token < vocab->size; token++) {
        size_t length;
        const char *text = vocab_text(vocab, (uint32_t)token, &length);
        uint32_t known = vocab_find(source->vocab, text, length);
        if (known == VOCAB_UNK && token != VOCAB_UNK)
            continue;
        memcpy(trainer->values + to->offset + (size_t)token * width, source->values + from->offset + known * width,
               width * sizeof(float));
        copied++;
    }
    return copied;
}

static void copy_parameters(struct trainer *trainer, const struct checkpoint *source)
{
    for (int i = 0; i < trainer->table.count; i++) {
        const struct param *to = &trainer->table.param[i];
        if (strncmp(to->name, "rnn.", strlen("rnn.")) == 0)
            memcpy(trainer->values + to->offset, source->values + param_of(&source->table, to->name)->offset,
                   to->count * sizeof(float));
    }
    int words = copy_rows(trainer, source, "encoder.weight");
    if (trainer->shape.task == TASK_LM && source->model.task == TASK_LM) {
        if (!trainer->shape.tied)
            (void)copy_rows(trainer, source, "decoder.weight");
        (void)copy_rows(trainer, source, "decoder.bias");
    }
    reporter_tell(&trainer->reporter, "starting from '%s' (step %lld): its layers, and the vectors of %d of %d tokens",
                  trainer->config->init_from, (long long)source->progress.step, words, trainer->shape.vocab);
}

enum status trainer_init_from(struct trainer *trainer, struct error *e)
{
    struct checkpoint *source = NULL;
    enum status status = STATUS_OK;
    if (!trainer->config->init_from)
        return STATUS_OK;
    int64_t bytes = trainer->comm->rank == 0 ? file_bytes(trainer->config->init_from) : 0;
    heartbeat_bytes(&trainer->heartbeat, "reading the model of --init-from", comm_max(trainer->comm, bytes));
    if (trainer->comm->rank == 0) {
        source = mem_alloc(1, sizeof *source, "a checkpoint", e);
        status = source ? checkpoint_read(trainer->config->init_from, CHECKPOINT_FOR_USE, source, e) : STATUS_OS;
        if (!status)
            status = check_source(trainer, source, e);
        if (!status)
            copy_parameters(trainer, source);
        if (source)
            checkpoint_release(source);
        mem_free(source);
    }
    status = comm_agree(trainer->comm, status, e);
    if (!status)
        comm_broadcast(trainer->comm, trainer->values, trainer->table.total * sizeof(float), 0);
    return status;
}
