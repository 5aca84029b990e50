/* What becomes of each field of a request at each provider. Must not write any of them: where a row
 * says `adapted`, the dialect's writer does what it says.
 *
 * Sources: Anthropic's reference of Messages and its page "OpenAI SDK compatibility"; Google's
 * references of GenerateContent and "OpenAI compatibility"; recorded refusals. */
#include "dialect/translation.h"

#include "base/assert.h"
#include "dialect/inner_fields.h"

struct column {
    enum translation_fate fate;
    const char *how; /* "" where the fate says all */
};

struct row {
    dr_slice field;
    bool is_top;         /* a member of the request itself, gone through by `translation_check` */
    const char *neutral; /* asks for nothing, as null, false and empty do; NULL: these alone */
    struct column anthropic;
    struct column gemini;
};

#define TEXT_OF(name) \
    { name, sizeof(name) - 1 }
#define TOP(name) TEXT_OF(name), true, NULL
#define TOP_UNLESS(name, neutral) TEXT_OF(name), true, neutral
#define INNER(name) TEXT_OF(name), false, NULL
#define CARRIED \
    { FATE_CARRIED, "" }
#define CARRIED_AS(how) \
    { FATE_CARRIED, how }
#define ADAPTED(how) \
    { FATE_ADAPTED, how }
#define REFUSED(how) \
    { FATE_REFUSED, how }
#define DROPPED \
    { FATE_DROPPED, "" }
#define DROPPED_AS(how) \
    { FATE_DROPPED, how }
