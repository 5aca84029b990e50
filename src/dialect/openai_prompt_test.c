/* Requests: what passes, what is refused with which words, and what the spliced body becomes. */
#include "dialect/openai.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MODEL "\"model\":\"m\""
#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
/* A request with one more field. */
#define WITH(field) "{" MODEL "," MESSAGES "," field "}"
/* A request of one message. */
#define SAYING(message) "{" MODEL ",\"messages\":[" message "]}"
/* A user's message of one part. */
#define PART(part) SAYING("{\"role\":\"user\",\"content\":[" part "]}")
/* An assistant's message of one tool call. */
#define CALL(call) SAYING("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" call "]}")

static struct dr_json_reader *reader;

static int set_up(void **state) {
    (void)state;
    reader = dr_json_reader_new();
    return reader ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    dr_json_reader_free(reader);
    return 0;
}

static enum dr_status read_text(const char *body, struct prompt *prompt,
                                struct prompt_fault *fault) {
    return openai_read_prompt(reader, dr_slice_text(body), prompt, fault);
}

static const char *const allowed[] = {
    "{" MODEL "," MESSAGES "}",
    " \r\n\t{ " MODEL " , " MESSAGES " } \n",
    WITH("\"unknown\":{\"deep\":[1,2,{}]}"),
    WITH("\"stream\":null"),
    WITH("\"stream\":false"),
    WITH("\"stream\":true"),
    WITH("\"stream\":true,\"stream_options\":{\"include_usage\":true,\"other\":1}"),
    WITH("\"stream_options\":null"),
    WITH("\"max_completion_tokens\":1"),
    WITH("\"max_tokens\":9223372036854775807"),
    WITH("\"temperature\":0"),
    WITH("\"temperature\":2.0"),
    WITH("\"temperature\":1e0"),
    WITH("\"top_p\":1,\"frequency_penalty\":-2,\"presence_penalty\":2"),
    WITH("\"n\":128"),
    WITH("\"stop\":\"x\""),
    WITH("\"stop\":[]"),
    WITH("\"stop\":[\"a\",\"b\",\"c\",\"d\"]"),
    WITH("\"seed\":-9223372036854775808"),
    WITH("\"logprobs\":true,\"top_logprobs\":20"),
    WITH("\"logit_bias\":{\"50256\":-100,\"1\":99.5}"),
    WITH("\"tools\":[]"),
    WITH("\"tools\":null"),
    WITH("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"),
    WITH("\"tools\":[{\"function\":{\"name\":\"f.g\",\"description\":null,\"parameters\":{},"
         "\"strict\":null}}]"),
    WITH("\"tools\":[{\"type\":\"web_search\",\"x\":1},{\"type\":\"custom\"}]"),
    WITH("\"tool_choice\":\"none\""),
    WITH("\"tool_choice\":\"any\""),
    WITH("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"),
    WITH("\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\"}}"),
    WITH("\"tool_choice\":{\"type\":\"something_new\"}"),
    WITH("\"parallel_tool_calls\":false"),
    WITH("\"response_format\":{\"type\":\"text\"}"),
    WITH("\"response_format\":{\"type\":\"grammar\",\"grammar\":1}"),
    WITH("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{}}}"),
    WITH("\"reasoning_effort\":\"a_new_word\",\"verbosity\":null,\"service_tier\":\"flex\""),
    WITH("\"modalities\":[\"text\",\"audio\"],\"audio\":{},\"prediction\":{}"),
    WITH("\"web_search_options\":{},\"store\":true,\"metadata\":{\"a\":\"b\"}"),
    WITH("\"user\":\"u\",\"safety_identifier\":\"s\",\"prompt_cache_key\":\"k\","
         "\"prompt_cache_retention\":\"24h\""),
    WITH("\"functions\":[{\"name\":\"f\",\"parameters\":{}}],\"function_call\":\"auto\""),
    WITH("\"function_call\":{\"name\":\"f\"}"),
    SAYING("{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"developer\",\"content\":[]}"),
    SAYING("{\"role\":\"assistant\"}"),
    SAYING("{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}"),
    SAYING("{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":\"r\"}"),
    SAYING("{\"role\":\"assistant\",\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}}"),
    SAYING("{\"role\":\"tool\",\"content\":\"r\",\"tool_call_id\":\"c\",\"name\":null}"),
    SAYING("{\"role\":\"function\",\"content\":null,\"name\":\"f\"}"),
    CALL("{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\","
         "\"arguments\":\"\"}}"),
    CALL("{\"id\":\"c\",\"type\":\"custom\",\"custom\":{\"name\":\"f\",\"input\":\"x\"}}"),
    CALL("{\"id\":\"c\",\"type\":\"something_new\"}"),
    PART("{\"type\":\"text\",\"text\":\"\"}"),
    PART("{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:\",\"detail\":\"low\"}}"),
    PART("{\"type\":\"image_url\",\"image_url\":\"https://x\"}"),
    PART("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"\",\"format\":\"wav\"}}"),
    PART("{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}"),
    PART("{\"type\":\"video_url\",\"anything\":7}"),
};

