/* One request and its response over one upstream connection: resolving, connecting, sending,
 * waiting, receiving, and the failures on each of these ways. This room must not know providers
 * or JSON, and decides no retry but the one for a kept connection that had died while it lay
 * idle.
 *
 * Invariants
 * - `failed` and `done` are called on an ask that is already detached, last, and once. After any
 *   other fact the code looks at `upstream->ask` before it goes on, since the owner may have
 *   closed.
 * - No fact comes from inside dr_http_ask_open or dr_resolve_start: failures there wait in
 *   `later`.
 * - A connection goes back to its origin only after a complete exchange with no byte left over. */
#include "net/http_client.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "net/address.h"
#include "net/http_pool.h"
#include "net/stream.h"

enum {
    ADDRESSES_MAX = 8,
    SEND_PARTS_MAX = 16,
    /* What is handed to the stream at a time: a rest is copied there, and the parts are kept
     * anyway. */
    SEND_BYTES_MAX = 256 * 1024,
    DURATION_TEXT_BYTES = 32,
    RELEASED_BYTES_MAX = 16 * 1024,
    RELEASED_MS = 1000,
};

enum ask_stage {
    ASK_RESOLVING,
    ASK_CONNECTING,
    ASK_SENDING,
    ASK_WAITING,
    ASK_RECEIVING, /* the head has been told */
    ASK_COMPLETE,  /* the end of the response has been read */
    ASK_FAILING,   /* `failed` comes from `later` */
    ASK_OVER,
    ASK_STAGE_COUNT,
};

#define BIT(stage) (1u << (stage))

/* RESOLVING may be entered again from sending and waiting: the retry after a stale connection. */
static const unsigned may_follow[ASK_STAGE_COUNT] = {
    [ASK_RESOLVING] = BIT(ASK_CONNECTING) | BIT(ASK_FAILING) | BIT(ASK_OVER),
    [ASK_CONNECTING] = BIT(ASK_CONNECTING) | BIT(ASK_SENDING) | BIT(ASK_FAILING) | BIT(ASK_OVER),
    [ASK_SENDING] = BIT(ASK_RESOLVING) | BIT(ASK_WAITING) | BIT(ASK_RECEIVING) | BIT(ASK_FAILING) |
                    BIT(ASK_OVER),
    [ASK_WAITING] = BIT(ASK_RESOLVING) | BIT(ASK_RECEIVING) | BIT(ASK_OVER),
    [ASK_RECEIVING] = BIT(ASK_COMPLETE) | BIT(ASK_OVER),
    [ASK_COMPLETE] = BIT(ASK_OVER),
    [ASK_FAILING] = BIT(ASK_OVER),
    [ASK_OVER] = BIT(ASK_RESOLVING) | BIT(ASK_SENDING),
};

/* What is needed only while there is no connection yet. */
struct connect {
    struct dr_resolve resolve;
    dr_instant started;
    size_t count;
    size_t index;          /* next address to be tried */
    struct dr_error error; /* of the last address */
    struct dr_address addresses[ADDRESSES_MAX];
};

struct dr_http_ask {
    struct dr_http_ask *next_free;
    struct dr_list released; /* in the pool's list once nobody listens */
    size_t dropped_bytes;
    struct dr_http_origin *origin;     /* held */
    struct dr_http_upstream *upstream; /* NULL while there is none */
    struct connect *connect;           /* NULL when not connecting */
    struct dr_http1_parser *parser;    /* from the first byte of the response */
    const struct dr_http_ask_events *events;
    void *owner;
    struct dr_http_ask_request request;
    size_t part_index; /* first part that is not wholly handed to the stream */
    size_t part_offset;
    size_t pending; /* what waited when the first-byte time began */
    struct dr_timer whole;
    struct dr_timer phase; /* connect, first byte or between bytes */
    struct dr_deferred later;
    struct dr_error error; /* for `later` */
    enum dr_http_ask_failure failure;
    enum ask_stage stage;
    bool is_starting; /* inside a call from which no fact may come */
    bool has_response_byte;
    bool has_retried;
    bool is_interim; /* the message being read is a 1xx */
    bool is_paused;
    bool is_reusable; /* set when complete */
};

