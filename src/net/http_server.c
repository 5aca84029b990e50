/* The connection's half of the HTTP server: takes streams, reads requests one after the other,
 * keeps deadlines, closes. Answers are composed in http_call.c. This room must not know routes,
 * keys or JSON, and must not look at a body.
 *
 * Invariants
 * - A service's callback is never called from within one of its own calls upon us, except
 *   `opened` and `body` from the parse loop, which is never entered twice (`is_running`). So
 *   pipelined requests that are answered at once are a loop, and those answered later go on in a
 *   deferred call.
 * - A connection's memory goes only in the stream's `closed`, which never comes from within our
 *   calls.
 * - A client that sends many requests at once gets FOLLOWED_PER_RUN answers before the other
 *   connections have their turn.
 * - The next request is not looked at before the last byte of the previous answer has left, so
 *   what waits in memory is one answer and `pipelined_bytes_max`, whatever the client sends. */
#include "net/http_server.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "net/http_connection.h"
#include "net/stream.h"

enum {
    CALL_BUF_KEPT_BYTES = 16384, /* larger buffers are not worth keeping in the free list */
    PIPELINED_BYTES_DEFAULT = 65536,
    LINGER_MS_DEFAULT = 5000,
    DRAINING_IDLE_MS = 1000, /* for a new connection while draining, until its request */
    DRAINING_LINGER_MS = 1000,
    FOLLOWED_PER_RUN = 32,
};

static const struct dr_stream_events connection_events;
static const struct dr_stream_events orphan_events;

/* --- limits and parsers ----------------------------------------------------------------------- */

static struct dr_http_limits_box *limits_new(const struct dr_http1_limits *limits) {
    struct dr_http_limits_box *box = dr_alloc(sizeof *box);
    if (box) *box = (struct dr_http_limits_box){.limits = *limits, .holders = 1};
    return box;
}

static void limits_release(struct dr_http_limits_box *box) {
    if (box && --box->holders == 0) dr_free(box);
}

static bool call_take_parser(struct dr_http_call *call) {
    struct dr_http_server *server = call->connection->server;
    if (server->free_parser_count > 0) {
        call->parser = server->free_parsers[--server->free_parser_count];
        dr_http1_parser_reset(call->parser);
    } else {
        call->parser = dr_http1_parser_new_request(&server->limits->limits);
    }
    if (!call->parser) return false;
    call->limits = server->limits;
    call->limits->holders++;
    call->body_max = call->limits->limits.body_bytes_max;
    return true;
}

static void call_release_parser(struct dr_http_call *call) {
    struct dr_http_server *server = call->connection->server;
    if (!call->parser) return;
    if (call->limits == server->limits && server->free_parser_count < DR_HTTP_FREE_PARSERS_MAX) {
        server->free_parsers[server->free_parser_count++] = call->parser;
    } else {
        dr_http1_parser_free(call->parser);
    }
    limits_release(call->limits);
    call->parser = NULL;
    call->limits = NULL;
}

static void server_drop_parsers(struct dr_http_server *server) {
    while (server->free_parser_count > 0) {
        dr_http1_parser_free(server->free_parsers[--server->free_parser_count]);
    }
}

/* --- calls ------------------------------------------------------------------------------------ */

static void call_resumed(void *owner);

static void trim_buf(struct dr_buf *buf) {
    if (buf->capacity > CALL_BUF_KEPT_BYTES) {
        dr_buf_clear(buf);
    } else {
        dr_buf_reset(buf);
    }
}

/* Ready for the head of a request; the buffers keep what they have. */
static void call_renew(struct dr_http_call *call) {
    trim_buf(&call->body);
    call->owner = NULL;
    call->held = DR_NONE;
    call->content_length = 0;
    call->body_received = 0;
    call->body_dropped = 0;
    call->reading = DR_HTTP_READING_HEAD;
    call->answer = DR_HTTP_ANSWER_NONE;
    call->minor_version = 1;
    call->is_head_request = false;
    call->keeps_alive = true;
    call->has_length = false;
    call->owes_continue = false;
    call->must_close = false;
    call->is_chunked_answer = false;
    call->has_silent_body = false;
    call->has_body = false;
    call->taken = NULL;
    call->taken_owner = NULL;
}

