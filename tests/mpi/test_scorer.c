/* Scores are the same bits on any number of ranks as on one rank alone, for few texts and for many. */
#include <stdio.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/use/scorer.h"

#define V 31
#define TEXTS_MAX 700

static int failed; /* what this rank found wrong */

static void expect(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "test_scorer: %s\n", what);
        failed = 1;
    }
}

static uint32_t random_below(uint32_t number, uint32_t limit)
{
    return rng_philox(29, RNG_TEST, number, 0, 0, 0).word[0] % limit;
}

static void fill(struct score_pool *pool, int texts)
{
    pool->texts = texts;
    pool->offset[0] = 0;
    for (int text = 0; text < texts; text++)
        pool->offset[text + 1] = pool->offset[text] + random_below((uint32_t)text, text % 50 ? 25 : 150);
    for (int64_t i = 0; i < pool->offset[texts]; i++) {
        pool->tokens[i] = random_below((uint32_t)i + 100000, V);
        pool->logp[i] = 1;
    }
}

static void same_bits_as_alone(const struct comm *comm, struct scorer *scorer, struct score_pool *pool, int texts)
{
    const struct comm alone = COMM_ALONE;
    struct error e = {0};
    static float expected[TEXTS_MAX * 150];
    fill(pool, texts);
    size_t bytes = (size_t)pool->offset[texts] * sizeof *expected;
    expect(scorer_run(scorer, &alone, pool, &e) == STATUS_OK, e.text);
    memcpy(expected, pool->logp, bytes);
    fill(pool, texts);
    if (comm->rank != 0) { /* the others' texts come from rank 0 */
        pool->texts = 1;
        pool->offset[1] = 3;
        pool->tokens[0] = V + 1;
    }
    expect(scorer_run(scorer, comm, pool, &e) == STATUS_OK, e.text);
    expect(pool->texts == texts, "the texts did not reach all ranks");
    expect(comm->rank != 0 || memcmp(pool->logp, expected, bytes) == 0, "the scores have other bits than on one rank");
}

/* Texts behind one that rank 0 read, whose state and cache travel. */
static void same_bits_behind_a_text(const struct comm *comm, struct scorer *scorer, struct score_pool *pool)
{
    struct error e = {0};
    uint32_t text[60];
    float logp[60];
    for (uint32_t i = 0; i < 60; i++)
        text[i] = random_below(i + 5000, V);
    if (comm->rank == 0)
        expect(scorer_continue(scorer, true, text, 60, logp, &e) == STATUS_OK, e.text);
    expect(scorer_begin_here(scorer, comm, &e) == STATUS_OK, e.text);
    same_bits_as_alone(comm, scorer, pool, 300);
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    struct scorer *scorer = NULL;
    struct score_pool *pool = NULL;
    struct param_table table;
    if (comm_init(&comm, &e))
        return 1;
    struct model_config config = {.cell = CELL_LSTM, .layers = 2, .embedding = 7, .hidden = 12, .vocab = V};
    param_table_build(&config, &table);
    float *values = mem_alloc(table.total, sizeof *values, "test", &e);
    expect(param_init(&config, &table, INIT_AUTO, 4, values, &e) == STATUS_OK, e.text);
    expect(score_pool_create(&pool, &e) == STATUS_OK, e.text);
    static const int counts[] = {0, 1, 3, 4, 17, 65, TEXTS_MAX};
    const struct cache_config cache = {.size = 30, .theta = 0.5, .lambda = 0.2};
    for (int round = 0; round < 4; round++) {
        const int lanes = round < 2 ? 1 : SCORER_LANES;
        expect(scorer_create(&config, values, lanes, 1 + comm.rank % 2, &scorer, &e) == STATUS_OK, e.text);
        if (round % 2)
            scorer_use_cache(scorer, &cache);
        for (int i = 0; i < (int)(sizeof counts / sizeof *counts); i++)
            same_bits_as_alone(&comm, scorer, pool, counts[i]);
        same_bits_behind_a_text(&comm, scorer, pool);
        scorer_free(scorer);
    }
    score_pool_free(pool);
    mem_free(values);
    failed = comm_max(&comm, failed) != 0;
    comm_finalize(&comm);
    return failed;
}
