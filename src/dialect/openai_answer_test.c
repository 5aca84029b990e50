/* Answers event by event: every deviation that was recorded, written as the smallest case of its
 * kind. */
#include "dialect/openai.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TEXT_BYTES_MAX = 65536 };

static struct openai_answer_reader *reader_of(void **state) {
    return *state;
}

static int set_up(void **state) {
    *state = openai_answer_reader_new();
    return *state ? 0 : -1;
}

static int tear_down(void **state) {
    openai_answer_reader_free(*state);
    return 0;
}

static void put_word(struct dr_buf *out, dr_slice word) {
    dr_buf_put_char(out, ' ');
    dr_buf_put(out, word.data ? word : DR_LIT("-"));
}

/* One event as words: "text:0 hello; ". */
static void put_event(struct dr_buf *out, const struct answer_event *event) {
    static const char *const names[] = {"start",    "text",     "reasoning", "refusal", "call",
                                        "finish",   "usage",    "error",     "end",     "signature",
                                        "citation", "logprobs", "member"};
    static const char *const forms[] = {"", " custom", " legacy"};
    static const char *const finishes[] = {"stop",           "length",        "tool_calls",
                                           "content_filter", "function_call", "other"};

    dr_buf_format(out, "%s:%u", names[event->kind], event->choice_index);
    switch (event->kind) {
    case ANSWER_START:
        put_word(out, event->start.id);
        put_word(out, event->start.model);
        break;
    case ANSWER_TEXT:
    case ANSWER_REASONING:
    case ANSWER_REFUSAL: put_word(out, event->text); break;
    case ANSWER_TOOL_CALL:
        dr_buf_format(out, " #%u%s", event->tool_call.index, forms[event->tool_call.form]);
        put_word(out, event->tool_call.id);
        put_word(out, event->tool_call.name);
        put_word(out, event->tool_call.arguments);
        if (event->tool_call.extra_content) {
            dr_buf_put_char(out, ' ');
            dr_json_put_value(out, event->tool_call.extra_content);
        }
        break;
    case ANSWER_MEMBER:
        put_word(out, event->member.name);
        if (!event->member.value) break;
        dr_buf_put_char(out, ' ');
        dr_json_put_value(out, event->member.value);
        break;
    case ANSWER_FINISH:
        dr_buf_format(out, " %s", finishes[event->finish.reason]);
        put_word(out, event->finish.text);
        break;
    case ANSWER_USAGE:
        dr_buf_format(out, " %u %u %u %u %u", (unsigned)event->usage.prompt_tokens,
                      (unsigned)event->usage.completion_tokens, (unsigned)event->usage.total_tokens,
                      (unsigned)event->usage.cached_tokens,
                      (unsigned)event->usage.reasoning_tokens);
        if (event->usage.cache_write_tokens > 0) {
            dr_buf_format(out, " written %u", (unsigned)event->usage.cache_write_tokens);
        }
        for (enum usage_detail i = 0; i < USAGE_DETAIL_COUNT; i++) {
            if (event->usage.details[i] == 0) continue;
            put_word(out, usage_detail_name(i));
            dr_buf_format(out, " %u", event->usage.details[i]);
        }
        assert_int_equal(event->usage.source, USAGE_REPORTED);
        break;
    case ANSWER_ERROR:
        put_word(out, event->error.message);
        dr_buf_put_char(out, '|');
        put_word(out, event->error.type);
        put_word(out, event->error.code);
        put_word(out, event->error.param);
        break;
    case ANSWER_END:
    case ANSWER_SIGNATURE:
    case ANSWER_CITATION:
    case ANSWER_LOGPROBS: break;
    }
    dr_buf_put(out, DR_LIT("; "));
}

static void expect_events(const char *input, const struct answer_chunk *chunk,
                          const char *expected) {
    struct dr_buf out;

    dr_buf_init(&out, TEXT_BYTES_MAX);
    for (size_t i = 0; i < chunk->event_count; i++) put_event(&out, &chunk->events[i]);
    dr_buf_put_char(&out, '\0');
    if (strcmp(out.data, expected) != 0) {
        fail_msg("%s\ngives    %s\nnot      %s", input, out.data, expected);
    }
    dr_buf_clear(&out);
}

#define DELTA(members) "{\"choices\":[{\"index\":0,\"delta\":{" members "}}]}"
#define USAGE(members) "{\"choices\":[],\"usage\":{" members "}}"

