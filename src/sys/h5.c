/* The library's start, its error texts, its element types, and the table of objects in an open HDF5 file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "h5_private.h"

#include "unroll/base/mem.h"

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, release) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(release)

static const struct {
    size_t size;
    const char *name;
} type_table[] = {
    [H5_U8] = {1, "uint8"},    [H5_U16] = {2, "uint16"},  [H5_U32] = {4, "uint32"},
    [H5_U64] = {8, "uint64"},  [H5_I64] = {8, "int64"},   [H5_F32] = {4, "float32"},
    [H5_F64] = {8, "float64"}, [H5_F16] = {2, "float16"}, [H5_BF16] = {2, "bfloat16"},
};

size_t h5_type_size(enum h5_type type)
{
    return type_table[type].size;
}

const char *h5_type_name(enum h5_type type)
{
    return type_table[type].name;
}

hid_t h5_file_type(enum h5_type type)
{
    switch (type) {
    case H5_U8:
        return H5T_STD_U8LE;
    case H5_U16:
        return H5T_STD_U16LE;
    case H5_U32:
        return H5T_STD_U32LE;
    case H5_U64:
        return H5T_STD_U64LE;
    case H5_I64:
        return H5T_STD_I64LE;
    case H5_F32:
        return H5T_IEEE_F32LE;
    case H5_F64:
        return H5T_IEEE_F64LE;
    case H5_F16:
    case H5_BF16:
        break; /* HDF5 has no name for them that is in all versions */
    }
    return H5I_INVALID_HID;
}

hid_t h5_memory_type(enum h5_type type)
{
    switch (type) {
    case H5_U8:
        return H5T_NATIVE_UINT8;
    case H5_U16:
        return H5T_NATIVE_UINT16;
    case H5_U32:
        return H5T_NATIVE_UINT32;
    case H5_U64:
        return H5T_NATIVE_UINT64;
    case H5_I64:
        return H5T_NATIVE_INT64;
    case H5_F32:
        return H5T_NATIVE_FLOAT;
    case H5_F64:
        return H5T_NATIVE_DOUBLE;
    case H5_F16:
    case H5_BF16:
        break;
    }
    return H5I_INVALID_HID;
}

/* Floating-point types of 16 bits: sign, exponent, mantissa. */
static bool is_half(hid_t type, size_t exponent, size_t bias)
{
    size_t sign_at, exponent_at, exponent_bits, mantissa_at, mantissa_bits;
    return H5Tget_class(type) == H5T_FLOAT && H5Tget_size(type) == 2 && H5Tget_order(type) == H5T_ORDER_LE &&
           H5Tget_fields(type, &sign_at, &exponent_at, &exponent_bits, &mantissa_at, &mantissa_bits) >= 0 &&
           sign_at == 15 && exponent_bits == exponent && exponent_at == 15 - exponent && mantissa_at == 0 &&
           mantissa_bits == 15 - exponent && H5Tget_ebias(type) == bias;
}

bool h5_type_of(hid_t type, enum h5_type *out)
{
    bool half = is_half(type, 5, 15);
    if (half || is_half(type, 8, 127)) {
        *out = half ? H5_F16 : H5_BF16;
        return true;
    }
    for (int i = 0; i < (int)(sizeof type_table / sizeof type_table[0]); i++) {
        if (H5Tequal(type, h5_file_type((enum h5_type)i)) > 0) {
            *out = (enum h5_type)i;
            return true;
        }
    }
    return false;
}

const char *h5_library_version(void)
{
    /* The library refuses to run under another version's headers. */
    return VERSION_TEXT(H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
}

enum status h5_library_begin(struct error *e)
{
    unsigned int plugins = 0;
    if (H5open() < 0 || H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0 || H5PLset_loading_state(plugins) < 0)
        return error_set(e, STATUS_UNAVAILABLE, "cannot start the HDF5 library '%s'; check its installation",
                         h5_library_version());
    return STATUS_OK;
}

static herr_t keep_first(unsigned int n, const H5E_error2_t *entry, void *context)
{
    if (n == 0)
        snprintf(context, H5_REASON_TEXT, "%s", entry->desc ? entry->desc : "");
    return 0;
}

const char *h5_reason(char text[H5_REASON_TEXT])
{
    text[0] = '\0';
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, text); /* upward: the innermost comes first */
    const char *system = strstr(text, "errno = ");
    int number;
    if (system && sscanf(system, "errno = %d", &number) == 1 && number != 0)
        snprintf(text, H5_REASON_TEXT, "%s", errno_text(number));
    if (!text[0])
        snprintf(text, H5_REASON_TEXT, "HDF5 gives no reason");
    return text;
}

