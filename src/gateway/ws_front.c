/* The way to a WebSocket that chats: who may come in, and with which key. Must not know frames, nor
 * what is under way on a connection. */
#include "gateway/ws_front.h"

#include "gateway/authenticate.h"
#include "gateway/http_front.h"
#include "gateway/worker.h"
#include "gateway/ws_connection.h"
#include "gateway/ws_visit.h"
#include "net/ws_handshake.h"

enum { SIM_FAULT_BYTES_MAX = 1024 };

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
        ws_connection_new(worker, dr_slice_first(fault, SIM_FAULT_BYTES_MAX));
    if (!connection) {
        refuse_visit(visit, REFUSAL_INTERNAL_ERROR);
        return;
    }
    read_protocols(visit->head, &spoken, &token);
    if (authorization.len > 0) token = bearer_token(authorization);
    if (token.data) ws_connection_take_handshake_key(connection, token);
    ws_visit_accept(visit, spoken, connection, ws_connection_taken);
}
