/* The life of a WebSocket connection over a stream. This room must not know what messages mean,
 * nor frames beyond what ws.h says of them.
 *
 * Invariants
 * - The owner is never told anything from within its own call: what a call finds out is owed
 *   (`owes_ended`) and told by the deferred flush at the end of the turn.
 * - A session's memory goes only in the stream's `closed`.
 * - The reader is not cleared while it reads, since the owner may still look at its message. */
#include "net/ws_session.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/random.h"
#include "net/loop.h"
#include "net/stream.h"

enum {
    SPARE_OUTBOXES_MAX = 256,
    OUTBOX_BYTES_KEPT = 16 * 1024,  /* a spare outbox's buffer */
    GATHERED_BYTES_MAX = 64 * 1024, /* more is not kept back until the end of the turn */
    UNANSWERED_PINGS_MAX = 2,
};

/* Frames of one turn, until its end. */
struct dr_ws_outbox {
    struct dr_ws_outbox *next_spare;
    struct dr_buf bytes;
};

struct dr_ws_hub {
    struct dr_loop *loop;
    struct dr_ws_pool *pool;
    struct dr_list sessions;
    size_t session_count;
    struct dr_ws_outbox *spares;
    size_t spare_count;
    struct dr_entropy entropy; /* masks */
};

enum session_state {
    SESSION_NEW,
    SESSION_OPEN,
    SESSION_CLOSING,
    SESSION_ENDING,
    SESSION_CLOSED, /* waits for the stream's `closed` */
};

struct dr_ws_session {
    /* what sending touches: with thousands of sessions none of it is in a cache any more */
    struct dr_ws_hub *hub;
    struct dr_stream *stream;
    const struct dr_ws_session_options *options;
    struct dr_ws_outbox *outbox; /* NULL unless a message was sent in this turn */
    uint64_t written;            /* bytes handed to the stream */
    uint16_t owed_code;          /* `ended` is to be told with it; 0: nothing is owed */
    uint8_t state;               /* enum session_state */
    uint8_t unanswered_pings;    /* since the last byte came */
    bool is_server;
    bool is_told; /* `ended` was */
    bool is_reading;
    bool was_full;    /* at least as much waited as makes it full, or nearly as much */
    bool minds_stall; /* the stall timer runs: something was written since it fired */
    bool waited;      /* some of that had not gone when it was looked at */
    bool has_ended;   /* the peer's FIN has come */
    bool has_message; /* one has become whole in the present read */

    struct dr_deferred flush;
    struct dr_ws_reader reader;
    const struct dr_ws_session_events *events;
    void *owner;
    struct dr_list node;
    struct dr_timer timer; /* OPEN: the next ping; later: the end of patience */
    struct dr_timer stall_timer;
    struct dr_timer message_timer; /* runs while one is unfinished */
    uint64_t taken;                /* of `written`, gone to the system then */
    const char *owed_text;         /* static storage */
};

static void session_flushed(void *owner);
static void session_timed_out(void *owner);
static void session_stalled(void *owner);
static void session_message_late(void *owner);
static const struct dr_stream_events session_stream_events;

/* --- the hub ---------------------------------------------------------------------------------- */

enum dr_status dr_ws_hub_new(struct dr_loop *loop, struct dr_ws_hub **ret_hub,
                             struct dr_error *error) {
    struct dr_ws_hub *hub = dr_alloc_zero(1, sizeof *hub);
    struct dr_ws_pool *pool = dr_ws_pool_new();
    if (!hub || !pool) {
        dr_free(hub);
        dr_ws_pool_free(pool);
        return dr_fail(error, DR_NO_MEMORY, 0, "no memory for WebSocket sessions");
    }
    hub->loop = loop;
    hub->pool = pool;
    dr_list_init(&hub->sessions);
    *ret_hub = hub;
    return DR_OK;
}

void dr_ws_hub_free(struct dr_ws_hub *hub) {
    if (!hub) return;
    dr_assert(hub->session_count == 0);
    while (hub->spares) {
        struct dr_ws_outbox *outbox = hub->spares;
        hub->spares = outbox->next_spare;
        dr_buf_clear(&outbox->bytes);
        dr_free(outbox);
    }
    dr_ws_pool_free(hub->pool);
    dr_free(hub);
}

