/* One try at one target. Reads what the provider sends and says what it was; must not decide
 * what follows from it: that is relay's work. */
#include "gateway/attempt.h"

#include "base/assert.h"
#include "dialect/deepseek_prompt.h"
#include "dialect/openai_seals.h"
#include "gateway/translator.h"
#include "gateway/worker.h"
#include "net/sse.h"

/* A failure's body is read for its message only. */
enum { FAILURE_BODY_BYTES_MAX = 64 * 1024 };

static const struct dr_http_ask_events ask_events;

/* --- asking
 * ------------------------------------------------------------------------------------- */

/* What follows "Content-Length: " up to the body. */
static bool write_tail(const struct attempt_ask *ask, size_t body_len, dr_slice *ret_tail) {
    const dr_slice fault = ask->sim_fault;
    const size_t need = DR_U64_TEXT_BYTES + 4 + (fault.len > 0 ? fault.len + 15 : 0);
    char *tail = dr_arena_alloc(ask->arena, need);
    if (!tail) return false;
    size_t at = dr_u64_text(body_len, tail);
    memcpy(tail + at, "\r\n", 2);
    at += 2;
    if (fault.len > 0) {
        memcpy(tail + at, "x-sim-fault: ", 13);
        memcpy(tail + at + 13, fault.data, fault.len);
        memcpy(tail + at + 13 + fault.len, "\r\n", 2);
        at += fault.len + 15;
    }
    memcpy(tail + at, "\r\n", 2);
    *ret_tail = dr_slice_of(tail, at + 2);
    return true;
}

static dr_slice head_in_turn(const struct attempt_ask *ask) {
    const size_t index = ask->target->provider->index;
    const struct snapshot_provider *prepared = &ask->edition->snapshot->providers[index];
    return prepared->chat_heads[ask->worker->key_turn++ % prepared->chat_head_count];
}

static bool exceeds_deepseek(const struct attempt_ask *ask) {
    const struct target *target = ask->target;
    const dr_slice model = target->model_json.len == 0 ? ask->prompt->model : target->model;
    return ask->prompt->exceeds_deepseek && deepseek_serves(target->provider, model);
}

/* The client's body as this provider takes it. The seals of another one's thinking stay behind. */
static enum dr_status write_plain(struct attempt *attempt, const struct attempt_ask *ask,
                                  struct prompt *ret_plain) {
    const size_t bytes_max = ask->prompt->body.len * 2 + 64 * 1024;
    enum dr_status status = DR_OK;
    attempt->plain_loss = dr_arena_alloc_zero(ask->arena, sizeof *attempt->plain_loss);
    if (!attempt->plain_loss) return DR_NO_MEMORY;
    dr_buf_init(&attempt->plain_ask, bytes_max);
    *ret_plain = *ask->prompt;
    if (ask->prompt->has_seals) {
        status = openai_strip_seals(ask->worker->json, ask->prompt, ask->target->provider->host,
                                    &attempt->plain_ask, attempt->plain_loss, ret_plain);
    }
    if (status || !exceeds_deepseek(ask)) return status;
    struct dr_buf stripped = attempt->plain_ask;
    dr_buf_init(&attempt->plain_ask, bytes_max);
    status = deepseek_write_prompt(ask->worker->json, ret_plain, &attempt->plain_ask,
                                   attempt->plain_loss, ret_plain);
    dr_buf_clear(&stripped);
    return status;
}

static enum dr_status write_passing(struct attempt *attempt, const struct attempt_ask *ask,
                                    size_t *ret_count) {
    dr_slice model_json = ask->target->model_json;
    const struct prompt *prompt = ask->prompt;
    struct prompt plain;
    if (prompt->has_seals || exceeds_deepseek(ask)) {
        const enum dr_status status = write_plain(attempt, ask, &plain);
        if (status) return status;
        prompt = &plain;
    }
    if (model_json.len == 0) {
        /* "*" passes the asked name on: its bytes stand in the body. */
        model_json = dr_slice_of(prompt->body.data + prompt->model_at.start, prompt->model_at.len);
    }
    size_t body_len = 0;
    *ret_count = 2 + openai_write_prompt(prompt, model_json, ask->target->provider->asks_usage,
                                         &attempt->parts[2], &body_len);
    attempt->parts[0] = head_in_turn(ask);
    return write_tail(ask, body_len, &attempt->parts[1]) ? DR_OK : DR_NO_MEMORY;
}

