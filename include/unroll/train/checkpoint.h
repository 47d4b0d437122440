/* Checkpoints: everything a run needs to go on, and everything sampling needs, in one HDF5 file that opens in h5py.
 *
 * Layout (version 2; 1 where the vocabulary has no normal form and no grapheme clusters):
 *   file attributes                         format="unroll-checkpoint", version, parameters_digest, step
 *   /model/<parameter name>                 float32, PyTorch's names and shapes (tied weights under both names)
 *   /optimizer/<parameter name>/<slot name> float32; attribute `updates` on /optimizer
 *   /trained/<parameter name>               float32, where weights are averaged (train/average.h) and there is an
 *                                           average: that is in /model then, and here what training goes on from
 *   /average                                attributes: see struct average_state; only of a run that averages
 *   /state/h_l0 [lanes][H], /state/c_l0 ... float32, carried states of all global lanes
 *   /progress                               attributes: see struct progress
 *   /vocab/bytes, /vocab/offsets, /vocab/counts, attribute level, and normalise, unicode and markers if
 *                                           the corpus has them
 *   /labels/bytes, /labels/offsets, /labels/counts  of a classifier, which has no /state/...
 *   /config                                 attributes: every option as text
 *   /build                                  attributes: version, revision, compiler, flags, libraries, instructions,
 *                                           kernel, ranks, threads, arithmetic (missing: 0)
 * /model carries the attributes that shape it (cell, layers, ..., with --reset-at eos also reset_token, of a classifier
 * also task, labels and pool), /optimizer its constants, / also `resumable`: files made for use only, such as best.h5,
 * have 0 and neither /optimizer nor /trained nor /state.
 * Every dataset has an attribute xxh3_128 (32 hexadecimal digits over its raw bytes); every group that carries
 * attributes has an attribute xxh3_128 over them (checkpoint_attrs.c says how), so every byte of the file is checked.
 * Nothing else may be in the file. */
#ifndef UNROLL_TRAIN_CHECKPOINT_H
#define UNROLL_TRAIN_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/digest.h"
#include "unroll/base/file.h"
#include "unroll/base/status.h"
#include "unroll/data/labels.h"
#include "unroll/data/markers.h"
#include "unroll/data/vocab.h"
#include "unroll/nn/param.h"
#include "unroll/sys/comm.h"
#include "unroll/train/average.h"
#include "unroll/train/optimizer.h"

/* Where a run stands. Part of every checkpoint, whole. */
struct progress {
    int64_t step;    /* optimizer updates attempted so far (skipped ones count) */
    int64_t epoch;   /* current epoch, from 0 */
    int64_t window;  /* next window of the epoch */
    int64_t tokens;  /* training targets seen so far */
    int64_t skipped; /* steps skipped because loss or gradient was not finite */
    int64_t skipped_in_row;
    double epoch_loss; /* sum of losses of the current epoch so far */
    int64_t epoch_tokens;
    double valid_loss;      /* last validation; NaN before the first */
    double best_valid_loss; /* NaN before the first */
    int64_t best_step;
    int64_t stalls;   /* validations in a row without improvement: early stopping */
    double lr_factor; /* of the plateau schedule */
    int64_t plateau_stalls;
    int64_t valid_step; /* step of the last validation, -1 before the first */
    double log_loss;    /* sum of losses since the last line of metrics.jsonl, and of how many targets */
    int64_t log_tokens;
    int64_t metrics_bytes; /* length of metrics.jsonl when this was taken */
    int64_t finished;      /* 1 once the run has ended by its own rules */
    double seconds;        /* training wall time so far, over all resumptions; not part of the mathematics */
};

/* What program wrote a checkpoint. All but `arithmetic` is for people only. If a run goes on with another arithmetic
 * revision, its bits are no longer those of an uninterrupted run. The other facts do not change the bits. */
struct checkpoint_build {
    char version[64], revision[64], compiler[64], flags[256], libraries[256];
    char instructions[32]; /* the widest vectors it was compiled for, e.g. "avx512f" */
    char kernel[32];       /* BLIS's */
    int ranks, threads;
    int arithmetic; /* the arithmetic revision (base/arithmetic.h); 0 in files that were written before there was one */
};
/* Fills in everything but kernel, ranks and threads for this program. */
void checkpoint_build_here(struct checkpoint_build *build);

#define CHECKPOINT_TEXT 512
#define CHECKPOINT_OPTIONS_MAX 96

struct checkpoint_option { /* one option of the run as text; longer paths are cut */
    char name[32];
    char value[CHECKPOINT_TEXT];
};

