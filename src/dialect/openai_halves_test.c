/* Characters cut between two deltas, as the events of a whole stream tell them. */
#include "base/buf.h"
#include "dialect/openai.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DELTA(member) "{\"choices\":[{\"index\":0,\"delta\":{" member "}}]}"
#define SAYS(text) DELTA("\"content\":\"" text "\"")
#define EVENTS_MAX 8

static void note_text(struct dr_buf *line, const struct answer_event *event, dr_slice text) {
    if (text.len == 0) return;
    dr_buf_format(line, " %c%u:", event->kind == ANSWER_TEXT ? 't' : 'r', event->choice_index);
    dr_buf_put(line, text);
}

/* What the events of one chunk say: a letter for the kind, and the text. */
static void note(struct dr_buf *line, struct openai_halves *halves,
                 const struct answer_chunk *chunk) {
    for (size_t i = 0; i < chunk->event_count; i++) {
        struct answer_event *event = &chunk->events[i];
        const dr_slice first = openai_halves_join(halves, chunk, event);
        if (event->kind == ANSWER_FINISH) dr_buf_put(line, DR_LIT(" finish"));
        if (event->kind != ANSWER_TEXT && event->kind != ANSWER_REASONING) continue;
        note_text(line, event, first);
        note_text(line, event, event->text);
    }
    dr_buf_put_char(line, ';');
}

static void test_halves_of_a_character_meet_again(void **state) {
    static const struct {
        const char *name;
        const char *payloads[EVENTS_MAX];
        const char *heard;
    } cases[] = {
        {"one alone in each",
         {SAYS("a"), SAYS("\\ud83d"), SAYS("\\ude00"), SAYS("b")},
         " t0:a;; t0:\xF0\x9F\x98\x80; t0:b;"},
        {"with text around",
         {SAYS("a \\ud83d"), SAYS("\\ude00 b")},
         " t0:a ; t0:\xF0\x9F\x98\x80 t0: b;"},
        {"two in a row",
         {SAYS("\\ud83d"), SAYS("\\ude00\\ud83d"), SAYS("\\ude01")},
         "; t0:\xF0\x9F\x98\x80; t0:\xF0\x9F\x98\x81;"},
        {"an event without text between",
         {SAYS("\\uD83D"), DELTA(""), SAYS("\\uDE00")},
         ";; t0:\xF0\x9F\x98\x80;"},
        {"whole ones are left alone",
         {SAYS("\\ud83d\\ude00"), SAYS("\xEF\xBF\xBD"), SAYS("b")},
         " t0:\xF0\x9F\x98\x80; t0:\xEF\xBF\xBD; t0:b;"},
        {"the second never comes", {SAYS("\\ud83d"), SAYS("b")}, "; t0:\xEF\xBF\xBD t0:b;"},
        {"the first never came", {SAYS("\\ude00 b")}, " t0:\xEF\xBF\xBD b;"},
        {"one in the middle is nobody's",
         {SAYS("a\\ud83d b"), SAYS("\\ude00")},
         " t0:a\xEF\xBF\xBD b; t0:\xEF\xBF\xBD;"},
        {"another text is not its own",
         {DELTA("\"reasoning_content\":\"\\ud83d\""), SAYS("b"),
          DELTA("\"reasoning_content\":\"\\ude00\"")},
         "; t0:b; r0:\xF0\x9F\x98\x80;"},
        {"another choice is not its own",
         {SAYS("\\ud83d"), "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"\\ude00\"}}]}",
          SAYS("\\ude00")},
         "; t1:\xEF\xBF\xBD; t0:\xF0\x9F\x98\x80;"},
        {"an end without it",
         {SAYS("\\ud83d"), "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}"},
         "; finish;"},
    };
    struct openai_answer_reader *reader = openai_answer_reader_new();
    struct dr_buf line;

    (void)state;
    assert_non_null(reader);
    dr_buf_init(&line, 4096);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct openai_halves halves = {.high = 0};
        dr_buf_reset(&line);
        for (size_t k = 0; k < EVENTS_MAX && cases[i].payloads[k]; k++) {
            struct answer_chunk chunk;
            const dr_slice payload = dr_slice_text(cases[i].payloads[k]);
            assert_int_equal(openai_read_event(reader, payload, &chunk, NULL), DR_OK);
            note(&line, &halves, &chunk);
        }
        if (!dr_slice_is(dr_buf_slice(&line), dr_slice_text(cases[i].heard))) {
            fail_msg("%s: '%.*s' instead of '%s'", cases[i].name, (int)line.len, line.data,
                     cases[i].heard);
        }
    }
    dr_buf_clear(&line);
    openai_answer_reader_free(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halves_of_a_character_meet_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
