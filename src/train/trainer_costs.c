/* Adds up the seconds that the parts of a run take. */
#include "trainer_costs.h"

#include "unroll/base/clock.h"

#define RECENT 600.0 /* seconds of steps that count */
#define DISK 200e6   /* bytes a second, of a file that is written, synced and read back, before one has been */

void costs_begin(struct costs *costs)
{
    *costs = (struct costs){.begun = clock_seconds()};
}

double costs_elapsed(const struct costs *costs)
{
    return clock_seconds() - costs->begun;
}

double costs_of_run(const struct costs *costs)
{
    return costs->before + costs_elapsed(costs);
}

/* The first step of a start also allocates memory, so it does not count as recent. */
void costs_add_step(struct costs *costs, double seconds, int64_t tokens)
{
    bool first = costs->steps == 0;
    costs->steps += seconds;
    costs->tokens += tokens;
    if (first)
        return;
    costs->recent += seconds;
    costs->recent_steps++;
    costs->recent_tokens += tokens;
    if (costs->recent > RECENT && costs->recent_steps > 1) { /* what is older counts less and less */
        costs->recent /= 2;
        costs->recent_steps /= 2;
        costs->recent_tokens /= 2;
    }
}

void costs_add_evaluation(struct costs *costs, double seconds, int64_t targets)
{
    costs->evaluations += seconds;
    costs->evaluation = seconds;
    costs->evaluated = targets;
}

void costs_add_save(struct costs *costs, double seconds, bool best)
{
    *(best ? &costs->bests : &costs->saves) += seconds;
    *(best ? &costs->saved_best : &costs->saved) += 1;
}

double costs_of_writing(const struct costs *costs, bool best, int64_t bytes)
{
    int64_t times = best ? costs->saved_best : costs->saved;
    if (times > 0)
        return (best ? costs->bests : costs->saves) / (double)times;
    return (double)bytes / DISK;
}
