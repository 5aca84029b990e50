/* The answer as frames over a WebSocket: events are rendered, whatever dialect they came in. Must
 * not know how frames become exchanges. */
#include "gateway/downstream.h"

#include "base/assert.h"
#include "base/json.h"
#include "base/utf8.h"
#include "dialect/openai_writer.h"
#include "gateway/exchange.h"
#include "gateway/ws_answer.h"
#include "net/ws_session.h"

enum {
    FRAMES_BYTES_KEPT =
        256 * 1024, /* memory for frames beyond this is not kept for the next piece */
    HEAD_ROOM = 4,  /* of a frame of 126 to 65,535 bytes */
};

/* --- frames
 * ------------------------------------------------------------------------------------- */

static const dr_slice frame_begin = {"{\"id\":", 6};

void ws_put_begin(struct dr_buf *json, dr_slice id) {
    dr_buf_put(json, frame_begin);
    dr_json_put_string(json, id);
    dr_buf_put(json, DR_LIT(",\"seq\":"));
}

bool ws_row_next(dr_slice *row, dr_slice *ret_rest) {
    dr_slice text;
    if (!dr_ws_next_written(row, &text)) return false;
    size_t at = frame_begin.len + 1;
    while (text.data[at] != '"') at += text.data[at] == '\\' ? 2 : 1;
    *ret_rest = dr_slice_from(text, at + 1);
    return true;
}

/* The frames of one piece gather here, and leave with it. */
static struct dr_buf *frames_of(const struct ws_answer *answer) {
    return &answer->exchange->worker->frames;
}

/* A frame up to its tail, which is put behind it. Returns where it begins, for frame_end. */
static size_t frame_open(struct ws_answer *answer) {
    struct dr_buf *frames = frames_of(answer);
    const size_t begin = frames->len;
    dr_buf_put(frames, dr_slice_of("\0\0\0\0", HEAD_ROOM));
    dr_buf_put(frames, answer->begin);
    dr_buf_put_u64(frames, ++answer->seq);
    answer->exchange->worker->frame_count++;
    return begin;
}

/* The head, for which there is seldom too little room, and mostly too much. */
static void frame_close(struct ws_answer *answer, size_t begin) {
    struct dr_buf *frames = frames_of(answer);
    char head[DR_WS_HEAD_BYTES_MAX];
    if (dr_buf_status(frames)) return;
    const size_t len = frames->len - begin - HEAD_ROOM;
    const size_t head_len = dr_ws_write_head(head, DR_WS_OPCODE_TEXT, len, NULL);
    if (head_len > HEAD_ROOM && !dr_buf_reserve(frames, head_len - HEAD_ROOM)) return;
    char *frame = frames->data + begin;
    if (head_len != HEAD_ROOM) memmove(frame + head_len, frame + HEAD_ROOM, len);
    memcpy(frame, head, head_len);
    frames->len = begin + head_len + len;
}

/* For who may come back. */
static void put_in_record(struct ws_answer *answer) {
    const struct dr_buf *frames = frames_of(answer);
    if (dr_buf_status(frames) == DR_OK) {
        replay_put_row(&answer->pen, dr_buf_slice(frames), answer->exchange->worker->frame_count);
    } else {
        replay_lose(&answer->pen);
    }
}

/* To who listens, and into the record. */
static void send_frames(struct ws_answer *answer) {
    struct dr_buf *frames = frames_of(answer);
    struct dr_ws_session *session = answer->session;
    if (answer->pen.replay) put_in_record(answer);
    if (!session) {
        ws_answer_mind_loss(answer);
    } else if (dr_buf_status(frames) == DR_OK) {
        (void)dr_ws_session_send_frames(session, dr_buf_slice(frames)); /* its owner is told */
    } else {
        dr_ws_session_reset(session); /* a gap would go unseen */
    }
    answer->exchange->worker->frame_count = 0;
    dr_buf_reset(frames);
    if (frames->capacity > FRAMES_BYTES_KEPT) dr_buf_clear(frames);
}

