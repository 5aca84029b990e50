/* The simulated provider in Anthropic's and Gemini's dialects over loopback connections: the same
 * words as in OpenAI's, and every fault in its own shape. */
#include "sim/provider_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* --- what a whole answer or a stream says, in any dialect --- */

struct said {
    struct dr_buf text;
    struct dr_buf thought;
    struct dr_buf arguments;
    struct dr_buf seal;
    char finish[32];
    uint64_t prompt_tokens;
    uint64_t output_tokens;
    uint64_t thinking_tokens;
    size_t calls;
    size_t events;
    bool has_error;
    bool is_over; /* message_stop, or a finish of Gemini's */
};

static void said_init(struct said *said) {
    *said = (struct said){.calls = 0};
    dr_buf_init(&said->text, REPLY_BYTES_MAX);
    dr_buf_init(&said->thought, REPLY_BYTES_MAX);
    dr_buf_init(&said->arguments, REPLY_BYTES_MAX);
    dr_buf_init(&said->seal, REPLY_BYTES_MAX);
}

static void said_clear(struct said *said) {
    dr_buf_clear(&said->text);
    dr_buf_clear(&said->thought);
    dr_buf_clear(&said->arguments);
    dr_buf_clear(&said->seal);
}

static uint64_t count_at(dr_json object, const char *name) {
    return at(object, name) ? number(at(object, name)) : 0;
}

static void note_finish(struct said *said, dr_slice finish) {
    if (!finish.data) return;
    assert_true(dr_slice_to_text(finish, said->finish, sizeof said->finish));
}

static void note_anthropic_usage(struct said *said, dr_json usage) {
    if (!usage) return;
    said->prompt_tokens = count_at(usage, "input_tokens") +
                          count_at(usage, "cache_creation_input_tokens") +
                          count_at(usage, "cache_read_input_tokens");
    said->output_tokens = count_at(usage, "output_tokens");
    said->thinking_tokens = count_at(at(usage, "output_tokens_details"), "thinking_tokens");
}

static void note_block(struct said *said, dr_json block) {
    dr_json input = at(block, "input");
    dr_buf_put(&said->text, dr_json_text(at(block, "text")));
    dr_buf_put(&said->thought, dr_json_text(at(block, "thinking")));
    dr_buf_put(&said->seal, dr_json_text(at(block, "signature")));
    if (!input) return;
    said->calls++;
    assert_true(dr_slice_starts(dr_json_text(at(block, "id")), DR_LIT("toolu_")));
    if (dr_json_count(input) > 0) dr_json_put_value(&said->arguments, input);
}

static void note_anthropic(struct said *said, dr_json root) {
    dr_json delta = at(root, "delta");
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, at(root, "content"));
    while (dr_json_iter_next(&iter)) note_block(said, iter.value);
    if (at(root, "content_block")) note_block(said, at(root, "content_block"));
    dr_buf_put(&said->text, dr_json_text(at(delta, "text")));
    dr_buf_put(&said->thought, dr_json_text(at(delta, "thinking")));
    dr_buf_put(&said->seal, dr_json_text(at(delta, "signature")));
    dr_buf_put(&said->arguments, dr_json_text(at(delta, "partial_json")));
    note_finish(said, dr_json_text(at(root, "stop_reason")));
    note_finish(said, dr_json_text(at(delta, "stop_reason")));
    note_anthropic_usage(said, at(root, "usage"));
    if (dr_slice_is(dr_json_text(at(root, "type")), DR_LIT("error"))) said->has_error = true;
    if (dr_slice_is(dr_json_text(at(root, "type")), DR_LIT("message_stop"))) said->is_over = true;
}

static void note_google(struct said *said, dr_json root) {
    dr_json candidate = first(at(root, "candidates"));
    dr_json usage = at(root, "usageMetadata");
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, at(at(candidate, "content"), "parts"));
    while (dr_json_iter_next(&iter)) {
        dr_json call_made = at(iter.value, "functionCall");
        dr_buf_put(dr_json_bool(at(iter.value, "thought")) ? &said->thought : &said->text,
                   dr_json_text(at(iter.value, "text")));
        dr_buf_put(&said->seal, dr_json_text(at(iter.value, "thoughtSignature")));
        if (!call_made) continue;
        said->calls++;
        dr_json_put_value(&said->arguments, at(call_made, "args"));
    }
    note_finish(said, dr_json_text(at(candidate, "finishReason")));
    if (at(candidate, "finishReason")) said->is_over = true;
    if (at(root, "error")) said->has_error = true;
    if (!usage) return;
    said->prompt_tokens = count_at(usage, "promptTokenCount");
    said->thinking_tokens = count_at(usage, "thoughtsTokenCount");
    said->output_tokens = count_at(usage, "candidatesTokenCount") + said->thinking_tokens;
}

