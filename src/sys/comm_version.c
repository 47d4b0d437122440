/* Names the MPI library. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "unroll/sys/comm.h"

/* "Open MPI v4.1.4, package: ...", or in several lines "MPICH Version:\t4.0.2\nMPICH Release date: ...". */
void comm_library(char *room, size_t size)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    size_t at = 0;
    snprintf(room, size, "unknown");
    if (MPI_Get_library_version(text, &length) != MPI_SUCCESS)
        return;
    text[strcspn(text, ",\n")] = '\0';
    for (const char *word = text; *word && at + 1 < size; word += strspn(word, " \t")) {
        size_t letters = strcspn(word, " \t");
        at += (size_t)snprintf(room + at, size - at, "%s%.*s", at ? " " : "", (int)letters, word);
        word += letters;
    }
}
