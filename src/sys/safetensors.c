/* Checks, reads and writes safetensors files. */
#include "unroll/sys/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/sys/json.h"

#define METADATA "__metadata__"
#define LENGTH_BYTES 8
#define RANK_MAX 8
#define RAW 8192             /* bytes that are converted at once */
#define DEPTH_MAX 3          /* the header, a tensor, its shape */
#define STRUCTURE_MAX 40000u /* brackets, commas and colons: SAFETENSORS_TENSORS_MAX tensors have 16 each */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are written as they lie in memory");

struct safetensors {
    int fd;
    char *path; /* for messages; owned */
    int64_t bytes, data_begin;
    json_t *header;
    const json_t *metadata; /* NULL: none */
    int tensors;
    struct safetensors_tensor tensor[SAFETENSORS_TENSORS_MAX];
};

static enum status refuse(const struct safetensors *file, struct error *e, const char *reason)
{
    return error_set(e, STATUS_DATA,
                     "cannot use '%.200s' as safetensors: %s; use a file that is whole, or make it again", file->path,
                     reason);
}

static enum status refuse_tensor(const struct safetensors *file, struct error *e, const char *name, const char *reason)
{
    return error_set(e, STATUS_DATA, "cannot use '%.200s' as safetensors: '%.60s' %s", file->path, name, reason);
}

static enum status cannot_read(const struct safetensors *file, int number, struct error *e)
{
    return error_set(e, status_of_errno(number), "cannot read '%s': %s; check the path and its permissions", file->path,
                     strerror(number));
}

static enum status read_at(const struct safetensors *file, void *data, size_t bytes, int64_t offset, struct error *e)
{
    ssize_t got = file_read_at(file->fd, data, bytes, offset);
    if (got < 0)
        return cannot_read(file, errno, e);
    if ((size_t)got < bytes)
        return error_set(e, STATUS_IO, "cannot read '%s': it became shorter; read it when it is complete", file->path);
    return STATUS_OK;
}

/* ---- the header ---- */

/* A parser's memory is a multiple of the values, not of the bytes: so their number is bounded before it begins. */
static bool structure_is_small(const char *header, size_t length)
{
    unsigned structure = 0;
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        char letter = header[i];
        if (quoted && letter == '\\')
            i++;
        else if (letter == '"')
            quoted = !quoted;
        if (quoted || !letter || !strchr("{}[],:", letter))
            continue;
        depth += letter == '{' || letter == '[' ? 1 : letter == '}' || letter == ']' ? -1 : 0;
        if (++structure > STRUCTURE_MAX || depth > DEPTH_MAX)
            return false;
    }
    return true;
}

static enum status parse_header(struct safetensors *file, const char *header, size_t length, struct error *e)
{
    json_error_t fault;
    if (header[0] != '{')
        return refuse(file, e, "its header does not begin with '{'");
    if (!structure_is_small(header, length))
        return refuse(file, e, "its header holds more than the tensors of a model");
    file->header = json_loadb(header, length, JSON_REJECT_DUPLICATES, &fault);
    if (file->header)
        return STATUS_OK;
    if (json_error_code(&fault) == json_error_out_of_memory)
        return error_set(e, STATUS_OS, "out of memory for the header of '%s'; use a node with more memory", file->path);
    char reason[sizeof fault.text + 40];
    snprintf(reason, sizeof reason, "its header is not valid: %s", fault.text);
    return refuse(file, e, reason);
}

static enum status load_header(struct safetensors *file, struct error *e)
{
    unsigned char prefix[LENGTH_BYTES];
    uint64_t length = 0;
    if (file->bytes < LENGTH_BYTES + 2)
        return refuse(file, e, "it is shorter than a header");
    enum status status = read_at(file, prefix, sizeof prefix, 0, e);
    if (status)
        return status;
    memcpy(&length, prefix, sizeof length);
    if (length > (uint64_t)file->bytes - LENGTH_BYTES)
        return refuse(file, e, "its header is said to be longer than the file");
    if (length > SAFETENSORS_HEADER_MAX || length < 2)
        return refuse(file, e, "its header has a length that no model needs");
    char *header = mem_alloc((size_t)length, 1, "the header of a safetensors file", e);
    if (!header)
        return STATUS_OS;
    file->data_begin = LENGTH_BYTES + (int64_t)length;
    status = read_at(file, header, (size_t)length, LENGTH_BYTES, e);
    if (!status)
        status = parse_header(file, header, (size_t)length, e);
    mem_free(header);
    return status;
}