static void test_what_the_api_and_its_extensions_allow_passes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        struct prompt prompt;
        struct prompt_fault fault = {0};
        if (read_text(allowed[i], &prompt, &fault) != DR_OK) {
            fail_msg("%s\n%s", allowed[i], fault.text);
        }
    }
}

/* The body, `param`, and words that the sentence must hold. */
static const struct refused {
    const char *body;
    const char *param;
    const char *words;
} refused[] = {
    {"[]", "", "a JSON object, not an array"},
    {"\"x\"", "", "not the string 'x'"},
    {"null", "", "not null"},
    {"{" MESSAGES "}", "model", "is missing"},
    {"{\"model\":null," MESSAGES "}", "model", "is missing"},
    {"{\"model\":\"\"," MESSAGES "}", "model", "must not be empty"},
    {"{\"model\":7," MESSAGES "}", "model", "must be a string, not the number 7"},
    {"{\"model\":[\"m\"]," MESSAGES "}", "model", "not an array"},
    {"{" MODEL "," MODEL "," MESSAGES "}", "model", "given twice"},
    {"{" MODEL ",\"mod\\u0065l\":\"x\"," MESSAGES "}", "model", "given twice"},
    {WITH("\"extra\":1,\"extra\":2"), "extra", "given twice"},
    {"{" MODEL "}", "messages", "is missing"},
    {"{" MODEL ",\"messages\":null}", "messages", "is missing"},
    {"{" MODEL ",\"messages\":[]}", "messages", "at least one message"},
    {"{" MODEL ",\"messages\":{}}", "messages", "must be an array of messages, not an object"},
    {"{" MODEL ",\"messages\":\"hi\"}", "messages", "not the string 'hi'"},
    {WITH("\"stream\":\"yes\""), "stream", "true or false, not the string 'yes'"},
    {WITH("\"stream\":1"), "stream", "not the number 1"},
    {WITH("\"stream_options\":{}"), "stream_options", "only allowed with 'stream': true"},
    {WITH("\"stream\":false,\"stream_options\":{\"include_usage\":true}"), "stream_options",
     "only allowed"},
    {WITH("\"stream\":true,\"stream_options\":[]"), "stream_options", "an object, not an array"},
    {WITH("\"stream\":true,\"stream_options\":{\"include_usage\":1}"),
     "stream_options.include_usage", "true or false, not the number 1"},
    {WITH("\"stream\":true,\"stream_options\":{\"include_obfuscation\":\"\"}"),
     "stream_options.include_obfuscation", "true or false"},
    {WITH("\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_usage\":false}"),
     "stream_options", "twice"},
    {WITH("\"max_completion_tokens\":0"), "max_completion_tokens", "at least 1, not the number 0"},
    {WITH("\"max_completion_tokens\":1.5"), "max_completion_tokens", "an integer"},
    {WITH("\"max_tokens\":-1"), "max_tokens", "at least 1"},
    {WITH("\"max_tokens\":\"9\""), "max_tokens", "not the string '9'"},
    {WITH("\"max_tokens\":99999999999999999999"), "max_tokens", "an integer"},
    {WITH("\"temperature\":2.1"), "temperature", "from 0 to 2, not the number 2.1"},
    {WITH("\"temperature\":-0.1"), "temperature", "from 0 to 2"},
    {WITH("\"temperature\":1e400"), "temperature", "from 0 to 2"},
    {WITH("\"temperature\":\"hot\""), "temperature", "not the string 'hot'"},
    {WITH("\"top_p\":1.01"), "top_p", "from 0 to 1"},
    {WITH("\"top_p\":true"), "top_p", "not true"},
    {WITH("\"frequency_penalty\":3"), "frequency_penalty", "from -2 to 2"},
    {WITH("\"presence_penalty\":-2.5"), "presence_penalty", "from -2 to 2"},
    {WITH("\"n\":0"), "n", "from 1 to 128"},
    {WITH("\"n\":129"), "n", "from 1 to 128, not the number 129"},
    {WITH("\"n\":1.0"), "n", "an integer"},
    {WITH("\"stop\":7"), "stop", "a string or an array"},
    {WITH("\"stop\":[\"a\",7]"), "stop[1]", "a string, not the number 7"},
    {WITH("\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]"), "stop", "at most 4 strings, not 5"},
    {WITH("\"seed\":1.5"), "seed", "an integer of 64 bits"},
    {WITH("\"seed\":\"1\""), "seed", "an integer of 64 bits"},
    {WITH("\"logprobs\":1"), "logprobs", "true or false"},
    {WITH("\"top_logprobs\":21"), "top_logprobs", "from 0 to 20"},
    {WITH("\"top_logprobs\":-1"), "top_logprobs", "from 0 to 20"},
    {WITH("\"logit_bias\":[]"), "logit_bias", "an object"},
    {WITH("\"logit_bias\":{\"50256\":101}"), "logit_bias.50256", "from -100 to 100"},
    {WITH("\"logit_bias\":{\"50256\":\"1\"}"), "logit_bias.50256", "a number"},
    {WITH("\"tools\":{}"), "tools", "an array"},
    {WITH("\"tools\":[7]"), "tools[0]", "an object"},
    {WITH("\"tools\":[{\"type\":7}]"), "tools[0].type", "a string"},
    {WITH("\"tools\":[{\"type\":\"function\"}]"), "tools[0].function", "is missing"},
    {WITH("\"tools\":[{\"type\":\"function\",\"function\":{}}]"), "tools[0].function.name",
     "is missing"},
    {WITH("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]"),
     "tools[0].function.name", "letters, digits"},
    {WITH("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"\"}}]"),
     "tools[0].function.name", "must not be empty"},
    {WITH("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":1}}]"),
     "tools[0].function.description", "a string"},
    {WITH("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":\"\"}}]"),
     "tools[0].function.parameters", "an object"},
    {WITH("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":1}}]"),
     "tools[0].function.strict", "true or false"},
    {WITH("\"tool_choice\":\"sometimes\""), "tool_choice", "not the string 'sometimes'"},
    {WITH("\"tool_choice\":[]"), "tool_choice", "not an array"},
    {WITH("\"tool_choice\":{}"), "tool_choice.type", "is missing"},
    {WITH("\"tool_choice\":{\"type\":\"function\"}"), "tool_choice.function", "is missing"},
    {WITH("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":7}}"),
     "tool_choice.function.name", "a string"},
    {WITH("\"tool_choice\":{\"type\":\"allowed_tools\"}"), "tool_choice.allowed_tools",
     "is missing"},
    {WITH("\"parallel_tool_calls\":\"true\""), "parallel_tool_calls", "true or false"},
    {WITH("\"response_format\":\"json\""), "response_format", "an object"},
    {WITH("\"response_format\":{}"), "response_format.type", "is missing"},
    {WITH("\"response_format\":{\"type\":\"json_schema\"}"), "response_format.json_schema",
     "is missing"},
    {WITH("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":7}}"),
     "response_format.json_schema.name", "a string"},
    {WITH("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":[]}}"),
     "response_format.json_schema.schema", "an object"},
    {WITH("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"strict\":0}}"),
     "response_format.json_schema.strict", "true or false"},
    {WITH("\"reasoning_effort\":3"), "reasoning_effort", "a string"},
    {WITH("\"verbosity\":[]"), "verbosity", "a string"},
    {WITH("\"modalities\":\"text\""), "modalities", "an array"},
    {WITH("\"modalities\":[1]"), "modalities[0]", "a string"},
    {WITH("\"audio\":\"x\""), "audio", "an object"},
    {WITH("\"prediction\":[]"), "prediction", "an object"},
    {WITH("\"web_search_options\":true"), "web_search_options", "an object"},
    {WITH("\"service_tier\":1"), "service_tier", "a string"},
    {WITH("\"store\":\"no\""), "store", "true or false"},
    {WITH("\"metadata\":[]"), "metadata", "an object"},
    {WITH("\"metadata\":{\"a\":1}"), "metadata.a", "a string, not the number 1"},
    {WITH("\"user\":{}"), "user", "a string"},
    {WITH("\"safety_identifier\":1"), "safety_identifier", "a string"},
    {WITH("\"prompt_cache_key\":1"), "prompt_cache_key", "a string"},
    {WITH("\"prompt_cache_retention\":1"), "prompt_cache_retention", "a string"},
    {WITH("\"functions\":{}"), "functions", "an array"},
    {WITH("\"functions\":[{}]"), "functions[0].name", "is missing"},
    {WITH("\"functions\":[7]"), "functions[0]", "an object"},
    {WITH("\"function_call\":\"maybe\""), "function_call", "not the string 'maybe'"},
    {WITH("\"function_call\":{}"), "function_call.name", "is missing"},
    {SAYING("7"), "messages[0]", "an object with 'role' and 'content', not the number 7"},
    {SAYING("{}"), "messages[0].role", "is missing"},
    {SAYING("{\"role\":\"robot\",\"content\":\"\"}"), "messages[0].role", "not the string 'robot'"},
    {SAYING("{\"role\":7,\"content\":\"\"}"), "messages[0].role", "not the number 7"},
    {SAYING("{\"role\":\"User\",\"content\":\"\"}"), "messages[0].role", "one of"},
    {SAYING("{\"role\":\"user\"}"), "messages[0].content", "is missing"},
    {SAYING("{\"role\":\"user\",\"content\":null}"), "messages[0].content", "not null"},
    {SAYING("{\"role\":\"user\",\"content\":7}"), "messages[0].content", "a string or an array"},
    {SAYING("{\"role\":\"user\",\"content\":{}}"), "messages[0].content", "not an object"},
    {SAYING("{\"role\":\"user\",\"content\":\"\",\"name\":7}"), "messages[0].name", "a string"},
    {SAYING("{\"role\":\"system\"}"), "messages[0].content", "is missing"},
    {SAYING("{\"role\":\"developer\",\"content\":null}"), "messages[0].content", "not null"},
    {SAYING("{\"role\":\"tool\",\"content\":\"\"}"), "messages[0].tool_call_id", "is missing"},
    {SAYING("{\"role\":\"tool\",\"content\":\"\",\"tool_call_id\":7}"), "messages[0].tool_call_id",
     "a string"},
    {SAYING("{\"role\":\"tool\",\"tool_call_id\":\"c\"}"), "messages[0].content", "is missing"},
    {SAYING("{\"role\":\"function\",\"content\":\"\"}"), "messages[0].name", "is missing"},
    {SAYING("{\"role\":\"assistant\",\"content\":7}"), "messages[0].content", "a string"},
    {SAYING("{\"role\":\"assistant\",\"refusal\":[]}"), "messages[0].refusal", "a string"},
    {SAYING("{\"role\":\"assistant\",\"tool_calls\":{}}"), "messages[0].tool_calls", "an array"},
    {SAYING("{\"role\":\"assistant\",\"function_call\":7}"), "messages[0].function_call",
     "an object"},
    {SAYING("{\"role\":\"assistant\",\"function_call\":{\"name\":\"f\"}}"),
     "messages[0].function_call.arguments", "is missing"},
    {CALL("7"), "messages[0].tool_calls[0]", "an object"},
    {CALL("{}"), "messages[0].tool_calls[0].id", "is missing"},
    {CALL("{\"id\":7}"), "messages[0].tool_calls[0].id", "a string"},
    {CALL("{\"id\":\"c\",\"type\":7}"), "messages[0].tool_calls[0].type", "a string"},
    {CALL("{\"id\":\"c\",\"type\":\"function\"}"), "messages[0].tool_calls[0].function",
     "is missing"},
    {CALL("{\"id\":\"c\",\"function\":{\"arguments\":\"\"}}"),
     "messages[0].tool_calls[0].function.name", "is missing"},
    {CALL("{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":{}}}"),
     "messages[0].tool_calls[0].function.arguments", "JSON written as text), not an object"},
    {CALL("{\"id\":\"c\",\"type\":\"custom\",\"custom\":{\"name\":\"f\"}}"),
     "messages[0].tool_calls[0].custom.input", "is missing"},
    {PART("7"), "messages[0].content[0]", "an object"},
    {PART("\"text\""), "messages[0].content[0]", "not the string 'text'"},
    {PART("{}"), "messages[0].content[0].type", "is missing"},
    {PART("{\"type\":1}"), "messages[0].content[0].type", "a string"},
    {PART("{\"type\":\"text\"}"), "messages[0].content[0].text", "is missing"},
    {PART("{\"type\":\"text\",\"text\":null}"), "messages[0].content[0].text", "not null"},
    {PART("{\"type\":\"refusal\",\"refusal\":1}"), "messages[0].content[0].refusal", "a string"},
    {PART("{\"type\":\"image_url\"}"), "messages[0].content[0].image_url", "is missing"},
    {PART("{\"type\":\"image_url\",\"image_url\":{}}"), "messages[0].content[0].image_url.url",
     "is missing"},
    {PART("{\"type\":\"image_url\",\"image_url\":{\"url\":\"\",\"detail\":1}}"),
     "messages[0].content[0].image_url.detail", "a string"},
    {PART("{\"type\":\"input_audio\"}"), "messages[0].content[0].input_audio", "is missing"},
    {PART("{\"type\":\"input_audio\",\"input_audio\":{\"data\":1}}"),
     "messages[0].content[0].input_audio.data", "a string"},
    {PART("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"\"}}"),
     "messages[0].content[0].input_audio.format", "is missing"},
    {PART("{\"type\":\"file\"}"), "messages[0].content[0].file", "is missing"},
    {PART("{\"type\":\"file\",\"file\":{\"file_id\":1}}"), "messages[0].content[0].file.file_id",
     "a string"},
    {PART("{\"type\":\"text\",\"text\":\"\"},{\"type\":\"text\",\"text\":[]}"),
     "messages[0].content[1].text", "a string, not an array"},
};

