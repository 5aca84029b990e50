/* Keeps connections to origins between asks: newest first, capped, for a bounded time. This room
 * must not know requests or responses; it learns from http_client.c when a connection is clean. */
#include "net/http_pool.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "net/stream.h"
#include "net/tls.h"

enum {
    IDLE_PER_ORIGIN_DEFAULT = 64,
    IDLE_MS_DEFAULT = 60000,
    RESPONSE_HEAD_BYTES_DEFAULT = 65536,
    CHUNK_EXTENSION_BYTES_MAX = 4096,
    TRAILER_BYTES_MAX = 16384,
};

struct dr_http_pool *dr_http_pool_new(struct dr_loop *loop, struct dr_resolver *resolver,
                                      const struct dr_http_pool_options *options) {
    struct dr_http_pool *pool = dr_alloc_zero(1, sizeof *pool);
    if (!pool) return NULL;
    pool->loop = loop;
    pool->resolver = resolver;
    if (options) pool->options = *options;
    if (pool->options.idle_per_origin_max == 0) {
        pool->options.idle_per_origin_max = IDLE_PER_ORIGIN_DEFAULT;
    }
    if (pool->options.idle_ms <= 0) pool->options.idle_ms = IDLE_MS_DEFAULT;
    if (pool->options.response_head_bytes_max == 0) {
        pool->options.response_head_bytes_max = RESPONSE_HEAD_BYTES_DEFAULT;
    }
    pool->limits = (struct dr_http1_limits){
        .head_bytes_max = pool->options.response_head_bytes_max,
        .headers_max = DR_HTTP1_HEADERS_MAX,
        .chunk_extension_bytes_max = CHUNK_EXTENSION_BYTES_MAX,
        .trailer_bytes_max = TRAILER_BYTES_MAX,
        .body_bytes_max = UINT64_MAX,
    };
    dr_list_init(&pool->released);
    dr_list_init(&pool->origins);
    return pool;
}

void dr_http_pool_trim(struct dr_http_pool *pool) {
    while (pool->free_parser_count > 0) {
        dr_http1_parser_free(pool->free_parsers[--pool->free_parser_count]);
    }
    dr_http_ask_free_list_clear(pool);
}

/* Goes once nothing refers to it any more. */
static void pool_free_if_over(struct dr_http_pool *pool) {
    if (!pool->is_closing || !dr_list_is_empty(&pool->origins)) return;
    dr_assert(pool->stats.asks_running == 0);
    dr_http_pool_trim(pool);
    dr_free(pool);
}

static void origin_close_idle(struct dr_http_origin *origin) {
    while (!dr_list_is_empty(&origin->idle)) {
        dr_http_upstream_close(dr_list_item(origin->idle.next, struct dr_http_upstream, node),
                               false);
    }
}

void dr_http_pool_close(struct dr_http_pool *pool) {
    if (!pool) return;
    /* Each holds its origin, so they go before the origins are looked at. */
    dr_http_ask_close_released(pool);
    dr_assert(pool->stats.asks_running == 0);
    pool->is_closing = true;
    for (struct dr_list *node = pool->origins.next; node != &pool->origins; node = node->next) {
        origin_close_idle(dr_list_item(node, struct dr_http_origin, node));
    }
    pool_free_if_over(pool);
}

struct dr_http_pool_stats dr_http_pool_stats(const struct dr_http_pool *pool) {
    return pool->stats;
}

struct dr_http1_parser *dr_http_pool_take_parser(struct dr_http_pool *pool) {
    if (pool->free_parser_count == 0) return dr_http1_parser_new_response(&pool->limits);
    struct dr_http1_parser *parser = pool->free_parsers[--pool->free_parser_count];
    dr_http1_parser_reset(parser);
    return parser;
}

void dr_http_pool_put_parser(struct dr_http_pool *pool, struct dr_http1_parser *parser) {
    if (!parser) return;
    if (pool->free_parser_count < DR_HTTP_FREE_RESPONSE_PARSERS_MAX) {
        pool->free_parsers[pool->free_parser_count++] = parser;
    } else {
        dr_http1_parser_free(parser);
    }
}

/* --- origins ---------------------------------------------------------------------------------- */