static void put_request_id(struct dr_buf *tail, dr_slice request_id) {
    if (request_id.len == 0) return;
    dr_buf_put(tail, DR_LIT(",\"request_id\":"));
    dr_json_put_string(tail, request_id);
}

/* OpenAI's object with two members more. */
void ws_put_refusal_tail(struct dr_buf *tail, const struct refusal *refusal, dr_slice request_id) {
    put_request_id(tail, request_id);
    dr_buf_put(tail, DR_LIT(",\"error\":{\"message\":"));
    dr_json_put_string_or_null(tail, refusal->message);
    dr_buf_put(tail, DR_LIT(",\"type\":"));
    dr_json_put_string_or_null(tail, refusal->type);
    dr_buf_put(tail, DR_LIT(",\"param\":"));
    dr_json_put_string_or_null(tail, refusal->param);
    dr_buf_put(tail, DR_LIT(",\"code\":"));
    dr_json_put_string_or_null(tail, refusal->code);
    dr_buf_put(tail, DR_LIT(",\"status\":"));
    dr_buf_put_u64(tail, refusal->status);
    if (refusal->status == 429 || refusal->status == 503) {
        dr_buf_put(tail, DR_LIT(",\"retry_after\":"));
        dr_buf_put_u64(tail, refusal->retry_after_s > 0 ? refusal->retry_after_s : 1);
    }
    dr_buf_put(tail, DR_LIT("},\"done\":true}"));
}

/* --- the beginning
 * ------------------------------------------------------------------------------ */

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

