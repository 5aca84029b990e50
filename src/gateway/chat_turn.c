/* What a turn adds to its session. Must not know transports, nor the rules of sessions. */
#include "gateway/chat_turn.h"

#include "base/json.h"
#include "dialect/openai_writer.h"

enum { CALLS_MIN = 8 };

void chat_turn_init(struct chat_turn *turn, struct dr_arena *arena, size_t bytes_max) {
    turn->arena = arena;
    dr_buf_init(&turn->text, bytes_max);
    dr_buf_init(&turn->refusal, bytes_max);
    dr_buf_init(&turn->reasoning, bytes_max);
    dr_buf_init(&turn->extra, bytes_max);
    openai_details_init(&turn->details, bytes_max);
}

/* --- what is delivered
 * -------------------------------------------------------------------------- */

static bool reserve_calls(struct chat_turn *turn, uint32_t count) {
    uint32_t capacity = turn->call_capacity > 0 ? turn->call_capacity : CALLS_MIN;
    if (count <= turn->call_capacity) return true;
    while (capacity < count) capacity *= 2;
    struct chat_call *calls = dr_arena_alloc_zero(turn->arena, capacity * sizeof *calls);
    if (!calls) return false;
    if (turn->call_count > 0) memcpy(calls, turn->calls, turn->call_count * sizeof *calls);
    turn->calls = calls;
    turn->call_capacity = capacity;
    return true;
}

/* NULL when there is no room for it. */
static struct chat_call *call_of(struct chat_turn *turn, uint32_t index) {
    if (index >= CHAT_CALLS_MAX || !reserve_calls(turn, index + 1)) {
        turn->has_lost_calls = true;
        return NULL;
    }
    while (turn->call_count <= index) {
        struct chat_call *call = &turn->calls[turn->call_count++];
        dr_buf_init(&call->arguments, turn->text.cap);
        dr_buf_init(&call->extra, turn->text.cap);
    }
    return &turn->calls[index];
}

/* Names come whole, mostly with a call's first delta. */
static void keep_name(struct chat_turn *turn, dr_slice name, dr_slice *kept) {
    if (kept->len > 0 || name.len == 0) return;
    if (!dr_arena_copy(turn->arena, name, kept)) turn->has_lost_calls = true;
}

static void keep_extra(struct dr_buf *extra, dr_json value) {
    dr_buf_reset(extra);
    dr_buf_put(extra, DR_LIT(",\"extra_content\":"));
    dr_json_put_value(extra, value);
}

static void note_call(struct chat_turn *turn, const struct answer_event *event) {
    struct chat_call *call = call_of(turn, event->tool_call.index);
    if (!call) return;
    call->form = event->tool_call.form;
    keep_name(turn, event->tool_call.id, &call->id);
    keep_name(turn, event->tool_call.name, &call->name);
    dr_buf_put(&call->arguments, event->tool_call.arguments);
    if (event->tool_call.extra_content) keep_extra(&call->extra, event->tool_call.extra_content);
}

static void note_signature(struct chat_turn *turn, const struct answer_event *event) {
    if (event->signature.kind != ANSWER_SIGNATURE_CALL) {
        openai_details_note_signature(&turn->details, event);
        return;
    }
    struct chat_call *call = call_of(turn, event->signature.index);
    if (!call) return;
    dr_buf_reset(&call->extra);
    openai_put_signature_of_call(&call->extra, event->signature.text);
}

static void note_member(struct chat_turn *turn, const struct answer_event *event) {
    switch (event->member.kind) {
    case ANSWER_MEMBER_REASONING_DETAILS:
        openai_details_note(&turn->details, event->member.value);
        break;
    case ANSWER_MEMBER_EXTRA_CONTENT: keep_extra(&turn->extra, event->member.value); break;
    case ANSWER_MEMBER_ANNOTATIONS:
    case ANSWER_MEMBER_LOGPROBS:
    case ANSWER_MEMBER_OTHER: break;
    }
}

void chat_turn_note(struct chat_turn *turn, const struct answer_event *event) {
    if (event->choice_index != 0) return;
    switch (event->kind) {
    case ANSWER_TEXT: dr_buf_put(&turn->text, event->text); break;
    case ANSWER_REFUSAL: dr_buf_put(&turn->refusal, event->text); break;
    case ANSWER_REASONING:
        dr_buf_put(&turn->reasoning, event->text);
        if (turn->signs_thinking) openai_details_note_words(&turn->details, event->text);
        break;
    case ANSWER_TOOL_CALL: note_call(turn, event); break;
    case ANSWER_SIGNATURE: note_signature(turn, event); break;
    case ANSWER_MEMBER: note_member(turn, event); break;
    case ANSWER_START:
    case ANSWER_FINISH:
    case ANSWER_USAGE:
    case ANSWER_ERROR:
    case ANSWER_END:
    case ANSWER_CITATION:
    case ANSWER_LOGPROBS: break;
    }
}

/* --- what is kept
 * ------------------------------------------------------------------------------- */

static void put_called(const struct chat_call *call, dr_slice arguments_name, struct dr_buf *out) {
    dr_buf_put(out, DR_LIT("{\"name\":"));
    dr_json_put_string(out, call->name);
    dr_buf_put(out, arguments_name);
    dr_json_put_string(out, dr_buf_slice(&call->arguments));
    dr_buf_put_char(out, '}');
}

