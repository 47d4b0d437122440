/* Fills error messages, and ends the process after a mistake of our own. */
#include "unroll/base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum status error_set(struct error *e, enum status status, const char *format, ...)
{
    if (e) {
        e->status = status;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(e->text, sizeof e->text, format, arguments);
        va_end(arguments);
    }
    return status;
}

enum status status_of_errno(int error_number)
{
    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
        return STATUS_NOINPUT;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return STATUS_OS;
    default:
        return STATUS_IO;
    }
}

const char *errno_text(int error_number)
{
    struct rlimit limit;
    bool limited = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return error_number == EFBIG && limited ? "file size limit (ulimit -f) reached" : strerror(error_number);
}

_Noreturn void check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "unroll: internal error: '%s' does not hold at %s:%d; please report it with the command line\n",
            condition, file, line);
    fflush(stderr);
    _exit(STATUS_INTERNAL);
}
