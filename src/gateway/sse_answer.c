/* Resumable event streams: the writer's side, a kind of downstream, and the follower's, a route.
 * Must not look into events. */
#include "gateway/sse_answer.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "gateway/answer_head.h"
#include "gateway/authenticate.h"
#include "gateway/exchange.h"
#include "gateway/http_front.h"
#include "gateway/replay_shared.h"

enum {
    KEY_BYTES = 4 + REQUEST_ID_BYTES,
    GATHERED_BYTES = 64 * 1024, /* read from a record at once */
    PENDING_BYTES_HIGH = 16 * 1024,
    WAIT_MS = 15000,
};

/* In its exchange's arena. */
struct sse_answer {
    struct exchange *exchange;
    struct replay_pen pen;
    struct dr_timer lost_timer;
    uint64_t seq;
};

/* Records of WebSockets hold other frames, so that names differ. */
static dr_slice key_of(dr_slice request_id, char key[KEY_BYTES]) {
    memcpy(key, "sse:", 4);
    if (request_id.len > KEY_BYTES - 4) request_id.len = 0;
    if (request_id.len > 0) memcpy(key + 4, request_id.data, request_id.len);
    return dr_slice_of(key, 4 + request_id.len);
}

/* --- the answer that is written
 * ----------------------------------------------------------------- */

static bool is_heard(const struct sse_answer *answer) {
    return answer->exchange->downstream.call || replay_is_followed(&answer->pen);
}

/* It is gone from its downstream. */
static void answer_close(struct sse_answer *answer, bool is_over) {
    struct exchange *exchange = answer->exchange;
    dr_timer_stop(&answer->lost_timer);
    exchange->downstream.kept = NULL;
    replay_close(&answer->pen, is_over, dr_loop_now(exchange->worker->loop));
}

static void answer_lost_for_long(void *owner) {
    struct sse_answer *answer = owner;
    if (is_heard(answer)) return;
    answer_close(answer, false);
    exchange_note_gone(answer->exchange);
}

/* Nobody listens now: whoever does not come back in time has lost it. */
static void answer_mind_loss(struct sse_answer *answer) {
    const struct exchange *exchange = answer->exchange;
    const bool may_return = replay_is_kept(&answer->pen);
    const int64_t resume_ms = exchange->edition->snapshot->config->resume_ms;
    if (is_heard(answer)) return;
    if (may_return && dr_timer_is_running(&answer->lost_timer)) return;
    dr_timer_start(&answer->lost_timer, exchange->worker->loop, may_return ? resume_ms : 0);
}

static void answer_told(void *owner, unsigned facts) {
    struct sse_answer *answer = owner;
    struct downstream *downstream = &answer->exchange->downstream;
    if (facts & REPLAY_MOVED) {
        struct dr_http_call *call = downstream->call;
        dr_timer_stop(&answer->lost_timer);
        downstream->call = NULL;
        if (call) dr_http_call_end(call, DR_LIT(": moved\n\n"));
    }
    answer_mind_loss(answer);
    exchange_note_drained(answer->exchange);
}

/* NULL when it can't be kept: then it is an event stream as any other. */
static struct sse_answer *answer_new(struct exchange *exchange) {
    struct worker *worker = exchange->worker;
    const int64_t resume_ms = exchange->edition->snapshot->config->resume_ms;
    char key[KEY_BYTES];
    if (resume_ms == 0) return NULL;
    struct sse_answer *answer = dr_arena_alloc_zero(&exchange->arena, sizeof *answer);
    if (!answer) return NULL;
    const struct replay_writer writer = {worker->mailbox, answer_told, answer};
    answer->exchange = exchange;
    const dr_slice name = key_of(dr_slice_of(exchange->request_id, REQUEST_ID_BYTES), key);
    if (!replay_open(&answer->pen, worker->replays, name, exchange->key->key.account_id, resume_ms,
                     &writer)) {
        return NULL;
    }
    dr_timer_init(&answer->lost_timer, answer, answer_lost_for_long);
    return answer;
}

/* --- its kind of downstream
 * --------------------------------------------------------------------- */

static size_t kept_pending(const struct downstream *downstream) {
    if (downstream->call) return dr_http_call_pending(downstream->call);
    return downstream->kept ? replay_pending(&downstream->kept->pen) : 0;
}

