/* Status codes and error messages: how every function of Unroll says that something went wrong.
 *
 * A function that can fail returns an `enum status` and fills the caller's `struct error`. Messages name the cause,
 * then the object in single quotes, then the fix after a semicolon:
 *     cannot open 'x.h5': no such file; run 'unroll prepare' first
 * Library code never exits and never prints; only cli/main turns an error into stderr text and an exit status. */
#ifndef UNROLL_BASE_STATUS_H
#define UNROLL_BASE_STATUS_H

/* Exit statuses of the program; the numbers up to 78 follow BSD's sysexits.h. */
enum status {
    STATUS_OK = 0,
    STATUS_USAGE = 64,       /* wrong command line */
    STATUS_DATA = 65,        /* bad input data */
    STATUS_NOINPUT = 66,     /* input missing */
    STATUS_UNAVAILABLE = 69, /* something the host should provide is missing */
    STATUS_INTERNAL = 70,    /* our own mistake, or replicas that differ */
    STATUS_OS = 71,          /* out of memory or another resource of the system */
    STATUS_CANTCREATE = 73,  /* output cannot be created, or is held by another job */
    STATUS_IO = 74,          /* reading or writing failed */
    STATUS_STOPPED = 75,     /* stopped early with a checkpoint: run me again */
    STATUS_CHECKPOINT = 76,  /* checkpoint unusable */
    STATUS_CONFIG = 78,      /* bad configuration */
    STATUS_DIVERGED = 79     /* loss or gradient stayed non-finite */
};

#define ERROR_TEXT 600

struct error {
    enum status status;
    char text[ERROR_TEXT]; /* without program name and newline; empty while status is STATUS_OK */
};

/* Fills `e` (which may be NULL) and returns `status`, so that callers can write `return error_set(...)`. */
enum status error_set(struct error *e, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The status an I/O failure with this errno deserves (ENOENT: NOINPUT; ENOMEM, EMFILE: OS; else IO). */
enum status status_of_errno(int error_number);

/* strerror, but of EFBIG the limit that is in the way. */
const char *errno_text(int error_number);

/* Ends the process with STATUS_INTERNAL and a message: for our own mistakes only, on in every build. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))
_Noreturn void check_failed(const char *condition, const char *file, int line);

#endif