struct checkpoint {
    struct model_config model;
    int batch, bptt, groups;
    struct progress progress;
    struct param_table table; /* built from `model` */
    float *values;            /* [table.total], for use: an average if there is one; NULL: read without them */
    float *trained;           /* [table.trained] what training goes on from, if `values` are an average and the file is
                                 resumable, else NULL; NULL also: read without it */
    struct average_state average;
    struct optimizer *optimizer; /* NULL: not resumable, or read without its arrays; its table is `table` */
    float *states;               /* state s at s*batch*H: [batch][H] each, of all global lanes; NULL: not resumable */
    const struct vocab *vocab;
    enum markers markers;        /* as in the corpus */
    const struct labels *labels; /* of a classifier, else NULL */
    int options;
    struct checkpoint_option option[CHECKPOINT_OPTIONS_MAX];
    char corpus_digest[33];
    struct checkpoint_build build;
    bool owned; /* checkpoint_read: the arrays and the vocabulary are released by checkpoint_release */

    /* What checkpoint_read says beside: */
    char parameters_digest[DIGEST_TEXT]; /* that of param_digest */
    bool resumable;
    struct optimizer_config rule; /* of a resumable one; after so many updates */
    int64_t updates;
    struct reading *source; /* the open file, for checkpoint_load; NULL: none */
};

enum checkpoint_writer { WRITER_AUTO, WRITER_SINGLE, WRITER_PARALLEL };

struct checkpoint_target {
    const char *path;
    enum checkpoint_writer writer;
    const struct file_guard *guard; /* asked on rank 0 before the work and before the renaming; may be NULL */
    /* Out: a parallel file could not be ended. Tell the error, then comm_abort: HDF5 can neither close such a file nor
     * end cleanly (it crashes or hangs). */
    bool broken;
};

/* Collective. Writes target->path (through a temporary file: written, synced, reopened, all digests verified,
 * renamed, folder synced), dataset by dataset from where the values lie: no copy of them is made. WRITER_SINGLE: rank 0
 * writes alone; a full disk is an error like any other. WRITER_PARALLEL: all ranks write one file on disk. WRITER_AUTO:
 * single. It takes no memory, and one process keeps a disk busy; writing in parallel gains where a file system has many
 * disks, and only whoever knows that it has them can choose it. Rank 0 must hold the whole of `checkpoint`; the others
 * values, optimizer and vocabulary (all but the optimizer of one that is not resumable), which only the parallel writer
 * looks at. Without optimizer or states the file is not resumable. On failure the file of that name that was there
 * before is untouched, no temporary file stays, and all ranks get the same error (STATUS_IO, STATUS_CANTCREATE,
 * STATUS_OS, or the guard's). A checkpoint that a reader would refuse is not written: STATUS_INTERNAL with the reason.
 * STATUS_CANTCREATE if ranks that write together do not share the folder (train/shared_folder.h). */
enum status checkpoint_write(const struct comm *comm, const struct checkpoint *checkpoint,
                             struct checkpoint_target *target, struct error *e);

/* Collective, before the first checkpoint: whether the ranks that will write together share the folder, as above. */
enum status checkpoint_prepare(const struct comm *comm, const struct checkpoint_target *target, struct error *e);

/* Not collective. Reads and verifies a checkpoint. Missing: STATUS_NOINPUT; unusable in any way: STATUS_CHECKPOINT with
 * the reason. On failure nothing needs releasing. */
enum checkpoint_part {
    CHECKPOINT_ALL,
    CHECKPOINT_FOR_USE, /* what sampling and scoring need: neither optimizer nor states, which are not looked at */
    CHECKPOINT_RUN,   /* all but the arrays of parameters and optimizer, which are compared with their digests in little
                         memory; the file stays open for checkpoint_load */
    CHECKPOINT_FACTS, /* the same, and neither optimizer nor states are looked at */
};
enum status checkpoint_read(const char *path, enum checkpoint_part part, struct checkpoint *checkpoint,
                            struct error *e);
/* Not collective. After checkpoint_read of CHECKPOINT_RUN or CHECKPOINT_FACTS: reads the parameters into the caller's
 * `values` [table.total]; with CHECKPOINT_RUN also, where those are an average, what training goes on from into
 * `trained` [table.trained], and the optimizer's arrays into those of `optimizer`, which has the same table and kind.
 * NULL: not these. They are compared with their digests again. STATUS_IO, STATUS_CHECKPOINT. */
enum status checkpoint_load(struct checkpoint *checkpoint, float *values, float *trained, struct optimizer *optimizer,
                            struct error *e);
void checkpoint_release(struct checkpoint *checkpoint);

/* Not collective. A digest of all that matters for use of a checkpoint that was read: shape, parameters, vocabulary,
 * labels and how 'eval' cuts a split. */
enum status checkpoint_digest(const struct checkpoint *checkpoint, char hex[DIGEST_TEXT], struct error *e);
/* Collective. checkpoint_read, for use, on every rank; STATUS_CONFIG if they find different ones under `path`.
 * Release with checkpoint_release, also after a failure. */
enum status checkpoint_read_shared(const struct comm *comm, const char *path, struct checkpoint *checkpoint,
                                   struct error *e);

/* Not collective. Checks the whole file against its digests in little memory, without keeping anything. */
enum status checkpoint_verify(const char *path, struct error *e);

#endif