struct h5 *h5_new(const char *name, struct error *e)
{
    struct h5 *file = mem_alloc(1, sizeof *file, "an HDF5 file", e);
    if (!file)
        return NULL;
    file->id = H5I_INVALID_HID;
    file->transfer = H5P_DEFAULT;
    file->driver = H5I_INVALID_HID;
    file->fd = -1;
    file->name = mem_strdup(name, e);
    if (!file->name) {
        mem_free(file);
        return NULL;
    }
    return file;
}

void h5_discard(struct h5 *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->objects; i++) {
        if (file->object[i].id >= 0)
            (void)H5Dclose(file->object[i].id);
        mem_free(file->object[i].path);
    }
    if (file->transfer > 0)
        (void)H5Pclose(file->transfer);
    if (file->id >= 0)
        (void)H5Fclose(file->id);
    if (file->driver >= 0)
        (void)H5FDunregister(file->driver);
    if (file->fd >= 0)
        (void)close(file->fd);
    free(file->image);
    h5_trace_free(file->trace);
    mem_free(file->object);
    mem_free(file->name);
    mem_free(file);
}

struct h5_object *h5_add_object(struct h5 *file, const char *path, struct error *e)
{
    void *table = file->object;
    if (mem_grow(&table, &file->capacity, file->objects + 1, sizeof *file->object, "the objects of an HDF5 file", e))
        return NULL;
    file->object = table;
    struct h5_object *object = &file->object[file->objects];
    *object =
        (struct h5_object){.path = mem_strdup(path, e), .offset = -1, .address = HADDR_UNDEF, .id = H5I_INVALID_HID};
    if (!object->path)
        return NULL;
    file->objects++;
    return object;
}

struct h5_object *h5_find_object(struct h5 *file, const char *path)
{
    for (size_t i = 0; i < file->objects; i++)
        if (strcmp(file->object[i].path, path) == 0)
            return &file->object[i];
    return NULL;
}

int64_t h5_shape_count(const struct h5_shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++)
        if (shape->dims[i] < 0 || __builtin_mul_overflow(count, shape->dims[i], &count))
            return -1;
    return count;
}

/* Adds rows [row, row + rows) x columns [column, column + columns) to the selection. */
static bool select_block(hid_t space, int64_t row, int64_t rows, int64_t column, int64_t columns)
{
    hsize_t start[2] = {(hsize_t)row, (hsize_t)column}, count[2] = {(hsize_t)rows, (hsize_t)columns};
    if (rows <= 0 || columns <= 0)
        return true;
    return H5Sselect_hyperslab(space, H5S_SELECT_OR, start, NULL, count, NULL) >= 0;
}

hid_t h5_select_run(const struct h5_shape *shape, int64_t start, int64_t count)
{
    hsize_t dims[H5_RANK_MAX] = {(hsize_t)shape->dims[0], (hsize_t)shape->dims[1]};
    hid_t space = H5Screate_simple(shape->rank, dims, NULL);
    if (space < 0)
        return space;
    bool good = H5Sselect_none(space) >= 0;
    if (good && count > 0 && shape->rank == 1) {
        hsize_t first = (hsize_t)start, length = (hsize_t)count;
        good = H5Sselect_hyperslab(space, H5S_SELECT_SET, &first, NULL, &length, NULL) >= 0;
    } else if (good && count > 0) {
        /* A run through a matrix: the end of a row, whole rows, the beginning of a row. */
        int64_t width = shape->dims[1], row = start / width, column = start % width;
        int64_t head = column == 0 ? 0 : width - column < count ? width - column : count;
        int64_t whole = (count - head) / width, tail = (count - head) % width;
        int64_t first = row + (column != 0);
        good = select_block(space, row, head > 0, column, head) && select_block(space, first, whole, 0, width) &&
               select_block(space, first + whole, 1, 0, tail);
    }
    if (!good) {
        (void)H5Sclose(space);
        return H5I_INVALID_HID;
    }
    return space;
}
