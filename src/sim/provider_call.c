/* One request's answer: when its bytes leave, and how they are spoiled. Must not decide what is
 * said (reply.c) nor which faults hold (provider.c).
 *
 * A source gives pieces of the body, a sink lets them go. The plain sink hands each piece to the
 * HTTP server as it comes. The others gather it in `out` and take portions from there, one a turn.
 * A *raw* answer writes its head and framing itself, past the server: then the server still
 * believes that the answer has yet to come, and the connection ends with it.
 *
 * Nothing is written while bytes wait for the client: what is held for a client that does not read
 * is one piece. */
#include "sim/provider_call.h"

#include "base/assert.h"
#include "net/http1_write.h"
#include "net/stream.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    EVENTS_PER_STEP = 64, /* then others get their turn */
    DEPTH_MAX = 64,       /* of a request's JSON */
    CLOSE_IDLE_MS = 20,   /* time enough for the client to put the connection away */
    LINGER_MS = 10000,    /* for the client to close its side */
    SLOW_TICK_MS = 10,
    HUGE_PIECE_BYTES = 65536,
    HUGE_BYTES = 80 * 1024 * 1024,
};

/* --- heads --- */

static void fill_id(struct sim_provider *provider, char id[SIM_ID_CHARACTERS]) {
    for (size_t i = 0; i < SIM_ID_CHARACTERS; i += 12) {
        uint64_t number = dr_random_u64(&provider->random);
        for (size_t k = 0; k < 12; k++, number >>= 5) {
            id[i + k] = "0123456789abcdefghijklmnopqrstuv"[number & 31];
        }
    }
}

/* What a real provider would send along, so that tests can see what does not cross the gateway. */
static dr_slice compose_headers(struct sim_provider *provider, const struct sim_dialect *dialect,
                                dr_slice type, dr_slice id, uint32_t retry_after_s) {
    struct dr_buf *headers = &provider->headers;
    dr_buf_reset(headers);
    dr_buf_put(headers, DR_LIT("Content-Type: "));
    dr_buf_put(headers, type);
    dr_buf_put(headers, DR_LIT("\r\n"));
    dialect->put_headers(id, retry_after_s, headers);
    dr_buf_put(headers, DR_LIT("Set-Cookie: __sim_session=simulated; path=/; HttpOnly\r\n"));
    return dr_buf_slice(headers);
}

static dr_slice call_type(const struct sim_call *call) {
    const struct dr_buf *replay = &call->provider->replay_type;
    if (call->provider->replay.len > 0 && call->route == SIM_ROUTE_CHAT && replay->len > 0) {
        return dr_buf_slice(replay);
    }
    return call->is_stream && !call->is_listed ? call->dialect->stream_type
                                               : call->dialect->json_type;
}

static dr_slice call_headers(struct sim_call *call) {
    char id[SIM_ID_CHARACTERS];
    fill_id(call->provider, id);
    return compose_headers(call->provider, call->dialect, call_type(call),
                           dr_slice_of(id, sizeof id), 0);
}

/* The length of its body is not known when the head leaves. */
static bool call_is_chunked(const struct sim_call *call) {
    return call->is_stream || call->source == SIM_SOURCE_HUGE;
}

/* The head of a raw answer, into `out`. */
static void put_raw_head(struct sim_call *call) {
    struct dr_buf *out = &call->out;
    dr_http1_put_status(out, call->status);
    dr_buf_put(out, call_headers(call));
    if (call_is_chunked(call)) {
        dr_buf_put(out, DR_LIT("Transfer-Encoding: chunked\r\n"));
    } else {
        dr_http1_put_header_u64(out, DR_LIT("Content-Length"), call->whole.len);
    }
    /* With close_idle the client is to believe that the connection is kept. */
    if (!call->fault.close_idle) dr_buf_put(out, DR_LIT("Connection: close\r\n"));
    dr_http1_put_head_end(out);
}

/* --- refusals and errors --- */

void sim_provider_refuse(struct sim_provider *provider, const struct sim_dialect *dialect,
                         struct dr_http_call *http, const struct sim_error *error) {
    char characters[SIM_ID_CHARACTERS];
    fill_id(provider, characters);
    const dr_slice id = dr_slice_of(characters, sizeof characters);
    dr_buf_reset(&provider->piece);
    dialect->write_error(error, id, &provider->piece);
    dr_http_call_answer(
        http, error->status,
        compose_headers(provider, dialect, dialect->json_type, id, error->retry_after_s),
        dr_buf_slice(&provider->piece));
}

