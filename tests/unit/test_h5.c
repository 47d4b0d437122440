/* The HDF5 room: what is written comes back, and files made to harm are refused before they are read. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#define H5_USE_110_API
#include <hdf5.h>

#include "support/folder.h"
#include "unroll/base/mem.h"
#include "unroll/sys/h5.h"

static const char *place(const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

#define OK(call)                                    \
    do {                                            \
        struct error error_ = {0};                  \
        struct error *e = &error_;                  \
        if ((call) != STATUS_OK)                    \
            fail_msg("%s: %s", #call, error_.text); \
    } while (0)

/* ---- what is written comes back ---- */

enum { ROWS = 5, COLUMNS = 7 };

static void write_sample(struct h5 *file)
{
    float matrix[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++)
        matrix[i] = (float)i;
    uint16_t tokens[] = {3, 1, 4, 1, 5, 9};
    struct h5_shape shape2 = {H5_F32, 2, {ROWS, COLUMNS}}, shape1 = {H5_U16, 1, {6, 1}}, empty = {H5_U64, 1, {0, 1}};
    OK(h5_set_string(file, "/", "format", "unroll-test", e));
    OK(h5_make_group(file, "/model", e));
    OK(h5_make_dataset(file, "/model/b.weight", &shape2, e));
    OK(h5_make_dataset(file, "/model/a", &shape1, e));
    OK(h5_make_dataset(file, "/none", &empty, e));
    OK(h5_write(file, "/model/b.weight", H5_F32, 0, 10, matrix, e)); /* in two runs that end inside a row */
    OK(h5_write(file, "/model/b.weight", H5_F32, 10, 25, matrix + 10, e));
    OK(h5_write(file, "/model/a", H5_U16, 0, 6, tokens, e));
    OK(h5_set_string(file, "/model/a", "name", "h\xc3\xa9", e));
    OK(h5_set_string(file, "/model/a", "empty", "", e));
    OK(h5_set_u64(file, "/model", "updates", UINT64_MAX, e));
    OK(h5_set_i64(file, "/model", "below", INT64_MIN, e));
    OK(h5_set_f64(file, "/model", "third", 1.0 / 3, e));
}

static int collect(void *context, const char *path, const struct h5_shape *shape)
{
    char *all = context;
    sprintf(all + strlen(all), "%s %d %lld %lld;", path, shape->rank, (long long)shape->dims[0],
            (long long)shape->dims[1]);
    return 0;
}

static int stop_at_first(void *context, const char *path, const struct h5_shape *shape)
{
    (void)path, (void)shape;
    ++*(int *)context;
    return 42;
}

static int collect_attr(void *context, const char *name, enum h5_attr type)
{
    char *all = context;
    sprintf(all + strlen(all), "%s %d;", name, (int)type);
    return 0;
}

