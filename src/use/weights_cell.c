/* Finds the cell of foreign weights: by the shapes of layer 0, by the file's facts, or by the caller's hint. */
#include "weights_private.h"

#include <stdio.h>
#include <string.h>

#include "unroll/nn/cell.h"

#define INPUT "rnn.weight_ih_l0"
#define RECURRENT "rnn.weight_hh_l0"

static void append(char *text, size_t size, const char *more)
{
    strncat(text, more, size - strlen(text) - 1);
}

const char *cell_torch_modules(char text[CELL_MODULES_TEXT])
{
    const char *names[CELLS];
    int count = 0;
    for (int i = 0; i < CELLS; i++) {
        const struct cell_kind *kind = cell_kind((enum cell)i);
        if (kind->torch && !kind->torch_option)
            names[count++] = kind->torch;
    }
    *text = '\0';
    for (int i = 0; i < count; i++) {
        append(text, CELL_MODULES_TEXT, i == 0 ? "nn." : i < count - 1 ? ", nn." : " and nn.");
        append(text, CELL_MODULES_TEXT, names[i]);
    }
    return text;
}

static bool known_gates(int64_t gates)
{
    bool known = false;
    for (int i = 0; i < CELLS; i++)
        known = known || cell_kind((enum cell)i)->recurrent_gates == gates;
    return known && gates > 0;
}

/* "1, 3 or 4" */
static void list_gates(char *text, size_t size)
{
    int left = 0;
    *text = '\0';
    for (int gates = 1; gates <= CELL_BLOCKS_MAX; gates++)
        left += known_gates(gates);
    for (int gates = 1; gates <= CELL_BLOCKS_MAX; gates++) {
        char number[16];
        if (!known_gates(gates))
            continue;
        snprintf(number, sizeof number, "%s%d", *text == '\0' ? "" : left > 1 ? ", " : " or ", gates);
        append(text, size, number);
        left--;
    }
}

/* Whether layer 0 has all that the kind has besides weights and biases of its gates. */
static bool has_further(const struct source *source, enum cell cell)
{
    struct model_config config = {.cell = cell, .layers = 1, .embedding = 1, .hidden = 1};
    struct cell_tensor list[CELL_TENSORS_MAX];
    char name[48];
    int count = cell_kind(cell)->tensors ? cell_kind(cell)->tensors(&config, 0, list) : 0;
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "rnn.%.24s_l0", list[i].name);
        if (!source_find(source, name))
            return false;
    }
    return true;
}

/* What a round's matrix is called in layer 0: of full matrices the only one, or the one on either side. */
static const struct source_tensor *round_matrix(const struct source *source, int round, const char *side)
{
    char name[48];
    snprintf(name, sizeof name, "rnn.mogrify_%c%d%s_l0", round % 2 ? 'q' : 'r', round, side);
    return source_find(source, name);
}

void cell_rounds_of_weights(const struct source *source, struct model_config *model)
{
    const struct source_tensor *left = round_matrix(source, 1, "_left");
    int64_t rank = left && left->rank == 2 ? left->shape[1] : 0;
    int round = 0;
    while (round < MOGRIFY_ROUNDS_MAX && round_matrix(source, round + 1, left ? "_left" : ""))
        round++;
    model->mogrify = round;
    model->mogrify_rank = rank < MODEL_WIDTH_MAX ? (int)rank : MODEL_WIDTH_MAX;
}

/* Cells that have rounds are those of weights that have. */
static bool rounds_fit(const struct source *source, const struct cell_kind *kind)
{
    struct model_config model = {.cell = 0};
    cell_rounds_of_weights(source, &model);
    return kind->rounds == (model.mogrify > 0);
}

/* The hidden units of layer 0 if it is of this kind; 0 if it cannot be. */
static int64_t hidden_of(const struct source *source, enum cell cell)
{
    const struct cell_kind *kind = cell_kind(cell);
    const struct source_tensor *recurrent = source_find(source, RECURRENT), *input = source_find(source, INPUT);
    const struct source_tensor *output = source_find(source, "rnn.weight_ih_l1"); /* what reads its outputs */
    if (!output)
        output = source_find(source, "decoder.weight"); /* tied: the embedding */
    if (!output)
        output = source_find(source, "encoder.weight");
    const int blocks = cell_input_blocks(kind, 0);
    if (!rounds_fit(source, kind))
        return 0;
    if (recurrent)
        return recurrent->shape[0] == kind->recurrent_gates * recurrent->shape[1] ? recurrent->shape[1] : 0;
    if (kind->recurrent_gates > 0 || !input || input->rank != 2 || input->shape[0] % blocks != 0 ||
        !has_further(source, cell))
        return 0;
    int64_t H = input->shape[0] / blocks;
    return !output || output->rank != 2 || output->shape[1] == H ? H : 0;
}

