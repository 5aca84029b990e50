/* The simulated provider refuses in Anthropic's and Gemini's dialects, and for DeepSeek's models in
 * OpenAI's, what the real ones refuse, in their words, so that mistakes of whoever writes requests
 * are found. */
#include "sim/provider_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define CALLS \
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"t\"," \
    "\"input\":{}}]}"
#define RESULT(id) "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":\"r\"}"
#define BLOCKS(blocks) "{\"role\":\"user\",\"content\":[" blocks "]}"

#define ASKED(more) CLAUDE(USER("x"), more)
#define ANY "{\"type\":\"object\"}"
#define TOOL_A "{\"name\":\"a\",\"input_schema\":" ANY "}"
#define TOOLS(tools) ",\"tools\":[" tools "]"
#define THINKING(tokens) ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":" tokens "}"
#define ENDS_IN_CALLS USER("x") "," CALLS
#define IMAGE(type, data) \
    "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"" type \
    "\",\"data\":\"" data "\"}}"

static const struct refusal_case messages_cases[] = {
    {"{", "not valid JSON"},
    {"[]", "should be an object"},
    {"{\"model\":\"c\",\"messages\":[" USER("x") "]}", "max_tokens: Field required"},
    {"{\"max_tokens\":1,\"messages\":[" USER("x") "]}", "model: Field required"},
    {"{\"max_tokens\":1,\"model\":\"c\"}", "messages: Field required"},
    {CLAUDE("", ""), "at least one message"},
    {ASKED(",\"n\":1"), "n: Extra inputs are not permitted"},
    {ASKED(",\"stream\":\"yes\""), "stream: Input should be a boolean"},
    {ASKED(",\"temperature\":1.5"), "temperature: range: 0..1"},
    {ASKED(",\"temperature\":1,\"top_p\":1"), "cannot both be specified"},
    {ASKED(",\"stop_sequences\":[\" \"]"), "non-whitespace"},
    {ASKED(",\"metadata\":{\"user\":\"u\"}"), "metadata.user: Extra inputs"},
    {ASKED(",\"service_tier\":\"flex\""), "service_tier"},
    {ASKED(",\"system\":[{\"type\":\"text\",\"text\":\"\"}]"), "non-empty"},
    {ASKED(",\"tool_choice\":{\"type\":\"auto\"}"), "while providing `tools`"},
    {ASKED(TOOLS("{\"name\":\"a b\",\"input_schema\":" ANY "}")), "tools.0.custom.name"},
    {ASKED(TOOLS("{\"name\":\"a\"}")), "tools.0.custom.input_schema: Field required"},
    {ASKED(TOOLS("{\"name\":\"a\",\"input_schema\":{}}")), "input_schema.type: Field required"},
    {ASKED(TOOLS("{\"name\":\"a\",\"parameters\":{},\"input_schema\":" ANY "}")),
     "tools.0.custom.parameters: Extra inputs"},
    {ASKED(TOOLS(TOOL_A "," TOOL_A)), "must be unique"},
    {ASKED(TOOLS("{\"name\":\"a\",\"input_schema\":{\"type\":\"object\",\"anyOf\":[" ANY "]}}")),
     "at the top level"},
    {ASKED(TOOLS("{\"name\":\"a\",\"strict\":true,\"input_schema\":" ANY "}")),
     "additionalProperties"},
    {ASKED(TOOLS(TOOL_A) ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"b\"}"),
     "Tool 'b' not found"},
    {ASKED(TOOLS(TOOL_A) ",\"tool_choice\":{\"type\":\"none\",\"disable_parallel_tool_use\":true}"),
     "Extra inputs"},
    {ASKED(THINKING("1000")), "1024"},
    {ASKED(THINKING("4000")), "must be greater than"},
    {ASKED(",\"temperature\":0.5" THINKING("1024")), "may only be set to 1"},
    {ASKED(",\"temperature\":0.5,\"thinking\":{\"type\":\"adaptive\"}"), "in adaptive mode"},
    {ASKED(",\"metadata\":{\"user_id\":\"bob@example.com\"}"), "an email address"},
    {ASKED(",\"metadata\":{\"user_id\":\"@corp.io\"}"), "an email address"},
    {ASKED(",\"metadata\":{\"user_id\":\"+1 (415) 555-2671\"}"), "a phone number"},
    {ASKED(",\"metadata\":{\"user_id\":\"415.555.2671\"}"), "a phone number"},
    {ASKED(",\"system\":[{\"type\":\"text\",\"text\":\" \"}]"), "non-whitespace"},
    {ASKED(",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":"
           "{\"type\":\"object\"}}}"),
     "additionalProperties"},
    {CLAUDE("{\"role\":\"system\",\"content\":\"x\"}", ""), "Unexpected role"},
    {CLAUDE("{\"role\":\"assistant\",\"content\":\"x\"}", ""), "first message must use"},
    {CLAUDE("{\"role\":\"user\",\"content\":\"\"}", ""), "must have non-empty content"},
    {CLAUDE(BLOCKS("{\"type\":\"text\",\"text\":\"\"}"), ""), "must be non-empty"},
    {CLAUDE(BLOCKS("{\"type\":\"text\",\"text\":\"\\n\"}"), ""), "non-whitespace"},
    {CLAUDE(USER("x") ",{\"role\":\"assistant\",\"content\":[]}", ""), "non-empty content"},
    {CLAUDE(BLOCKS("{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":"
                   "\"text/csv\",\"data\":\"a\"}}"),
            ""),
     "text/plain"},
    {CLAUDE(BLOCKS("{\"type\":\"image_url\",\"image_url\":{}}"), ""), "Input tag 'image_url'"},
    {CLAUDE(BLOCKS(IMAGE("image/tiff", "AAAA")), ""), "source.media_type"},
    {CLAUDE(BLOCKS(IMAGE("image/png", "data:AAAA")), ""), "Invalid base64"},
    {CLAUDE(BLOCKS(RESULT("a")), ""), "unexpected `tool_use_id`"},
    {CLAUDE(ENDS_IN_CALLS, ""), "without `tool_result` blocks"},
    {CLAUDE(ENDS_IN_CALLS "," USER("y"), ""), "without `tool_result` blocks"},
    {CLAUDE(ENDS_IN_CALLS "," BLOCKS("{\"type\":\"text\",\"text\":\"y\"}," RESULT("a")), ""),
     "without `tool_result` blocks"},
    {CLAUDE(ENDS_IN_CALLS "," BLOCKS(RESULT("a") "," RESULT("a")), ""),
     "must have a single result"},
    {CLAUDE(ENDS_IN_CALLS "," BLOCKS(RESULT("b")), ""), "unexpected `tool_use_id`"},
    {CLAUDE(ENDS_IN_CALLS "," BLOCKS(RESULT("a")) "," CALLS "," BLOCKS(RESULT("a")), ""),
     "ids must be unique"},
    {CLAUDE(USER("x") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\","
                      "\"name\":\"a.b\",\"input\":{}}]}",
            ""),
     "tool_use.name"},
    {CLAUDE(ENDS_IN_CALLS "," BLOCKS(RESULT("a")), THINKING("1024")), "Expected `thinking`"},
    {CLAUDE(USER("x") ",{\"role\":\"assistant\",\"content\":\"so\"}", THINKING("1024")),
     "messages.1.content.0.type: Expected `thinking`"},
    {CLAUDE(USER("x") ",{\"role\":\"assistant\",\"content\":\"so \"}", ""), "trailing whitespace"},
    {"{\"model\":\"sim:nonsense\",\"max_tokens\":1,\"messages\":[" USER("x") "]}",
     "unknown fault word"},
};