static const struct dr_stream_events upstream_events;

static void ask_connect(struct dr_http_ask *ask);
static void ask_send(struct dr_http_ask *ask);

static void ask_enter(struct dr_http_ask *ask, enum ask_stage next) {
    dr_assert(may_follow[ask->stage] & BIT(next));
    ask->stage = next;
}

static const char *duration_text(int64_t ms, char text[DURATION_TEXT_BYTES]) {
    if (ms % 1000 == 0) {
        (void)snprintf(text, DURATION_TEXT_BYTES, "%lld s", (long long)(ms / 1000));
    } else {
        (void)snprintf(text, DURATION_TEXT_BYTES, "%lld ms", (long long)ms);
    }
    return text;
}

static struct dr_loop *ask_loop(const struct dr_http_ask *ask) {
    return ask->origin->pool->loop;
}

static void ask_start_phase(struct dr_http_ask *ask, int64_t ms) {
    if (ms > 0) {
        dr_timer_start(&ask->phase, ask_loop(ask), ms);
    } else {
        dr_timer_stop(&ask->phase);
    }
}

/* Once for each piece of a stream. */
static void ask_await_more(struct dr_http_ask *ask) {
    const int64_t ms = ask->request.timeouts.between_bytes_ms;
    if (ms > 0) {
        dr_timer_put_off(&ask->phase, ask_loop(ask), ms);
    } else {
        dr_timer_stop(&ask->phase);
    }
}

/* --- the end of an ask ------------------------------------------------------------------------ */

static void ask_drop_connect(struct dr_http_ask *ask) {
    if (!ask->connect) return;
    dr_resolve_cancel(&ask->connect->resolve);
    dr_free(ask->connect);
    ask->connect = NULL;
}

/* The connection goes back to its origin if it is clean, otherwise away. */
static void ask_leave_upstream(struct dr_http_ask *ask) {
    struct dr_http_upstream *upstream = ask->upstream;
    if (!upstream) return;
    ask->upstream = NULL;
    upstream->ask = NULL;
    if (upstream->stream) dr_stream_expect(upstream->stream, NULL, 0);
    if (ask->stage == ASK_COMPLETE && ask->is_reusable) {
        if (dr_stream_is_paused(upstream->stream)) dr_stream_resume(upstream->stream);
        dr_http_origin_put_idle(upstream);
    } else {
        /* A reset tells a provider at work more surely than a FIN that nobody is listening. */
        dr_http_upstream_close(upstream, upstream->is_open && ask->stage != ASK_COMPLETE);
    }
}

/* Gives all back; the memory goes to the free list, so only copies may be used afterwards. */
static void ask_detach(struct dr_http_ask *ask) {
    struct dr_http_origin *origin = ask->origin;
    struct dr_http_pool *pool = origin->pool;
    dr_timer_stop(&ask->whole);
    dr_timer_stop(&ask->phase);
    dr_deferred_cancel(&ask->later);
    dr_list_remove(&ask->released);
    ask_drop_connect(ask);
    ask_leave_upstream(ask);
    ask_enter(ask, ASK_OVER);
    dr_http_pool_put_parser(pool, ask->parser);
    ask->parser = NULL;
    ask->origin = NULL;
    pool->stats.asks_running--;
    if (pool->free_ask_count < DR_HTTP_FREE_ASKS_MAX) {
        ask->next_free = pool->free_asks;
        pool->free_asks = ask;
        pool->free_ask_count++;
    } else {
        dr_free(ask);
    }
    dr_http_origin_release(origin);
}

void dr_http_ask_free_list_clear(struct dr_http_pool *pool) {
    while (pool->free_asks) {
        struct dr_http_ask *ask = pool->free_asks;
        pool->free_asks = ask->next_free;
        dr_free(ask);
    }
    pool->free_ask_count = 0;
}

static void ask_failed_later(void *owner) {
    struct dr_http_ask *ask = owner;
    const struct dr_http_ask_events *events = ask->events;
    void *const ask_owner = ask->owner;
    const enum dr_http_ask_failure failure = ask->failure;
    const struct dr_error error = ask->error;
    ask_detach(ask);
    events->failed(ask_owner, failure, &error);
}

