/* The server's side of HTTP/1.1 connections: keep-alive, pipelining in order, limits, deadlines,
 * graceful close. One `dr_http_server` per loop holds what its connections share. A *call* is
 * one request and its response.
 *
 *   OPENED ──body──► CALLED ──dr_http_call_begin──► ANSWERING ──dr_http_call_end──► over
 *      └───────────────┴────────────── gone (client left, deadline, server closing) ──► over
 *
 * The service answers every call exactly once: by dr_http_call_answer, or begin … end, or is
 * told `gone`. After `dr_http_call_end`, `…_answer`, `…_abort` or the return of `gone` the call
 * must not be touched. All answers may be given inside the callbacks or later. */
#ifndef DR_NET_HTTP_SERVER_H
#define DR_NET_HTTP_SERVER_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "net/http1_parse.h"
#include "net/loop.h"

struct dr_http_server;
struct dr_http_call;
struct dr_stream;

struct dr_http_service {
    /* The head has arrived; borrowed for this call. Either answer at once (a body that follows
     * is then read and dropped, and the connection closed where it has more than 64 KiB), or
     * return, with an owner set, and wait for `body`. `Expect: 100-continue` is answered after
     * this returns without an answer and the body is wanted. */
    void (*opened)(void *service_owner, struct dr_http_call *call,
                   const struct dr_http1_head *head);
    /* The whole body, contiguous, borrowed for this call; empty when there was none. */
    void (*body)(void *call_owner, dr_slice body);
    /* The client left, or the connection failed or timed out, before the answer's end. */
    void (*gone)(void *call_owner);
    /* Pending bytes have fallen to nothing after dr_http_call_pending was above 0. */
    void (*drained)(void *call_owner);
    /* A request that never became a call, or whose service left it to us, was refused here (bad
     * framing, too large, too slow): writes the JSON (or other) body for `status` with the sentence
     * `text` into `body`, its media type is application/json. */
    void (*refuse)(void *service_owner, uint16_t status, const char *text, struct dr_buf *body);
    /* The body of a call that waits for it can't be had: bad framing, too large, too slow. Either
     * answers it now and returns true, or returns false: then `gone` and `refuse` follow. NULL:
     * never answers. */
    bool (*refuse_call)(void *call_owner, uint16_t status, const char *text);
    /* The connection's stream has closed (for counters); may be NULL. */
    void (*disconnected)(void *service_owner);
    /* Header lines of the service's own for what `refuse` answers, each ended by CRLF; may be
     * NULL. */
    void (*put_refusal_headers)(void *service_owner, uint16_t status, struct dr_buf *headers);
};

struct dr_http_server_options {
    struct dr_http1_limits limits;
    int64_t head_ms; /* from a request's first byte to the end of its head (408) */
    int64_t body_ms; /* from the head's end to the body's end (408) */
    int64_t idle_ms; /* kept connection without a request; closed silently */
    /* Waiting bytes of which the client takes none for so long: connection reset, `gone`. Looked at
     * once per `write_ms`, so a stall may last up to twice as long. */
    int64_t write_ms;
    /* Kept while an answer runs; default 64 KiB; beyond it reading pauses, and a client that leaves
     * is noticed only if the system has taken all that it sent. */
    size_t pipelined_bytes_max;
    /* How long a client that got its answer before it had sent all is heard on; default 5 s. As
     * long as it sends anew each time, until `body_ms` are over. */
    int64_t linger_ms;
};

/* `service` is kept, `options` are copied. */
enum dr_status dr_http_server_new(struct dr_loop *loop, const struct dr_http_service *service,
                                  void *service_owner, const struct dr_http_server_options *options,
                                  struct dr_http_server **ret_server,
                                  struct dr_error *error) DR_MUST_USE;
/* For new requests; those under way keep their parser's limits. */
void dr_http_server_set_options(struct dr_http_server *server,
                                const struct dr_http_server_options *options);
/* Takes an accepted stream; a failed take closes it. */
void dr_http_server_take(struct dr_http_server *server, struct dr_stream *stream);
/* Closes idle connections now (new ones after a second) and others after their answer
 * (`Connection: close`). */
void dr_http_server_drain(struct dr_http_server *server);
/* Resets all connections (each open call gets `gone`); those with all written are closed. Free the
 * server when connection_count is 0. */
void dr_http_server_close_all(struct dr_http_server *server);
size_t dr_http_server_connection_count(const struct dr_http_server *server);
/* Lets go of the memory that is kept for the next requests. */
void dr_http_server_trim(struct dr_http_server *server);
/* Asserts that no connection is left. */
void dr_http_server_free(struct dr_http_server *server);

/* Within `opened`: who gets the call's facts. */
void dr_http_call_set_owner(struct dr_http_call *call, void *call_owner);
/* Within `opened`: a lower bound for this route's body. */
void dr_http_call_set_body_max(struct dr_http_call *call, uint64_t bytes);

/* A head for an answer: status line and the server's own headers (Date, Connection where needed)
 * are written by the server; the caller appends its headers, each line ended by CRLF, without
 * the blank line, to `headers`. */

/* The whole answer at once, of any size: Content-Length is added (not for 204 and 304); a HEAD
 * request gets no body. Written in one system call where it fits. Both slices are borrowed. */
void dr_http_call_answer(struct dr_http_call *call, uint16_t status, dr_slice headers,
                         dr_slice body);
/* A streamed answer: the head is kept until the first put or flush, so that head and first piece
 * leave together. Chunked towards HTTP/1.1, closed at the end towards HTTP/1.0. */
void dr_http_call_begin(struct dr_http_call *call, uint16_t status, dr_slice headers);
/* One piece, one chunk, written now. Borrowed. A client that leaves more than 1 MiB waiting is cut
 * off: mind dr_http_call_pending. Failure shows as `gone` in a later turn. `put` of
 * an empty slice sends a kept head. */
void dr_http_call_put(struct dr_http_call *call, dr_slice piece);
/* The last piece (may be empty) and the last chunk in one write. */
void dr_http_call_end(struct dr_http_call *call, dr_slice last_piece);
/* Cuts a begun answer so that the client can tell: connection closed without the last chunk.
 * Nothing comes after. */
void dr_http_call_abort(struct dr_http_call *call);
/* Cuts the connection at once, with what waits. The call is not over: `gone` follows in a later
 * turn, as when a put fails. */
void dr_http_call_reset(struct dr_http_call *call);
/* Within `opened`, for a GET without a body: answers 101 with `headers` (borrowed) and gives the
 * stream away. `taken` follows before the server looks at anything else: the stream may be paused
 * or have failed already, which shows in its later facts; `rest` came behind the head, borrowed.
 * From then on the server does not know the connection: neither its count nor `disconnected` will
 * cover its end. The call must not be touched after this returns. */
void dr_http_call_upgrade(struct dr_http_call *call, dr_slice headers, void *owner,
                          void (*taken)(void *owner, struct dr_stream *stream, dr_slice rest));
/* Bytes of the answer that wait because the client does not read. */
size_t dr_http_call_pending(const struct dr_http_call *call);
/* The answer has begun, so that its status can't change any more. */
bool dr_http_call_has_begun(const struct dr_http_call *call);
struct dr_stream *dr_http_call_stream(struct dr_http_call *call);
/* What a piece of the answer will touch: see dr_stream_expect. */
enum { DR_HTTP_CALL_PLACES = 4 };
void dr_http_call_places(const struct dr_http_call *call, const void *places[DR_HTTP_CALL_PLACES]);

#endif