static void test_each_wrong_field_is_refused_by_name_and_with_a_sentence(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct prompt prompt;
        struct prompt_fault fault = {.is_json = true};
        if (read_text(refused[i].body, &prompt, &fault) != DR_INVALID) {
            fail_msg("%s passes", refused[i].body);
        }
        if (fault.is_json || strcmp(fault.param, refused[i].param) != 0 ||
            !strstr(fault.text, refused[i].words) || fault.text[strlen(fault.text) - 1] != '.') {
            fail_msg("%s\n%s: %s", refused[i].body, fault.param, fault.text);
        }
        if (fault.param[0] != '\0') assert_true(strstr(fault.text, fault.param) == fault.text + 1);
    }
}

static void test_what_is_no_json_is_told_apart(void **state) {
    static const char *const bodies[] = {"",
                                         " ",
                                         "{",
                                         "{} x",
                                         "{\"a\":1,}",
                                         "nul",
                                         "{'a'}",
                                         "[[[[[[[[[[[[[[[[[[[[",
                                         "{\"a\":\"\xff\"}",
                                         "{\"a\":\"\\ud83d\"}"};

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct prompt prompt;
        struct prompt_fault fault = {0};
        assert_int_equal(read_text(bodies[i], &prompt, &fault), DR_INVALID);
        assert_true(fault.is_json);
        assert_string_equal(fault.param, "");
        assert_true(strlen(fault.text) > 20);
    }
}