/* ---- tensors ---- */

static const struct {
    const char *name;
    int bytes;
    bool is_float;
} types[] = {
    {"F32", 4, true},  {"F16", 2, true},  {"BF16", 2, true},  {"F64", 8, true},      {"I64", 8, false},
    {"I32", 4, false}, {"I16", 2, false}, {"I8", 1, false},   {"U64", 8, false},     {"U32", 4, false},
    {"U16", 2, false}, {"U8", 1, false},  {"BOOL", 1, false}, {"F8_E4M3", 1, false}, {"F8_E5M2", 1, false},
};

/* Its place in `types`, -1 if there is none of that name. */
static int find_type(const char *name)
{
    for (int i = 0; i < (int)(sizeof types / sizeof *types); i++)
        if (strcmp(types[i].name, name) == 0)
            return i;
    return -1;
}

bool safetensors_is_float(const struct safetensors_tensor *tensor)
{
    return types[find_type(tensor->type)].is_float;
}

/* The numbers of an array of at most RANK_MAX, none negative; how many, or -1. */
static int take_numbers(const json_t *array, int64_t number[RANK_MAX])
{
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count > RANK_MAX)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, i);
        number[i] = json_integer_value(value);
        if (!json_is_integer(value) || number[i] < 0)
            return -1;
    }
    return (int)count;
}

/* Elements and bytes by shape and type. False if they are too many to be counted. */
static bool measure(struct safetensors_tensor *tensor, const int64_t *sizes, int type)
{
    tensor->count = 1;
    for (int i = 0; i < tensor->rank; i++)
        if (__builtin_mul_overflow(tensor->count, sizes[i], &tensor->count))
            return false;
    for (int i = 0; i < tensor->rank && i < 2; i++)
        tensor->shape[i] = sizes[i];
    return !__builtin_mul_overflow(tensor->count, (int64_t)types[type].bytes, &tensor->bytes);
}

static enum status take_tensor(struct safetensors *file, const char *name, const json_t *about, struct error *e)
{
    const char *type = json_string_value(json_object_get(about, "dtype"));
    int64_t sizes[RANK_MAX], place[RANK_MAX] = {0, 0};
    if (file->tensors == SAFETENSORS_TENSORS_MAX)
        return refuse_tensor(file, e, name, "is one tensor more than a model can have");
    struct safetensors_tensor *tensor = &file->tensor[file->tensors];
    *tensor = (struct safetensors_tensor){.shape = {1, 1}};
    if (strlen(name) >= sizeof tensor->name)
        return refuse_tensor(file, e, name, "has a longer name than any parameter");
    if (!json_is_object(about) || json_object_size(about) != 3 || !type)
        return refuse_tensor(file, e, name, "is not described by dtype, shape and data_offsets");
    int kind = find_type(type);
    if (kind < 0)
        return refuse_tensor(file, e, name, "is of a type that Unroll does not know; write it as F32");
    tensor->rank = take_numbers(json_object_get(about, "shape"), sizes);
    if (tensor->rank < 0)
        return refuse_tensor(file, e, name, "has no shape");
    if (take_numbers(json_object_get(about, "data_offsets"), place) != 2 || place[0] > place[1] ||
        place[1] > file->bytes - file->data_begin)
        return refuse_tensor(file, e, name, "has data_offsets outside of the file");
    if (!measure(tensor, sizes, kind) || tensor->bytes != place[1] - place[0])
        return refuse_tensor(file, e, name, "has data_offsets that do not fit its shape");
    strcpy(tensor->type, types[kind].name);
    strcpy(tensor->name, name);
    tensor->offset = file->data_begin + place[0];
    file->tensors++;
    return STATUS_OK;
}

