/* WebSocket connections that chat: who speaks, what their frames ask for. Must not know what an
 * exchange does with an ask, nor how its answer looks. */
#include "gateway/ws_front.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/utf8.h"
#include "gateway/authenticate.h"
#include "gateway/exchange.h"
#include "gateway/http_front.h"
#include "gateway/pipeline.h"
#include "gateway/ws_answer.h"
#include "gateway/ws_ask.h"
#include "gateway/ws_follow.h"
#include "gateway/ws_frame.h"
#include "gateway/ws_visit.h"
#include "net/ws_handshake.h"
#include "net/ws_session.h"

enum {
    AUTH_MS = 10000, /* for the first frame that brings a key */
    PING_MS = 25000,
    CLOSE_MS = 5000,
    CLOSE_KEY = 4401,
    ID_CHARACTERS_MAX = 64,
    FRAGMENTS_MAX = 131072,
    DEPTH_MAX = 128, /* as of an HTTP body */
    SESSION_NAME_BYTES_MAX = 256,
    SIM_FAULT_BYTES_MAX = 1024,
    /* An unfinished message of a connection without a key may take so much, and all of a worker's
     * together so many of the largest beside it. */
    STRANGER_BYTES = 16 * 1024,
    STRANGER_MESSAGES = 2,
    PIECE_BYTES_MAX = DR_LOOP_READ_BYTES, /* of one answer in one turn */
};

/* What a client said. */
struct ws_frame {
    dr_json root; /* an object */
    dr_slice text;
    dr_slice type;
    dr_slice id; /* DR_NONE when it has none, or none that may be one */
    bool has_fit_id;
    bool is_ask;
};

struct ws_connection {
    struct worker *worker;
    struct dr_ws_session *session;
    struct dr_list answers; /* running */
    uint32_t answer_count;
    size_t waiting_bytes;   /* of frames that wait for their session's turn */
    struct dr_list follows; /* resumed here */
    bool has_key;           /* one has been accepted */
    bool is_refused;        /* one was not: nothing is taken any more */
    uint8_t refusal;        /* enum refusal_reason: of the handshake's key, with is_refused */
    struct dr_sha256 key_digest;
    struct dr_timer auth_timer;
    size_t sim_fault_len;
    char sim_fault[]; /* demo only: of the handshake, holds for all asks */
};

/* --- what is under way
 * -------------------------------------------------------------------------- */

static struct ws_answer *connection_find(struct ws_connection *connection, dr_slice id) {
    for (struct dr_list *node = connection->answers.next; node != &connection->answers;
         node = node->next) {
        struct ws_answer *answer = dr_list_item(node, struct ws_answer, node);
        if (dr_slice_is(answer->id, id)) return answer;
    }
    return NULL;
}

static struct ws_follow *connection_find_follow(struct ws_connection *connection, dr_slice id) {
    for (struct dr_list *node = connection->follows.next; node != &connection->follows;
         node = node->next) {
        struct ws_follow *follow = dr_list_item(node, struct ws_follow, node);
        if (dr_slice_is(follow->id, id)) return follow;
    }
    return NULL;
}

static bool connection_uses(struct ws_connection *connection, dr_slice id) {
    return connection_find(connection, id) || connection_find_follow(connection, id);
}

/* --- frames out
 * --------------------------------------------------------------------------------- */

void ws_connection_send(struct ws_connection *connection, const struct dr_buf *frame) {
    const dr_slice text = dr_buf_slice(frame);
    if (dr_buf_status(frame) == DR_OK) {
        (void)dr_ws_session_send_text(connection->session, &text, 1);
    } else {
        dr_ws_session_reset(connection->session);
    }
}

/* What a refusal may be told under: not what an answer under way has, whose end it would seem to
 * be. */
static dr_slice refusal_id(struct ws_connection *connection, dr_slice id) {
    return id.data && connection_uses(connection, id) ? DR_NONE : id;
}

static dr_slice make_up_id(struct worker *worker, char text[REQUEST_ID_BYTES]) {
    uint8_t random[16];
    dr_entropy_take(&worker->entropy, random, sizeof random);
    request_id_write(dr_loop_wall(worker->loop), random, text);
    return dr_slice_of(text, REQUEST_ID_BYTES);
}

/* An error that is no exchange's. `id` is NULL where no frame could be read, and DR_NONE where it
 * had none: then one is made up. */