static void note_json(struct fixture *fixture, struct said *said, dr_slice text, bool is_google) {
    dr_json root = read_json(fixture, text);
    said->events++;
    if (is_google) {
        note_google(said, root);
    } else {
        note_anthropic(said, root);
    }
}

/* Anthropic's events bear their names; Gemini's end in CRLF; what stands bare is an error. */
static void note_answer(const struct peer *peer, struct said *said, bool is_google) {
    const dr_slice body = dr_buf_slice(&peer->body);
    dr_slice rest = body;
    said_init(said);
    if (dr_slice_starts(body, DR_LIT("{"))) {
        note_json(peer->fixture, said, body, is_google);
        return;
    }
    const dr_slice gap = is_google ? DR_LIT("\r\n\r\n") : DR_LIT("\n\n");
    const dr_slice mark = DR_LIT("data: ");
    while (rest.len > 0 && !dr_slice_starts(rest, DR_LIT("{"))) {
        const size_t end = dr_slice_find(rest, gap);
        const dr_slice event = dr_slice_first(rest, end);
        const size_t data = dr_slice_find(event, mark);
        assert_true(end < rest.len && data < event.len);
        note_json(peer->fixture, said, dr_slice_from(event, data + mark.len), is_google);
        if (!is_google) {
            const dr_slice name = dr_slice_from(dr_slice_first(event, data - 1), 7);
            dr_json root = read_json(peer->fixture, dr_slice_from(event, data + mark.len));
            assert_true(dr_slice_is(dr_json_text(at(root, "type")), name));
        }
        rest = dr_slice_from(rest, end + gap.len);
    }
    if (rest.len > 0) note_json(peer->fixture, said, rest, is_google);
}

static void ask_claude(struct fixture *fixture, struct said *said, const char *body) {
    struct peer peer;
    peer_call(fixture, &peer, MESSAGES, ANTHROPIC_KEY, body);
    if (peer.status != 200) peer_give_up(body, dr_buf_slice(&peer.body));
    note_answer(&peer, said, false);
    peer_close(&peer);
}

static void ask_gemini(struct fixture *fixture, struct said *said, bool is_stream,
                       const char *body) {
    struct peer peer;
    peer_call(fixture, &peer, is_stream ? STREAM_GENERATE : GENERATE, GOOGLE_KEY, body);
    if (peer.status != 200) peer_give_up(body, dr_buf_slice(&peer.body));
    note_answer(&peer, said, true);
    peer_close(&peer);
}

/* --- the same conversation --- */

#define WEATHER "{\"type\":\"object\",\"properties\":{\"unit\":{\"enum\":[\"celsius\"]}}}"

/* Conversations that are laid out in each dialect's own way. */
static const char talk_openai[] =
    "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"Be kind.\"},"
    "{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\","
    "\"text\":\"hai\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
    "\"https://example.com/a.png\"}}]},{\"role\":\"assistant\",\"content\":\"ba\"},"
    "{\"role\":\"developer\",\"content\":\"Be brief.\"}," USER("bốn") "]}";
static const char talk_anthropic[] =
    "{\"model\":\"c\",\"max_tokens\":4000,\"system\":[{\"type\":\"text\",\"text\":\"Be kind.\"},"
    "{\"type\":\"text\",\"text\":\"Be brief.\"}],\"messages\":[{\"role\":\"user\",\"content\":"
    "[{\"type\":\"text\",\"text\":\"one\"},{\"type\":\"text\",\"text\":\"hai\"},{\"type\":"
    "\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://example.com/a.png\"}}]},"
    "{\"role\":\"assistant\",\"content\":\"ba\"}," USER("bốn") "]}";
static const char talk_gemini[] =
    "{\"systemInstruction\":{\"parts\":[{\"text\":\"Be kind.\"},{\"text\":\"Be brief.\"}]},"
    "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"one\"},{\"text\":\"hai\"},"
    "{\"fileData\":{\"fileUri\":\"https://example.com/a.png\"}}]},{\"role\":\"model\","
    "\"parts\":[{\"text\":\"ba\"}]},{\"role\":\"user\",\"parts\":[{\"text\":\"bốn\"}]}]}";

