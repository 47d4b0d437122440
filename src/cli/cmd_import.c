/* unroll import: weights made by other programs become a checkpoint. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/content.h"
#include "unroll/base/file.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/file_kind.h"
#include "unroll/cli/load.h"
#include "unroll/data/vocab_text.h"
#include "unroll/use/weights.h"

/* What owns the vocabulary of --vocab-from. */
struct vocab_owner {
    struct corpus *corpus;
    struct checkpoint checkpoint;
    struct vocab *own;
    const struct vocab *vocab; /* of one of them; NULL without --vocab-from */
};

static bool is_hdf5(const char *path)
{
    char first[8];
    int fd = file_open(path, O_RDONLY | O_NONBLOCK, 0);
    bool found = fd >= 0 && read(fd, first, sizeof first) == sizeof first && memcmp(first, "\x89HDF\r\n\x1a\n", 8) == 0;
    if (fd >= 0)
        (void)close(fd);
    return found;
}

/* Nothing but the option says the level of a text; what is no text is told first. */
static enum status level_missing(const char *path, struct error *e)
{
    enum content content = content_of_file(path);
    enum status status = content_refuse_text(content, path, true, e);
    if (status)
        return status;
    return error_set(e, STATUS_USAGE,
                     "missing option '--level': '%s' is %s, which does not say what its tokens are; write "
                     "'--level word', char or byte",
                     path, content == CONTENT_TEXT ? "a text" : "neither a corpus nor a model");
}

static enum status load_vocab(const struct options *options, struct vocab_owner *owner, struct error *e)
{
    enum file_kind kind;
    enum status status;
    const char *path = options->vocab_from;
    if (!path)
        return STATUS_OK;
    if (!is_hdf5(path)) {
        if (!options_given(options, "level") && access(path, F_OK) == 0)
            return level_missing(path, e);
        status = vocab_text_load(path, options->level, &owner->own, e);
        owner->vocab = owner->own;
        return status;
    }
    status = file_kind(path, &kind, e);
    if (status)
        return status;
    if (kind == FILE_CORPUS)
        status = corpus_open(path, &owner->corpus, e);
    else
        status = checkpoint_read(path, CHECKPOINT_FOR_USE, &owner->checkpoint, e);
    if (!status)
        owner->vocab = kind == FILE_CORPUS ? owner->corpus->vocab : owner->checkpoint.vocab;
    return status;
}

static void release_vocab(struct vocab_owner *owner)
{
    corpus_close(owner->corpus);
    vocab_free(owner->own);
    checkpoint_release(&owner->checkpoint);
}

static struct weights_hints hints_of(const struct options *options, const struct vocab *vocab)
{
    return (struct weights_hints){
        .has_cell = options_given(options, "cell"),
        .has_tied = options_given(options, "tied"),
        .has_dropout = options_given(options, "dropout"),
        .has_reset = options_given(options, "reset-at"),
        .has_batch = options_given(options, "batch"),
        .has_bptt = options_given(options, "bptt"),
        .cell = options->model.cell,
        .tied = options->model.tied,
        .dropout = options->model.dropout,
        .reset_at_eos = options->reset_at_eos,
        .batch = options->batch,
        .bptt = options->bptt,
        .vocab = vocab,
    };
}

static enum status print_report(const struct options *options, const struct checkpoint *checkpoint, struct error *e)
{
    const struct model_config *model = &checkpoint->model;
    printf("wrote '%s': %s of %d layer%s, embedding %d, hidden %d, %s weights, vocabulary of %d tokens, level %s",
           options->output, cell_name(model->cell), model->layers, model->layers == 1 ? "" : "s", model->embedding,
           model->hidden, model->tied ? "tied" : "untied", model->vocab, level_name(checkpoint->vocab->level));
    if (model->task == TASK_CLASSIFY)
        printf(", %d labels", model->labels);
    printf("\n");
    return finish_output(e);
}

enum status cmd_import(const struct options *options, struct error *e)
{
    const struct comm alone = {.rank = 0, .size = 1, .handle = NULL};
    struct vocab_owner owner = {.corpus = NULL};
    struct checkpoint checkpoint = {0};
    enum status status = load_vocab(options, &owner, e);
    if (!status) {
        struct weights_hints hints = hints_of(options, owner.vocab);
        status = weights_import(options->file[0], options->from, &hints, &checkpoint, e);
    }
    if (!status) {
        struct checkpoint_target target = {.path = options->output, .writer = WRITER_SINGLE};
        status = checkpoint_write(&alone, &checkpoint, &target, e);
    }
    if (!status)
        status = print_report(options, &checkpoint, e);
    checkpoint_release(&checkpoint);
    release_vocab(&owner);
    return status;
}