static void connection_send_refusal(struct ws_connection *connection, const dr_slice *id,
                                    const struct refusal *refusal) {
    struct worker *worker = connection->worker;
    char made_up[REQUEST_ID_BYTES];
    dr_slice name = id ? refusal_id(connection, *id) : DR_NONE;
    if (id && !name.data) name = make_up_id(worker, made_up);
    worker->counters.refused_early++;
    worker->counters.refusals[refusal->reason]++;
    dr_buf_reset(&worker->frame);
    ws_frame_put_refusal(&worker->frame, name, 1, refusal, DR_NONE);
    ws_connection_send(connection, &worker->frame);
}

/* One error frame, then the end: what speaks here has no key. */
static void connection_refuse_key(struct ws_connection *connection, const dr_slice *id,
                                  enum refusal_reason reason) {
    struct refusal refusal = refusal_of(reason);
    if (reason == REFUSAL_MISSING_API_KEY) {
        refusal.message = DR_LIT("No API key was given. Send it in the header 'Authorization: "
                                 "Bearer KEY', as the subprotocol drover.key.KEY, in a first frame "
                                 "{\"type\":\"auth\",\"api_key\":KEY}, or as api_key in the first "
                                 "request.");
    }
    connection->is_refused = true;
    dr_timer_stop(&connection->auth_timer);
    connection_send_refusal(connection, id, &refusal);
    dr_ws_session_close(connection->session, CLOSE_KEY, refusal.code);
}

static void connection_auth_over(void *owner) {
    connection_refuse_key(owner, NULL, REFUSAL_MISSING_API_KEY);
}

static struct refusal refusal_saying(enum refusal_reason reason, dr_slice param, dr_slice message) {
    struct refusal refusal = refusal_of(reason);
    refusal.param = param;
    refusal.message = message;
    return refusal;
}

/* --- keys
 * --------------------------------------------------------------------------------------- */

/* False when it was refused, with `*ret_reason`. */
static bool connection_take_key(struct ws_connection *connection, dr_slice token,
                                enum refusal_reason *ret_reason) {
    struct worker *worker = connection->worker;
    const struct key_table_row *row;
    if (!identify_token(worker->edition->keys, token, dr_loop_wall(worker->loop), &row,
                        ret_reason)) {
        return false;
    }
    connection->key_digest = dr_sha256(token);
    connection->has_key = true;
    dr_ws_session_set_budget(connection->session, NULL);
    dr_timer_stop(&connection->auth_timer);
    return true;
}

/* --- answers
 * ------------------------------------------------------------------------------------ */

static struct ws_answer *answer_new(struct ws_connection *connection, struct exchange *exchange,
                                    const dr_slice *id) {
    struct ws_answer *answer = ws_answer_new(exchange, id);
    if (!answer) return NULL;
    answer->connection = connection;
    answer->session = connection->session;
    dr_list_put_last(&connection->answers, &answer->node);
    connection->answer_count++;
    return answer;
}

/* Its frame need not wait any more. */
static void answer_drop_frame(struct ws_answer *answer) {
    answer->connection->waiting_bytes -= answer->frame.len;
    dr_buf_clear(&answer->frame);
}

void ws_connection_drop_answer(struct ws_connection *connection, struct ws_answer *answer) {
    answer_drop_frame(answer);
    dr_list_remove(&answer->node);
    connection->answer_count--;
}

struct dr_ws_session *ws_connection_session(struct ws_connection *connection) {
    return connection->session;
}

void ws_connection_send_moved(struct ws_connection *connection, dr_slice id) {
    struct dr_buf *frame = &connection->worker->frame;
    dr_buf_reset(frame);
    ws_frame_put_moved(frame, id);
    ws_connection_send(connection, frame);
}

/* Asked here or resumed here. */
static bool connection_is_busy(const struct ws_connection *connection) {
    const struct config *config = connection->worker->edition->snapshot->config;
    size_t count = connection->answer_count;
    for (const struct dr_list *node = connection->follows.next; node != &connection->follows;
         node = node->next) {
        count++;
    }
    return count >= config->ws_requests_max;
}

static struct refusal refusal_of_busy(void) {
    struct refusal refusal = refusal_of(REFUSAL_RATE_LIMIT_EXCEEDED);
    refusal.message = DR_LIT("Too many requests are in flight on this connection. Wait for one to "
                             "end, or open another connection.");
    return refusal;
}

