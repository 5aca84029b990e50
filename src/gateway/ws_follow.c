/* Frames from records to connections. Must not know exchanges. */
#include "gateway/ws_follow.h"

#include "base/alloc.h"
#include "base/json.h"
#include "gateway/worker.h"
#include "gateway/ws_answer.h"
#include "net/ws_session.h"

static bool follow_take(void *owner, uint64_t seq, dr_slice tail) {
    struct ws_follow *follow = owner;
    struct dr_ws_session *session = ws_connection_session(follow->connection);
    ws_session_send_frame(session, follow->id_json, seq, tail);
    follow->seq = seq;
    return !dr_ws_session_is_full(session);
}

static void follow_send_refusal(struct ws_follow *follow, const struct refusal *refusal) {
    struct dr_ws_session *session = ws_connection_session(follow->connection);
    struct dr_buf *tail = &follow->worker->frame;
    dr_buf_reset(tail);
    ws_put_refusal_tail(tail, refusal, follow->request_id);
    if (dr_buf_status(tail) == DR_OK) {
        ws_session_send_frame(session, follow->id_json, follow->seq + 1, dr_buf_slice(tail));
    } else {
        dr_ws_session_reset(session);
    }
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
    case REPLAY_IS_MOVED: ws_connection_send_moved(follow->connection, follow->id_json); break;
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

enum dr_status ws_follow_open(struct ws_connection *connection, struct worker *worker,
                              struct dr_list *follows, dr_slice account_id, dr_slice request_id,
                              uint64_t after, dr_slice id) {
    /* Records of event streams, whose names are longer, hold no frames. */
    if (request_id.len != REQUEST_ID_BYTES) return DR_CLOSED;
    struct dr_buf *json = &worker->frame;
    dr_buf_reset(json);
    dr_json_put_string(json, id);
    if (dr_buf_status(json) != DR_OK) return DR_NO_MEMORY;
    struct ws_follow *follow =
        dr_alloc_zero(1, sizeof *follow + id.len + json->len + request_id.len);
    if (!follow) return DR_NO_MEMORY;
    follow->follower.mailbox = worker->mailbox;
    follow->follower.told = follow_told;
    follow->connection = connection;
    follow->worker = worker;
    if (id.len > 0) memcpy(follow->texts, id.data, id.len);
    memcpy(follow->texts + id.len, json->data, json->len);
    follow->id = dr_slice_of(follow->texts, id.len);
    follow->id_json = dr_slice_of(follow->texts + id.len, json->len);
    memcpy(follow->texts + id.len + json->len, request_id.data, request_id.len);
    follow->request_id = dr_slice_of(follow->texts + id.len + json->len, request_id.len);
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