static void test_nesting_is_bounded_and_that_is_no_fault_of_the_json(void **state) {
    char body[1024];
    struct prompt prompt;
    struct prompt_fault fault = {.is_json = true};
    size_t len = (size_t)snprintf(body, sizeof body, "{" MODEL "," MESSAGES ",\"x\":");

    (void)state;
    memset(body + len, '[', 128);
    memset(body + len + 128, ']', 128);
    body[len + 256] = '}';
    assert_int_equal(openai_read_prompt(reader, dr_slice_of(body, len + 257), &prompt, &fault),
                     DR_INVALID);
    assert_false(fault.is_json);
    assert_non_null(strstr(fault.text, "128"));
    /* One level less. */
    memset(body + len, '[', 127);
    memset(body + len + 127, ']', 127);
    body[len + 254] = '}';
    assert_int_equal(openai_read_prompt(reader, dr_slice_of(body, len + 255), &prompt, &fault),
                     DR_OK);
}

static void test_limits_hold_at_n_and_n_plus_one(void **state) {
    char body[80000];
    struct prompt prompt;
    struct prompt_fault fault = {0};

    (void)state;
    for (int over = 0; over < 2; over++) {
        const enum dr_status expected = over ? DR_INVALID : DR_OK;
        (void)snprintf(body, sizeof body, "{\"model\":\"%0*d\"," MESSAGES "}", 256 + over, 0);
        assert_int_equal(read_text(body, &prompt, &fault), expected);
        (void)snprintf(body, sizeof body, WITH("\"metadata\":{\"%0*d\":\"%0*d\"}"), 64 + over, 0,
                       512, 0);
        assert_int_equal(read_text(body, &prompt, &fault), expected);
        (void)snprintf(body, sizeof body, WITH("\"metadata\":{\"k\":\"%0*d\"}"), 512 + over, 0);
        assert_int_equal(read_text(body, &prompt, &fault), expected);

        size_t len = (size_t)snprintf(body, sizeof body, "{" MODEL "," MESSAGES ",\"metadata\":{");
        for (int i = 0; i < 16 + over; i++) {
            len +=
                (size_t)snprintf(body + len, sizeof body - len, "%s\"%d\":\"\"", i ? "," : "", i);
        }
        (void)snprintf(body + len, sizeof body - len, "}}");
        assert_int_equal(read_text(body, &prompt, &fault), expected);

        len = (size_t)snprintf(body, sizeof body, "{" MODEL "," MESSAGES ",\"functions\":[");
        for (int i = 0; i < 128 + over; i++) {
            len +=
                (size_t)snprintf(body + len, sizeof body - len, "%s{\"name\":\"f\"}", i ? "," : "");
        }
        (void)snprintf(body + len, sizeof body - len, "]}");
        assert_int_equal(read_text(body, &prompt, &fault), expected);
    }
}

