/* What others call the tensors of a recurrent language model, and what Unroll calls them. */
#include "weights_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/nn/param.h"

#define SHOWN 5 /* tensors that a message names */

/* The last part of a module's path, by which the layers before and behind the recurrent ones are known. */
static const char *const embeddings[] = {
    "encoder",          "embedding",       "embeddings",      "embed",       "emb",
    "word_embedding",   "word_embeddings", "token_embedding", "embedder",    "lookup",
    "token_embeddings", "char_embedding",  "char_embeddings", "embed_layer", "embedding_layer",
    "input_embedding",  "word_embed",      "embeds",          "wte"};
static const char *const outputs[] = {
    "decoder",   "fc",         "linear",     "out",         "output", "proj",         "projection",        "head",
    "lm_head",   "classifier", "fc_out",     "out_fc",      "dense",  "output_layer", "generator",         "logits",
    "to_logits", "fc1",        "hidden2tag", "hidden2word", "h2o",    "out_proj",     "output_projection", "linear_out",
    "out_layer", "fc_layer",   "lin",        "readout"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_among(const char *text, size_t length, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(list[i]) == length && memcmp(list[i], text, length) == 0)
            return true;
    return false;
}

/* ---- the caller's own ---- */

static enum status set_name(const struct source *source, struct source_tensor *tensor, const char *head, size_t length,
                            const char *tail, struct error *e)
{
    char name[2 * SAFETENSORS_NAME];
    int whole = snprintf(name, sizeof name, "%.*s%s", (int)length, head, tail);
    if (whole >= SAFETENSORS_NAME)
        return error_set(e, STATUS_DATA, "cannot import '%.200s': the new name of '%.60s' would be too long",
                         source->path, tensor->given);
    memcpy(tensor->name, name, (size_t)whole + 1);
    return STATUS_OK;
}

/* A whole name comes first; else the first beginning that fits. */
static enum status rename_own(struct source *source, const char *const *rename, int renames, bool *used,
                              struct error *e)
{
    for (int i = 0; i < source->count; i++) {
        struct source_tensor *tensor = &source->tensor[i];
        int found = -1;
        bool whole = false;
        for (int k = 0; k < renames && !whole; k++) {
            size_t from = strcspn(rename[k], "=");
            if (strncmp(tensor->given, rename[k], from) != 0)
                continue;
            whole = tensor->given[from] == '\0';
            found = whole || found < 0 ? k : found;
        }
        if (found < 0)
            continue;
        size_t from = strcspn(rename[found], "=");
        const char *to = rename[found] + from + 1;
        used[found] = true;
        enum status status = set_name(source, tensor, to, strlen(to), tensor->given + from, e);
        if (status)
            return status;
    }
    return STATUS_OK;
}

static enum status check_used(const struct source *source, const char *const *rename, int renames, const bool *used,
                              struct error *e)
{
    char list[300];
    for (int k = 0; k < renames; k++)
        if (!used[k]) {
            int count = names_list(source, false, 0, list, sizeof list);
            return error_set(e, STATUS_DATA,
                             "cannot import '%.150s': '--rename %.80s' is about none of its %d tensors: %s",
                             source->path, rename[k], count, list);
        }
    return STATUS_OK;
}

/* ---- recurrent layers ---- */

/* Where "weight_ih", "bias_hh" and so on begin in a name, with what may stand behind: "_l0", or nothing in a cell of
 * its own; NULL if they do not. */
static const char *recurrent_part(const char *name)
{
    static const char *const kinds[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    const char *dot = strrchr(name, '.'), *part = dot ? dot + 1 : name;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        size_t length = strlen(kinds[i]);
        if (strncmp(part, kinds[i], length) == 0 && (!part[length] || strncmp(part + length, "_l", 2) == 0))
            return part;
    }
    return NULL;
}

struct module { /* a path in front of recurrent weights */
    char path[SAFETENSORS_NAME];
    int layer;   /* with several modules, layers one above the other */
    bool is_one; /* it holds layer 0 alone */
};

struct modules {
    int count;
    struct module module[MODEL_LAYERS_MAX];
    bool too_many;
};

static struct module *find_module(struct modules *modules, const char *name, size_t length)
{
    for (int i = 0; i < modules->count; i++)
        if (strncmp(modules->module[i].path, name, length) == 0 && !modules->module[i].path[length])
            return &modules->module[i];
    return NULL;
}