static const char results_openai[] = "{\"model\":\"m\",\"messages\":[" USER(
    "x") ",{\"role\":\"assistant\",\"content\":null,"
         "\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"weather\","
         "\"arguments\":\"{}\"}},{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":"
         "\"clock\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":"
         "\"[1, 2]\"},{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":"
         "\"{ \\\"hour\\\": 7, \\\"zone\\\": \\\"S\\\\u00e0i G\\\\u00f2n\\\" }\"}]}";
static const char results_anthropic[] =
    "{\"model\":\"c\",\"max_tokens\":4000,\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":"
    "\"weather\",\"input\":{}},{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"clock\","
    "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
    "\"a\",\"content\":\"[1,2]\"},{\"type\":\"tool_result\",\"tool_use_id\":\"b\",\"content\":[{"
    "\"type\":\"text\",\"text\":\"{\\\"hour\\\":7,\\\"zone\\\":\\\"Sài Gòn\\\"}\"}]}]}]}";
static const char results_gemini[] =
    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]},{\"role\":\"model\","
    "\"parts\":[{\"functionCall\":{\"name\":\"weather\",\"args\":{}}},{\"functionCall\":{"
    "\"name\":\"clock\",\"args\":{}}}]},{\"role\":\"user\",\"parts\":[{\"functionResponse\":{"
    "\"name\":\"weather\",\"response\":{\"result\":\"[1, 2]\"}}},{\"functionResponse\":{\"name\":"
    "\"clock\",\"response\":{\"hour\":7,\"zone\":\"Sài Gòn\"}}}]}]}";

#define CALL_TOOLS ",\"tools\":[{\"name\":\"weather\",\"input_schema\":" WEATHER "}]"
#define CALL_CLAUDE(more) CLAUDE(USER("both"), more CALL_TOOLS)
static const char call_openai[] = "{\"model\":\"m\",\"messages\":[" USER(
    "both") "],\"tools\":[{\"type\":\"function\","
            "\"function\":{\"name\":\"weather\",\"parameters\":" WEATHER "}}]}";
static const char call_gemini[] =
    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"both\"}]}],\"tools\":[{"
    "\"functionDeclarations\":[{\"name\":\"weather\",\"parametersJsonSchema\":" WEATHER "}]}]}";

#define THINK_CLAUDE(more) \
    CLAUDE(USER("why"), more ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}")
static const char think_openai[] =
    "{\"model\":\"m\",\"messages\":[" USER("why") "],\"reasoning_effort\":\"low\"}";
static const char think_gemini[] =
    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"why\"}]}],\"generationConfig\":{"
    "\"thinkingConfig\":{\"thinkingBudget\":1024,\"includeThoughts\":true}}}";

static const char schema_openai[] = "{\"model\":\"m\",\"messages\":[" USER(
    "x") "],\"response_format\":{\"type\":"
         "\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{\"type\":\"object\","
         "\"properties\":{\"age\":{\"type\":\"integer\"}},\"additionalProperties\":false}}}}";
static const char schema_anthropic[] = "{\"model\":\"c\",\"max_tokens\":4000,\"messages\":[" USER(
    "x") "],\"output_config\":{"
         "\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\",\"properties\":{"
         "\"age\":{\"type\":\"integer\"}},\"additionalProperties\":false}}}}";
static const char schema_gemini[] =
    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]}],\"generationConfig\":{"
    "\"responseMimeType\":\"application/json\",\"responseSchema\":{\"type\":\"OBJECT\","
    "\"properties\":{\"age\":{\"type\":\"INTEGER\"}}}}}";

static const char object_openai[] =
    "{\"model\":\"m\",\"messages\":[" USER("x") "],\"response_format\":{\"type\":"
                                                "\"json_object\"}}";
static const char object_anthropic[] =
    CLAUDE(USER("x"), ",\"system\":\"Answer with one JSON object and nothing else.\"");
static const char object_gemini[] =
    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]}],\"generationConfig\":{"
    "\"responseMimeType\":\"application/json\"}}";

static const char block_openai[] = "{\"model\":\"m\",\"messages\":[" USER("simulate a block") "]}";

