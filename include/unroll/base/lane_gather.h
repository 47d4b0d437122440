/* Where each rank's part lies in an array over all lane groups or lanes: the table of a gather or scatter
 * (sys/comm.h). */
#ifndef UNROLL_BASE_LANE_GATHER_H
#define UNROLL_BASE_LANE_GATHER_H

#include <stddef.h>

#include "unroll/base/lane_share.h"
#include "unroll/base/status.h"

struct lane_gather {
    size_t *bytes, *offset; /* [ranks]; owned */
};

/* How large parts are: so many bytes for each rank, for each of its lane groups and for each of its lanes. */
struct lane_bytes {
    size_t rank, group, lane;
};

/* Parts lie in the order of ranks without gaps. STATUS_OS if memory is short. */
enum status lane_gather_create(const struct lane_share *share, struct lane_bytes size, struct lane_gather *gather,
                               struct error *e);
void lane_gather_release(struct lane_gather *gather); /* also where creating failed, or all is zero */

#endif
