/* The simulated provider over loopback connections: shapes of its answers, and its refusals. */
#include "sim/provider_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* --- shapes --- */

static void test_whole_answer_has_openais_shape_and_headers(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_ask(&fixture, &peer, "", ASK(""));
    assert_int_equal(peer.status, 200);
    static const char *const headers[] = {
        "x-request-id: req_",
        "openai-processing-ms: ",
        "openai-organization: ",
        "Set-Cookie: ",
        "Content-Type: application/json\r\n",
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (dr_slice_find(dr_buf_slice(&peer.raw), dr_slice_text(headers[i])) == peer.raw.len) {
            fail_msg("%s is missing", headers[i]);
        }
    }
    dr_json root = read_json(&fixture, dr_buf_slice(&peer.body));
    assert_true(dr_slice_starts(dr_json_text(at(root, "id")), DR_LIT("chatcmpl-")));
    assert_text(at(root, "object"), "chat.completion");
    assert_text(at(root, "model"), "gpt-4.1");
    assert_true(number(at(root, "created")) > 1600000000);
    dr_json choice = first(at(root, "choices"));
    assert_text(at(choice, "finish_reason"), "stop");
    assert_text(at(at(choice, "message"), "role"), "assistant");
    const dr_slice text = dr_json_text(at(at(choice, "message"), "content"));
    assert_true(dr_slice_starts(text, DR_LIT("This is a simulation")));
    assert_true(dr_slice_find(text, DR_LIT("“hello”")) < text.len);
    dr_json usage = at(root, "usage");
    assert_int_equal(number(at(usage, "total_tokens")),
                     number(at(usage, "prompt_tokens")) + number(at(usage, "completion_tokens")));
    assert_int_equal(number(at(at(usage, "prompt_tokens_details"), "cached_tokens")), 0);
    assert_int_equal(number(at(at(usage, "completion_tokens_details"), "reasoning_tokens")), 0);
    peer_close(&peer);
    shut(&fixture);
}

static void test_stream_joins_to_the_text_of_the_whole_answer(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer whole;
    struct peer stream;
    struct joined joined;
    peer_ask(&fixture, &whole, "", ASK(""));
    peer_ask(&fixture, &stream, "", STREAM(",\"stream_options\":{\"include_usage\":true}"));
    join(&stream, &joined);
    dr_json root = read_json(&fixture, dr_buf_slice(&whole.body));
    const dr_slice text = dr_json_text(at(at(first(at(root, "choices")), "message"), "content"));
    assert_true(dr_slice_is(text, dr_buf_slice(&joined.text)));
    assert_int_equal(joined.completion_tokens, number(at(at(root, "usage"), "completion_tokens")));
    assert_true(joined.has_done);
    assert_int_equal(joined.finishes, 1);
    assert_string_equal(joined.finish, "stop");
    /* Role, tokens, finish, usage, [DONE]. */
    assert_int_equal(joined.events, joined.completion_tokens + 4);
    assert_int_equal(peer_count(&stream, "\"choices\":[]"), 1);
    joined_clear(&joined);
    peer_close(&whole);
    peer_close(&stream);
    shut(&fixture);
}

static void test_usage_comes_only_when_asked_and_not_with_no_usage(void **state) {
    (void)state;
    static const struct {
        const char *headers;
        const char *body;
        bool has_usage;
    } cases[] = {
        {"", STREAM(""), false},
        {"", STREAM(",\"stream_options\":{\"include_usage\":true}"), true},
        {"", ASK(""), true},
        {"x-sim-fault: no_usage\r\n", STREAM(",\"stream_options\":{\"include_usage\":true}"),
         false},
        {"x-sim-fault: no_usage\r\n", ASK(""), false},
    };
    struct fixture fixture = open_plain();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer peer;
        peer_ask(&fixture, &peer, cases[i].headers, cases[i].body);
        assert_int_equal(peer_has(&peer, "\"prompt_tokens\""), cases[i].has_usage);
        assert_true(peer.is_whole);
        peer_close(&peer);
    }
    shut(&fixture);
}

