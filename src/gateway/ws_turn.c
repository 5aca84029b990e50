/* What an ask over a WebSocket gives its exchange to read, and when: with a session, in its turn
 * and behind what the session keeps. Must not judge the ask, nor know what else its connection has
 * under way. */
#include "gateway/ws_turn.h"

#include "gateway/exchange.h"
#include "gateway/pipeline.h"
#include "gateway/ws_answer.h"
#include "gateway/ws_ask.h"
#include "gateway/ws_connection.h"

static void refuse_for(struct ws_answer *answer, enum refusal_reason reason) {
    const struct refusal refusal = refusal_of(reason);
    ws_answer_refuse(answer, &refusal);
}

/* The body with what the session keeps before the new messages. */
static void give_body(struct ws_answer *answer, const struct ws_ask *ask) {
    struct exchange *exchange = answer->exchange;
    const struct config *config = exchange->edition->snapshot->config;
    struct chat_turn *turn = answer->turn;
    dr_slice before = DR_NONE;
    if (turn) {
        before = session_messages(turn->hold);
        turn->asked = ws_ask_messages(ask);
        if (session_is_full(turn->hold) ||
            before.len + turn->asked.len > config->session_bytes_max) {
            const struct refusal refusal =
                refusal_saying(REFUSAL_REQUEST_TOO_LARGE, DR_LIT("session"),
                               DR_LIT("The session has become too long. Begin another one."));
            ws_answer_refuse(answer, &refusal);
            return;
        }
        if (turn->asked.len > 0 && !dr_arena_copy(&exchange->arena, turn->asked, &turn->asked)) {
            refuse_for(answer, REFUSAL_INTERNAL_ERROR);
            return;
        }
    }
    exchange->has_body = true;
    const bool is_written =
        before.len > 0 ? ws_ask_write_joined(ask, before, &exchange->arena, &exchange->body)
                       : ws_ask_write_body(ask, &exchange->arena, &exchange->body);
    if (!is_written) {
        refuse_for(answer, REFUSAL_REQUEST_TOO_LARGE);
    } else if (before.len == 0 && dr_json_is_within_limit(ask->reader, exchange->body)) {
        exchange->body_root = ask->root;
        exchange->body_shift = WS_ASK_SHIFT;
    }
}

/* The session's turn has come: the ask is read once more. */
static void turn_granted(void *owner) {
    struct ws_answer *answer = owner;
    struct exchange *exchange = answer->exchange;
    struct ws_ask ask = {.reader = exchange->worker->json, .text = dr_buf_slice(&answer->ask)};
    if (dr_json_read(exchange->worker->json, ask.text, WS_TURN_DEPTH_MAX, &ask.root, NULL) ==
        DR_OK) {
        give_body(answer, &ask);
    } else {
        refuse_for(answer, REFUSAL_INTERNAL_ERROR);
    }
    ws_connection_drop_ask(answer->connection, answer);
    pipeline_run(exchange);
}

/* The ask is kept until then. All that wait on a connection may take as much as one message. */
static void await_turn(struct ws_answer *answer, const struct ws_ask *ask) {
    ws_answer_note_model(answer, dr_json_text(dr_json_member(ask->root, DR_LIT("model"))));
    const enum dr_status status = ws_connection_keep_ask(answer->connection, answer, ask->text);
    if (status == DR_OK) return;
    if (status == DR_TOO_LARGE) {
        const struct refusal refusal =
            refusal_saying(REFUSAL_RATE_LIMIT_EXCEEDED, DR_NONE,
                           DR_LIT("Too much waits on this connection for its sessions' turns. Wait "
                                  "for one to end, or open another connection."));
        ws_answer_refuse(answer, &refusal);
    } else {
        refuse_for(answer, REFUSAL_INTERNAL_ERROR);
    }
}

/* False when there is no turn to be had, for reasons that the refusal tells. */
static bool take_turn(struct ws_answer *answer, dr_slice account_id, dr_slice name,
                      bool *ret_is_held, struct refusal *refusal) {
    struct exchange *exchange = answer->exchange;
    struct worker *worker = exchange->worker;
    const struct config *config = exchange->edition->snapshot->config;
    const struct session_limits limits = {
        .per_account_max = config->sessions_per_account_max,
        .bytes_max = config->session_bytes_max,
        .idle_ms = config->session_idle_ms,
    };
    struct chat_turn *turn = dr_arena_alloc_zero(&exchange->arena, sizeof *turn);
    *refusal = refusal_of(REFUSAL_INTERNAL_ERROR);
    if (!turn) return false;
    turn->hold =
        session_take(worker->sessions, account_id, name, &limits, dr_loop_now(worker->loop),
                     worker->mailbox, turn_granted, answer, ret_is_held);
    if (!turn->hold) {
        *refusal =
            refusal_saying(REFUSAL_RATE_LIMIT_EXCEEDED, DR_NONE,
                           DR_LIT("All sessions of the account are in use. Wait for one to end."));
        return false;
    }
    chat_turn_init(turn, &exchange->arena, limits.bytes_max);
    answer->turn = turn;
    return true;
}

void ws_turn_take(struct ws_answer *answer, const struct ws_ask *ask) {
    struct exchange *exchange = answer->exchange;
    const dr_slice name = dr_json_text(dr_json_member(ask->root, DR_LIT("session")));
    const struct key_table_row *row = key_table_find(exchange->edition->keys, exchange->key_digest);
    struct refusal refusal = {0};
    bool is_held = true;
    if (name.len > 0 && row && !take_turn(answer, row->key.account_id, name, &is_held, &refusal)) {
        ws_answer_refuse(answer, &refusal);
    } else if (is_held) {
        give_body(answer, ask);
    } else {
        await_turn(answer, ask);
    }
}