/* Lent by the worker's scratch buffer. */
static struct refusal refusal_of_used_id(struct worker *worker, dr_slice id) {
    struct dr_buf *text = &worker->body;
    dr_buf_reset(text);
    dr_buf_format(text,
                  "The id '%.*s' is that of an answer still under way. Use another one. This "
                  "refusal has an id made up, so that it does not look like that answer's end.",
                  DR_FMT(id));
    return refusal_saying(REFUSAL_INVALID_REQUEST, DR_LIT("id"), dr_buf_slice(text));
}

/* What is wrong with an ask that can be seen without its prompt. */
static bool ask_is_fit(struct ws_connection *connection, const struct ws_frame *frame,
                       struct refusal *refusal) {
    const struct config *config = connection->worker->edition->snapshot->config;
    const dr_json session = dr_json_member(frame->root, DR_LIT("session"));
    if (frame->id.data && connection_uses(connection, frame->id)) {
        *refusal = refusal_of_used_id(connection->worker, frame->id);
    } else if (session && !dr_json_is(session, DR_JSON_NULL) &&
               (dr_json_text(session).len == 0 ||
                dr_json_text(session).len > SESSION_NAME_BYTES_MAX)) {
        *refusal = refusal_saying(REFUSAL_INVALID_REQUEST, DR_LIT("session"),
                                  DR_LIT("'session' must be a string of 1 to 256 bytes."));
    } else if (frame->text.len > config->body_bytes_max) {
        *refusal = refusal_of(REFUSAL_REQUEST_TOO_LARGE);
    } else if (connection_is_busy(connection)) {
        *refusal = refusal_of_busy();
    } else {
        return true;
    }
    return false;
}

/* --- sessions
 * ----------------------------------------------------------------------------------- */

static void answer_refuse(struct ws_answer *answer, struct refusal refusal) {
    struct exchange *exchange = answer->exchange;
    exchange->has_body = true;
    exchange->is_unfit = true;
    exchange->refusal = refusal;
    (void)!dr_arena_copy(&exchange->arena, refusal.message, &exchange->refusal.message);
}

/* What the books and the end are to tell of an ask that may never be read. */
static void answer_note_model(struct ws_answer *answer, dr_json root) {
    struct exchange *exchange = answer->exchange;
    const dr_slice model = dr_json_text(dr_json_member(root, DR_LIT("model")));
    (void)!dr_arena_copy(&exchange->arena, dr_utf8_first(model, WS_MODEL_BYTES_MAX),
                         &exchange->prompt.model);
}

/* The body with what the session keeps before the new messages. */
static void answer_give_body(struct ws_answer *answer, const struct ws_ask *ask) {
    struct exchange *exchange = answer->exchange;
    const struct config *config = exchange->edition->snapshot->config;
    struct chat_turn *turn = answer->turn;
    dr_slice before = DR_NONE;
    if (turn) {
        before = session_messages(turn->hold);
        turn->asked = ws_ask_messages(ask);
        if (session_is_full(turn->hold) ||
            before.len + turn->asked.len > config->session_bytes_max) {
            struct refusal refusal =
                refusal_saying(REFUSAL_REQUEST_TOO_LARGE, DR_LIT("session"),
                               DR_LIT("The session has become too long. Begin another one."));
            answer_refuse(answer, refusal);
            return;
        }
        if (turn->asked.len > 0 && !dr_arena_copy(&exchange->arena, turn->asked, &turn->asked)) {
            answer_refuse(answer, refusal_of(REFUSAL_INTERNAL_ERROR));
            return;
        }
    }
    exchange->has_body = true;
    if (!ws_ask_write_body(ask, before, &exchange->arena, &exchange->body)) {
        answer_refuse(answer, refusal_of(REFUSAL_REQUEST_TOO_LARGE));
    }
}

/* The session's turn has come: the frame is read once more. */
static void answer_turn_granted(void *owner) {
    struct ws_answer *answer = owner;
    struct exchange *exchange = answer->exchange;
    struct ws_ask ask = {.reader = exchange->worker->json, .text = dr_buf_slice(&answer->frame)};
    if (dr_json_read(exchange->worker->json, ask.text, DEPTH_MAX, &ask.root, NULL) == DR_OK) {
        answer_give_body(answer, &ask);
    } else {
        answer_refuse(answer, refusal_of(REFUSAL_INTERNAL_ERROR));
    }
    answer_drop_frame(answer);
    pipeline_run(exchange);
}

