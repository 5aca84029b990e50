/* Strict split of an absolute http or https URL as they stand in a configuration. No I/O. */
#ifndef DR_NET_URL_H
#define DR_NET_URL_H

#include "base/slice.h"
#include "base/status.h"

struct dr_url {
    bool is_https;
    dr_slice host;      /* without brackets; borrowed from the text */
    bool is_ipv6;       /* host stood in brackets */
    uint16_t port;      /* 80 or 443 where absent */
    dr_slice authority; /* as for the Host header, without a default port's number as written */
    dr_slice path;      /* begins with '/', without trailing '/'; empty when absent */
};

/* Refuses user information, query, fragment, blanks, control bytes and non-ASCII; the error says
 * what. */
enum dr_status dr_url_parse(dr_slice text, struct dr_url *ret_url,
                            struct dr_error *error) DR_MUST_USE;

#endif
