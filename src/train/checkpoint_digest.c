/* The digest of what a checkpoint means for use, and the reading of one checkpoint by all ranks. */
#include <stdio.h>
#include <string.h>

#include "unroll/base/digest.h"
#include "unroll/sys/same.h"
#include "unroll/train/checkpoint.h"

/* The fields that shape the model and its evaluation, as text: structs have bytes of no meaning between them. */
static void add_shape(struct digest *digest, const struct checkpoint *checkpoint)
{
    char text[100], value[MODEL_FIELD_TEXT];
    for (int i = 0; i < model_field_count; i++) {
        const struct model_field *field = &model_fields[i];
        int length =
            field->type == MODEL_TOKEN
                ? snprintf(text, sizeof text, "%lld ", (long long)model_field_integer(field, &checkpoint->model))
                : snprintf(text, sizeof text, "%s ", model_field_text(field, &checkpoint->model, value));
        digest_add(digest, text, (size_t)length);
    }
    int length = snprintf(text, sizeof text, "%d %d %d", checkpoint->batch, checkpoint->bptt, checkpoint->groups);
    digest_add(digest, text, (size_t)length);
}

enum status checkpoint_digest(const struct checkpoint *checkpoint, char hex[DIGEST_TEXT], struct error *e)
{
    struct digest *digest = digest_new(e);
    if (!digest)
        return STATUS_OS;
    char part[DIGEST_TEXT];
    add_shape(digest, checkpoint);
    digest_add(digest, checkpoint->parameters_digest, sizeof checkpoint->parameters_digest);
    vocab_digest(checkpoint->vocab, part);
    digest_add(digest, part, sizeof part);
    if (checkpoint->labels) {
        labels_digest(checkpoint->labels, part);
        digest_add(digest, part, sizeof part);
    }
    digest_text(digest, hex);
    digest_free(digest);
    return STATUS_OK;
}

enum status checkpoint_read_shared(const struct comm *comm, const char *path, struct checkpoint *checkpoint,
                                   struct error *e)
{
    char digest[DIGEST_TEXT] = "";
    *checkpoint = (struct checkpoint){.values = NULL};
    enum status status = comm_agree_where(comm, checkpoint_read(path, CHECKPOINT_FOR_USE, checkpoint, e), e);
    if (comm->size == 1 || status)
        return status;
    status = comm_agree(comm, checkpoint_digest(checkpoint, digest, e), e);
    return status ? status : same_digest(comm, path, digest, e);
}
