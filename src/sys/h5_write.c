/* Writing: into memory, through serial HDF5, or by all ranks through parallel HDF5. On a parallel file every function
 * agrees on the outcome of what can be checked beforehand before it enters a collective call, and on the call's result
 * after it, so that no rank leaves alone. */
#include <errno.h>
#include <mpi.h>
#include <string.h>

#include "h5_private.h"

#include "unroll/base/mem.h"

/* Ranks write so many bytes at once into a parallel file: MPI's counts are ints, and not all that stands between it and
 * the disk cuts longer ones. (Tests set a small one.) */
#ifndef H5_PIECE
#define H5_PIECE ((size_t)1 << 28)
#endif

#define COMPACT_MAX 65535 /* links or attributes in the header of an object: as many as HDF5 allows */

static enum status agree(const struct h5 *file, enum status mine, struct error *e)
{
    return file->parallel ? comm_agree(&file->comm, mine, e) : mine;
}

/* `verb` ("write", "make") could not be applied to `object`: by our driver, or else by HDF5. */
static enum status failed(const struct h5 *file, const char *verb, const char *object, struct error *e)
{
    char text[H5_REASON_TEXT];
    const char *reason = file->failure ? errno_text(file->failure) : h5_reason(text);
    bool memory = file->failure == ENOMEM;
    enum status status = memory ? STATUS_OS : STATUS_IO;
    const char *fix = memory ? "use more memory per rank" : "check the free space and the disk";
    if (strcmp(object, "/") == 0)
        return error_set(e, status, "cannot %s '%s': %s; %s", verb, file->name, reason, fix);
    return error_set(e, status, "cannot %s '%s' in '%s': %s; %s", verb, object, file->name, reason, fix);
}

/* The end of every call that may write: what our driver kept from HDF5 comes out here, and the ranks agree. */
static enum status finish(const struct h5 *file, enum status status, const char *verb, const char *object,
                          struct error *e)
{
    if (!status && file->failure)
        status = failed(file, verb, object, e);
    return agree(file, status, e);
}

/* What all three kinds of file have in common: the format's version, with checksums over all metadata, and no times. */
static hid_t access_properties(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0 && (H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) < 0 ||
                        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0 ||
                        H5Pset_meta_block_size(access, 0) < 0 || /* no unused gaps, whose damage nobody would notice */
                        H5Pset_small_data_block_size(access, 0) < 0 || H5Pset_file_locking(access, false, true) < 0)) {
        (void)H5Pclose(access);
        return H5I_INVALID_HID;
    }
    return access;
}

/* Groups and datasets without modification times, so that equal content gives equal bytes; links and attributes all in
 * the object's header, which has a checksum: HDF5's other place for them has unused bytes without one. */
static hid_t object_properties(hid_t class)
{
    hid_t properties = H5Pcreate(class);
    bool group = class != H5P_DATASET_CREATE;
    if (properties >= 0 &&
        (H5Pset_obj_track_times(properties, false) < 0 || H5Pset_attr_phase_change(properties, COMPACT_MAX, 0) < 0 ||
         (group && H5Pset_link_phase_change(properties, COMPACT_MAX, 0) < 0))) {
        (void)H5Pclose(properties);
        return H5I_INVALID_HID;
    }
    return properties;
}

/* Creates the file with access properties that are ready, and closes them; adds the root to the table. */
static enum status create(struct h5 *file, const char *name, hid_t access, struct error *e)
{
    hid_t creation = object_properties(H5P_FILE_CREATE);
    file->id = access < 0 || creation < 0 ? H5I_INVALID_HID : H5Fcreate(name, H5F_ACC_TRUNC, creation, access);
    enum status status = STATUS_OK;
    if (file->id < 0) {
        char text[H5_REASON_TEXT];
        const char *reason = file->failure ? errno_text(file->failure) : h5_reason(text);
        status = error_set(e, STATUS_CANTCREATE,
                           "cannot create '%s': %s; check the folder, its permissions and the free space", file->name,
                           reason);
    } else {
        struct h5_object *root = h5_add_object(file, "/", e);
        if (root)
            root->group = true;
        else
            status = STATUS_OS;
    }
    if (creation >= 0)
        (void)H5Pclose(creation);
    if (access >= 0)
        (void)H5Pclose(access);
    return status;
}

