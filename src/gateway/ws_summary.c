/* What an answer's last frame tells of it. Must not know frames, nor how they leave. */
#include "gateway/ws_summary.h"

#include "base/json.h"
#include "base/utf8.h"
#include "dialect/openai_writer.h"
#include "gateway/exchange.h"
#include "gateway/ws_answer.h"

enum {
    CHOICES_MAX = 128, /* of which it is told how they ended: OpenAI's bound of `n` */
    FINISH_BYTES_MAX = 63,
    OTHERS_MAX = 8,
    OTHER_BYTES_MAX = 64,
};

/* --- noted as its events pass
 * ------------------------------------------------------------------- */

void ws_summary_note_model(struct ws_answer *answer, dr_slice model) {
    /* Without memory for it, the one that was asked for is told. */
    (void)!dr_arena_copy(&answer->exchange->arena, dr_utf8_first(model, WS_MODEL_BYTES_MAX),
                         &answer->summary.model);
    answer->has_model = answer->summary.model.len > 0;
}

/* NULL when there is no place for it. */
static struct ws_finish *finish_of(struct ws_answer *answer, uint32_t choice_index) {
    struct ws_summary *summary = &answer->summary;
    if (choice_index >= CHOICES_MAX) return NULL;
    if (choice_index >= summary->choice_count) summary->choice_count = choice_index + 1;
    if (choice_index == 0) return &summary->finish;
    if (!summary->finishes) {
        summary->finishes =
            dr_arena_alloc_zero(&answer->exchange->arena, CHOICES_MAX * sizeof *summary->finishes);
    }
    return summary->finishes ? &summary->finishes[choice_index] : NULL;
}

/* Some say one with each chunk: it takes the place of the one before. Without memory for it, none
 * was told. */
static void finish_keep_word(struct ws_finish *finish, struct dr_arena *arena, dr_slice word) {
    word = dr_utf8_first(word, FINISH_BYTES_MAX);
    if (!finish->own) finish->own = dr_arena_alloc(arena, FINISH_BYTES_MAX);
    if (!finish->own || word.len == 0) return;
    memcpy(finish->own, word.data, word.len);
    finish->name = dr_slice_of(finish->own, word.len);
}

void ws_summary_note_finish(struct ws_answer *answer, const struct answer_event *event) {
    struct ws_finish *finish = finish_of(answer, event->choice_index);
    if (!finish) return;
    if (event->finish.reason == ANSWER_FINISH_OTHER) {
        finish_keep_word(finish, &answer->exchange->arena, event->finish.text);
    } else {
        finish->name = openai_finish_word(event->finish.reason);
    }
}

void ws_summary_note_other(struct ws_answer *answer, dr_slice name) {
    struct ws_summary *summary = &answer->summary;
    name = dr_utf8_first(name, OTHER_BYTES_MAX);
    for (uint32_t i = 0; i < summary->other_count; i++) {
        if (dr_slice_is(summary->others[i], name)) return;
    }
    if (summary->other_count == OTHERS_MAX) return;
    if (!summary->others) {
        summary->others =
            dr_arena_alloc_zero(&answer->exchange->arena, OTHERS_MAX * sizeof(dr_slice));
    }
    if (!summary->others) return;
    dr_slice *other = &summary->others[summary->other_count];
    if (dr_arena_copy(&answer->exchange->arena, name, other)) summary->other_count++;
}

/* --- told
 * --------------------------------------------------------------------------------------- */

/* "seed, user" as an array, and members of the answer behind. */
static void put_dropped(struct dr_buf *json, dr_slice dropped, const struct ws_answer *answer) {
    bool is_first = true;
    if (dropped.len == 0 && answer->summary.other_count == 0) return;
    dr_buf_put(json, DR_LIT(",\"dropped\":["));
    for (; dropped.len > 0; is_first = false) {
        if (!is_first) dr_buf_put_char(json, ',');
        dr_json_put_string(json, dr_slice_trim(dr_slice_split(&dropped, ',')));
    }
    for (uint32_t i = 0; i < answer->summary.other_count; i++, is_first = false) {
        if (!is_first) dr_buf_put_char(json, ',');
        dr_json_put_string(json, answer->summary.others[i]);
    }
    dr_buf_put_char(json, ']');
}

/* As in a stream of events, what never says why it ended has ended well. */
static dr_slice missing_finish(const struct ws_answer *answer, uint32_t choice_index) {
    return openai_finish_word(exchange_missing_finish(answer->exchange, choice_index));
}

static dr_slice finish_of_other(const struct ws_answer *answer, uint32_t choice_index,
                                bool is_cancelled) {
    const dr_slice finish =
        answer->summary.finishes ? answer->summary.finishes[choice_index].name : DR_NONE;
    const uint64_t unfinished = exchange_unfinished_choices(answer->exchange);
    const bool lacks_finish = (unfinished & exchange_choice_bit(choice_index)) != 0;
    return lacks_finish && !is_cancelled ? missing_finish(answer, choice_index) : finish;
}

/* How each choice ended, where there may be several. */
static void put_finish_reasons(struct dr_buf *json, const struct ws_answer *answer, dr_slice first,
                               bool is_cancelled) {
    const uint32_t asked = answer->exchange->prompt.choice_count;
    uint32_t count = asked < CHOICES_MAX ? asked : CHOICES_MAX;
    if (count < answer->summary.choice_count) count = answer->summary.choice_count;
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
    dr_slice finish = answer->summary.finish.name;
    dr_slice model = answer->summary.model;
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
