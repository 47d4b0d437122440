/* The start of a program built with ARCH=portable: it holds the whole program compiled for each of the Makefile's
 * LEVELS, and this takes the best that the host can run, once. UNROLL_ARCH in the environment names another
 * (base/build_info.h). Of the program's own functions it can use none: those are inside the levels. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/base/status.h"

int main_x86_64_v3(int argc, char **argv);
int main_x86_64_v4(int argc, char **argv);

static bool has_v3(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}

static bool has_v4(void)
{
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

static const struct level {
    const char *name, *needs;
    bool (*is_here)(void);
    int (*main)(int argc, char **argv);
} levels[] = {
    /* best first */
    {"x86-64-v4", "AVX-512", has_v4, main_x86_64_v4},
    {"x86-64-v3", "AVX2 and FMA", has_v3, main_x86_64_v3},
};

#define LEVELS ((int)(sizeof levels / sizeof *levels))

int main(int argc, char **argv)
{
    const char *wanted = getenv("UNROLL_ARCH");
    bool any = !wanted || !*wanted;
    int i = 0;
    __builtin_cpu_init();
    while (i < LEVELS && !(any ? levels[i].is_here() : strcmp(wanted, levels[i].name) == 0))
        i++;
    if (i < LEVELS && levels[i].is_here())
        return levels[i].main(argc, argv);
    if (i < LEVELS)
        fprintf(stderr, "unroll: cannot compute as UNROLL_ARCH says, for '%s': this host has no %s; unset it\n", wanted,
                levels[i].needs);
    else if (any)
        fprintf(stderr, "unroll: cannot run here: this host has no %s; build the program on it with 'make'\n",
                levels[LEVELS - 1].needs);
    else
        fprintf(stderr, "unroll: bad value '%.50s' of the environment's UNROLL_ARCH; use x86-64-v3 or x86-64-v4\n",
                wanted);
    return i < LEVELS || any ? STATUS_UNAVAILABLE : STATUS_CONFIG;
}