static void test_limits_and_stops_cut_the_text(void **state) {
    (void)state;
    static const struct {
        const char *body;
        const char *text;
        const char *finish;
        uint64_t tokens;
        uint64_t reasoning;
    } cases[] = {
        {ASK(",\"max_tokens\":3"), "This is a", "length", 3, 0},
        {ASK(",\"max_completion_tokens\":1"), "This", "length", 1, 0},
        {ASK(",\"stop\":\" a sim\""), "This is", "stop", 2, 0},
        {ASK(",\"stop\":[\"zzz\",\" is\"]"), "This", "stop", 1, 0},
        {ASK(",\"reasoning_effort\":\"low\",\"max_completion_tokens\":66"), "This is", "length", 66,
         64},
        {ASK(",\"reasoning_effort\":\"high\",\"max_completion_tokens\":9"), "", "length", 9, 9},
    };
    struct fixture fixture = open_plain();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer peer;
        peer_ask(&fixture, &peer, "", cases[i].body);
        dr_json root = read_json(&fixture, dr_buf_slice(&peer.body));
        dr_json choice = first(at(root, "choices"));
        dr_json usage = at(root, "usage");
        assert_text(at(at(choice, "message"), "content"), cases[i].text);
        assert_text(at(choice, "finish_reason"), cases[i].finish);
        assert_int_equal(number(at(usage, "completion_tokens")), cases[i].tokens);
        assert_int_equal(number(at(at(usage, "completion_tokens_details"), "reasoning_tokens")),
                         cases[i].reasoning);
        peer_close(&peer);
    }
    shut(&fixture);
}

static void test_several_choices_each_finish_once(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_ask(&fixture, &peer, "", ASK(",\"n\":3"));
    dr_json root = read_json(&fixture, dr_buf_slice(&peer.body));
    assert_int_equal(dr_json_count(at(root, "choices")), 3);
    peer_close(&peer);
    peer_ask(&fixture, &peer, "", STREAM(",\"n\":3"));
    assert_int_equal(peer_count(&peer, "\"finish_reason\":\"stop\""), 3);
    assert_int_equal(peer_count(&peer, "\"role\":\"assistant\""), 3);
    struct joined joined;
    join(&peer, &joined);
    assert_int_equal(joined.finishes, 1);
    joined_clear(&joined);
    peer_close(&peer);
    shut(&fixture);
}

static void test_logprobs_come_with_each_token(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_ask(&fixture, &peer, "", ASK(",\"logprobs\":true,\"top_logprobs\":2,\"max_tokens\":2"));
    dr_json root = read_json(&fixture, dr_buf_slice(&peer.body));
    dr_json content = at(at(first(at(root, "choices")), "logprobs"), "content");
    assert_int_equal(dr_json_count(content), 2);
    assert_text(at(first(content), "token"), "This");
    assert_int_equal(dr_json_count(at(first(content), "bytes")), 4);
    assert_int_equal(dr_json_count(at(first(content), "top_logprobs")), 2);
    peer_close(&peer);
    peer_ask(&fixture, &peer, "", STREAM(",\"logprobs\":true,\"max_tokens\":2"));
    assert_int_equal(peer_count(&peer, "\"logprobs\":{\"content\":[{\"token\":"), 2);
    peer_close(&peer);
    shut(&fixture);
}

static void test_response_formats_give_json(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    struct joined joined;
    peer_ask(&fixture, &peer, "", STREAM(",\"response_format\":{\"type\":\"json_object\"}"));
    join(&peer, &joined);
    assert_true(dr_json_is(read_json(&fixture, dr_buf_slice(&joined.text)), DR_JSON_OBJECT));
    joined_clear(&joined);
    peer_close(&peer);
    peer_ask(
        &fixture, &peer, "",
        STREAM(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\","
               "\"schema\":{\"type\":\"object\",\"properties\":{\"age\":{\"type\":\"integer\","
               "\"minimum\":7,\"maximum\":7}},\"required\":[\"age\"]}}}"));
    join(&peer, &joined);
    assert_true(dr_slice_is(dr_buf_slice(&joined.text), DR_LIT("{\"age\":7}")));
    joined_clear(&joined);
    peer_close(&peer);
    shut(&fixture);
}

/* --- tools --- */

#define TOOL(name) \
    "{\"type\":\"function\",\"function\":{\"name\":\"" name \
    "\",\"parameters\":{\"type\":\"object\"," \
    "\"properties\":{\"unit\":{\"enum\":[\"celsius\"]}},\"required\":[\"unit\"]}}}"
#define TOOLS ",\"tools\":[" TOOL("weather") "," TOOL("clock") "]"
#define SAY(text, more) \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]" TOOLS more "}"