size_t dr_ws_hub_session_count(const struct dr_ws_hub *hub) {
    return hub->session_count;
}

void dr_ws_hub_close_all(struct dr_ws_hub *hub, uint16_t code, dr_slice reason) {
    for (struct dr_list *node = hub->sessions.next; node != &hub->sessions; node = node->next) {
        dr_ws_session_close(dr_list_item(node, struct dr_ws_session, node), code, reason);
    }
}

void dr_ws_hub_reset_all(struct dr_ws_hub *hub) {
    for (struct dr_list *node = hub->sessions.next; node != &hub->sessions; node = node->next) {
        struct dr_ws_session *session = dr_list_item(node, struct dr_ws_session, node);
        if (session->state != SESSION_NEW) dr_ws_session_reset(session);
    }
}

static struct dr_ws_outbox *hub_take_outbox(struct dr_ws_hub *hub) {
    struct dr_ws_outbox *outbox = hub->spares;
    if (outbox) {
        hub->spares = outbox->next_spare;
        hub->spare_count--;
        return outbox;
    }
    outbox = dr_alloc_zero(1, sizeof *outbox);
    if (outbox) dr_buf_init(&outbox->bytes, SIZE_MAX / 2); /* send_bytes_max bounds it */
    return outbox;
}

static void hub_keep_outbox(struct dr_ws_hub *hub, struct dr_ws_outbox *outbox) {
    if (hub->spare_count >= SPARE_OUTBOXES_MAX || outbox->bytes.capacity > OUTBOX_BYTES_KEPT) {
        dr_buf_clear(&outbox->bytes);
        dr_free(outbox);
        return;
    }
    dr_buf_reset(&outbox->bytes);
    outbox->next_spare = hub->spares;
    hub->spares = outbox;
    hub->spare_count++;
}