static const struct told {
    const char *payload;
    const char *expected;
    bool is_usage_only;
} told[] = {
    {"", "", false},
    {"  \r\n", "", false},
    {"[DONE]", "end:0; ", false},
    {" [DONE]\r", "end:0; ", false},
    {"{}", "", false},
    {"{\"id\":\"i\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
     "\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}],"
     "\"usage\":null}",
     "start:0 i m; ", false},
    {DELTA("\"content\":\"a\""), "text:0 a; ", false},
    {" " DELTA("\"content\":\"a\"") "  ", "text:0 a; ", false},
    {DELTA("\"content\":null"), "", false},
    {DELTA(""), "", false},
    {"{\"choices\":[{\"index\":0,\"delta\":null,\"finish_reason\":\"stop\"}]}",
     "finish:0 stop stop; ", false},
    {"{\"choices\":[{\"finish_reason\":\"length\",\"delta\":{\"content\":\"x\"},\"index\":2}]}",
     "text:2 x; finish:2 length length; ", false},
    {"{\"choices\":[{\"delta\":{},\"finish_reason\":\"\"}]}", "", false},
    {"{\"choices\":[{\"delta\":{},\"finish_reason\":\"insufficient_system_resource\"}]}",
     "error:0 the answer was broken off (insufficient_system_resource)| - "
     "insufficient_system_resource -; ",
     false},
    {"{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":"
     "\"insufficient_system_resource\"}],\"usage\":{\"prompt_tokens\":3,"
     "\"completion_tokens\":1}}",
     "text:0 a; usage:0 3 1 4 0 0; error:0 the answer was broken off "
     "(insufficient_system_resource)| - insufficient_system_resource -; ",
     false},
    {"{\"choices\":[{\"finish_reason\":\"content_filter\"},{\"finish_reason\":\"function_call\"},"
     "{\"finish_reason\":\"tool_calls\"},{\"finish_reason\":7}]}",
     "finish:0 content_filter content_filter; finish:1 function_call function_call; "
     "finish:2 tool_calls tool_calls; ",
     false},
    {"{\"choices\":[{\"delta\":{\"content\":\"a\"}},{\"delta\":{\"content\":\"b\"}}]}",
     "text:0 a; text:1 b; ", false},
    {"{\"choices\":[7,null,{\"delta\":{\"content\":\"c\"}}]}", "text:2 c; ", false},
    {"{\"choices\":{}}", "", false},
    {"{\"choices\":null}", "", false},
    /* A whole message where a delta was due. */
    {"{\"choices\":[{\"message\":{\"content\":\"m\"}}]}", "text:0 m; ", false},
    {DELTA("\"refusal\":\"no\""), "refusal:0 no; ", false},
    {DELTA("\"reasoning_content\":\"r\",\"content\":null"), "reasoning:0 r; ", false},
    {DELTA("\"content\":\"c\",\"reasoning\":\"r\""), "reasoning:0 r; text:0 c; ", false},
    {DELTA("\"reasoning\":\"r\",\"reasoning_content\":\"r\""), "reasoning:0 r; ", false},
    {DELTA("\"reasoning\":\"r\",\"reasoning_details\":[{\"text\":\"r\"}]"),
     "reasoning:0 r; member:0 reasoning_details [{\"text\":\"r\"}]; ", false},
    {DELTA("\"reasoning_details\":[{\"text\":\"a\"},{\"summary\":\"b\"},{\"x\":1}]"),
     "reasoning:0 a; reasoning:0 b; "
     "member:0 reasoning_details [{\"text\":\"a\"},{\"summary\":\"b\"},{\"x\":1}]; ",
     false},
    {DELTA("\"reasoning_details\":[]"), "", false},
    /* What passes as it is, and what has no name here. */
    {"{\"choices\":[{\"delta\":{\"content\":\"c\",\"annotations\":[{\"a\":1}],\"extra_content\":"
     "{\"google\":{}}},\"logprobs\":{\"content\":[],\"refusal\":null}}]}",
     "text:0 c; member:0 logprobs {\"content\":[],\"refusal\":null}; "
     "member:0 annotations [{\"a\":1}]; member:0 extra_content {\"google\":{}}; ",
     false},
    {DELTA("\"annotations\":[],\"extra_content\":{}"), "", false},
    {DELTA("\"role\":\"assistant\",\"images\":[1],\"audio\":{\"id\":\"a\"},\"x\":null,\"y\":\"\""),
     "member:0 images; member:0 audio; ", false},
    {DELTA("\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"t\"}]},"
           "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"refusal\",\"refusal\":\"n\"},"
           "{\"type\":\"reference\",\"reference_ids\":[1]},7]"),
     "reasoning:0 t; text:0 a; refusal:0 n; member:0 reference; ", false},
    {DELTA("\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\"}]"), "reasoning:0 t; ", false},
    {DELTA("\"content\":{\"odd\":1}"), "", false},
    /* Tool calls. */
    {DELTA("\"tool_calls\":[{\"index\":1,\"id\":\"c\",\"type\":\"function\",\"function\":"
           "{\"name\":\"f\",\"arguments\":\"\"}}]"),
     "call:0 #1 c f ; ", false},
    {DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":\"}}]"),
     "call:0 #0 - - {\"a\":; ", false},
    {DELTA("\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
           "{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":{\"k\":[1,2]}}}]"),
     "call:0 #0 a f {}; call:0 #1 b g {\"k\":[1,2]}; ", false},
    {DELTA("\"tool_calls\":[{\"index\":null,\"id\":null,\"function\":{\"name\":\"f\","
           "\"arguments\":null}}]"),
     "call:0 #0 - f -; ", false},
    {DELTA("\"tool_calls\":null"), "", false},
    {DELTA("\"tool_calls\":[null,7,{\"id\":\"a\"}]"), "call:0 #2 a - -; ", false},
    {DELTA("\"tool_calls\":[{\"index\":-1,\"id\":\"a\"}]"), "call:0 #0 a - -; ", false},
    {DELTA("\"tool_calls\":[{\"id\":\"a\",\"type\":\"custom\",\"custom\":{\"name\":\"f\","
           "\"input\":\"x\"}}]"),
     "call:0 #0 custom a f x; ", false},
    {DELTA("\"tool_calls\":[{\"index\":0,\"custom\":{\"input\":\"y\"}}]"),
     "call:0 #0 custom - - y; ", false},
    {DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"custom\"}]"),
     "call:0 #0 custom a - -; ", false},
    {DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"mcp\",\"mcp\":{}}]"),
     "member:0 mcp; ", false},
    {DELTA("\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"},"
           "\"extra_content\":{\"google\":{\"thought_signature\":\"s\"}}}]"),
     "call:0 #0 a f {} {\"google\":{\"thought_signature\":\"s\"}}; ", false},
    {DELTA("\"function_call\":{\"name\":\"f\",\"arguments\":\"{\"}"), "call:0 #0 legacy - f {; ",
     false},
    /* Usage. */
    {USAGE("\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15,"
           "\"prompt_tokens_details\":{\"cached_tokens\":4},"
           "\"completion_tokens_details\":{\"reasoning_tokens\":3}"),
     "usage:0 10 5 15 4 3; ", true},
    {USAGE("\"prompt_tokens\":10,\"completion_tokens\":5,\"prompt_tokens_details\":"
           "{\"cache_write_tokens\":1,\"audio_tokens\":2},\"completion_tokens_details\":"
           "{\"audio_tokens\":3,\"accepted_prediction_tokens\":4,"
           "\"rejected_prediction_tokens\":5}"),
     "usage:0 10 5 15 0 0 written 1 audio_tokens 2 audio_tokens 3 accepted_prediction_tokens 4 "
     "rejected_prediction_tokens 5; ",
     true},
    {USAGE("\"prompt_tokens\":10,\"completion_tokens\":5,\"prompt_tokens_details\":"
           "{\"text_tokens\":1,\"image_tokens\":2,\"video_tokens\":3},"
           "\"completion_tokens_details\":{\"text_tokens\":4294967296,\"image_tokens\":5}"),
     "usage:0 10 5 15 0 0 text_tokens 1 image_tokens 2 video_tokens 3 image_tokens 5; ", true},
    {"{\"id\":\"i\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
     "start:0 i -; usage:0 1 2 3 0 0; ", true},
    {USAGE("\"prompt_tokens\":10,\"completion_tokens\":5,\"prompt_cache_hit_tokens\":6"),
     "usage:0 10 5 15 6 0; ", true},
    {USAGE("\"prompt_tokens\":10,\"completion_tokens\":5,\"cached_tokens\":99"),
     "usage:0 10 5 15 10 0; ", true},
    {USAGE("\"prompt_tokens\":-1,\"completion_tokens\":5"), "usage:0 0 5 5 0 0; ", true},
    {USAGE("\"prompt_tokens\":1.5,\"completion_tokens\":2000000000000,\"total_tokens\":7"),
     "usage:0 0 0 7 0 0; ", true},
    {USAGE("\"prompt_tokens\":\"10\",\"completion_tokens\":null"), "", false},
    {USAGE(""), "", false},
    {USAGE("\"prompt_tokens\":1,\"completion_tokens\":1,\"prompt_tokens_details\":null,"
           "\"completion_tokens_details\":[]"),
     "usage:0 1 1 2 0 0; ", true},
    {"{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
     "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}",
     "finish:0 stop stop; usage:0 1 1 2 0 0; ", false},
    {"{\"choices\":[{\"delta\":{}}],\"x_groq\":{\"usage\":{\"prompt_tokens\":3,"
     "\"completion_tokens\":1}}}",
     "usage:0 3 1 4 0 0; ", false},
    {"{\"choices\":[{\"delta\":{},\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}]}",
     "usage:0 3 1 4 0 0; ", false},
    {"{\"choices\":[],\"usage\":null,\"prompt_filter_results\":[{}]}", "", false},
    {"{\"choices\":[],\"usage\":{\"prompt_tokens\":3},\"prompt_filter_results\":[{}]}",
     "usage:0 3 0 3 0 0; ", false},
    /* Errors. */
    {"{\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":\"p\",\"code\":\"c\"}}",
     "error:0 m| t c p; ", false},
    {"{\"error\":{\"message\":\"m\",\"type\":null,\"param\":null,\"code\":429}}",
     "error:0 m| - - -; ", false},
    {"{\"code\":\"c\",\"error\":\"sentence\"}", "error:0 sentence| - c -; ", false},
    {"{\"detail\":\"Invalid API Key\"}", "error:0 Invalid API Key| - - -; ", false},
    {"{\"object\":\"error\",\"message\":\"m\",\"type\":\"T\",\"code\":400}", "error:0 m| T - -; ",
     false},
    {"{\"error\":null,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", "text:0 a; ", false},
    {"{\"error\":{},\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", "text:0 a; ", false},
    {"{\"error\":{\"message\":\"m\"},\"choices\":[{\"delta\":{\"content\":\"\"},"
     "\"finish_reason\":\"error\"}]}",
     "error:0 m| - - -; ", false},
    {"{\"choices\":[{\"index\":1,\"error\":{\"message\":\"m\",\"code\":502},"
     "\"finish_reason\":\"error\"}]}",
     "error:1 m| - - -; ", false},
    {"[{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"X\"}}]", "error:0 m| - - -; ",
     false},
    /* Lone surrogates. */
    {DELTA("\"content\":\"a\\ud83d\""), "text:0 a\xef\xbf\xbd; ", false},
    {DELTA("\"content\":\"\\uDE00\\\\ud83d\""), "text:0 \xef\xbf\xbd\\ud83d; ", false},
    {DELTA("\"content\":\"\\ud83d\\ude00 \\ud83d\\ud83d\\ude00\""),
     "text:0 \xf0\x9f\x98\x80 \xef\xbf\xbd\xf0\x9f\x98\x80; ", false},
};