static void test_tools_are_called_with_arguments_that_fit(void **state) {
    (void)state;
    static const struct {
        const char *body;
        const char *name;
        const char *finish;
        size_t calls;
    } cases[] = {
        {SAY("x", ""), "weather", "tool_calls", 1},
        {SAY("x", ",\"tool_choice\":\"required\""), "weather", "tool_calls", 1},
        {SAY("x", ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"clock\"}}"),
         "clock", "stop", 1},
        {SAY("Both please", ""), "weather", "tool_calls", 2},
        {SAY("Both please", ",\"parallel_tool_calls\":false"), "weather", "tool_calls", 1},
        {SAY("x",
             ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\","
             "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"clock\"}}]}}"),
         "clock", "tool_calls", 1},
        {SAY("x", ",\"tool_choice\":\"none\""), NULL, "stop", 0},
    };
    struct fixture fixture = open_plain();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer peer;
        peer_ask(&fixture, &peer, "", cases[i].body);
        dr_json root = read_json(&fixture, dr_buf_slice(&peer.body));
        dr_json choice = first(at(root, "choices"));
        dr_json calls = at(at(choice, "message"), "tool_calls");
        assert_text(at(choice, "finish_reason"), cases[i].finish);
        assert_int_equal(dr_json_count(calls), cases[i].calls);
        if (cases[i].calls > 0) {
            assert_text(at(at(first(calls), "function"), "name"), cases[i].name);
            assert_text(at(at(first(calls), "function"), "arguments"), "{\"unit\":\"celsius\"}");
            assert_true(dr_json_is(at(at(choice, "message"), "content"), DR_JSON_NULL));
        }
        peer_close(&peer);
    }
    shut(&fixture);
}

static void test_streamed_calls_come_in_pieces(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    struct joined joined;
    peer_ask(&fixture, &peer, "", SAY("in parallel", ",\"stream\":true"));
    join(&peer, &joined);
    assert_int_equal(joined.call_starts, 2);
    assert_true(dr_slice_is(dr_buf_slice(&joined.arguments),
                            DR_LIT("{\"unit\":\"celsius\"}{\"unit\":\"celsius\"}")));
    assert_int_equal(joined.text.len, 0);
    assert_string_equal(joined.finish, "tool_calls");
    assert_true(joined.events > 8);
    joined_clear(&joined);
    peer_close(&peer);
    shut(&fixture);
}

#define AFTER_CALL \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":" \
    "\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\"," \
    "\"function\":{\"name\":\"weather\",\"arguments\":\"{}\"}}]}"

static void test_tool_results_are_answered_in_text(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_ask(&fixture, &peer, "",
             AFTER_CALL ",{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"22 °C\"}]" TOOLS
                        "}");
    assert_true(peer_has(&peer, "The tool said “22 °C”"));
    assert_true(peer_has(&peer, "\"finish_reason\":\"stop\""));
    peer_close(&peer);
    shut(&fixture);
}

static void test_images_are_seen(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_ask(&fixture, &peer, "",
             "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
             "\"text\":\"look\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;"
             "base64,AA==\"}}]}]}");
    assert_true(peer_has(&peer, "I see 1 image."));
    peer_close(&peer);
    shut(&fixture);
}

/* --- refusals --- */

static void judge_chat_error(dr_json root) {
    assert_text(at(at(root, "error"), "type"), "invalid_request_error");
}

