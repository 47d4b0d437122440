/* The HDF5 file driver of the image and serial writers, and of the reader of files.
 *
 * HDF5 cannot close a file whose last writes fail: the close leaves a dangling file behind, and the library crashes on
 * it when the process ends (seen with 1.10.8 on a full disk). So the driver stores the first failure in `failure` of
 * the struct h5 and tells HDF5 from then on that all is well; h5_write.c looks there after every call. This holds for
 * writes into memory and into a file. Reading goes through the descriptor that the reader has open anyway, and nothing
 * is closed: HDF5 crashes in the same way when a close fails, even of a file that was only read. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "h5_private.h"
#include "unroll/base/file.h"

#define DRIVER_VALUE 511             /* HDF5 leaves 256 to 511 to drivers that are not registered with it */
#define PIECE ((size_t)1 << 20)      /* is written at once */
#define IMAGE_STEP ((size_t)1 << 20) /* an image grows by so many bytes at least */

struct driver_info { /* HDF5 copies this with the access properties */
    struct h5 *file;
};

struct driver_file {
    H5FD_t base; /* HDF5's part; must be first */
    struct h5 *file;
    int fd;       /* -1: in memory */
    bool reading; /* `fd` is the reader's */
    haddr_t eoa;  /* end of the address space that HDF5 has given out */
    haddr_t eof;  /* end of what was written */
};

static struct driver_file *driver_file_of(H5FD_t *base)
{
    return (struct driver_file *)base;
}

static const struct driver_file *driver_file_const(const H5FD_t *base)
{
    return (const struct driver_file *)base;
}

/* Room in memory for `size` bytes, new ones zeroed; false with errno set on exhaustion. */
static bool image_reserve(struct h5 *file, size_t size)
{
    if (size <= file->image_bytes)
        return true;
    size_t target = file->image_bytes + file->image_bytes / 8; /* realloc moves pages instead of copying them */
    if (target < size)
        target = size;
    if (target > SIZE_MAX - IMAGE_STEP) {
        errno = ENOMEM;
        return false;
    }
    target = (target + IMAGE_STEP - 1) / IMAGE_STEP * IMAGE_STEP;
    char *larger = realloc(file->image, target);
    if (!larger)
        return false;
    memset(larger + file->image_bytes, 0, target - file->image_bytes);
    file->image = larger;
    file->image_bytes = target;
    return true;
}

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t maxaddr)
{
    const struct driver_info *info = H5Pget_driver_info(access);
    (void)maxaddr;
    if (!info)
        return NULL;
    struct driver_file *made = calloc(1, sizeof *made);
    if (!made) {
        info->file->failure = ENOMEM;
        return NULL;
    }
    made->file = info->file;
    made->fd = -1;
    made->reading = !(flags & H5F_ACC_TRUNC);
    if (made->reading) {
        made->fd = info->file->fd;
        made->eof = (haddr_t)info->file->bytes;
    } else if (!info->file->in_memory) {
        made->fd = file_open(name, O_RDWR | O_CREAT | O_TRUNC, 0666);
        if (made->fd < 0) {
            info->file->failure = errno;
            free(made);
            return NULL;
        }
    }
    return &made->base;
}

static herr_t driver_close(H5FD_t *base)
{
    struct driver_file *file = driver_file_of(base);
    if (file->fd >= 0 && !file->reading && close(file->fd) != 0 && file->file->failure == 0)
        file->file->failure = errno;
    free(file);
    return 0;
}

static herr_t driver_query(const H5FD_t *base, unsigned long *flags)
{
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA |
             H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    /* Lanes are read in pieces of 32 KiB from distant places. HDF5 would read 64 KiB for each, half of it another
     * lane's. */
    if (!base || !driver_file_const(base)->reading)
        *flags |= H5FD_FEAT_DATA_SIEVE;
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return driver_file_const(base)->eoa;
}

