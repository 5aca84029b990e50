/* Answers made at random. Must not write any provider's words but its reasons to stop. */
#include "sample_answer.h"

#include "base/assert.h"
#include "base/json.h"

#include <stdio.h>

uint64_t sample_answer_below(struct sample_answer *answer, uint64_t bound) {
    return dr_random_below(&answer->random, bound);
}

bool sample_answer_chance(struct sample_answer *answer, uint64_t of) {
    return sample_answer_below(answer, of) == 0;
}

static void put_words(struct sample_answer *answer, struct dr_buf *out) {
    static const char *const words[] = {"a",  "\"", "\\", "\n",   "xin chào", "𠮷",
                                        "{}", ":;", " ",  "</p>", "\x01",     "data: [DONE]"};
    const uint64_t count = 1 + sample_answer_below(answer, 8);

    for (uint64_t i = 0; i < count; i++) {
        const uint64_t word = sample_answer_below(answer, sizeof words / sizeof *words);
        dr_buf_put(out, dr_slice_text(words[word]));
    }
}

static void put_arguments(struct sample_answer *answer, struct sample_piece *piece) {
    struct dr_buf words;

    dr_buf_init(&words, SAMPLE_ANSWER_BYTES_MAX);
    put_words(answer, &words);
    switch (sample_answer_below(answer, 3)) {
    case 0: dr_buf_put(&piece->text, DR_LIT("{}")); break;
    case 1:
        dr_buf_put(&piece->text, DR_LIT("{\"a\":[{\"b\":1.0},null],\"n\":12345678901234567890123,"
                                        "\"t\":"));
        dr_json_put_string(&piece->text, dr_buf_slice(&words));
        dr_buf_put_char(&piece->text, '}');
        break;
    default:
        dr_buf_put(&piece->words, dr_buf_slice(&words));
        dr_buf_put(&piece->text, DR_LIT("{\"t\":"));
        dr_json_put_string(&piece->text, dr_buf_slice(&words));
        dr_buf_put(&piece->text, DR_LIT(",\"o\":{\"n\":1.50,\"yes\":true}}"));
        break;
    }
    dr_buf_clear(&words);
}

static void make_piece(struct sample_answer *answer, struct sample_piece *piece, bool is_gemini) {
    const unsigned number = (unsigned)sample_answer_below(answer, 100000);
    const bool is_sealed = sample_answer_chance(answer, 3);

    *piece = (struct sample_piece){.kind = (enum sample_piece_kind)sample_answer_below(answer, 5)};
    dr_buf_init(&piece->text, SAMPLE_ANSWER_BYTES_MAX);
    dr_buf_init(&piece->words, SAMPLE_ANSWER_BYTES_MAX);
    if (is_gemini && piece->kind == SAMPLE_REDACTED) piece->kind = SAMPLE_TEXT;
    if (!is_gemini && piece->kind == SAMPLE_REDACTED) {
        (void)snprintf(piece->seal, sizeof piece->seal, "R%u+/==", number);
        return;
    }
    if (is_gemini ? is_sealed && piece->kind != SAMPLE_SOURCE
                  : is_sealed && piece->kind == SAMPLE_THINKING) {
        (void)snprintf(piece->seal, sizeof piece->seal, "S%u+/==", number);
    }
    if (piece->kind == SAMPLE_SOURCE) {
        (void)snprintf(piece->id, sizeof piece->id, "https://x.y/%u", number);
        put_words(answer, &piece->text);
    } else if (piece->kind == SAMPLE_CALL) {
        (void)snprintf(piece->name, sizeof piece->name, "f%u", number % 5);
        if (!is_gemini || sample_answer_chance(answer, 2)) {
            (void)snprintf(piece->id, sizeof piece->id, "toolu_%u", number);
        }
        put_arguments(answer, piece);
    } else {
        put_words(answer, &piece->text);
    }
}

static void make_finish(struct sample_answer *answer, struct sample_choice *choice,
                        bool is_gemini) {
    static const struct {
        const char *word;
        enum answer_finish reason;
        bool is_gemini;
    } finishes[] = {
        {"end_turn", ANSWER_FINISH_STOP, false},
        {"stop_sequence", ANSWER_FINISH_STOP, false},
        {"tool_use", ANSWER_FINISH_STOP, false},
        {"max_tokens", ANSWER_FINISH_LENGTH, false},
        {"model_context_window_exceeded", ANSWER_FINISH_LENGTH, false},
        {"STOP", ANSWER_FINISH_STOP, true},
        {"MAX_TOKENS", ANSWER_FINISH_LENGTH, true},
        {"SAFETY", ANSWER_FINISH_CONTENT_FILTER, true},
        {"RECITATION", ANSWER_FINISH_CONTENT_FILTER, true},
    };
    const size_t first = is_gemini ? 5 : 0;
    const size_t count = is_gemini ? 4 : 5;
    const size_t i = first + (size_t)sample_answer_below(answer, count);

    dr_assert(finishes[i].is_gemini == is_gemini);
    choice->finish = finishes[i].word;
    choice->reason = finishes[i].reason;
    if (choice->reason != ANSWER_FINISH_STOP) return;
    for (size_t k = 0; k < choice->piece_count; k++) {
        if (choice->pieces[k].kind == SAMPLE_CALL) choice->reason = ANSWER_FINISH_TOOL_CALLS;
    }
}