static void read_sample(struct h5 *file)
{
    struct error error = {0};
    char text[32], all[400] = "";
    OK(h5_attr_string(file, "/", "format", text, sizeof text, e));
    assert_string_equal(text, "unroll-test");
    OK(h5_attr_string(file, "/model/a", "name", text, 4, e));
    assert_string_equal(text, "h\xc3\xa9");
    assert_int_equal(h5_attr_string(file, "/model/a", "name", text, 3, &error), STATUS_CHECKPOINT);
    OK(h5_attr_string(file, "/model/a", "empty", text, sizeof text, e));
    assert_string_equal(text, "");
    uint64_t u = 0;
    int64_t i = 0;
    double d = 0;
    OK(h5_attr_u64(file, "/model", "updates", &u, e));
    OK(h5_attr_i64(file, "/model", "below", &i, e));
    OK(h5_attr_f64(file, "/model", "third", &d, e));
    assert_true(u == UINT64_MAX && i == INT64_MIN && d == 1.0 / 3);
    assert_int_equal(h5_attr_u64(file, "/model", "below", &u, &error), STATUS_CHECKPOINT);
    assert_int_equal(h5_attr_u64(file, "/model", "absent", &u, &error), STATUS_CHECKPOINT);
    assert_int_equal(h5_attr_string(file, "/absent", "name", text, sizeof text, &error), STATUS_CHECKPOINT);
    assert_int_equal(h5_each_attr(file, "/model", collect_attr, all), 0);
    assert_string_equal(all, "below 2;third 3;updates 1;");

    all[0] = '\0';
    assert_int_equal(h5_each_dataset(file, collect, all), 0);
    assert_string_equal(all, "/model/a 1 6 1;/model/b.weight 2 5 7;/none 1 0 1;");
    int visits = 0;
    assert_int_equal(h5_each_dataset(file, stop_at_first, &visits), 42);
    assert_int_equal(visits, 1);
    assert_true(h5_exists(file, "/model") && h5_exists(file, "/model/a") && !h5_exists(file, "/model/c"));

    /* Every run of the matrix: the row-major run must come back whatever rows it begins and ends in. */
    for (int start = 0; start <= ROWS * COLUMNS; start++) {
        for (int count = 0; start + count <= ROWS * COLUMNS; count++) {
            float run[ROWS * COLUMNS + 1];
            for (int k = 0; k <= ROWS * COLUMNS; k++)
                run[k] = -1;
            OK(h5_read(file, "/model/b.weight", H5_F32, start, count, run, e));
            for (int k = 0; k < count; k++)
                assert_true(run[k] == (float)(start + k));
            assert_true(run[count] == -1);
        }
    }
    uint16_t tokens[6];
    OK(h5_read(file, "/model/a", H5_U16, 0, 6, tokens, e));
    assert_int_equal(tokens[5], 9);
    assert_int_equal(h5_read(file, "/model/a", H5_U32, 0, 1, tokens, &error), STATUS_CHECKPOINT);
    assert_non_null(strstr(error.text, "'/model/a' is uint16, not uint32"));
    assert_int_equal(h5_read(file, "/model/a", H5_U16, 1, 6, tokens, &error), STATUS_CHECKPOINT);
    assert_int_equal(h5_read(file, "/model/a", H5_U16, INT64_MAX, 1, tokens, &error), STATUS_CHECKPOINT);
    assert_int_equal(h5_read(file, "/model/a", H5_U16, -1, 1, tokens, &error), STATUS_CHECKPOINT);
    assert_int_equal(h5_read(file, "/model", H5_U16, 0, 1, tokens, &error), STATUS_CHECKPOINT);
}

static void serial_round_trip(void **state)
{
    (void)state;
    struct h5 *file = NULL;
    OK(h5_create_serial(place("serial.h5"), &file, e));
    write_sample(file);
    OK(h5_close_write(file, e));
    OK(h5_open_plain(place("serial.h5"), STATUS_CHECKPOINT, &file, e));
    read_sample(file);

    int64_t offset = h5_data_offset(file, "/model/a");
    uint16_t raw[6];
    FILE *plain = fopen(place("serial.h5"), "rb");
    assert_true(plain && offset > 0 && fseek(plain, offset, SEEK_SET) == 0 && fread(raw, 2, 6, plain) == 6);
    fclose(plain);
    assert_int_equal(raw[2], 4);
    assert_int_equal(h5_data_offset(file, "/none"), -1);
    h5_close_read(file);
}

static void image_round_trip_and_equal_bytes(void **state)
{
    (void)state;
    void *bytes[2];
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        struct h5 *file = NULL;
        OK(h5_create_image(&file, e));
        write_sample(file);
        OK(h5_image_bytes(file, &bytes[i], &size[i], e));
        OK(h5_close_write(file, e));
        if (i == 0)
            sleep(1); /* a time stored anywhere would differ now */
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], size[0]);
    struct h5 *first = NULL, *second = NULL; /* both at once, under one name */
    OK(h5_open_image(bytes[0], size[0], "image", STATUS_CHECKPOINT, &first, e));
    OK(h5_open_image(bytes[1], size[1], "image", STATUS_CHECKPOINT, &second, e));
    read_sample(first);
    h5_close_read(first);
    read_sample(second);
    h5_close_read(second);

    struct h5 *file = NULL;
    OK(h5_create_serial(place("same.h5"), &file, e));
    write_sample(file);
    OK(h5_close_write(file, e));
    FILE *plain = fopen(place("same.h5"), "rb");
    char *disk = malloc(size[0] + 1);
    assert_true(plain && disk);
    assert_int_equal(fread(disk, 1, size[0] + 1, plain), size[0]);
    assert_memory_equal(disk, bytes[0], size[0]);
    fclose(plain);
    free(disk);
    mem_free(bytes[0]);
    mem_free(bytes[1]);
}

