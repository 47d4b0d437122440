/* A file written by all ranks together is the file that one rank writes, whatever ranges the ranks take; and when one
 * rank's call is wrong, all ranks come back with the same error. The writer is compiled in here with pieces of 40
 * bytes, which stand for those of files of many gigabytes. */
#define H5_PIECE ((size_t)40)
#include "../../src/sys/h5_write.c"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/mem.h"
#include "unroll/sys/comm.h"
#include "unroll/sys/h5.h"

enum { ROWS = 13, COLUMNS = 7, CELLS = ROWS * COLUMNS };

/* Where rank r's range begins; the ranges are uneven, and with more than two ranks the second is empty. */
static int range_begin(const struct comm *comm, int rank)
{
    if (comm->size > 2 && rank == 2)
        rank = 1;
    return rank == comm->size ? CELLS : CELLS * rank * rank / (comm->size * comm->size);
}

static enum status write_sample(struct h5 *file, int begin, int end, struct error *e)
{
    float values[CELLS];
    uint16_t tokens[CELLS];
    for (int i = 0; i < CELLS; i++) {
        values[i] = (float)i;
        tokens[i] = (uint16_t)(i * 3);
    }
    struct h5_shape matrix = {H5_F32, 2, {ROWS, COLUMNS}}, run = {H5_U16, 1, {CELLS, 1}};
    enum status status = h5_set_string(file, "/", "format", "unroll-test", e);
    if (status == STATUS_OK)
        status = h5_make_group(file, "/model", e);
    if (status == STATUS_OK)
        status = h5_make_dataset(file, "/model/weight", &matrix, e);
    if (status == STATUS_OK)
        status = h5_make_dataset(file, "/tokens", &run, e);
    if (status == STATUS_OK)
        status = h5_write(file, "/model/weight", H5_F32, begin, end - begin, values + begin, e);
    if (status == STATUS_OK)
        status = h5_write(file, "/tokens", H5_U16, begin, end - begin, tokens + begin, e);
    if (status == STATUS_OK)
        status = h5_set_u64(file, "/model", "updates", 42, e);
    return status;
}

static int check_sample(const char *path, struct error *e)
{
    struct h5 *file = NULL;
    float values[CELLS];
    uint16_t tokens[CELLS];
    uint64_t updates = 0;
    char format[20] = "";
    if (h5_open_plain(path, STATUS_DATA, &file, e) || h5_read(file, "/model/weight", H5_F32, 0, CELLS, values, e) ||
        h5_read(file, "/tokens", H5_U16, 0, CELLS, tokens, e) || h5_attr_u64(file, "/model", "updates", &updates, e) ||
        h5_attr_string(file, "/", "format", format, sizeof format, e))
        return fprintf(stderr, "%s\n", e->text), 1;
    int wrong = updates != 42 || strcmp(format, "unroll-test") != 0;
    for (int i = 0; i < CELLS; i++)
        wrong += values[i] != (float)i || tokens[i] != i * 3;
    h5_close_read(file);
    return wrong ? fprintf(stderr, "%d elements of '%s' are wrong\n", wrong, path), 1 : 0;
}

/* One rank asks for what cannot be. */
static int check_misuse(const struct comm *comm, struct h5 *file)
{
    struct error e = {0};
    float value = 1;
    int bad = comm->size - 1;
    enum status status = h5_write(file, "/model/weight", H5_F32, comm->rank == bad ? CELLS : 0, 1, &value, &e);
    if (status != STATUS_INTERNAL || !strstr(e.text, "out of range"))
        return fprintf(stderr, "rank %d: misuse gave %d '%s'\n", comm->rank, (int)status, e.text), 1;
    return 0;
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    struct h5 *file = NULL;
    char path[600] = "";
    if (comm_init(&comm, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    if (comm.rank == 0) {
        const char *parent = getenv("TMPDIR");
        snprintf(path, sizeof path, "%s/unroll-parallel-%ld.h5", parent ? parent : "/tmp", (long)getpid());
    }
    comm_broadcast(&comm, path, sizeof path, 0);

    enum status status = h5_create_parallel(path, &comm, &file, &e);
    if (status == STATUS_OK)
        status = write_sample(file, range_begin(&comm, comm.rank), range_begin(&comm, comm.rank + 1), &e);
    if (status != STATUS_OK) {
        fprintf(stderr, "rank %d: %s\n", comm.rank, e.text);
        comm_abort(&comm, STATUS_INTERNAL);
    }
    int wrong = check_misuse(&comm, file);
    if (h5_close_write(file, &e))
        wrong += fprintf(stderr, "%s\n", e.text) > 0;
    wrong += check_sample(path, &e);
    comm_barrier(&comm);
    if (comm.rank == 0)
        unlink(path);

    /* A folder that is not there: every rank is told. */
    status = h5_create_parallel("/nowhere/at/all.h5", &comm, &file, &e);
    if (status != STATUS_CANTCREATE || file)
        wrong += fprintf(stderr, "rank %d: '%s'\n", comm.rank, e.text) > 0;
    wrong = comm_max(&comm, wrong) != 0;
    comm_finalize(&comm);
    return wrong;
}
