/* A folder for what the tests of a file write: cmocka_run_group_tests(tests, folder_make, folder_remove). */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

static char folder[160]; /* its path */

static int folder_make(void **state)
{
    const char *parent = getenv("TMPDIR");
    (void)state;
    int length = snprintf(folder, sizeof folder, "%s/unroll-XXXXXX", parent && *parent ? parent : "/tmp");
    return length < (int)sizeof folder && mkdtemp(folder) ? 0 : 1;
}

static int folder_remove_one(const char *path, const struct stat *about, int type, struct FTW *place)
{
    (void)about, (void)type, (void)place;
    return remove(path);
}

/* With all that is in it. */
static int folder_remove(void **state)
{
    (void)state;
    return nftw(folder, folder_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
