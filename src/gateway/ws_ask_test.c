/* What the body is that a frame asks with. */
#include "gateway/ws_ask.h"

#include "dialect/openai.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ARENA_BYTES_MAX = 64 * 1024, DEPTH_MAX = 128 };

#define BEFORE "{\"role\":\"user\",\"content\":\"]}\"}"

static const struct {
    const char *frame;
    const char *body;
    const char *joined; /* with BEFORE before its messages */
} asks[] = {
    {"{\"model\":\"m\",\"messages\":[1]}", "{\"stream\":true,\"model\":\"m\",\"messages\":[1]}",
     "{\"stream\":true,\"model\":\"m\",\"messages\":[" BEFORE ",1]}"},
    /* the gateway's own first, between, last, alone; none */
    {"{\"id\":\"a\",\"model\":\"m\",\"messages\":[]}",
     "{\"stream\":true,         \"model\":\"m\",\"messages\":[]}",
     "{\"stream\":true,\"model\":\"m\",\"messages\":[" BEFORE "]}"},
    {"{\"a\":1,\"session\":\"s\",\"b\":2}", "{\"stream\":true,\"a\":1,              \"b\":2}",
     "{\"stream\":true,\"a\":1,\"b\":2}"},
    {"{\"a\":1,\"type\":null}", "{\"stream\":true,\"a\":1            }",
     "{\"stream\":true,\"a\":1}"},
    {"{\"a\":1,\"stream\":0,\"id\":\"x\"}", "{\"stream\":true,\"a\":1                    }",
     "{\"stream\":true,\"a\":1}"},
    {"{\"api_key\":\"k\"}", "{\"stream\":true              }", "{\"stream\":true}"},
    {"{}", "{\"stream\":true }", "{\"stream\":true}"},
    /* blanks wherever they may be */
    {" \r\n{ \"a\" : 1 ,\t\"id\" : \"x\" , \"b\" : 2 } \n",
     " \r\n{\"stream\":true, \"a\" : 1 ,\t             \"b\" : 2 } \n",
     "{\"stream\":true,\"a\" : 1,\"b\" : 2}"},
    {"{ \"a\" : 1 , \"id\" : \"x\" } ", "{\"stream\":true, \"a\" : 1              } ",
     "{\"stream\":true,\"a\" : 1}"},
    {"{ }", "{\"stream\":true  }", "{\"stream\":true}"},
    /* names escaped, and like the gateway's own where they are not */
    {"{\"\\u0069d\":\"x\",\"a\":{\"id\":1,\"stream\":2}}",
     "{\"stream\":true,              \"a\":{\"id\":1,\"stream\":2}}",
     "{\"stream\":true,\"a\":{\"id\":1,\"stream\":2}}"},
    {"{\"a\":\"\\\"id\\\":1,}\",\"id\":\"{,\"}",
     "{\"stream\":true,\"a\":\"\\\"id\\\":1,}\"          }",
     "{\"stream\":true,\"a\":\"\\\"id\\\":1,}\"}"},
};

/* The frame as its reader holds it. */
struct held {
    struct dr_json_reader *reader;
    struct dr_arena arena;
    struct ws_ask ask;
};

static void hold(struct held *held, const char *frame) {
    held->reader = dr_json_reader_new();
    assert_non_null(held->reader);
    dr_arena_init(&held->arena, ARENA_BYTES_MAX, NULL);
    held->ask = (struct ws_ask){.reader = held->reader, .text = dr_slice_text(frame)};
    assert_int_equal(dr_json_read(held->reader, held->ask.text, DEPTH_MAX, &held->ask.root, NULL),
                     DR_OK);
}

static void let_go(struct held *held) {
    dr_arena_clear(&held->arena);
    dr_json_reader_free(held->reader);
}

static void expect_text(dr_slice text, const char *expected) {
    if (!dr_slice_is(text, dr_slice_text(expected))) {
        fail_msg("%.*s\nis not  %s", DR_FMT(text), expected);
    }
}

static void test_the_body_is_the_frame_without_what_is_the_gateways(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        struct held held;
        dr_slice body;
        hold(&held, asks[i].frame);
        assert_true(ws_ask_write_body(&held.ask, &held.arena, &body));
        expect_text(body, asks[i].body);
        assert_true(ws_ask_write_joined(&held.ask, DR_LIT(BEFORE), &held.arena, &body));
        expect_text(body, asks[i].joined);
        let_go(&held);
    }
}

/* Places in the body are found from those in the frame. */
static void test_a_held_body_is_changed_where_it_must_be(void **state) {
    static const struct {
        const char *frame;
        const char *written;
    } cases[] = {
        {"{\"stream\":\"no\",\"id\":\"x\",\"model\":\"m\",\"messages\":[{\"role\":\"user\","
         "\"content\":\"a\"}]}",
         "{\"stream_options\":{\"include_usage\":true},\"stream\":true,                       "
         "\"model\":\"theirs\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"},
        {" {\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stream_options\" : null, "
         "\"m\\u006fdel\" : \"a\\u0062c\",\"session\":\"s\"}",
         " {\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
         "\"stream_options\" : {\"include_usage\":true}, \"m\\u006fdel\" : \"theirs\"            "
         "  }"},
        {"{\"model\":\"m\",\"id\":\"x\",\"stream_options\":{ \"include_usage\": false },"
         "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
         "{\"stream\":true,\"model\":\"theirs\",         \"stream_options\":{ \"include_usage\": "
         "true },\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct held held;
        struct prompt prompt;
        struct prompt_fault fault = {0};
        struct dr_buf written;
        dr_slice parts[OPENAI_BODY_PARTS_MAX];
        dr_slice body;
        size_t len;
        hold(&held, cases[i].frame);
        assert_true(ws_ask_write_body(&held.ask, &held.arena, &body));
        assert_int_equal(openai_read_held_prompt(held.reader, held.ask.root, WS_ASK_SHIFT, body,
                                                 &prompt, &fault),
                         DR_OK);
        assert_true(prompt.is_streamed);
        const size_t count = openai_write_prompt(&prompt, DR_LIT("\"theirs\""), true, parts, &len);
        dr_buf_init(&written, ARENA_BYTES_MAX);
        for (size_t k = 0; k < count; k++) dr_buf_put(&written, parts[k]);
        expect_text(dr_buf_slice(&written), cases[i].written);
        assert_int_equal(written.len, len);
        dr_buf_clear(&written);
        let_go(&held);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_body_is_the_frame_without_what_is_the_gateways),
        cmocka_unit_test(test_a_held_body_is_changed_where_it_must_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