static const struct conversation {
    const char *name;
    const char *openai;
    const char *anthropic;
    const char *gemini;
    const char *streamed_anthropic;
} conversations[] = {
    {"hello", ASK(""), CLAUDE(USER("hello"), ""), GEMINI(HELLO, ""),
     CLAUDE(USER("hello"), ",\"stream\":true")},
    {"system texts, several messages of one speaker, a picture", talk_openai, talk_anthropic,
     talk_gemini, NULL},
    {"calls in parallel", call_openai, CALL_CLAUDE(""), call_gemini,
     CALL_CLAUDE(",\"stream\":true")},
    {"results of calls", results_openai, results_anthropic, results_gemini, NULL},
    {"thinking", think_openai, THINK_CLAUDE(""), think_gemini, THINK_CLAUDE(",\"stream\":true")},
    {"a schema", schema_openai, schema_anthropic, schema_gemini, NULL},
    {"an object, asked for in words where there is no other way", object_openai, object_anthropic,
     object_gemini, NULL},
    {"a blocked prompt", block_openai, CLAUDE(USER("simulate a block"), ""),
     GEMINI(PARTS("user", TEXT_PART("simulate a block")), ""),
     CLAUDE(USER("simulate a block"), ",\"stream\":true")},
};

static void check_said(const struct conversation *conversation, const char *dialect,
                       const struct said *said, dr_json openai) {
    dr_json message = at(first(at(openai, "choices")), "message");
    dr_json usage = at(openai, "usage");
    struct dr_json_iter calls;
    struct dr_buf arguments;
    dr_buf_init(&arguments, REPLY_BYTES_MAX);
    dr_json_iter_init(&calls, at(message, "tool_calls"));
    while (dr_json_iter_next(&calls)) {
        dr_buf_put(&arguments, dr_json_text(at(at(calls.value, "function"), "arguments")));
    }
    if (!dr_slice_is(dr_buf_slice(&said->text), dr_json_text(at(message, "content"))) ||
        !dr_slice_is(dr_buf_slice(&said->arguments), dr_buf_slice(&arguments)) ||
        said->calls != dr_json_count(at(message, "tool_calls")) ||
        said->prompt_tokens != number(at(usage, "prompt_tokens")) ||
        said->output_tokens != number(at(usage, "completion_tokens")) ||
        said->thinking_tokens !=
            number(at(at(usage, "completion_tokens_details"), "reasoning_tokens"))) {
        fail_msg("%s, %s: %.*s|%.*s %llu %llu %llu", conversation->name, dialect,
                 DR_FMT(dr_buf_slice(&said->text)), DR_FMT(dr_buf_slice(&said->arguments)),
                 (unsigned long long)said->prompt_tokens, (unsigned long long)said->output_tokens,
                 (unsigned long long)said->thinking_tokens);
    }
    dr_buf_clear(&arguments);
}

static void test_same_conversation_gives_same_words_and_counts_in_every_dialect(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct dr_json_reader *reader = dr_json_reader_new();
    for (size_t i = 0; i < sizeof conversations / sizeof conversations[0]; i++) {
        const struct conversation *conversation = &conversations[i];
        struct said said;
        struct peer peer;
        dr_json openai;
        peer_ask(&fixture, &peer, "", conversation->openai);
        assert_int_equal(dr_json_read(reader, dr_buf_slice(&peer.body), 64, &openai, NULL), DR_OK);
        assert_int_equal(peer.status, 200);
        peer_close(&peer);
        ask_claude(&fixture, &said, conversation->anthropic);
        check_said(conversation, "anthropic", &said, openai);
        said_clear(&said);
        for (int is_stream = 0; is_stream < 2; is_stream++) {
            ask_gemini(&fixture, &said, is_stream, conversation->gemini);
            check_said(conversation, is_stream ? "gemini, streamed" : "gemini", &said, openai);
            said_clear(&said);
        }
        if (!conversation->streamed_anthropic) continue;
        ask_claude(&fixture, &said, conversation->streamed_anthropic);
        check_said(conversation, "anthropic, streamed", &said, openai);
        assert_true(said.is_over);
        said_clear(&said);
    }
    dr_json_reader_free(reader);
    shut(&fixture);
}

/* --- what each dialect says besides --- */

