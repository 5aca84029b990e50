/* Requests in OpenAI's words, written for DeepSeek: what has to change, what is told and refused,
 * and that nothing else is touched. */
#include "dialect/deepseek_prompt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { BODY_BYTES_MAX = 4096 };

#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define CALL \
    "{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"
#define ASSISTANT(more) \
    "\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" CALL "]" more "}]"
#define TOOL(more) \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"" more ",\"parameters\":{}}}]"
#define FORMAT(named) \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\"" named "}}"
#define INSTRUCTION "Answer with one JSON object and nothing else, without a code fence."

/* `written` NULL: the request passes as it came. */
static const struct {
    const char *members;
    const char *written;
    const char *dropped;
} requests[] = {
    {HELLO, NULL, ""},
    {HELLO ",\"max_tokens\":5", NULL, ""},
    {HELLO ",\"max_completion_tokens\":5", HELLO ",\"max_tokens\":5", ""},
    {HELLO ",\"max_completion_tokens\":null", NULL, ""},
    {"\"max_tokens\":9," HELLO ",\"max_completion_tokens\":5", HELLO ",\"max_tokens\":5",
     "max_tokens"},
    {"\"max_tokens\":null," HELLO ",\"max_completion_tokens\":5", HELLO ",\"max_tokens\":5", ""},
    /* What is dropped, and the values that ask for nothing. */
    {HELLO ",\"seed\":0,\"logit_bias\":{\"1\":2},\"parallel_tool_calls\":false,\"store\":true,"
           "\"metadata\":{\"a\":\"b\"},\"temperature\":0.5",
     HELLO ",\"temperature\":0.5", "seed, logit_bias, parallel_tool_calls, store, metadata"},
    {HELLO ",\"verbosity\":\"low\",\"prediction\":{\"type\":\"content\"},\"service_tier\":\"flex\","
           "\"prompt_cache_key\":\"k\",\"prompt_cache_retention\":\"24h\"",
     HELLO, "verbosity, prediction, service_tier, prompt_cache_key, prompt_cache_retention"},
    {HELLO ",\"verbosity\":\"medium\",\"modalities\":[\"text\"],\"audio\":null,"
           "\"service_tier\":\"auto\",\"functions\":[],\"function_call\":null",
     NULL, ""},
    {"\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"function_call\":null}]", NULL, ""},
    {HELLO ",\"seed\":null,\"logit_bias\":{},\"parallel_tool_calls\":true,\"store\":false,"
           "\"metadata\":{},\"n\":1,\"response_format\":{\"type\":\"text\"},"
           "\"reasoning_effort\":null",
     NULL, ""},
    {HELLO
     ",\"user\":\"u\",\"top_p\":0.1,\"frequency_penalty\":1,\"stop\":[\"a\"],\"logprobs\":true,"
     "\"tool_choice\":\"auto\",\"own\":{\"a\":1.50}",
     NULL, ""},
    /* Numbers and texts beside what changes stay as they were written. */
    {HELLO ",\"seed\":1,\"own\":[1.50,1e400,\"\\ud83d\\ude00\",null]",
     HELLO ",\"own\":[1.50,1e400,\"😀\",null]", "seed"},
    /* Thinking. */
    {HELLO ",\"reasoning_effort\":\"none\"", HELLO ",\"thinking\":{\"type\":\"disabled\"}", ""},
    {HELLO ",\"reasoning_effort\":\"minimal\"", HELLO ",\"reasoning_effort\":\"high\"", ""},
    {HELLO ",\"reasoning_effort\":\"low\"", HELLO ",\"reasoning_effort\":\"high\"", ""},
    {HELLO ",\"reasoning_effort\":\"medium\"", HELLO ",\"reasoning_effort\":\"high\"", ""},
    {HELLO ",\"reasoning_effort\":\"high\"", NULL, ""},
    {HELLO ",\"reasoning_effort\":\"xhigh\"", HELLO ",\"reasoning_effort\":\"max\"", ""},
    {HELLO ",\"reasoning_effort\":\"max\"", NULL, ""},
    {HELLO ",\"reasoning_effort\":\"foo\"", NULL, ""},
    {HELLO ",\"thinking\":{\"type\":\"enabled\"}", NULL, ""},
    {HELLO ",\"reasoning\":{\"enabled\":false}", HELLO ",\"thinking\":{\"type\":\"disabled\"}", ""},
    {HELLO ",\"reasoning\":{\"effort\":\"none\"},\"thinking\":{\"type\":\"enabled\"}",
     HELLO ",\"thinking\":{\"type\":\"disabled\"}", "thinking"},
    {HELLO ",\"reasoning\":{\"effort\":\"xhigh\"}", HELLO ",\"reasoning_effort\":\"max\"", ""},
    {HELLO ",\"reasoning\":{\"enabled\":true,\"exclude\":true,\"none\":null,\"no\":false}",
     HELLO ",\"reasoning_effort\":\"high\"", "reasoning.exclude"},
    {HELLO ",\"reasoning\":{\"max_tokens\":2000}", HELLO ",\"reasoning_effort\":\"high\"",
     "reasoning.max_tokens"},
    {HELLO ",\"reasoning\":{\"effort\":\"high\"},\"reasoning_effort\":\"max\"",
     HELLO ",\"reasoning_effort\":\"max\"", "reasoning"},
    {HELLO ",\"reasoning\":{\"effort\":\"max\"},\"reasoning_effort\":\"max\"",
     HELLO ",\"reasoning_effort\":\"max\"", ""},
    {HELLO ",\"reasoning\":{\"summary\":\"auto\"}", HELLO, "reasoning.summary"},
    {HELLO ",\"reasoning\":\"deep\"", HELLO, "reasoning"},
    {HELLO ",\"reasoning\":{\"exclude\":true},\"reasoning_effort\":\"max\"",
     HELLO ",\"reasoning_effort\":\"max\"", "reasoning.exclude"},
    {HELLO ",\"reasoning_effort\":null,\"reasoning\":{\"effort\":\"high\"},\"thinking\":null",
     HELLO ",\"reasoning_effort\":\"high\",\"thinking\":null", ""},
    {HELLO ",\"reasoning\":{\"enabled\":false},\"reasoning_effort\":\"\",\"thinking\":null",
     HELLO ",\"thinking\":{\"type\":\"disabled\"}", "reasoning_effort"},
    {HELLO ",\"reasoning\":{}", HELLO, ""},
    {HELLO ",\"reasoning\":null", NULL, ""},
    {HELLO ",\"thinking\":{\"type\":\"enabled\"},\"reasoning_effort\":\"none\"",
     HELLO ",\"thinking\":{\"type\":\"disabled\"}", "thinking"},
    {HELLO ",\"reasoning_effort\":\"none\",\"thinking\":{\"type\":\"disabled\"}",
     HELLO ",\"thinking\":{\"type\":\"disabled\"}", ""},
    {ASSISTANT(""), ASSISTANT(",\"reasoning_content\":\" \""), ""},
    {ASSISTANT(",\"reasoning_content\":\"\""), ASSISTANT(",\"reasoning_content\":\" \""), ""},
    {ASSISTANT(",\"reasoning_content\":null,\"refusal\":null"),
     ASSISTANT(",\"refusal\":null,\"reasoning_content\":\" \""), ""},
    {ASSISTANT(",\"reasoning_content\":\"t\""), NULL, ""},
    {"\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"},"
     "{\"role\":\"user\",\"content\":\"b\"}]",
     NULL, ""},
    /* Roles. */
    {"\"messages\":[{\"role\":\"developer\",\"content\":\"d\",\"name\":\"n\"},"
     "{\"role\":\"user\",\"content\":\"developer\"}]",
     "\"messages\":[{\"role\":\"system\",\"content\":\"d\",\"name\":\"n\"},"
     "{\"role\":\"user\",\"content\":\"developer\"}]",
     ""},
    /* Images are for the provider to judge. */
    {"\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
     "{\"url\":\"https://a/b.png\"}}]}]",
     NULL, ""},
    /* Tools. */
    {HELLO "," TOOL(",\"strict\":true"), HELLO "," TOOL(""), "tools.function.strict"},
    {HELLO "," TOOL(",\"strict\":false"), NULL, ""},
    /* Formats. */
    {HELLO ",\"response_format\":{\"type\":\"json_object\"}", NULL, ""},
    {HELLO "," FORMAT(",\"strict\":true,\"schema\":{\"type\":\"object\",\"x\":\"\\\"\"}"),
     "\"messages\":[{\"role\":\"system\",\"content\":\"" INSTRUCTION
     " It must match this JSON Schema: {\\\"type\\\":\\\"object\\\",\\\"x\\\":\\\"\\\\\\\"\\\"}\"},"
     "{\"role\":\"user\",\"content\":\"hi\"}],\"response_format\":{\"type\":\"json_object\"}",
     "response_format.json_schema.strict"},
    {FORMAT(",\"description\":\"A person.\",\"strict\":false,\"schema\":{}") "," HELLO,
     "\"response_format\":{\"type\":\"json_object\"},\"messages\":[{\"role\":\"system\","
     "\"content\":\"" INSTRUCTION " It is described so: A person.\\n"
     " It must match this JSON Schema: {}\"},{\"role\":\"user\",\"content\":\"hi\"}]",
     ""},
    {HELLO "," FORMAT(""),
     "\"messages\":[{\"role\":\"system\",\"content\":\"" INSTRUCTION "\"},"
     "{\"role\":\"user\",\"content\":\"hi\"}],\"response_format\":{\"type\":\"json_object\"}",
     ""},
};