static const struct row rows[] = {
    {TOP("model"), ADAPTED("the target's own name"), ADAPTED("the target's own name, in the path")},
    {TOP("messages"),
     ADAPTED(
         "neighbours of one side become one turn; messages that are empty or of blanks are left "
         "out; an assistant's message at the beginning gets a user's `...` before "
         "it"),
     ADAPTED("as for Anthropic")},
    {INNER("messages[].role: system, developer"),
     ADAPTED("in their order, in `system`, wherever they stood; alone they become the user's"),
     ADAPTED("in their order, in `systemInstruction`; alone they become the user's")},
    {INNER("messages[].role: system, developer: other parts than text"),
     REFUSED("OpenAI takes none either"), REFUSED("as for Anthropic")},
    {INNER("messages[].role: assistant at the end"),
     ADAPTED("a beginning of the answer, without blanks at its end"), CARRIED},
    {INNER("messages[].name"), DROPPED, DROPPED},
    {INNER("messages[].content: text, refusal"),
     CARRIED_AS("empty texts and those of blanks are left out"),
     CARRIED_AS("empty texts are left out")},
    {INNER("messages[].content: image_url, data"),
     ADAPTED("`image` of base64; the type is read from the first bytes; JPEG, PNG, GIF, WebP, "
             "others are refused"),
     ADAPTED("`inlineData`; the type is read from the first bytes")},
    {INNER("messages[].content: image_url, address"), ADAPTED("`image` of a URL"),
     ADAPTED("`fileData`, its type guessed from the name")},
    {INNER("messages[].content: image_url.detail"), DROPPED, DROPPED},
    {INNER("messages[].content: input_audio"), REFUSED("takes no audio"),
     ADAPTED("`inlineData`; WAV, MP3, AIFF, AAC, OGG, FLAC, others are refused")},
    {INNER("messages[].content: file.file_data"),
     ADAPTED("`document`: PDF, any `text/…` as plain text in UTF-8; others are refused; an address "
             "becomes a URL"),
     ADAPTED("`inlineData`; an address becomes `fileData`")},
    {INNER("messages[].content: file.file_id"), REFUSED("the id is OpenAI's"),
     REFUSED("the id is OpenAI's")},
    {INNER("messages[].content: other types"), REFUSED(""), REFUSED("")},
    {INNER("messages[].tool_calls"),
     ADAPTED("`tool_use`; an id that stands twice or has other characters than letters, digits, "
             "`_`, `-` is replaced in call and result; arguments that are no JSON object stand in "
             "`{\"raw_arguments\":…}`"),
     ADAPTED("`functionCall`; the id is sent to Gemini 3 only, and only Google's own")},
    {INNER("messages[].tool_calls[].function.name"), CARRIED_AS("refused as names of tools are"),
     CARRIED_AS("refused as names of tools are")},
    {INNER("messages[].role: tool"),
     ADAPTED("`tool_result`s at the beginning of the next turn in the order of the calls; a call "
             "without result and a result without call are refused, as OpenAI does"),
     ADAPTED("`functionResponse`s in the order of the calls; a text that is no JSON object stands "
             "in `{\"result\":…}`; pictures follow behind them all")},
    {INNER("messages[].function_call, messages[].role: function"),
     ADAPTED("as `tool_calls` and role `tool`"), ADAPTED("as `tool_calls` and role `tool`")},
    {INNER("messages[].reasoning_details"),
     ADAPTED("blocks of thinking with Anthropic's signatures are sent back; others are dropped"),
     ADAPTED("Google's signatures are sent back; others are dropped")},
    {INNER("messages[].reasoning_content"), DROPPED_AS("without a signature it proves nothing"),
     DROPPED_AS("as for Anthropic")},
    {INNER("messages[].tool_calls[].extra_content"), DROPPED,
     ADAPTED(
         "Google's signature of the call; Gemini 3 gets Google's sentinel where it is missing")},
    {INNER("messages[].cache_control, content[].cache_control, tool_calls[].cache_control, "
           "tools[].cache_control"),
     CARRIED, DROPPED_AS("Google caches by itself")},
    {INNER("messages[].content: file.filename"), ADAPTED("`title`"), DROPPED},
    {INNER("other members of messages, parts, calls, tools, tool_choice, response_format, "
           "reasoning, thinking, stream_options"),
     DROPPED_AS("told by their path, as `messages.content.NAME`"), DROPPED_AS("as for Anthropic")},
    {TOP("cache_control"), CARRIED, DROPPED},
    {TOP("max_completion_tokens"), ADAPTED("`max_tokens`"), ADAPTED("`maxOutputTokens`")},
    {TOP("max_tokens"),
     ADAPTED("the same; without either: 4096 for Claude 3, 8192 for Claude 3.5, "
             "32000 later"),
     ADAPTED("`maxOutputTokens`")},
    {TOP("temperature"),
     ADAPTED("above 1 it becomes 1, which is told; dropped while thinking and for Claude 4.7 and "
             "later"),
     CARRIED},
    {TOP("top_p"),
     ADAPTED(
         "dropped beside `temperature` for Claude 4.1 and later, while thinking, and for Claude "
         "4.7 and later"),
     CARRIED},
    {TOP("stop"), ADAPTED("`stop_sequences`; blank ones are dropped"),
     ADAPTED("`stopSequences`; empty ones are dropped")},
    {TOP("seed"), DROPPED, ADAPTED("one beyond 32 bits is dropped")},
    {TOP_UNLESS("n", "1"), REFUSED("gives one answer"), ADAPTED("`candidateCount`, at most 8")},
    {TOP("logprobs"), REFUSED("gives no probabilities"), ADAPTED("`responseLogprobs`")},
    {TOP("top_logprobs"), REFUSED("gives no probabilities"), ADAPTED("`logprobs`")},
    {TOP_UNLESS("frequency_penalty", "0"), DROPPED,
     ADAPTED("carried to Gemini 2.0 and earlier, dropped for later ones")},
    {TOP_UNLESS("presence_penalty", "0"), DROPPED,
     ADAPTED("carried to Gemini 2.0 and earlier, dropped for later ones")},
    {TOP("logit_bias"), DROPPED, DROPPED},
    {TOP("stream"), CARRIED, ADAPTED("the method; `alt=sse`")},
    {TOP("stream_options"), ADAPTED("usage always comes; it is shown when asked for"),
     ADAPTED("as for Anthropic")},
    {TOP("tools"),
     ADAPTED("`input_schema`, which gets `type: object` where that is missing; other types are "
             "refused; `anyOf`, `oneOf`, `allOf` at the top are dropped, and refused without "
             "`properties`"),
     ADAPTED("`functionDeclarations` with `parametersJsonSchema`; without parameters none")},
    {INNER("tools[].function.strict"),
     ADAPTED(
         "carried for Claude 4.5 and later; dropped before, and where an object of the schema may "
         "have members without a name"),
     DROPPED},
    {INNER("tools[].function.name"), CARRIED_AS("letters, digits, `_`, `-`; others are refused"),
     CARRIED_AS("64 letters, digits, `_`, `-`, `.`, `:`, the first a letter or `_`; others are "
                "refused")},
    {INNER("tools[].type: other than function"), REFUSED(""), REFUSED("")},
    {TOP("tool_choice"),
     ADAPTED(
         "`auto`, `any`, `none`, `tool`; of allowed tools only these are sent; tools that are not "
         "offered are refused"),
     ADAPTED("`AUTO`, `ANY`, `NONE`, `allowedFunctionNames`; tools that are not offered are "
             "refused")},
    {TOP("parallel_tool_calls"), ADAPTED("`disable_parallel_tool_use`"),
     ADAPTED("`false` is dropped")},
    {TOP("functions"),
     ADAPTED("as tools, of which one at a time is called; the answer has the older shape too"),
     ADAPTED("as tools; the answer has the older shape too")},
    {TOP("function_call"), ADAPTED("as `tool_choice`"), ADAPTED("as `tool_choice`")},
    {TOP("response_format"),
     ADAPTED(
         "`json_schema`: `output_config.format` for Claude 4.5 and later, where limits of "
         "numbers and lengths are dropped; else, for a schema with an object whose members have "
         "no names, and for `json_object`, an instruction in `system`"),
     ADAPTED(
         "`responseMimeType`, `responseJsonSchema`, of which keywords that Google does not know "
         "are dropped, remarks (`default`, `examples`) without a word; beside tools Gemini 2 gets "
         "an instruction instead")},
    {INNER("response_format.json_schema.name"), ADAPTED("a label; left out"),
     ADAPTED("a label; left out")},
    {INNER("response_format.json_schema.description"), DROPPED, DROPPED},
    {INNER("reasoning_effort: other than none, minimal, low, medium, high, xhigh, max"),
     REFUSED("also in `reasoning.effort`"), REFUSED("as for Anthropic")},
    {TOP("reasoning_effort"),
     ADAPTED("Claude 3.7 to 4.5: a budget of 1024, 8192 or 24576 tokens below the limit; later: "
             "adaptive thinking with `output_config.effort`; dropped where the model cannot think, "
             "the limit leaves no room, a tool is forced, or the last turn's blocks of thinking "
             "are missing, as in a beginning of the answer"),
     ADAPTED("Gemini 2.5: `thinkingBudget` of 1024, 8192 or 24576 tokens, 0 for `none` (128 for "
             "Pro); Gemini 3: `thinkingLevel`")},
    {TOP("thinking"), ADAPTED("its budget or its being off, as above"),
     ADAPTED("its budget or its being off, as above; a budget outside the range of Gemini 2.5 "
             "(Pro: 128 to 32768; Flash: to 24576; Flash-Lite: 512 to 24576) becomes the nearest "
             "in it")},
    {TOP("reasoning"),
     ADAPTED(
         "OpenRouter's `effort`, `max_tokens` and `enabled`, which alone is a medium effort, as "
         "above"),
     ADAPTED("as for Anthropic")},
    {TOP("user"),
     ADAPTED("`metadata.user_id`; one that looks like an e-mail address or a phone number (with "
             "`+` or separators) is dropped"),
     DROPPED},
    {TOP("safety_identifier"), ADAPTED("as `user`; beside another `user` it is dropped"), DROPPED},
    {TOP("metadata"), DROPPED, DROPPED},
    {TOP_UNLESS("service_tier", "auto"),
     ADAPTED("`default` becomes `standard_only`; others but `auto` are dropped"), DROPPED},
    {TOP("store"), DROPPED, DROPPED},
    {TOP_UNLESS("verbosity", "medium"), DROPPED, DROPPED},
    {TOP_UNLESS("modalities", "text"), REFUSED("gives text only"), REFUSED("gives text only here")},
    {TOP("audio"), REFUSED("gives text only"), REFUSED("gives text only here")},
    {TOP("prediction"), DROPPED, DROPPED},
    {TOP("prompt_cache_key"), DROPPED, DROPPED},
    {TOP("prompt_cache_retention"), DROPPED, DROPPED},
    {TOP("web_search_options"), REFUSED("its searches are billed by themselves"),
     REFUSED("its searches are billed by themselves")},
};