static void session_drop_outbox(struct dr_ws_session *session) {
    if (session->outbox) hub_keep_outbox(session->hub, session->outbox);
    session->outbox = NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

struct dr_ws_session *dr_ws_session_new(struct dr_ws_hub *hub, enum dr_ws_role role,
                                        const struct dr_ws_session_options *options,
                                        const struct dr_ws_session_events *events, void *owner) {
    dr_assert(events->message && events->ended && events->closed);
    dr_assert(options->ping_ms > 0 && options->stall_ms > 0 && options->close_ms > 0);
    dr_assert(options->message_ms > 0);
    struct dr_ws_session *session = dr_alloc_zero(1, sizeof *session);
    if (!session) return NULL;
    session->hub = hub;
    session->options = options;
    session->events = events;
    session->owner = owner;
    session->is_server = role == DR_WS_SERVER;
    dr_ws_reader_init(&session->reader, hub->pool, &options->limits, role);
    dr_timer_init(&session->timer, session, session_timed_out);
    dr_timer_init(&session->stall_timer, session, session_stalled);
    dr_timer_init(&session->message_timer, session, session_message_late);
    dr_deferred_init(&session->flush, session, session_flushed);
    dr_list_put_last(&hub->sessions, &session->node);
    hub->session_count++;
    return session;
}

static void session_delete(struct dr_ws_session *session) {
    dr_list_remove(&session->node);
    session->hub->session_count--;
}

void dr_ws_session_free(struct dr_ws_session *session) {
    if (!session) return;
    dr_assert(session->state == SESSION_NEW);
    session_delete(session);
    dr_free(session);
}

static void session_tell_ended(struct dr_ws_session *session, uint16_t code, dr_slice reason) {
    if (session->is_told) return;
    session->is_told = true;
    session->owed_code = 0;
    session->events->ended(session->owner, code, reason);
}

/* To be told at the end of the turn. The first finding counts. */
static void session_owe_ended(struct dr_ws_session *session, uint16_t code, const char *text) {
    if (session->is_told || session->owed_code != 0) return;
    session->owed_code = code;
    session->owed_text = text;
    dr_deferred_queue(&session->flush, session->hub->loop);
}

static void session_tell_owed(struct dr_ws_session *session) {
    if (session->owed_code == 0) return;
    session_tell_ended(session, session->owed_code, dr_slice_text(session->owed_text));
}

static void session_stop_minding(struct dr_ws_session *session) {
    dr_timer_stop(&session->message_timer);
    if (!session->minds_stall) return;
    session->minds_stall = false;
    dr_timer_stop(&session->stall_timer);
}

static void session_settle_reader(struct dr_ws_session *session) {
    if (!session->is_reading) dr_ws_reader_clear(&session->reader);
}

static void session_enter_closed(struct dr_ws_session *session) {
    session->state = SESSION_CLOSED;
    dr_timer_stop(&session->timer);
    session_stop_minding(session);
    session_drop_outbox(session);
    session_settle_reader(session);
}

static void session_close_stream(struct dr_ws_session *session, bool is_reset) {
    if (session->state == SESSION_CLOSED) return;
    session_enter_closed(session);
    if (is_reset) {
        dr_stream_reset(session->stream);
    } else {
        dr_stream_close(session->stream);
    }
}

/* The connection is of no use any more. */
static void session_lose(struct dr_ws_session *session, const char *text) {
    session_owe_ended(session, DR_WS_CLOSE_LOST, text);
    session_close_stream(session, true);
}

/* What waits goes out, then our FIN; then the peer has `close_ms` for its own. Closing at once
 * would reset the connection under a close frame that the peer has not read yet. */
static void session_enter_ending(struct dr_ws_session *session) {
    dr_assert(session->state == SESSION_OPEN || session->state == SESSION_CLOSING);
    session->state = SESSION_ENDING;
    session_stop_minding(session);
    dr_timer_start(&session->timer, session->hub->loop, session->options->close_ms);
    dr_stream_resume(session->stream);
    dr_deferred_queue(&session->flush, session->hub->loop);
    session_settle_reader(session);
}

/* --- sending ---------------------------------------------------------------------------------- */

/* From the first write on: what is left of it is often known only when the turn has ended, and
 * nothing may be written any more. */
static void session_mind_stall(struct dr_ws_session *session) {
    if (session->state != SESSION_OPEN || session->minds_stall) return;
    session->minds_stall = true;
    session->waited = false;
    dr_timer_start(&session->stall_timer, session->hub->loop, session->options->stall_ms);
}

static void session_write(struct dr_ws_session *session, dr_slice bytes) {
    const enum dr_status status = dr_stream_write(session->stream, &bytes, 1);
    session->written += bytes.len;
    if (status) {
        session_lose(session, "the connection failed");
    } else {
        session_mind_stall(session);
    }
}

static void session_write_out(struct dr_ws_session *session) {
    struct dr_ws_outbox *outbox = session->outbox;
    if (!outbox) return;
    session->outbox = NULL;
    session_write(session, dr_buf_slice(&outbox->bytes));
    hub_keep_outbox(session->hub, outbox);
}

/* Where the next frame goes; NULL when out of memory. */
static struct dr_buf *session_outbox(struct dr_ws_session *session) {
    if (!session->outbox) {
        session->outbox = hub_take_outbox(session->hub);
        if (!session->outbox) return NULL;
        dr_deferred_queue(&session->flush, session->hub->loop);
    }
    return &session->outbox->bytes;
}

static const uint8_t *session_mask(struct dr_ws_session *session, uint8_t mask[4]) {
    if (session->is_server) return NULL;
    dr_entropy_take(&session->hub->entropy, mask, 4);
    return mask;
}

static bool session_put(struct dr_ws_session *session, enum dr_ws_opcode opcode,
                        const dr_slice *parts, size_t part_count) {
    uint8_t mask[4];
    struct dr_buf *buf = session_outbox(session);
    if (!buf) return false;
    dr_ws_put_frame(buf, opcode, parts, part_count, session_mask(session, mask));
    return dr_buf_status(buf) == DR_OK;
}

static bool session_put_close(struct dr_ws_session *session, uint16_t code, dr_slice reason) {
    uint8_t mask[4];
    struct dr_buf *buf = session_outbox(session);
    if (!buf) return false;
    dr_ws_put_close(buf, code, reason, session_mask(session, mask));
    return dr_buf_status(buf) == DR_OK;
}

/* We end it: close frame, FIN, no waiting for the peer's close frame. `text` is static. */
static void session_break(struct dr_ws_session *session, uint16_t code, const char *text) {
    session_owe_ended(session, code, text);
    if (!session_put_close(session, code, dr_slice_text(text))) {
        session_close_stream(session, true);
        return;
    }
    session_enter_ending(session);
}

static bool session_has_room(const struct dr_ws_session *session, size_t waiting, size_t len) {
    const size_t most = session->options->send_bytes_max;
    if (waiting == 0) return true;
    return waiting <= most && len <= most - waiting;
}

/* Whether a message of `len` bytes may be sent; what stands in its way is done with. */
static enum dr_status session_admit(struct dr_ws_session *session, size_t len) {
    if (session->state != SESSION_OPEN) return DR_CLOSED;
    const size_t waiting = dr_ws_session_pending(session);
    if (session_has_room(session, waiting, DR_WS_HEAD_BYTES_MAX + len)) {
        const size_t most = waiting + DR_WS_HEAD_BYTES_MAX + len;
        if (most > session->options->send_high_bytes) session->was_full = true;
        return DR_OK;
    }
    session_break(session, DR_WS_CLOSE_POLICY, "too much waits that is not read");
    return DR_TOO_LARGE;
}

static enum dr_status session_send(struct dr_ws_session *session, enum dr_ws_opcode opcode,
                                   const dr_slice *parts, size_t part_count) {
    size_t len = 0;
    for (size_t i = 0; i < part_count; i++) len += parts[i].len;
    const enum dr_status status = session_admit(session, len);
    if (status) return status;
    if (!session_put(session, opcode, parts, part_count)) {
        session_lose(session, "no memory to send");
        return DR_NO_MEMORY;
    }
    if (session->outbox->bytes.len >= GATHERED_BYTES_MAX) session_write_out(session);
    return DR_OK;
}

enum dr_status dr_ws_session_send_frames(struct dr_ws_session *session, dr_slice frames) {
    dr_assert(session->is_server);
    const enum dr_status status = session_admit(session, frames.len);
    if (status) return status;
    /* Messages of this turn may stand before them. */
    session_write_out(session);
    if (session->state == SESSION_OPEN) session_write(session, frames);
    return session->state == SESSION_OPEN ? DR_OK : DR_CLOSED;
}

enum dr_status dr_ws_session_send_text(struct dr_ws_session *session, const dr_slice *parts,
                                       size_t part_count) {
    return session_send(session, DR_WS_OPCODE_TEXT, parts, part_count);
}

enum dr_status dr_ws_session_send_binary(struct dr_ws_session *session, const dr_slice *parts,
                                         size_t part_count) {
    return session_send(session, DR_WS_OPCODE_BINARY, parts, part_count);
}

size_t dr_ws_session_pending(const struct dr_ws_session *session) {
    if (session->state == SESSION_NEW || session->state == SESSION_CLOSED) return 0;
    const size_t gathered = session->outbox ? session->outbox->bytes.len : 0;
    return gathered + dr_stream_pending(session->stream);
}

bool dr_ws_session_is_full(const struct dr_ws_session *session) {
    return dr_ws_session_pending(session) > session->options->send_high_bytes;
}

static void session_mind_drained(struct dr_ws_session *session) {
    if (session->state != SESSION_OPEN || dr_ws_session_pending(session) > 0) return;
    if (!session->was_full) return;
    session->was_full = false;
    if (session->events->drained) session->events->drained(session->owner);
}

/* The end of the turn. */
static void session_flushed(void *owner) {
    struct dr_ws_session *session = owner;
    if (session->state != SESSION_CLOSED) session_write_out(session);
    session_tell_owed(session);
    session_mind_drained(session);
    if (session->state != SESSION_ENDING) return;
    /* The server closes TCP first (RFC 6455 section 7.1.1). */
    if (session->is_server || session->has_ended) {
        dr_stream_finish(session->stream);
    }
    if (session->has_ended && dr_stream_pending(session->stream) == 0) {
        session_close_stream(session, false);
    }
}

/* --- closing ---------------------------------------------------------------------------------- */

void dr_ws_session_close(struct dr_ws_session *session, uint16_t code, dr_slice reason) {
    if (session->state != SESSION_OPEN) return;
    if (!session_put_close(session, code, reason)) {
        session_lose(session, "no memory to send");
        return;
    }
    session->state = SESSION_CLOSING;
    session_stop_minding(session);
    dr_timer_start(&session->timer, session->hub->loop, session->options->close_ms);
    dr_stream_resume(session->stream);
}

void dr_ws_session_reset(struct dr_ws_session *session) {
    dr_assert(session->state != SESSION_NEW);
    if (session->state == SESSION_CLOSED) return;
    session_lose(session, "reset");
}

static void session_take_close(struct dr_ws_session *session, const struct dr_ws_event *event) {
    if (session->state == SESSION_OPEN && !session_put_close(session, event->code, DR_NONE)) {
        session_close_stream(session, true);
    } else {
        session_enter_ending(session);
    }
    session_tell_ended(session, event->code, event->bytes);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void session_answer_ping(struct dr_ws_session *session, dr_slice payload) {
    if (!session_has_room(session, dr_ws_session_pending(session),
                          payload.len + DR_WS_HEAD_BYTES_MAX)) {
        session_break(session, DR_WS_CLOSE_POLICY, "too much waits that is not read");
        return;
    }
    if (!session_put(session, DR_WS_OPCODE_PONG, &payload, 1)) {
        session_lose(session, "no memory to send");
    }
}

static void session_refuse(struct dr_ws_session *session, const struct dr_ws_event *event) {
    if (session->state == SESSION_OPEN) {
        session_break(session, event->code, event->bytes.data);
    } else {
        session_owe_ended(session, event->code, event->bytes.data);
        session_enter_ending(session);
    }
}

static bool session_take_event(struct dr_ws_session *session, enum dr_ws_progress progress,
                               const struct dr_ws_event *event) {
    const bool is_open = session->state == SESSION_OPEN;
    switch (progress) {
    case DR_WS_NEED_MORE: return false;
    case DR_WS_MESSAGE:
        session->has_message = true;
        if (is_open) session->events->message(session->owner, event->bytes, event->is_binary);
        return true;
    case DR_WS_PING:
        if (is_open) session_answer_ping(session, event->bytes);
        return true;
    case DR_WS_PONG: return true; /* whatever it answers, it is a sign of life */
    case DR_WS_CLOSE: session_take_close(session, event); return false;
    case DR_WS_FAILED: session_refuse(session, event); return false;
    }
    return false;
}

/* The time of what is unfinished counts from its first byte, so from the read that brought it. */
static void session_mind_message(struct dr_ws_session *session) {
    if (dr_ws_reader_is_at_rest(&session->reader)) {
        dr_timer_stop(&session->message_timer);
    } else if (session->has_message || !dr_timer_is_running(&session->message_timer)) {
        dr_timer_start(&session->message_timer, session->hub->loop, session->options->message_ms);
    }
}

static void session_read(struct dr_ws_session *session, dr_slice bytes) {
    bool goes_on = true;
    session->is_reading = true;
    session->has_message = false;
    while (goes_on && (session->state == SESSION_OPEN || session->state == SESSION_CLOSING)) {
        struct dr_ws_event event = {.bytes = DR_NONE};
        const enum dr_ws_progress progress = dr_ws_read(&session->reader, &bytes, &event);
        goes_on = session_take_event(session, progress, &event);
    }
    session->is_reading = false;
    if (session->state > SESSION_CLOSING) dr_ws_reader_clear(&session->reader);
    if (session->state == SESSION_OPEN) session_mind_message(session);
}

static void session_received(void *owner, dr_slice bytes) {
    struct dr_ws_session *session = owner;
    session->unanswered_pings = 0;
    session_read(session, bytes);
}

static void session_ended(void *owner) {
    struct dr_ws_session *session = owner;
    session->has_ended = true;
    if (session->state == SESSION_ENDING) {
        dr_deferred_queue(&session->flush, session->hub->loop);
        return;
    }
    session_close_stream(session, false);
    session_tell_ended(session, DR_WS_CLOSE_LOST,
                       DR_LIT("the connection ended without a close frame"));
}

static void session_failed(void *owner, const struct dr_error *error) {
    struct dr_ws_session *session = owner;
    session_close_stream(session, false);
    session_tell_ended(session, DR_WS_CLOSE_LOST, dr_slice_text(error->text));
}

static void session_drained(void *owner) {
    struct dr_ws_session *session = owner;
    if (session->state == SESSION_ENDING) {
        dr_deferred_queue(&session->flush, session->hub->loop);
        return;
    }
    /* A rest was left, which several flushes of one turn may have made larger than any send saw;
     * who paused for it has to hear that it is gone. */
    session->was_full = true;
    session_mind_drained(session);
}

static void session_closed(void *owner) {
    struct dr_ws_session *session = owner;
    dr_assert(session->state == SESSION_CLOSED);
    dr_deferred_cancel(&session->flush);
    session_tell_owed(session);
    dr_assert(session->is_told);
    session_delete(session);
    session->events->closed(session->owner);
    dr_free(session);
}

static const struct dr_stream_events session_stream_events = {
    .received = session_received,
    .ended = session_ended,
    .failed = session_failed,
    .drained = session_drained,
    .closed = session_closed,
};

void dr_ws_session_start(struct dr_ws_session *session, struct dr_stream *stream,
                         dr_slice first_bytes) {
    dr_assert(session->state == SESSION_NEW);
    session->stream = stream;
    session->state = SESSION_OPEN;
    dr_stream_set_owner(stream, &session_stream_events, session);
    dr_stream_set_pending_max(stream, SIZE_MAX / 2); /* send_bytes_max bounds it */
    dr_stream_resume(stream);
    dr_timer_start(&session->timer, session->hub->loop, session->options->ping_ms);
    if (first_bytes.len > 0) session_read(session, first_bytes);
}

void dr_ws_session_set_budget(struct dr_ws_session *session, struct dr_ws_budget *budget) {
    dr_ws_reader_set_budget(&session->reader, budget);
}

void dr_ws_session_pause(struct dr_ws_session *session) {
    if (session->state == SESSION_OPEN) dr_stream_pause(session->stream);
}

void dr_ws_session_resume(struct dr_ws_session *session) {
    if (session->state == SESSION_OPEN) dr_stream_resume(session->stream);
}

bool dr_ws_session_is_open(const struct dr_ws_session *session) {
    return session->state == SESSION_OPEN;
}

struct dr_stream *dr_ws_session_stream(struct dr_ws_session *session) {
    return session->stream;
}

size_t dr_ws_session_bytes(void) {
    return sizeof(struct dr_ws_session);
}

/* --- timers ----------------------------------------------------------------------------------- */

static void session_ping(struct dr_ws_session *session) {
    const bool is_deaf = dr_stream_is_paused(session->stream);
    if (session->unanswered_pings >= UNANSWERED_PINGS_MAX && !is_deaf) {
        session_break(session, DR_WS_CLOSE_POLICY, "two pings were not answered");
        return;
    }
    if (!is_deaf) session->unanswered_pings++;
    dr_timer_start(&session->timer, session->hub->loop, session->options->ping_ms);
    /* A peer that does not read what waits already needs no further ping. */
    if (!session_has_room(session, dr_ws_session_pending(session), DR_WS_HEAD_BYTES_MAX)) return;
    if (!session_put(session, DR_WS_OPCODE_PING, NULL, 0)) {
        session_lose(session, "no memory to send");
    }
}

static void session_timed_out(void *owner) {
    struct dr_ws_session *session = owner;
    if (session->state == SESSION_OPEN) {
        session_ping(session);
        return;
    }
    session_owe_ended(session, DR_WS_CLOSE_LOST, "no close frame came in time");
    session_close_stream(session, dr_ws_session_pending(session) > 0);
}

/* A stall is seen at the second look: nothing has gone since the first. */
static void session_stalled(void *owner) {
    struct dr_ws_session *session = owner;
    dr_stream_flush(session->stream); /* so that what was written in this turn is counted */
    const size_t pending = dr_stream_pending(session->stream);
    const uint64_t taken = session->written - pending;
    session->minds_stall = false;
    if (session->state != SESSION_OPEN || pending == 0) return;
    const bool moves = !session->waited || taken > session->taken;
    if (moves || (session->events->stalled && session->events->stalled(session->owner, pending))) {
        session_mind_stall(session);
        session->waited = true;
        session->taken = taken;
        return;
    }
    if (session->state != SESSION_OPEN) return; /* the owner has closed it */
    session_break(session, DR_WS_CLOSE_POLICY, "what was sent is not read");
}

/* What we did not read is not held against the peer. */
static void session_message_late(void *owner) {
    struct dr_ws_session *session = owner;
    if (dr_stream_is_paused(session->stream)) {
        dr_timer_start(&session->message_timer, session->hub->loop, session->options->message_ms);
        return;
    }
    session_break(session, DR_WS_CLOSE_POLICY, "a message did not come whole in time");
}
