/* The table of cells, and what is asked of it. */
#include "unroll/nn/cell.h"

#include <string.h>

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

int cell_states(const struct cell_kind *kind)
{
    int count = 0;
    while (count < CELL_STATES_MAX && kind->state[count].letter)
        count++;
    return count;
}

int cell_state_width(const struct cell_kind *kind, int state, int H, int inputs)
{
    return kind->state[state].width ? kind->state[state].width(H, inputs) : H;
}

enum status cell_parse(const char *name, enum cell *cell, struct error *e)
{
    char names[CELLS * (CELL_NAME_MAX + 4)] = "";
    for (int i = 0; i < CELLS; i++) {
        if (strcmp(name, kinds[i]->name) == 0) {
            *cell = (enum cell)i;
            return STATUS_OK;
        }
        strncat(names, i == 0 ? "" : i < CELLS - 1 ? ", " : " or ", sizeof names - strlen(names) - 1);
        strncat(names, kinds[i]->name, sizeof names - strlen(names) - 1);
    }
    return error_set(e, STATUS_CONFIG, "unknown cell '%s'; use %s", name, names);
}