/* Tells the owner, now or, where that is not allowed, later in this turn. The ask must not be
 * touched afterwards, unless the caller is the one who set `is_starting`. */
static void ask_fail(struct dr_http_ask *ask, enum dr_http_ask_failure failure,
                     const struct dr_error *error) {
    ask->failure = failure;
    if (error != &ask->error) ask->error = *error;
    if (!ask->is_starting) {
        ask_failed_later(ask);
        return;
    }
    ask_enter(ask, ASK_FAILING);
    dr_timer_stop(&ask->phase);
    dr_timer_stop(&ask->whole);
    dr_deferred_queue(&ask->later, ask_loop(ask));
}

static void ask_fail_memory(struct dr_http_ask *ask) {
    (void)dr_fail(&ask->error, DR_NO_MEMORY, 0, "no memory for the request");
    ask_fail(ask, DR_HTTP_ASK_NO_MEMORY, &ask->error);
}

/* The connection is gone before the response's end. A kept one may have died while it lay idle,
 * so a request that may be repeated gets a fresh one, once. */
static void ask_lose_upstream(struct dr_http_ask *ask, const struct dr_error *error) {
    struct dr_http_upstream *upstream = ask->upstream;
    const bool is_stale = upstream->is_reused && !ask->has_response_byte;
    if (!is_stale || !ask->request.is_repeatable || ask->has_retried) {
        ask_fail(ask, DR_HTTP_ASK_CLOSED, error);
        return;
    }
    ask->has_retried = true;
    ask->upstream = NULL;
    dr_http_upstream_close(upstream, false);
    ask->origin->pool->stats.stale_retries++;
    ask_connect(ask);
}

/* --- connecting ------------------------------------------------------------------------------- */

/* An address that does not answer must not use up the time of the others. */
static int64_t connect_budget_ms(const struct dr_http_ask *ask) {
    const struct connect *connect = ask->connect;
    const int64_t all = ask->request.timeouts.connect_ms;
    if (all <= 0) return 0;
    const int64_t spent = dr_instant_us_since(dr_loop_now(ask_loop(ask)), connect->started) / 1000;
    const int64_t left = all > spent ? all - spent : 1;
    const int64_t share = left / (int64_t)(connect->count - connect->index + 1);
    return share > 0 ? share : 1;
}

static void ask_connect_next(struct dr_http_ask *ask) {
    struct connect *connect = ask->connect;
    struct dr_http_origin *origin = ask->origin;
    while (connect->index < connect->count) {
        struct dr_http_upstream *upstream = dr_http_upstream_new(origin);
        if (!upstream) {
            ask_fail_memory(ask);
            return;
        }
        const struct dr_address *address = &connect->addresses[connect->index++];
        const struct sockaddr *const socket_address =
            (const struct sockaddr *)(const void *)&address->storage;
        if (dr_stream_connect(origin->pool->loop, socket_address, origin->tls, origin->host,
                              &upstream_events, upstream, &upstream->stream, &connect->error)) {
            dr_http_upstream_free(upstream);
            continue;
        }
        ask_enter(ask, ASK_CONNECTING);
        upstream->ask = ask;
        ask->upstream = upstream;
        ask_start_phase(ask, connect_budget_ms(ask));
        return;
    }
    ask_fail(ask, DR_HTTP_ASK_CONNECT, &connect->error);
}

static void ask_resolved(void *owner, const struct dr_address *addresses, size_t count,
                         const struct dr_error *error) {
    struct dr_http_ask *ask = owner;
    struct connect *connect = ask->connect;
    if (count == 0) {
        ask_fail(ask, DR_HTTP_ASK_RESOLVE, error);
        return;
    }
    connect->count = count < ADDRESSES_MAX ? count : ADDRESSES_MAX;
    for (size_t i = 0; i < connect->count; i++) connect->addresses[i] = addresses[i];
    ask_connect_next(ask);
}

