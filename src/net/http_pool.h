/* Connections to origins, and where they wait between asks. Private to http_pool.c and
 * http_client.c; the manual for users is http_client.h.
 *
 * Who keeps what alive: an ask holds its origin; an upstream keeps its origin's memory, not its
 * right to idle connections; an origin keeps its pool's memory. */
#ifndef DR_NET_HTTP_POOL_H
#define DR_NET_HTTP_POOL_H

#include "base/list.h"
#include "net/http_client.h"

struct dr_stream;
struct dr_stream_events;

enum {
    DR_HTTP_ASK_OWN_PLACES = 6,
    DR_HTTP_UPSTREAM_PLACES = DR_HTTP_ASK_OWN_PLACES + DR_HTTP_ASK_PLACES,
    DR_HTTP_FREE_ASKS_MAX = 128,
    DR_HTTP_FREE_RESPONSE_PARSERS_MAX = 128,
};

struct dr_http_pool {
    struct dr_loop *loop;
    struct dr_resolver *resolver;
    struct dr_http_pool_options options;
    struct dr_http1_limits limits;
    struct dr_list origins;
    struct dr_list released; /* asks that nobody listens to any more */
    struct dr_http_ask *free_asks;
    size_t free_ask_count;
    struct dr_http1_parser *free_parsers[DR_HTTP_FREE_RESPONSE_PARSERS_MAX];
    size_t free_parser_count;
    struct dr_http_pool_stats stats;
    bool is_closing;
};

struct dr_http_origin {
    struct dr_list node;
    struct dr_http_pool *pool;
    struct dr_tls_client *tls;
    struct dr_list idle; /* newest first */
    uint32_t idle_count;
    uint32_t upstream_count; /* all whose memory is there */
    uint32_t holders;
    uint16_t port;
    size_t host_len;
    char host[]; /* NUL-terminated */
};

/* One connection to an origin. */
struct dr_http_upstream {
    struct dr_list node; /* in `idle`, or in no list */
    struct dr_http_origin *origin;
    struct dr_stream *stream; /* NULL until the connect has been started */
    struct dr_http_ask *ask;  /* NULL while idle or closing */
    struct dr_timer timer;    /* idle time */
    bool is_open;             /* connected, handshake done */
    bool is_reused;
    bool is_closing;
    const void *places[DR_HTTP_UPSTREAM_PLACES]; /* see dr_stream_expect */
};

/* Ready to be connected; NULL when out of memory. */
struct dr_http_upstream *dr_http_upstream_new(struct dr_http_origin *origin);
/* The stream's `closed`, or a connect that could not be started. */
void dr_http_upstream_free(struct dr_http_upstream *upstream);
/* Ends the connection; the peer sees a reset when `is_reset`, so that it stops at once. */
void dr_http_upstream_close(struct dr_http_upstream *upstream, bool is_reset);
/* The newest idle connection, no longer idle; NULL when there is none. */
struct dr_http_upstream *dr_http_origin_take_idle(struct dr_http_origin *origin);
/* Keeps a connection for the next ask, or closes it when there is no room. */
void dr_http_origin_put_idle(struct dr_http_upstream *upstream);

struct dr_http1_parser *dr_http_pool_take_parser(struct dr_http_pool *pool);
void dr_http_pool_put_parser(struct dr_http_pool *pool, struct dr_http1_parser *parser);

/* http_client.c: ends the asks that were released. */
void dr_http_ask_close_released(struct dr_http_pool *pool);
/* http_client.c: what remains of an ask in the free list. */
void dr_http_ask_free_list_clear(struct dr_http_pool *pool);

#endif