static void make_usage(struct sample_answer *answer, bool is_gemini) {
    const uint64_t prompt = 1 + sample_answer_below(answer, 1000000);
    const uint64_t completion = 1 + sample_answer_below(answer, 100000);
    const uint64_t cached = sample_answer_below(answer, prompt);

    answer->usage = (struct usage){
        .source = USAGE_REPORTED,
        .prompt_tokens = prompt,
        .completion_tokens = completion,
        .total_tokens = prompt + completion,
        .cached_tokens = sample_answer_chance(answer, 2) ? cached : 0,
        .reasoning_tokens =
            sample_answer_chance(answer, 2) ? sample_answer_below(answer, completion) : 0,
    };
    if (!is_gemini && sample_answer_chance(answer, 2)) {
        answer->usage.cache_write_tokens =
            sample_answer_below(answer, prompt - answer->usage.cached_tokens);
    }
}

void sample_answer_make(struct sample_answer *answer, bool is_gemini, uint64_t seed) {
    *answer = (struct sample_answer){.choice_count = 1};
    dr_random_seed(&answer->random, seed);
    dr_buf_init(&answer->refusal, SAMPLE_ANSWER_BYTES_MAX);
    make_usage(answer, is_gemini);
    if (sample_answer_chance(answer, 10)) {
        put_words(answer, &answer->refusal);
        answer->is_blocked = is_gemini;
    }
    if (is_gemini && !answer->is_blocked) {
        answer->choice_count = 1 + (uint32_t)sample_answer_below(answer, SAMPLE_CHOICES_MAX);
        if (sample_answer_chance(answer, 4)) answer->token_count = 3;
    }
    for (uint32_t i = 0; i < answer->choice_count; i++) {
        struct sample_choice *choice = &answer->choices[i];
        const size_t count =
            answer->is_blocked ? 0 : 1 + (size_t)sample_answer_below(answer, SAMPLE_PIECES_MAX);
        for (; choice->piece_count < count; choice->piece_count++) {
            make_piece(answer, &choice->pieces[choice->piece_count], is_gemini);
        }
        make_finish(answer, choice, is_gemini);
        if (answer->refusal.len == 0) continue;
        choice->finish = is_gemini ? "" : "refusal";
        choice->reason = ANSWER_FINISH_CONTENT_FILTER;
    }
}

void sample_answer_clear(struct sample_answer *answer) {
    for (uint32_t i = 0; i < answer->choice_count; i++) {
        for (size_t k = 0; k < answer->choices[i].piece_count; k++) {
            dr_buf_clear(&answer->choices[i].pieces[k].text);
            dr_buf_clear(&answer->choices[i].pieces[k].words);
        }
    }
    dr_buf_clear(&answer->refusal);
}

/* --- for the writers --- */

/* The character at the front, of valid UTF-8. */
static size_t character_len(dr_slice text) {
    const unsigned char first = (unsigned char)text.data[0];

    return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

static uint32_t character_of(dr_slice text) {
    const size_t len = character_len(text);
    uint32_t code = (unsigned char)text.data[0];

    if (len > 1) code &= 0x3Fu >> (len - 1);
    for (size_t i = 1; i < len; i++) code = code << 6 | ((unsigned char)text.data[i] & 0x3Fu);
    return code;
}

void sample_answer_put_string(struct sample_answer *answer, struct dr_buf *out, dr_slice text) {
    dr_buf_put_char(out, '"');
    while (text.len > 0) {
        const size_t len = character_len(text);
        const uint32_t code = character_of(text);
        const bool must = code < ' ' || code == '"' || code == '\\';
        if (!must && !sample_answer_chance(answer, 6)) {
            dr_buf_put(out, dr_slice_first(text, len));
        } else if (code == '\n' && sample_answer_chance(answer, 2)) {
            dr_buf_put(out, DR_LIT("\\n"));
        } else if (code >= 0x10000) {
            dr_buf_format(out, "\\u%04x\\u%04X", (unsigned)(0xD7C0 + (code >> 10)),
                          (unsigned)(0xDC00 + (code & 0x3FF)));
        } else {
            dr_buf_format(out, "\\u%04x", (unsigned)code);
        }
        text = dr_slice_from(text, len);
    }
    dr_buf_put_char(out, '"');
}

dr_slice sample_answer_cut(struct sample_answer *answer, dr_slice *rest) {
    const uint64_t count = 1 + sample_answer_below(answer, 12);
    size_t len = 0;

    for (uint64_t i = 0; i < count && len < rest->len; i++) {
        len += character_len(dr_slice_from(*rest, len));
    }
    const dr_slice piece = dr_slice_first(*rest, len);
    *rest = dr_slice_from(*rest, len);
    return piece;
}