static void find_modules(const struct source *source, struct modules *modules)
{
    for (int i = 0; i < source->count; i++) {
        const char *name = source->tensor[i].name, *part = recurrent_part(name);
        if (!part)
            continue;
        size_t length = (size_t)(part - name);
        struct module *module = find_module(modules, name, length);
        if (!module && modules->count == MODEL_LAYERS_MAX) {
            modules->too_many = true;
            return;
        }
        if (!module) {
            module = &modules->module[modules->count++];
            memcpy(module->path, name, length);
            module->path[length] = '\0';
            module->is_one = true;
        }
        const char *layer = strstr(part, "_l");
        module->is_one = module->is_one && (!layer || strcmp(layer, "_l0") == 0);
    }
}

/* Where the last number in the path begins; its length. */
static size_t last_number(const char *path, size_t *length)
{
    size_t end = strlen(path), begin;
    while (end > 0 && (path[end - 1] < '0' || path[end - 1] > '9'))
        end--;
    for (begin = end; begin > 0 && path[begin - 1] >= '0' && path[begin - 1] <= '9'; begin--)
        continue;
    *length = end - begin;
    return begin;
}

static int compare_layers(const void *a, const void *b)
{
    const struct module *x = a, *y = b;
    return x->layer - y->layer;
}

/* "lstm1.", "lstm2." or "cells.0.", "cells.1.": paths that differ in one number, which counts up, each of one layer. */
static bool are_stacked(struct modules *modules)
{
    size_t length, at = last_number(modules->module[0].path, &length);
    for (int i = 0; i < modules->count; i++) {
        struct module *module = &modules->module[i];
        size_t digits, place = last_number(module->path, &digits);
        if (!module->is_one || digits == 0 || digits > 2 || place != at ||
            strncmp(module->path, modules->module[0].path, at) != 0 ||
            strcmp(module->path + place + digits, modules->module[0].path + at + length) != 0)
            return false;
        module->layer = atoi(module->path + place);
    }
    qsort(modules->module, (size_t)modules->count, sizeof *modules->module, compare_layers);
    for (int i = 1; i < modules->count; i++)
        if (modules->module[i].layer != modules->module[0].layer + i)
            return false;
    for (int i = 0; i < modules->count; i++)
        modules->module[i].layer = i;
    return true;
}

/* `layer` is -1 where a module is all of ours. */
static void tell_renamed(char *text, size_t size, const char *from, size_t length, int layer, const char *to)
{
    size_t used = strlen(text);
    char part[24] = "";
    if (layer >= 0)
        snprintf(part, sizeof part, "layer %d of ", layer);
    if (used < size && length == 0)
        snprintf(text + used, size - used, "%sthose without a module are of '%s'", used ? ", " : "", to);
    else if (used < size)
        snprintf(text + used, size - used, "%s'%.*s' is %s'%s'", used ? ", " : "", (int)length, from, part, to);
}

/* One module, whatever it is called, is 'rnn.'; several that are stacked are its layers. Others keep their names. */
static enum status rename_recurrent(struct source *source, struct weights_report *told, struct error *e)
{
    struct modules modules = {.count = 0};
    find_modules(source, &modules);
    if (modules.count == 0 || modules.too_many || find_module(&modules, "rnn.", 4) != NULL ||
        (modules.count > 1 && !are_stacked(&modules)))
        return STATUS_OK;
    for (int i = 0; i < source->count; i++) {
        struct source_tensor *tensor = &source->tensor[i];
        char given[SAFETENSORS_NAME], tail[SAFETENSORS_NAME];
        memcpy(given, tensor->name, sizeof given);
        const char *part = recurrent_part(given), *layer = part ? strstr(part, "_l") : NULL;
        if (!part)
            continue;
        if (layer && modules.count == 1)
            snprintf(tail, sizeof tail, "%s", part);
        else
            snprintf(tail, sizeof tail, "%.*s_l%d", (int)(layer ? (size_t)(layer - part) : strlen(part)), part,
                     find_module(&modules, given, (size_t)(part - given))->layer);
        enum status status = set_name(source, tensor, "rnn.", 4, tail, e);
        if (status)
            return status;
    }
    for (int i = 0; i < modules.count; i++)
        tell_renamed(told->renamed, sizeof told->renamed, modules.module[i].path, strlen(modules.module[i].path),
                     modules.count > 1 ? i : -1, "rnn.");
    return STATUS_OK;
}

/* ---- the layers around them ---- */

/* A tensor's module path with its last dot, if the last part of that is one of a list and the tensor its weight or
 * bias; 0 if not. */
static size_t module_of(const char *name, const char *const *list, size_t count)
{
    const char *dot = strrchr(name, '.');
    if (!dot || (strcmp(dot, ".weight") != 0 && strcmp(dot, ".bias") != 0))
        return 0;
    const char *begin = dot;
    while (begin > name && begin[-1] != '.')
        begin--;
    return is_among(begin, (size_t)(dot - begin), list, count) ? (size_t)(dot - name) + 1 : 0;
}

