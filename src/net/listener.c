/* Accepting connections. The listening socket is ours and only watched by libuv: its own acceptor
 * closes connections when descriptors run out, where we want to leave them in the system's queue
 * and wait. Must not read or write on what it accepts. */
#include "net/listener.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "net/address.h"
#include "net/places_shared.h"
#include "net/stream_private.h"
#include "net/tls.h"

#include <uv.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    ACCEPTS_PER_TURN = 64, /* what is left comes in the next turn, so that others get theirs */
    BACK_OFF_MS = 100,     /* after the system ran out of descriptors or memory, or of places */
};

struct dr_listener {
    struct dr_loop *loop;
    struct dr_tls_server *tls;
    void (*accepted)(void *owner, struct dr_stream *stream);
    void *owner;
    uint32_t connections;
    uint32_t connections_max;
    struct dr_places *places; /* NULL: none shared */
    int fd;
    uint16_t port;
    bool is_watching;
    bool is_closing;
    bool is_closed; /* the handle's memory is free to go */
    struct dr_timer back_off;
    uv_poll_t poll;
};

/* ---- sockets */

static enum dr_status listen_failed(struct dr_error *error, int code, dr_slice address) {
    const char *reason = strerror(code);
    enum dr_status status = DR_IO;
    if (code == EADDRINUSE) {
        reason = "address already in use (is another drover running?)";
        status = DR_EXISTS;
    } else if (code == EACCES) {
        reason = "permission denied (ports below 1024 need a privilege)";
    } else if (code == EADDRNOTAVAIL) {
        reason = "this machine has no such address";
    }
    return dr_fail(error, status, code, "cannot listen on %.*s: %s", DR_FMT(address), reason);
}

/* "host:port" where the host may be empty (any address, IPv6 and IPv4) or "localhost". */
static enum dr_status address_read(dr_slice text, struct dr_address *ret, struct dr_error *error) {
    dr_slice host;
    uint16_t port;
    if (!dr_address_split(text, &host, &port)) {
        return dr_fail(error, DR_INVALID, 0,
                       "cannot listen on \"%.*s\": expected an address and a port, as in "
                       "127.0.0.1:8080, [::1]:8080 or :8080",
                       DR_FMT(text));
    }
    if (host.len == 0) host = DR_LIT("::");
    if (dr_slice_is_nocase(host, DR_LIT("localhost"))) host = DR_LIT("127.0.0.1");
    if (dr_address_parse(host, port, ret)) return DR_OK;
    return dr_fail(error, DR_INVALID, 0,
                   "cannot listen on %.*s: expected a literal address, not a name", DR_FMT(text));
}

static socklen_t sockaddr_len(const struct dr_address *address) {
    return address->storage.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                  : sizeof(struct sockaddr_in);
}

