/* Frames from records to connections. Must not know exchanges. */
#include "gateway/ws_follow.h"

#include "base/alloc.h"
#include "gateway/worker.h"
#include "gateway/ws_connection.h"
#include "gateway/ws_frame.h"
#include "net/ws_session.h"

/* `rest` is what stands behind the id. */
static void follow_send(struct ws_follow *follow, dr_slice rest) {
    const dr_slice parts[] = {follow->begin, rest};
    struct dr_ws_session *session = ws_connection_session(follow->connection);
    (void)dr_ws_session_send_text(session, parts, sizeof parts / sizeof parts[0]);
    follow->seq++;
}

/* Under another id a row may be several times as long. */
static uint32_t follow_take(void *owner, const struct replay_row *row) {
    struct ws_follow *follow = owner;
    const struct dr_ws_session *session = ws_connection_session(follow->connection);
    dr_slice frames = row->frames;
    dr_slice rest;
    uint32_t done = 0;
    while (done < row->skipped && ws_frame_next(&frames, &rest)) done++;
    while (!dr_ws_session_is_full(session) && ws_frame_next(&frames, &rest)) {
        follow_send(follow, rest);
        done++;
    }
    return done;
}

static void follow_send_refusal(struct ws_follow *follow, const struct refusal *refusal) {
    struct dr_buf *frame = &follow->worker->frame;
    dr_buf_reset(frame);
    ws_frame_put_refusal(frame, follow->id, follow->seq + 1, refusal, follow->request_id);
    ws_connection_send(follow->connection, frame);
}

/* What is missing must not look like an end. */
static void follow_tell_lost(struct ws_follow *follow) {
    const struct refusal refusal = refusal_of_lost();
    follow_send_refusal(follow, &refusal);
}

void ws_follow_pump(struct ws_follow *follow) {
    if (dr_ws_session_is_full(ws_connection_session(follow->connection))) return;
    switch (replay_read(&follow->follower, follow, follow_take)) {
    case REPLAY_WAITS: return;
    case REPLAY_IS_MOVED: ws_connection_send_moved(follow->connection, follow->id); break;
    case REPLAY_LOST: follow_tell_lost(follow); break;
    case REPLAY_ENDED: break;
    }
    ws_follow_close(follow);
}

static void follow_told(struct replay_follower *follower) {
    ws_follow_pump(dr_list_item(follower, struct ws_follow, follower));
}

void ws_follow_cancel(struct ws_follow *follow) {
    replay_ask_cancel(&follow->follower);
}

void ws_follow_close(struct ws_follow *follow) {
    dr_list_remove(&follow->node);
    worker_drop_follow(follow->worker, &follow->follow);
    replay_leave(&follow->follower);
}

static void follow_cut(void *owner) {
    struct ws_follow *follow = owner;
    const struct refusal refusal = refusal_of(REFUSAL_DRAINING);
    follow_send_refusal(follow, &refusal);
    ws_follow_close(follow);
}

/* A copy in the follow's own memory. */
static dr_slice keep(char **at, dr_slice text) {
    const dr_slice kept = dr_slice_of(*at, text.len);
    if (text.len > 0) memcpy(*at, text.data, text.len);
    *at += text.len;
    return kept;
}

enum dr_status ws_follow_open(struct ws_connection *connection, struct dr_list *follows,
                              dr_slice account_id, dr_slice request_id, uint64_t after,
                              dr_slice id) {
    /* Records of event streams, whose names are longer, hold no frames. */
    if (request_id.len != REQUEST_ID_BYTES) return DR_CLOSED;
    struct worker *worker = ws_connection_worker(connection);
    struct dr_buf *begin = &worker->frame;
    dr_buf_reset(begin);
    ws_frame_put_id(begin, id);
    if (dr_buf_status(begin) != DR_OK) return DR_NO_MEMORY;
    struct ws_follow *follow =
        dr_alloc_zero(1, sizeof *follow + id.len + begin->len + request_id.len);
    if (!follow) return DR_NO_MEMORY;
    follow->follower.mailbox = worker->mailbox;
    follow->follower.told = follow_told;
    follow->connection = connection;
    follow->worker = worker;
    char *at = follow->texts;
    follow->id = keep(&at, id);
    follow->begin = keep(&at, dr_buf_slice(begin));
    follow->request_id = keep(&at, request_id);
    follow->seq = after;
    const enum dr_status status = replay_follow(worker->replays, request_id, account_id, after,
                                                dr_loop_now(worker->loop), &follow->follower);
    if (status) {
        dr_free(follow);
        return status;
    }
    dr_list_put_last(follows, &follow->node);
    follow->follow = (struct worker_follow){.cut = follow_cut, .owner = follow};
    worker_add_follow(worker, &follow->follow);
    ws_follow_pump(follow);
    return DR_OK;
}
