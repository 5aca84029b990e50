/* For the tests of this folder: an owner of a stream that counts the facts and keeps the bytes. */
#ifndef DR_NET_STREAM_PROBE_H
#define DR_NET_STREAM_PROBE_H

#include "base/assert.h"
#include "base/buf.h"
#include "net/stream.h"

enum { MEBIBYTE = 1024 * 1024 };

struct probe {
    struct dr_stream *stream;
    struct dr_loop *loop;
    struct dr_buf received;
    int pieces;
    int opened;
    int ended;
    int failed;
    int hung_up;
    int drained;
    int closed;
    struct dr_error error;
    bool echoes; /* writes back what comes, pauses while the rest waits */
    bool pauses; /* pauses at each piece */
    bool closes; /* closes when the peer has ended or all failed */
    size_t pending_most;
};

static inline void probe_opened(void *owner) {
    ((struct probe *)owner)->opened++;
}

static inline void probe_received(void *owner, dr_slice bytes) {
    struct probe *probe = owner;
    probe->pieces++;
    dr_buf_put(&probe->received, bytes);
    if (probe->pauses) dr_stream_pause(probe->stream);
    if (!probe->echoes) return;
    (void)!dr_stream_write(probe->stream, &bytes, 1);
    const size_t pending = dr_stream_pending(probe->stream);
    if (pending > probe->pending_most) probe->pending_most = pending;
    if (pending > 0) dr_stream_pause(probe->stream);
}

static inline void probe_ended(void *owner) {
    struct probe *probe = owner;
    probe->ended++;
    if (!probe->closes) return;
    dr_stream_finish(probe->stream);
    if (dr_stream_pending(probe->stream) == 0) dr_stream_close(probe->stream);
}

static inline void probe_failed(void *owner, const struct dr_error *error) {
    struct probe *probe = owner;
    probe->failed++;
    probe->error = *error;
    if (probe->closes) dr_stream_close(probe->stream);
}

static inline void probe_hung_up(void *owner) {
    ((struct probe *)owner)->hung_up++;
}

static inline void probe_drained(void *owner) {
    struct probe *probe = owner;
    probe->drained++;
    if (probe->echoes) dr_stream_resume(probe->stream);
}

static inline void probe_closed(void *owner) {
    struct probe *probe = owner;
    probe->closed++;
    probe->stream = NULL;
}

static const struct dr_stream_events probe_events = {
    .opened = probe_opened,
    .received = probe_received,
    .ended = probe_ended,
    .failed = probe_failed,
    .hung_up = probe_hung_up,
    .drained = probe_drained,
    .closed = probe_closed,
};

static inline enum dr_status say(struct probe *probe, dr_slice text) {
    return dr_stream_write(probe->stream, &text, 1);
}

/* The same bytes each time, without a pattern. */
static inline void noise_fill(char *bytes, size_t len) {
    uint32_t state = 1;
    for (size_t i = 0; i < len; i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = (char)(state >> 24);
    }
}

static inline void probe_init(struct probe *probe, struct dr_loop *loop) {
    *probe = (struct probe){.loop = loop};
    dr_buf_init(&probe->received, 64 * 1024 * 1024);
}

static inline void probe_take(struct probe *probe, struct dr_stream *stream) {
    probe->stream = stream;
    dr_stream_set_owner(stream, &probe_events, probe);
}

/* Closes, waits for `closed`, frees. */
static inline void probe_end(struct probe *probe) {
    if (probe->stream) dr_stream_close(probe->stream);
    for (int i = 0; i < 1000 && probe->stream; i++) dr_loop_run_once(probe->loop, 10);
    dr_assert(!probe->stream);
    dr_buf_clear(&probe->received);
}

/* Runs the loop until `condition` holds; the bound is for a test that would otherwise hang. */
#define RUN_UNTIL(loop, condition) \
    do { \
        for (int turn_ = 0; turn_ < 20000 && !(condition); turn_++) { \
            dr_loop_run_once(loop, 10); \
        } \
        assert_true(condition); \
    } while (0)

#endif
