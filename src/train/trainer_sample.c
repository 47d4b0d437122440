/* Samples while training: rank 0 writes a text with the weights as they are, the others wait and hear that it goes
 * on. */
#include "trainer_private.h"

#include "unroll/base/clock.h"
#include "unroll/base/mem.h"
#include "unroll/train/signals.h"

#define PHASE "a sample"
#define NEWS_SECONDS 0.1 /* between signs of life: less than any --stall-timeout worth having */

enum status trainer_check_sample(const struct trainer *trainer, struct error *e)
{
    const struct trainer_config *config = trainer->config;
    CHECK(!config->sample_every || (trainer->shape.task == TASK_LM && config->write_sample));
    if (!config->sample_every || trainer->shape.vocab > VOCAB_UNK + 1)
        return STATUS_OK;
    return error_set(e, STATUS_CONFIG,
                     "cannot use '--sample-every': the vocabulary of '%.200s' has no entry but '<unk>', which is never "
                     "written; leave the option out",
                     config->corpus);
}

bool trainer_sample_due(const struct trainer *trainer)
{
    int64_t every = trainer->config->sample_every;
    return every == TRAINER_EPOCH ? trainer->progress.window == 0 : every > 0 && trainer->progress.step % every == 0;
}

/* ---- while rank 0 writes ---- */

struct writing {
    struct trainer *trainer;
    double told; /* when the others last heard of it */
};

/* The other ranks sleep while rank 0 writes: where ranks share cores, rank 0 then has them alone. */
static void tell_others(struct trainer *trainer, bool goes_on)
{
    comm_barrier_asleep(trainer->comm);
    comm_broadcast(trainer->comm, &goes_on, sizeof goes_on, 0);
}

static void beat_of_sample(void *context)
{
    struct writing *writing = context;
    double now = clock_seconds();
    heartbeat_beat(&writing->trainer->heartbeat, PHASE);
    if (now - writing->told < NEWS_SECONDS)
        return;
    writing->told = now;
    tell_others(writing->trainer, true);
}

static void wait_for_sample(struct trainer *trainer)
{
    bool goes_on = true;
    while (goes_on) {
        comm_barrier_asleep(trainer->comm);
        comm_broadcast(trainer->comm, &goes_on, sizeof goes_on, 0);
        heartbeat_beat(&trainer->heartbeat, PHASE);
    }
}

static enum status write_sample(struct trainer *trainer, struct error *e)
{
    struct writing writing = {trainer, clock_seconds()};
    struct trainer_sample sample = {
        .model = &trainer->shape,
        .values = trainer_weights(trainer),
        .vocab = trainer->corpus->vocab,
        .seed = trainer->config->step.seed,
        .length = trainer->config->sample_length,
        .beat = beat_of_sample,
        .beat_context = &writing,
    };
    struct error reason = {0};
    char *text = NULL;
    size_t length = 0;
    enum status status = trainer->config->write_sample(&sample, &text, &length, &reason);
    tell_others(trainer, false);
    if (!status || status == STATUS_CHECKPOINT)
        trainer_report_sample(trainer, status ? NULL : text, length);
    else
        *e = reason;
    mem_free(text);
    return status == STATUS_CHECKPOINT ? STATUS_OK : status;
}

enum status trainer_show_sample(struct trainer *trainer, struct error *e)
{
    enum status status = STATUS_OK;
    heartbeat_beat(&trainer->heartbeat, PHASE);
    trainer_settle(trainer);
    signals_stop_when("after this sample"); /* its line belongs to the step, also in a run that goes on */
    if (trainer->comm->rank == 0)
        status = write_sample(trainer, e);
    else
        wait_for_sample(trainer);
    signals_stop_when(SIGNALS_STEP);
    return comm_agree(trainer->comm, status, e);
}