static struct dr_http_call *connection_take_call(struct dr_http_connection *connection) {
    struct dr_http_server *server = connection->server;
    struct dr_http_call *call = server->free_calls;
    if (call) {
        server->free_calls = call->next_free;
        server->free_call_count--;
    } else {
        call = dr_alloc_zero(1, sizeof *call);
        if (!call) return NULL;
        /* The parser's limits bound the body, reading pauses bound what is kept. */
        dr_buf_init(&call->body, SIZE_MAX / 2);
        dr_buf_init(&call->kept, SIZE_MAX / 2);
        dr_buf_init(&call->head, SIZE_MAX / 2);
        dr_deferred_init(&call->resume, call, call_resumed);
    }
    call->next_free = NULL;
    call->connection = connection;
    call_renew(call);
    connection->call = call;
    connection->state = DR_HTTP_CONNECTION_BUSY;
    return call;
}

static void call_free(struct dr_http_call *call) {
    dr_buf_clear(&call->body);
    dr_buf_clear(&call->kept);
    dr_buf_clear(&call->head);
    dr_free(call);
}

static void connection_release_call(struct dr_http_connection *connection) {
    struct dr_http_server *server = connection->server;
    struct dr_http_call *call = connection->call;
    if (!call) return;
    dr_assert(!call->taken); /* its owner has been handed the stream */
    dr_deferred_cancel(&call->resume);
    call_release_parser(call);
    connection->call = NULL;
    call->connection = NULL;
    if (server->free_call_count >= DR_HTTP_FREE_CALLS_MAX) {
        call_free(call);
        return;
    }
    trim_buf(&call->body);
    trim_buf(&call->kept);
    trim_buf(&call->head);
    call->kept_start = 0;
    call->next_free = server->free_calls;
    server->free_calls = call;
    server->free_call_count++;
}

void dr_http_call_note_gone(struct dr_http_call *call) {
    const bool is_open =
        call->answer == DR_HTTP_ANSWER_AWAITED || call->answer == DR_HTTP_ANSWER_BEGUN;
    if (!is_open) return;
    call->answer = DR_HTTP_ANSWER_OVER;
    call->must_close = true;
    call->connection->server->service->gone(call->owner);
}

/* --- deadlines -------------------------------------------------------------------------------- */

static enum dr_http_deadline connection_deadline(const struct dr_http_connection *connection) {
    switch ((enum dr_http_connection_state)connection->state) {
    case DR_HTTP_CONNECTION_IDLE: return DR_HTTP_DEADLINE_IDLE;
    case DR_HTTP_CONNECTION_FLUSHING: return DR_HTTP_DEADLINE_WRITE;
    case DR_HTTP_CONNECTION_LINGERING: return DR_HTTP_DEADLINE_LINGER;
    case DR_HTTP_CONNECTION_CLOSED: return DR_HTTP_DEADLINE_NONE;
    case DR_HTTP_CONNECTION_BUSY: break;
    }
    switch (connection->call->reading) {
    case DR_HTTP_READING_HEAD: return DR_HTTP_DEADLINE_HEAD;
    case DR_HTTP_READING_BODY:
    case DR_HTTP_READING_DROPPED_BODY: return DR_HTTP_DEADLINE_BODY;
    case DR_HTTP_READING_WHOLE: break;
    }
    return dr_stream_pending(connection->stream) > 0 ? DR_HTTP_DEADLINE_WRITE
                                                     : DR_HTTP_DEADLINE_NONE;
}

static int64_t deadline_ms(const struct dr_http_server *server, enum dr_http_deadline deadline) {
    switch (deadline) {
    case DR_HTTP_DEADLINE_IDLE:
        if (server->is_draining) return DRAINING_IDLE_MS;
        return server->options.idle_ms;
    case DR_HTTP_DEADLINE_HEAD: return server->options.head_ms;
    case DR_HTTP_DEADLINE_BODY: return server->options.body_ms;
    case DR_HTTP_DEADLINE_WRITE: return server->options.write_ms;
    case DR_HTTP_DEADLINE_LINGER:
        if (server->is_draining && server->options.linger_ms > DRAINING_LINGER_MS) {
            return DRAINING_LINGER_MS;
        }
        return server->options.linger_ms;
    case DR_HTTP_DEADLINE_UNSET:
    case DR_HTTP_DEADLINE_NONE: break;
    }
    return 0;
}

static uint64_t connection_taken(const struct dr_http_connection *connection) {
    return connection->written - dr_stream_pending(connection->stream);
}