/* An image or a serial file: both through our own driver. */
static enum status create_own(const char *name, bool in_memory, struct h5 **out, struct error *e)
{
    *out = NULL;
    enum status status = h5_library_begin(e);
    if (status)
        return status;
    struct h5 *file = h5_new(name, e);
    if (!file)
        return STATUS_OS;
    file->in_memory = in_memory;
    hid_t access = access_properties();
    status = h5_use_driver(file, access, e);
    if (!status)
        status = create(file, name, access, e);
    else if (access >= 0)
        (void)H5Pclose(access);
    if (!status)
        *out = file;
    else
        h5_discard(file);
    return status;
}

enum status h5_create_image(struct h5 **out, struct error *e)
{
    return create_own("file image", true, out, e);
}

enum status h5_create_serial(const char *path, struct h5 **out, struct error *e)
{
    return create_own(path, false, out, e);
}

enum status h5_create_parallel(const char *path, const struct comm *comm, struct h5 **out, struct error *e)
{
    if (!comm->handle)
        return h5_create_serial(path, out, e);
    *out = NULL;
    enum status status = h5_library_begin(e);
    struct h5 *file = !status ? h5_new(path, e) : NULL;
    if (!status && !file)
        status = STATUS_OS;
    hid_t access = H5I_INVALID_HID;
    if (!status) {
        access = access_properties();
        file->transfer = H5Pcreate(H5P_DATASET_XFER);
        file->parallel = true;
        file->comm = *comm;
        MPI_Comm *handle = comm->handle;
        if (access < 0 || file->transfer < 0 || H5Pset_fapl_mpio(access, *handle, MPI_INFO_NULL) < 0 ||
            H5Pset_all_coll_metadata_ops(access, true) < 0 || H5Pset_coll_metadata_write(access, true) < 0 ||
            H5Pset_dxpl_mpio(file->transfer, H5FD_MPIO_COLLECTIVE) < 0) {
            char text[H5_REASON_TEXT];
            status = error_set(e, STATUS_UNAVAILABLE, "cannot write '%s' in parallel: %s; use the single writer", path,
                               h5_reason(text));
        }
    }
    enum status all = comm_agree(comm, status, e);
    if (!all)
        all = comm_agree(comm, create(file, path, access, e), e);
    else if (access >= 0)
        (void)H5Pclose(access);
    if (!all)
        *out = file;
    else
        h5_discard(file);
    return all;
}

/* ---- groups and datasets ---- */

/* A new name whose parent group is there. */
static enum status check_new(struct h5 *file, const char *path, struct error *e)
{
    const char *last = strrchr(path, '/');
    if (!last || last[1] == '\0' || strlen(path) >= H5_PATH_TEXT)
        return error_set(e, STATUS_INTERNAL,
                         "cannot make '%s' in '%s': not an absolute path of at most %d bytes; shorten it", path,
                         file->name, H5_PATH_TEXT - 1);
    char parent[H5_PATH_TEXT] = "/";
    if (last != path) {
        memcpy(parent, path, (size_t)(last - path));
        parent[last - path] = '\0';
    }
    struct h5_object *group = h5_find_object(file, parent);
    if (!group || !group->group)
        return error_set(e, STATUS_INTERNAL, "cannot make '%s' in '%s': no group '%s'; make it first", path, file->name,
                         parent);
    if (h5_find_object(file, path))
        return error_set(e, STATUS_INTERNAL, "cannot make '%s' in '%s': it is there already; make it once", path,
                         file->name);
    return STATUS_OK;
}