static enum status take_metadata(struct safetensors *file, const json_t *metadata, struct error *e)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return refuse(file, e, "its metadata are no object");
    json_object_foreach((json_t *)metadata, key, value)
    {
        if (!json_is_string(value))
            return refuse(file, e, "its metadata hold something that is no text");
    }
    file->metadata = metadata;
    return STATUS_OK;
}

static int by_offset(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Tensors must follow one another without gaps, from the end of the header to the end of the file. */
static enum status check_places(struct safetensors *file, struct error *e)
{
    int64_t next = file->data_begin;
    qsort(file->tensor, (size_t)file->tensors, sizeof *file->tensor, by_offset);
    for (int i = 0; i < file->tensors; i++) {
        const struct safetensors_tensor *tensor = &file->tensor[i];
        if (tensor->offset != next)
            return refuse_tensor(file, e, tensor->name,
                                 tensor->offset < next ? "overlaps another tensor; make the file again"
                                                       : "lies behind a gap; make the file again");
        next += tensor->bytes;
    }
    return next == file->bytes ? STATUS_OK : refuse(file, e, "bytes stand behind its last tensor");
}

static enum status take_header(struct safetensors *file, struct error *e)
{
    const char *key;
    json_t *value;
    enum status status = STATUS_OK;
    json_object_foreach(file->header, key, value)
    {
        status = strcmp(key, METADATA) == 0 ? take_metadata(file, value, e) : take_tensor(file, key, value, e);
        if (status)
            return status;
    }
    return check_places(file, e);
}

/* ---- the open file ---- */

static enum status open_file(struct safetensors *file, struct error *e)
{
    struct stat about;
    file->fd = file_open(file->path, O_RDONLY | O_NONBLOCK, 0);
    if (file->fd < 0 || fstat(file->fd, &about) != 0)
        return cannot_read(file, errno, e);
    if (!S_ISREG(about.st_mode))
        return refuse(file, e, "it is not a regular file");
    file->bytes = about.st_size;
    enum status status = load_header(file, e);
    return status ? status : take_header(file, e);
}

enum status safetensors_open(const char *path, struct safetensors **out, struct error *e)
{
    *out = NULL;
    struct safetensors *file = mem_alloc(1, sizeof *file, "a safetensors file", e);
    if (!file)
        return STATUS_OS;
    file->fd = -1;
    file->path = mem_strdup(path, e);
    enum status status = file->path ? open_file(file, e) : STATUS_OS;
    if (status)
        safetensors_close(file);
    else
        *out = file;
    return status;
}

void safetensors_close(struct safetensors *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        (void)close(file->fd);
    json_decref(file->header);
    mem_free(file->path);
    mem_free(file);
}

int safetensors_count(const struct safetensors *file)
{
    return file->tensors;
}

const struct safetensors_tensor *safetensors_tensor(const struct safetensors *file, int index)
{
    CHECK(index >= 0 && index < file->tensors);
    return &file->tensor[index];
}

const char *safetensors_metadata(const struct safetensors *file, const char *key)
{
    return file->metadata ? json_string_value(json_object_get(file->metadata, key)) : NULL;
}

void safetensors_each_metadata(const struct safetensors *file,
                               void (*visit)(void *context, const char *key, const char *value), void *context)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)file->metadata, key, value) visit(context, key, json_string_value(value));
}

/* IEEE 754's half: sign, 5 bits of exponent, 10 of mantissa. */
static float float_of_half(uint16_t bits)
{
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    float value = exponent == 31  ? mantissa ? NAN : INFINITY
                  : exponent == 0 ? ldexpf((float)mantissa, -24)
                                  : ldexpf((float)(1024 + mantissa), exponent - 25);
    return bits >> 15 ? -value : value;
}

