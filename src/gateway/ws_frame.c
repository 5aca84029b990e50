/* How frames look. Must not know who gets them, nor when they leave. */
#include "gateway/ws_frame.h"

#include "base/assert.h"
#include "base/json.h"
#include "base/utf8.h"
#include "dialect/openai_writer.h"
#include "gateway/exchange.h"
#include "gateway/ws_answer.h"
#include "gateway/ws_summary.h"
#include "net/ws.h"

enum { HEAD_ROOM = 4 }; /* of a frame of 126 to 65,535 bytes */

/* --- as text
 * ------------------------------------------------------------------------------------ */

static const dr_slice frame_begin = {"{\"id\":", 6};

void ws_frame_put_id(struct dr_buf *json, dr_slice id) {
    dr_buf_put(json, frame_begin);
    dr_json_put_string_or_null(json, id);
}

void ws_frame_put_begin(struct dr_buf *json, dr_slice id) {
    ws_frame_put_id(json, id);
    dr_buf_put(json, DR_LIT(",\"seq\":"));
}

void ws_frame_put_moved(struct dr_buf *json, dr_slice id) {
    ws_frame_put_id(json, id);
    dr_buf_put(json, DR_LIT(",\"moved\":true}"));
}

static void put_request_id(struct dr_buf *tail, dr_slice request_id) {
    if (request_id.len == 0) return;
    dr_buf_put(tail, DR_LIT(",\"request_id\":"));
    dr_json_put_string(tail, request_id);
}

/* OpenAI's object with two members more. */
static void put_refusal_tail(struct dr_buf *tail, const struct refusal *refusal,
                             dr_slice request_id) {
    put_request_id(tail, request_id);
    dr_buf_put(tail, DR_LIT(",\"error\":{"));
    openai_put_error_members(tail, refusal->message, refusal->type, refusal->param, refusal->code);
    dr_buf_put(tail, DR_LIT(",\"status\":"));
    dr_buf_put_u64(tail, refusal->status);
    if (refusal->status == 429 || refusal->status == 503) {
        dr_buf_put(tail, DR_LIT(",\"retry_after\":"));
        dr_buf_put_u64(tail, refusal->retry_after_s > 0 ? refusal->retry_after_s : 1);
    }
    dr_buf_put(tail, DR_LIT("},\"done\":true}"));
}

void ws_frame_put_refusal(struct dr_buf *json, dr_slice id, uint64_t seq,
                          const struct refusal *refusal, dr_slice request_id) {
    ws_frame_put_begin(json, id);
    dr_buf_put_u64(json, seq);
    put_refusal_tail(json, refusal, request_id);
}

bool ws_frame_next(dr_slice *row, dr_slice *ret_rest) {
    dr_slice text;
    if (!dr_ws_next_written(row, &text)) return false;
    size_t at = frame_begin.len + 1;
    dr_assert(text.data[at - 1] == '"');
    while (text.data[at] != '"') at += text.data[at] == '\\' ? 2 : 1;
    *ret_rest = dr_slice_from(text, at + 1);
    return true;
}

/* --- of an answer
 * ------------------------------------------------------------------------------- */

static struct dr_buf *frames_of(const struct ws_answer *answer) {
    return &answer->worker->frames;
}

/* The next frame's number: kept as text, so that no frame divides. */
static void count_frame(struct ws_answer *answer) {
    size_t at = answer->seq_len;
    while (at > 0 && answer->seq[at - 1] == '9') answer->seq[--at] = '0';
    if (at > 0) {
        answer->seq[at - 1]++;
    } else {
        dr_assert(answer->seq_len < WS_SEQ_DIGITS_MAX);
        answer->seq[answer->seq_len++] = '0';
        answer->seq[0] = '1';
    }
    answer->worker->frame_count++;
}