static void test_each_event_means_what_its_sender_meant(void **state) {
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        struct answer_chunk chunk;
        struct dr_error error = {0};
        if (openai_read_event(reader_of(state), dr_slice_text(told[i].payload), &chunk, &error)) {
            fail_msg("%s: %s", told[i].payload, error.text);
        }
        expect_events(told[i].payload, &chunk, told[i].expected);
        if (chunk.is_usage_only != told[i].is_usage_only) fail_msg("%s", told[i].payload);
        assert_true(chunk.is_end == (strstr(told[i].payload, "[DONE]") != NULL));
    }
}

/* What `reader` makes of a payload, as words. */
static void read_as_words(struct openai_answer_reader *reader, dr_slice payload,
                          struct dr_buf *out) {
    struct answer_chunk chunk;
    struct dr_error error;
    dr_buf_reset(out);
    if (openai_read_event(reader, payload, &chunk, &error)) {
        dr_buf_put(out, DR_LIT("refused"));
        return;
    }
    for (size_t i = 0; i < chunk.event_count; i++) put_event(out, &chunk.events[i]);
    dr_buf_format(out, "%u %d %d %d", (unsigned)chunk.output_bytes, chunk.is_usage_only,
                  chunk.shows_usage, chunk.is_end);
}

static const char *const alike[] = {
    "{\"id\":\"i\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"ab\"}}]}",
    "{\"id\":\"i\",\"choices\":[{\"index\":1,\"delta\":{\"content\":\"\xc3\xa9\"},"
    "\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"xy\"}",
    "{\"id\":\"i\",\"choices\":[{\"delta\":{\"content\":null,\"reasoning_content\":\"a\"}}]}",
    "{\"id\":\"a\",\"choices\":[{\"delta\":{\"content\":\"a\",\"content\":\"a\"}}]}",
    "{\"id\":\"i\",\"choices\":[{\"delta\":{\"content\":\"a\\n\"}}],\"obfuscation\":\"\"}",
    "{\"id\":\"i\",\"choices\":[{\"delta\":{\"content\":\"longer than two "
    "words \xf0\x9f\x98\x80 of eight\"}}]}",
    "{\"obfuscation\":\"q\",\"id\":\"i\",\"choices\":[{\"delta\":{\"content\":\"a\"}}],"
    "\"error\":null}",
    "{\"id\":\"c-7\",\"created\":17,\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"b\"}}]}",
    "{\"id\":\"a\",\"id\":\"b\",\"created\":1,\"created\":2,\"choices\":"
    "[{\"delta\":{\"content\":\"\\\"created\\\":3\"}}]}",
    "{\"choices\":[{\"delta\":{\"content\":\"w\"}}],\"created\":12,\"id\":\"last\"}",
    "{\"created\":4,\"choices\":[{\"delta\":{\"content\":\"no id\"}}]}",
    "{\"id\":\"i\",\"created\":1764482939,\"choices\":[{\"delta\":{\"content\":\"d\"}}]}",
    "{\"id\":\"i\",\"choices\":[{\"delta\":{\"content\":\"d\"}}],\"created\":12345678}",
    "{\"id\":\"i\",\"created\":123456789012345,\"choices\":[{\"delta\":{\"content\":"
    "\"sixteen bytes and Ti\xe1\xba\xbfng Vi\xe1\xbb\x87t behind\"}}]}",
    "{\"id\":\"i\",\"choices\":[{\"delta\":{\"content\":\"c\",\"channel\":\"analysis\"}}]}",
    "{\"id\":\"i\",\"choices\":[{\"delta\":{\"channel\":\"x\",\"content\":\"c\"}}]}",
    "{\"id\":\"i\",\"choices\":[{\"delta\":{\"content\":\"c\"},\"logprobs\":{\"x\":1}}]}",
};
enum { ALIKE = sizeof alike / sizeof *alike };