/* The frame is kept until then. All that wait on a connection may take as much as one message. */
static void answer_await_turn(struct ws_answer *answer, const struct ws_ask *ask) {
    struct ws_connection *connection = answer->connection;
    const size_t most = answer->exchange->edition->snapshot->config->ws_message_bytes_max;
    const size_t waiting = connection->waiting_bytes;
    answer_note_model(answer, ask->root);
    if (waiting > 0 && waiting + ask->text.len > most) {
        struct refusal refusal = refusal_of(REFUSAL_RATE_LIMIT_EXCEEDED);
        refusal.message = DR_LIT("Too much waits on this connection for its sessions' turns. Wait "
                                 "for one to end, or open another connection.");
        answer_refuse(answer, refusal);
        return;
    }
    dr_buf_init(&answer->frame, ask->text.len);
    dr_buf_put(&answer->frame, ask->text);
    if (dr_buf_status(&answer->frame)) {
        answer_refuse(answer, refusal_of(REFUSAL_INTERNAL_ERROR));
        return;
    }
    connection->waiting_bytes += answer->frame.len;
}

/* False when there is no turn to be had, for reasons that the refusal tells. */
static bool answer_take_turn(struct ws_answer *answer, dr_slice account_id, dr_slice name,
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
                     worker->mailbox, answer_turn_granted, answer, ret_is_held);
    if (!turn->hold) {
        *refusal = refusal_of(REFUSAL_RATE_LIMIT_EXCEEDED);
        refusal->message = DR_LIT("All sessions of the account are in use. Wait for one to end.");
        return false;
    }
    chat_turn_init(turn, &exchange->arena, limits.bytes_max);
    answer->turn = turn;
    return true;
}

/* What the exchange is to read, now or when its session's turn comes. */
static void answer_take_ask(struct ws_answer *answer, const struct ws_ask *ask) {
    struct exchange *exchange = answer->exchange;
    const dr_slice name = dr_json_text(dr_json_member(ask->root, DR_LIT("session")));
    const struct key_table_row *row = key_table_find(exchange->edition->keys, exchange->key_digest);
    struct refusal refusal = {0};
    bool is_held = true;
    if (name.len > 0 && row &&
        !answer_take_turn(answer, row->key.account_id, name, &is_held, &refusal)) {
        answer_refuse(answer, refusal);
    } else if (is_held) {
        answer_give_body(answer, ask);
    } else {
        answer_await_turn(answer, ask);
    }
}

/* --- asks
 * --------------------------------------------------------------------------------------- */

/* An exchange and its answer; `id` as in connection_send_refusal. NULL when that has been refused
 * for want of memory. */
static struct ws_answer *connection_open(struct ws_connection *connection, const dr_slice *id) {
    struct exchange *exchange = exchange_open(connection->worker, &downstream_ws, NULL);
    struct ws_answer *answer = exchange ? answer_new(connection, exchange, id) : NULL;
    if (!answer) {
        /* Nothing has begun but the exchange itself, which passes through settle as all do. */
        const struct refusal failed = refusal_of(REFUSAL_INTERNAL_ERROR);
        connection_send_refusal(connection, id, &failed);
        if (exchange) exchange_note_gone(exchange);
        return NULL;
    }
    if (id && id->data) exchange->client_id = answer->id;
    exchange->downstream.answer = answer;
    exchange->key_digest = &connection->key_digest;
    exchange->has_json_body = true;
    exchange->prompt.is_streamed = true; /* also of one that ends before it is read */
    return answer;
}

/* What holds a key and asks what can't be read, or may not be asked, is in the books as over
 * HTTP. */
static void connection_refuse_frame(struct ws_connection *connection, const dr_slice *id,
                                    dr_json root, const struct refusal *refusal) {
    const dr_slice name = id ? refusal_id(connection, *id) : DR_NONE;
    struct ws_answer *answer = connection_open(connection, id ? &name : NULL);
    if (!answer) return;
    answer_note_model(answer, root);
    answer_refuse(answer, *refusal);
    pipeline_run(answer->exchange);
}

static void connection_ask(struct ws_connection *connection, const struct ws_frame *frame) {
    struct refusal refusal = {0};
    if (!ask_is_fit(connection, frame, &refusal)) {
        connection_refuse_frame(connection, &frame->id, frame->root, &refusal);
        return;
    }
    struct ws_answer *answer = connection_open(connection, &frame->id);
    if (!answer) return;
    struct exchange *exchange = answer->exchange;
    const dr_slice fault = dr_slice_of(connection->sim_fault, connection->sim_fault_len);
    if (fault.len > 0 && !dr_arena_copy(&exchange->arena, fault, &exchange->sim_fault)) {
        answer_refuse(answer, refusal_of(REFUSAL_INTERNAL_ERROR));
    } else {
        const struct ws_ask ask = {
            .reader = exchange->worker->json,
            .root = frame->root,
            .text = frame->text,
        };
        answer_take_ask(answer, &ask);
    }
    pipeline_run(exchange);
}

