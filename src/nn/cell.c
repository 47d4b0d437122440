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

enum status cell_parse(const char *name, enum cell *cell, struct error *e)
{
    char names[256] = "";
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
