/* Requests in OpenAI's words, written for Anthropic and Gemini: each field of the table, both what
 * must be sent and what must be refused or told. */
#include "dialect/dialect.h"
#include "dialect/translation.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { BYTES_MAX = 1024 * 1024 };

struct written {
    struct dr_json_reader *reader;
    struct dr_json_reader *scratch;
    struct dr_arena arena;
    struct conversation conversation;
    struct dr_buf out;
    struct loss loss;
    enum dr_status status;
};

static void write_request(struct written *written, enum dialect dialect, const char *model,
                          dr_slice body) {
    struct prompt prompt;
    struct prompt_fault fault = {0};

    *written = (struct written){.reader = dr_json_reader_new(), .scratch = dr_json_reader_new()};
    dr_arena_init(&written->arena, BYTES_MAX, NULL);
    dr_buf_init(&written->out, BYTES_MAX);
    if (openai_read_prompt(written->reader, body, &prompt, &fault)) {
        fail_msg("%.*s: %s %s", DR_FMT(body), fault.param, fault.text);
    }
    assert_int_equal(
        openai_read_conversation(written->reader, &prompt, &written->arena, &written->conversation),
        DR_OK);
    written->status = dialect_write_prompt(dialect, &written->conversation, dr_slice_text(model),
                                           written->scratch, &written->out, &written->loss);
}

static void clear_written(struct written *written) {
    dr_json_reader_free(written->reader);
    dr_json_reader_free(written->scratch);
    dr_arena_clear(&written->arena);
    dr_buf_clear(&written->out);
}

#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define CALLED \
    "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}," \
    "{\"role\":\"assistant\",\"content\":null," \
    "\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\"," \
    "\"arguments\":\"{\\\"n\\\":1.0}\"}},{\"id\":\"call.2\",\"type\":\"function\",\"function\":" \
    "{\"name\":\"g\",\"arguments\":\"\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call.2\"," \
    "\"content\":\"two\"},{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":" \
    "\"{\\\"a\\\":1}\"},{\"role\":\"user\",\"content\":\"go on\"}]"
#define TOOL \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\"," \
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"number\"}}}}}]"
#define BEGUN(more) \
    "\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":" \
    "\"so\"" more "}],\"reasoning_effort\":\"low\""
#define BUDGET(tokens) "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":" tokens "}"
#define SCHEMA \
    "\"response_format\":{\"type\":\"json_schema\"," \
    "\"json_schema\":{\"name\":\"s\",\"strict\":true," \
    "\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"," \
    "\"exclusiveMinimum\":1},\"exclusiveMinimum\":{\"const\":\"x\"}},\"required\":[\"a\"]}}}"

#define AUDIO(format) \
    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":" \
    "{\"data\":\"AAAA\",\"format\":\"" format "\"}}]}]"

#define A45 DIALECT_ANTHROPIC, "claude-sonnet-4-5"
#define A35 DIALECT_ANTHROPIC, "claude-3-5-haiku-20241022"
#define A46 DIALECT_ANTHROPIC, "claude-opus-4-6"
#define A47 DIALECT_ANTHROPIC, "claude-opus-4-7"
#define G2 DIALECT_GEMINI, "gemini-2.0-flash"
#define G25 DIALECT_GEMINI, "gemini-2.5-flash"
#define G25L DIALECT_GEMINI, "gemini-2.5-flash-lite"
#define G25P DIALECT_GEMINI, "gemini-2.5-pro"
#define G3 DIALECT_GEMINI, "gemini-3-pro-preview"