/* --- frames in
 * ---------------------------------------------------------------------------------- */

/* The id of a frame: absent (data NULL), or a string that is not too long. */
static bool read_id(dr_json root, dr_slice *ret_id) {
    const dr_json value = dr_json_member(root, DR_LIT("id"));
    *ret_id = DR_NONE;
    if (!value || dr_json_is(value, DR_JSON_NULL)) return true;
    if (!dr_json_is(value, DR_JSON_STRING)) return false;
    const dr_slice id = dr_json_text(value);
    size_t characters = 0;
    for (size_t i = 0; i < id.len; i++) characters += ((uint8_t)id.data[i] & 0xc0) != 0x80;
    if (characters > ID_CHARACTERS_MAX) return false;
    *ret_id = id;
    return true;
}

static void connection_cancel(struct ws_connection *connection, dr_slice id) {
    struct ws_answer *answer = id.data ? connection_find(connection, id) : NULL;
    struct ws_follow *follow = id.data ? connection_find_follow(connection, id) : NULL;
    if (answer) exchange_cancel(answer->exchange);
    if (follow) ws_follow_cancel(follow);
}

/* The account of the connection's key, which may have been revoked meanwhile. */
static bool connection_account(struct ws_connection *connection, dr_slice *ret_account_id,
                               enum refusal_reason *ret_reason) {
    struct worker *worker = connection->worker;
    const struct key_table_row *row;
    if (!identify_digest(worker->edition->keys, &connection->key_digest, dr_loop_wall(worker->loop),
                         &row, ret_reason)) {
        return false;
    }
    *ret_account_id = row->key.account_id;
    return true;
}

static bool resume_is_fit(struct ws_connection *connection, dr_json root, dr_slice id,
                          uint64_t *ret_after, struct refusal *refusal) {
    const dr_json after = dr_json_member(root, DR_LIT("after"));
    *ret_after = 0;
    if (after && !dr_json_is(after, DR_JSON_NULL) && !dr_json_to_u64(after, ret_after)) {
        *refusal = refusal_saying(REFUSAL_INVALID_REQUEST, DR_LIT("after"),
                                  DR_LIT("'after' must be the number of the last frame that came, "
                                         "0 for none."));
    } else if (connection_uses(connection, id)) {
        *refusal = refusal_of_used_id(connection->worker, id);
    } else if (connection_is_busy(connection)) {
        *refusal = refusal_of_busy();
    } else {
        return true;
    }
    return false;
}

static void connection_resume(struct ws_connection *connection, dr_json root, dr_slice id) {
    const dr_slice request_id = dr_json_text(dr_json_member(root, DR_LIT("request_id")));
    const dr_slice name = id.data ? id : request_id;
    struct refusal refusal = {0};
    enum refusal_reason reason;
    dr_slice account_id;
    uint64_t after;
    if (!connection_account(connection, &account_id, &reason)) {
        refusal = refusal_of(reason);
    } else if (resume_is_fit(connection, root, name, &after, &refusal)) {
        const enum dr_status status =
            ws_follow_open(connection, connection->worker, &connection->follows, account_id,
                           request_id, after, name);
        if (status == DR_OK) return;
        refusal =
            refusal_of(status == DR_NO_MEMORY ? REFUSAL_INTERNAL_ERROR : REFUSAL_NOT_RESUMABLE);
        if (status == DR_INVALID) {
            refusal = refusal_saying(REFUSAL_INVALID_REQUEST, DR_LIT("after"),
                                     DR_LIT("The answer has not that many frames."));
        }
    }
    connection_send_refusal(connection, &id, &refusal);
}

