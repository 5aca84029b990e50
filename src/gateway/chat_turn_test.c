/* What of an answer's events a session keeps, and when it takes no more. */
#include "gateway/chat_turn.h"

#include "dialect/openai.h"
#include "net/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { KEPT_BYTES_MAX = 4096, ARENA_BYTES_MAX = 4 * 1024 * 1024 };

static const dr_slice asked = {"{\"role\":\"user\"}", 15};

struct stage {
    struct dr_loop *loop;
    struct dr_mailbox *mailbox;
    struct session_table *table;
    struct openai_answer_reader *reader;
    struct dr_arena arena;
    struct dr_buf scratch;
};

static void granted(void *owner) {
    (void)owner;
}

static void stage_open(struct stage *stage) {
    assert_int_equal(dr_loop_new(&stage->loop, NULL), DR_OK);
    assert_int_equal(dr_mailbox_open(stage->loop, &stage->mailbox, NULL), DR_OK);
    stage->table = session_table_new(1, ARENA_BYTES_MAX);
    stage->reader = openai_answer_reader_new();
    assert_non_null(stage->table);
    assert_non_null(stage->reader);
    dr_arena_init(&stage->arena, ARENA_BYTES_MAX, NULL);
    dr_buf_init(&stage->scratch, ARENA_BYTES_MAX);
}

static void stage_close(struct stage *stage) {
    dr_buf_clear(&stage->scratch);
    dr_arena_clear(&stage->arena);
    openai_answer_reader_free(stage->reader);
    dr_mailbox_close(stage->mailbox);
    for (int i = 0; i < 3; i++) dr_loop_run_once(stage->loop, 0);
    session_table_free(stage->table);
    dr_loop_free(stage->loop);
}

static struct session_turn *take(struct stage *stage) {
    static const struct session_limits limits = {1, KEPT_BYTES_MAX, 1000};
    bool is_held = false;
    struct session_turn *hold =
        session_take(stage->table, DR_LIT("a"), DR_LIT("s"), &limits, (dr_instant){1},
                     stage->mailbox, granted, stage, &is_held);
    assert_non_null(hold);
    assert_true(is_held);
    return hold;
}

static void turn_begin(struct stage *stage, struct chat_turn *turn) {
    *turn = (struct chat_turn){.hold = take(stage), .asked = asked};
    chat_turn_init(turn, &stage->arena, KEPT_BYTES_MAX);
}

static void turn_hear(struct stage *stage, struct chat_turn *turn, dr_slice payload) {
    struct answer_chunk chunk;
    assert_int_equal(openai_read_event(stage->reader, payload, &chunk, NULL), DR_OK);
    for (size_t i = 0; i < chunk.event_count; i++) chat_turn_note(turn, &chunk.events[i]);
}

/* What has been kept by the turns before, behind what was asked; "full" of a full session. */
static void expect_kept(struct stage *stage, const char *name, const char *expected) {
    struct session_turn *hold = take(stage);
    dr_slice kept = session_messages(hold);
    if (session_is_full(hold)) {
        kept = DR_LIT("full");
    } else if (kept.len > 0) {
        assert_true(dr_slice_starts(kept, asked));
        kept = dr_slice_from(kept, asked.len);
    }
    if (!dr_slice_is(kept, dr_slice_text(expected))) {
        fail_msg("%s: %.*s\nnot %s", name, DR_FMT(kept), expected);
    }
    session_give_back(hold, DR_NONE, (dr_instant){2});
}

#define DELTA(members) "{\"choices\":[{\"delta\":{" members "}}]}"
#define ASSISTANT(members) ",{\"role\":\"assistant\",\"content\":" members "}"
#define CALL(more) "{\"id\":\"c\",\"type\":\"function\",\"function\":" CALLED more "}"
#define CALLED "{\"name\":\"f\",\"arguments\":\"{}\"}"
#define SEAL ",\"extra_content\":{\"google\":{\"thought_signature\":\"S\"}}"
#define THOUGHT(more) "{\"type\":\"reasoning.text\",\"index\":0," more "}"

