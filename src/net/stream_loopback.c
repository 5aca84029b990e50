/* Two ends of a pipe in memory, for tests: every byte moves in a deferred call, in a fixed order,
 * so that a run can be repeated exactly. Must behave as a TCP connection does, as far as the owner
 * can see. */
#include "net/stream.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "net/stream_private.h"

#include <errno.h>
#include <stdio.h>

struct stream_loopback {
    struct dr_stream base;
    struct dr_loop *loop;
    struct stream_loopback *peer; /* NULL once it has closed */
    size_t capacity;
    struct dr_buf incoming; /* at most `capacity`: what the system would hold */
    struct dr_buf waiting;  /* to the peer, beyond its capacity */
    bool peer_has_finished;
    bool is_drain_due;
    struct dr_deferred deferred;
};

static const struct dr_stream_kind loopback_kind;

static struct stream_loopback *loopback_of(struct dr_stream *stream) {
    dr_assert_slow(stream->kind == &loopback_kind);
    return (struct stream_loopback *)(void *)stream;
}

static void loopback_wake(struct stream_loopback *end) {
    if (end) dr_deferred_queue(&end->deferred, end->loop);
}

/* Moves what waits into the peer as far as it has room. */
static void waiting_move(struct stream_loopback *end) {
    struct stream_loopback *peer = end->peer;
    if (!peer || peer->base.is_closing) {
        dr_buf_clear(&end->waiting);
        return;
    }
    if (end->waiting.len > 0) {
        const dr_slice moved =
            dr_slice_first(dr_buf_slice(&end->waiting), peer->capacity - peer->incoming.len);
        dr_buf_put(&peer->incoming, moved);
        if (!dr_buf_status(&peer->incoming)) dr_buf_consume(&end->waiting, moved.len);
    }
    if (end->waiting.len == 0) {
        if (end->base.is_finished) peer->peer_has_finished = true;
        if (end->is_drain_due) loopback_wake(end);
    }
    loopback_wake(peer);
}

static void failure_tell(struct stream_loopback *end) {
    struct dr_error error;
    const int code = end->base.failure;
    end->base.failure = 0;
    (void)dr_fail(&error, DR_CLOSED, code, "%s",
                  code == EPIPE ? "broken pipe" : "connection reset by peer");
    dr_stream_tell_failed(&end->base, &error);
}

/* One piece at a time; more is left to the next round, so that both ends take turns. */
static void piece_deliver(struct stream_loopback *end) {
    char *buffer = dr_loop_read_buffer(end->loop);
    const dr_slice piece = dr_slice_first(dr_buf_slice(&end->incoming), DR_LOOP_READ_BYTES);
    memcpy(buffer, piece.data, piece.len);
    dr_buf_consume(&end->incoming, piece.len);
    if (end->incoming.len == 0) dr_buf_clear(&end->incoming);
    if (end->peer && end->peer->waiting.len > 0) waiting_move(end->peer);
    loopback_wake(end);
    dr_stream_tell_received(&end->base, dr_slice_of(buffer, piece.len));
}

static void loopback_ran(void *owner) {
    struct stream_loopback *end = owner;
    if (end->base.is_closing) {
        if (end->peer) end->peer->peer = NULL;
        dr_stream_tell_closed(&end->base);
        dr_buf_clear(&end->incoming);
        dr_buf_clear(&end->waiting);
        dr_free(end);
        return;
    }
    if (end->base.failure) {
        failure_tell(end);
        return;
    }
    if (end->is_drain_due && end->waiting.len == 0) {
        end->is_drain_due = false;
        loopback_wake(end);
        dr_stream_tell_drained(&end->base);
        return;
    }
    if (end->base.is_gathering) end->base.is_gathering = false;
    if (end->base.is_paused || end->base.is_failed) return;
    if (end->incoming.len > 0) {
        piece_deliver(end);
    } else if (end->peer_has_finished) {
        dr_stream_tell_ended(&end->base);
    }
}