static void call_refuse(struct sim_call *call, const struct sim_error *error) {
    struct sim_provider *provider = call->provider;
    const struct sim_dialect *dialect = call->dialect;
    struct dr_http_call *http = call->http;
    sim_call_release(call);
    sim_provider_refuse(provider, dialect, http, error);
}

static void call_answer_status(struct sim_call *call, uint16_t status) {
    struct sim_error error = call->dialect->failure(status);
    error.retry_after_s = call->fault.retry_after_s;
    call_refuse(call, &error);
}

static void call_lacks_memory(struct sim_call *call) {
    call_refuse(call,
                &(struct sim_error){.status = 503, .message = "The simulation is out of memory"});
}

/* --- ends --- */

static void call_linger(struct sim_call *call, int64_t ms) {
    call->state = SIM_CALL_LINGERING;
    call->is_gathering = false;
    dr_deferred_cancel(&call->step);
    dr_timer_start(&call->timer, call->provider->loop, ms);
}

/* Our FIN goes out; the client closes, which shows as `gone`, or is reset after a while. */
static void call_finish_stream(struct sim_call *call) {
    call->has_finished = true;
    dr_stream_finish(dr_http_call_stream(call->http));
    call_linger(call, LINGER_MS);
}

static void call_abort(struct sim_call *call) {
    struct dr_http_call *http = call->http;
    sim_call_release(call);
    dr_http_call_abort(http);
}

/* Behind the server's back. */
static void call_write_raw(struct sim_call *call, dr_slice bytes) {
    if (dr_stream_write(dr_http_call_stream(call->http), &bytes, 1)) {
        return; /* the client left, which `gone` tells in a later turn */
    }
}

/* All pieces have left, `last` excepted. */
static void call_end(struct sim_call *call, dr_slice last) {
    if (call->is_raw && call->fault.close_idle) {
        call_linger(call, CLOSE_IDLE_MS);
    } else if (call->is_raw) {
        call_finish_stream(call);
    } else if (call->fault.close_idle) {
        if (last.len > 0) dr_http_call_put(call->http, last);
        call_write_raw(call, DR_LIT("0\r\n\r\n"));
        call_linger(call, CLOSE_IDLE_MS);
    } else {
        struct dr_http_call *http = call->http;
        dr_http_call_end(http, last);
        sim_call_release(call);
    }
}

/* The source is at its end and `out` is empty. */
static void call_finish(struct sim_call *call, dr_slice last) {
    switch (call->ending) {
    case SIM_ENDING_STALL: call->state = SIM_CALL_STALLED; return;
    case SIM_ENDING_CUT:
        if (call->is_raw) {
            call_finish_stream(call);
        } else {
            call_abort(call);
        }
        return;
    case SIM_ENDING_WHOLE: call_end(call, last); return;
    case SIM_ENDING_NONE: break;
    }
    dr_unreachable();
}

/* --- sources: each appends a piece to `piece`, or sets the ending, or asks to be called later ---
 */

/* The fault in mid-answer, once. True when it took this turn's place. */
static bool source_strike(struct sim_call *call, struct dr_buf *piece) {
    call->is_mid_over = true;
    if (call->fault.stall_mid) {
        call->ending = SIM_ENDING_STALL;
    } else if (call->fault.cut_mid) {
        call->ending = SIM_ENDING_CUT;
    } else if (call->fault.error_event) {
        call->dialect->write_error_event(piece);
        call->ending = SIM_ENDING_WHOLE;
    } else if (call->fault.bad_json) {
        call->dialect->write_broken_event(call->reply, piece);
    } else {
        return false;
    }
    return true;
}