static void test_long_paths_and_hostile_names_keep_within_the_fault(void **state) {
    struct prompt prompt;
    struct prompt_fault fault = {0};
    char body[4096];

    (void)state;
    (void)snprintf(body, sizeof body, WITH("\"logit_bias\":{\"%0*d\":\"\"}"), 2000, 0);
    assert_int_equal(read_text(body, &prompt, &fault), DR_INVALID);
    assert_true(strlen(fault.param) < sizeof fault.param);
    (void)snprintf(body, sizeof body, WITH("\"%0*d\":1,\"%0*d\":2"), 1000, 0, 1000, 0);
    assert_int_equal(read_text(body, &prompt, &fault), DR_INVALID);
    assert_true(strlen(fault.text) < sizeof fault.text);
    assert_int_equal(read_text(WITH("\"a\\u0000b%s%n\":1,\"a\\u0000b%s%n\":2"), &prompt, &fault),
                     DR_INVALID);
}

static void test_what_the_gateway_must_know_is_read(void **state) {
    struct prompt prompt;
    struct prompt_fault fault = {0};

    (void)state;
    assert_int_equal(
        read_text("{\"model\":\"a\\u0062c\",\"user\":\"\",\"safety_identifier\":\"s-1\",\"n\":3,"
                  "\"max_tokens\":5,\"max_completion_tokens\":9,\"stream\":true,"
                  "\"stream_options\":{\"include_usage\":true},\"messages\":["
                  "{\"role\":\"system\",\"content\":\"1234\"},"
                  "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"567\"},"
                  "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:,\"}}]},"
                  "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"function\":"
                  "{\"name\":\"f\",\"arguments\":\"{}\"}}]}],"
                  "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}",
                  &prompt, &fault),
        DR_OK);
    assert_true(dr_slice_is(prompt.model, DR_LIT("abc")));
    assert_true(dr_slice_is(prompt.user, DR_LIT("s-1")));
    assert_true(prompt.is_streamed);
    assert_true(prompt.wants_usage);
    assert_int_equal(prompt.choice_count, 3);
    assert_int_equal(prompt.output_tokens_max, 9);
    assert_int_equal(prompt.message_count, 3);
    assert_int_equal(prompt.image_count, 1);
    /* 4 + 3 + "f" + "{}", and the tool's names and strings: type function function name f. */
    assert_int_equal(prompt.text_bytes, 4 + 3 + 1 + 2 + 4 + 8 + 8 + 4 + 1);

    assert_int_equal(read_text("{" MODEL "," MESSAGES "}", &prompt, &fault), DR_OK);
    assert_int_equal(prompt.choice_count, 1);
    assert_int_equal(prompt.output_tokens_max, 0);
    assert_int_equal(prompt.user.len, 0);
    assert_false(prompt.is_streamed);
    assert_int_equal(prompt.usage_text.len, 0);
}