/* Each `expected` must stand in what was written; `dropped` is the header. */
static const struct {
    enum dialect dialect;
    const char *model;
    const char *members;
    const char *expected;
    const char *dropped;
} sent[] = {
    {A45, HELLO,
     "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":32000,\"messages\":[{\"role\":\"user\","
     "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]}",
     ""},
    {A35, HELLO, "\"max_tokens\":8192", ""},
    {G25, HELLO,
     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}],\"generationConfig\":{}}",
     ""},
    {A45, HELLO ",\"max_tokens\":5,\"max_completion_tokens\":7", "\"max_tokens\":7", ""},
    {G25, HELLO ",\"max_tokens\":5", "\"maxOutputTokens\":5", ""},
    /* Roles. */
    {A45,
     "\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u\"},"
     "{\"role\":\"developer\",\"content\":\"d\"},{\"role\":\"user\",\"content\":\"v\"}]",
     "\"system\":[{\"type\":\"text\",\"text\":\"s\"},{\"type\":\"text\",\"text\":\"d\"}],"
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"u\"},"
     "{\"type\":\"text\",\"text\":\"v\"}]}]",
     ""},
    {G25,
     "\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u\"}]",
     "\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]}", ""},
    {A45, "\"messages\":[{\"role\":\"system\",\"content\":\"s\"}]",
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"s\"}]}]", ""},
    {A45, "\"messages\":[{\"role\":\"assistant\",\"content\":\"a \"}]",
     "{\"type\":\"text\",\"text\":\"...\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
     "\"text\",\"text\":\"a\"}]}",
     ""},
    {A45, "\"messages\":[{\"role\":\"user\",\"name\":\"bob\",\"content\":\"u\"}]", "\"text\":\"u\"",
     "messages.name"},
    /* Parts. */
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
     "\"data:image/jpg;base64,iVBORw0KGgoAAA_-\",\"detail\":\"low\"}}]}]",
     "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":"
     "\"iVBORw0KGgoAAA/+\"}}",
     "messages.content.image_url.detail"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
     "\"https://x/y.png\"}}]}]",
     "\"source\":{\"type\":\"url\",\"url\":\"https://x/y.png\"}", ""},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
     "\"https://x/y.PNG?z\"}}]}]",
     "{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"https://x/y.PNG?z\"}}", ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\":"
     "\"a.pdf\",\"file_data\":\"data:application/pdf;base64,JVBERi0x\"}}]}]",
     "{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf\","
     "\"data\":\"JVBERi0x\"},\"title\":\"a.pdf\"}",
     ""},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\":"
     "\"a.pdf\",\"file_data\":\"data:application/pdf;base64,JVBERi0x\"}}]}]",
     "{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":\"JVBERi0x\"}}",
     "messages.content.file.filename"},
    {G25, AUDIO("wav"), "{\"inlineData\":{\"mimeType\":\"audio/wav\",\"data\":\"AAAA\"}}", ""},
    {G25, AUDIO("flac"), "{\"inlineData\":{\"mimeType\":\"audio/flac\",\"data\":\"AAAA\"}}", ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"long\","
     "\"cache_control\":{\"type\":\"ephemeral\"}}]}]",
     "\"text\":\"long\",\"cache_control\":{\"type\":\"ephemeral\"}", ""},
    /* Tools. */
    {A45, CALLED "," TOOL,
     "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"call_1\",\"name\":\"f\","
     "\"input\":{\"n\":1.0}},{\"type\":\"tool_use\",\"id\":\"drover_call_1\",\"name\":\"g\","
     "\"input\":{}}]"
     "},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"call_1\","
     "\"content\":\"{\\\"a\\\":1}\"},{\"type\":\"tool_result\",\"tool_use_id\":"
     "\"drover_call_1\",\"content\":\"two\"},{\"type\":\"text\",\"text\":\"go on\"}]}]",
     ""},
    {G25, CALLED "," TOOL,
     "{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"n\":1.0}}},"
     "{\"functionCall\":{\"name\":\"g\",\"args\":{}}}]},{\"role\":\"user\",\"parts\":["
     "{\"functionResponse\":{\"name\":\"f\",\"response\":{\"a\":1}}},{\"functionResponse\":"
     "{\"name\":\"g\",\"response\":{\"result\":\"two\"}}},{\"text\":\"go on\"}]}]",
     ""},
    {G3, CALLED "," TOOL, "\"thoughtSignature\":\"skip_thought_signature_validator\"", ""},
    {A45, CALLED,
     "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}},"
     "{\"name\""
     ":\"g\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],\"tool_choice\":{\"type\":"
     "\"none\"}",
     ""},
    {A45, HELLO "," TOOL ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false",
     "\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\","
     "\"properties\":{\"n\":{\"type\":\"number\"}}}}],\"tool_choice\":{\"type\":\"any\","
     "\"disable_parallel_tool_use\":true}",
     ""},
    {A45, HELLO "," TOOL ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
     "\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}", ""},
    {G25, HELLO "," TOOL ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
     "\"functionCallingConfig\":{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]}", ""},
    {G25, HELLO "," TOOL ",\"parallel_tool_calls\":false",
     "\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\",\"description\":\"d\","
     "\"parametersJsonSchema\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"number\"}}}}]"
     "}]",
     "parallel_tool_calls"},
    /* Formats. */
    {A45, HELLO "," SCHEMA,
     "\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\","
     "\"properties\":{\"a\":{\"type\":\"integer\"},\"exclusiveMinimum\":{\"const\":\"x\"}},"
     "\"required\":[\"a\"],\"additionalProperties\":false}}}",
     "response_format.json_schema.schema"},
    {A35, HELLO "," SCHEMA,
     "It must match this JSON Schema: ", "response_format.json_schema.strict"},
    {G25, HELLO "," SCHEMA,
     "\"responseMimeType\":\"application/json\",\"responseJsonSchema\":{\"type\":\"object\","
     "\"properties\":{\"a\":{\"type\":\"integer\"},\"exclusiveMinimum\":{\"enum\":[\"x\"]}},"
     "\"required\":[\"a\"]}",
     "response_format.json_schema.schema"},
    {A45, HELLO ",\"response_format\":{\"type\":\"json_object\"}", "Answer with one JSON object",
     ""},
    /* Numbers. */
    {A45, HELLO ",\"temperature\":1.5", "\"temperature\":1}", "temperature"},
    {A45, HELLO ",\"temperature\":0.5,\"top_p\":0.9", "\"temperature\":0.5}", "top_p"},
    {A47, HELLO ",\"temperature\":0.5", "\"max_tokens\":32000", "temperature"},
    {G25, HELLO ",\"temperature\":1.5,\"top_p\":0.9,\"seed\":5,\"n\":2,\"stop\":\"x\"",
     "\"temperature\":1.5,\"topP\":0.9,\"seed\":5,\"candidateCount\":2,\"stopSequences\":[\"x\"]",
     ""},
    {A45,
     HELLO ",\"n\":1,\"seed\":5,\"logprobs\":false,\"presence_penalty\":0.0,\"store\":true,"
           "\"odd\\r\\nx: y\":1,\"metadata\":{}",
     "\"max_tokens\"", "seed, store, odd??x??y"},
    {G25, HELLO ",\"stop\":[\"\",\"x\"]", "\"stopSequences\":[\"x\"]", "stop"},
    {G2, HELLO ",\"frequency_penalty\":0.5,\"presence_penalty\":-1",
     "\"frequencyPenalty\":0.5,\"presencePenalty\":-1", ""},
    {G25, HELLO ",\"frequency_penalty\":0.5,\"presence_penalty\":0.0", "\"generationConfig\":{}",
     "frequency_penalty"},
    {G3, HELLO ",\"presence_penalty\":-1", "\"generationConfig\":{}", "presence_penalty"},
    {G25, HELLO ",\"logprobs\":true,\"top_logprobs\":3", "\"responseLogprobs\":true,\"logprobs\":3",
     ""},
    {A45, HELLO ",\"user\":\"u\",\"service_tier\":\"default\",\"stream\":true",
     "\"metadata\":{\"user_id\":\"u\"},\"service_tier\":\"standard_only\",\"stream\":true", ""},
    /* Thinking. */
    {A45, HELLO ",\"reasoning_effort\":\"low\"",
     "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}", ""},
    {A45, HELLO ",\"reasoning_effort\":\"high\",\"max_tokens\":2000", "\"budget_tokens\":1500", ""},
    {A45, HELLO ",\"reasoning_effort\":\"high\",\"max_tokens\":900", "\"max_tokens\":900",
     "reasoning_effort"},
    {A45, CALLED "," TOOL ",\"reasoning_effort\":\"low\"", "\"max_tokens\"", "reasoning_effort"},
    {A45, BEGUN(""), "\"max_tokens\"", "reasoning_effort"},
    {A45, BEGUN(",\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"D\"}]"),
     "\"budget_tokens\":1024", ""},
    {A47, HELLO ",\"reasoning_effort\":\"xhigh\"", "\"output_config\":{\"effort\":\"xhigh\"}", ""},
    {A35, HELLO ",\"reasoning_effort\":\"low\"", "\"max_tokens\"", "reasoning_effort"},
    {G25, HELLO ",\"reasoning_effort\":\"none\"", "\"thinkingConfig\":{\"thinkingBudget\":0}", ""},
    {G25, HELLO "," BUDGET("100000"), "\"thinkingBudget\":24576", ""},
    {G25, HELLO "," BUDGET("50"), "\"thinkingBudget\":50", ""},
    {G25L, HELLO "," BUDGET("50"), "\"thinkingBudget\":512", ""},
    {G25L, HELLO ",\"reasoning_effort\":\"none\"", "\"thinkingBudget\":0", ""},
    {G25P, HELLO "," BUDGET("100000"), "\"thinkingBudget\":32768", ""},
    {G25P, HELLO "," BUDGET("50"), "\"thinkingBudget\":128", ""},
    {G3, HELLO ",\"reasoning_effort\":\"low\"",
     "\"thinkingConfig\":{\"thinkingLevel\":\"LOW\",\"includeThoughts\":true}", ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":"
     "\"a\",\"reasoning_content\":\"xy\",\"reasoning_details\":[{\"type\":\"reasoning.text\","
     "\"text\":\"x\",\"index\":0},{\"type\":\"reasoning.text\",\"text\":\"y\",\"index\":0},"
     "{\"type\":\"reasoning.text\",\"signature\":\"S\",\"index\":0},{\"type\":"
     "\"reasoning.encrypted\",\"data\":\"D\"}]},{\"role\":\"user\",\"content\":\"v\"}]",
     "[{\"type\":\"thinking\",\"thinking\":\"xy\",\"signature\":\"S\"},{\"type\":"
     "\"redacted_thinking\",\"data\":\"D\"},{\"type\":\"text\",\"text\":\"a\"}]",
     ""},
    /* Words that are not shown are empty; words that a client lost are none. */
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":"
     "\"a\",\"reasoning_details\":[{\"type\":\"reasoning.text\","
     "\"text\":\"\",\"signature\":\"S\"}]},"
     "{\"role\":\"user\",\"content\":\"v\"}]",
     "[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"S\"},{\"type\":\"text\"", ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":"
     "\"a\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"signature\":\"S\"}]},"
     "{\"role\":\"user\",\"content\":\"v\"}]",
     "\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]",
     "messages.reasoning_details"},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":"
     "\"a\",\"reasoning_content\":\"xy\"},{\"role\":\"user\",\"content\":\"v\"}]",
     "\"text\":\"a\"", "messages.reasoning_content"},
    /* Each id once. */
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":null,\"tool_calls\":[{\"id\":\"x\",\"type\":\"function\",\"function\":{\"name\":\"f"
     "\",\"arguments\":\"{\\\"n\\\":1}\"}},{\"id\":\"x\",\"type\":\"function\",\"function\":{"
     "\"name\":\"f\",\"arguments\":\"{\\\"n\\\":2}\"}}]},{\"role\":\"tool\",\"tool_call_id\":"
     "\"x\",\"content\":\"one\"},{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"two"
     "\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"x\",\"type\":\"f"
     "unction\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"to"
     "ol_call_id\":\"x\",\"content\":\"three\"}]",
     "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"x\",\"name\":\"f\""
     ",\"input\":{\"n\":1}},{\"type\":\"tool_use\",\"id\":\"drover_call_1\",\"name\":\"f\",\""
     "input\":{\"n\":2}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_u"
     "se_id\":\"x\",\"content\":\"one\"},{\"type\":\"tool_result\",\"tool_use_id\":\"drover_c"
     "all_1\",\"content\":\"two\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_us"
     "e\",\"id\":\"drover_call_2\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"conten"
     "t\":[{\"type\":\"tool_result\",\"tool_use_id\":\"drover_call_2\",\"content\":\"three\"}"
     "]}]",
     ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":null,\"tool_calls\":[{\"id\":\"a.b\",\"type\":\"function\",\"function\":{\"name\":\""
     "f\",\"arguments\":\"{}\"}},{\"id\":\"a:b\",\"type\":\"function\",\"function\":{\"name\""
     ":\"f\",\"arguments\":\"{}\"}},{\"id\":\"drover_call_0\",\"type\":\"function\",\"functio"
     "n\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"drov"
     "er_call_0\",\"content\":\"3\"},{\"role\":\"tool\",\"tool_call_id\":\"a:b\",\"content\":"
     "\"2\"},{\"role\":\"tool\",\"tool_call_id\":\"a.b\",\"content\":\"1\"}]",
     "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"drover_call"
     "_0\",\"content\":\"1\"},{\"type\":\"tool_result\",\"tool_use_id\":\"drover_call_1\",\"c"
     "ontent\":\"2\"},{\"type\":\"tool_result\",\"tool_use_id\":\"drover_call_2\",\"content\""
     ":\"3\"}]}",
     ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":null,\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"role\":\"function\""
     ",\"name\":\"f\",\"content\":\"1\"},{\"role\":\"assistant\",\"content\":null,\"function_"
     "call\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"role\":\"function\",\"name\":\"f\",\"c"
     "ontent\":\"2\"}],\"functions\":[{\"name\":\"f\"}]",
     "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"drover_call_1\",\""
     "name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
     "\"tool_use_id\":\"drover_call_1\",\"content\":\"2\"}]}]",
     ""},
    /* The older interface has room for one call. */
    {A45, "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"functions\":[{\"name\":\"f\"}]",
     "\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}", ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"functions\":[{\"name\":\"f\"}],"
     "\"function_call\":{\"name\":\"f\"}",
     "\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":true}", ""},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"functions\":[{\"name\":\"f\"}],"
     "\"parallel_tool_calls\":false",
     "\"functionDeclarations\"", "parallel_tool_calls"},
    /* Blanks say nothing. */
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":\"\\n\\n\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name"
     "\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\""
     ":\"\"}]",
     "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\"", ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":\"  \\n\"}]",
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]", ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":[{\"type\":\"text\",\"text\":\"so \"},{\"type\":\"text\",\"text\":\" \"}]}]",
     "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"so\"}]}]", ""},
    {A45,
     "\"messages\":[{\"role\":\"system\",\"content\":\" \"},{\"role\":\"user\",\"content\":[{"
     "\"type\":\"text\",\"text\":\"\\t\"},{\"type\":\"text\",\"text\":\"a\\n\"}]}]",
     "\"max_tokens\":32000,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
     "\"text\":\"a\\n\"}]}]}",
     ""},
    /* Schemas. */
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"response_format\":{\"type\":\"j"
     "son_schema\",\"json_schema\":{\"name\":\"s\",\"schema\":{\"type\":\"object\",\"properti"
     "es\":{\"m\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}},\"req"
     "uired\":[\"m\"]}}}",
     "It must match this JSON Schema: ", "response_format.json_schema.strict"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"response_format\":{\"type\":\"j"
     "son_schema\",\"json_schema\":{\"name\":\"s\",\"schema\":{\"type\":\"object\",\"properti"
     "es\":{\"a\":{\"type\":\"object\"}}}}}",
     "It must match this JSON Schema: ", "response_format.json_schema.strict"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"response_format\":{\"type\":\"j"
     "son_schema\",\"json_schema\":{\"name\":\"s\",\"schema\":{\"type\":\"object\",\"properti"
     "es\":{\"additionalProperties\":{\"enum\":[{\"type\":\"object\"}]}},\"additionalProperti"
     "es\":false},\"description\":\"d\"}}",
     "\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\",\"properties\":{\""
     "additionalProperties\":{\"enum\":[{\"type\":\"object\"}]}},\"additionalProperties\":fal"
     "se}}",
     "response_format.json_schema.description"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{\"type\":\"function\""
     ",\"function\":{\"name\":\"f\",\"strict\":true,\"parameters\":{\"type\":\"object\",\"pro"
     "perties\":{\"m\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}},"
     "\"required\":[\"m\"]}}}]",
     "{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{\"m\":{\"type\":"
     "\"object\",\"additionalProperties\":{\"type\":\"string\"}}},\"required\":[\"m\"]}}]",
     "tools.function.strict"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{\"type\":\"function\""
     ",\"function\":{\"name\":\"f\",\"strict\":true,\"parameters\":{\"type\":\"object\",\"pro"
     "perties\":{\"a\":{\"type\":\"string\"}}}}}]",
     "\"input_schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"ad"
     "ditionalProperties\":false},\"strict\":true",
     ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{\"type\":\"function\""
     ",\"function\":{\"name\":\"f\",\"strict\":true}}]",
     "\"input_schema\":{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"
     ",\"strict\":true",
     ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{\"type\":\"function\""
     ",\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"a\":{\"anyOf\":[{\"type"
     "\":\"string\"}]}},\"anyOf\":[{\"required\":[\"a\"]}]}}}]",
     "\"input_schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"anyOf\":[{\"type\":\"str"
     "ing\"}]}}}}",
     "tools.function.parameters"},
    /* Documents of text. */
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\""
     ":\"a.txt\",\"file_data\":\"data:text/plain;charset=utf-8;base64,aGVsbG8\"}}]}]",
     "{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"da"
     "ta\":\"hello\"},\"title\":\"a.txt\"}",
     ""},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\""
     ":\"a.txt\",\"file_data\":\"data:text/plain;base64,aGVsbG8=\"}}]}]",
     "{\"inlineData\":{\"mimeType\":\"text/plain\",\"data\":\"aGVsbG8=\"}}",
     "messages.content.file.filename"},
    /* Thinking in other words, and what it forbids. */
    {A46,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning_effort\":\"low\",\"te"
     "mperature\":0.3",
     "\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"},\"output_config\":{\"ef"
     "fort\":\"low\"}}",
     "temperature"},
    {A46, "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"temperature\":0.3",
     "\"temperature\":0.3", ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning\":{\"enabled\":true,"
     "\"exclude\":true}",
     "\"budget_tokens\":8192", "reasoning.exclude"},
    {A35, "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning\":{\"enabled\":true}",
     "\"max_tokens\"", "reasoning"},
    {G25, "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning\":{\"enabled\":false}",
     "\"thinkingBudget\":0", ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"thinking\":{\"type\":\"enabled"
     "\",\"budget_tokens\":2000,\"display\":\"omitted\"}",
     "\"budget_tokens\":2000", "thinking.display"},
    /* Who asks. */
    {A45, "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"user\":\"bob@example.com\"",
     "\"max_tokens\"", "user"},
    {A45, HELLO ",\"user\":\"@corp.io\"", "\"max_tokens\"", "user"},
    {A45, HELLO ",\"user\":\"415 555 2671\"", "\"max_tokens\"", "user"},
    {A45, HELLO ",\"user\":\"10000001\"", "\"metadata\":{\"user_id\":\"10000001\"}", ""},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"safety_identifier\":\"+1 415 55"
     "5-2671\"",
     "\"max_tokens\"", "safety_identifier"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"user\":\"u@2\",\"safety_identif"
     "ier\":\"s\"",
     "\"metadata\":{\"user_id\":\"u@2\"}", "safety_identifier"},
    /* What nobody reads is told by its path. */
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"foo\":1},{\"role\":\"assistant\","
     "\"content\":null,\"audio\":{\"id\":\"x\"}},{\"role\":\"user\",\"content\":[{\"type\":\""
     "text\",\"text\":\"b\",\"bar\":\"c\",\"none\":null,\"no\":[]}],\"tool_calls\":[{\"id\":"
     "\"x\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"ro"
     "le\":\"assistant\",\"content\":\"c\",\"prefix\":true,\"annotations\":[],\"refusal\":nul"
     "l}]",
     "\"c\"",
     "messages.foo, messages.audio, messages.content.bar, messages.tool_calls, messages.prefi"
     "x"},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"foo\":1},{\"role\":\"assistant\","
     "\"content\":null,\"audio\":{\"id\":\"x\"}},{\"role\":\"user\",\"content\":[{\"type\":\""
     "text\",\"text\":\"b\",\"bar\":\"c\",\"none\":null,\"no\":[]}],\"tool_calls\":[{\"id\":"
     "\"x\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"ro"
     "le\":\"assistant\",\"content\":\"c\",\"prefix\":true,\"annotations\":[],\"refusal\":nul"
     "l}]",
     "\"c\"",
     "messages.foo, messages.audio, messages.content.bar, messages.tool_calls, messages.prefi"
     "x"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f"
     "\",\"arguments\":\"{}\"},\"index\":0,\"cache_control\":{\"type\":\"ephemeral\"},\"extra"
     "_content\":{\"a\":1}},{\"id\":\"d\",\"type\":\"function\",\"function\":{\"name\":\"f\","
     "\"arguments\":\"{}\"},\"odd\":1}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content"
     "\":\"1\",\"cache_control\":{\"type\":\"ephemeral\"}},{\"role\":\"tool\",\"tool_call_id"
     "\":\"d\",\"content\":\"1\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
     "\"f\",\"foo\":1}}],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}"
     ",\"bar\":2},\"stream_options\":null",
     "{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{},\"cache_control\":{\"ty"
     "pe\":\"ephemeral\"}},{\"type\":\"tool_use\",\"id\":\"d\"",
     "messages.tool_calls.extra_content, messages.tool_calls.odd, tools.function.foo, tool_ch"
     "oice.bar"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f"
     "\",\"arguments\":\"{}\"}}],\"cache_control\":{\"type\":\"ephemeral\"}},{\"role\":\"tool"
     "\",\"tool_call_id\":\"c\",\"content\":\"1\"}]",
     "\"input\":{},\"cache_control\":{\"type\":\"ephemeral\"}}]}", ""},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f"
     "\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"1\""
     ",\"cache_control\":{\"type\":\"ephemeral\"}}]",
     "\"functionResponse\"", "messages.cache_control"},
};

