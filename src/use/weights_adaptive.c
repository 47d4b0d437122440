/* The adaptive softmax in foreign files: PyTorch's nn.AdaptiveLogSoftmaxWithLoss, whatever its module is called, and
 * what its shapes say of it. */
#include "weights_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/nn/output.h"

#define FIRST_TAIL "tail.0.0.weight"
#define OURS "decoder."

/* The length of the path in front of the tensors of such a module; -1: there is none. */
static int find_module(const struct source *source, char path[SAFETENSORS_NAME])
{
    for (int i = 0; i < source->count; i++) {
        const char *name = source->tensor[i].name, *tail = strstr(name, FIRST_TAIL);
        int length = tail ? (int)(tail - name) : 0;
        if (!tail || strcmp(tail, FIRST_TAIL) != 0 || (length > 0 && name[length - 1] != '.'))
            continue;
        memcpy(path, name, (size_t)length);
        path[length] = '\0';
        return length;
    }
    return -1;
}

static bool is_part(const char *name)
{
    return strncmp(name, "head.", 5) == 0 || strncmp(name, "tail.", 5) == 0;
}

bool adaptive_recognise(struct source *source, struct weights_report *told)
{
    char path[SAFETENSORS_NAME];
    int length = find_module(source, path);
    if (length < 0 || strcmp(path, OURS) == 0)
        return length >= 0;
    for (int i = 0; i < source->count; i++) {
        struct source_tensor *tensor = &source->tensor[i];
        char name[2 * SAFETENSORS_NAME];
        if (strncmp(tensor->name, path, (size_t)length) != 0 || !is_part(tensor->name + length))
            continue;
        snprintf(name, sizeof name, OURS "%s", tensor->name + length);
        if (strlen(name) < SAFETENSORS_NAME)
            memcpy(tensor->name, name, strlen(name) + 1);
    }
    size_t used = strlen(told->renamed);
    if (used < sizeof told->renamed && length == 0)
        snprintf(told->renamed + used, sizeof told->renamed - used, "%s'head.' and 'tail.' are of '" OURS "'",
                 used ? ", " : "");
    else if (used < sizeof told->renamed)
        snprintf(told->renamed + used, sizeof told->renamed - used, "%s'%s' is '" OURS "'", used ? ", " : "", path);
    return true;
}

/* The tensor decoder.tail.CLUSTER.PART.weight, NULL: it is not there as a matrix. */
static const struct source_tensor *tail_of(const struct source *source, int cluster, int part)
{
    char name[64];
    snprintf(name, sizeof name, OURS "tail.%d.%d.weight", cluster, part);
    const struct source_tensor *tensor = source_find(source, name);
    return tensor && tensor->rank == 2 && tensor->shape[0] >= 1 && tensor->shape[0] <= VOCAB_MAX ? tensor : NULL;
}

/* Whether H / div^(i + 1), rounded down, is the width of each tail. */
static bool fits(const struct source *source, double H, int clusters, double div)
{
    double narrower = 1;
    for (int i = 0; i < clusters; i++) {
        narrower *= div;
        if ((int64_t)(H / narrower) != tail_of(source, i, 0)->shape[0])
            return false;
    }
    return true;
}

/* The file's own, the usual one, the lowest whole one that fits, or what the first tail's width says. */
static double find_div(const struct source *source, double H, int clusters, double told)
{
    if (told >= 1 && fits(source, H, clusters, told))
        return told;
    if (fits(source, H, clusters, 4))
        return 4;
    for (int div = 1; div <= H; div++)
        if (fits(source, H, clusters, div))
            return div;
    double width = (double)tail_of(source, 0, 0)->shape[0], least = H / (width + 1), most = H / width;
    for (int i = 1000; i > 0; i--) {
        double div = least + (most - least) * i / 1000;
        if (div >= 1 && fits(source, H, clusters, div))
            return div;
    }
    return told;
}

enum status adaptive_infer(const struct source *source, struct model_config *model, struct error *e)
{
    const struct source_tensor *head = source_find(source, OURS "head.weight");
    int clusters = 0, first;
    while (clusters < OUTPUT_CUTOFFS_MAX && tail_of(source, clusters, 0) && tail_of(source, clusters, 1))
        clusters++;
    if (clusters == 0)
        return STATUS_OK;
    if (!head || head->rank != 2 || head->shape[0] <= clusters || head->shape[0] > VOCAB_MAX)
        return source_refuse(source, OURS "head.weight", e,
                             "is not there as a matrix with more rows than the %d clusters", clusters);
    model->output_layer = choices_find(&output_layer_choices, "adaptive");
    memset(model->cutoffs, 0, sizeof model->cutoffs);
    first = (int)head->shape[0] - clusters;
    for (int i = 0; i < clusters; i++) {
        model->cutoffs[i] = first;
        first += (int)tail_of(source, i, 1)->shape[0];
    }
    if (first != model->vocab)
        return source_refuse(source, OURS "head.weight", e,
                             "and the tails have %d words, but the embedding has %d: they must be of one vocabulary",
                             first, model->vocab);
    model->div = find_div(source, model->hidden, clusters, model->div);
    return STATUS_OK;
}
