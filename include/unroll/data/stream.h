/* From lanes to windows: a rank's view of one split during one epoch.
 *
 * A split of N tokens has P = N - 1 positions (a token and the one after it). Lane b of `batch` lanes holds positions
 * [floor(b*P/batch), floor((b+1)*P/batch)): lengths differ by at most one, and no position is lost. Windows cut all
 * lanes at the same times (data/cuts.h); past a shorter lane's end the input is 0 and the target WINDOW_NO_TARGET.
 * Nothing here depends on the number of ranks except which lanes are read.
 *
 * With a token `before`, the split is read as if that one stood in front of it: P = N, and the first token is a
 * target. */
#ifndef UNROLL_DATA_STREAM_H
#define UNROLL_DATA_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/base/window.h"
#include "unroll/data/corpus.h"
#include "unroll/data/cuts.h"

struct stream;

struct stream_config {
    enum split split;
    int batch;        /* global lanes */
    int lane0, lanes; /* this rank's range of them */
    int bptt;
    uint32_t before; /* VOCAB_UNK: none */
    bool vary;       /* windows' lengths vary, epoch by epoch */
    uint64_t seed;   /* vary */
};

/* Not collective. The corpus stays the caller's and must outlive the stream. A split with fewer positions than lanes is
 * STATUS_CONFIG, naming the largest batch that fits; an absent split is STATUS_DATA. */
enum status stream_open(struct corpus *corpus, const struct stream_config *config, struct stream **out,
                        struct error *e);
void stream_close(struct stream *stream);
/* Bytes that a stream takes over a split too long to be read ahead whole; `split` does not matter. */
size_t stream_bytes(const struct stream_config *config);

/* How epochs are cut. */
const struct cuts *stream_cuts(const struct stream *stream);
/* Goes to the first window of an epoch; a stream is opened at that of epoch 0. */
void stream_begin(struct stream *stream, int64_t epoch);
int64_t stream_windows(const struct stream *stream); /* windows of the current epoch */
/* Targets (positions with loss) of its window `index` over the lanes [lane_begin, lane_end) of the whole batch. */
int64_t stream_targets(const struct stream *stream, int64_t index, int lane_begin, int lane_end);

/* The window of the epoch to be read next. `stream_seek` sets it (resume); `reset` is set on window 0. */
int64_t stream_position(const struct stream *stream);
void stream_seek(struct stream *stream, int64_t index);

/* Fills `window` with the next one; its arrays belong to the stream and stay valid until the next call. After the last
 * window returns T == 0. */
enum status stream_next(struct stream *stream, struct window *window, struct error *e);

#endif