static void test_each_field_is_sent_as_the_table_says(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++) {
        struct written written;
        char body[8192];
        dr_json root;

        (void)snprintf(body, sizeof body, "{\"model\":\"m\",%s}", sent[i].members);
        write_request(&written, sent[i].dialect, sent[i].model, dr_slice_text(body));
        const dr_slice out = dr_buf_slice(&written.out);
        if (written.status) {
            fail_msg("%s: refused, %s %s", body, written.loss.fault.param, written.loss.fault.text);
        }
        if (dr_json_read(written.scratch, out, 128, &root, NULL)) {
            fail_msg("%s: no JSON: %.*s", body, DR_FMT(out));
        }
        if (dr_slice_find(out, dr_slice_text(sent[i].expected)) == out.len) {
            fail_msg("%s gives\n%.*s\nwithout\n%s", body, DR_FMT(out), sent[i].expected);
        }
        if (!dr_slice_is(loss_dropped(&written.loss), dr_slice_text(sent[i].dropped))) {
            fail_msg("%s drops '%.*s', not '%s'", body, DR_FMT(loss_dropped(&written.loss)),
                     sent[i].dropped);
        }
        clear_written(&written);
    }
}

static const struct {
    enum dialect dialect;
    const char *model;
    const char *members;
    const char *param;
} refused[] = {
    {A45, HELLO ",\"n\":2", "n"},
    {G25, HELLO ",\"n\":9", "n"},
    {A45, HELLO ",\"logprobs\":true", "logprobs"},
    {A45, HELLO ",\"modalities\":[\"text\",\"audio\"]", "modalities"},
    {A45, HELLO ",\"web_search_options\":{\"a\":1}", "web_search_options"},
    {A45, HELLO ",\"tool_choice\":\"required\"", "tool_choice"},
    {A45, HELLO ",\"tools\":[{\"type\":\"web_search\"}]", "tools[0].type"},
    {A45, HELLO ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a.b\"}}]",
     "tools[0].function.name"},
    {G25, HELLO ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"1b\"}}]",
     "tools[0].function.name"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":"
     "{\"data\":\"A\",\"format\":\"wav\"}}]}]",
     "messages[0].content[0].type"},
    {G25, AUDIO("pcm16"), "messages[0].content[0].input_audio.format"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
     "\"data:image/tiff;base64,AAAA\"}}]}]",
     "messages[0].content[0].image_url.url"},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"f\""
     "}}]}]",
     "messages[0].content[0].file.file_id"},
    {A45,
     "\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\","
     "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}]",
     "messages[0].tool_calls[0]"},
    {G25, "\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"x\"}]",
     "messages[0].tool_call_id"},
    {A45, "\"messages\":[{\"role\":\"user\",\"content\":\"\"}]", "messages"},
    {A45, "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning_effort\":\"foo\"",
     "reasoning_effort"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning\":{\"effort\":\"foo\""
     "}",
     "reasoning.effort"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning\":{\"max_tokens\":\"m"
     "any\"}",
     "reasoning.max_tokens"},
    {A45, "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning\":\"high\"",
     "reasoning"},
    {A45,
     "\"messages\":[{\"role\":\"system\",\"content\":[{\"type\":\"image_url\",\"image_url\":{"
     "\"url\":\"https://a/b.png\"}}]},{\"role\":\"user\",\"content\":\"hi\"}]",
     "messages[0].content[0].type"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{\"type\":\"function\""
     ",\"function\":{\"name\":\"f\"}}],\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_"
     "tools\":{\"mode\":\"auto\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"z"
     "\"}}]}}",
     "tool_choice.allowed_tools.tools"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{\"type\":\"function\""
     ",\"function\":{\"name\":\"f\"}}],\"tool_choice\":{\"type\":\"function\",\"function\":{"
     "\"name\":\"z\"}}",
     "tool_choice.function.name"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"functions\":[{\"name\":\"f\"}],"
     "\"function_call\":{\"name\":\"z\"}",
     "function_call.name"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f"
     "\",\"arguments\":\"{}\"}},{\"id\":\"d\",\"type\":\"function\",\"function\":{\"name\":\""
     "a.b/c\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":"
     "\"1\"},{\"role\":\"tool\",\"tool_call_id\":\"d\",\"content\":\"1\"}]",
     "messages[1].tool_calls[1].function.name"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":null,\"function_call\":{\"name\":\"a/c\",\"arguments\":\"{}\"}},{\"role\":\"function"
     "\",\"name\":\"a/c\",\"content\":\"1\"}]",
     "messages[1].function_call.name"},
    {A45, "\"messages\":[{\"role\":\"user\",\"content\":\" \\n\"}]", "messages"},
    {G25, "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning_effort\":\"foo\"",
     "reasoning_effort"},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning\":{\"effort\":\"foo\""
     "}",
     "reasoning.effort"},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning\":{\"max_tokens\":\"m"
     "any\"}",
     "reasoning.max_tokens"},
    {G25, "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning\":\"high\"",
     "reasoning"},
    {G25,
     "\"messages\":[{\"role\":\"system\",\"content\":[{\"type\":\"image_url\",\"image_url\":{"
     "\"url\":\"https://a/b.png\"}}]},{\"role\":\"user\",\"content\":\"hi\"}]",
     "messages[0].content[0].type"},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{\"type\":\"function\""
     ",\"function\":{\"name\":\"f\"}}],\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_"
     "tools\":{\"mode\":\"auto\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"z"
     "\"}}]}}",
     "tool_choice.allowed_tools.tools"},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{\"type\":\"function\""
     ",\"function\":{\"name\":\"f\"}}],\"tool_choice\":{\"type\":\"function\",\"function\":{"
     "\"name\":\"z\"}}",
     "tool_choice.function.name"},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"functions\":[{\"name\":\"f\"}],"
     "\"function_call\":{\"name\":\"z\"}",
     "function_call.name"},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f"
     "\",\"arguments\":\"{}\"}},{\"id\":\"d\",\"type\":\"function\",\"function\":{\"name\":\""
     "a.b/c\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":"
     "\"1\"},{\"role\":\"tool\",\"tool_call_id\":\"d\",\"content\":\"1\"}]",
     "messages[1].tool_calls[1].function.name"},
    {G25,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":null,\"function_call\":{\"name\":\"a/c\",\"arguments\":\"{}\"}},{\"role\":\"function"
     "\",\"name\":\"a/c\",\"content\":\"1\"}]",
     "messages[1].function_call.name"},
    {G25, "\"messages\":[{\"role\":\"user\",\"content\":\" \\n\"}]", "messages"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{\"type\":\"function\""
     ",\"function\":{\"name\":\"f\",\"parameters\":{\"anyOf\":[{\"type\":\"object\",\"propert"
     "ies\":{\"a\":{\"type\":\"string\"}}}]}}}]",
     "tools[0].function.parameters"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{\"type\":\"function\""
     ",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"array\",\"items\":{}}}}]",
     "tools[0].function.parameters"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"functions\":[{\"name\":\"a.b\"}"
     "]",
     "functions[0].name"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\""
     ":\"a.txt\",\"file_data\":\"data:text/plain;base64,/////w==\"}}]}]",
     "messages[0].content[0].file.file_data"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\""
     ":\"a.txt\",\"file_data\":\"data:text/plain;base64,aGVsb\"}}]}]",
     "messages[0].content[0].file.file_data"},
    {A45,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content"
     "\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://a/b.png\"}}]}]",
     "messages[1].content[0].type"},
};

static void test_what_a_provider_cannot_do_is_refused_by_its_name(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct written written;
        char body[4096];

        (void)snprintf(body, sizeof body, "{\"model\":\"m\",%s}", refused[i].members);
        write_request(&written, refused[i].dialect, refused[i].model, dr_slice_text(body));
        if (written.status != DR_INVALID || strcmp(written.loss.fault.param, refused[i].param)) {
            fail_msg("%s: %d '%s' %s", body, (int)written.status, written.loss.fault.param,
                     written.loss.fault.text);
        }
        clear_written(&written);
    }
}