/* A frame up to its tail, which is put behind it. Returns where it begins, for frame_close. */
static size_t frame_open(struct ws_answer *answer) {
    struct dr_buf *frames = frames_of(answer);
    const size_t begin = frames->len;
    dr_buf_put(frames, dr_slice_of("\0\0\0\0", HEAD_ROOM));
    count_frame(answer);
    dr_buf_put(frames, answer->begin);
    dr_buf_put(frames, dr_slice_of(answer->seq, answer->seq_len));
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

void ws_frame_tell_accepted(struct ws_answer *answer) {
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = frame_open(answer);
    dr_buf_put(tail, DR_LIT(",\"accepted\":true"));
    put_request_id(tail, answer->request_id);
    dr_buf_put_char(tail, '}');
    frame_close(answer, begin);
}

void ws_frame_tell_end(struct ws_answer *answer, const struct downstream_close *close) {
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = frame_open(answer);
    dr_buf_put(tail, DR_LIT(",\"done\":true"));
    ws_summary_put(tail, answer, close);
    put_request_id(tail, answer->request_id);
    dr_buf_put_char(tail, '}');
    frame_close(answer, begin);
}

void ws_frame_tell_refusal(struct ws_answer *answer, const struct refusal *refusal) {
    const size_t begin = frame_open(answer);
    put_refusal_tail(frames_of(answer), refusal, answer->request_id);
    frame_close(answer, begin);
}

/* --- events
 * ------------------------------------------------------------------------------------- */

/* Adjoining events of one chunk. Each of these returns how many of them its frame took. */
struct event_run {
    const struct answer_event *events;
    size_t count;
};

/* Only an ask for several choices has others than the first. */
static void put_choice(struct dr_buf *tail, uint32_t choice_index) {
    if (choice_index == 0) return;
    dr_buf_put(tail, DR_LIT(",\"index\":"));
    dr_buf_put_u64(tail, choice_index);
}

/* As frame_open, for what is told of one choice. */
static size_t choice_open(struct ws_answer *answer, uint32_t choice_index) {
    const size_t begin = frame_open(answer);
    put_choice(frames_of(answer), choice_index);
    return begin;
}

/* Of the same choice as the first. */
static bool run_has(const struct event_run *run, size_t place, enum answer_event_kind kind) {
    return place < run->count && run->events[place].kind == kind &&
           run->events[place].choice_index == run->events[0].choice_index;
}

/* What came beside in the delta goes beside in the frame. */
static size_t put_members(struct dr_buf *tail, const struct event_run *run, size_t taken) {
    for (; run_has(run, taken, ANSWER_MEMBER); taken++) {
        const struct answer_event *event = &run->events[taken];
        if (event->member.kind == ANSWER_MEMBER_OTHER) break;
        dr_buf_put_char(tail, ',');
        dr_json_put_string(tail, event->member.name);
        dr_buf_put_char(tail, ':');
        dr_json_put_value(tail, event->member.value);
    }
    return taken;
}

static size_t put_bare_members(struct ws_answer *answer, const struct event_run *run) {
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = choice_open(answer, run->events[0].choice_index);
    const size_t taken = put_members(tail, run, 0);
    dr_buf_put_char(tail, '}');
    frame_close(answer, begin);
    return taken;
}

static size_t put_reasoning(struct ws_answer *answer, const struct event_run *run) {
    const struct answer_event *event = &run->events[0];
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = choice_open(answer, event->choice_index);
    dr_buf_put(tail, DR_LIT(",\"reasoning_content\":"));
    dr_json_put_string(tail, event->text);
    if (answer->signs_thinking) {
        dr_buf_put(tail, DR_LIT(",\"reasoning_details\":["));
        openai_put_thought(tail, event->text, answer->thought_count);
        dr_buf_put_char(tail, ']');
        answer->has_words = true;
    }
    const size_t taken = put_members(tail, run, 1);
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
    const size_t begin = choice_open(answer, event->choice_index);
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

static size_t put_text(struct ws_answer *answer, const struct event_run *run, dr_slice name) {
    const struct answer_event *event = &run->events[0];
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = choice_open(answer, event->choice_index);
    dr_buf_put(tail, name);
    dr_json_put_string(tail, event->text);
    const size_t taken = put_members(tail, run, 1);
    dr_buf_put_char(tail, '}');
    frame_close(answer, begin);
    return taken;
}

/* Of another dialect, as its stream of events would show it. */
static void put_logprobs(struct ws_answer *answer, const struct answer_event *event) {
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = choice_open(answer, event->choice_index);
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

static size_t put_citations(struct ws_answer *answer, const struct event_run *run) {
    const uint32_t choice = run->events[0].choice_index;
    struct dr_buf *tail = frames_of(answer);
    const size_t begin = choice_open(answer, choice);
    size_t taken = 0;
    dr_buf_put(tail, DR_LIT(",\"annotations\":["));
    for (; run_has(run, taken, ANSWER_CITATION); taken++) {
        if (taken > 0) dr_buf_put_char(tail, ',');
        openai_put_citation(&run->events[taken], *count_of(answer, choice), tail);
    }
    dr_buf_put(tail, DR_LIT("]}"));
    frame_close(answer, begin);
    return taken;
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
    const size_t begin = choice_open(answer, event->choice_index);
    dr_buf_put(tail, DR_LIT(",\"function_call\":"));
    put_called(tail, event);
    dr_buf_put_char(tail, '}');
    frame_close(answer, begin);
}

/* Adjoining deltas of one choice in one frame. */
static size_t put_calls(struct ws_answer *answer, const struct event_run *run) {
    struct dr_buf *tail = frames_of(answer);
    size_t taken = 0;
    if (run->events[0].tool_call.form == ANSWER_CALL_LEGACY) {
        put_function_call(answer, &run->events[0]);
        return 1;
    }
    const size_t begin = choice_open(answer, run->events[0].choice_index);
    dr_buf_put(tail, DR_LIT(",\"tool_calls\":["));
    while (run_has(run, taken, ANSWER_TOOL_CALL) &&
           run->events[taken].tool_call.form != ANSWER_CALL_LEGACY) {
        if (taken > 0) dr_buf_put_char(tail, ',');
        put_call(tail, &run->events[taken++]);
    }
    dr_buf_put(tail, DR_LIT("]}"));
    frame_close(answer, begin);
    return taken;
}

static const dr_slice content = {",\"content\":", 11};

/* Mostly short: then what lies in the lines that are at hand is copied, which takes no call. */
static char *put_begin_and_seq(char *at, const struct ws_answer *answer) {
    if (answer->begin.len > WS_BEGIN_BYTES_SHORT) {
        at = mempcpy(at, answer->begin.data, answer->begin.len);
    } else {
        memcpy(at, answer->begin_text, WS_BEGIN_BYTES_SHORT);
        at += answer->begin.len;
    }
    for (size_t i = 0; i < answer->seq_len; i++) *at++ = answer->seq[i];
    return at;
}

void ws_frame_tell_plain_words(struct ws_answer *answer, dr_slice words) {
    struct dr_buf *frames = frames_of(answer);
    count_frame(answer);
    const size_t len = answer->begin.len + answer->seq_len + content.len + words.len + 3;
    char *frame = dr_buf_reserve(frames, DR_WS_HEAD_BYTES_MAX + WS_BEGIN_BYTES_SHORT + len);
    if (!frame) return;
    char *at = frame + dr_ws_write_head(frame, DR_WS_OPCODE_TEXT, len, NULL);
    at = put_begin_and_seq(at, answer);
    at = mempcpy(at, content.data, content.len);
    *at++ = '"';
    at = mempcpy(at, words.data, words.len);
    *at++ = '"';
    *at++ = '}';
    dr_buf_commit(frames, (size_t)(at - frame));
}

void ws_frame_tell_words(struct ws_answer *answer, const struct answer_event *words) {
    const struct event_run run = {words, 1};
    (void)put_text(answer, &run, content);
}

size_t ws_frame_tell_events(struct ws_answer *answer, const struct answer_event *events,
                            size_t count) {
    const struct event_run run = {events, count};
    switch (events->kind) {
    case ANSWER_TEXT:
        if (answer->is_noted) {
            *count_of(answer, events->choice_index) += dr_utf8_count(events->text);
        }
        return put_text(answer, &run, content);
    case ANSWER_REFUSAL: return put_text(answer, &run, DR_LIT(",\"refusal\":"));
    case ANSWER_REASONING: return put_reasoning(answer, &run);
    case ANSWER_TOOL_CALL: return put_calls(answer, &run);
    case ANSWER_CITATION: return put_citations(answer, &run);
    case ANSWER_MEMBER:
        dr_assert(events->member.kind != ANSWER_MEMBER_OTHER);
        return put_bare_members(answer, &run);
    case ANSWER_SIGNATURE: put_signature(answer, events); return 1;
    case ANSWER_LOGPROBS: put_logprobs(answer, events); return 1;
    case ANSWER_START:
    case ANSWER_FINISH:
    case ANSWER_USAGE:
    case ANSWER_ERROR:
    case ANSWER_END: break;
    }
    dr_unreachable();
}
