/* Compares programs and options of all ranks with those of rank 0. */
#include "unroll/cli/ranks.h"

#include <stdio.h>
#include <string.h>

#include "unroll/base/build_info.h"
#include "unroll/base/digest.h"
#include "unroll/base/mem.h"
#include "unroll/cli/option_table.h"

/* ---- the program ---- */

struct program {
    char host[COMM_HOST], version[64], options[DIGEST_TEXT];
    int arithmetic;
};

static enum status compare_programs(int rank, const struct program *here, const struct program *first, struct error *e)
{
    if (strcmp(here->version, first->version) != 0)
        return error_set(e, STATUS_CONFIG,
                         "different versions of the program: rank 0 on host '%s' is %s, rank %d on host '%s' is %s; "
                         "install the same version on all hosts",
                         first->host, first->version, rank, here->host, here->version);
    if (here->arithmetic != first->arithmetic)
        return error_set(
            e, STATUS_CONFIG,
            "different arithmetic: rank 0 on host '%s' computes by arithmetic revision %d, rank %d on host "
            "'%s' by %d; install the same version on all hosts",
            first->host, first->arithmetic, rank, here->host, here->arithmetic);
    if (strcmp(here->options, first->options) != 0)
        return error_set(e, STATUS_CONFIG,
                         "different options: those that rank 0 on host '%s' knows have digest %.12s, those of rank %d "
                         "on host '%s' %.12s; install the same version on all hosts",
                         first->host, first->options, rank, here->host, here->options);
    return STATUS_OK;
}

enum status ranks_compare_programs(const struct comm *comm, struct error *e)
{
    if (comm->size == 1)
        return STATUS_OK;
    struct program here = {.arithmetic = build_arithmetic()};
    comm_host(here.host);
    snprintf(here.version, sizeof here.version, "%s", build_version());
    enum status status = comm_agree(comm, option_table_digest(here.options, e), e);
    if (status)
        return status;
    struct program first = here;
    comm_broadcast(comm, &first, sizeof first, 0);
    return comm_agree(comm, compare_programs(comm->rank, &here, &first, e), e);
}

/* ---- its options ---- */

/* Of one rank: name and value of every option of its command, each with its zero byte, and the command before them. */
struct said {
    char *text;
    size_t length, capacity;
};

static enum status add(struct said *said, const char *text, struct error *e)
{
    size_t bytes = strlen(text) + 1;
    void *grown = said->text;
    enum status status =
        mem_grow(&grown, &said->capacity, said->length + bytes, 1, "the comparison of options between ranks", e);
    if (status)
        return status;
    said->text = grown;
    memcpy(said->text + said->length, text, bytes);
    said->length += bytes;
    return STATUS_OK;
}

/* Files one after another, in one text. */
static enum status add_files(struct said *said, int files, const char *const file[], struct error *e)
{
    enum status status = add(said, "", e);
    for (int i = 0; i < files && !status; i++) {
        if (i > 0)
            said->text[said->length - 1] = ' ';
        else
            said->length--;
        status = add(said, file[i], e);
    }
    return status;
}

static enum status add_option(struct said *said, const struct option *option, const struct options *options,
                              struct error *e)
{
    enum status status = add(said, option->name, e);
    if (status)
        return status;
    if (option->type == OPTION_FILES) {
        int count;
        const char *const *files = option_texts(option, options, &count);
        return add_files(said, count, files, e);
    }
    char room[96];
    const char *value = option_text(option, options, room);
    bool marked = value && value[0] == '-' && option->min >= 0; /* a number that only says that none was given */
    return add(said, value && !marked ? value : "", e);
}

static enum status say_options(const struct options *options, struct said *said, struct error *e)
{
    enum command command = options->command;
    enum status status = add(said, options->info->name, e);
    if (!status)
        status = add(said, "FILE", e);
    if (!status)
        status = add_files(said, options->files, options->file, e);
    for (const struct option *option = NULL; !status && (option = option_next(command, option));) {
        if (option->offset != offsetof(struct options, config_file))
            status = add_option(said, option, options, e);
    }
    return status;
}

static const char *after(const char *text)
{
    return text + strlen(text) + 1;
}

/* The first difference between what rank 0 said and what this rank says. */
static enum status compare_said(int rank, const char *here, const struct said *said, const char *first_host,
                                struct error *e)
{
    const char *first = said->text, *end = said->text + said->length;
    char host[COMM_HOST];
    comm_host(host);
    if (strcmp(here, first) != 0)
        return error_set(e, STATUS_CONFIG,
                         "different commands: rank 0 on host '%s' runs '%s', rank %d on host '%s' '%s'; give all ranks "
                         "the same command line",
                         first_host, first, rank, host, here);
    here = after(here);
    first = after(first);
    while (first < end) {
        const char *name = first, *was = after(first), *is = after(here);
        if (strcmp(was, is) != 0)
            return error_set(
                e, STATUS_CONFIG,
                "different options: '%s%s' is '%.150s' on rank 0, host '%s', and '%.150s' on rank %d, host "
                "'%s'; give all ranks the same command line and the same --config file",
                strcmp(name, "FILE") == 0 ? "" : "--", name, *was ? was : "(not given)", first_host,
                *is ? is : "(not given)", rank, host);
        first = after(was);
        here = after(is);
    }
    return STATUS_OK;
}

/* Collective. Hands out rank 0's `said`; the other ranks' is empty before. */
static enum status share(const struct comm *comm, struct said *said, struct error *e)
{
    size_t bytes = said->length;
    comm_broadcast(comm, &bytes, sizeof bytes, 0);
    void *grown = said->text;
    enum status status = mem_grow(&grown, &said->capacity, bytes, 1, "the comparison of options between ranks", e);
    said->text = grown;
    said->length = bytes;
    status = comm_agree(comm, status, e);
    if (!status)
        comm_broadcast(comm, said->text, bytes, 0);
    return status;
}

enum status ranks_compare_options(const struct comm *comm, const struct options *options, struct error *e)
{
    struct said here = {.text = NULL}, first = {.text = NULL};
    char host[COMM_HOST];
    if (comm->size == 1)
        return STATUS_OK;
    comm_host(host);
    comm_broadcast(comm, host, sizeof host, 0);
    bool is_first = comm->rank == 0;
    enum status status = comm_agree(comm, say_options(options, is_first ? &first : &here, e), e);
    if (!status)
        status = share(comm, &first, e);
    if (!status)
        status = comm_agree(comm, is_first ? STATUS_OK : compare_said(comm->rank, here.text, &first, host, e), e);
    mem_free(here.text);
    mem_free(first.text);
    return status;
}
