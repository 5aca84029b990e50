/* Opening handshakes of WebSockets. Must not know what is spoken behind them, nor who may. */
#include "gateway/ws_visit.h"

#include "gateway/answer_head.h"
#include "gateway/http_front.h"
#include "gateway/worker.h"
#include "net/ws_handshake.h"

bool ws_visit_check(const struct http_visit *visit) {
    struct worker *worker = visit->worker;
    struct dr_ws_refusal found;
    if (dr_ws_handshake_check(visit->head, &found)) return true;
    const struct refusal refusal = refusal_of_status(400, dr_slice_text(found.text));
    worker->counters.refused_early++;
    worker->counters.refusals[refusal.reason]++;
    dr_buf_reset(&worker->body);
    refusal_put_json(&worker->body, &refusal);
    (void)answer_head_plain(worker, visit->cors_origin, 0);
    dr_ws_handshake_put_refusal(&worker->head, &found);
    dr_http_call_answer(visit->call, found.status, dr_buf_slice(&worker->head),
                        dr_buf_slice(&worker->body));
    return false;
}

void ws_visit_accept(const struct http_visit *visit, dr_slice protocol, void *owner,
                     void (*taken)(void *owner, struct dr_stream *stream, dr_slice rest)) {
    struct worker *worker = visit->worker;
    dr_buf_reset(&worker->head);
    dr_ws_handshake_put_accept(&worker->head, visit->head, protocol);
    answer_head_put_request_id(&worker->head, worker);
    dr_http_call_upgrade(visit->call, dr_buf_slice(&worker->head), owner, taken);
}
