/* WebSocket connections that chat: whose they are, what is under way on them, how they end. Must
 * not read what comes, nor know what answers say. */
#include "gateway/ws_connection.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "gateway/authenticate.h"
#include "gateway/exchange.h"
#include "gateway/ws_answer.h"
#include "gateway/ws_follow.h"
#include "gateway/ws_frame.h"
#include "gateway/ws_message.h"
#include "net/ws_session.h"

enum {
    AUTH_MS = 10000, /* for the first frame that brings a key */
    PING_MS = 25000,
    CLOSE_MS = 5000,
    CLOSE_KEY = 4401,
    FRAGMENTS_MAX = 131072,
    /* An unfinished message of a connection without a key may take so much, and all of a worker's
     * together so many of the largest beside it. */
    STRANGER_BYTES = 16 * 1024,
    STRANGER_MESSAGES = 2,
    PIECE_BYTES_MAX = DR_LOOP_READ_BYTES, /* of one answer in one turn */
};

struct ws_connection {
    struct worker *worker;
    struct dr_ws_session *session;
    struct dr_list answers; /* running */
    uint32_t answer_count;
    size_t waiting_bytes;   /* of asks that wait for their session's turn */
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

static struct ws_answer *connection_find_answer(struct ws_connection *connection, dr_slice id) {
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

bool ws_connection_uses(struct ws_connection *connection, dr_slice id) {
    return connection_find_answer(connection, id) || connection_find_follow(connection, id);
}

bool ws_connection_is_busy(const struct ws_connection *connection) {
    const struct config *config = connection->worker->edition->snapshot->config;
    size_t count = connection->answer_count;
    for (const struct dr_list *node = connection->follows.next; node != &connection->follows;
         node = node->next) {
        count++;
    }
    return count >= config->ws_requests_max;
}

/* What an end may be told under: not the id of an answer under way, whose end it would seem to
 * be. */
static dr_slice unused_id(struct ws_connection *connection, dr_slice id) {
    return id.data && ws_connection_uses(connection, id) ? DR_NONE : id;
}

struct ws_answer *ws_connection_open_answer(struct ws_connection *connection, const dr_slice *id) {
    const dr_slice name = id ? unused_id(connection, *id) : DR_NONE;
    struct exchange *exchange = exchange_open(connection->worker, &downstream_ws, NULL);
    struct ws_answer *answer = exchange ? ws_answer_new(exchange, id ? &name : NULL) : NULL;
    if (!answer) {
        /* Nothing has begun but the exchange itself, which passes through settle as all do. */
        const struct refusal failed = refusal_of(REFUSAL_INTERNAL_ERROR);
        ws_connection_send_refusal(connection, id, &failed);
        if (exchange) exchange_note_gone(exchange);
        return NULL;
    }
    answer->connection = connection;
    answer->session = connection->session;
    dr_list_put_last(&connection->answers, &answer->node);
    connection->answer_count++;
    if (name.data) exchange->client_id = answer->id;
    exchange->downstream.answer = answer;
    exchange->key_digest = &connection->key_digest;
    exchange->has_json_body = true;
    exchange->prompt.is_streamed = true; /* also of one that ends before it is read */
    return answer;
}

void ws_connection_drop_answer(struct ws_connection *connection, struct ws_answer *answer) {
    ws_connection_drop_ask(connection, answer);
    dr_list_remove(&answer->node);
    connection->answer_count--;
}

enum dr_status ws_connection_keep_ask(struct ws_connection *connection, struct ws_answer *answer,
                                      dr_slice text) {
    const size_t most = answer->exchange->edition->snapshot->config->ws_message_bytes_max;
    const size_t waiting = connection->waiting_bytes;
    if (waiting > 0 && waiting + text.len > most) return DR_TOO_LARGE;
    dr_buf_init(&answer->ask, text.len);
    dr_buf_put(&answer->ask, text);
    if (dr_buf_status(&answer->ask)) return DR_NO_MEMORY;
    connection->waiting_bytes += answer->ask.len;
    return DR_OK;
}

void ws_connection_drop_ask(struct ws_connection *connection, struct ws_answer *answer) {
    connection->waiting_bytes -= answer->ask.len;
    dr_buf_clear(&answer->ask);
}

enum dr_status ws_connection_follow(struct ws_connection *connection, dr_slice account_id,
                                    dr_slice request_id, uint64_t after, dr_slice id) {
    return ws_follow_open(connection, &connection->follows, account_id, request_id, after, id);
}

void ws_connection_cancel(struct ws_connection *connection, dr_slice id) {
    struct ws_answer *answer = id.data ? connection_find_answer(connection, id) : NULL;
    struct ws_follow *follow = id.data ? connection_find_follow(connection, id) : NULL;
    if (answer) exchange_cancel(answer->exchange);
    if (follow) ws_follow_cancel(follow);
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

void ws_connection_send_refusal(struct ws_connection *connection, const dr_slice *id,
                                const struct refusal *refusal) {
    struct worker *worker = connection->worker;
    char made_up[REQUEST_ID_BYTES];
    dr_slice name = id ? unused_id(connection, *id) : DR_NONE;
    if (id && !name.data) {
        worker_take_request_id(worker, made_up);
        name = dr_slice_of(made_up, sizeof made_up);
    }
    worker->counters.refused_early++;
    worker->counters.refusals[refusal->reason]++;
    dr_buf_reset(&worker->frame);
    ws_frame_put_refusal(&worker->frame, name, 1, refusal, DR_NONE);
    ws_connection_send(connection, &worker->frame);
}

void ws_connection_send_moved(struct ws_connection *connection, dr_slice id) {
    struct dr_buf *frame = &connection->worker->frame;
    dr_buf_reset(frame);
    ws_frame_put_moved(frame, id);
    ws_connection_send(connection, frame);
}

/* --- keys
 * --------------------------------------------------------------------------------------- */

bool ws_connection_take_key(struct ws_connection *connection, dr_slice token,
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

void ws_connection_take_handshake_key(struct ws_connection *connection, dr_slice token) {
    enum refusal_reason reason;
    if (ws_connection_take_key(connection, token, &reason)) return;
    connection->is_refused = true;
    connection->refusal = (uint8_t)reason;
}

void ws_connection_refuse_key(struct ws_connection *connection, const dr_slice *id,
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
    ws_connection_send_refusal(connection, id, &refusal);
    dr_ws_session_close(connection->session, CLOSE_KEY, refusal.code);
}

static void connection_auth_over(void *owner) {
    ws_connection_refuse_key(owner, NULL, REFUSAL_MISSING_API_KEY);
}

/* --- what others may see
 * ------------------------------------------------------------------------ */

struct worker *ws_connection_worker(const struct ws_connection *connection) {
    return connection->worker;
}

struct dr_ws_session *ws_connection_session(struct ws_connection *connection) {
    return connection->session;
}

const struct dr_sha256 *ws_connection_key_digest(const struct ws_connection *connection) {
    return connection->has_key ? &connection->key_digest : NULL;
}

dr_slice ws_connection_sim_fault(const struct ws_connection *connection) {
    return dr_slice_of(connection->sim_fault, connection->sim_fault_len);
}

/* --- life
 * --------------------------------------------------------------------------------------- */

static void connection_message(void *owner, dr_slice text, bool is_binary) {
    struct ws_connection *connection = owner;
    dr_assert(!is_binary); /* the session's limits take none */
    if (!connection->is_refused) ws_message_take(connection, text);
}

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

struct ws_connection *ws_connection_new(struct worker *worker, dr_slice sim_fault) {
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

void ws_connection_taken(void *owner, struct dr_stream *stream, dr_slice rest) {
    struct ws_connection *connection = owner;
    const bool is_refused = connection->is_refused;
    if (!connection->has_key && !is_refused) {
        dr_timer_start(&connection->auth_timer, connection->worker->loop, AUTH_MS);
    }
    dr_ws_session_start(connection->session, stream, rest);
    if (is_refused) {
        ws_connection_refuse_key(connection, NULL, (enum refusal_reason)connection->refusal);
    }
}
