/* Host names to addresses, without blocking, by c-ares; answers are cached for their time to live
 * (clamped to 1-300 s); a stale answer is served while it is refreshed. One per loop. */
#ifndef DR_NET_ADDRESS_H
#define DR_NET_ADDRESS_H

#include <sys/socket.h>

#include "base/slice.h"
#include "base/status.h"
#include "net/loop.h"

struct dr_address {
    struct sockaddr_storage storage;
};

/* A literal "1.2.3.4" or "::1" (without brackets) and a port; false when it is none. */
bool dr_address_parse(dr_slice host, uint16_t port, struct dr_address *ret);
/* "host:port" with brackets for IPv6; `host` may be empty (all addresses) or "localhost". */
bool dr_address_split(dr_slice text, dr_slice *ret_host, uint16_t *ret_port);

struct dr_resolver;
/* `servers` NULL for the system's; otherwise "127.0.0.1:5353[,…]" (tests). */
enum dr_status dr_resolver_open(struct dr_loop *loop, const char *servers,
                                struct dr_resolver **ret_resolver,
                                struct dr_error *error) DR_MUST_USE;
void dr_resolver_close(struct dr_resolver *resolver);

/* Embedded by the asker. */
struct dr_resolve {
    struct dr_list node;
    struct dr_resolver *resolver;
    /* IPv6 and IPv4 addresses, interleaved, IPv6 first ("localhost": IPv4 first, where most
     * local servers listen); try them in order. Borrowed for the call. `count` 0 means `error`
     * tells why. */
    void (*resolved)(void *owner, const struct dr_address *addresses, size_t count,
                     const struct dr_error *error);
    void *owner;
    uint16_t port; /* set by dr_resolve_start */
};
/* Literal addresses and names in the hosts file need no server. `resolved` is called from here when
 * the answer is at hand, otherwise later. Wait bounded to 5 s by the resolver itself. */
void dr_resolve_start(struct dr_resolve *resolve, struct dr_resolver *resolver, dr_slice host,
                      uint16_t port);
void dr_resolve_cancel(struct dr_resolve *resolve); /* harmless when not under way */

#endif