/* `payload` must mean behind the events of other streams, and `before` as the last of them, what it
 * means alone. */
static void expect_no_memory_of(dr_slice before, dr_slice payload) {
    struct openai_answer_reader *warm = openai_answer_reader_new();
    struct openai_answer_reader *cold = openai_answer_reader_new();
    struct dr_buf behind;
    struct dr_buf alone;
    dr_buf_init(&behind, TEXT_BYTES_MAX);
    dr_buf_init(&alone, TEXT_BYTES_MAX);
    for (size_t i = 0; i < ALIKE; i++) read_as_words(warm, dr_slice_text(alike[i]), &behind);
    read_as_words(warm, before, &behind);
    read_as_words(warm, payload, &behind);
    read_as_words(cold, payload, &alone);
    if (!dr_slice_is(dr_buf_slice(&behind), dr_buf_slice(&alone))) {
        fail_msg("%.*s\nbehind   %.*s\ngives    %.*s\nnot      %.*s", DR_FMT(payload),
                 DR_FMT(before), DR_FMT(dr_buf_slice(&behind)), DR_FMT(dr_buf_slice(&alone)));
    }
    dr_buf_clear(&behind);
    dr_buf_clear(&alone);
    openai_answer_reader_free(warm);
    openai_answer_reader_free(cold);
}

