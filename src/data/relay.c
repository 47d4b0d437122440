/* Passes the state of a digest from rank to rank. */
#include "relay.h"

#include "unroll/base/mem.h"

enum status digest_relay(const struct comm *comm, int count, struct digest *const *digest,
                         enum status (*add)(void *context, int index, struct digest *digest, struct error *e),
                         void *context, char (*hex)[DIGEST_TEXT], struct error *e)
{
    size_t bytes = digest_state_bytes();
    char *state = mem_alloc(bytes, 1, "a digest", e);
    enum status status = comm_agree(comm, state ? STATUS_OK : STATUS_OS, e);
    if (status) {
        mem_free(state);
        return status;
    }
    for (int i = 0; i < count; i++) {
        /* a rank that has failed goes on passing states, so that none waits in vain */
        if (comm->rank > 0) {
            comm_exchange(comm, comm->rank - 1, NULL, 0, state, bytes);
            digest_set_state(digest[i], state);
            if (!status)
                status = add(context, i, digest[i], e);
        }
        digest_get_state(digest[i], state);
        if (comm->rank + 1 < comm->size)
            comm_exchange(comm, comm->rank + 1, state, bytes, NULL, 0);
        digest_text(digest[i], hex[i]);
    }
    mem_free(state);
    comm_broadcast(comm, hex, (size_t)count * sizeof *hex, comm->size - 1);
    return comm_agree(comm, status, e);
}
