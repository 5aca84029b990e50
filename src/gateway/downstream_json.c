/* The answer as one JSON body over an HTTP call: nothing leaves before all of it is known,
 * since its headers tell the cost. */
#include "gateway/downstream.h"

#include "base/assert.h"
#include "net/http_server.h"

/* The headers wait for the body: json_end gets both from settle by way of `run`, which holds
 * the headers here. */
static void json_begin(struct downstream *downstream, dr_slice headers) {
    downstream->has_begun = true;
    downstream->run = headers;
}

static void json_put(struct downstream *downstream, const struct answer_chunk *chunk,
                     dr_slice raw) {
    (void)downstream;
    (void)chunk;
    (void)raw;
    dr_unreachable(); /* a JSON answer has one piece, given to end */
}

static void json_flush(struct downstream *downstream) {
    (void)downstream; /* nothing is kept */
}

static void json_wait(struct downstream *downstream) {
    (void)downstream; /* the status is not known before the answer is */
}

static void json_end(struct downstream *downstream, dr_slice last,
                     const struct downstream_close *close) {
    (void)close; /* body and headers tell it */
    struct dr_http_call *call = downstream->call;
    downstream->call = NULL;
    dr_http_call_answer(call, 200, downstream->run, last);
}

static void json_refuse(struct downstream *downstream, const struct refusal *refusal,
                        dr_slice headers, struct dr_buf *scratch) {
    struct dr_http_call *call = downstream->call;
    downstream->call = NULL;
    dr_buf_reset(scratch);
    refusal_put_json(scratch, refusal);
    dr_http_call_answer(call, refusal->status, headers, dr_buf_slice(scratch));
}

const struct downstream_kind downstream_json_kept = {
    .transport = TRANSPORT_HTTP,
    .takes_audio = true,
    .streamed = &downstream_sse_kept,
    .pending = downstream_call_pending,
    .begin = json_begin,
    .put = json_put,
    .flush = json_flush,
    .wait = json_wait,
    .end = json_end,
    .refuse = json_refuse,
};

const struct downstream_kind downstream_json = {
    .transport = TRANSPORT_HTTP,
    .takes_audio = true,
    .streamed = &downstream_sse,
    .pending = downstream_call_pending,
    .begin = json_begin,
    .put = json_put,
    .flush = json_flush,
    .wait = json_wait,
    .end = json_end,
    .refuse = json_refuse,
};