/* False when the next event is not due yet; the timer is set then. */
static bool source_take_event(struct sim_call *call, struct dr_buf *piece) {
    const enum sim_event event = call->dialect->next(call->reply);
    const bool is_mid = event == SIM_EVENT_TOKEN ? call->played_tokens >= call->mid_token
                                                 : event == SIM_EVENT_CLOSING;
    if (is_mid && !call->is_mid_over && source_strike(call, piece)) return true;
    if (event == SIM_EVENT_TOKEN) {
        if (call->token_ms > 0) {
            const dr_instant due = sim_script_due(call->start, call->first_token_ms, call->token_ms,
                                                  call->played_tokens);
            const int64_t left_us = dr_instant_us_since(due, dr_loop_now(call->provider->loop));
            if (left_us > 0) {
                dr_timer_start(&call->timer, call->provider->loop, (left_us + 999) / 1000);
                return false;
            }
        }
        call->played_tokens++;
    }
    call->dialect->write_event(call->reply, piece);
    if (event == SIM_EVENT_DONE) call->ending = SIM_ENDING_WHOLE;
    return true;
}

static void source_take_whole(struct sim_call *call, struct dr_buf *piece) {
    const bool is_halved = call->fault.stall_mid || call->fault.cut_mid;
    dr_buf_put(piece, is_halved ? dr_slice_first(call->whole, call->whole.len / 2) : call->whole);
    call->ending = call->fault.stall_mid ? SIM_ENDING_STALL
                   : call->fault.cut_mid ? SIM_ENDING_CUT
                                         : SIM_ENDING_WHOLE;
}

static void source_take_huge(struct sim_call *call, struct dr_buf *piece) {
    if (call->huge_bytes == 0) call->dialect->put_huge_start(call->is_stream, piece);
    char *room = dr_buf_reserve(piece, HUGE_PIECE_BYTES);
    if (room) {
        memset(room, 'a', HUGE_PIECE_BYTES);
        dr_buf_commit(piece, HUGE_PIECE_BYTES);
    }
    call->huge_bytes += HUGE_PIECE_BYTES;
    if (call->huge_bytes < HUGE_BYTES) return;
    call->dialect->put_huge_end(call->is_stream, piece);
    call->ending = SIM_ENDING_WHOLE;
}

static bool source_take(struct sim_call *call, struct dr_buf *piece) {
    switch (call->source) {
    case SIM_SOURCE_EVENTS: return source_take_event(call, piece);
    case SIM_SOURCE_WHOLE: source_take_whole(call, piece); return true;
    case SIM_SOURCE_HUGE: source_take_huge(call, piece); return true;
    }
    dr_unreachable();
}

/* --- sinks --- */

