/* Draws the lengths of windows, and counts windows. */
#include "unroll/data/cuts.h"

#include <math.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/rng.h"

int cuts_longest(int bptt, bool vary)
{
    return vary ? bptt + CUTS_MORE : bptt;
}

/* Box and Muller 1958. */
static double normal(const struct rng_bits *bits)
{
    double sine, cosine, below_one = rng_uniform_double(bits->word[0], bits->word[1]);
    arithmetic_sincos(rng_uniform_double(bits->word[2], 0), &sine, &cosine);
    return sqrt(-2 * arithmetic_log(1 - below_one)) * cosine;
}

int cuts_length(const struct cuts *cuts, int64_t epoch, int64_t index)
{
    if (!cuts->vary)
        return cuts->bptt;
    struct rng_bits bits =
        rng_philox(cuts->seed, RNG_WINDOWS, (uint32_t)epoch, (uint32_t)index, 0, (uint32_t)(index >> 32));
    bool half = rng_uniform_double(bits.word[3], 0) < 1.0 / CUTS_HALF;
    int length = (int)(cuts->bptt / (half ? 2.0 : 1.0) + CUTS_DEVIATION * normal(&bits));
    int most = cuts_longest(cuts->bptt, true);
    return length < CUTS_LEAST ? CUTS_LEAST : length > most ? most : length;
}

int64_t cuts_windows(const struct cuts *cuts, int64_t epoch)
{
    int64_t windows = 0;
    if (!cuts->vary)
        return (cuts->steps + cuts->bptt - 1) / cuts->bptt;
    for (int64_t begin = 0; begin < cuts->steps; windows++)
        begin += cuts_length(cuts, epoch, windows);
    return windows;
}

int64_t cuts_windows_of(const struct cuts *cuts, int64_t epochs)
{
    int64_t windows = 0, epoch = 0;
    if (!cuts->vary)
        return epochs * cuts_windows(cuts, 0);
    while (epoch < epochs && windows < CUTS_COUNTED)
        windows += cuts_windows(cuts, epoch++);
    __int128 all = epoch ? (__int128)windows * epochs / epoch : 0;
    return all < INT64_MAX ? (int64_t)all : INT64_MAX;
}
