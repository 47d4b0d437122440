/* What makes a step fast, as switches: 1 in every build that is meant for use. `tools/ablation` builds the program
 * once without each, by CFLAGS=-DTUNE_...=0, and measures what it gains; a switch off changes the speed and no
 * result but for TUNE_MERGE_TOKENS, which adds in another order. */
#ifndef UNROLL_BASE_TUNING_H
#define UNROLL_BASE_TUNING_H

#ifndef TUNE_HUGE_PAGES /* large arrays in pages of 2 MiB (base/mem.c) */
#define TUNE_HUGE_PAGES 1
#endif
#ifndef TUNE_DISTINCT_TOKENS /* each distinct token of a window is projected once (nn/embedding.c) */
#define TUNE_DISTINCT_TOKENS 1
#endif
#ifndef TUNE_MERGE_TOKENS /* gradients of equal tokens are added before the products (nn/embedding.c) */
#define TUNE_MERGE_TOKENS 1
#endif
#ifndef TUNE_SPARSE_ROWS /* sums, norm and update pass over untouched rows of the embedding (train/reducer.c) */
#define TUNE_SPARSE_ROWS 1
#endif
#ifndef TUNE_PREFETCH /* panels and tiles are fetched ahead of use (nn/gemm.c, nn/gemm_gradient.c) */
#define TUNE_PREFETCH 1
#endif
#ifndef TUNE_TURN_TILES /* tiles of weight gradients lie the way that leaves less of them empty (nn/gemm_gradient.c) \
                         */
#define TUNE_TURN_TILES 1
#endif
#ifndef TUNE_PACK_ONCE /* recurrent weights are packed once per update, not at every time step (nn/layer.c) */
#define TUNE_PACK_ONCE 1
#endif
#ifndef TUNE_SMALL_ALONE /* work that is shorter than a wake-up is done by one thread (base/team.c) */
#define TUNE_SMALL_ALONE 1
#endif

/* What waiting costs: constants of base/team.c, measured on two cores of a Xeon (Sapphire Rapids) under KVM. */
#define TEAM_SPIN 100000 /* nanoseconds that a thread spins before it sleeps: a wake-up takes 10000 to 50000 */
#define TEAM_SHARE 32768 /* least work of a thread (flops or bytes, 1 to 4 us): starting and joining take as long */
#define TEAM_SHARE_CROWDED (1 << 21) /* the same where threads sleep (some 40 us) */
#define TEAM_CROWDED_TIMES 16        /* waiting for a core costs at most one part of the time in so many */

#endif