struct dr_http_origin *dr_http_origin_hold(struct dr_http_pool *pool, dr_slice host, uint16_t port,
                                           struct dr_tls_client *tls) {
    dr_assert(!pool->is_closing);
    for (struct dr_list *node = pool->origins.next; node != &pool->origins; node = node->next) {
        struct dr_http_origin *origin = dr_list_item(node, struct dr_http_origin, node);
        const dr_slice its_host = dr_slice_of(origin->host, origin->host_len);
        if (origin->port == port && origin->tls == tls && dr_slice_is_nocase(its_host, host)) {
            origin->holders++;
            return origin;
        }
    }
    struct dr_http_origin *origin = dr_alloc_zero(1, sizeof *origin + host.len + 1);
    if (!origin) return NULL;
    memcpy(origin->host, host.data, host.len);
    origin->host_len = host.len;
    origin->port = port;
    origin->pool = pool;
    origin->tls = tls ? dr_tls_client_hold(tls) : NULL;
    origin->holders = 1;
    dr_list_init(&origin->idle);
    dr_list_put_last(&pool->origins, &origin->node);
    return origin;
}

static void origin_free_if_over(struct dr_http_origin *origin) {
    struct dr_http_pool *pool = origin->pool;
    if (origin->holders > 0 || origin->upstream_count > 0) return;
    dr_list_remove(&origin->node);
    if (origin->tls) dr_tls_client_release(origin->tls);
    dr_free(origin);
    pool_free_if_over(pool);
}

void dr_http_origin_release(struct dr_http_origin *origin) {
    if (!origin) return;
    dr_assert(origin->holders > 0);
    if (--origin->holders > 0) return;
    origin_close_idle(origin);
    origin_free_if_over(origin);
}

/* --- connections ------------------------------------------------------------------------------ */

static void upstream_idled(void *owner) {
    dr_http_upstream_close(owner, false);
}

struct dr_http_upstream *dr_http_upstream_new(struct dr_http_origin *origin) {
    struct dr_http_upstream *upstream = dr_alloc_zero(1, sizeof *upstream);
    if (!upstream) return NULL;
    dr_list_init(&upstream->node);
    dr_timer_init(&upstream->timer, upstream, upstream_idled);
    upstream->origin = origin;
    origin->upstream_count++;
    return upstream;
}

void dr_http_upstream_free(struct dr_http_upstream *upstream) {
    struct dr_http_origin *origin = upstream->origin;
    dr_assert(dr_list_is_empty(&upstream->node));
    dr_timer_stop(&upstream->timer);
    dr_free(upstream);
    origin->upstream_count--;
    origin_free_if_over(origin);
}

static void upstream_leave_idle(struct dr_http_upstream *upstream) {
    if (dr_list_is_empty(&upstream->node)) return;
    dr_list_remove(&upstream->node);
    dr_timer_stop(&upstream->timer);
    upstream->origin->idle_count--;
    upstream->origin->pool->stats.connections_idle--;
}

void dr_http_upstream_close(struct dr_http_upstream *upstream, bool is_reset) {
    if (upstream->is_closing) return;
    upstream->is_closing = true;
    upstream->ask = NULL;
    upstream_leave_idle(upstream);
    if (is_reset) {
        dr_stream_reset(upstream->stream);
        return;
    }
    /* Only TLS has something to say at the end; for TCP the close itself sends the FIN. */
    if (upstream->is_open && dr_stream_is_tls(upstream->stream)) {
        dr_stream_finish(upstream->stream);
    }
    dr_stream_close(upstream->stream);
}

struct dr_http_upstream *dr_http_origin_take_idle(struct dr_http_origin *origin) {
    if (dr_list_is_empty(&origin->idle)) return NULL;
    struct dr_http_upstream *upstream =
        dr_list_item(origin->idle.next, struct dr_http_upstream, node);
    upstream_leave_idle(upstream);
    upstream->is_reused = true;
    origin->pool->stats.connections_reused++;
    return upstream;
}

void dr_http_origin_put_idle(struct dr_http_upstream *upstream) {
    struct dr_http_origin *origin = upstream->origin;
    struct dr_http_pool *pool = origin->pool;
    dr_assert(!upstream->is_closing);
    upstream->ask = NULL;
    if (origin->holders == 0 || pool->is_closing) {
        dr_http_upstream_close(upstream, false);
        return;
    }
    dr_list_put_first(&origin->idle, &upstream->node);
    origin->idle_count++;
    pool->stats.connections_idle++;
    dr_timer_start(&upstream->timer, pool->loop, pool->options.idle_ms);
    if (origin->idle_count > pool->options.idle_per_origin_max) {
        dr_http_upstream_close(dr_list_item(origin->idle.prev, struct dr_http_upstream, node),
                               false);
    }
}
