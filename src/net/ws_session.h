/* A WebSocket connection over any stream, after the opening handshake, as server or client: pings,
 * silence, close handshake, gathered writes, bounds on what waits.
 *
 *   NEW ──start──► OPEN ──close──► CLOSING (our close frame is out, theirs awaited)
 *                   │                 │ theirs, or `close_ms`
 *                   │ theirs, failure ▼
 *                   └─────────────► ENDING (FIN sent, input dropped) ─theirs, `close_ms`─► CLOSED
 *
 * Messages sent within one turn of the loop leave in one write at the turn's end (sooner when
 * 64 KiB have gathered). An idle session owns no buffer. Pings are sent every `ping_ms` and
 * answered at once; a peer of which nothing comes after two of them is given up.
 *
 * Facts come up through `dr_ws_session_events`, never from within a call of the owner upon the
 * session, except those of dr_ws_session_start:
 *   message*  drained*  ended  closed
 * `ended` comes exactly once, after it nothing can be sent and no message comes; `closed` exactly
 * once, at the very end. Close, reset and send are harmless after `ended`. */
#ifndef DR_NET_WS_SESSION_H
#define DR_NET_WS_SESSION_H

#include "base/slice.h"
#include "base/status.h"
#include "net/ws.h"

struct dr_loop;
struct dr_stream;
struct dr_ws_hub;
struct dr_ws_session;

struct dr_ws_session_events {
    /* A whole message, borrowed for this call. Text is valid UTF-8. */
    void (*message)(void *owner, dr_slice bytes, bool is_binary);
    /* All that waited has left, after dr_ws_session_is_full was true. May be NULL. */
    void (*drained)(void *owner);
    /* For `stall_ms` the peer took nothing of the `pending` bytes that wait for it: true gives it
     * as long again, false closes with 1008. NULL is false. */
    bool (*stalled)(void *owner, size_t pending);
    /* The conversation is over: the code and reason of the peer's close frame, or of ours where it
     * did not come to one by the peer (1002, 1007 … bad frames, 1008 silence, a stall, a message
     * that took too long, or `send_bytes_max`), or DR_WS_CLOSE_LOST. `reason` is borrowed. */
    void (*ended)(void *owner, uint16_t code, dr_slice reason);
    /* The stream is closed; the session's memory goes when this returns. */
    void (*closed)(void *owner);
};

/* All times in ms, all above 0. Kept by reference: one object for all sessions of a route, which
 * may be changed between turns. */
struct dr_ws_session_options {
    struct dr_ws_limits limits;
    /* Above this what waits makes dr_ws_session_is_full true. */
    size_t send_high_bytes;
    /* A message that would leave more than this waiting is refused, and the session closed with
     * 1008. A single message may be larger when nothing waits. */
    size_t send_bytes_max;
    int64_t ping_ms;  /* 25,000 */
    int64_t stall_ms; /* looked at once per `stall_ms`, so a stall may last up to twice as long */
    /* From a message's first byte to its last; later it is closed with 1008. */
    int64_t message_ms;
    int64_t close_ms; /* for the peer's close frame, and again for its FIN */
};

/* What the sessions of one loop share: spare buffers, assemblies, the list of sessions. */
enum dr_status dr_ws_hub_new(struct dr_loop *loop, struct dr_ws_hub **ret_hub,
                             struct dr_error *error) DR_MUST_USE;
/* Asserts that no session is left. Accepts NULL. */
void dr_ws_hub_free(struct dr_ws_hub *hub);
/* Sessions whose `closed` is still to come; those not started yet too. */
size_t dr_ws_hub_session_count(const struct dr_ws_hub *hub);
/* Sessions that are OPEN get a close frame (1012 when draining), others are left alone. */
void dr_ws_hub_close_all(struct dr_ws_hub *hub, uint16_t code, dr_slice reason);
/* Every stream is reset now; each session is told `ended` in this turn and `closed` later. */
void dr_ws_hub_reset_all(struct dr_ws_hub *hub);

/* Before the handshake is answered, so that nothing can fail behind it. `options` and `events` are
 * kept until `closed`. Given, to dr_ws_session_start or dr_ws_session_free. NULL when out of
 * memory. */
struct dr_ws_session *dr_ws_session_new(struct dr_ws_hub *hub, enum dr_ws_role role,
                                        const struct dr_ws_session_options *options,
                                        const struct dr_ws_session_events *events, void *owner);
/* Only for one that was never started. */
void dr_ws_session_free(struct dr_ws_session *session);
/* Takes an open stream. `first_bytes` came behind the handshake's head; they are read at once, so
 * `message` and `ended` may come from within. */
void dr_ws_session_start(struct dr_ws_session *session, struct dr_stream *stream,
                         dr_slice first_bytes);

/* As dr_ws_reader_set_budget. */
void dr_ws_session_set_budget(struct dr_ws_session *session, struct dr_ws_budget *budget);

/* One unfragmented text message, the parts joined. DR_OK; DR_CLOSED when no longer OPEN;
 * DR_TOO_LARGE beyond `send_bytes_max` or DR_NO_MEMORY: not sent, `ended` follows in this turn. */
enum dr_status dr_ws_session_send_text(struct dr_ws_session *session, const dr_slice *parts,
                                       size_t part_count);
/* Whole frames that a server has written itself (dr_ws_write_head), counted like one message. Never
 * kept back by the session: the stream joins what is written to it within a turn. */
enum dr_status dr_ws_session_send_frames(struct dr_ws_session *session, dr_slice frames);
enum dr_status dr_ws_session_send_binary(struct dr_ws_session *session, const dr_slice *parts,
                                         size_t part_count);
/* Begins the close handshake; messages that still come are dropped. `ended` comes when the peer's
 * close frame does, or after `close_ms`. Harmless when not OPEN. */
void dr_ws_session_close(struct dr_ws_session *session, uint16_t code, dr_slice reason);
/* Drops all at once, the peer sees a reset; `ended` (DR_WS_CLOSE_LOST) follows in this turn. */
void dr_ws_session_reset(struct dr_ws_session *session);

/* Bytes that wait: gathered in this turn, or not taken by the peer. */
size_t dr_ws_session_pending(const struct dr_ws_session *session);
/* More waits than `send_high_bytes`: stop what produces it until `drained`. */
bool dr_ws_session_is_full(const struct dr_ws_session *session);
/* Stops and resumes reading. Messages in the at most 64 KiB that were read already still come, and
 * silence is not held against the peer while paused. */
void dr_ws_session_pause(struct dr_ws_session *session);
void dr_ws_session_resume(struct dr_ws_session *session);
/* False from the first close frame, ours or theirs, on. */
bool dr_ws_session_is_open(const struct dr_ws_session *session);
/* NULL before the start. */
struct dr_stream *dr_ws_session_stream(struct dr_ws_session *session);
/* Bytes of memory that one idle session is. */
size_t dr_ws_session_bytes(void);

#endif
