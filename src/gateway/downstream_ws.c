/* The answer as frames over a WebSocket: events are rendered, whatever dialect they came in. Must
 * not know how frames become exchanges, nor how frames look. */
#include "gateway/downstream.h"

#include "dialect/openai.h"
#include "gateway/exchange.h"
#include "gateway/ws_answer.h"
#include "gateway/ws_frame.h"
#include "gateway/ws_summary.h"
#include "net/ws_session.h"

/* Memory for frames beyond this is not kept for the next piece. */
enum { FRAMES_BYTES_KEPT = 256 * 1024 };

/* --- on their way
 * ------------------------------------------------------------------------------- */

/* A gap, or what is wrong, would go unseen: nobody who listens, or comes back, gets more. */
static void break_off(struct ws_answer *answer) {
    if (answer->pen.replay) replay_lose(&answer->pen);
    if (answer->session) dr_ws_session_reset(answer->session);
}

/* To who listens, and into the record for who may come back. */
static void send_frames(struct ws_answer *answer) {
    struct worker *worker = answer->worker;
    struct dr_buf *frames = &worker->frames;
    struct dr_ws_session *session = answer->session;
    if (dr_buf_status(frames) == DR_OK) {
        const dr_slice bytes = dr_buf_slice(frames);
        if (answer->pen.replay) replay_put_row(&answer->pen, bytes, worker->frame_count);
        /* If that fails, its owner is told. */
        if (session) (void)dr_ws_session_send_frames(session, bytes);
    } else {
        break_off(answer);
    }
    if (!session) ws_answer_mind_loss(answer);
    worker->frame_count = 0;
    dr_buf_reset(frames);
    if (frames->capacity > FRAMES_BYTES_KEPT) dr_buf_clear(frames);
}

static size_t ws_pending(const struct downstream *downstream) {
    const struct ws_answer *answer = downstream->answer;
    if (!answer) return 0;
    struct dr_ws_session *session = answer->session;
    if (!session) return answer->pen.replay ? replay_pending(&answer->pen) : 0;
    return dr_ws_session_is_full(session) ? dr_ws_session_pending(session) : 0;
}

static bool ws_places(const struct downstream *downstream, const void *places[DOWNSTREAM_PLACES]) {
    const struct ws_answer *answer = downstream->answer;
    if (!answer || !answer->session) return false;
    places[0] = answer;
    places[1] = answer->session;
    places[2] = dr_ws_session_stream(answer->session);
    places[3] = replay_place(&answer->pen);
    return true;
}

static const void *ws_next_place(const struct downstream *downstream) {
    const struct ws_answer *answer = downstream->answer;
    return answer ? replay_place(&answer->pen) : NULL;
}

/* --- the beginning
 * ------------------------------------------------------------------------------ */

static void ws_admitted(struct downstream *downstream) {
    struct ws_answer *answer = downstream->answer;
    ws_answer_record(answer);
    ws_frame_tell_accepted(answer);
    send_frames(answer);
}

static void ws_begin(struct downstream *downstream, dr_slice headers) {
    struct ws_answer *answer = downstream->answer;
    const struct exchange *exchange = downstream->owner.object;
    const enum dialect dialect = exchange->target->provider->dialect;
    (void)headers; /* frames have none */
    downstream->has_begun = true;
    if (!answer) return;
    answer->signs_thinking = dialect == DIALECT_ANTHROPIC;
    answer->is_legacy = attempt_is_legacy(&exchange->attempt);
    /* Only translated answers tell sources without their place. */
    answer->is_noted = answer->turn || dialect != DIALECT_OPENAI;
    if (answer->turn) answer->turn->signs_thinking = answer->signs_thinking;
}

/* --- plain words
 * -------------------------------------------------------------------------------- */

/* The words of a chunk with nothing else in it that is new: nearly all are such. NULL when it has
 * to be looked at in full. */
static const struct answer_event *plain_words(const struct ws_answer *answer,
                                              const struct answer_chunk *chunk) {
    const struct answer_event *event = chunk->events;
    size_t count = chunk->event_count;
    if (count > 0 && event->kind == ANSWER_START && answer->has_model) {
        event++;
        count--;
    }
    if (count != 1 || event->kind != ANSWER_TEXT || event->text.len == 0) return NULL;
    return answer->is_noted || openai_halves_concern(&answer->halves, chunk) ? NULL : event;
}

/* --- events of a chunk
 * -------------------------------------------------------------------------- */

static bool is_empty_text(const struct answer_event *event) {
    return (event->kind == ANSWER_TEXT || event->kind == ANSWER_REASONING ||
            event->kind == ANSWER_REFUSAL) &&
           event->text.len == 0;
}

static bool has_call(const struct answer_chunk *chunk) {
    for (size_t i = 0; i < chunk->event_count; i++) {
        if (chunk->events[i].kind == ANSWER_TOOL_CALL) return true;
    }
    return false;
}

static void number_calls(struct ws_answer *answer, struct answer_chunk *chunk) {
    if (!has_call(chunk)) return;
    if (!answer->calls) {
        answer->calls = dr_arena_alloc_zero(&answer->exchange->arena, sizeof *answer->calls);
    }
    if (answer->calls) {
        openai_call_numbers_apply(answer->calls, chunk);
    } else {
        break_off(answer); /* out of memory: calls would be taken for one another */
        ws_answer_end_turn(answer, CHAT_TURN_CUT);
    }
}

/* Characters that came in two halves, whose text is made anew in the worker's memory for
 * bodies, which no frame needs. */