static void kept_begin(struct downstream *downstream, dr_slice headers) {
    downstream->has_begun = true;
    if (downstream->call) dr_http_call_begin(downstream->call, 200, headers);
}

/* The head goes out now, since it tells the request's id: an answer that has not begun can be
 * resumed too. */
static void kept_admitted(struct downstream *downstream) {
    struct exchange *exchange = downstream->owner.object;
    dr_assert_slow(exchange->worker->events.len == 0);
    downstream->kept = answer_new(exchange);
    kept_begin(downstream, answer_head_waiting(exchange));
    dr_http_call_put(downstream->call,
                     downstream->kept ? DR_LIT(": resumable\n\n") : DR_LIT(": waiting\n\n"));
}

/* The next line of an event stream, with its end: LF, CR or both. */
static dr_slice take_line(dr_slice *rest) {
    const size_t feed = dr_slice_find_char(*rest, '\n');
    const size_t end = dr_slice_find_char(dr_slice_first(*rest, feed), '\r');
    const dr_slice line = dr_slice_first(*rest, end + 1 == feed ? feed + 1 : end + 1);
    *rest = dr_slice_from(*rest, line.len);
    return line;
}

static bool is_id(dr_slice line) {
    return dr_slice_starts(line, DR_LIT("id")) && line.len > 2 &&
           (line.data[2] == ':' || line.data[2] == '\n' || line.data[2] == '\r');
}

/* A provider that numbers its events would have the last word: of two ids of an event the later
 * one counts. */
static void put_without_id(struct dr_buf *events, dr_slice raw) {
    while (raw.len > 0) {
        const dr_slice line = take_line(&raw);
        if (!is_id(line)) dr_buf_put(events, line);
    }
}

/* Gathered until the flush, which ends every piece; a row of its own in the record. */
static void kept_put_event(struct downstream *downstream, dr_slice raw) {
    const struct exchange *exchange = downstream->owner.object;
    struct dr_buf *events = &exchange->worker->events;
    struct sse_answer *answer = downstream->kept;
    const size_t begin = events->len;
    if (answer) {
        dr_buf_put(events, DR_LIT("id: "));
        dr_buf_put_u64(events, ++answer->seq);
        dr_buf_put_char(events, '\n');
    }
    put_without_id(events, raw);
    if (!answer) return;
    if (dr_buf_status(events) == DR_OK) {
        replay_put_row(&answer->pen, dr_slice_from(dr_buf_slice(events), begin), 1);
    } else {
        replay_lose(&answer->pen);
    }
}

static void kept_flush(struct downstream *downstream) {
    const struct exchange *exchange = downstream->owner.object;
    struct dr_buf *events = &exchange->worker->events;
    if (downstream->call && dr_buf_status(events) != DR_OK) {
        dr_http_call_reset(downstream->call); /* out of memory: a gap would go unseen */
    } else if (downstream->call && events->len > 0) {
        dr_http_call_put(downstream->call, dr_buf_slice(events));
    }
    dr_buf_reset(events);
    if (events->capacity > GATHERED_BYTES) dr_buf_clear(events);
    if (downstream->kept) answer_mind_loss(downstream->kept);
}

/* Each event has a number of its own, or a client that was cut off between two would miss one. */
static void kept_put_events(struct downstream *downstream, dr_slice raw) {
    static const dr_slice blank = {"\n\n", 2};
    while (raw.len > 0) {
        const size_t at = dr_slice_find(raw, blank);
        const size_t len = at < raw.len ? at + blank.len : raw.len;
        kept_put_event(downstream, dr_slice_first(raw, len));
        raw = dr_slice_from(raw, len);
    }
}

static void kept_put(struct downstream *downstream, const struct answer_chunk *chunk,
                     dr_slice raw) {
    (void)chunk;
    kept_put_events(downstream, raw);
}

static void kept_wait(struct downstream *downstream) {
    kept_flush(downstream);
    if (downstream->call) dr_http_call_put(downstream->call, DR_LIT(": waiting\n\n"));
}

static void kept_over(struct downstream *downstream) {
    struct dr_http_call *call = downstream->call;
    kept_flush(downstream);
    if (downstream->kept) answer_close(downstream->kept, true);
    downstream->call = NULL;
    if (call) dr_http_call_end(call, DR_NONE);
}

