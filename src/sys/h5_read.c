/* Reading from a file that h5_open.c has accepted. */
#include <string.h>

#include "h5_private.h"

bool h5_exists(struct h5 *file, const char *path)
{
    return h5_find_object(file, path) != NULL;
}

int h5_each_dataset(struct h5 *file, int (*visit)(void *context, const char *path, const struct h5_shape *shape),
                    void *context)
{
    int result = 0;
    for (size_t i = 0; i < file->objects && result == 0; i++)
        if (!file->object[i].group)
            result = visit(context, file->object[i].path, &file->object[i].shape);
    return result;
}

static enum status find_dataset(struct h5 *file, const char *path, struct h5_object **out, struct error *e)
{
    struct h5_object *object = h5_find_object(file, path);
    if (!object || object->group)
        return error_set(e, file->damaged, "cannot use '%s': it has no dataset '%s'; use a file that Unroll made",
                         file->name, path);
    *out = object;
    return STATUS_OK;
}

enum status h5_shape(struct h5 *file, const char *path, struct h5_shape *shape, struct error *e)
{
    struct h5_object *object = NULL;
    enum status status = find_dataset(file, path, &object, e);
    if (!status)
        *shape = object->shape;
    return status;
}

int64_t h5_data_offset(struct h5 *file, const char *path)
{
    struct h5_object *object = h5_find_object(file, path);
    return object ? object->offset : -1;
}

/* A run of a dataset's elements, as `memory` has them. */
static enum status read_run(struct h5 *file, struct h5_object *object, const char *path, hid_t memory, int64_t start,
                            int64_t count, void *data, struct error *e)
{
    enum status status = STATUS_OK;
    int64_t have = h5_shape_count(&object->shape);
    if (start < 0 || count < 0 || start > have || count > have - start)
        return error_set(e, file->damaged,
                         "cannot use '%s': '%s' has %lld elements, and %lld from number %lld on are "
                         "not there; use a file that Unroll made",
                         file->name, path, (long long)have, (long long)count, (long long)start);
    if (count == 0)
        return STATUS_OK;
    if (object->id < 0)
        object->id = H5Oopen_by_addr(file->id, object->address); /* by address: the very object that was checked */
    hsize_t length = (hsize_t)count;
    hid_t from = h5_select_run(&object->shape, start, count), to = H5Screate_simple(1, &length, NULL);
    bool good =
        object->id >= 0 && from >= 0 && to >= 0 && H5Dread(object->id, memory, to, from, file->transfer, data) >= 0;
    if (!good) {
        char text[H5_REASON_TEXT];
        status =
            error_set(e, STATUS_IO, "cannot read '%s' of '%s': %s; check the disk", path, file->name, h5_reason(text));
    }
    if (from >= 0)
        (void)H5Sclose(from);
    if (to >= 0)
        (void)H5Sclose(to);
    return status;
}

enum status h5_read(struct h5 *file, const char *path, enum h5_type type, int64_t start, int64_t count, void *data,
                    struct error *e)
{
    struct h5_object *object = NULL;
    enum status status = find_dataset(file, path, &object, e);
    if (status)
        return status;
    if (object->shape.type != type)
        return error_set(e, file->damaged, "cannot use '%s': '%s' is %s, not %s; use a file that Unroll made",
                         file->name, path, h5_type_name(object->shape.type), h5_type_name(type));
    return read_run(file, object, path, h5_memory_type(type), start, count, data, e);
}

enum status h5_read_f32(struct h5 *file, const char *path, int64_t start, int64_t count, float *data, struct error *e)
{
    struct h5_object *object = NULL;
    enum status status = find_dataset(file, path, &object, e);
    if (status)
        return status;
    CHECK(object->shape.type >= H5_F32);
    return read_run(file, object, path, h5_memory_type(H5_F32), start, count, data, e);
}

/* ---- attributes ---- */

/* Opens a scalar attribute; its type must be closed too. */
static enum status attr_open(struct h5 *file, const char *object, const char *name, hid_t *attr, hid_t *type,
                             struct error *e)
{
    struct h5_object *owner = h5_find_object(file, object);
    hid_t id = owner ? H5Oopen_by_addr(file->id, owner->address) : H5I_INVALID_HID;
    *attr = id >= 0 && H5Aexists(id, name) > 0 ? H5Aopen(id, name, H5P_DEFAULT) : H5I_INVALID_HID;
    *type = *attr >= 0 ? H5Aget_type(*attr) : H5I_INVALID_HID;
    hid_t space = *attr >= 0 ? H5Aget_space(*attr) : H5I_INVALID_HID;
    bool scalar = space >= 0 && H5Sget_simple_extent_type(space) == H5S_SCALAR;
    if (space >= 0)
        (void)H5Sclose(space);
    if (id >= 0)
        (void)H5Oclose(id);
    if (scalar && *type >= 0)
        return STATUS_OK;
    if (*type >= 0)
        (void)H5Tclose(*type);
    if (*attr >= 0)
        (void)H5Aclose(*attr);
    return error_set(e, file->damaged,
                     "cannot use '%s': '%s' has no usable attribute '%s'; use a file that Unroll made", file->name,
                     object, name);
}

