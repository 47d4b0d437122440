/* The three parts of a text: one to learn from, one to choose by, one to judge by. */
#ifndef UNROLL_DATA_SPLIT_H
#define UNROLL_DATA_SPLIT_H

#include "unroll/base/choice.h"

enum split { SPLIT_TRAIN, SPLIT_VALID, SPLIT_TEST, SPLITS };
const char *split_name(enum split split); /* "train", "valid", "test" */
extern const struct choices split_choices;

#endif