static void kept_end(struct downstream *downstream, dr_slice last,
                     const struct downstream_close *close) {
    (void)close;
    kept_put_events(downstream, last);
    kept_over(downstream);
}

static void kept_refuse(struct downstream *downstream, const struct refusal *refusal,
                        dr_slice headers, struct dr_buf *scratch) {
    dr_buf_reset(scratch);
    if (!downstream->has_begun) {
        downstream_sse.refuse(downstream, refusal, headers, scratch);
        return;
    }
    dr_buf_put(scratch, DR_LIT("data: "));
    refusal_put_json(scratch, refusal);
    dr_buf_put(scratch, DR_LIT("\n\n"));
    kept_put_events(downstream, dr_buf_slice(scratch));
    kept_over(downstream);
}

/* The client has left: whether the answer goes on. */
static bool kept_lost(struct downstream *downstream) {
    struct sse_answer *answer = downstream->kept;
    if (!answer) return false;
    if (!is_heard(answer) && !replay_is_kept(&answer->pen)) {
        answer_close(answer, false);
        return false;
    }
    answer_mind_loss(answer);
    exchange_note_drained(answer->exchange);
    return true;
}

const struct downstream_kind downstream_sse_kept = {
    .transport = TRANSPORT_SSE,
    .takes_audio = true,
    .streamed = &downstream_sse_kept,
    .pending = kept_pending,
    .places = downstream_call_places,
    .admitted = kept_admitted,
    .lost = kept_lost,
    .begin = kept_begin,
    .put = kept_put,
    .flush = kept_flush,
    .wait = kept_wait,
    .end = kept_end,
    .refuse = kept_refuse,
};

/* --- the answer that is followed
 * ---------------------------------------------------------------- */

struct sse_follow {
    struct replay_follower follower; /* first: its memory is this object's */
    struct worker_follow follow;
    struct http_owner owner;
    struct dr_http_call *call;
    struct worker *worker;
    struct dr_timer wait_timer;
};

static void put_refusal(struct dr_buf *frame, const struct refusal *refusal) {
    dr_buf_put(frame, DR_LIT("data: "));
    refusal_put_json(frame, refusal);
    dr_buf_put(frame, DR_LIT("\n\n"));
}

static void follow_close(struct sse_follow *follow) {
    dr_timer_stop(&follow->wait_timer);
    worker_drop_follow(follow->worker, &follow->follow);
    replay_leave(&follow->follower);
}

/* With what stands in the worker's frame. */
static void follow_end(struct sse_follow *follow) {
    const struct dr_buf *frame = &follow->worker->frame;
    if (dr_buf_status(frame) == DR_OK) {
        dr_http_call_end(follow->call, dr_buf_slice(frame));
    } else {
        dr_http_call_abort(follow->call); /* out of memory: a gap would go unseen */
    }
    follow_close(follow);
}

static void follow_cut(void *owner) {
    struct sse_follow *follow = owner;
    struct dr_buf *frame = &follow->worker->frame;
    const struct refusal refusal = refusal_of(REFUSAL_DRAINING);
    dr_buf_reset(frame);
    put_refusal(frame, &refusal);
    follow_end(follow);
}

/* A row is one event, with its number in it. */
static uint32_t follow_take(void *owner, const struct replay_row *row) {
    struct dr_buf *frame = owner;
    if (frame->len >= GATHERED_BYTES) return 0;
    dr_buf_put(frame, row->frames);
    return row->count;
}

/* What is missing must not look like an end. */
static void put_lost(struct dr_buf *frame) {
    const struct refusal refusal = refusal_of_lost();
    put_refusal(frame, &refusal);
}

static void follow_pump(struct sse_follow *follow) {
    struct dr_buf *frame = &follow->worker->frame;
    while (dr_http_call_pending(follow->call) <= PENDING_BYTES_HIGH) {
        dr_buf_reset(frame);
        const enum replay_state state = replay_read(&follow->follower, frame, follow_take);
        if (state == REPLAY_IS_MOVED) dr_buf_put(frame, DR_LIT(": moved\n\n"));
        if (state == REPLAY_LOST) put_lost(frame);
        if (state != REPLAY_WAITS || dr_buf_status(frame) != DR_OK) {
            follow_end(follow);
            return;
        }
        if (frame->len == 0) return;
        dr_http_call_put(follow->call, dr_buf_slice(frame));
        dr_timer_start(&follow->wait_timer, follow->worker->loop, WAIT_MS);
    }
}

