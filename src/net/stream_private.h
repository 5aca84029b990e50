/* What a kind of stream (TCP, TLS, memory) implements. For the files of this folder only.
 *
 * Every kind embeds `struct dr_stream` as its first member. The verbs of stream.h check what is
 * common and call these. Facts go up through the statics below, which know when none may be told
 * any more. */
#ifndef DR_NET_STREAM_PRIVATE_H
#define DR_NET_STREAM_PRIVATE_H

#include "net/stream.h"

struct dr_stream_kind {
    enum dr_status (*write)(struct dr_stream *stream, const dr_slice *parts, size_t part_count);
    size_t (*pending)(const struct dr_stream *stream);
    void (*flush)(struct dr_stream *stream); /* NULL: nothing is kept back */
    void (*pause)(struct dr_stream *stream); /* called once per change */
    void (*resume)(struct dr_stream *stream);
    void (*gather)(struct dr_stream *stream);               /* only while not paused */
    void (*finish)(struct dr_stream *stream);               /* once */
    void (*close)(struct dr_stream *stream, bool is_reset); /* once */
    struct dr_loop *(*loop)(const struct dr_stream *stream);
    void (*peer_text)(const struct dr_stream *stream, char text[DR_ADDRESS_TEXT_BYTES]);
    bool is_tls;
};

struct dr_stream {
    const struct dr_stream_kind *kind;
    const struct dr_stream_events *events; /* NULL until the owner of an accepted one is set */
    void *owner;
    size_t pending_max;
    bool is_paused : 1;
    bool is_finished : 1; /* dr_stream_finish was called */
    bool is_ended : 1;    /* the peer's end was told */
    bool is_failed : 1;   /* `failed` was told, or nothing else will be before it */
    bool is_closing : 1;
    bool is_connecting : 1;
    bool is_gathering : 1;
    uint8_t outgoing_count;    /* its pieces in the loop's outbox */
    int failure;               /* errno that a deferred call is to tell; nothing is written then */
    const void *const *places; /* kept by the owner */
    uint32_t place_count;
};

enum { DR_STREAM_PENDING_MAX = 1024 * 1024 };

void dr_stream_init(struct dr_stream *stream, const struct dr_stream_kind *kind);

/* Each does nothing when the stream is closing or has failed. */
void dr_stream_tell_opened(struct dr_stream *stream);
void dr_stream_tell_received(struct dr_stream *stream, dr_slice bytes);
void dr_stream_tell_ended(struct dr_stream *stream); /* once */
void dr_stream_tell_hung_up(struct dr_stream *stream);
void dr_stream_tell_drained(struct dr_stream *stream);
/* Tells although `is_failed` is set already by the one who promised it; sets it. */
void dr_stream_tell_failed(struct dr_stream *stream, const struct dr_error *error);
/* The memory is to be freed right after. */
void dr_stream_tell_closed(struct dr_stream *stream);

/* TCP. */
enum dr_status dr_stream_tcp_connect(struct dr_loop *loop, const struct sockaddr *address,
                                     const struct dr_stream_events *events, void *owner,
                                     struct dr_stream **ret_stream,
                                     struct dr_error *error) DR_MUST_USE;
/* A connected, non-blocking socket with TCP_NODELAY set. Taken, closed also on failure. Reading
 * begins at the end of the turn, so that the owner can be set first. */
enum dr_status dr_stream_tcp_accept(struct dr_loop *loop, int fd, struct dr_stream **ret_stream,
                                    struct dr_error *error) DR_MUST_USE;
/* Bytes of memory of one idle TCP stream. */
size_t dr_stream_tcp_bytes(void);

/* TLS over any other stream, which is taken (closed also on failure). */
enum dr_status dr_stream_tls_connect(struct dr_stream *inner, struct dr_tls_client *client,
                                     const char *server_name, const struct dr_stream_events *events,
                                     void *owner, struct dr_stream **ret_stream,
                                     struct dr_error *error) DR_MUST_USE;
enum dr_status dr_stream_tls_accept(struct dr_stream *inner, struct dr_tls_server *server,
                                    struct dr_stream **ret_stream,
                                    struct dr_error *error) DR_MUST_USE;

/* Whether the handshake took up an earlier session. */
bool dr_stream_tls_is_resumed(const struct dr_stream *stream);

/* "127.0.0.1:80", "[::1]:80". */
void dr_sockaddr_text(const struct sockaddr *address, char text[DR_ADDRESS_TEXT_BYTES]);

#endif