static void test_a_lack_of_memory_is_no_fault_of_the_request(void **state) {
    static const char body[] =
        "{\"model\":\"m\"," CALLED
        ",\"functions\":[{\"name\":\"f\"}],\"response_format\":{\"type\":\"json_schema\","
        "\"json_schema\":{\"name\":\"s\",\"schema\":{\"type\":\"object\"}}}}";
    static const char document[] =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
        "\"file\",\"file\":{\"file_data\":\"data:text/plain;base64,aGVsbG8=\"}}]}]}";
    const char *const bodies[] = {body, document};

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct written written;
        enum dr_status status = DR_NO_MEMORY;
        write_request(&written, A45, dr_slice_text(bodies[i]));
        assert_int_equal(written.status, DR_OK);
        for (uint64_t nth = 1; status; nth++) {
            assert_int_equal(status, DR_NO_MEMORY);
            assert_in_range(nth, 1, 100);
            dr_buf_clear(&written.out);
            dr_buf_init(&written.out, BYTES_MAX);
            dr_alloc_fail_at(nth);
            status = dialect_write_prompt(DIALECT_ANTHROPIC, &written.conversation,
                                          DR_LIT("claude-sonnet-4-5"), written.scratch,
                                          &written.out, &written.loss);
            dr_alloc_fail_at(0);
        }
        clear_written(&written);
    }
}

static void test_the_document_is_the_table(void **state) {
    struct dr_buf made;
    char read[65536];
    FILE *file = fopen(DR_TRANSLATION_DOCUMENT, "rb");

    (void)state;
    assert_non_null(file);
    const size_t len = fread(read, 1, sizeof read, file);
    (void)fclose(file);
    dr_buf_init(&made, BYTES_MAX);
    dialect_put_translation_markdown(&made);
    if (!dr_slice_is(dr_buf_slice(&made), dr_slice_of(read, len))) {
        fail_msg("docs/translation.md should be:\n%.*s", DR_FMT(dr_buf_slice(&made)));
    }
    dr_buf_clear(&made);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_field_is_sent_as_the_table_says),
        cmocka_unit_test(test_what_a_provider_cannot_do_is_refused_by_its_name),
        cmocka_unit_test(test_a_lack_of_memory_is_no_fault_of_the_request),
        cmocka_unit_test(test_the_document_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