bool cell_without_recurrence(const struct source *source, const struct weights_hints *hints)
{
    const struct source_tensor *input = source_find(source, INPUT);
    if (source_find(source, RECURRENT))
        return false;
    if (hints->has_cell && cell_kind(hints->cell)->recurrent_gates == 0)
        return input && input->rank == 2;
    if (source_find(source, "rnn.bias_hh_l0")) /* so weight_hh has another name */
        return false;
    bool may_be = false;
    for (int i = 0; i < CELLS; i++)
        may_be = may_be || hidden_of(source, (enum cell)i) > 0;
    return may_be;
}

static enum status refuse_gates(const struct source *source, enum cell cell, struct error *e)
{
    const struct source_tensor *recurrent = source_find(source, RECURRENT);
    const char *name = cell_name(cell);
    if (!recurrent && cell_kind(cell)->recurrent_gates == 0)
        return error_set(e, STATUS_DATA,
                         "cannot import '%.200s' as %s: '" INPUT
                         "' has not %d rows for each column of %s; leave --cell out, or use another file",
                         source->path, name, cell_input_blocks(cell_kind(cell), 0),
                         source_find(source, "rnn.weight_ih_l1") ? "'rnn.weight_ih_l1'" : "the output layer");
    if (!recurrent)
        return error_set(e, STATUS_DATA,
                         "cannot import '%.200s' as %s: it has no '" RECURRENT "', and '" INPUT
                         "' does not fit; leave --cell out, or use another file",
                         source->path, name);
    if (!rounds_fit(source, cell_kind(cell)))
        return error_set(
            e, STATUS_DATA,
            "cannot import '%.200s' as %s: it %s matrices of rounds such as 'rnn.mogrify_q1_l0'; leave --cell "
            "out, or use another file",
            source->path, name, cell_kind(cell)->rounds ? "has no" : "has");
    return error_set(e, STATUS_DATA,
                     "cannot import '%.200s' as %s: '" RECURRENT
                     "' has %d gates of a unit, %s has %d; leave --cell out, or use another file",
                     source->path, name, (int)(recurrent->shape[0] / recurrent->shape[1]), name,
                     cell_kind(cell)->recurrent_gates);
}

/* Several cells fit: "the weights in 'FILE' fit A and B alike; write '--cell A' (PyTorch's default) or '--cell B'". */
static enum status ask_which(const struct source *source, struct error *e)
{
    char fit[120] = "", write[300] = "";
    int left = 0;
    for (int i = 0; i < CELLS; i++)
        left += hidden_of(source, (enum cell)i) > 0;
    for (int i = 0; i < CELLS; i++) {
        const struct cell_kind *kind = cell_kind((enum cell)i);
        if (hidden_of(source, (enum cell)i) == 0)
            continue;
        append(fit, sizeof fit, *fit == '\0' ? "" : left > 1 ? ", " : " and ");
        append(fit, sizeof fit, kind->name);
        append(write, sizeof write, *write == '\0' ? "'--cell " : left > 1 ? ", '--cell " : " or '--cell ");
        append(write, sizeof write, kind->name);
        append(write, sizeof write, kind->torch && !kind->torch_option ? "' (PyTorch's default)" : "'");
        left--;
    }
    return error_set(e, STATUS_USAGE, "missing option '--cell': the weights in '%.200s' fit %s alike; write %s",
                     source->path, fit, write);
}

/* The shapes decide the cell; the name of its module may suggest another, which is reported. */
static void tell_misnamed(const struct source *source, enum cell cell, struct weights_report *told)
{
    const struct source_tensor *tensor = source_find(source, RECURRENT);
    const struct cell_kind *kind = cell_kind(cell);
    const char *given = tensor ? tensor->given : source_find(source, INPUT)->given;
    if (strcasestr(given, kind->name))
        return;
    for (int i = 0; i < CELLS; i++)
        if (strcasestr(given, cell_name((enum cell)i)))
            snprintf(told->cell, sizeof told->cell, "%s by the %d gates of a unit, though called '%.60s'", kind->name,
                     kind->gates, given);
}

enum status cell_of_weights(const struct source *source, const struct weights_hints *hints, struct weights_report *told,
                            struct weights_cell *found, struct error *e)
{
    const struct source_tensor *recurrent = source_find(source, RECURRENT);
    char text[SOURCE_FACT_TEXT];
    int fitting = 0;
    bool said = hints->has_cell;
    if (recurrent &&
        (recurrent->shape[0] % recurrent->shape[1] != 0 || !known_gates(recurrent->shape[0] / recurrent->shape[1]))) {
        list_gates(text, sizeof text);
        return source_refuse(source, RECURRENT, e, "has not %s times as many rows as columns", text);
    }
    if (said)
        found->cell = hints->cell;
    else if (source_fact(source, "cell", text))
        said = !cell_parse(text, &found->cell, NULL);
    for (int i = 0; i < CELLS && !said; i++)
        if (hidden_of(source, (enum cell)i) > 0) {
            found->cell = (enum cell)i;
            fitting++;
        }
    if (fitting > 1)
        return ask_which(source, e);
    found->hidden = hidden_of(source, found->cell);
    if (found->hidden == 0)
        return refuse_gates(source, found->cell, e);
    if (!said)
        tell_misnamed(source, found->cell, told);
    return STATUS_OK;
}
