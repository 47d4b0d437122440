/* Settles --precision and --bf16-order between the options, this host and a checkpoint. */
#include "unroll/cli/precision.h"

#include <stdio.h>

#include "unroll/nn/gemm.h"
#include "unroll/nn/unit.h"

static void settle(const struct comm *comm, int *order)
{
    if (*order != OPTION_ORDER_HOST)
        return;
    *order = (int)gemm_host_order();
    comm_broadcast(comm, order, sizeof *order, 0);
}

void precision_settle(const struct comm *comm, struct options *options)
{
    settle(comm, &options->train.step.model.bf16_order);
    settle(comm, &options->use_order);
    if (options->train.step.model.precision != PRECISION_BF16)
        options->train.step.model.bf16_order = BF16_TILE;
}

enum status precision_take(const struct options *options, const char *path, struct model_config *model, struct error *e)
{
    if (options->use_precision != OPTION_PRECISION_TRAINED)
        model->precision = options->use_precision;
    if (options->use_order != OPTION_ORDER_TRAINED)
        model->bf16_order = options->use_order;
    if (model->precision == PRECISION_BF16)
        return STATUS_OK;
    model->bf16_order = BF16_TILE;
    if (options->use_order == OPTION_ORDER_TRAINED)
        return STATUS_OK;
    return error_set(e, STATUS_CONFIG,
                     "cannot use '--bf16-order' with '%.200s': its products are of float32, whose sums have one order; "
                     "leave it out, or add '--precision bf16'",
                     path);
}

void precision_print(const struct model_config *model, int column)
{
    char unit[UNIT_TEXT], expected[UNIT_TEXT], faster[UNIT_TEXT];
    if (model->precision == PRECISION_FLOAT32)
        return;
    printf("%-*s%s\n%*sexpect %s\n", column, "precision", unit_describe(model, unit), column, "",
           unit_expect(model, expected));
    if (*unit_faster(model, faster))
        printf("%-*s%s\n", column, "", faster);
}
