/* What a turn adds to its session. Must not know transports, nor the rules of sessions. */
#include "gateway/chat_turn.h"

#include "base/json.h"
#include "dialect/openai_writer.h"

void chat_turn_init(struct chat_turn *turn, struct dr_arena *arena, size_t bytes_max) {
    turn->arena = arena;
    dr_buf_init(&turn->text, bytes_max);
    dr_buf_init(&turn->refusal, bytes_max);
    dr_buf_init(&turn->thought, bytes_max);
    dr_buf_init(&turn->details, bytes_max);
}

static struct chat_call *call_of(struct chat_turn *turn, uint32_t index) {
    if (index >= CHAT_CALLS_MAX) return NULL;
    if (!turn->calls) {
        turn->calls = dr_arena_alloc_zero(turn->arena, CHAT_CALLS_MAX * sizeof *turn->calls);
        if (!turn->calls) return NULL;
    }
    while (turn->call_count <= index) {
        struct chat_call *call = &turn->calls[turn->call_count++];
        dr_buf_init(&call->arguments, turn->text.cap);
        dr_buf_init(&call->signature, turn->text.cap);
    }
    return &turn->calls[index];
}

static void note_call(struct chat_turn *turn, const struct answer_event *event) {
    struct chat_call *call = call_of(turn, event->tool_call.index);
    if (!call) return;
    if (call->id.len == 0 && event->tool_call.id.len > 0) {
        (void)!dr_arena_copy(turn->arena, event->tool_call.id, &call->id);
    }
    if (call->name.len == 0 && event->tool_call.name.len > 0) {
        (void)!dr_arena_copy(turn->arena, event->tool_call.name, &call->name);
    }
    dr_buf_put(&call->arguments, event->tool_call.arguments);
}

/* The words of a block of thinking stand with what seals it. */
static void note_signature(struct chat_turn *turn, const struct answer_event *event) {
    const bool is_thinking = event->signature.kind == ANSWER_SIGNATURE_THINKING;
    if (event->signature.kind == ANSWER_SIGNATURE_CALL) {
        struct chat_call *call = call_of(turn, event->signature.index);
        if (call) dr_buf_put(&call->signature, event->signature.text);
        return;
    }
    if (turn->detail_count > 0) dr_buf_put_char(&turn->details, ',');
    openai_put_signature(&turn->details, event,
                         turn->thought.len > 0 ? dr_buf_slice(&turn->thought) : DR_LIT(""),
                         turn->detail_count);
    turn->detail_count++;
    if (is_thinking && dr_buf_status(&turn->thought) == DR_OK) dr_buf_reset(&turn->thought);
}

void chat_turn_note(struct chat_turn *turn, const struct answer_event *event) {
    if (event->choice_index != 0) return;
    if (event->kind == ANSWER_TEXT) dr_buf_put(&turn->text, event->text);
    if (event->kind == ANSWER_REFUSAL) dr_buf_put(&turn->refusal, event->text);
    if (event->kind == ANSWER_TOOL_CALL) note_call(turn, event);
    if (event->kind == ANSWER_SIGNATURE) note_signature(turn, event);
    if (event->kind == ANSWER_REASONING && turn->signs_thinking) {
        dr_buf_put(&turn->thought, event->text);
    }
}

static void put_calls(const struct chat_turn *turn, struct dr_buf *out) {
    dr_buf_put(out, DR_LIT(",\"tool_calls\":["));
    for (uint32_t i = 0; i < turn->call_count; i++) {
        if (i > 0) dr_buf_put_char(out, ',');
        dr_buf_put(out, DR_LIT("{\"id\":"));
        dr_json_put_string(out, turn->calls[i].id);
        dr_buf_put(out, DR_LIT(",\"type\":\"function\",\"function\":{\"name\":"));
        dr_json_put_string(out, turn->calls[i].name);
        dr_buf_put(out, DR_LIT(",\"arguments\":"));
        dr_json_put_string(out, dr_buf_slice(&turn->calls[i].arguments));
        dr_buf_put_char(out, '}');
        if (turn->calls[i].signature.len > 0) {
            openai_put_signature_of_call(out, dr_buf_slice(&turn->calls[i].signature));
        }
        dr_buf_put_char(out, '}');
    }
    dr_buf_put_char(out, ']');
}

/* The assistant's message. A call that was cut is none: its arguments may be half a value. */
static void put_message(const struct chat_turn *turn, bool has_calls, struct dr_buf *out) {
    dr_buf_put(out, DR_LIT(",{\"role\":\"assistant\",\"content\":"));
    dr_json_put_string_or_null(out, turn->text.len > 0 ? dr_buf_slice(&turn->text) : DR_NONE);
    if (turn->refusal.len > 0) {
        dr_buf_put(out, DR_LIT(",\"refusal\":"));
        dr_json_put_string(out, dr_buf_slice(&turn->refusal));
    }
    if (has_calls) put_calls(turn, out);
    /* The thinking that led to calls must come back with their results; other thinking need not. */
    if (has_calls && turn->detail_count > 0) {
        dr_buf_put(out, DR_LIT(",\"reasoning_details\":["));
        dr_buf_put(out, dr_buf_slice(&turn->details));
        dr_buf_put_char(out, ']');
    }
    dr_buf_put_char(out, '}');
}

static bool is_whole(const struct chat_turn *turn) {
    const struct dr_buf *const kept[] = {&turn->text, &turn->refusal, &turn->thought,
                                         &turn->details};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (dr_buf_status(kept[i]) != DR_OK) return false;
    }
    for (uint32_t i = 0; i < turn->call_count; i++) {
        if (dr_buf_status(&turn->calls[i].arguments) != DR_OK ||
            dr_buf_status(&turn->calls[i].signature) != DR_OK) {
            return false;
        }
    }
    return true;
}

void chat_turn_end(struct chat_turn *turn, enum chat_turn_end end, struct dr_buf *scratch,
                   dr_instant now) {
    const bool has_calls = end == CHAT_TURN_ANSWERED && turn->call_count > 0;
    const bool has_words = turn->text.len > 0 || turn->refusal.len > 0;
    dr_slice kept = DR_NONE;
    dr_buf_reset(scratch);
    if (end != CHAT_TURN_FAILED && !is_whole(turn)) {
        session_note_full(turn->hold); /* words came, so it is held */
    } else if (end != CHAT_TURN_FAILED && (has_calls || has_words)) {
        dr_buf_put(scratch, turn->asked);
        put_message(turn, has_calls, scratch);
        if (dr_buf_status(scratch) == DR_OK) kept = dr_buf_slice(scratch);
        if (turn->asked.len == 0) kept = dr_slice_from(kept, 1);
    }
    session_give_back(turn->hold, kept, now);
    turn->hold = NULL;
    for (uint32_t i = 0; i < turn->call_count; i++) {
        dr_buf_clear(&turn->calls[i].arguments);
        dr_buf_clear(&turn->calls[i].signature);
    }
    dr_buf_clear(&turn->text);
    dr_buf_clear(&turn->refusal);
    dr_buf_clear(&turn->thought);
    dr_buf_clear(&turn->details);
}