static void ask_connect(struct dr_http_ask *ask) {
    struct dr_http_origin *origin = ask->origin;
    ask_enter(ask, ASK_RESOLVING);
    ask->part_index = 0;
    ask->part_offset = 0;
    dr_assert(!ask->connect);
    struct connect *connect = dr_alloc_zero(1, sizeof *connect);
    if (!connect) {
        ask_fail_memory(ask);
        return;
    }
    ask->connect = connect;
    connect->started = dr_loop_now(origin->pool->loop);
    connect->resolve.resolved = ask_resolved;
    connect->resolve.owner = ask;
    dr_list_init(&connect->resolve.node);
    ask_start_phase(ask, ask->request.timeouts.connect_ms);
    const bool was_starting = ask->is_starting;
    ask->is_starting = true;
    dr_resolve_start(&connect->resolve, origin->pool->resolver,
                     dr_slice_of(origin->host, origin->host_len), origin->port);
    ask->is_starting = was_starting;
}

static void ask_connect_timed_out(struct dr_http_ask *ask) {
    struct connect *connect = ask->connect;
    struct dr_http_upstream *upstream = ask->upstream;
    if (upstream && connect->index < connect->count) {
        ask->upstream = NULL;
        dr_http_upstream_close(upstream, false);
        ask_connect_next(ask);
        return;
    }
    char text[DURATION_TEXT_BYTES];
    (void)dr_fail(&ask->error, DR_TIMED_OUT, 0, "%s %s port %u within %s",
                  upstream ? "no connection to" : "no address found for", ask->origin->host,
                  (unsigned)ask->origin->port,
                  duration_text(ask->request.timeouts.connect_ms, text));
    ask_fail(ask, DR_HTTP_ASK_CONNECT_TIMEOUT, &ask->error);
}

static void upstream_opened(void *owner) {
    struct dr_http_upstream *upstream = owner;
    struct dr_http_ask *ask = upstream->ask;
    upstream->is_open = true;
    if (!ask) return;
    ask->origin->pool->stats.connections_opened++;
    ask_drop_connect(ask);
    ask_enter(ask, ASK_SENDING);
    if (ask->is_paused) dr_stream_pause(upstream->stream);
    ask_send(ask);
}

/* --- sending ---------------------------------------------------------------------------------- */

static size_t ask_collect_parts(const struct dr_http_ask *ask, dr_slice parts[SEND_PARTS_MAX]) {
    const struct dr_http_ask_request *request = &ask->request;
    size_t count = 0;
    size_t room = SEND_BYTES_MAX;
    size_t offset = ask->part_offset;
    for (size_t i = ask->part_index; i < request->part_count; i++) {
        if (count == SEND_PARTS_MAX || room == 0) break;
        const dr_slice rest = dr_slice_from(request->parts[i], offset);
        offset = 0;
        if (rest.len == 0) continue;
        parts[count] = dr_slice_first(rest, room);
        room -= parts[count++].len;
    }
    return count;
}

static void ask_note_sent(struct dr_http_ask *ask, size_t len) {
    const struct dr_http_ask_request *request = &ask->request;
    while (ask->part_index < request->part_count) {
        const size_t left = request->parts[ask->part_index].len - ask->part_offset;
        if (left > len) break;
        len -= left;
        ask->part_index++;
        ask->part_offset = 0;
    }
    ask->part_offset += len;
}

static bool ask_has_sent(const struct dr_http_ask *ask) {
    return ask->part_index == ask->request.part_count &&
           dr_stream_pending(ask->upstream->stream) == 0;
}

/* Hands over as much of the request as the system takes; `drained` goes on with the rest. */
static void ask_send(struct dr_http_ask *ask) {
    struct dr_stream *stream = ask->upstream->stream;
    while (dr_stream_pending(stream) == 0) {
        dr_slice parts[SEND_PARTS_MAX];
        const size_t count = ask_collect_parts(ask, parts);
        if (count == 0) {
            ask->part_index = ask->request.part_count;
            break;
        }
        const enum dr_status status = dr_stream_write(stream, parts, count);
        /* Who closes amid the request may have answered: `failed` comes behind that. */
        if (status == DR_CLOSED) return;
        if (status) {
            ask_fail_memory(ask);
            return;
        }
        size_t len = 0;
        for (size_t i = 0; i < count; i++) len += parts[i].len;
        ask_note_sent(ask, len);
    }
    ask->pending = dr_stream_pending(stream);
    /* The response may have begun already; then its own deadline runs. */
    if (ask->stage != ASK_SENDING) return;
    if (!ask->is_paused) ask_start_phase(ask, ask->request.timeouts.first_byte_ms);
    if (ask_has_sent(ask)) ask_enter(ask, ASK_WAITING);
}