static void ws_admitted(struct downstream *downstream) {
    struct ws_answer *answer = downstream->answer;
    ws_answer_record(answer);
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = frame_open(answer);
    dr_buf_put(tail, DR_LIT(",\"accepted\":true"));
    put_request_id(tail, answer->request_id);
    dr_buf_put_char(tail, '}');
    frame_close(answer, begin);
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

/* --- events
 * ------------------------------------------------------------------------------------- */

static void note_text(dr_slice text, size_t len_max, char *kept, size_t *ret_len) {
    const dr_slice first = dr_utf8_first(text, len_max);
    if (first.len > 0) memcpy(kept, first.data, first.len);
    *ret_len = first.len;
}

/* Only an ask for several choices has others than the first. */
static void put_choice(struct dr_buf *tail, uint32_t choice_index) {
    if (choice_index == 0) return;
    dr_buf_put(tail, DR_LIT(",\"index\":"));
    dr_buf_put_u64(tail, choice_index);
}

/* Some of a row of events of one chunk. Each of these returns how many of them its frame took. */
struct row {
    const struct answer_event *events;
    size_t count;
};

/* Of the same choice as the first. */
static bool row_has(const struct row *row, size_t place, enum answer_event_kind kind) {
    return place < row->count && row->events[place].kind == kind &&
           row->events[place].choice_index == row->events[0].choice_index;
}

/* What came beside in the delta goes beside in the frame. */
static size_t put_members(struct dr_buf *tail, const struct row *row, size_t taken) {
    for (; row_has(row, taken, ANSWER_MEMBER); taken++) {
        const struct answer_event *event = &row->events[taken];
        if (event->member.kind == ANSWER_MEMBER_OTHER) break;
        dr_buf_put_char(tail, ',');
        dr_json_put_string(tail, event->member.name);
        dr_buf_put_char(tail, ':');
        dr_json_put_value(tail, event->member.value);
    }
    return taken;
}

static size_t put_bare_members(struct ws_answer *answer, const struct row *row) {
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = frame_open(answer);
    put_choice(tail, row->events[0].choice_index);
    const size_t taken = put_members(tail, row, 0);
    dr_buf_put_char(tail, '}');
    frame_close(answer, begin);
    return taken;
}

static size_t put_reasoning(struct ws_answer *answer, const struct row *row) {
    const struct answer_event *event = &row->events[0];
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = frame_open(answer);
    put_choice(tail, event->choice_index);
    dr_buf_put(tail, DR_LIT(",\"reasoning_content\":"));
    dr_json_put_string(tail, event->text);
    if (answer->signs_thinking) {
        dr_buf_put(tail, DR_LIT(",\"reasoning_details\":["));
        openai_put_thought(tail, event->text, answer->thought_count);
        dr_buf_put_char(tail, ']');
        answer->has_words = true;
    }
    const size_t taken = put_members(tail, row, 1);
    dr_buf_put_char(tail, '}');
    frame_close(answer, begin);
    return taken;
}

static void put_call_signature(struct dr_buf *tail, const struct answer_event *event) {
    dr_buf_put(tail, DR_LIT(",\"tool_calls\":[{\"index\":"));
    dr_buf_put_u64(tail, event->signature.index);
    dr_buf_put(tail, DR_LIT(",\"function\":{\"arguments\":\"\"}"));
    openai_put_signature_of_call(tail, event->signature.text);
    dr_buf_put(tail, DR_LIT("}]"));
}

static void put_signature(struct ws_answer *answer, const struct answer_event *event) {
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = frame_open(answer);
    put_choice(tail, event->choice_index);
    if (event->signature.kind == ANSWER_SIGNATURE_CALL) {
        put_call_signature(tail, event);
    } else {
        dr_buf_put(tail, DR_LIT(",\"reasoning_details\":["));
        openai_put_signature(tail, event, answer->has_words ? DR_NONE : DR_LIT(""),
                             answer->thought_count++);
        dr_buf_put_char(tail, ']');
        answer->has_words = false;
    }
    dr_buf_put_char(tail, '}');
    frame_close(answer, begin);
}

static size_t put_text(struct ws_answer *answer, const struct row *row, dr_slice name) {
    const struct answer_event *event = &row->events[0];
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = frame_open(answer);
    put_choice(tail, event->choice_index);
    dr_buf_put(tail, name);
    dr_json_put_string(tail, event->text);
    const size_t taken = put_members(tail, row, 1);
    dr_buf_put_char(tail, '}');
    frame_close(answer, begin);
    return taken;
}

/* Of another dialect, as its stream of events would show it. */
static void put_logprobs(struct ws_answer *answer, const struct answer_event *event) {
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = frame_open(answer);
    put_choice(tail, event->choice_index);
    dr_buf_put(tail, DR_LIT(",\"logprobs\":{\"content\":"));
    dr_buf_put(tail, event->text);
    dr_buf_put(tail, DR_LIT(",\"refusal\":null}}"));
    frame_close(answer, begin);
}

/* Where characters of the choice's text are counted. */
static uint64_t *count_of(struct ws_answer *answer, uint32_t choice_index) {
    const uint32_t last = OPENAI_WRITER_CHOICES_MAX - 1;
    return &answer->character_counts[choice_index < last ? choice_index : last];
}

static size_t put_citations(struct ws_answer *answer, const struct row *row) {
    const uint32_t choice = row->events[0].choice_index;
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = frame_open(answer);
    size_t taken = 0;
    put_choice(tail, choice);
    dr_buf_put(tail, DR_LIT(",\"annotations\":["));
    for (; row_has(row, taken, ANSWER_CITATION); taken++) {
        if (taken > 0) dr_buf_put_char(tail, ',');
        openai_put_citation(&row->events[taken], *count_of(answer, choice), tail);
    }
    dr_buf_put(tail, DR_LIT("]}"));
    frame_close(answer, begin);
    return taken;
}

/* Mostly short: then what lies in the lines that are at hand is copied, which takes no call. */
static char *put_begin(char *at, const struct ws_answer *answer) {
    if (answer->begin.len > WS_BEGIN_BYTES_SHORT) {
        return mempcpy(at, answer->begin.data, answer->begin.len);
    }
    memcpy(at, answer->begin_text, WS_BEGIN_BYTES_SHORT);
    return at + answer->begin.len;
}

/* The same for words of the first choice that stand in JSON as they are: nearly all are such. */
static void put_plain_words(struct ws_answer *answer, dr_slice words) {
    static const dr_slice before = {",\"content\":\"", 12};
    struct dr_buf *frames = frames_of(answer);
    char number[DR_U64_TEXT_BYTES];
    const size_t number_len = dr_u64_text(++answer->seq, number);
    const size_t len = answer->begin.len + number_len + before.len + words.len + 2;
    char *frame = dr_buf_reserve(frames, DR_WS_HEAD_BYTES_MAX + WS_BEGIN_BYTES_SHORT + len);
    if (!frame) return;
    char *at = frame + dr_ws_write_head(frame, DR_WS_OPCODE_TEXT, len, NULL);
    at = put_begin(at, answer);
    at = mempcpy(at, number, number_len);
    at = mempcpy(at, before.data, before.len);
    at = mempcpy(at, words.data, words.len);
    at[0] = '"';
    at[1] = '}';
    dr_buf_commit(frames, (size_t)(at + 2 - frame));
    answer->exchange->worker->frame_count++;
}

/* {"name":…,"arguments":…}: the name only where the call begins. */
static void put_called(struct dr_buf *tail, const struct answer_event *event) {
    const bool is_custom = event->tool_call.form == ANSWER_CALL_CUSTOM;
    dr_buf_put_char(tail, '{');
    if (event->tool_call.name.len > 0) {
        dr_buf_put(tail, DR_LIT("\"name\":"));
        dr_json_put_string(tail, event->tool_call.name);
        dr_buf_put_char(tail, ',');
    }
    dr_buf_put(tail, is_custom ? DR_LIT("\"input\":") : DR_LIT("\"arguments\":"));
    dr_json_put_string(tail, event->tool_call.arguments);
    dr_buf_put_char(tail, '}');
}

static void put_call(struct dr_buf *tail, const struct answer_event *event) {
    const bool is_custom = event->tool_call.form == ANSWER_CALL_CUSTOM;
    dr_buf_put(tail, DR_LIT("{\"index\":"));
    dr_buf_put_u64(tail, event->tool_call.index);
    if (event->tool_call.id.len > 0) {
        dr_buf_put(tail, DR_LIT(",\"id\":"));
        dr_json_put_string(tail, event->tool_call.id);
        dr_buf_put(tail,
                   is_custom ? DR_LIT(",\"type\":\"custom\"") : DR_LIT(",\"type\":\"function\""));
    }
    dr_buf_put(tail, is_custom ? DR_LIT(",\"custom\":") : DR_LIT(",\"function\":"));
    put_called(tail, event);
    if (event->tool_call.extra_content) {
        dr_buf_put(tail, DR_LIT(",\"extra_content\":"));
        dr_json_put_value(tail, event->tool_call.extra_content);
    }
    dr_buf_put_char(tail, '}');
}

static void put_function_call(struct ws_answer *answer, const struct answer_event *event) {
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = frame_open(answer);
    put_choice(tail, event->choice_index);
    dr_buf_put(tail, DR_LIT(",\"function_call\":"));
    put_called(tail, event);
    dr_buf_put_char(tail, '}');
    frame_close(answer, begin);
}

/* Adjoining deltas of one choice in one frame. */
static size_t put_calls(struct ws_answer *answer, const struct row *row) {
    struct dr_buf *tail = frames_of(answer);
    size_t taken = 0;
    if (row->events[0].tool_call.form == ANSWER_CALL_LEGACY) {
        put_function_call(answer, &row->events[0]);
        return 1;
    }
    const size_t begin = frame_open(answer);
    put_choice(tail, row->events[0].choice_index);
    dr_buf_put(tail, DR_LIT(",\"tool_calls\":["));
    while (row_has(row, taken, ANSWER_TOOL_CALL) &&
           row->events[taken].tool_call.form != ANSWER_CALL_LEGACY) {
        if (taken > 0) dr_buf_put_char(tail, ',');
        put_call(tail, &row->events[taken++]);
    }
    dr_buf_put(tail, DR_LIT("]}"));
    frame_close(answer, begin);
    return taken;
}

/* OpenAI's word, also where another dialect said it in its own. */
static dr_slice finish_name(const struct answer_event *event) {
    switch (event->finish.reason) {
    case ANSWER_FINISH_STOP: return DR_LIT("stop");
    case ANSWER_FINISH_LENGTH: return DR_LIT("length");
    case ANSWER_FINISH_TOOL_CALLS: return DR_LIT("tool_calls");
    case ANSWER_FINISH_CONTENT_FILTER: return DR_LIT("content_filter");
    case ANSWER_FINISH_FUNCTION_CALL: return DR_LIT("function_call");
    case ANSWER_FINISH_OTHER: break;
    }
    return event->finish.text;
}

/* --- what the end will tell
 * --------------------------------------------------------------------- */

static void note_model(struct ws_answer *answer, dr_slice model) {
    size_t len;
    if (model.len == 0 || answer->model_len > 0) return;
    note_text(model, sizeof answer->model, answer->model, &len);
    answer->model_len = (uint16_t)len;
}

/* NULL when there is no place for it. */
static struct ws_finish *finish_of(struct ws_answer *answer, uint32_t choice_index) {
    if (choice_index >= WS_CHOICES_MAX) return NULL;
    if (choice_index >= answer->choice_count) answer->choice_count = choice_index + 1;
    if (choice_index == 0) return &answer->finish;
    if (!answer->finishes) {
        answer->finishes = dr_arena_alloc_zero(&answer->exchange->arena,
                                               WS_CHOICES_MAX * sizeof *answer->finishes);
    }
    return answer->finishes ? &answer->finishes[choice_index] : NULL;
}

static void note_finish(struct ws_answer *answer, const struct answer_event *event) {
    struct ws_finish *finish = finish_of(answer, event->choice_index);
    size_t len;
    if (!finish) return;
    note_text(finish_name(event), sizeof finish->text, finish->text, &len);
    finish->len = (uint8_t)len;
}

/* A member of a delta that has no frame. More than a few names are not told. */
static void note_other(struct ws_answer *answer, dr_slice name) {
    name = dr_utf8_first(name, WS_OTHER_BYTES_MAX);
    for (uint32_t i = 0; i < answer->other_count; i++) {
        if (dr_slice_is(answer->others[i], name)) return;
    }
    if (answer->other_count == WS_OTHERS_MAX) return;
    dr_slice *other = &answer->others[answer->other_count];
    if (dr_arena_copy(&answer->exchange->arena, name, other)) answer->other_count++;
}

/* --- events of a chunk
 * -------------------------------------------------------------------------- */

static bool is_empty_text(const struct answer_event *event) {
    return (event->kind == ANSWER_TEXT || event->kind == ANSWER_REASONING ||
            event->kind == ANSWER_REFUSAL) &&
           event->text.len == 0;
}

/* Characters that came in two halves, whose text is made anew in the worker's memory for
 * bodies, which no frame needs. */
static void join_halves(struct ws_answer *answer, struct answer_chunk *chunk) {
    struct dr_buf *joined = &answer->exchange->worker->body;
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
    if (dr_buf_status(joined) == DR_OK) return;
    /* As for frames: a gap would go unseen, also by who comes back. */
    if (answer->pen.replay) replay_lose(&answer->pen);
    if (answer->session) dr_ws_session_reset(answer->session);
}

/* The words of a chunk with nothing else in it that is new: nearly all are such. NULL when it has
 * to be looked at in full. */
static const struct answer_event *plain_words(const struct ws_answer *answer,
                                              const struct answer_chunk *chunk) {
    const struct answer_event *event = chunk->events;
    size_t count = chunk->event_count;
    if (count > 0 && event->kind == ANSWER_START && answer->model_len > 0) {
        event++;
        count--;
    }
    if (count != 1 || event->kind != ANSWER_TEXT || event->text.len == 0) return NULL;
    return answer->is_noted || openai_halves_concern(&answer->halves, chunk) ? NULL : event;
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

/* The frame that begins with the row's first event; returns how many it took. */
static size_t put_row(struct ws_answer *answer, const struct row *row) {
    const struct answer_event *event = &row->events[0];
    switch (event->kind) {
    case ANSWER_TEXT:
        *count_of(answer, event->choice_index) += dr_utf8_count(event->text);
        return put_text(answer, row, DR_LIT(",\"content\":"));
    case ANSWER_REFUSAL: return put_text(answer, row, DR_LIT(",\"refusal\":"));
    case ANSWER_REASONING: return put_reasoning(answer, row);
    case ANSWER_TOOL_CALL: return put_calls(answer, row);
    case ANSWER_CITATION: return put_citations(answer, row);
    case ANSWER_MEMBER:
        if (event->member.kind != ANSWER_MEMBER_OTHER) return put_bare_members(answer, row);
        note_other(answer, event->member.name);
        break;
    case ANSWER_SIGNATURE: put_signature(answer, event); break;
    case ANSWER_LOGPROBS: put_logprobs(answer, event); break;
    case ANSWER_START: note_model(answer, event->start.model); break;
    case ANSWER_FINISH: note_finish(answer, event); break;
    case ANSWER_USAGE:
    case ANSWER_ERROR:
    case ANSWER_END: break;
    }
    return 1;
}

static void ws_put(struct downstream *downstream, const struct answer_chunk *chunk, dr_slice raw) {
    struct ws_answer *answer = downstream->answer;
    (void)raw; /* the events tell all that a frame can */
    const struct answer_event *words = plain_words(answer, chunk);
    if (words) {
        if (chunk->is_plain && words->choice_index == 0) {
            put_plain_words(answer, words->text);
        } else {
            const struct row row = {words, 1};
            (void)put_text(answer, &row, DR_LIT(",\"content\":"));
        }
        return;
    }
    struct answer_chunk numbered = *chunk;
    openai_call_numbers_apply(&answer->calls, &numbered);
    if (answer->is_legacy) make_legacy(&numbered);
    join_halves(answer, &numbered);
    for (size_t i = 0; answer->turn && i < numbered.event_count; i++) {
        chat_turn_note(answer->turn, &numbered.events[i]);
    }
    for (size_t i = 0; i < numbered.event_count;) {
        const struct row row = {numbered.events + i, numbered.event_count - i};
        i += put_row(answer, &row);
    }
}

static void ws_flush(struct downstream *downstream) {
    const struct dr_buf *frames = frames_of(downstream->answer);
    if (frames->len > 0 || dr_buf_status(frames) != DR_OK) send_frames(downstream->answer);
}

/* --- the end
 * ------------------------------------------------------------------------------------ */

/* "seed, user" as an array, and members of the answer behind. */
static void put_dropped(struct dr_buf *tail, dr_slice dropped, const struct ws_answer *answer) {
    bool is_first = true;
    if (dropped.len == 0 && answer->other_count == 0) return;
    dr_buf_put(tail, DR_LIT(",\"dropped\":["));
    for (; dropped.len > 0; is_first = false) {
        if (!is_first) dr_buf_put_char(tail, ',');
        dr_json_put_string(tail, dr_slice_trim(dr_slice_split(&dropped, ',')));
    }
    for (uint32_t i = 0; i < answer->other_count; i++, is_first = false) {
        if (!is_first) dr_buf_put_char(tail, ',');
        dr_json_put_string(tail, answer->others[i]);
    }
    dr_buf_put_char(tail, ']');
}

static dr_slice finish_text(const struct ws_finish *finish) {
    return finish->len > 0 ? dr_slice_of(finish->text, finish->len) : DR_NONE;
}

/* As in a stream of events, what never says why it ended has ended well. */
static dr_slice missing_finish(const struct ws_answer *answer, uint32_t choice_index) {
    const struct answer_event event = {
        .kind = ANSWER_FINISH,
        .finish.reason = exchange_missing_finish(answer->exchange, choice_index),
    };
    return finish_name(&event);
}

static dr_slice finish_of_other(const struct ws_answer *answer, uint32_t choice_index,
                                bool is_cancelled) {
    const dr_slice finish =
        answer->finishes ? finish_text(&answer->finishes[choice_index]) : DR_NONE;
    const uint64_t unfinished = exchange_unfinished_choices(answer->exchange);
    const bool lacks_finish =
        choice_index < EXCHANGE_CHOICES_NOTED && (unfinished >> choice_index & 1) != 0;
    return lacks_finish && !is_cancelled ? missing_finish(answer, choice_index) : finish;
}

/* How each choice ended, where there may be several. */
static void put_finish_reasons(struct dr_buf *tail, const struct ws_answer *answer, dr_slice first,
                               bool is_cancelled) {
    const uint32_t asked = answer->exchange->prompt.choice_count;
    uint32_t count = asked < WS_CHOICES_MAX ? asked : WS_CHOICES_MAX;
    if (count < answer->choice_count) count = answer->choice_count;
    if (count <= 1) return;
    dr_buf_put(tail, DR_LIT(",\"finish_reasons\":["));
    dr_json_put_string(tail, first);
    for (uint32_t i = 1; i < count; i++) {
        dr_buf_put_char(tail, ',');
        dr_json_put_string_or_null(tail, finish_of_other(answer, i, is_cancelled));
    }
    dr_buf_put_char(tail, ']');
}

static void ws_end(struct downstream *downstream, dr_slice last,
                   const struct downstream_close *close) {
    struct ws_answer *answer = downstream->answer;
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = frame_open(answer);
    dr_slice finish = finish_text(&answer->finish);
    dr_slice model = dr_slice_of(answer->model, answer->model_len);
    (void)last; /* an end in the client's dialect */
    if (close->is_cancelled) finish = DR_LIT("cancelled");
    if (model.len == 0) model = close->model;
    dr_buf_put(tail, DR_LIT(",\"done\":true,\"finish_reason\":"));
    if (finish.len == 0) finish = missing_finish(answer, 0);
    dr_json_put_string(tail, finish);
    put_finish_reasons(tail, answer, finish, close->is_cancelled);
    dr_buf_put(tail, DR_LIT(",\"model\":"));
    dr_json_put_string(tail, model);
    dr_buf_put(tail, DR_LIT(",\"usage\":"));
    openai_put_usage(tail, close->usage);
    dr_buf_put(tail, DR_LIT(",\"cost\":"));
    money_put(tail, close->cost);
    put_dropped(tail, close->dropped, answer);
    put_request_id(tail, answer->request_id);
    dr_buf_put_char(tail, '}');
    frame_close(answer, begin);
    send_frames(answer);
    downstream->answer = NULL;
    ws_answer_over(answer, close->is_cancelled ? CHAT_TURN_CUT : CHAT_TURN_ANSWERED);
}

static void ws_refuse(struct downstream *downstream, const struct refusal *refusal,
                      dr_slice headers, struct dr_buf *scratch) {
    struct ws_answer *answer = downstream->answer;
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = frame_open(answer);
    (void)headers;
    (void)scratch;
    ws_put_refusal_tail(tail, refusal, answer->request_id);
    frame_close(answer, begin);
    send_frames(answer);
    downstream->answer = NULL;
    ws_answer_over(answer, CHAT_TURN_FAILED);
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