static enum dr_status write_translated(struct attempt *attempt, const struct attempt_ask *ask,
                                       size_t *ret_count) {
    const enum dr_status status = translator_open(ask, &attempt->translator);
    if (status) return status;
    attempt->parts[0] = translator_request_line(attempt->translator);
    attempt->parts[1] = head_in_turn(ask);
    attempt->parts[3] = translator_body(attempt->translator);
    *ret_count = 4;
    return write_tail(ask, attempt->parts[3].len, &attempt->parts[2]) ? DR_OK : DR_NO_MEMORY;
}

static enum dr_status write_parts(struct attempt *attempt, const struct attempt_ask *ask,
                                  size_t *ret_count) {
    return dialect_passes_bytes(ask->target->provider->dialect)
               ? write_passing(attempt, ask, ret_count)
               : write_translated(attempt, ask, ret_count);
}

enum dr_status attempt_open(struct attempt *attempt, const struct attempt_ask *ask,
                            const struct attempt_events *events, void *owner) {
    dr_assert(attempt->state == ATTEMPT_IDLE);
    struct worker *worker = ask->worker;
    const struct config *config = ask->edition->snapshot->config;
    *attempt = (struct attempt){
        .events = events,
        .owner = owner,
        .worker = worker,
        .arena = ask->arena,
        .target = ask->target,
        .began = dr_loop_now(worker->loop),
        .is_streamed = ask->prompt->is_streamed,
        .takes_events = ask->takes_events,
    };
    dr_buf_init(&attempt->body, (size_t)config->answer_bytes_max);
    size_t part_count = 0;
    const enum dr_status status = write_parts(attempt, ask, &part_count);
    if (status) return status;
    if (attempt->is_streamed) {
        attempt->sse = dr_sse_reader_new(config->event_bytes_max);
        if (!attempt->sse) return DR_NO_MEMORY;
    }
    const struct dr_http_ask_request request = {
        .parts = attempt->parts,
        .part_count = part_count,
        .is_repeatable = true,
        .timeouts =
            {
                .connect_ms = config->connect_ms,
                .first_byte_ms = config->first_byte_ms,
                .between_bytes_ms = config->between_bytes_ms,
                .whole_ms = config->answer_ms,
            },
    };
    attempt->ask = dr_http_ask_open(ask->edition->origins[ask->target->provider->index], &request,
                                    &ask_events, attempt);
    if (!attempt->ask) return DR_NO_MEMORY;
    attempt->state = ATTEMPT_ASKING;
    return DR_OK;
}

void attempt_close(struct attempt *attempt) {
    if (attempt->ask) {
        /* A stream that has said its end may still owe its last chunk: the pool reads that. */
        if (attempt->state == ATTEMPT_OVER) {
            dr_http_ask_release(attempt->ask);
        } else {
            dr_http_ask_close(attempt->ask);
        }
        attempt->ask = NULL;
    }
    dr_sse_reader_free(attempt->sse);
    attempt->sse = NULL;
    dr_buf_clear(&attempt->body);
    dr_buf_clear(&attempt->plain_ask);
    attempt->plain_loss = NULL;
    translator_close(attempt->translator);
    attempt->translator = NULL;
    attempt->state = ATTEMPT_IDLE;
}

dr_slice attempt_end(struct attempt *attempt, const struct usage *usage, dr_slice last) {
    dr_slice end;
    if (!attempt->translator) return last;
    if (translator_render_end(attempt->translator, usage, &end)) return end;
    return DR_LIT("data: [DONE]\n\n"); /* out of memory: at least that it is whole */
}

const struct loss *attempt_loss(const struct attempt *attempt) {
    return attempt->translator ? translator_loss(attempt->translator) : attempt->plain_loss;
}

bool attempt_is_legacy(const struct attempt *attempt) {
    return attempt->translator && translator_is_legacy(attempt->translator);
}

dr_slice attempt_dropped(const struct attempt *attempt) {
    const struct loss *loss = attempt_loss(attempt);
    return loss ? loss_dropped(loss) : DR_NONE;
}

void attempt_pause(struct attempt *attempt) {
    if (attempt->ask) dr_http_ask_pause(attempt->ask);
}

void attempt_resume(struct attempt *attempt) {
    if (attempt->ask) dr_http_ask_resume(attempt->ask);
}

void attempt_expect(struct attempt *attempt, const void *const places[ATTEMPT_PLACES]) {
    const void *all[DR_HTTP_ASK_PLACES] = {attempt, attempt->sse};
    if (!attempt->ask) return; /* its last event, which nothing follows */
    for (size_t i = 0; i < ATTEMPT_PLACES; i++) all[i + 2] = places[i];
    dr_http_ask_expect(attempt->ask, all, DR_HTTP_ASK_PLACES);
}