static enum dr_status loopback_write(struct dr_stream *stream, const dr_slice *parts,
                                     size_t part_count) {
    struct stream_loopback *end = loopback_of(stream);
    if (!end->peer || end->peer->base.is_closing) {
        stream->is_failed = true;
        stream->failure = EPIPE;
        loopback_wake(end);
        return DR_CLOSED;
    }
    size_t len = 0;
    for (size_t i = 0; i < part_count; i++) len += parts[i].len;
    const size_t room = end->waiting.len > 0 ? 0 : end->peer->capacity - end->peer->incoming.len;
    if (len > room && end->waiting.len + (len - room) > stream->pending_max) return DR_TOO_LARGE;
    for (size_t i = 0; i < part_count; i++) dr_buf_put(&end->waiting, parts[i]);
    if (dr_buf_status(&end->waiting)) return DR_NO_MEMORY;
    if (len > 0) waiting_move(end);
    if (end->waiting.len > 0) end->is_drain_due = true;
    return DR_OK;
}

static size_t loopback_pending(const struct dr_stream *stream) {
    return ((const struct stream_loopback *)(const void *)stream)->waiting.len;
}

static void loopback_pause(struct dr_stream *stream) {
    (void)stream; /* the flag is all there is */
}

static void loopback_resume(struct dr_stream *stream) {
    loopback_wake(loopback_of(stream));
}

static void loopback_gather(struct dr_stream *stream) {
    struct stream_loopback *end = loopback_of(stream);
    if (stream->is_gathering) return;
    stream->is_gathering = true;
    dr_deferred_cancel(&end->deferred);
    dr_loop_gather(end->loop, &end->deferred);
}

static void loopback_finish(struct dr_stream *stream) {
    waiting_move(loopback_of(stream));
}

static void loopback_close(struct dr_stream *stream, bool is_reset) {
    struct stream_loopback *end = loopback_of(stream);
    struct stream_loopback *peer = end->peer;
    dr_deferred_cancel(&end->deferred); /* it may sit in the gathering list */
    loopback_wake(end);
    if (!peer || peer->base.is_closing || peer->base.is_failed) return;
    if (is_reset) {
        dr_buf_clear(&peer->incoming);
        peer->base.is_failed = true;
        peer->base.failure = ECONNRESET;
    } else {
        peer->peer_has_finished = true;
    }
    dr_buf_clear(&peer->waiting);
    loopback_wake(peer);
}

static struct dr_loop *loopback_loop(const struct dr_stream *stream) {
    return ((const struct stream_loopback *)(const void *)stream)->loop;
}

static void loopback_peer_text(const struct dr_stream *stream, char text[DR_ADDRESS_TEXT_BYTES]) {
    (void)stream;
    (void)snprintf(text, DR_ADDRESS_TEXT_BYTES, "memory");
}

static const struct dr_stream_kind loopback_kind = {
    .write = loopback_write,
    .pending = loopback_pending,
    .pause = loopback_pause,
    .resume = loopback_resume,
    .gather = loopback_gather,
    .finish = loopback_finish,
    .close = loopback_close,
    .loop = loopback_loop,
    .peer_text = loopback_peer_text,
    .is_tls = false,
};

static struct stream_loopback *end_new(struct dr_loop *loop, size_t capacity) {
    struct stream_loopback *end = dr_alloc_zero(1, sizeof(*end));
    if (!end) return NULL;
    dr_stream_init(&end->base, &loopback_kind);
    end->loop = loop;
    end->capacity = capacity;
    dr_buf_init(&end->incoming, capacity);
    dr_buf_init(&end->waiting, SIZE_MAX / 2);
    dr_deferred_init(&end->deferred, end, loopback_ran);
    return end;
}

enum dr_status dr_stream_pair(struct dr_loop *loop, size_t capacity, struct dr_stream **ret_a,
                              struct dr_stream **ret_b, struct dr_error *error) {
    dr_assert(capacity > 0);
    struct stream_loopback *a = end_new(loop, capacity);
    struct stream_loopback *b = end_new(loop, capacity);
    if (!a || !b) {
        dr_free(a);
        dr_free(b);
        return dr_fail(error, DR_NO_MEMORY, 0, "no memory for a pipe");
    }
    a->peer = b;
    b->peer = a;
    *ret_a = &a->base;
    *ret_b = &b->base;
    return DR_OK;
}
