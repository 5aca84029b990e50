/* The answer as server-sent events over an HTTP call. Bytes of the client's own dialect pass as
 * they came: adjoining events leave in one write. Must not look into events. */
#include "gateway/downstream.h"

#include "base/assert.h"
#include "net/http_server.h"

size_t downstream_call_pending(const struct downstream *downstream) {
    return downstream->call ? dr_http_call_pending(downstream->call) : 0;
}

bool downstream_call_places(const struct downstream *downstream,
                            const void *places[DOWNSTREAM_PLACES]) {
    _Static_assert((int)DR_HTTP_CALL_PLACES == (int)DOWNSTREAM_PLACES, "the call names them all");
    if (!downstream->call) return false;
    dr_http_call_places(downstream->call, places);
    return true;
}

static void sse_begin(struct downstream *downstream, dr_slice headers) {
    dr_assert(!downstream->has_begun);
    downstream->has_begun = true;
    dr_http_call_begin(downstream->call, 200, headers);
}

static void sse_flush(struct downstream *downstream) {
    if (downstream->run.len == 0) return;
    dr_http_call_put(downstream->call, downstream->run);
    downstream->run = DR_NONE;
}

static void sse_put(struct downstream *downstream, const struct answer_chunk *chunk, dr_slice raw) {
    (void)chunk; /* the bytes are the client's dialect already */
    if (downstream->run.len > 0 && downstream->run.data + downstream->run.len == raw.data) {
        downstream->run.len += raw.len;
        return;
    }
    sse_flush(downstream);
    downstream->run = raw;
}

static void sse_wait(struct downstream *downstream) {
    sse_flush(downstream);
    dr_http_call_put(downstream->call, DR_LIT(": waiting\n\n"));
}

static void sse_end(struct downstream *downstream, dr_slice last,
                    const struct downstream_close *close) {
    (void)close; /* an event of usage has told it */
    if (downstream->run.len > 0 && downstream->run.data + downstream->run.len == last.data) {
        last = dr_slice_of(downstream->run.data, downstream->run.len + last.len);
        downstream->run = DR_NONE;
    }
    sse_flush(downstream);
    struct dr_http_call *call = downstream->call;
    downstream->call = NULL;
    dr_http_call_end(call, last);
}

/* INTERFACE section 3: one error event, then the stream ends; no [DONE], no second answer. */
static void sse_refuse(struct downstream *downstream, const struct refusal *refusal,
                       dr_slice headers, struct dr_buf *scratch) {
    struct dr_http_call *call = downstream->call;
    dr_buf_reset(scratch);
    if (!downstream->has_begun) {
        refusal_put_json(scratch, refusal);
        downstream->call = NULL;
        dr_http_call_answer(call, refusal->status, headers, dr_buf_slice(scratch));
        return;
    }
    sse_flush(downstream);
    dr_buf_put(scratch, DR_LIT("data: "));
    refusal_put_json(scratch, refusal);
    dr_buf_put(scratch, DR_LIT("\n\n"));
    downstream->call = NULL;
    dr_http_call_end(call, dr_buf_slice(scratch));
}

const struct downstream_kind downstream_sse = {
    .transport = TRANSPORT_SSE,
    .takes_audio = true,
    .streamed = &downstream_sse,
    .pending = downstream_call_pending,
    .places = downstream_call_places,
    .begin = sse_begin,
    .put = sse_put,
    .flush = sse_flush,
    .wait = sse_wait,
    .end = sse_end,
    .refuse = sse_refuse,
};
