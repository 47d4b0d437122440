/* "Did you mean": from a word as typed to one that exists. */
#ifndef UNROLL_CLI_SUGGEST_H
#define UNROLL_CLI_SUGGEST_H

#include <stdbool.h>

#define SUGGEST_FAR 1000

/* How many letters must be changed, added, left out or swapped with their neighbour to turn `typed` into `known`
 * (optimal string alignment distance); 1 if one is the beginning of the other; SUGGEST_FAR if so much differs that
 * the one was hardly meant as the other. */
int suggest_distance(const char *typed, const char *known);

/* True if only capitals, '-' and '_' differ. */
bool suggest_alike(const char *typed, const char *known);

/* Names that other programs have for an option: the first (`number` 0), second ... of ours that `typed` may mean,
 * NULL when there are no more. Which of them a command takes is for the caller to see. */
const char *suggest_option_meant(const char *typed, int number);

/* The same for commands: whether `typed` means `known`. */
bool suggest_command_means(const char *typed, const char *known);

/* What to say of a name that stands for something that no option is for; NULL if nothing is known of it.
 * `takes_files`: the command takes files behind its options. */
const char *suggest_remark(const char *typed, bool takes_files);

#endif