static bool switch_set(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static bool is_any_ipv6(const struct dr_address *address) {
    if (address->storage.ss_family != AF_INET6) return false;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&address->storage;
    return IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

/* A socket of the address's family. A machine without IPv6 gets 0.0.0.0 for "::". -1 with errno
 * set. */
static int socket_make(struct dr_address *address) {
    const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(address->storage.ss_family, type, 0);
    if (fd < 0 && errno == EAFNOSUPPORT && is_any_ipv6(address)) {
        const uint16_t port = ((struct sockaddr_in6 *)(void *)&address->storage)->sin6_port;
        *(struct sockaddr_in *)(void *)&address->storage =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
        fd = socket(AF_INET, type, 0);
    }
    if (fd >= 0 && is_any_ipv6(address)) (void)switch_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    return fd;
}

/* -1 with errno set. Accepted sockets inherit TCP_NODELAY. */
static int socket_listen(struct dr_address *address, bool is_shared) {
    const int fd = socket_make(address);
    if (fd < 0) return -1;
    if (switch_set(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
        (!is_shared || switch_set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
        switch_set(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
        bind(fd, (const struct sockaddr *)&address->storage, sockaddr_len(address)) == 0 &&
        listen(fd, BACKLOG) == 0) {
        return fd;
    }
    const int code = errno;
    (void)close(fd);
    errno = code;
    return -1;
}

static uint16_t socket_port(int fd) {
    struct sockaddr_storage storage = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(storage);
    if (getsockname(fd, (struct sockaddr *)&storage, &len)) return 0;
    if (storage.ss_family == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)(const void *)&storage)->sin6_port);
    }
    return ntohs(((const struct sockaddr_in *)(const void *)&storage)->sin_port);
}

/* ---- accepting */

static void readable(uv_poll_t *poll, int status, int events);

static void watch_set(struct dr_listener *listener, bool is_watching) {
    if (listener->is_watching == is_watching) return;
    listener->is_watching = is_watching;
    if (is_watching) {
        (void)uv_poll_start(&listener->poll, UV_READABLE, readable);
    } else {
        (void)uv_poll_stop(&listener->poll);
    }
}

static void backed_off(void *owner) {
    struct dr_listener *listener = owner;
    watch_set(listener, listener->connections < listener->connections_max);
}

static void back_off(struct dr_listener *listener) {
    watch_set(listener, false);
    if (!listener->is_closing) dr_timer_start(&listener->back_off, listener->loop, BACK_OFF_MS);
}

static bool place_take(struct dr_listener *listener) {
    return !listener->places || dr_places_take(listener->places);
}

static void place_give_back(struct dr_listener *listener) {
    if (listener->places) dr_places_give_back(listener->places);
}

/* False when it came to nothing. */
static bool connection_take(struct dr_listener *listener, int fd) {
    struct dr_stream *stream = NULL;
    if (dr_stream_tcp_accept(listener->loop, fd, &stream, NULL)) return false;
    if (listener->tls && dr_stream_tls_accept(stream, listener->tls, &stream, NULL)) return false;
    listener->connections++;
    listener->accepted(listener->owner, stream);
    dr_assert(stream->events || stream->is_closing);
    return true;
}

/* False when there is nothing more to accept for now. */
static bool connection_accept(struct dr_listener *listener) {
    if (listener->connections >= listener->connections_max) {
        watch_set(listener, false);
        return false;
    }
    if (!place_take(listener)) {
        back_off(listener);
        return false;
    }
    const int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    const int code = errno;
    const bool is_taken = fd >= 0 && connection_take(listener, fd);
    if (!is_taken) place_give_back(listener);
    if (fd >= 0) return true;
    if (code == EAGAIN || code == EWOULDBLOCK) return false;
    /* The connection was gone before it was taken, or a packet filter forbids it: on to the
     * next. */
    if (code == EINTR || code == ECONNABORTED || code == EPROTO || code == EPERM) return true;
    back_off(listener);
    return false;
}

static void readable(uv_poll_t *poll, int status, int events) {
    struct dr_listener *listener = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && !listener->is_closing; i++) {
        if (!connection_accept(listener)) return;
    }
}

/* ---- life */

enum dr_status dr_listener_open(struct dr_loop *loop, const struct dr_listener_options *options,
                                struct dr_tls_server *tls, struct dr_listener **ret_listener,
                                struct dr_error *error) {
    dr_assert(options->accepted);
    struct dr_address address;
    const enum dr_status status = address_read(options->address, &address, error);
    if (status) return status;
    struct dr_listener *listener = dr_alloc_zero(1, sizeof(*listener));
    if (!listener) return dr_fail(error, DR_NO_MEMORY, 0, "no memory for a listener");
    const int fd = socket_listen(&address, options->is_shared);
    if (fd < 0) {
        const int code = errno;
        dr_free(listener);
        return listen_failed(error, code, options->address);
    }
    const int code = uv_poll_init(dr_loop_uv(loop), &listener->poll, fd);
    if (code) {
        (void)close(fd);
        dr_free(listener);
        return listen_failed(error, -code, options->address);
    }
    listener->loop = loop;
    listener->fd = fd;
    listener->port = socket_port(fd);
    listener->accepted = options->accepted;
    listener->owner = options->owner;
    listener->connections_max = options->connections_max;
    listener->places = options->places;
    listener->poll.data = listener;
    dr_timer_init(&listener->back_off, listener, backed_off);
    dr_listener_set_tls(listener, tls);
    watch_set(listener, listener->connections_max > 0);
    *ret_listener = listener;
    return DR_OK;
}

void dr_listener_set_tls(struct dr_listener *listener, struct dr_tls_server *tls) {
    struct dr_tls_server *old = listener->tls;
    listener->tls = tls ? dr_tls_server_hold(tls) : NULL;
    dr_tls_server_release(old);
}

static void listener_free_if_over(struct dr_listener *listener) {
    if (listener->is_closed && listener->connections == 0) dr_free(listener);
}

void dr_listener_note_closed(struct dr_listener *listener) {
    dr_assert(listener->connections > 0);
    listener->connections--;
    place_give_back(listener);
    if (listener->is_closing) {
        listener_free_if_over(listener);
    } else if (!dr_timer_is_running(&listener->back_off)) {
        watch_set(listener, true);
    }
}

static void handle_closed(uv_handle_t *handle) {
    struct dr_listener *listener = handle->data;
    (void)close(listener->fd); /* libuv does not own the descriptor of a poll handle */
    listener->is_closed = true;
    listener_free_if_over(listener);
}

void dr_listener_close(struct dr_listener *listener) {
    if (!listener || listener->is_closing) return;
    listener->is_closing = true;
    dr_timer_stop(&listener->back_off);
    for (int i = 0; i < BACKLOG && connection_accept(listener); i++) {
    }
    watch_set(listener, false);
    dr_listener_set_tls(listener, NULL);
    uv_close((uv_handle_t *)&listener->poll, handle_closed);
}

uint16_t dr_listener_port(const struct dr_listener *listener) {
    return listener->port;
}

/* ---- the claim */

/* Binds without any sharing first, since two claims that both share would both succeed. Connections
 * of an earlier run that linger in TIME_WAIT refuse that; then SO_REUSEADDR helps, and is taken
 * back at once, so that the next one who asks meets a socket that does not share. SO_REUSEPORT, set
 * after the bind, lets this program's own shared listeners pass. */
enum dr_status dr_listener_claim(dr_slice address, int *ret_fd, struct dr_error *error) {
    struct dr_address parsed;
    const enum dr_status status = address_read(address, &parsed, error);
    if (status) return status;
    const int fd = socket_make(&parsed);
    if (fd < 0) return listen_failed(error, errno, address);
    const struct sockaddr *name = (const struct sockaddr *)&parsed.storage;
    int code = bind(fd, name, sockaddr_len(&parsed)) ? errno : 0;
    if (code == EADDRINUSE) {
        (void)switch_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        code = bind(fd, name, sockaddr_len(&parsed)) ? errno : 0;
        (void)switch_set(fd, SOL_SOCKET, SO_REUSEADDR, 0);
    }
    if (!code && !switch_set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) code = errno;
    if (code) {
        (void)close(fd);
        return listen_failed(error, code, address);
    }
    *ret_fd = fd;
    return DR_OK;
}

void dr_listener_unclaim(int fd) {
    if (fd >= 0) (void)close(fd);
}
