/* unroll import: weights made by other programs become a checkpoint. */
#include <stdio.h>
#include <string.h>

#include "unroll/cli/commands.h"
#include "unroll/cli/escape.h"
#include "unroll/cli/load.h"
#include "unroll/cli/vocab_origin.h"

#define COLUMNS 79 /* of a line */
#include "unroll/use/weights.h"

static struct weights_hints hints_of(const struct options *options, const struct vocab *vocab)
{
    struct weights_hints hints = options->import;
    hints.renames = options->renames;
    hints.rename = options->rename;
    hints.has_cell = options_given(options, "cell");
    hints.has_tied = options_given(options, "tied");
    hints.has_dropout = options_given(options, "dropout");
    hints.has_reset = options_given(options, "reset-at");
    hints.has_batch = options_given(options, "batch");
    hints.has_bptt = options_given(options, "bptt");
    hints.vocab = vocab;
    return hints;
}

/* A list divided by commas, in lines of a terminal's width. */
static void print_note(const char *what, const char *given)
{
    char shown[ESCAPE_SHOWN];
    const char *list = escape_shown(given, shown);
    int column = *list ? printf("note: %s", what) : 0;
    while (*list) {
        const char *end = strstr(list, ", ");
        int length = end ? (int)(end - list) + 1 : (int)strlen(list);
        if (column + 1 + length > COLUMNS)
            column = printf("\n     ") - 1;
        column += printf(" %.*s", length, list);
        list += length + (end != NULL);
    }
    if (column > 0)
        printf("\n");
}

static void print_notes(const struct weights_report *told)
{
    print_note("names:", told->renamed);
    print_note("left out, as --rename says:", told->left_out);
    print_note("not there, and zeros:", told->zeros);
    print_note("not there, and tied to the embedding:", told->tied);
    print_note("cell:", told->cell);
    print_note("converted to float32:", told->converted);
    print_note("lanes of 'eval', as the file tells none:", told->lanes);
}

static enum status print_report(const struct options *options, const struct checkpoint *checkpoint,
                                const struct weights_report *told, struct error *e)
{
    const struct model_config *model = &checkpoint->model;
    char path[ESCAPE_SHOWN], widths[MODEL_WIDTHS_TEXT];
    printf("wrote '%s': %s of %d layer%s, embedding %d, hidden %s, %s weights, vocabulary of %d tokens, level %s",
           escape_shown(options->output, path), cell_name(model->cell), model->layers, model->layers == 1 ? "" : "s",
           model->embedding, model_widths_text(model, widths), model->tied ? "tied" : "untied", model->vocab,
           level_name(checkpoint->vocab->level));
    if (model->task == TASK_CLASSIFY)
        printf(", %d labels", model->labels);
    printf("\n");
    print_notes(told);
    return finish_output(e);
}

enum status cmd_import(const struct options *options, struct error *e)
{
    struct vocab_origin origin;
    struct checkpoint checkpoint = {0};
    struct weights_report told;
    enum status status = vocab_origin_load(options, false, &origin, e);
    if (!status) {
        struct weights_hints hints = hints_of(options, origin.vocab);
        status = weights_import(options->file[0], options->from, &hints, &checkpoint, &told, e);
    }
    if (!status) {
        struct checkpoint_target target = {.path = options->output, .writer = WRITER_SINGLE};
        status = checkpoint_write(&COMM_ALONE, &checkpoint, &target, e);
    }
    if (!status)
        status = print_report(options, &checkpoint, &told, e);
    checkpoint_release(&checkpoint);
    vocab_origin_release(&origin);
    return status;
}