/* The deadline that fits where the connection stands; one that runs already goes on undisturbed. */
static void connection_mind_deadline(struct dr_http_connection *connection) {
    const enum dr_http_deadline deadline = connection_deadline(connection);
    if (deadline == connection->deadline) return;
    connection->deadline = (uint8_t)deadline;
    if (deadline == DR_HTTP_DEADLINE_WRITE) connection->taken = connection_taken(connection);
    if (deadline == DR_HTTP_DEADLINE_LINGER) connection->taken = connection->dropped;
    const int64_t ms = deadline_ms(connection->server, deadline);
    if (ms > 0) {
        dr_timer_start(&connection->timer, connection->server->loop, ms);
    } else {
        dr_timer_stop(&connection->timer);
    }
}

/* --- closing ---------------------------------------------------------------------------------- */

static void connection_enter_closed(struct dr_http_connection *connection) {
    if (connection->state == DR_HTTP_CONNECTION_LINGERING) {
        connection->server->lingering_count--;
        dr_list_remove(&connection->node);
        dr_list_put_last(&connection->server->connections, &connection->node);
    }
    connection->state = DR_HTTP_CONNECTION_CLOSED;
    dr_timer_stop(&connection->timer);
    if (connection->call) dr_deferred_cancel(&connection->call->resume);
}

static void connection_close(struct dr_http_connection *connection) {
    if (connection->state == DR_HTTP_CONNECTION_CLOSED) return;
    connection_enter_closed(connection);
    dr_stream_close(connection->stream);
}

void dr_http_connection_reset(struct dr_http_connection *connection) {
    if (connection->state == DR_HTTP_CONNECTION_CLOSED) return;
    connection_enter_closed(connection);
    dr_stream_reset(connection->stream);
}

static void connection_enter_lingering(struct dr_http_connection *connection) {
    struct dr_http_server *server = connection->server;
    if (server->lingering_count == DR_HTTP_LINGERING_MAX) {
        struct dr_list *oldest = server->lingering.next;
        connection_close(dr_list_item(oldest, struct dr_http_connection, node));
    }
    connection->state = DR_HTTP_CONNECTION_LINGERING;
    server->lingering_count++;
    dr_list_remove(&connection->node);
    dr_list_put_last(&server->lingering, &connection->node);
}

/* All is written. Closing while the client still sends would reset the connection under an
 * answer that it has not read yet, so a FIN goes first and what comes is dropped for a while
 * (RFC 9112 section 9.6). */
static void connection_flushed(struct dr_http_connection *connection) {
    if (connection->may_linger && !connection->has_ended) {
        connection_enter_lingering(connection);
        dr_stream_resume(connection->stream);
        dr_stream_finish(connection->stream);
        connection_mind_deadline(connection);
        return;
    }
    if (dr_stream_is_tls(connection->stream)) dr_stream_finish(connection->stream);
    connection_close(connection);
}

void dr_http_connection_finish(struct dr_http_connection *connection, bool may_linger) {
    if (connection->state == DR_HTTP_CONNECTION_CLOSED) return;
    dr_assert(connection->state != DR_HTTP_CONNECTION_FLUSHING);
    if (connection->call) {
        dr_assert(connection->call->answer == DR_HTTP_ANSWER_OVER ||
                  connection->call->answer == DR_HTTP_ANSWER_NONE);
    }
    connection_release_call(connection);
    connection->may_linger = may_linger;
    connection->state = DR_HTTP_CONNECTION_FLUSHING;
    dr_stream_flush(connection->stream); /* what is not taken then shows as pending */
    if (dr_stream_pending(connection->stream) > 0) {
        connection_mind_deadline(connection);
        return;
    }
    connection_flushed(connection);
}