static void follow_told(struct replay_follower *follower) {
    follow_pump(dr_list_item(follower, struct sse_follow, follower));
}

static void follow_waits(void *owner) {
    struct sse_follow *follow = owner;
    if (dr_http_call_pending(follow->call) == 0) {
        dr_http_call_put(follow->call, DR_LIT(": waiting\n\n"));
    }
    dr_timer_start(&follow->wait_timer, follow->worker->loop, WAIT_MS);
}

void sse_follow_note_gone(void *follow) {
    follow_close(follow);
}

void sse_follow_note_drained(void *follow) {
    follow_pump(follow);
}

/* False when the visit has been refused. */
static bool follow_begin(const struct http_visit *visit, struct sse_follow *follow,
                         dr_slice request_id, dr_slice account_id) {
    struct worker *worker = visit->worker;
    const dr_slice last = dr_http1_header(visit->head, DR_LIT("last-event-id"));
    char key[KEY_BYTES];
    uint64_t after = 0;
    enum dr_status status = DR_INVALID;
    if (last.len == 0 || dr_slice_to_u64(last, &after)) {
        status = replay_follow(worker->replays, key_of(request_id, key), account_id, after,
                               dr_loop_now(worker->loop), &follow->follower);
    }
    if (status == DR_OK) return true;
    struct refusal refusal = refusal_of(REFUSAL_NOT_RESUMABLE);
    if (status == DR_INVALID) {
        refusal = refusal_of(REFUSAL_INVALID_REQUEST);
        refusal.message = DR_LIT("Last-Event-ID must be the id of an event of this answer.");
    }
    http_visit_refuse(visit, &refusal);
    return false;
}

static dr_slice follow_head(const struct http_visit *visit) {
    struct dr_buf *head = &visit->worker->head;
    dr_buf_reset(head);
    dr_buf_put(head, DR_LIT("Content-Type: text/event-stream; charset=utf-8\r\n"
                            "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"));
    (void)answer_head_put_request_id(head, visit->worker);
    answer_head_put_cors(head, visit->cors_origin);
    return dr_buf_slice(head);
}

void route_chat_events(const struct http_visit *visit) {
    struct worker *worker = visit->worker;
    const struct key_table_row *row;
    enum refusal_reason reason;
    dr_slice rest = visit->rest;
    const dr_slice request_id = dr_slice_split(&rest, '/');
    struct sse_follow *follow = NULL;
    if (!dr_slice_is(rest, DR_LIT("events"))) {
        reason = REFUSAL_NOT_FOUND;
    } else if (visit->head->method != DR_HTTP1_GET) {
        reason = REFUSAL_METHOD_NOT_ALLOWED; /* HEAD would take the stream from who reads it */
    } else if (identify(worker->edition->keys,
                        dr_http1_header(visit->head, DR_LIT("authorization")),
                        dr_loop_wall(worker->loop), &row, &reason)) {
        reason = REFUSAL_INTERNAL_ERROR;
        follow = dr_alloc_zero(1, sizeof *follow);
    }
    if (!follow) {
        const struct refusal refusal = refusal_of(reason);
        http_visit_refuse(visit, &refusal);
        return;
    }
    follow->follower.mailbox = worker->mailbox;
    follow->follower.told = follow_told;
    follow->owner = (struct http_owner){HTTP_OWNER_FOLLOW, follow};
    follow->worker = worker;
    follow->call = visit->call;
    dr_timer_init(&follow->wait_timer, follow, follow_waits);
    if (!follow_begin(visit, follow, request_id, row->key.account_id)) {
        dr_free(follow);
        return;
    }
    follow->follow = (struct worker_follow){.cut = follow_cut, .owner = follow};
    worker_add_follow(worker, &follow->follow);
    dr_http_call_set_owner(visit->call, &follow->owner);
    dr_http_call_begin(visit->call, 200, follow_head(visit));
    dr_http_call_put(visit->call, DR_LIT(": resumed\n\n"));
    dr_timer_start(&follow->wait_timer, worker->loop, WAIT_MS);
    follow_pump(follow);
}