/* Of the same fields, those that providers of OpenAI's dialect do not get as they came. */
struct exception {
    dr_slice field;
    struct column openai;
    struct column deepseek;
};

#define SEALS_STAY "what another provider sealed is dropped"
#define TOOLS_ALONE "takes `tools`, not the older functions"
/* DeepSeek: "Create Chat Completion" of its API documents names the fields it has, the guides
 * "Thinking Mode" and "JSON Output" their rules; test/fixtures/deepseek has the refusals. */
static const struct exception exceptions[] = {
    {TEXT_OF("model"), ADAPTED("the target's own name"), ADAPTED("the target's own name")},
    {TEXT_OF("messages[].role: system, developer"), CARRIED, ADAPTED("`developer` is `system`")},
    {TEXT_OF("messages[].content: image_url, data"), CARRIED,
     CARRIED_AS("the provider refuses them where its model sees none")},
    {TEXT_OF("messages[].content: image_url, address"), CARRIED,
     CARRIED_AS("the provider refuses them where its model sees none")},
    {TEXT_OF("messages[].function_call, messages[].role: function"), CARRIED, REFUSED(TOOLS_ALONE)},
    {TEXT_OF("messages[].reasoning_details"), ADAPTED(SEALS_STAY ", but for OpenRouter"),
     ADAPTED(SEALS_STAY)},
    {TEXT_OF("messages[].reasoning_content"), CARRIED,
     ADAPTED("messages with `tool_calls` that lack it get a blank one")},
    {TEXT_OF("messages[].tool_calls[].extra_content"),
     ADAPTED(SEALS_STAY ", but for Google's own endpoint"), ADAPTED(SEALS_STAY)},
    {TEXT_OF("max_completion_tokens"), CARRIED, ADAPTED("`max_tokens`")},
    {TEXT_OF("max_tokens"), CARRIED, CARRIED_AS("dropped beside `max_completion_tokens`")},
    {TEXT_OF("seed"), CARRIED, DROPPED},
    {TEXT_OF("n"), CARRIED, REFUSED("gives one answer")},
    {TEXT_OF("logit_bias"), CARRIED, DROPPED},
    {TEXT_OF("stream_options"), ADAPTED("usage is asked for; it is shown when the client did"),
     ADAPTED("as for OpenAI")},
    {TEXT_OF("tools[].function.strict"), CARRIED, DROPPED},
    {TEXT_OF("parallel_tool_calls"), CARRIED, ADAPTED("`false` is dropped")},
    {TEXT_OF("functions"), CARRIED, REFUSED(TOOLS_ALONE)},
    {TEXT_OF("function_call"), CARRIED, REFUSED(TOOLS_ALONE)},
    {TEXT_OF("response_format"), CARRIED,
     ADAPTED("`json_schema`: `json_object` and an instruction with the schema in a message of the "
             "system's before all others; its `strict` is dropped")},
    {TEXT_OF("reasoning_effort"), CARRIED,
     ADAPTED("`none`: `thinking` is disabled; `minimal`, `low`, `medium`: `high`; `xhigh`: `max`")},
    {TEXT_OF("thinking"), CARRIED, CARRIED_AS("effort `none` counts for more")},
    {TEXT_OF("reasoning"), CARRIED,
     ADAPTED("OpenRouter's `effort` and `enabled` as `reasoning_effort`, beside which it is "
             "dropped; `max_tokens` is a medium effort and is told")},
    {TEXT_OF("metadata"), CARRIED, DROPPED},
    {TEXT_OF("service_tier"), CARRIED, DROPPED},
    {TEXT_OF("store"), CARRIED, DROPPED},
    {TEXT_OF("verbosity"), CARRIED, DROPPED},
    {TEXT_OF("modalities"), CARRIED, REFUSED("gives text only")},
    {TEXT_OF("audio"), CARRIED, REFUSED("gives text only")},
    {TEXT_OF("prediction"), CARRIED, DROPPED},
    {TEXT_OF("prompt_cache_key"), CARRIED, DROPPED_AS("DeepSeek caches by itself")},
    {TEXT_OF("prompt_cache_retention"), CARRIED, DROPPED_AS("DeepSeek caches by itself")},
    {TEXT_OF("web_search_options"), CARRIED, REFUSED("searches nothing")},
};

