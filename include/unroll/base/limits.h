/* How many tokens and labels there may be: text and model agree on it. */
#ifndef UNROLL_BASE_LIMITS_H
#define UNROLL_BASE_LIMITS_H

#define VOCAB_MAX \
    (1 << 22) /* entries, with <unk>; with their texts and the index this bounds a vocabulary to 256 MiB */
#define LABELS_MAX 65535

#endif
