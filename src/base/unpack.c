/* Runs gzip, xz and zstd as child processes, and reads what they complain about. */
#include "unroll/base/unpack.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct packing {
    enum content content;
    const char *ending, *package;
    bool warns;              /* exit status 2 is a warning: all data are there, but could not be checked, for example */
    const char *argument[4]; /* the first is the program */
};

static const struct packing packings[] = {
    {CONTENT_GZIP, ".gz", "gzip", false, {"gzip", "-dc", NULL}},
    {CONTENT_XZ, ".xz", "xz-utils", true, {"xz", "-dc", NULL}},
    {CONTENT_ZSTD, ".zst", "zstd", false, {"zstd", "-dcq", NULL}},
};

#define PACKINGS (sizeof packings / sizeof *packings)

const struct packing *packing_by_name(const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < PACKINGS; i++) {
        size_t ending = strlen(packings[i].ending);
        if (length > ending && strcasecmp(path + length - ending, packings[i].ending) == 0)
            return &packings[i];
    }
    return NULL;
}

const struct packing *packing_by_content(enum content content)
{
    for (size_t i = 0; i < PACKINGS; i++)
        if (packings[i].content == content)
            return &packings[i];
    return NULL;
}

/* ---- starting ---- */

/* Starts the child. Signals that the parent handles have their usual effect on it. Returns 0 or an errno. */
static int spawn(const struct packing *packing, int in, int out, int complaints, pid_t *process)
{
    posix_spawn_file_actions_t files;
    int number = posix_spawn_file_actions_init(&files);
    if (number != 0)
        return number;
    number = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    if (number == 0)
        number = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    if (number == 0)
        number = posix_spawn_file_actions_adddup2(&files, complaints, STDERR_FILENO);
    if (number == 0)
        number = posix_spawnp(process, packing->argument[0], &files, NULL, (char *const *)packing->argument, environ);
    posix_spawn_file_actions_destroy(&files);
    return number;
}

enum status unpack_start(const struct packing *packing, const char *name, int in, int out, struct unpacker *unpacker,
                         struct error *e)
{
    *unpacker = (struct unpacker){.packing = packing, .name = name};
    unpacker->complaints = memfd_create("complaints", MFD_CLOEXEC);
    int number = unpacker->complaints < 0 ? errno : spawn(packing, in, out, unpacker->complaints, &unpacker->process);
    if (number == 0)
        return STATUS_OK;
    if (unpacker->complaints >= 0)
        (void)close(unpacker->complaints);
    const char *program = packing->argument[0];
    if (number == ENOENT || number == EACCES)
        return error_set(e, STATUS_UNAVAILABLE,
                         "cannot unpack '%.200s': there is no program '%s' in PATH; install it (Debian's package %s), "
                         "or unpack the file where there is one",
                         name, program, packing->package);
    return error_set(e, STATUS_OS, "cannot unpack '%.200s': starting '%s' failed: %s; unpack the file first", name,
                     program, strerror(number));
}

/* ---- ending ---- */

/* Length of `name`, a colon and blanks at the beginning of a complaint. */
static size_t name_length(const char *text, const char *name)
{
    size_t blanks = strspn(text, "\r\n "), length = blanks + strlen(name);
    if (strncmp(text + blanks, name, strlen(name)) != 0)
        return blanks;
    length += strspn(text + length, " ");
    return text[length] == ':' ? length + 1 + strspn(text + length + 1, " ") : blanks;
}

/* The first line that the program wrote to standard error, without its own name and zstd's for its input. */
static void read_complaint(const struct unpacker *unpacker, char *text, size_t size)
{
    ssize_t length = pread(unpacker->complaints, text, size - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    size_t skip = name_length(text, unpacker->packing->argument[0]);
    skip += name_length(text + skip, "/*stdin*\\");
    memmove(text, text + skip, strlen(text + skip) + 1);
    text[strcspn(text, "\r\n")] = '\0';
    for (size_t end = strlen(text); end > 0 && text[end - 1] == ' '; end--)
        text[end - 1] = '\0';
}

enum status unpack_finish(struct unpacker *unpacker, bool early, struct error *e)
{
    int how = 0;
    char complaint[200];
    pid_t ended;
    do
        ended = waitpid(unpacker->process, &how, 0);
    while (ended < 0 && errno == EINTR);
    read_complaint(unpacker, complaint, sizeof complaint);
    (void)close(unpacker->complaints);
    bool unknown = ended < 0; /* the system keeps no account where SIGCHLD was ignored */
    if (unknown ? early || !*complaint
                : WIFEXITED(how) && (WEXITSTATUS(how) == 0 || (WEXITSTATUS(how) == 2 && unpacker->packing->warns)))
        return STATUS_OK;
    if (early && WIFSIGNALED(how) && WTERMSIG(how) == SIGPIPE)
        return STATUS_OK;
    const char *program = unpacker->packing->argument[0];
    if (!unknown && WIFSIGNALED(how))
        return error_set(e, STATUS_OS,
                         "cannot unpack '%.200s': '%s' was ended by signal %d (%s); unpack the file first",
                         unpacker->name, program, WTERMSIG(how), strsignal(WTERMSIG(how)));
    return error_set(e, STATUS_DATA,
                     "cannot unpack '%.200s': %s says '%s'; get the file again, whole, "
                     "or unpack by hand what can still be read",
                     unpacker->name, program, *complaint ? complaint : "nothing, and fails");
}