#define SEALED THOUGHT("\"format\":\"x\",\"text\":\"ab\",\"signature\":\"S\"")
#define UNSEALED THOUGHT("\"text\":\"c\"")
#define SUMMARIES \
    "{\"type\":\"reasoning.summary\",\"summary\":\"de\"}," \
    "{\"type\":\"reasoning.summary\",\"index\":1,\"summary\":\"f\"}," \
    "{\"type\":\"reasoning.encrypted\",\"data\":\"D\"}"

enum { PAYLOADS_MAX = 6 };

static const struct {
    const char *name;
    const char *payloads[PAYLOADS_MAX];
    enum chat_turn_end end;
    const char *expected;
} turns[] = {
    {"text",
     {DELTA("\"content\":\"a\""), DELTA("\"content\":\"b\"")},
     CHAT_TURN_ANSWERED,
     ASSISTANT("\"ab\"")},
    {"another choice",
     {DELTA("\"content\":\"a\""), "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}}]}"},
     CHAT_TURN_ANSWERED,
     ASSISTANT("\"a\"")},
    {"a refusal",
     {DELTA("\"refusal\":\"no\"")},
     CHAT_TURN_ANSWERED,
     ASSISTANT("null,\"refusal\":\"no\"")},
    {"nothing", {NULL}, CHAT_TURN_ANSWERED, ASSISTANT("\"\"")},
    {"thinking alone",
     {DELTA("\"reasoning_content\":\"hm\"")},
     CHAT_TURN_ANSWERED,
     ASSISTANT("\"\"")},
    {"cut words", {DELTA("\"content\":\"a\"")}, CHAT_TURN_CUT, ASSISTANT("\"a\"")},
    {"cut before a word", {DELTA("\"reasoning\":\"hm\"")}, CHAT_TURN_CUT, ""},
    {"a cut call",
     {DELTA("\"content\":\"a\",\"tool_calls\":[" CALL("") "]")},
     CHAT_TURN_CUT,
     ASSISTANT("\"a\"")},
    {"a failure", {DELTA("\"content\":\"a\"")}, CHAT_TURN_FAILED, ""},
    {"a call after thinking",
     {DELTA("\"reasoning_content\":\"h\""), DELTA("\"reasoning_content\":\"m\""),
      DELTA("\"tool_calls\":[" CALL("") "]")},
     CHAT_TURN_ANSWERED,
     ASSISTANT("null,\"tool_calls\":[" CALL("") "],\"reasoning_content\":\"hm\"")},
    {"a sealed call",
     {DELTA("\"tool_calls\":[" CALL(SEAL) "]"), DELTA("\"tool_calls\":[{\"index\":0}]" SEAL)},
     CHAT_TURN_ANSWERED,
     ASSISTANT("null,\"tool_calls\":[" CALL(SEAL) "]" SEAL)},
    {"a custom call",
     {DELTA("\"tool_calls\":[{\"id\":\"c\",\"custom\":{\"name\":\"f\",\"input\":\"\"}}]"),
      DELTA("\"tool_calls\":[{\"custom\":{\"input\":\"x\"}}]")},
     CHAT_TURN_ANSWERED,
     ASSISTANT("null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"custom\",\"custom\":"
               "{\"name\":\"f\",\"input\":\"x\"}}]")},
    {"a function call",
     {DELTA("\"function_call\":" CALLED)},
     CHAT_TURN_ANSWERED,
     ASSISTANT("null,\"function_call\":" CALLED)},
    {"entries in pieces",
     {DELTA("\"reasoning_details\":[" THOUGHT("\"text\":\"a\",\"format\":\"x\"") "]"),
      DELTA("\"reasoning_details\":[" THOUGHT("\"text\":\"b\"") "," THOUGHT(
          "\"text\":null,\"signature\":\"S\"") "]"),
      DELTA("\"reasoning_details\":[" THOUGHT("\"text\":\"c\"") "]"),
      DELTA("\"reasoning_details\":[{\"type\":\"reasoning.summary\",\"summary\":\"d\"},"
            "{\"type\":\"reasoning.summary\",\"summary\":\"e\"},"
            "{\"type\":\"reasoning.summary\",\"index\":1,\"summary\":\"f\"},"
            "{\"type\":\"reasoning.encrypted\",\"data\":\"D\"}]"),
      DELTA("\"tool_calls\":[" CALL("") "]")},
     CHAT_TURN_ANSWERED,
     ASSISTANT("null,\"tool_calls\":[" CALL(
         "") "],\"reasoning_content\":\"abcdef\",\"reasoning_details\":[" SEALED "," UNSEALED
             "," SUMMARIES "]")},
};