static void put_call(const struct chat_call *call, struct dr_buf *out) {
    dr_buf_put(out, DR_LIT("{\"id\":"));
    dr_json_put_string(out, call->id);
    if (call->form == ANSWER_CALL_CUSTOM) {
        dr_buf_put(out, DR_LIT(",\"type\":\"custom\",\"custom\":"));
        put_called(call, DR_LIT(",\"input\":"), out);
    } else {
        dr_buf_put(out, DR_LIT(",\"type\":\"function\",\"function\":"));
        put_called(call, DR_LIT(",\"arguments\":"), out);
    }
    dr_buf_put(out, dr_buf_slice(&call->extra));
    dr_buf_put_char(out, '}');
}

static void put_calls(const struct chat_turn *turn, struct dr_buf *out) {
    if (turn->calls[0].form == ANSWER_CALL_LEGACY) {
        dr_buf_put(out, DR_LIT(",\"function_call\":"));
        put_called(&turn->calls[0], DR_LIT(",\"arguments\":"), out);
        return;
    }
    dr_buf_put(out, DR_LIT(",\"tool_calls\":["));
    for (uint32_t i = 0; i < turn->call_count; i++) {
        if (i > 0) dr_buf_put_char(out, ',');
        put_call(&turn->calls[i], out);
    }
    dr_buf_put_char(out, ']');
}

/* The thinking that led to calls must come back with their results, in words (DeepSeek: else 400)
 * and sealed; other thinking need not. */
static void put_thinking(struct chat_turn *turn, struct dr_buf *out) {
    const dr_slice details = openai_details_end(&turn->details);
    if (turn->reasoning.len > 0) {
        dr_buf_put(out, DR_LIT(",\"reasoning_content\":"));
        dr_json_put_string(out, dr_buf_slice(&turn->reasoning));
    }
    if (details.len > 0) {
        dr_buf_put(out, DR_LIT(",\"reasoning_details\":["));
        dr_buf_put(out, details);
        dr_buf_put_char(out, ']');
    }
}

/* Null belongs to calls and refusals; an answer of nothing is the empty string. */
static dr_slice content_of(const struct chat_turn *turn, bool has_calls) {
    if (turn->text.len > 0) return dr_buf_slice(&turn->text);
    return has_calls || turn->refusal.len > 0 ? DR_NONE : DR_LIT("");
}

/* The assistant's message. A call that was cut is none: its arguments may be half a value. */
static void put_message(struct chat_turn *turn, bool has_calls, struct dr_buf *out) {
    dr_buf_put(out, DR_LIT(",{\"role\":\"assistant\",\"content\":"));
    dr_json_put_string_or_null(out, content_of(turn, has_calls));
    if (turn->refusal.len > 0) {
        dr_buf_put(out, DR_LIT(",\"refusal\":"));
        dr_json_put_string(out, dr_buf_slice(&turn->refusal));
    }
    if (has_calls) {
        put_calls(turn, out);
        put_thinking(turn, out);
    }
    dr_buf_put(out, dr_buf_slice(&turn->extra));
    dr_buf_put_char(out, '}');
}

/* Whether there was room for all that is to be kept. */
static bool is_whole(const struct chat_turn *turn, bool has_calls) {
    if (dr_buf_status(&turn->text) != DR_OK || dr_buf_status(&turn->refusal) != DR_OK ||
        dr_buf_status(&turn->extra) != DR_OK) {
        return false;
    }
    if (!has_calls) return true;
    if (turn->has_lost_calls || dr_buf_status(&turn->reasoning) != DR_OK ||
        openai_details_status(&turn->details) != DR_OK) {
        return false;
    }
    for (uint32_t i = 0; i < turn->call_count; i++) {
        if (dr_buf_status(&turn->calls[i].arguments) != DR_OK ||
            dr_buf_status(&turn->calls[i].extra) != DR_OK) {
            return false;
        }
    }
    return true;
}

static void turn_clear(struct chat_turn *turn) {
    for (uint32_t i = 0; i < turn->call_count; i++) {
        dr_buf_clear(&turn->calls[i].arguments);
        dr_buf_clear(&turn->calls[i].extra);
    }
    dr_buf_clear(&turn->text);
    dr_buf_clear(&turn->refusal);
    dr_buf_clear(&turn->reasoning);
    dr_buf_clear(&turn->extra);
    openai_details_clear(&turn->details);
}

void chat_turn_end(struct chat_turn *turn, enum chat_turn_end end, struct dr_buf *scratch,
                   dr_instant now) {
    const bool has_calls =
        end == CHAT_TURN_ANSWERED && (turn->call_count > 0 || turn->has_lost_calls);
    const bool has_words = turn->text.len > 0 || turn->refusal.len > 0;
    const bool is_kept = end == CHAT_TURN_ANSWERED || (end == CHAT_TURN_CUT && has_words);
    dr_slice kept = DR_NONE;
    dr_buf_reset(scratch);
    if (is_kept && !is_whole(turn, has_calls)) {
        session_note_full(turn->hold); /* there is an answer, so it is held */
    } else if (is_kept) {
        dr_buf_put(scratch, turn->asked);
        put_message(turn, has_calls, scratch);
        if (dr_buf_status(scratch) != DR_OK) {
            session_note_full(turn->hold);
        } else {
            kept = dr_slice_from(dr_buf_slice(scratch), turn->asked.len > 0 ? 0 : 1);
        }
    }
    session_give_back(turn->hold, kept, now);
    turn->hold = NULL;
    turn_clear(turn);
}