static void read_prompt(struct dr_json_reader *reader, dr_slice body, struct prompt *ret_prompt) {
    struct prompt_fault fault = {0};

    if (openai_read_prompt(reader, body, ret_prompt, &fault)) {
        fail_msg("%.*s: %s %s", DR_FMT(body), fault.param, fault.text);
    }
}

/* The model's name alone differs, as openai_write_prompt has it. */
static void put_sent(struct dr_buf *out, const struct prompt *prompt) {
    dr_slice parts[OPENAI_BODY_PARTS_MAX];
    size_t len;
    const size_t count =
        openai_write_prompt(prompt, DR_LIT("\"deepseek-chat\""), true, parts, &len);

    dr_buf_init(out, BODY_BYTES_MAX);
    for (size_t i = 0; i < count; i++) dr_buf_put(out, parts[i]);
    assert_int_equal(out->len, len);
}

static void test_what_deepseek_lacks_is_adapted_or_told(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct dr_json_reader *reader = dr_json_reader_new();
        struct loss loss = {.is_refused = false};
        struct prompt prompt;
        struct dr_buf out;
        struct dr_buf sent;
        char body[BODY_BYTES_MAX];
        char expected[BODY_BYTES_MAX];
        const char *written = requests[i].written ? requests[i].written : requests[i].members;

        (void)snprintf(body, sizeof body, "{\"model\":\"d\",\"stream\":true,%s}",
                       requests[i].members);
        (void)snprintf(expected, sizeof expected,
                       "{\"stream_options\":{\"include_usage\":true},\"model\":\"deepseek-chat\","
                       "\"stream\":true,%s}",
                       written);
        read_prompt(reader, dr_slice_text(body), &prompt);
        assert_int_equal(prompt.exceeds_deepseek, requests[i].written != NULL);
        dr_buf_init(&out, BODY_BYTES_MAX);
        if (prompt.exceeds_deepseek) {
            assert_int_equal(deepseek_write_prompt(reader, &prompt, &out, &loss, &prompt), DR_OK);
            assert_false(prompt.exceeds_deepseek);
        }
        put_sent(&sent, &prompt);
        if (!dr_slice_is(dr_buf_slice(&sent), dr_slice_text(expected))) {
            fail_msg("%s\ngives %.*s\nnot   %s", body, DR_FMT(dr_buf_slice(&sent)), expected);
        }
        if (!dr_slice_is(loss_dropped(&loss), dr_slice_text(requests[i].dropped))) {
            fail_msg("%s\ntells %.*s", body, DR_FMT(loss_dropped(&loss)));
        }
        dr_buf_clear(&sent);
        dr_buf_clear(&out);
        dr_json_reader_free(reader);
    }
}