static void upstream_drained(void *owner) {
    struct dr_http_upstream *upstream = owner;
    struct dr_http_ask *ask = upstream->ask;
    if (!ask) return;
    if (ask->stage == ASK_SENDING || ask->stage == ASK_RECEIVING) ask_send(ask);
}

/* --- receiving -------------------------------------------------------------------------------- */

/* The pieces of a chunked body are pushed together over the framing that the parser has passed,
 * so that a burst of chunks is one fact, and one write above. Bytes that come up from a stream
 * lie in a buffer of the loop that nobody else reads during the turn, so the const may be put
 * aside. */
static void join_piece(dr_slice *held, dr_slice piece) {
    char *const end = (char *)(uintptr_t)(held->data + held->len);
    dr_assert_slow(piece.data >= end);
    if (piece.data != end) memmove(end, piece.data, piece.len);
    held->len += piece.len;
}

/* False when the owner has closed the ask. */
static bool upstream_tell_piece(struct dr_http_upstream *upstream, dr_slice *held, bool is_last) {
    struct dr_http_ask *ask = upstream->ask;
    const dr_slice piece = *held;
    *held = DR_NONE;
    if (piece.len == 0) return true;
    const enum ask_stage stage = ask->stage;
    ask->events->body(ask->owner, piece, is_last);
    /* An ask that was closed at its end may have been followed by another on this very connection,
     * even in the same memory. */
    return upstream->ask == ask && ask->stage == stage;
}

/* The response's end has been read, `held` is what has not been told of it. */
static void upstream_complete(struct dr_http_upstream *upstream, dr_slice held, bool is_clean) {
    struct dr_http_ask *ask = upstream->ask;
    ask_enter(ask, ASK_COMPLETE);
    ask->is_reusable = is_clean && dr_http1_head(ask->parser)->keeps_alive && ask_has_sent(ask);
    if (!upstream_tell_piece(upstream, &held, true)) return;
    const struct dr_http_ask_events *events = ask->events;
    void *const owner = ask->owner;
    ask_detach(ask);
    events->done(owner);
}

static void ask_fail_response(struct dr_http_ask *ask) {
    const char *text = dr_http1_failure_text(ask->parser);
    enum dr_http_ask_failure failure = DR_HTTP_ASK_NOT_HTTP;
    enum dr_status status = DR_INVALID;
    switch (dr_http1_failure(ask->parser)) {
    case DR_HTTP1_HEAD_TOO_LARGE:
    case DR_HTTP1_BODY_TOO_LARGE:
        failure = DR_HTTP_ASK_TOO_LARGE;
        status = DR_TOO_LARGE;
        break;
    case DR_HTTP1_OUT_OF_MEMORY:
        failure = DR_HTTP_ASK_NO_MEMORY;
        status = DR_NO_MEMORY;
        break;
    case DR_HTTP1_BAD_REQUEST:
    case DR_HTTP1_VERSION_UNSUPPORTED:
    case DR_HTTP1_NOT_IMPLEMENTED:
    case DR_HTTP1_EXPECTATION_FAILED: break;
    }
    (void)dr_fail(&ask->error, status, 0, "%s sent what is no valid HTTP response: %s",
                  ask->origin->host, text);
    ask_fail(ask, failure, &ask->error);
}

