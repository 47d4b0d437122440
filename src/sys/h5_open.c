/* Opening files that others may have made: everything is checked here, before any data is read.
 *
 * HDF5 1.10.8 crashes on damaged metadata of its old format, which has no checksums (a few hundred random changes to a
 * small file are enough). So the first bytes of the file and of every object's header are looked at here, before HDF5
 * sees them: only the format of HDF5 1.8 and later passes, whose metadata all carry checksums that HDF5 compares. */
#include <stdio.h>
#include <string.h>

#include "h5_private.h"

#include "unroll/base/content.h"

#define DEPTH_MAX 32
#define OLD_FORMAT "in HDF5's old format, without checksums"
#define REWRITE                                                                                               \
    "write it with h5py.File(name, 'w', libver='v108'), or copy its numbers: python3 -c \"import h5py; "      \
    "old = h5py.File('%s', 'r'); new = h5py.File('new.h5', 'w', libver='v108'); old.visititems(lambda k, v: " \
    "new.__setitem__(k, v[()]) if hasattr(v, 'shape') else None)\""

/* The superblock, "Format Specification Version 3.0", II.A: versions 2 and 3 */
#define SIGNATURE "\x89HDF\r\n\x1a\n"
#define SUPERBLOCK_BYTES 48
enum { VERSION_AT = 8, SIZES_AT = 9, BASE_AT = 12, EXTENSION_AT = 20 };

struct walk {
    struct h5 *file;
    struct error *e;
    enum status status;
    const char *path; /* of the group being walked, "" for the root */
    int depth;
};

static const char *fix(const struct h5 *file)
{
    if (file->foreign)
        return "write it again with h5py, as float32, neither chunked nor compressed";
    return file->damaged == STATUS_CHECKPOINT ? "use another checkpoint" : "make it again with 'unroll prepare'";
}

/* Refuses the object for `reason`. */
static enum status refuse(const struct walk *walk, const char *path, const char *reason)
{
    return error_set(walk->e, walk->file->damaged, "cannot use '%s': '%s' %s; %s", walk->file->name, path, reason,
                     fix(walk->file));
}

static enum status walk_group(struct walk *walk, hid_t group);

/* As h5_type_of, in any order of bytes: what is read is converted. */
static bool type_of_foreign(hid_t type, enum h5_type *out)
{
    bool number = H5Tget_class(type) == H5T_FLOAT || H5Tget_class(type) == H5T_INTEGER;
    hid_t copy = number ? H5Tcopy(type) : H5I_INVALID_HID;
    bool good = copy >= 0 && H5Tset_order(copy, H5T_ORDER_LE) >= 0 && h5_type_of(copy, out);
    if (copy >= 0)
        (void)H5Tclose(copy);
    return good;
}

/* Shape and type of a dataset that HDF5 has already opened; NULL, or why it is outside the plain subset. */
static const char *dataset_shape(const struct h5 *file, hid_t id, struct h5_shape *shape, bool *stored)
{
    hid_t properties = H5Dget_create_plist(id);
    if (properties < 0)
        return "has unreadable properties";
    H5D_layout_t layout = H5Pget_layout(properties);
    int filters = H5Pget_nfilters(properties), external = H5Pget_external_count(properties);
    (void)H5Pclose(properties);
    /* Layout first: asking a virtual dataset for its shape would open other files. */
    if (layout == H5D_VIRTUAL)
        return "is a virtual dataset, which points into other files";
    if (external != 0)
        return "keeps its data in another file";
    if (filters != 0)
        return "is compressed or filtered";
    if (layout != H5D_CONTIGUOUS && layout != H5D_COMPACT)
        return "is chunked instead of contiguous";
    *stored = layout == H5D_COMPACT;

    hid_t type = H5Dget_type(id), space = H5Dget_space(id);
    bool type_good = type >= 0 && (file->foreign ? type_of_foreign : h5_type_of)(type, &shape->type);
    int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    H5S_class_t class = space >= 0 ? H5Sget_simple_extent_type(space) : H5S_NO_CLASS;
    hsize_t dims[H5_RANK_MAX] = {1, 1};
    bool rank_good = rank >= 0 && rank <= H5_RANK_MAX && (class == H5S_SIMPLE || class == H5S_SCALAR);
    if (rank_good && rank > 0)
        rank_good = H5Sget_simple_extent_dims(space, dims, NULL) == rank;
    if (type >= 0)
        (void)H5Tclose(type);
    if (space >= 0)
        (void)H5Sclose(space);
    if (!type_good)
        return "has an element type that Unroll does not use";
    if (!rank_good || dims[0] > INT64_MAX || dims[1] > INT64_MAX)
        return "has a rank or shape that Unroll does not use";
    shape->rank = rank > 0 ? rank : 1;
    shape->dims[0] = (int64_t)dims[0];
    shape->dims[1] = (int64_t)dims[1];
    return NULL;
}

