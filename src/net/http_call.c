/* The answer's half of the HTTP server: heads, framing, one write per piece. Nothing here reads
 * from a stream or decides what comes next on a connection; dr_http_connection_advance does. */
#include "net/http_connection.h"

#include "base/assert.h"
#include "net/http1_write.h"
#include "net/stream.h"

enum {
    /* A stream takes 1 MiB of waiting bytes; a single write above this gets room for itself. */
    PENDING_BYTES_MAX = 1024 * 1024,
    LARGE_WRITE_BYTES = PENDING_BYTES_MAX / 4,
};

bool dr_http_connection_write(struct dr_http_connection *connection, const dr_slice *parts,
                              size_t part_count) {
    if (connection->state == DR_HTTP_CONNECTION_CLOSED) return false;
    size_t total = 0;
    for (size_t i = 0; i < part_count; i++) total += parts[i].len;
    if (total == 0) return true;
    if (total > LARGE_WRITE_BYTES) {
        /* The bytes are in memory anyway: a whole answer may be larger than what a stream of pieces
         * is allowed to leave waiting. */
        dr_stream_set_pending_max(connection->stream, PENDING_BYTES_MAX + total);
        connection->is_pending_max_raised = true;
    } else if (connection->is_pending_max_raised && dr_stream_pending(connection->stream) == 0) {
        dr_stream_set_pending_max(connection->stream, PENDING_BYTES_MAX);
        connection->is_pending_max_raised = false;
    }
    if (dr_stream_write(connection->stream, parts, part_count)) {
        dr_http_connection_reset(connection);
        return false;
    }
    connection->written += total;
    return true;
}

/* --- heads ------------------------------------------------------------------------------------ */

static dr_slice server_date_line(struct dr_http_server *server) {
    const int64_t second = dr_loop_wall(server->loop).ms / 1000;
    if (second != server->date_second) {
        server->date_second = second;
        memcpy(server->date_line, "Date: ", 6);
        dr_http1_date(second, server->date_line + 6);
        memcpy(server->date_line + DR_HTTP_DATE_LINE_BYTES - 2, "\r\n", 2);
    }
    return dr_slice_of(server->date_line, DR_HTTP_DATE_LINE_BYTES);
}

/* The rest of the body would have to be read for longer than it is worth, or may never come. */
static bool call_has_long_rest(const struct dr_http_call *call) {
    if (call->reading == DR_HTTP_READING_WHOLE) return false;
    if (call->owes_continue) return true;
    return call->has_length && call->content_length - call->body_received > DR_HTTP_DROP_BYTES_MAX;
}

/* Status line up to the caller's headers; framing and the end follow. */
static void put_head_start(struct dr_http_server *server, struct dr_buf *head, uint16_t status,
                           dr_slice headers) {
    dr_buf_reset(head);
    dr_http1_put_status(head, status);
    dr_buf_put(head, server_date_line(server));
    dr_buf_put(head, headers);
}

/* A row of headers that was cut, for want of memory or of room, would swallow the framing. */
static bool are_whole_lines(dr_slice headers) {
    return headers.len == 0 || dr_slice_ends(headers, DR_LIT("\r\n"));
}

static void put_length(struct dr_buf *head, uint64_t len) {
    dr_buf_put(head, DR_LIT("Content-Length: "));
    dr_buf_put_u64(head, len);
    dr_buf_put(head, DR_LIT("\r\n"));
}

static void put_head_end(struct dr_buf *head, const struct dr_http_call *call) {
    if (call->must_close) {
        dr_buf_put(head, DR_LIT("Connection: close\r\n\r\n"));
    } else if (call->minor_version == 0) {
        dr_buf_put(head, DR_LIT("Connection: keep-alive\r\n\r\n"));
    } else {
        dr_buf_put(head, DR_LIT("\r\n"));
    }
}

static bool status_has_no_body(uint16_t status) {
    return status == 204 || status == 304;
}