/* `how` ends the sentence. */
static const struct {
    const char *members;
    const char *param;
    const char *how;
} refusals[] = {
    {HELLO ",\"n\":2", "n", "gives one answer"},
    {HELLO ",\"modalities\":[\"text\",\"audio\"]", "modalities", "gives text only"},
    {HELLO ",\"audio\":{\"voice\":\"v\",\"format\":\"wav\"}", "audio", "gives text only"},
    {HELLO ",\"web_search_options\":{\"search_context_size\":\"low\"}", "web_search_options",
     "searches nothing"},
    {HELLO ",\"functions\":[{\"name\":\"f\"}],\"function_call\":\"auto\"", "functions",
     "takes `tools`, not the older functions"},
    {HELLO ",\"function_call\":{\"name\":\"f\"}", "function_call",
     "takes `tools`, not the older functions"},
    {"\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":null,"
     "\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}}]",
     "messages[1].function_call", "takes `tools`, not the older functions"},
    {"\"messages\":[{\"role\":\"function\",\"name\":\"f\",\"content\":\"r\"}]", "messages[0].role",
     "takes `tools`, not the older functions"},
};

static void test_what_deepseek_cannot_do_is_refused_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct dr_json_reader *reader = dr_json_reader_new();
        struct loss loss = {.is_refused = false};
        struct prompt prompt;
        struct dr_buf out;
        char body[BODY_BYTES_MAX];
        char text[BODY_BYTES_MAX];

        (void)snprintf(body, sizeof body, "{\"model\":\"d\",%s}", refusals[i].members);
        (void)snprintf(text, sizeof text,
                       "cannot be had from this model: its provider (DeepSeek) %s",
                       refusals[i].how);
        read_prompt(reader, dr_slice_text(body), &prompt);
        if (!prompt.exceeds_deepseek) fail_msg("%s passes", body);
        dr_buf_init(&out, BODY_BYTES_MAX);
        assert_int_equal(deepseek_write_prompt(reader, &prompt, &out, &loss, &prompt), DR_INVALID);
        assert_string_equal(loss.fault.param, refusals[i].param);
        assert_string_equal(loss.fault.text, text);
        dr_buf_clear(&out);
        dr_json_reader_free(reader);
    }
}