enum status h5_make_group(struct h5 *file, const char *path, struct error *e)
{
    enum status status = check_new(file, path, e);
    struct h5_object *object = !status ? h5_add_object(file, path, e) : NULL;
    if (!status && !object)
        status = STATUS_OS;
    status = agree(file, status, e);
    if (status)
        return status;
    object->group = true;
    hid_t properties = object_properties(H5P_GROUP_CREATE);
    hid_t id = properties < 0 ? properties : H5Gcreate2(file->id, path, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (id < 0)
        status = failed(file, "make the group", path, e);
    else
        (void)H5Gclose(id);
    if (properties >= 0)
        (void)H5Pclose(properties);
    return finish(file, status, "make the group", path, e);
}

static hid_t create_dataset(struct h5 *file, const char *path, const struct h5_shape *shape, bool early)
{
    hsize_t dims[H5_RANK_MAX] = {(hsize_t)shape->dims[0], (hsize_t)shape->dims[1]};
    hid_t space = H5Screate_simple(shape->rank, dims, NULL);
    hid_t properties = object_properties(H5P_DATASET_CREATE), id = H5I_INVALID_HID;
    if (space >= 0 && properties >= 0 && H5Pset_layout(properties, H5D_CONTIGUOUS) >= 0 &&
        H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) >= 0 &&
        H5Pset_alloc_time(properties, early ? H5D_ALLOC_TIME_EARLY : H5D_ALLOC_TIME_LATE) >= 0)
        id = H5Dcreate2(file->id, path, h5_file_type(shape->type), space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (properties >= 0)
        (void)H5Pclose(properties);
    if (space >= 0)
        (void)H5Sclose(space);
    return id;
}

static enum status make_dataset(struct h5 *file, const char *path, const struct h5_shape *shape, bool early,
                                struct error *e)
{
    enum status status = check_new(file, path, e);
    if (!status && (shape->rank < 1 || shape->rank > H5_RANK_MAX || h5_shape_count(shape) < 0))
        status = error_set(e, STATUS_INTERNAL, "cannot make '%s' in '%s': its shape is out of range; use a smaller one",
                           path, file->name);
    struct h5_object *object = !status ? h5_add_object(file, path, e) : NULL;
    if (!status && !object)
        status = STATUS_OS;
    status = agree(file, status, e);
    if (status)
        return status;
    object->shape = *shape;
    if (shape->rank == 1)
        object->shape.dims[1] = 1;
    object->id = create_dataset(file, path, &object->shape, early || file->parallel);
    if (object->id < 0)
        status = failed(file, "make the dataset", path, e);
    return finish(file, status, "make the dataset", path, e);
}

enum status h5_make_dataset(struct h5 *file, const char *path, const struct h5_shape *shape, struct error *e)
{
    return make_dataset(file, path, shape, false, e);
}

enum status h5_reserve_dataset(struct h5 *file, const char *path, const struct h5_shape *shape, int64_t *offset,
                               struct error *e)
{
    CHECK(!file->parallel);
    enum status status = make_dataset(file, path, shape, true, e);
    haddr_t address = !status ? H5Dget_offset(h5_find_object(file, path)->id) : HADDR_UNDEF;
    if (!status && address == HADDR_UNDEF)
        status = failed(file, "make the dataset", path, e);
    *offset = (int64_t)address;
    return status;
}

/* Collective on a parallel file, with count 0 as well. */
static enum status write_run(struct h5 *file, struct h5_object *object, int64_t start, int64_t count, const void *data,
                             struct error *e)
{
    hsize_t length = (hsize_t)(count > 0 ? count : 1);
    hid_t to = h5_select_run(&object->shape, start, count), from = H5Screate_simple(1, &length, NULL);
    bool good = to >= 0 && from >= 0 && (count > 0 || H5Sselect_none(from) >= 0);
    enum status status = STATUS_OK;
    char nothing = 0;
    if (!good ||
        H5Dwrite(object->id, h5_memory_type(object->shape.type), from, to, file->transfer, count ? data : &nothing) < 0)
        status = failed(file, "write", object->path, e);
    if (to >= 0)
        (void)H5Sclose(to);
    if (from >= 0)
        (void)H5Sclose(from);
    return finish(file, status, "write", object->path, e);
}

enum status h5_write(struct h5 *file, const char *path, enum h5_type type, int64_t start, int64_t count,
                     const void *data, struct error *e)
{
    struct h5_object *object = h5_find_object(file, path);
    const size_t size = h5_type_size(type);
    const int64_t most = (int64_t)(H5_PIECE / size);
    enum status status = STATUS_OK;
    if (!object || object->group || object->id < 0 || object->shape.type != type)
        status = error_set(e, STATUS_INTERNAL, "cannot write '%s' in '%s': no dataset of type %s; make it first", path,
                           file->name, h5_type_name(type));
    else if (start < 0 || count < 0 || start > h5_shape_count(&object->shape) - count)
        status = error_set(e, STATUS_INTERNAL,
                           "cannot write '%s' in '%s': elements %lld + %lld are out of range; declare a larger shape",
                           path, file->name, (long long)start, (long long)count);
    status = agree(file, status, e);
    if (status)
        return status;
    int64_t pieces = (count + most - 1) / most;
    if (file->parallel) /* a rank without a piece of its own takes part in those of the others */
        pieces = comm_max(&file->comm, pieces > 1 ? pieces : 1);
    for (int64_t piece = 0, done = 0; piece < pieces && !status; piece++) {
        int64_t part = count - done < most ? count - done : most;
        status = write_run(file, object, start + done, part, part ? (const char *)data + (size_t)done * size : NULL, e);
        done += part;
    }
    return status;
}

/* ---- attributes ---- */

static enum status set_attr(struct h5 *file, const char *object, const char *name, hid_t file_type, hid_t memory_type,
                            const void *value, struct error *e)
{
    enum status status = STATUS_OK;
    if (!h5_find_object(file, object) || file_type < 0)
        status = error_set(e, STATUS_INTERNAL, "cannot set '%s' of '%s' in '%s': no such object; make it first", name,
                           object, file->name);
    status = agree(file, status, e);
    if (status)
        return status;
    hid_t owner = H5Oopen(file->id, object, H5P_DEFAULT), space = H5Screate(H5S_SCALAR);
    hid_t attr = owner >= 0 && space >= 0 ? H5Acreate2(owner, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT)
                                          : H5I_INVALID_HID;
    if (attr < 0 || H5Awrite(attr, memory_type, value) < 0)
        status = failed(file, "write the attribute", name, e);
    if (attr >= 0 && H5Aclose(attr) < 0 && !status)
        status = failed(file, "write the attribute", name, e);
    if (space >= 0)
        (void)H5Sclose(space);
    if (owner >= 0)
        (void)H5Oclose(owner);
    return finish(file, status, "write the attribute", name, e);
}

enum status h5_set_string(struct h5 *file, const char *object, const char *name, const char *text, struct error *e)
{
    size_t length = strlen(text);
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, length ? length : 1) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 ||
                      H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
        (void)H5Tclose(type);
        type = H5I_INVALID_HID;
    }
    enum status status = set_attr(file, object, name, type, type, text, e);
    if (type >= 0)
        (void)H5Tclose(type);
    return status;
}

