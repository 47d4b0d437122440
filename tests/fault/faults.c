/* unroll-faulty: the program, linked so that calls between its rooms pass through here (ld --wrap), where a fault
 * strikes at a known place of a known step on one rank. The product itself knows nothing of it. Asked for by the
 * environment:
 *   FAULT_DO     a signal's number, which the process sends to itself; or nan, inf: what is put into a number
 *   FAULT_AT     a place: one of those named in strike() and due() below
 *   FAULT_STEP   training step at which it happens, from 0; validation and checkpoints follow the step of that number
 *   FAULT_RANK   the rank that it happens on
 *   FAULT_TIMES  in how many steps in a row, 1 unless given
 *   FAULT_PATIENCE  seconds in which a shared folder must be seen by all ranks (train/shared_folder.h)
 * And it can take itself for another program, on all ranks that have these in their environment:
 *   FAULT_VERSION, FAULT_ARITHMETIC, FAULT_OPTIONS   version, arithmetic revision, digest of the options */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/nn/layer.h"
#include "unroll/base/build_info.h"
#include "unroll/base/file.h"
#include "unroll/base/window.h"
#include "unroll/cli/option_table.h"
#include "unroll/nn/gemm.h"
#include "unroll/nn/model.h"
#include "unroll/sys/comm.h"
#include "unroll/sys/h5.h"
#include "unroll/train/checkpoint.h"
#include "unroll/train/optimizer.h"
#include "unroll/train/shared_folder.h"

static int64_t step = -1; /* of the last call of model_train */

static int64_t number(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoll(text, NULL, 10) : otherwise;
}

/* Whether the fault belongs here and now. */
static bool due(const char *place)
{
    const char *at = getenv("FAULT_AT");
    int64_t begin = number("FAULT_STEP", 0);
    return at && strcmp(at, place) == 0 && number("OMPI_COMM_WORLD_RANK", 0) == number("FAULT_RANK", 0) &&
           step >= begin && step < begin + number("FAULT_TIMES", 1);
}

/* Sends the signal; once for a step, however often the place is passed in it. */
static void strike(const char *place)
{
    static int64_t struck = -1;
    int signal_number = (int)number("FAULT_DO", 0);
    if (signal_number > 0 && struck != step && due(place)) {
        struck = step;
        raise(signal_number);
    }
}

static double bad_number(void)
{
    const char *what = getenv("FAULT_DO");
    return what && strcmp(what, "inf") == 0 ? INFINITY : NAN;
}

/* ---- a step ---- */

void __real_model_train(struct model *model, const struct window *window, int64_t now, float *const *node_grads,
                        struct model_loss *loss);
void __wrap_model_train(struct model *model, const struct window *window, int64_t now, float *const *node_grads,
                        struct model_loss *loss);
void __wrap_model_train(struct model *model, const struct window *window, int64_t now, float *const *node_grads,
                        struct model_loss *loss)
{
    step = now;
    __real_model_train(model, window, now, node_grads, loss);
    if (due("gradient"))
        node_grads[0][5] = (float)bad_number();
    if (due("loss"))
        *(double *)loss->group = bad_number();
    if (due("state")) {
        static float state[1 << 16];
        model_state_get(model, 0, state);
        state[3] = (float)bad_number();
        model_state_set(model, 0, state);
    }
}

__typeof__(layer_forward) __real_layer_forward, __wrap_layer_forward;
void __wrap_layer_forward(const struct common *common, struct layer *layer)
{
    strike("forward");
    __real_layer_forward(common, layer);
}

__typeof__(layer_backward) __real_layer_backward, __wrap_layer_backward;
void __wrap_layer_backward(const struct common *common, struct layer *layer, const float *dh,
                           const struct step_hook *hook)
{
    strike("backward");
    __real_layer_backward(common, layer, dh, hook);
}

/* Both ways of the reducer; a rank that ends here leaves others inside the exchange. */
void __real_comm_exchange(const struct comm *comm, int peer, const void *send, size_t send_bytes, void *receive,
                          size_t receive_bytes);
void __wrap_comm_exchange(const struct comm *comm, int peer, const void *send, size_t send_bytes, void *receive,
                          size_t receive_bytes);
void __wrap_comm_exchange(const struct comm *comm, int peer, const void *send, size_t send_bytes, void *receive,
                          size_t receive_bytes)
{
    strike("reduction");
    __real_comm_exchange(comm, peer, send, send_bytes, receive, receive_bytes);
}

void __real_comm_alltoallv(const struct comm *comm, const void *send, const size_t *send_bytes,
                           const size_t *send_offset, void *receive, const size_t *receive_bytes,
                           const size_t *receive_offset);
void __wrap_comm_alltoallv(const struct comm *comm, const void *send, const size_t *send_bytes,
                           const size_t *send_offset, void *receive, const size_t *receive_bytes,
                           const size_t *receive_offset);
void __wrap_comm_alltoallv(const struct comm *comm, const void *send, const size_t *send_bytes,
                           const size_t *send_offset, void *receive, const size_t *receive_bytes,
                           const size_t *receive_offset)
{
    strike("reduction");
    __real_comm_alltoallv(comm, send, send_bytes, send_offset, receive, receive_bytes, receive_offset);
}