static void test_finishes_have_each_dialects_words(void **state) {
    (void)state;
    static const struct {
        const char *anthropic; /* NULL: Gemini's is asked */
        const char *gemini;
        const char *finish;
        const char *text; /* NULL: any */
    } cases[] = {
        {CLAUDE(USER("x"), ""), NULL, "end_turn", NULL},
        {"{\"model\":\"c\",\"max_tokens\":3,\"messages\":[" USER("x") "]}", NULL, "max_tokens",
         "This is a"},
        {CLAUDE(USER("x"), ",\"stop_sequences\":[\" simulation\",\"zzz\"]"), NULL, "stop_sequence",
         "This is a"},
        {CLAUDE(USER("x"), ",\"tools\":[{\"name\":\"t\",\"input_schema\":{\"type\":\"object\"}}],"
                           "\"tool_choice\":{\"type\":\"tool\",\"name\":\"t\"}"),
         NULL, "tool_use", ""},
        {CLAUDE(USER("x"), ",\"tools\":[{\"name\":\"t\",\"input_schema\":{\"type\":\"object\"}}],"
                           "\"tool_choice\":{\"type\":\"none\"}"),
         NULL, "end_turn", NULL},
        {CLAUDE(USER("simulate a block"), ""), NULL, "refusal", ""},
        {NULL, GEMINI(HELLO, ""), "STOP", NULL},
        {NULL, GEMINI(HELLO, ",\"generationConfig\":{\"maxOutputTokens\":3}"), "MAX_TOKENS",
         "This is a"},
        {NULL, GEMINI(HELLO, ",\"generationConfig\":{\"stop_sequences\":[\" simulation\"]}"),
         "STOP", "This is a"},
        {NULL, GEMINI(HELLO, ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"t\"}]}]"), "STOP",
         ""},
        {NULL,
         GEMINI(HELLO, ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"t\"}]}],"
                       "\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"NONE\"}}"),
         "STOP", NULL},
        {NULL, GEMINI(PARTS("user", TEXT_PART("simulate a block")), ""), "", ""},
        /* Half a call is none. */
        {NULL,
         GEMINI(HELLO, ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"t\",\"parameters\""
                       ":{\"type\":\"OBJECT\",\"properties\":{\"word\":{\"type\":\"STRING\"}}"
                       "}}]}],\"generationConfig\":{\"maxOutputTokens\":1}"),
         "MAX_TOKENS", ""},
    };
    struct fixture fixture = open_plain();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct said said;
        for (int is_stream = 0; is_stream < (cases[i].gemini ? 2 : 1); is_stream++) {
            if (cases[i].anthropic) {
                ask_claude(&fixture, &said, cases[i].anthropic);
            } else {
                ask_gemini(&fixture, &said, is_stream, cases[i].gemini);
            }
            const dr_slice text = dr_buf_slice(&said.text);
            if (strcmp(said.finish, cases[i].finish) != 0 ||
                (cases[i].text && !dr_slice_is(text, dr_slice_text(cases[i].text)))) {
                fail_msg("case %zu: %s %.*s", i, said.finish, DR_FMT(text));
            }
            said_clear(&said);
        }
    }
    shut(&fixture);
}

static void test_thoughts_are_signed_and_known_again(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct said said;
    struct peer peer;
    char body[8192];
    static const struct {
        const char *more; /* of the thought that comes back */
        uint16_t status;
    } cases[] = {{"", 200}, {"?", 400}};
    ask_claude(&fixture, &said,
               CLAUDE(USER("why"), ",\"stream\":true,\"thinking\":{\"type\":\"enabled\","
                                   "\"budget_tokens\":1024}"));
    assert_int_equal(said.thinking_tokens, 64);
    assert_true(dr_slice_starts(dr_buf_slice(&said.thought), DR_LIT("A simulated thought")));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(body, sizeof body,
                       CLAUDE(USER("why") ",{\"role\":\"assistant\",\"content\":[{\"type\":"
                                          "\"thinking\",\"thinking\":\"%.*s%s\",\"signature\":"
                                          "\"%.*s\"},{\"type\":\"text\",\"text\":\"so\"}]},"
                                          "{\"role\":\"user\",\"content\":\"go on\"}",
                              ""),
                       DR_FMT(dr_buf_slice(&said.thought)), cases[i].more,
                       DR_FMT(dr_buf_slice(&said.seal)));
        peer_call(&fixture, &peer, MESSAGES, ANTHROPIC_KEY, body);
        assert_int_equal(peer.status, cases[i].status);
        peer_close(&peer);
    }
    said_clear(&said);
    shut(&fixture);
}

