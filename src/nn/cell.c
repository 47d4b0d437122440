/* The table of cells, and what is asked of it. */
#include "unroll/nn/cell.h"

#include <stdio.h>

#define CELL_ENTRY(number, kind) [CELL_##number] = &cell_kind_##kind,
static const struct cell_kind *const kinds[] = {CELL_TABLE(CELL_ENTRY)};
#undef CELL_ENTRY

const struct cell_kind *cell_kind(enum cell cell)
{
    return kinds[cell];
}

const char *cell_name(enum cell cell)
{
    return kinds[cell]->name;
}

int cell_gates(enum cell cell)
{
    return kinds[cell]->gates;
}

int cell_input_blocks(const struct cell_kind *kind, int layer)
{
    return kind->gates + (layer == 0 ? kind->first_blocks : 0);
}

int cell_slots(const struct cell_kind *kind, int layer)
{
    return kind->slots + (layer == 0 ? kind->first_blocks : 0) + kind->vectors;
}

int cell_states(const struct cell_kind *kind, int layer)
{
    int count = 0;
    while (count < CELL_STATES_MAX && kind->state[count].letter && (layer == 0 || !kind->state[count].first))
        count++;
    return count;
}

int cell_state_width(const struct cell_kind *kind, int state, int H, int inputs)
{
    return kind->state[state].width ? kind->state[state].width(H, inputs) : H;
}

static const char *name_of(int value)
{
    return kinds[value]->name;
}

const struct choices cell_choices = {"cell", CELLS, name_of};

enum status cell_parse(const char *name, enum cell *cell, struct error *e)
{
    int value;
    enum status status = choices_parse(&cell_choices, name, &value, e);
    if (!status)
        *cell = (enum cell)value;
    return status;
}

const char *cell_words(const char *option, char *room)
{
    size_t length = 0;
    (void)option;
    snprintf(room, CHOICES_TEXT, "none");
    for (int c = 0; c < CELLS && length < CHOICES_TEXT; c++)
        if (kinds[c]->rounds)
            length +=
                (size_t)snprintf(room + length, CHOICES_TEXT - length, "%s%s", length ? ", " : "", kinds[c]->name);
    return room;
}