static void writer_refuses_misuse(void **state)
{
    (void)state;
    struct h5 *file = NULL;
    struct error error;
    struct h5_shape shape = {H5_F32, 1, {4, 1}}, huge = {H5_F32, 2, {INT64_MAX, 2}};
    float values[4] = {0};
    OK(h5_create_image(&file, e));
    OK(h5_make_dataset(file, "/a", &shape, e));
    assert_int_equal(h5_make_dataset(file, "/a", &shape, &error), STATUS_INTERNAL);
    assert_int_equal(h5_make_dataset(file, "/x/a", &shape, &error), STATUS_INTERNAL);
    assert_int_equal(h5_make_dataset(file, "/huge", &huge, &error), STATUS_INTERNAL);
    assert_int_equal(h5_write(file, "/a", H5_F64, 0, 1, values, &error), STATUS_INTERNAL);
    assert_int_equal(h5_write(file, "/a", H5_F32, 1, 4, values, &error), STATUS_INTERNAL);
    assert_int_equal(h5_write(file, "/b", H5_F32, 0, 1, values, &error), STATUS_INTERNAL);
    assert_int_equal(h5_set_u64(file, "/b", "name", 1, &error), STATUS_INTERNAL);
    OK(h5_close_write(file, e));
    assert_int_equal(h5_create_serial("/nowhere/at/all.h5", &file, &error), STATUS_CANTCREATE);
    assert_null(file);
    assert_non_null(strstr(error.text, "cannot create '/nowhere/at/all.h5': No such file or directory;"));
}

/* Writes the sample until something fails, as on a full disk; the status of the first failure, or that of closing. */
static enum status write_until_full(const char *path)
{
    struct h5 *file = NULL;
    struct error error = {0};
    float matrix[1000] = {0};
    struct h5_shape shape = {H5_F32, 1, {1000, 1}};
    enum status status = h5_create_serial(path, &file, &error);
    if (status == STATUS_OK)
        status = h5_set_string(file, "/", "format", "unroll-test", &error);
    for (int i = 0; i < 20 && status == STATUS_OK; i++) {
        char name[32];
        snprintf(name, sizeof name, "/g%d", i);
        status = h5_make_group(file, name, &error);
        strcat(name, "/d");
        if (status == STATUS_OK)
            status = h5_make_dataset(file, name, &shape, &error);
        if (status == STATUS_OK)
            status = h5_write(file, name, H5_F32, 0, 1000, matrix, &error);
    }
    if (file) {
        enum status closed = h5_close_write(file, &error);
        if (status != STATUS_OK && closed != status)
            return STATUS_INTERNAL; /* a failure must not be forgotten */
        status = closed;
    }
    return status != STATUS_OK && !strstr(error.text, "file size limit (ulimit -f) reached") ? STATUS_INTERNAL : status;
}

/* In a child, because HDF5's trouble with unwritten files shows when the process ends. The limit on the size of files
 * stands for the full disk. */
static void full_disk_is_reported_and_survived(void **state)
{
    (void)state;
    int failures = 0, status = -1;
    for (rlim_t limit = 0; status != 0; limit += 3989) {
        pid_t child = fork();
        if (child == 0) {
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, RLIM_INFINITY});
            exit(write_until_full(place("full.h5")));
        }
        assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
        status = WEXITSTATUS(status);
        assert_true(status == STATUS_OK || status == STATUS_IO);
        failures += status != STATUS_OK;
    }
    assert_in_range(failures, 20, 50); /* until all of its 80000 bytes and more fit */
}

/* ---- files made to harm ---- */

static void expect_refused(const char *path, const char *words)
{
    struct h5 *file = NULL;
    struct error error = {0};
    enum status status = h5_open_plain(path, STATUS_CHECKPOINT, &file, &error);
    if (status != STATUS_CHECKPOINT || file || !strstr(error.text, words))
        fail_msg("'%s' gave %d '%s' instead of '%s'", path, (int)status, error.text, words);
}

static hid_t create_raw(const char *name)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V110);
    hid_t file = H5Fcreate(place(name), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    assert_true(file >= 0);
    H5Pclose(access);
    return file;
}

static void add_dataset(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims, hid_t properties)
{
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t id = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    assert_true(id >= 0);
    H5Dclose(id);
    H5Sclose(space);
}