/* Frames with a `type`, on a connection whose key is known. */
static void connection_take_typed(struct ws_connection *connection, const struct ws_frame *frame) {
    const dr_json root = frame->root;
    const dr_slice type = frame->type;
    if (dr_slice_is(type, DR_LIT("cancel"))) {
        connection_cancel(connection, frame->id);
    } else if (dr_slice_is(type, DR_LIT("ping"))) {
        const dr_slice pong = DR_LIT("{\"type\":\"pong\"}");
        (void)dr_ws_session_send_text(connection->session, &pong, 1);
    } else if (dr_slice_is(type, DR_LIT("auth"))) {
        enum refusal_reason reason;
        const dr_slice token = dr_json_text(dr_json_member(root, DR_LIT("api_key")));
        if (!connection_take_key(connection, token, &reason)) {
            connection_refuse_key(connection, &frame->id, reason);
        }
    } else if (dr_slice_is(type, DR_LIT("resume"))) {
        connection_resume(connection, root, frame->id);
    } else {
        const struct refusal refusal =
            refusal_saying(REFUSAL_INVALID_REQUEST, DR_LIT("type"),
                           DR_LIT("'type' must be auth, cancel, resume or ping; a chat request has "
                                  "none."));
        connection_refuse_frame(connection, &frame->id, root, &refusal);
    }
}

static bool is_given_twice(dr_json root, dr_slice name) {
    struct dr_json_iter members;
    size_t count = 0;
    dr_json_iter_init(&members, root);
    while (dr_json_iter_next(&members)) count += dr_slice_is(dr_json_text(members.name), name);
    return count > 1;
}

/* The first frame must bring a key, and no doubt which, unless the handshake did. */
static bool connection_take_first(struct ws_connection *connection, const struct ws_frame *frame) {
    enum refusal_reason reason = REFUSAL_MISSING_API_KEY;
    dr_slice token = DR_NONE;
    if ((frame->is_ask || dr_slice_is(frame->type, DR_LIT("auth"))) &&
        !is_given_twice(frame->root, DR_LIT("api_key")) &&
        !is_given_twice(frame->root, DR_LIT("type"))) {
        token = dr_json_text(dr_json_member(frame->root, DR_LIT("api_key")));
    }
    if (connection_take_key(connection, token, &reason)) return true;
    connection_refuse_key(connection, &frame->id, reason);
    return false;
}

/* No key, or the one that the connection has. */
static bool has_own_key(const struct ws_connection *connection, const struct ws_frame *frame) {
    const dr_json key = dr_json_member(frame->root, DR_LIT("api_key"));
    if (!key || dr_json_is(key, DR_JSON_NULL)) return true;
    const struct dr_sha256 digest = dr_sha256(dr_json_text(key));
    return memcmp(&digest, &connection->key_digest, sizeof digest) == 0;
}

static bool frame_is_fit(const struct ws_connection *connection, const struct ws_frame *frame,
                         struct refusal *refusal) {
    const bool is_auth = dr_slice_is(frame->type, DR_LIT("auth"));
    dr_slice name;
    if (dr_json_has_duplicate(frame->root, &name)) {
        *refusal = refusal_saying(REFUSAL_INVALID_REQUEST, DR_NONE,
                                  DR_LIT("A member is given twice: leave one of them out."));
    } else if (!frame->has_fit_id) {
        *refusal = refusal_saying(REFUSAL_INVALID_REQUEST, DR_LIT("id"),
                                  DR_LIT("'id' must be a string of at most 64 characters."));
    } else if (!is_auth && !has_own_key(connection, frame)) {
        *refusal = refusal_saying(REFUSAL_INVALID_REQUEST, DR_LIT("api_key"),
                                  DR_LIT("This connection has another key. Leave 'api_key' out, "
                                         "or open a connection of its own for that key."));
    } else {
        return true;
    }
    return false;
}

static void connection_take_object(struct ws_connection *connection, dr_json root, dr_slice text) {
    const dr_json type = dr_json_member(root, DR_LIT("type"));
    struct ws_frame frame = {
        .root = root,
        .text = text,
        .type = dr_json_text(type),
        .is_ask = !type || dr_json_is(type, DR_JSON_NULL),
    };
    struct refusal refusal = {0};
    const bool is_first = !connection->has_key;
    frame.has_fit_id = read_id(root, &frame.id);
    if (is_first && !connection_take_first(connection, &frame)) return;
    if (!frame_is_fit(connection, &frame, &refusal)) {
        connection_refuse_frame(connection, &frame.id, root, &refusal);
    } else if (frame.is_ask) {
        connection_ask(connection, &frame);
    } else if (!is_first) { /* it was nothing but the key */
        connection_take_typed(connection, &frame);
    }
}

