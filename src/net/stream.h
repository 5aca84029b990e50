/* A duplex byte pipe over TCP, TLS or memory. What the layers above see of the network is this:
 * connect, write, pause, close, and five facts that come up.
 *
 *          dr_stream_connect / accepted by a listener
 *                      │
 *     CONNECTING ──opened──► OPEN ──ended (peer's FIN)──► OPEN, no more to read
 *          │                  │
 *          └──failed──────────┴──failed──► FAILED ──dr_stream_close──► CLOSED ──closed──► gone
 *
 * After `failed` no other fact comes but `closed`, which comes only after `dr_stream_close`, never
 * from within it. The owner may close inside any callback. TCP_NODELAY is always on. */
#ifndef DR_NET_STREAM_H
#define DR_NET_STREAM_H

#include "base/slice.h"
#include "base/status.h"
#include "net/loop.h"

struct dr_stream;
struct dr_tls_client;
struct dr_tls_server;
struct sockaddr;

struct dr_stream_events {
    /* Connected (TLS: handshake done). Not called for accepted plain streams, which are open
     * from the start; accepted TLS streams get it after the handshake. May be NULL for accepted
     * streams. */
    void (*opened)(void *owner);
    /* Bytes, borrowed for this call. They lie in the loop's shared buffer. */
    void (*received)(void *owner, dr_slice bytes);
    /* The peer will send no more. Writing may go on. */
    void (*ended)(void *owner);
    /* Reset, time-out of the system, failed handshake: nothing more works. `error` is borrowed.
     * What a write finds is told behind the bytes that can still be read. */
    void (*failed)(void *owner, const struct dr_error *error);
    /* While paused: the peer has ended or reset the connection. What came before can still be read.
     * May come again; may be NULL. */
    void (*hung_up)(void *owner);
    /* All that waited has been handed to the system (only after a write that left a rest). */
    void (*drained)(void *owner);
    /* The stream's memory goes when this returns. May be NULL. */
    void (*closed)(void *owner);
};

/* Connects to `address`. `tls` NULL means plain; otherwise `server_name` (a NUL-terminated host
 * name or literal address, borrowed) is sent as SNI (names only) and verified. Failure to start is
 * reported by status; later failure by `failed`. `events` is kept (static tables). */
enum dr_status dr_stream_connect(struct dr_loop *loop, const struct sockaddr *address,
                                 struct dr_tls_client *tls, const char *server_name,
                                 const struct dr_stream_events *events, void *owner,
                                 struct dr_stream **ret_stream, struct dr_error *error) DR_MUST_USE;

/* Hands an accepted or connected stream to another owner. */
void dr_stream_set_owner(struct dr_stream *stream, const struct dr_stream_events *events,
                         void *owner);

/* Writes the parts in order, as far as the system takes them, the rest is copied and waits; small
 * ones are handed to the system at the end of the turn (see dr_stream_flush).
 * DR_OK also when a rest waits; DR_TOO_LARGE when the rest would exceed `dr_stream_set_pending_max`
 * (nothing of this call has then been promised: the stream is to be closed); DR_CLOSED after
 * failure. */
enum dr_status dr_stream_write(struct dr_stream *stream, const dr_slice *parts,
                               size_t part_count) DR_MUST_USE;
/* Bytes that wait for the system (TLS: also ciphertext), those of small writes in this turn not
 * among them: what is decided for good by this, as a close is, is to flush first. */
size_t dr_stream_pending(const struct dr_stream *stream);
/* Hands small writes of this turn to the system now. A failure found is told later. */
void dr_stream_flush(struct dr_stream *stream);
/* Default 1 MiB. */
void dr_stream_set_pending_max(struct dr_stream *stream, size_t bytes);

/* Reading is on from the start. While paused neither `received` nor `ended` comes, but `hung_up`; a
 * reset is told as `failed` then when something is written or waits to be. An end behind more
 * bytes than the system takes unread is not known before they are read. */
void dr_stream_pause(struct dr_stream *stream);
void dr_stream_resume(struct dr_stream *stream);
bool dr_stream_is_paused(const struct dr_stream *stream);
/* Pauses for DR_LOOP_GATHER_US, so that a burst arrives in fewer, larger pieces. */
void dr_stream_gather(struct dr_stream *stream);

/* Names memory that the owner will use when bytes come: two cache lines at each place are fetched
 * while the system copies the bytes, so that of thousands of streams each finds its own at hand.
 * `places` is kept until the next call; count 0 ends it. Hints only: a place is not read, and does
 * no harm when it was freed. TLS streams pass them over. */
enum { DR_STREAM_PLACE_BYTES = 128 };
void dr_stream_expect(struct dr_stream *stream, const void *const *places, uint32_t count);

/* Sends FIN after what waits. `received` goes on. */
void dr_stream_finish(struct dr_stream *stream);
/* Drops what waits, stops all facts but `closed`. For a graceful end call dr_stream_finish first
 * and close at `drained` (or at once if nothing is pending). */
void dr_stream_close(struct dr_stream *stream);
/* As close, but the peer sees a reset (RST), so that it stops sending at once. */
void dr_stream_reset(struct dr_stream *stream);

struct dr_loop *dr_stream_loop(const struct dr_stream *stream);
bool dr_stream_is_tls(const struct dr_stream *stream);
/* "127.0.0.1:5312" or "[::1]:5312" of the peer; for loopback pipes "memory". NUL-terminated. */
enum { DR_ADDRESS_TEXT_BYTES = 64 };
void dr_stream_peer_text(const struct dr_stream *stream, char text[DR_ADDRESS_TEXT_BYTES]);

/* Two ends of a pipe in memory on one loop, deterministic, at most `capacity` bytes under way each
 * direction; for tests. Both ends open; set the owners before the next turn. */
enum dr_status dr_stream_pair(struct dr_loop *loop, size_t capacity, struct dr_stream **ret_a,
                              struct dr_stream **ret_b, struct dr_error *error) DR_MUST_USE;

#endif
