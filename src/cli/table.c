/* A table of text: its cells, the width of its columns, and which columns go when a terminal is narrow. */
#include "unroll/cli/table.h"

#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/data/escape.h"

#define BETWEEN 2   /* blanks */
#define LEAST_CUT 8 /* what a cut cell keeps */
#define CUT "..."

struct column {
    const char *title;
    bool right;
    int drop, width;
};

struct table {
    size_t rows;
    int columns;
    struct column column[TABLE_COLUMNS_MAX];
    size_t *at; /* [rows][TABLE_COLUMNS_MAX] where in `text` the cell stands, plus one; 0: not set */
    char *text;
    size_t bytes, capacity;
};

static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80; /* code points */
    return width;
}

struct table *table_new(size_t rows, struct error *e)
{
    struct table *table = mem_alloc(1, sizeof *table, "a table", e);
    if (!table)
        return NULL;
    table->rows = rows;
    table->at = mem_alloc(rows * TABLE_COLUMNS_MAX, sizeof *table->at, "a table", e);
    if (table->at)
        return table;
    table_free(table);
    return NULL;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    mem_free(table->at);
    mem_free(table->text);
    mem_free(table);
}

int table_column(struct table *table, const char *title, bool right, int drop)
{
    if (table->columns == TABLE_COLUMNS_MAX)
        return -1;
    table->column[table->columns] = (struct column){title, right, drop, width_of(title)};
    return table->columns++;
}

static enum status append(struct table *table, const char *text, size_t length, struct error *e)
{
    void *grown = table->text;
    enum status status = mem_grow(&grown, &table->capacity, table->bytes + length, 1, "a table", e);
    if (status)
        return status;
    table->text = grown;
    memcpy(table->text + table->bytes, text, length);
    table->bytes += length;
    return STATUS_OK;
}

enum status table_set(struct table *table, size_t row, int column, const char *text, struct error *e)
{
    char piece[ESCAPE_MAX];
    size_t begin = table->bytes, length = strlen(text);
    enum status status = STATUS_OK;
    if (column < 0)
        return STATUS_OK;
    for (size_t at = 0; at < length && !status;) {
        at += escape_next(text + at, length - at, piece);
        status = append(table, piece, strlen(piece), e);
    }
    if (!status)
        status = append(table, "", 1, e);
    if (status)
        return status;
    table->at[row * TABLE_COLUMNS_MAX + (size_t)column] = begin + 1;
    int width = width_of(table->text + begin);
    if (width > table->column[column].width)
        table->column[column].width = width;
    return STATUS_OK;
}

static const char *cell(const struct table *table, size_t row, int column)
{
    size_t at = table->at[row * TABLE_COLUMNS_MAX + (size_t)column];
    return at ? table->text + at - 1 : "-";
}

/* ---- fitting ---- */

struct fit {
    bool gone[TABLE_COLUMNS_MAX];
    int first; /* width of the first column */
};

static int fitted_width(const struct table *table, const struct fit *fit)
{
    int width = -BETWEEN;
    for (int i = 0; i < table->columns; i++)
        if (!fit->gone[i])
            width += (i == 0 ? fit->first : table->column[i].width) + BETWEEN;
    return width;
}

int table_width(const struct table *table)
{
    struct fit all = {.first = table->column[0].width};
    return fitted_width(table, &all);
}

/* The column that leaves next, -1 if none may. */
static int next_to_go(const struct table *table, const struct fit *fit)
{
    int found = -1;
    for (int i = 1; i < table->columns; i++)
        if (!fit->gone[i] && table->column[i].drop > (found < 0 ? 0 : table->column[found].drop))
            found = i;
    return found;
}

static void make_fit(const struct table *table, int width, struct fit *fit)
{
    int next;
    while (fitted_width(table, fit) > width && (next = next_to_go(table, fit)) >= 0)
        fit->gone[next] = true;
    int over = fitted_width(table, fit) - width;
    int least = fit->first < LEAST_CUT ? fit->first : LEAST_CUT;
    if (over > 0)
        fit->first = fit->first - over > least ? fit->first - over : least;
}

static void name_gone(const struct table *table, const struct fit *fit, char left_out[TABLE_LEFT_OUT])
{
    left_out[0] = '\0';
    for (int i = 0; i < table->columns; i++) {
        size_t length = strlen(left_out);
        if (fit->gone[i])
            snprintf(left_out + length, TABLE_LEFT_OUT - length, "%s%s", length ? ", " : "", table->column[i].title);
    }
}

/* ---- printing ---- */

/* The end of a text that is longer than `width`: the ends of paths tell more than their beginnings. */
static const char *end_of(const char *text, int width)
{
    int skip = width_of(text) - (width - (int)strlen(CUT));
    while (skip > 0 && *text) {
        text++;
        if (((unsigned char)*text & 0xC0) != 0x80)
            skip--;
    }
    return text;
}

static void put_cell(FILE *stream, const char *text, int width, bool right, bool last)
{
    bool cut = width_of(text) > width;
    const char *shown = cut ? end_of(text, width) : text;
    int blanks = width - width_of(shown) - (cut ? (int)strlen(CUT) : 0);
    if (right && blanks > 0)
        fprintf(stream, "%*s", blanks, "");
    fprintf(stream, "%s%s", cut ? CUT : "", shown);
    if (!last && !right && blanks > 0)
        fprintf(stream, "%*s", blanks, "");
}

/* Row -1: the titles. */
static void put_row(const struct table *table, const struct fit *fit, FILE *stream, long row)
{
    int last = table->columns - 1;
    while (last > 0 && fit->gone[last])
        last--;
    for (int i = 0; i <= last; i++) {
        const char *text = row < 0 ? table->column[i].title : cell(table, (size_t)row, i);
        if (fit->gone[i])
            continue;
        put_cell(stream, text, i == 0 ? fit->first : table->column[i].width, table->column[i].right, i == last);
        fprintf(stream, "%*s", i == last ? 0 : BETWEEN, "");
    }
    fputc('\n', stream);
}

void table_print(const struct table *table, FILE *stream, int width, char left_out[TABLE_LEFT_OUT])
{
    struct fit fit = {.first = table->column[0].width};
    if (width > 0)
        make_fit(table, width, &fit);
    name_gone(table, &fit, left_out);
    for (long row = -1; row < (long)table->rows; row++)
        put_row(table, &fit, stream, row);
}