void __real_optimizer_update(struct optimizer *optimizer, float *values, struct param_gradient grad, float scale,
                             double lr, int threads);
void __wrap_optimizer_update(struct optimizer *optimizer, float *values, struct param_gradient grad, float scale,
                             double lr, int threads);
void __wrap_optimizer_update(struct optimizer *optimizer, float *values, struct param_gradient grad, float scale,
                             double lr, int threads)
{
    strike("update");
    __real_optimizer_update(optimizer, values, grad, scale, lr, threads);
    size_t weight = optimizer->table->param[1].offset + 5; /* of the first layer */
    if (due("weight"))
        values[weight] = (float)bad_number();
    if (due("unused weight")) /* of a token that never occurs */
        values[7] = (float)bad_number();
    if (due("bit"))
        values[weight] = nextafterf(values[weight], 1e9f);
    if (due("slot") && optimizer->slots > 0)
        optimizer->slot[0][weight] = nextafterf(optimizer->slot[0][weight], 1e9f);
}

void __real_gemm_rows(const struct gemm *gemm, const struct gemm_operand *operand, int rows, float *c, int64_t ldc);
void __wrap_gemm_rows(const struct gemm *gemm, const struct gemm_operand *operand, int rows, float *c, int64_t ldc);
void __wrap_gemm_rows(const struct gemm *gemm, const struct gemm_operand *operand, int rows, float *c, int64_t ldc)
{
    __real_gemm_rows(gemm, operand, rows, c, ldc);
    if (due("product"))
        c[0] = nextafterf(c[0], 1e9f);
}

/* ---- validation ---- */

void __real_model_forward(struct model *model, const struct window *window, int64_t now, struct model_loss *loss);
void __wrap_model_forward(struct model *model, const struct window *window, int64_t now, struct model_loss *loss);
void __wrap_model_forward(struct model *model, const struct window *window, int64_t now, struct model_loss *loss)
{
    strike("validation");
    __real_model_forward(model, window, now, loss);
}

/* ---- a checkpoint, in the order of events ---- */

enum status __real_h5_write(struct h5 *file, const char *path, enum h5_type type, int64_t start, int64_t count,
                            const void *data, struct error *e);
enum status __wrap_h5_write(struct h5 *file, const char *path, enum h5_type type, int64_t start, int64_t count,
                            const void *data, struct error *e);
enum status __wrap_h5_write(struct h5 *file, const char *path, enum h5_type type, int64_t start, int64_t count,
                            const void *data, struct error *e)
{
    strike("contents");
    enum status status = __real_h5_write(file, path, type, start, count, data, e);
    if (strcmp(path, "/model/decoder.bias") == 0) /* the optimizer's state and more are still to come */
        strike("half-written");
    return status;
}

enum status __real_checkpoint_verify(const char *path, struct error *e);
enum status __wrap_checkpoint_verify(const char *path, struct error *e);
enum status __wrap_checkpoint_verify(const char *path, struct error *e)
{
    strike("written");
    return __real_checkpoint_verify(path, e);
}

enum status __real_file_commit(const char *temporary, const char *path, const struct file_guard *guard,
                               struct error *e);
enum status __wrap_file_commit(const char *temporary, const char *path, const struct file_guard *guard,
                               struct error *e);
enum status __wrap_file_commit(const char *temporary, const char *path, const struct file_guard *guard, struct error *e)
{
    strike("renaming");
    enum status status = __real_file_commit(temporary, path, guard, e);
    strike("renamed");
    return status;
}

enum status __real_shared_folder_check(const struct comm *comm, const char *folder, double patience, struct error *e);
enum status __wrap_shared_folder_check(const struct comm *comm, const char *folder, double patience, struct error *e);
enum status __wrap_shared_folder_check(const struct comm *comm, const char *folder, double patience, struct error *e)
{
    return __real_shared_folder_check(comm, folder, (double)number("FAULT_PATIENCE", (int64_t)patience), e);
}

void __real_comm_barrier_asleep(const struct comm *comm);
void __wrap_comm_barrier_asleep(const struct comm *comm);
void __wrap_comm_barrier_asleep(const struct comm *comm)
{
    __real_comm_barrier_asleep(comm);
    strike("folder seen"); /* in a step with a checkpoint, and samples in none */
}

/* ---- another program ---- */

const char *__real_build_version(void);
const char *__wrap_build_version(void);
const char *__wrap_build_version(void)
{
    const char *other = getenv("FAULT_VERSION");
    return other && *other ? other : __real_build_version();
}

int __real_build_arithmetic(void);
int __wrap_build_arithmetic(void);
int __wrap_build_arithmetic(void)
{
    return (int)number("FAULT_ARITHMETIC", __real_build_arithmetic());
}

enum status __real_option_table_digest(char hex[DIGEST_TEXT], struct error *e);
enum status __wrap_option_table_digest(char hex[DIGEST_TEXT], struct error *e);
enum status __wrap_option_table_digest(char hex[DIGEST_TEXT], struct error *e)
{
    const char *other = getenv("FAULT_OPTIONS");
    enum status status = __real_option_table_digest(hex, e);
    if (other && *other)
        snprintf(hex, DIGEST_TEXT, "%s", other);
    return status;
}
