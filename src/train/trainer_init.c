/* Starts a new run from another model's parameters (--init-from). The recurrent layers are copied whole, the embedding
 * word by word. A language model also takes the rows of the output layer for the words that both models know. All other
 * values stay as they were drawn. */
#include "trainer_private.h"

#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/nn/output.h"

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

/* Copies the rows of the words that both vocabularies have. Returns how many. */
static int copy_rows(struct trainer *trainer, const struct checkpoint *source, const struct param *to,
                     const struct param *from)
{
    const struct vocab *vocab = trainer->corpus->vocab;
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

static bool has_clusters(const struct model_config *config)
{
    return output_kind(config)->uses & OUTPUT_CLUSTERS; /* rows of ranks, however many */
}

/* An output layer with a row for each word, of two language models. Tied weights are copied with the embedding. */
static bool has_rows_of_words(const struct trainer *trainer, const struct checkpoint *source, const struct param *to,
                              const struct param *from)
{
    return trainer->shape.task == TASK_LM && source->model.task == TASK_LM && to->alias < 0 &&
           !has_clusters(&trainer->shape) && !has_clusters(&source->model) && to->shape[0] == trainer->shape.vocab &&
           from->shape[0] == source->model.vocab && to->shape[1] == from->shape[1];
}

static void copy_parameters(struct trainer *trainer, const struct checkpoint *source)
{
    int words = 0;
    for (int i = 0; i < trainer->table.count; i++) {
        const struct param *to = &trainer->table.param[i];
        int place = param_find(&source->table, to->name);
        const struct param *from = &source->table.param[place < 0 ? 0 : place];
        if (place < 0 || to->role == PARAM_CONSTANT) /* constants are those of the run's own text */
            continue;
        if (to->role == PARAM_EMBEDDING)
            words = copy_rows(trainer, source, to, from);
        else if (to->layer >= 0)
            memcpy(trainer->values + to->offset, source->values + from->offset, to->count * sizeof(float));
        else if (has_rows_of_words(trainer, source, to, from))
            (void)copy_rows(trainer, source, to, from);
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
