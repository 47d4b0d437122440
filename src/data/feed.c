/* Passes each call on to the stream or to the examples. */
#include "unroll/data/feed.h"

enum status feed_open(struct corpus *corpus, bool labelled, const struct examples_config *config, struct feed *feed,
                      struct error *e)
{
    *feed = (struct feed){NULL, NULL};
    if (labelled)
        return examples_open(corpus, config, &feed->examples, e);
    const struct stream_config stream = {.split = config->split,
                                         .batch = config->batch,
                                         .lane0 = config->lane0,
                                         .lanes = config->lanes,
                                         .bptt = config->longest,
                                         .before = config->before,
                                         .vary = config->vary,
                                         .seed = config->seed};
    return stream_open(corpus, &stream, &feed->stream, e);
}

void feed_close(struct feed *feed)
{
    stream_close(feed->stream);
    examples_close(feed->examples);
}

int64_t feed_windows(const struct feed *feed)
{
    return feed->examples ? examples_windows(feed->examples) : stream_windows(feed->stream);
}

int64_t feed_windows_of(const struct feed *feed, int64_t epochs)
{
    return feed->examples ? epochs * examples_windows(feed->examples)
                          : cuts_windows_of(stream_cuts(feed->stream), epochs);
}

int64_t feed_targets(const struct feed *feed, int64_t index, int lane_begin, int lane_end)
{
    if (feed->examples)
        return examples_targets(feed->examples, index, lane_begin, lane_end);
    return stream_targets(feed->stream, index, lane_begin, lane_end);
}

void feed_seek(struct feed *feed, int64_t epoch, int64_t index)
{
    if (!feed->examples) {
        stream_begin(feed->stream, epoch);
        stream_seek(feed->stream, index);
        return;
    }
    examples_begin(feed->examples, epoch);
    examples_seek(feed->examples, index);
}

enum status feed_next(struct feed *feed, struct window *window, struct error *e)
{
    return feed->examples ? examples_next(feed->examples, window, e) : stream_next(feed->stream, window, e);
}