/* False when the ask is over. */
static bool upstream_tell_head(struct dr_http_upstream *upstream) {
    struct dr_http_ask *ask = upstream->ask;
    const struct dr_http1_head *head = dr_http1_head(ask->parser);
    ask->is_interim = head->status < 200;
    if (head->status == 101) {
        (void)dr_fail(&ask->error, DR_INVALID, 0, "%s switched protocols without being asked",
                      ask->origin->host);
        ask_fail(ask, DR_HTTP_ASK_NOT_HTTP, &ask->error);
        return false;
    }
    if (ask->is_interim) return true;
    /* The first-byte time covers the whole head, so that neither a head in drops nor a row of
     * interim responses can stretch it. */
    ask_enter(ask, ASK_RECEIVING);
    dr_timer_stop(&ask->phase);
    ask->events->head(ask->owner, head);
    return upstream->ask != NULL;
}

static void upstream_read(struct dr_http_upstream *upstream, dr_slice bytes) {
    struct dr_http_ask *ask = upstream->ask;
    dr_slice held = DR_NONE;
    for (;;) {
        switch (dr_http1_parse(ask->parser, &bytes)) {
        case DR_HTTP1_NEED_MORE:
            if (!upstream_tell_piece(upstream, &held, false)) return;
            if (ask->stage == ASK_RECEIVING && !ask->is_paused) ask_await_more(ask);
            return;
        case DR_HTTP1_HEAD:
            if (!upstream_tell_head(upstream)) return;
            break;
        case DR_HTTP1_BODY: {
            const dr_slice piece = dr_http1_body(ask->parser);
            if (held.len > 0) {
                join_piece(&held, piece);
            } else {
                held = piece;
            }
            break;
        }
        case DR_HTTP1_MESSAGE_DONE:
            if (ask->is_interim) {
                ask->is_interim = false;
                break;
            }
            upstream_complete(upstream, held, bytes.len == 0);
            return;
        case DR_HTTP1_FAILED:
            if (upstream_tell_piece(upstream, &held, false)) ask_fail_response(ask);
            return;
        }
    }
}

static void upstream_received(void *owner, dr_slice bytes) {
    struct dr_http_upstream *upstream = owner;
    struct dr_http_ask *ask = upstream->ask;
    if (!ask) {
        /* Nothing was asked: whatever it says would be taken for the next answer. */
        dr_http_upstream_close(upstream, false);
        return;
    }
    if (ask->stage == ASK_FAILING) return;
    ask->has_response_byte = true;
    if (!ask->parser) {
        ask->parser = dr_http_pool_take_parser(ask->origin->pool);
        if (!ask->parser) {
            ask_fail_memory(ask);
            return;
        }
        if (ask->request.is_head) dr_http1_parser_expect_no_body(ask->parser);
    }
    upstream_read(upstream, bytes);
}

static void upstream_ended(void *owner) {
    struct dr_http_upstream *upstream = owner;
    struct dr_http_ask *ask = upstream->ask;
    if (!ask) {
        dr_http_upstream_close(upstream, false);
        return;
    }
    if (ask->parser && dr_http1_parse_end(ask->parser)) {
        upstream_complete(upstream, DR_NONE, false);
        return;
    }
    struct dr_error error;
    (void)dr_fail(&error, DR_CLOSED, 0, "%s closed the connection %s", ask->origin->host,
                  ask->has_response_byte ? "in the middle of the answer"
                                         : "before the answer's first byte");
    ask_lose_upstream(ask, &error);
}

static void upstream_failed(void *owner, const struct dr_error *error) {
    struct dr_http_upstream *upstream = owner;
    struct dr_http_ask *ask = upstream->ask;
    if (!ask) {
        dr_http_upstream_close(upstream, false);
        return;
    }
    if (ask->stage == ASK_CONNECTING) {
        ask->upstream = NULL;
        ask->connect->error = *error;
        dr_http_upstream_close(upstream, false);
        ask_connect_next(ask);
        return;
    }
    const struct dr_error copy = *error;
    ask_lose_upstream(ask, &copy);
}

static void upstream_closed(void *owner) {
    dr_http_upstream_free(owner);
}

static const struct dr_stream_events upstream_events = {
    .opened = upstream_opened,
    .received = upstream_received,
    .ended = upstream_ended,
    .failed = upstream_failed,
    .drained = upstream_drained,
    .closed = upstream_closed,
};

/* --- deadlines -------------------------------------------------------------------------------- */