static void test_a_session_keeps_what_its_client_would_send_back(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
        struct stage stage;
        struct chat_turn turn;
        stage_open(&stage);
        turn_begin(&stage, &turn);
        for (size_t k = 0; k < PAYLOADS_MAX && turns[i].payloads[k]; k++) {
            turn_hear(&stage, &turn, dr_slice_text(turns[i].payloads[k]));
        }
        chat_turn_end(&turn, turns[i].end, &stage.scratch, (dr_instant){1});
        expect_kept(&stage, turns[i].name, turns[i].expected);
        stage_close(&stage);
    }
}

/* `count` pieces of `bytes` each, as `member`. */
static void hear_much(struct stage *stage, struct chat_turn *turn, const char *member, int count) {
    struct dr_buf payload;
    dr_buf_init(&payload, 64 * 1024);
    for (int i = 0; i < count; i++) {
        dr_buf_reset(&payload);
        dr_buf_format(&payload, "{\"choices\":[{\"delta\":{\"%s\":\"%1000d\"}}]}", member, i);
        turn_hear(stage, turn, dr_buf_slice(&payload));
    }
    dr_buf_clear(&payload);
}

static void hear_calls(struct stage *stage, struct chat_turn *turn, uint32_t count) {
    struct dr_buf payload;
    dr_buf_init(&payload, 64 * 1024);
    for (uint32_t i = 0; i < count; i++) {
        dr_buf_reset(&payload);
        dr_buf_format(&payload, "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%u}]}}]}", i);
        turn_hear(stage, turn, dr_buf_slice(&payload));
    }
    dr_buf_clear(&payload);
}

static void test_what_does_not_fit_fills_the_session(void **state) {
    static const struct {
        const char *name;
        const char *member; /* pieces of 1000 bytes */
        int count;
        uint32_t call_count;
        bool is_full;
    } cases[] = {
        {"too long a text", "content", 5, 0, true},
        {"long thinking, which is not kept", "reasoning_content", 5, 0, false},
        {"too long a thinking before calls", "reasoning_content", 5, 1, true},
        {"one call too many", "content", 0, CHAT_CALLS_MAX + 1, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage stage;
        struct chat_turn turn;
        stage_open(&stage);
        turn_begin(&stage, &turn);
        hear_much(&stage, &turn, cases[i].member, cases[i].count);
        hear_calls(&stage, &turn, cases[i].call_count);
        assert_int_equal(turn.call_count, cases[i].call_count > CHAT_CALLS_MAX
                                              ? CHAT_CALLS_MAX
                                              : cases[i].call_count);
        chat_turn_end(&turn, CHAT_TURN_ANSWERED, &stage.scratch, (dr_instant){1});
        expect_kept(&stage, cases[i].name, cases[i].is_full ? "full" : ASSISTANT("\"\""));
        stage_close(&stage);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_session_keeps_what_its_client_would_send_back),
        cmocka_unit_test(test_what_does_not_fit_fills_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