static void missing_and_foreign_files(void **state)
{
    (void)state;
    struct h5 *file = NULL;
    struct error error;
    assert_int_equal(h5_open_plain(place("absent.h5"), STATUS_DATA, &file, &error), STATUS_NOINPUT);
    assert_non_null(strstr(error.text, "absent.h5': No such file or directory;"));
    expect_refused(folder, "it is a directory");
    assert_int_equal(mkfifo(place("pipe"), 0600), 0);
    expect_refused(place("pipe"), "not a regular file");
    FILE *text = fopen(place("text.h5"), "w");
    fclose(text);
    expect_refused(place("text.h5"), "not an HDF5 file");
    text = fopen(place("text.h5"), "w");
    for (int i = 0; i < 1000; i++)
        fputs("no HDF5 at all\n", text);
    fclose(text);
    expect_refused(place("text.h5"), "not an HDF5 file");
    assert_int_equal(h5_open_plain(place("text.h5"), STATUS_DATA, &file, &error), STATUS_DATA);
    char nothing[1] = "";
    assert_int_equal(h5_open_image(nothing, 0, "image", STATUS_DATA, &file, &error), STATUS_DATA);
    assert_int_equal(h5_open_image(nothing, 1, "image", STATUS_DATA, &file, &error), STATUS_DATA);
}