static void check_too_large(struct dr_json_reader *reader, size_t bytes_max) {
    const dr_slice body = DR_LIT("{\"model\":\"d\"," HELLO "," FORMAT("") "}");
    struct loss loss = {.is_refused = false};
    struct prompt prompt;
    struct dr_buf out;

    read_prompt(reader, body, &prompt);
    dr_buf_init(&out, bytes_max);
    assert_int_equal(deepseek_write_prompt(reader, &prompt, &out, &loss, &prompt), DR_TOO_LARGE);
    dr_buf_clear(&out);
}

static void test_a_schema_too_large_for_the_room_is_said_to_be(void **state) {
    struct dr_json_reader *reader = dr_json_reader_new();

    (void)state;
    check_too_large(reader, 64);
    dr_json_reader_free(reader);
}

/* The reader takes what came, but not the message that is added to it. */
static void test_a_body_that_grows_beyond_the_limit_of_values_is_too_large(void **state) {
    struct dr_json_reader *reader = dr_json_reader_new();

    (void)state;
    dr_json_reader_limit(reader, 18);
    check_too_large(reader, BODY_BYTES_MAX);
    dr_json_reader_free(reader);
}

static void test_deepseek_is_told_by_its_address_or_its_names(void **state) {
    static const struct {
        enum dialect dialect;
        const char *host;
        const char *model;
        bool is_deepseek;
    } targets[] = {
        {DIALECT_OPENAI, "api.deepseek.com", "deepseek-v4-flash", true},
        {DIALECT_OPENAI, "API.DeepSeek.com", "*", true},
        {DIALECT_OPENAI, "127.0.0.1", "deepseek-chat", true},
        {DIALECT_OPENAI, "reseller.example", "deepseek-reasoner", true},
        {DIALECT_OPENAI, "reseller.example", "deepseek-v3.2", false},
        {DIALECT_OPENAI, "reseller.example", "deepseek/deepseek-chat", false},
        {DIALECT_OPENAI, "api.deepseek.com.example", "m", false},
        {DIALECT_ANTHROPIC, "api.deepseek.com", "deepseek-chat", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        const struct provider provider = {
            .dialect = targets[i].dialect,
            .host = dr_slice_text(targets[i].host),
        };
        assert_int_equal(deepseek_serves(&provider, dr_slice_text(targets[i].model)),
                         targets[i].is_deepseek);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_deepseek_lacks_is_adapted_or_told),
        cmocka_unit_test(test_what_deepseek_cannot_do_is_refused_by_name),
        cmocka_unit_test(test_a_schema_too_large_for_the_room_is_said_to_be),
        cmocka_unit_test(test_a_body_that_grows_beyond_the_limit_of_values_is_too_large),
        cmocka_unit_test(test_deepseek_is_told_by_its_address_or_its_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