/* Anthropic's signature does not hold with Google, nor one call's with another. */
static void test_signatures_of_calls_hold_for_their_names(void **state) {
    (void)state;
    static const struct {
        const char *model;
        const char *signature;
        uint16_t status;
    } cases[] = {
        {"gemini-2.5-flash", NULL, 200},
        {"gemini-3-flash", NULL, 400}, /* must be signed */
        {"gemini-3-flash", "own", 200},
        {"gemini-3-flash", "skip_thought_signature_validator", 200},
        {"gemini-3-flash", "c2ltQW500000000000000000", 400},
        {"gemini-3-flash", "c2ltR2Vt0000000000000000", 400},
        {"gemini-3-flash", "not base64!", 400},
    };
    struct fixture fixture = open_plain();
    struct said said;
    ask_gemini(&fixture, &said, false,
               GEMINI(HELLO, ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"t\"}]}]"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *signature = cases[i].signature;
        const bool is_own = signature && strcmp(signature, "own") == 0;
        struct peer peer;
        char line[128];
        char body[1024];
        char member[128] = "";
        (void)snprintf(line, sizeof line, "POST /v1beta/models/%s:generateContent", cases[i].model);
        if (signature) {
            (void)snprintf(member, sizeof member, ",\"thoughtSignature\":\"%.*s\"",
                           DR_FMT(is_own ? dr_buf_slice(&said.seal) : dr_slice_text(signature)));
        }
        (void)snprintf(body, sizeof body,
                       GEMINI(HELLO
                              "," PARTS("model", "{\"functionCall\":{\"name\":\"t\"}%s}") "," PARTS(
                                  "user", "{\"functionResponse\":{\"name\":\"t\","
                                          "\"response\":{\"a\":1}}}"),
                              ""),
                       member);
        peer_call(&fixture, &peer, line, GOOGLE_KEY, body);
        if (peer.status != cases[i].status) fail_msg("case %zu: %d", i, peer.status);
        peer_close(&peer);
    }
    said_clear(&said);
    shut(&fixture);
}

static void test_marks_of_the_cache_are_counted_apart(void **state) {
    (void)state;
    enum { WORDS = 1000 };
    struct fixture fixture = open_plain();
    struct dr_buf body;
    dr_buf_init(&body, REPLY_BYTES_MAX);
    for (int is_marked = 0; is_marked < 2; is_marked++) {
        struct peer peer;
        dr_buf_reset(&body);
        dr_buf_put(&body, DR_LIT("{\"model\":\"c\",\"max_tokens\":5,\"messages\":[{\"role\":"
                                 "\"user\",\"content\":[{\"type\":\"text\",\"text\":\""));
        for (int i = 0; i < WORDS; i++) dr_buf_put(&body, DR_LIT("many words "));
        dr_buf_put(&body, is_marked ? DR_LIT("\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}")
                                    : DR_LIT("\"}]}]}"));
        dr_buf_put_char(&body, 0);
        peer_call(&fixture, &peer, MESSAGES, ANTHROPIC_KEY, body.data);
        dr_json usage = at(read_json(&fixture, dr_buf_slice(&peer.body)), "usage");
        assert_int_equal(number(at(usage, "cache_read_input_tokens")) > 0, is_marked);
        assert_int_equal(number(at(usage, "cache_creation_input_tokens")) > 0, is_marked);
        peer_close(&peer);
    }
    dr_buf_clear(&body);
    shut(&fixture);
}

static void test_streams_without_sse_are_one_array(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_call(&fixture, &peer, "POST /v1beta/models/gemini-2.5-flash:streamGenerateContent",
              GOOGLE_KEY, GEMINI(HELLO, ""));
    dr_json root = read_json(&fixture, dr_buf_slice(&peer.body));
    assert_true(dr_json_is(root, DR_JSON_ARRAY));
    assert_true(dr_json_count(root) > 10);
    assert_true(dr_slice_find(dr_buf_slice(&peer.raw), DR_LIT("application/json")) < peer.raw.len);
    peer_close(&peer);
    shut(&fixture);
}

static void test_candidates_and_logprobs_come_with_their_index(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    for (int is_stream = 0; is_stream < 2; is_stream++) {
        struct peer peer;
        peer_call(&fixture, &peer, is_stream ? STREAM_GENERATE : GENERATE, GOOGLE_KEY,
                  GEMINI(HELLO, ",\"generationConfig\":{\"candidateCount\":3,\"maxOutputTokens\":2,"
                                "\"responseLogprobs\":true,\"logprobs\":2}"));
        assert_int_equal(peer_count(&peer, "\"finishReason\":\"MAX_TOKENS\""), 3);
        assert_int_equal(peer_count(&peer, "\"index\":2"), is_stream ? 3 : 1);
        assert_int_equal(peer_count(&peer, "\"logprobsResult\""), is_stream ? 6 : 3);
        assert_int_equal(peer_count(&peer, "\"tokenId\""), 6 * 3);
        peer_close(&peer);
    }
    shut(&fixture);
}

/* --- faults --- */

/* The two dialects, each whole and streamed. */
static const struct {
    const char *line;
    const char *key;
    const char *body;
    bool is_google;
    bool is_stream;
} ways[] = {
    {MESSAGES, ANTHROPIC_KEY, CLAUDE(USER("hello"), ""), false, false},
    {MESSAGES, ANTHROPIC_KEY, CLAUDE(USER("hello"), ",\"stream\":true"), false, true},
    {GENERATE, GOOGLE_KEY, GEMINI(HELLO, ""), true, false},
    {STREAM_GENERATE, GOOGLE_KEY, GEMINI(HELLO, ""), true, true},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

static void suffer(struct fixture *fixture, struct peer *peer, size_t way, const char *fault) {
    char headers[256];
    (void)snprintf(headers, sizeof headers, "%sx-sim-fault: %s\r\n", ways[way].key, fault);
    peer_call(fixture, peer, ways[way].line, headers, ways[way].body);
}

static void test_statuses_come_in_each_dialects_shape(void **state) {
    (void)state;
    static const struct {
        const char *fault;
        uint16_t status;
        const char *anthropic;
        const char *google;
    } cases[] = {
        {"status=401", 401, "authentication_error", "UNAUTHENTICATED"},
        {"status=404", 404, "not_found_error", "NOT_FOUND"},
        {"status=429,retry_after=7", 429, "rate_limit_error", "\"retryDelay\": \"7s\""},
        {"status=500", 500, "api_error", "INTERNAL"},
        {"status=503", 503, "api_error", "UNAVAILABLE"},
        {"status=529", 529, "overloaded_error", "UNKNOWN"},
    };
    struct fixture fixture = open_plain();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t way = 0; way < WAYS; way++) {
            struct peer peer;
            suffer(&fixture, &peer, way, cases[i].fault);
            const char *said = ways[way].is_google ? cases[i].google : cases[i].anthropic;
            if (peer.status != cases[i].status || !peer_has(&peer, said)) {
                fail_msg("%s: %.*s", cases[i].fault, DR_FMT(dr_buf_slice(&peer.body)));
            }
            const bool has_header =
                dr_slice_find(dr_buf_slice(&peer.raw), DR_LIT("retry-after: 7")) < peer.raw.len;
            assert_int_equal(has_header, cases[i].status == 429 && !ways[way].is_google);
            peer_close(&peer);
        }
    }
    shut(&fixture);
}