void attempt_expect_last(struct attempt *attempt, const void *place) {
    if (attempt->ask) dr_http_ask_expect_last(attempt->ask, place);
}

/* --- what the provider sends
 * -------------------------------------------------------------------- */

static void attempt_fail(struct attempt *attempt, const struct failure *failure) {
    const struct failure kept = *failure;
    attempt->events->failed(attempt->owner, &kept);
}

static void attempt_fail_as(struct attempt *attempt, enum failure_kind kind, dr_slice message) {
    const struct failure failure = {
        .kind = kind,
        .status = attempt->status,
        .message = message,
    };
    attempt_fail(attempt, &failure);
}

static void ask_head(void *owner, const struct dr_http1_head *head) {
    struct attempt *attempt = owner;
    attempt->status = head->status;
    attempt->hint = retry_hint_read(head, dr_loop_wall(attempt->worker->loop));
    const dr_slice coding = dr_http1_header(head, DR_LIT("content-encoding"));
    if (coding.len > 0 && !dr_slice_is_nocase(coding, DR_LIT("identity"))) {
        attempt_fail_as(attempt, FAILURE_GARBAGE,
                        DR_LIT("the answer is compressed although that was not asked for"));
    }
}

static void attempt_fail_reading(struct attempt *attempt, enum dr_status status,
                                 const struct dr_error *error) {
    attempt_fail_as(attempt, status == DR_NO_MEMORY ? FAILURE_OUT_OF_MEMORY : FAILURE_GARBAGE,
                    status == DR_NO_MEMORY ? DR_NONE : dr_slice_text(error->text));
}

static void attempt_take_answer(struct attempt *attempt, dr_slice body) {
    struct answer_chunk chunk = {0};
    struct dr_error error;
    const enum dr_status status =
        attempt->translator ? translator_read_answer(attempt->translator, body, &chunk, &error)
                            : openai_read_answer(attempt->worker->answers, body, &chunk, &error);
    attempt->state = ATTEMPT_OVER;
    if (status) {
        attempt_fail_reading(attempt, status, &error);
        return;
    }
    if (attempt->translator && !translator_render_answer(attempt->translator, &chunk, &body)) {
        attempt_fail_as(attempt, FAILURE_OUT_OF_MEMORY, DR_NONE);
        return;
    }
    attempt->events->answered(attempt->owner, &chunk, body);
}

/* The whole body has come. */
static void attempt_take_whole(struct attempt *attempt, dr_slice body) {
    if (attempt->status >= 200 && attempt->status < 300 && !attempt->is_streamed) {
        attempt_take_answer(attempt, body);
        return;
    }
    struct failure failure;
    if (attempt->translator) {
        translator_read_failure(attempt->translator, attempt->status, body, &failure);
    } else {
        openai_read_failure(attempt->worker->answers, attempt->status, body, &failure);
    }
    failure.retry_after_s = retry_hint_seconds(&attempt->hint, failure.retry_after_s);
    if (failure.kind == FAILURE_IN_STREAM && failure.message.len == 0) {
        /* No error in disguise, and no stream either. */
        failure.kind = FAILURE_GARBAGE;
        failure.message = DR_LIT("a stream was asked for and one whole body came");
    }
    attempt->state = ATTEMPT_OVER;
    attempt_fail(attempt, &failure);
}

static void attempt_collect(struct attempt *attempt, dr_slice piece, bool is_last) {
    if (is_last && attempt->body.len == 0) {
        attempt_take_whole(attempt, piece); /* the usual case: no copy */
        return;
    }
    const bool is_failure = attempt->status >= 300;
    if (is_failure && attempt->body.len + piece.len > FAILURE_BODY_BYTES_MAX) {
        piece = dr_slice_first(piece, FAILURE_BODY_BYTES_MAX - attempt->body.len);
        is_last = true; /* enough to read a message from */
    }
    dr_buf_put(&attempt->body, piece);
    const enum dr_status status = dr_buf_status(&attempt->body);
    if (status != DR_OK) {
        attempt_fail_as(attempt, status == DR_NO_MEMORY ? FAILURE_OUT_OF_MEMORY : FAILURE_TOO_LARGE,
                        DR_NONE);
        return;
    }
    if (is_last) attempt_take_whole(attempt, dr_buf_slice(&attempt->body));
}