/* What an answer's head says of the connection is settled here, and not changed afterwards. */
static void call_settle_close(struct dr_http_call *call) {
    call->must_close = call->must_close || !call->keeps_alive ||
                       call->connection->server->is_draining || call_has_long_rest(call);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void call_over(struct dr_http_call *call) {
    dr_buf_reset(&call->head);
    call->answer = DR_HTTP_ANSWER_OVER;
    dr_http_connection_advance(call->connection);
}

void dr_http_call_answer(struct dr_http_call *call, uint16_t status, dr_slice headers,
                         dr_slice body) {
    dr_assert(call->answer == DR_HTTP_ANSWER_AWAITED);
    dr_assert(status >= 200 && status <= 999);
    struct dr_http_connection *connection = call->connection;
    struct dr_buf *head = &connection->server->head;
    call_settle_close(call);
    put_head_start(connection->server, head, status, headers);
    if (!status_has_no_body(status)) put_length(head, body.len);
    put_head_end(head, call);
    if (dr_buf_status(head) || !are_whole_lines(headers)) {
        dr_http_connection_reset(connection);
    } else {
        const bool is_silent = call->is_head_request || status_has_no_body(status);
        const dr_slice parts[2] = {dr_buf_slice(head), is_silent ? DR_NONE : body};
        (void)dr_http_connection_write(connection, parts, parts[1].len > 0 ? 2 : 1);
        /* A failed write has reset the connection; the call is over either way. */
    }
    call_over(call);
}

void dr_http_call_begin(struct dr_http_call *call, uint16_t status, dr_slice headers) {
    dr_assert(call->answer == DR_HTTP_ANSWER_AWAITED);
    dr_assert(status >= 200 && status <= 999);
    struct dr_http_connection *connection = call->connection;
    call->has_silent_body = call->is_head_request || status_has_no_body(status);
    call->is_chunked_answer = call->minor_version > 0 && !status_has_no_body(status);
    if (!call->is_chunked_answer && !call->has_silent_body) call->must_close = true;
    call_settle_close(call);
    put_head_start(connection->server, &call->head, status, headers);
    if (call->is_chunked_answer) {
        dr_buf_put(&call->head, DR_LIT("Transfer-Encoding: chunked\r\n"));
    }
    put_head_end(&call->head, call);
    call->answer = DR_HTTP_ANSWER_BEGUN;
    if (dr_buf_status(&call->head) || !are_whole_lines(headers)) {
        dr_buf_reset(&call->head);
        dr_http_connection_reset(connection);
    }
}

/* One write of what there is: a kept head, the piece in its frame, the last chunk. */
static void call_write(struct dr_http_call *call, dr_slice piece, bool is_end) {
    dr_slice parts[4];
    size_t count = 0;
    char chunk_head[18];
    if (call->head.len > 0) parts[count++] = dr_buf_slice(&call->head);
    if (!call->has_silent_body) {
        if (call->is_chunked_answer && piece.len > 0) {
            parts[count++] = dr_slice_of(chunk_head, dr_http1_chunk_head(chunk_head, piece.len));
        }
        if (piece.len > 0) parts[count++] = piece;
        if (call->is_chunked_answer && piece.len > 0) {
            parts[count++] = is_end ? DR_LIT("\r\n0\r\n\r\n") : DR_LIT("\r\n");
        } else if (call->is_chunked_answer && is_end) {
            parts[count++] = DR_LIT("0\r\n\r\n");
        }
    }
    if (count > 0) (void)dr_http_connection_write(call->connection, parts, count);
    if (is_end) {
        dr_buf_reset(&call->head);
    } else if (call->head.len > 0) {
        dr_buf_clear(&call->head); /* a stream may last long, and needs it no more */
    }
}

void dr_http_call_put(struct dr_http_call *call, dr_slice piece) {
    dr_assert(call->answer == DR_HTTP_ANSWER_BEGUN);
    call_write(call, piece, false);
    dr_http_connection_advance(call->connection);
}

void dr_http_call_end(struct dr_http_call *call, dr_slice last_piece) {
    dr_assert(call->answer == DR_HTTP_ANSWER_BEGUN);
    call_write(call, last_piece, true);
    call_over(call);
}

void dr_http_call_abort(struct dr_http_call *call) {
    dr_assert(call->answer == DR_HTTP_ANSWER_BEGUN || call->answer == DR_HTTP_ANSWER_AWAITED);
    /* Without chunks only a reset tells the client that the answer is not whole. */
    const bool is_visible = call->is_chunked_answer && !call->has_silent_body &&
                            call->answer == DR_HTTP_ANSWER_BEGUN && call->head.len == 0;
    if (!is_visible) dr_http_connection_reset(call->connection);
    call->must_close = true;
    call_over(call);
}

void dr_http_call_reset(struct dr_http_call *call) {
    dr_assert(call->answer == DR_HTTP_ANSWER_BEGUN || call->answer == DR_HTTP_ANSWER_AWAITED);
    dr_http_connection_reset(call->connection);
}

/* Only composed here: the head leaves when the stream is handed over, so that whatever goes wrong
 * with it is told to the stream's new owner. */
void dr_http_call_upgrade(struct dr_http_call *call, dr_slice headers, void *owner,
                          void (*taken)(void *owner, struct dr_stream *stream, dr_slice rest)) {
    dr_assert(call->answer == DR_HTTP_ANSWER_AWAITED);
    dr_assert(call->reading == DR_HTTP_READING_BODY && !call->has_body && taken);
    put_head_start(call->connection->server, &call->head, 101, headers);
    dr_buf_put(&call->head, DR_LIT("\r\n"));
    call->taken = taken;
    call->taken_owner = owner;
    call->answer = DR_HTTP_ANSWER_OVER;
}

size_t dr_http_call_pending(const struct dr_http_call *call) {
    if (call->connection->state == DR_HTTP_CONNECTION_CLOSED) return 0;
    return dr_stream_pending(call->connection->stream);
}

bool dr_http_call_has_begun(const struct dr_http_call *call) {
    return call->answer == DR_HTTP_ANSWER_BEGUN;
}

struct dr_stream *dr_http_call_stream(struct dr_http_call *call) {
    return call->connection->stream;
}

void dr_http_call_places(const struct dr_http_call *call, const void *places[DR_HTTP_CALL_PLACES]) {
    places[0] = &call->head;
    places[1] = &call->reading;
    places[2] = call->connection;
    places[3] = call->connection->stream;
}

void dr_http_call_set_owner(struct dr_http_call *call, void *call_owner) {
    call->owner = call_owner;
}

void dr_http_call_set_body_max(struct dr_http_call *call, uint64_t bytes) {
    dr_assert(call->parser);
    if (bytes >= call->body_max) return;
    call->body_max = bytes;
    dr_http1_parser_set_body_max(call->parser, bytes);
}

/* --- refusals --------------------------------------------------------------------------------- */

void dr_http_connection_refuse(struct dr_http_connection *connection, uint16_t status,
                               const char *text) {
    struct dr_http_server *server = connection->server;
    struct dr_http_call *call = connection->call;
    bool is_silent = false;
    if (call && call->answer == DR_HTTP_ANSWER_AWAITED && server->service->refuse_call) {
        call->must_close = true;
        if (server->service->refuse_call(call->owner, status, text)) {
            /* From within the parse loop the answer has not advanced the connection. */
            if (connection->state == DR_HTTP_CONNECTION_BUSY) {
                dr_http_connection_finish(connection, true);
            }
            return;
        }
    }
    if (call) {
        const bool is_late =
            call->answer == DR_HTTP_ANSWER_BEGUN || call->answer == DR_HTTP_ANSWER_OVER;
        is_silent = call->is_head_request;
        dr_http_call_note_gone(call);
        if (connection->state == DR_HTTP_CONNECTION_CLOSED) return;
        if (is_late) {
            /* Its answer is out, or cut by the close: a second one may not follow. */
            dr_http_connection_finish(connection, true);
            return;
        }
    }
    struct dr_buf *body = &server->refusal;
    dr_buf_reset(body);
    server->service->refuse(server->service_owner, status, text, body);
    struct dr_buf *head = &server->head;
    put_head_start(server, head, status, DR_LIT("Content-Type: application/json\r\n"));
    if (server->service->put_refusal_headers) {
        server->service->put_refusal_headers(server->service_owner, status, head);
    }
    put_length(head, body->len);
    dr_buf_put(head, DR_LIT("Connection: close\r\n\r\n"));
    if (dr_buf_status(head) || dr_buf_status(body)) {
        dr_http_connection_reset(connection);
        return;
    }
    const dr_slice parts[2] = {dr_buf_slice(head), is_silent ? DR_NONE : dr_buf_slice(body)};
    if (dr_http_connection_write(connection, parts, 2)) {
        dr_http_connection_finish(connection, true);
    }
}