/* It is no JSON object. */
static void connection_refuse_text(struct ws_connection *connection, enum dr_status status,
                                   const struct dr_error *error) {
    if (!connection->has_key) {
        connection_refuse_key(connection, NULL, REFUSAL_MISSING_API_KEY);
        return;
    }
    struct refusal refusal = refusal_of(REFUSAL_INTERNAL_ERROR);
    if (status == DR_OK) {
        refusal = refusal_saying(REFUSAL_INVALID_REQUEST, DR_NONE,
                                 DR_LIT("A frame must be one JSON object."));
    } else if (status != DR_NO_MEMORY) {
        refusal =
            refusal_saying(status == DR_INVALID ? REFUSAL_INVALID_JSON : REFUSAL_INVALID_REQUEST,
                           DR_NONE, dr_slice_text(error->text));
    }
    connection_refuse_frame(connection, NULL, NULL, &refusal);
}

static void connection_message(void *owner, dr_slice bytes, bool is_binary) {
    struct ws_connection *connection = owner;
    struct dr_json_reader *json = connection->worker->json;
    struct dr_error error;
    dr_json root;
    dr_assert(!is_binary); /* the session's limits take none */
    if (connection->is_refused) return;
    const enum dr_status status = dr_json_read(json, bytes, DEPTH_MAX, &root, &error);
    if (status == DR_OK && dr_json_is(root, DR_JSON_OBJECT)) {
        connection_take_object(connection, root, bytes);
    } else {
        connection_refuse_text(connection, status, &error);
    }
    dr_json_reader_trim(json); /* of a large one's values nothing is left */
}

/* --- life
 * --------------------------------------------------------------------------------------- */

static void connection_drained(void *owner) {
    struct ws_connection *connection = owner;
    struct dr_list *next;
    for (struct dr_list *node = connection->answers.next; node != &connection->answers;
         node = next) {
        next = node->next;
        exchange_note_drained(dr_list_item(node, struct ws_answer, node)->exchange);
    }
    for (struct dr_list *node = connection->follows.next; node != &connection->follows;
         node = next) {
        next = node->next;
        ws_follow_pump(dr_list_item(node, struct ws_follow, node));
    }
}

static void connection_lose_all(struct ws_connection *connection) {
    while (!dr_list_is_empty(&connection->answers)) {
        ws_answer_lose(dr_list_item(connection->answers.next, struct ws_answer, node));
    }
    while (!dr_list_is_empty(&connection->follows)) {
        ws_follow_close(dr_list_item(connection->follows.next, struct ws_follow, node));
    }
}

static void connection_ended(void *owner, uint16_t code, dr_slice reason) {
    struct ws_connection *connection = owner;
    (void)code;
    (void)reason;
    connection->is_refused = true;
    dr_timer_stop(&connection->auth_timer);
    connection_lose_all(connection);
}

static void connection_closed(void *owner) {
    struct ws_connection *connection = owner;
    struct worker *worker = connection->worker;
    dr_free(connection);
    dr_listener_note_closed(worker->listener);
    worker_note_idle(worker);
}

static const struct dr_ws_session_events connection_events = {
    .message = connection_message,
    .drained = connection_drained,
    .stalled = NULL, /* who takes nothing for so long never will */
    .ended = connection_ended,
    .closed = connection_closed,
};

static void connection_taken(void *owner, struct dr_stream *stream, dr_slice rest) {
    struct ws_connection *connection = owner;
    const bool is_refused = connection->is_refused;
    if (!connection->has_key && !is_refused) {
        dr_timer_start(&connection->auth_timer, connection->worker->loop, AUTH_MS);
    }
    dr_ws_session_start(connection->session, stream, rest);
    if (is_refused) {
        connection_refuse_key(connection, NULL, (enum refusal_reason)connection->refusal);
    }
}

/* --- the handshake
 * ------------------------------------------------------------------------------ */

/* What the subprotocols say: the one that is spoken, and a key. */
static void read_protocols(const struct dr_http1_head *head, dr_slice *ret_spoken,
                           dr_slice *ret_token) {
    static const dr_slice prefixes[] = {{"drover.key.", 11}, {"openai-insecure-api-key.", 24}};
    struct dr_ws_protocols protocols = {0};
    dr_slice protocol;
    *ret_spoken = DR_NONE;
    *ret_token = DR_NONE;
    while (dr_ws_protocols_next(&protocols, head, &protocol)) {
        if (dr_slice_is(protocol, DR_LIT("drover.v1"))) *ret_spoken = protocol;
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
            if (ret_token->data || !dr_slice_starts(protocol, prefixes[i])) continue;
            *ret_token = dr_slice_from(protocol, prefixes[i].len);
        }
    }
}

