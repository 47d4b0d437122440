/* Sets of attributes with a digest over them: XXH3-128 of, for each attribute in the order of names (bytewise, the
 * digest itself left out), its name, a null byte, the letter s, i or f, and the value: a text with its null byte, or
 * the 8 bytes of the little-endian number. */
#include "checkpoint_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/base/digest.h"
#include "unroll/base/mem.h"

struct attrs *attrs_new(const char *object, struct error *e)
{
    struct attrs *attrs = mem_alloc(1, sizeof *attrs, "attributes of a checkpoint", e);
    if (attrs)
        attrs->object = object;
    return attrs;
}

static struct attr *append_attr(struct attrs *attrs, const char *name, enum h5_attr type)
{
    CHECK(attrs->count < ATTRS_MAX);
    struct attr *attr = &attrs->item[attrs->count++];
    *attr = (struct attr){.type = type};
    snprintf(attr->name, sizeof attr->name, "%s", name);
    return attr;
}

void attrs_add_string(struct attrs *attrs, const char *name, const char *text)
{
    struct attr *attr = append_attr(attrs, name, H5_ATTR_STRING);
    size_t length = strlen(text);
    if (length >= sizeof attr->text) {
        length = sizeof attr->text - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
            length--;
    }
    memcpy(attr->text, text, length);
}

void attrs_add_i64(struct attrs *attrs, const char *name, int64_t value)
{
    append_attr(attrs, name, H5_ATTR_I64)->integer = value;
}

void attrs_add_f64(struct attrs *attrs, const char *name, double value)
{
    append_attr(attrs, name, H5_ATTR_F64)->real = value;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct attr *)a)->name, ((const struct attr *)b)->name);
}

static enum status attrs_digest(struct attrs *attrs, char hex[DIGEST_TEXT], struct error *e)
{
    struct digest *digest = digest_new(e);
    if (!digest)
        return STATUS_OS;
    qsort(attrs->item, (size_t)attrs->count, sizeof *attrs->item, by_name);
    for (int i = 0; i < attrs->count; i++) {
        const struct attr *attr = &attrs->item[i];
        digest_add(digest, attr->name, strlen(attr->name) + 1);
        if (attr->type == H5_ATTR_STRING) {
            digest_add(digest, "s", 1);
            digest_add(digest, attr->text, strlen(attr->text) + 1);
        } else if (attr->type == H5_ATTR_I64) {
            digest_add(digest, "i", 1);
            digest_add(digest, &attr->integer, sizeof attr->integer);
        } else {
            digest_add(digest, "f", 1);
            digest_add(digest, &attr->real, sizeof attr->real);
        }
    }
    digest_text(digest, hex);
    digest_free(digest);
    return STATUS_OK;
}

enum status attrs_write(struct attrs *attrs, struct h5 *file, struct error *e)
{
    char hex[DIGEST_TEXT];
    enum status status = attrs_digest(attrs, hex, e);
    for (int i = 0; i < attrs->count && !status; i++) {
        const struct attr *attr = &attrs->item[i];
        if (attr->type == H5_ATTR_STRING)
            status = h5_set_string(file, attrs->object, attr->name, attr->text, e);
        else if (attr->type == H5_ATTR_I64)
            status = h5_set_i64(file, attrs->object, attr->name, attr->integer, e);
        else
            status = h5_set_f64(file, attrs->object, attr->name, attr->real, e);
    }
    return status ? status : h5_set_string(file, attrs->object, CHECKPOINT_DIGEST, hex, e);
}

/* ---- reading ---- */

struct listing {
    struct attrs *attrs;
    bool sealed; /* it carries a digest */
    struct error *e;
};

static int list_attr(void *context, const char *name, enum h5_attr type)
{
    struct listing *listing = context;
    struct attrs *attrs = listing->attrs;
    if (strcmp(name, CHECKPOINT_DIGEST) == 0) {
        listing->sealed = true;
        return STATUS_OK;
    }
    if (attrs->count == ATTRS_MAX || strlen(name) >= sizeof attrs->item->name ||
        (type != H5_ATTR_STRING && type != H5_ATTR_I64 && type != H5_ATTR_F64))
        return (int)error_set(listing->e, STATUS_CHECKPOINT, "'%s' has an attribute '%.60s' that no checkpoint has",
                              attrs->object, name);
    append_attr(attrs, name, type);
    return STATUS_OK;
}

