/* Loads the vocabulary that --vocab-from names. */
#include "unroll/cli/vocab_origin.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/content.h"
#include "unroll/base/file.h"
#include "unroll/cli/file_kind.h"
#include "unroll/data/vocab_text.h"
#include "unroll/use/line_reader.h"

bool vocab_origin_says_level(const char *path)
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
    char names[LEVEL_NAMES];
    enum content content = content_of_file(path);
    enum status status = content_refuse_text(content, path, true, e);
    if (status)
        return status;
    return error_set(e, STATUS_USAGE,
                     "missing option '--level': '%s' is %s, which does not say what its tokens are; write "
                     "--level with %s",
                     path, content == CONTENT_TEXT ? "a text" : "neither a corpus nor a model",
                     level_names(false, names));
}

static enum status load_text(const struct options *options, bool strict, struct vocab_origin *origin, struct error *e)
{
    const char *path = options->vocab_from;
    if (!options_given(options, "level") && access(path, F_OK) == 0)
        return level_missing(path, e);
    if (!level_kind(options->prepare.level)->utf8 && options->prepare.normal != NORMAL_NONE)
        return error_set(e, STATUS_CONFIG, "'--normalise %s' has no meaning for bytes; leave it out",
                         normal_name(options->prepare.normal));
    enum status status =
        vocab_text_load(path, options->prepare.level, options->prepare.normal, strict, &origin->own, e);
    origin->vocab = origin->own;
    return status;
}

static enum status load_hdf5(const char *path, struct vocab_origin *origin, struct error *e)
{
    enum file_kind kind;
    enum status status = file_kind(path, &kind, e);
    if (status)
        return status;
    if (kind == FILE_CORPUS)
        status = corpus_open(path, &origin->corpus, e);
    else
        status = checkpoint_read(path, CHECKPOINT_FACTS, &origin->checkpoint, e);
    if (status)
        return status;
    const struct corpus *corpus = origin->corpus;
    const struct checkpoint *checkpoint = &origin->checkpoint;
    origin->vocab = corpus ? corpus->vocab : checkpoint->vocab;
    origin->labels = corpus ? corpus->labels : checkpoint->labels;
    origin->markers = corpus ? corpus->markers : checkpoint->markers;
    origin->lowercase = corpus && corpus->lowercase;
    return STATUS_OK;
}

enum status vocab_origin_load(const struct options *options, bool strict, struct vocab_origin *origin, struct error *e)
{
    const char *path = options->vocab_from;
    *origin = (struct vocab_origin){.vocab = NULL};
    if (!path)
        return STATUS_OK;
    enum status status =
        vocab_origin_says_level(path) ? load_hdf5(path, origin, e) : load_text(options, strict, origin, e);
    if (!status)
        origin->lowercase = origin->lowercase || line_reader_lowers(origin->vocab);
    return status;
}

void vocab_origin_release(struct vocab_origin *origin)
{
    corpus_close(origin->corpus);
    vocab_free(origin->own);
    checkpoint_release(&origin->checkpoint);
    *origin = (struct vocab_origin){.vocab = NULL};
}