enum status h5_set_u64(struct h5 *file, const char *object, const char *name, uint64_t value, struct error *e)
{
    return set_attr(file, object, name, h5_file_type(H5_U64), h5_memory_type(H5_U64), &value, e);
}

enum status h5_set_i64(struct h5 *file, const char *object, const char *name, int64_t value, struct error *e)
{
    return set_attr(file, object, name, h5_file_type(H5_I64), h5_memory_type(H5_I64), &value, e);
}

enum status h5_set_f64(struct h5 *file, const char *object, const char *name, double value, struct error *e)
{
    return set_attr(file, object, name, h5_file_type(H5_F64), h5_memory_type(H5_F64), &value, e);
}

/* ---- the end ---- */

/* Closes everything of HDF5's; the table stays. */
static enum status close_file(struct h5 *file, struct error *e)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < file->objects; i++) {
        if (file->object[i].id >= 0 && H5Dclose(file->object[i].id) < 0 && !status)
            status = failed(file, "close", file->object[i].path, e);
        file->object[i].id = H5I_INVALID_HID;
    }
    if (file->id >= 0 && H5Fclose(file->id) < 0 && !status)
        status = failed(file, "close", "/", e);
    file->id = H5I_INVALID_HID;
    if (!status && file->failure)
        status = failed(file, "write", "/", e);
    return status;
}

enum status h5_image_bytes(struct h5 *file, void **bytes, size_t *size, struct error *e)
{
    *bytes = NULL;
    *size = 0;
    hsize_t length = 0; /* after a flush no more than what HDF5 has given out: the driver truncates */
    if (H5Fflush(file->id, H5F_SCOPE_GLOBAL) < 0 || H5Fget_filesize(file->id, &length) < 0 || file->failure)
        return failed(file, "complete", "/", e);
    enum status status = close_file(file, e);
    if (status)
        return status;
    CHECK(length <= file->image_bytes);
    *bytes = file->image;
    *size = (size_t)length;
    file->image = NULL;
    file->image_bytes = 0;
    return STATUS_OK;
}

enum status h5_close_write(struct h5 *file, struct error *e)
{
    enum status status = agree(file, close_file(file, e), e);
    h5_discard(file);
    return status;
}