static bool is_fixed_string(hid_t type)
{
    return H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
}

enum status h5_attr_string(struct h5 *file, const char *object, const char *name, char *text, size_t size,
                           struct error *e)
{
    hid_t attr, type;
    enum status status = attr_open(file, object, name, &attr, &type, e);
    if (status)
        return status;
    size_t length = is_fixed_string(type) ? H5Tget_size(type) : 0;
    if (length == 0 || length >= size) {
        status =
            error_set(e, file->damaged, "cannot use '%s': attribute '%s' of '%s' is %s; use a file that Unroll made",
                      file->name, name, object, length ? "too long" : "not a fixed-length string");
    } else {
        memset(text, 0, size);
        H5T_cset_t cset = H5Tget_cset(type); /* HDF5 does not convert between the two */
        hid_t memory = H5Tcopy(H5T_C_S1);
        if (memory < 0 || H5Tset_size(memory, length) < 0 || H5Tset_strpad(memory, H5T_STR_NULLPAD) < 0 ||
            H5Tset_cset(memory, cset) < 0 || H5Aread(attr, memory, text) < 0)
            status =
                error_set(e, file->damaged, "cannot use '%s': attribute '%s' of '%s' is unreadable; use another copy",
                          file->name, name, object);
        if (memory >= 0)
            (void)H5Tclose(memory);
    }
    (void)H5Tclose(type);
    (void)H5Aclose(attr);
    return status;
}

static enum status attr_number(struct h5 *file, const char *object, const char *name, enum h5_type wanted, void *value,
                               struct error *e)
{
    hid_t attr, type;
    enum status status = attr_open(file, object, name, &attr, &type, e);
    if (status)
        return status;
    if (H5Tequal(type, h5_file_type(wanted)) <= 0 || H5Aread(attr, h5_memory_type(wanted), value) < 0)
        status = error_set(e, file->damaged,
                           "cannot use '%s': attribute '%s' of '%s' is not %s; use a file that Unroll made", file->name,
                           name, object, h5_type_name(wanted));
    (void)H5Tclose(type);
    (void)H5Aclose(attr);
    return status;
}

enum status h5_attr_u64(struct h5 *file, const char *object, const char *name, uint64_t *value, struct error *e)
{
    return attr_number(file, object, name, H5_U64, value, e);
}

enum status h5_attr_i64(struct h5 *file, const char *object, const char *name, int64_t *value, struct error *e)
{
    return attr_number(file, object, name, H5_I64, value, e);
}

enum status h5_attr_f64(struct h5 *file, const char *object, const char *name, double *value, struct error *e)
{
    return attr_number(file, object, name, H5_F64, value, e);
}

struct attr_visit {
    struct h5 *file;
    int (*visit)(void *context, const char *name, enum h5_attr type);
    void *context;
    int result;
};

static herr_t visit_attr(hid_t id, const char *name, const H5A_info_t *info, void *context)
{
    struct attr_visit *each = context;
    (void)info;
    hid_t attr = H5Aopen(id, name, H5P_DEFAULT);
    hid_t type = attr >= 0 ? H5Aget_type(attr) : H5I_INVALID_HID;
    enum h5_attr kind = H5_ATTR_OTHER;
    enum h5_type number;
    if (type >= 0 && is_fixed_string(type))
        kind = H5_ATTR_STRING;
    else if (type >= 0 && h5_type_of(type, &number))
        kind = number == H5_U64   ? H5_ATTR_U64
               : number == H5_I64 ? H5_ATTR_I64
               : number == H5_F64 ? H5_ATTR_F64
                                  : H5_ATTR_OTHER;
    if (type >= 0)
        (void)H5Tclose(type);
    if (attr >= 0)
        (void)H5Aclose(attr);
    each->result = each->visit(each->context, name, kind);
    return each->result != 0;
}

int h5_each_attr(struct h5 *file, const char *object, int (*visit)(void *context, const char *name, enum h5_attr type),
                 void *context)
{
    struct h5_object *owner = h5_find_object(file, object);
    hid_t id = owner ? H5Oopen_by_addr(file->id, owner->address) : H5I_INVALID_HID;
    if (id < 0)
        return -1;
    struct attr_visit each = {file, visit, context, 0};
    hsize_t next = 0;
    bool good = H5Aiterate2(id, H5_INDEX_NAME, H5_ITER_INC, &next, visit_attr, &each) >= 0;
    (void)H5Oclose(id);
    return each.result != 0 ? each.result : good ? 0 : -1;
}