/* Of another dialect, in the client's words if it reads bytes. False when the attempt is gone. */
static bool attempt_give_rendered(struct attempt *attempt, struct answer_chunk *chunk) {
    dr_slice raw;
    if (chunk->output_bytes > 0) attempt->burst.has_words = true;
    if (attempt->takes_events) {
        attempt->has_given = attempt->has_given || chunk->event_count > 0;
        return attempt->events->event(attempt->owner, chunk, DR_NONE, true);
    }
    if (!translator_has_room(attempt->translator, chunk) &&
        translator_has_rendered(attempt->translator)) {
        attempt->events->piece_end(attempt->owner);
        translator_begin_piece(attempt->translator);
    }
    if (!translator_render(attempt->translator, chunk, &raw)) {
        attempt_fail_as(attempt, FAILURE_OUT_OF_MEMORY, DR_NONE);
        return false;
    }
    attempt->has_given = attempt->has_given || raw.len > 0;
    return attempt->events->event(attempt->owner, chunk, raw, true);
}

/* The end comes by itself, as everywhere: what stands before it in its chunk is no part of it. */
static bool attempt_give_translated(struct attempt *attempt, struct answer_chunk *chunk) {
    if (!chunk->is_end) return attempt_give_rendered(attempt, chunk);
    struct answer_chunk before = *chunk;
    before.is_end = false;
    before.event_count--;
    struct answer_chunk end = {
        .events = &chunk->events[before.event_count],
        .event_count = 1,
        .is_end = true,
    };
    attempt->state = ATTEMPT_OVER;
    if (before.event_count > 0 && !attempt_give_rendered(attempt, &before)) return false;
    return attempt_give_rendered(attempt, &end);
}

static bool attempt_translate(struct attempt *attempt, const struct dr_sse_event *event,
                              struct dr_error *error) {
    struct answer_chunk chunk = {0};
    const enum dr_status status = translator_read_event(
        attempt->translator, event->has_data ? event->data : DR_NONE, event->raw, &chunk, error);
    if (status) {
        attempt_fail_reading(attempt, status, error);
        return false;
    }
    return attempt_give_translated(attempt, &chunk);
}

/* Gives one event on. False when the attempt is gone. `error` is room for a failure's words, which
 * would be cleared for each event if it were here. */
static bool attempt_give(struct attempt *attempt, const struct dr_sse_event *event, dr_slice piece,
                         struct dr_error *error) {
    if (attempt->translator) return attempt_translate(attempt, event, error);
    struct answer_chunk chunk = {0};
    const bool is_lasting =
        event->raw.data >= piece.data && event->raw.data + event->raw.len <= piece.data + piece.len;
    if (event->has_data) {
        const enum dr_status status =
            openai_read_event(attempt->worker->answers, event->data, &chunk, error);
        if (status) {
            attempt_fail_reading(attempt, status, error);
            return false;
        }
    }
    if (chunk.output_bytes > 0) attempt->burst.has_words = true;
    if (chunk.is_end) attempt->state = ATTEMPT_OVER;
    return attempt->events->event(attempt->owner, &chunk, event->raw, is_lasting);
}

/* False when the attempt is gone. */
static bool attempt_read_events(struct attempt *attempt, dr_slice piece) {
    dr_slice rest = piece;
    struct dr_sse_event event;
    struct dr_error error;
    for (;;) {
        switch (dr_sse_read(attempt->sse, &rest, &event)) {
        case DR_SSE_NEED_MORE: return true;
        case DR_SSE_EVENT:
            if (!attempt_give(attempt, &event, piece, &error)) return false;
            break;
        case DR_SSE_TOO_LARGE:
            attempt_fail_as(attempt, FAILURE_TOO_LARGE, DR_LIT("an event is too large"));
            return false;
        case DR_SSE_NO_MEMORY:
            attempt_fail_as(attempt, FAILURE_OUT_OF_MEMORY, DR_NONE);
            return false;
        }
    }
}

/* The other dialects say their end, in an event or by the body's: without it the answer was cut. */
static void attempt_end_translated(struct attempt *attempt) {
    struct answer_chunk chunk = {0};
    struct dr_error error;
    const enum dr_status status = translator_read_end(attempt->translator, &chunk, &error);
    if (status) {
        attempt_fail_reading(attempt, status, &error);
    } else if (attempt_give_translated(attempt, &chunk)) {
        attempt_fail_as(attempt, FAILURE_CUT, DR_NONE);
    }
}