static void ask_first_byte_timed_out(struct dr_http_ask *ask) {
    const int64_t ms = ask->request.timeouts.first_byte_ms;
    char text[DURATION_TEXT_BYTES];
    const size_t pending = dr_stream_pending(ask->upstream->stream);
    if (pending > 0 && pending < ask->pending) {
        /* The request still goes out: the time counts from its last byte. */
        ask->pending = pending;
        ask_start_phase(ask, ms);
        return;
    }
    const char *what = "no byte of the answer";
    if (pending > 0) what = "no byte of the request was taken";
    if (ask->has_response_byte) what = "no whole head of the answer";
    (void)dr_fail(&ask->error, DR_TIMED_OUT, 0, "%s within %s", what, duration_text(ms, text));
    ask_fail(ask, DR_HTTP_ASK_FIRST_BYTE_TIMEOUT, &ask->error);
}

static void ask_phase_timed_out(void *owner) {
    struct dr_http_ask *ask = owner;
    char text[DURATION_TEXT_BYTES];
    switch (ask->stage) {
    case ASK_RESOLVING:
    case ASK_CONNECTING: ask_connect_timed_out(ask); return;
    case ASK_SENDING:
    case ASK_WAITING: ask_first_byte_timed_out(ask); return;
    case ASK_RECEIVING:
        (void)dr_fail(&ask->error, DR_TIMED_OUT, 0, "no further byte of the answer within %s",
                      duration_text(ask->request.timeouts.between_bytes_ms, text));
        ask_fail(ask, DR_HTTP_ASK_BETWEEN_BYTES_TIMEOUT, &ask->error);
        return;
    case ASK_COMPLETE:
    case ASK_FAILING:
    case ASK_OVER:
    case ASK_STAGE_COUNT: break;
    }
    dr_unreachable();
}

static void ask_whole_timed_out(void *owner) {
    struct dr_http_ask *ask = owner;
    char text[DURATION_TEXT_BYTES];
    (void)dr_fail(&ask->error, DR_TIMED_OUT, 0, "the answer was not whole within %s",
                  duration_text(ask->request.timeouts.whole_ms, text));
    ask_fail(ask, DR_HTTP_ASK_WHOLE_TIMEOUT, &ask->error);
}

/* --- what askers call ------------------------------------------------------------------------- */

static struct dr_http_ask *pool_take_ask(struct dr_http_pool *pool) {
    struct dr_http_ask *ask = pool->free_asks;
    if (!ask) {
        ask = dr_alloc_zero(1, sizeof *ask);
        if (!ask) return NULL;
        ask->stage = ASK_OVER;
        dr_list_init(&ask->released);
        dr_timer_init(&ask->whole, ask, ask_whole_timed_out);
        dr_timer_init(&ask->phase, ask, ask_phase_timed_out);
        dr_deferred_init(&ask->later, ask, ask_failed_later);
        return ask;
    }
    pool->free_asks = ask->next_free;
    pool->free_ask_count--;
    ask->next_free = NULL;
    return ask;
}

struct dr_http_ask *dr_http_ask_open(struct dr_http_origin *origin,
                                     const struct dr_http_ask_request *request,
                                     const struct dr_http_ask_events *events, void *owner) {
    struct dr_http_pool *pool = origin->pool;
    dr_assert(origin->holders > 0 && !pool->is_closing);
    struct dr_http_ask *ask = pool_take_ask(pool);
    if (!ask) return NULL;
    ask->origin = origin;
    origin->holders++;
    pool->stats.asks_running++;
    ask->upstream = NULL;
    ask->events = events;
    ask->owner = owner;
    ask->request = *request;
    ask->part_index = 0;
    ask->part_offset = 0;
    ask->has_response_byte = false;
    ask->has_retried = false;
    ask->is_interim = false;
    ask->is_paused = false;
    ask->is_reusable = false;
    if (request->timeouts.whole_ms > 0) {
        dr_timer_start(&ask->whole, pool->loop, request->timeouts.whole_ms);
    }
    ask->is_starting = true;
    struct dr_http_upstream *upstream = dr_http_origin_take_idle(origin);
    if (upstream) {
        upstream->ask = ask;
        ask->upstream = upstream;
        ask_enter(ask, ASK_SENDING);
        ask_send(ask);
    } else {
        ask_connect(ask);
    }
    ask->is_starting = false;
    return ask;
}

