#include "unroll/cli/suggest.h"

#include <string.h>

#define WORD_MAX 48

static int least(int a, int b)
{
    return a < b ? a : b;
}

int suggest_distance(const char *typed, const char *known)
{
    int m = (int)strnlen(typed, WORD_MAX), n = (int)strnlen(known, WORD_MAX);
    if (m == WORD_MAX || n == WORD_MAX)
        return SUGGEST_FAR;
    if (least(m, n) >= 3 && strncmp(typed, known, (size_t)least(m, n)) == 0)
        return m == n ? 0 : 1;
    int cost[WORD_MAX + 1][WORD_MAX + 1]; /* [i][j] turns the first i letters of `typed` into the first j of `known` */
    for (int i = 0; i <= m; i++)
        cost[i][0] = i;
    for (int j = 0; j <= n; j++)
        cost[0][j] = j;
    for (int i = 1; i <= m; i++) {
        for (int j = 1; j <= n; j++) {
            int differ = typed[i - 1] != known[j - 1];
            cost[i][j] = least(cost[i - 1][j - 1] + differ, 1 + least(cost[i - 1][j], cost[i][j - 1]));
            if (i > 1 && j > 1 && typed[i - 1] == known[j - 2] && typed[i - 2] == known[j - 1])
                cost[i][j] = least(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    }
    int allowed = least(m, n) <= 3 ? 1 : 1 + least(m, n) / 4;
    return cost[m][n] <= allowed ? cost[m][n] : SUGGEST_FAR;
}
