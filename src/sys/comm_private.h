/* Inside the communicator: what the launcher says (comm_launch.c), and messages between ranks of one host, through
 * memory that they share (comm_mailbox.c). */
#ifndef UNROLL_SYS_COMM_PRIVATE_H
#define UNROLL_SYS_COMM_PRIVATE_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>

#include "unroll/sys/comm.h"

/* How many processes the launcher says it started, 0 if it does not say. */
long comm_launched_size(void);

/* The outbox of each rank has MAILBOX_SLOTS slots. (Tests set small ones.) */
#ifndef MAILBOX_SLOT
#define MAILBOX_SLOT (COMM_OUTBOX / MAILBOX_SLOTS) /* bytes, a multiple of 64 */
#endif
#define MAILBOX_SLOTS 4
/* Shorter messages go by MPI. */
#ifndef MAILBOX_LEAST
#define MAILBOX_LEAST ((size_t)16 << 10)
#endif

struct mailboxes;

/* Collective over `mpi`. NULL where a rank has its host to itself or the host's ranks get no memory to share: messages
 * then go by MPI. Alike on all ranks of a host. */
struct mailboxes *mailboxes_open(MPI_Comm mpi);
void mailboxes_close(struct mailboxes *boxes); /* collective over the host's ranks; NULL is fine */

/* Whether `rank` of the communicator, another one than this, has its mailbox here. */
bool mailboxes_reach(const struct mailboxes *boxes, int rank);

/* Both move one slot of a message of `bytes` bytes, from *done on: mailboxes_put if there is room, mailboxes_take if it
 * has arrived. Else they return false at once. Both sides name the same number of bytes. Before a message to another
 * rank begins, mailboxes_emptied must have said that the one before has been taken. */
bool mailboxes_put(struct mailboxes *boxes, int rank, const char *data, size_t bytes, size_t *done);
bool mailboxes_take(struct mailboxes *boxes, int rank, char *data, size_t bytes, size_t *done);
bool mailboxes_emptied(const struct mailboxes *boxes, int rank);

#endif