/* A last event that lacks its end gets one: what follows it is no part of it. */
static void attempt_end_stream(struct attempt *attempt) {
    struct dr_sse_event event;
    struct dr_error error;
    if (dr_sse_read_end(attempt->sse, &event) == DR_SSE_EVENT) {
        dr_buf_put(&attempt->body, event.raw);
        dr_buf_put(&attempt->body, dr_sse_missing_end(event.raw));
        if (dr_buf_status(&attempt->body)) {
            attempt_fail_as(attempt, FAILURE_OUT_OF_MEMORY, DR_NONE);
            return;
        }
        event.raw = dr_buf_slice(&attempt->body);
        if (!attempt_give(attempt, &event, DR_NONE, &error)) return;
    }
    attempt->state = ATTEMPT_OVER;
    if (attempt->translator) {
        attempt_end_translated(attempt);
        return;
    }
    attempt->events->ended(attempt->owner);
}

/* Bodies of streams are told from whole JSON or HTML by their first byte: servers err in the
 * header. */
static enum attempt_state state_of_first_byte(const struct attempt *attempt, dr_slice piece) {
    if (!attempt->is_streamed || attempt->status < 200 || attempt->status >= 300) {
        return ATTEMPT_COLLECTING;
    }
    const dr_slice text = dr_slice_trim(piece);
    const bool is_whole =
        text.len > 0 && (text.data[0] == '{' || text.data[0] == '[' || text.data[0] == '<');
    return is_whole ? ATTEMPT_COLLECTING : ATTEMPT_STREAMING;
}

static void ask_body(void *owner, dr_slice piece, bool is_last) {
    struct attempt *attempt = owner;
    if (attempt->state == ATTEMPT_ASKING && (piece.len > 0 || is_last)) {
        attempt->state = state_of_first_byte(attempt, piece);
    }
    if (attempt->state == ATTEMPT_COLLECTING) {
        attempt_collect(attempt, piece, is_last);
        return;
    }
    if (attempt->state != ATTEMPT_STREAMING) return;

    const dr_instant now = dr_loop_now(attempt->worker->loop);
    attempt->has_given = false;
    if (attempt->translator) translator_begin_piece(attempt->translator);
    if (!attempt_read_events(attempt, piece)) return;
    if (is_last) {
        attempt_end_stream(attempt);
        return;
    }
    if (burst_note(&attempt->burst, now)) dr_http_ask_gather(attempt->ask);
    /* A provider's pings are not passed on: to the client they are silence. */
    if (attempt->translator && !attempt->has_given) return;
    attempt->events->piece_end(attempt->owner);
}

static void ask_done(void *owner) {
    struct attempt *attempt = owner;
    attempt->ask = NULL;
    switch (attempt->state) {
    case ATTEMPT_STREAMING:
        if (attempt->translator) translator_begin_piece(attempt->translator);
        attempt_end_stream(attempt);
        break;
    case ATTEMPT_ASKING:
    case ATTEMPT_COLLECTING: attempt_take_whole(attempt, dr_buf_slice(&attempt->body)); break;
    case ATTEMPT_IDLE:
    case ATTEMPT_OVER: break;
    }
}

static enum failure_kind kind_of_ask_failure(enum dr_http_ask_failure failure) {
    switch (failure) {
    case DR_HTTP_ASK_RESOLVE:
    case DR_HTTP_ASK_CONNECT: return FAILURE_CONNECT;
    case DR_HTTP_ASK_CONNECT_TIMEOUT:
    case DR_HTTP_ASK_FIRST_BYTE_TIMEOUT:
    case DR_HTTP_ASK_BETWEEN_BYTES_TIMEOUT:
    case DR_HTTP_ASK_WHOLE_TIMEOUT: return FAILURE_TIMED_OUT;
    case DR_HTTP_ASK_CLOSED: return FAILURE_CUT;
    case DR_HTTP_ASK_NOT_HTTP:
    case DR_HTTP_ASK_TOO_LARGE: return FAILURE_GARBAGE;
    case DR_HTTP_ASK_NO_MEMORY: return FAILURE_OUT_OF_MEMORY;
    }
    return FAILURE_GARBAGE;
}

static void ask_failed(void *owner, enum dr_http_ask_failure failure,
                       const struct dr_error *error) {
    struct attempt *attempt = owner;
    attempt->ask = NULL;
    attempt_fail_as(attempt, kind_of_ask_failure(failure), dr_slice_text(error->text));
}

static const struct dr_http_ask_events ask_events = {
    .head = ask_head,
    .body = ask_body,
    .done = ask_done,
    .failed = ask_failed,
};
