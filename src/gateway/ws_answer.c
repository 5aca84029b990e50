/* Answers that outlive their connections: what becomes of one that is lost, moved, or left again.
 * Must not know frames in, nor what frames out say. */
#include "gateway/ws_answer.h"

#include "gateway/exchange.h"

static void answer_told(void *owner, unsigned facts);

void ws_answer_end_turn(struct ws_answer *answer, enum chat_turn_end end) {
    struct worker *worker = answer->exchange->worker;
    if (!answer->turn) return;
    chat_turn_end(answer->turn, end, &worker->frame, dr_loop_now(worker->loop));
    answer->turn = NULL;
}

static void answer_close_replay(struct ws_answer *answer, bool is_over) {
    if (!answer->replay) return;
    replay_close(answer->replay, is_over, dr_loop_now(answer->exchange->worker->loop));
    answer->replay = NULL;
}

/* Nobody will ever hear it. The exchange settles, and the answer is gone. */
static void answer_abandon(struct ws_answer *answer) {
    struct exchange *exchange = answer->exchange;
    dr_timer_stop(&answer->lost_timer);
    ws_answer_end_turn(answer, CHAT_TURN_CUT);
    answer_close_replay(answer, false);
    exchange_note_gone(exchange);
}

static void answer_lost_for_long(void *owner) {
    struct ws_answer *answer = owner;
    if (ws_answer_is_heard(answer)) return;
    answer_abandon(answer);
}

void ws_answer_init(struct ws_answer *answer, struct exchange *exchange) {
    answer->exchange = exchange;
    answer->request_id = dr_slice_of(exchange->request_id, REQUEST_ID_BYTES);
    dr_timer_init(&answer->lost_timer, answer, answer_lost_for_long);
}

bool ws_answer_is_heard(const struct ws_answer *answer) {
    return answer->connection || (answer->replay && replay_is_followed(answer->replay));
}

void ws_answer_record(struct ws_answer *answer) {
    const struct exchange *exchange = answer->exchange;
    struct worker *worker = exchange->worker;
    const struct replay_writer writer = {worker->mailbox, answer_told, answer};
    const int64_t resume_ms = exchange->edition->snapshot->config->resume_ms;
    if (resume_ms == 0) return;
    /* Without memory for it the answer can't be resumed, that is all. */
    answer->replay = replay_open(worker->replays, answer->request_id, exchange->key->key.account_id,
                                 resume_ms, &writer, dr_loop_now(worker->loop));
}

/* Nobody listens now: whoever does not come back in time has lost it. */
void ws_answer_mind_loss(struct ws_answer *answer) {
    const struct exchange *exchange = answer->exchange;
    const bool may_return = answer->replay && replay_is_kept(answer->replay);
    const int64_t resume_ms = exchange->edition->snapshot->config->resume_ms;
    if (ws_answer_is_heard(answer)) return;
    if (may_return && dr_timer_is_running(&answer->lost_timer)) return;
    dr_timer_start(&answer->lost_timer, exchange->worker->loop, may_return ? resume_ms : 0);
}

void ws_answer_lose(struct ws_answer *answer) {
    ws_connection_drop_answer(answer->connection, answer);
    answer->connection = NULL;
    if (!ws_answer_is_heard(answer) && !(answer->replay && replay_is_kept(answer->replay))) {
        answer_abandon(answer);
        return;
    }
    ws_answer_mind_loss(answer);
    exchange_note_drained(answer->exchange); /* what waited for the connection does no more */
}

void ws_answer_over(struct ws_answer *answer, enum chat_turn_end end) {
    dr_timer_stop(&answer->lost_timer);
    ws_answer_end_turn(answer, end);
    answer_close_replay(answer, true);
    if (answer->connection) ws_connection_drop_answer(answer->connection, answer);
}

/* What the thread of the follower had to say. */
static void answer_told(void *owner, unsigned facts) {
    struct ws_answer *answer = owner;
    if (facts & REPLAY_MOVED) {
        dr_timer_stop(&answer->lost_timer);
        if (answer->connection) {
            ws_connection_send_moved(answer->connection, answer->id_json);
            ws_connection_drop_answer(answer->connection, answer);
            answer->connection = NULL;
        }
    }
    ws_answer_mind_loss(answer);
    if (facts & REPLAY_CANCEL) {
        exchange_cancel(answer->exchange);
    } else {
        exchange_note_drained(answer->exchange);
    }
}
