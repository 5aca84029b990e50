/* The verbs every stream has, whatever carries its bytes: checks the state that is common and hands
 * on to the kind. Must not know a socket, nor OpenSSL. */
#include "net/stream.h"

#include "base/assert.h"
#include "net/stream_private.h"

void dr_stream_init(struct dr_stream *stream, const struct dr_stream_kind *kind) {
    *stream = (struct dr_stream){.kind = kind, .pending_max = DR_STREAM_PENDING_MAX};
}

enum dr_status dr_stream_connect(struct dr_loop *loop, const struct sockaddr *address,
                                 struct dr_tls_client *tls, const char *server_name,
                                 const struct dr_stream_events *events, void *owner,
                                 struct dr_stream **ret_stream, struct dr_error *error) {
    dr_assert(events);
    if (!tls) return dr_stream_tcp_connect(loop, address, events, owner, ret_stream, error);
    dr_assert(server_name);
    struct dr_stream *inner;
    const enum dr_status status = dr_stream_tcp_connect(loop, address, NULL, NULL, &inner, error);
    if (status) return status;
    return dr_stream_tls_connect(inner, tls, server_name, events, owner, ret_stream, error);
}

void dr_stream_set_owner(struct dr_stream *stream, const struct dr_stream_events *events,
                         void *owner) {
    dr_assert(events);
    stream->events = events;
    stream->owner = owner;
}

/* `failed` has come, or will. */
static bool is_broken(const struct dr_stream *stream) {
    return stream->is_failed || stream->failure;
}

enum dr_status dr_stream_write(struct dr_stream *stream, const dr_slice *parts, size_t part_count) {
    if (is_broken(stream) || stream->is_closing || stream->is_finished) return DR_CLOSED;
    return stream->kind->write(stream, parts, part_count);
}

size_t dr_stream_pending(const struct dr_stream *stream) {
    return stream->is_closing ? 0 : stream->kind->pending(stream);
}

void dr_stream_flush(struct dr_stream *stream) {
    if (stream->kind->flush && !stream->is_closing) stream->kind->flush(stream);
}

void dr_stream_set_pending_max(struct dr_stream *stream, size_t bytes) {
    stream->pending_max = bytes;
}

void dr_stream_pause(struct dr_stream *stream) {
    if (stream->is_paused || stream->is_closing) return;
    stream->is_paused = true;
    stream->kind->pause(stream);
}

void dr_stream_resume(struct dr_stream *stream) {
    if (!stream->is_paused || stream->is_closing) return;
    stream->is_paused = false;
    stream->kind->resume(stream);
}

bool dr_stream_is_paused(const struct dr_stream *stream) {
    return stream->is_paused;
}

void dr_stream_gather(struct dr_stream *stream) {
    if (stream->is_paused || stream->is_closing || is_broken(stream) || stream->is_ended) return;
    stream->kind->gather(stream);
}

void dr_stream_expect(struct dr_stream *stream, const void *const *places, uint32_t count) {
    stream->places = places;
    stream->place_count = count;
}

void dr_stream_finish(struct dr_stream *stream) {
    if (stream->is_finished || stream->is_closing || stream->is_failed) return;
    stream->is_finished = true;
    stream->kind->finish(stream);
}

static void stream_close(struct dr_stream *stream, bool is_reset) {
    if (stream->is_closing) return;
    stream->is_closing = true;
    stream->kind->close(stream, is_reset);
}

void dr_stream_close(struct dr_stream *stream) {
    stream_close(stream, false);
}

void dr_stream_reset(struct dr_stream *stream) {
    stream_close(stream, true);
}

struct dr_loop *dr_stream_loop(const struct dr_stream *stream) {
    return stream->kind->loop(stream);
}

bool dr_stream_is_tls(const struct dr_stream *stream) {
    return stream->kind->is_tls;
}

void dr_stream_peer_text(const struct dr_stream *stream, char text[DR_ADDRESS_TEXT_BYTES]) {
    stream->kind->peer_text(stream, text);
}

/* ---- facts, from the kinds */

static bool may_tell(const struct dr_stream *stream) {
    return stream->events && !stream->is_closing && !stream->is_failed;
}

void dr_stream_tell_opened(struct dr_stream *stream) {
    if (may_tell(stream) && stream->events->opened) stream->events->opened(stream->owner);
}

void dr_stream_tell_received(struct dr_stream *stream, dr_slice bytes) {
    if (may_tell(stream)) stream->events->received(stream->owner, bytes);
}

void dr_stream_tell_ended(struct dr_stream *stream) {
    if (stream->is_ended) return;
    stream->is_ended = true;
    if (may_tell(stream) && stream->events->ended) stream->events->ended(stream->owner);
}

void dr_stream_tell_hung_up(struct dr_stream *stream) {
    if (may_tell(stream) && stream->events->hung_up) stream->events->hung_up(stream->owner);
}

void dr_stream_tell_drained(struct dr_stream *stream) {
    if (may_tell(stream) && stream->events->drained) stream->events->drained(stream->owner);
}

void dr_stream_tell_failed(struct dr_stream *stream, const struct dr_error *error) {
    stream->is_failed = true;
    if (stream->is_closing || !stream->events) return;
    stream->events->failed(stream->owner, error);
}

void dr_stream_tell_closed(struct dr_stream *stream) {
    if (stream->events && stream->events->closed) stream->events->closed(stream->owner);
}
