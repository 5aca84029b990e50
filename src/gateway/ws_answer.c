/* Answers that outlive their connections: what becomes of one that is lost, moved, or left again.
 * Must not know frames in, nor what frames out say. */
#include "gateway/ws_answer.h"

#include "base/alloc.h"
#include "base/utf8.h"
#include "gateway/exchange.h"
#include "gateway/ws_connection.h"
#include "gateway/ws_frame.h"

_Static_assert(offsetof(struct ws_answer, begin_text) + WS_BEGIN_BYTES_SHORT <=
                   2 * DR_CACHE_LINE_BYTES,
               "short ids too");

static void answer_told(void *owner, unsigned facts);

void ws_answer_end_turn(struct ws_answer *answer, enum chat_turn_end end) {
    struct worker *worker = answer->worker;
    if (!answer->turn) return;
    chat_turn_end(answer->turn, end, &worker->frame, dr_loop_now(worker->loop));
    answer->turn = NULL;
}

static void answer_close_replay(struct ws_answer *answer, bool is_over) {
    if (!answer->pen.replay) return;
    replay_close(&answer->pen, is_over, dr_loop_now(answer->worker->loop));
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

/* Where a line of the cache begins, so that what stands first in it takes no line more. */
static struct ws_answer *take_place(struct dr_arena *arena) {
    char *place = dr_arena_alloc_zero(arena, sizeof(struct ws_answer) + DR_CACHE_LINE_BYTES);
    if (!place) return NULL;
    return (struct ws_answer *)(void *)(place + (-(uintptr_t)place & (DR_CACHE_LINE_BYTES - 1)));
}

/* `id` as of ws_answer_new. */
static bool answer_keep_id(struct ws_answer *answer, const dr_slice *id) {
    struct exchange *exchange = answer->exchange;
    struct dr_buf *json = &exchange->worker->frame;
    answer->id = answer->request_id;
    if (id && id->data && !dr_arena_copy(&exchange->arena, *id, &answer->id)) return false;
    dr_buf_reset(json);
    ws_frame_put_begin(json, id ? answer->id : DR_NONE);
    if (dr_buf_status(json)) return false;
    if (json->len > sizeof answer->begin_text) {
        return dr_arena_copy(&exchange->arena, dr_buf_slice(json), &answer->begin);
    }
    memcpy(answer->begin_text, json->data, json->len);
    answer->begin = dr_slice_of(answer->begin_text, json->len);
    return true;
}

struct ws_answer *ws_answer_new(struct exchange *exchange, const dr_slice *id) {
    struct ws_answer *answer = take_place(&exchange->arena);
    if (!answer) return NULL;
    answer->exchange = exchange;
    answer->worker = exchange->worker;
    answer->request_id = dr_slice_of(exchange->request_id, REQUEST_ID_BYTES);
    dr_timer_init(&answer->lost_timer, answer, answer_lost_for_long);
    return answer_keep_id(answer, id) ? answer : NULL;
}

void ws_answer_note_model(struct ws_answer *answer, dr_slice model) {
    struct exchange *exchange = answer->exchange;
    (void)!dr_arena_copy(&exchange->arena, dr_utf8_first(model, WS_MODEL_BYTES_MAX),
                         &exchange->prompt.model);
}

void ws_answer_refuse(struct ws_answer *answer, const struct refusal *refusal) {
    struct exchange *exchange = answer->exchange;
    exchange->has_body = true;
    exchange->is_unfit = true;
    exchange->refusal = *refusal;
    (void)!dr_arena_copy(&exchange->arena, refusal->message, &exchange->refusal.message);
}

bool ws_answer_is_heard(const struct ws_answer *answer) {
    return answer->session || (answer->pen.replay && replay_is_followed(&answer->pen));
}

void ws_answer_record(struct ws_answer *answer) {
    const struct exchange *exchange = answer->exchange;
    struct worker *worker = exchange->worker;
    const struct replay_writer writer = {worker->mailbox, answer_told, answer};
    const int64_t resume_ms = exchange->edition->snapshot->config->resume_ms;
    if (resume_ms == 0) return;
    /* Without memory for it the answer can't be resumed, that is all. */
    (void)!replay_open(&answer->pen, worker->replays, answer->request_id,
                       exchange->key->key.account_id, resume_ms, &writer);
}

static bool may_be_resumed(const struct ws_answer *answer) {
    return answer->pen.replay && replay_is_kept(&answer->pen);
}

/* Nobody listens now: whoever does not come back in time has lost it. */
void ws_answer_mind_loss(struct ws_answer *answer) {
    const struct exchange *exchange = answer->exchange;
    const bool may_return = may_be_resumed(answer);
    const int64_t resume_ms = exchange->edition->snapshot->config->resume_ms;
    if (ws_answer_is_heard(answer)) return;
    if (may_return && dr_timer_is_running(&answer->lost_timer)) return;
    dr_timer_start(&answer->lost_timer, exchange->worker->loop, may_return ? resume_ms : 0);
}

static void answer_leave_connection(struct ws_answer *answer) {
    ws_connection_drop_answer(answer->connection, answer);
    answer->connection = NULL;
    answer->session = NULL;
}

void ws_answer_lose(struct ws_answer *answer) {
    answer_leave_connection(answer);
    if (!ws_answer_is_heard(answer) && !may_be_resumed(answer)) {
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
            ws_connection_send_moved(answer->connection, answer->id);
            answer_leave_connection(answer);
        }
    }
    ws_answer_mind_loss(answer);
    if (facts & REPLAY_CANCEL) {
        exchange_cancel(answer->exchange);
    } else {
        exchange_note_drained(answer->exchange);
    }
}