static enum status read_value(const struct attrs *attrs, struct attr *attr, struct h5 *file, struct error *e)
{
    if (attr->type == H5_ATTR_STRING)
        return h5_attr_string(file, attrs->object, attr->name, attr->text, sizeof attr->text, e);
    if (attr->type == H5_ATTR_I64)
        return h5_attr_i64(file, attrs->object, attr->name, &attr->integer, e);
    return h5_attr_f64(file, attrs->object, attr->name, &attr->real, e);
}

enum status attrs_read(struct attrs *attrs, struct h5 *file, struct error *e)
{
    struct listing listing = {attrs, false, e};
    attrs->count = 0;
    if (!h5_exists(file, attrs->object))
        return error_set(e, STATUS_CHECKPOINT, "'%s' is missing", attrs->object);
    enum status status = (enum status)h5_each_attr(file, attrs->object, list_attr, &listing);
    if (!status && !listing.sealed)
        status = error_set(e, STATUS_CHECKPOINT, "'%s' carries no digest", attrs->object);
    for (int i = 0; i < attrs->count && !status; i++)
        status = read_value(attrs, &attrs->item[i], file, e);
    char stored[DIGEST_TEXT], actual[DIGEST_TEXT];
    if (!status)
        status = h5_attr_string(file, attrs->object, CHECKPOINT_DIGEST, stored, sizeof stored, e);
    if (!status)
        status = attrs_digest(attrs, actual, e);
    if (!status && strcmp(stored, actual) != 0)
        status = error_set(e, STATUS_CHECKPOINT, "the attributes of '%s' do not match their digest", attrs->object);
    return status;
}

bool attrs_has(const struct attrs *attrs, const char *name)
{
    for (int i = 0; i < attrs->count; i++)
        if (strcmp(attrs->item[i].name, name) == 0)
            return true;
    return false;
}

/* NULL and STATUS_CHECKPOINT if it is missing. */
static const struct attr *take_attr(struct attrs *attrs, const char *name, enum h5_attr type, struct error *e)
{
    for (int i = 0; i < attrs->count; i++) {
        struct attr *attr = &attrs->item[i];
        if (strcmp(attr->name, name) == 0 && attr->type == type) {
            attr->taken = true;
            return attr;
        }
    }
    error_set(e, STATUS_CHECKPOINT, "'%s' lacks the attribute '%s'", attrs->object, name);
    return NULL;
}

enum status attrs_string(struct attrs *attrs, const char *name, char *text, size_t size, struct error *e)
{
    const struct attr *attr = take_attr(attrs, name, H5_ATTR_STRING, e);
    if (!attr)
        return STATUS_CHECKPOINT;
    if (strlen(attr->text) >= size)
        return error_set(e, STATUS_CHECKPOINT, "the attribute '%s' of '%s' is too long", name, attrs->object);
    memcpy(text, attr->text, strlen(attr->text) + 1);
    return STATUS_OK;
}

enum status attrs_i64(struct attrs *attrs, const char *name, int64_t least, int64_t most, int64_t *value,
                      struct error *e)
{
    const struct attr *attr = take_attr(attrs, name, H5_ATTR_I64, e);
    if (!attr)
        return STATUS_CHECKPOINT;
    if (attr->integer < least || attr->integer > most)
        return error_set(e, STATUS_CHECKPOINT, "the attribute '%s' of '%s' is %lld, outside of %lld to %lld", name,
                         attrs->object, (long long)attr->integer, (long long)least, (long long)most);
    *value = attr->integer;
    return STATUS_OK;
}

enum status attrs_int(struct attrs *attrs, const char *name, int least, int most, int *value, struct error *e)
{
    int64_t wide = 0;
    enum status status = attrs_i64(attrs, name, least, most, &wide, e);
    *value = (int)wide;
    return status;
}

enum status attrs_f64(struct attrs *attrs, const char *name, double *value, struct error *e)
{
    const struct attr *attr = take_attr(attrs, name, H5_ATTR_F64, e);
    if (attr)
        *value = attr->real;
    return attr ? STATUS_OK : STATUS_CHECKPOINT;
}

enum status attrs_all_taken(const struct attrs *attrs, struct error *e)
{
    for (int i = 0; i < attrs->count; i++)
        if (!attrs->item[i].taken)
            return error_set(e, STATUS_CHECKPOINT, "'%s' has an attribute '%s' that no checkpoint has", attrs->object,
                             attrs->item[i].name);
    return STATUS_OK;
}
