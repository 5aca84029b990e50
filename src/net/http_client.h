/* The client's side of HTTP/1.1: pooled keep-alive connections per origin (LIFO), and *asks*,
 * one request and its response each. One pool per loop. A reused connection that turns out to be
 * closed before any byte of the response is replaced by a fresh one, once, without the asker
 * noticing.
 *
 *   open ─► RESOLVING ─► CONNECTING ─► SENDING ─► WAITING ─head─► RECEIVING ─done─► over
 *              └─────────────┴────────────┴──────────┴─────failed─────┴──► over
 *
 * After `done`, `failed` or dr_http_ask_close the ask is gone; no fact follows. Inside `done`
 * and `failed` the ask is already detached. */
#ifndef DR_NET_HTTP_CLIENT_H
#define DR_NET_HTTP_CLIENT_H

#include "base/slice.h"
#include "base/status.h"
#include "net/http1_parse.h"
#include "net/loop.h"

struct dr_http_pool;
struct dr_http_origin;
struct dr_http_ask;
struct dr_resolver;
struct dr_tls_client;

/* How an ask failed; `retry` and health rules live above. */
enum dr_http_ask_failure {
    DR_HTTP_ASK_RESOLVE, /* no address */
    DR_HTTP_ASK_CONNECT, /* refused, unreachable, TLS handshake or verification failed */
    DR_HTTP_ASK_CONNECT_TIMEOUT,
    DR_HTTP_ASK_FIRST_BYTE_TIMEOUT,
    DR_HTTP_ASK_BETWEEN_BYTES_TIMEOUT,
    DR_HTTP_ASK_WHOLE_TIMEOUT,
    DR_HTTP_ASK_CLOSED,    /* connection ended before the response's end */
    DR_HTTP_ASK_NOT_HTTP,  /* bytes that are no response */
    DR_HTTP_ASK_TOO_LARGE, /* head beyond its limits */
    DR_HTTP_ASK_NO_MEMORY,
};

struct dr_http_ask_events {
    /* The response's head (never 1xx); borrowed. */
    void (*head)(void *owner, const struct dr_http1_head *head);
    /* A piece of the body, chunked framing removed, the chunks of one read joined; borrowed.
     * `is_last` when the response is known to end with it (then `done` follows in this same
     * turn). */
    void (*body)(void *owner, dr_slice piece, bool is_last);
    void (*done)(void *owner);
    void (*failed)(void *owner, enum dr_http_ask_failure failure, const struct dr_error *error);
};

struct dr_http_timeouts {
    int64_t connect_ms;       /* resolve, connect, TLS handshake together */
    int64_t first_byte_ms;    /* from the request's last byte to the end of the response's head */
    int64_t between_bytes_ms; /* between two pieces; stands still while paused */
    int64_t whole_ms;         /* from open to done */
};

struct dr_http_pool_options {
    uint32_t idle_per_origin_max;   /* default 64 */
    int64_t idle_ms;                /* default 60 s */
    size_t response_head_bytes_max; /* default 64 KiB */
};

struct dr_http_pool *dr_http_pool_new(struct dr_loop *loop, struct dr_resolver *resolver,
                                      const struct dr_http_pool_options *options);
/* Closes idle connections. Every ask must be over. Frees itself in the loop's next turns. */
void dr_http_pool_close(struct dr_http_pool *pool);

/* The place where connections to one scheme, host, port and TLS context are kept; counted, found
 * again by equal arguments. `tls` NULL for http; held. Released origins close their idle
 * connections when nobody holds them. */
struct dr_http_origin *dr_http_origin_hold(struct dr_http_pool *pool, dr_slice host, uint16_t port,
                                           struct dr_tls_client *tls);
void dr_http_origin_release(struct dr_http_origin *origin);

struct dr_http_ask_request {
    /* Head and body in order, ready for the wire; the array and its bytes are kept until the ask
     * is over. */
    const dr_slice *parts;
    size_t part_count;
    bool is_head; /* method HEAD */
    /* May be sent again on a fresh connection when a reused one was closed unused. */
    bool is_repeatable;
    struct dr_http_timeouts timeouts;
};

/* NULL when out of memory, otherwise given; facts come in later turns or from within other
 * facts' turns, never from inside this call. */
struct dr_http_ask *dr_http_ask_open(struct dr_http_origin *origin,
                                     const struct dr_http_ask_request *request,
                                     const struct dr_http_ask_events *events,
                                     void *owner) DR_MUST_USE;
/* Drops it: the connection is closed at once unless the response is complete. */
void dr_http_ask_close(struct dr_http_ask *ask);
/* The asker has all it wants and hears no more; what the response still owes (at most 16 KiB, at
 * most 1 s) is read and dropped, so that the connection can be kept. Not before the request has
 * been sent whole: then it closes. */
void dr_http_ask_release(struct dr_http_ask *ask);
/* Stops reading from the provider; what the read under way has brought is still told. */
void dr_http_ask_pause(struct dr_http_ask *ask);
void dr_http_ask_resume(struct dr_http_ask *ask);
/* Names what the owner will touch when a piece of the body comes (see dr_stream_expect); to be
 * called while the body is being received. More than DR_HTTP_ASK_PLACES are not kept. */
enum { DR_HTTP_ASK_PLACES = 8 };
void dr_http_ask_expect(struct dr_http_ask *ask, const void *const *places, size_t count);
/* Instead of the last of so many. */
void dr_http_ask_expect_last(struct dr_http_ask *ask, const void *place);
/* Let a bursting response gather for DR_LOOP_GATHER_US (dr_stream_gather). */
void dr_http_ask_gather(struct dr_http_ask *ask);

struct dr_http_pool_stats {
    uint64_t connections_opened;
    uint64_t connections_reused;
    uint64_t stale_retries;
    uint32_t connections_idle;
    uint32_t asks_running;
};
/* Lets go of the memory that is kept for the next asks; connections stay. */
void dr_http_pool_trim(struct dr_http_pool *pool);
struct dr_http_pool_stats dr_http_pool_stats(const struct dr_http_pool *pool);

#endif