static void test_an_event_means_the_same_behind_those_like_it(void **state) {
    static const char bytes[] = {'"', '\\', 'z', '}', '\x01', '\x80', '\xc3',
                                 ',', 'n',  '0', '8', ':',    '/'};
    (void)state;
    for (size_t i = 0; i < ALIKE; i++) {
        const dr_slice before = dr_slice_text(alike[i]);
        char changed[512];
        for (size_t at = 0; at <= before.len; at++) {
            for (size_t k = 0; k < sizeof bytes; k++) {
                /* one byte in the place of 0, 1 or 2 */
                for (size_t gone = 0; gone <= 2 && at + gone <= before.len; gone++) {
                    memcpy(changed, before.data, at);
                    changed[at] = bytes[k];
                    memcpy(changed + at + 1, before.data + at + gone, before.len - at - gone);
                    expect_no_memory_of(before, dr_slice_of(changed, before.len + 1 - gone));
                }
            }
            expect_no_memory_of(before, dr_slice_first(before, at));
        }
        for (size_t k = 0; k < ALIKE; k++) expect_no_memory_of(before, dr_slice_text(alike[k]));
    }
}

/* Streams of several models at the same time: what a parser would say costs no parser. */
static void test_events_of_many_streams_need_no_parser(void **state) {
    (void)state;
    struct openai_answer_reader *reader = openai_answer_reader_new();
    char payload[256];
    for (int i = 0; i < 400; i++) {
        const int stream = i * 7 % 50;
        struct answer_chunk chunk;
        struct dr_error error;
        snprintf(payload, sizeof payload,
                 "{\"id\":\"chatcmpl-%d\",\"object\":\"chat.completion.chunk\",\"created\":%d,"
                 "\"model\":\"m%d\",\"choices\":[{\"delta\":{\"content\":\"word %d\"}}]}",
                 stream * 1000, 1700000000 + stream, stream % 4, i);
        assert_int_equal(openai_read_event(reader, dr_slice_text(payload), &chunk, &error), DR_OK);
        /* Only what is read by a pattern is known to be plain: all but the first of each model. */
        assert_int_equal(chunk.is_plain, i >= 4);
        char id[32];
        snprintf(id, sizeof id, "chatcmpl-%d", stream * 1000);
        assert_true(dr_slice_is(chunk.events[0].start.id, dr_slice_text(id)));
    }
    openai_answer_reader_free(reader);
}

