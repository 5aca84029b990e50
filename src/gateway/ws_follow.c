/* Frames from records to connections. Must not know exchanges. */
#include "gateway/ws_follow.h"

#include "base/alloc.h"
#include "base/json.h"
#include "gateway/worker.h"
#include "gateway/ws_answer.h"
#include "net/ws_session.h"

static bool follow_take(void *owner, uint64_t seq, dr_slice tail) {
    const struct ws_follow *follow = owner;
    struct dr_ws_session *session = ws_connection_session(follow->connection);
    ws_session_send_frame(session, follow->id_json, seq, tail);
    return !dr_ws_session_is_full(session);
}

void ws_follow_pump(struct ws_follow *follow) {
    if (dr_ws_session_is_full(ws_connection_session(follow->connection))) return;
    switch (replay_read(&follow->follower, follow, follow_take)) {
    case REPLAY_WAITS: return;
    case REPLAY_IS_MOVED: ws_connection_send_moved(follow->connection, follow->id_json); break;
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
    struct worker *worker = follow->worker;
    dr_list_remove(&follow->node);
    replay_leave(&follow->follower);
    worker->lookup_count--;
    worker_note_idle(worker);
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
    struct ws_follow *follow = dr_alloc_zero(1, sizeof *follow + id.len + json->len);
    if (!follow) return DR_NO_MEMORY;
    follow->follower.mailbox = worker->mailbox;
    follow->follower.told = follow_told;
    follow->connection = connection;
    follow->worker = worker;
    if (id.len > 0) memcpy(follow->texts, id.data, id.len);
    memcpy(follow->texts + id.len, json->data, json->len);
    follow->id = dr_slice_of(follow->texts, id.len);
    follow->id_json = dr_slice_of(follow->texts + id.len, json->len);
    const enum dr_status status = replay_follow(worker->replays, request_id, account_id, after,
                                                dr_loop_now(worker->loop), &follow->follower);
    if (status) {
        dr_free(follow);
        return status;
    }
    dr_list_put_last(follows, &follow->node);
    worker->lookup_count++; /* a draining worker waits for it */
    ws_follow_pump(follow);
    return DR_OK;
}