static void judge_messages_error(dr_json root) {
    assert_text(at(root, "type"), "error");
    assert_text(at(at(root, "error"), "type"), "invalid_request_error");
    assert_true(dr_slice_starts(dr_json_text(at(root, "request_id")), DR_LIT("req_")));
}

static void test_messages_refuses_what_anthropic_refuses(void **state) {
    (void)state;
    peer_expect_refusals(MESSAGES, ANTHROPIC_KEY, ALL_OF(messages_cases), judge_messages_error);
}

#define CALL_PART(name) "{\"functionCall\":{\"name\":\"" name "\",\"args\":{}}}"
#define RESPONSE_PART(name) \
    "{\"functionResponse\":{\"name\":\"" name "\",\"response\":{\"result\":1}}}"
#define CONFIG(config) GEMINI(HELLO, ",\"generationConfig\":{" config "}")
#define DECLARED(declaration, more) \
    GEMINI(HELLO, ",\"tools\":[{\"functionDeclarations\":[" declaration "]}]" more)

static const struct refusal_case generate_cases[] = {
    {"{", "Invalid JSON payload"},
    {"[]", "Root is not an object"},
    {"{}", "contents is not specified"},
    {"{\"contents\":[]}", "contents is not specified"},
    {GEMINI(HELLO, ",\"messages\":[]"), "Unknown name \\\"messages\\\""},
    {GEMINI(HELLO, ",\"stream\":true"), "Unknown name \\\"stream\\\""},
    {CONFIG("\"max_tokens\":1"), "Unknown name \\\"max_tokens\\\" at 'generation_config'"},
    {CONFIG("\"temperature\":\"warm\""), "generation_config.temperature"},
    {CONFIG("\"temperature\":2.1"), "temperature: must be in the range"},
    {CONFIG("\"maxOutputTokens\":0"), "maxOutputTokens"},
    {CONFIG("\"candidateCount\":9"), "candidateCount"},
    {CONFIG("\"seed\":2147483648"), "TYPE_INT32"},
    {CONFIG("\"stopSequences\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"]"), "at most 5"},
    {CONFIG("\"logprobs\":2"), "response_logprobs"},
    {CONFIG("\"responseMimeType\":\"text/xml\""), "allowed mimetypes"},
    {CONFIG("\"responseSchema\":{\"type\":\"OBJECT\"}"), "only allowed when"},
    {CONFIG("\"responseMimeType\":\"application/json\",\"responseSchema\":{\"type\":"
            "\"OBJECT\",\"oneOf\":[]}"),
     "Unknown name \\\"oneOf\\\" at 'generation_config.response_schema'"},
    {CONFIG("\"responseMimeType\":\"application/json\",\"responseSchema\":{},"
            "\"responseJsonSchema\":{}"),
     "exclude each other"},
    {CONFIG("\"thinkingConfig\":{\"thinkingBudget\":1,\"thinkingLevel\":\"LOW\"}"), "only one of"},
    {CONFIG("\"thinkingConfig\":{\"thinkingLevel\":\"deep\"}"), "thinking_level"},
    {CONFIG("\"thinkingConfig\":{\"thinkingBudget\":24577}"), "between 0 and 24576"},
    {CONFIG("\"presencePenalty\":0.5"), "Penalty is not enabled for models/gemini-2.5-flash"},
    {CONFIG("\"frequencyPenalty\":-0.1"), "Penalty is not enabled"},
    {DECLARED("{\"name\":\"9a\"}", ""), "Invalid function name"},
    {DECLARED("{\"name\":\"a\",\"input_schema\":{}}", ""), "Unknown name \\\"input_schema\\\""},
    {DECLARED("{\"name\":\"a\",\"parameters\":{\"type\":[\"STRING\"]}}", ""),
     "parameters.type': expected a string"},
    {DECLARED("{\"name\":\"a\"},{\"name\":\"a\"}", ""), "Duplicate function"},
    {DECLARED("{\"name\":\"a\"}",
              ",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"required\"}}"),
     "function_calling_config.mode"},
    {DECLARED("{\"name\":\"a\"}", ",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":"
                                  "\"AUTO\",\"allowedFunctionNames\":[\"a\"]}}"),
     "only when the function calling mode is ANY"},
    {DECLARED("{\"name\":\"a\"}", ",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":"
                                  "\"ANY\",\"allowedFunctionNames\":[\"b\"]}}"),
     "is not among"},
    {DECLARED("{\"name\":\"a\"}",
              ",\"generationConfig\":{\"responseMimeType\":\"application/json\"}"),
     "is unsupported"},
    {GEMINI(HELLO, ",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"ANY\"}}"),
     "without function_declarations"},
    {GEMINI(PARTS("assistant", TEXT_PART("x")), ""), "valid role: user, model"},
    {GEMINI(PARTS("user", ""), ""), "must not be empty"},
    {GEMINI(PARTS("user", "{}"), ""), "one initialized field"},
    {GEMINI(PARTS("user", "{\"text\":\"a\",\"fileData\":{\"fileUri\":\"x\"}}"), ""), "already set"},
    {GEMINI(PARTS("user", "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"data:,\"}}"), ""),
     "Base64 decoding failed"},
    {GEMINI(PARTS("user", "{\"inlineData\":{\"mimeType\":\"audio/pcm16\",\"data\":\"AAAA\"}}"), ""),
     "Unsupported MIME type: audio/pcm16"},
    {GEMINI(PARTS("user", RESPONSE_PART("a")), ""), "immediately after"},
    {GEMINI(HELLO "," PARTS("model", CALL_PART("a")), ""), "number of function response parts"},
    {GEMINI(HELLO "," PARTS("model", CALL_PART("a")) "," HELLO, ""),
     "number of function response parts"},
    {GEMINI(HELLO "," PARTS("model", CALL_PART("a") "," CALL_PART("b")) "," PARTS(
                "user", RESPONSE_PART("a")),
            ""),
     "number of function response parts"},
    {GEMINI(HELLO "," PARTS("model", CALL_PART("a") "," CALL_PART("b")) "," PARTS(
                "user", RESPONSE_PART("b") "," RESPONSE_PART("a")),
            ""),
     "'b' was not expected"},
    {GEMINI(HELLO, ",\"systemInstruction\":{\"parts\":[{\"fileData\":{\"fileUri\":\"x\"}}]}"),
     "takes text alone"},
};

/* What one model refuses and another may take. */
static const struct refusal_case pro_cases[] = {
    {CONFIG("\"thinkingConfig\":{\"thinkingBudget\":0}"), "between 128 and 32768"},
    {CONFIG("\"thinkingConfig\":{\"thinkingBudget\":50}"), "between 128 and 32768"},
    {CONFIG("\"thinkingConfig\":{\"thinkingBudget\":32769}"), "between 128 and 32768"},
};

static const struct refusal_case lite_cases[] = {
    {CONFIG("\"thinkingConfig\":{\"thinkingBudget\":1}"), "between 512 and 24576"},
};

static void judge_generate_error(dr_json root) {
    dr_json error = at(root, "error");
    assert_int_equal(number(at(error, "code")), 400);
    assert_text(at(error, "status"), "INVALID_ARGUMENT");
}

static void test_generate_refuses_what_google_refuses(void **state) {
    (void)state;
    peer_expect_refusals(GENERATE, GOOGLE_KEY, ALL_OF(generate_cases), judge_generate_error);
    peer_expect_refusals("POST /v1beta/models/gemini-2.5-pro:generateContent", GOOGLE_KEY,
                         ALL_OF(pro_cases), judge_generate_error);
    peer_expect_refusals("POST /v1beta/models/gemini-2.5-flash-lite:generateContent", GOOGLE_KEY,
                         ALL_OF(lite_cases), judge_generate_error);
}

#define SAID_OF(messages, more) "{\"model\":\"deepseek-chat\",\"messages\":[" messages "]" more "}"
#define CALL \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":" \
    "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}," \
    "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"r\"}"

static const struct refusal_case deepseek_cases[] = {
    {SAID_OF(USER("x"), ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":"
                        "{\"name\":\"s\",\"schema\":{}}}"),
     "This response_format type is unavailable now"},
    {SAID_OF(USER("x") ",{\"role\":\"developer\",\"content\":\"d\"}", ""),
     "messages[1].role: unknown variant `developer`, expected one of `system`, `user`, "},
    {SAID_OF(CALL, ",\"reasoning_effort\":\"high\""), "must be passed back to the API"},
    {SAID_OF(CALL, ",\"thinking\":{\"type\":\"enabled\"}"), "must be passed back to the API"},
    {SAID_OF(USER("x"), ",\"reasoning_effort\":\"none\""), "unknown variant"},
    {SAID_OF(USER("x"), ",\"thinking\":{\"type\":\"on\"}"), "unknown variant"},
};

static void judge_deepseek_error(dr_json root) {
    assert_text(at(at(root, "error"), "code"), "invalid_request_error");
    assert_true(dr_json_is(at(at(root, "error"), "param"), DR_JSON_NULL));
}

static void test_chat_refuses_for_deepseek_what_deepseek_refuses(void **state) {
    (void)state;
    peer_expect_refusals(CHAT, KEY, ALL_OF(deepseek_cases), judge_deepseek_error);
}

/* What is written in `message` of the answer, or of its usage. */
static const struct {
    const char *body;
    const char *said;
} deepseek_answers[] = {
    {SAID_OF("{\"role\":\"system\",\"content\":\"Answer with one JSON object and nothing else. It "
             "must match this JSON Schema: {\\\"type\\\":\\\"object\\\",\\\"properties\\\":"
             "{\\\"age\\\":{\\\"const\\\":7}}}\"}," USER("x"),
             ",\"response_format\":{\"type\":\"json_object\"}"),
     "\"content\":\"{\\\"age\\\":7}\""},
    {SAID_OF(USER("x"), ",\"response_format\":{\"type\":\"json_object\"}"), "simulation\\\":true"},
    {SAID_OF(CALL, ""), "\"reasoning_tokens\":0"},
    {SAID_OF(CALL, ",\"thinking\":{\"type\":\"disabled\"},\"reasoning_effort\":\"high\""),
     "\"reasoning_tokens\":0"},
    {SAID_OF(USER("x"), ",\"reasoning_effort\":\"low\""), "\"reasoning_tokens\":256"},
    {SAID_OF(USER("x"), ",\"max_completion_tokens\":1,\"n\":3"), "\"finish_reason\":\"stop\"}]"},
};

static void test_chat_does_for_deepseek_what_deepseek_does(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof deepseek_answers / sizeof deepseek_answers[0]; i++) {
        struct fixture fixture = open_plain();
        struct peer peer;
        peer_ask(&fixture, &peer, "", deepseek_answers[i].body);
        if (peer.status != 200 || !peer_has(&peer, deepseek_answers[i].said)) {
            fail_msg("%s\ngives %.*s", deepseek_answers[i].body, DR_FMT(dr_buf_slice(&peer.body)));
        }
        peer_close(&peer);
        shut(&fixture);
    }
}