/* --- splicing --- */

#define NEW_MODEL "\"deep\\\"seek\""

/* The spliced body must say the same as the original, but for the model and the question for
 * usage. */
static void expect_spliced(const char *body, bool asks_usage, const char *expected) {
    struct prompt prompt;
    struct prompt_fault fault = {0};
    dr_slice parts[OPENAI_BODY_PARTS_MAX];
    struct dr_buf out;
    size_t len = 0;

    if (read_text(body, &prompt, &fault) != DR_OK) fail_msg("%s: %s", body, fault.text);
    const size_t count = openai_write_prompt(&prompt, DR_LIT(NEW_MODEL), asks_usage, parts, &len);
    assert_true(count <= OPENAI_BODY_PARTS_MAX);
    dr_buf_init(&out, 65536);
    for (size_t i = 0; i < count; i++) {
        assert_true(parts[i].len > 0);
        dr_buf_put(&out, parts[i]);
    }
    assert_int_equal(out.len, len);
    if (!dr_slice_is(dr_buf_slice(&out), dr_slice_text(expected))) {
        fail_msg("%s\nbecomes  %.*s\nnot      %s", body, DR_FMT(dr_buf_slice(&out)), expected);
    }
    struct dr_buf again = {0};
    dr_buf_init(&again, 65536);
    dr_buf_put(&again, dr_buf_slice(&out));
    if (openai_read_prompt(reader, dr_buf_slice(&again), &prompt, &fault)) {
        fail_msg("%s: %s", expected, fault.text);
    }
    assert_true(dr_slice_is(prompt.model, DR_LIT("deep\"seek")));
    if (asks_usage) assert_true(prompt.wants_usage == prompt.is_streamed);
    dr_buf_clear(&again);
    dr_buf_clear(&out);
}