/* The upper half of a float32. */
static float float_of_bfloat(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static void convert(const char *type, const unsigned char *raw, size_t count, float *data)
{
    bool wide = strcmp(type, "F64") == 0, half = strcmp(type, "F16") == 0;
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        double number;
        if (wide) {
            memcpy(&number, raw + i * sizeof number, sizeof number);
            data[i] = (float)number;
        } else {
            memcpy(&bits, raw + i * sizeof bits, sizeof bits);
            data[i] = half ? float_of_half(bits) : float_of_bfloat(bits);
        }
    }
}

enum status safetensors_read(const struct safetensors *file, const struct safetensors_tensor *tensor, int64_t start,
                             int64_t count, float *data, struct error *e)
{
    CHECK(start >= 0 && count >= 0 && start <= tensor->count && count <= tensor->count - start);
    CHECK(safetensors_is_float(tensor));
    int64_t size = types[find_type(tensor->type)].bytes;
    if (strcmp(tensor->type, "F32") == 0)
        return read_at(file, data, (size_t)count * sizeof *data, tensor->offset + start * size, e);
    unsigned char raw[RAW];
    enum status status = STATUS_OK;
    for (int64_t done = 0, piece; done < count && !status; done += piece) {
        piece = count - done < RAW / size ? count - done : RAW / size;
        status = read_at(file, raw, (size_t)(piece * size), tensor->offset + (start + done) * size, e);
        if (!status)
            convert(tensor->type, raw, (size_t)piece, data + done);
    }
    return status;
}

/* ---- writing ---- */

static void describe(struct json *json, const struct safetensors_tensor *tensor, int64_t begin)
{
    json_object_begin(json, tensor->name);
    json_put_string(json, "dtype", "F32");
    json_array_begin(json, "shape");
    for (int i = 0; i < tensor->rank; i++)
        json_put_int(json, NULL, tensor->shape[i]);
    json_array_end(json);
    json_array_begin(json, "data_offsets");
    json_put_int(json, NULL, begin);
    json_put_int(json, NULL, begin + tensor->count * (int64_t)sizeof(float));
    json_array_end(json);
    json_object_end(json);
}

static void make_header(struct json *json, const struct safetensors_tensor *tensors, int count,
                        const struct safetensors_note *notes, int note_count)
{
    int64_t begin = 0;
    json_object_begin(json, NULL);
    json_object_begin(json, METADATA);
    for (int i = 0; i < note_count; i++)
        json_put_string(json, notes[i].key, notes[i].value);
    json_object_end(json);
    for (int i = 0; i < count; i++) {
        describe(json, &tensors[i], begin);
        begin += tensors[i].count * (int64_t)sizeof(float);
    }
    json_object_end(json);
}

enum status safetensors_write(int fd, const char *path, const struct safetensors_tensor *tensors, int count,
                              const struct safetensors_note *notes, int note_count, struct error *e)
{
    struct json json;
    const char *text = NULL;
    json_init(&json);
    make_header(&json, tensors, count, notes, note_count);
    enum status status = json_text(&json, &text, e);
    size_t written = status ? 0 : strlen(text);
    uint64_t padded = (written + 7) / 8 * 8; /* so that the data are aligned */
    if (padded > SAFETENSORS_HEADER_MAX)
        status = error_set(e, STATUS_DATA,
                           "cannot write '%s': its header would have %zu bytes, more than the %zu that "
                           "readers take; use a smaller vocabulary",
                           path, written, SAFETENSORS_HEADER_MAX);
    if (!status)
        status = file_write_at(fd, path, &padded, sizeof padded, 0, e);
    if (!status)
        status = file_write_at(fd, path, text, written, LENGTH_BYTES, e);
    if (!status)
        status = file_write_at(fd, path, "        ", padded - written, LENGTH_BYTES + (int64_t)written, e);
    json_release(&json);
    int64_t at = LENGTH_BYTES + (int64_t)padded;
    for (int i = 0; i < count && !status; i++) {
        size_t bytes = (size_t)tensors[i].count * sizeof(float);
        status = file_write_at(fd, path, tensors[i].data, bytes, at, e);
        at += (int64_t)bytes;
    }
    return status;
}