static void test_faults_in_mid_stream_have_each_dialects_form(void **state) {
    (void)state;
    static const char *const faults[] = {"error_event", "cut_mid", "bad_json", "no_usage"};
    struct fixture fixture = open_plain();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        for (size_t way = 0; way < WAYS; way++) {
            struct peer peer;
            suffer(&fixture, &peer, way, faults[i]);
            const bool is_error = i == 0;
            const bool is_cut = i == 1;
            assert_int_equal(peer.status, is_error && !ways[way].is_stream ? 500 : 200);
            assert_int_equal(peer.is_whole, !is_cut);
            if (i == 3) {
                assert_false(peer_has(&peer, "\"usage"));
                assert_true(peer_has(&peer, ways[way].is_google ? "\"finishReason\""
                                                                : "\"stop_reason\":\"end_turn\""));
            } else if (i == 2) {
                assert_true(!ways[way].is_stream ||
                            peer_count(&peer, ways[way].is_google ? "\"text\":\"brok\r\n\r\n"
                                                                  : "\"text\":\"brok\n\n") == 1);
            } else if (ways[way].is_stream) {
                assert_true(peer_count(&peer, "\"text\":\"") > 5);
                assert_false(peer_has(&peer, "message_stop"));
                assert_false(peer_has(&peer, "finishReason"));
            }
            if (is_error && ways[way].is_stream) {
                struct said said;
                note_answer(&peer, &said, ways[way].is_google);
                assert_true(said.has_error);
                assert_true(peer_has(&peer, ways[way].is_google ? "\r\n\r\n{\n  \"error\": {"
                                                                : "\n\nevent: error\ndata: {"));
                said_clear(&said);
            }
            peer_close(&peer);
        }
    }
    shut(&fixture);
}