static void only_the_format_with_checksums(void **state)
{
    (void)state;
    hid_t file = H5Fcreate(place("old.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    H5Fclose(file);
    expect_refused(place("old.h5"), "HDF5's old format, without checksums; write it with libver='v108'");

    hid_t creation = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_userblock(creation, 512);
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
    file = H5Fcreate(place("user.h5"), H5F_ACC_TRUNC, creation, access);
    assert_true(file >= 0);
    H5Fclose(file);
    expect_refused(place("user.h5"), "not an HDF5 file");
    H5Pclose(creation);
    creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_istore_k(creation, 7); /* is kept in an extension of the superblock */
    file = H5Fcreate(place("extension.h5"), H5F_ACC_TRUNC, creation, access);
    assert_true(file >= 0);
    H5Fclose(file);
    expect_refused(place("extension.h5"), "its superblock is not as Unroll writes it");
    H5Pclose(creation);
    H5Pclose(access);

    /* A new superblock over an old-style object. */
    void *bytes;
    size_t size;
    struct h5 *open = NULL;
    struct error error = {0};
    OK(h5_create_image(&open, e));
    OK(h5_make_group(open, "/g", e));
    OK(h5_image_bytes(open, &bytes, &size, e));
    OK(h5_close_write(open, e));
    char *last = bytes;
    for (char *at = bytes; at + 4 <= (char *)bytes + size; at++)
        if (memcmp(at, "OHDR", 4) == 0)
            last = at;
    assert_ptr_not_equal(last, bytes);
    memcpy(last, "\1\0\0\0\1", 5);
    assert_int_equal(h5_open_image(bytes, size, "image", STATUS_DATA, &open, &error), STATUS_DATA);
    assert_non_null(strstr(error.text, "'/g' has no object header"));
    mem_free(bytes);
}

static void hostile_links(void **state)
{
    (void)state;
    hsize_t four = 4;
    hid_t early = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_alloc_time(early, H5D_ALLOC_TIME_EARLY);
    hid_t file = create_raw("soft.h5");
    add_dataset(file, "a", H5T_IEEE_F32LE, 1, &four, early);
    H5Lcreate_soft("/a", file, "b", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    expect_refused(place("soft.h5"), "'/b' is a soft link");

    file = create_raw("external.h5");
    H5Lcreate_external("/etc/passwd", "/", file, "b", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    expect_refused(place("external.h5"), "'/b' is an external link");

    file = create_raw("twice.h5");
    add_dataset(file, "a", H5T_IEEE_F32LE, 1, &four, early);
    H5Lcreate_hard(file, "a", file, "b", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    H5Pclose(early);
    expect_refused(place("twice.h5"), "'/b' is a second link");

    file = create_raw("cycle.h5");
    hid_t group = H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(file, "/", group, "up", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
    H5Fclose(file);
    expect_refused(place("cycle.h5"), "'/g/up' is a second link");

    file = create_raw("type.h5");
    hid_t type = H5Tcopy(H5T_NATIVE_INT);
    H5Tcommit2(file, "t", type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Tclose(type);
    H5Fclose(file);
    expect_refused(place("type.h5"), "'/t' is neither");

    file = create_raw("name.h5");
    H5Gclose(H5Gcreate2(file, "bell\a", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Fclose(file);
    expect_refused(place("name.h5"), "a link with a name");

    file = create_raw("deep.h5");
    hid_t at = file;
    for (int i = 0; i < 60; i++) {
        hid_t next = H5Gcreate2(at, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        if (at != file)
            H5Gclose(at);
        at = next;
    }
    H5Gclose(at);
    H5Fclose(file);
    expect_refused(place("deep.h5"), "nested too deeply");

    file = create_raw("many.h5");
    for (int i = 0; i < H5_OBJECTS_MAX + 1; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%d", i);
        H5Gclose(H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    }
    H5Fclose(file);
    expect_refused(place("many.h5"), "one object too many");
}

static void hostile_datasets(void **state)
{
    (void)state;
    hsize_t four = 4, huge[2] = {(hsize_t)1 << 40, 4}, wrap[2] = {(hsize_t)1 << 62, 8}, cube[3] = {2, 2, 2};
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(properties, "/etc/passwd", 0, 16);
    hid_t file = create_raw("d.h5");
    add_dataset(file, "x", H5T_IEEE_F32LE, 1, &four, properties);
    H5Fclose(file);
    H5Pclose(properties);
    expect_refused(place("d.h5"), "data in another file");

    properties = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(1, &four, NULL);
    H5Pset_virtual(properties, space, "other.h5", "/x", space);
    H5Sclose(space);
    file = create_raw("d.h5");
    add_dataset(file, "x", H5T_IEEE_F32LE, 1, &four, properties);
    H5Fclose(file);
    H5Pclose(properties);
    expect_refused(place("d.h5"), "virtual dataset");

    properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, 1, &four);
    file = create_raw("d.h5");
    add_dataset(file, "x", H5T_IEEE_F32LE, 1, &four, properties);
    H5Fclose(file);
    expect_refused(place("d.h5"), "chunked");
    H5Pset_shuffle(properties);
    file = create_raw("d.h5");
    add_dataset(file, "x", H5T_IEEE_F32LE, 1, &four, properties);
    H5Fclose(file);
    H5Pclose(properties);
    expect_refused(place("d.h5"), "filtered");

    hid_t text = H5Tcopy(H5T_C_S1), array = H5Tarray_create2(H5T_IEEE_F32LE, 1, &four);
    hid_t compound = H5Tcreate(H5T_COMPOUND, 8);
    H5Tset_size(text, H5T_VARIABLE);
    H5Tinsert(compound, "a", 0, H5T_IEEE_F32LE);
    hid_t types[] = {text, array, compound, H5T_IEEE_F32BE, H5T_STD_I32LE, H5T_STD_REF_OBJ};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        file = create_raw("d.h5");
        add_dataset(file, "x", types[i], 1, &four, H5P_DEFAULT);
        H5Fclose(file);
        expect_refused(place("d.h5"), "element type");
    }
    H5Tclose(text);
    H5Tclose(array);
    H5Tclose(compound);

    struct {
        int rank;
        const hsize_t *dims;
        const char *words;
    } shapes[] = {{2, huge, "more bytes than the file has"},
                  {2, wrap, "more bytes than the file has"},
                  {3, cube, "rank or shape"},
                  {1, &four, "no data"}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        file = create_raw("d.h5"); /* space is allocated late, so none of these has any */
        add_dataset(file, "x", H5T_STD_U8LE, shapes[i].rank, shapes[i].dims, H5P_DEFAULT);
        H5Fclose(file);
        expect_refused(place("d.h5"), shapes[i].words);
    }
}

/* HDF5's own checksum of metadata: whoever makes a file to harm can compute it too. */
uint32_t H5_checksum_metadata(const void *data, size_t length, uint32_t initial);

/* Makes the checksum of the object header at bytes + at fit again ("Format Specification Version 3.0", IV.A.1.b). */
static void mend_header(char *bytes, size_t at)
{
    const unsigned char *header = (const unsigned char *)bytes + at;
    size_t length = 6, width, chunk = 0;
    assert_memory_equal(header, "OHDR\2", 5);
    length += (header[5] & 0x20 ? 16 : 0) + (header[5] & 0x10 ? 4 : 0);
    width = (size_t)1 << (header[5] & 3);
    for (size_t i = 0; i < width; i++)
        chunk |= (size_t)header[length + i] << 8 * i;
    length += width + chunk;
    uint32_t checksum = H5_checksum_metadata(header, length, 0);
    memcpy(bytes + at + length, &checksum, sizeof checksum);
}

/* The address and the size of a dataset stand one after the other in its layout message. */
static void forged_places(void **state)
{
    (void)state;
    static const struct {
        int64_t address, size; /* added to the true ones */
    } forged[] = {{0, 0}, {8, 0}, {1 << 20, 0}, {INT64_MAX / 2, 0}, {0, 8}, {0, -8}, {0, INT64_MAX / 2}};
    char bytes[20000], copy[20000];
    hsize_t four = 4;
    float values[4] = {1, 2, 3, 4};
    hid_t file = create_raw("place.h5");
    add_dataset(file, "x", H5T_IEEE_F32LE, 1, &four, H5P_DEFAULT);
    hid_t id = H5Dopen2(file, "x", H5P_DEFAULT);
    assert_true(H5Dwrite(id, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    int64_t place_of[2] = {(int64_t)H5Dget_offset(id), 16};
    H5O_info_t info;
    assert_true(H5Oget_info2(id, &info, H5O_INFO_BASIC) >= 0);
    H5Dclose(id);
    H5Fclose(file);
    FILE *plain = fopen(place("place.h5"), "rb");
    size_t size = fread(bytes, 1, sizeof bytes, plain), at = 0;
    fclose(plain);
    while (at + 16 <= size && memcmp(bytes + at, place_of, 16) != 0)
        at++;
    assert_true(at + 16 <= size);
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        struct h5 *open = NULL;
        struct error error = {0};
        int64_t other[2] = {place_of[0] + forged[i].address, place_of[1] + forged[i].size};
        memcpy(copy, bytes, size);
        memcpy(copy + at, other, 16);
        mend_header(copy, (size_t)info.addr);
        enum status status = h5_open_image(copy, size, "forged", STATUS_DATA, &open, &error);
        assert_int_equal(status, i == 0 ? STATUS_OK : STATUS_DATA);
        h5_close_read(open);
    }
}

static void variable_length_attribute(void **state)
{
    (void)state;
    hid_t file = create_raw("attr.h5"), type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    const char *value = "unroll-corpus";
    H5Tset_size(type, H5T_VARIABLE);
    hid_t attr = H5Acreate2(file, "format", type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attr, type, &value);
    H5Aclose(attr);
    H5Sclose(space);
    H5Tclose(type);
    H5Fclose(file);
    struct h5 *open = NULL;
    struct error error;
    char text[32];
    OK(h5_open_plain(place("attr.h5"), STATUS_DATA, &open, e));
    assert_int_equal(h5_attr_string(open, "/", "format", text, sizeof text, &error), STATUS_DATA);
    h5_close_read(open);
}

/* A file cut off anywhere is refused; bytes of the metadata that are flipped are noticed by HDF5's checksums or change
 * nothing that is read. */
static void cut_off_and_flipped(void **state)
{
    (void)state;
    void *bytes;
    size_t size;
    struct h5 *file = NULL;
    OK(h5_create_image(&file, e));
    write_sample(file);
    OK(h5_image_bytes(file, &bytes, &size, e));
    OK(h5_close_write(file, e));
    char *copy = malloc(size);
    for (size_t length = 1; length < size; length += 13) {
        struct error error;
        memcpy(copy, bytes, size);
        assert_int_equal(h5_open_image(copy, length, "image", STATUS_DATA, &file, &error), STATUS_DATA);
        assert_null(file);
    }
    int unnoticed = 0;
    for (size_t i = 0; i < size; i++) {
        struct error error;
        memcpy(copy, bytes, size);
        copy[i] ^= 16;
        enum status status = h5_open_image(copy, size, "image", STATUS_DATA, &file, &error);
        assert_true(status == STATUS_OK || status == STATUS_DATA);
        unnoticed += status == STATUS_OK;
        h5_close_read(status == STATUS_OK ? file : NULL);
    }
    /* Only the payload, matrix and tokens, has no checksum of its own. */
    assert_int_equal(unnoticed, ROWS * COLUMNS * 4 + 6 * 2);
    free(copy);
    mem_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serial_round_trip),
        cmocka_unit_test(image_round_trip_and_equal_bytes),
        cmocka_unit_test(writer_refuses_misuse),
        cmocka_unit_test(full_disk_is_reported_and_survived),
        cmocka_unit_test(missing_and_foreign_files),
        cmocka_unit_test(only_the_format_with_checksums),
        cmocka_unit_test(hostile_links),
        cmocka_unit_test(hostile_datasets),
        cmocka_unit_test(forged_places),
        cmocka_unit_test(variable_length_attribute),
        cmocka_unit_test(cut_off_and_flipped),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