void dr_http_ask_close(struct dr_http_ask *ask) {
    dr_assert(ask->stage != ASK_OVER);
    ask_detach(ask);
}

/* --- asks that nobody listens to any more --- */

static void released_head(void *owner, const struct dr_http1_head *head) {
    (void)owner;
    (void)head; /* a released ask has told its head before */
}

static void released_body(void *owner, dr_slice piece, bool is_last) {
    struct dr_http_ask *ask = owner;
    ask->dropped_bytes += piece.len;
    if (is_last || ask->dropped_bytes > RELEASED_BYTES_MAX) ask_detach(ask);
}

static void released_done(void *owner) {
    (void)owner; /* the connection is kept already */
}

static void released_failed(void *owner, enum dr_http_ask_failure failure,
                            const struct dr_error *error) {
    (void)owner;
    (void)failure;
    (void)error; /* it was wanted for its connection only */
}

static const struct dr_http_ask_events released_events = {
    .head = released_head,
    .body = released_body,
    .done = released_done,
    .failed = released_failed,
};

void dr_http_ask_release(struct dr_http_ask *ask) {
    if (ask->stage != ASK_RECEIVING || ask->part_index < ask->request.part_count) {
        ask_detach(ask);
        return;
    }
    dr_http_ask_resume(ask);
    ask->events = &released_events;
    ask->owner = ask;
    ask->dropped_bytes = 0;
    dr_list_put_last(&ask->origin->pool->released, &ask->released);
    dr_timer_start(&ask->whole, ask_loop(ask), RELEASED_MS);
}

void dr_http_ask_close_released(struct dr_http_pool *pool) {
    while (!dr_list_is_empty(&pool->released)) {
        ask_detach(dr_list_item(pool->released.next, struct dr_http_ask, released));
    }
}

void dr_http_ask_pause(struct dr_http_ask *ask) {
    if (ask->is_paused) return;
    ask->is_paused = true;
    if (!ask->upstream || !ask->upstream->is_open || ask->stage == ASK_COMPLETE) return;
    dr_stream_pause(ask->upstream->stream);
    dr_timer_stop(&ask->phase);
}

void dr_http_ask_resume(struct dr_http_ask *ask) {
    if (!ask->is_paused) return;
    ask->is_paused = false;
    if (!ask->upstream || !ask->upstream->is_open || ask->stage == ASK_COMPLETE) return;
    dr_stream_resume(ask->upstream->stream);
    const struct dr_http_timeouts *timeouts = &ask->request.timeouts;
    ask_start_phase(ask, ask->stage == ASK_RECEIVING ? timeouts->between_bytes_ms
                                                     : timeouts->first_byte_ms);
}

void dr_http_ask_expect(struct dr_http_ask *ask, const void *const *places, size_t count) {
    struct dr_http_upstream *upstream = ask->upstream;
    if (ask->stage != ASK_RECEIVING) return;
    const void *const own[DR_HTTP_ASK_OWN_PLACES] = {upstream,    &ask->parser,
                                                     &ask->phase, &ask->stage,
                                                     ask->parser, (const char *)ask->parser + 256};
    uint32_t used = 0;
    while (used < DR_HTTP_ASK_OWN_PLACES) {
        upstream->places[used] = own[used];
        used++;
    }
    for (size_t i = 0; i < count && i < DR_HTTP_ASK_PLACES; i++)
        upstream->places[used++] = places[i];
    dr_stream_expect(upstream->stream, upstream->places, used);
}

void dr_http_ask_expect_last(struct dr_http_ask *ask, const void *place) {
    if (ask->stage == ASK_RECEIVING) {
        ask->upstream->places[DR_HTTP_UPSTREAM_PLACES - 1] = place;
    }
}

void dr_http_ask_gather(struct dr_http_ask *ask) {
    if (ask->stage != ASK_RECEIVING || ask->is_paused) return;
    dr_stream_gather(ask->upstream->stream);
}