/* The bytes that the shape declares must be there, inside the file. */
static const char *dataset_place(const struct h5 *file, hid_t id, bool compact, struct h5_object *object)
{
    int64_t count = h5_shape_count(&object->shape), bytes;
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)h5_type_size(object->shape.type), &bytes) ||
        bytes > file->bytes)
        return "declares more bytes than the file has";
    if (bytes == 0)
        return NULL;
    if (H5Dget_storage_size(id) != (hsize_t)bytes)
        return "has no data, or not as much as its shape says";
    if (compact)
        return NULL;
    haddr_t offset = H5Dget_offset(id);
    if (offset == HADDR_UNDEF)
        return "has no data";
    if (offset > (haddr_t)(file->bytes - bytes))
        return "ends beyond the end of the file; the file is cut off";
    object->offset = (int64_t)offset;
    return NULL;
}

static enum status walk_dataset(struct walk *walk, const char *path, haddr_t address, hid_t id)
{
    struct h5_object found = {.offset = -1};
    bool compact = false;
    const char *reason = dataset_shape(walk->file, id, &found.shape, &compact);
    if (!reason)
        reason = dataset_place(walk->file, id, compact, &found);
    if (reason)
        return refuse(walk, path, reason);
    struct h5_object *object = h5_add_object(walk->file, path, walk->e);
    if (!object)
        return STATUS_OS;
    object->shape = found.shape;
    object->offset = found.offset;
    object->address = address;
    return STATUS_OK;
}

static bool seen_before(const struct h5 *file, haddr_t address)
{
    for (size_t i = 0; i < file->objects; i++)
        if (file->object[i].address == address)
            return true;
    return false;
}

/* Bytes of the file as they are there; false if they are not. */
static bool peek(struct h5 *file, haddr_t offset, size_t count, char *bytes)
{
    if ((int64_t)count > file->bytes || offset > (haddr_t)(file->bytes - (int64_t)count))
        return false;
    if (file->source) {
        memcpy(bytes, file->source + offset, count);
        return true;
    }
    return h5_fetch(file, (int64_t)offset, count, bytes) == 0;
}

static bool header_is_plain(struct h5 *file, haddr_t address)
{
    char bytes[5];
    return peek(file, address, sizeof bytes, bytes) && memcmp(bytes, "OHDR\2", sizeof bytes) == 0;
}

static enum status check_superblock(struct h5 *file, struct error *e)
{
    char bytes[SUPERBLOCK_BYTES];
    if (!peek(file, 0, sizeof bytes, bytes) || memcmp(bytes, SIGNATURE, VERSION_AT) != 0)
        return error_set(e, file->damaged, "cannot open '%s': not an HDF5 file, or cut off; %s", file->name, fix(file));
    if (bytes[VERSION_AT] != 2 && bytes[VERSION_AT] != 3 && file->foreign)
        return error_set(e, file->damaged, "cannot use '%.100s': it is " OLD_FORMAT "; " REWRITE, file->name,
                         content_shell_name(file->name));
    if (bytes[VERSION_AT] != 2 && bytes[VERSION_AT] != 3)
        return error_set(e, file->damaged,
                         "cannot use '%s': it is " OLD_FORMAT "; write it with libver='v108', as h5py calls it",
                         file->name);
    if (bytes[SIZES_AT] != 8 || bytes[SIZES_AT + 1] != 8 || memcmp(bytes + BASE_AT, "\0\0\0\0\0\0\0\0", 8) != 0 ||
        memcmp(bytes + EXTENSION_AT, "\xff\xff\xff\xff\xff\xff\xff\xff", 8) != 0)
        return error_set(e, file->damaged, "cannot use '%s': its superblock is not as Unroll writes it; %s", file->name,
                         fix(file));
    return STATUS_OK;
}