static void test_bad_requests_are_refused_with_the_parameter(void **state) {
    (void)state;
    static const struct refusal_case cases[] = {
        {"", "could not parse"},
        {"{\"model\":", "could not parse"},
        {"[]", "must be a JSON object"},
        {"{\"messages\":[]}", "you must provide a model"},
        {"{\"model\":\"m\"}", "\"param\":\"messages\""},
        {"{\"model\":\"m\",\"messages\":[]}", "\"param\":\"messages\""},
        {"{\"model\":\"m\",\"messages\":\"hi\"}", "\"param\":\"messages\""},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"robot\",\"content\":\"x\"}]}",
         "\"param\":\"messages[0].role\""},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]}",
         "\"param\":\"messages[0].content\""},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}]}",
         "\"param\":\"messages[0].content[0].type\""},
        {AFTER_CALL "]}", "must be followed by tool messages"},
        {AFTER_CALL ",{\"role\":\"user\",\"content\":\"x\"}]}",
         "must be followed by tool messages"},
        {AFTER_CALL ",{\"role\":\"tool\",\"content\":\"x\",\"tool_call_id\":\"c2\"}]}",
         "must be a response to a preceding"},
        {ASK(",\"stream\":1"), "\"param\":\"stream\""},
        {ASK(",\"stream_options\":{}"), "\"param\":\"stream_options\""},
        {ASK(",\"n\":0"), "\"param\":\"n\""},
        {ASK(",\"n\":129"), "\"param\":\"n\""},
        {ASK(",\"max_tokens\":0"), "\"param\":\"max_tokens\""},
        {ASK(",\"max_tokens\":1.5"), "\"param\":\"max_tokens\""},
        {ASK(",\"max_tokens\":1,\"max_completion_tokens\":1"), "\"param\":\"max_tokens\""},
        {ASK(",\"temperature\":2.1"), "\"param\":\"temperature\""},
        {ASK(",\"top_p\":\"x\""), "\"param\":\"top_p\""},
        {ASK(",\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]"), "\"param\":\"stop\""},
        {ASK(",\"top_logprobs\":2"), "\"param\":\"top_logprobs\""},
        {ASK(",\"tool_choice\":\"auto\""), "\"param\":\"tool_choice\""},
        {ASK(",\"tools\":[]"), "\"param\":\"tools\""},
        {ASK(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]"),
         "\"param\":\"tools[0].function.name\""},
        {SAY("x", ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"none\"}}"),
         "\"param\":\"tool_choice.function.name\""},
        {ASK(",\"response_format\":{\"type\":\"xml\"}"), "\"param\":\"response_format.type\""},
        {ASK(",\"reasoning_effort\":\"huge\""), "\"param\":\"reasoning_effort\""},
        {"{\"model\":\"sim:nonsense\",\"messages\":[]}", "unknown fault word"},
        {"{\"model\":\"sim:refuse\",\"messages\":[]}", "give it as a flag"},
    };
    peer_expect_refusals(CHAT, KEY, ALL_OF(cases), judge_chat_error);
}

static void test_routes_keys_and_steering_headers_are_checked(void **state) {
    (void)state;
    static const struct route_case cases[] = {
        {CHAT, "", 401, "invalid_api_key"},
        {CHAT, "Authorization: Bearer \r\n", 401, "invalid_api_key"},
        {CHAT, "Authorization: Basic abc\r\n", 401, "invalid_api_key"},
        {CHAT, "Authorization: Bearer sk-sim-refused\r\n", 401, "Incorrect API key"},
        {"GET /v1/models", KEY, 200, "\"object\":\"list\""},
        {"GET /models", KEY, 200, "\"owned_by\""},
        {"GET /v1/models", "", 401, "invalid_api_key"},
        {"GET /v1/models", KEY "x-sim-fault: status=500\r\n", 500, "server_error"},
        {"GET /v1/chat/completions", KEY, 405, "method"},
        {"POST /v1/other", KEY, 404, "Invalid URL (POST /v1/other)"},
        {"POST /chat/completions?x=1", KEY, 200, "chat.completion"},
        {CHAT, KEY "x-sim-fault: stall,oops\r\n", 400, "oops"},
        {CHAT, KEY "x-sim-events: -1\r\n", 400, "x-sim-events"},
        {CHAT, KEY "x-sim-token-ms: soon\r\n", 400, "x-sim-token-ms"},
        {CHAT, KEY "x-sim-cut: 5,4\r\n", 400, "x-sim-cut"},
        {CHAT, KEY "x-sim-cut: 0\r\n", 400, "x-sim-cut"},
    };
    peer_expect_routes(ALL_OF(cases), ASK(""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_answer_has_openais_shape_and_headers),
        cmocka_unit_test(test_stream_joins_to_the_text_of_the_whole_answer),
        cmocka_unit_test(test_usage_comes_only_when_asked_and_not_with_no_usage),
        cmocka_unit_test(test_limits_and_stops_cut_the_text),
        cmocka_unit_test(test_several_choices_each_finish_once),
        cmocka_unit_test(test_logprobs_come_with_each_token),
        cmocka_unit_test(test_response_formats_give_json),
        cmocka_unit_test(test_tools_are_called_with_arguments_that_fit),
        cmocka_unit_test(test_streamed_calls_come_in_pieces),
        cmocka_unit_test(test_tool_results_are_answered_in_text),
        cmocka_unit_test(test_images_are_seen),
        cmocka_unit_test(test_bad_requests_are_refused_with_the_parameter),
        cmocka_unit_test(test_routes_keys_and_steering_headers_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