static void test_the_body_changes_only_at_the_model_and_the_question_for_usage(void **state) {
#define M2 "\"model\":" NEW_MODEL
#define ASK "\"stream_options\":{\"include_usage\":true}"
    static const struct {
        const char *body;
        const char *expected;
    } cases[] = {
        {"{" MODEL "," MESSAGES "}", "{" M2 "," MESSAGES "}"},
        {"{" MESSAGES "," MODEL "}", "{" MESSAGES "," M2 "}"},
        {" { \"model\" :\n \"m\" ," MESSAGES "} ",
         " { \"model\" :\n " NEW_MODEL " ," MESSAGES "} "},
        {"{\"mod\\u0065l\":\"a\\\"\\\\\\u0041\"," MESSAGES "}",
         "{\"mod\\u0065l\":" NEW_MODEL "," MESSAGES "}"},
        {"{\"x\":\"\\\"model\\\":\\\"m\\\"\"," MODEL "," MESSAGES "}",
         "{\"x\":\"\\\"model\\\":\\\"m\\\"\"," M2 "," MESSAGES "}"},
        {"{" MODEL "," MESSAGES ",\"stream\":true}",
         "{" ASK "," M2 "," MESSAGES ",\"stream\":true}"},
        {"\n{\n" MODEL "," MESSAGES ",\"stream\":true}",
         "\n{" ASK ",\n" M2 "," MESSAGES ",\"stream\":true}"},
        {"{" MODEL "," MESSAGES ",\"stream\":true,\"stream_options\": null }",
         "{" M2 "," MESSAGES ",\"stream\":true,\"stream_options\": {\"include_usage\":true} }"},
        {"{\"stream_options\":null,\"stream\":true," MODEL "," MESSAGES "}",
         "{" ASK ",\"stream\":true," M2 "," MESSAGES "}"},
        {"{" MODEL "," MESSAGES ",\"stream\":true,\"stream_options\":{ }}",
         "{" M2 "," MESSAGES ",\"stream\":true,\"stream_options\":{\"include_usage\":true }}"},
        {"{\"stream\":true,\"stream_options\"\t: {\"include_obfuscation\":false}," MODEL
         "," MESSAGES "}",
         "{\"stream\":true,\"stream_options\"\t: {\"include_usage\":true,"
         "\"include_obfuscation\":false}," M2 "," MESSAGES "}"},
        {"{" MODEL "," MESSAGES ",\"stream\":true," ASK "}",
         "{" M2 "," MESSAGES ",\"stream\":true," ASK "}"},
        {"{" MODEL "," MESSAGES ",\"stream\":true,\"stream_options\":{\"include_usage\":false}}",
         "{" M2 "," MESSAGES ",\"stream\":true," ASK "}"},
        {"{" MODEL "," MESSAGES
         ",\"stream\":true,\"stream\\u005foptions\":{\"x\":\"}\\\"\",\"include\\u005Fusage\" :\n"
         "null , \"y\":[]}}",
         "{" M2 "," MESSAGES
         ",\"stream\":true,\"stream\\u005foptions\":{\"x\":\"}\\\"\",\"include\\u005Fusage\" :\n"
         "true , \"y\":[]}}"},
        {"{" MODEL "," MESSAGES ",\"stream_options\":null}",
         "{" M2 "," MESSAGES ",\"stream_options\":null}"},
        {"{" MODEL "," MESSAGES ",\"stream\":false}", "{" M2 "," MESSAGES ",\"stream\":false}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_spliced(cases[i].body, true, cases[i].expected);
    }
    expect_spliced("{" MODEL "," MESSAGES ",\"stream\":true}", false,
                   "{" M2 "," MESSAGES ",\"stream\":true}");
    expect_spliced("{" MODEL "," MESSAGES ",\"stream\":true,\"stream_options\":null}", false,
                   "{" M2 "," MESSAGES ",\"stream\":true,\"stream_options\":null}");
}

static void test_an_exhausted_memory_is_told_and_leaks_nothing(void **state) {
    (void)state;
    for (uint64_t nth = 1; nth < 10; nth++) {
        struct dr_json_reader *fresh = dr_json_reader_new();
        struct prompt prompt;
        struct prompt_fault fault = {0};
        assert_non_null(fresh);
        dr_alloc_fail_at(nth);
        const enum dr_status status =
            openai_read_prompt(fresh, DR_LIT("{" MODEL "," MESSAGES "}"), &prompt, &fault);
        dr_alloc_fail_at(0);
        assert_true(status == DR_OK || status == DR_NO_MEMORY);
        dr_json_reader_free(fresh);
        if (status == DR_OK) return;
    }
    fail_msg("never succeeds");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_api_and_its_extensions_allow_passes),
        cmocka_unit_test(test_each_wrong_field_is_refused_by_name_and_with_a_sentence),
        cmocka_unit_test(test_what_is_no_json_is_told_apart),
        cmocka_unit_test(test_nesting_is_bounded_and_that_is_no_fault_of_the_json),
        cmocka_unit_test(test_limits_hold_at_n_and_n_plus_one),
        cmocka_unit_test(test_long_paths_and_hostile_names_keep_within_the_fault),
        cmocka_unit_test(test_what_the_gateway_must_know_is_read),
        cmocka_unit_test(test_the_body_changes_only_at_the_model_and_the_question_for_usage),
        cmocka_unit_test(test_an_exhausted_memory_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
