/* Accepts connections on one address, with a cap. */
#ifndef DR_NET_LISTENER_H
#define DR_NET_LISTENER_H

#include "base/slice.h"
#include "base/status.h"
#include "net/loop.h"

struct dr_listener;
struct dr_places;
struct dr_stream;
struct dr_tls_server;

struct dr_listener_options {
    dr_slice address; /* "127.0.0.1:8080", "[::]:8080", "localhost:0"; borrowed */
    /* SO_REUSEPORT: several listeners of this process share the port */
    bool is_shared;
    uint32_t connections_max; /* beyond it nothing is accepted until one closes */
    /* Shared with other listeners, whose connections count too: without a free one nothing is
     * accepted, and it is tried again every 100 ms. Kept until the last connection has closed;
     * NULL: only `connections_max` counts. */
    struct dr_places *places;
    /* A new open stream, given; its owner and events must be set before returning. For TLS it is
     * still shaking hands (`opened` follows; a handshake has 10 s). */
    void (*accepted)(void *owner, struct dr_stream *stream);
    void *owner;
};

/* `tls` NULL for plain; held. On failure the error says which address and why (in use by another
 * program, not permitted, no such address). */
enum dr_status dr_listener_open(struct dr_loop *loop, const struct dr_listener_options *options,
                                struct dr_tls_server *tls, struct dr_listener **ret_listener,
                                struct dr_error *error) DR_MUST_USE;
/* For reload: connections accepted from now on use `tls`. */
void dr_listener_set_tls(struct dr_listener *listener, struct dr_tls_server *tls);
/* The owner tells that one accepted stream has closed, so that its place is free again: once for
 * each, also after dr_listener_close, since the listener's memory goes with the last. */
void dr_listener_note_closed(struct dr_listener *listener);
/* Stops accepting; waiting connections that the system has already taken are accepted first
 * (`accepted` is called from within, up to the cap). Frees itself. */
void dr_listener_close(struct dr_listener *listener);
/* The port in use (of interest when 0 was asked). */
uint16_t dr_listener_port(const struct dr_listener *listener);

/* Whether the address can be bound exclusively (without SO_REUSEPORT): finds a second gateway. On
 * DR_OK `*ret_fd` holds the bound, not listening socket, to be closed by the caller with
 * dr_listener_unclaim once the shared listeners run. */
enum dr_status dr_listener_claim(dr_slice address, int *ret_fd, struct dr_error *error) DR_MUST_USE;
void dr_listener_unclaim(int fd);

#endif
