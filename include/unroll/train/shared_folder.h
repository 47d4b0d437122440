/* Whether the ranks of a run write into one folder: on a cluster a path may lead every host to a disk of its own,
 * and ranks that write one file together would wait for each other for ever. */
#ifndef UNROLL_TRAIN_SHARED_FOLDER_H
#define UNROLL_TRAIN_SHARED_FOLDER_H

#include "unroll/base/status.h"
#include "unroll/sys/comm.h"

/* Seconds within which a new file of one host must be visible on the others. NFS may cache a folder's list for up
 * to 30. */
#define SHARED_FOLDER_PATIENCE 30

/* Collective. Rank 0 makes a file with random content in `folder`, which the other ranks need not know, and all look
 * for it, for up to `patience` seconds, asleep between looks. STATUS_CANTCREATE naming the first rank and host that
 * do not see it, on all ranks; STATUS_IO, STATUS_CANTCREATE or STATUS_CONFIG if rank 0 cannot make it. The file does
 * not stay. All look once more when all have seen it, so that a rank that loses the folder meanwhile is told here; one
 * that loses it later, before the file that all are to write is open, is the watchdog's business. */
enum status shared_folder_check(const struct comm *comm, const char *folder, double patience, struct error *e);

#endif
