/* "Did you mean": the distance between a word as typed and one that exists. */
#ifndef UNROLL_CLI_SUGGEST_H
#define UNROLL_CLI_SUGGEST_H

#define SUGGEST_FAR 1000

/* How many letters must be changed, added, left out or swapped with their neighbour to turn `typed` into `known` (optimal
 * string alignment distance); 1 if one is the beginning of the other; SUGGEST_FAR if so much differs that the one was
 * hardly meant as the other. */
int suggest_distance(const char *typed, const char *known);

#endif
