/* Echoes WebSocket messages. Must not know accounts, models or exchanges. */
#include "gateway/ws_echo.h"

#include "base/alloc.h"
#include "gateway/http_front.h"
#include "gateway/worker.h"
#include "gateway/ws_visit.h"
#include "net/ws_session.h"

/* Outside suites send up to 16 MiB, and 4 MiB in frames of 64 bytes. */
static const struct dr_ws_session_options echo_options = {
    .limits =
        {
            .frame_bytes_max = 16 * 1024 * 1024,
            .message_bytes_max = 16 * 1024 * 1024,
            .fragments_max = 131072,
            .takes_binary = true,
        },
    .send_high_bytes = 1024 * 1024,
    .send_bytes_max = 64 * 1024 * 1024,
    .ping_ms = 25000,
    .stall_ms = 30000,
    .message_ms = 300000,
    .close_ms = 3000,
};

struct ws_echo {
    struct worker *worker;
    struct dr_ws_session *session;
};

/* --- the session
 * -------------------------------------------------------------------------------- */

static void echo_message(void *owner, dr_slice bytes, bool is_binary) {
    const struct ws_echo *echo = owner;
    /* What can't be sent ends the session, which `closed` tells. */
    if (is_binary) {
        (void)dr_ws_session_send_binary(echo->session, &bytes, 1);
    } else {
        (void)dr_ws_session_send_text(echo->session, &bytes, 1);
    }
    if (dr_ws_session_is_full(echo->session)) dr_ws_session_pause(echo->session);
}

static void echo_drained(void *owner) {
    const struct ws_echo *echo = owner;
    dr_ws_session_resume(echo->session);
}

static void echo_ended(void *owner, uint16_t code, dr_slice reason) {
    (void)owner;
    (void)code;
    (void)reason; /* nothing runs on its behalf */
}

static void echo_closed(void *owner) {
    struct ws_echo *echo = owner;
    struct worker *worker = echo->worker;
    dr_free(echo);
    dr_listener_note_closed(worker->listener);
    worker_note_idle(worker);
}

static const struct dr_ws_session_events echo_events = {
    .message = echo_message,
    .drained = echo_drained,
    .ended = echo_ended,
    .closed = echo_closed,
};

static void echo_taken(void *owner, struct dr_stream *stream, dr_slice rest) {
    const struct ws_echo *echo = owner;
    dr_ws_session_start(echo->session, stream, rest);
}

void route_ws_echo(const struct http_visit *visit) {
    struct worker *worker = visit->worker;
    if (!worker->edition->snapshot->config->has_ws_echo || worker->is_draining) {
        const struct refusal refusal =
            refusal_of(worker->is_draining ? REFUSAL_DRAINING : REFUSAL_NOT_FOUND);
        http_visit_refuse(visit, &refusal);
        return;
    }
    if (!ws_visit_check(visit)) return;
    struct ws_echo *echo = dr_alloc_zero(1, sizeof *echo);
    if (echo) {
        echo->worker = worker;
        echo->session =
            dr_ws_session_new(worker->ws, DR_WS_SERVER, &echo_options, &echo_events, echo);
    }
    if (!echo || !echo->session) {
        const struct refusal refusal = refusal_of(REFUSAL_INTERNAL_ERROR);
        dr_free(echo);
        http_visit_refuse(visit, &refusal);
        return;
    }
    ws_visit_accept(visit, DR_NONE, echo, echo_taken);
}