static const struct row *find_row(dr_slice name) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].is_top && dr_slice_is(rows[i].field, name)) return &rows[i];
    }
    return NULL;
}

static const struct exception *find_exception(dr_slice field) {
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++) {
        if (dr_slice_is(exceptions[i].field, field)) return &exceptions[i];
    }
    return NULL;
}

static bool asks_nothing(const struct row *row, dr_json value) {
    struct dr_json_iter iter;
    double number;

    switch (dr_json_kind(value)) {
    case DR_JSON_NULL: return true;
    case DR_JSON_BOOL: return !dr_json_bool(value);
    case DR_JSON_NUMBER:
        if (!row || !row->neutral || !dr_json_to_double(value, &number)) return false;
        return number == (row->neutral[0] == '1' ? 1.0 : 0.0);
    case DR_JSON_STRING:
        return row && dr_slice_is(dr_json_text(value), dr_slice_text(row->neutral));
    case DR_JSON_ARRAY:
        dr_json_iter_init(&iter, value);
        while (dr_json_iter_next(&iter)) {
            if (!row || !row->neutral ||
                !dr_slice_is(dr_json_text(iter.value), dr_slice_text(row->neutral))) {
                return false;
            }
        }
        return true;
    case DR_JSON_OBJECT: return dr_json_count(value) == 0;
    }
    return false;
}