/* The one module that is called so becomes `ours`, unless a tensor has that name already. */
static enum status rename_module(struct source *source, const char *const *list, size_t count, const char *ours,
                                 struct weights_report *told, struct error *e)
{
    const char *found = NULL;
    size_t found_length = 0;
    char path[SAFETENSORS_NAME];
    for (int i = 0; i < source->count; i++) {
        const char *name = source->tensor[i].name;
        size_t length = module_of(name, list, count);
        if (length == strlen(ours) && strncmp(name, ours, length) == 0)
            return STATUS_OK;
        if (length == 0)
            continue;
        if (found && (length != found_length || strncmp(found, name, length) != 0))
            return error_set(
                e, STATUS_DATA,
                "cannot import '%.150s': both '%.*s' and '%.*s' may be what Unroll calls '%s'; say which by "
                "'--rename %.*s=%s'",
                source->path, (int)found_length, found, (int)length, name, ours, (int)found_length, found, ours);
        found = name;
        found_length = length;
    }
    if (!found)
        return STATUS_OK;
    memcpy(path, found, found_length);
    path[found_length] = '\0';
    for (int i = 0; i < source->count; i++) {
        struct source_tensor *tensor = &source->tensor[i];
        char given[SAFETENSORS_NAME];
        memcpy(given, tensor->name, sizeof given);
        if (strncmp(given, path, found_length) != 0 || module_of(given, list, count) != found_length)
            continue;
        enum status status = set_name(source, tensor, ours, strlen(ours), given + found_length, e);
        if (status)
            return status;
    }
    tell_renamed(told->renamed, sizeof told->renamed, path, found_length, -1, ours);
    return STATUS_OK;
}

/* ---- all together ---- */

static enum status check_twice(const struct source *source, struct error *e)
{
    for (int i = 0; i < source->count; i++)
        for (int k = 0; k < i; k++)
            if (source->tensor[i].name[0] && strcmp(source->tensor[i].name, source->tensor[k].name) == 0)
                return error_set(e, STATUS_DATA,
                                 "cannot import '%.150s': both '%.60s' and '%.60s' would be '%.60s'; leave one out by "
                                 "'--rename NAME='",
                                 source->path, source->tensor[k].given, source->tensor[i].given,
                                 source->tensor[i].name);
    return STATUS_OK;
}

/* A whole name that becomes nothing is left out. */
static void tell_left_out(const struct source *source, struct weights_report *told)
{
    size_t used = 0;
    for (int i = 0; i < source->count; i++)
        if (!source->tensor[i].name[0] && used < sizeof told->left_out)
            used += (size_t)snprintf(told->left_out + used, sizeof told->left_out - used, "%s'%s'", used ? ", " : "",
                                     source->tensor[i].given);
}

enum status names_rename(struct source *source, const char *const *rename, int renames, struct weights_report *told,
                         struct error *e)
{
    bool used[WEIGHTS_RENAMES_MAX] = {false};
    enum status status = rename_own(source, rename, renames, used, e);
    if (!status)
        status = check_used(source, rename, renames, used, e);
    tell_left_out(source, told);
    return status;
}

enum status names_recognise(struct source *source, struct weights_report *told, struct error *e)
{
    enum status status = rename_recurrent(source, told, e);
    if (!status)
        status = rename_module(source, embeddings, COUNT(embeddings), "encoder.", told, e);
    if (!status && !adaptive_recognise(source, told))
        status = rename_module(source, outputs, COUNT(outputs), "decoder.", told, e);
    if (!status)
        status = check_twice(source, e);
    return status;
}

int names_list(const struct source *source, bool matrices, int64_t columns, char *text, size_t size)
{
    size_t used = 0;
    int count = 0;
    *text = '\0';
    for (int i = 0; i < source->count; i++) {
        const struct source_tensor *tensor = &source->tensor[i];
        if (!tensor->name[0] || (matrices && (tensor->rank != 2 || strncmp(tensor->name, "rnn.", 4) == 0)) ||
            (columns > 0 && tensor->shape[1] != columns))
            continue;
        if (count++ == SHOWN && used < size)
            used += (size_t)snprintf(text + used, size - used, " ...");
        if (count > SHOWN || used >= size)
            continue;
        used += (size_t)snprintf(text + used, size - used, "%s'%.40s' [%lld]", count > 1 ? ", " : "", tensor->given,
                                 (long long)tensor->shape[0]);
        if (tensor->rank == 2 && used < size)
            used += (size_t)snprintf(text + used, size - used, "[%lld]", (long long)tensor->shape[1]);
    }
    return count;
}