static void test_routes_and_keys_are_checked_in_each_dialects_words(void **state) {
    (void)state;
    static const struct route_case cases[] = {
        {MESSAGES, ANTHROPIC_KEY, 200, "\"type\":\"message\""},
        {MESSAGES "?beta=true", ANTHROPIC_KEY, 200, "\"type\":\"message\""},
        {MESSAGES, VERSION KEY, 200, "\"type\":\"message\""},
        {MESSAGES, VERSION, 401, "authentication_error"},
        {MESSAGES, "x-api-key: sk-sim-refused\r\n" VERSION, 401, "invalid x-api-key"},
        {MESSAGES, "x-api-key: k\r\n", 400, "anthropic-version: header is required"},
        {MESSAGES, "x-api-key: k\r\nanthropic-version: 2020-01-01\r\n", 400, "valid version"},
        {MESSAGES, ANTHROPIC_KEY "x-sim-fault: oops\r\n", 400, "\"type\":\"error\""},
        {"GET /v1/messages", ANTHROPIC_KEY, 405, "\"type\":\"error\""},
        {"POST /v1/messages/count", ANTHROPIC_KEY, 404, "not_found_error"},
        {GENERATE, GOOGLE_KEY, 400, "Unknown name"},
        {GENERATE, KEY, 400, "Unknown name"},
        {GENERATE "?key=k", "", 400, "Unknown name"},
        {GENERATE, "", 403, "PERMISSION_DENIED"},
        {GENERATE, "x-goog-api-key: sk-sim-refused\r\n", 400, "API_KEY_INVALID"},
        {GENERATE, "Authorization: Bearer sk-sim-refused\r\n", 401, "UNAUTHENTICATED"},
        {"GET /v1beta/models/g:generateContent", GOOGLE_KEY, 405, "\"code\": 405"},
        {"POST /v1beta/models/g:countTokens", GOOGLE_KEY, 404, "NOT_FOUND"},
        {"POST /v1beta/models/g", GOOGLE_KEY, 404, "NOT_FOUND"},
        {"POST /v1beta/models/:generateContent", GOOGLE_KEY, 404, "NOT_FOUND"},
        {"POST /v1beta/models/sim%3Astatus%3d503:generateContent", GOOGLE_KEY, 503, "UNAVAILABLE"},
        {"POST /v1beta/models/sim:oops:generateContent", GOOGLE_KEY, 400, "invalid_simulation"},
    };
    peer_expect_routes(ALL_OF(cases), CLAUDE(USER("hello"), ""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_refuses_what_anthropic_refuses),
        cmocka_unit_test(test_generate_refuses_what_google_refuses),
        cmocka_unit_test(test_chat_refuses_for_deepseek_what_deepseek_refuses),
        cmocka_unit_test(test_chat_does_for_deepseek_what_deepseek_does),
        cmocka_unit_test(test_routes_and_keys_are_checked_in_each_dialects_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