static herr_t driver_set_eoa(H5FD_t *base, H5FD_mem_t type, haddr_t address)
{
    (void)type;
    driver_file_of(base)->eoa = address;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return driver_file_const(base)->eof;
}

static herr_t driver_read(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, void *data)
{
    struct driver_file *file = driver_file_of(base);
    (void)type, (void)transfer;
    size_t have = address >= file->eof ? 0 : file->eof - address < size ? (size_t)(file->eof - address) : size;
    memset((char *)data + have, 0, size - have); /* what was never written */
    if (file->fd < 0) {
        if (have > 0)
            memcpy(data, file->file->image + address, have);
        return 0;
    }
    if (file->reading) { /* closes nothing that could crash */
        if (file->file->failure == 0 && have > 0)
            file->file->failure = h5_fetch(file->file, (int64_t)address, have, data);
        return file->file->failure ? -1 : 0;
    }
    if (file->file->failure == 0 && file_read_at(file->fd, data, have, (int64_t)address) < 0)
        file->file->failure = errno;
    return 0;
}

static herr_t driver_write(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size,
                           const void *data)
{
    struct driver_file *file = driver_file_of(base);
    struct h5 *owner = file->file;
    (void)type, (void)transfer;
    if (owner->failure == 0 && file->fd < 0) {
        if (image_reserve(owner, (size_t)address + size))
            memcpy(owner->image + address, data, size);
        else
            owner->failure = ENOMEM;
    }
    for (size_t done = 0; file->fd >= 0 && done < size && owner->failure == 0;) {
        size_t piece = size - done < PIECE ? size - done : PIECE;
        ssize_t step = pwrite(file->fd, (const char *)data + done, piece, (off_t)(address + done));
        if (step == (ssize_t)PIECE) /* the disk begins now, and not when all is synced: only advice */
            (void)sync_file_range(file->fd, (off_t)(address + done), step, SYNC_FILE_RANGE_WRITE);
        if (step > 0)
            done += (size_t)step;
        else if (step == 0 || errno != EINTR)
            owner->failure = step == 0 ? EIO : errno;
    }
    if (address + size > file->eof)
        file->eof = address + size;
    return 0;
}

static herr_t driver_truncate(H5FD_t *base, hid_t transfer, hbool_t closing)
{
    struct driver_file *file = driver_file_of(base);
    struct h5 *owner = file->file;
    (void)transfer, (void)closing;
    if (file->eof == file->eoa)
        return 0;
    if (owner->failure == 0 && file->fd < 0 && !image_reserve(owner, (size_t)file->eoa))
        owner->failure = ENOMEM;
    while (owner->failure == 0 && file->fd >= 0 && ftruncate(file->fd, (off_t)file->eoa) != 0)
        if (errno != EINTR)
            owner->failure = errno;
    file->eof = file->eoa;
    return 0;
}

enum status h5_use_driver(struct h5 *file, hid_t access, struct error *e)
{
    const H5FD_class_t class = {
#if defined(H5FD_CLASS_VERSION) /* HDF5 1.14 */
        .version = H5FD_CLASS_VERSION,
        .value = DRIVER_VALUE,
#endif
        .name = "unroll",
        .maxaddr = (haddr_t)LLONG_MAX,
        .fc_degree = H5F_CLOSE_STRONG,
        .fapl_size = sizeof(struct driver_info),
        .open = driver_open,
        .close = driver_close,
        .query = driver_query,
        .get_eoa = driver_get_eoa,
        .set_eoa = driver_set_eoa,
        .get_eof = driver_get_eof,
        .read = driver_read,
        .write = driver_write,
        .truncate = driver_truncate,
        .fl_map = H5FD_FLMAP_DICHOTOMY,
    };
    struct driver_info info = {file};
    file->driver = H5FDregister(&class);
    if (file->driver < 0 || H5Pset_driver(access, file->driver, &info) < 0)
        return error_set(e, STATUS_INTERNAL, "cannot open '%s': HDF5 refuses the file driver", file->name);
    return STATUS_OK;
}
