/* What windows are read from: running text (data/stream.h), or labelled texts (data/examples.h). */
#ifndef UNROLL_DATA_FEED_H
#define UNROLL_DATA_FEED_H

#include "unroll/data/examples.h"
#include "unroll/data/stream.h"

struct feed { /* one of the two */
    struct stream *stream;
    struct examples *examples;
};

/* Not collective. `labelled` decides; a stream takes split, batch, lanes, `before`, and `longest` as its window's
 * length, or its mean where they vary. */
enum status feed_open(struct corpus *corpus, bool labelled, const struct examples_config *config, struct feed *feed,
                      struct error *e);
void feed_close(struct feed *feed);

int64_t feed_windows(const struct feed *feed); /* of the current epoch */
/* Of the first `epochs` epochs: see cuts_windows_of. */
int64_t feed_windows_of(const struct feed *feed, int64_t epochs);
int64_t feed_targets(const struct feed *feed, int64_t index, int lane_begin, int lane_end);
/* Goes to window `index` of an epoch. */
void feed_seek(struct feed *feed, int64_t epoch, int64_t index);
enum status feed_next(struct feed *feed, struct window *window, struct error *e);

#endif