static enum status walk_object(struct walk *walk, const char *path, haddr_t address)
{
    struct h5 *file = walk->file;
    if (!header_is_plain(file, address))
        return refuse(walk, path, "has no object header of HDF5's format with checksums");
    if (seen_before(file, address))
        return refuse(walk, path, "is a second link to an object that has one already");
    if (file->objects >= H5_OBJECTS_MAX)
        return refuse(walk, path, "is one object too many");
    hid_t id = H5Oopen_by_addr(file->id, address);
    if (id < 0) {
        char reason[H5_REASON_TEXT + 20];
        char text[H5_REASON_TEXT];
        snprintf(reason, sizeof reason, "is unreadable: %s", h5_reason(text));
        return refuse(walk, path, reason);
    }
    enum status status;
    H5I_type_t type = H5Iget_type(id);
    if (type == H5I_DATASET) {
        status = walk_dataset(walk, path, address, id);
    } else if (type == H5I_GROUP) {
        struct h5_object *object = h5_add_object(file, path, walk->e);
        if (object) {
            object->group = true;
            object->address = address;
            struct walk inner = {file, walk->e, STATUS_OK, path, walk->depth + 1};
            status = walk_group(&inner, id);
        } else {
            status = STATUS_OS;
        }
    } else {
        status = refuse(walk, path, "is neither a group nor a dataset");
    }
    (void)H5Oclose(id);
    return status;
}

static bool name_is_plain(const char *name)
{
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (const char *at = name; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 127)
            return false;
    return true;
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    struct walk *walk = context;
    char path[H5_PATH_TEXT];
    (void)group;
    if (!name_is_plain(name) || snprintf(path, sizeof path, "%s/%s", walk->path, name) >= (int)sizeof path)
        walk->status =
            refuse(walk, walk->path[0] ? walk->path : "/", "holds a link with a name that Unroll never uses");
    else if (info->type != H5L_TYPE_HARD)
        walk->status = refuse(walk, path, info->type == H5L_TYPE_SOFT ? "is a soft link" : "is an external link");
    else
        walk->status = walk_object(walk, path, info->u.address);
    return walk->status;
}

static enum status walk_group(struct walk *walk, hid_t group)
{
    if (walk->depth > DEPTH_MAX)
        return refuse(walk, walk->path, "is nested too deeply");
    hsize_t next = 0;
    herr_t result = H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &next, visit_link, walk);
    if (!walk->status && result < 0) {
        char text[H5_REASON_TEXT];
        return error_set(walk->e, walk->file->damaged, "cannot list '%s' of '%s': %s; %s",
                         walk->path[0] ? walk->path : "/", walk->file->name, h5_reason(text), fix(walk->file));
    }
    return walk->status;
}

static enum status walk_file(struct h5 *file, struct error *e)
{
    H5O_info_t info;
    struct walk walk = {file, e, STATUS_OK, "", 0};
    if (H5Oget_info2(file->id, &info, H5O_INFO_BASIC) < 0)
        return refuse(&walk, "/", "is unreadable");
    struct h5_object *root = h5_add_object(file, "/", e);
    if (!root)
        return STATUS_OS;
    root->group = true;
    root->address = info.addr;
    if (!header_is_plain(file, info.addr))
        return refuse(&walk, "/", "has no object header of HDF5's format with checksums");
    return walk_group(&walk, file->id);
}