static bool has_foreign_origin(const struct http_visit *visit) {
    const struct config *config = visit->worker->edition->snapshot->config;
    if (config->cors_origin_count == 0 && !config->allows_loopback_origins) return false;
    return dr_http1_header(visit->head, DR_LIT("origin")).len > 0 && visit->cors_origin.len == 0;
}

static struct dr_ws_session_options options_of(const struct config *config) {
    /* While nobody reads, each answer may bring what it had begun to. */
    const size_t begun = (size_t)config->ws_requests_max * PIECE_BYTES_MAX;
    return (struct dr_ws_session_options){
        .limits =
            {
                .frame_bytes_max = config->ws_message_bytes_max,
                .message_bytes_max = config->ws_message_bytes_max,
                .fragments_max = FRAGMENTS_MAX,
                .takes_binary = false,
            },
        .send_high_bytes = config->ws_send_bytes_max / 16,
        .send_bytes_max = config->ws_send_bytes_max + config->event_bytes_max + begun,
        .ping_ms = PING_MS,
        .stall_ms = config->between_bytes_ms,
        .message_ms = config->request_body_ms,
        .close_ms = CLOSE_MS,
    };
}

static void connection_set_stranger(struct ws_connection *connection) {
    struct dr_ws_budget *budget = &connection->worker->ws_strangers;
    budget->own_bytes = STRANGER_BYTES;
    budget->bytes_max =
        STRANGER_MESSAGES * connection->worker->edition->snapshot->config->ws_message_bytes_max;
    budget->reason = "there is no room for a large message without a key: send the key first";
    dr_ws_session_set_budget(connection->session, budget);
}

static struct ws_connection *connection_new(struct worker *worker, dr_slice sim_fault) {
    struct ws_connection *connection = dr_alloc_zero(1, sizeof *connection + sim_fault.len);
    if (!connection) return NULL;
    worker->ws_options = options_of(worker->edition->snapshot->config);
    connection->worker = worker;
    connection->session = dr_ws_session_new(worker->ws, DR_WS_SERVER, &worker->ws_options,
                                            &connection_events, connection);
    if (!connection->session) {
        dr_free(connection);
        return NULL;
    }
    connection_set_stranger(connection);
    dr_list_init(&connection->answers);
    dr_list_init(&connection->follows);
    dr_timer_init(&connection->auth_timer, connection, connection_auth_over);
    connection->sim_fault_len = sim_fault.len;
    if (sim_fault.len > 0) memcpy(connection->sim_fault, sim_fault.data, sim_fault.len);
    return connection;
}

static void refuse_visit(const struct http_visit *visit, enum refusal_reason reason) {
    const struct refusal refusal = refusal_of(reason);
    http_visit_refuse(visit, &refusal);
}

/* A header's key is judged before the handshake is; other keys after it, since a browser's page
 * could not see why it failed. */
void route_ws_chat(const struct http_visit *visit) {
    struct worker *worker = visit->worker;
    const struct config *config = worker->edition->snapshot->config;
    const dr_slice authorization = dr_http1_header(visit->head, DR_LIT("authorization"));
    const dr_slice fault =
        config->is_demo ? dr_http1_header(visit->head, DR_LIT("x-sim-fault")) : DR_NONE;
    enum refusal_reason reason;
    const struct key_table_row *row;
    dr_slice spoken, token;

    if (!ws_visit_check(visit)) return;
    if (worker->is_draining) {
        refuse_visit(visit, REFUSAL_DRAINING);
        return;
    }
    if (has_foreign_origin(visit)) {
        refuse_visit(visit, REFUSAL_ORIGIN_NOT_ALLOWED);
        return;
    }
    if (authorization.len > 0 && !identify(worker->edition->keys, authorization,
                                           dr_loop_wall(worker->loop), &row, &reason)) {
        refuse_visit(visit, reason);
        return;
    }
    struct ws_connection *connection =
        connection_new(worker, dr_slice_first(fault, SIM_FAULT_BYTES_MAX));
    if (!connection) {
        refuse_visit(visit, REFUSAL_INTERNAL_ERROR);
        return;
    }
    read_protocols(visit->head, &spoken, &token);
    if (authorization.len > 0) token = bearer_token(authorization);
    if (token.data && !connection_take_key(connection, token, &reason)) {
        connection->is_refused = true;
        connection->refusal = (uint8_t)reason;
    }
    ws_visit_accept(visit, spoken, connection, connection_taken);
}