static void test_usage_is_shown_where_clients_look_for_it_only(void **state) {
    static const struct {
        const char *payload;
        bool shows_usage;
    } cases[] = {
        {USAGE("\"prompt_tokens\":1"), true},
        {"{\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":1}}", true},
        {"{\"choices\":[{\"delta\":{}}],\"usage\":null}", false},
        {USAGE("\"prompt_tokens\":null"), false},
        {"{\"choices\":[],\"x_groq\":{\"usage\":{\"prompt_tokens\":1}}}", false},
        {"{\"choices\":[{\"delta\":{},\"usage\":{\"prompt_tokens\":1}}]}", false},
        {DELTA("\"content\":\"a\""), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer_chunk chunk;
        struct dr_error error = {0};
        assert_int_equal(
            openai_read_event(reader_of(state), dr_slice_text(cases[i].payload), &chunk, &error),
            DR_OK);
        if (chunk.shows_usage != cases[i].shows_usage) fail_msg("%s", cases[i].payload);
    }
}

static void test_what_is_no_object_is_refused(void **state) {
    static const char *const payloads[] = {
        "{",
        "x",
        "[]",
        "[1,2]",
        "\"s\"",
        "7",
        "null",
        "[DONE]]",
        "{\"a\":\"\xff\"}",
        "{}{}",
        "{\"a\":\"\\ud83\"}",
        "{\"a\":\"\\ud83d",
        "\\ud83d",
    };

    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        struct answer_chunk chunk;
        struct dr_error error = {0};
        const enum dr_status status =
            openai_read_event(reader_of(state), dr_slice_text(payloads[i]), &chunk, &error);
        if (status != DR_INVALID) fail_msg("%s passes", payloads[i]);
        assert_int_equal(error.status, DR_INVALID);
        assert_true(strlen(error.text) > 0);
        assert_int_equal(
            openai_read_answer(reader_of(state), dr_slice_text(payloads[i]), &chunk, NULL),
            DR_INVALID);
    }
}

static void test_depth_is_bounded(void **state) {
    char payload[600];
    struct answer_chunk chunk;
    struct dr_error error = {0};

    memset(payload, '[', 200);
    memset(payload + 200, ']', 200);
    assert_int_equal(openai_read_event(reader_of(state), dr_slice_of(payload, 400), &chunk, &error),
                     DR_INVALID);
    assert_int_equal(error.status, DR_INVALID);
}

static void test_output_bytes_count_all_that_was_said(void **state) {
    struct answer_chunk chunk;

    assert_int_equal(
        openai_read_event(reader_of(state),
                          DR_LIT(DELTA("\"content\":\"ab\",\"reasoning\":\"cde\",\"refusal\":\"f\","
                                       "\"tool_calls\":[{\"id\":\"xxxxx\",\"function\":{"
                                       "\"name\":\"gh\",\"arguments\":\"{}\"}}]")),
                          &chunk, NULL),
        DR_OK);
    assert_int_equal(chunk.output_bytes, 2 + 3 + 1 + 2 + 2);
}

static void test_a_whole_answer_needs_choices_or_an_error(void **state) {
    static const struct {
        const char *body;
        const char *expected;
    } cases[] = {
        {"\n\n \n{\"id\":\"i\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{"
         "\"role\":\"assistant\",\"reasoning_content\":\"r\",\"content\":\"a\","
         "\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\","
         "\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}],\"usage\":{"
         "\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}",
         "start:0 i m; reasoning:0 r; text:0 a; call:0 #0 c f {}; "
         "finish:0 tool_calls tool_calls; usage:0 1 2 3 0 0; "},
        {"{\"choices\":[]}", ""},
        {"{\"choices\":[],\"usage\":{\"prompt_tokens\":1}}", "usage:0 1 0 1 0 0; "},
        {"{\"choices\":[{\"message\":{},\"finish_reason\":\"stop\"}]}", "finish:0 stop stop; "},
        {"{\"error\":\"no\"}", "error:0 no| - - -; "},
    };
    struct answer_chunk chunk;
    struct dr_error error = {0};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (openai_read_answer(reader_of(state), dr_slice_text(cases[i].body), &chunk, &error)) {
            fail_msg("%s: %s", cases[i].body, error.text);
        }
        expect_events(cases[i].body, &chunk, cases[i].expected);
        assert_false(chunk.is_usage_only);
    }
    assert_int_equal(openai_read_answer(reader_of(state), DR_LIT("{}"), &chunk, &error),
                     DR_INVALID);
    assert_int_equal(
        openai_read_answer(reader_of(state), DR_LIT("{\"choices\":null}"), &chunk, &error),
        DR_INVALID);
    assert_int_equal(openai_read_answer(reader_of(state), DR_NONE, &chunk, &error), DR_INVALID);
}