static bool is_continuation(char byte) {
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* How much of `rest` (not empty) may leave in one write now; 0 when it is too early. */
static size_t sink_portion(struct sim_call *call, dr_slice rest) {
    switch (call->sink) {
    case SIM_SINK_DRIBBLE: return 1;
    case SIM_SINK_SPLIT:
        for (size_t i = 1; i < rest.len; i++) {
            if (is_continuation(rest.data[i])) return i;
        }
        return rest.len;
    case SIM_SINK_CUTS: {
        if (call->cut_index == call->cut_count) return rest.len;
        const uint64_t left = call->cuts[call->cut_index] - call->played_bytes;
        if (left > rest.len) return rest.len;
        call->cut_index++;
        return (size_t)left;
    }
    case SIM_SINK_SLOW: {
        const dr_instant now = dr_loop_now(call->provider->loop);
        const uint64_t passed_us = (uint64_t)dr_instant_us_since(now, call->slow_start);
        const uint64_t rate = call->fault.slow_bytes_per_s;
        const uint64_t allowed = passed_us / 1000000 * rate + passed_us % 1000000 * rate / 1000000;
        if (allowed <= call->played_bytes) return 0;
        return allowed - call->played_bytes < rest.len ? (size_t)(allowed - call->played_bytes)
                                                       : rest.len;
    }
    case SIM_SINK_PLAIN: break;
    }
    return rest.len;
}

/* Another portion in another turn, so that the peer sees it apart. */
static void sink_wait(struct sim_call *call) {
    if (call->sink == SIM_SINK_SLOW) {
        dr_timer_start(&call->timer, call->provider->loop, SLOW_TICK_MS);
    } else {
        call->is_gathering = true;
        dr_loop_gather(call->provider->loop, &call->step);
    }
}

/* A portion of `out`. The head of a raw answer leaves whole unless it dribbles. */
static void sink_step(struct sim_call *call) {
    dr_slice rest = dr_slice_from(dr_buf_slice(&call->out), call->out_start);
    const size_t len = sink_portion(call, rest);
    if (len > 0) {
        call->out_start += len;
        call->played_bytes += len;
        rest = dr_slice_first(rest, len);
        if (call->is_raw) {
            call_write_raw(call, rest);
        } else {
            dr_http_call_put(call->http, rest);
        }
    }
    sink_wait(call);
}

/* Takes a piece into `out`, framed where the answer is raw. False when it is not due yet. */
static bool sink_fill(struct sim_call *call) {
    struct dr_buf *piece = &call->provider->piece;
    dr_buf_reset(&call->out);
    call->out_start = 0;
    dr_buf_reset(piece);
    if (!source_take(call, piece)) return false;
    const bool is_framed = call->is_raw && call_is_chunked(call);
    char chunk_head[18];
    if (is_framed && piece->len > 0) {
        const size_t len = dr_http1_chunk_head(chunk_head, piece->len);
        dr_buf_put(&call->out, dr_slice_of(chunk_head, len));
    }
    dr_buf_put(&call->out, dr_buf_slice(piece));
    if (is_framed && piece->len > 0) dr_buf_put(&call->out, DR_LIT("\r\n"));
    if (is_framed && call->ending == SIM_ENDING_WHOLE) {
        dr_buf_put(&call->out, DR_LIT("0\r\n\r\n"));
    }
    if (dr_buf_status(&call->out) || dr_buf_status(piece)) call->ending = SIM_ENDING_CUT;
    return true;
}

static bool call_is_blocked(const struct sim_call *call) {
    return dr_http_call_pending(call->http) > 0; /* `drained` follows */
}

static void call_play_cut(struct sim_call *call) {
    if (call_is_blocked(call)) return;
    if (call->out_start == call->out.len) {
        if (call->ending != SIM_ENDING_NONE) {
            call_finish(call, DR_NONE);
            return;
        }
        if (!sink_fill(call)) return;
    }
    if (call->out.len > call->out_start) {
        sink_step(call);
    } else {
        sink_wait(call);
    }
}

static void call_play_plain(struct sim_call *call) {
    struct dr_buf *piece = &call->provider->piece;
    for (int i = 0; i < EVENTS_PER_STEP; i++) {
        if (call_is_blocked(call)) return;
        dr_buf_reset(piece);
        if (!source_take(call, piece)) return;
        if (dr_buf_status(piece)) call->ending = SIM_ENDING_CUT;
        const dr_slice bytes = dr_buf_slice(piece);
        if (call->ending == SIM_ENDING_WHOLE) {
            call_finish(call, bytes);
            return;
        }
        dr_http_call_put(call->http, bytes);
        if (call->ending != SIM_ENDING_NONE) {
            call_finish(call, DR_NONE);
            return;
        }
        if (call->source == SIM_SOURCE_HUGE) break;
    }
    dr_deferred_queue(&call->step, call->provider->loop);
}

/* The head: kept by the server until the first piece, or written here for raw answers. Then too the
 * server is told that the answer has begun, since only then it tells us when bytes have drained. */
static void call_begin(struct sim_call *call) {
    call->has_begun = true;
    if (call->is_raw) {
        /* A piece is in memory anyway, and none follows before it has left. */
        dr_stream_set_pending_max(dr_http_call_stream(call->http), SIZE_MAX / 2);
        dr_http_call_begin(call->http, call->status, DR_LIT(""));
        put_raw_head(call);
        if (call->sink == SIM_SINK_DRIBBLE) return;
        call_write_raw(call, dr_buf_slice(&call->out));
        dr_buf_reset(&call->out);
        return;
    }
    dr_http_call_begin(call->http, call->status, call_headers(call));
}

static void call_play(struct sim_call *call) {
    call->state = SIM_CALL_PLAYING;
    const bool is_simple = call->source == SIM_SOURCE_WHOLE && !call->is_raw &&
                           call->sink == SIM_SINK_PLAIN && !call->is_stream;
    if (is_simple) {
        struct dr_http_call *http = call->http;
        dr_http_call_answer(http, call->status, call_headers(call), call->whole);
        sim_call_release(call);
        return;
    }
    if (!call->has_begun) {
        call->slow_start = dr_loop_now(call->provider->loop);
        call_begin(call);
    }
    if (call->sink == SIM_SINK_PLAIN && !call->is_raw) {
        call_play_plain(call);
    } else {
        call_play_cut(call);
    }
}

void sim_call_resumed(void *owner) {
    struct sim_call *call = owner;
    if (call->is_gathering) {
        /* A peer on this very loop reads the last portion first, in what is left of this turn. */
        call->is_gathering = false;
        dr_deferred_queue(&call->step, call->provider->loop);
        return;
    }
    switch (call->state) {
    case SIM_CALL_HOLDING:
    case SIM_CALL_PLAYING: call_play(call); return;
    case SIM_CALL_LINGERING:
        /* A reset would take from a slow client what the system still holds for it. */
        if (call->is_raw && !call->has_finished) {
            call_finish_stream(call);
        } else {
            call_abort(call);
        }
        return;
    case SIM_CALL_READING:
    case SIM_CALL_STALLED: return;
    }
}

void sim_call_drained(struct sim_call *call) {
    if (call->state == SIM_CALL_PLAYING) call_play(call);
}

/* --- what is answered --- */

static void call_choose_sink(struct sim_call *call) {
    const struct sim_fault *fault = &call->fault;
    call->sink = fault->dribble                ? SIM_SINK_DRIBBLE
                 : fault->split_utf8           ? SIM_SINK_SPLIT
                 : call->cut_count > 0         ? SIM_SINK_CUTS
                 : fault->slow_bytes_per_s > 0 ? SIM_SINK_SLOW
                                               : SIM_SINK_PLAIN;
    /* A JSON answer has a Content-Length, which the server writes only for answers that are whole.
     */
    const bool is_spoiled =
        call->sink != SIM_SINK_PLAIN || fault->stall_mid || fault->cut_mid || fault->close_idle;
    call->is_raw = call->sink == SIM_SINK_DRIBBLE ||
                   (is_spoiled && !call->is_stream && call->source == SIM_SOURCE_WHOLE);
}

static void call_hold(struct sim_call *call) {
    call_choose_sink(call);
    call->start = dr_loop_now(call->provider->loop);
    call->state = SIM_CALL_HOLDING;
    if (call->first_token_ms > 0) {
        dr_timer_start(&call->timer, call->provider->loop, call->first_token_ms);
    } else {
        call_play(call);
    }
}

static void put_model(struct dr_buf *buf, dr_slice id) {
    dr_buf_put(buf, DR_LIT("{\"id\":"));
    dr_json_put_string(buf, id);
    dr_buf_put(buf, DR_LIT(",\"object\":\"model\",\"created\":1764000000,\"owned_by\":\"sim\"}"));
}

static void call_answer_models(struct sim_call *call) {
    static const dr_slice models[] = {
        SIM_TEXT("gpt-4.1"),
        SIM_TEXT("claude-sonnet-4.5"),
        SIM_TEXT("gemini-2.5-flash"),
        SIM_TEXT("deepseek-v3.2"),
        SIM_TEXT("sim:"),
    };
    struct dr_buf *body = &call->body;
    dr_buf_put(body, DR_LIT("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        if (i > 0) dr_buf_put_char(body, ',');
        put_model(body, models[i]);
    }
    dr_buf_put(body, DR_LIT("]}"));
    call->whole = dr_buf_slice(body);
    call_hold(call);
}

/* The faults that need no answer. True when the call is dealt with. */
static bool call_misbehave(struct sim_call *call) {
    const struct sim_fault *fault = &call->fault;
    if (fault->stall) {
        call->state = SIM_CALL_STALLED;
    } else if (fault->cut) {
        call_finish_stream(call);
    } else if (fault->garbage) {
        call_write_raw(call, DR_LIT("\x01\x02 this is not HTTP at all \xff\xfe\r\n\r\n\x00\x17"));
        call_finish_stream(call);
    } else if (fault->status > 0 || fault->retry_after_s > 0) {
        call_answer_status(call, fault->status > 0 ? fault->status : 429);
    } else {
        return false;
    }
    return true;
}

static bool starts_event_stream(dr_slice type) {
    return dr_slice_is_nocase(dr_slice_first(type, 17), DR_LIT("text/event-stream"));
}

static void call_answer_replay(struct sim_call *call) {
    call->is_stream = starts_event_stream(dr_buf_slice(&call->provider->replay_type));
    call->is_listed = false;
    call->status = call->provider->replay_status;
    call->whole = dr_buf_slice(&call->provider->replay);
    call_hold(call);
}

/* An answer that leaves at once needs no memory of its own. */
static void call_answer_whole(struct sim_call *call) {
    call_choose_sink(call);
    const bool is_instant =
        call->first_token_ms == 0 && call->sink == SIM_SINK_PLAIN && !call->is_raw;
    struct dr_buf *body = is_instant ? &call->provider->piece : &call->body;
    dr_buf_reset(body);
    call->dialect->write(call->reply, body);
    if (dr_buf_status(body)) {
        call_lacks_memory(call);
        return;
    }
    call->whole = dr_buf_slice(body);
    if (call->fault.bad_json) call->whole = dr_slice_first(call->whole, call->whole.len / 2);
    call_hold(call);
}

static void call_answer_ask(struct sim_call *call, const struct sim_ask *ask) {
    struct sim_provider *provider = call->provider;
    struct sim_reply_options options = {
        .created_s = dr_loop_wall(provider->loop).ms / 1000,
        .burst_events = call->burst_events,
        .no_usage = call->fault.no_usage,
    };
    fill_id(provider, options.id);
    call->is_stream = ask->is_streamed;
    call->is_listed = ask->is_listed;
    if (call->fault.huge) {
        call->source = SIM_SOURCE_HUGE;
        call_hold(call);
        return;
    }
    if (call->fault.error_event && !ask->is_streamed) {
        call_answer_status(call, 500);
        return;
    }
    call->reply = sim_reply_new(call->dialect, ask, &options);
    if (!call->reply) {
        call_lacks_memory(call);
        return;
    }
    if (!ask->is_streamed) {
        call_answer_whole(call);
        return;
    }
    const uint64_t events = call->reply->token_events;
    call->mid_token = events > 1 ? events / 2 : 1;
    call->source = SIM_SOURCE_EVENTS;
    call_hold(call);
}

/* Faults in the model's name. False after a refusal. */
static bool call_read_model_fault(struct sim_call *call, dr_slice model) {
    struct dr_error error;
    if (!dr_slice_starts(model, DR_LIT("sim:"))) return true;
    if (!sim_provider_add_fault(call->provider, call, dr_slice_from(model, 4), &error)) return true;
    call_refuse(call, &(struct sim_error){.status = 400,
                                          .message = error.text,
                                          .param = "model",
                                          .code = "invalid_simulation"});
    return false;
}

void sim_call_answer(struct sim_call *call, dr_slice body) {
    struct sim_provider *provider = call->provider;
    struct sim_complaint complaint = {.code = NULL};
    struct sim_ask ask;
    dr_json root = NULL;
    if (call->route != SIM_ROUTE_CHAT) {
        if (!call_misbehave(call)) call_answer_models(call);
        return;
    }
    sim_ask_init(&ask);
    ask.model = dr_buf_slice(&call->model);
    ask.is_streamed = call->is_stream;
    ask.is_listed = call->is_listed;
    const bool is_json = !dr_json_read(provider->reader, body, DEPTH_MAX, &root, NULL);
    const bool is_read =
        is_json && !call->dialect->read(root, &ask, &provider->scratch, &complaint);
    /* The model's name is read apart, since a replay answers whatever is asked. */
    const dr_slice model =
        ask.model.len > 0 ? ask.model : dr_json_text(dr_json_member(root, DR_LIT("model")));
    if (!call_read_model_fault(call, model)) return;
    if (call_misbehave(call)) return;
    if (provider->replay.len > 0) {
        call_answer_replay(call);
    } else if (!is_json) {
        call_refuse(call, &(struct sim_error){.status = 400, .message = call->dialect->bad_json});
    } else if (!is_read) {
        call_refuse(call, &(struct sim_error){.status = 400,
                                              .message = complaint.message,
                                              .param = complaint.param,
                                              .code = complaint.code});
    } else {
        call_answer_ask(call, &ask);
    }
}
