/* A vocabulary in the making: the distinct entries of a training text in order of first appearance, and how often each
 * occurs. Tallies of consecutive parts of a text, merged in order, are the tally of the whole. */
#ifndef UNROLL_DATA_TALLY_H
#define UNROLL_DATA_TALLY_H

#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/vocab.h"
#include "unroll/sys/comm.h"

struct tally;

/* A tally that holds "<unk>" as entry 0, so that a literal one in the text is the unknown word. NULL on exhaustion. */
struct tally *tally_new(struct error *e);
void tally_free(struct tally *tally); /* NULL is allowed */

/* Number of the text, which becomes a new entry if there is none; counts nothing. */
enum status tally_find(struct tally *tally, const char *text, size_t length, uint32_t *number, struct error *e);
/* Counts one occurrence of each of `count` entries. */
void tally_count(struct tally *tally, const uint32_t *numbers, size_t count);
/* Adds the tally of the part of the text that comes next. */
enum status tally_merge(struct tally *tally, const struct tally *next, struct error *e);
/* Collective. Rank 0's tally becomes that of all ranks, whose parts of the text follow one another in rank order;
 * what the others' tallies are afterwards is undefined. The error is the same on all ranks. */
enum status tally_gather(const struct comm *comm, struct tally *tally, struct error *e);

int64_t tally_entries(const struct tally *tally); /* distinct entries, without <unk> */
int64_t tally_single(const struct tally *tally);  /* of them those that occur once */

/* The vocabulary: entries of at least `min_count` occurrences, most frequent first, ties by first appearance, at most
 * `size` with <unk> (0: no limit). STATUS_DATA if that is more than a vocabulary can hold. */
enum status tally_vocab(const struct tally *tally, enum level level, int64_t size, int64_t min_count,
                        struct vocab **out, struct error *e);

#endif
