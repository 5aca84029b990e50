/* What an answer's last frame tells of it. Must not know frames, nor how they leave. */
#include "gateway/ws_summary.h"

#include "base/json.h"
#include "base/utf8.h"
#include "dialect/openai_writer.h"
#include "gateway/exchange.h"
#include "gateway/ws_answer.h"

/* --- noted as its events pass
 * ------------------------------------------------------------------- */

/* Returns the length of what is kept. */
static size_t keep_text(dr_slice text, size_t len_max, char *kept) {
    const dr_slice first = dr_utf8_first(text, len_max);
    if (first.len > 0) memcpy(kept, first.data, first.len);
    return first.len;
}

/* OpenAI's word, also where another dialect said it in its own; `other` where it has none. */
static dr_slice finish_name(enum answer_finish reason, dr_slice other) {
    switch (reason) {
    case ANSWER_FINISH_STOP: return DR_LIT("stop");
    case ANSWER_FINISH_LENGTH: return DR_LIT("length");
    case ANSWER_FINISH_TOOL_CALLS: return DR_LIT("tool_calls");
    case ANSWER_FINISH_CONTENT_FILTER: return DR_LIT("content_filter");
    case ANSWER_FINISH_FUNCTION_CALL: return DR_LIT("function_call");
    case ANSWER_FINISH_OTHER: break;
    }
    return other;
}

void ws_summary_note_model(struct ws_answer *answer, dr_slice model) {
    answer->model_len = (uint16_t)keep_text(model, sizeof answer->model, answer->model);
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

void ws_summary_note_finish(struct ws_answer *answer, const struct answer_event *event) {
    struct ws_finish *finish = finish_of(answer, event->choice_index);
    if (!finish) return;
    const dr_slice name = finish_name(event->finish.reason, event->finish.text);
    finish->len = (uint8_t)keep_text(name, sizeof finish->text, finish->text);
}

void ws_summary_note_other(struct ws_answer *answer, dr_slice name) {
    name = dr_utf8_first(name, WS_OTHER_BYTES_MAX);
    for (uint32_t i = 0; i < answer->other_count; i++) {
        if (dr_slice_is(answer->others[i], name)) return;
    }
    if (answer->other_count == WS_OTHERS_MAX) return;
    dr_slice *other = &answer->others[answer->other_count];
    if (dr_arena_copy(&answer->exchange->arena, name, other)) answer->other_count++;
}

/* --- told
 * --------------------------------------------------------------------------------------- */

/* "seed, user" as an array, and members of the answer behind. */
static void put_dropped(struct dr_buf *json, dr_slice dropped, const struct ws_answer *answer) {
    bool is_first = true;
    if (dropped.len == 0 && answer->other_count == 0) return;
    dr_buf_put(json, DR_LIT(",\"dropped\":["));
    for (; dropped.len > 0; is_first = false) {
        if (!is_first) dr_buf_put_char(json, ',');
        dr_json_put_string(json, dr_slice_trim(dr_slice_split(&dropped, ',')));
    }
    for (uint32_t i = 0; i < answer->other_count; i++, is_first = false) {
        if (!is_first) dr_buf_put_char(json, ',');
        dr_json_put_string(json, answer->others[i]);
    }
    dr_buf_put_char(json, ']');
}

static dr_slice finish_text(const struct ws_finish *finish) {
    return finish->len > 0 ? dr_slice_of(finish->text, finish->len) : DR_NONE;
}

/* As in a stream of events, what never says why it ended has ended well. */
static dr_slice missing_finish(const struct ws_answer *answer, uint32_t choice_index) {
    return finish_name(exchange_missing_finish(answer->exchange, choice_index), DR_NONE);
}

static dr_slice finish_of_other(const struct ws_answer *answer, uint32_t choice_index,
                                bool is_cancelled) {
    const dr_slice finish =
        answer->finishes ? finish_text(&answer->finishes[choice_index]) : DR_NONE;
    const uint64_t unfinished = exchange_unfinished_choices(answer->exchange);
    const bool lacks_finish = (unfinished & exchange_choice_bit(choice_index)) != 0;
    return lacks_finish && !is_cancelled ? missing_finish(answer, choice_index) : finish;
}

/* How each choice ended, where there may be several. */
static void put_finish_reasons(struct dr_buf *json, const struct ws_answer *answer, dr_slice first,
                               bool is_cancelled) {
    const uint32_t asked = answer->exchange->prompt.choice_count;
    uint32_t count = asked < WS_CHOICES_MAX ? asked : WS_CHOICES_MAX;
    if (count < answer->choice_count) count = answer->choice_count;
    if (count <= 1) return;
    dr_buf_put(json, DR_LIT(",\"finish_reasons\":["));
    dr_json_put_string(json, first);
    for (uint32_t i = 1; i < count; i++) {
        dr_buf_put_char(json, ',');
        dr_json_put_string_or_null(json, finish_of_other(answer, i, is_cancelled));
    }
    dr_buf_put_char(json, ']');
}

void ws_summary_put(struct dr_buf *json, const struct ws_answer *answer,
                    const struct downstream_close *close) {
    dr_slice finish = finish_text(&answer->finish);
    dr_slice model = dr_slice_of(answer->model, answer->model_len);
    if (close->is_cancelled) finish = DR_LIT("cancelled");
    if (finish.len == 0) finish = missing_finish(answer, 0);
    if (model.len == 0) model = close->model;
    dr_buf_put(json, DR_LIT(",\"finish_reason\":"));
    dr_json_put_string(json, finish);
    put_finish_reasons(json, answer, finish, close->is_cancelled);
    dr_buf_put(json, DR_LIT(",\"model\":"));
    dr_json_put_string(json, model);
    dr_buf_put(json, DR_LIT(",\"usage\":"));
    openai_put_usage(json, close->usage);
    dr_buf_put(json, DR_LIT(",\"cost\":"));
    money_put(json, close->cost);
    put_dropped(json, close->dropped, answer);
}
