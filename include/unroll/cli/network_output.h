/* What `unroll bench --network` measured (use/network.h), for people and for programs. */
#ifndef UNROLL_CLI_NETWORK_OUTPUT_H
#define UNROLL_CLI_NETWORK_OUTPUT_H

#include "unroll/sys/json.h"
#include "unroll/use/network.h"

/* On standard output. */
void network_print(const struct network_report *report);

/* As a member `key` of the object that is open; use/network.h has the layout. */
void network_put(struct json *json, const char *key, const struct network_report *report);

#endif