/* What happens to bytes happens to all dialects alike. */
static void test_spoiled_writes_lose_nothing(void **state) {
    (void)state;
    static const char *const faults[] = {"dribble", "split_utf8", "slow=200000", "close_idle"};
    struct fixture fixture = open_plain();
    for (size_t way = 0; way < WAYS; way++) {
        struct said plain;
        struct peer peer;
        peer_call(&fixture, &peer, ways[way].line, ways[way].key, ways[way].body);
        note_answer(&peer, &plain, ways[way].is_google);
        peer_close(&peer);
        assert_true(plain.text.len > 100);
        for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
            struct said said;
            suffer(&fixture, &peer, way, faults[i]);
            assert_true(peer.is_whole);
            note_answer(&peer, &said, ways[way].is_google);
            assert_true(dr_slice_is(dr_buf_slice(&said.text), dr_buf_slice(&plain.text)));
            said_clear(&said);
            peer_close(&peer);
        }
        said_clear(&plain);
    }
    shut(&fixture);
}

static void test_huge_texts_exceed_every_limit_in_every_dialect(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    for (size_t way = 0; way < WAYS; way++) {
        struct peer peer;
        char headers[256];
        (void)snprintf(headers, sizeof headers, "%sx-sim-fault: huge\r\n", ways[way].key);
        peer_connect(&fixture, &peer);
        peer_send(&peer, ways[way].line, headers, ways[way].body);
        UNTIL(&fixture, peer.raw.len > 65 * 1024 * 1024);
        assert_true(dr_slice_find(dr_buf_slice(&peer.raw), DR_LIT("\"text\":\"aaaa")) < 4096);
        peer_close(&peer);
    }
    shut(&fixture);
}

static void test_bursts_have_exactly_the_events_asked_for(void **state) {
    (void)state;
    struct fixture fixture = open_with(&(struct sim_options){.burst_events = 64});
    struct said said;
    ask_claude(&fixture, &said, CLAUDE(USER("x"), ",\"stream\":true"));
    assert_int_equal(said.output_tokens, 64);
    assert_int_equal(said.text.len, 64 * 7);
    /* start, block start, ping, 64 texts, block stop, delta, stop */
    assert_int_equal(said.events, 64 + 6);
    said_clear(&said);
    ask_gemini(&fixture, &said, true, GEMINI(HELLO, ""));
    assert_int_equal(said.output_tokens, 64);
    assert_int_equal(said.events, 64 + 1);
    said_clear(&said);
    shut(&fixture);
}

static void test_replays_play_on_every_route(void **state) {
    (void)state;
    static const char bytes[] = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
    struct fixture fixture = open_with(&(struct sim_options){
        .replay = DR_LIT("event: ping\ndata: {\"type\": \"ping\"}\n\n"),
        .replay_type = DR_LIT("text/event-stream"),
        .replay_status = 201,
    });
    for (size_t way = 0; way < WAYS; way++) {
        struct peer peer;
        peer_call(&fixture, &peer, ways[way].line, ways[way].key, "anything");
        assert_int_equal(peer.status, 201);
        assert_true(dr_slice_is(dr_buf_slice(&peer.body), dr_slice_text(bytes)));
        peer_close(&peer);
    }
    shut(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_conversation_gives_same_words_and_counts_in_every_dialect),
        cmocka_unit_test(test_finishes_have_each_dialects_words),
        cmocka_unit_test(test_thoughts_are_signed_and_known_again),
        cmocka_unit_test(test_signatures_of_calls_hold_for_their_names),
        cmocka_unit_test(test_marks_of_the_cache_are_counted_apart),
        cmocka_unit_test(test_streams_without_sse_are_one_array),
        cmocka_unit_test(test_candidates_and_logprobs_come_with_their_index),
        cmocka_unit_test(test_statuses_come_in_each_dialects_shape),
        cmocka_unit_test(test_faults_in_mid_stream_have_each_dialects_form),
        cmocka_unit_test(test_spoiled_writes_lose_nothing),
        cmocka_unit_test(test_huge_texts_exceed_every_limit_in_every_dialect),
        cmocka_unit_test(test_bursts_have_exactly_the_events_asked_for),
        cmocka_unit_test(test_replays_play_on_every_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