static void join_halves(struct ws_answer *answer, struct answer_chunk *chunk) {
    struct dr_buf *joined = &answer->worker->body;
    size_t kept = 0;
    if (!openai_halves_concern(&answer->halves, chunk)) return;
    dr_buf_reset(joined);
    for (size_t i = 0; i < chunk->event_count; i++) {
        struct answer_event event = chunk->events[i];
        const bool is_joined = joined->len > 0; /* once in a chunk */
        const dr_slice first =
            is_joined ? DR_NONE : openai_halves_join(&answer->halves, chunk, &event);
        if (first.len > 0) {
            dr_buf_put(joined, first);
            dr_buf_put(joined, event.text);
            event.text = dr_buf_slice(joined);
        }
        if (!is_empty_text(&event)) chunk->events[kept++] = event;
    }
    chunk->event_count = kept;
    if (dr_buf_status(joined)) break_off(answer);
}

/* As the events of a stream would be written: the older interface has room for one call, and for no
 * seal of it. */
static void make_legacy(struct answer_chunk *chunk) {
    size_t kept = 0;
    for (size_t i = 0; i < chunk->event_count; i++) {
        struct answer_event event = chunk->events[i];
        if (event.kind == ANSWER_TOOL_CALL) {
            if (event.tool_call.index > 0) continue;
            event.tool_call.form = ANSWER_CALL_LEGACY;
        } else if (event.kind == ANSWER_SIGNATURE) {
            if (event.signature.kind == ANSWER_SIGNATURE_CALL) continue;
        } else if (event.kind == ANSWER_FINISH && event.finish.reason == ANSWER_FINISH_TOOL_CALLS) {
            event.finish.reason = ANSWER_FINISH_FUNCTION_CALL;
        }
        chunk->events[kept++] = event;
    }
    chunk->event_count = kept;
}

/* The first of these events: in a frame, or noted for the end. Returns how many were taken. */
static size_t put_first(struct ws_answer *answer, const struct answer_event *events, size_t count) {
    switch (events->kind) {
    case ANSWER_START:
        if (!answer->has_model) ws_summary_note_model(answer, events->start.model);
        return 1;
    case ANSWER_FINISH: ws_summary_note_finish(answer, events); return 1;
    case ANSWER_MEMBER:
        if (events->member.kind != ANSWER_MEMBER_OTHER) break;
        ws_summary_note_other(answer, events->member.name);
        return 1;
    case ANSWER_USAGE:
    case ANSWER_ERROR:
    case ANSWER_END: return 1;
    case ANSWER_TEXT:
    case ANSWER_REFUSAL:
    case ANSWER_REASONING:
    case ANSWER_TOOL_CALL:
    case ANSWER_CITATION:
    case ANSWER_SIGNATURE:
    case ANSWER_LOGPROBS: break;
    }
    return ws_frame_tell_events(answer, events, count);
}

/* What is not plain words; apart, so that they need not make room for it on the stack. */
static __attribute__((noinline)) void put_events(struct ws_answer *answer,
                                                 const struct answer_chunk *chunk) {
    struct answer_chunk numbered = *chunk;
    number_calls(answer, &numbered);
    if (answer->is_legacy) make_legacy(&numbered);
    join_halves(answer, &numbered);
    for (size_t i = 0; answer->turn && i < numbered.event_count; i++) {
        chat_turn_note(answer->turn, &numbered.events[i]);
    }
    for (size_t i = 0; i < numbered.event_count;) {
        i += put_first(answer, numbered.events + i, numbered.event_count - i);
    }
}

static void ws_put(struct downstream *downstream, const struct answer_chunk *chunk, dr_slice raw) {
    struct ws_answer *answer = downstream->answer;
    (void)raw; /* the events tell all that a frame can */
    const struct answer_event *words = plain_words(answer, chunk);
    if (!words) {
        put_events(answer, chunk);
    } else if (chunk->is_plain && words->choice_index == 0) {
        ws_frame_tell_plain_words(answer, words->text);
    } else {
        ws_frame_tell_words(answer, words);
    }
}

static void ws_flush(struct downstream *downstream) {
    const struct dr_buf *frames = &downstream->answer->worker->frames;
    if (frames->len > 0 || dr_buf_status(frames) != DR_OK) send_frames(downstream->answer);
}

/* --- the end
 * ------------------------------------------------------------------------------------ */

/* Its last frame is written. */
static void send_last(struct downstream *downstream, enum chat_turn_end end) {
    struct ws_answer *answer = downstream->answer;
    send_frames(answer);
    downstream->answer = NULL;
    ws_answer_over(answer, end);
}

static void ws_end(struct downstream *downstream, dr_slice last,
                   const struct downstream_close *close) {
    (void)last; /* an end in the client's dialect */
    ws_frame_tell_end(downstream->answer, close);
    send_last(downstream, close->is_cancelled ? CHAT_TURN_CUT : CHAT_TURN_ANSWERED);
}

static void ws_refuse(struct downstream *downstream, const struct refusal *refusal,
                      dr_slice headers, struct dr_buf *scratch) {
    (void)headers;
    (void)scratch;
    ws_frame_tell_refusal(downstream->answer, refusal);
    send_last(downstream, CHAT_TURN_FAILED);
}

const struct downstream_kind downstream_ws = {
    .transport = TRANSPORT_WS,
    .takes_events = true,
    .streamed = &downstream_ws,
    .pending = ws_pending,
    .places = ws_places,
    .next_place = ws_next_place,
    .admitted = ws_admitted,
    .begin = ws_begin,
    .put = ws_put,
    .flush = ws_flush,
    .wait = NULL, /* the session pings */
    .end = ws_end,
    .refuse = ws_refuse,
};