/* Opens with the given access properties, which it closes, and walks. */
static enum status open_and_walk(struct h5 *file, const char *name, hid_t access, struct h5 **out, struct error *e)
{
    enum status status = check_superblock(file, e);
    if (!status &&
        (access < 0 || H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0 ||
         H5Pset_file_locking(access, false, true) < 0)) /* files under their final name are never written to */
        status = error_set(e, STATUS_INTERNAL, "cannot open '%s': HDF5 refuses the access properties", file->name);
    if (!status) {
        file->id = H5Fopen(name, H5F_ACC_RDONLY, access);
        if (file->id < 0) {
            char text[H5_REASON_TEXT];
            h5_reason(text);
            status = error_set(e, file->damaged, "cannot open '%s': cut off or damaged (%s); %s", file->name, text,
                               fix(file));
        }
    }
    if (access >= 0)
        (void)H5Pclose(access);
    if (!status)
        status = walk_file(file, e);
    if (!status)
        *out = file;
    else
        h5_discard(file);
    return status;
}

enum status h5_open_on(struct h5 *file, struct h5 **out, struct error *e)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    enum status status = access < 0 ? STATUS_OK : h5_use_driver(file, access, e);
    if (status) {
        (void)H5Pclose(access);
        h5_discard(file);
        return status;
    }
    return open_and_walk(file, file->name, access, out, e);
}

static enum status open_plain(const char *path, enum status damaged, bool traced, bool foreign, struct h5 **out,
                              struct error *e)
{
    *out = NULL;
    enum status status = h5_library_begin(e);
    if (status)
        return status;
    struct h5 *file = h5_new(path, e);
    if (!file)
        return STATUS_OS;
    file->damaged = damaged;
    file->foreign = foreign;
    status = h5_open_file(file, e);
    if (!status && traced && !(file->trace = h5_trace_new(e)))
        status = STATUS_OS;
    if (status) {
        h5_discard(file);
        return status;
    }
    return h5_open_on(file, out, e);
}

enum status h5_open_plain(const char *path, enum status damaged, struct h5 **out, struct error *e)
{
    return open_plain(path, damaged, false, false, out, e);
}

enum status h5_open_foreign(const char *path, struct h5 **out, struct error *e)
{
    return open_plain(path, STATUS_DATA, false, true, out, e);
}

enum status h5_open_traced(const char *path, enum status damaged, struct h5 **out, struct error *e)
{
    return open_plain(path, damaged, true, false, out, e);
}

/* ---- images: HDF5 copies the caller's bytes unless its memory functions are replaced by ones that do not ---- */

static void *image_malloc(size_t size, H5FD_file_image_op_t operation, void *image)
{
    (void)size, (void)operation;
    return image;
}

static void *image_memcpy(void *target, const void *source, size_t size, H5FD_file_image_op_t operation, void *image)
{
    (void)source, (void)size, (void)operation, (void)image;
    return target;
}

static void *image_realloc(void *pointer, size_t size, H5FD_file_image_op_t operation, void *image)
{
    (void)pointer, (void)size, (void)operation, (void)image;
    return NULL; /* a file open for reading never grows */
}

static herr_t image_free(void *pointer, H5FD_file_image_op_t operation, void *image)
{
    (void)pointer, (void)operation, (void)image;
    return 0;
}

static void *image_udata_copy(void *image)
{
    return image;
}

static herr_t image_udata_free(void *image)
{
    (void)image;
    return 0;
}

enum status h5_open_image(void *image, size_t bytes, const char *name, enum status damaged, struct h5 **out,
                          struct error *e)
{
    *out = NULL;
    enum status status = h5_library_begin(e);
    if (status)
        return status;
    struct h5 *file = h5_new(name, e);
    if (!file)
        return STATUS_OS;
    file->damaged = damaged;
    file->bytes = (int64_t)bytes;
    file->source = image;
    H5FD_file_image_callbacks_t callbacks = {image_malloc,     image_memcpy,     image_realloc, image_free,
                                             image_udata_copy, image_udata_free, image};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0 &&
        (H5Pset_fapl_core(access, 1 << 16, false) < 0 || H5Pset_file_image_callbacks(access, &callbacks) < 0 ||
         H5Pset_file_image(access, image, bytes) < 0)) {
        (void)H5Pclose(access);
        access = H5I_INVALID_HID;
    }
    char unique[64]; /* HDF5 takes two images of one name for the same file */
    snprintf(unique, sizeof unique, "image-%p", (void *)file);
    return open_and_walk(file, unique, access, out, e);
}

void h5_close_read(struct h5 *file)
{
    h5_discard(file);
}