static void test_a_failure_is_read_from_whatever_a_server_or_proxy_sends(void **state) {
    static const struct {
        const char *body;
        const char *message;
        const char *type;
        const char *code;
        const char *param;
    } cases[] = {
        {"{\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":\"p\",\"code\":\"c\"}}", "m", "t",
         "c", "p"},
        {"{\"error\":{\"code\":\"404\",\"message\": \"Resource not found\"}}", "Resource not found",
         NULL, NULL, NULL},
        {"{\"error\":{\"message\":\"m\",\"code\":429,\"metadata\":{\"raw\":\"x\"}}}", "m", NULL,
         NULL, NULL},
        {"{\"code\":\"invalid-argument\",\"error\":\"text\"}", "text", NULL, "invalid-argument",
         NULL},
        {"{\"timestamp\":1,\"status\":404,\"error\":\"Not Found\",\"message\":\"no route\"}",
         "no route", NULL, NULL, NULL},
        {"{\"detail\":\"Invalid API Key\"}\n", "Invalid API Key", NULL, NULL, NULL},
        {"{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"field required\",\"type\":\"missing\"}]}",
         "field required", NULL, NULL, NULL},
        {"{\"object\":\"error\",\"message\":{\"detail\":[{\"msg\":\"bad\"}]},\"type\":\"T\"}",
         "bad", "T", NULL, NULL},
        {"{\"object\": \"error\", \"message\": \"m\", \"type\": \"B\", \"param\": null, "
         "\"code\": 400}",
         "m", "B", NULL, NULL},
        {"{\"errors\":[{\"message\":\"e\",\"code\":7003}]}", "e", NULL, NULL, NULL},
        {"[{\"error\":{\"code\":400,\"message\":\"g\",\"status\":\"INVALID_ARGUMENT\"}}]", "g",
         NULL, NULL, NULL},
        {"{\"error\":{\"message\":\"\",\"type\":\"\"}}", NULL, NULL, NULL, NULL},
        {"{\"error\":\"\\ud83d!\"}", "\xef\xbf\xbd!", NULL, NULL, NULL},
        {"{}", NULL, NULL, NULL, NULL},
        {"\"sentence\"", "sentence", NULL, NULL, NULL},
        {"", NULL, NULL, NULL, NULL},
        {" \n", NULL, NULL, NULL, NULL},
        {"upstream connect error\nmore", "upstream connect error", NULL, NULL, NULL},
        {"<html><head><title>502 Bad Gateway</title></head></html>", "502 Bad Gateway", NULL, NULL,
         NULL},
        {"<html></html>", NULL, NULL, NULL, NULL},
        {"<title>", NULL, NULL, NULL, NULL},
        {"event: error\ndata: {\"error\":{\"message\":\"in a stream\"}}\n\n", "in a stream", NULL,
         NULL, NULL},
        {"data: {\"error\":\"x\"}\r\n\r\n", "x", NULL, NULL, NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct failure failure = {.message = DR_LIT("old")};
        openai_read_failure(reader_of(state), 502, dr_slice_text(cases[i].body), &failure);
        if (!dr_slice_is(failure.message, dr_slice_text(cases[i].message)) ||
            !dr_slice_is(failure.type, dr_slice_text(cases[i].type)) ||
            !dr_slice_is(failure.code, dr_slice_text(cases[i].code)) ||
            !dr_slice_is(failure.param, dr_slice_text(cases[i].param))) {
            fail_msg("%s: %.*s", cases[i].body, DR_FMT(failure.message));
        }
        /* What is absent is no empty text: it has to become null. */
        assert_true((failure.message.data != NULL) == (cases[i].message != NULL));
        assert_true((failure.code.data != NULL) == (cases[i].code != NULL));
        assert_int_equal(failure.kind, FAILURE_SERVER);
        assert_int_equal(failure.status, 502);
    }
}

static void test_an_error_is_written_with_all_four_fields(void **state) {
    struct dr_buf buf;

    (void)state;
    dr_buf_init(&buf, 4096);
    openai_put_error(&buf, DR_LIT("a \"b\"\n"), DR_LIT("t"), DR_NONE, DR_LIT("c"));
    assert_true(dr_slice_is(dr_buf_slice(&buf),
                            DR_LIT("{\"error\":{\"message\":\"a \\\"b\\\"\\n\",\"type\":\"t\","
                                   "\"param\":null,\"code\":\"c\"}}")));
    dr_buf_clear(&buf);
}

/* What a stream's deltas become: sent index, id → number. */
static void test_tool_calls_are_numbered_by_index_and_changed_id(void **state) {
    static const struct {
        uint32_t choice;
        uint32_t sent;
        const char *id;
        uint32_t expected;
    } cases[] = {
        {0, 0, "a", 0},  {0, 0, NULL, 0},   {0, 0, "a", 0}, /* id repeated on every delta */
        {0, 0, "b", 1},  {0, 0, NULL, 1},                   /* a changed id on the same index */
        {0, 5, "c", 2},  {0, 5, "", 2},                     /* a gap */
        {1, 0, "a", 0},  {0, 0, "", 1},                     /* another choice; interleaved */
        {1, 1, NULL, 1}, {1, 1, "late", 1},                 /* the id comes after the name */
    };
    struct openai_call_numbers numbers = {.count = 0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer_event event = {.kind = ANSWER_TOOL_CALL, .choice_index = cases[i].choice};
        struct answer_chunk chunk = {.events = &event, .event_count = 1};
        event.tool_call.index = cases[i].sent;
        event.tool_call.id = dr_slice_text(cases[i].id);
        openai_call_numbers_apply(&numbers, &chunk);
        if (event.tool_call.index != cases[i].expected) {
            fail_msg("case %zu: %u", i, event.tool_call.index);
        }
    }
    /* Beyond the capacity nothing breaks. */
    for (uint32_t i = 0; i < 100; i++) {
        struct answer_event event = {.kind = ANSWER_TOOL_CALL};
        struct answer_chunk chunk = {.events = &event, .event_count = 1};
        event.tool_call.index = 100 + i;
        openai_call_numbers_apply(&numbers, &chunk);
    }
    assert_int_equal(numbers.count, OPENAI_CALLS_NUMBERED_MAX);
}

static void put_many_parts(struct dr_buf *buf, size_t count) {
    dr_buf_reset(buf);
    dr_buf_put(buf, DR_LIT("{\"choices\":[{\"delta\":{\"content\":["));
    for (size_t i = 0; i < count; i++) {
        dr_buf_put(buf, i > 0 ? DR_LIT(",{\"text\":\"a\"}") : DR_LIT("{\"text\":\"a\"}"));
    }
    dr_buf_put(buf, DR_LIT("]}}]}"));
}

static void test_the_pieces_of_one_answer_are_bounded(void **state) {
    struct dr_buf buf;
    struct answer_chunk chunk;
    struct dr_error error = {0};

    dr_buf_init(&buf, 4 * 1024 * 1024);
    put_many_parts(&buf, 65536);
    assert_int_equal(openai_read_event(reader_of(state), dr_buf_slice(&buf), &chunk, &error),
                     DR_OK);
    assert_int_equal(chunk.event_count, 65536);
    put_many_parts(&buf, 65537);
    assert_int_equal(openai_read_event(reader_of(state), dr_buf_slice(&buf), &chunk, &error),
                     DR_INVALID);
    /* And the reader is as good as new. */
    assert_int_equal(
        openai_read_event(reader_of(state), DR_LIT(DELTA("\"content\":\"a\"")), &chunk, &error),
        DR_OK);
    assert_int_equal(chunk.event_count, 1);
    dr_buf_clear(&buf);
}

static void test_an_exhausted_memory_is_told_and_leaks_nothing(void **state) {
    struct dr_buf buf;

    (void)state;
    dr_buf_init(&buf, 65536);
    dr_buf_put(&buf, DR_LIT("{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{"
                            "\"arguments\":{\"a\":1}}}],\"refusal\":\"\\ud83d\",\"content\":["));
    for (int i = 0; i < 40; i++) dr_buf_put(&buf, DR_LIT("{\"text\":\"a\"},"));
    dr_buf_put(&buf, DR_LIT("{}]}}]}"));
    for (uint64_t nth = 1;; nth++) {
        struct answer_chunk chunk;
        dr_alloc_fail_at(nth);
        struct openai_answer_reader *reader = openai_answer_reader_new();
        const enum dr_status status =
            reader ? openai_read_event(reader, dr_buf_slice(&buf), &chunk, NULL) : DR_NO_MEMORY;
        dr_alloc_fail_at(0);
        if (status == DR_OK)
            assert_int_equal(chunk.event_count, 42);
        else
            assert_int_equal(status, DR_NO_MEMORY);
        openai_answer_reader_free(reader);
        if (status == DR_OK) break;
        assert_true(nth < 50);
    }
    openai_answer_reader_free(NULL);
    dr_buf_clear(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_event_means_what_its_sender_meant),
        cmocka_unit_test(test_an_event_means_the_same_behind_those_like_it),
        cmocka_unit_test(test_events_of_many_streams_need_no_parser),
        cmocka_unit_test(test_usage_is_shown_where_clients_look_for_it_only),
        cmocka_unit_test(test_what_is_no_object_is_refused),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_output_bytes_count_all_that_was_said),
        cmocka_unit_test(test_a_whole_answer_needs_choices_or_an_error),
        cmocka_unit_test(test_a_failure_is_read_from_whatever_a_server_or_proxy_sends),
        cmocka_unit_test(test_an_error_is_written_with_all_four_fields),
        cmocka_unit_test(test_tool_calls_are_numbered_by_index_and_changed_id),
        cmocka_unit_test(test_the_pieces_of_one_answer_are_bounded),
        cmocka_unit_test(test_an_exhausted_memory_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