static const char *name_of(enum dialect dialect) {
    return dialect == DIALECT_GEMINI ? "Gemini" : "Anthropic";
}

bool translation_check(enum dialect dialect, const struct conversation *conversation,
                       struct loss *loss) {
    struct dr_json_iter iter;

    dr_json_iter_init(&iter, conversation->root);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        const struct row *row = find_row(name);
        const struct column *column = !row                        ? NULL
                                      : dialect == DIALECT_GEMINI ? &row->gemini
                                                                  : &row->anthropic;
        if (column && column->fate < FATE_REFUSED) continue;
        if (asks_nothing(row, iter.value)) continue;
        if (column && column->fate == FATE_REFUSED) {
            return loss_refuse(loss, row->field.data,
                               "cannot be had from this model: its provider (%s) %s",
                               name_of(dialect), column->how);
        }
        loss_drop(loss, name);
    }
    return inner_fields_check(dialect, conversation, loss);
}

enum translation_fate translation_of_deepseek(dr_slice name, dr_json value, const char **ret_how) {
    const struct exception *exception = find_exception(name);

    if (!exception) return FATE_CARRIED;
    const struct column *column = &exception->deepseek;
    if (column->fate >= FATE_REFUSED && asks_nothing(find_row(name), value)) return FATE_CARRIED;
    *ret_how = column->how;
    return column->fate;
}

/* --- the print --- */

static void put_column(struct dr_buf *out, const struct column *column) {
    static const char *const fates[FATE_COUNT] = {"carried", "adapted", "**refused**",
                                                  "**dropped**"};

    dr_buf_format(out, " %s", fates[column->fate]);
    if (column->how[0] != '\0') dr_buf_format(out, ": %s", column->how);
    dr_buf_put(out, DR_LIT(" |"));
}

void dialect_put_translation_markdown(struct dr_buf *out) {
    static const struct column carried = CARRIED;
    static const char head[] =
        "# What becomes of a request's fields\n"
        "\n"
        "Generated from the tables in `src/dialect/translation.c`; a test compares.\n"
        "\n"
        "- *carried*: the same field, under the other's name where it has one;\n"
        "- *adapted*: as the table says;\n"
        "- *refused*: status 400 that names the parameter;\n"
        "- *dropped*: left out, and told in the answer's header `x-drover-dropped` (over a\n"
        "  WebSocket: `dropped` of the last frame).\n"
        "\n"
        "A field at the value that asks for nothing (`n: 1`, `logprobs: false`, `null`) is never "
        "refused or\n"
        "told. Fields that are not in the table are dropped and told, those inside another by "
        "their path; by\n"
        "providers of OpenAI's own dialect, which are OpenAI, DeepSeek and the many compatible "
        "ones, they are carried.\n"
        "These get the client's bytes as they came where nothing but the model's name and the "
        "question for usage\n"
        "has to be changed.\n"
        "\n"
        "A target is DeepSeek's when it is at `api.deepseek.com`, or anywhere under DeepSeek's own "
        "names\n"
        "`deepseek-chat` and `deepseek-reasoner`.\n"
        "\n"
        "| field | OpenAI and compatible | DeepSeek | Anthropic | Gemini |\n"
        "|---|---|---|---|---|\n";

    size_t exception_count = 0;
    dr_buf_put(out, dr_slice_of(head, sizeof head - 1));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct exception *exception = find_exception(rows[i].field);
        if (exception) exception_count++;
        dr_buf_format(out, "| `%.*s` |", DR_FMT(rows[i].field));
        put_column(out, exception ? &exception->openai : &carried);
        put_column(out, exception ? &exception->deepseek : &carried);
        put_column(out, &rows[i].anthropic);
        put_column(out, &rows[i].gemini);
        dr_buf_put_char(out, '\n');
    }
    dr_assert(exception_count == sizeof exceptions / sizeof exceptions[0]); /* each is of a row */
}