/* Bytes that nobody will look at. */
static void connection_drop(struct dr_http_connection *connection, size_t len) {
    const uint32_t left = DR_HTTP_LINGER_BYTES_MAX - connection->dropped;
    if (len <= left) {
        connection->dropped += (uint32_t)len;
    } else if (connection->state == DR_HTTP_CONNECTION_FLUSHING) {
        dr_stream_pause(connection->stream);
    } else {
        connection_close(connection);
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool call_has_kept(const struct dr_http_call *call) {
    return call->kept.len > call->kept_start;
}

static uint16_t failure_status(enum dr_http1_failure failure) {
    switch (failure) {
    case DR_HTTP1_BAD_REQUEST: return 400;
    case DR_HTTP1_HEAD_TOO_LARGE: return 431;
    case DR_HTTP1_BODY_TOO_LARGE: return 413;
    case DR_HTTP1_VERSION_UNSUPPORTED: return 505;
    case DR_HTTP1_NOT_IMPLEMENTED: return 501;
    case DR_HTTP1_EXPECTATION_FAILED: return 417;
    case DR_HTTP1_OUT_OF_MEMORY: return 503;
    }
    return 400;
}

/* The head is here. */
static void call_open(struct dr_http_call *call, bool has_more_bytes) {
    struct dr_http_connection *connection = call->connection;
    const struct dr_http_service *service = connection->server->service;
    const struct dr_http1_head *head = dr_http1_head(call->parser);
    call->reading = DR_HTTP_READING_BODY;
    call->answer = DR_HTTP_ANSWER_AWAITED;
    call->minor_version = head->minor_version;
    call->is_head_request = head->method == DR_HTTP1_METHOD_HEAD;
    call->keeps_alive = head->keeps_alive;
    call->has_body = head->has_body;
    call->has_length = head->has_length && head->has_body;
    call->content_length = call->has_length ? head->content_length : 0;
    /* HTTP/1.0 knows no 100 (RFC 9110 section 10.1.1). */
    call->owes_continue = head->has_body && head->expects_continue && head->minor_version > 0;
    service->opened(connection->server->service_owner, call, head);
    if (call->answer != DR_HTTP_ANSWER_AWAITED) return;
    if (call->has_length && call->content_length > call->body_max) {
        dr_http_connection_refuse(connection, 413, "The body is larger than this route takes");
        return;
    }
    if (!call->owes_continue) return;
    call->owes_continue = false;
    /* A client that has begun to send the body does not wait. */
    if (has_more_bytes) return;
    const dr_slice interim = DR_LIT("HTTP/1.1 100 Continue\r\n\r\n");
    (void)dr_http_connection_write(connection, &interim, 1);
}

static bool call_store_held(struct dr_http_call *call) {
    if (call->held.len == 0) return true;
    if (call->body.len == 0 && call->has_length) {
        /* One growth for bodies of usual size; longer ones must first show that they come. */
        const uint64_t length = call->content_length < 262144 ? call->content_length : 262144;
        (void)dr_buf_reserve(&call->body, (size_t)length);
    }
    dr_buf_put(&call->body, call->held);
    call->held = DR_NONE;
    return dr_buf_status(&call->body) == DR_OK;
}

/* A piece of the body. The newest is only held: when the body ends with it and it is the first, the
 * service gets it where it lies. */
static bool call_take_piece(struct dr_http_call *call, dr_slice piece) {
    call->body_received += piece.len;
    call->owes_continue = false;
    if (call->answer != DR_HTTP_ANSWER_AWAITED) {
        call->reading = DR_HTTP_READING_DROPPED_BODY;
        call->held = DR_NONE;
        call->body_dropped += piece.len;
        if (call->body_dropped > DR_HTTP_DROP_BYTES_MAX) call->must_close = true;
        return true;
    }
    if (!call_store_held(call)) return false;
    call->held = piece;
    return true;
}

/* The message is complete. */
static void call_whole(struct dr_http_call *call) {
    struct dr_http_connection *connection = call->connection;
    if (call->answer == DR_HTTP_ANSWER_AWAITED && call->body.len > 0 && !call_store_held(call)) {
        dr_http_connection_refuse(connection, 503, "No memory for the body");
        return;
    }
    call->reading = DR_HTTP_READING_WHOLE;
    call_release_parser(call);
    if (call->answer != DR_HTTP_ANSWER_AWAITED) return;
    const dr_slice body = call->body.len > 0 ? dr_buf_slice(&call->body) : call->held;
    call->held = DR_NONE;
    connection->server->service->body(call->owner, body);
    /* The service has taken what it wants; a long answer need not hold the memory. */
    if (connection->call == call) trim_buf(&call->body);
}

/* All bytes at hand are taken. */
static void call_out_of_bytes(struct dr_http_call *call) {
    struct dr_http_connection *connection = call->connection;
    if (call->reading == DR_HTTP_READING_HEAD && !dr_http1_parser_is_busy(call->parser)) {
        connection_release_call(connection);
        connection->state = DR_HTTP_CONNECTION_IDLE;
        return;
    }
    if (!call_store_held(call)) {
        dr_http_connection_refuse(connection, 503, "No memory for the body");
    }
}

/* What the parser has to say of the bytes at hand. False when the loop is to end. */
static bool call_parse(struct dr_http_call *call, dr_slice *bytes) {
    struct dr_http_connection *connection = call->connection;
    switch (dr_http1_parse(call->parser, bytes)) {
    case DR_HTTP1_NEED_MORE: call_out_of_bytes(call); return false;
    case DR_HTTP1_HEAD: call_open(call, bytes->len > 0); return true;
    case DR_HTTP1_BODY:
        if (!call_take_piece(call, dr_http1_body(call->parser))) {
            dr_http_connection_refuse(connection, 503, "No memory for the body");
        }
        return true;
    case DR_HTTP1_MESSAGE_DONE: call_whole(call); return true;
    case DR_HTTP1_FAILED: {
        const char *text = dr_http1_failure_text(call->parser);
        dr_http_connection_refuse(connection, failure_status(dr_http1_failure(call->parser)), text);
        return false;
    }
    }
    return false;
}

/* The answer is given. True when the next request may be read. */
static bool call_may_be_followed(struct dr_http_call *call, const dr_slice *bytes) {
    struct dr_http_connection *connection = call->connection;
    const bool is_whole = call->reading == DR_HTTP_READING_WHOLE;
    if (is_whole && call->taken) return false; /* what follows is another protocol */
    if (call->must_close || (is_whole && connection->server->is_draining)) {
        dr_http_connection_finish(connection, !is_whole || bytes->len > 0);
        return false;
    }
    if (!is_whole) {
        call->reading = DR_HTTP_READING_DROPPED_BODY;
        return true;
    }
    if (dr_stream_pending(connection->stream) > 0) return false;
    connection->deadline = DR_HTTP_DEADLINE_UNSET;
    if (bytes->len == 0) {
        connection_release_call(connection);
        connection->state = DR_HTTP_CONNECTION_IDLE;
        return false;
    }
    if (++connection->followed > FOLLOWED_PER_RUN) {
        /* The bytes are kept. Not deferred: that would be before the others' sockets are read. */
        dr_loop_gather(connection->server->loop, &call->resume);
        return false;
    }
    call_renew(call);
    return true;
}

static bool connection_step(struct dr_http_connection *connection, dr_slice *bytes) {
    if (connection->state == DR_HTTP_CONNECTION_IDLE) {
        if (bytes->len == 0) return false;
        if (!connection_take_call(connection)) {
            dr_http_connection_refuse(connection, 503, "No memory for the request");
            return false;
        }
    }
    if (connection->state != DR_HTTP_CONNECTION_BUSY) return false;
    struct dr_http_call *call = connection->call;
    if (call->answer == DR_HTTP_ANSWER_OVER) {
        if (!call_may_be_followed(call, bytes)) return false;
    } else if (call->reading == DR_HTTP_READING_WHOLE) {
        return false;
    }
    if (!call->parser && !call_take_parser(call)) {
        dr_http_connection_refuse(connection, 503, "No memory for the request");
        return false;
    }
    return call_parse(call, bytes);
}

static void connection_run(struct dr_http_connection *connection, dr_slice *bytes) {
    dr_assert(!connection->is_running);
    connection->is_running = true;
    connection->followed = 0;
    while (connection_step(connection, bytes)) {
    }
    connection->is_running = false;
    connection_mind_deadline(connection);
}

/* Bytes of later requests wait here; more than the bound stops the reading. */
static void connection_keep(struct dr_http_connection *connection, dr_slice bytes) {
    struct dr_http_call *call = connection->call;
    const struct dr_http_server_options *options = &connection->server->options;
    if (call->kept_start > 0) {
        dr_buf_consume(&call->kept, call->kept_start);
        call->kept_start = 0;
    }
    dr_buf_put(&call->kept, bytes);
    if (dr_buf_status(&call->kept)) {
        dr_http_connection_reset(connection);
        return;
    }
    if (call->kept.len >= options->pipelined_bytes_max) dr_stream_pause(connection->stream);
}

/* The stream and what came behind the head go to their new owner; the connection is no more. */
static void connection_hand_over(struct dr_http_connection *connection, dr_slice rest) {
    struct dr_http_server *server = connection->server;
    struct dr_http_call *call = connection->call;
    struct dr_stream *stream = connection->stream;
    void (*const taken)(void *, struct dr_stream *, dr_slice) = call->taken;
    void *const owner = call->taken_owner;
    struct dr_buf kept = call->kept; /* `rest` may lie there */
    call->taken = NULL;
    dr_buf_init(&call->kept, SIZE_MAX / 2);
    const dr_slice head = dr_buf_slice(&call->head);
    if (dr_buf_status(&call->head) == DR_OK) {
        /* A failure shows in the stream's facts; without a head the client waits in vain, and its
         * new owner finds out. */
        (void)!dr_stream_write(stream, &head, 1);
    }
    connection_release_call(connection);
    dr_timer_stop(&connection->timer);
    dr_list_remove(&connection->node);
    dr_free(connection);
    server->connection_count--;
    taken(owner, stream, rest);
    dr_buf_clear(&kept);
}

static bool connection_is_given_away(const struct dr_http_connection *connection) {
    return connection->state == DR_HTTP_CONNECTION_BUSY && connection->call->taken &&
           connection->call->reading == DR_HTTP_READING_WHOLE;
}

static bool connection_can_parse(const struct dr_http_connection *connection) {
    const struct dr_http_call *call = connection->call;
    return !call || (call->reading != DR_HTTP_READING_WHOLE && !call_has_kept(call));
}

static void connection_received(void *owner, dr_slice bytes) {
    struct dr_http_connection *connection = owner;
    const bool is_read = connection->state == DR_HTTP_CONNECTION_IDLE ||
                         connection->state == DR_HTTP_CONNECTION_BUSY;
    if (is_read && connection_can_parse(connection)) connection_run(connection, &bytes);
    if (connection_is_given_away(connection)) {
        connection_hand_over(connection, bytes);
        return;
    }
    if (bytes.len == 0 || connection->state == DR_HTTP_CONNECTION_CLOSED) return;
    if (connection->state == DR_HTTP_CONNECTION_BUSY) {
        connection_keep(connection, bytes);
    } else {
        connection_drop(connection, bytes.len);
    }
}

/* Goes on with the bytes that came while the last answer ran. */
static void call_resumed(void *owner) {
    struct dr_http_call *call = owner;
    struct dr_http_connection *connection = call->connection;
    dr_slice bytes = dr_slice_from(dr_buf_slice(&call->kept), call->kept_start);
    connection_run(connection, &bytes);
    if (connection->state == DR_HTTP_CONNECTION_CLOSED) return;
    if (connection_is_given_away(connection)) {
        connection_hand_over(connection, bytes);
        return;
    }
    if (connection->call == call) {
        call->kept_start = call->kept.len - bytes.len;
        if (bytes.len == 0) {
            trim_buf(&call->kept);
            call->kept_start = 0;
        }
        if (bytes.len >= connection->server->options.pipelined_bytes_max) return;
    }
    if (dr_stream_is_paused(connection->stream)) dr_stream_resume(connection->stream);
}

void dr_http_connection_advance(struct dr_http_connection *connection) {
    if (connection->is_running || connection->state != DR_HTTP_CONNECTION_BUSY) return;
    struct dr_http_call *call = connection->call;
    if (call->answer == DR_HTTP_ANSWER_OVER) {
        if (call_has_kept(call) && !call->must_close) {
            /* Not from here: the service is still inside its own call upon us. */
            if (dr_stream_pending(connection->stream) == 0) {
                dr_deferred_queue(&call->resume, connection->server->loop);
            }
        } else {
            const dr_slice kept = dr_slice_from(dr_buf_slice(&call->kept), call->kept_start);
            (void)call_may_be_followed(call, &kept);
        }
    }
    connection_mind_deadline(connection);
}

/* --- facts of the stream ---------------------------------------------------------------------- */

static void connection_ended(void *owner) {
    struct dr_http_connection *connection = owner;
    struct dr_http_call *call = connection->call;
    connection->has_ended = true;
    if (connection->state == DR_HTTP_CONNECTION_FLUSHING) return;
    if (connection->state == DR_HTTP_CONNECTION_IDLE ||
        (call && call->answer == DR_HTTP_ANSWER_OVER)) {
        /* It may have yet to take the end of its last answer. */
        dr_http_connection_finish(connection, false);
        return;
    }
    if (call) dr_http_call_note_gone(call);
    connection_close(connection);
}

/* Of a client that sent more behind its request than is kept. Whose answer is given but not taken
 * yet runs into a deadline. */
static void connection_hung_up(void *owner) {
    struct dr_http_connection *connection = owner;
    if (connection->state != DR_HTTP_CONNECTION_BUSY) return;
    if (connection->call->answer == DR_HTTP_ANSWER_OVER) return;
    dr_http_call_note_gone(connection->call);
    connection_close(connection);
}

static void connection_failed(void *owner, const struct dr_error *error) {
    struct dr_http_connection *connection = owner;
    (void)error; /* a client that left is no failure of ours, whatever the reason */
    if (connection->call) dr_http_call_note_gone(connection->call);
    connection_close(connection);
}

static void connection_drained(void *owner) {
    struct dr_http_connection *connection = owner;
    if (connection->state == DR_HTTP_CONNECTION_FLUSHING) {
        connection_flushed(connection);
        return;
    }
    if (connection->state != DR_HTTP_CONNECTION_BUSY) return;
    struct dr_http_call *call = connection->call;
    if (call->answer == DR_HTTP_ANSWER_BEGUN && connection->server->service->drained) {
        connection->server->service->drained(call->owner);
    }
    dr_http_connection_advance(connection);
}

static void connection_closed(void *owner) {
    struct dr_http_connection *connection = owner;
    struct dr_http_server *server = connection->server;
    dr_assert(connection->state == DR_HTTP_CONNECTION_CLOSED);
    if (connection->call) {
        dr_http_call_note_gone(connection->call);
        connection_release_call(connection);
    }
    dr_timer_stop(&connection->timer);
    dr_list_remove(&connection->node);
    dr_free(connection);
    server->connection_count--;
    if (server->service->disconnected) server->service->disconnected(server->service_owner);
}

static const struct dr_stream_events connection_events = {
    .received = connection_received,
    .ended = connection_ended,
    .failed = connection_failed,
    .hung_up = connection_hung_up,
    .drained = connection_drained,
    .closed = connection_closed,
};

/* Some clients send one behind a body that it does not belong to. */
static bool call_has_but_an_empty_line(const struct dr_http_call *call) {
    return call && call->parser && call->reading == DR_HTTP_READING_HEAD &&
           !dr_http1_parser_in_head(call->parser);
}

/* A client that still sends has yet to look for its answer; no longer than a body may take. */
static bool may_linger_on(struct dr_http_connection *connection) {
    const struct dr_http_server *server = connection->server;
    if (server->is_draining || connection->dropped == connection->taken) return false;
    return ++connection->lingered * server->options.linger_ms < server->options.body_ms;
}

static void connection_timed_out(void *owner) {
    struct dr_http_connection *connection = owner;
    const enum dr_http_deadline deadline = (enum dr_http_deadline)connection->deadline;
    connection->deadline = DR_HTTP_DEADLINE_UNSET;
    switch (deadline) {
    case DR_HTTP_DEADLINE_HEAD:
        if (call_has_but_an_empty_line(connection->call)) {
            /* A 408 here could be taken for the answer to the next request. */
            dr_http_connection_finish(connection, false);
            return;
        }
        dr_http_connection_refuse(connection, 408, "The request's head did not come in time");
        return;
    case DR_HTTP_DEADLINE_BODY:
        dr_http_connection_refuse(connection, 408, "The request's body did not come in time");
        return;
    case DR_HTTP_DEADLINE_WRITE:
        if (connection_taken(connection) > connection->taken) {
            connection_mind_deadline(connection);
        } else {
            dr_http_connection_reset(connection);
        }
        return;
    case DR_HTTP_DEADLINE_IDLE: dr_http_connection_finish(connection, false); return;
    case DR_HTTP_DEADLINE_LINGER:
        if (may_linger_on(connection)) {
            connection_mind_deadline(connection);
        } else {
            connection_close(connection);
        }
        return;
    case DR_HTTP_DEADLINE_UNSET:
    case DR_HTTP_DEADLINE_NONE: return;
    }
}

/* --- the server ------------------------------------------------------------------------------- */

static void orphan_received(void *owner, dr_slice bytes) {
    (void)owner;
    (void)bytes;
}

static void orphan_ended(void *owner) {
    (void)owner;
}

static void orphan_failed(void *owner, const struct dr_error *error) {
    (void)owner;
    (void)error;
}

static void orphan_closed(void *owner) {
    struct dr_http_server *server = owner;
    server->connection_count--;
    if (server->service->disconnected) server->service->disconnected(server->service_owner);
}

/* A stream for which there was no memory: it is closed, and counted until that is done. */
static const struct dr_stream_events orphan_events = {
    .received = orphan_received,
    .ended = orphan_ended,
    .failed = orphan_failed,
    .drained = orphan_ended,
    .closed = orphan_closed,
};

static void server_set_options(struct dr_http_server *server,
                               const struct dr_http_server_options *options) {
    server->options = *options;
    if (server->options.pipelined_bytes_max == 0) {
        server->options.pipelined_bytes_max = PIPELINED_BYTES_DEFAULT;
    }
    if (server->options.linger_ms == 0) server->options.linger_ms = LINGER_MS_DEFAULT;
}

enum dr_status dr_http_server_new(struct dr_loop *loop, const struct dr_http_service *service,
                                  void *service_owner, const struct dr_http_server_options *options,
                                  struct dr_http_server **ret_server, struct dr_error *error) {
    dr_assert(service->opened && service->body && service->gone && service->refuse);
    struct dr_http_server *server = dr_alloc_zero(1, sizeof *server);
    struct dr_http_limits_box *limits = limits_new(&options->limits);
    if (!server || !limits) {
        dr_free(server);
        dr_free(limits);
        return dr_fail(error, DR_NO_MEMORY, 0, "no memory for an HTTP server");
    }
    server->loop = loop;
    server->service = service;
    server->service_owner = service_owner;
    server->limits = limits;
    server_set_options(server, options);
    server->date_second = -1;
    dr_list_init(&server->connections);
    dr_list_init(&server->lingering);
    dr_buf_init(&server->head, SIZE_MAX / 2);
    dr_buf_init(&server->refusal, 65536);
    *ret_server = server;
    return DR_OK;
}

void dr_http_server_set_options(struct dr_http_server *server,
                                const struct dr_http_server_options *options) {
    struct dr_http_limits_box *limits = limits_new(&options->limits);
    server_set_options(server, options);
    if (!limits) return; /* the old limits go on rather than none */
    limits_release(server->limits);
    server->limits = limits;
    server_drop_parsers(server);
}

void dr_http_server_take(struct dr_http_server *server, struct dr_stream *stream) {
    struct dr_http_connection *connection = dr_alloc_zero(1, sizeof *connection);
    server->connection_count++;
    if (!connection) {
        dr_stream_set_owner(stream, &orphan_events, server);
        dr_stream_close(stream);
        return;
    }
    connection->server = server;
    connection->stream = stream;
    connection->state = DR_HTTP_CONNECTION_IDLE;
    connection->deadline = DR_HTTP_DEADLINE_UNSET;
    dr_timer_init(&connection->timer, connection, connection_timed_out);
    dr_list_put_last(&server->connections, &connection->node);
    dr_stream_set_owner(stream, &connection_events, connection);
    connection_mind_deadline(connection);
}

void dr_http_server_drain(struct dr_http_server *server) {
    server->is_draining = true;
    for (struct dr_list *node = server->connections.next; node != &server->connections;
         node = node->next) {
        struct dr_http_connection *connection = dr_list_item(node, struct dr_http_connection, node);
        if (connection->state != DR_HTTP_CONNECTION_IDLE) continue;
        if (connection->written == 0) {
            /* Just come: its first request may be on the way, and deserves an answer. */
            connection->deadline = DR_HTTP_DEADLINE_UNSET;
            connection_mind_deadline(connection);
            continue;
        }
        dr_http_connection_finish(connection, false);
    }
    for (struct dr_list *node = server->lingering.next; node != &server->lingering;
         node = node->next) {
        struct dr_http_connection *connection = dr_list_item(node, struct dr_http_connection, node);
        connection->deadline = DR_HTTP_DEADLINE_UNSET;
        connection_mind_deadline(connection);
    }
}

void dr_http_server_close_all(struct dr_http_server *server) {
    while (!dr_list_is_empty(&server->lingering)) {
        connection_close(dr_list_item(server->lingering.next, struct dr_http_connection, node));
    }
    for (struct dr_list *node = server->connections.next; node != &server->connections;
         node = node->next) {
        struct dr_http_connection *connection = dr_list_item(node, struct dr_http_connection, node);
        /* A reset would take the end of an answer with it that the system has yet to deliver. */
        if (!connection->call && dr_stream_pending(connection->stream) == 0) {
            connection_close(connection);
        } else {
            dr_http_connection_reset(connection);
        }
    }
}

size_t dr_http_server_connection_count(const struct dr_http_server *server) {
    return server->connection_count;
}

void dr_http_server_trim(struct dr_http_server *server) {
    server_drop_parsers(server);
    while (server->free_calls) {
        struct dr_http_call *call = server->free_calls;
        server->free_calls = call->next_free;
        call_free(call);
    }
    server->free_call_count = 0;
}

void dr_http_server_free(struct dr_http_server *server) {
    if (!server) return;
    dr_assert(server->connection_count == 0);
    dr_http_server_trim(server);
    limits_release(server->limits);
    dr_buf_clear(&server->head);
    dr_buf_clear(&server->refusal);
    dr_free(server);
}
