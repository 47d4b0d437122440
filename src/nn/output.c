/* Which output layer a configuration means. */
#include "unroll/nn/output.h"

#include <string.h>

#include "clusters.h"
#include "unroll/base/mem.h"
#include "unroll/nn/constants.h"
#include "unroll/nn/proposal.h"

#define KIND(kind) &output_kind_##kind,
static const struct output_kind *const kinds[] = {OUTPUT_TABLE(KIND)};
#undef KIND
#define KINDS ((int)(sizeof kinds / sizeof kinds[0]))

static const char *name_of(int layer)
{
    return kinds[layer]->name;
}

const struct choices output_layer_choices = {"output layer", OUTPUT_LAYERS, name_of};

const struct output_kind *output_kind(const struct model_config *config)
{
    if (config->task == TASK_LM)
        return kinds[config->output_layer];
    for (int i = 0; i < KINDS; i++)
        if (kinds[i]->task == config->task)
            return kinds[i];
    CHECK(!"a task without an output layer");
    return NULL;
}

#define SAMPLES_DEFAULT 1000 /* where the vocabulary has twice as many */

/* Where the options name none. */
static enum status choose_cutoffs(struct model_config *config, const uint64_t *counts, struct error *e)
{
    uint64_t *sorted = NULL;
    if (config->reordered) {
        sorted = mem_alloc((size_t)config->vocab, sizeof *sorted, "the order of counts", e);
        if (!sorted)
            return STATUS_OS;
        constants_sort(config->vocab, counts, sorted);
    }
    clusters_choose(config, sorted ? sorted : counts);
    mem_free(sorted);
    return STATUS_OK;
}

enum status output_settle(struct model_config *config, const uint64_t *counts, struct error *e)
{
    const unsigned uses = output_kind(config)->uses;
    if (uses & OUTPUT_SAMPLES && config->samples == 0) {
        int half = config->vocab / 2;
        config->samples = half > SAMPLES_DEFAULT ? SAMPLES_DEFAULT : half > 0 ? half : 1;
    }
    bool by_order = uses & OUTPUT_ORDER && !(uses & OUTPUT_SAMPLES && config->proposal == PROPOSAL_UNIGRAM);
    config->reordered = by_order && counts && constants_reordered(config->vocab, counts);
    if (uses & OUTPUT_CLUSTERS)
        return config->cutoffs[0] ? STATUS_OK : choose_cutoffs(config, counts, e);
    memset(config->cutoffs, 0, sizeof config->cutoffs);
    config->div = 0;
    return STATUS_OK;
}

void output_plain(struct model_config *config)
{
    if (!(output_kind(config)->uses & OUTPUT_SAMPLES))
        return;
    config->output_layer = 0;
    config->samples = config->proposal = 0;
    config->reordered = false;
}
