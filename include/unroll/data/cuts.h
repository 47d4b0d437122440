/* How an epoch of running text is cut into windows: all `bptt` steps long, or of lengths that vary, so that an epoch
 * does not cut where the one before did (Merity, Keskar and Socher 2017, "Regularizing and optimizing LSTM language
 * models", 5.1).
 *
 * Lengths that vary are whole parts of draws from a normal distribution of deviation CUTS_DEVIATION, whose mean is
 * bptt or, for one window in CUTS_HALF, bptt / 2; at least CUTS_LEAST and at most bptt + CUTS_MORE. Each is a function
 * of (seed, bptt, epoch, index) alone. The last window of an epoch ends where the text does.
 *
 * Not collective; nothing here depends on ranks. */
#ifndef UNROLL_DATA_CUTS_H
#define UNROLL_DATA_CUTS_H

#include <stdbool.h>
#include <stdint.h>

#define CUTS_LEAST 5
#define CUTS_MORE 20
#define CUTS_DEVIATION 5
#define CUTS_HALF 20

struct cuts {
    int64_t steps; /* of an epoch: the longest lane's */
    int bptt;      /* vary: CUTS_LEAST or more */
    bool vary;
    uint64_t seed; /* vary */
};

/* The longest window that there can be. */
int cuts_longest(int bptt, bool vary);

/* The length of a window that the text's end does not shorten. */
int cuts_length(const struct cuts *cuts, int64_t epoch, int64_t index);

/* Windows of an epoch; and of the first `epochs` epochs. Lengths that vary are drawn one after another, in some 0.3 us
 * each. After CUTS_COUNTED of them the epochs that are left are taken to be as those before. */
#define CUTS_COUNTED ((int64_t)1 << 21)
int64_t cuts_windows(const struct cuts *cuts, int64_t epoch);
int64_t cuts_windows_of(const struct cuts *cuts, int64_t epochs);

#endif
