/* Reads tensors and facts of a safetensors or HDF5 file. */
#include "weights_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/content.h"
#include "unroll/base/number.h"

static enum status list_safetensors(struct source *source, struct error *e)
{
    enum status status = safetensors_open(source->path, &source->safetensors, e);
    if (status)
        return status;
    source->count = safetensors_count(source->safetensors);
    for (int i = 0; i < source->count; i++) {
        const struct safetensors_tensor *from = safetensors_tensor(source->safetensors, i);
        struct source_tensor *to = &source->tensor[i];
        *to = (struct source_tensor){.rank = from->rank,
                                     .shape = {from->shape[0], from->shape[1]},
                                     .index = i,
                                     .is_float = safetensors_is_float(from)};
        memcpy(to->name, from->name, sizeof to->name);
        memcpy(to->given, from->name, sizeof to->given);
        memcpy(to->type, from->type, sizeof to->type);
    }
    return STATUS_OK;
}

struct listing {
    struct source *source;
    struct error *e;
};

static int add_dataset(void *context, const char *path, const struct h5_shape *shape)
{
    struct listing *listing = context;
    struct source *source = listing->source;
    size_t above = strlen(source->group);
    if (strncmp(path, source->group, above) != 0 || path[above] != '/')
        return STATUS_OK; /* of a checkpoint: not a parameter */
    const char *name = path + above + 1;
    if (source->count == SOURCE_TENSORS_MAX || strlen(name) >= sizeof source->tensor[0].name)
        return (int)error_set(listing->e, STATUS_DATA, "cannot import '%.200s': '%.100s' is no parameter of a model",
                              source->path, path);
    struct source_tensor *tensor = &source->tensor[source->count++];
    *tensor = (struct source_tensor){
        .rank = shape->rank, .shape = {shape->dims[0], shape->dims[1]}, .is_float = shape->type >= H5_F32};
    strcpy(tensor->name, name);
    strcpy(tensor->given, name);
    snprintf(tensor->type, sizeof tensor->type, "%s", h5_type_name(shape->type));
    return STATUS_OK;
}

static enum status list_hdf5(struct source *source, struct error *e)
{
    struct listing listing = {source, e};
    enum status status = h5_open_foreign(source->path, &source->h5, e);
    if (status)
        return status;
    if (content_of_file(source->path) == CONTENT_CORPUS)
        return error_set(e, STATUS_DATA, "cannot import '%.200s': it is a corpus", source->path);
    source->group = h5_exists(source->h5, "/model") ? "/model" : "";
    return (enum status)h5_each_dataset(source->h5, add_dataset, &listing);
}

enum status source_open(struct source *source, const char *path, enum weights_source kind, struct error *e)
{
    *source = (struct source){.path = path};
    bool hdf5 = kind == WEIGHTS_FROM_HDF5;
    enum status status = hdf5 ? list_hdf5(source, e) : list_safetensors(source, e);
    return content_explain(path, hdf5 ? WANTED_HDF5_WEIGHTS : WANTED_SAFETENSORS, status, e);
}

void source_close(struct source *source)
{
    safetensors_close(source->safetensors);
    h5_close_read(source->h5);
    source->safetensors = NULL;
    source->h5 = NULL;
}

const struct source_tensor *source_find(const struct source *source, const char *name)
{
    for (int i = 0; i < source->count; i++)
        if (strcmp(source->tensor[i].name, name) == 0)
            return &source->tensor[i];
    return NULL;
}

enum status source_read(const struct source *source, const struct source_tensor *tensor, int64_t start, int64_t count,
                        float *data, struct error *e)
{
    if (source->safetensors)
        return safetensors_read(source->safetensors, safetensors_tensor(source->safetensors, tensor->index), start,
                                count, data, e);
    char path[SAFETENSORS_NAME + 8];
    snprintf(path, sizeof path, "%s/%s", source->group, tensor->given);
    return h5_read_f32(source->h5, path, start, count, data, e);
}

/* The type of an attribute that was looked for. */
struct attr_search {
    const char *name;
    enum h5_attr type;
};

static int match_attr(void *context, const char *name, enum h5_attr type)
{
    struct attr_search *search = context;
    search->type = type;
    return strcmp(name, search->name) == 0;
}

static bool fact_of_object(const struct source *source, const char *object, const char *name, char *text)
{
    struct attr_search search = {name, H5_ATTR_OTHER};
    int64_t integer;
    double real;
    if (h5_each_attr(source->h5, object, match_attr, &search) != 1)
        return false;
    if (search.type == H5_ATTR_STRING)
        return !h5_attr_string(source->h5, object, name, text, SOURCE_FACT_TEXT, NULL);
    if (search.type == H5_ATTR_I64 && !h5_attr_i64(source->h5, object, name, &integer, NULL))
        return snprintf(text, SOURCE_FACT_TEXT, "%lld", (long long)integer) > 0;
    if (search.type == H5_ATTR_F64 && !h5_attr_f64(source->h5, object, name, &real, NULL))
        return snprintf(text, SOURCE_FACT_TEXT, "%.17g", real) > 0;
    return false;
}

/* A checkpoint has those of its model beside the tensors, and in how many lanes and steps it was trained elsewhere. */
static bool hdf5_fact(const struct source *source, const char *name, char *text)
{
    if (!*source->group)
        return fact_of_object(source, "/", name, text);
    return fact_of_object(source, source->group, name, text) || fact_of_object(source, "/progress", name, text);
}

bool source_fact(const struct source *source, const char *name, char *text)
{
    if (source->h5)
        return hdf5_fact(source, name, text);
    const char *value = safetensors_metadata(source->safetensors, name);
    if (!value || strlen(value) >= SOURCE_FACT_TEXT)
        return false;
    strcpy(text, value);
    return true;
}

bool source_fact_int(const struct source *source, const char *name, int least, int most, int *value)
{
    char text[SOURCE_FACT_TEXT];
    int64_t wide;
    if (!source_fact(source, name, text) || number_parse_i64(text, &wide) != 0 || wide < least || wide > most)
        return false;
    *value = (int)wide;
    return true;
}

enum status source_refuse(const struct source *source, const char *name, struct error *e, const char *reason, ...)
{
    const struct source_tensor *tensor = source_find(source, name);
    char text[240];
    va_list arguments;
    va_start(arguments, reason);
    vsnprintf(text, sizeof text, reason, arguments);
    va_end(arguments);
    if (tensor && strcmp(tensor->given, name) != 0)
        return error_set(e, STATUS_DATA, "cannot import '%.200s': '%.60s', which is '%.60s', %s", source->path,
                         tensor->given, name, text);
    return error_set(e, STATUS_DATA, "cannot import '%.200s': '%.60s' %s", source->path, name, text);
}
