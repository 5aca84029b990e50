/* What clients' messages ask for. Must not know what an exchange does with an ask, nor how its
 * answer looks. */
#include "gateway/ws_message.h"

#include "base/utf8.h"
#include "gateway/authenticate.h"
#include "gateway/exchange.h"
#include "gateway/pipeline.h"
#include "gateway/ws_answer.h"
#include "gateway/ws_ask.h"
#include "gateway/ws_connection.h"
#include "gateway/ws_turn.h"
#include "net/ws_session.h"

enum { ID_CHARACTERS_MAX = 64, SESSION_NAME_BYTES_MAX = 256 };

/* What a client said. */
struct ws_message {
    dr_json root; /* an object */
    dr_slice text;
    dr_slice type;
    dr_slice id; /* DR_NONE when it has none, or none that may be one */
    bool has_fit_id;
    bool is_ask;
};

/* --- refusals
 * ----------------------------------------------------------------------------------- */

static struct refusal refusal_of_busy(void) {
    return refusal_saying(REFUSAL_RATE_LIMIT_EXCEEDED, DR_NONE,
                          DR_LIT("Too many requests are in flight on this connection. Wait for one "
                                 "to end, or open another connection."));
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

/* What holds a key and asks what can't be read, or may not be asked, is in the books as over
 * HTTP. `id` as of ws_connection_open_answer. */
static void refuse(struct ws_connection *connection, const dr_slice *id, dr_json root,
                   const struct refusal *refusal) {
    struct ws_answer *answer = ws_connection_open_answer(connection, id);
    if (!answer) return;
    ws_answer_note_model(answer, dr_json_text(dr_json_member(root, DR_LIT("model"))));
    ws_answer_refuse(answer, refusal);
    pipeline_run(answer->exchange);
}

/* --- asks
 * --------------------------------------------------------------------------------------- */

/* What is wrong with an ask that can be seen without its prompt. */
static bool ask_is_fit(struct ws_connection *connection, const struct ws_message *message,
                       struct refusal *refusal) {
    const struct config *config = ws_connection_worker(connection)->edition->snapshot->config;
    const dr_json session = dr_json_member(message->root, DR_LIT("session"));
    if (message->id.data && ws_connection_uses(connection, message->id)) {
        *refusal = refusal_of_used_id(ws_connection_worker(connection), message->id);
    } else if (session && !dr_json_is(session, DR_JSON_NULL) &&
               (dr_json_text(session).len == 0 ||
                dr_json_text(session).len > SESSION_NAME_BYTES_MAX)) {
        *refusal = refusal_saying(REFUSAL_INVALID_REQUEST, DR_LIT("session"),
                                  DR_LIT("'session' must be a string of 1 to 256 bytes."));
    } else if (message->text.len > config->body_bytes_max) {
        *refusal = refusal_of(REFUSAL_REQUEST_TOO_LARGE);
    } else if (ws_connection_is_busy(connection)) {
        *refusal = refusal_of_busy();
    } else {
        return true;
    }
    return false;
}

static void take_ask(struct ws_connection *connection, const struct ws_message *message) {
    struct refusal refusal = {0};
    if (!ask_is_fit(connection, message, &refusal)) {
        refuse(connection, &message->id, message->root, &refusal);
        return;
    }
    struct ws_answer *answer = ws_connection_open_answer(connection, &message->id);
    if (!answer) return;
    struct exchange *exchange = answer->exchange;
    const dr_slice fault = ws_connection_sim_fault(connection);
    if (fault.len > 0 && !dr_arena_copy(&exchange->arena, fault, &exchange->sim_fault)) {
        refusal = refusal_of(REFUSAL_INTERNAL_ERROR);
        ws_answer_refuse(answer, &refusal);
    } else {
        const struct ws_ask ask = {
            .reader = exchange->worker->json,
            .root = message->root,
            .text = message->text,
        };
        ws_turn_take(answer, &ask);
    }
    pipeline_run(exchange);
}

/* --- what has a type
 * ---------------------------------------------------------------------------- */

/* The account of the connection's key, which may have been revoked meanwhile. */
static bool find_account(const struct ws_connection *connection, dr_slice *ret_account_id,
                         enum refusal_reason *ret_reason) {
    const struct worker *worker = ws_connection_worker(connection);
    const struct key_table_row *row;
    if (!identify_digest(worker->edition->keys, ws_connection_key_digest(connection),
                         dr_loop_wall(worker->loop), &row, ret_reason)) {
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
    } else if (ws_connection_uses(connection, id)) {
        *refusal = refusal_of_used_id(ws_connection_worker(connection), id);
    } else if (ws_connection_is_busy(connection)) {
        *refusal = refusal_of_busy();
    } else {
        return true;
    }
    return false;
}

static void take_resume(struct ws_connection *connection, dr_json root, dr_slice id) {
    const dr_slice request_id = dr_json_text(dr_json_member(root, DR_LIT("request_id")));
    const dr_slice name = id.data ? id : request_id;
    struct refusal refusal = {0};
    enum refusal_reason reason;
    dr_slice account_id;
    uint64_t after;
    if (!find_account(connection, &account_id, &reason)) {
        refusal = refusal_of(reason);
    } else if (resume_is_fit(connection, root, name, &after, &refusal)) {
        const enum dr_status status =
            ws_connection_follow(connection, account_id, request_id, after, name);
        if (status == DR_OK) return;
        refusal =
            refusal_of(status == DR_NO_MEMORY ? REFUSAL_INTERNAL_ERROR : REFUSAL_NOT_RESUMABLE);
        if (status == DR_INVALID) {
            refusal = refusal_saying(REFUSAL_INVALID_REQUEST, DR_LIT("after"),
                                     DR_LIT("The answer has not that many frames."));
        }
    }
    ws_connection_send_refusal(connection, &id, &refusal);
}

/* What has a `type`, on a connection whose key is known. */
static void take_typed(struct ws_connection *connection, const struct ws_message *message) {
    const dr_json root = message->root;
    const dr_slice type = message->type;
    if (dr_slice_is(type, DR_LIT("cancel"))) {
        ws_connection_cancel(connection, message->id);
    } else if (dr_slice_is(type, DR_LIT("ping"))) {
        const dr_slice pong = DR_LIT("{\"type\":\"pong\"}");
        (void)dr_ws_session_send_text(ws_connection_session(connection), &pong, 1);
    } else if (dr_slice_is(type, DR_LIT("auth"))) {
        enum refusal_reason reason;
        const dr_slice token = dr_json_text(dr_json_member(root, DR_LIT("api_key")));
        if (!ws_connection_take_key(connection, token, &reason)) {
            ws_connection_refuse_key(connection, &message->id, reason);
        }
    } else if (dr_slice_is(type, DR_LIT("resume"))) {
        take_resume(connection, root, message->id);
    } else {
        const struct refusal refusal =
            refusal_saying(REFUSAL_INVALID_REQUEST, DR_LIT("type"),
                           DR_LIT("'type' must be auth, cancel, resume or ping; a chat request has "
                                  "none."));
        refuse(connection, &message->id, root, &refusal);
    }
}

/* --- reading
 * ------------------------------------------------------------------------------------ */

/* The id: absent (data NULL), or a string that is not too long. */
static bool read_id(dr_json root, dr_slice *ret_id) {
    const dr_json value = dr_json_member(root, DR_LIT("id"));
    *ret_id = DR_NONE;
    if (!value || dr_json_is(value, DR_JSON_NULL)) return true;
    if (!dr_json_is(value, DR_JSON_STRING)) return false;
    const dr_slice id = dr_json_text(value);
    if (dr_utf8_count(id) > ID_CHARACTERS_MAX) return false;
    *ret_id = id;
    return true;
}

static bool is_given_twice(dr_json root, dr_slice name) {
    struct dr_json_iter members;
    size_t count = 0;
    dr_json_iter_init(&members, root);
    while (dr_json_iter_next(&members)) count += dr_slice_is(dr_json_text(members.name), name);
    return count > 1;
}

/* The first one must bring a key, and no doubt which, unless the handshake did. */
static bool take_first(struct ws_connection *connection, const struct ws_message *message) {
    enum refusal_reason reason = REFUSAL_MISSING_API_KEY;
    dr_slice token = DR_NONE;
    if ((message->is_ask || dr_slice_is(message->type, DR_LIT("auth"))) &&
        !is_given_twice(message->root, DR_LIT("api_key")) &&
        !is_given_twice(message->root, DR_LIT("type"))) {
        token = dr_json_text(dr_json_member(message->root, DR_LIT("api_key")));
    }
    if (ws_connection_take_key(connection, token, &reason)) return true;
    ws_connection_refuse_key(connection, &message->id, reason);
    return false;
}

/* No key, or the one that the connection has. */
static bool has_own_key(const struct ws_connection *connection, const struct ws_message *message) {
    const dr_json key = dr_json_member(message->root, DR_LIT("api_key"));
    if (!key || dr_json_is(key, DR_JSON_NULL)) return true;
    const struct dr_sha256 digest = dr_sha256(dr_json_text(key));
    return memcmp(&digest, ws_connection_key_digest(connection), sizeof digest) == 0;
}

static bool message_is_fit(const struct ws_connection *connection, const struct ws_message *message,
                           struct refusal *refusal) {
    const bool is_auth = dr_slice_is(message->type, DR_LIT("auth"));
    dr_slice name;
    if (dr_json_has_duplicate(message->root, &name)) {
        *refusal = refusal_saying(REFUSAL_INVALID_REQUEST, DR_NONE,
                                  DR_LIT("A member is given twice: leave one of them out."));
    } else if (!message->has_fit_id) {
        *refusal = refusal_saying(REFUSAL_INVALID_REQUEST, DR_LIT("id"),
                                  DR_LIT("'id' must be a string of at most 64 characters."));
    } else if (!is_auth && !has_own_key(connection, message)) {
        *refusal = refusal_saying(REFUSAL_INVALID_REQUEST, DR_LIT("api_key"),
                                  DR_LIT("This connection has another key. Leave 'api_key' out, "
                                         "or open a connection of its own for that key."));
    } else {
        return true;
    }
    return false;
}

static void take_object(struct ws_connection *connection, dr_json root, dr_slice text) {
    const dr_json type = dr_json_member(root, DR_LIT("type"));
    struct ws_message message = {
        .root = root,
        .text = text,
        .type = dr_json_text(type),
        .is_ask = !type || dr_json_is(type, DR_JSON_NULL),
    };
    struct refusal refusal = {0};
    const bool is_first = !ws_connection_key_digest(connection);
    message.has_fit_id = read_id(root, &message.id);
    if (is_first && !take_first(connection, &message)) return;
    if (!message_is_fit(connection, &message, &refusal)) {
        refuse(connection, &message.id, root, &refusal);
    } else if (message.is_ask) {
        take_ask(connection, &message);
    } else if (!is_first) { /* it was nothing but the key */
        take_typed(connection, &message);
    }
}

/* It is no JSON object. */
static void refuse_text(struct ws_connection *connection, enum dr_status status,
                        const struct dr_error *error) {
    if (!ws_connection_key_digest(connection)) {
        ws_connection_refuse_key(connection, NULL, REFUSAL_MISSING_API_KEY);
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
    refuse(connection, NULL, NULL, &refusal);
}

void ws_message_take(struct ws_connection *connection, dr_slice text) {
    struct dr_json_reader *json = ws_connection_worker(connection)->json;
    struct dr_error error;
    dr_json root;
    const enum dr_status status = dr_json_read(json, text, WS_TURN_DEPTH_MAX, &root, &error);
    if (status == DR_OK && dr_json_is(root, DR_JSON_OBJECT)) {
        take_object(connection, root, text);
    } else {
        refuse_text(connection, status, &error);
    }
    dr_json_reader_trim(json); /* of a large one's values nothing is left */
}
